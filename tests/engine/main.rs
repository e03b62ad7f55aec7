//! Tests that need a container engine but no cluster. A missing engine is a failure.

#![cfg(feature = "cli")]

mod box_container;
mod containers;
mod extract;
mod files;
mod ledger;
mod ledger_lies;
mod load;
mod node;
mod registry;

use anyhow::Context;
use seatrial::config::Settings;
use seatrial::engine::Engine;

/// The machine's settings.
#[expect(clippy::disallowed_methods, reason = "the edge: tests resolve the settings themselves")]
fn settings() -> anyhow::Result<Settings> {
    Ok(Settings::resolve(|name| std::env::var(name).ok())?)
}

/// The machine's container engine.
async fn engine() -> anyhow::Result<Engine> {
    Engine::connect(&settings()?.engine).await.context("no container engine: run scripts/bootstrap")
}

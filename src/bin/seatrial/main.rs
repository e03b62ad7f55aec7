//! The command line of seatrial: reads arguments and the environment, shows what the library
//! reports, and ends with a documented code.

mod args;
mod claims;
mod draw;
mod exit;
mod judge;
mod report;
mod runs;
mod show;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use exit::Exit;
use seatrial::config::Settings;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(command(args)));
    match done {
        Ok(exit) => exit.into(),
        Err(error) => exit::explain(&error).into(),
    }
}

async fn command(args: Args) -> anyhow::Result<Exit> {
    let settings = Settings::resolve(|name| args.flag(name).or_else(|| environment(name)))?;
    match args.command {
        Command::Report(args) => report::report(&settings, &args).await,
        Command::Judge(args) => judge::judge(&settings, &args),
        Command::Claims(args) => claims::claims(&args),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

//! `seatrial reap`: heal and remove everything of ours that has no owner any more.

use crate::cluster::{self, ReapOptions};
use crate::config::Settings;
use crate::engine::Engine;

use crate::cli::args::ReapArgs;
use crate::cli::exit::Exit;
use crate::cli::{draw, show, signals};

/// Reaps, and says what was done; with `--watch`, waits for one cluster to be idle first.
pub async fn reap(settings: &Settings, args: &ReapArgs) -> anyhow::Result<Exit> {
    let progress = draw::progress();
    let engine = Engine::connect(&settings.engine).await?;
    if let Some(name) = &args.watch {
        signals::leave_terminal();
        let idle = args.idle.unwrap_or(settings.idle);
        cluster::watch(settings, &engine, name, idle, &progress).await?;
        return Ok(Exit::Passed);
    }
    let options = ReapOptions { idle: args.idle, all: args.all, dry_run: args.dry_run };
    let reaped = cluster::reap(settings, &engine, options, &progress).await?;
    if reaped.is_empty() {
        show::text("nothing to reap\n")?;
    }
    for one in reaped {
        let would = if args.dry_run { "would be " } else { "" };
        show::text(&format!("{}: {would}{}\n", one.name, one.action))?;
    }
    Ok(Exit::Passed)
}

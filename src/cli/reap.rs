//! `seatrial reap`: heals leftover faults and deletes orphaned clusters.

use crate::catalogue::Catalogue;
use crate::cluster::ReapOptions;
use crate::config::Settings;

use crate::cli::args::ReapArgs;
use crate::cli::exit::Exit;
use crate::cli::up::clusters;
use crate::cli::{show, signals};

/// Reaps, and prints what was done. With `--watch`, first waits until one cluster is idle.
pub async fn reap(settings: &Settings, catalogue: &Catalogue, args: &ReapArgs) -> anyhow::Result<Exit> {
    let clusters = clusters(settings, catalogue, "reap").await?;
    if let Some(name) = &args.watch {
        signals::leave_terminal();
        let idle = args.idle.unwrap_or(settings.idle);
        clusters.watch(name, idle).await?;
        return Ok(Exit::Passed);
    }
    let options = ReapOptions { idle: args.idle, all: args.all, dry_run: args.dry_run };
    let reaped = clusters.reap(options).await?;
    if reaped.is_empty() {
        show::text("nothing to reap\n")?;
    }
    for one in reaped {
        let would = if args.dry_run { "would be " } else { "" };
        show::text(&format!("{}: {would}{}\n", one.name, one.action))?;
    }
    Ok(Exit::Passed)
}

//! Cleans up after an interrupted command: removes what can be removed, and names the rest with the command that
//! removes it.

use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::cluster::{self, ListedState};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::image;

use crate::cli::args::Command;
use crate::cli::list::open_fault;
use crate::cli::show;
use crate::cli::signals::Signals;
use crate::cli::up::clusters;

/// Time for the whole cleanup.
const PATIENCE: Duration = Duration::from_secs(120);

/// Cleans up after `command`, which has ended. A second signal ends the cleanup.
pub async fn clean_up(settings: &Settings, catalogue: &Catalogue, command: &Command, signals: &mut Signals) {
    let makes = matches!(command, Command::Up(_) | Command::Images(_) | Command::Upgrade(_));
    let changes = match command {
        Command::Reap(args) => !args.dry_run,
        Command::Down(_) | Command::Load(_) | Command::Fault(_) => true,
        _ => makes,
    };
    if !changes {
        return;
    }
    if makes {
        show::error("interrupted: removing unfinished work; a second Ctrl-C leaves it to `seatrial reap`");
    }
    let work = Deadline::after(PATIENCE);
    let cleaning = async {
        if makes {
            removed(settings, catalogue, command).await?;
        }
        left(settings, catalogue, command).await
    };
    let ended = tokio::select! {
        ended = work.bound(cleaning) => ended.map_err(anyhow::Error::from).and_then(|e| e),
        _ = signals.next() => Err(anyhow::anyhow!("interrupted again")),
    };
    if let Err(error) = ended {
        show::error(&format!("the cleanup is incomplete: {error:#}"));
        show::error("hint: seatrial reap");
    }
}

/// Removes the leftovers of interrupted builds, and prints each.
pub async fn builds(settings: &Settings) -> anyhow::Result<()> {
    for folder in image::abandoned(&settings.cache, false).await? {
        show::error(&format!("{folder} removed"));
    }
    Ok(())
}

async fn removed(settings: &Settings, catalogue: &Catalogue, command: &Command) -> anyhow::Result<()> {
    builds(settings).await?;
    let clusters = clusters(settings, catalogue, "up").await?;
    for one in clusters.remove_incomplete().await? {
        show::error(&format!("{}: {}", one.name, one.action));
    }
    if !matches!(command, Command::Up(_)) {
        return Ok(());
    }
    for (name, removed) in clusters.remove_made().await {
        match removed {
            Ok(()) => show::error(&format!("{name} removed")),
            Err(error) => {
                show::error(&format!("failed to remove {name} ({error}): `seatrial down {name}` removes it"))
            }
        }
    }
    Ok(())
}

/// Names what is left, and the command that continues from there.
async fn left(settings: &Settings, catalogue: &Catalogue, command: &Command) -> anyhow::Result<()> {
    if let Command::Fault(_) = command {
        let (open, unknown) = cluster::all_open_faults(settings);
        for fault in open {
            show::error(&format!(
                "{}; `seatrial fault clear` heals it now",
                open_fault(&catalogue.faults, &fault)
            ));
        }
        return unknown.into_iter().next().map_or(Ok(()), |error| Err(error.into()));
    }
    for left in clusters(settings, catalogue, "list").await?.list().await? {
        let name = &left.name;
        match (command, &left.state) {
            (Command::Down(_) | Command::Reap(_), ListedState::Incomplete(why)) => {
                show::error(&format!("{name} is incomplete ({why}): `seatrial down {name}` removes it"));
            }
            (Command::Upgrade(_), ListedState::Complete) => {
                if let Some(what) = cluster::unfinished(settings, name) {
                    show::error(&format!("{name}: {what}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

//! What a command that was interrupted leaves: removed where it can be, else named with the command that removes it.

use std::time::Duration;

use jiff::Timestamp;
use seatrial::cluster::{self, State};
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::image;

use crate::args::Command;
use crate::signals::Signals;
use crate::{draw, show};

/// Time for all of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Cleans up after `command`, which was begun at `began` and is over. A second signal ends this.
pub async fn clean_up(settings: &Settings, command: &Command, began: Timestamp, signals: &mut Signals) {
    let makes =
        matches!(command, Command::Up(_) | Command::Images(_) | Command::Upgrade(_) | Command::Load(_));
    if !makes && !matches!(command, Command::Down(_) | Command::Reap(_)) {
        return;
    }
    show::error("interrupted: removing what was begun; a second Ctrl-C leaves that to `seatrial reap`");
    let work = Deadline::after(PATIENCE);
    let ended = tokio::select! {
        ended = work.bound(removed(settings, command, began)) => ended.map_err(anyhow::Error::from).and_then(|e| e),
        _ = signals.next() => Err(anyhow::anyhow!("interrupted again")),
    };
    if let Err(error) = ended {
        show::error(&format!("not everything was removed: {error:#}"));
        show::error("hint: seatrial reap");
    }
}

async fn removed(settings: &Settings, command: &Command, began: Timestamp) -> anyhow::Result<()> {
    for folder in image::abandoned(&settings.cache, false).await? {
        show::error(&format!("{folder} removed"));
    }
    let engine = Engine::connect(&settings.engine).await?;
    let progress = draw::progress();
    for one in cluster::remove_incomplete(settings, &engine, &progress).await? {
        show::error(&format!("{}: {}", one.name, one.action));
    }
    for left in cluster::list(settings, &engine).await? {
        let name = &left.name;
        match (command, &left.state) {
            // Made completely, and the interrupt came before it was said.
            (Command::Up(_), State::Complete) if left.created_at.is_some_and(|at| at >= began) => {
                show::error(&format!("{name} is complete and stays: `seatrial down {name}` removes it"));
            }
            (Command::Down(_) | Command::Reap(_), State::Incomplete(why)) => {
                show::error(&format!("{name} is left in part ({why}): `seatrial down {name}` removes it"));
            }
            (Command::Upgrade(_), State::Complete) => {
                if let Some(what) = cluster::unfinished(settings, name) {
                    show::error(&format!("{name}: {what}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

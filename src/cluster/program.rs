//! Starts seatrial itself as another process.

use std::path::Path;

use crate::config::Settings;
use crate::exec::Exec;

/// Returns the command that starts `program` with our settings. Flags may have set them, and variables pass them on:
/// the process must use the same folders.
pub(super) fn itself(settings: &Settings, program: &Path) -> Exec {
    Exec::new(program)
        .env("SEATRIAL_STATE", &settings.state)
        .env("SEATRIAL_CACHE", &settings.cache)
        .env("SEATRIAL_KIND", &settings.kind)
        .env("SEATRIAL_IDLE", format!("{}s", settings.idle.as_secs()))
}

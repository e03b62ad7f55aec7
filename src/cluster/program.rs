//! seatrial itself, started again.

use std::path::Path;

use crate::config::Settings;
use crate::exec::Exec;

/// The seatrial command line. Our settings may come from flags: said again, so that it looks into
/// the same folders.
pub(super) fn itself(settings: &Settings, program: &Path) -> Exec {
    Exec::new(program)
        .env("SEATRIAL_STATE", &settings.state)
        .env("SEATRIAL_CACHE", &settings.cache)
        .env("SEATRIAL_KIND", &settings.kind)
        .env("SEATRIAL_IDLE", format!("{}s", settings.idle.as_secs()))
}

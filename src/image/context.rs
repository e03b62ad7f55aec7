//! What every way to bring images needs.

use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::progress::Progress;

/// What pulling, building and loading images needs.
#[derive(Clone, Copy, Debug)]
pub struct ImageContext<'a> {
    /// Resolved settings.
    pub settings: &'a Settings,
    /// The engine that the images go into.
    pub engine: &'a Engine,
    /// Who shows what is going on.
    pub progress: &'a Progress,
    /// When all of it must be done.
    pub deadline: Deadline,
}

//! How the process ends: a documented code, and one explanation of what went wrong.

use std::process::ExitCode;

use anyhow::Error;
use seatrial::config::ConfigError;
use seatrial::event::EventError;
use seatrial::judge::Conclusion;
use seatrial::report::ReportError;

/// Codes of the process. Those from 64 on are the ones of sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All claims passed; the command did its work.
    Passed = 0,
    /// A claim failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A claim was inconclusive and none failed.
    Inconclusive = 3,
    /// A file that was read is no good.
    Input = 65,
    /// Something needed is not there: engine, tool, registry.
    Unavailable = 69,
    /// An internal error, or the story broke.
    Internal = 70,
    /// Something cannot be written.
    CannotWrite = 73,
    /// The cluster was not free in time.
    Busy = 75,
    /// Not ours: refused.
    Refused = 77,
    /// Ended by an interrupt.
    Interrupted = 130,
    /// Ended by a request to terminate.
    Terminated = 143,
}

/// The table as `--help` shows it.
pub const TABLE: &str = "\
Exit codes:
    0  all claims passed, the command did its work
    1  a claim failed
    2  the command line is wrong
    3  a claim was inconclusive and none failed
   65  an input file is no good
   69  something needed is not there: engine, tool, registry
   70  internal error, or the story broke
   73  cannot write
   75  busy: the cluster was not free in time
   77  refused: not ours
  130  interrupted (143: terminated); faults were healed";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Conclusion> for Exit {
    fn from(verdict: Conclusion) -> Self {
        match verdict {
            Conclusion::Passed => Self::Passed,
            Conclusion::Inconclusive => Self::Inconclusive,
            Conclusion::Failed => Self::Failed,
        }
    }
}

/// An error of the command line itself, with its code and what mends it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Stop {
    /// The code.
    pub exit: Exit,
    /// What is wrong.
    pub message: String,
    /// What mends it.
    pub hint: Option<String>,
}

impl Stop {
    /// An error with a hint.
    pub fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: Some(hint.into()) }
    }
}

/// Prints the error's chain once, on standard error, then the hint of the first error that has
/// one; gives the code of the first error that has one.
pub fn explain(error: &Error) -> Exit {
    let mut chain: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Errors that pass their source through show its text already.
        if chain.last().is_none_or(|last| !last.ends_with(&text)) {
            chain.push(text);
        }
    }
    crate::show::error(&format!("error: {}", chain.join(": ")));
    if let Some(hint) = error.chain().find_map(|e| known(e).and_then(|known| known.1)) {
        crate::show::error(&format!("hint: {hint}"));
    }
    error.chain().find_map(|e| known(e).map(|known| known.0)).unwrap_or(Exit::Internal)
}

/// The code and the hint of an error that is known here.
fn known(error: &(dyn std::error::Error + 'static)) -> Option<(Exit, Option<String>)> {
    if let Some(error) = error.downcast_ref::<Stop>() {
        return Some((error.exit, error.hint.clone()));
    }
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        return Some((Exit::Usage, error_hint(error)));
    }
    if let Some(error) = error.downcast_ref::<EventError>() {
        return Some(event(error));
    }
    if let Some(error) = error.downcast_ref::<ReportError>() {
        let exit = match error {
            ReportError::NoFormat { .. } => Exit::Usage,
            ReportError::Write { .. } => Exit::CannotWrite,
            ReportError::Render { .. } => Exit::Internal,
        };
        return Some((exit, error.hint()));
    }
    None
}

fn error_hint(error: &ConfigError) -> Option<String> {
    match error {
        ConfigError::NoFolder(_, variable) => Some(format!("set {variable} to a folder")),
        ConfigError::Duration { .. } => None,
    }
}

fn event(error: &EventError) -> (Exit, Option<String>) {
    match error {
        EventError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            (Exit::Input, Some("a run's folder has a file events.jsonl".into()))
        }
        EventError::File { .. } => (Exit::CannotWrite, None),
        EventError::Line { .. } => (Exit::Input, None),
        EventError::Newer { .. } => {
            (Exit::Input, Some("use the seatrial that wrote it, or a newer one".into()))
        }
    }
}

//! Reports: readers of a run's records. A report is made from the event log alone: it can be made again later, on
//! another machine, in another format.

use crate::file::{self, Readers};
use crate::hint::{FailureKind, Hint};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

mod advice;
mod build;
mod clusters;
mod faults;
mod github;
mod html;
mod json;
mod junit;
mod markdown;
mod merge;
#[cfg(all(feature = "suites", not(feature = "internals")))]
pub(crate) mod pairs;
#[cfg(all(feature = "suites", feature = "internals"))]
pub mod pairs;
mod read;
mod rejudge;
mod rows;
mod run;
mod shift;
mod stories;
mod terminal;
mod texts;
mod timeline;
mod units;
#[cfg(feature = "suites")]
mod upgrade_steps;

pub use github::GitHub;
pub use html::Html;
pub use json::Json;
pub use junit::Junit;
pub use markdown::Markdown;
pub use merge::{Merged, merge};
pub use read::read;
pub use rejudge::{Change, Rejudged, rejudge};
pub use run::{
    ClaimReport, ClusterReport, Counts, DisturbedReport, FaultReport, NodeReport, Note, ProbeReport,
    ReadingReport, RowsReport, RunReport, SCHEMA, StepReport, Substitution, SuiteReport, UpgradeStepReport,
};
pub use terminal::Terminal;
pub use timeline::{Lane, Span, State, Timeline};

/// A format of reports.
pub trait Format: Sync + Debug {
    /// Returns its name on the command line.
    fn name(&self) -> &'static str;
    /// Returns its purpose in one line.
    fn about(&self) -> &'static str;
    /// Returns its file in the run's folder; none if it is only printed.
    fn file(&self) -> Option<&'static str>;
    /// Returns the report as text.
    ///
    /// # Errors
    /// [`ReportError::Render`] if the format cannot represent the run.
    fn render(&self, report: &RunReport, look: Look) -> Result<String, ReportError>;
}

/// The formats that are part of seatrial.
pub static FORMATS: &[&dyn Format] = &[&Terminal, &Json, &Junit, &Html, &Markdown, &GitHub];

/// The properties of the terminal that shows a report. Only [`Terminal`] uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether colours may be used.
    pub colour: bool,
    /// Columns, limited to 80 to 120.
    pub width: usize,
}

impl Default for Look {
    /// Returns no colours and 100 columns.
    fn default() -> Self {
        Self { colour: false, width: 100 }
    }
}

/// Why a report was not made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The report cannot be rendered in a format.
    #[error("failed to write the report as {format}")]
    Render {
        /// The format.
        format: &'static str,
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The report cannot be written.
    #[error("failed to write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
}

/// Writes the formats that have a file into the run's folder and returns the files. Each file is either the old one or
/// the new one, never a part of one.
///
/// # Errors
/// [`ReportError`] of the first format that failed; the remaining formats are written anyway.
pub fn write(formats: &[&dyn Format], report: &RunReport, dir: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let (mut written, mut first) = (Vec::new(), None);
    for format in formats {
        let Some(name) = format.file() else { continue };
        let path = dir.join(name);
        let put = |text: String| {
            let source = file::replace_for_good(&path, Readers::All, text.as_bytes());
            source.map_err(|source| ReportError::Write { path: path.clone(), source })
        };
        match format.render(report, Look::default()).and_then(put) {
            Ok(()) => written.push(path),
            Err(error) => _ = first.get_or_insert(error),
        }
    }
    first.map_or(Ok(written), Err)
}

impl Hint for ReportError {
    fn failure(&self) -> Option<FailureKind> {
        Some(match self {
            Self::Write { .. } => FailureKind::CannotWrite,
            Self::Render { .. } => FailureKind::Internal,
        })
    }
}

//! How the process ends: a documented exit code, and one explanation of the error.

use std::error::Error as StdError;
use std::process::ExitCode;

use anyhow::Error;

use crate::catalogue::Ambiguous;
use crate::chain::plain;
use crate::client::ClientError;
use crate::cluster::{ClusterError, topology::TopologyError};
use crate::config::{ConfigError, DEFAULT_ADDRESS};
use crate::engine::EngineError;
use crate::event::EventError;
use crate::fault::FaultError;
use crate::hint::{FailureKind, Hint};
use crate::image::{ImageError, ProfileError};
use crate::judge::Conclusion;
use crate::judge::upgrade::BudgetError;
use crate::manifest::{HostFolderError, ManifestError};
use crate::report::{ReportError, RunReport};
use crate::run::RunError;
use crate::scenario::ScenarioError;
use crate::trial::TrialError;
use crate::upgrade::UpgradeError;
use crate::watch::WatchError;

/// Exit codes of the process. Codes from 64 on are those of sysexits.h, and 128 + n after signal n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All claims passed, or the command succeeded.
    Passed = 0,
    /// A claim failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A claim was inconclusive and none failed.
    Inconclusive = 3,
    /// An input file is invalid.
    Input = 65,
    /// A required engine, tool or registry is unavailable.
    Unavailable = 69,
    /// An internal error, or a story ended with an error.
    Internal = 70,
    /// A file or standard output cannot be written.
    CannotWrite = 73,
    /// The cluster was not free in time.
    Busy = 75,
    /// The operation was refused: for example, the cluster belongs to somebody else, or the node is already broken.
    Refused = 77,
    /// SIGINT ended the command.
    Interrupted = 130,
    /// SIGTERM or SIGHUP ended the command.
    Terminated = 143,
}

/// The table of exit codes that `--help` prints.
pub const TABLE: &str = "\
Exit codes:
    0  all claims passed, or the command succeeded
    1  a claim failed, or an upgrade went over its budget
    2  the command line is wrong
    3  a claim was inconclusive and none failed
   65  an input file is invalid
   69  unavailable: engine, tool, registry
   70  internal error, or a story ended with an error
   73  a file or standard output cannot be written
   75  busy: the cluster was not free in time
   77  refused: owned by others, already broken, too few control planes left, load balancer,
       no room, an upgrade that its checks forbid or that stopped in the middle of a step
  130  interrupted (143: terminated); `run` heals first, unless it is interrupted twice
If the command of `watch` fails, its own code (128 + n after signal n)";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<FailureKind> for Exit {
    fn from(failure: FailureKind) -> Self {
        match failure {
            FailureKind::Usage => Self::Usage,
            FailureKind::Input => Self::Input,
            FailureKind::Unavailable => Self::Unavailable,
            FailureKind::CannotWrite => Self::CannotWrite,
            FailureKind::Busy => Self::Busy,
            FailureKind::Refused => Self::Refused,
            FailureKind::Interrupted => Self::Interrupted,
            FailureKind::Internal => Self::Internal,
        }
    }
}

impl Exit {
    /// Returns the exit code of a run: a failed claim first, then the error of a story, then the verdict. `broke` is
    /// the code of a story's error, if the caller has the error itself and not only its text.
    pub fn of(report: &RunReport, broke: Option<Self>) -> Self {
        let is_broken = report.suites.iter().any(|s| s.error.is_some());
        match (report.counts.failed, broke.or(is_broken.then_some(Self::Internal)), report.verdict) {
            (1.., _, _) => Self::Failed,
            (0, Some(code), _) => code,
            (0, None, Conclusion::Passed) => Self::Passed,
            (0, None, Conclusion::Inconclusive) => Self::Inconclusive,
            // No claim failed: an error outside the stories made the run fail.
            (0, None, Conclusion::Failed) => Self::Internal,
        }
    }

    /// Returns the exit code of another seatrial process.
    pub fn from_code(code: u8) -> Self {
        let all = [
            Self::Passed,
            Self::Failed,
            Self::Usage,
            Self::Inconclusive,
            Self::Input,
            Self::Unavailable,
            Self::CannotWrite,
            Self::Busy,
            Self::Refused,
            Self::Interrupted,
            Self::Terminated,
        ];
        all.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Self::Internal)
    }
}

/// An error of the command line itself, with its exit code and a hint.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Stop {
    /// The kind of failure, which has an exit code.
    pub failure: FailureKind,
    /// The problem.
    pub message: String,
    /// How to fix the problem.
    pub hint: Option<String>,
}

impl Hint for Stop {
    fn failure(&self) -> Option<FailureKind> {
        Some(self.failure)
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl Stop {
    /// Creates an error with a hint.
    pub fn new(failure: FailureKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { failure, message: message.into(), hint: Some(hint.into()) }
    }
}

/// Returns the exit code and the lines to print: the texts of the error's chain, each once, then the hint. Code and
/// hint come from the first error in the chain that has one.
pub fn explanation(error: &Error) -> (Exit, Vec<String>) {
    let mut chain: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // An error that passes its source through already shows the source's text, sometimes with more text after it.
        if chain.last().is_none_or(|last| !last.contains(&text)) {
            chain.push(text);
        }
    }
    let mut lines = vec![format!("error: {}", plain(&chain.join(": ")))];
    lines.extend(hint(&**error).map(|hint| format!("hint: {hint}")));
    (code(&**error).unwrap_or(Exit::Internal), lines)
}

/// Returns the exit code of the first error in a chain that has one.
pub fn code(error: &(dyn StdError + 'static)) -> Option<Exit> {
    known(error).find_map(Hint::failure).map(Exit::from)
}

/// Returns the hint of the first error in a chain that has one. If `DOCKER_HOST` leads to no engine, the hint says so:
/// the engine that everything else on this machine uses may be running.
pub fn hint(error: &(dyn StdError + 'static)) -> Option<String> {
    let host = crate::cli::environment("DOCKER_HOST").filter(|host| !host.is_empty());
    hint_with(error, host.as_deref())
}

fn hint_with(error: &(dyn StdError + 'static), docker_host: Option<&str>) -> Option<String> {
    let dead = std::iter::successors(Some(error), |&e| StdError::source(e)).any(|e| {
        let engine = e.downcast_ref::<EngineError>();
        engine.is_some_and(|e| matches!(e, EngineError::Unreachable { .. }) && !e.is_denied())
    });
    match docker_host.filter(|host| dead && *host != DEFAULT_ADDRESS) {
        Some(host) => Some(format!("unset DOCKER_HOST, or start the engine at {host}")),
        None => known(error).find_map(Hint::hint),
    }
}

/// Returns the errors of a chain that can say what they are, the outermost first.
fn known<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e dyn Hint> {
    std::iter::successors(Some(error), |&e| StdError::source(e))
        .filter_map(|e| KNOWN.iter().find_map(|known| known(e)))
}

type Known = for<'e> fn(&'e (dyn StdError + 'static)) -> Option<&'e dyn Hint>;

/// Every error that a command can end with. An error that passes its source through speaks for the source, which is not
/// in the chain.
const KNOWN: [Known; 20] = [
    is::<Stop>,
    is::<Ambiguous>,
    is::<ConfigError>,
    is::<EventError>,
    is::<ReportError>,
    is::<EngineError>,
    is::<TopologyError>,
    is::<ClientError>,
    is::<ClusterError>,
    is::<FaultError>,
    is::<ProfileError>,
    is::<ImageError>,
    is::<ManifestError>,
    is::<HostFolderError>,
    is::<RunError>,
    is::<TrialError>,
    is::<UpgradeError>,
    is::<WatchError>,
    is::<BudgetError>,
    is::<ScenarioError>,
];

fn is<'e, E: Hint>(error: &'e (dyn StdError + 'static)) -> Option<&'e dyn Hint> {
    error.downcast_ref::<E>().map(|error| error as &dyn Hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_with_other_owners_is_refused_also_inside_a_story() {
        let used =
            HostFolderError::Used { path: "/mnt/data".into(), by: vec!["pod default/p uses it".into()] };
        let story = ScenarioError::Story { name: "mysql".into(), source: used.into() };
        assert_eq!(code(&story), Some(Exit::Refused));
        let fills = HostFolderError::Fills { path: "/mnt/data".into(), node: "w".into() };
        let story = ScenarioError::Story { name: "mysql".into(), source: fills.into() };
        assert_eq!(code(&story), None);
        let wrong = crate::manifest::Manifest::read("m.yaml", "kind: Pod\n").unwrap_err();
        assert_eq!(code(&wrong), Some(Exit::Input));
        let conflict = Error::from(ManifestError::NotOurs { what: "PersistentVolume pv".into() });
        assert_eq!(explanation(&conflict).0, Exit::Refused);
    }

    /// The file is valid: a missing server makes the command unavailable, an object of another owner makes it
    /// refused.
    #[test]
    fn several_failed_objects_have_the_code_of_a_failure_before_a_refusal() {
        let place = crate::manifest::Place {
            file: "m.yaml".into(),
            line: 1,
            document: 1,
            item: None,
            kind: "A".into(),
            name: "a".into(),
        };
        let away = || ManifestError::Away {
            place: Box::new(place.clone()),
            api_version: "x.test/v1".into(),
            reason: "MissingEndpoints".into(),
        };
        let theirs = || ManifestError::NotOurs { what: "ConfigMap m".into() };
        let each = |failures| Error::from(ManifestError::Each { failures });
        assert_eq!(explanation(&each(vec![away(), away()])).0, Exit::Unavailable);
        assert_eq!(explanation(&each(vec![theirs(), theirs()])).0, Exit::Refused);
        assert_eq!(explanation(&each(vec![theirs(), away()])).0, Exit::Unavailable);
        let partly = ManifestError::Partly { applied: vec!["ConfigMap m".into()], source: Box::new(away()) };
        let (exit, lines) = explanation(&partly.into());
        assert_eq!(exit, Exit::Unavailable);
        assert_eq!(lines[0].matches("MissingEndpoints").count(), 1, "{lines:?}");
        assert_eq!(lines[1], "hint: kubectl describe apiservice v1.x.test");
    }

    #[tokio::test]
    async fn only_a_variable_that_leads_elsewhere_is_to_be_unset() {
        let error = crate::engine::Engine::connect("tcp://127.0.0.1:1").await.unwrap_err();
        let unset = hint_with(&error, Some("tcp://127.0.0.1:1")).unwrap();
        assert_eq!(unset, "unset DOCKER_HOST, or start the engine at tcp://127.0.0.1:1");
        for host in [None, Some(DEFAULT_ADDRESS)] {
            let start = hint_with(&error, host).unwrap();
            assert!(start.contains("systemctl start docker"), "{start}");
        }
        let other = EngineError::TooOld { found: "1.20".into(), need: "1.41".into() };
        assert_eq!(hint_with(&other, Some("tcp://127.0.0.1:1")).unwrap(), "install Docker 20.10 or newer");
    }

    #[test]
    fn a_log_that_cannot_be_read_is_an_input_file() {
        let broken = || std::io::Error::other("the disk is broken");
        let read = EventError::Read { path: "events.jsonl".into(), source: broken() };
        let write = EventError::File { path: "events.jsonl".into(), source: broken() };
        assert_eq!((code(&read), code(&write)), (Some(Exit::Input), Some(Exit::CannotWrite)));
    }
}

//! How the process ends: a documented exit code, and one explanation of the error.

use std::io::ErrorKind;
use std::process::ExitCode;

use std::error::Error as StdError;

use crate::catalogue::Ambiguous;
use crate::client::ClientError;
use crate::cluster::lease::lock::LockError;
use crate::cluster::{ClusterError, topology::TopologyError};
use crate::config::ConfigError;
use crate::engine::EngineError;
use crate::event::EventError;
use crate::fault::FaultError;
use crate::image::{BuildError, ImageError, ProfileError};
use crate::judge::Conclusion;
use crate::judge::upgrade::BudgetError;
use crate::manifest::{HostFolderError, ManifestError};
use crate::node::NodeError;
use crate::report::{ReportError, RunReport};
use crate::run::RunError;
use crate::scenario::ScenarioError;
use crate::upgrade::UpgradeError;
use anyhow::Error;

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
  130  interrupted (143: terminated); `run` heals first, unless it is interrupted twice";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
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
    /// The exit code.
    pub exit: Exit,
    /// The problem.
    pub message: String,
    /// How to fix the problem.
    pub hint: Option<String>,
}

impl Stop {
    /// Creates an error with a hint.
    pub fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: Some(hint.into()) }
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
    let mut lines = vec![format!("error: {}", chain.join(": "))];
    if let Some(hint) = error.chain().find_map(|e| known(e).and_then(|known| known.1)) {
        lines.push(format!("hint: {hint}"));
    }
    let exit = error.chain().find_map(|e| known(e).map(|known| known.0));
    (exit.unwrap_or(Exit::Internal), lines)
}

/// Returns the exit code of the first error in a chain that has one.
pub fn code(error: &(dyn StdError + 'static)) -> Option<Exit> {
    let found = known(error).map(|known| known.0);
    found.or_else(|| error.source().and_then(code))
}

/// Returns the hint of the first error in a chain that has one.
pub fn hint(error: &(dyn StdError + 'static)) -> Option<String> {
    let found = known(error).and_then(|known| known.1);
    found.or_else(|| error.source().and_then(hint))
}

type Known = (Exit, Option<String>);

/// Returns the exit code and the hint of a known error. The match looks inside transparent errors, because the error
/// that they pass through is not in the chain.
fn known(error: &(dyn StdError + 'static)) -> Option<Known> {
    fn with<E: StdError + 'static>(
        error: &(dyn StdError + 'static),
        known: fn(&E) -> Option<Known>,
    ) -> Option<Known> {
        error.downcast_ref::<E>().and_then(known)
    }
    with(error, |e: &Stop| Some((e.exit, e.hint.clone())))
        .or_else(|| with(error, |_: &Ambiguous| Some((Exit::Usage, None))))
        .or_else(|| with(error, config))
        .or_else(|| with(error, event))
        .or_else(|| with(error, report))
        .or_else(|| with(error, engine))
        .or_else(|| with(error, |e: &TopologyError| Some((Exit::Usage, Some(e.to_string())))))
        .or_else(|| with(error, |e: &ClientError| Some((Exit::Unavailable, e.hint()))))
        .or_else(|| with(error, cluster))
        .or_else(|| with(error, fault))
        .or_else(|| with(error, profile))
        .or_else(|| with(error, image))
        .or_else(|| with(error, manifest))
        .or_else(|| with(error, folder))
        .or_else(|| with(error, run))
        .or_else(|| with(error, upgrade))
        .or_else(|| with(error, |_: &BudgetError| Some((Exit::Input, None))))
        .or_else(|| with(error, scenario))
}

fn manifest(error: &ManifestError) -> Option<Known> {
    Some((of_manifest(error), error.hint()))
}

fn of_manifest(error: &ManifestError) -> Exit {
    match error.cause() {
        ManifestError::Conflict { .. } | ManifestError::NotOurs { .. } | ManifestError::Holds { .. } => {
            Exit::Refused
        }
        ManifestError::Yaml { .. } | ManifestError::Wrong { .. } | ManifestError::Several { .. } => {
            Exit::Input
        }
        ManifestError::Away { .. } => Exit::Unavailable,
        // A refusal will not change on a second try. Another failure may, so its code is reported.
        ManifestError::Each { failures } => {
            let all = failures.iter().map(of_manifest);
            all.into_iter().find(|exit| *exit != Exit::Refused).unwrap_or(Exit::Refused)
        }
        _ => Exit::Internal,
    }
}

fn folder(error: &HostFolderError) -> Option<Known> {
    match error {
        HostFolderError::Used { .. } | HostFolderError::Foreign { .. } => Some((Exit::Refused, error.hint())),
        _ => None,
    }
}

fn config(error: &ConfigError) -> Option<Known> {
    let hint = match error {
        ConfigError::NoFolder(_, variable) => Some(format!("set {variable} to a folder")),
        ConfigError::Engine(_) => {
            Some("docker context ls; then docker context use NAME, or set DOCKER_HOST".into())
        }
        ConfigError::Duration { .. } => None,
    };
    Some((Exit::Usage, hint))
}

fn event(error: &EventError) -> Option<Known> {
    let hint = |text: &str| Some(text.to_owned());
    Some(match error {
        EventError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            (Exit::Input, hint("a run's folder has a file events.jsonl"))
        }
        EventError::Read { .. } => (Exit::Input, None),
        EventError::File { .. } => (Exit::CannotWrite, None),
        EventError::Line { .. } => (
            Exit::Input,
            hint("the log of a run has one JSON record in each line; this file is something else"),
        ),
        EventError::Utf16 { path } => {
            let path = path.display();
            (
                Exit::Input,
                hint(&format!("iconv -f UTF-16 -t UTF-8 {path} > utf-8.jsonl && mv utf-8.jsonl {path}")),
            )
        }
        EventError::Mixed { .. } => {
            (Exit::Input, hint("a file holds one run: keep each run in its own folder"))
        }
        EventError::Newer { .. } => {
            (Exit::Input, hint("use the version of seatrial that wrote the file, or a newer version"))
        }
    })
}

fn report(error: &ReportError) -> Option<Known> {
    let exit = match error {
        ReportError::Write { .. } => Exit::CannotWrite,
        ReportError::Render { .. } => Exit::Internal,
    };
    Some((exit, None))
}

fn engine(error: &EngineError) -> Option<Known> {
    let exit = match error {
        EngineError::NoSpace { .. } => Exit::CannotWrite,
        EngineError::Api { .. } | EngineError::Command { .. } => Exit::Internal,
        _ => Exit::Unavailable,
    };
    Some((exit, error.hint()))
}

fn cluster(error: &ClusterError) -> Option<Known> {
    let exit = match error {
        ClusterError::Engine(error) => return engine(error),
        ClusterError::Image(error) => return image(error),
        ClusterError::Lock(LockError::Busy { .. }) => Exit::Busy,
        ClusterError::Lock(LockError::File { .. }) | ClusterError::File { .. } => Exit::CannotWrite,
        ClusterError::Identity(_) => Exit::CannotWrite,
        ClusterError::NotOurs { .. }
        | ClusterError::Kept { .. }
        | ClusterError::Elsewhere { .. }
        | ClusterError::HalfUpgraded { .. }
        | ClusterError::WrongKubeconfig { .. } => Exit::Refused,
        ClusterError::Topology(_) => Exit::Usage,
        ClusterError::OwnTopology { .. } => Exit::Input,
        ClusterError::Fault(error) => return fault(error),
        _ => Exit::Unavailable,
    };
    Some((exit, error.hint()))
}

fn fault(error: &FaultError) -> Option<Known> {
    let exit = match error {
        FaultError::NotOurs { .. }
        | FaultError::AlreadyDown { .. }
        | FaultError::AlreadyBroken { .. }
        | FaultError::ControlPlane { .. }
        | FaultError::Quorum { .. }
        | FaultError::Unfit { .. }
        | FaultError::Shared { .. }
        | FaultError::Strange { .. }
        | FaultError::NoRoom { .. } => Exit::Refused,
        FaultError::NotKnownHere { .. } => Exit::Refused,
        FaultError::Unknown { .. } | FaultError::Parameter { .. } | FaultError::NoPod { .. } => Exit::Usage,
        FaultError::NoNode { .. } | FaultError::PodElsewhere { .. } | FaultError::Api { .. } => {
            Exit::Unavailable
        }
        FaultError::File { .. } => Exit::CannotWrite,
        FaultError::Node(NodeError::Engine(error)) => return engine(error),
        FaultError::Open { source, .. } => return fault(source),
        _ => Exit::Internal,
    };
    Some((exit, error.hint()))
}

fn profile(error: &ProfileError) -> Option<Known> {
    let exit = match error {
        ProfileError::Unknown { .. } | ProfileError::NoVersion { .. } => Exit::Usage,
        _ => Exit::Input,
    };
    Some((exit, error.hint()))
}

fn image(error: &ImageError) -> Option<Known> {
    match error {
        ImageError::Profile(error) => profile(error),
        ImageError::Engine(error) => engine(error),
        ImageError::Build(BuildError::Space { .. }) => Some((Exit::CannotWrite, error.hint())),
        ImageError::Build(BuildError::File { source, .. }) if source.kind() == ErrorKind::StorageFull => {
            Some((Exit::CannotWrite, error.hint()))
        }
        _ => Some((Exit::Unavailable, error.hint())),
    }
}

fn run(error: &RunError) -> Option<Known> {
    match error {
        RunError::Engine(error) => engine(error),
        RunError::Image(error) => image(error),
        RunError::Event(error) => event(error),
    }
}

fn upgrade(error: &UpgradeError) -> Option<Known> {
    let exit = match error {
        UpgradeError::Refused { .. } => Exit::Refused,
        UpgradeError::NoStop { .. } | UpgradeError::Version(_) => Exit::Usage,
        UpgradeError::Cluster { source } => return known(&**source),
        UpgradeError::File { .. } => Exit::CannotWrite,
        UpgradeError::Engine(error) => return engine(error),
        UpgradeError::Image(error) => return image(error),
        _ => Exit::Internal,
    };
    Some((exit, error.hint()))
}

/// Returns a code only for an interrupt: the source of any other scenario error has a better code.
fn scenario(error: &ScenarioError) -> Option<Known> {
    match error {
        ScenarioError::Interrupted { .. } => Some((Exit::Interrupted, None)),
        _ => None,
    }
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

    #[test]
    fn a_log_that_cannot_be_read_is_an_input_file() {
        let broken = || std::io::Error::other("the disk is broken");
        let read = EventError::Read { path: "events.jsonl".into(), source: broken() };
        let write = EventError::File { path: "events.jsonl".into(), source: broken() };
        assert_eq!((code(&read), code(&write)), (Some(Exit::Input), Some(Exit::CannotWrite)));
    }
}

//! How the process ends: a documented code, and one explanation of what went wrong.

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
    /// Refused: not ours, broken already, or the last of its kind.
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
    1  a claim failed, or an upgrade went over its budget
    2  the command line is wrong
    3  a claim was inconclusive and none failed
   65  an input file is no good
   69  something needed is not there: engine, tool, registry
   70  internal error, or the story broke
   73  cannot write
   75  busy: the cluster was not free in time
   77  refused: not ours, broken already, too few control planes left, the load balancer, no room,
       an upgrade that its checks forbid or that stands in the middle of a step
  130  interrupted (143: terminated); `run` heals first, unless it is interrupted twice";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// What a run comes to: a claim that failed, else a story that broke, else the verdict. `broke` is the
    /// code of the story's error, where it is known better than by its text.
    pub fn of(report: &RunReport, broke: Option<Self>) -> Self {
        let is_broken = report.suites.iter().any(|s| s.error.is_some());
        match (report.counts.failed, broke.or(is_broken.then_some(Self::Internal)), report.verdict) {
            (1.., _, _) => Self::Failed,
            (0, Some(code), _) => code,
            (0, None, Conclusion::Passed) => Self::Passed,
            (0, None, Conclusion::Inconclusive) => Self::Inconclusive,
            // No claim failed: the run was ended so for an error outside its stories.
            (0, None, Conclusion::Failed) => Self::Internal,
        }
    }

    /// The code that another process of ours ended with.
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

/// The code of the first error that has one, and what is said: the error's chain once, then the hint of the first error
/// that has one.
pub fn explanation(error: &Error) -> (Exit, Vec<String>) {
    let mut chain: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Errors that pass their source through show its text already, some with more after it.
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

/// The code of the first error in a chain that has one.
pub fn code(error: &(dyn StdError + 'static)) -> Option<Exit> {
    let found = known(error).map(|known| known.0);
    found.or_else(|| error.source().and_then(code))
}

/// The hint of the first error in a chain that has one.
pub fn hint(error: &(dyn StdError + 'static)) -> Option<String> {
    let found = known(error).and_then(|known| known.1);
    found.or_else(|| error.source().and_then(hint))
}

type Known = (Exit, Option<String>);

/// The code and the hint of an error that is known here. Errors that pass another one through
/// stand for it: it is not in the chain.
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
        // What is refused stays so; the other failure is what a next try may do without.
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
        EventError::Line { .. } => {
            (Exit::Input, hint("a run's log has a record a line: this is another file"))
        }
        EventError::Utf16 { path } => {
            let path = path.display();
            (
                Exit::Input,
                hint(&format!("iconv -f UTF-16 -t UTF-8 {path} > utf-8.jsonl, and put that in its place")),
            )
        }
        EventError::Mixed { .. } => (Exit::Input, hint("a file holds one run: keep each in its own folder")),
        EventError::Newer { .. } => (Exit::Input, hint("use the seatrial that wrote it, or a newer one")),
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

/// Only what no error behind it says better.
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
    fn what_is_somebody_elses_is_refused_also_inside_a_story() {
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

    /// The file is good: what is missing is a server, and what is refused is somebody's.
    #[test]
    fn objects_that_failed_beside_one_another_have_the_code_of_the_failure() {
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

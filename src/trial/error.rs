//! Errors of trials.

use std::path::PathBuf;

use super::file::LedgerFlaw;
use crate::exec::ExecError;
use crate::hint::{FailureKind, Hint};
use crate::manifest::ManifestError;

/// Why a trial cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A path cannot be read.
    #[error("failed to read {}", .path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A folder has no manifest.
    #[error("{} has no file that ends in .yaml, .yml or .json", .path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
        /// Folders in it, which are not read.
        folders: Vec<PathBuf>,
    },
    /// A trial file is invalid.
    #[error("{}:{line}: {why}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// A text that is no version.
    #[error("{text} is no version that a cluster can be upgraded to")]
    NoVersion {
        /// The text.
        text: String,
    },
    /// A trial file among other paths.
    #[error("{}: a trial file stands alone", .path.display())]
    NotAlone {
        /// The file.
        path: PathBuf,
    },
    /// A command that prints manifests failed.
    #[error("failed to render the manifests")]
    Command {
        /// The command's error.
        #[source]
        source: Box<ExecError>,
    },
    /// A manifest is invalid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// No object runs pods.
    #[error("nothing is on trial: no Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or Pod among {} objects", .objects.len())]
    Nothing {
        /// The objects, as kind and name.
        objects: Vec<String>,
    },
    /// An unknown claim.
    #[error("no claim of a trial is called {id}")]
    NoClaim {
        /// The id.
        id: String,
    },
    /// A budget argument is not valid.
    #[error("--budget {text}: {why}")]
    Budget {
        /// The argument.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// A ledger cannot be kept.
    #[error("ledger {name}: {flaw}")]
    Ledger {
        /// Its name.
        name: String,
        /// What is wrong.
        flaw: LedgerFlaw,
    },
    /// An image argument is not valid.
    #[error("--image {text}: neither NAME nor FROM=TO")]
    Image {
        /// The argument.
        text: String,
    },
}

impl Hint for TrialError {
    fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::Manifest(error) => error.failure(),
            Self::NoClaim { .. }
            | Self::NoVersion { .. }
            | Self::Image { .. }
            | Self::Budget { .. }
            | Self::Ledger { .. }
            | Self::NotAlone { .. } => Some(FailureKind::Usage),
            Self::Read { .. }
            | Self::File { .. }
            | Self::Command { .. }
            | Self::Empty { .. }
            | Self::Nothing { .. } => Some(FailureKind::Input),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Manifest(error) => error.hint(),
            Self::NoVersion { .. } => Some("`next`, or one of the versions that `seatrial images` prints".into()),
            Self::NoClaim { .. } => Some("choose among the claims that `seatrial plan PATH` prints".into()),
            Self::Empty { folders, .. } if !folders.is_empty() => {
                let folders: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
                Some(format!("folders in it are not read; name them: {}", folders.join(" ")))
            }
            Self::Empty { .. } => Some("name a file, a folder with manifests, or - for standard input".into()),
            Self::Budget { .. } => {
                Some("--budget front=longest:2s,failed:0.5%, or --budget '*=longest:30s' for all other probes".into())
            }
            Self::Image { .. } => Some("--image shop:dev loads an image; --image shop:1=shop:dev also replaces shop:1 in the manifests".into()),
            Self::Nothing { objects } if objects.is_empty() => {
                Some("the input is empty: check the command that wrote it".into())
            }
            Self::Nothing { .. } => {
                Some("a custom resource runs pods through its operator: add the operator's Deployment".into())
            }
            Self::File { .. } => {
                Some("seatrial schema trial    # the JSON Schema of trial files, for an editor".into())
            }
            Self::NotAlone { .. } => {
                Some("name the other manifests in the trial file, under `manifests`".into())
            }
            Self::Command { .. } => Some("run the command in the folder of the trial file".into()),
            Self::Ledger { .. } => Some(
                "CommandLedger::of(\"deployment/db\").write(\"... $ENTRY\").read(\"...\") writes and reads in a pod".into(),
            ),
            Self::Read { .. } => None,
        }
    }
}

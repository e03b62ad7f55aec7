//! Errors of a watch.

use crate::client::ContextError;
use crate::cluster::ClusterError;
use crate::event::EventError;
use crate::exec::{ExecError, Signal};
use crate::hint::{FailureKind, Hint};
use crate::probe::recorder::RecorderError;

/// Why a command cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A probe that cannot be read.
    #[error("--probe {text}: {why}")]
    Probe {
        /// The argument.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A budget that cannot be read.
    #[error("--budget {text}: neither longest=TIME nor failed=SHARE")]
    Budget {
        /// The argument.
        text: String,
    },
    /// A time in which nodes may be away that cannot be read.
    #[error("--nodes-away {text}: neither `always` nor FROM..TO with the names of marks")]
    Away {
        /// The argument.
        text: String,
    },
    /// An unknown claim.
    #[error("no claim of a watch is called {id}")]
    NoClaim {
        /// The id.
        id: String,
    },
    /// The Service of a probe does not exist.
    #[error("--probe {probe}: {why}")]
    NoService {
        /// The probe.
        probe: String,
        /// What the API says.
        why: String,
    },
    /// The API server gives no answer before the command begins.
    #[error("the API server {server} gives no answer: {why}")]
    Silent {
        /// The server.
        server: String,
        /// Its last answer, or the reason of the connection.
        why: String,
    },
    /// A signal came before the command began.
    #[error("interrupted before the command began")]
    Interrupted {
        /// The signal.
        signal: Signal,
    },
    /// A context cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A cluster cannot be used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The changes of objects cannot be recorded.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    /// The command cannot be started.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The log cannot be written.
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Hint for WatchError {
    fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::Context(error) => error.failure(),
            Self::Cluster(error) => error.failure(),
            Self::Event(error) => error.failure(),
            Self::Interrupted { .. } => Some(FailureKind::Interrupted),
            Self::NoService { .. } | Self::Silent { .. } | Self::Recorder(_) => {
                Some(FailureKind::Unavailable)
            }
            Self::Probe { .. }
            | Self::Budget { .. }
            | Self::Away { .. }
            | Self::NoClaim { .. }
            | Self::Exec(_) => Some(FailureKind::Usage),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Context(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::Event(error) => error.hint(),
            Self::Recorder(_) | Self::Interrupted { .. } => None,
            Self::Probe { .. } => Some(
                "http=[NAMESPACE/]SERVICE:PORT[/PATH], tcp=[NAMESPACE/]SERVICE:PORT (on a cluster of ours) or url=URL"
                    .into(),
            ),
            Self::Budget { .. } => Some("--budget longest=5s, or --budget failed=0.5%".into()),
            Self::Away { .. } => {
                Some("the command prints ::mark::FROM and ::mark::TO; an empty name means the beginning or the end".into())
            }
            Self::NoClaim { .. } => {
                let ids: Vec<&str> = crate::judge::watch::CLAIMS.iter().map(|claim| claim.id).collect();
                Some(format!("the claims are {}", ids.join(", ")))
            }
            Self::NoService { .. } => Some("kubectl get services shows their names and ports".into()),
            Self::Silent { .. } => {
                Some("kubectl version shows whether the address, the credentials and the proxy work".into())
            }
            Self::Exec(_) => Some("after -- comes a program with its arguments".into()),
        }
    }
}

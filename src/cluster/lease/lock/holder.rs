//! The holders of a cluster: processes that use it or wait for it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a cluster may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Together with others, each in its own namespace.
    Shared,
    /// Alone: for stories that break nodes.
    Exclusive,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        })
    }
}

/// The stage of a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Waits in the queue.
    Waiting,
    /// Has the lease, and creates, heals or checks the cluster.
    Preparing,
    /// Uses the cluster.
    Using,
}

/// A process that uses a cluster or waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its name: a command line or a test's name.
    pub who: String,
    /// Its process id.
    pub pid: u32,
    /// The access that it has or waits for.
    pub access: Access,
    /// Its stage.
    pub stage: Stage,
    /// When this stage began.
    pub since: Timestamp,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { who, pid, access, since, stage } = self;
        let doing = match stage {
            Stage::Waiting => "waits for ",
            Stage::Preparing => "prepares ",
            Stage::Using => "",
        };
        write!(f, "{who} (process {pid}, {doing}{access} use since {since:.0})")
    }
}

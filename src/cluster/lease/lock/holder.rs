//! Who uses a cluster or waits for it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a cluster is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// With others, each keeping to its own namespace.
    Shared,
    /// Alone: for those who break nodes.
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

/// What a holder is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// In the queue.
    Waiting,
    /// Has the lease and makes, heals or checks the cluster.
    Preparing,
    /// Uses the cluster.
    Using,
}

/// Somebody who uses a cluster, or is about to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Who: a command line or a test's name.
    pub who: String,
    /// The process.
    pub pid: u32,
    /// How it wants to use the cluster.
    pub access: Access,
    /// Where it stands.
    pub stage: Stage,
    /// Since when it stands there.
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

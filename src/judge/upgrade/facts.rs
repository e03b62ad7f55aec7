//! What the stories of part D observe, in the order in which they do: `upgrade`, then `upgraded`. Names of schema 1,
//! where each claim had its own facts, are beside those that replaced them.

use serde::{Deserialize, Serialize};

use super::Budgets;
use crate::event::Server;
use crate::judge::Fact;
use crate::judge::fact::{Raw, RawList};
use crate::judge::ha::Refused;
use crate::judge::stateful_set::facts::Content;
use crate::judge::stateful_single::facts::OnDisk;
use crate::kubernetes::skew::State;
use crate::kubernetes::version::Version;

/// How a cluster came to its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What it was made as.
    pub made_as: Version,
    /// Where its upgrade leads, or has led.
    pub to: Version,
    /// The step after which its upgrade stands still; none where it came to its end.
    pub stopped_after: Option<String>,
    /// The versions of everything that the plan says of there; absent in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<State>,
}

/// A PodDisruptionBudget that an upgrade has to honour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBudget {
    /// Its namespace and name.
    pub name: String,
    /// The least number of pods that must be ready.
    pub least: i64,
}

/// The StatefulSet before the upgrade.
pub const SET: Fact<Raw> = Fact::new("set");
/// Its pods then.
pub const SET_BEFORE: Fact<RawList> = Fact::new("set_before");
/// Its claims then.
pub const CLAIMS_BEFORE: Fact<RawList> = Fact::new("claims_before");
/// The file that was written into each of their volumes.
pub const WRITTEN: Fact<Vec<Content>> = Fact::new("written");
/// The volume that names its node, when the MySQL on it answers.
pub const VOLUME: Fact<Raw> = Fact::new("volume");
/// The pod of that MySQL before the upgrade.
pub const MYSQL_BEFORE: Fact<Raw> = Fact::new("mysql_before");
/// The server that answers in it.
pub const SERVER_BEFORE: Fact<Server> = Fact::new("server_before");
/// The pod of the MySQL on a plain hostPath before the upgrade.
pub const TRAP_BEFORE: Fact<Raw> = Fact::new("trap_before");
/// What each step may cost.
pub const BUDGETS: Fact<Budgets> = Fact::new("budgets");
/// The names of the probes that ask all the time.
pub const PROBES: Fact<Vec<String>> = Fact::new("probes");
/// The names of the workers.
pub const WORKERS: Fact<Vec<String>> = Fact::new("workers").was(&[("D4", "nodes")]);
/// The budget of the Deployment's pods.
pub const BUDGET: Fact<KeptBudget> = Fact::new("budget");
/// What may not be done and was asked for before the first step, with the answer; recorded for each.
pub const REFUSED: Fact<Refused> = Fact::new("refused");
/// The namespace and name of the PodDisruptionBudget that forbids a drain for a while.
pub const FORBIDDING: Fact<String> = Fact::new("forbidding");
/// The MySQL's pod after the upgrade.
pub const MYSQL_AFTER: Fact<Raw> = Fact::new("mysql_after");
/// The pod of the MySQL on a plain hostPath after the upgrade.
pub const TRAP_AFTER: Fact<Raw> = Fact::new("trap_after");
/// The rows that were read from the disk of the node on which that MySQL was before.
pub const TRAP_ON_DISK: Fact<OnDisk> = Fact::new("trap_on_disk");
/// The StatefulSet's pods after the upgrade.
pub const SET_AFTER: Fact<RawList> = Fact::new("set_after");
/// Their claims then.
pub const CLAIMS_AFTER: Fact<RawList> = Fact::new("claims_after");
/// What each of its pods read then.
pub const FOUND: Fact<Vec<Content>> = Fact::new("found");
/// The Deployment's pods when they were made again after the upgrade.
pub const SPREAD: Fact<RawList> = Fact::new("spread");

/// How the cluster came to its versions.
pub const ORIGIN: Fact<Origin> = Fact::new("origin");
/// The versions of everything in the cluster: as any story begins on an upgraded cluster, and in the last one.
pub const VERSIONS: Fact<State> = Fact::new("versions");

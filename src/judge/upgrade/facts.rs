//! The facts that the stories of part D observe, in order: `upgrade`, then `upgraded`. In schema 1 each claim had its
//! own facts; these names are next to those that replaced them.

use serde::{Deserialize, Serialize};

use super::Budgets;
use crate::event::Server;
use crate::judge::Fact;
use crate::judge::fact::{Raw, RawList};
#[cfg(feature = "suites")]
use crate::judge::ha::Refused;
#[cfg(feature = "suites")]
use crate::judge::mysql::facts::OnDisk;
#[cfg(feature = "suites")]
use crate::judge::stateful_set::facts::Content;
use crate::kubernetes::skew::State;
use crate::kubernetes::version::Version;

/// How a cluster got its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The version that the cluster was created with.
    pub made_as: Version,
    /// The version that its upgrade leads to.
    pub to: Version,
    /// The step after which the upgrade was stopped; none if the upgrade is complete.
    pub stopped_after: Option<String>,
    /// The planned versions of all parts at that point; absent in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<State>,
}

/// A PodDisruptionBudget that an upgrade must honour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBudget {
    /// Namespace and name of the budget.
    pub name: String,
    /// Minimum of ready pods.
    pub least: i64,
}

/// The StatefulSet before the upgrade.
pub const SET: Fact<Raw> = Fact::new("set");
/// The StatefulSet's pods before the upgrade.
pub const SET_BEFORE: Fact<RawList> = Fact::new("set_before");
/// The StatefulSet's claims before the upgrade.
pub const CLAIMS_BEFORE: Fact<RawList> = Fact::new("claims_before");
/// The file that was written into each of the StatefulSet's volumes.
#[cfg(feature = "suites")]
pub const WRITTEN: Fact<Vec<Content>> = Fact::new("written");
/// The volume that names its node, when the MySQL on it answers.
pub const VOLUME: Fact<Raw> = Fact::new("volume");
/// The pod of that MySQL before the upgrade.
pub const MYSQL_BEFORE: Fact<Raw> = Fact::new("mysql_before");
/// The server in that pod.
pub const SERVER_BEFORE: Fact<Server> = Fact::new("server_before");
/// The pod of the MySQL on a plain hostPath before the upgrade.
pub const TRAP_BEFORE: Fact<Raw> = Fact::new("trap_before");
/// The budgets of the steps.
pub const BUDGETS: Fact<Budgets> = Fact::new("budgets");
/// The names of the probes that ask during the whole upgrade.
pub const PROBES: Fact<Vec<String>> = Fact::new("probes");
/// The names of the workers.
pub const WORKERS: Fact<Vec<String>> = Fact::new("workers").was(&[("D4", "nodes")]);
/// The budget of the Deployment's pods.
pub const BUDGET: Fact<KeptBudget> = Fact::new("budget");
/// A request that must be refused before the first step, with the answer; recorded for each.
#[cfg(feature = "suites")]
pub const REFUSED: Fact<Refused> = Fact::new("refused");
/// The namespace and name of the PodDisruptionBudget that forbids a drain for a while.
pub const FORBIDDING: Fact<String> = Fact::new("forbidding");
/// The pod of the MySQL whose volume names its node, after the upgrade.
pub const MYSQL_AFTER: Fact<Raw> = Fact::new("mysql_after");
/// The pod of the MySQL on a plain hostPath after the upgrade.
pub const TRAP_AFTER: Fact<Raw> = Fact::new("trap_after");
/// The rows that were found on the disk of the node on which the MySQL on a plain hostPath had been.
#[cfg(feature = "suites")]
pub const TRAP_ON_DISK: Fact<OnDisk> = Fact::new("trap_on_disk");
/// The StatefulSet's pods after the upgrade.
pub const SET_AFTER: Fact<RawList> = Fact::new("set_after");
/// The StatefulSet's claims after the upgrade.
pub const CLAIMS_AFTER: Fact<RawList> = Fact::new("claims_after");
/// The file that each of the StatefulSet's pods read after the upgrade.
#[cfg(feature = "suites")]
pub const FOUND: Fact<Vec<Content>> = Fact::new("found");
/// The Deployment's pods after they were created again at the end of the upgrade.
pub const SPREAD: Fact<RawList> = Fact::new("spread");

/// How the cluster got its versions.
pub const ORIGIN: Fact<Origin> = Fact::new("origin");
/// The versions of all parts of the cluster: recorded when a story begins on an upgraded cluster, and in the last
/// story.
pub const VERSIONS: Fact<State> = Fact::new("cluster_versions").was(&[("D5", "versions")]);

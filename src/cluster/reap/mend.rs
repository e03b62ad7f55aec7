//! Heals and removes what dead processes left open in a cluster: faults, and the namespaces and folders of their
//! stories.

use std::time::Duration;

use super::decision::Facts;
use crate::cluster::lease::lock::Access;
use crate::cluster::provision::wanted::Wanted;
use crate::cluster::provision::{Provisioner, heal_text};
use crate::cluster::state::{ClusterState, upgrade};
use crate::cluster::{ClusterError, Clusters};
use crate::deadline::Deadline;
use crate::fault;
use crate::manifest::{HostFolder, LeftNamespace, Leftover, RUN_LABEL, TestNamespace};
use crate::node::{Node, Role};

/// Time to heal the open faults.
const HEAL: Duration = Duration::from_secs(120);
/// Time to heal a cluster, to wait until it is ready again, and to remove the leftovers of dead stories.
const MEND: Duration = Duration::from_secs(600);
/// Part of that time for namespaces, and for folders.
const LEFT: Duration = Duration::from_secs(180);

/// A cluster that the caller holds exclusively, to be healed.
pub(crate) struct Mending<'a> {
    pub clusters: &'a Clusters,
    pub name: &'a str,
}

impl Mending<'_> {
    /// Heals the open faults, and nothing else.
    pub async fn faults(&self) -> Result<(), ClusterError> {
        let intents = self.clusters.intents(self.name)?;
        for healed in fault::heal_all(&self.clusters.engine, &intents, Deadline::after(HEAL)).await? {
            self.clusters.progress.say(&format!("{}: {}", self.name, heal_text(&healed)));
        }
        Ok(())
    }

    /// Heals what dead processes left open, as a lease does, waits until the cluster is ready again, and removes the
    /// leftovers of their stories. In a cluster that is incomplete, or whose upgrade is in the middle of a step, only
    /// faults are healed, because that cluster cannot become ready. Returns one sentence for each leftover of
    /// seatrial that is still there.
    pub async fn whole(&self, facts: &Facts, unclean: bool) -> Result<Vec<String>, ClusterError> {
        let Self { clusters: Clusters { settings, progress, .. }, name } = self;
        let wanted = match Wanted::of(settings, name) {
            Ok(wanted) => wanted,
            // A fault is healed by way of the engine, whatever the cluster's files say.
            Err(error) => return self.faults().await.and(Err(error)),
        };
        let provisioner = self.provisioner(&wanted);
        let half = match upgrade::usable(settings, name) {
            Err(_) => Some(upgrade::unfinished(settings, name).unwrap_or_default()),
            Ok(()) if facts.state != ClusterState::Complete => Some("it is incomplete".into()),
            Ok(()) => None,
        };
        if let Some(half) = half {
            self.faults().await?;
            return Ok(vec![format!("nothing else was checked: {half}")]);
        }
        provisioner.there().await?;
        let made = provisioner.reuse(unclean).await?;
        let client = made.cluster.client().await?;
        let failed = |source| ClusterError::Left { name: (*name).into(), source };
        let deadline = provisioner.deadline;
        let left = TestNamespace::delete_left(&client, RUN_LABEL, deadline.at_most(LEFT)).await;
        let say = |text: &str| progress.say(&format!("{name}: {text}"));
        let mut stays = still_there(left.map_err(|e| failed(e.into()))?.into_iter().map(in_words), say);
        // After the namespaces, because only a folder whose namespace is gone is emptied.
        let nodes: Vec<&Node> = made.cluster.nodes.iter().filter(|n| n.role != Role::LoadBalancer).collect();
        let swept = HostFolder::sweep(&client, &nodes, deadline.at_most(LEFT)).await;
        stays.extend(still_there(swept.map_err(|e| failed(e.into()))?, say));
        Ok(stays)
    }

    fn provisioner<'a>(&'a self, wanted: &'a Wanted) -> Provisioner<'a> {
        let Self { clusters, name } = *self;
        let (access, deadline, task) = (Access::Exclusive, Deadline::after(MEND), format!("cluster {name}"));
        Provisioner { clusters, wanted, access, deadline, task }
    }
}

/// Describes what happened to a namespace, and whether it stays.
fn in_words(left: LeftNamespace) -> Leftover {
    let stays = left.stays();
    let LeftNamespace { name, kept, .. } = left;
    let text = match kept {
        None => format!("namespace {name} of a dead run: deleted"),
        Some(why) => format!("namespace {name} stays: {why}"),
    };
    Leftover { text, stays }
}

/// Reports what happened to each leftover of dead runs, and returns those of seatrial that are still there.
fn still_there(left: impl IntoIterator<Item = Leftover>, say: impl Fn(&str)) -> Vec<String> {
    let reported = left.into_iter().inspect(|left| say(&left.text));
    reported.filter(|left| left.stays).map(|left| left.text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_could_not_be_emptied_counts_as_a_namespace_does() {
        let namespace = |name: &str, kept: Option<&str>, ours| LeftNamespace {
            name: name.into(),
            kept: kept.map(str::to_owned),
            ours,
        };
        let folder = |text: &str, stays| Leftover { text: text.into(), stays };
        let said = std::cell::RefCell::new(Vec::new());
        let namespaces = [namespace("a", None, true), namespace("b", Some("held"), true)];
        let theirs = namespace("c", Some("theirs"), false);
        let left = namespaces.into_iter().chain([theirs]).map(in_words);
        let folders = [folder("x is emptied", false), folder("y fills again", true)];
        let stays = still_there(left.chain(folders), |text| said.borrow_mut().push(text.to_owned()));
        assert_eq!(stays, ["namespace b stays: held", "y fills again"]);
        assert_eq!(said.into_inner().len(), 5, "each leftover is reported");
    }
}

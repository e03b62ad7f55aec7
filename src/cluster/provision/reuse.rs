//! An existing cluster mended and checked: open faults healed, nodes started, cordons lifted, images loaded.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::{Provisioned, Provisioner, open};
use crate::cluster::lease::lock::Access;
use crate::cluster::ready::{cordon, out_of_service};
use crate::cluster::state::record::Record;
use crate::cluster::{Cluster, ClusterError, Clusters, ready, role, state};
use crate::engine::{Container, Power};
use crate::fault::{self, HealOutcome, Healed, IntentLog};
use crate::image;
use crate::node::{CLUSTER_LABEL, Role, address_of};

/// Time for an undisturbed cluster to show that it is ready.
pub(super) const CHECK: Duration = Duration::from_secs(60);
/// Time for one whose nodes were started again: 55 s were seen after a restart of the engine.
pub(crate) const RECOVER: Duration = Duration::from_secs(150);
/// Between two tries of what a node that was just started cannot do yet.
const AGAIN: Duration = Duration::from_millis(500);
/// Time for open faults to be healed.
const HEAL: Duration = Duration::from_secs(120);

impl Provisioner<'_> {
    /// Heals what the dead left open; alone on the cluster, everything that is open.
    pub(crate) async fn heal(&self, intents: &IntentLog) -> Result<Vec<Healed>, ClusterError> {
        let deadline = self.deadline.at_most(HEAL);
        Ok(match self.access {
            Access::Exclusive => fault::heal_all(&self.clusters.engine, intents, deadline).await?,
            Access::Shared => fault::heal_abandoned(&self.clusters.engine, intents, deadline).await?,
        })
    }

    /// Mends what can be mended, then waits until the cluster is ready.
    pub(crate) async fn reuse(&self, unclean: bool) -> Result<Provisioned, ClusterError> {
        let dir = self.clusters.settings.cluster_dir(&self.wanted.name);
        self.compare_proxies(&dir);
        let mut disturbed = unclean;
        let intents = self.clusters.intents(&self.wanted.name)?;
        let healed = self.heal(&intents).await?;
        for one in &healed {
            disturbed = true;
            self.say(&heal_text(one));
        }
        disturbed |= self.revive_all().await?;
        let cluster = open::open(self.clusters, self.wanted).await?;
        if disturbed {
            self.uncordon(&cluster).await?;
        }
        // An undisturbed cluster need not be waited for: its last renewal may be as old as the
        // time between two of them.
        let timing = cluster.topology.timing();
        let now = self.clusters.engine.now().await?;
        let (since, limit) = match disturbed {
            true => (now, RECOVER),
            false => (now - timing.renewal() - Duration::from_secs(1), CHECK),
        };
        let client = cluster.client().await?;
        let freed = out_of_service::take_back(&cluster.name, &client, self.deadline.at_most(limit)).await?;
        for node in freed {
            self.say(&format!("node {node} was declared out of service: taken back"));
        }
        let deadline = self.deadline.at_most(limit);
        // The runtime of a node that was just started, by us or by the engine, does not answer yet.
        while let Err(error) = self.load(&cluster).await {
            if deadline.is_over() {
                return Err(error);
            }
            deadline.pause(AGAIN).await;
        }
        self.detail("checking");
        let ready = ready::ready(&cluster, &self.wanted.workloads, since, deadline).await?;
        for other in &ready.others {
            self.say(&format!("not seatrial's and not ready, left alone: {other}"));
        }
        Ok(Provisioned { cluster, reused: true, healed, ready })
    }

    /// Says where the nodes have other proxies than a cluster would get that is made now.
    fn compare_proxies(&self, dir: &Path) {
        let (own, given) =
            (&self.clusters.settings.proxies, Record::read(dir).and_then(|record| record.proxies));
        if let Some(given) = given.filter(|given| given != own) {
            self.say(&format!(
                "its nodes were made with {given}; here there is {own}: `seatrial down` and a new one follows"
            ));
        }
    }

    /// Starts and thaws what does not run; tells whether there was need. The engine gives the lowest
    /// free address to whoever starts, so those that had the lowest ones come first.
    pub(super) async fn revive_all(&self) -> Result<bool, ClusterError> {
        // Listed now: healing may have changed them.
        let mut found = state::look(self.clusters, &self.wanted.name).await?;
        let added: Vec<String> = found.added().into_iter().map(str::to_owned).collect();
        let known = found.record.take().map(|r| r.addresses).unwrap_or_default();
        let unknown = |c: &Container| (!known.contains_key(&c.name), known.get(&c.name).copied());
        found.containers.sort_by_key(unknown);
        let mut revived = false;
        // What somebody joined to the cluster is his to start.
        for container in found.containers.iter().filter(|c| !added.contains(&c.name)) {
            revived |= self.revive(container).await?;
        }
        if revived {
            self.kept(&known).await?;
        }
        Ok(revived)
    }

    /// Refuses a cluster with several control planes of which one has another address than it was made
    /// with: the others' etcd knows it by that one (kind issue 1689), and its certificates do.
    async fn kept(&self, known: &BTreeMap<String, IpAddr>) -> Result<(), ClusterError> {
        let name = &self.wanted.name;
        let now = self.clusters.engine.containers(&[(CLUSTER_LABEL, name)]).await?;
        let control_planes: Vec<&Container> = now.iter().filter(|c| role(c) == Role::ControlPlane).collect();
        let moved = control_planes.iter().find_map(|plane| {
            let (was, is) = (*known.get(&plane.name)?, address_of(plane)?);
            (was != is).then(|| (plane.name.clone(), was, is))
        });
        match moved.filter(|_| control_planes.len() > 1) {
            Some((node, was, is)) => Err(ClusterError::Moved { name: name.clone(), node, was, is }),
            None => Ok(()),
        }
    }

    /// Starts or thaws a container; tells whether there was need.
    async fn revive(&self, container: &Container) -> Result<bool, ClusterError> {
        let name = &container.name;
        match container.power {
            Power::Running => return Ok(false),
            Power::Paused => {
                self.say(&format!("{name} was found paused: resumed"));
                self.clusters.engine.unpause(name).await?;
            }
            power => {
                let since = container.finished_at.map(|t| format!(" since {t:.0}")).unwrap_or_default();
                self.say(&format!("{name} was found {power}{since}: started"));
                self.clusters.engine.start(name).await?;
            }
        }
        Ok(true)
    }

    /// A drain that did not come to its end leaves nodes that take no pods. A node that somebody else cordoned stays so.
    async fn uncordon(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        use k8s_openapi::api::core::v1::Node as KubeNode;
        let client = cluster.client().await?;
        let nodes = kube::Api::<KubeNode>::all(client.unary.clone());
        // An API that does not answer yet is what the check waits for.
        let Ok(list) = nodes.list(&Default::default()).await else { return Ok(()) };
        for node in list.items {
            let name = node.metadata.name.clone().unwrap_or_default();
            if node.spec.as_ref().and_then(|s| s.unschedulable) != Some(true) {
                continue;
            }
            if !cordon::is_cordoned_by_us(&node) {
                self.say(&format!("node {name} is cordoned, and not by seatrial: left so"));
            } else if cordon::uncordon(&client, &name, self.deadline.at_most(CHECK)).await.is_ok() {
                self.say(&format!("node {name} was cordoned by a drain that did not end: uncordoned"));
            }
        }
        Ok(())
    }

    /// Brings the images that nodes lack; nothing where they are baked into the node image.
    pub(super) async fn load(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        let nodes: Vec<&str> = cluster.nodes.iter().map(|n| n.name.as_str()).collect();
        let images: Vec<&str> = self.wanted.workloads.iter().map(String::as_str).collect();
        self.detail("checking images");
        let Clusters { engine, progress, .. } = self.clusters;
        let loader = image::Loader { engine, scratch: &cluster.dir, progress };
        loader.load(&nodes, &images, self.deadline).await?;
        Ok(())
    }
}

/// What became of an open fault, for people.
pub(crate) fn heal_text(healed: &Healed) -> String {
    let what = match &healed.intent {
        Some(intent) => format!("open fault {} of {}", intent.fault, intent.node),
        None => format!("open fault {}", healed.id),
    };
    match &healed.outcome {
        HealOutcome::Restored(_) => format!("{what}: healed"),
        HealOutcome::Gone(_) => format!("{what}: forgotten, its container is gone"),
        HealOutcome::Broken(why) => format!("{what}: forgotten, its file cannot be read ({why})"),
    }
}

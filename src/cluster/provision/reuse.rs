//! Repairs and checks an existing cluster: heals open faults, starts nodes, uncordons nodes, loads images.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::{Provisioned, Provisioner, open};
use crate::client::list;
use crate::cluster::lease::lock::Access;
use crate::cluster::ready::cordon;
use crate::cluster::state::record::Record;
use crate::cluster::{Cluster, ClusterError, Clusters, ready, role, state};
use crate::engine::{Container, Power};
use crate::fault::{self, HealOutcome, Healed, IntentLog};
use crate::image;
use crate::node::{CLUSTER_LABEL, Role, address_of};
use crate::retry;

/// Time for an undisturbed cluster to show that it is ready.
pub(super) const CHECK: Duration = Duration::from_secs(60);
/// Time for a cluster whose nodes were started again: 55 s were measured after a restart of the engine.
pub(crate) const RECOVER: Duration = Duration::from_secs(150);
/// Time between two tries of an operation that a node cannot do right after its start.
const AGAIN: Duration = Duration::from_millis(500);
/// Time for open faults to be healed.
const HEAL: Duration = Duration::from_secs(120);

impl Provisioner<'_> {
    /// Heals the open faults of dead processes; with exclusive access, every open fault.
    pub(crate) async fn heal(&self, intents: &IntentLog) -> Result<Vec<Healed>, ClusterError> {
        let deadline = self.deadline.at_most(HEAL);
        Ok(match self.access {
            Access::Exclusive => fault::heal_all(&self.clusters.engine, intents, deadline).await?,
            Access::Shared => fault::heal_abandoned(&self.clusters.engine, intents, deadline).await?,
        })
    }

    /// Repairs what can be repaired, then waits until the cluster is ready.
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
        // A story that was killed between a drain and its end has left a node cordoned, and a fault need not be open.
        self.uncordon(&cluster).await?;
        // An undisturbed cluster need not renew its leases first: its last renewal may be as old as the renewal
        // interval.
        let timing = cluster.topology.timing();
        let now = self.clusters.engine.now().await?;
        let (since, limit) = match disturbed {
            true => (now, RECOVER),
            false => (now - timing.renewal() - Duration::from_secs(1), CHECK),
        };
        let deadline = self.deadline.at_most(limit);
        // The container runtime of a node that was just started does not answer yet.
        let loaded = retry::until(deadline, retry::every(AGAIN), || self.load(&cluster)).await;
        loaded.map_err(|late| late.last)?;
        self.detail("checking");
        let ready = ready::ready(&cluster, &self.wanted.workloads, since, deadline).await?;
        for other in &ready.others {
            self.say(&format!("not ready and not created by seatrial, ignored: {other}"));
        }
        Ok(Provisioned { cluster, reused: true, healed, ready })
    }

    /// Reports if the nodes have other proxies than a new cluster would get.
    fn compare_proxies(&self, dir: &Path) {
        let (own, given) =
            (&self.clusters.settings.proxies, Record::read(dir).and_then(|record| record.proxies));
        if let Some(given) = given.filter(|given| given != own) {
            self.say(&format!(
                "its nodes were created with {given}; the current setting is {own}: `seatrial down`, and the next run creates a new cluster"
            ));
        }
    }

    /// Starts or resumes all containers that do not run; returns whether any did not run. The engine assigns the
    /// lowest free address to each container that starts, so those that had the lowest addresses start first.
    pub(super) async fn revive_all(&self) -> Result<bool, ClusterError> {
        // List now: healing may have changed the containers.
        let mut found = state::look(self.clusters, &self.wanted.name).await?;
        let added: Vec<String> = found.added().into_iter().map(str::to_owned).collect();
        let known = found.record.take().map(|r| r.addresses).unwrap_or_default();
        let unknown = |c: &Container| (!known.contains_key(&c.name), known.get(&c.name).copied());
        found.containers.sort_by_key(unknown);
        let mut revived = false;
        // Containers that somebody else added to the cluster are not ours to start.
        for container in found.containers.iter().filter(|c| !added.contains(&c.name)) {
            revived |= self.revive(container).await?;
        }
        if revived {
            self.kept(&known).await?;
        }
        Ok(revived)
    }

    /// Refuses a cluster of several control planes if one of them has another address than at creation: the others'
    /// etcd (kind issue 1689) and its certificates use the old address.
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

    /// Starts or resumes a container; returns whether it did not run.
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

    /// Uncordons nodes that an unfinished drain left cordoned. Nodes that somebody else cordoned stay cordoned.
    async fn uncordon(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        use k8s_openapi::api::core::v1::Node as KubeNode;
        let client = cluster.client().await?;
        let nodes = kube::Api::<KubeNode>::all(client.unary.clone());
        // An API that does not answer yet is left to the later check.
        let Ok(found) = list(nodes, &Default::default()).await else { return Ok(()) };
        for node in found {
            let name = node.metadata.name.clone().unwrap_or_default();
            if node.spec.as_ref().and_then(|s| s.unschedulable) != Some(true) {
                continue;
            }
            if !cordon::is_cordoned_by_us(&node) {
                self.say(&format!("node {name} stays cordoned: seatrial did not cordon it"));
            } else if cordon::uncordon(&client, &name, self.deadline.at_most(CHECK)).await.is_ok() {
                self.say(&format!("node {name} was cordoned by an unfinished drain: uncordoned"));
            }
        }
        Ok(())
    }

    /// Loads the images that nodes lack. Does nothing if they are baked into the node image.
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

/// Describes what happened to an open fault.
pub(crate) fn heal_text(healed: &Healed) -> String {
    let what = match &healed.intent {
        Some(intent) => format!("open fault {} of {}", intent.fault, intent.node),
        None => format!("open fault {}", healed.id),
    };
    match &healed.outcome {
        HealOutcome::Restored(_) => format!("{what}: healed"),
        HealOutcome::Gone(_) => format!("{what}: dropped, because its container is gone"),
        HealOutcome::Broken(why) => format!("{what}: dropped, because its file cannot be read ({why})"),
    }
}

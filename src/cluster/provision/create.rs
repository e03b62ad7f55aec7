//! Creates a new cluster with kind, marks its owner, and waits until it is ready.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;

use super::kind::Kind;
use super::load_balancer::{self, Lent};
use super::reuse::CHECK;
use super::{Provisioned, Provisioner, open, published};
use crate::cluster::ready::{Ready, dns};
use crate::cluster::state::ClusterState;
use crate::cluster::state::owner::{Identity, Mark, OWNER_FILE};
use crate::cluster::state::record::{Record, private_dir, remove_dir};
use crate::cluster::{Cluster, ClusterError, Clusters, ready, state};
use crate::config::StateId;
use crate::deadline::Deadline;
use crate::fault;
use crate::image::{self, StandIn};
use crate::node::{CLUSTER_LABEL, Node, address_of};
use crate::retry::NotYet;

/// Time for a new cluster to become ready after kind has created it; 3 to 8 s were measured.
const START: Duration = Duration::from_secs(180);

impl Provisioner<'_> {
    /// Removes the remains of an earlier cluster and creates the cluster.
    pub(super) async fn create(&self) -> Result<Provisioned, ClusterError> {
        let Self { clusters: Clusters { settings, engine, .. }, wanted, .. } = self;
        let dir = settings.cluster_dir(&wanted.name);
        let kind = self.kind();
        // The kind process of a killed seatrial may still be running. It fails once its containers are gone, but may
        // start some until then.
        self.clear(&kind).await?;
        kind.settle(&wanted.name, self.deadline, |text| self.detail(text)).await?;
        self.clear(&kind).await?;
        remove_dir(&dir)?;
        private_dir(&dir)?;
        let identity = Identity::of(self.clusters).await?;
        let mut record = Record {
            name: wanted.name.clone(),
            topology: wanted.topology.name().into(),
            kubernetes: wanted.kubernetes.clone(),
            made_as: None,
            planned: None,
            image: wanted.image.clone(),
            workloads: wanted.workloads.clone(),
            created_at: Timestamp::now(),
            complete: false,
            addresses: BTreeMap::new(),
            containers: BTreeMap::new(),
            owner: Some(identity.state.clone()),
            engine: Some(identity.engine),
            kept: false,
            made_by: Some(fault::Owner::me()),
            proxies: Some(settings.proxies.clone()),
        };
        record.write(&dir)?;
        let balancer = self.balancer().await?;
        let lock = kind.creation_lock(&wanted.name, self.deadline, &mut |text| self.detail(text)).await?;
        // While we waited for the lock, another creation may have lent the name and taken it back.
        let lent = self.lent(balancer).await?;
        let created = kind.create(wanted, lock, self.deadline, |text| self.detail(text)).await;
        let given_back = match lent {
            Some(lent) => lent.give_back().await,
            None => Ok(()),
        };
        created?;
        let ended = async {
            given_back?;
            let (cluster, ready) = self.settled(identity.state).await?;
            let containers = engine.containers(&[(CLUSTER_LABEL, &wanted.name)]).await?;
            let addressed = containers.iter().filter_map(|c| Some((c.name.clone(), address_of(c)?)));
            record.addresses = addressed.collect();
            record.containers = containers.into_iter().map(|c| (c.name, c.id)).collect();
            record.complete = true;
            record.write(&dir)?;
            Ok(Provisioned { cluster, reused: false, healed: Vec::new(), ready })
        };
        // If anything fails from here on, the half-finished cluster is removed.
        match ended.await {
            Ok(made) => Ok(made),
            Err(error) => Err(kind.failed(wanted, &error).await?),
        }
    }

    /// Returns the stand-in for kind's load balancer image, if the cluster needs a load balancer and no registry has
    /// kind's image.
    async fn balancer(&self) -> Result<Option<StandIn>, ClusterError> {
        if self.wanted.topology.control_planes() < 2 {
            return Ok(None);
        }
        let (profile, version) = (&self.wanted.profile, &self.wanted.kubernetes);
        Ok(image::load_balancer(&self.clusters.images(self.deadline), profile, version).await?)
    }

    /// Lends the name of kind's load balancer image to the stand-in, if the cluster needs a load balancer.
    async fn lent(&self, made: Option<StandIn>) -> Result<Option<Lent<'_>>, ClusterError> {
        if self.wanted.topology.control_planes() < 2 {
            return Ok(None);
        }
        let say = |text: &str| self.say(text);
        load_balancer::lend(self.clusters, &self.wanted.name, made, self.deadline, say).await
    }

    /// Opens the cluster that kind has created, marks its owner, and waits until it is ready.
    async fn settled(&self, owner: StateId) -> Result<(Cluster, Ready), ClusterError> {
        let cluster = open::open(self.clusters, self.wanted).await?;
        let containers = self.clusters.engine.containers(&[(CLUSTER_LABEL, &cluster.name)]).await?;
        if let Some(port) = open::api_port(&containers) {
            published::check(&cluster, port).await?;
        }
        claim(&Mark::of(owner, &self.clusters.settings.state), &cluster).await?;
        self.spread(&cluster).await?;
        self.load(&cluster).await?;
        self.detail("waiting until the cluster is ready");
        let deadline = self.deadline.at_most(START);
        let now = self.clusters.engine.now().await?;
        let ready = ready::ready(&cluster, &self.wanted.workloads, now, deadline).await?;
        Ok((cluster, ready))
    }

    /// Prepares several control planes to replace one another: the load balancer cuts connections to a failed one,
    /// and DNS runs on several nodes.
    async fn spread(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        if let Some(balancer) = &cluster.load_balancer
            && !load_balancer::cut_on_failure(&self.clusters.engine, balancer, self.deadline.at_most(CHECK))
                .await?
        {
            self.say("the load balancer keeps connections to a failed control plane: its files are not those of kind 0.33");
        }
        if cluster.control_planes().count() > 1 {
            let deadline = self.deadline.at_most(START);
            let late = |NotYet(last)| {
                let (name, part, waited) = (self.wanted.name.clone(), "cluster DNS", deadline.waited());
                ClusterError::NotReady { name, part, waited, last }
            };
            dns::spread(&cluster.client().await?, deadline).await.map_err(late)?;
        }
        Ok(())
    }

    async fn clear(&self, kind: &Kind<'_>) -> Result<(), ClusterError> {
        let name = &self.wanted.name;
        // Look again: somebody else may have created the cluster while we waited for a lock.
        let found = state::look(self.clusters, name).await?;
        match found.state(None, Timestamp::now()) {
            ClusterState::Absent => Ok(()),
            ClusterState::Foreign(owner) => Err(ClusterError::Elsewhere { name: name.clone(), owner }),
            ClusterState::Complete | ClusterState::Partial(_) => {
                self.detail("removing the remains of the last cluster");
                let network = self.wanted.topology.control_planes() > 1;
                if let Some(stays) = kind.delete(name, network, &[]).await? {
                    self.say(&stays);
                }
                Ok(())
            }
        }
    }
}

/// Writes the owner's mark onto each node.
async fn claim(mark: &Mark, cluster: &Cluster) -> Result<(), ClusterError> {
    let text = mark.text();
    let deadline = Deadline::after(Duration::from_secs(30));
    let write = |node: &Node| {
        let (engine, name, text) = (cluster.engine.clone(), node.name.clone(), text.clone());
        async move { engine.exec_ok(&name, &["cp", "/dev/stdin", OWNER_FILE], Some(text), deadline).await }
    };
    try_join_all(cluster.nodes.iter().map(write)).await?;
    Ok(())
}

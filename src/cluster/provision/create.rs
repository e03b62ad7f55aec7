//! A new cluster: created by kind, claimed for its state folder, ready.

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

/// Time for a new cluster to get ready after kind made it; 3 to 8 s were seen.
const START: Duration = Duration::from_secs(180);

impl Provisioner<'_> {
    /// Removes what is left of an earlier one and makes the cluster.
    pub(super) async fn create(&self) -> Result<Provisioned, ClusterError> {
        let Self { clusters: Clusters { settings, engine, .. }, wanted, .. } = self;
        let dir = settings.cluster_dir(&wanted.name);
        let kind = self.kind();
        // kind of a killed process may still be at work: it fails once its containers are gone,
        // and may start some until then.
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
        // While the lock was waited for, the name may have been given and taken.
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
        // Whatever goes wrong from here on, no half cluster stays.
        match ended.await {
            Ok(made) => Ok(made),
            Err(error) => Err(kind.failed(wanted, &error).await?),
        }
    }

    /// What stands in for kind's load balancer, where the cluster has one and no registry has kind's.
    async fn balancer(&self) -> Result<Option<StandIn>, ClusterError> {
        if self.wanted.topology.control_planes() < 2 {
            return Ok(None);
        }
        let (profile, version) = (&self.wanted.profile, &self.wanted.kubernetes);
        Ok(image::load_balancer(&self.clusters.images(self.deadline), profile, version).await?)
    }

    /// The load balancer's name for a creation that asks for it.
    async fn lent(&self, made: Option<StandIn>) -> Result<Option<Lent<'_>>, ClusterError> {
        if self.wanted.topology.control_planes() < 2 {
            return Ok(None);
        }
        let say = |text: &str| self.say(text);
        load_balancer::lend(self.clusters, &self.wanted.name, made, self.deadline, say).await
    }

    /// What kind has made, ours and ready.
    async fn settled(&self, owner: StateId) -> Result<(Cluster, Ready), ClusterError> {
        let cluster = open::open(self.clusters, self.wanted).await?;
        let containers = self.clusters.engine.containers(&[(CLUSTER_LABEL, &cluster.name)]).await?;
        if let Some(port) = open::api_port(&containers) {
            published::check(&cluster, port).await?;
        }
        claim(&Mark::of(owner, &self.clusters.settings.state), &cluster).await?;
        self.spread(&cluster).await?;
        self.load(&cluster).await?;
        self.detail("waiting until it is ready");
        let deadline = self.deadline.at_most(START);
        let now = self.clusters.engine.now().await?;
        let ready = ready::ready(&cluster, &self.wanted.workloads, now, deadline).await?;
        Ok((cluster, ready))
    }

    /// Sees to it that several control planes stand in for one another.
    async fn spread(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        if let Some(balancer) = &cluster.load_balancer
            && !load_balancer::cut_on_failure(&self.clusters.engine, balancer, self.deadline.at_most(CHECK))
                .await?
        {
            self.say("the load balancer leaves connections to a control plane that fails: its files are not kind 0.33's");
        }
        if cluster.control_planes().count() > 1 {
            let deadline = self.deadline.at_most(START);
            let late = |last| {
                let (name, part, waited) = (self.wanted.name.clone(), "cluster DNS", deadline.waited());
                ClusterError::NotReady { name, part, waited, last }
            };
            dns::spread(&cluster.client().await?, deadline).await.map_err(late)?;
        }
        Ok(())
    }

    async fn clear(&self, kind: &Kind<'_>) -> Result<(), ClusterError> {
        let name = &self.wanted.name;
        // Looked at again: somebody else may have made it while a lock was waited for.
        let found = state::look(self.clusters, name).await?;
        match found.state(None, Timestamp::now()) {
            ClusterState::Absent => Ok(()),
            ClusterState::Foreign(owner) => Err(ClusterError::Elsewhere { name: name.clone(), owner }),
            ClusterState::Complete | ClusterState::Partial(_) => {
                self.detail("removing what is left of the last one");
                let network = self.wanted.topology.control_planes() > 1;
                if let Some(stays) = kind.delete(name, network, &[]).await? {
                    self.say(&stays);
                }
                Ok(())
            }
        }
    }
}

/// Writes onto each node whose it is.
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

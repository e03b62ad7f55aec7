//! Makes a cluster, or mends and checks an existing one: what happens between taking the lock and
//! having the lease.

pub(crate) mod evidence;
pub(crate) mod kind;
mod kubeconfig;
pub(crate) mod load_balancer;
pub(crate) mod open;
mod published;
pub(crate) mod wanted;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;

use super::lease::lock::{Access, Entering};
use super::ready::{Ready, cordon, dns, out_of_service};
use super::state::owner::{Identity, Mark, OWNER_FILE};
use super::state::record::{Record, private_dir, remove_dir};
use super::state::{ClusterState, Found, holds, upgrade};
use super::{Cluster, ClusterError, ready, role, state};
use crate::chain::chain;
use crate::config::{Settings, StateId};
use crate::deadline::Deadline;
use crate::engine::{Container, Engine, Power};
use crate::fault::{self, HealOutcome, Healed, IntentLog};
use crate::image::{self, StandIn};
use crate::node::{CLUSTER_LABEL, Node, Role, address_of};
use crate::progress::Progress;
use kind::Kind;
use load_balancer::Lent;
use wanted::Wanted;

/// Everything that making a cluster needs.
pub(crate) struct Provisioner<'a> {
    pub settings: &'a Settings,
    pub engine: &'a Engine,
    pub wanted: &'a Wanted,
    pub access: Access,
    pub deadline: Deadline,
    pub progress: &'a Progress,
    pub task: String,
}

/// A cluster that is ready.
pub(crate) struct Provisioned {
    pub cluster: Cluster,
    pub reused: bool,
    pub healed: Vec<Healed>,
    pub ready: Ready,
}

/// Time for an undisturbed cluster to show that it is ready.
const CHECK: Duration = Duration::from_secs(60);
/// Time for one whose nodes were started again: 55 s were seen after a restart of the engine.
pub(crate) const RECOVER: Duration = Duration::from_secs(150);
/// Time for a new cluster to get ready after kind made it; 3 to 8 s were seen.
const START: Duration = Duration::from_secs(180);
/// Between two tries of what a node that was just started cannot do yet.
const AGAIN: Duration = Duration::from_millis(500);
/// Time for open faults to be healed.
const HEAL: Duration = Duration::from_secs(120);

impl Provisioner<'_> {
    /// Uses the cluster that is there, if it is sound or can be mended, else makes it. Comes back
    /// with a lock that is exclusive when it was made.
    pub async fn run(&self, entering: Entering) -> Result<(Entering, Provisioned), ClusterError> {
        let (mut entering, (found, state)) = entering.with(self.usable().await)?;
        let why = match state {
            ClusterState::Absent | ClusterState::Foreign(_) => None,
            ClusterState::Partial(why) => Some(why),
            ClusterState::Complete => {
                let unclean = entering.unclean();
                for holder in &unclean {
                    self.say(&format!("{} went without a release", holder.who));
                }
                match self.reuse(!unclean.is_empty()).await {
                    Ok(made) => return Ok((entering, made)),
                    Err(error) if is_refusal(&error) || self.deadline.is_over() => return Err(error),
                    Err(error) => {
                        let (why, kind) = (chain(&error), self.kind());
                        let evidence = kind.evidence(self.wanted, &why).await?;
                        let why = format!("{why} (evidence in {})", evidence.display());
                        self.may_go(&found, &why).await?;
                        Some(why)
                    }
                }
            }
        };
        self.settings.proxies.check()?;
        if let Some(why) = &why {
            self.say(&format!("is made again: {why}"));
        }
        let detail = |text: &str| self.detail(&format!("waiting for those who use it: {text}"));
        entering = entering.make_exclusive(self.deadline, detail).await?;
        // Those who were waited for may have kept it, or put something on it.
        let found = state::look(self.settings, self.engine, &self.wanted.name).await?;
        if why.is_some() {
            self.may_go(&found, "it was to be made again").await?;
        }
        let made = self.create().await?;
        // Whatever anybody left was in the one before.
        entering.cleaned()?;
        Ok((entering, made))
    }

    /// What there is, unless it is refused. Touches nothing.
    async fn usable(&self) -> Result<(Found, ClusterState), ClusterError> {
        // Otherwise a cluster is made that nobody here can reach.
        self.engine.check_network().await?;
        let topology = &self.wanted.topology;
        let balancer = usize::from(topology.control_planes() > 1);
        let nodes = topology.control_planes() + topology.workers() + balancer;
        let name = &self.wanted.name;
        let found = state::look(self.settings, self.engine, name).await?;
        let state = found.state(Some(nodes), Timestamp::now());
        match &state {
            ClusterState::Foreign(owner) => {
                return Err(ClusterError::Elsewhere { name: name.clone(), owner: owner.clone() });
            }
            // It may have become so since it was chosen.
            ClusterState::Complete if let Some(error) = upgrade::upgraded(self.settings, self.wanted) => {
                return Err(error);
            }
            ClusterState::Partial(why) => self.may_go(&found, why).await?,
            ClusterState::Absent | ClusterState::Complete => {}
        }
        Ok((found, state))
    }

    /// Refuses to make a cluster again that is somebody's.
    async fn may_go(&self, found: &Found, why: &str) -> Result<(), ClusterError> {
        let (name, why) = (self.wanted.name.clone(), why.to_owned());
        match holds::whose(self.settings, self.engine, found).await {
            Some(whose) => Err(ClusterError::Kept { name, why, whose }),
            None => Ok(()),
        }
    }

    /// As [`Provisioner::run`], for a cluster that must be there already.
    pub async fn run_existing(&self, entering: Entering) -> Result<(Entering, Provisioned), ClusterError> {
        let (entering, ()) = entering.with(upgrade::usable(self.settings, &self.wanted.name))?;
        let (entering, ()) = entering.with(self.there().await)?;
        let made = self.reuse(!entering.unclean().is_empty()).await?;
        Ok((entering, made))
    }

    /// As [`Provisioner::run_existing`], for whoever goes on with an upgrade: where that stands in the middle
    /// of a step, the cluster cannot be asked to be ready.
    pub async fn run_to_upgrade(&self, entering: Entering) -> Result<(Entering, Provisioned), ClusterError> {
        let name = &self.wanted.name;
        let (entering, ()) = entering.with(self.there().await)?;
        if upgrade::usable(self.settings, name).is_ok() {
            let made = self.reuse(!entering.unclean().is_empty()).await?;
            return Ok((entering, made));
        }
        let intents = IntentLog::open(&self.settings.cluster_dir(name))?;
        let healed = self.heal(&intents).await?;
        self.revive_all().await?;
        let cluster = open::open(self.settings, self.engine, self.wanted).await?;
        let ready = Ready { parts: Vec::new(), others: Vec::new(), took: Duration::ZERO };
        Ok((entering, Provisioned { cluster, reused: true, healed, ready }))
    }

    /// Refuses a cluster that is not whole.
    pub async fn there(&self) -> Result<(), ClusterError> {
        let name = &self.wanted.name;
        let found = state::look(self.settings, self.engine, name).await?;
        match found.state(None, Timestamp::now()) {
            ClusterState::Complete => Ok(()),
            ClusterState::Foreign(owner) => Err(ClusterError::Elsewhere { name: name.clone(), owner }),
            ClusterState::Absent | ClusterState::Partial(_) => {
                Err(ClusterError::Unknown { name: name.clone() })
            }
        }
    }

    /// Heals what the dead left open; alone on the cluster, everything that is open.
    pub async fn heal(&self, intents: &IntentLog) -> Result<Vec<Healed>, ClusterError> {
        let deadline = self.deadline.at_most(HEAL);
        Ok(match self.access {
            Access::Exclusive => fault::heal_all(self.engine, intents, deadline).await?,
            Access::Shared => fault::heal_abandoned(self.engine, intents, deadline).await?,
        })
    }

    /// Mends what can be mended, then waits until the cluster is ready.
    pub async fn reuse(&self, unclean: bool) -> Result<Provisioned, ClusterError> {
        let dir = self.settings.cluster_dir(&self.wanted.name);
        self.compare_proxies(&dir);
        let mut disturbed = unclean;
        let intents = IntentLog::open(&dir)?;
        let healed = self.heal(&intents).await?;
        for one in &healed {
            disturbed = true;
            self.say(&heal_text(one));
        }
        disturbed |= self.revive_all().await?;
        let cluster = open::open(self.settings, self.engine, self.wanted).await?;
        if disturbed {
            self.uncordon(&cluster).await?;
        }
        // An undisturbed cluster need not be waited for: its last renewal may be as old as the
        // time between two of them.
        let timing = cluster.topology.timing();
        let now = self.engine.now().await?;
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
        let (own, given) = (&self.settings.proxies, Record::read(dir).and_then(|record| record.proxies));
        if let Some(given) = given.filter(|given| given != own) {
            self.say(&format!(
                "its nodes were made with {given}; here there is {own}: `seatrial down` and a new one follows"
            ));
        }
    }

    /// Starts and thaws what does not run; tells whether there was need. The engine gives the lowest
    /// free address to whoever starts, so those that had the lowest ones come first.
    async fn revive_all(&self) -> Result<bool, ClusterError> {
        // Listed now: healing may have changed them.
        let mut found = state::look(self.settings, self.engine, &self.wanted.name).await?;
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
        let now = self.engine.containers(&[(CLUSTER_LABEL, name)]).await?;
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
                self.engine.unpause(name).await?;
            }
            power => {
                let since = container.finished_at.map(|t| format!(" since {t:.0}")).unwrap_or_default();
                self.say(&format!("{name} was found {power}{since}: started"));
                self.engine.start(name).await?;
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
    async fn load(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        let nodes: Vec<&str> = cluster.nodes.iter().map(|n| n.name.as_str()).collect();
        let images: Vec<&str> = self.wanted.workloads.iter().map(String::as_str).collect();
        self.detail("checking images");
        image::load(self.engine, &nodes, &images, &cluster.dir, self.deadline, self.progress).await?;
        Ok(())
    }

    /// Removes what is left of an earlier one and makes the cluster.
    async fn create(&self) -> Result<Provisioned, ClusterError> {
        let Self { settings, engine, wanted, .. } = self;
        let dir = settings.cluster_dir(&wanted.name);
        let kind = self.kind();
        // kind of a killed process may still be at work: it fails once its containers are gone,
        // and may start some until then.
        self.clear(&kind, &dir).await?;
        kind.settle(&wanted.name, self.deadline, |text| self.detail(text)).await?;
        self.clear(&kind, &dir).await?;
        remove_dir(&dir)?;
        private_dir(&dir)?;
        let identity = Identity::of(settings, engine).await?;
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
        let created = kind.create(wanted, &dir, lock, self.deadline, |text| self.detail(text)).await;
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
            Err(error) => Err(kind.failed(wanted, &dir, &error).await?),
        }
    }

    /// What stands in for kind's load balancer, where the cluster has one and no registry has kind's.
    async fn balancer(&self) -> Result<Option<StandIn>, ClusterError> {
        if self.wanted.topology.control_planes() < 2 {
            return Ok(None);
        }
        let (profile, version) = (&self.wanted.profile, &self.wanted.kubernetes);
        let Self { settings, engine, progress, deadline, .. } = self;
        Ok(image::load_balancer(settings, engine, profile, version, progress, *deadline).await?)
    }

    /// The load balancer's name for a creation that asks for it.
    async fn lent(&self, made: Option<StandIn>) -> Result<Option<Lent<'_>>, ClusterError> {
        if self.wanted.topology.control_planes() < 2 {
            return Ok(None);
        }
        let say = |text: &str| self.say(text);
        load_balancer::lend(self.settings, self.engine, &self.wanted.name, made, self.deadline, say).await
    }

    /// What kind has made, ours and ready.
    async fn settled(&self, owner: StateId) -> Result<(Cluster, Ready), ClusterError> {
        let cluster = open::open(self.settings, self.engine, self.wanted).await?;
        let containers = self.engine.containers(&[(CLUSTER_LABEL, &cluster.name)]).await?;
        if let Some(port) = open::api_port(&containers) {
            published::check(&cluster, port).await?;
        }
        claim(&Mark::of(owner, &self.settings.state), &cluster).await?;
        self.spread(&cluster).await?;
        self.load(&cluster).await?;
        self.detail("waiting until it is ready");
        let deadline = self.deadline.at_most(START);
        let now = self.engine.now().await?;
        let ready = ready::ready(&cluster, &self.wanted.workloads, now, deadline).await?;
        Ok((cluster, ready))
    }

    /// Sees to it that several control planes stand in for one another.
    async fn spread(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        if let Some(balancer) = &cluster.load_balancer
            && !load_balancer::cut_on_failure(self.engine, balancer, self.deadline.at_most(CHECK)).await?
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

    async fn clear(&self, kind: &Kind<'_>, dir: &Path) -> Result<(), ClusterError> {
        let name = &self.wanted.name;
        // Looked at again: somebody else may have made it while a lock was waited for.
        let found = state::look(self.settings, self.engine, name).await?;
        match found.state(None, Timestamp::now()) {
            ClusterState::Absent => Ok(()),
            ClusterState::Foreign(owner) => Err(ClusterError::Elsewhere { name: name.clone(), owner }),
            ClusterState::Complete | ClusterState::Partial(_) => {
                self.detail("removing what is left of the last one");
                let network = self.wanted.topology.control_planes() > 1;
                if let Some(stays) = kind.delete(name, dir, network, &[]).await? {
                    self.say(&stays);
                }
                Ok(())
            }
        }
    }

    fn kind(&self) -> Kind<'_> {
        Kind { settings: self.settings, engine: self.engine }
    }

    fn say(&self, text: &str) {
        self.progress.say(&format!("{}: {text}", self.task));
    }

    fn detail(&self, text: &str) {
        self.progress.detail(&self.task, text);
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

/// What making the cluster anew must not paper over.
fn is_refusal(error: &ClusterError) -> bool {
    matches!(
        error,
        ClusterError::NotOurs { .. }
            | ClusterError::Elsewhere { .. }
            | ClusterError::Upgraded { .. }
            | ClusterError::Kept { .. }
            | ClusterError::WrongKubeconfig { .. }
    )
}

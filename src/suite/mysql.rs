//! Part B of the catalogue: a single MySQL on a hostPath volume. Its pod is deleted, its template changes, its node is
//! stopped and comes back, while a ledger writes and reads.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use serde_json::json;

use super::Suite;
use crate::cluster::{Access, THREE};
use crate::deadline::Deadline;
use crate::event::Server;
use crate::fault::StopNode;
use crate::judge::mysql::facts::Allowed;
use crate::judge::mysql::{B1, B2, B3, B4, B5, B6, B7, B8, B9, B10};
use crate::judge::mysql::{DATABASE, DEPLOYMENT, PATH, facts};
use crate::manifest::{self, Manifest};
use crate::probe::{Forward, Ledger, LedgerSpec, Pace, Target, Traffic};
use crate::scenario::{ActiveFault, Failure, Needs, Scenario};
use crate::wait::{self, Verdict, claims, nodes, pods};

pub(super) mod disk;
pub(super) mod place;

/// The suite.
pub static SUITE: Suite = Suite {
    about: "a single MySQL on a hostPath volume: pod replaced, template changed, node down and back",
    needs: Needs {
        name: "mysql",
        claims: &[&B1, &B2, &B3, &B4, &B5, &B6, &B7, &B8, &B9, &B10],
        access: Access::Exclusive,
        topology: &THREE,
        cluster_suffix: None,
        budget: Duration::from_secs(20 * 60),
    },
    after_all: false,
    story: |s| Box::pin(story(s)),
};

pub(super) const MANIFEST: &str = include_str!("mysql/mysql.yaml");
pub(super) const NAME: &str = DEPLOYMENT;
pub(super) const CLAIM: &str = "mysql-pv-claim";
pub(super) const SELECTOR: &str = "app=mysql";
pub(super) const PORT: u16 = 3306;
/// The password in the manifest.
pub(super) const PASSWORD: &str = "password";

/// One writer of single rows and one of transactions, concurrently.
pub(super) const PACES: [Pace; 2] =
    [Pace { every: Duration::from_millis(50), rows: 1 }, Pace { every: Duration::from_millis(150), rows: 3 }];
/// Pause between two readings.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// Number of rows that each writer adds in each part of the story.
pub(super) const ROWS: u64 = 30;

/// Timeout for a pod to be scheduled, to start and to fill an empty data directory.
pub(super) const START: Duration = Duration::from_secs(180);
/// Timeout for an object to be created, changed or deleted.
pub(super) const CHANGE: Duration = Duration::from_secs(60);
/// Timeout for a stopped node to return, and for a pod to serve on it again.
pub(super) const RETURN: Duration = Duration::from_secs(300);
/// Budget for the official image to fill an empty directory, from the container's start to the first answer: its
/// entrypoint starts a server twice. 30 to 90 s were reported on slow and ARM machines.
pub(super) const FILL: Duration = Duration::from_secs(120);
/// Budget for the image that is built from Debian packages: it fills the directory in one pass.
pub(super) const FILL_DEBIANS: Duration = Duration::from_secs(45);
/// Budget from the call that stops a node to the node's last heartbeat, on a machine with other work.
pub(super) const CALL: Duration = Duration::from_secs(10);

async fn story(s: &Scenario) -> Result<(), Failure> {
    let mysql = Mysql::new(s).await?;
    s.step("take the path on every node", CHANGE, place::claim(s)).await?;
    place::list(s, "before").await?;
    let first = s.step("start MySQL", START, mysql.start()).await?;
    let mut traffic = s.step("write rows", CHANGE, mysql.create(&first)).await?;

    // The other workers are kept free of MySQL, to make the next two pods start on the first pod's node.
    s.step("keep the other workers free", CHANGE, place::reserve(s, first.node())).await?;
    let second = s.step("delete the pod", START, mysql.replace(&first, &mut traffic)).await?;
    let third = s.step("change the template", START, mysql.change(&second, &mut traffic)).await?;
    s.step("free the other workers", CHANGE, place::release(s)).await?;

    let outage = mysql.lose_node(&third, &mut traffic).await?;
    let back = mysql.return_node(outage, &third, &mut traffic);
    s.step("bring the node back", RETURN, back).await?;
    traffic.stop().await;
    s.step("delete MySQL", CHANGE, mysql.delete(&mysql.manifest)).await?;
    s.step("give the path back", CHANGE, place::give_back(s)).await
}

/// The workload with its ledger.
pub(super) struct Mysql<'s> {
    pub(super) s: &'s Scenario,
    pub(super) manifest: Manifest,
    pub(super) pods: Api<Pod>,
    pub(super) nodes: Vec<String>,
    ledger: Ledger,
    /// Connects the ledger to the pod that is ready at the time.
    _forward: Forward,
}

/// A pod with a server that answers.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) pod: Pod,
    pub(super) server: Server,
}

impl Instance {
    pub(super) fn node(&self) -> &str {
        self.pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
    }
}

/// A node that is down, and the pod that replaced its pod.
pub(super) struct Outage<'s> {
    pub(super) fault: ActiveFault<'s>,
    pub(super) replacement: Instance,
}

impl<'s> Mysql<'s> {
    pub(super) async fn new(s: &'s Scenario) -> Result<Self, Failure> {
        let target = Target::Selector(SELECTOR.into());
        let forward = Forward::open(&s.client.stream, &s.namespace, target, PORT).await?;
        let (database, password) = (DATABASE.into(), PASSWORD.into());
        let spec = LedgerSpec { database, password, ..LedgerSpec::default() };
        Ok(Self {
            s,
            manifest: s.manifest("mysql.yaml", MANIFEST)?,
            pods: Api::namespaced(s.client.stream.clone(), &s.namespace),
            nodes: place::nodes(s).map(|node| node.name.clone()).collect(),
            ledger: Ledger::new(spec, forward.route().clone(), s.log.clone()),
            _forward: forward,
        })
    }

    /// Applies the manifest and waits for the first server to answer.
    pub(super) async fn apply(&self) -> Result<Instance, Failure> {
        let s = self.s;
        s.apply(&self.manifest, self.within(CHANGE)).await?;
        let bound = claims::claim_bound();
        wait::until(self.claims(), watcher::Config::default(), bound, self.within(CHANGE)).await?;
        wait::rollout(&s.client, &s.namespace, NAME, self.within(START)).await?;
        self.answering(&[]).await
    }

    /// Creates the table, and starts to write and read. Both continue whatever happens to the server.
    pub(super) async fn write(&self) -> Result<Traffic, Failure> {
        self.ledger.create(self.within(CHANGE)).await?;
        let mut traffic = Traffic::start(&self.ledger, &PACES, LOOK);
        self.write_on(&mut traffic).await?;
        Ok(traffic)
    }

    /// B1 to B4.
    pub(super) async fn start(&self) -> Result<Instance, Failure> {
        let s = self.s;
        let first = self.apply().await?;
        let claim = self.claims().get(CLAIM).await?;
        let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
        s.observe(&facts::VOLUME, &Api::<PersistentVolume>::all(s.client.unary.clone()).get(&volume).await?);
        s.observe(&facts::CLAIM, &claim);
        s.observe(&facts::DEPLOYMENT, &self.deployments().get(NAME).await?);
        place::list(s, "serving").await?;
        s.observe(&facts::NODES, &self.nodes);
        s.observe(&facts::FIRST_POD, &first.pod);
        s.observe(&facts::FIRST_SERVER, &first.server);
        for claim in [&B1, &B2, &B3, &B4] {
            s.prove(claim).await;
        }
        Ok(first)
    }

    /// B5.
    pub(super) async fn create(&self, first: &Instance) -> Result<Traffic, Failure> {
        let mut traffic = self.write().await?;
        traffic.pause().await;
        self.read(first, "database").await?;
        place::list(self.s, "database").await?;
        self.s.prove(&B5).await;
        traffic.resume();
        Ok(traffic)
    }

    /// B6. The new pod starts while the old server ends: it waits for the lock on the files.
    pub(super) async fn replace(&self, old: &Instance, traffic: &mut Traffic) -> Result<Instance, Failure> {
        self.remove(&old.pod).await?;
        let new = self.answering(&[old]).await?;
        self.gone(&old.pod).await?;
        self.write_on(traffic).await?;
        traffic.pause().await;
        self.read(&new, "replaced").await?;
        self.s.observe(&facts::SECOND_POD, &new.pod);
        self.s.observe(&facts::SECOND_SERVER, &new.server);
        self.s.prove(&B6).await;
        traffic.resume();
        Ok(new)
    }

    /// B7.
    pub(super) async fn change(&self, old: &Instance, traffic: &mut Traffic) -> Result<Instance, Failure> {
        let s = self.s;
        s.mark("template-change");
        let annotations = json!({ "annotations": { "seatrial.dev/change": s.suffix() } });
        let patch = Patch::Merge(json!({ "spec": { "template": { "metadata": annotations } } }));
        self.deployments().patch(NAME, &PatchParams::default(), &patch).await?;
        wait::rollout(&s.client, &s.namespace, NAME, self.within(START)).await?;
        let new = self.answering(&[old]).await?;
        self.write_on(traffic).await?;
        s.recorder.settle(self.within(CALL)).await;
        s.mark("template-changed");
        s.observe(&facts::DEPLOYMENT_CHANGED, &self.deployments().get(NAME).await?);
        s.observe(&facts::THIRD_POD, &new.pod);
        s.observe(&facts::THIRD_SERVER, &new.server);
        s.prove(&B7).await;
        Ok(new)
    }

    /// B8 and B9. The story waits longer than the budget: the judge reports what took too long.
    pub(super) async fn lose_node(
        &self,
        old: &Instance,
        traffic: &mut Traffic,
    ) -> Result<Outage<'s>, Failure> {
        let s = self.s;
        place::list(s, "before-fault").await?;
        let allowed = allowed(s);
        s.observe(&facts::OUTAGE_BUDGET, &allowed);
        let patience = Duration::from_secs_f64(allowed.ready) + START;
        let node = s.cluster.node(old.node()).ok_or_else(|| format!("no node is called {}", old.node()))?;
        let fault = s.inject(&StopNode::DEFAULT, node, self.within(CHANGE)).await?;

        let lost = nodes::node_unreachable(old.node());
        let lost = wait::until(self.all_nodes(), watcher::Config::default(), lost, self.within(patience));
        s.step("node unreachable", patience, async { Ok(lost.await?) }).await?;
        // The old node's pods are evicted only now: with Kubernetes' default timing this takes five minutes.
        let before = [old];
        let new = self.answering_within(&before, patience);
        let new = s.step("replacement answers", patience, new).await?;
        s.mark("replacement-answers");

        traffic.pause().await;
        let (ledger, _forward) = self.ledger_of(&new.pod).await?;
        s.observe(&facts::DATABASES, &ledger.databases(self.within(CHANGE)).await?.1);
        ledger.read("elsewhere", self.within(CHANGE)).await?;
        place::list(s, "while-stopped").await?;
        s.observe(&facts::ROWS_ON_DISK, &disk::rows(s, node, PATH, |_| true).await?);
        let pods = self.pods.list(&ListParams::default().labels(SELECTOR)).await?.items;
        if let Some(pod) = pods.iter().find(|pod| uid(pod) == uid(&old.pod)) {
            s.observe(&facts::OLD_POD, pod);
        }
        s.recorder.settle(self.within(CALL)).await;
        s.mark("outage-over");
        s.observe(&facts::REPLACEMENT_POD, &new.pod);
        s.observe(&facts::REPLACEMENT_SERVER, &new.server);
        for claim in [&B8, &B9] {
            s.prove(claim).await;
        }
        traffic.resume();
        Ok(Outage { fault, replacement: new })
    }

    /// B10.
    pub(super) async fn return_node(
        &self,
        outage: Outage<'s>,
        old: &Instance,
        traffic: &mut Traffic,
    ) -> Result<Instance, Failure> {
        let s = self.s;
        let budget = s.cluster.topology.timing().node_return().total;
        s.observe(&facts::RETURN_BUDGET, &budget.as_secs_f64());
        s.mark("return");
        outage.fault.heal(self.within(RETURN)).await?;
        nodes::ready(&s.client, old.node(), self.within(RETURN)).await?;
        self.gone(&old.pod).await?;
        place::list(s, "returned").await?;

        place::reserve(s, old.node()).await?;
        self.remove(&outage.replacement.pod).await?;
        let again = self.answering(&[old, &outage.replacement]).await?;
        self.write_on(traffic).await?;
        traffic.pause().await;
        self.read(&again, "returned").await?;
        s.observe(&facts::RETURNED_POD, &again.pod);
        s.observe(&facts::RETURNED_SERVER, &again.server);
        s.prove(&B10).await;
        place::release(s).await?;
        Ok(again)
    }

    pub(super) async fn delete(&self, manifest: &Manifest) -> Result<(), Failure> {
        Ok(manifest::delete(&self.s.client, manifest, self.within(CHANGE)).await?)
    }

    /// Waits for a ready pod that is not in `old`, and for its server. The manifest has no readiness probe, so the
    /// server may need longer than the pod.
    pub(super) async fn answering(&self, old: &[&Instance]) -> Result<Instance, Failure> {
        self.answering_within(old, START).await
    }

    pub(super) async fn answering_within(
        &self,
        old: &[&Instance],
        time: Duration,
    ) -> Result<Instance, Failure> {
        let before: Vec<String> = old.iter().map(|i| uid(&i.pod).to_owned()).collect();
        let is_new = move |pod: &&Pod| !before.iter().any(|old| old == uid(pod));
        let ready = wait::check("a new MySQL pod ready", |found: &[Pod]| {
            let new: Vec<&Pod> = found.iter().filter(&is_new).collect();
            if let Some(why) = new.iter().find_map(|pod| pods::hopeless(pod)) {
                return Verdict::Never(why);
            }
            let states = || pods::describe_all(new.iter().copied());
            Verdict::met_if(new.iter().any(|pod| pods::is_ready(pod)), || format!("new pods: {}", states()))
        });
        let ours = watcher::Config::default().labels(SELECTOR);
        let found = wait::until(self.pods.clone(), ours, ready, self.within(time)).await?.objects;
        let pod = found.into_iter().find(|pod| is_new(&pod) && pods::is_ready(pod));
        let pod = pod.ok_or("the pod that was ready is gone")?;
        let (ledger, _forward) = self.ledger_of(&pod).await?;
        let server = ledger.ready(self.within(START)).await?;
        Ok(Instance { pod, server })
    }

    /// Returns the ledger over a port-forward to one pod; it works as long as the port-forward lives.
    pub(super) async fn ledger_of(&self, pod: &Pod) -> Result<(Ledger, Forward), Failure> {
        let target = Target::Uid(uid(pod).to_owned());
        let forward = Forward::open(&self.s.client.stream, &self.s.namespace, target, PORT).await?;
        Ok((self.ledger.over(forward.route().clone()), forward))
    }

    pub(super) async fn read(&self, from: &Instance, reading: &str) -> Result<(), Failure> {
        let (ledger, _forward) = self.ledger_of(&from.pod).await?;
        ledger.read(reading, self.within(CHANGE)).await?;
        Ok(())
    }

    /// Waits until each writer got some more rows acknowledged, and the reader was answered.
    pub(super) async fn write_on(&self, traffic: &mut Traffic) -> Result<(), Failure> {
        if traffic.flows(ROWS, self.within(CHANGE)).await {
            return Ok(());
        }
        Err(format!("no {ROWS} rows of each writer were acknowledged in time: {:?}", traffic.tally()).into())
    }

    pub(super) async fn remove(&self, pod: &Pod) -> Result<(), Failure> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let (params, within) = (DeleteParams::default(), self.within(CHANGE));
        manifest::delete_exact(&self.pods, name, uid(pod), params, within).await?;
        Ok(())
    }

    pub(super) async fn gone(&self, pod: &Pod) -> Result<(), Failure> {
        let gone = pods::pods_gone([uid(pod).to_owned()]);
        let ours = watcher::Config::default().labels(SELECTOR);
        let s = self.s;
        wait::pods_until(&s.client, &s.namespace, ours, gone, self.within(START)).await?;
        Ok(())
    }

    pub(super) fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.s.client.stream.clone(), &self.s.namespace)
    }

    pub(super) fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.s.client.unary.clone(), &self.s.namespace)
    }

    pub(super) fn all_nodes(&self) -> Api<Node> {
        Api::all(self.s.client.stream.clone())
    }

    pub(super) fn within(&self, budget: Duration) -> Deadline {
        self.s.deadline().at_most(budget)
    }
}

/// Returns the budgets that follow from the topology's failure timing, from the call that stops a node.
pub(super) fn allowed(s: &Scenario) -> Allowed {
    let (timing, profile) = (s.cluster.topology.timing(), &s.images.profile);
    let budget = timing.node_loss();
    let unknown = CALL + timing.grace + timing.monitor_period;
    let call = format!("{:.1} s the call, until the last heartbeat", CALL.as_secs_f64());
    let fill = if profile == "offline" { FILL_DEBIANS } else { FILL };
    let filled = format!("{:.1} s until its server answers, profile {profile}", fill.as_secs_f64());
    let parts = budget.lines.iter().map(|(what, time)| format!("{:.1} s {what}", time.as_secs_f64()));
    Allowed {
        unknown: unknown.as_secs_f64(),
        // Evictions are rate-limited, and the node controller looks before each one.
        deletion: (unknown + timing.toleration + timing.monitor_period).as_secs_f64(),
        ready: (CALL + budget.total).as_secs_f64(),
        answers: Some((CALL + budget.total + fill).as_secs_f64()),
        arithmetic: std::iter::once(call).chain(parts).chain([filled]).collect(),
    }
}

pub(super) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

//! C9: the node of a StatefulSet's pod is stopped. This is a suite of its own because it needs a cluster for itself,
//! while the rest of part C shares one.

use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher;

use super::Suite;
use super::stateful_set::passes;
use crate::cluster::{Access, Budget, topology};
use crate::deadline::Deadline;
use crate::fault::OutOfService;
use crate::judge::stateful_set::facts::LookedAt;
use crate::judge::stateful_set::lost_node::STAYED;
use crate::judge::stateful_set::{C9, HELD, facts};
use crate::node::Node;
use crate::scenario::{Failure, Needs, Scenario};
use crate::wait::{self, Check, Verdict, nodes, pods};
use crate::workload::{Deployment, StatefulSet};

/// The suite.
pub static SUITE: Suite = Suite {
    about: "a StatefulSet's pod on a node that goes down: it stays until the node is declared gone",
    needs: Needs {
        name: "stateful-set-node",
        claims: &[&C9],
        access: Access::Exclusive,
        topology: &topology::THREE,
        cluster_suffix: None,
        budget: Duration::from_secs(15 * 60),
    },
    after_all: false,
    story: |s| story(s).boxed(),
};

const MANIFEST: &str = include_str!("stateful_set_node/solo.yaml");
const BESIDE: &str = include_str!("stateful_set_node/beside.yaml");
const NAME: &str = "solo";
const SELECTOR: &str = "app=solo";
const OTHER: (&str, &str) = ("beside", "app=beside");

/// Timeout for pods to start.
const START: Duration = Duration::from_secs(120);
/// Timeout for a change of an object, or for the recorder to catch up.
const CHANGE: Duration = Duration::from_secs(60);
/// Timeout for a stopped node to return, and for pods that were deleted in between to disappear.
const RETURN: Duration = Duration::from_secs(300);
/// Period of the pod garbage collector (`gcCheckPeriod` in Kubernetes' pkg/controller/podgc).
const COLLECTOR: Duration = Duration::from_secs(20);
/// Time for a pod to be scheduled, to start and to be ready on a busy machine.
const COME_UP: Duration = Duration::from_secs(30);

async fn story(s: &Scenario) -> Result<(), Failure> {
    let solo = Solo {
        s,
        set: StatefulSet::new(&s.client, &s.namespace, NAME, SELECTOR),
        other: Deployment::new(&s.client, &s.namespace, OTHER.0, OTHER.1),
    };
    let home = s.step("start the pods", START, solo.start()).await?;
    let fault = s.inject(&OutOfService::DECLARED_LATER, home, solo.within(CHANGE)).await?;
    let patience = s.cluster.topology.timing().node_loss().total + START;
    s.step("the Deployment's pod is replaced", patience, solo.wait_for_replacement(home)).await?;
    s.step("the set's pod stays", START, solo.stay(home)).await?;
    s.step("declare the node gone", START, solo.declare(home)).await?;
    s.mark("return");
    // The intent of the fault covers the taint too. The taint is removed first: nothing is evicted from the node when it
    // returns.
    OutOfService::withdraw(home, solo.within(CHANGE)).await?;
    s.step("bring the node back", RETURN, fault.heal(solo.within(RETURN))).await?;
    s.step("look at the pods again", RETURN, solo.look_again(home)).await?;
    s.prove(&C9).await;
    Ok(())
}

struct Solo<'s> {
    s: &'s Scenario,
    set: StatefulSet,
    other: Deployment,
}

impl<'s> Solo<'s> {
    /// Starts both workloads, and returns the node that both pods run on.
    async fn start(&self) -> Result<&'s Node, Failure> {
        let s = self.s;
        let manifest = s.manifest("stateful_set_node/solo.yaml", MANIFEST)?;
        s.apply(&manifest, self.within(CHANGE)).await?;
        wait::stateful_rollout(&s.client, &s.namespace, NAME, self.within(START)).await?;
        let other = s.manifest("stateful_set_node/beside.yaml", BESIDE)?;
        s.apply(&other, self.within(CHANGE)).await?;
        wait::rollout(&s.client, &s.namespace, OTHER.0, self.within(START)).await?;
        let pod = self.only(self.set.pods().await?)?;
        let other = self.only(self.other.pods().await?)?;
        let (home, other_home) = (node_of(&pod), node_of(&other));
        if home != other_home {
            return Err(format!(
                "not on one node: {} is on {home}, {} on {other_home}",
                pod.name_any(),
                other.name_any()
            )
            .into());
        }
        s.observe(&facts::POD_BEFORE, &pod);
        s.observe(&facts::OTHER_BEFORE, &other);
        let node = s.cluster.node(home);
        Ok(node.ok_or_else(|| format!("no node is called {home}"))?)
    }

    /// Waits until the node is unreachable, both pods are evicted, and the Deployment has a replacement.
    async fn wait_for_replacement(&self, home: &Node) -> Result<(), Failure> {
        let s = self.s;
        let lost = nodes::node_unreachable(&home.name);
        let all = Api::all(s.client.stream.clone());
        wait::until(all, watcher::Config::default(), lost, s.deadline()).await?;
        let pod = self.until(OTHER.1, ready_elsewhere(&home.name)).await?;
        s.observe(&facts::OTHER_AFTER, &pod);
        let evicted = wait::check(format!("{NAME}-0 evicted"), |found: &[Pod]| {
            let evicted = found.iter().any(|pod| pod.metadata.deletion_timestamp.is_some());
            Verdict::met_if(evicted, || pods::describe_all(found))
        });
        self.until(SELECTOR, evicted).await?;
        Ok(())
    }

    /// Makes the controller process the set repeatedly, while nothing should happen.
    async fn stay(&self, home: &Node) -> Result<(), Failure> {
        let s = self.s;
        passes(s, &self.set, STAYED, self.within(START)).await?;
        s.observe(&facts::POWER_WAITING, &power(home).await?);
        let pods = self.set.pods().await?;
        s.observe(&facts::POD_WAITING, &pods.iter().find(|p| node_of(p) == home.name));
        s.recorder.settle(self.within(CHANGE)).await;
        Ok(())
    }

    async fn declare(&self, home: &Node) -> Result<(), Failure> {
        let s = self.s;
        let budget = Budget::of([
            ("the pod garbage collector's next look", COLLECTOR),
            ("the new pod is scheduled, starts and is ready", COME_UP),
        ]);
        s.observe(&facts::MOVE_BUDGET, &budget.total.as_secs_f64());
        s.mark("declare");
        OutOfService::declare(home, self.within(CHANGE)).await?;
        let pod = self.until(SELECTOR, ready_elsewhere(&home.name)).await?;
        s.observe(&facts::POWER_MOVED, &power(home).await?);
        s.observe(&facts::POD_AFTER, &pod);
        s.observe(&facts::SET_MOVED, &self.set.object().await?);
        s.recorder.settle(self.within(CHANGE)).await;
        s.mark("moved");
        Ok(())
    }

    /// Records the pods again after the node has returned and has ended its old containers.
    async fn look_again(&self, home: &Node) -> Result<(), Failure> {
        let s = self.s;
        nodes::ready(&s.client, &home.name, self.within(RETURN)).await?;
        let alone = wait::check("no pod left on its way out", |found: &[Pod]| {
            let ending = found.iter().filter(|p| p.metadata.deletion_timestamp.is_some());
            let ending: Vec<&Pod> = ending.collect();
            Verdict::met_if(ending.is_empty() && found.len() == 1, || pods::describe_all(ending))
        });
        self.until(OTHER.1, alone).await?;
        passes(s, &self.set, HELD, self.within(START)).await?;
        s.observe(&facts::POD_RETURNED, &self.only(self.set.pods().await?)?);
        s.recorder.settle(self.within(CHANGE)).await;
        s.mark("returned");
        Ok(())
    }

    /// Waits for a check of the pods with a label. Returns the last ready pod as the API returned it, or none.
    async fn until(&self, selector: &str, check: impl Check<Pod>) -> Result<Option<Pod>, Failure> {
        let api = Api::<Pod>::namespaced(self.s.client.stream.clone(), &self.s.namespace);
        let labelled = watcher::Config::default().labels(selector);
        let found = wait::until(api, labelled, check, self.s.deadline()).await?.objects;
        Ok(found.into_iter().rfind(pods::is_ready))
    }

    fn only(&self, mut pods: Vec<DynamicObject>) -> Result<DynamicObject, Failure> {
        match (pods.pop(), pods.len()) {
            (Some(pod), 0) => Ok(pod),
            (_, more) => Err(format!("expected exactly one pod, found none, or one and {more} more").into()),
        }
    }

    fn within(&self, budget: Duration) -> Deadline {
        self.s.deadline().at_most(budget)
    }
}

/// Requires a ready pod on any other node.
fn ready_elsewhere(home: &str) -> impl Check<Pod> + use<> {
    let home = home.to_owned();
    wait::check(format!("a pod ready elsewhere than on {home}"), move |found: &[Pod]| {
        let node = |p: &Pod| p.spec.as_ref().and_then(|s| s.node_name.clone()).unwrap_or_default();
        let there = found.iter().any(|p| pods::is_ready(p) && node(p) != home);
        Verdict::met_if(there, || pods::describe_all(found))
    })
}

async fn power(node: &Node) -> Result<LookedAt, Failure> {
    let container = node.container().await?;
    Ok(LookedAt { node: node.name.clone(), power: container.power.name().into() })
}

fn node_of(pod: &DynamicObject) -> &str {
    pod.data["spec"]["nodeName"].as_str().unwrap_or_default()
}

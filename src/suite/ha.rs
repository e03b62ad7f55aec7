//! Part E: of three control planes the one that leads goes down and comes back, while the API is asked
//! all the time. What must not be done meanwhile is asked for, and refused.

use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node as KubeNode;
use kube::api::Api;
use kube::runtime::watcher;

use super::Suite;
use crate::cluster::{Access, Budget, HA};
use crate::deadline::Deadline;
use crate::event::{Event, Outcome};
use crate::fault::{Fault as _, StopNode, Target};
use crate::judge::Fact;
use crate::judge::ha::{Allowed, Container, DOWN, FAILED, LEADER, Member, RETURNED, Refused, TIMES};
use crate::judge::ha::{E1, E2, E3, E4, facts};
use crate::node::Node;
use crate::probe::{ApiProbe, api};
use crate::scenario::{Failure, Needs, Scenario};
use crate::wait::{self, nodes};

mod etcd;

/// The suite.
pub static SUITE: Suite = Suite {
    about: "three control planes: the one that leads is stopped and comes back, the API stays",
    needs: Needs {
        name: "ha",
        claims: &[&E1, &E2, &E3, &E4],
        access: Access::Exclusive,
        topology: &HA,
        cluster_suffix: None,
        budget: Duration::from_secs(20 * 60),
    },
    after_all: false,
    story: |s| story(s).boxed(),
};

/// For a question, or the recorder to catch up.
const ASK: Duration = Duration::from_secs(60);
/// For the probe to be answered so many times in a row.
const STEADY: Duration = Duration::from_secs(60);
/// Answers in a row after which the API counts as steady.
const IN_A_ROW: usize = 12;
/// For what is refused: each question goes to every control plane.
const REFUSE: Duration = Duration::from_secs(180);
/// For a control plane to come back whole on a busy machine.
const RETURN: Duration = Duration::from_secs(300);
/// Between two questions that nothing tells the answer of.
const LOOK: Duration = Duration::from_millis(500);

async fn story(s: &Scenario) -> Result<(), Failure> {
    let timing = s.cluster.topology.timing();
    let control_planes: Vec<&Node> = s.cluster.control_planes().collect();
    if control_planes.len() < 3 {
        return Err(format!("{} control planes: the loss of one is not borne", control_planes.len()).into());
    }
    // One stays connected, the other one comes through the load balancer each time.
    let probes = [
        ApiProbe::start(&s.client, s.log.clone()),
        ApiProbe::anew(s.cluster.kubeconfig.clone(), s.log.clone()),
    ];
    s.step("the API answers", STEADY, steady(s)).await?;
    let target = s.step("find the leader", ASK, find_leader(s)).await?;
    let others: Vec<&Node> = control_planes.iter().copied().filter(|p| p.name != target.name).collect();
    let notice = timing.leader_loss();
    s.observe(&facts::TARGET, &target.name);
    s.observe(&facts::ABSENCE_BUDGET, &absences(&timing.control_plane_loss(api::PATIENCE)));
    s.observe(&facts::NOTICE_BUDGET, &allowed(&notice));
    s.step("etcd is whole", RETURN, whole(s, &control_planes, &facts::MEMBERS_BEFORE)).await?;
    s.observe(&facts::OTHERS_BEFORE, &looked_at(s, &others).await?);

    s.mark(DOWN);
    let fault = s.inject(&StopNode::DEFAULT, target, s.deadline().at_most(ASK)).await?;
    // What the judge allows, and as much again to see by how much it was missed.
    let lost = nodes::node_unreachable(&target.name);
    let by_name = watcher::Config::default().fields(&format!("metadata.name={}", target.name));
    let watch = wait::until(Api::<KubeNode>::all(s.client.stream.clone()), by_name, lost, s.deadline());
    s.step("the lost node is noticed", notice.total * 2, async { Ok(watch.await?) }).await?;
    s.observe(&facts::LEADER_AFTER, &lease(s).await?);
    s.step("the API answers", STEADY, steady(s)).await?;
    s.step("ask for what must be refused", REFUSE, refused(s, &others)).await?;
    s.observe(&facts::OTHERS_AFTER, &looked_at(s, &others).await?);

    let back = s.deadline().at_most(RETURN);
    s.step("bring it back", RETURN, fault.heal(back)).await?;
    let served = s.step("it serves again", RETURN * 2, serves(s, target)).await?;
    s.observe(&facts::SERVED, &served);
    s.step("etcd is whole", RETURN, whole(s, &control_planes, &facts::MEMBERS_AFTER)).await?;
    s.step("the API answers", STEADY, steady(s)).await?;
    s.mark(RETURNED);
    for probe in probes {
        probe.stop().await;
    }
    for claim in SUITE.needs.claims {
        s.prove(claim).await;
    }
    Ok(())
}

fn allowed(budget: &Budget) -> Allowed {
    let line = |(what, time): &(String, Duration)| format!("{:.1} s  {what}", time.as_secs_f64());
    let (seconds, arithmetic) = (budget.total.as_secs_f64(), budget.lines.iter().map(line).collect());
    Allowed { seconds, away: None, failed: None, arithmetic }
}

/// What the API may be away: at a time, in all, and by the requests that fail.
fn absences(longest: &Budget) -> Allowed {
    let mut allowed = allowed(longest);
    let (away, share) = (TIMES * allowed.seconds, FAILED * 100.0);
    allowed.arithmetic.push(format!("{away:.1} s  in all: as it goes, and as it comes back"));
    allowed.arithmetic.push(format!("{share:.0} %  of the requests from the fault to the return may fail"));
    Allowed { away: Some(away), failed: Some(FAILED), ..allowed }
}

/// The control plane on which the controller-manager leads; its lease is a fact of the claim.
async fn find_leader(s: &Scenario) -> Result<&Node, Failure> {
    let lease = lease(s).await?;
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
    s.observe(&facts::LEADER_BEFORE, &lease);
    let name = holder.rsplit_once('_').map_or(holder.as_str(), |(node, _)| node);
    let found = s.cluster.control_planes().find(|p| p.name == name);
    found.ok_or_else(|| format!("{LEADER} is led by {holder:?}, which is no control plane here").into())
}

async fn lease(s: &Scenario) -> Result<Lease, Failure> {
    Ok(Api::namespaced(s.client.unary.clone(), "kube-system").get(LEADER).await?)
}

/// Waits until each probe was answered several times in a row: a failure after that is another one.
async fn steady(s: &Scenario) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(STEADY);
    let from = s.log.records().len();
    while !deadline.is_over() {
        let records = s.log.records();
        let new = &records[from.min(records.len())..];
        let is_steady = |name: &&str| {
            let samples = new.iter().rev().filter_map(|r| match &r.event {
                Event::Sampled { probe, outcome, .. } if probe == name => Some(*outcome),
                _ => None,
            });
            samples.take_while(|outcome| *outcome == Outcome::Acknowledged).count() >= IN_A_ROW
        };
        if [api::PROBE, api::ANEW].iter().all(is_steady) {
            return Ok(());
        }
        deadline.pause(LOOK).await;
    }
    Err(format!("the API did not answer {IN_A_ROW} times in a row").into())
}

/// E4: each other control plane, and the load balancer.
async fn refused(s: &Scenario, others: &[&Node]) -> Result<(), Failure> {
    let (members, left) = (others.len() + 1, others.len() - 1);
    let majority = format!("etcd with {members} members needs {}, and {left} would be left", members / 2 + 1);
    for other in others {
        // The word that makes a lone control plane a target helps nobody here.
        ask(s, &Target::from(*other).allow_last_control_plane(), &majority).await;
    }
    if let Some(balancer) = &s.cluster.load_balancer {
        ask(s, &Target::from(&balancer.node), "it is the load balancer").await;
    }
    Ok(())
}

/// Asks without doing: whatever the answer is, nothing is changed.
async fn ask(s: &Scenario, target: &Target, because: &str) {
    let answer =
        StopNode::DEFAULT.check(target, s.deadline().at_most(ASK)).await.err().map(|e| e.to_string());
    let asked = format!("to stop {}", target.node.name);
    let node = Some(target.node.name.clone());
    s.observe(&facts::REFUSED, &Refused { asked, node, answer, because: because.into() });
}

async fn looked_at(s: &Scenario, others: &[&Node]) -> Result<Vec<Container>, Failure> {
    let balancer = s.cluster.load_balancer.as_ref().map(|b| &b.node);
    let mut all = Vec::new();
    for node in others.iter().copied().chain(balancer) {
        let found = node.container().await?;
        all.push(Container {
            name: node.name.clone(),
            power: found.power.name().into(),
            started_at: found.started_at.map(|at| at.to_string()),
        });
    }
    Ok(all)
}

/// Whether the node is Ready as reported since its start, and its own API server says that it is, too.
async fn serves(s: &Scenario, node: &Node) -> Result<bool, Failure> {
    let deadline = s.deadline().at_most(RETURN);
    let started = node.container().await?.started_at;
    let ready = nodes::node_ready(&node.name, started);
    let by_name = watcher::Config::default().fields(&format!("metadata.name={}", node.name));
    wait::until(Api::<KubeNode>::all(s.client.stream.clone()), by_name, ready, deadline).await?;
    loop {
        let ready = node.api_serves(s.deadline().at_most(ASK)).await?;
        if ready || deadline.is_over() {
            return Ok(ready);
        }
        deadline.pause(LOOK).await;
    }
}

/// Waits until every member of etcd says that it is healthy; what they say last is a fact of the claim.
async fn whole(s: &Scenario, control_planes: &[&Node], fact: &Fact<Vec<Member>>) -> Result<(), Failure> {
    let deadline: Deadline = s.deadline().at_most(RETURN);
    loop {
        let members = etcd::members(control_planes, deadline.at_most(ASK)).await;
        let healthy = members.as_ref().is_ok_and(|all| all.iter().all(|m| m.healthy && m.votes));
        if healthy || deadline.is_over() {
            s.observe(fact, &members?);
            return Ok(());
        }
        deadline.pause(LOOK).await;
    }
}

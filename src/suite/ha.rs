//! Part E: of three control planes, the one that leads is stopped and comes back while probes ask the API. Faults that
//! would break the majority are requested during this time, and must be refused.

use std::future::ready;
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
use crate::retry;
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

/// Timeout for one request, or for the recorder to catch up.
const ASK: Duration = Duration::from_secs(60);
/// Timeout for the probes to be answered several times in a row.
const STEADY: Duration = Duration::from_secs(60);
/// Number of answers in a row after which the API counts as steady.
const IN_A_ROW: usize = 12;
/// Timeout for the refusals: each request asks every control plane.
const REFUSE: Duration = Duration::from_secs(180);
/// Timeout for a control plane to return completely on a busy machine.
const RETURN: Duration = Duration::from_secs(300);
/// Pause between two looks at a state that cannot be watched.
const LOOK: Duration = Duration::from_millis(500);

async fn story(s: &Scenario) -> Result<(), Failure> {
    let timing = s.cluster.topology.timing();
    let control_planes: Vec<&Node> = s.cluster.control_planes().collect();
    if control_planes.len() < 3 {
        return Err(format!(
            "the cluster has {} control planes: it can lose one only with at least 3",
            control_planes.len()
        )
        .into());
    }
    // One probe keeps its connection, the other opens a new one through the load balancer each time.
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
    // Twice what the judge allows, to measure by how much the budget was missed.
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

/// Adds the allowed sum of all absences and the allowed share of failed requests to a budget for one absence.
fn absences(longest: &Budget) -> Allowed {
    let mut allowed = allowed(longest);
    let (away, share) = (TIMES * allowed.seconds, FAILED * 100.0);
    allowed.arithmetic.push(format!("{away:.1} s  in all: as it goes, and as it comes back"));
    allowed.arithmetic.push(format!("{share:.0} %  of the requests from the fault to the return may fail"));
    Allowed { away: Some(away), failed: Some(FAILED), ..allowed }
}

/// Returns the control plane on which the controller-manager leads. Its Lease is recorded as a fact.
async fn find_leader(s: &Scenario) -> Result<&Node, Failure> {
    let lease = lease(s).await?;
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
    s.observe(&facts::LEADER_BEFORE, &lease);
    let name = holder.rsplit_once('_').map_or(holder.as_str(), |(node, _)| node);
    let found = s.cluster.control_planes().find(|p| p.name == name);
    found.ok_or_else(|| format!("Lease {LEADER} is held by {holder:?}, not by a control plane").into())
}

async fn lease(s: &Scenario) -> Result<Lease, Failure> {
    Ok(Api::namespaced(s.client.unary.clone(), "kube-system").get(LEADER).await?)
}

/// Waits until each probe was answered several times in a row, so a later failure has another cause.
async fn steady(s: &Scenario) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(STEADY);
    let from = s.log.records().len();
    let steady = || {
        let records = s.log.records();
        let new = &records[from.min(records.len())..];
        let is_steady = |name: &&str| {
            let samples = new.iter().rev().filter_map(|r| match &r.event {
                Event::Sampled { probe, outcome, .. } if probe == name => Some(*outcome),
                _ => None,
            });
            samples.take_while(|outcome| *outcome == Outcome::Acknowledged).count() >= IN_A_ROW
        };
        ready(if [api::PROBE, api::ANEW].iter().all(is_steady) { Ok(()) } else { Err(()) })
    };
    let steady = retry::until(deadline, retry::every(LOOK), steady).await;
    steady.map_err(|_| format!("the API did not answer {IN_A_ROW} times in a row").into())
}

/// E4: asks for a fault on each other control plane and on the load balancer.
async fn refused(s: &Scenario, others: &[&Node]) -> Result<(), Failure> {
    let (members, left) = (others.len() + 1, others.len() - 1);
    let majority = format!("etcd with {members} members needs {}, and {left} would be left", members / 2 + 1);
    for other in others {
        // The option that permits a fault on a lone control plane must not help here.
        ask(s, &Target::from(*other).allow_last_control_plane(), &majority).await;
    }
    if let Some(balancer) = &s.cluster.load_balancer {
        ask(s, &Target::from(&balancer.node), "it is the load balancer").await;
    }
    Ok(())
}

/// Requests a fault without injecting it: nothing changes, whatever the answer is.
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

/// Whether the node was reported as Ready since its start, and its own API server reports ready too.
async fn serves(s: &Scenario, node: &Node) -> Result<bool, Failure> {
    let deadline = s.deadline().at_most(RETURN);
    let started = node.container().await?.started_at;
    let ready = nodes::node_ready(&node.name, started);
    let by_name = watcher::Config::default().fields(&format!("metadata.name={}", node.name));
    wait::until(Api::<KubeNode>::all(s.client.stream.clone()), by_name, ready, deadline).await?;
    let serves = retry::try_until(deadline, retry::every(LOOK), || async {
        let serves = node.api_serves(s.deadline().at_most(ASK)).await?;
        Ok::<_, Failure>(if serves { Ok(()) } else { Err(()) })
    });
    Ok(serves.await?.is_ok())
}

/// Waits until every member of etcd reports healthy. The last reports are recorded as a fact.
async fn whole(s: &Scenario, control_planes: &[&Node], fact: &Fact<Vec<Member>>) -> Result<(), Failure> {
    let deadline: Deadline = s.deadline().at_most(RETURN);
    let members = retry::until(deadline, retry::every(LOOK), || async {
        match etcd::members(control_planes, deadline.at_most(ASK)).await {
            Ok(all) if all.iter().all(|m| m.healthy && m.votes) => Ok(all),
            other => Err(other),
        }
    });
    s.observe(fact, &members.await.or_else(|late| late.last)?);
    Ok(())
}

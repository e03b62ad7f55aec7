//! D4: the MySQL whose volume names its node. While that node is drained, the pod waits for the node instead of
//! starting elsewhere with an empty directory.
//!
//! The claim also reads: changes of Pods and Events; reading `after-upgrade`.

use serde_json::Value;

use super::lives::Life;
use super::{AFTER, DRAIN, MYSQL, StepCost, UNCORDON, costs, facts, gaps_since, lives};
use crate::event::Server;
use crate::judge::mysql::affinity::{check_pinned, names_affinity};
use crate::judge::mysql::node_of;
use crate::judge::mysql::replacement::moved_by_loss;
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing, durability};

pub(super) fn waited_for_its_node(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let volume = Object::observed(evidence, &facts::VOLUME)?;
    let before = Object::observed(evidence, &facts::MYSQL_BEFORE)?;
    let after = Object::observed(evidence, &facts::MYSQL_AFTER)?;
    let old: Server = evidence.fact(&facts::SERVER_BEFORE)?;
    let home = node_of(&before)?;
    check_pinned(finding, &volume, home);
    let costs = costs(evidence.records());
    drained(&costs, home)?;
    let of_pod = old.pod == before.name();
    finding.check(of_pod, format!("server {} before was asked in pod {}", old.uuid, old.pod));
    for (drain, open) in closed(&costs, home)? {
        let gaps = gaps_since(evidence.records(), drain, open.from, &["Event", "Pod"]);
        finding
            .part(|finding| finding.watched(&gaps, |finding| waited(evidence, finding, home, (drain, open))));
    }
    finding.check(
        moved_by_loss(node_of(&after)? == home, &before, &after)
            & after.ready()
            & (after.uid() != before.uid()),
        format!("pod {} serves on {}, pod {} was on {home}", after.name(), node_of(&after)?, before.name()),
    );
    let (_, read) = durability::before(evidence, AFTER)?;
    finding.check(
        !old.uuid.is_empty() && read.server.uuid == old.uuid && read.server.pod == after.name(),
        format!("server {} before, {} in pod {} now", old.uuid, read.server.uuid, read.server.pod),
    );
    Ok(())
}

/// Returns the first drain of a node in each hop, with the step that uncordoned the node.
fn closed<'c>(costs: &'c [StepCost], home: &str) -> Result<Vec<(&'c StepCost, &'c StepCost)>, Missing> {
    let of_home = |step: &str| {
        let step = step.to_owned();
        costs.iter().filter(move |c| c.step.step == step && c.step.node.as_deref() == Some(home))
    };
    let mut found: Vec<(&StepCost, &StepCost)> = Vec::new();
    for drain in of_home(DRAIN).filter(|c| c.ended.as_ref().is_some_and(|e| e.error.is_none())) {
        if found.iter().any(|(known, _)| known.step.to == drain.step.to) {
            continue;
        }
        let open = of_home(UNCORDON).find(|c| c.from >= drain.from);
        let open = open.ok_or_else(|| Missing(format!("{home} was not opened again")))?;
        found.push((drain, open));
    }
    Ok(found)
}

/// Checks that the replacement had no node until its own node was uncordoned, and that the scheduler reported why.
fn waited(
    evidence: &Evidence<'_>,
    finding: &mut Finding,
    home: &str,
    (drain, open): (&StepCost, &StepCost),
) -> Result<(), Missing> {
    let within = |life: &Life<'_>| life.began >= drain.from && life.began < open.to;
    let new: Vec<_> = lives(evidence.records(), MYSQL).into_iter().filter(within).collect();
    if new.is_empty() {
        return Err(Missing(format!("no replacement of MySQL's pod was recorded in the drain of {home}")));
    }
    let mut affinity = None;
    for (record, _, pod) in evidence.changes("Pod") {
        let Ok(pod) = Object::new(pod) else { continue };
        let Some(life) = new.iter().find(|l| l.uid == pod.uid()) else { continue };
        let at = record.mono_us as f64 / 1e6;
        if let Some(node) = pod.text("/spec/nodeName").filter(|_| at < open.from) {
            finding.check(false, format!("pod {} was given {node} while {home} was closed", life.name));
        }
        let said = pod.condition("PodScheduled").filter(|c| c.1 == "Unschedulable" && names_affinity(c.2));
        affinity = affinity.or(said.map(|c| (life, c.2)));
    }
    match affinity {
        None => finding.check(false, "no pod of MySQL was held up by the volume's node affinity"),
        Some((life, message)) => finding.check(
            true,
            format!("pod {} waited {:.1} s for {home}: {message}", life.name, open.from - life.began),
        ),
    };
    let told = evidence.changes("Event").into_iter().find(|(_, _, event)| {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let uid = text("/involvedObject/uid");
        text("/reason") == "FailedScheduling"
            && new.iter().any(|l| l.uid == uid)
            && names_affinity(text("/message"))
    });
    finding.check(
        told.is_some(),
        match told {
            Some(_) => "FailedScheduling names the volume's node affinity",
            None => "no FailedScheduling of MySQL's pod names the volume's node affinity",
        },
    );
    Ok(())
}

/// Returns the completed drain of a node: without one, nothing is proved about the workloads on that node.
pub(super) fn drained<'c>(costs: &'c [StepCost], home: &str) -> Result<&'c StepCost, Missing> {
    let done = |c: &&StepCost| c.ended.as_ref().is_some_and(|e| e.error.is_none());
    let of_home = |c: &&StepCost| c.step.step == DRAIN && c.step.node.as_deref() == Some(home);
    let found = costs.iter().filter(done).find(of_home);
    found.ok_or_else(|| Missing(format!("no drain of {home} was recorded")))
}

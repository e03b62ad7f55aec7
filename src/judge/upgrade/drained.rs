//! D3: nodes are cordoned, evictions honour the budgets, and nodes come back.

use super::facts::{self, KeptBudget};
use super::lives::own;
use super::{
    Change, DRAIN, Event, Evidence, Finding, Holds, Missing, Object, Record, SET, STRETCH_END, StepCost,
    Touched, UNCORDON, WEB, costs, gaps_in_drains, lives, names, seconds_between,
};
use crate::judge::availability;

/// D3.
pub(super) fn come_back(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let costs = costs(evidence.records());
    let drains: Vec<&StepCost> = costs.iter().filter(|c| c.step.step == DRAIN).collect();
    let workers: Vec<String> = evidence.fact(&facts::WORKERS)?;
    if workers.is_empty() {
        return Err(Missing("no worker was to be drained".into()));
    }
    finding.part(|finding| forbidden(evidence, finding, &drains));
    let gaps = gaps_in_drains(evidence.records(), &costs, &["Node", "Pod"]);
    finding.watched(&gaps, |finding| seen(evidence, finding, &costs, (&drains, &workers)))?;
    finding.part(|finding| {
        let spread = Object::list(evidence, &facts::SPREAD)?;
        for node in &workers {
            let here: Vec<&str> = spread
                .iter()
                .filter(|p| p.text("/spec/nodeName") == Some(node) && p.is_ready())
                .map(Object::name)
                .collect();
            // A pod that is not ready or missing on this node may have lost its node.
            let lost = spread.first().map(|pod| Touched::pod(node, "", pod.span()));
            finding.check(Holds::or(!here.is_empty(), lost), format!("on {node} again: {}", names(&here)));
        }
        Ok(())
    });
    finding.summary(format!("{} were drained one after another and take pods again", names(&workers)));
    Ok(())
}

/// Checks what the watches of pods and nodes recorded.
fn seen(
    evidence: &Evidence<'_>,
    finding: &mut Finding,
    costs: &[StepCost],
    (drains, workers): (&[&StepCost], &[String]),
) -> Result<(), Missing> {
    let done = |c: &&&StepCost| c.ended.as_ref().is_some_and(|e| e.error.is_none());
    for node in workers {
        // Each hop drains each worker. A resumed hop may drain a worker again, when no pods are left to move.
        let mut hops: Vec<&StepCost> = Vec::new();
        for drain in drains.iter().filter(done).filter(|c| c.step.node.as_ref() == Some(node)) {
            if !hops.iter().any(|known| known.step.to == drain.step.to) {
                hops.push(drain);
            }
        }
        if hops.is_empty() {
            return Err(Missing(format!("no drain of {node} was recorded")));
        }
        for drain in hops {
            let open = costs.iter().find(|c| {
                c.step.step == UNCORDON && c.step.node.as_ref() == Some(node) && c.from >= drain.to - 1e-6
            });
            let open = open.ok_or_else(|| Missing(format!("{node} was not opened again")))?;
            cordoned(evidence, finding, node, drain.from, open);
            emptied(evidence.records(), finding, node, drain);
        }
        opened(evidence, finding, node);
    }
    finding.part(|finding| honoured(evidence, finding, costs));
    finding.part(|finding| given_back(evidence, finding, drains));
    Ok(())
}

/// Checks that the node was cordoned for its drain.
fn cordoned(evidence: &Evidence<'_>, finding: &mut Finding, node: &str, from: f64, open: &StepCost) {
    let mut closed = false;
    for (record, _, object) in evidence.changes("Node") {
        let at = record.mono_us as f64 / 1e6;
        if object["metadata"]["name"] == node && at <= open.to {
            let cordoned = object["spec"]["unschedulable"] == true;
            // If the node was cordoned already when its drain began, this counts until it is uncordoned.
            closed = if at < from { cordoned } else { closed || cordoned };
        }
    }
    finding.check(
        closed,
        format!("{node} was {} for its drain", if closed { "cordoned" } else { "not cordoned" }),
    );
}

/// Checks that the node takes pods again.
fn opened(evidence: &Evidence<'_>, finding: &mut Finding, node: &str) {
    let last =
        evidence.changes("Node").into_iter().rfind(|(_, _, object)| object["metadata"]["name"] == node);
    let is_open = last.is_some_and(|(_, _, object)| object["spec"]["unschedulable"] != true);
    finding.check(is_open, format!("{node} is {} in the end", if is_open { "open" } else { "cordoned" }));
}

/// Checks that the pods of the Deployment and the StatefulSet that were on the node when its drain began ended with it.
/// If no such pod was there, the drain proves nothing. An earlier drain that was given up may have moved the
/// Deployment's pods, but those of the StatefulSet come back to the node that has their volumes.
fn emptied(records: &[Record], finding: &mut Finding, node: &str, drain: &StepCost) {
    let all = [WEB, SET].into_iter().flat_map(|label| lives(records, label));
    let there: Vec<_> = all
        .filter(|l| l.node == node && l.began < drain.from && l.ending.is_none_or(|at| at >= drain.from))
        .collect();
    let stayed: Vec<&str> = there
        .iter()
        .filter(|l| l.ending.is_none_or(|at| at > drain.to + super::SLACK))
        .map(|l| l.name)
        .collect();
    let there: Vec<&str> = there.iter().map(|l| l.name).collect();
    if there.is_empty() {
        finding.unsure(format!("no pod was on {node} that its drain could move"));
    } else if stayed.is_empty() {
        finding.check(true, format!("the drain moved {} away from {node}", names(&there)));
    } else {
        finding.check(false, format!("{} stayed on {node}", names(&stayed)));
    }
}

/// Checks that the Deployment's budget was kept at every moment of the upgrade.
fn honoured(evidence: &Evidence<'_>, finding: &mut Finding, costs: &[StepCost]) -> Result<(), Missing> {
    let KeptBudget { name, least } = evidence.fact(&facts::BUDGET)?;
    let (from, to) = (costs.first().map_or(0.0, |c| c.from), costs.last().map_or(0.0, |c| c.to));
    let mut ready: std::collections::BTreeMap<&str, bool> = Default::default();
    let mut counts: Vec<(f64, i64)> = Vec::new();
    let own = own(evidence.records());
    for (record, change, object) in evidence.changes("Pod") {
        let Ok(pod) = Object::new(object) else { continue };
        let is_ours = own.is_none() || pod.text("/metadata/namespace") == own;
        if pod.label(WEB.0) != Some(WEB.1) || !is_ours {
            continue;
        }
        let at = record.mono_us as f64 / 1e6;
        if at > to {
            break;
        }
        ready.insert(pod.uid(), change != Change::Deleted && pod.is_ready());
        if at >= from {
            let now = i64::try_from(ready.values().filter(|r| **r).count()).unwrap_or(i64::MAX);
            counts.push((at, now));
        }
    }
    if counts.is_empty() {
        return Err(Missing("no change of the Deployment's pods was recorded".into()));
    }
    let (fewest, enough) = availability::fewest(&counts, least);
    finding.check(
        enough,
        format!("PodDisruptionBudget {name}: fewest pods ready {fewest}, at least {least} must be"),
    );
    Ok(())
}

/// Checks that a budget that forbids the eviction stopped the drain, and that the error names pod and budget.
fn forbidden(evidence: &Evidence<'_>, finding: &mut Finding, drains: &[&StepCost]) -> Result<(), Missing> {
    let name = evidence.fact(&facts::FORBIDDING)?;
    let (_, error) = given_up(drains, &name)?;
    finding.check(is_forbidden(error, &name), format!("the drain that {name} forbade stopped with: {error}"));
    Ok(())
}

/// Splits a drain's error at the budgets that forbid an eviction; none if the error names no budget. A pod's name may
/// begin with the name of its budget, so the name alone proves nothing.
fn of_budgets(error: &str) -> Option<(&str, &str)> {
    error.split_once("PodDisruptionBudget")
}

/// Whether a drain's error names a pod, and this budget as one that forbids the pod's eviction.
fn is_forbidden(error: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/');
    of_budgets(error).is_some_and(|(before, said)| {
        before.contains("pod ") && said.split(|c: char| !is_part(c)).any(|word| word == name)
    })
}

/// Returns the drain that was given up because of this budget, with its error; otherwise the first drain that any
/// budget forbade. A drain that ended for another reason, or because the API did not answer, was not forbidden.
fn given_up<'c>(drains: &[&'c StepCost], name: &str) -> Result<(&'c StepCost, &'c str), Missing> {
    let failed = || drains.iter().filter_map(|c| Some((*c, c.ended.as_ref()?.error.as_deref()?)));
    let forbidden = failed().find(|(_, error)| is_forbidden(error, name));
    let another = || failed().find(|(_, error)| of_budgets(error).is_some());
    forbidden.or_else(another).ok_or_else(|| match failed().next() {
        Some((_, error)) => Missing(format!("no drain was forbidden by {name}: one stopped with: {error}")),
        None => Missing("no drain was forbidden".into()),
    })
}

/// Checks that the node of that drain was uncordoned again.
fn given_back(evidence: &Evidence<'_>, finding: &mut Finding, drains: &[&StepCost]) -> Result<(), Missing> {
    let (drain, _) = given_up(drains, &evidence.fact(&facts::FORBIDDING)?)?;
    let node = drain.step.node.as_deref().unwrap_or_default();
    let is_end = |r: &&Record| {
        let at = r.mono_us as f64 / 1e6;
        matches!(&r.event, Event::UpgradeStepEnded(e) if at >= drain.from && Some(e) == drain.ended.as_ref())
    };
    let end = evidence.records().iter().find(is_end);
    let end = end.ok_or_else(|| Missing("the end of that drain was not recorded".into()))?;
    // The watch may be a moment behind the API's answer; the stretch ends when the recorder has caught up.
    let caught_up = |r: &&Record| {
        let is_mark = matches!(&r.event, Event::Marked { mark } if mark == STRETCH_END);
        is_mark && r.mono_us >= end.mono_us
    };
    let caught_up = evidence.records().iter().find(caught_up);
    let until = caught_up.map_or(super::SLACK, |mark| seconds_between(end, mark).max(super::SLACK));
    let last = evidence
        .changes("Node")
        .into_iter()
        .rfind(|(r, _, o)| o["metadata"]["name"] == node && seconds_between(end, r) <= until);
    let open = last.map(|(_, _, o)| o["spec"]["unschedulable"] != true);
    match open {
        None => finding.unsure(format!("nothing was seen of {node} then")),
        Some(open) => finding
            .check(open, format!("{node} was {} then", if open { "opened again" } else { "left cordoned" })),
    };
    Ok(())
}

//! D3: cordon, eviction with budgets honoured, the way back.

use super::{
    Change, DRAIN, Event, Evidence, Finding, Missing, Object, Record, SET, StepCost, UNCORDON, WEB, costs,
    gaps_in_drains, lives, names, seconds_between,
};

/// D3.
pub(super) fn come_back(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let costs = costs(evidence.records());
    let drains: Vec<&StepCost> = costs.iter().filter(|c| c.step.step == DRAIN).collect();
    let workers: Vec<String> = evidence.get("workers")?;
    if workers.is_empty() {
        return Err(Missing("no worker was to be drained".into()));
    }
    let gaps = gaps_in_drains(evidence.records(), &costs, &["Node", "Pod"]);
    finding.watched(&gaps, |finding| seen(evidence, finding, &costs, (&drains, &workers)))?;
    finding.part(|finding| {
        let spread = Object::list(evidence, "spread")?;
        for node in &workers {
            let here: Vec<&str> = spread
                .iter()
                .filter(|p| p.text("/spec/nodeName") == Some(node) && p.is_ready())
                .map(Object::name)
                .collect();
            finding.check(!here.is_empty(), format!("on {node} again: {}", names(&here)));
        }
        Ok(())
    });
    finding.summary(format!("{} were drained one after another and take pods again", names(&workers)));
    Ok(())
}

/// What the watches of pods and nodes saw.
fn seen(
    evidence: &Evidence<'_>,
    finding: &mut Finding,
    costs: &[StepCost],
    (drains, workers): (&[&StepCost], &[String]),
) -> Result<(), Missing> {
    let done = |c: &&&StepCost| c.ended.as_ref().is_some_and(|e| e.error.is_none());
    for node in workers {
        let drain = drains.iter().filter(done).find(|c| c.step.node.as_ref() == Some(node));
        let drain = drain.ok_or_else(|| Missing(format!("no drain of {node} was recorded")))?;
        let open = costs.iter().find(|c| {
            c.step.step == UNCORDON && c.step.node.as_ref() == Some(node) && c.from >= drain.to - 1e-6
        });
        let open = open.ok_or_else(|| Missing(format!("{node} was not opened again")))?;
        cordoned(evidence, finding, node, drain.from, open);
        emptied(evidence.records(), finding, node, drain);
    }
    finding.part(|finding| honoured(evidence, finding, costs));
    finding.part(|finding| forbidden(evidence, finding, drains));
    Ok(())
}

/// The node was closed for its drain and is open afterwards.
fn cordoned(evidence: &Evidence<'_>, finding: &mut Finding, node: &str, from: f64, open: &StepCost) {
    let (mut closed, mut now) = (false, None);
    for (record, _, object) in evidence.changes("Node") {
        if object["metadata"]["name"] != node {
            continue;
        }
        let cordoned = object["spec"]["unschedulable"] == true;
        let at = record.mono_us as f64 / 1e6;
        closed |= cordoned && at >= from && at <= open.to;
        now = Some(cordoned);
    }
    finding.check(
        closed,
        format!("{node} was {} for its drain", if closed { "cordoned" } else { "not cordoned" }),
    );
    let is_open = now == Some(false);
    finding.check(is_open, format!("{node} is {} in the end", if is_open { "open" } else { "cordoned" }));
}

/// The pods of the Deployment and the StatefulSet that were on the node when its drain began ended with
/// it. Where there was none, the drain showed nothing: a drain that was given up before may have moved the
/// Deployment's, but the StatefulSet's come back to the node that has their volumes.
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

/// The Deployment's budget was kept at every moment of the upgrade.
fn honoured(evidence: &Evidence<'_>, finding: &mut Finding, costs: &[StepCost]) -> Result<(), Missing> {
    let budget = evidence.value("budget")?;
    let missing = || Missing("`budget` has no name or no least number".into());
    let (name, least) =
        (budget["name"].as_str().ok_or_else(missing)?, budget["least"].as_i64().ok_or_else(missing)?);
    let (from, to) = (costs.first().map_or(0.0, |c| c.from), costs.last().map_or(0.0, |c| c.to));
    let mut ready: std::collections::BTreeMap<&str, bool> = Default::default();
    let mut fewest: Option<i64> = None;
    for (record, change, object) in evidence.changes("Pod") {
        let Ok(pod) = Object::new(object) else { continue };
        if pod.label(WEB.0) != Some(WEB.1) {
            continue;
        }
        let at = record.mono_us as f64 / 1e6;
        if at > to {
            break;
        }
        ready.insert(pod.uid(), change != Change::Deleted && pod.is_ready());
        if at >= from {
            let now = i64::try_from(ready.values().filter(|r| **r).count()).unwrap_or(i64::MAX);
            fewest = Some(fewest.map_or(now, |f| f.min(now)));
        }
    }
    let fewest = fewest.ok_or_else(|| Missing("no change of the Deployment's pods was recorded".into()))?;
    finding.check(
        fewest >= least,
        format!("PodDisruptionBudget {name}: fewest pods ready {fewest}, at least {least} must be"),
    );
    Ok(())
}

/// A budget that forbids the eviction made the drain stop, with pod and budget named, and the node was
/// opened again.
fn forbidden(evidence: &Evidence<'_>, finding: &mut Finding, drains: &[&StepCost]) -> Result<(), Missing> {
    let name =
        evidence.value("forbidding")?.as_str().ok_or_else(|| Missing("`forbidding` is no name".into()))?;
    let failed = drains.iter().find_map(|c| Some((c, c.ended.as_ref()?.error.as_ref()?)));
    let (drain, error) = failed.ok_or_else(|| Missing("no drain was forbidden".into()))?;
    finding.check(
        error.contains(name) && error.contains("pod "),
        format!("the drain that {name} forbade stopped with: {error}"),
    );
    let node = drain.step.node.as_deref().unwrap_or_default();
    let end = evidence
        .records()
        .iter()
        .find(|r| matches!(&r.event, Event::UpgradeStepEnded(e) if e.error.is_some() && e.step == DRAIN));
    let end = end.ok_or_else(|| Missing("the end of that drain was not recorded".into()))?;
    // The watch may be a moment behind the answer.
    let last = evidence
        .changes("Node")
        .into_iter()
        .rfind(|(r, _, o)| o["metadata"]["name"] == node && seconds_between(end, r) <= super::SLACK);
    let open = last.map(|(_, _, o)| o["spec"]["unschedulable"] != true);
    match open {
        None => finding.unsure(format!("nothing was seen of {node} then")),
        Some(open) => finding
            .check(open, format!("{node} was {} then", if open { "opened again" } else { "left cordoned" })),
    };
    Ok(())
}

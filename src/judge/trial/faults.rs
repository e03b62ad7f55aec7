//! `fault`: the application survives each fault of a step, and is complete after its healing.

use super::facts::{self, FaultStep, Workload};
use super::fault::Fault;
use super::node_loss::{self, Loss};
use super::requests::{self, Hit};
use super::rules::{self, WorkloadRule};
use super::state::State;
use super::workloads::check_complete;
use super::{check_settled, kinds, summarise, workloads};
use crate::event::{Effect, Event, Record};
use crate::judge::availability::LAG;
use crate::judge::index::Of;
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing};

/// Judges `fault`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let workloads = workloads(evidence)?;
    let steps = steps(evidence)?;
    let rules = rules::of_workloads(finding, evidence)?;
    for step in &steps {
        finding.part(|finding| check(finding, evidence, &workloads, (step, &rules)));
    }
    let faults: Vec<(&FaultStep, Fault<'_>)> =
        steps.iter().filter_map(|step| Some((step, lost(evidence, step)?))).collect();
    let overs: Vec<String> = faults.iter().map(|(step, _)| step.over()).collect();
    let losses: Vec<Loss<'_, '_>> =
        faults.iter().zip(&overs).map(|((step, fault), over)| loss(step, over, fault, &rules)).collect();
    // A later fault may be the one that an expectation is about.
    let planned = evidence.fact(&facts::EXPECTED)?.faults.unwrap_or_default();
    if steps.len() >= planned || evidence.mark("clean").is_ok() {
        node_loss::check_rules_met(finding, evidence, &rules, &losses);
    }
    summarise(finding, &workloads);
    Ok(())
}

/// Returns the faults of steps of their own.
///
/// # Errors
/// [`Missing`] if no fault was recorded, or fewer than began.
pub(super) fn steps(evidence: &Evidence<'_>) -> Result<Vec<FaultStep>, Missing> {
    let steps = evidence.facts(&facts::FAULTS);
    let is_begun = |mark: &str| mark.strip_prefix("fault ").is_some_and(|rest| rest.parse::<usize>().is_ok());
    let marks = evidence.all(Of::Marks).filter_map(|record| match &record.event {
        Event::Marked { mark } => Some(mark.as_str()),
        _ => None,
    });
    let begun = marks.filter(|mark| is_begun(mark)).count();
    let recorded = steps.as_ref().map_or(0, Vec::len);
    if begun != recorded {
        let name = facts::FAULTS.name();
        return Err(Missing(format!("{begun} faults began, and `{name}` has {recorded}")));
    }
    steps
}

/// Returns when the fault on a node was healed, in seconds on the records' clock.
fn end(evidence: &Evidence<'_>, node: &str, (over, healed): (&str, &str)) -> Result<f64, Missing> {
    let is_it = |r: &&Record| matches!(&r.event, Event::FaultHealed { node: of, .. } if of == node);
    let found = evidence.between(over, healed)?.iter().rev().find(is_it);
    let found = found.ok_or_else(|| Missing(format!("the healing of {node} was not recorded")))?;
    Ok(found.mono_us as f64 / 1e6)
}

/// Returns when it was first seen that a container of the fault's pod had ended, in seconds on the records' clock.
fn noticed(evidence: &Evidence<'_>, step: &FaultStep, fault: &Fault<'_>) -> Result<Option<f64>, Missing> {
    let is_it = |pod: &Object<'_>| step.pod.as_deref().is_some_and(|named| pod.is_called(named));
    let before = State::at(evidence, &step.step)?;
    let count = before.of_kind("Pod").find(is_it).map_or(0, |pod| pod.restarts());
    let changes = evidence.between(&step.step, &step.healed())?.iter().filter_map(|record| {
        let Event::ObjectChanged { kind, object, .. } = &record.event else { return None };
        let pod = Object::new(object).ok().filter(|pod| kind == "Pod" && is_it(pod))?;
        Some((record.mono_us as f64 / 1e6, pod))
    });
    let mut ended =
        changes.filter(|(at, pod)| *at >= fault.at && (!pod.is_ready() || pod.restarts() > count));
    Ok(ended.next().map(|(at, _)| at))
}

/// Returns the fault of a step that took its node away.
fn lost<'r>(evidence: &Evidence<'r>, step: &FaultStep) -> Option<Fault<'r>> {
    let is_loss = step.effect().is_some_and(Effect::is_loss);
    Fault::named(evidence, (&step.fault, &step.node), (&step.step, &step.over())).ok().filter(|_| is_loss)
}

fn loss<'e, 'r>(
    step: &'e FaultStep,
    over: &'e str,
    fault: &'e Fault<'r>,
    rules: &'e [WorkloadRule],
) -> Loss<'e, 'r> {
    let releases = step.fault == "out-of-service";
    Loss { marks: (&step.step, over), fault, budget: Some(step.budget), releases, rules }
}

/// Checks one fault: what happened until it was healed, and what there was afterwards.
fn check(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    workloads: &[Workload],
    (step, rules): (&FaultStep, &[WorkloadRule]),
) -> Result<(), Missing> {
    let FaultStep { step: from, fault: name, node, .. } = step;
    let (over, healed) = (step.over(), step.healed());
    let effect = step.effect().ok_or_else(|| Missing(format!("`{from}`: fault {name} is not known here")))?;
    let marks = (from.as_str(), over.as_str());
    let fault = Fault::named(evidence, (name, node), marks)?;
    match effect {
        Effect::Down => fault.check(finding, evidence, marks)?,
        _ => {
            let at = step.pod.as_ref().map_or(node.clone(), |pod| format!("pod {pod} on {node}"));
            finding.check(true, format!("`{name}` took hold of {at}"));
            fault.check_open(finding, evidence, marks)?;
        }
    }
    let read = kinds(workloads, &["Node", "PersistentVolume", "PersistentVolumeClaim"]);
    let gaps = evidence.gaps(evidence.between(from, &healed)?, &read);
    finding.watched(&gaps, |finding| {
        for workload in workloads {
            if effect.is_loss() {
                let loss = loss(step, &over, &fault, rules);
                finding.part(|f| node_loss::check(f, evidence, workload, &loss));
            }
            finding.part(|f| check_complete(f, evidence, &healed, workload));
        }
    });
    for workload in workloads {
        finding.part(|f| check_settled(f, evidence, from, workload));
    }
    let until = match effect {
        // Nothing takes a slow node's pods out of a Service.
        Effect::Strained => Some(end(evidence, node, (&over, &healed))? + LAG),
        // A container that ended is noticed at once.
        Effect::Container => noticed(evidence, step, &fault)?.map(|at| at + LAG),
        _ => None,
    };
    // Some faults are over or healed within a second, which is too short for a window of its own.
    let whole = (from.as_str(), healed.as_str());
    if effect == Effect::Deleted {
        requests::check(finding, evidence, whole.0, whole.1);
    } else {
        let hit = Hit { fault: &fault, pod: step.pod.as_deref(), until };
        requests::check_with_hit(finding, evidence, whole, &hit, effect.is_on_node().then_some(node));
    }
    Ok(())
}

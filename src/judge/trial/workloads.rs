//! Whether a workload is complete, by its own status and by its pods.

use std::collections::BTreeSet;

use super::facts::Workload;
use super::state::{LATELY, State, at_mark, declared, declared_lately, node_of};
use crate::judge::lost::Touched;
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Holds, Missing};

/// Checks that a workload is complete at a mark, by its status and by its pods.
pub fn check_complete(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    mark: &str,
    workload: &Workload,
) -> Result<(), Missing> {
    super::state::uid(evidence, mark, workload)?;
    let span = evidence.mark(mark)?.mono_us as f64 / 1e6;
    let checks = at_mark(evidence, mark, |state| match state.object(workload) {
        Some(object) => grown(evidence, (state, span), workload, &object)
            .unwrap_or_else(|| checks(state, workload, &object)),
        None if had_ended(evidence, workload, f64::INFINITY) => {
            vec![(true.into(), format!("{} had ended before it was deleted", workload.title()))]
        }
        None if workload.kind == "Pod" => {
            let what = format!("{} is gone: nothing replaces a bare pod", workload.title());
            vec![(Holds::of_any(false, (span, span)), what)]
        }
        None => vec![(false.into(), format!("{} is gone at `{mark}`", workload.title()))],
    })?;
    checks.into_iter().for_each(|(holds, what)| _ = finding.check(holds, what));
    Ok(())
}

/// Returns the check of a workload whose count was raised lately, if it is not complete yet: an autoscaler may do that at any time.
fn grown(
    evidence: &Evidence<'_>,
    (state, at): (&State<'_>, f64),
    workload: &Workload,
    object: &Object<'_>,
) -> Option<Vec<(Holds, String)>> {
    let least = declared_lately(evidence, state, workload, object, at)?;
    let now = declared(&workload.kind, object)?;
    if least >= now || checks(state, workload, object).iter().all(|(holds, _)| holds.is_met()) {
        return None;
    }
    let ready = state.staying(object.uid()).iter().filter(|pod| pod.is_ready()).count() as i64;
    let what = format!(
        "{} was scaled from {least} to {now} within the last {LATELY:.0} s: {ready} pods ready",
        workload.title()
    );
    Some(vec![((ready >= least).into(), what)])
}

/// Whether a Job was complete, or a bare pod had succeeded, in a state that was recorded until a second: a Job may have a time to
/// live, and a drain deletes pods that are done.
pub fn had_ended(evidence: &Evidence<'_>, workload: &Workload, until: f64) -> bool {
    let all = evidence.changes(&workload.kind).into_iter();
    let states = all
        .filter(|(record, ..)| record.mono_us as f64 / 1e6 <= until)
        .filter_map(|(_, _, state)| Object::new(state).ok());
    let mut own = states.filter(|o| {
        o.name() == workload.name && o.text("/metadata/namespace") == Some(workload.namespace.as_str())
    });
    own.any(|object| match workload.kind.as_str() {
        "Job" => object.condition("Complete").is_some_and(|condition| condition.0 == "True"),
        "Pod" => object.text("/status/phase") == Some("Succeeded"),
        _ => false,
    })
}

/// Returns the checks that a workload is complete.
pub fn checks(state: &State<'_>, workload: &Workload, object: &Object<'_>) -> Vec<(Holds, String)> {
    let title = workload.title();
    let (met, what) = by_status(&workload.kind, object);
    let by_status = match workload.kind.as_str() {
        "Pod" => Holds::of_pod(met, object),
        "Job" => met.into(),
        _ => Holds::of_counts(met, object),
    };
    let mut checks = vec![(by_status, format!("{title} {what}"))];
    if let Some(declared) = declared(&workload.kind, object) {
        checks.push(by_pods(state, &title, object, declared));
    }
    checks
}

/// Whether a workload waits for its pods to be deleted before it updates them.
pub fn is_on_delete(object: &Object<'_>) -> bool {
    object.text("/spec/updateStrategy/type") == Some("OnDelete")
}

/// Returns the lowest ordinal that a StatefulSet's rollout updates.
pub fn partition(set: &Object<'_>) -> i64 {
    set.number("/spec/updateStrategy/rollingUpdate/partition")
}

fn by_status(kind: &str, object: &Object<'_>) -> (bool, String) {
    match kind {
        "Job" => {
            let (complete, failed) = (object.condition("Complete"), object.condition("Failed"));
            let is = |condition: Option<(&str, &str, &str)>| condition.is_some_and(|c| c.0 == "True");
            match failed.filter(|_| is(failed)) {
                Some((_, reason, message)) => (false, format!("failed ({reason}: {message})")),
                None => (is(complete), format!("has condition Complete: {}", is(complete))),
            }
        }
        "Pod" => {
            let phase = object.text("/status/phase").unwrap_or("absent");
            let met = object.is_ready() || phase == "Succeeded";
            (met, format!("is ready: {}, phase {phase}", object.is_ready()))
        }
        _ => of_pods(kind, object),
    }
}

/// Whether the status of a workload with pods is complete.
fn of_pods(kind: &str, object: &Object<'_>) -> (bool, String) {
    let wanted = declared(kind, object).unwrap_or_default();
    let (generation, observed) =
        (object.number("/metadata/generation"), object.number("/status/observedGeneration"));
    let mut counted: Vec<(&str, i64, i64)> = match kind {
        "Deployment" => {
            ["updatedReplicas", "availableReplicas", "replicas"].map(|f| (f, wanted, wanted)).into()
        }
        "StatefulSet" => vec![("readyReplicas", wanted, wanted), ("replicas", wanted, wanted)],
        "DaemonSet" => ["numberReady", "numberAvailable"].map(|f| (f, wanted, wanted)).into(),
        _ => ["readyReplicas", "availableReplicas", "replicas"].map(|f| (f, wanted, wanted)).into(),
    };
    match kind {
        "DaemonSet" if !is_on_delete(object) => counted.push(("updatedNumberScheduled", wanted, wanted)),
        "StatefulSet" if !is_on_delete(object) => {
            counted.push(("updatedReplicas", (wanted - partition(object)).max(0), wanted));
        }
        _ => {}
    }
    let value = |field: &str| object.number(&format!("/status/{field}"));
    let mut met = observed >= generation;
    let mut words = vec![format!("generation {observed} of {generation} observed")];
    for (field, least, most) in counted {
        met &= (least..=most).contains(&value(field));
        words.push(format!("{field} {} of {wanted}", value(field)));
    }
    if kind == "StatefulSet" && !is_on_delete(object) && partition(object) == 0 {
        let [current, update] = ["currentRevision", "updateRevision"]
            .map(|field| object.text(&format!("/status/{field}")).unwrap_or_default());
        met &= current == update;
        words.push(format!("revision {current} of {update}"));
    }
    (met, format!("by its status: {}", words.join(", ")))
}

fn by_pods(state: &State<'_>, title: &str, object: &Object<'_>, declared: i64) -> (Holds, String) {
    let pods = state.staying(object.uid());
    let ready: Vec<&Object<'_>> = pods.iter().filter(|pod| pod.is_ready()).collect();
    let nodes: BTreeSet<&str> = ready.iter().map(|pod| node_of(pod)).collect();
    let met = ready.len() as i64 >= declared;
    let nodes: Vec<&str> = nodes.into_iter().collect();
    let unready: Vec<Touched> = pods.iter().filter(|pod| !pod.is_ready()).map(|pod| pod.touched()).collect();
    let holds = match unready.is_empty() {
        true => Holds::of_any(met, object.span()),
        false => Holds::or(met, unready),
    };
    let on = crate::judge::object::names(&nodes);
    (holds, format!("{title} has {} ready pods of {declared}, on {on}", ready.len()))
}

//! `drain`: every worker is drained in time, and the Services answer meanwhile.

use super::during::{self, Place};
use super::facts::{self, Drain, Workload};
use super::rules::{self, WorkloadRule};
use super::state::{State, node_of, uid, uid_in};
use super::{check_settled, requests, summarise, workloads};
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Holds, Missing};

/// Judges `drain`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let workloads = workloads(evidence)?;
    let drains = evidence.facts(&facts::DRAINS)?;
    let ends = evidence.records_of(&facts::DRAINS).map(|(record, _)| record.mono_us as f64 / 1e6);
    for (drain, end) in drains.iter().zip(ends) {
        check_drain(finding, evidence, &workloads, (drain, end));
        let (from, to) = (format!("drain {}", drain.node), format!("drained {}", drain.node));
        requests::check(finding, evidence, &from, &to);
    }
    for workload in &workloads {
        finding.part(|f| check_settled(f, evidence, "drain", workload));
    }
    let rules = rules::of_workloads(finding, evidence)?;
    for (rule, workload) in rules.iter().flat_map(|rule| workloads.iter().map(move |w| (rule, w))) {
        if rule.workload.is(workload) {
            finding.part(|f| check_rule(f, evidence, (rule, workload), &drains));
        }
    }
    summarise(finding, &workloads);
    Ok(())
}

/// Checks what the trial expects of a workload in the drain of each node that had a pod of it.
fn check_rule(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (rule, workload): (&WorkloadRule, &Workload),
    drains: &[Drain],
) -> Result<(), Missing> {
    let mut is_met = false;
    for Drain { node, .. } in drains {
        let (from, to) = (format!("drain {node}"), format!("drained {node}"));
        let uid = uid(evidence, &from, workload)?;
        let before = State::at(evidence, &from)?.known_pods(workload, uid)?;
        if before.iter().any(|pod| node_of(pod) == node) {
            is_met = true;
            let place = Place { marks: (&from, &to), node, is_lost: false, short: None };
            during::check_in_drain(finding, evidence, (workload, uid), place, rule)?;
        }
    }
    if !is_met {
        let (title, word) = (workload.title(), rule.is.word());
        finding.unsure(format!("{title} is expected to be {word}, and no drained node had a pod of it"));
    }
    Ok(())
}

fn check_drain(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    workloads: &[Workload],
    (drain, end): (&Drain, f64),
) {
    let (node, span) = (&drain.node, (end - drain.took, end));
    let Some(error) = &drain.error else {
        let what = format!("the drain of {node} took {:.1} s of {:.0} s", drain.took, drain.budget);
        finding.within(span, drain.budget, what);
        return;
    };
    check_stopped(finding, evidence, workloads, (&format!("the drain of {node}"), error), span);
}

/// Adds the check of something that did not end. It fails if the error names a pod of the trial; for a single workload,
/// if it names one of its own.
pub(super) fn check_stopped(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    workloads: &[Workload],
    (what, error): (&str, &str),
    span: (f64, f64),
) {
    let stopped = format!("another workload stopped {what}");
    let what = format!("{what} did not end: {error}");
    let all = evidence.fact(&facts::WORKLOADS).unwrap_or_default();
    let is_ours = names_pod_of(evidence, &all, error);
    if finding.machine.starved_in(span.0, span.1) > 0.0 {
        finding.unsure(format!("{what}; the machine starved meanwhile"));
    } else if evidence.subject().is_some() && !names_pod_of(evidence, workloads, error) {
        // Another workload's pod stopped the drain, or nobody knows whose.
        match is_ours {
            true => finding.check(true, format!("{}: {stopped}", workloads[0].title())),
            false => finding.unsure(format!("{what}; it names no pod of {}", workloads[0].title())),
        };
    } else if is_ours {
        finding.check(Holds::of_any(false, span), what);
    } else {
        finding.unsure(format!("{what}; it names no pod of the trial"));
    }
}

/// Whether a text names a pod that one of these workloads had.
fn names_pod_of(evidence: &Evidence<'_>, workloads: &[Workload], text: &str) -> bool {
    let all = State::after(evidence);
    let uids: Vec<&str> = workloads.iter().filter_map(|workload| uid_in(evidence, workload).ok()).collect();
    let pods = evidence.changes("Pod").into_iter().filter_map(|(_, _, pod)| Object::new(pod).ok());
    // The drain names a pod as namespace/name.
    let named = |pod: &Object<'_>| {
        let is_it = |word: &str| match word.trim_matches('.').split_once('/') {
            Some((namespace, name)) => {
                name == pod.name() && pod.text("/metadata/namespace").is_none_or(|of| of == namespace)
            }
            None => word.trim_matches('.') == pod.name(),
        };
        text.split(|c: char| !c.is_alphanumeric() && !"-./".contains(c)).any(is_it)
    };
    pods.filter(named).any(|pod| uids.iter().any(|uid| all.is_of(&pod, uid)))
}

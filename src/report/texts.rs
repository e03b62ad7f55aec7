//! Passes every text of a report through one function, before any format shows it.

use super::run::{ClaimReport, RunReport, SuiteReport};
use super::timeline::Timeline;

/// Calls `change` with every text of a report. `change` must give the same result for the same text, because claims find
/// their suite by its name.
pub(super) fn each(report: &mut RunReport, change: &mut impl FnMut(&mut String)) {
    let RunReport { run, seatrial, profile, profile_because, defects, claims, suites, faults, .. } = report;
    [run, seatrial, profile, profile_because].into_iter().chain(defects).for_each(&mut *change);
    claims.iter_mut().for_each(|claim| of_claim(claim, change));
    suites.iter_mut().for_each(|suite| of_suite(suite, change));
    for it in faults {
        [&mut it.fault, &mut it.node, &mut it.suite, &mut it.proof, &mut it.healed_proof]
            .into_iter()
            .for_each(&mut *change);
    }
    for it in &mut report.substitutions {
        [&mut it.from, &mut it.to, &mut it.built_from].into_iter().for_each(&mut *change);
    }
    for it in &mut report.clusters {
        [&mut it.name, &mut it.topology, &mut it.kubernetes, &mut it.image]
            .into_iter()
            .for_each(&mut *change);
        for node in &mut it.nodes {
            let texts =
                [&mut node.name, &mut node.kubelet, &mut node.runtime, &mut node.os, &mut node.kernel];
            texts.into_iter().for_each(&mut *change);
        }
    }
    let machine = std::mem::take(&mut report.machine).into_iter().map(|(mut name, mut value)| {
        change(&mut name);
        change(&mut value);
        (name, value)
    });
    report.machine = machine.collect();
    for it in &mut report.notes {
        it.suite.iter_mut().chain([&mut it.text]).for_each(&mut *change);
    }
    report.timelines.iter_mut().for_each(|timeline| of_timeline(timeline, change));
}

fn of_claim(it: &mut ClaimReport, change: &mut impl FnMut(&mut String)) {
    let texts = [&mut it.id, &mut it.title, &mut it.suite, &mut it.evidence];
    texts.into_iter().chain(&mut it.details).for_each(change);
}

fn of_suite(it: &mut SuiteReport, change: &mut impl FnMut(&mut String)) {
    let maybe = it.cluster.iter_mut().chain(&mut it.namespace).chain(&mut it.error).chain(&mut it.run);
    maybe.chain([&mut it.name]).chain(&mut it.left).for_each(&mut *change);
    for step in &mut it.steps {
        step.error.iter_mut().chain([&mut step.name]).for_each(&mut *change);
    }
    for reading in it.rows.iter_mut().flat_map(|rows| &mut rows.readings) {
        let texts = [&mut reading.reading, &mut reading.pod, &mut reading.node, &mut reading.server_uuid];
        texts.into_iter().for_each(&mut *change);
    }
    for step in &mut it.upgrade {
        let maybe = step.node.iter_mut().chain(&mut step.error);
        maybe.chain([&mut step.to, &mut step.step]).for_each(&mut *change);
        let probes = std::mem::take(&mut step.probes).into_iter().map(|(mut name, seen)| {
            change(&mut name);
            (name, seen)
        });
        step.probes = probes.collect();
        for pod in &mut step.pods {
            pod.why.iter_mut().chain([&mut pod.pod, &mut pod.node, &mut pod.what]).for_each(&mut *change);
        }
    }
}

fn of_timeline(it: &mut Timeline, change: &mut impl FnMut(&mut String)) {
    change(&mut it.suite);
    it.marks.iter_mut().for_each(|(_, mark)| change(mark));
    for lane in &mut it.lanes {
        change(&mut lane.name);
        lane.spans.iter_mut().for_each(|span| change(&mut span.note));
        lane.moments.iter_mut().for_each(|(_, what)| change(what));
    }
}

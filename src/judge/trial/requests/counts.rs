//! What there was around a request: ready pods and endpoints at each moment, and pods that were ending.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde_json::Value;

use super::super::state::{State, declared, node_of, uid_in};
use super::super::{AHEAD, facts};
use crate::event::Change;
use crate::judge::availability::{LAG, Sample, Window};
use crate::judge::object::Object;
use crate::judge::{Evidence, Missing};

/// Numbers, each with the second from which it holds.
pub type Counts = Vec<(f64, i64)>;

/// How much later than a mark a change before it may be recorded, in microseconds.
const MOMENT: u64 = (AHEAD * 1e6) as u64;

/// Returns the number of ready pods of each workload of the trial in the time since it was ready.
pub fn ready_pods(evidence: &Evidence<'_>, since: &Window<'_>) -> Result<Vec<Counts>, Missing> {
    let all = State::after(evidence);
    let workloads = evidence.fact(&facts::WORKLOADS)?;
    // A Job has no ready pod once it is complete.
    let stays = workloads.iter().filter(|workload| workload.kind != "Job");
    let known = stays.filter_map(|workload| Some((workload, uid_in(evidence, workload).ok()?)));
    let counts = known.map(|(workload, uid)| {
        let ready = since.counts("Pod", |pod| all.is_of(pod, uid), Object::is_ready);
        if workload.kind == "Pod" {
            return until_done(ready, evidence, uid);
        }
        let is_wanted = |object: &Object<'_>| declared(&workload.kind, object) != Some(0);
        let wanted = since.counts(&workload.kind, |object| object.uid() == uid, is_wanted);
        where_wanted(&ready, &wanted)
    });
    // A workload that never had a ready pod is not needed by the others. One that a fault took away before the window is.
    Ok(counts.filter(|counts| counts.iter().any(|(_, count)| *count > 0)).collect())
}

/// Returns the counts of a bare pod as if it stayed ready from when it had done its work on: nobody needs it then, nor misses it when it is
/// deleted.
fn until_done(mut ready: Counts, evidence: &Evidence<'_>, uid: &str) -> Counts {
    let is_done = |pod: &Object<'_>| pod.uid() == uid && pod.text("/status/phase") == Some("Succeeded");
    let mut states = evidence.changes("Pod").into_iter();
    let done = states.find(|(_, _, pod)| Object::new(pod).is_ok_and(|pod| is_done(&pod)));
    // The object of a pod that was ready before says so first.
    if let Some((record, ..)) = done.filter(|_| ready.iter().any(|(_, count)| *count > 0)) {
        let at = record.mono_us as f64 / 1e6;
        ready.retain(|(from, _)| *from < at);
        ready.push((at, 1));
    }
    ready
}

/// Returns numbers of ready pods as if one were ready where the workload wants none: nobody needs it then.
fn where_wanted(ready: &Counts, wanted: &Counts) -> Counts {
    let mut changes: Vec<(f64, Option<i64>, Option<i64>)> = Vec::with_capacity(ready.len() + wanted.len());
    changes.extend(ready.iter().map(|(at, count)| (*at, Some(*count), None)));
    changes.extend(wanted.iter().map(|(at, count)| (*at, None, Some(*count))));
    changes.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut count, mut wants) = (None, None);
    let one = |(at, new, wanted): (f64, Option<i64>, Option<i64>)| {
        (count, wants) = (new.or(count), wanted.or(wants));
        Some((at, if wants == Some(0) { count?.max(1) } else { count? }))
    };
    changes.into_iter().filter_map(one).collect()
}

/// Returns the number of ready endpoints of a Service in a time. Source: Kubernetes' documentation, "EndpointSlices".
pub fn endpoints(window: &Window<'_>, service: &Object<'_>) -> Counts {
    let is_its = |slice: &Object<'_>| {
        slice.namespace() == service.namespace()
            && slice.label("kubernetes.io/service-name") == Some(service.name())
    };
    let is_ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false));
    let ready = |slice: &Object<'_>| slice.entries("/endpoints").iter().filter(is_ready).count();
    window.sums("EndpointSlice", is_its, |slice| i64::try_from(ready(slice)).unwrap_or(i64::MAX))
}

/// Whether a number was zero at a moment near a request: until so many seconds before it, or up to [`LAG`] after it.
pub fn is_zero_near(counts: &Counts, sample: &Sample<'_>, before: f64) -> bool {
    let (began, ended) = sample.span();
    let ends = counts.iter().skip(1).map(|(at, _)| *at).chain([f64::INFINITY]);
    let mut zeros = counts.iter().zip(ends).filter(|((_, count), _)| *count == 0);
    zeros.any(|((from, _), to)| *from <= ended + LAG && to >= began - before)
}

/// Returns when pods on nodes that faults took became unready, in seconds on the records' clock: kube-proxy leads to them a moment
/// longer. The step of the loss may be over by then.
pub fn lost(evidence: &Evidence<'_>, selects: &impl Fn(&Object<'_>) -> bool) -> Vec<f64> {
    let steps = evidence.facts(&facts::FAULTS).unwrap_or_default().into_iter();
    let hit = steps.filter(|step| step.pod.is_none()).map(|step| {
        let over = step.healed();
        (step.node, step.step, over)
    });
    let lost = evidence.fact(&facts::LOST_NODE).ok();
    let lost = lost.map(|node| (node, "node-loss".to_owned(), "returned".to_owned()));
    // Later, a pod on that node becomes unready for a reason of its own.
    let span = |(node, from, to): (String, String, String)| {
        let end = evidence.mark(&to).map_or(u64::MAX, |mark| mark.mono_us.saturating_add(MOMENT));
        Some((node, evidence.mark(&from).ok()?.mono_us..=end))
    };
    let nodes: Vec<(String, RangeInclusive<u64>)> = lost.into_iter().chain(hit).filter_map(span).collect();
    let mut ready: BTreeSet<&str> = BTreeSet::new();
    let mut lost = Vec::new();
    for (record, _, pod) in evidence.changes("Pod") {
        let is_lost = |pod: &Object<'_>| {
            nodes.iter().any(|(node, span)| node == node_of(pod) && span.contains(&record.mono_us))
        };
        let is_meant = |pod: &Object<'_>| nodes.iter().any(|(node, _)| node == node_of(pod)) && selects(pod);
        let Some(pod) = Object::new(pod).ok().filter(is_meant) else { continue };
        if pod.is_ready() {
            ready.insert(pod.uid());
        } else if ready.remove(pod.uid()) && is_lost(&pod) {
            lost.push(record.mono_us as f64 / 1e6);
        }
    }
    lost
}

/// Returns from when to when each of these pods ended, in seconds on the records' clock: from its deletion until it was gone, for
/// its grace period at most. The object of a pod on a lost node stays longer.
pub fn ends(evidence: &Evidence<'_>, selects: &impl Fn(&Object<'_>) -> bool) -> Vec<(f64, f64)> {
    let mut ends: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (record, change, pod) in evidence.changes("Pod") {
        let Some(pod) = Object::new(pod).ok().filter(|pod| selects(pod)) else { continue };
        let at = record.mono_us as f64 / 1e6;
        if pod.is_terminating() {
            let grace = pod.number("/metadata/deletionGracePeriodSeconds") as f64;
            ends.entry(pod.uid()).or_insert((at, at + grace));
        }
        if change == Change::Deleted {
            let end = ends.entry(pod.uid()).or_insert((at, at));
            end.1 = end.1.min(at);
        }
    }
    ends.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_needs_the_pods_of_a_workload_while_it_wants_none() {
        let ready = vec![(0.0, 2), (5.0, 0), (9.0, 1), (20.0, 0)];
        assert_eq!(where_wanted(&ready, &vec![(0.0, 1)]).iter().filter(|(_, count)| *count == 0).count(), 2);
        let wanted = vec![(0.0, 1), (4.0, 0), (7.0, 1)];
        let zeros: Vec<f64> =
            where_wanted(&ready, &wanted).into_iter().filter(|(_, n)| *n == 0).map(|(at, _)| at).collect();
        assert_eq!(zeros, [7.0, 20.0]);
    }
}

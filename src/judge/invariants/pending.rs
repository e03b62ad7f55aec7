//! No pod stays Pending without a known reason.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Finding, Missing, Object, Scope, conclude, full_name};
use crate::event::Change;
use crate::judge::Holds;

/// What a container waits for at first: this is no reason to stay there.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

struct Pod<'r> {
    since: f64,
    last: Object<'r>,
    /// Why it waits, as the last of its states said that gave a reason.
    reason: Option<String>,
    /// From when to when no state gave a reason; the last time may still be open.
    silent: Vec<(f64, Option<f64>)>,
}

impl<'r> Pod<'r> {
    /// Takes a state from a second on.
    fn take(&mut self, at: f64, pod: Object<'r>) {
        self.last = pod;
        let open = self.silent.last_mut().filter(|(_, to)| to.is_none());
        match (reason(&pod), open) {
            (Some(reason), open) => {
                self.reason = Some(reason);
                open.into_iter().for_each(|(_, to)| *to = Some(at));
            }
            (None, None) => self.silent.push((at, None)),
            (None, Some(_)) => {}
        }
    }

    /// Returns the times between two seconds in which no state gave a reason for longer than `most`.
    fn silences(&self, (from, to): (f64, f64), most: f64) -> impl Iterator<Item = (f64, f64)> {
        let all = self.silent.iter().map(move |(a, b)| (a.max(from), b.unwrap_or(to).min(to)));
        all.filter(move |(a, b)| b - a > most)
    }
}

/// Checks that no pod is Pending for more than `most` seconds of the judged time without a known reason. A reason explains the
/// time in which it holds, an event the time after it.
///
/// # Errors
/// None.
pub fn no_pod_waits(scope: &Scope<'_, '_>, most: f64, finding: &mut Finding) -> Result<(), Missing> {
    let mut open: BTreeMap<&str, Pod<'_>> = BTreeMap::new();
    let mut over = Vec::new();
    for (at, change, pod) in scope.changes("Pod") {
        let waits = change != Change::Deleted && pod.text("/status/phase") == Some("Pending");
        if !waits {
            over.extend(open.remove(pod.uid()).map(|waited| (waited, at)));
            continue;
        }
        let entry =
            open.entry(pod.uid()).or_insert(Pod { since: at, last: pod, reason: None, silent: Vec::new() });
        entry.take(at, pod);
    }
    over.extend(open.into_values().map(|waited| (waited, scope.to)));
    let mut found = false;
    for (waited, until) in over {
        let (from, to) = (waited.since.max(scope.from), until.min(scope.to));
        if to - from <= most {
            continue;
        }
        let pod = full_name(&waited.last);
        let what = format!("pod {pod} was Pending for {:.0} s", to - from);
        match known(scope, &waited, ((from, to), most)) {
            Ok(reason) => _ = finding.check(true, format!("{what}: {reason}")),
            Err(silent) => {
                found = true;
                let part = if silent < to - from {
                    format!(", {silent:.0} s without a word")
                } else {
                    String::new()
                };
                let what = format!("{what}{part}, {most:.0} s are allowed without a known reason");
                let starved = finding.machine.starved_in(from, to) > 0.0;
                match starved {
                    true => finding.unsure(format!("{what}; the machine starved meanwhile")),
                    false => finding.check(Holds::of_pod(false, &waited.last), what),
                };
            }
        }
    }
    conclude(finding, found, &format!("no pod was Pending for more than {most:.0} s without a known reason"));
    Ok(())
}

/// Returns why a pod waited, if that is known for all but `most` seconds of each time without a reason; otherwise how long such a time
/// was.
fn known(scope: &Scope<'_, '_>, waited: &Pod<'_>, (span, most): ((f64, f64), f64)) -> Result<String, f64> {
    let mut reason = waited.reason.clone();
    for silence in waited.silences(span, most) {
        reason = Some(explained(scope, waited, (silence, most)).ok_or(silence.1 - silence.0)?);
    }
    reason.ok_or(span.1 - span.0)
}

/// Returns what explains a time without a reason: the first event about the pod, or the absence of its node, or both together.
fn explained(
    scope: &Scope<'_, '_>,
    waited: &Pod<'_>,
    ((from, to), most): ((f64, f64), f64),
) -> Option<String> {
    let node = waited.last.text("/spec/nodeName");
    let here = |until: f64| until - from - node.map_or(0.0, |node| scope.time_away(node, (from, until)));
    if let Some((_, text)) = told(scope, &waited.last, (from, to)).filter(|(at, _)| here(*at) <= most) {
        return Some(text);
    }
    node.filter(|_| here(to) <= most).map(|node| format!("its node {node} was away, as declared"))
}

/// Returns why a pod waits, as its conditions and containers say.
fn reason(pod: &Object<'_>) -> Option<String> {
    if let Some((_, reason, message)) = pod.condition("PodScheduled").filter(|c| c.0 == "False") {
        return Some(format!("{reason}: {message}"));
    }
    let containers = |list: &str| pod.entries(list).iter();
    let waits = containers("/status/initContainerStatuses")
        .chain(containers("/status/containerStatuses"))
        .find_map(|container| {
            let waiting = container.pointer("/state/waiting")?;
            let reason = waiting["reason"].as_str().filter(|reason| !STARTING.contains(reason))?;
            Some(format!("{reason}: {}", waiting["message"].as_str().unwrap_or_default()))
        });
    let running = |container: &&Value| container.pointer("/state/running").is_some();
    waits.or_else(|| {
        let init = containers("/status/initContainerStatuses").find(running)?;
        Some(format!("its init container {} runs", init["name"].as_str().unwrap_or_default()))
    })
}

/// Returns what the first event about the pod said meanwhile, and when: a warning, or that an image was being pulled.
fn told(scope: &Scope<'_, '_>, pod: &Object<'_>, (from, to): (f64, f64)) -> Option<(f64, String)> {
    let is_about = |event: &Object<'_>| event.text("/involvedObject/uid") == Some(pod.uid());
    let says = |event: &Object<'_>| {
        event.text("/type") == Some("Warning") || event.text("/reason") == Some("Pulling")
    };
    let events = scope.changes("Event").into_iter();
    let mut events =
        events.filter(|(at, _, event)| from <= *at && *at <= to && is_about(event) && says(event));
    events.next().map(|(at, _, event)| {
        let text = |pointer: &str| event.text(pointer).unwrap_or_default();
        (at, format!("{}: {}", text("/reason"), text("/message")))
    })
}

//! What the watch recorded of a set's pods: the life of each pod with a name of the set.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{HELD, PASSES};
use crate::event::{Change, Event, Record};
use crate::judge::evidence::seconds_between;
use crate::judge::lost::Touched;
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Holds, Missing, clock};

/// One recorded state of a pod.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'r> {
    /// Index of the record in the scenario.
    pub at: usize,
    /// The record.
    pub record: &'r Record,
    /// How the pod changed.
    pub change: Change,
    /// The pod.
    pub pod: Object<'r>,
}

/// All recorded states of one pod, by UID.
#[derive(Clone, Debug)]
pub struct Life<'r> {
    /// Name of the pod.
    pub name: &'r str,
    /// UID of the pod.
    pub uid: &'r str,
    /// Ordinal of the pod.
    pub ordinal: i64,
    states: Vec<Seen<'r>>,
}

impl<'r> Life<'r> {
    /// Returns the state in which the pod was first seen.
    pub fn first(&self) -> &Seen<'r> {
        &self.states[0]
    }

    /// Returns the last recorded state.
    pub fn last(&self) -> &Seen<'r> {
        &self.states[self.states.len() - 1]
    }

    /// Returns the state in which the pod was first seen ready.
    pub fn ready(&self) -> Option<&Seen<'r>> {
        self.states.iter().find(|s| s.change != Change::Deleted && s.pod.is_ready())
    }

    /// Returns the state in which the pod was first seen with a running container.
    pub fn running(&self) -> Option<&Seen<'r>> {
        self.states.iter().find(|s| time(&s.pod, "running/startedAt").is_some())
    }

    /// Returns the state in which the request to delete the pod was first seen.
    pub fn ending(&self) -> Option<&Seen<'r>> {
        self.states.iter().find(|s| s.pod.is_terminating() || s.change == Change::Deleted)
    }

    /// Returns the state in which the pod was seen as deleted.
    pub fn gone(&self) -> Option<&Seen<'r>> {
        self.states.iter().find(|s| s.change == Change::Deleted)
    }

    /// Returns when the API created the pod.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.first().pod.text("/metadata/creationTimestamp")?.parse().ok()
    }

    /// Returns when the pod first became ready, according to its condition.
    pub fn ready_at(&self) -> Option<Timestamp> {
        let pod = self.ready()?.pod;
        let conditions = pod.entries("/status/conditions");
        conditions.iter().find(|c| c["type"] == "Ready")?["lastTransitionTime"].as_str()?.parse().ok()
    }

    /// Returns when the deletion was requested: `deletionTimestamp` is that time plus the grace period.
    pub fn ending_at(&self) -> Option<Timestamp> {
        let pod = self.ending()?.pod;
        let until: Timestamp = pod.text("/metadata/deletionTimestamp")?.parse().ok()?;
        let grace = pod.number("/metadata/deletionGracePeriodSeconds");
        until.checked_sub(jiff::SignedDuration::from_secs(grace)).ok()
    }

    /// Returns when the last container finished, according to the kubelet.
    pub fn finished_at(&self) -> Option<Timestamp> {
        self.states.iter().rev().find_map(|s| time(&s.pod, "terminated/finishedAt"))
    }

    /// Returns what the loss of a node would explain about the pod's end.
    pub fn went(&self) -> Touched {
        self.ending().unwrap_or(self.last()).pod.touched()
    }

    /// Returns when the container started.
    pub fn started_at(&self) -> Option<Timestamp> {
        time(&self.running()?.pod, "running/startedAt")
    }
}

/// Returns the ordinal in a pod's name, if the name is one of the set's.
pub fn ordinal(set: &str, pod: &str) -> Option<i64> {
    let digits = pod.strip_prefix(set)?.strip_prefix('-')?;
    let plain = digits.chars().all(|c| c.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// Returns the lives of all pods with the set's names in these records, in the order in which they were first seen.
/// Pods that the set does not own are included: a separate check reports them.
pub fn lives<'r>(records: &'r [Record], set: &str) -> Vec<Life<'r>> {
    let mut order: Vec<&str> = Vec::new();
    let mut found: BTreeMap<&str, Life<'r>> = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        let Event::ObjectChanged { change, kind, uid, object, .. } = &record.event else { continue };
        let Ok(pod) = Object::new(object).map(|pod| pod.seen(record)) else { continue };
        let Some(number) = ordinal(set, pod.name()).filter(|_| kind == "Pod") else { continue };
        let seen = Seen { at, record, change: *change, pod };
        match found.get_mut(uid.as_str()) {
            Some(life) => life.states.push(seen),
            None => {
                order.push(uid);
                let life = Life { name: pod.name(), uid, ordinal: number, states: vec![seen] };
                found.insert(uid, life);
            }
        }
    }
    order.iter().filter_map(|uid| found.remove(uid)).collect()
}

/// Checks of a history. If a watch was interrupted, changes may be missing: then a check that does not hold is
/// inconclusive, and the claim never passes.
#[derive(Debug)]
pub struct Order<'f> {
    finding: &'f mut Finding,
    whole: bool,
}

impl<'f> Order<'f> {
    /// Begins checks on a part of the evidence. Adds an inconclusive check for each interruption of these kinds'
    /// watches.
    pub fn of<'r>(
        finding: &'f mut Finding,
        evidence: &Evidence<'r>,
        part: &'r [Record],
        kinds: &[&str],
    ) -> Self {
        let gaps = evidence.gaps(part, kinds);
        finding.watched(&gaps, |_| ());
        Self { finding, whole: gaps.is_empty() }
    }

    /// Adds a check.
    pub fn check(&mut self, holds: impl Into<Holds>, what: impl Into<String>) {
        let holds = holds.into();
        match holds.is_met() || self.whole {
            true => _ = self.finding.check(holds, what),
            false => _ = self.finding.unsure(what),
        }
    }

    /// Adds a check that is inconclusive because the evidence is insufficient.
    pub fn unsure(&mut self, why: impl Into<String>) {
        self.finding.unsure(why);
    }

    /// Checks that one thing was recorded before another, and that their own times do not contradict this. Times are
    /// whole seconds, so equal times agree.
    pub fn before(
        &mut self,
        (first, a): (&str, Option<(&Seen<'_>, Option<Timestamp>)>),
        (then, b): (&str, Option<(&Seen<'_>, Option<Timestamp>)>),
    ) {
        let (Some((a, early)), Some((b, late))) = (a, b) else {
            let missing = if a.is_none() { first } else { then };
            // A pod on a lost node is not seen as ready.
            let other = a.or(b).map(|(seen, _)| Touched::any(seen.pod.span()));
            let what = format!("{missing} was never seen, but {first} must come before {then}");
            return self.check(Holds::or(false, other), what);
        };
        let apart = seconds_between(a.record, b.record);
        let what = match a.at < b.at {
            true => format!("watch: {first} {apart:.3} s before {then}"),
            false => format!("watch: {first} came {:.3} s after {then}", apart.abs()),
        };
        self.check(a.at < b.at, what);
        match (early, late) {
            (Some(early), Some(late)) => {
                self.check(early <= late, format!("times: {first} at {early}, {then} at {late}"));
            }
            _ => self.unsure(format!("the objects do not say when: {first}, {then}")),
        }
    }

    /// Checks that two pods never had the same name at the same time: the earlier pod was gone when the next was
    /// created, and its container had finished when the next one's started.
    pub fn one_identity(&mut self, lives: &[Life<'_>]) {
        for (n, new) in lives.iter().enumerate() {
            let Some(old) = lives[..n].iter().rev().find(|l| l.name == new.name) else { continue };
            let gone = old.gone().is_some_and(|g| g.at < new.first().at);
            let word = if gone { "was gone" } else { "was still there" };
            self.check(
                gone,
                format!("{}: UID {} {word} when UID {} came: one at a time", new.name, old.uid, new.uid),
            );
            if let (Some(finished), Some(started)) = (old.finished_at(), new.started_at()) {
                self.check(
                    finished <= started,
                    format!("{}: container finished at {finished}, the next started at {started}", new.name),
                );
            }
        }
    }

    /// Checks that each of these pods is controlled by the set.
    pub fn owned(&mut self, lives: &[Life<'_>], set: &Object<'_>) {
        for life in lives {
            let owner = life.last().pod.controller();
            let name = owner.map_or("nobody", |o| o.1);
            let ours = owner.is_some_and(|o| o.2 == set.uid());
            self.check(ours, format!("pod {} (UID {}) is controlled by {name}", life.name, life.uid));
        }
    }
}

/// Returns the records of the scenario up to a mark.
///
/// # Errors
/// [`Missing`] if the mark was not set.
pub fn until<'r>(evidence: &Evidence<'r>, mark: &str) -> Result<&'r [Record], Missing> {
    let record = evidence.mark(mark)?;
    let at = evidence.records().iter().position(|r| std::ptr::eq(r, record));
    Ok(&evidence.records()[..at.unwrap_or_default()])
}

/// Checks that a state was held for a while, and that the controller processed the set during that time. The controller
/// changes the pods before it writes the status, so each generation that it observed proves one pass over the set. Only
/// `meant` states of the set count. Returns the seconds. Source: `performUpdate` in Kubernetes'
/// pkg/controller/statefulset/stateful_set_control.go.
///
/// # Errors
/// [`Missing`] if no pass was recorded.
pub fn held(
    finding: &mut Finding,
    records: &[Record],
    set: &Object<'_>,
    meant: impl Fn(&Object<'_>) -> bool,
) -> Result<f64, Missing> {
    let mut seen: BTreeMap<i64, &Record> = BTreeMap::new();
    for record in records {
        let Event::ObjectChanged { kind, object, .. } = &record.event else { continue };
        let Ok(state) = Object::new(object) else { continue };
        let generation = state.number("/status/observedGeneration");
        let caught_up = generation == state.number("/metadata/generation");
        if kind == "StatefulSet" && state.uid() == set.uid() && caught_up && meant(&state) {
            seen.entry(generation).or_insert(record);
        }
    }
    let (Some(first), Some(last)) = (seen.values().next(), seen.values().last()) else {
        return Err(Missing(format!("no pass of the controller over {} was recorded", set.name())));
    };
    let seconds = seconds_between(first, last);
    clock::check_agree(finding, first, last);
    let what = format!(
        "{} passes of the controller over {} were recorded in {seconds:.1} s, needed {PASSES} in {HELD:.0} s",
        seen.len(),
        set.name()
    );
    match seen.len() >= PASSES && seconds >= HELD {
        true => finding.check(true, what),
        // Too short a time proves nothing.
        false => finding.unsure(what),
    };
    Ok(seconds)
}

fn time(pod: &Object<'_>, of_state: &str) -> Option<Timestamp> {
    pod.text(&format!("/status/containerStatuses/0/state/{of_state}"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::ordinal;

    #[test]
    fn ordinals_are_plain_numbers_after_the_name() {
        for (pod, wanted) in [
            ("web-0", Some(0)),
            ("web-12", Some(12)),
            ("web-01", None),
            ("web-", None),
            ("web", None),
            ("web-a1", None),
            ("webs-1", None),
            ("web-x-1", None),
        ] {
            assert_eq!(ordinal("web", pod), wanted, "{pod}");
        }
    }
}

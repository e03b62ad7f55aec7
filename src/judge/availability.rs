//! How much of a service was available at each moment: replayed from the recorded changes of its objects, and as a
//! client saw it through its HTTP samples.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use super::index::Of;
use super::lost::{Holds, Touched};
use super::machine::{Health, Machine};
use super::object::Object;
use super::outages::{Asked, Cause, Outages, Refusal};
use super::upgrade::LEDGER;
use super::watched::Gap;
use super::{Evidence, Finding, Missing, clock};
use crate::event::{Change, Event, Outcome, Record};

/// How a rolling update may change the number of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Minimum of available pods at every moment.
    pub least: i64,
    /// Maximum of pods at every moment, terminating pods not counted.
    pub most: i64,
}

impl Limits {
    /// Returns the limits that a Deployment's own strategy sets. Shares are rounded as the controller rounds them:
    /// unavailable down, surge up; if both are 0, one pod may be unavailable. Source: Kubernetes' `ResolveFenceposts`
    /// in `pkg/controller/deployment/util`.
    ///
    /// # Errors
    /// [`Missing`] if the Deployment has no rolling update strategy.
    pub fn of(deployment: &Object<'_>) -> Result<Self, Missing> {
        let desired = deployment.number("/spec/replicas");
        let share = |field: &str, up: bool| {
            let value = deployment.at(&format!("/spec/strategy/rollingUpdate/{field}"));
            value.and_then(|v| portion(v, desired, up)).ok_or_else(|| {
                Missing(format!("{} has no spec.strategy.rollingUpdate.{field}", deployment.name()))
            })
        };
        let (mut unavailable, surge) = (share("maxUnavailable", false)?, share("maxSurge", true)?);
        if unavailable == 0 && surge == 0 {
            unavailable = 1;
        }
        Ok(Self { least: desired - unavailable, most: desired + surge })
    }
}

/// Reads a number, or a share of `whole` such as `25%`.
pub fn portion(value: &Value, whole: i64, up: bool) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return Some(number);
    }
    let percent: i64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    Some((whole * percent + if up { 99 } else { 0 }) / 100)
}

/// The records between two marks, with the records before them.
#[derive(Clone, Copy, Debug)]
pub struct Window<'r> {
    evidence: Evidence<'r>,
    /// The places of its first record, and of the first one after it.
    from: usize,
    to: usize,
}

impl<'r> Window<'r> {
    /// Returns the window between two marks.
    ///
    /// # Errors
    /// [`Missing`] if a mark was not set, or if the marks are in the wrong order.
    pub fn between(evidence: &Evidence<'r>, from: &str, to: &str) -> Result<Self, Missing> {
        evidence.between(from, to)?;
        Ok(Self { evidence: *evidence, from: evidence.position(from)?, to: evidence.position(to)? })
    }

    fn during(&self) -> &'r [Record] {
        &self.evidence.records()[self.from..self.to]
    }

    fn after(&self) -> &'r [Record] {
        &self.evidence.records()[self.to..]
    }

    /// Returns the changes of objects of a kind, from the beginning of the records to a place.
    fn changes<'e>(
        &self,
        kind: &'e str,
        within: Range<usize>,
    ) -> impl Iterator<Item = (&'r Record, Change, Object<'r>)> + 'e
    where
        'r: 'e,
    {
        self.evidence.events(Of::Kind(kind), within).filter_map(|(_, record)| {
            let (_, change, object) = change(record)?;
            Some((record, change, object))
        })
    }

    /// Adds an inconclusive check if the clocks disagree on the length of the window.
    pub fn check_clocks(&self, finding: &mut Finding) {
        if let [first, .., last] = self.during() {
            clock::check_agree(finding, first, last);
        }
    }

    /// Returns when the window began and ended, in seconds on the records' clock.
    pub fn span(&self) -> (f64, f64) {
        let second = |record: &Record| record.mono_us as f64 / 1e6;
        let from = self.during().first().map_or(0.0, second);
        (from, self.after().first().or(self.during().last()).map_or(from, second))
    }

    /// Returns the gaps in the watches of these kinds during the window.
    pub fn gaps(&self, kinds: &[&str]) -> Vec<Gap<'r>> {
        self.evidence.gaps(self.during(), kinds)
    }

    /// Returns every state of one object in the window, starting with its state at the beginning.
    pub fn states(&self, uid: &str) -> Vec<Object<'r>> {
        let of = |within: Range<usize>| {
            let changes = self.evidence.events(Of::Changes, within).filter_map(|(_, record)| change(record));
            changes.map(|(_, _, object)| object).filter(|object| object.uid() == uid)
        };
        of(0..self.from).last().into_iter().chain(of(self.from..self.to)).collect()
    }

    /// Returns every state, with its record, of labelled objects of a kind that fulfils a condition in the window.
    pub fn states_where(
        &self,
        kind: &str,
        label: (&str, &str),
        holds: impl Fn(&Object<'r>) -> bool,
    ) -> Vec<(&'r Record, Object<'r>)> {
        let all = self.changes(kind, self.from..self.to);
        let ours = all.filter(|(_, change, object)| {
            *change != Change::Deleted && object.label(label.0) == Some(label.1) && holds(object)
        });
        ours.map(|(record, _, object)| (record, object)).collect()
    }

    /// Counts the objects of a kind that are `ours` and fulfil a condition: at the beginning and after each change in
    /// the window, each count with its second.
    pub fn counts(
        &self,
        kind: &str,
        ours: impl Fn(&Object<'r>) -> bool,
        counted: impl Fn(&Object<'r>) -> bool,
    ) -> Vec<(f64, i64)> {
        self.sums(kind, ours, |o| i64::from(counted(o)))
    }

    /// Sums a number over the objects of a kind that are `ours`: at the beginning and after each change in the window,
    /// each sum with its second.
    pub fn sums(
        &self,
        kind: &str,
        ours: impl Fn(&Object<'r>) -> bool,
        number: impl Fn(&Object<'r>) -> i64,
    ) -> Vec<(f64, i64)> {
        let mut living: BTreeMap<&str, Object<'r>> = BTreeMap::new();
        let mut sum = 0;
        let mut take = |(record, change, object): (&'r Record, Change, Object<'r>)| {
            let new = Some(object).filter(|_| change != Change::Deleted);
            let old = match new {
                Some(new) => living.insert(new.uid(), new),
                None => living.remove(object.uid()),
            };
            let of = |object: Option<Object<'r>>| object.filter(|o| ours(o)).map_or(0, |o| number(&o));
            sum += of(new) - of(old);
            (record.mono_us as f64 / 1e6, sum)
        };
        let beginning = self.changes(kind, 0..self.from).map(&mut take).last();
        beginning.into_iter().chain(self.changes(kind, self.from..self.to).map(take)).collect()
    }

    /// Returns the periods in which sums were above a limit without interruption, up to the end of the window.
    pub fn above(&self, sums: &[(f64, i64)], limit: i64) -> Vec<(f64, f64)> {
        let end = self.during().last().map_or(0.0, |r| r.mono_us as f64 / 1e6);
        let (mut since, mut found) = (None, Vec::new());
        for &(at, sum) in sums {
            match (since, sum > limit) {
                (None, true) => since = Some(at),
                (Some(from), false) => {
                    found.push((from, at));
                    since = None;
                }
                _ => {}
            }
        }
        found.extend(since.map(|from| (from, end)));
        found
    }

    /// Returns the deletions of the pods whose states are `ending`, each at the moment when it was first seen.
    pub fn endings(&self, ending: impl Fn(Change, &Object<'r>) -> bool) -> Vec<Ending<'r>> {
        let mut endings: BTreeMap<&str, Ending<'r>> = BTreeMap::new();
        for (record, change, pod) in self.changes("Pod", 0..self.evidence.records().len()) {
            if ending(change, &pod) {
                let at = record.mono_us as f64 / 1e6;
                endings.entry(pod.uid()).or_insert(Ending { pod: pod.name(), at });
            }
        }
        endings.into_values().collect()
    }

    /// Returns the samples of a probe: the last one before the window, those in it, and the first one after it.
    pub fn samples(&self, probe: &str) -> Vec<Sample<'r>> {
        let of = |within: Range<usize>| {
            let all = self.evidence.events(Of::Samples(probe), within);
            all.filter_map(|(_, record)| Sample::of(record, probe))
        };
        let before = of(0..self.from).next_back();
        let after = of(self.to..self.evidence.records().len()).next();
        before.into_iter().chain(of(self.from..self.to)).chain(after).collect()
    }
}

/// Returns the smallest of some numbers with their seconds, and whether it is at least `least`. The loss of nodes
/// explains the moments with fewer.
pub fn fewest(sums: &[(f64, i64)], least: i64) -> (i64, Holds) {
    let fewest = sums.iter().map(|s| s.1).min().unwrap_or_default();
    let below = sums.iter().filter(|s| s.1 < least).map(|s| Touched::any((s.0, s.0)));
    (fewest, Holds::or(fewest >= least, below))
}

/// Returns the condition that an object has a label, given as key and value.
pub fn labelled<'l>(label: (&'l str, &'l str)) -> impl Fn(&Object<'_>) -> bool + Copy + 'l {
    move |object| object.label(label.0) == Some(label.1)
}

/// Seconds by which a record may be late compared with one from another connection.
const SLACK: f64 = 0.5;

/// A pod whose deletion was requested. A Service may still send requests to the pod afterwards: the container stops
/// listening at once, and the node's rules follow the endpoints a moment later. Source: Kubernetes' documentation, "Pod
/// Lifecycle: Termination of Pods".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ending<'r> {
    /// The pod.
    pub pod: &'r str,
    /// When the deletion was seen, in seconds on the log's monotonic clock.
    pub at: f64,
}

impl Ending<'_> {
    /// Returns the seconds from the deletion to the beginning of a request; none if the request had ended earlier.
    /// Samples and changes come over separate connections: either may be recorded a moment before the other.
    pub fn seconds_before(&self, sample: &Sample<'_>) -> Option<f64> {
        let (began, ended) = sample.span();
        (ended + SLACK >= self.at).then_some(began - self.at)
    }
}

/// Seconds after a pod's deletion in which the pod may still get requests: kube-proxy writes its rules at most once a
/// second (`minSyncPeriod`), and a request may be recorded a second late.
pub const LAG: f64 = 2.0;
/// Seconds after a pod's deletion from which the cluster is to blame for a failed request even if the state of the
/// machine is unknown. On busy machines kube-proxy took more than [`LAG`] for 23 of 320 changes, and led to deleted
/// pods for at most 3 s (docs/flakes.md); this value is three times that.
pub const LATE: f64 = 10.0;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excuse {
    /// The request was sent to a pod that had just been deleted.
    Ending,
    /// The machine may be to blame, with the reason.
    Machine(&'static str),
    /// Nothing excuses the request.
    None,
}

/// Returns the seconds from the last deletion of a pod to the beginning of a request; infinite without a deletion.
pub fn since_ending(endings: &[Ending<'_>], sample: &Sample<'_>) -> f64 {
    let since = endings.iter().filter_map(|ending| ending.seconds_before(sample));
    since.min_by(f64::total_cmp).unwrap_or(f64::INFINITY)
}

/// Decides whether a pod's deletion or the machine excuses a failed request.
pub fn excuse(machine: &Machine, endings: &[Ending<'_>], sample: &Sample<'_>) -> Excuse {
    // The state of the machine does not excuse a refusal by the server.
    if sample.is_answer() {
        return Excuse::None;
    }
    let since = since_ending(endings, sample);
    if since <= LAG {
        return Excuse::Ending;
    }
    let (began, ended) = sample.span();
    // If the machine starved since the deletion, kube-proxy may be late by that time.
    let deleted = if since.is_finite() { began - since } else { began };
    match machine.health(began, ended) {
        Health::Starved => Excuse::Machine("the machine starved"),
        _ if machine.fed(deleted, began, since) <= LAG => Excuse::Machine("the machine starved"),
        Health::Unknown if since <= LATE => Excuse::Machine("nothing says how the machine was"),
        Health::Healthy | Health::Unknown => Excuse::None,
    }
}

/// One request of a probe.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'r> {
    /// The record of the sample.
    pub record: &'r Record,
    /// Outcome of the request.
    pub outcome: Outcome,
    /// Milliseconds until the probe got the answer or gave up.
    pub took_ms: f64,
    /// The answer in short.
    pub detail: &'r str,
}

impl<'r> Sample<'r> {
    fn of(record: &'r Record, probe: &str) -> Option<Self> {
        match &record.event {
            Event::Sampled { probe: name, outcome, took_ms, detail } if name == probe => {
                Some(Self { record, outcome: *outcome, took_ms: *took_ms, detail })
            }
            _ => None,
        }
    }

    /// Returns when the request began and ended, in seconds on the log's monotonic clock.
    pub fn span(&self) -> (f64, f64) {
        let ended = self.record.mono_us as f64 / 1e6;
        (ended - self.took_ms / 1e3, ended)
    }

    /// Whether a server answered, possibly with a refusal: `503 nginx/1.22.1`.
    pub fn is_answer(&self) -> bool {
        is_answer(&self.record.event)
    }

    /// Returns the version in the `Server` header of the answer: `1.22.1` of `nginx/1.22.1`.
    pub fn server_version(&self) -> Option<&'r str> {
        let rest = self.detail.split_once("nginx/")?.1;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        Some(rest[..end].trim_end_matches('.')).filter(|v| !v.is_empty())
    }
}

/// Whether a failed request was answered by its server. The state of the machine does not excuse such an answer.
/// Answers of an HTTP server or of the API server begin with the status; an API server that answers 429 or 5xx had no
/// time and does not count. Answers of DNS are recognised by their text, those of mysqld by their error number.
/// Anything else counts as no answer.
pub fn is_answer(event: &Event) -> bool {
    match event {
        Event::RowWritten { outcome: Outcome::Refused, reason, .. }
        | Event::TransactionWritten { outcome: Outcome::Refused, reason, .. } => {
            matches!(Cause::of(reason), Cause::Rejected | Cause::DatabaseMissing)
        }
        Event::Sampled { outcome: Outcome::Acknowledged, .. } => false,
        Event::Sampled { probe, detail, .. } => {
            let says = |words: &[&str]| words.iter().any(|word| detail.contains(word));
            let status = detail.split(' ').next().and_then(|word| word.parse::<u16>().ok());
            match (probe.as_str(), status) {
                ("dns", _) => says(&DNS),
                ("api" | "api-anew", Some(status)) => (400..500).contains(&status) && status != 429,
                // Runs of earlier versions have the API's text without the status.
                ("api" | "api-anew", None) => says(&API),
                _ => detail.starts_with(|c: char| c.is_ascii_digit()),
            }
        }
        _ => false,
    }
}

/// Returns the refused requests of each probe. The rows of all writers count for the probe [`LEDGER`].
pub fn refusals(records: &[Record]) -> BTreeMap<&str, Vec<Refusal>> {
    let mut all: BTreeMap<&str, Vec<Refusal>> = BTreeMap::new();
    for record in records.iter().filter(|record| is_answer(&record.event)) {
        let at = record.mono_us as f64 / 1e6;
        let (probe, began) = match &record.event {
            Event::Sampled { probe, took_ms, .. } => (probe.as_str(), at - took_ms / 1e3),
            _ => (LEDGER, at),
        };
        all.entry(probe).or_default().push((began, at));
    }
    all
}

/// Texts of the DNS probe for an answer without an address.
const DNS: [&str; 2] = ["does not exist", "no address for "];
/// Ends of the API server's texts for requests that it refuses.
const API: [&str; 3] = [" is forbidden", " not found", "Unauthorized"];

/// Whether a version belongs to a series: `1.22.1` and `1.22` belong to `1.22`, `1.220` does not.
pub fn is_of_series(version: &str, series: &str) -> bool {
    let rest = version.strip_prefix(series);
    !series.is_empty() && rest.is_some_and(|r| r.is_empty() || r.starts_with('.'))
}

/// Returns the outages of a client, as [`Outages`] defines them, from samples in order.
pub fn outages(samples: &[Sample<'_>]) -> Outages {
    outages_but_for(samples, |_| false)
}

/// Returns the outages of a client as [`outages`] does. The time up to the end of each excepted sample does not count,
/// as if the probe had been paused.
pub fn outages_but_for<'r>(samples: &[Sample<'r>], excepted: impl Fn(&Sample<'r>) -> bool) -> Outages {
    let asked = samples.iter().flat_map(|sample| {
        let ((from, to), outcome) = (sample.span(), sample.outcome);
        match excepted(sample) {
            true => vec![Asked::Paused, Asked::Resumed(to)],
            false => vec![Asked::Request { from, to, outcome, cause: Cause::of(sample.detail) }],
        }
    });
    Outages::among(asked, samples.last().map_or(0.0, |last| last.span().1))
}

fn change(record: &Record) -> Option<(&str, Change, Object<'_>)> {
    match &record.event {
        Event::ObjectChanged { change, kind, object, .. } => {
            Some((kind, *change, Object::new(object).ok()?.seen(record)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn limits(replicas: i64, unavailable: Value, surge: Value) -> Limits {
        let rolling = json!({"maxUnavailable": unavailable, "maxSurge": surge});
        let object = json!({
            "metadata": {"name": "d", "uid": "u"},
            "spec": {"replicas": replicas, "strategy": {"rollingUpdate": rolling}},
        });
        Limits::of(&Object::new(&object).unwrap()).unwrap()
    }

    #[test]
    fn another_probes_sample_is_none_of_this_one() {
        let event = Event::Sampled {
            probe: "http".into(),
            outcome: Outcome::Refused,
            took_ms: 1.0,
            detail: String::new(),
        };
        let record = Record {
            schema: 1,
            seq: 0,
            writer: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            mono_us: 0,
            run: "r".into(),
            scope: crate::event::Scope::default(),
            event,
        };
        assert!(Sample::of(&record, "http").is_some() && Sample::of(&record, "dns").is_none());
    }

    #[test]
    fn unavailable_is_rounded_down_and_surge_up() {
        let quarter = || json!("25%");
        assert_eq!(limits(2, quarter(), quarter()), Limits { least: 2, most: 3 });
        assert_eq!(limits(4, quarter(), quarter()), Limits { least: 3, most: 5 });
        assert_eq!(limits(10, quarter(), quarter()), Limits { least: 8, most: 13 });
        assert_eq!(limits(3, json!(1), json!(0)), Limits { least: 2, most: 3 });
        assert_eq!(limits(3, json!("10%"), json!(0)), Limits { least: 2, most: 3 });
    }

    #[test]
    fn limits_that_are_not_given_are_missing_evidence() {
        let object = json!({"metadata": {"name": "d", "uid": "u"}, "spec": {"replicas": 2}});
        assert!(Limits::of(&Object::new(&object).unwrap()).is_err());
    }

    fn sampled(at_ms: u64, outcome: Outcome) -> Record {
        let event = Event::Sampled { probe: "http".into(), outcome, took_ms: 1.0, detail: "200".into() };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let scope = crate::event::Scope::default();
        Record { schema: 1, seq: 0, writer: 1, at, mono_us: at_ms * 1000, run: "r".into(), scope, event }
    }

    fn outage(samples: &[(u64, Outcome)]) -> f64 {
        let records: Vec<_> = samples.iter().map(|s| sampled(s.0, s.1)).collect();
        let samples: Vec<_> = records.iter().filter_map(|r| Sample::of(r, "http")).collect();
        outages(&samples).longest().map_or(0.0, |w| (w.length() * 1e3).round() / 1e3)
    }

    #[test]
    fn an_outage_lasts_from_answer_to_answer() {
        use Outcome::{Acknowledged, Indeterminate, Refused};
        assert_eq!(outage(&[]), 0.0);
        assert_eq!(outage(&[(0, Acknowledged), (5000, Acknowledged)]), 0.0);
        let twice =
            [(0, Acknowledged), (100, Refused), (300, Acknowledged), (400, Refused), (1400, Indeterminate)];
        assert_eq!(outage(&twice), 1.1);
        assert_eq!(outage(&[&twice[..], &[(1500, Acknowledged)]].concat()), 1.2);
        // There was no earlier answer: the first request had begun 1 ms earlier.
        assert_eq!(outage(&[(100, Refused), (800, Refused)]), 0.701);
    }

    #[test]
    fn a_series_is_no_mere_prefix() {
        assert!(is_of_series("1.22.1", "1.22"));
        assert!(is_of_series("1.22", "1.22"));
        assert!(!is_of_series("1.220.1", "1.22"));
        assert!(!is_of_series("1.22.1", ""));
    }

    #[test]
    fn a_sum_is_above_its_limit_from_the_change_that_lifts_it_to_the_one_that_ends_it() {
        let record = |ms: u64, event: Event| Record { event, ..sampled(ms, Outcome::Acknowledged) };
        let mark = |ms, name: &str| record(ms, Event::Marked { mark: name.into() });
        let pod = |ms, name: &str, change| {
            let object = json!({"metadata": {"name": name, "uid": name, "labels": {"app": "x"}}});
            let (kind, name, uid) = ("Pod".into(), name.into(), name.into());
            record(ms, Event::ObjectChanged { change, kind, name, uid, object })
        };
        let mut records = vec![
            pod(500, "a", Change::Added),
            mark(1000, "from"),
            pod(3000, "b", Change::Added),
            pod(3250, "c", Change::Added),
            pod(4500, "b", Change::Deleted),
            pod(4750, "c", Change::Deleted),
            mark(9000, "to"),
        ];
        let longest = |records: &[Record]| {
            let window = Window::between(&Evidence::new(records, "A7"), "from", "to").unwrap();
            let sums = window.sums("Pod", labelled(("app", "x")), |_| 1);
            let longest = |limit| window.above(&sums, limit).iter().map(|t| t.1 - t.0).fold(0.0, f64::max);
            (longest(1), longest(2), sums)
        };
        let (one, two, sums) = longest(&records);
        assert_eq!(sums, [(0.5, 1), (3.0, 2), (3.25, 3), (4.5, 2), (4.75, 1)]);
        assert_eq!((one, two), (1.75, 1.25));
        // A sum that is still above the limit at the end counts up to the last record of the window.
        records.insert(6, pod(6000, "d", Change::Added));
        records.insert(7, mark(8500, "meanwhile"));
        assert_eq!(longest(&records).0, 2.5);
    }
    fn changed(ms: u64, kind: &str, app: &str, change: Change, ending: bool) -> Record {
        let (kind, name) = (kind.to_owned(), format!("{kind}-of-{app}"));
        let uid = name.clone();
        let mut object = json!({"metadata": {"name": name, "uid": uid, "labels": {"app": app}}});
        if ending {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let event = Event::ObjectChanged { change, kind, name, uid, object };
        Record { event, ..sampled(ms, Outcome::Acknowledged) }
    }

    fn window(records: &[Record]) -> Window<'_> {
        Window { evidence: Evidence::new(records, "A7"), from: 0, to: records.len() }
    }

    #[test]
    fn only_living_objects_of_the_kind_and_the_label_have_states() {
        let records = [
            changed(1, "Pod", "x", Change::Added, false),
            changed(2, "Pod", "y", Change::Modified, false),
            changed(3, "Pod", "x", Change::Deleted, false),
            changed(4, "Lease", "x", Change::Added, false),
        ];
        let states = window(&records).states_where("Pod", ("app", "x"), |_| true);
        assert_eq!(states.iter().map(|(r, _)| r.mono_us).collect::<Vec<_>>(), [1000]);
    }

    #[test]
    fn a_request_is_held_against_the_first_sign_of_a_deletion() {
        let records = [
            changed(500, "Lease", "x", Change::Modified, true),
            changed(600, "Pod", "y", Change::Modified, true),
            changed(700, "Pod", "x", Change::Modified, false),
            changed(1000, "Pod", "x", Change::Modified, true),
            changed(2000, "Pod", "x", Change::Modified, true),
            changed(3000, "Pod", "x", Change::Deleted, true),
        ];
        let endings =
            window(&records).endings(|_, pod| pod.label("app") == Some("x") && pod.is_terminating());
        assert_eq!(endings, [Ending { pod: "Pod-of-x", at: 1.0 }]);
        // A sample, by the time of its record and the milliseconds that it took.
        for (ms, took, after) in
            [(400, 0, None), (500, 0, Some(-0.5)), (5000, 0, Some(4.0)), (6000, 1000, Some(4.0))]
        {
            let record = sampled(ms, Outcome::Refused);
            let sample = Sample { took_ms: f64::from(took), ..Sample::of(&record, "http").unwrap() };
            assert_eq!(endings[0].seconds_before(&sample), after, "{ms} ms, {took} ms");
        }
    }
}

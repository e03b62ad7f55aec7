//! Timelines: lanes of spans on the time axis of one story.

mod upgrade;

use std::collections::BTreeMap;

use serde_json::Value;

use super::stories::{Clock, Story};
use crate::event::{Change, Event, Outcome, Record, Server};
use crate::judge::machine::CONTROL;
use crate::sanitise::line;

/// One story's time axis, in seconds from the beginning of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// The suite.
    pub suite: String,
    /// The beginning of the axis.
    pub from: f64,
    /// The end of the axis.
    pub to: f64,
    /// The lanes: steps first, then an upgrade's steps and versions, faults, nodes, pods, probes, the machine.
    pub lanes: Vec<Lane>,
    /// Marked moments, with their names.
    pub marks: Vec<(f64, String)>,
}

/// One object or activity over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// Its kind: `steps`, `upgrade`, `versions`, `faults`, `nodes`, `pods`, `probes`, `machine`.
    pub group: &'static str,
    /// Its name.
    pub name: String,
    /// Its states, in order.
    pub spans: Vec<Span>,
    /// Events without a duration, such as the restart of a pod's container.
    pub moments: Vec<(f64, String)>,
}

/// One state of a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// When it begins.
    pub from: f64,
    /// When it ends.
    pub to: f64,
    /// The state, which decides the colour.
    pub state: State,
    /// The state in words.
    pub note: String,
}

/// The state of a lane; each has a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Healthy.
    Good,
    /// Starting or stopping.
    Moving,
    /// Unhealthy.
    Bad,
    /// Broken by a fault of the test.
    Fault,
    /// The machine was starved of processor time.
    Starved,
}

/// Returns the timeline of one story.
pub(super) fn timeline(story: &Story<'_>, name: &str, clock: &Clock) -> Timeline {
    let times = || story.records.iter().map(|r| clock.at(r));
    let from = times().fold(f64::INFINITY, f64::min);
    let to = times().fold(from, f64::max);
    let mut lanes = Lanes::default();
    let mut marks = Vec::new();
    for record in &story.records {
        lanes.take(record, clock.at(record));
        if let Event::Marked { mark } = &record.event {
            marks.push((clock.at(record), line(mark)));
        }
    }
    let Lanes { mut lanes, asked, .. } = lanes;
    let rank = |lane: &Lane| GROUPS.iter().position(|g| *g == lane.group);
    for lane in &mut lanes {
        // An observed state lasts until another is observed. An answer of a probe lasts only until its last request.
        let end = if lane.group == "probes" { asked.get(&lane.name).copied().unwrap_or(to) } else { to };
        for span in lane.spans.iter_mut().filter(|s| s.to.is_infinite()) {
            span.to = end;
        }
    }
    lanes.sort_by_key(rank);
    Timeline { suite: name.into(), from, to, lanes, marks }
}

/// The kinds of lanes, from top to bottom.
pub(super) const GROUPS: [&str; 8] =
    ["steps", "upgrade", "versions", "faults", "nodes", "pods", "probes", "machine"];

/// Seconds between two requests after which a probe counts as silent: another probe of the same name may begin later.
const SILENT: f64 = 2.0;

/// What a span of a lane shows.
pub(super) struct Shown<'n> {
    state: State,
    note: &'n str,
}

impl State {
    pub(super) fn noted(self, note: &str) -> Shown<'_> {
        Shown { state: self, note }
    }
}

#[derive(Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// When each probe made its last request.
    asked: BTreeMap<String, f64>,
    /// The number of restarts of each pod's containers, by the pod's UID.
    restarts: BTreeMap<String, i64>,
    /// The UID of the current pod of each name.
    of: BTreeMap<String, String>,
}

impl Lanes {
    fn take(&mut self, record: &Record, at: f64) {
        match &record.event {
            Event::StepStarted { step } => {
                self.begin("steps", step, at, State::Moving.noted("still going on"))
            }
            Event::StepEnded { step, took, budget, error } => {
                let allowed = budget.map(|b| format!(" of {b:.0} s")).unwrap_or_default();
                let (state, why) = match error {
                    Some(error) => (State::Bad, format!(": {}", line(error))),
                    None => (State::Good, String::new()),
                };
                self.close("steps", step, at, state.noted(&format!("{took:.1} s{allowed}{why}")));
            }
            Event::FaultInjected { fault, node, .. } => {
                self.begin("faults", &format!("{fault} {node}"), at, State::Fault.noted("not healed"));
            }
            Event::FaultHealed { fault, node, .. } => {
                self.close("faults", &format!("{fault} {node}"), at, State::Fault.noted("healed"));
            }
            Event::ObjectChanged { change, kind, name, uid, object } => match (kind.as_str(), change) {
                // After a watch begins again with a list, a pod's end may be recorded after its successor's beginning.
                ("Node" | "Pod", Change::Deleted) if self.of.get(name).is_some_and(|of| of != uid) => {}
                ("Node" | "Pod", Change::Deleted) => self.end(group(kind), name, at),
                ("Node", _) => self.turn("nodes", name, at, node(object)),
                ("Pod", _) => {
                    self.of.insert(name.clone(), uid.clone());
                    self.turn("pods", name, at, pod(object));
                    let now = restarts(object);
                    // Restarts that a pod had when it was first seen happened before the story.
                    if self.restarts.insert(uid.clone(), now).is_some_and(|known| now > known) {
                        self.lane("pods", name).moments.push((at, format!("restarted, {now} times in all")));
                    }
                }
                _ => {}
            },
            Event::UpgradePlanned(_) | Event::UpgradeStepStarted(_) | Event::UpgradeStepEnded(_) => {
                upgrade::take(self, &record.event, at);
            }
            _ => self.take_answer(record, at),
        }
    }

    /// Draws what a probe asked for, or that it paused.
    fn take_answer(&mut self, record: &Record, at: f64) {
        match &record.event {
            Event::Sampled { probe, outcome, took_ms, detail } if probe == CONTROL => {
                let (state, note) = match outcome {
                    Outcome::Acknowledged => (State::Good, "in time".into()),
                    _ => (State::Starved, format!("starved: {}", line(detail))),
                };
                self.turn("machine", probe, at - took_ms / 1000.0, (state, note));
            }
            Event::Sampled { probe, outcome, took_ms, detail } => {
                let note = if *outcome == Outcome::Acknowledged { "answered" } else { detail.as_str() };
                self.answered(probe, at, Some(took_ms / 1000.0), (answer(outcome), note));
            }
            Event::RowWritten { row, outcome, server, reason } => {
                let note = wrote(outcome, server, reason);
                self.answered(&row.writer, at, None, (answer(outcome), &note));
            }
            Event::TransactionWritten { rows, outcome, server, reason } => {
                let writer = rows.first().map_or("ledger", |row| row.writer.as_str());
                let note = wrote(outcome, server, reason);
                self.answered(writer, at, None, (answer(outcome), &note));
            }
            Event::ProbePaused { probe } => self.end("probes", probe, at),
            Event::ProbeResumed { probe } => {
                self.asked.insert(line(probe), at);
            }
            Event::RowsSampled { reader, outcome, server, exists, began_us, reason, .. } => {
                let (state, note) = match outcome {
                    Outcome::Acknowledged if !exists => {
                        (State::Bad, format!("{} answered, and has no such table", server.pod))
                    }
                    Outcome::Acknowledged => (State::Good, format!("answered by {}", server.pod)),
                    Outcome::Refused | Outcome::Indeterminate => {
                        (answer(outcome), format!("not read: {reason}"))
                    }
                };
                let took = record.mono_us.saturating_sub(*began_us) as f64 / 1e6;
                self.answered(reader, at, Some(took), (state, &note));
            }
            _ => {}
        }
    }

    /// Adds an attempt of a probe. A failure lasts from the previous attempt, as the judges count it; a failed first
    /// attempt lasts from its own beginning.
    fn answered(&mut self, probe: &str, at: f64, took: Option<f64>, (state, note): (State, &str)) {
        let probe = line(probe);
        let began = at - took.unwrap_or_default();
        let last = self.asked.insert(probe.clone(), at);
        let silent = last.filter(|last| took.is_some() && began - last > SILENT);
        if let Some(last) = silent {
            self.end("probes", &probe, last);
        }
        let last = last.filter(|_| silent.is_none());
        let since = match state {
            State::Good => at,
            _ => last.unwrap_or(began),
        };
        self.turn("probes", &probe, since, (state, line(note)));
    }

    /// Ends the lane's current state and begins another, unless both are equal.
    pub(super) fn turn(&mut self, group: &'static str, name: &str, at: f64, (state, note): (State, String)) {
        let last = self.lane(group, name).spans.last();
        if last.is_some_and(|s| s.to.is_infinite() && s.state == state && s.note == note) {
            return;
        }
        self.end(group, name, at);
        self.begin(group, name, at, state.noted(&note));
    }

    pub(super) fn begin(&mut self, group: &'static str, name: &str, at: f64, shown: Shown<'_>) {
        let span = Span { from: at, to: f64::INFINITY, state: shown.state, note: shown.note.into() };
        self.lane(group, name).spans.push(span);
    }

    fn end(&mut self, group: &'static str, name: &str, at: f64) {
        if let Some(open) = self.lane(group, name).spans.last_mut().filter(|s| s.to.is_infinite()) {
            open.to = at;
        }
    }

    pub(super) fn close(&mut self, group: &'static str, name: &str, at: f64, shown: Shown<'_>) {
        let open = self.lane(group, name).spans.last_mut().filter(|s| s.to.is_infinite());
        if let Some(open) = open {
            (open.to, open.state, open.note) = (at, shown.state, shown.note.into());
        }
    }

    fn lane(&mut self, group: &'static str, name: &str) -> &mut Lane {
        let name = line(name);
        let known = self.lanes.iter().position(|l| l.group == group && l.name == name);
        let at = known.unwrap_or_else(|| {
            self.lanes.push(Lane { group, name, spans: Vec::new(), moments: Vec::new() });
            self.lanes.len() - 1
        });
        &mut self.lanes[at]
    }
}

fn group(kind: &str) -> &'static str {
    if kind == "Node" { "nodes" } else { "pods" }
}

/// What came of rows that were written.
fn wrote(outcome: &Outcome, server: &Server, reason: &str) -> String {
    match outcome {
        Outcome::Acknowledged => format!("rows acknowledged by {}", server.pod),
        Outcome::Refused => format!("rows refused: {reason}"),
        Outcome::Indeterminate => format!("rows without an answer: {reason}"),
    }
}

fn answer(outcome: &Outcome) -> State {
    match outcome {
        Outcome::Acknowledged => State::Good,
        Outcome::Refused => State::Bad,
        Outcome::Indeterminate => State::Moving,
    }
}

fn node(object: &Value) -> (State, String) {
    let cordoned = object["spec"]["unschedulable"] == true;
    match condition(object, "Ready") {
        Some("True") if cordoned => (State::Moving, "ready, cordoned".into()),
        Some("True") => (State::Good, "ready".into()),
        Some("False") => (State::Bad, "not ready".into()),
        _ => (State::Bad, "unknown".into()),
    }
}

fn pod(object: &Value) -> (State, String) {
    let on = object["spec"]["nodeName"].as_str().map(|n| format!(" on {n}")).unwrap_or_default();
    let phase = object["status"]["phase"].as_str().unwrap_or("Pending");
    let waiting = object["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].as_str();
    if object["metadata"]["deletionTimestamp"].is_string() {
        return (State::Moving, format!("terminating{on}"));
    }
    match (phase, condition(object, "Ready"), waiting) {
        (_, _, Some(reason)) if reason.ends_with("BackOff") || reason.starts_with("Err") => {
            (State::Bad, format!("{reason}{on}"))
        }
        ("Failed", _, _) => (State::Bad, format!("failed{on}")),
        (_, Some("True"), _) => (State::Good, format!("ready{on}")),
        _ => (State::Moving, format!("{}, not ready{on}", phase.to_lowercase())),
    }
}

fn restarts(pod: &Value) -> i64 {
    let containers = pod["status"]["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
    containers.iter().filter_map(|c| c["restartCount"].as_i64()).sum()
}

fn condition<'o>(object: &'o Value, name: &str) -> Option<&'o str> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|c| c["type"] == name)?["status"].as_str()
}

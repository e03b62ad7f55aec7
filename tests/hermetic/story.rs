//! Records of a scenario, recorded or made up, for tests to falsify.

use std::path::PathBuf;
use std::sync::LazyLock;

use seatrial::event::{Change, Event, FileEntry, Outcome, Record, Row, SCHEMA, Scope, Seen, Server};
use seatrial::judge::{self, Conclusion, Evidence, Fact, Finding};
use serde::Serialize;
use serde_json::Value;

use crate::schemas;

/// The name of a fact. Tests take it from the fact's constant where one exists, so a typo does not compile.
pub trait Named: Copy {
    fn named(self) -> &'static str;
}

impl<T> Named for &Fact<T> {
    fn named(self) -> &'static str {
        self.name()
    }
}

impl Named for &'static str {
    fn named(self) -> &'static str {
        self
    }
}

/// The record of a fact, with a value that its type may not allow.
pub fn observed(fact: impl Named, value: impl Serialize) -> Event {
    let value = serde_json::to_value(value).unwrap();
    Event::Observed { claim: None, what: fact.named().into(), value }
}

/// The value, if an event is a record of this fact.
pub fn value_in(event: &mut Event, fact: impl Named) -> Option<&mut Value> {
    match event {
        Event::Observed { what, value, .. } if what == fact.named() => Some(value),
        _ => None,
    }
}

/// Whether an event is a record of this fact.
pub fn is_of(event: &Event, fact: impl Named) -> bool {
    matches!(event, Event::Observed { what, .. } if what == fact.named())
}

/// The last value of a fact.
pub fn last(records: &mut [Record], fact: impl Named) -> &mut Value {
    let found = records.iter_mut().rev().find_map(|r| value_in(&mut r.event, fact));
    found.unwrap_or_else(|| panic!("no fact {}", fact.named()))
}

/// The records of one scenario, and the second at which the next event is recorded.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub records: Vec<Record>,
    pub seconds: f64,
}

/// A run of part A on a real cluster of Kubernetes 1.34.4, reduced to the records that judges read.
pub fn recorded() -> Story {
    static READ: LazyLock<Vec<Record>> =
        LazyLock::new(|| seatrial::event::read(&fixture()).expect("the recorded run can be read"));
    Story { records: READ.clone(), seconds: 0.0 }
}

/// Where [`recorded`] comes from: a whole run.
pub fn fixture() -> PathBuf {
    schemas::folder().join("schema-2/stateless.jsonl")
}

impl Story {
    /// Judges a claim like the catalogue, from the records before its recorded judgement, if any.
    pub fn judge(&self, id: &str) -> Finding {
        let judged = |r: &Record| matches!(&r.event, Event::ClaimJudged { claim, .. } if claim == id);
        let until = self.records.iter().position(judged).unwrap_or(self.records.len());
        judge::claim(id).expect("a claim of the catalogue").judge(&Evidence::new(&self.records[..until], id))
    }

    /// The last fact of this name.
    pub fn fact(&mut self, fact: impl Named) -> &mut Value {
        last(&mut self.records, fact)
    }

    pub fn forget(&mut self, gone: impl Fn(&Event) -> bool) {
        self.records.retain(|r| !gone(&r.event));
    }

    pub fn mark(&self, name: &str) -> usize {
        let at = self.records.iter().position(|r| matches!(&r.event, Event::Marked { mark } if mark == name));
        at.unwrap_or_else(|| panic!("no mark {name}"))
    }

    /// Inserts an event just after a mark.
    pub fn insert_after(&mut self, mark: &str, event: Event) {
        let at = self.mark(mark) + 1;
        let record = Record { event, ..self.records[at - 1].clone() };
        self.records.insert(at, record);
    }

    /// Inserts an event just before a mark.
    pub fn insert_before(&mut self, mark: &str, event: Event) {
        let at = self.mark(mark);
        let record = Record { event, ..self.records[at - 1].clone() };
        self.records.insert(at, record);
    }

    /// Lets everything after a mark happen this many seconds later, on both clocks.
    pub fn later(&mut self, mark: &str, seconds: f64) {
        let at = self.mark(mark);
        for record in &mut self.records[at..] {
            record.mono_us += (seconds * 1e6) as u64;
            record.at += jiff::SignedDuration::from_secs_f64(seconds);
        }
    }

    /// The last recorded state of one object before a mark.
    pub fn last_state(&self, wanted: &str, mark: &str) -> Value {
        let state = |r: &Record| match &r.event {
            Event::ObjectChanged { uid, object, .. } if uid == wanted => Some(object.clone()),
            _ => None,
        };
        self.records[..self.mark(mark)].iter().rev().find_map(state).expect("it was recorded")
    }

    /// The last recorded state of an object of a kind before a mark.
    pub fn state_before(&self, mark: &str, wanted: &str, nth: usize) -> Value {
        let mut seen: Vec<(String, Value)> = Vec::new();
        for record in &self.records[..self.mark(mark)] {
            if let Event::ObjectChanged { kind, uid, object, .. } = &record.event
                && kind == wanted
            {
                seen.retain(|s| s.0 != *uid);
                seen.push((uid.clone(), object.clone()));
            }
        }
        seen[nth].1.clone()
    }
}

/// Functions that make up a story.
impl Story {
    pub fn say(&mut self, event: Event) {
        self.records.push(Record {
            schema: SCHEMA,
            seq: self.records.len() as u64,
            writer: 1,
            at: jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs_f64(self.seconds),
            mono_us: (self.seconds * 1e6) as u64,
            run: "r".into(),
            scope: Scope::default(),
            event,
        });
    }

    pub fn observe(&mut self, fact: impl Named, value: impl Serialize) {
        self.say(observed(fact, value));
    }

    pub fn marked(&mut self, mark: &str) {
        self.say(Event::Marked { mark: mark.into() });
    }

    pub fn changed(&mut self, change: Change, object: &Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        let (kind, name, uid) = (text("/kind"), text("/metadata/name"), text("/metadata/uid"));
        self.say(Event::ObjectChanged { change, kind, name, uid, object: object.clone() });
    }

    pub fn listed(&mut self, listing: &str, node: &str, power: &str, paths: &[&str], uuid: Option<&str>) {
        self.say(Event::FilesListed {
            listing: listing.into(),
            node: node.into(),
            power: power.into(),
            path: "/mnt/data".into(),
            exists: !paths.is_empty(),
            entries: paths.iter().map(|path| entry(path)).collect(),
            server_uuid: uuid.map(str::to_owned),
            link: None,
            incomplete: None,
        });
    }

    pub fn wrote(&mut self, number: u64, outcome: Outcome, server: &Server, reason: &str) {
        let (row, reason) = (row(number), reason.into());
        self.say(Event::RowWritten { row, outcome, server: server.clone(), reason });
    }

    pub fn read(&mut self, reading: &str, server: &Server, rows: Option<&[u64]>) {
        self.say(Event::RowsRead {
            reading: reading.into(),
            server: server.clone(),
            exists: rows.is_some(),
            rows: rows.unwrap_or_default().iter().map(|n| row(*n)).collect(),
            began_us: None,
            writers: None,
        });
    }

    /// A reader's look: the lowest number, the highest number, and the number of rows.
    pub fn looked(&mut self, server: &Server, (low, high, count): (u64, u64, u64)) {
        let seen = Seen { writer: "ledger".into(), low, high, count, digest: String::new() };
        self.say(Event::RowsSampled {
            reader: "reader".into(),
            outcome: Outcome::Acknowledged,
            server: server.clone(),
            exists: true,
            began_us: (self.seconds * 1e6) as u64,
            writers: vec![seen],
            reason: String::new(),
        });
    }

    /// Changes the last fact of this name.
    pub fn bend(&mut self, fact: impl Named, how: impl FnOnce(&mut Value)) {
        how(self.fact(fact));
    }

    /// Writes a value into the last fact of this name, at `pointer`.
    pub fn bend_at(&mut self, fact: impl Named, pointer: &str, to: Value) {
        self.bend(fact, |value| {
            if let Some(there) = value.pointer_mut(pointer) {
                *there = to;
            } else {
                let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
                value.pointer_mut(parent).expect("it leads somewhere")[field] = to;
            }
        });
    }

    /// Changes every matching event.
    pub fn each(&mut self, mut how: impl FnMut(&mut Event)) {
        self.records.iter_mut().for_each(|r| how(&mut r.event));
    }
}

/// Asserts that a check had this result, with a line that contains this text.
#[track_caller]
pub fn says(finding: &Finding, conclusion: Conclusion, said: &str) {
    let (lines, begin) = (finding.details(), format!("{conclusion}: "));
    let found = lines.iter().any(|line| line.starts_with(&begin) && line.contains(said));
    assert!(found, "no line `{begin}..{said}`: {lines:#?}");
}

/// A change of an object.
pub fn changed(object: Value) -> Event {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name, uid) = (text("/kind"), text("/metadata/name"), text("/metadata/uid"));
    Event::ObjectChanged { change: Change::Modified, kind, name, uid, object }
}

pub fn sample(outcome: Outcome, detail: &str) -> Event {
    Event::Sampled { probe: "http".into(), outcome, took_ms: 1.0, detail: detail.into() }
}

pub fn row(number: u64) -> Row {
    Row { writer: "ledger".into(), number, checksum: format!("sum{number}") }
}

pub fn entry(path: &str) -> FileEntry {
    FileEntry { path: path.into(), size: 1, uid: 999, mode: 0o640, ..FileEntry::default() }
}

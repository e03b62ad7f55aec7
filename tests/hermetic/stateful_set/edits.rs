//! Functions that falsify a recorded story.

use seatrial::event::{Change, Event, Record};
use serde_json::{Value, json};

use super::Story;
use crate::story::{Named, last, value_in};

/// Whether a change of an object matches.
pub(super) type Fits = fn(Change, &Value) -> bool;

impl Story {
    /// The last fact of this name.
    pub(super) fn fact(&mut self, fact: impl Named) -> &mut Value {
        last(&mut self.0, fact)
    }

    /// Every fact of this name.
    pub(super) fn facts(&mut self, fact: impl Named) -> Vec<&mut Value> {
        self.0.iter_mut().filter_map(|r| value_in(&mut r.event, fact)).collect()
    }

    pub(super) fn mark(&self, name: &str) -> usize {
        let at = self.0.iter().rposition(|r| matches!(&r.event, Event::Marked { mark } if mark == name));
        at.unwrap_or_else(|| panic!("no mark {name}"))
    }

    /// Inserts an event just after a mark.
    pub(super) fn insert_after(&mut self, mark: &str, event: Event) {
        self.insert(self.mark(mark) + 1, event);
    }

    /// Inserts an event before the record at this position.
    pub(super) fn insert(&mut self, at: usize, event: Event) {
        let record = Record { event, ..self.0[at - 1].clone() };
        self.0.insert(at, record);
    }

    /// Position of the first matching change of a pod after a mark.
    pub(super) fn change(&self, mark: &str, wanted: &str, fits: Fits) -> usize {
        let from = self.mark(mark);
        let found = self.0[from..].iter().position(|r| match &r.event {
            Event::ObjectChanged { change, name, object, kind, .. } if name == wanted && kind != "Event" => {
                fits(*change, object)
            }
            _ => false,
        });
        from + found.unwrap_or_else(|| panic!("no such change of {wanted} after {mark}"))
    }

    pub(super) fn object(&mut self, at: usize) -> &mut Value {
        match &mut self.0[at].event {
            Event::ObjectChanged { object, .. } => object,
            other => panic!("no change: {other:?}"),
        }
    }

    /// The pod as it was when it was first ready.
    pub(super) fn ready(&mut self, name: &str) -> Value {
        let at = self.change("apply", name, is_ready);
        self.object(at).clone()
    }

    /// Records just after a mark that a pod is terminating.
    pub(super) fn goes(&mut self, mark: &str, name: &str) {
        let pod = ending(self.ready(name));
        self.insert_after(mark, told(Change::Modified, pod));
    }

    /// Moves a change after a mark to before another one.
    pub(super) fn comes_before(&mut self, mark: &str, (early, is): (&str, Fits), (late, was): (&str, Fits)) {
        let (to, from) = (self.change(mark, late, was), self.change(mark, early, is));
        self.carry(from, to);
    }

    /// The objects, of every kind, of the changes after a mark: kind, name, object.
    pub(super) fn objects_after(&mut self, mark: &str) -> impl Iterator<Item = (&str, &str, &mut Value)> {
        let from = self.mark(mark);
        self.0[from..].iter_mut().filter_map(|r| match &mut r.event {
            Event::ObjectChanged { kind, name, object, .. } => Some((kind.as_str(), name.as_str(), object)),
            _ => None,
        })
    }

    /// Lets the wall clock jump by an hour just before the record at this position.
    pub(super) fn jump(&mut self, at: usize) {
        for record in &mut self.0[at..] {
            record.at += jiff::SignedDuration::from_hours(1);
        }
    }

    /// Moves a record, with its time, to before another one.
    pub(super) fn carry(&mut self, from: usize, to: usize) {
        let mut record = self.0.remove(from);
        let to = if from < to { to - 1 } else { to };
        (record.mono_us, record.at) = (self.0[to].mono_us, self.0[to].at);
        self.0.insert(to, record);
    }

    /// Exchanges the names of two pods between two marks, facts included, as if they had gone in the other order.
    pub(super) fn exchange(&mut self, (from, to): (&str, &str), (a, b): (&str, &str)) {
        let (from, to) = (self.mark(from), self.mark(to));
        for record in &mut self.0[from..to] {
            if let Event::ObjectChanged { kind, name, object, .. } = &mut record.event
                && kind == "Pod"
            {
                *name = swapped(name, a, b);
                object["metadata"]["name"] = json!(name.clone());
            }
        }
    }

    /// Drops the matching changes between two marks, of objects with this name or of all objects.
    pub(super) fn unseen(&mut self, (from, to): (&str, &str), wanted: Option<&str>, fits: Fits) {
        let (from, to) = (self.mark(from), self.mark(to));
        let gone = |event: &Event| {
            matches!(event, Event::ObjectChanged { change, name, object, .. }
                if wanted.is_none_or(|w| w == name) && fits(*change, object))
        };
        let mut at = 0;
        self.0.retain(|r| {
            at += 1;
            !((from..to).contains(&(at - 1)) && gone(&r.event))
        });
    }
}

pub(super) fn is_added(change: Change, _: &Value) -> bool {
    change == Change::Added
}

pub(super) fn is_gone(change: Change, _: &Value) -> bool {
    change == Change::Deleted
}

pub(super) fn is_ready(change: Change, pod: &Value) -> bool {
    change != Change::Deleted && !is_ending(change, pod) && pod["status"]["conditions"][0]["status"] == "True"
}

pub(super) fn is_any(_: Change, _: &Value) -> bool {
    true
}

pub(super) fn is_ending(_: Change, pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

/// A change of an object, as a watch delivers it.
pub(super) fn told(change: Change, object: Value) -> Event {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name, uid) = (text("/kind"), text("/metadata/name"), text("/metadata/uid"));
    Event::ObjectChanged { change, kind, name, uid, object }
}

/// The same object, terminating.
pub(super) fn ending(mut object: Value) -> Value {
    object["metadata"]["deletionTimestamp"] = json!("2026-11-24T15:30:00Z");
    object["metadata"]["deletionGracePeriodSeconds"] = json!(5);
    object
}

fn swapped(name: &str, a: &str, b: &str) -> String {
    match name {
        _ if name == a => b.into(),
        _ if name == b => a.into(),
        other => other.into(),
    }
}

//! A claim with its history, to be judged many times.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use seatrial::event::{Event, Record};
use seatrial::judge::{Claim, Conclusion, Evidence};
use serde_json::Value;

use super::bend;
use super::groups::{Group, Leaf};

/// Values of a group that are changed one by one.
const MEMBERS: usize = 3;
/// How many other values are tried for a value at most.
const OTHERS: usize = 4;
/// The same for a value that is hardly read.
const FEW: usize = 1;

/// The entry for all records of a kind.
pub const ALL: &str = "*";
/// The entry for any single record of a kind, if the claim needs only all of them together.
pub const ONE: &str = "(one)";
/// The entry for the records of a kind whose absence does not matter, although a changed record turns the verdict.
pub const ABSENT: &str = "(absent)";

/// A claim with its history.
pub struct Bench {
    claim: &'static Claim,
    records: Vec<Record>,
}

impl Bench {
    /// # Panics
    /// Where the history does not pass the claim.
    pub fn new(claim: &'static Claim, records: Vec<Record>) -> Self {
        let bench = Self { claim, records };
        assert!(!bench.turned(), "{} does not pass as it is", claim.id);
        bench
    }

    /// Whether the verdict is not "passed". A value that no writer could have written decides nothing.
    fn turned(&self) -> bool {
        let judge = || self.claim.judge(&Evidence::new(&self.records, self.claim.id));
        let judged = catch_unwind(AssertUnwindSafe(judge));
        let finding = judged.unwrap_or_else(|_| panic!("the judge of {} panics", self.claim.id));
        finding.conclusion() != Conclusion::Passed
            && !finding.details().iter().any(|line| line.contains("cannot be read: "))
    }

    /// Whether another value in place of these turns the verdict. `nth` is the number of that other value.
    fn turns(&mut self, leaves: &[Leaf], nth: usize) -> bool {
        let bent: Vec<(usize, Before)> = leaves.iter().filter_map(|leaf| self.bend(leaf, nth)).collect();
        let turned = !bent.is_empty() && self.turned();
        for (at, before) in bent.into_iter().rev() {
            let event = &mut self.records[at].event;
            match before {
                Before::Event(before) => *event = *before,
                Before::Value(pointer, before) => *inside(event, &pointer).expect("it was there") = before,
            }
        }
        turned
    }

    /// Changes one value, and returns the original.
    fn bend(&mut self, leaf: &Leaf, nth: usize) -> Option<(usize, Before)> {
        let event = &mut self.records[leaf.record].event;
        let other = bend::others(&leaf.value).into_iter().nth(nth).filter(|other| *other != leaf.value)?;
        if let Some(value) = inside(event, &leaf.pointer) {
            let before = std::mem::replace(value, other);
            return Some((leaf.record, Before::Value(leaf.pointer.clone(), before)));
        }
        let mut json = serde_json::to_value(&*event).expect("an event is JSON");
        *json.pointer_mut(&leaf.pointer)? = other;
        let bent = serde_json::from_value(json).ok()?;
        Some((leaf.record, Before::Event(Box::new(std::mem::replace(event, bent)))))
    }

    /// Whether the verdict depends on one of these values alone.
    fn reads_one(&mut self, leaves: &[Leaf]) -> bool {
        let mut turns = |leaf: &Leaf| (0..OTHERS).any(|nth| self.turns(std::slice::from_ref(leaf), nth));
        representatives(leaves).iter().any(&mut turns)
    }

    /// Whether the verdict depends on the presence of one of these records.
    fn needs_one(&mut self, records: &[usize]) -> bool {
        spread(records).into_iter().any(|at| {
            let record = self.records.remove(at);
            let turned = self.turned();
            self.records.insert(at, record);
            turned
        })
    }

    /// Whether the verdict depends on the presence of any of these records.
    fn needs_any(&mut self, records: &[usize]) -> bool {
        let without: Vec<Record> = self
            .records
            .iter()
            .enumerate()
            .filter(|(at, _)| !records.contains(at))
            .map(|(_, r)| r.clone())
            .collect();
        let all = std::mem::replace(&mut self.records, without);
        let turned = self.turned();
        self.records = all;
        turned
    }

    /// Returns what the verdict does not depend on among the records of a kind: one entry if it depends on none of
    /// them. Values are changed one by one if `alone` accepts their path, and otherwise only all at once.
    pub fn unread(&mut self, group: &Group, alone: impl Fn(&str) -> bool) -> Vec<String> {
        let (any, one) = (self.needs_any(&group.records), self.needs_one(&group.records));
        // Records that can all be missing are hardly read: two other values for each are enough.
        let alone: BTreeMap<&str, bool> =
            group.leaves.keys().map(|path| (path.as_str(), alone(path))).collect();
        let others = |path: &str| if (any || one) && alone[path] { OTHERS } else { FEW };
        let together =
            |(path, leaves): (&String, &Vec<Leaf>)| (0..others(path)).any(|nth| self.turns(leaves, nth));
        let read_together: Vec<bool> = group.leaves.iter().map(together).collect();
        if !any && !one && !read_together.contains(&true) {
            return vec![ALL.into()];
        }
        let mut unread = Vec::new();
        if !one {
            unread.push(if any { ONE } else { ABSENT }.to_owned());
        }
        for ((path, leaves), read) in group.leaves.iter().zip(read_together) {
            let read = read || (alone[path.as_str()] && self.reads_one(leaves));
            if !read {
                unread.push(path.clone());
            }
        }
        unread
    }
}

/// The original of a changed value.
enum Before {
    Event(Box<Event>),
    /// A value, with its pointer into the event.
    Value(String, Value),
}

/// The value in an object or a fact at this pointer into its event.
fn inside<'e>(event: &'e mut Event, pointer: &str) -> Option<&'e mut Value> {
    match event {
        Event::Observed { value, .. } => value.pointer_mut(pointer.strip_prefix("/value")?),
        Event::ObjectChanged { object, .. } => object.pointer_mut(pointer.strip_prefix("/object")?),
        _ => None,
    }
}

/// A selection of these, with different values if there are enough.
fn representatives(leaves: &[Leaf]) -> Vec<Leaf> {
    let mut values: Vec<&Value> = Vec::new();
    let mut different = Vec::new();
    for leaf in leaves {
        if !values.contains(&&leaf.value) {
            values.push(&leaf.value);
            different.push(leaf.clone());
        }
    }
    spread(if different.len() < MEMBERS { leaves } else { &different })
}

/// The first, the last, and some in between.
fn spread<T: Clone>(all: &[T]) -> Vec<T> {
    if all.len() <= MEMBERS {
        return all.to_vec();
    }
    (0..MEMBERS).map(|n| all[n * (all.len() - 1) / (MEMBERS - 1)].clone()).collect()
}

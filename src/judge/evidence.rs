//! What a judge may read: the records of one scenario, with methods to search them.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Fact;
use super::index::{Index, Of};
use crate::event::{Change, Event, Record};

/// The records of one scenario, in order.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'r> {
    records: &'r [Record],
    claim: &'r str,
    run: &'r [Record],
    /// Where the events are in the records of the whole scenario, and how many of these come before `records`.
    index: Option<(&'r Index<'r>, usize)>,
}

/// A fact that a judge needs is not in the records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no evidence: {0}")]
pub struct Missing(
    /// What is missing.
    pub String,
);

impl<'r> Evidence<'r> {
    /// Returns the evidence for one claim, given by id. `records` are those of one scenario.
    pub fn new(records: &'r [Record], claim: &'r str) -> Self {
        Self { records, claim, run: &[], index: None }
    }

    /// The same evidence with an index of its records: searches are fast.
    pub(super) fn indexed(self, index: &'r Index<'r>) -> Self {
        Self { index: Some((index, 0)), ..self }
    }

    /// Returns the events of a sort in a part of the records, in order, each with its place.
    pub(super) fn events<'e>(
        &self,
        of: Of<'e>,
        within: Range<usize>,
    ) -> Box<dyn DoubleEndedIterator<Item = (usize, &'r Record)> + 'e>
    where
        'r: 'e,
    {
        let records = self.records;
        let within = within.start.min(records.len())..within.end.min(records.len());
        match self.index {
            Some((index, before)) => {
                let places = index.places(of, within.start + before..within.end + before);
                Box::new(places.iter().map(move |at| (at - before, &records[at - before])))
            }
            None => Box::new(within.map(move |at| (at, &records[at])).filter(move |(_, r)| of.is(&r.event))),
        }
    }

    /// Returns all events of a sort, as [`Evidence::events`] does.
    pub(super) fn all<'e>(&self, of: Of<'e>) -> impl DoubleEndedIterator<Item = &'r Record> + 'e
    where
        'r: 'e,
    {
        self.events(of, 0..self.records.len()).map(|(_, record)| record)
    }

    /// Returns the place of a part of the records in them.
    pub(super) fn place(&self, part: &'r [Record]) -> Range<usize> {
        let from =
            (part.as_ptr() as usize).saturating_sub(self.records.as_ptr() as usize) / size_of::<Record>();
        from..from + part.len()
    }

    /// Adds the earlier records of the whole run, those of other scenarios included: for a claim on other claims
    /// ([`Claim::sees_run`](super::Claim::sees_run)).
    pub fn of_run(self, run: &'r [Record]) -> Self {
        Self { run, ..self }
    }

    /// Returns what the claim is about: the part of its id after the first `/`. A claim of a trial may be about one
    /// workload, as `rollout/Deployment/web`.
    pub fn subject(&self) -> Option<&'r str> {
        self.claim.split_once('/').map(|(_, subject)| subject)
    }

    /// Returns the id of the claim, without what it is about.
    pub fn claim(&self) -> &'r str {
        self.claim.split_once('/').map_or(self.claim, |(id, _)| id)
    }

    /// Returns the earlier records of the whole run; none unless the claim is on other claims.
    pub fn run(&self) -> &'r [Record] {
        self.run
    }

    /// Returns all records of the scenario.
    pub fn records(&self) -> &'r [Record] {
        self.records
    }

    /// Returns the last value of a fact.
    ///
    /// # Errors
    /// [`Missing`] if the fact was not observed or is not a `T`.
    pub fn fact<T: DeserializeOwned>(&self, fact: &Fact<T>) -> Result<T, Missing> {
        self.read(fact, self.recorded(fact)?.1)
    }

    /// Returns every value of a fact, in order.
    ///
    /// # Errors
    /// As [`Evidence::fact`].
    pub fn facts<T: DeserializeOwned>(&self, fact: &Fact<T>) -> Result<Vec<T>, Missing> {
        self.recorded(fact)?;
        self.records_of(fact).map(|(_, value)| self.read(fact, value)).collect()
    }

    /// Returns the last record of a fact, and its value as it was recorded.
    ///
    /// # Errors
    /// [`Missing`] if the fact was not observed.
    pub fn recorded<T>(&self, fact: &Fact<T>) -> Result<(&'r Record, &'r Value), Missing> {
        self.records_of(fact)
            .next_back()
            .ok_or_else(|| Missing(format!("`{}` was not observed", self.name_of(fact))))
    }

    /// Returns every record of a fact with its value, in order.
    pub fn records_of<'e, T>(
        &'e self,
        fact: &'e Fact<T>,
    ) -> impl DoubleEndedIterator<Item = (&'r Record, &'r Value)> + use<'e, 'r, T> {
        self.all(Of::Fact(self.name_of(fact)))
            .filter_map(move |r| Some((r, fact.value_in(&r.event, self.claim)?)))
    }

    /// Returns the name that a fact has in these records.
    pub fn name_of<T>(&self, fact: &Fact<T>) -> &'static str {
        match self.records.first() {
            Some(record) if record.schema == 1 => fact.name_in_schema_1(self.claim),
            _ => fact.name(),
        }
    }

    fn read<T: DeserializeOwned>(&self, fact: &Fact<T>, value: &Value) -> Result<T, Missing> {
        T::deserialize(value).map_err(|e| Missing(format!("`{}` cannot be read: {e}", self.name_of(fact))))
    }

    /// Returns the record at which a mark was last set.
    ///
    /// # Errors
    /// [`Missing`] if the mark was not set.
    pub fn mark(&self, mark: &str) -> Result<&'r Record, Missing> {
        Ok(&self.records[self.position(mark)?])
    }

    /// Returns the records between two marks.
    ///
    /// # Errors
    /// [`Missing`] if a mark was not set, or if the marks are in the wrong order.
    pub fn between(&self, from: &str, to: &str) -> Result<&'r [Record], Missing> {
        let (a, b) = (self.position(from)?, self.position(to)?);
        self.records.get(a..b).ok_or_else(|| Missing(format!("`{to}` was marked before `{from}`")))
    }

    /// Returns the evidence reduced to this many first records.
    pub fn first(&self, records: usize) -> Self {
        Self { records: &self.records[..records.min(self.records.len())], ..*self }
    }

    /// Returns the evidence before a mark; all evidence if the mark was not set.
    pub fn until(&self, mark: &str) -> Self {
        self.first(self.position(mark).unwrap_or(self.records.len()))
    }

    /// Returns the evidence from a mark on.
    ///
    /// # Errors
    /// [`Missing`] if the mark was not set.
    pub fn since(&self, mark: &str) -> Result<Self, Missing> {
        let at = self.position(mark)?;
        let index = self.index.map(|(index, before)| (index, before + at));
        Ok(Self { records: &self.records[at..], index, ..*self })
    }

    /// Returns the place of the record at which a mark was last set.
    ///
    /// # Errors
    /// [`Missing`] if the mark was not set.
    pub(super) fn position(&self, mark: &str) -> Result<usize, Missing> {
        let last = self.events(Of::Mark(mark), 0..self.records.len()).next_back();
        last.map(|(at, _)| at).ok_or_else(|| Missing(format!("`{mark}` was not marked")))
    }

    /// Returns every recorded change of objects of a kind, in order.
    pub fn changes(&self, kind: &str) -> Vec<(&'r Record, Change, &'r Value)> {
        let change = |r: &'r Record| match &r.event {
            Event::ObjectChanged { change, object, .. } => Some((r, *change, object)),
            _ => None,
        };
        self.all(Of::Kind(kind)).filter_map(change).collect()
    }
}

/// Returns the seconds on the monotonic clock between two records of one writer; negative if the second came first.
pub fn seconds_between(from: &Record, to: &Record) -> f64 {
    (to.mono_us as f64 - from.mono_us as f64) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_are_those_of_a_kind() {
        let changed = |kind: &str| {
            let (name, uid, object) = ("n".into(), "u".into(), json!({}));
            let event = Event::ObjectChanged { change: Change::Added, kind: kind.into(), name, uid, object };
            let (at, scope) = (jiff::Timestamp::UNIX_EPOCH, crate::event::Scope::default());
            Record { schema: 1, seq: 0, writer: 1, at, mono_us: 0, run: "r".into(), scope, event }
        };
        let records = [changed("Lease"), changed("Pod")];
        let pods = Evidence::new(&records, "one").changes("Pod");
        assert!(pods.len() == 1 && std::ptr::eq(pods[0].0, &records[1]));
        // The records of the whole run are available on request, but are not part of the scenario.
        let of_run = Evidence::new(&records[..1], "one").of_run(&records);
        assert_eq!((of_run.records().len(), of_run.run().len()), (1, 2));
    }
}

//! Assigns records to stories: a story is one execution of a scenario.

use std::collections::BTreeMap;

use crate::event::{Event, Record};

/// The last story of a scenario and a writer.
struct Last {
    number: usize,
    begun: bool,
    ended: bool,
}

/// Returns the number of the story of each record, from 0 in the order in which stories begin; none for a record
/// without a scenario.
///
/// Stories are distinguished by scenario and writer. If a scenario starts again, a new story begins, even if the
/// earlier one never ended: a process may be killed, and a later process may have the same id. A new story also begins
/// if a scenario that has ended leases a cluster.
pub fn numbers(records: &[Record]) -> Vec<Option<usize>> {
    let mut open: BTreeMap<(&str, u32), Last> = BTreeMap::new();
    let mut next = 0;
    let mut numbers = Vec::new();
    for record in records {
        let Some(scenario) = record.scope.scenario.as_deref() else {
            numbers.push(None);
            continue;
        };
        let starts = matches!(record.event, Event::ScenarioStarted { .. });
        let leased = matches!(record.event, Event::ClusterReady { .. });
        let is_same = |last: &Last| !(starts && last.begun || (starts || leased) && last.ended);
        let key = (scenario, record.writer);
        let last = match open.remove(&key).filter(is_same) {
            Some(last) => last,
            None => {
                next += 1;
                Last { number: next - 1, begun: false, ended: false }
            }
        };
        numbers.push(Some(last.number));
        let ended = last.ended || matches!(record.event, Event::ScenarioEnded { .. });
        open.insert(key, Last { begun: last.begun || starts, ended, ..last });
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{SCHEMA, Scope};

    fn record(scenario: Option<&str>, writer: u32, event: Event) -> Record {
        let scope = Scope { scenario: scenario.map(str::to_owned), ..Scope::default() };
        let at = jiff::Timestamp::UNIX_EPOCH;
        Record { schema: SCHEMA, seq: 0, writer, at, mono_us: 0, run: "r".into(), scope, event }
    }

    #[test]
    fn a_story_begins_where_its_scenario_starts_once_more() {
        let noted = || Event::Noted { text: "x".into() };
        let starts = || Event::ScenarioStarted { claims: Vec::new(), title: None };
        let ended = || Event::ScenarioEnded { error: None, left: Vec::new() };
        let leased = || Event::ClusterReady {
            reused: true,
            took: 0.0,
            topology: "three".into(),
            kubernetes: "1.34.4".into(),
            image: "i".into(),
            nodes: Vec::new(),
        };
        let (a, b) = (Some("a"), Some("b"));
        let records = [
            (None, 1, noted(), None),
            // A record before the scenario's start belongs to the story.
            (a, 1, noted(), Some(0)),
            (a, 1, starts(), Some(0)),
            (b, 1, starts(), Some(1)),
            (a, 2, starts(), Some(2)),
            (a, 1, leased(), Some(0)),
            // The story never ended.
            (a, 1, starts(), Some(3)),
            (a, 1, leased(), Some(3)),
            (a, 1, ended(), Some(3)),
            (a, 1, noted(), Some(3)),
            (a, 1, leased(), Some(4)),
            (a, 1, starts(), Some(4)),
            (b, 1, noted(), Some(1)),
        ];
        let all: Vec<Record> = records.iter().map(|(s, w, e, _)| record(*s, *w, e.clone())).collect();
        let wanted: Vec<Option<usize>> = records.iter().map(|r| r.3).collect();
        assert_eq!(numbers(&all), wanted);
    }
}

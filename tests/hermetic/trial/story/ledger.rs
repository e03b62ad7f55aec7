//! The ledger of `db` in the made-up trial.

use seatrial::event::{Event, Outcome, Row, Server};
use seatrial::judge::trial::facts::{self, Ledger};

use super::{Told, workload};

/// The first entry.
pub const FIRST: u64 = 7_000_001;

/// The ledger.
pub fn ledger() -> Ledger {
    Ledger { name: "orders".into(), workload: workload("Deployment", "db"), first: FIRST }
}

pub fn row(number: u64) -> Row {
    Row { writer: ledger().writer(), number, checksum: String::new() }
}

fn server() -> Server {
    Server { uuid: String::new(), pod: "db-2-a".into(), pod_uid: "u-db-2-a".into(), node: "w1".into() }
}

pub fn read(reading: String, began_us: u64, numbers: impl Iterator<Item = u64>) -> Event {
    let (rows, writers) = (numbers.map(row).collect(), Some(vec![ledger().writer()]));
    Event::RowsRead { reading, server: server(), exists: true, rows, began_us: Some(began_us), writers }
}

fn now(t: &Told) -> u64 {
    (t.story.seconds * 1e6) as u64
}

/// The ledger is empty, and has its first entry.
pub fn begin(t: &mut Told) {
    t.story.observe(&facts::LEDGERS, [ledger()]);
    let began = now(t);
    t.story.say(read(ledger().before(), began, std::iter::empty()));
    t.entries = 1;
}

/// Writes the next entry. One without an answer is there nevertheless if its number is even.
pub fn entry(t: &mut Told, unanswered: bool) {
    if t.entries == 0 {
        return;
    }
    let (outcome, reason) = match unanswered {
        true => (Outcome::Indeterminate, "no answer: timed out after 10.0 s"),
        false => (Outcome::Acknowledged, ""),
    };
    let row = row(FIRST - 1 + t.entries);
    t.story.say(Event::RowWritten { row, outcome, server: server(), reason: reason.into() });
    t.entries += 1;
}

/// Whether an entry is there at the end.
pub fn is_kept(event: &Event) -> Option<u64> {
    match event {
        Event::RowWritten { row, outcome, .. } => {
            (*outcome == Outcome::Acknowledged || row.number % 2 == 0).then_some(row.number)
        }
        _ => None,
    }
}

/// Reads all entries.
pub fn end(t: &mut Told) {
    let numbers: Vec<u64> = t.story.records.iter().filter_map(|record| is_kept(&record.event)).collect();
    t.story.seconds += 0.1;
    let began = now(t);
    let mut reading = read(ledger().after(), began, numbers.into_iter());
    if let Event::RowsRead { server, .. } = &mut reading {
        let is_it = |pod: &&serde_json::Value| pod["metadata"]["labels"]["app"] == "db";
        let pod = t.pods.values().find(is_it).expect("db has a pod");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        server.pod = text(&pod["metadata"]["name"]);
        (server.pod_uid, server.node) = (text(&pod["metadata"]["uid"]), text(&pod["spec"]["nodeName"]));
    }
    t.story.say(reading);
    t.entries = 0;
}

//! Rows in the wrong place: acknowledged by another server than the one that was read. These rows are not lost: they
//! are on the disk of the node where that server ran, and return with the node.

use std::collections::BTreeMap;

use super::{Durability, some};
use crate::event::{Event, Record, Row, Server};
use crate::judge::Finding;
use crate::judge::fault::Power;

/// Returns the nodes that were down at the end of these records, each with the fault that stopped it: the fault's proof
/// shows a container that does not run, and the fault was not healed.
pub fn down(records: &[Record]) -> BTreeMap<&str, &str> {
    let mut down = BTreeMap::new();
    for record in records {
        match &record.event {
            Event::FaultInjected { id, fault, node, proof } if Power::in_proof(proof).is_down() => {
                down.insert(id, (node.as_str(), fault.as_str()));
            }
            Event::FaultHealed { id, .. } => {
                down.remove(id);
            }
            _ => {}
        }
    }
    down.into_values().collect()
}

impl<'r> Durability<'r> {
    /// Returns the number of misplaced rows that are only on the disk of this server's node, if the node was down at
    /// the reading.
    pub fn on_disk_of(&self, server: &Server) -> usize {
        let down = self.down.contains_key(server.node.as_str());
        let of_server =
            self.misplaced.iter().filter(|(_, by)| down && by.uuid == server.uuid && by.node == server.node);
        of_server.count()
    }
}

/// Adds a check of rows that are only on another server's disk, and one of rows that came from another server. If
/// neither exists, adds a check that only one server was involved.
pub(super) fn check(rows: &Durability<'_>, finding: &mut Finding, reading: &str) {
    if rows.misplaced.is_empty() && rows.foreign.is_empty() {
        let one = format!("{reading}: the server that acknowledged the rows is the one that was read");
        finding.check(true, one);
    }
    for (server, misplaced) in by_server(&rows.misplaced) {
        let (count, node) = (misplaced.len(), &server.node);
        let place = match rows.down.get(node.as_str()) {
            Some(fault) => format!("on the disk of {node} only, which was down ({fault})"),
            None => format!("not on the server that was read, and no fault took {node} down"),
        };
        let (server, list) = (text(server), some(":", &misplaced));
        finding.check(
            false,
            format!(
                "{reading}: {count} acknowledged rows are misplaced, {place}; acknowledged by {server}{list}"
            ),
        );
    }
    for (server, foreign) in by_server(&rows.foreign) {
        let (count, server) = (foreign.len(), text(server));
        let list = some(":", &foreign);
        finding.check(
            false,
            format!("{reading}: {count} rows are there that another server acknowledged, {server}{list}"),
        );
    }
}

fn by_server<'r>(rows: &[(&'r Row, &'r Server)]) -> Vec<(&'r Server, Vec<&'r Row>)> {
    let mut found: Vec<(&Server, Vec<&Row>)> = Vec::new();
    for (row, server) in rows {
        match found.iter_mut().find(|(known, _)| known == server) {
            Some((_, rows)) => rows.push(row),
            None => found.push((server, vec![row])),
        }
    }
    found
}

fn text(server: &Server) -> String {
    format!("{} in pod {} on {}", server.uuid, server.pod, server.node)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::{Outcome, SCHEMA, Scope};
    use crate::judge::durability::every_acknowledged_row;
    use crate::judge::{Conclusion, Evidence};

    fn server(uuid: &str, node: &str) -> Server {
        let (pod, pod_uid) = (format!("pod-{uuid}"), format!("uid-{uuid}"));
        Server { uuid: uuid.into(), pod, pod_uid, node: node.into() }
    }

    fn row(number: u64) -> Row {
        Row { writer: "w".into(), number, checksum: String::new() }
    }

    fn wrote(number: u64, server: Server) -> Event {
        let (outcome, reason) = (Outcome::Acknowledged, String::new());
        Event::RowWritten { row: row(number), outcome, server, reason }
    }

    fn fault(power: &str) -> Event {
        let (fault, node, proof) = ("stop-node".into(), "w1".into(), json!({ "power": power }));
        Event::FaultInjected { id: "f".into(), fault, node, proof }
    }

    /// Two rows by `a` on w1, one by `c` on w3, then the given events; `b` on w2 is read.
    fn judge(meanwhile: &[Event], rows: &[u64]) -> (Conclusion, String, usize) {
        let a = server("a", "w1");
        let written = [wrote(1, a.clone()), wrote(2, a.clone()), wrote(3, server("c", "w3"))];
        let (finding, rows) = read(&[&written, meanwhile].concat(), Some(rows));
        (finding.conclusion(), finding.evidence(), rows)
    }

    /// The checks when `b` on w2 is read, and the number of rows on the disk of `a` on w1.
    fn read(events: &[Event], rows: Option<&[u64]>) -> (Finding, usize) {
        let (exists, rows) = (rows.is_some(), rows.unwrap_or_default().iter().copied().map(row).collect());
        let (reading, server_read, began_us) = ("r".into(), server("b", "w2"), None);
        let read = Event::RowsRead { reading, server: server_read, exists, rows, began_us, writers: None };
        let events = events.iter().chain([&read]);
        let record = |(seq, event): (usize, &Event)| Record {
            schema: SCHEMA,
            seq: seq as u64,
            writer: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            mono_us: seq as u64,
            run: "r".into(),
            scope: Scope::default(),
            event: event.clone(),
        };
        let records: Vec<Record> = events.enumerate().map(record).collect();
        let (evidence, mut finding) = (Evidence::new(&records, "t"), Finding::new());
        let rows = every_acknowledged_row(&evidence, "r", &mut finding).expect("a reading");
        (finding, rows.on_disk_of(&server("a", "w1")))
    }

    #[test]
    fn a_table_that_is_not_there_is_a_finding_whatever_became_of_the_rows() {
        for written in [&[][..], &[wrote(1, server("a", "w1"))]] {
            let lines = read(written, None).0.details();
            let said = "failed: r: the ledger's table is not there".to_owned();
            assert!(lines.contains(&said), "{lines:#?}");
        }
    }

    #[test]
    fn the_server_that_was_read_is_the_one_that_acknowledged_or_is_not_called_so() {
        let one = |events: &[Event], rows: &[u64]| {
            let lines = read(events, Some(rows)).0.details();
            lines
                .iter()
                .any(|l| l.ends_with("the server that acknowledged the rows is the one that was read"))
        };
        let (own, other) = (wrote(1, server("b", "w2")), wrote(1, server("a", "w1")));
        assert!(one(&[own], &[1]) && !one(std::slice::from_ref(&other), &[1]) && !one(&[other], &[]));
    }

    #[test]
    fn rows_on_the_disk_of_a_node_that_is_down_are_named_with_it() {
        let (conclusion, text, on_disk) = judge(&[fault("exited")], &[]);
        assert_eq!((conclusion, on_disk), (Conclusion::Failed, 2));
        let said = "2 acknowledged rows are misplaced, on the disk of w1 only, which was down (stop-node); \
                    acknowledged by a in pod pod-a on w1: 1, 2";
        assert!(text.contains(said), "{text}");
        let said =
            "1 acknowledged rows are misplaced, not on the server that was read, and no fault took w3 down";
        assert!(text.contains(said), "{text}");
        assert!(!text.contains("lost"), "{text}");
    }

    #[test]
    fn a_node_that_runs_or_is_back_keeps_nothing_to_itself() {
        let healed = |id: &str| {
            let (fault, node) = ("stop-node".into(), "w1".into());
            Event::FaultHealed { id: id.into(), fault, node, proof: json!({}) }
        };
        assert_eq!(judge(&[fault("exited"), healed("another")], &[]).2, 2);
        for meanwhile in [&[][..], &[fault("running")], &[fault("exited"), healed("f")]] {
            let (conclusion, text, on_disk) = judge(meanwhile, &[]);
            assert_eq!((conclusion, on_disk), (Conclusion::Failed, 0), "{text}");
            assert!(text.contains("2 acknowledged rows are misplaced, not on the server"), "{text}");
        }
    }

    #[test]
    fn rows_that_came_over_are_named_by_who_acknowledged_them() {
        let (conclusion, text, _) = judge(&[], &[1, 3]);
        assert_eq!(conclusion, Conclusion::Failed);
        for said in ["1 rows are there that another server acknowledged, a in pod pod-a on w1: 1", "w3: 3"] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}

//! Lost rows and crashes: which lost rows InnoDB's recovery must restore, which it cannot restore, and which no crash
//! explains.

use super::servers::{End, Restart, restarts};
use super::{Read, Write, some};
use crate::event::{Outcome, Row};
use crate::judge::{Evidence, Finding};

/// Adds a failed check for the lost rows that were acknowledged before the server's last crash, and one for the others.
/// No explanation makes a lost row acceptable.
pub(super) fn check(
    evidence: &Evidence<'_>,
    reading: &str,
    (writes, read, read_at): (&[Write<'_>], Read<'_>, usize),
    lost: &[&Row],
    finding: &mut Finding,
) {
    let seconds = |record: usize| evidence.records()[record].mono_us as f64 / 1e6;
    let restarts = restarts(evidence);
    let crash = restarts.iter().rev().find(|restart| {
        let before = restart.started <= seconds(read_at);
        before && restart.end == End::Crash && restart.server.uuid == read.server.uuid
    });
    let before = |row: &&Row| {
        let mut of_row = writes.iter().filter(|w| w.outcome == Outcome::Acknowledged && w.row == *row);
        let acknowledged = of_row.next().map(|w| seconds(w.transaction));
        crash.zip(acknowledged).is_some_and(|(crash, at)| at <= crash.last_answer)
    };
    let (gone, others): (Vec<&Row>, Vec<&Row>) = lost.iter().copied().partition(before);
    if let Some(crash) = crash.filter(|_| !gone.is_empty()) {
        finding.check(false, format!("{reading}: {}", unrecovered(crash, &gone)));
    }
    if !others.is_empty() {
        let list = some(":", &others);
        finding
            .check(false, format!("{reading}: no crash explains that {} rows are lost{list}", others.len()));
    }
}

fn unrecovered(crash: &Restart<'_>, gone: &[&Row]) -> String {
    let (count, list) = (gone.len(), some(":", gone));
    let why = crash.cause.as_deref().unwrap_or("no cause on record");
    let log = match crash.flushed {
        Some(true) => "though its log was on disk at each commit",
        Some(false) => "its log was not on disk at each commit (innodb_flush_log_at_trx_commit)",
        None => "it did not say when its log is on disk",
    };
    format!("recovery after the crash ({why}) did not bring back {count} rows, {log}{list}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::{Event, Record, SCHEMA, Scope, Server};
    use crate::judge::durability::every_acknowledged_row;

    fn server() -> Server {
        Server { uuid: "a".into(), pod: "p".into(), pod_uid: "u".into(), node: "w1".into() }
    }

    fn row(number: u64) -> Row {
        Row { writer: "w".into(), number, checksum: String::new() }
    }

    /// The checks for a server that acknowledges row 1, is killed with its node, starts again at second 10,
    /// acknowledges row 2 and is read at second 20.
    fn told(flush: Option<u32>, exit_code: i64, rows: &[u64]) -> Vec<String> {
        let wrote = |number| Event::RowWritten {
            row: row(number),
            outcome: Outcome::Acknowledged,
            server: server(),
            reason: String::new(),
        };
        let met = |uptime| Event::ServerMet {
            server: server(),
            uptime,
            version: "9.7".into(),
            flush_at_commit: flush,
        };
        let fault = Event::FaultInjected {
            id: "f".into(),
            fault: "kill-node".into(),
            node: "w1".into(),
            proof: json!({ "power": "exited", "exit_code": exit_code }),
        };
        let read = Event::RowsRead {
            reading: "r".into(),
            server: server(),
            exists: true,
            rows: rows.iter().copied().map(row).collect(),
            began_us: None,
            writers: None,
        };
        let events = [(1, met(0)), (2, wrote(1)), (3, fault), (10, met(0)), (11, wrote(2)), (20, read)];
        let record = |(second, event)| Record {
            schema: SCHEMA,
            seq: second,
            writer: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            mono_us: second * 1_000_000,
            run: "r".into(),
            scope: Scope::default(),
            event,
        };
        let records: Vec<Record> = events.map(record).into();
        let mut finding = Finding::new();
        every_acknowledged_row(&Evidence::new(&records, "t"), "r", &mut finding).expect("a reading");
        finding.details().into_iter().filter(|line| line.starts_with("failed")).collect()
    }

    #[test]
    fn what_recovery_did_not_bring_back_is_told_from_what_no_crash_explains() {
        assert_eq!(told(Some(1), 137, &[1, 2]), [""; 0]);
        for (flush, exit_code, rows, said) in [
            (Some(1), 137, [2], "did not bring back 1 rows, though its log was on disk at each commit: 1"),
            (Some(2), 137, [2], "its log was not on disk at each commit (innodb_flush_log_at_trx_commit): 1"),
            (None, 137, [2], "it did not say when its log is on disk: 1"),
            (Some(1), 137, [1], "no crash explains that 1 rows are lost: 2"),
            (Some(1), 130, [2], "no crash explains that 1 rows are lost: 1"),
        ] {
            let lines = told(flush, exit_code, &rows);
            let explained: Vec<&String> = lines.iter().filter(|l| l.contains("crash")).collect();
            assert!(explained.len() == 1 && explained[0].contains(said), "{said}: {lines:#?}");
        }
    }
}

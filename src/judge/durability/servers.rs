//! Which server answered the ledger: traces every acknowledgement to a pod, and finds servers that restarted and
//! servers that ran at the same time.

use std::collections::BTreeMap;

use serde_json::Value;

use super::history;
use crate::event::{Event, Outcome, Record, Server};
use crate::judge::{Evidence, Finding};

/// A server process that replaced an earlier one on the same files.
#[derive(Clone, Debug, PartialEq)]
pub struct Restart<'r> {
    /// The server after the restart.
    pub server: &'r Server,
    /// When the old process last answered, in seconds on the records' clock.
    pub last_answer: f64,
    /// When the new process started, according to its uptime, accurate to a second.
    pub started: f64,
    /// What ended the old process, if the records show it: a container's exit code, or a fault on its node.
    pub cause: Option<String>,
    /// How the old process ended.
    pub end: End,
    /// Whether the old process wrote its log to disk at each commit; `None` if unknown.
    pub flushed: Option<bool>,
}

/// How a server's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process shut down: nothing had to be recovered.
    Orderly,
    /// The process was killed or failed: InnoDB recovers what its log holds.
    Crash,
    /// The records do not show it.
    Unknown,
}

/// Two servers: the first answered before and after the second, with the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap<'r> {
    /// The server that ran all the time.
    pub first: &'r Server,
    /// The server that answered in between.
    pub second: &'r Server,
}

/// Adds the checks of which server answered: each acknowledgement names server, pod and node; the pod was seen with
/// that name and UID on that node; no two servers ran at the same time. Returns the restarts, each of which is also a
/// passed check.
pub fn check<'r>(evidence: &Evidence<'r>, finding: &mut Finding) -> Vec<Restart<'r>> {
    check_led_back(evidence, finding);
    let overlaps = overlaps(evidence);
    let list: Vec<String> =
        overlaps.iter().map(|o| format!("{} and {}", text(o.first), text(o.second))).collect();
    let list = if list.is_empty() { String::new() } else { format!(": {}", list.join("; ")) };
    finding.check(
        overlaps.is_empty(),
        format!("{} pairs of servers ran at the same time{list}", overlaps.len()),
    );
    let restarts = restarts(evidence);
    for restart in &restarts {
        let how = match restart.end {
            End::Crash => "recovered after a crash",
            End::Orderly => "started anew after it had shut down",
            End::Unknown => "started anew",
        };
        let why = restart.cause.as_deref().unwrap_or("nothing on record ended it");
        finding.check(
            true,
            format!(
                "{} {how} at {:.0} s, last answer at {:.3} s ({why})",
                text(restart.server),
                restart.started,
                restart.last_answer
            ),
        );
    }
    restarts
}

/// Checks that the pod of each acknowledgement is known. A port-forward that led to another pod, or a connection around
/// it, shows as an unknown pod.
fn check_led_back(evidence: &Evidence<'_>, finding: &mut Finding) {
    let mut pods: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for (_, _, pod) in evidence.changes("Pod") {
        let text = |pointer| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if !text("/spec/nodeName").is_empty() {
            pods.insert(text("/metadata/uid"), (text("/metadata/name"), text("/spec/nodeName")));
        }
    }
    let mut astray: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut count = 0;
    for write in history(evidence).iter().filter(|w| w.outcome == Outcome::Acknowledged) {
        count += 1;
        let server = write.server;
        let known = pods.get(server.pod_uid.as_str());
        if server.uuid.is_empty() || known != Some(&(server.pod.as_str(), server.node.as_str())) {
            astray.entry(text(server)).or_default().push(write.row.number);
        }
    }
    if count == 0 {
        finding.unsure("no row was acknowledged by any server");
        return;
    }
    let list = astray.iter().map(|(who, rows)| format!("{who}: {} rows from {}", rows.len(), rows[0]));
    let list: Vec<String> = list.collect();
    finding.check(
        astray.is_empty(),
        match list.is_empty() {
            true => format!("each of {count} acknowledgements came from a pod that was there"),
            false => format!("acknowledgements from no pod that was there: {}", list.join("; ")),
        },
    );
}

/// Seconds by which the same start may seem to be later: a server reports its uptime in whole seconds.
const SAME_START: f64 = 2.0;

/// One answer of a server.
struct Answer<'r> {
    at: f64,
    record: usize,
    server: &'r Server,
    /// When its process started, if known.
    started: Option<f64>,
    /// Whether it writes its log to disk at each commit, if known.
    flushed: Option<bool>,
}

fn answers<'r>(evidence: &Evidence<'r>) -> Vec<Answer<'r>> {
    let answer = |(record, r): (usize, &'r Record)| {
        let at = r.mono_us as f64 / 1e6;
        let (server, started, flushed) = match &r.event {
            Event::RowWritten { outcome: Outcome::Acknowledged, server, .. }
            | Event::TransactionWritten { outcome: Outcome::Acknowledged, server, .. }
            | Event::RowsSampled { outcome: Outcome::Acknowledged, server, .. }
            | Event::RowsRead { server, .. } => (server, None, None),
            Event::ServerMet { server, uptime, flush_at_commit, .. } => {
                (server, Some(at - *uptime as f64), flush_at_commit.map(|value| value == 1))
            }
            _ => return None,
        };
        Some(Answer { at, record, server, started, flushed })
    };
    evidence.records().iter().enumerate().filter_map(answer).collect()
}

/// Returns servers that were found again with a process that started later than the earlier one.
pub fn restarts<'r>(evidence: &Evidence<'r>) -> Vec<Restart<'r>> {
    let mut last: BTreeMap<&str, Answer<'r>> = BTreeMap::new();
    let mut found = Vec::new();
    for answer in answers(evidence) {
        let uuid = answer.server.uuid.as_str();
        let before = last.remove(uuid);
        let known = before.as_ref().and_then(|b| b.started);
        let flushed = before.as_ref().and_then(|b| b.flushed);
        if let (Some(before), Some(known), Some(started)) = (before, known, answer.started)
            && started > known + SAME_START
        {
            let cause = cause(&evidence.records()[before.record..answer.record], before.server);
            let (cause, end) = cause.map_or((None, End::Unknown), |(why, end)| (Some(why), end));
            let (server, last_answer) = (answer.server, before.at);
            found.push(Restart { server, last_answer, started, cause, end, flushed });
        }
        let (started, flushed) = (answer.started.or(known), answer.flushed.or(flushed));
        last.insert(uuid, Answer { started, flushed, ..answer });
    }
    found
}

/// Finds what ended a server's process between two moments, and how: the end of its container if that was seen;
/// otherwise a fault on its node. A fault proves a crash only if it killed the node.
fn cause(records: &[Record], server: &Server) -> Option<(String, End)> {
    let ended = records.iter().find_map(|record| match &record.event {
        Event::ObjectChanged { kind, uid, object, .. } if kind == "Pod" && *uid == server.pod_uid => {
            let status = object.pointer("/status/containerStatuses/0")?;
            let ended =
                ["/state/terminated", "/lastState/terminated"].iter().find_map(|at| status.pointer(at))?;
            let code = ended["exitCode"].as_i64()?;
            let reason = ended["reason"].as_str().map(|why| format!(" ({why})")).unwrap_or_default();
            let end = if code == 0 { End::Orderly } else { End::Crash };
            Some((format!("its container ended with {code}{reason}"), end))
        }
        _ => None,
    });
    let fault = || {
        records.iter().find_map(|record| match &record.event {
            Event::FaultInjected { fault, node, proof, .. } if *node == server.node => {
                let killed = proof.get("exit_code").and_then(Value::as_i64) == Some(KILLED);
                Some((format!("{fault} on {node}"), if killed { End::Crash } else { End::Unknown }))
            }
            _ => None,
        })
    };
    ended.or_else(fault)
}

/// The exit code of a process that SIGKILL ended: 128 plus the signal's number.
const KILLED: i64 = 137;

/// Returns pairs of servers that ran at the same time: the first answered before and after the second, and its process
/// had not started in between. A server is identified by its files and its pod.
pub fn overlaps<'r>(evidence: &Evidence<'r>) -> Vec<Overlap<'r>> {
    let mut seen: Vec<Life<'r>> = Vec::new();
    let mut found: Vec<Overlap<'r>> = Vec::new();
    for answer in answers(evidence) {
        let same = |s: &Server| s.uuid == answer.server.uuid && s.pod_uid == answer.server.pod_uid;
        if let Some(own) = seen.iter().position(|life| same(life.server)) {
            let (first, since) = (seen[own].server, answer.started.unwrap_or(f64::NEG_INFINITY));
            // Other servers that answered after this server's last answer, while its present process ran.
            let between = seen.iter().filter(|o| o.record > seen[own].record && o.last > since);
            for other in between.filter(|other| !same(other.server)) {
                let overlap = Overlap { first, second: other.server };
                if !found.contains(&overlap) {
                    found.push(overlap);
                }
            }
            (seen[own].last, seen[own].record) = (answer.at, answer.record);
        } else {
            seen.push(Life { server: answer.server, last: answer.at, record: answer.record });
        }
    }
    found
}

struct Life<'r> {
    server: &'r Server,
    last: f64,
    record: usize,
}

fn text(server: &Server) -> String {
    format!("server {} in pod {} ({}) on {}", server.uuid, server.pod, server.pod_uid, server.node)
}

#[cfg(test)]
mod tests;

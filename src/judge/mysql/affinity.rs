//! B12: the node is stopped again, and the volume names this node in its node affinity.
//!
//! The claim also reads: marks `pinned` (the beginning of this part), `pinned-return`; the fault's records; listings
//! `pinned`, `pinned-stopped`; readings `pinned`, `pinned-returned`; changes of Pods and Events.

use serde_json::Value;

use super::facts::Allowed;
use super::outage::{healed, proved, since, watched};
use super::replacement::{history, moved_by_loss};
use super::{DIRECTORY, FILES, PATH, PINNED, check_server_of, facts, is, listed, listings, node_of};
use crate::event::{Event, Outcome, Record, Server};
use crate::judge::evidence::seconds_between;
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing, clock, durability, locality};

/// Minimum of seconds for which the replacement must be seen pending: a server starts on an empty directory in less
/// time.
pub const HELD: f64 = 5.0;
/// The label that the node affinity uses.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// B12.
pub fn no_empty_database(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let nodes: Vec<String> = evidence.fact(&facts::NODES)?;
    let volume = Object::observed(evidence, &facts::PINNED_VOLUME)?;
    let before = Object::observed(evidence, &facts::PINNED_POD)?;
    let pending = Object::observed(evidence, &facts::POD_PENDING)?;
    let after = Object::observed(evidence, &facts::PINNED_POD_RETURNED)?;
    let old: Server = evidence.fact(&facts::PINNED_SERVER)?;
    let new: Server = evidence.fact(&facts::PINNED_SERVER_RETURNED)?;
    let allowed: Allowed = evidence.fact(&facts::PINNED_BUDGET)?;
    let home = node_of(&before)?;
    let part = evidence.since(PINNED)?;
    let back = part.mark("pinned-return")?;
    let fault = proved(&part, home, "pinned-stopped", finding)?;
    healed(&part, finding, back, home)?;
    let down = part.until("pinned-return");
    let gaps = part.gaps(since(&down, fault), &["Event", "Pod"]);

    is(finding, &volume, "path", "/spec/hostPath/path", PATH);
    check_pinned(finding, &volume, home);
    check_server_of(finding, &old, &before);
    check_unschedulable(finding, &pending);
    let outage = Outage { home, fault, back, allowed: &allowed };
    finding
        .part(|finding| finding.watched(&gaps, |finding| check_pending(&down, finding, &pending, &outage)));
    finding.part(|finding| {
        let (pinned, stopped) =
            (listings(&part, "pinned", &nodes)?, listings(&part, "pinned-stopped", &nodes)?);
        let others: Vec<&str> = nodes.iter().map(String::as_str).filter(|node| *node != home).collect();
        for listing in [&pinned, &stopped] {
            locality::holds(finding, listed(listing, home)?, &[FILES, &[DIRECTORY]].concat());
            locality::files_of(finding, listed(listing, home)?, &old.uuid);
            locality::nothing_on(finding, listing, &others);
        }
        Ok(())
    });
    check_no_other_server(finding, since(&down, fault), &old);

    // If the node is lost again, its pod is replaced again.
    finding.check(
        moved_by_loss(after.uid() == pending.uid(), &before, &after),
        format!("pod {} serves, {} was pending", after.name(), pending.name()),
    );
    let now = node_of(&after)?;
    finding.check(now == home, format!("pod {} runs on {now}, the volume is on {home}", after.name()));
    check_server_of(finding, &new, &after);
    finding.check(old.uuid == new.uuid, format!("server {} before, {} again", old.uuid, new.uuid));
    durability::every_acknowledged_row(evidence, "pinned", finding)?;
    let rows = durability::every_acknowledged_row(evidence, "pinned-returned", finding)?;
    if watched(evidence, finding) == 0 {
        finding.unsure("no reader of the ledger was answered");
    }
    finding.summary(format!(
        "{home} down: {} stays Pending for {:.1} s, FailedScheduling names the volume's node affinity, no other server; \
         {home} back: it serves all {} acknowledged rows",
        pending.name(),
        pending_for(&down, &pending, back).unwrap_or_default(),
        rows.kept.len()
    ));
    Ok(())
}

/// Adds the checks that the volume belongs to this node only.
pub(in crate::judge) fn check_pinned(finding: &mut Finding, volume: &Object<'_>, home: &str) {
    is(finding, volume, "phase", "/status/phase", "Bound");
    is(finding, volume, "reclaim policy", "/spec/persistentVolumeReclaimPolicy", "Retain");
    let terms = volume.entries("/spec/nodeAffinity/required/nodeSelectorTerms");
    let names_home = |term: &Value| {
        let by = term["matchExpressions"].as_array().map_or(&[][..], Vec::as_slice);
        let is_home = |e: &Value| {
            e["key"] == HOSTNAME && e["operator"] == "In" && e["values"] == Value::from(vec![home])
        };
        by.len() == 1 && is_home(&by[0])
    };
    let pinned = terms.len() == 1 && names_home(&terms[0]);
    let text = volume.at("/spec/nodeAffinity").map_or("no node affinity".into(), Value::to_string);
    finding.check(pinned, format!("{} is for {home} alone: {text}", volume.name()));
}

/// Adds the checks that the replacement was pending just before the node's return, and that its condition says why.
fn check_unschedulable(finding: &mut Finding, pending: &Object<'_>) {
    is(finding, pending, "phase", "/status/phase", "Pending");
    let (status, reason, message) = pending.condition("PodScheduled").unwrap_or(("absent", "", ""));
    let unschedulable = status == "False" && reason == "Unschedulable";
    finding.check(
        unschedulable && names_affinity(message),
        format!("condition PodScheduled of {} is {status}, {reason}: {message}", pending.name()),
    );
}

/// The time in which the node with the volume is down.
struct Outage<'r> {
    home: &'r str,
    fault: &'r Record,
    back: &'r Record,
    allowed: &'r Allowed,
}

/// Adds the checks that the replacement was pending from its creation until the node's return, and that the scheduler
/// reported why.
fn check_pending(
    down: &Evidence<'_>,
    finding: &mut Finding,
    pending: &Object<'_>,
    outage: &Outage<'_>,
) -> Result<(), Missing> {
    let Outage { home, fault, back, allowed } = *outage;
    let history = history(down, pending.uid());
    let first =
        history.first().ok_or_else(|| Missing(format!("pod {} was not seen to be made", pending.name())))?;
    finding.check(
        first.0.mono_us >= fault.mono_us,
        format!("pod {} was made {:.1} s after the fault", pending.name(), seconds_between(fault, first.0)),
    );
    let placed = history.iter().find(|(_, _, pod)| pod.text("/spec/nodeName").is_some());
    let on = placed.and_then(|(_, _, pod)| pod.text("/spec/nodeName")).unwrap_or("no node");
    finding.check(placed.is_none(), format!("pod {} was given {on} while {home} was down", pending.name()));
    let held = pending_for(down, pending, back)?;
    clock::check_agree(finding, first.0, back);
    finding
        .check(held >= HELD, format!("pod {} was Pending for {held:.1} s, of {HELD:.1} s", pending.name()));

    let told = down.changes("Event").into_iter().find(|(_, _, event)| {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        text("/reason") == "FailedScheduling"
            && text("/involvedObject/uid") == pending.uid()
            && names_affinity(text("/message"))
    });
    match told {
        None => {
            let what = format!("no FailedScheduling event of {} names the affinity", pending.name());
            finding.check(false, what);
        }
        Some((record, _, event)) => {
            let message = event["message"].as_str().unwrap_or_default();
            finding.check(true, format!("FailedScheduling of {}: {message}", pending.name()));
            finding.timed_until(record, "FailedScheduling", seconds_between(fault, record), allowed.ready);
            clock::check_agree(finding, fault, record);
        }
    }
    Ok(())
}

/// Returns the seconds from the pod's creation to the node's return.
fn pending_for(down: &Evidence<'_>, pending: &Object<'_>, back: &Record) -> Result<f64, Missing> {
    let history = history(down, pending.uid());
    let first =
        history.first().ok_or_else(|| Missing(format!("pod {} was not seen to be made", pending.name())))?;
    Ok(seconds_between(first.0, back))
}

/// Whether a message names the volume's node affinity: `node(s) had volume node affinity conflict`; since Kubernetes
/// 1.34 `node(s) didn't match PersistentVolume's node affinity` (volumebinding.ErrReasonNodeConflict).
pub(in crate::judge) fn names_affinity(message: &str) -> bool {
    ["volume node affinity conflict", "PersistentVolume's node affinity"].iter().any(|t| message.contains(t))
}

/// Adds a check that no other server answered while the node was down.
fn check_no_other_server(finding: &mut Finding, records: &[Record], old: &Server) {
    let other = records.iter().find_map(|record| match &record.event {
        Event::RowWritten { server, .. }
        | Event::TransactionWritten { server, .. }
        | Event::RowsSampled { server, outcome: Outcome::Acknowledged, .. }
        | Event::RowsRead { server, .. }
        | Event::ServerMet { server, .. } => {
            (!server.uuid.is_empty() && server.uuid != old.uuid).then_some(server)
        }
        _ => None,
    });
    let who =
        other.map_or("no other server".into(), |s| format!("server {} in {} on {}", s.uuid, s.pod, s.node));
    finding.check(other.is_none(), format!("{who} answered while the node was down"));
}

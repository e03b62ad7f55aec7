//! B8, B9 and B10: the pod's node is stopped and comes back.
//!
//! | claim | evidence in addition to the facts |
//! |---|---|
//! | B8 | the fault's records; listing `while-stopped`; changes of Nodes and Pods; marks `replacement-answers`, `outage-over` |
//! | B9 | the fault's records; listings `before-fault`, `while-stopped`; reading `elsewhere` |
//! | B10 | the fault's records; listings `while-stopped`, `returned`; reading `returned`; changes of Nodes and Pods; mark `return` |
//!
//! These claims read the records until the volume is pinned; from there on B12 has its own node loss. The fault counts
//! only if it is proved: by its own record, and by the container's state in a listing that was made while the node was
//! down.

use super::facts::{Allowed, OnDisk};
use super::replacement::{check_replaced, history, moved_by_loss};
use super::{DATABASE, DIRECTORY, PATH, PINNED, check_server_of, facts, listed, listings, node_of};
use crate::event::{Change, Event, Record, Server};
use crate::judge::evidence::seconds_between;
use crate::judge::fault::{self, Power};
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing, clock, durability, locality};
use crate::kubernetes::taint::UNREACHABLE;

/// B8.
pub fn replaced_elsewhere(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let evidence = &evidence.until(PINNED);
    let before = Object::observed(evidence, &facts::THIRD_POD)?;
    let after = Object::observed(evidence, &facts::REPLACEMENT_POD)?;
    let server: Server = evidence.fact(&facts::REPLACEMENT_SERVER)?;
    let allowed: Allowed = evidence.fact(&facts::OUTAGE_BUDGET)?;
    let home = node_of(&before)?;
    let fault = proved(evidence, home, "while-stopped", finding)?;
    let gaps = evidence.gaps(since(evidence, fault), &["Node", "Pod"]);
    check_replaced(finding, &before, &after);
    let elsewhere = node_of(&after)?;
    finding.check(elsewhere != home, format!("the replacement runs on {elsewhere}, {home} is down"));
    check_server_of(finding, &server, &after);
    finding.part(|finding| {
        finding.watched(&gaps, |finding| check_steps(evidence, finding, fault, (&before, &after), &allowed))
    });
    finding.watched(&gaps, |finding| check_stayed(evidence, finding, &before))?;
    // The pod may be gone already: the checks of the history above have reported this.
    let shown = Object::observed(evidence, &facts::OLD_POD)?;
    finding.check(
        shown.uid() == before.uid() && shown.is_terminating(),
        format!("pod {} is Terminating just before the node's return", shown.name()),
    );
    Ok(())
}

/// Checks each step from the node's loss to the replacement's first answer against its budget.
fn check_steps(
    evidence: &Evidence<'_>,
    finding: &mut Finding,
    fault: &Record,
    (before, after): (&Object<'_>, &Object<'_>),
    allowed: &Allowed,
) -> Result<(), Missing> {
    let (home, elsewhere) = (node_of(before)?, node_of(after)?);
    let node =
        |what: &str, holds: &dyn Fn(&Object<'_>) -> bool| node_since(evidence, fault, home, what, holds);
    let pod = |uid: &str, what: &str, holds: &dyn Fn(&Object<'_>) -> bool| {
        pod_since(evidence, fault, uid, what, holds)
    };
    let steps = [
        ("node Unknown", allowed.unknown, node("Unknown", &|n| ready_is(n, "Unknown"))?),
        ("taint unreachable:NoSchedule", allowed.unknown, node("tainted", &|n| tainted(n, "NoSchedule"))?),
        ("taint unreachable:NoExecute", allowed.unknown, node("tainted", &|n| tainted(n, "NoExecute"))?),
        ("old pod Terminating", allowed.deletion, pod(before.uid(), "terminating", &|p| p.is_terminating())?),
        ("replacement made", allowed.ready, pod(after.uid(), "made", &|_| true)?),
        (
            "replacement scheduled",
            allowed.ready,
            pod(after.uid(), "scheduled", &|p| p.text("/spec/nodeName").is_some())?,
        ),
        (
            "replacement Running",
            allowed.ready,
            pod(after.uid(), "running", &|p| p.text("/status/phase") == Some("Running"))?,
        ),
        ("replacement ready", allowed.ready, pod(after.uid(), "ready", &|p| p.is_ready())?),
        (
            "replacement answers SQL",
            allowed.answers.unwrap_or(allowed.ready),
            evidence.mark("replacement-answers")?,
        ),
    ];
    for (what, budget, record) in steps {
        finding.timed_until(record, what, seconds_between(fault, record), budget);
    }
    clock::check_agree(finding, fault, steps[8].2);
    finding.summary(format!(
        "{home} down: {} stays Terminating, {} ready on {elsewhere} after {:.1} s of {:.1} s",
        before.name(),
        after.name(),
        seconds_between(fault, steps[7].2),
        allowed.ready
    ));
    Ok(())
}

/// Returns the first record since the fault in which the node was in a state.
fn node_since<'r>(
    evidence: &Evidence<'r>,
    fault: &Record,
    name: &str,
    what: &str,
    holds: &dyn Fn(&Object<'_>) -> bool,
) -> Result<&'r Record, Missing> {
    let last = fault::last_node(evidence.records(), name, |record| record.seq <= fault.seq);
    if last.is_some_and(|node| holds(&node)) {
        return Err(already(name, what));
    }
    let changes = evidence.changes("Node").into_iter();
    let objects = changes.filter_map(|(record, _, value)| Some((record, Object::new(value).ok()?)));
    let mut of_node = objects.filter(|(record, node)| record.seq > fault.seq && node.name() == name);
    let found = of_node.find(|(_, node)| holds(node)).map(|(record, _)| record);
    found.ok_or_else(|| Missing(format!("{name} was not seen {what}")))
}

/// Returns the first record in which the pod was in a state, which must come after the fault.
fn pod_since<'r>(
    evidence: &Evidence<'r>,
    fault: &Record,
    uid: &str,
    what: &str,
    holds: &dyn Fn(&Object<'_>) -> bool,
) -> Result<&'r Record, Missing> {
    let all = history(evidence, uid);
    let mut states = all.iter().filter(|(_, change, _)| *change != Change::Deleted);
    let found = states.find(|(_, _, pod)| holds(pod));
    match found.ok_or_else(|| Missing(format!("the pod was not seen {what}")))? {
        (record, _, pod) if record.seq <= fault.seq => Err(already(pod.name(), what)),
        (record, ..) => Ok(*record),
    }
}

/// A state that existed before the fault does not show how long the fault took to cause it.
fn already(name: &str, what: &str) -> Missing {
    Missing(format!("{name} was {what} before the fault: how soon it was because of it is not shown"))
}

/// B9.
pub fn new_environment(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let evidence = &evidence.until(PINNED);
    let before = Object::observed(evidence, &facts::THIRD_POD)?;
    let after = Object::observed(evidence, &facts::REPLACEMENT_POD)?;
    let old: Server = evidence.fact(&facts::THIRD_SERVER)?;
    let new: Server = evidence.fact(&facts::REPLACEMENT_SERVER)?;
    let nodes: Vec<String> = evidence.fact(&facts::NODES)?;
    let databases: Vec<String> = evidence.fact(&facts::DATABASES)?;
    let on_disk: OnDisk = evidence.fact(&facts::ROWS_ON_DISK)?;
    let (home, elsewhere) = (node_of(&before)?, node_of(&after)?);
    let earlier = listings(evidence, "before-fault", &nodes)?;
    let stopped = listings(evidence, "while-stopped", &nodes)?;
    proved(evidence, home, "while-stopped", finding)?;

    locality::nothing_on(finding, &earlier, &[elsewhere]);
    check_server_of(finding, &new, &after);
    finding.check(old.uuid != new.uuid, format!("server {} before, {} now", old.uuid, new.uuid));
    let has = databases.iter().any(|name| name == DATABASE);
    let has = if has { "has" } else { "has no" };
    finding.check(has == "has no", format!("server {} {has} database {DATABASE}", new.uuid));
    locality::only_on(finding, &stopped, home, &[DIRECTORY]);
    locality::files_of(finding, listed(&stopped, home)?, &old.uuid);
    locality::files_of(finding, listed(&stopped, elsewhere)?, &new.uuid);

    let (rows, read) = durability::at(evidence, "elsewhere")?;
    finding.check(!read.exists, "the ledger's table is not there");
    finding
        .check(read.server.uuid == new.uuid, format!("the ledger was read from server {}", read.server.uuid));
    let acknowledged = rows.acknowledged();
    if acknowledged == 0 {
        finding.unsure("no row was acknowledged, so none could stay behind");
    }
    let of_old = rows.on_disk_of(&old);
    finding.check(
        of_old == acknowledged,
        format!("{of_old} of {acknowledged} acknowledged rows are on {home}'s disk, not in the new server"),
    );
    let mut behind: Vec<u64> =
        rows.misplaced.iter().filter(|(_, by)| by.uuid == old.uuid).map(|(row, _)| row.number).collect();
    behind.sort_unstable();
    check_on_disk(finding, &on_disk, home, &behind);
    finding.summary(format!(
        "server {} on {elsewhere} began with an empty {PATH}; {of_old} acknowledged rows are on {home}'s \
         disk ({} of them read there), not in the new server",
        new.uuid,
        on_disk.found.len()
    ));
    Ok(())
}

/// B10.
pub fn nothing_destroyed(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let evidence = &evidence.until(PINNED);
    let before = Object::observed(evidence, &facts::THIRD_POD)?;
    let after = Object::observed(evidence, &facts::RETURNED_POD)?;
    let old: Server = evidence.fact(&facts::THIRD_SERVER)?;
    let new: Server = evidence.fact(&facts::RETURNED_SERVER)?;
    let nodes: Vec<String> = evidence.fact(&facts::NODES)?;
    let budget: f64 = evidence.fact(&facts::RETURN_BUDGET)?;
    let home = node_of(&before)?;
    let stopped = listings(evidence, "while-stopped", &nodes)?;
    let returned = listings(evidence, "returned", &nodes)?;
    proved(evidence, home, "while-stopped", finding)?;
    let back = evidence.mark("return")?;
    healed(evidence, finding, back, home)?;

    let gaps = evidence.gaps(since(evidence, back), &["Node", "Pod"]);
    finding.watched(&gaps, |finding| check_returned(evidence, finding, &before, (back, budget)))?;

    locality::back_on(finding, listed(&stopped, home)?, listed(&returned, home)?, passing);
    locality::files_of(finding, listed(&returned, home)?, &old.uuid);
    check_replaced(finding, &before, &after);
    let now = node_of(&after)?;
    // Only a loss after the return explains a move: the outage before it is the story's own.
    let at_home = moved_by_loss(now == home, &before.seen_with(&after), &after);
    finding.check(at_home, format!("pod {} is back on {now}, the files are on {home}", after.name()));
    check_server_of(finding, &new, &after);
    finding.check(old.uuid == new.uuid, format!("server {} before, {} again", old.uuid, new.uuid));
    let (_, read) = durability::at(evidence, "returned")?;
    finding.check(
        read.server.pod_uid == after.uid(),
        format!("the rows were read from pod {} ({})", read.server.pod, read.server.pod_uid),
    );
    let rows = durability::every_acknowledged_row(evidence, "returned", finding)?;
    watched(evidence, finding);
    finding.summary(format!(
        "{home} is back: its files are all there, {} serves all {} acknowledged rows",
        after.name(),
        rows.kept.len()
    ));
    Ok(())
}

/// Checks that the node is ready again and that its old pod is deleted, both within a budget.
fn check_returned(
    evidence: &Evidence<'_>,
    finding: &mut Finding,
    before: &Object<'_>,
    (back, budget): (&Record, f64),
) -> Result<(), Missing> {
    let home = node_of(before)?;
    let ready = evidence.changes("Node").into_iter().find_map(|(record, _, value)| {
        let node = Object::new(value).ok()?;
        let is_back = record.seq > back.seq && node.name() == home;
        (is_back && ready_is(&node, "True") && !tainted(&node, "NoExecute")).then_some(record)
    });
    let ready = ready.ok_or_else(|| Missing(format!("{home} was not seen ready again")))?;
    finding.timed_until(ready, &format!("{home} ready again"), seconds_between(back, ready), budget);
    let gone = history(evidence, before.uid()).into_iter().find(|h| h.1 == Change::Deleted);
    let gone = gone.ok_or_else(|| Missing(format!("pod {} was not seen to go", before.name())))?.0;
    let took = seconds_between(back, gone);
    clock::check_agree(finding, back, gone);
    finding.check(took > 0.0, format!("pod {} went {took:.1} s after the return", before.name()));
    finding.timed_until(gone, &format!("pod {} gone", before.name()), took, budget);
    Ok(())
}

/// Adds the checks of what the ledger's readers saw during the story, and of which server answered the ledger.
pub(super) fn watched(evidence: &Evidence<'_>, finding: &mut Finding) -> usize {
    // The recorder may have missed a pod that answered.
    finding.watched(&evidence.gaps(evidence.records(), &["Pod"]), |finding| {
        durability::servers::check(evidence, finding);
    });
    let samples = durability::samples::Samples::of(evidence);
    if samples.answered > 0 {
        samples.check(finding);
    }
    samples.answered
}

/// Whether a running server creates and removes this file of a MySQL data directory: temporary tables, redo logs that
/// are written in turn, sockets and process ids.
pub(super) fn passing(path: &str) -> bool {
    let turns = ["#innodb_temp", "#innodb_redo", "#ib_", "ibtmp1", "mysql.sock", "binlog.", "ib_logfile"];
    turns.iter().any(|t| path.starts_with(t)) || path.ends_with(".pid") || path.ends_with(".lock")
}

/// Returns the record of the call that stopped the node. Adds the checks that the node was down; `listing` was made
/// while it was down.
pub(super) fn proved<'r>(
    evidence: &Evidence<'r>,
    home: &str,
    listing: &str,
    finding: &mut Finding,
) -> Result<&'r Record, Missing> {
    let injected = evidence.records().iter().rev().find_map(|record| match &record.event {
        Event::FaultInjected { id, fault, node, proof }
            if node == home && fault::reaches_node(fault, proof) =>
        {
            Some((id, fault, proof))
        }
        _ => None,
    });
    let (id, fault, proof) = injected.ok_or_else(|| Missing(format!("no fault on {home} was proved")))?;
    let intended = evidence.records().iter().find(
        |record| matches!(&record.event, Event::FaultIntended { id: i, node, .. } if i == id && node == home),
    );
    let intended = intended.ok_or_else(|| Missing(format!("the intent of fault {id} was not recorded")))?;
    let down = evidence.records().iter().rev().find_map(|record| match &record.event {
        Event::FilesListed { listing: name, node, power, .. } if name == listing && node == home => {
            Some(power.as_str())
        }
        _ => None,
    });
    let down = down.filter(|power| *power != "unknown");
    let down = down.ok_or_else(|| Missing(format!("{home} was not looked at while it was down")))?;
    // Without the fault, no observation says anything about the claim.
    if !Power::of(down).is_down() || !Power::in_proof(proof).is_down() {
        finding.unsure(format!("{fault} on {home} never took hold: container {down}, proof {proof}"));
    } else {
        finding.check(true, format!("{fault} on {home} took hold: container {down}, proof {proof}"));
    }
    Ok(intended)
}

/// Checks that the fault on a node was healed after a moment, and that the node had not returned earlier because
/// somebody else started it.
pub(super) fn healed(
    evidence: &Evidence<'_>,
    finding: &mut Finding,
    after: &Record,
    home: &str,
) -> Result<(), Missing> {
    let proof = since(evidence, after).iter().find_map(|record| match &record.event {
        Event::FaultHealed { node, proof, .. } if node == home => Some(proof),
        _ => None,
    });
    let proof = proof.ok_or_else(|| Missing(format!("the fault on {home} was not healed")))?;
    if proof["was"] == "running" {
        finding.unsure(format!("{home} ran before it was brought back: somebody else started it"));
    }
    if Power::in_proof(proof) != Power::Running {
        finding.unsure(format!("nothing proves that {home} runs again: {proof}"));
    }
    Ok(())
}

/// Adds the checks that the old pod stayed, terminating, while its node was down.
fn check_stayed(evidence: &Evidence<'_>, finding: &mut Finding, old: &Object<'_>) -> Result<(), Missing> {
    let over = evidence.mark("outage-over")?;
    let gone = history(evidence, old.uid()).into_iter().find(|h| h.1 == Change::Deleted);
    let early = gone.is_some_and(|(record, _, _)| record.seq < over.seq);
    let stayed = if early { "went before" } else { "did not go before" };
    finding.check(!early, format!("pod {} {stayed} the node's return", old.name()));
    Ok(())
}

/// Checks the rows on the stopped node's disk. A row that was not found may still be there: pages may be stored in
/// another form. A row that was never acknowledged cannot be among the searched rows.
fn check_on_disk(finding: &mut Finding, on_disk: &OnDisk, home: &str, behind: &[u64]) {
    let (mine, others): (Vec<u64>, Vec<u64>) = on_disk.found.iter().partition(|row| behind.contains(row));
    let files = if on_disk.files.is_empty() { "no file".into() } else { on_disk.files.join(" ") };
    let OnDisk { node, power, rows, .. } = on_disk;
    let mut what =
        format!("{} of {rows} acknowledged rows were read from {files} of {node} ({power})", mine.len());
    if let Some(first) = others.first() {
        what += &format!(", and {} that nobody acknowledged there, the first: {first}", others.len());
    }
    let all = others.is_empty() && mine == behind && *rows == behind.len() as u64;
    if node == home && Power::of(power).is_down() && all {
        finding.check(true, what);
    } else {
        finding.unsure(what);
    }
}

pub(super) fn since<'r>(evidence: &Evidence<'r>, record: &Record) -> &'r [Record] {
    let at = evidence.records().iter().position(|r| r.seq == record.seq && r.writer == record.writer);
    &evidence.records()[at.unwrap_or_default()..]
}

fn ready_is(node: &Object<'_>, status: &str) -> bool {
    node.condition("Ready").is_some_and(|c| c.0 == status)
}

fn tainted(node: &Object<'_>, effect: &str) -> bool {
    node.entries("/spec/taints").iter().any(|t| t["key"] == UNREACHABLE && t["effect"] == effect)
}

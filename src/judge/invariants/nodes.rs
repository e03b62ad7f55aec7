//! No node is NotReady outside the declared times.

use std::collections::BTreeMap;

use super::{Finding, Missing, Scope, conclude, none_recorded};
use crate::event::Change;

/// Seconds that a node may be silent before it is NotReady, with the controller's default settings
/// (`node-monitor-grace-period` before Kubernetes 1.32 is 40 s, since then 50 s): a machine that starved then may be to
/// blame.
const GRACE: f64 = 50.0;

/// A time in which a node was not ready.
struct Unready<'r> {
    node: &'r str,
    from: f64,
    to: f64,
    why: String,
    /// Whether the node had been ready before.
    was_ready: bool,
}

/// Checks that no node is NotReady outside the declared times. A node that joins may take its time to become ready.
///
/// # Errors
/// [`Missing`] if no node was recorded.
pub fn nodes_stay_ready(scope: &Scope<'_, '_>, finding: &mut Finding) -> Result<(), Missing> {
    let changes = scope.changes("Node");
    if changes.is_empty() {
        return Err(none_recorded("Node"));
    }
    let mut open: BTreeMap<&str, Unready<'_>> = BTreeMap::new();
    let mut was_ready: BTreeMap<&str, bool> = BTreeMap::new();
    let mut all = Vec::new();
    for (at, change, node) in changes {
        let name = node.name();
        let (status, reason, _) = node.condition("Ready").unwrap_or(("Unknown", "", ""));
        if change == Change::Deleted || status == "True" {
            all.extend(open.remove(name).map(|unready| Unready { to: at, ..unready }));
            was_ready.insert(name, status == "True");
            if change == Change::Deleted {
                was_ready.remove(name);
            }
            continue;
        }
        let was_ready = was_ready.get(name).copied().unwrap_or(false);
        let why = format!("Ready is {status}, {reason}");
        open.entry(name).or_insert(Unready { node: name, from: at, to: f64::INFINITY, why, was_ready });
    }
    all.extend(open.into_values());
    let mut found = false;
    for unready in all.iter().filter(|u| u.to >= scope.from) {
        found |= check(scope, finding, unready);
    }
    conclude(finding, found, &format!("every node stayed ready: {}", ready(&was_ready)));
    Ok(())
}

fn ready(nodes: &BTreeMap<&str, bool>) -> String {
    let names: Vec<&str> = nodes.iter().filter(|(_, ready)| **ready).map(|(name, _)| *name).collect();
    match names.len() {
        0..=3 => crate::judge::object::names(&names),
        n => format!("{n} nodes"),
    }
}

/// Checks one time in which a node was not ready. Returns whether a check was added that did not pass.
fn check(scope: &Scope<'_, '_>, finding: &mut Finding, unready: &Unready<'_>) -> bool {
    let Unready { node, from, to, why, was_ready } = unready;
    let lasted = to.min(scope.to) - from.max(scope.from);
    let what = format!("node {node} was not ready for {lasted:.1} s ({why})");
    if scope.is_away(node, *from) {
        let ends = scope.is_away(node, to.min(scope.to));
        finding
            .check(ends, format!("{what}, declared{}", if ends { "" } else { ", but longer than declared" }));
        return !ends;
    }
    if scope.is_strained(node, *from) {
        finding.unsure(format!("{what}, under a fault"));
        return true;
    }
    match (was_ready, to.is_finite()) {
        (false, true) if *from >= scope.from => {
            finding.check(true, format!("{what} until it had joined"));
            return false;
        }
        (false, _) => finding.unsure(format!("{what}, as it was before")),
        (true, _) if *from < scope.from => finding.unsure(format!("{what}, since before the judged time")),
        (true, _) => {
            let starved = finding.machine.starved_in(from - GRACE, *from) > 0.0;
            finding.check_unless_starved(false, starved, what)
        }
    };
    true
}

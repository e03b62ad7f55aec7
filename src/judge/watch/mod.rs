//! A watched command: the claims of `seatrial watch`.
//!
//! Marks: [`BEGINS`] just before the command, [`ENDS`] after it and the time that follows it. The command sets marks of
//! its own, whose names have no blanks. [`facts`] lists what the claims read besides changes of objects and samples of
//! probes.

use super::invariants::{Away, Scope};
use super::{Claim, Evidence, Finding, Missing};

mod away;
mod budgets;
mod disturbed;
pub mod facts;
mod identities;
mod invariants;
mod outages;
mod reasons;
mod selector;

pub use outages::API;

/// The mark just before the command begins.
pub const BEGINS: &str = "watch begins";
/// The mark at the end of the watch.
pub const ENDS: &str = "watch ends";
/// Beginning of the detail of a sample through the API server, if the answer is not the target's.
pub const API_SAYS: &str = "the API server: ";

/// `outages`: each probe's target answers while the command runs.
pub static OUTAGES: Claim =
    Claim::new("outages", "the target of each probe answers within the budget", outages::judge);
/// `disturbed`: no pod is disturbed without a reason.
pub static DISTURBED: Claim =
    Claim::new("disturbed", "no pod is disturbed without a reason", disturbed::judge).watching(&[
        "DaemonSet",
        "Deployment",
        "Job",
        "Node",
        "Pod",
        "ReplicaSet",
        "StatefulSet",
    ]);
/// `budgets`: every PodDisruptionBudget is kept.
pub static BUDGETS: Claim = Claim::new("budgets", "every PodDisruptionBudget is kept", budgets::judge)
    .watching(&[
        "DaemonSet",
        "Deployment",
        "Job",
        "Node",
        "Pod",
        "PodDisruptionBudget",
        "ReplicaSet",
        "StatefulSet",
    ]);
/// `identities`: pods are replaced as their kind promises, and none is lost.
pub static IDENTITIES: Claim =
    Claim::new("identities", "pods are replaced as their kind promises, and none is lost", identities::judge)
        .watching(&["DaemonSet", "Deployment", "Pod", "ReplicaSet", "StatefulSet"]);
/// `nodes`: every node stays ready.
pub static NODES: Claim =
    Claim::new("nodes", "every node stays ready outside the declared times", invariants::nodes)
        .watching(&["Node"]);
/// `repeats`: no event is repeated again and again.
pub static REPEATS: Claim =
    Claim::new("repeats", "no event is repeated again and again", invariants::repeats).watching(&["Event"]);
/// `pending`: no pod waits without a known reason.
pub static PENDING: Claim =
    Claim::new("pending", "no pod stays Pending without a known reason", invariants::pending)
        .watching(&["Event", "Pod"]);
/// `containers`: no container is killed for its memory or ends with an error.
pub static CONTAINERS: Claim = Claim::new(
    "containers",
    "no container is killed for its memory or ends with an error",
    invariants::containers,
)
.watching(&["Pod"]);
/// `sandboxes`: every pod gets its sandbox.
pub static SANDBOXES: Claim =
    Claim::new("sandboxes", "no pod's sandbox fails", invariants::sandboxes).watching(&["Event"]);

/// The claims of a watch.
pub static CLAIMS: [&Claim; 9] =
    [&OUTAGES, &DISTURBED, &BUDGETS, &IDENTITIES, &NODES, &REPEATS, &PENDING, &CONTAINERS, &SANDBOXES];

/// Makes the checks of a claim that reads changes of these kinds while the command ran. If changes may be missing, or a
/// kind could not be read, the claim is inconclusive.
fn watched(
    evidence: &Evidence<'_>,
    finding: &mut Finding,
    kinds: &[&str],
    checks: impl FnOnce(&mut Finding) -> Result<(), Missing>,
) -> Result<(), Missing> {
    let during = evidence.between(BEGINS, ENDS)?;
    let mut blind: Vec<String> = evidence.gaps(during, kinds).iter().map(ToString::to_string).collect();
    let unread = evidence.fact(&facts::UNREAD)?;
    blind.extend(unread.iter().filter(|u| kinds.contains(&u.kind.as_str())).map(|unread| {
        let place = unread.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}"));
        format!("{}{} could not be read: {}", unread.kind, place.unwrap_or_default(), unread.why)
    }));
    finding.watched(&blind, |finding| _ = finding.part(checks));
    Ok(())
}

/// Returns the time between the marks, with the times in which nodes may be away.
fn scope<'e, 'r>(evidence: &'e Evidence<'r>) -> Result<Scope<'e, 'r>, Missing> {
    let mut scope = Scope::between(evidence, BEGINS, ENDS)?;
    let second = |mark: &str| Some(evidence.mark(mark).ok()?.mono_us as f64 / 1e6);
    for declared in evidence.fact(&facts::AWAY)? {
        // A mark that the command did not reach opens or closes nothing.
        let from = declared.from.as_deref().map_or(Some(scope.from), second);
        let to = declared.to.as_deref().and_then(second).unwrap_or(scope.to);
        scope.away.extend(from.map(|from| Away { node: None, from, to }));
    }
    Ok(scope)
}

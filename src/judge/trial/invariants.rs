//! `invariants`: nothing else goes wrong while the application is on trial. Read from what is recorded anyway.

use super::{facts, faults};
use crate::event::Event;
use crate::judge::invariants::{self as rules, Away, Scope};
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing};

/// Times that an event may be repeated.
const REPEATS: i64 = 20;
/// Events that are repeated while nothing is wrong: a readiness probe fails until its container has started, and a pod that
/// waits for its node is tried again and again.
const REPEATED: [&str; 2] = ["Unhealthy", "FailedScheduling"];
/// Seconds that a pod may be Pending without a known reason.
const PENDING: f64 = 60.0;
/// Seconds after another pod went, or was not ready, in which a container may end because it needed that pod.
const NEEDED: f64 = 60.0;

/// Judges `invariants`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let mut scope = Scope::between(evidence, "ready", "tried")?;
    scope.away = away(evidence)?;
    let changes = scope.changes("Pod");
    // A Job tries again by itself.
    let is_of_job = |pod: &Object<'_>| pod.controller().is_some_and(|owner| owner.0 == "Job");
    let needed = |pod: &Object<'_>, at: f64| {
        is_of_job(pod)
            || changes.iter().any(|(when, _, other)| {
                (at - NEEDED..=at).contains(when) && other.uid() != pod.uid() && !other.is_ready()
            })
    };
    finding.watched(&gaps(evidence, &["Node"])?, |f| f.part(|f| rules::nodes_stay_ready(&scope, f)));
    finding.watched(&gaps(evidence, &["Event", "Pod"])?, |f| {
        f.part(|f| rules::no_pod_waits(&scope, PENDING, f));
        f.part(|f| rules::no_container_fails(&scope, needed, f));
        f.part(|f| rules::no_sandbox_fails(&scope, f));
        f.part(|f| rules::no_repeats(&scope, (REPEATS, &REPEATED), f));
    });
    finding.summary(
        "every node stayed ready, no pod waited, no container failed, no event came again and again",
    );
    Ok(())
}

/// Returns the gaps in the watches of these kinds. While an API server is exchanged, watches break off; the lists after that
/// show what happened.
fn gaps(evidence: &Evidence<'_>, kinds: &[&str]) -> Result<Vec<String>, Missing> {
    let parts = match evidence.mark("upgraded") {
        Ok(_) => vec![evidence.between("ready", "upgrade")?, evidence.between("upgraded", "tried")?],
        Err(_) => vec![evidence.between("ready", "tried")?],
    };
    Ok(parts.into_iter().flat_map(|part| evidence.gaps(part, kinds)).map(|gap| gap.to_string()).collect())
}

/// Returns when nodes may be away: the lost one until it is back, one that a fault hits, and each of them while the cluster is
/// upgraded.
///
/// # Errors
/// [`Missing`] if it was not recorded which node was lost, or when.
fn away(evidence: &Evidence<'_>) -> Result<Vec<Away>, Missing> {
    let second = |mark: &str| Ok(evidence.mark(mark)?.mono_us as f64 / 1e6);
    let has = |mark: &str| evidence.mark(mark).is_ok();
    let mut away = Vec::new();
    if has("node-loss") || evidence.fact(&facts::LOST_NODE).is_ok() {
        let node = Some(evidence.fact(&facts::LOST_NODE)?);
        away.push(Away { node, from: second("node-loss")?, to: second("returned").unwrap_or(f64::INFINITY) });
    }
    if has("upgrade") || evidence.fact(&facts::UPGRADED).is_ok() {
        away.push(Away {
            node: None,
            from: second("upgrade")?,
            to: second("upgraded").unwrap_or(f64::INFINITY),
        });
    }
    // Without a fault there is no record of one.
    if evidence
        .records()
        .iter()
        .any(|r| matches!(&r.event, Event::Marked { mark } if mark.starts_with("fault ")))
    {
        for step in faults::steps(evidence)? {
            let (from, to) = (second(&step.step)?, second(&step.healed()).unwrap_or(f64::INFINITY));
            away.push(Away { node: Some(step.node), from, to });
        }
    }
    Ok(away)
}

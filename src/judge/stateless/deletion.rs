//! A10: deleting the Deployment by name removes its ReplicaSets and pods, in either order.
//!
//! Marks: `<mode>-delete` just before the request, `<mode>-deleted` when nothing is left. History: changes of
//! Deployments, ReplicaSets and Pods between the two marks.
//!
//! Background: the Deployment is deleted at once, and the garbage collector deletes the rest. Foreground: the
//! Deployment stays, with the finalizer `foregroundDeletion`, until first the pods and then the ReplicaSets are gone.
//! Source: Kubernetes' documentation, "Garbage Collection", and the collector's `attemptToDeleteItem`.

use serde_json::Value;

use super::facts::{self, Deletion};
use crate::event::{Change, Event, Record};
use crate::judge::object::Object;
use crate::judge::{Evidence, Fact, Finding, Holds, Missing};

/// The lists that a mode records before and after the deletion, with the kind of their objects.
const LISTS: [(&str, &str); 3] =
    [("deployments", "Deployment"), ("replica_sets", "ReplicaSet"), ("pods", "Pod")];

/// A10.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let modes = [("background", &facts::BACKGROUND), ("foreground", &facts::FOREGROUND)];
    let lines = modes.map(|mode| finding.part(|f| mode_removes_all(f, evidence, mode)).unwrap_or_default());
    finding.summary(lines.join("; "));
    Ok(())
}

fn mode_removes_all(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (mode, facts): (&str, &Deletion),
) -> Result<String, Missing> {
    let before = lists(evidence, &facts.before)?;
    let after = lists(evidence, &facts.after)?;
    let during = evidence.between(&format!("{mode}-delete"), &format!("{mode}-deleted"))?;
    for ((kind, had), (_, left)) in before.iter().zip(&after) {
        finding.check(!had.is_empty(), format!("{mode}: {} {kind}(s) before", had.len()));
        for object in left {
            let old = had.iter().any(|o| o.uid() == object.uid());
            let word = if old { "was not removed" } else { "is new and was not removed" };
            // A pod on a lost node stays until its kubelet reports again; in the foreground its owners stay too.
            let gone = match *kind {
                "Pod" if old => Holds::of_pod(false, object),
                _ if old && mode == "foreground" => Holds::of_counts(false, object),
                _ => false.into(),
            };
            finding.check(gone, format!("{mode}: {kind} {} (UID {}) {word}", object.name(), object.uid()));
        }
        if left.is_empty() {
            finding.check(true, format!("{mode}: no {kind} with the label is left"));
        }
    }
    // After an interruption the new list has no resource versions of deletions.
    let gaps = evidence.gaps(during, &LISTS.map(|(_, kind)| kind));
    finding.watched(&gaps, |finding| {
        let [deployment, sets, pods] = deletions(&before, during, mode)?;
        match mode {
            "foreground" => {
                check_before(finding, mode, &pods, &sets);
                check_before(finding, mode, &sets, &deployment);
                check_waited(finding, &before[0].1, during);
            }
            _ => check_before(finding, mode, &deployment, &sets),
        }
        Ok(())
    })?;
    Ok(format!(
        "{mode}: {} ReplicaSet(s) and {} pods went {} the Deployment, by UID",
        before[1].1.len(),
        before[2].1.len(),
        if mode == "foreground" { "before" } else { "after" }
    ))
}

type Lists<'r> = Vec<(&'static str, Vec<Object<'r>>)>;

fn lists<'r>(evidence: &Evidence<'r>, fact: &Fact<Value>) -> Result<Lists<'r>, Missing> {
    let (record, map) = evidence.recorded(fact)?;
    let list = |(field, kind): (&str, &'static str)| {
        let whole = format!("{}.{field}", evidence.name_of(fact));
        let value = map.get(field).ok_or_else(|| Missing(format!("`{whole}` was not observed")))?;
        Ok((kind, Object::items(value, &whole)?.into_iter().map(|object| object.seen(record)).collect()))
    };
    LISTS.into_iter().map(list).collect()
}

/// The recorded deletion of an object.
struct Gone<'r> {
    kind: &'static str,
    name: &'r str,
    /// Resource version of the deletion. All kinds of a cluster share one counter, so it orders events of different
    /// watches.
    version: u64,
}

/// Returns the deletions of the earlier objects by kind: Deployments, ReplicaSets, pods.
fn deletions<'r>(
    before: &Lists<'r>,
    during: &'r [Record],
    mode: &str,
) -> Result<[Vec<Gone<'r>>; 3], Missing> {
    let mut order = [Vec::new(), Vec::new(), Vec::new()];
    for ((kind, objects), gone) in before.iter().zip(&mut order) {
        for object in objects {
            let deleted = history(during, object.uid()).find(|(change, _)| *change == Change::Deleted);
            let missing =
                || Missing(format!("{mode}: the deletion of {kind} {} was not recorded", object.name()));
            let last = deleted.ok_or_else(missing)?.1;
            let version = last.text("/metadata/resourceVersion").and_then(|v| v.parse().ok());
            let version = version.ok_or_else(missing)?;
            gone.push(Gone { kind, name: object.name(), version });
        }
    }
    Ok(order)
}

fn check_before(finding: &mut Finding, mode: &str, first: &[Gone<'_>], then: &[Gone<'_>]) {
    for (a, b) in first.iter().flat_map(|a| then.iter().map(move |b| (a, b))) {
        finding.check(
            a.version < b.version,
            format!(
                "{mode}: {} {} went (resource version {}) before {} {} ({})",
                a.kind, a.name, a.version, b.kind, b.name, b.version
            ),
        );
    }
}

/// Checks that the Deployment was seen waiting for its dependents.
fn check_waited(finding: &mut Finding, deployments: &[Object<'_>], during: &[Record]) {
    for deployment in deployments {
        let waiting = |object: &Object<'_>| {
            let finalizers = object.entries("/metadata/finalizers");
            object.is_terminating() && finalizers.contains(&Value::from("foregroundDeletion"))
        };
        let seen = history(during, deployment.uid()).any(|(_, object)| waiting(&object));
        finding.check(
            seen,
            format!(
                "foreground: Deployment {} was seen waiting with its finalizer: {seen}",
                deployment.name()
            ),
        );
    }
}

fn history<'r>(records: &'r [Record], uid: &str) -> impl Iterator<Item = (Change, Object<'r>)> {
    records.iter().filter_map(move |record| match &record.event {
        Event::ObjectChanged { change, uid: of, object, .. } if of == uid => {
            Some((*change, Object::new(object).ok()?))
        }
        _ => None,
    })
}

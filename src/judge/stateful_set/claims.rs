//! C7: claims survive scaling down and the deletion of the set, and are used again.
//!
//! Marks: `scale-down`, `delete-claim`, `claim-deleted`. History: claims.

use super::creation::{claim_of, template};
use super::facts::{self, Content};
use super::history::{Order, ordinal};
use super::replacement::{check_content, check_same_claim};
use crate::event::{Change, Event, Record};
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Missing};

/// C7.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let set = Object::observed(evidence, &facts::SET_BEFORE_DOWN)?;
    let before = Object::list(evidence, &facts::CLAIMS_BEFORE)?;
    let (old, new) =
        (Object::list(evidence, &facts::PODS_BEFORE_DOWN)?, Object::list(evidence, &facts::PODS_UP)?);
    let (written, found): (Vec<Content>, Vec<Content>) =
        (evidence.fact(&facts::WRITTEN)?, evidence.fact(&facts::FOUND)?);
    let by_hand: String = evidence.fact(&facts::DELETED)?;
    if before.len() < 2 {
        finding.unsure(format!("{} claims before", before.len()));
    }
    for (what, when) in [
        (&facts::CLAIMS_DOWN, "scaled down"),
        (&facts::CLAIMS_UP, "scaled up again"),
        (&facts::CLAIMS_ORPHANED, "with the set deleted"),
    ] {
        let later = Object::list(evidence, what)?;
        finding.check(later.len() == before.len(), format!("{} claims {when}", later.len()));
        for claim in &before {
            match later.iter().find(|c| c.name() == claim.name()) {
                Some(same) => check_same_claim(finding, claim, same),
                None => _ = finding.check(false, format!("claim {} is not there {when}", claim.name())),
            }
        }
    }
    check_found_again(finding, &set, (&old, &new), (&written, &found))?;
    check_by_hand(finding, evidence, &before, &by_hand)?;
    finding.summary(format!(
        "{} outlived scaling down and the set, with their data; only {by_hand} went, deleted by hand",
        names(&before.iter().map(Object::name).collect::<Vec<_>>())
    ));
    Ok(())
}

/// Checks that the pods that came back use the claims of the earlier pods, and read what these wrote.
fn check_found_again(
    finding: &mut Finding,
    set: &Object<'_>,
    (old, new): (&[Object<'_>], &[Object<'_>]),
    (written, found): (&[Content], &[Content]),
) -> Result<(), Missing> {
    let template = template(set)?;
    let mut came_back = 0;
    for pod in new.iter().filter(|p| ordinal(set.name(), p.name()).is_some()) {
        let Some(was) = old.iter().find(|p| p.name() == pod.name()) else { continue };
        came_back += usize::from(was.uid() != pod.uid());
        let claims = [was, pod].map(|p| claim_of(p, template).unwrap_or("none"));
        finding.check(
            claims[0] == claims[1],
            format!("{} mounted {}, mounts {}", pod.name(), claims[0], claims[1]),
        );
        let of = |all: &[Content], uid: &str| all.iter().find(|c| c.uid == uid).cloned();
        let (Some(wrote), Some(read)) = (of(written, was.uid()), of(found, pod.uid())) else {
            return Err(Missing(format!("no file of {} was written and read", pod.name())));
        };
        check_content(finding, &wrote, &read, was, pod);
    }
    finding.check(came_back > 0, format!("{came_back} pods came back with another UID"));
    Ok(())
}

/// Checks that no claim was deleted before the deletion by hand, and after it only that claim.
fn check_by_hand(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    before: &[Object<'_>],
    by_hand: &str,
) -> Result<(), Missing> {
    let survived = evidence.between("scale-down", "delete-claim")?;
    let after = evidence.between("delete-claim", "claim-deleted")?;
    let left = Object::list(evidence, &facts::CLAIMS_AFTER)?;
    let mut order = Order::of(finding, evidence, survived, &["PersistentVolumeClaim"]);
    for claim in before {
        let gone = ending(survived, claim.uid());
        order.check(!gone, format!("deletion of {} seen before that by hand: {gone}", claim.name()));
    }
    let mut order = Order::of(finding, evidence, after, &["PersistentVolumeClaim"]);
    for claim in before {
        let meant = claim.name() == by_hand;
        let gone = ending(after, claim.uid());
        let there = left.iter().any(|c| c.uid() == claim.uid());
        order.check(
            gone == meant && there != meant,
            format!("{by_hand} deleted by hand: {} went: {gone}, is there: {there}", claim.name()),
        );
    }
    let known = before.iter().any(|c| c.name() == by_hand);
    order.check(known, format!("{by_hand} is one of the set's claims: {known}"));
    Ok(())
}

/// Whether the object's deletion was requested or seen in these records.
fn ending(records: &[Record], wanted: &str) -> bool {
    records.iter().any(|record| match &record.event {
        Event::ObjectChanged { change, uid, object, .. } if uid == wanted => {
            let asked = object.pointer("/metadata/deletionTimestamp").is_some_and(|t| !t.is_null());
            *change == Change::Deleted || asked
        }
        _ => false,
    })
}

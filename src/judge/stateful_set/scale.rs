//! C5: scaling down deletes the highest ordinal first, one at a time.
//!
//! Marks: `scale-down`, `scaled-down`. History: pods between them.

use super::creation::{check_complete, check_names};
use super::facts;
use super::history::{Life, Order, lives};
use crate::judge::identity::{Comparison, Identity};
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Holds, Missing};

/// C5.
pub fn down(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let set = Object::observed(evidence, &facts::SET_DOWN)?;
    let before = Object::list(evidence, &facts::PODS_BEFORE_DOWN)?;
    let pods = Object::list(evidence, &facts::PODS_DOWN)?;
    let records = evidence.between("scale-down", "scaled-down")?;
    let replicas = set.number("/spec/replicas");
    check_complete(finding, &set, replicas);
    check_names(finding, &set, &pods, replicas);
    let taken = i64::try_from(before.len()).unwrap_or_default() - replicas;
    if taken < 2 {
        finding.unsure(format!("{taken} pods were taken: an order needs two"));
    }
    let stayed = check_stayed(finding, &before, &pods, replicas);
    let lives = lives(records, set.name());
    let mut order = Order::of(finding, evidence, records, &["Pod"]);
    let went = check_taken(&mut order, &lives, taken);
    order.one_identity(&lives);
    finding.summary(format!(
        "{} went, each only when the one before was gone; {} stayed",
        names(&went),
        names(&stayed)
    ));
    Ok(())
}

/// Checks that the pods of the lowest ordinals are the same as before, with their restarts. Returns their names.
pub(super) fn check_stayed<'r>(
    finding: &mut Finding,
    before: &[Object<'r>],
    after: &[Object<'_>],
    replicas: i64,
) -> Vec<&'r str> {
    let of = |pods: &[Object<'_>]| pods.iter().map(Identity::of).collect::<Vec<_>>();
    let (old, new) = (of(before), of(after));
    let count = usize::try_from(replicas).unwrap_or_default();
    let mut lowest: Vec<&Identity> = old.iter().collect();
    lowest.sort_by_key(|p| (p.name.len(), p.name.clone()));
    let lowest: Vec<Identity> = lowest.into_iter().take(count).cloned().collect();
    let compared = Comparison::of(&old, &new);
    compared.check_kept(finding, &lowest);
    let strange = compared.new.len() + compared.replaced.len();
    let none = compared.by_loss(strange == 0);
    finding.check(none, format!("{strange} pods that were not there before"));
    let kept = |p: &&Object<'_>| lowest.iter().any(|l| l.uid == p.uid());
    before.iter().filter(kept).map(Object::name).collect()
}

/// Checks that exactly this many pods were deleted, from the highest ordinal down, and that each was gone before the
/// deletion of the next was requested. Returns their names in that order.
pub(super) fn check_taken<'r>(order: &mut Order<'_>, lives: &[Life<'r>], taken: i64) -> Vec<&'r str> {
    let mut went: Vec<&Life<'_>> = lives.iter().filter(|l| l.ending().is_some()).collect();
    went.sort_by_key(|l| l.ending().map(|s| s.at));
    let list: Vec<&str> = went.iter().map(|l| l.name).collect();
    // The loss of a node deletes pods too.
    let taken_by_loss = went.len() as i64 > taken;
    let lost = went.iter().filter(|_| taken_by_loss).map(|life| life.went());
    order.check(
        Holds::or(i64::try_from(went.len()) == Ok(taken), lost),
        format!("{} went; {taken} were too many", names(&list)),
    );
    for pair in went.windows(2) {
        let (first, then) = (pair[0], pair[1]);
        order.check(first.ordinal > then.ordinal, format!("{} was taken before {}", first.name, then.name));
        let (a, b) = (format!("{} gone", first.name), format!("deletion of {} asked for", then.name));
        order.before(
            (&a, first.gone().map(|s| (s, first.finished_at()))),
            (&b, then.ending().map(|s| (s, then.ending_at()))),
        );
    }
    for life in &went {
        let gone = life.gone().is_some();
        order.check(gone, format!("{} was seen to go: {gone}", life.name));
    }
    list
}

//! C6: a set is not scaled down while a pod is unhealthy.
//!
//! Marks: `refuse` just before the scaling is requested, `held` at the end of the observation, `heal` just before the
//! pod is made ready again, `healed` when the scaling is done. History: pods and the set.
//!
//! A refusal shows only as the absence of changes, so time alone would prove little: the controller must have processed
//! the set repeatedly. Each pass shows as a generation that the controller observed ([`held`]).

use super::creation::{check_complete, check_names};
use super::facts;
use super::history::{Order, held, lives, ordinal, until};
use super::scale::{check_stayed, check_taken};
use crate::judge::lost::Touched;
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Holds, Missing};

/// C6.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let was = Object::observed(evidence, &facts::SET_UNREADY)?;
    let set = Object::observed(evidence, &facts::SET_HEALED)?;
    let unready = Object::observed(evidence, &facts::UNREADY)?;
    let before = Object::list(evidence, &facts::PODS_UNREADY)?;
    let pods = Object::list(evidence, &facts::PODS_HEALED)?;
    let (had, asked) = (was.number("/spec/replicas"), set.number("/spec/replicas"));
    let lower = ordinal(set.name(), unready.name()).is_some_and(|n| n < asked);
    finding.check(
        lower && had > asked,
        format!("{had} -> {asked} replicas, {} unready is one that would stay: {lower}", unready.name()),
    );
    let seconds = finding.part(|f| check_refused(f, evidence, (&set, had, asked), &unready));
    finding.part(|f| check_goes_on(f, evidence, (&set, had, asked), &unready));
    check_complete(finding, &set, asked);
    check_names(finding, &set, &pods, asked);
    check_stayed(finding, &before, &pods, asked);
    finding.summary(format!(
        "{had} -> {asked} was asked for while {} was unready: all {had} pods stayed through {:.1} s of passes \
         of the controller; once it was ready, the highest went",
        unready.name(),
        seconds.unwrap_or_default()
    ));
    Ok(())
}

/// Checks that all pods stayed while one was unready, although the controller had observed the requested scale.
fn check_refused(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (set, had, asked): (&Object<'_>, i64, i64),
    unready: &Object<'_>,
) -> Result<f64, Missing> {
    let records = evidence.between("refuse", "held")?;
    let meant = |state: &Object<'_>| state.number("/spec/replicas") == asked;
    let seconds = held(finding, records, set, meant)?;
    // The states of the pods at the request: the last states before it.
    let known = lives(until(evidence, "refuse")?, set.name());
    let there: Vec<_> = known.iter().filter(|l| l.gone().is_none()).collect();
    let list: Vec<&str> = there.iter().map(|l| l.name).collect();
    let living = i64::try_from(there.len()) == Ok(had);
    let living = Holds::or(living, there.first().map(|life| Touched::any(life.last().pod.span())));
    finding.check(living, format!("pods when it was asked for: {}, of {had}", names(&list)));
    let at = there.iter().find(|l| l.uid == unready.uid()).map(|l| l.last().pod.is_ready());
    finding.check(at == Some(false), format!("{} was ready when it was asked for: {at:?}", unready.name()));
    let during = lives(records, set.name());
    let mut order = Order::of(finding, evidence, records, &["Pod", "StatefulSet"]);
    let went: Vec<_> = during.iter().filter(|l| l.ending().is_some()).collect();
    let list: Vec<&str> = went.iter().map(|l| l.name).collect();
    order.check(
        Holds::or(went.is_empty(), went.iter().map(|life| life.went())),
        format!("pods that went while {} was unready: {}", unready.name(), names(&list)),
    );
    let healed = during.iter().find(|l| l.uid == unready.uid()).and_then(|l| l.ready());
    order.check(healed.is_none(), format!("{} was ready meanwhile: {}", unready.name(), healed.is_some()));
    Ok(seconds)
}

/// Checks that the highest ordinals are deleted once the pod is ready.
fn check_goes_on(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (set, had, asked): (&Object<'_>, i64, i64),
    unready: &Object<'_>,
) -> Result<(), Missing> {
    let records = evidence.between("heal", "healed")?;
    let lives = lives(records, set.name());
    let mut order = Order::of(finding, evidence, records, &["Pod"]);
    check_taken(&mut order, &lives, had - asked);
    let ready = lives.iter().find(|l| l.uid == unready.uid()).and_then(|l| Some((l.ready()?, l.ready_at())));
    let went = lives.iter().filter(|l| l.ending().is_some()).min_by_key(|l| l.ending().map(|s| s.at));
    let ending = went.and_then(|l| Some((l.ending()?, l.ending_at())));
    order.before((&format!("{} ready again", unready.name()), ready), ("the first deletion", ending));
    Ok(())
}

//! A8 and A9: scaling keeps all pods that it can keep, and which pods it deletes is not known in advance.

use super::facts::{self, Scaling};
use super::{HASH, REPLICAS, REVISION, check_before, check_complete, check_pods, is_owned};
use crate::judge::identity::{Comparison, Identity, distinct, pod_names};
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing};

/// Number of pods after scaling up.
pub const SCALED: i64 = 4;

/// A8.
pub fn up(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let now = scaled(finding, evidence, &facts::UP, SCALED)?;
    let old = Identity::observed(evidence, &facts::UP.pods_before)?;
    check_before(finding, &old, REPLICAS);
    let compared = Comparison::of(&old, &now);
    compared.check_kept(finding, &old);
    let new = compared.new.len();
    finding.check(
        compared.by_loss(i64::try_from(new) == Ok(SCALED - REPLICAS) && compared.replaced.is_empty()),
        format!("{} new names: {}", new, pod_names(&compared.new)),
    );
    finding.part(|f| check_template(f, evidence, &facts::UP, (&old, &now)));
    finding.summary(format!("kept {}; new {}", pod_names(&old), pod_names(&compared.new)));
    Ok(())
}

/// Checks the state after scaling, and returns the pods.
fn scaled(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    facts: &Scaling,
    replicas: i64,
) -> Result<Vec<Identity>, Missing> {
    finding.part(|f| {
        check_complete(f, &Object::observed(evidence, &facts.deployment)?, replicas);
        Ok(())
    });
    let pods = Object::list(evidence, &facts.pods)?;
    check_pods(finding, &pods, replicas);
    Ok(pods.iter().map(Identity::of).collect())
}

/// Checks that scaling is not a rollout: the template, its revision and its one ReplicaSet stay.
fn check_template(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    facts: &Scaling,
    (old, now): (&[Identity], &[Identity]),
) -> Result<(), Missing> {
    let hashes = [distinct(old, |p| &p.hash), distinct(now, |p| &p.hash)];
    finding.check(
        hashes[0].len() == 1 && hashes[0] == hashes[1],
        format!("{HASH} before {}, after {}", hashes[0].join(", "), hashes[1].join(", ")),
    );
    let deployment = &Object::observed(evidence, &facts.deployment)?;
    let sets = Object::list(evidence, &facts.replica_sets)?;
    let filled = sets.iter().filter(|s| is_owned(s, deployment) && s.number("/spec/replicas") > 0);
    let filled: Vec<_> = filled.collect();
    finding.check(
        filled.len() == 1 && filled[0].label(HASH) == hashes[1].first().copied(),
        format!("{} ReplicaSet(s) with pods", filled.len()),
    );
    let before = &Object::observed(evidence, &facts.deployment_before)?;
    let revisions = [before, deployment].map(|d| d.annotation(REVISION).unwrap_or("absent"));
    finding.check(
        revisions[0] == revisions[1] && revisions[0] != "absent",
        format!("revision before {}, after {}", revisions[0], revisions[1]),
    );
    Ok(())
}

/// A9.
pub fn down(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let now = scaled(finding, evidence, &facts::DOWN, REPLICAS)?;
    let old = Identity::observed(evidence, &facts::DOWN.pods_before)?;
    check_before(finding, &old, SCALED);
    let compared = Comparison::of(&old, &now);
    finding.check(
        compared.by_loss(compared.new.is_empty() && compared.replaced.is_empty()),
        format!("no pod that was not among the four: {}", pod_names(&compared.new)),
    );
    let survivors: Vec<_> = compared.kept.iter().map(|k| k.0.clone()).collect();
    compared.check_kept(finding, &survivors);
    finding.part(|f| check_template(f, evidence, &facts::DOWN, (&old, &now)));
    finding.summary(format!(
        "{} went, {} stayed; which ones go is not asserted: a Deployment names no pod beforehand",
        pod_names(&compared.gone),
        pod_names(&survivors)
    ));
    Ok(())
}

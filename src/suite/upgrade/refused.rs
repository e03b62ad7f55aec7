//! Requests that are refused before anything is changed.

use std::collections::BTreeSet;

use crate::judge::ha::Refused;
use crate::judge::upgrade::{AHEAD, SKIPPED, facts};
use crate::scenario::{Failure, Scenario};
use crate::upgrade::{self, EtcdPolicy, Refusal, ReleaseFacts, UpgradePlan, Version};

/// D1: an upgrade that skips a minor version is refused, and so are kubelets that are newer than their API server.
pub(super) async fn skipped_minor(s: &Scenario) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(super::CHANGE);
    let facts = upgrade::facts(&s.cluster, &s.client, BTreeSet::new(), deadline).await?;
    let now: Version = s.cluster.kubernetes.parse()?;
    let far = Version::new(now.major, now.minor + 2, 0);
    let release = |version| ReleaseFacts { version, etcd: None, coredns: None, unreachable: None, bytes: 0 };
    let answer = UpgradePlan::make(&facts, &[release(now), release(far)], far, EtcdPolicy::Upgrade);
    asked(s, format!("{now} to {far}"), answer, SKIPPED);
    let mut ahead = facts.clone();
    for kubelet in ahead.state.kubelets.values_mut() {
        *kubelet = Version::new(now.major, now.minor + 1, 0);
    }
    let next = Version::new(now.major, now.minor + 1, 0);
    let answer = UpgradePlan::make(&ahead, &[release(now), release(next)], next, EtcdPolicy::Upgrade);
    asked(s, format!("kubelets of {next} under API servers of {now}"), answer, AHEAD);
    Ok(())
}

/// Records the request and the reasons for its refusal.
fn asked(s: &Scenario, asked: String, answer: Result<UpgradePlan, Vec<Refusal>>, because: &str) {
    let reasons = |all: Vec<Refusal>| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let answer = answer.err().map(reasons);
    s.observe(&facts::REFUSED, &Refused { asked, node: None, answer, because: because.into() });
}

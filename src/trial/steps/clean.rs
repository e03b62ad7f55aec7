//! Deletes everything that was applied, and records what is left.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::watcher;

use super::super::ground::{CALL, Ground, START};
use super::super::pods::pods_of;
use super::drain;
use crate::chain::chain;
use crate::judge::trial::facts::{LEFT, UNANSWERED, UNREAD};
use crate::manifest::{self, Inventory, ManifestError};
use crate::retry;
use crate::scenario::{Failure, Scenario};
use crate::wait::{self, Verdict, WaitError};

/// Pause between two looks at what the cluster holds.
const AGAIN: Duration = Duration::from_secs(2);

pub async fn delete(ground: &Ground<'_>) -> Result<(), Failure> {
    let s = ground.s;
    s.mark("clean");
    // In a namespace that existed before, other pods stay.
    let beside = pods_beside(ground).await?;
    let mut seen = Seen::default();
    // A pod may use its whole grace period.
    let slowest = drain::slowest(ground).await?;
    let deadline = s.deadline().at_most(START + slowest);
    let deleted = manifest::delete_with_contents(&s.client, &ground.manifest, deadline).await;
    seen.add(deleted.map_err(|error| (error.is_unanswered(), chain(&error))));
    let (own, elsewhere) =
        tokio::join!(none_left((s, slowest), &s.namespace, |_| true), new_elsewhere(ground));
    seen.add(own);
    match elsewhere {
        Ok((new, unread)) => {
            seen.left.extend(new);
            s.observe(&UNREAD, &unread);
        }
        Err(error) => seen.add(Err((error.is_unanswered(), chain(&error)))),
    }
    for (namespace, uids) in beside {
        let is_ours = |pod: &Pod| pod.uid().is_some_and(|uid| uids.contains(&uid));
        seen.add(none_left((s, slowest), &namespace, is_ours).await);
    }
    s.observe(&LEFT, &seen.left);
    s.observe(&UNANSWERED, &seen.unanswered);
    Ok(())
}

/// What was seen after the deletion.
#[derive(Default)]
struct Seen {
    left: Vec<String>,
    unanswered: Vec<String>,
}

impl Seen {
    /// Adds what was left, or an error, with whether the API server gave no answer.
    fn add(&mut self, seen: Result<(), (bool, String)>) {
        match seen {
            Ok(()) => {}
            Err((true, text)) => self.unanswered.push(text),
            Err((false, text)) => self.left.push(text),
        }
    }
}

/// Returns the UIDs of the trial's pods in each namespace that existed before.
async fn pods_beside(ground: &Ground<'_>) -> Result<Vec<(String, Vec<String>)>, Failure> {
    let mut found = Vec::new();
    for workload in ground.workloads.iter().filter(|w| !ground.created.contains(&w.namespace)) {
        let pods = pods_of(ground.s, workload).await?;
        found.push((workload.namespace.clone(), pods.iter().filter_map(ResourceExt::uid).collect()));
    }
    Ok(found)
}

/// Waits until the cluster holds nothing outside the trial's namespaces that it did not hold before; returns what it holds. A
/// controller may leave its lease, or an operator objects in `kube-system`. Also returns the kinds that could not be listed.
async fn new_elsewhere(ground: &Ground<'_>) -> Result<(Vec<String>, Vec<String>), ManifestError> {
    let s = ground.s;
    let ask = || async {
        let now = Inventory::of(&s.client, &ground.created, s.deadline().at_most(CALL)).await?;
        let found = (now.since(&ground.before), now.unread_since(&ground.before));
        Ok::<_, ManifestError>(if found.0.is_empty() { Ok(found) } else { Err(found) })
    };
    let gone = retry::try_until(s.deadline().at_most(CALL), retry::every(AGAIN), ask).await?;
    Ok(gone.unwrap_or_else(|late| late.last))
}

/// Waits until none of these pods is in a namespace. The error is what is left, or why that is not known, with whether the
/// API server gave no answer.
async fn none_left(
    (s, slowest): (&Scenario, Duration),
    namespace: &str,
    is_meant: impl Fn(&Pod) -> bool + Send + Sync,
) -> Result<(), (bool, String)> {
    let none = wait::check("no pod left", |pods: &[Pod]| {
        let left = pods.iter().filter(|pod| is_meant(pod));
        let names: Vec<String> = left.map(|p| format!("Pod {}", p.name_any())).collect();
        Verdict::met_if(names.is_empty(), || names.join(", "))
    });
    let all = Api::<Pod>::namespaced(s.client.stream.clone(), namespace);
    match wait::until(all, watcher::Config::default(), none, s.deadline().at_most(CALL + slowest)).await {
        Ok(_) => Ok(()),
        Err(WaitError::Timeout { last, unanswered: false, .. }) => Err((false, last)),
        Err(error) => Err((error.is_unanswered(), chain(&error))),
    }
}

//! Rules on DaemonSets. Source: `rollout_status.go` of kubectl, and `pkg/controller/daemon` of Kubernetes.

use k8s_openapi::api::apps::v1::DaemonSet;

use super::{Check, Verdict, check_one};

/// The DaemonSet runs its current template on every node that should have a pod, and each pod is available. The wait
/// follows the DaemonSet that it saw first ([`Check::follows`]).
pub fn daemons_complete(name: &str) -> impl Check<DaemonSet> + use<> {
    check_one(name.to_owned(), format!("rollout of DaemonSet {name}"), complete)
}

fn complete(set: &DaemonSet) -> Verdict {
    if set.metadata.deletion_timestamp.is_some() {
        return Verdict::Never("the DaemonSet is being deleted".into());
    }
    let status = set.status.clone().unwrap_or_default();
    let (generation, seen) =
        (set.metadata.generation.unwrap_or_default(), status.observed_generation.unwrap_or_default());
    if seen < generation {
        return Verdict::NotYet(format!(
            "generation {generation} is not observed yet (the status is of {seen})"
        ));
    }
    let wanted = status.desired_number_scheduled;
    let is_on_delete =
        set.spec.as_ref().and_then(|s| s.update_strategy.as_ref()?.type_.as_deref()) == Some("OnDelete");
    let updated = if is_on_delete { wanted } else { status.updated_number_scheduled.unwrap_or_default() };
    let (ready, available) = (status.number_ready, status.number_available.unwrap_or_default());
    let is_complete = [updated, ready, available].iter().all(|n| *n == wanted);
    Verdict::met_if(is_complete, || {
        format!("{wanted} nodes should have a pod: {updated} updated, {ready} ready, {available} available")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(status: serde_json::Value) -> Verdict {
        complete(
            &serde_json::from_value(json!({"metadata": {"name": "d", "generation": 2}, "status": status}))
                .unwrap(),
        )
    }

    #[test]
    fn each_count_must_be_reached_by_the_present_generation() {
        let status = |seen: i64, updated: i32, available: i32| {
            json!({"observedGeneration": seen, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
                   "numberMisscheduled": 0, "updatedNumberScheduled": updated, "numberReady": 2, "numberAvailable": available})
        };
        assert_eq!(verdict(status(2, 2, 2)), Verdict::Met);
        for bad in [status(1, 2, 2), status(2, 1, 2), status(2, 2, 1)] {
            assert!(matches!(verdict(bad), Verdict::NotYet(_)));
        }
        let none = json!({"observedGeneration": 2, "desiredNumberScheduled": 0, "currentNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0});
        // No node fits: `kubectl rollout status` says the same.
        assert_eq!(verdict(none), Verdict::Met);
    }
}

//! A drain that a PodDisruptionBudget forbids for some time.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams};
use kube::runtime::watcher;

use super::{CHANGE, START, placed};
use crate::judge::upgrade::facts;
use crate::manifest;
use crate::scenario::{Failure, Scenario};
use crate::wait::{self, Verdict};

const HELD: &str = include_str!("held.yaml");

/// Starts pods of which one may not be evicted. The budget would allow an eviction if all pods were ready.
pub(super) async fn hold(s: &Scenario, node: &str) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(START);
    s.apply(&placed(s, "upgrade/held.yaml", HELD, node)?, deadline).await?;
    let forbids = wait::check("the budget forbids an eviction", |budgets: &[PodDisruptionBudget]| {
        let status = budgets.first().and_then(|b| b.status.clone()).unwrap_or_default();
        let (expected, healthy) = (status.expected_pods, status.current_healthy);
        Verdict::met_if(expected == 2 && healthy == 1 && status.disruptions_allowed == 0, || {
            format!("{healthy} of {expected} healthy")
        })
    });
    let api = Api::<PodDisruptionBudget>::namespaced(s.client.stream.clone(), &s.namespace);
    let by_name = watcher::Config::default().fields("metadata.name=held");
    wait::until(api, by_name, forbids, deadline).await?;
    s.observe(&facts::FORBIDDING, &format!("{}/held", s.namespace));
    Ok(())
}

/// Removes these pods and their budget.
pub(super) async fn release(s: &Scenario) -> Result<(), Failure> {
    let (client, deadline) = (s.client.unary.clone(), s.deadline().at_most(CHANGE));
    let budgets = Api::<PodDisruptionBudget>::namespaced(client.clone(), &s.namespace);
    let deployments = Api::<Deployment>::namespaced(client, &s.namespace);
    let budget = budgets.get("held").await?.uid().unwrap_or_default();
    let deployment = deployments.get("held").await?.uid().unwrap_or_default();
    manifest::delete_exact(&budgets, "held", &budget, DeleteParams::background(), deadline).await?;
    manifest::delete_exact(&deployments, "held", &deployment, DeleteParams::background(), deadline).await?;
    let none = wait::check("no held pods", |left: &[Pod]| {
        Verdict::met_if(left.is_empty(), || format!("{} left", left.len()))
    });
    let api = Api::<Pod>::namespaced(s.client.stream.clone(), &s.namespace);
    wait::until(api, watcher::Config::default().labels("app=held"), none, deadline).await?;
    Ok(())
}

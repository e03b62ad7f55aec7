//! The StatefulSet: names, claims, volumes and files, before and after the upgrade.

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PropagationPolicy};
use kube::runtime::watcher;

use super::{CHANGE, START};
use crate::judge::upgrade::facts;
use crate::scenario::{Failure, Scenario};
use crate::suite::stateful_set::{content, volumes};
use crate::wait::{self, Verdict, pods};
use crate::workload::StatefulSet;

const MANIFEST: &str = include_str!("set.yaml");
/// Name of the set.
pub(super) const NAME: &str = "set";
const SELECTOR: &str = "app=set";
const REPLICAS: usize = 2;

/// The workload.
pub(super) struct Set(StatefulSet);

impl Set {
    /// Starts the set, and writes a file into each volume.
    pub async fn start(s: &Scenario) -> Result<Self, Failure> {
        volumes::make(s, REPLICAS).await?;
        let deadline = s.deadline().at_most(START);
        s.apply(&s.manifest("upgrade/set.yaml", MANIFEST)?, deadline).await?;
        wait::stateful_rollout(&s.client, &s.namespace, NAME, deadline).await?;
        let set = Self(StatefulSet::new(&s.client, &s.namespace, NAME, SELECTOR));
        let pods = set.0.pods().await?;
        let within = || s.deadline().at_most(CHANGE);
        let written = try_join_all(pods.iter().map(|pod| content::write(s, pod, within()))).await?;
        s.observe(&facts::SET, &set.0.object().await?);
        s.observe(&facts::SET_BEFORE, &pods);
        s.observe(&facts::CLAIMS_BEFORE, &set.0.claims().await?);
        s.observe(&facts::WRITTEN, &written);
        Ok(set)
    }

    /// Records the set after the upgrade.
    pub async fn end(&self, s: &Scenario) -> Result<(), Failure> {
        wait::stateful_rollout(&s.client, &s.namespace, NAME, s.deadline().at_most(CHANGE)).await?;
        let pods = self.0.pods().await?;
        let within = || s.deadline().at_most(CHANGE);
        let found = try_join_all(pods.iter().map(|pod| content::read(s, pod, within()))).await?;
        s.observe(&facts::SET_AFTER, &pods);
        s.observe(&facts::CLAIMS_AFTER, &self.0.claims().await?);
        s.observe(&facts::FOUND, &found);
        Ok(())
    }

    /// Deletes the set, and waits until no pod uses its volumes any more.
    pub async fn delete(&self, s: &Scenario) -> Result<(), Failure> {
        self.0.delete(PropagationPolicy::Background).await?;
        let none = wait::check("no pod of the set left", |left: &[Pod]| {
            Verdict::met_if(left.is_empty(), || pods::describe_all(left))
        });
        let api = Api::<Pod>::namespaced(s.client.stream.clone(), &s.namespace);
        let ours = watcher::Config::default().labels(SELECTOR);
        wait::until(api, ours, none, s.deadline().at_most(CHANGE)).await?;
        Ok(())
    }
}

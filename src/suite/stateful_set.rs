//! Part C except C9: a StatefulSet, from its first pod to its last claim.

use std::time::Duration;

use futures::FutureExt;
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Service};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PropagationPolicy};
use kube::runtime::watcher;

use super::{Suite, stateless};
use crate::cluster::{Access, topology};
use crate::deadline::Deadline;
use crate::judge::stateful_set::facts::{Content, Prediction};
use crate::judge::stateful_set::{C1, C2, C3, C4, C5, C6, C7, C8, C10};
use crate::judge::stateful_set::{HELD, facts};
use crate::judge::stateless::facts::Images;
use crate::manifest;
use crate::scenario::{Failure, Needs, Scenario};
use crate::wait::{self, Verdict, pods};
use crate::workload::{Deployment, StatefulSet, exec_ok};

pub(super) mod content;
mod names;
mod passes;
pub(super) mod volumes;

pub(super) use passes::passes;

/// The suite.
pub static SUITE: Suite = Suite {
    about: "a StatefulSet: order, names, claims, scaling down and its refusal, partitioned update",
    needs: Needs {
        name: "stateful-set",
        claims: &[&C1, &C2, &C3, &C4, &C5, &C6, &C7, &C8, &C10],
        access: Access::Shared,
        topology: &topology::THREE,
        cluster_suffix: None,
        budget: Duration::from_secs(15 * 60),
    },
    after_all: false,
    story: |s| story(s).boxed(),
};

const MANIFEST: &str = include_str!("stateful_set/web.yaml");
const NAME: &str = "web";
const SELECTOR: &str = "app=web";
const CONTAINER: &str = "nginx";
const REPLICAS: i32 = 3;
/// Index of the pod that is deleted and comes back: neither the first nor the last.
const REPLACED: usize = 1;
/// The lowest ordinal of the pods that get the new image first.
const PARTITION: i32 = 2;
/// A file that makes a pod unready. It is outside the volume, so it disappears with the pod.
const UNREADY: &str = "/tmp/unready";

/// Timeout for pods to start or end, one after another, on two busy cores.
const ROLLOUT: Duration = Duration::from_secs(180);
/// Timeout for a command in a pod, or for the recorder to catch up.
const SHORT: Duration = Duration::from_secs(30);

async fn story(s: &Scenario) -> Result<(), Failure> {
    let web = Web {
        s,
        set: StatefulSet::new(&s.client, &s.namespace, NAME, SELECTOR),
        other: Deployment::new(&s.client, &s.namespace, stateless::NAME, stateless::SELECTOR),
    };
    s.step("make volumes", SHORT, web.prepare()).await?;
    s.step("apply the manifest", ROLLOUT, web.start()).await?;
    s.step("delete a pod", ROLLOUT + 2 * names::PATIENCE, web.replace()).await?;
    s.step("scale down and up", ROLLOUT, web.scale()).await?;
    s.step("scale down with an unready pod", ROLLOUT, web.refuse()).await?;
    s.step("change the image", ROLLOUT, web.update()).await?;
    s.step("delete the set and a claim", ROLLOUT, web.delete()).await?;
    s.step("remove the volumes' files", SHORT, volumes::remove(s)).await
}

/// The set, and a Deployment next to it that is scaled down with it.
struct Web<'s> {
    s: &'s Scenario,
    set: StatefulSet,
    other: Deployment,
}

impl Web<'_> {
    async fn prepare(&self) -> Result<(), Failure> {
        volumes::claim(self.s).await?;
        volumes::list(self.s, "before").await?;
        volumes::make(self.s, usize::try_from(REPLICAS)?).await
    }

    /// C1 and C3.
    async fn start(&self) -> Result<(), Failure> {
        let s = self.s;
        let manifest = s.manifest("stateful_set/web.yaml", MANIFEST)?;
        s.mark("apply");
        s.apply(&manifest, self.within(SHORT)).await?;
        self.rolled_out().await?;
        self.settle("applied").await;
        let (set, pods) = (self.object().await?, self.set.pods().await?);
        s.observe(&facts::SET, &set);
        s.observe(&facts::PODS, &pods);
        let nodes: Vec<String> = volumes::nodes(s).iter().map(|n| n.name.clone()).collect();
        s.observe(&facts::NODES, &nodes);
        s.observe(&facts::CLAIMS, &self.set.claims().await?);
        s.observe(&facts::VOLUMES, &self.volumes().await?);
        s.prove(&C1).await;
        s.prove(&C3).await;
        Ok(())
    }

    /// C2 and C4.
    async fn replace(&self) -> Result<(), Failure> {
        let s = self.s;
        let before = self.set.pods().await?;
        let old = before.get(REPLACED).ok_or("the pod to delete is not there")?;
        let services = ApiResource::erase::<Service>(&());
        let services = Api::<DynamicObject>::namespaced_with(s.client.unary.clone(), &s.namespace, &services);
        s.observe(&facts::SERVICE, &services.get(NAME).await?);
        s.observe(&facts::PODS_BEFORE_REPLACEMENT, &before);
        s.observe(&facts::ANSWER_BUDGET, &names::BUDGET.as_secs_f64());
        names::ask_all(s, NAME, "before", &before).await?;
        s.observe(&facts::SET_BEFORE_REPLACEMENT, &self.object().await?);
        s.observe(&facts::REPLACED_POD, old);
        s.observe(&facts::REPLACED_CLAIM, &self.claim_of(old).await?);
        s.observe(&facts::REPLACED_WROTE, &self.write(old).await?);

        s.mark("delete-pod");
        let api = Api::<Pod>::namespaced(s.client.unary.clone(), &s.namespace);
        let (name, uid, params) = (old.name_any(), old.uid().unwrap_or_default(), DeleteParams::default());
        manifest::delete_exact(&api, &name, &uid, params, self.within(SHORT)).await?;
        self.rolled_out().await?;
        let after = self.set.pods().await?;
        let new = after.get(REPLACED).ok_or("the pod that was deleted did not come back")?;
        names::ask_all(s, NAME, "after", &after).await?;
        s.observe(&facts::REPLACEMENT_FOUND, &self.read(new).await?);
        self.settle("pod-replaced").await;
        s.observe(&facts::REPLACEMENT_POD, new);
        s.observe(&facts::REPLACEMENT_CLAIM, &self.claim_of(new).await?);
        s.observe(&facts::PODS_AFTER_REPLACEMENT, &after);
        s.prove(&C4).await;
        s.prove(&C2).await;
        Ok(())
    }

    /// C5 and C8, and the beginning of C7.
    async fn scale(&self) -> Result<(), Failure> {
        let s = self.s;
        let manifest = s.manifest("stateless/nginx.yaml", stateless::MANIFEST)?;
        s.apply(&manifest, self.within(SHORT)).await?;
        self.other.scale(REPLICAS).await?;
        self.other_rolled_out(REPLICAS).await?;
        let before = self.set.pods().await?;
        s.observe(&facts::SET_BEFORE_DOWN, &self.object().await?);
        s.observe(&facts::PODS_BEFORE_DOWN, &before);
        s.observe(&facts::CLAIMS_BEFORE, &self.set.claims().await?);
        s.observe(&facts::WRITTEN, &try_join_all(before.iter().map(|pod| self.write(pod))).await?);
        s.observe(&facts::DEPLOYMENT_PODS_BEFORE, &self.other.pods().await?);
        s.observe(&facts::PREDICTION, &prediction(REPLICAS, 1));

        s.mark("scale-down");
        self.set.scale(1).await?;
        self.other.scale(1).await?;
        tokio::try_join!(self.rolled_out(), self.other_rolled_out(1))?;
        self.settle("scaled-down").await;
        let pods = self.set.pods().await?;
        s.observe(&facts::SET_DOWN, &self.object().await?);
        s.observe(&facts::PODS_DOWN, &pods);
        s.observe(&facts::DEPLOYMENT_PODS, &self.other.pods().await?);
        s.prove(&C5).await;
        s.prove(&C8).await;
        s.observe(&facts::CLAIMS_DOWN, &self.set.claims().await?);

        self.other.delete(PropagationPolicy::Background).await?;
        self.set.scale(REPLICAS).await?;
        self.rolled_out().await?;
        let pods = self.set.pods().await?;
        s.observe(&facts::PODS_UP, &pods);
        s.observe(&facts::CLAIMS_UP, &self.set.claims().await?);
        s.observe(&facts::FOUND, &try_join_all(pods.iter().map(|pod| self.read(pod))).await?);
        Ok(())
    }

    /// C6: the unready pod is one that would stay.
    async fn refuse(&self) -> Result<(), Failure> {
        let s = self.s;
        let first = format!("{NAME}-0");
        self.run(&first, &["touch", UNREADY]).await?;
        let name = first.clone();
        let unready = wait::check(format!("{first} unready and counted as such"), move |found: &[Pod]| {
            let pod = found.iter().find(|p| p.name_any() == name);
            let state = || pod.map_or("it is not there".into(), pods::describe);
            Verdict::met_if(pod.is_some_and(|p| !pods::is_ready(p)), state)
        });
        let api = Api::<Pod>::namespaced(s.client.stream.clone(), &s.namespace);
        wait::until(api, labelled(SELECTOR), unready, self.within(SHORT)).await?;
        let counted = wait::check("one pod fewer counted ready", |sets: &[v1::StatefulSet]| {
            let ready = sets
                .iter()
                .filter(|set| set.name_any() == NAME)
                .find_map(|set| set.status.as_ref()?.ready_replicas);
            Verdict::met_if(ready == Some(REPLICAS - 1), || format!("{ready:?} ready"))
        });
        let api = Api::<v1::StatefulSet>::namespaced(s.client.stream.clone(), &s.namespace);
        wait::until(api, watcher::Config::default(), counted, self.within(SHORT)).await?;

        let before = self.set.pods().await?;
        s.observe(&facts::SET_UNREADY, &self.object().await?);
        s.observe(&facts::PODS_UNREADY, &before);
        s.observe(&facts::UNREADY, &before.iter().find(|p| p.name_any() == first));
        self.settle("refuse").await;
        self.set.scale(REPLICAS - 1).await?;
        passes(s, &self.set, HELD, self.within(ROLLOUT)).await?;
        self.settle("held").await;

        s.mark("heal");
        self.run(&first, &["rm", "-f", UNREADY]).await?;
        self.rolled_out().await?;
        self.settle("healed").await;
        s.observe(&facts::SET_HEALED, &self.object().await?);
        s.observe(&facts::PODS_HEALED, &self.set.pods().await?);
        s.prove(&C6).await;
        Ok(())
    }

    /// C10.
    async fn update(&self) -> Result<(), Failure> {
        let s = self.s;
        self.set.scale(REPLICAS).await?;
        self.rolled_out().await?;
        let images =
            Images { old: stateless::image(s, "nginx-old")?, new: stateless::image(s, "nginx-new")? };
        s.observe(&facts::IMAGES, &images);
        s.observe(&facts::SET_BEFORE_UPDATE, &self.object().await?);
        s.observe(&facts::PODS_BEFORE_UPDATE, &self.set.pods().await?);
        s.observe(&facts::PARTITION, &i64::from(PARTITION));

        self.settle("update").await;
        self.set.set_image_from(PARTITION, CONTAINER, &images.new.reference).await?;
        self.rolled_out().await?;
        passes(s, &self.set, HELD, self.within(ROLLOUT)).await?;
        self.rolled_out().await?;
        s.observe(&facts::SET_HELD, &self.object().await?);
        s.observe(&facts::PODS_HELD, &self.set.pods().await?);
        self.settle("partition-opened").await;
        self.set.set_partition(0).await?;
        self.rolled_out().await?;
        self.settle("updated").await;
        s.observe(&facts::SET_UPDATED, &self.object().await?);
        s.observe(&facts::PODS_UPDATED, &self.set.pods().await?);
        s.observe(&facts::REVISIONS, &self.set.revisions().await?);
        s.prove(&C10).await;
        Ok(())
    }

    /// The end of C7: the set is deleted and its claims stay, except one that is deleted by hand.
    async fn delete(&self) -> Result<(), Failure> {
        let s = self.s;
        self.set.delete(PropagationPolicy::Background).await?;
        let none = wait::check("no pod of the set left", |left: &[Pod]| {
            Verdict::met_if(left.is_empty(), || pods::describe_all(left))
        });
        let api = Api::<Pod>::namespaced(s.client.stream.clone(), &s.namespace);
        wait::until(api, labelled(SELECTOR), none, self.within(ROLLOUT)).await?;
        let claims = self.set.claims().await?;
        let claim = claims.last().ok_or("no claim is left to delete")?;
        let (last, uid) = (claim.name_any(), claim.uid().unwrap_or_default());
        s.observe(&facts::CLAIMS_ORPHANED, &claims);
        s.observe(&facts::DELETED, &last);

        self.settle("delete-claim").await;
        let api = Api::<PersistentVolumeClaim>::namespaced(s.client.stream.clone(), &s.namespace);
        manifest::delete_exact(&api, &last, &uid, DeleteParams::default(), self.within(SHORT)).await?;
        let name = last.clone();
        let gone = wait::check(format!("claim {last} gone"), move |left: &[PersistentVolumeClaim]| {
            Verdict::met_if(!left.iter().any(|c| c.name_any() == name), || "it is still there".into())
        });
        wait::until(api, watcher::Config::default(), gone, self.within(SHORT)).await?;
        self.settle("claim-deleted").await;
        s.observe(&facts::CLAIMS_AFTER, &self.set.claims().await?);
        s.prove(&C7).await;
        Ok(())
    }

    async fn rolled_out(&self) -> Result<(), Failure> {
        let s = self.s;
        wait::stateful_rollout(&s.client, &s.namespace, NAME, self.within(ROLLOUT)).await?;
        Ok(())
    }

    /// Waits until the Deployment has exactly this many pods, terminating ones included.
    async fn other_rolled_out(&self, replicas: i32) -> Result<(), Failure> {
        let s = self.s;
        wait::rollout(&s.client, &s.namespace, self.other.name(), self.within(ROLLOUT)).await?;
        let count = usize::try_from(replicas)?;
        let check = wait::check(format!("{count} pods"), move |pods: &[Pod]| {
            Verdict::met_if(pods.len() == count, || format!("{} pods", pods.len()))
        });
        let api = Api::<Pod>::namespaced(s.client.stream.clone(), &s.namespace);
        wait::until(api, labelled(self.other.selector()), check, self.within(ROLLOUT)).await?;
        Ok(())
    }

    /// Sets a mark after the records hold everything that happened before.
    async fn settle(&self, mark: &str) {
        self.s.recorder.settle(self.within(SHORT)).await;
        self.s.mark(mark);
    }

    async fn object(&self) -> Result<DynamicObject, Failure> {
        self.set.object().await?.ok_or_else(|| format!("StatefulSet {NAME} is gone").into())
    }

    /// Returns the volumes of the scenario.
    async fn volumes(&self) -> Result<Vec<DynamicObject>, Failure> {
        let volumes = ApiResource::erase::<PersistentVolume>(&());
        let ours = format!("{}={}", manifest::NAMESPACE_LABEL, self.s.namespace);
        let api = Api::<DynamicObject>::all_with(self.s.client.unary.clone(), &volumes);
        Ok(api.list(&ListParams::default().labels(&ours)).await?.items)
    }

    async fn claim_of(&self, pod: &DynamicObject) -> Result<Option<DynamicObject>, Failure> {
        let end = format!("-{}", pod.name_any());
        Ok(self.set.claims().await?.into_iter().find(|claim| claim.name_any().ends_with(&end)))
    }

    async fn write(&self, pod: &DynamicObject) -> Result<Content, Failure> {
        content::write(self.s, pod, self.within(SHORT)).await
    }

    async fn read(&self, pod: &DynamicObject) -> Result<Content, Failure> {
        content::read(self.s, pod, self.within(SHORT)).await
    }

    async fn run(&self, pod: &str, argv: &[&str]) -> Result<String, Failure> {
        Ok(exec_ok(&self.s.client, &self.s.namespace, pod, argv, self.within(SHORT)).await?)
    }

    fn within(&self, budget: Duration) -> Deadline {
        self.s.deadline().at_most(budget)
    }
}

/// Predicts the scaling: the highest ordinals are deleted, from the last one down.
fn prediction(from: i32, to: i32) -> Prediction {
    let name = |n: i32| format!("{NAME}-{n}");
    Prediction {
        goes: (to..from).rev().map(name).collect(),
        stays: (0..to).map(name).collect(),
        deployment_goes: usize::try_from(from - to).unwrap_or_default(),
    }
}

fn labelled(selector: &str) -> watcher::Config {
    watcher::Config::default().labels(selector)
}

//! Part D: a cluster is upgraded in place, from the control plane to the last worker, while workloads of every kind run
//! on it and probes ask them.

use std::net::IpAddr;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use super::Suite;
use super::stateful_set::volumes;
use crate::cluster::{Access, THREE};
use crate::judge::upgrade::facts::{self, KeptBudget};
use crate::judge::upgrade::{Budgets, LEDGER, STRETCH_END, over_in_stretch};
use crate::judge::upgrade::{D1, D2, D3, D4};
use crate::manifest::{self, Manifest};
use crate::probe::{Recorder, api, dns, http};
use crate::scenario::{Failure, Needs, Scenario};
use crate::upgrade::{self, Ending, EtcdPolicy, UpgradeError, UpgradeEvent, UpgradeOptions};
use crate::wait;

mod forbidden;
mod load;
mod mysql;
mod refused;
mod set;
mod trap;

use load::Load;
use mysql::Mysql;
use set::Set;
use trap::Trap;

/// The suite.
pub static SUITE: Suite = Suite {
    about: "an upgrade in place under load: plan, control plane, drained workers, probes all the way",
    needs: Needs {
        name: "upgrade",
        claims: &[&D1, &D2, &D3, &D4],
        access: Access::Exclusive,
        topology: &THREE,
        cluster_suffix: Some("upgrade"),
        budget: Duration::from_secs(110 * 60),
    },
    after_all: false,
    story: |s| story(s).boxed(),
};

const WEB: &str = include_str!("upgrade/web.yaml");
/// The password in the manifests of both MySQL.
const PASSWORD: &str = "password";

/// Timeout for pods to start on two busy cores; MySQL fills an empty directory.
const START: Duration = Duration::from_secs(240);
/// Timeout for a change of an object, or for the recorder to catch up. A kubelet that was not restarted may learn of a
/// change 80 s late if its API server was away: client-go waits up to 30 s, jittered, between tries.
const CHANGE: Duration = Duration::from_secs(150);
/// Timeout to obtain a release that must be compiled: 14 minutes were measured on two cores.
const OBTAIN: Duration = Duration::from_secs(40 * 60);
/// Timeout for an upgrade of one hop.
const UPGRADE: Duration = Duration::from_secs(40 * 60);
/// Timeout of the drain that is forbidden.
const FORBIDDEN: Duration = Duration::from_secs(15);
/// Timeout of all other drains.
const DRAIN: Duration = Duration::from_secs(5 * 60);

async fn story(s: &Scenario) -> Result<(), Failure> {
    let workers: Vec<String> = s.cluster.workers().map(|n| n.name.clone()).collect();
    let [first, .., home] = workers.as_slice() else {
        return Err("an upgrade that moves pods needs two workers".into());
    };
    s.step("get the new release", OBTAIN, obtain(s)).await?;
    let other_pods = Recorder::pods_beside(&s.client, &s.namespace, &s.log).await?;
    s.step("take a folder on the nodes", CHANGE, volumes::claim(s)).await?;
    s.step("start the Deployment", START, web(s)).await?;
    let set = s.step("start the StatefulSet", START, Set::start(s)).await?;
    let mysql = s.step("start MySQL", START, Mysql::start(s, home)).await?;
    let trap = s.step("start MySQL on a plain hostPath", START, Trap::start(s, home)).await?;
    let load = s.step("start the probes", START, Load::start(s, &mysql)).await?;
    let budgets = &s.budgets;
    s.observe(&facts::BUDGETS, budgets);
    s.observe(&facts::PROBES, &[http::PROBE, api::PROBE, dns::PROBE, LEDGER].map(str::to_owned).to_vec());
    s.observe(&facts::WORKERS, &workers);
    s.observe(&facts::BUDGET, &KeptBudget { name: format!("{}/web", s.namespace), least: 1 });
    refused::skipped_minor(s).await?;

    s.step("forbid a drain", START, forbidden::hold(s, first)).await?;
    let forbidden = upgrade(s, budgets, FORBIDDEN).await;
    settle(s, &other_pods).await;
    s.mark(STRETCH_END);
    s.step("allow it again", CHANGE, forbidden::release(s)).await?;
    // A hop waits only for pods that were ready when it began.
    s.step("wait for those that were evicted", START, back(s)).await?;
    let ended = match forbidden {
        Err(error) if matches!(&error, UpgradeError::Step { step, .. } if step.starts_with("drain")) => {
            upgrade(s, budgets, DRAIN).await?
        }
        Err(error) => return Err(error.into()),
        // A step exceeded its budget earlier, or no drain was forbidden: the judges report what is missing.
        Ok(ended) => ended,
    };
    settle(s, &other_pods).await;
    s.mark(STRETCH_END);
    s.step("read the ledger", CHANGE, load.end(s, &mysql)).await?;
    s.step("look for the rows that stayed behind", START, trap.end(s, home)).await?;
    s.step("look for the set's files", CHANGE, set.end(s)).await?;
    if let Ending::Stopped { after, why } = ended {
        s.note(format!("the upgrade stopped after `{after}`: {}", why.unwrap_or_default()));
    }
    s.step("spread the pods again", START, spread(s)).await?;
    for claim in SUITE.needs.claims {
        s.prove(claim).await;
    }
    other_pods.stop().await;
    let away = async {
        set.delete(s).await?;
        for mysql in [&mysql.manifest, &trap.manifest] {
            manifest::delete(&s.client, mysql, s.deadline().at_most(START)).await?;
        }
        volumes::remove(s).await
    };
    s.step("take away what lies on the nodes", START, away).await
}

/// Waits until the records hold everything that happened until now.
async fn settle(s: &Scenario, other_pods: &Recorder) {
    s.recorder.settle(s.deadline().at_most(CHANGE)).await;
    other_pods.settle(s.deadline().at_most(CHANGE)).await;
}

/// Upgrades to the next minor version in the image profile. Each step is checked against its budget when it ends; if it
/// exceeded the budget, the upgrade ends at the next safe step.
async fn upgrade(s: &Scenario, budgets: &Budgets, drain: Duration) -> Result<Ending, UpgradeError> {
    let watcher = |event: UpgradeEvent<'_>| {
        s.log.append(event.event());
        match event {
            UpgradeEvent::Ended { result: Ok(_), .. } => {
                over_in_stretch(&s.log.records(), budgets).into_iter().next()
            }
            _ => None,
        }
    };
    let options = options(drain);
    let work = upgrade::upgrade(&s.clusters, &s.cluster, &options, &watcher);
    let bound = s.deadline().at_most(UPGRADE);
    match bound.bound(work).await {
        Ok(ended) => Ok(ended?.ending),
        Err(late) => {
            let (what, waited) = ("the upgrade".into(), late.0);
            Err(UpgradeError::Late { what, waited, last: "see its last step".into() })
        }
    }
}

/// Builds or pulls what the upgrade needs before any probe or writer starts, because a compiler uses the whole machine.
async fn obtain(s: &Scenario) -> Result<(), Failure> {
    Ok(upgrade::obtain_releases(&s.clusters, &s.cluster, &options(DRAIN)).await?)
}

fn options(drain: Duration) -> UpgradeOptions {
    UpgradeOptions { to: "next".into(), etcd: EtcdPolicy::Upgrade, stop_after: None, drain }
}

/// Reads a manifest of this story and replaces `HOME` by a node's name and `FOLDER` by the story's folder on the nodes.
fn placed(s: &Scenario, file: &str, text: &str, home: &str) -> Result<Manifest, Failure> {
    s.manifest(file, &text.replace("HOME", home).replace("FOLDER", &volumes::path(s)))
}

async fn web(s: &Scenario) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(START);
    s.apply(&s.manifest("upgrade/web.yaml", WEB)?, deadline).await?;
    wait::rollout(&s.client, &s.namespace, "web", deadline).await?;
    Ok(())
}

async fn back(s: &Scenario) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(START);
    wait::rollout(&s.client, &s.namespace, "web", deadline).await?;
    wait::stateful_rollout(&s.client, &s.namespace, set::NAME, deadline).await?;
    Ok(())
}

/// Restarts the Deployment's pods, because the scheduler may use the uncordoned nodes only for new pods.
async fn spread(s: &Scenario) -> Result<(), Failure> {
    let again = json!({"metadata": {"annotations": {"seatrial.dev/again": s.suffix()}}});
    let patch = Patch::Merge(json!({"spec": {"template": again}}));
    let api = Api::<Deployment>::namespaced(s.client.unary.clone(), &s.namespace);
    api.patch("web", &PatchParams::default(), &patch).await?;
    wait::rollout(&s.client, &s.namespace, "web", s.deadline().at_most(START)).await?;
    s.observe(&facts::SPREAD, &labelled(s, "app=web").await?);
    Ok(())
}

async fn labelled(s: &Scenario, selector: &str) -> Result<Vec<Pod>, Failure> {
    let api = Api::<Pod>::namespaced(s.client.unary.clone(), &s.namespace);
    Ok(api.list(&ListParams::default().labels(selector)).await?.items)
}

/// Returns the only live pod with a label.
async fn only(s: &Scenario, selector: &str) -> Result<Pod, Failure> {
    let found = labelled(s, selector).await?;
    let mut stay = found.into_iter().filter(wait::pods::is_live);
    match (stay.next(), stay.next()) {
        (Some(pod), None) => Ok(pod),
        (None, _) => Err(format!("no pod has the label {selector}").into()),
        _ => Err(format!("more than one pod has the label {selector}").into()),
    }
}

/// Returns the cluster IP of a Service.
async fn address(s: &Scenario, namespace: &str, service: &str) -> Result<IpAddr, Failure> {
    let services = Api::<Service>::namespaced(s.client.unary.clone(), namespace);
    let found = services.get(service).await?.spec.and_then(|spec| spec.cluster_ip?.parse().ok());
    found.ok_or_else(|| format!("Service {service} has no address").into())
}

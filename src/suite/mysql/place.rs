//! Where MySQL's files may be: takes, lists and gives back the directory, and keeps other nodes free of MySQL.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::watcher;
use serde_json::json;

use crate::chain::chain;
use crate::judge::mysql::PATH;
use crate::manifest;
use crate::node::{Node, Role};
use crate::scenario::{Failure, Scenario};
use crate::wait::{self, pods};

/// Levels of a listing: the data directory and the databases in it.
const DEPTH: usize = 2;
/// Timeout for one command on a node, or for a pod that only sleeps.
const SHORT: Duration = Duration::from_secs(60);
/// Label of the pods that keep other nodes free.
const RESERVED: &str = "app=reserved";

/// Returns every node that Kubernetes knows.
pub(in crate::suite) fn nodes(s: &Scenario) -> impl Iterator<Item = &Node> {
    s.cluster.nodes.iter().filter(|node| node.role != Role::LoadBalancer)
}

/// Lists the path on every node, stopped ones included, and records the result. A failure, such as a node that has
/// vanished, is recorded too: it makes the judge inconclusive.
pub(in crate::suite) async fn list(s: &Scenario, listing: &str) -> Result<(), Failure> {
    for node in nodes(s) {
        s.log.append(match node.inspect(PATH, DEPTH).await {
            Ok(found) => found.event(listing),
            Err(error) => node.unlisted(listing, PATH, &chain(&error)),
        });
    }
    Ok(())
}

/// Takes the path on every node, and empties it if the record of an earlier story permits that. A hostPath outlives its
/// pods, its claim and its volume, and may belong to somebody else. The files that were found are recorded.
pub(in crate::suite) async fn claim(s: &Scenario) -> Result<(), Failure> {
    s.claim_folder(PATH, &nodes(s).collect::<Vec<_>>(), s.deadline().at_most(SHORT)).await
}

/// Empties the path on every node and gives it back.
pub(in crate::suite) async fn give_back(s: &Scenario) -> Result<(), Failure> {
    s.give_back_folder(PATH, s.deadline().at_most(SHORT)).await;
    Ok(())
}

/// Forces MySQL pods onto `home`: starts a pod on each other worker that does not allow MySQL next to it. A cordon
/// would affect the whole cluster and outlive a scenario that is killed. These pods are deleted with the namespace, and
/// the template of the MySQL pod does not change. The scheduler honours the anti-affinity of running pods ("Inter-pod
/// affinity and anti-affinity").
pub(in crate::suite) async fn reserve(s: &Scenario, home: &str) -> Result<(), Failure> {
    let image = s.images.workloads.get("mysql").ok_or("the image profile has no `mysql`")?;
    let others: Vec<&Node> = s.cluster.workers().filter(|node| node.name != home).collect();
    for node in &others {
        let pod = serde_json::from_value(json!({
            "metadata": { "generateName": "reserved-", "labels": { "app": "reserved" } },
            "spec": {
                "nodeName": node.name,
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "sleep", "image": image.reference, "command": ["sleep", "infinity"],
                }],
                "affinity": { "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [{
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": { "matchLabels": { "app": "mysql" } },
                    }],
                } },
            },
        }))?;
        pods_of(s).create(&PostParams::default(), &pod).await?;
    }
    let reserved = watcher::Config::default().labels(RESERVED);
    let within = s.deadline().at_most(SHORT);
    wait::pods_until(&s.client, &s.namespace, reserved, pods::pods_ready(others.len()), within).await?;
    Ok(())
}

/// Removes the pods that [`reserve`] created.
pub(in crate::suite) async fn release(s: &Scenario) -> Result<(), Failure> {
    let reserved = kube::api::ListParams::default().labels(RESERVED);
    let found = pods_of(s).list(&reserved).await?.items;
    for pod in &found {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        let within = s.deadline().at_most(SHORT);
        manifest::delete_exact(&pods_of(s), &name, &uid, DeleteParams::default(), within).await?;
    }
    let uids = found.into_iter().filter_map(|pod| pod.metadata.uid);
    let all = watcher::Config::default().labels(RESERVED);
    let within = s.deadline().at_most(SHORT);
    wait::pods_until(&s.client, &s.namespace, all, pods::pods_gone(uids), within).await?;
    Ok(())
}

fn pods_of(s: &Scenario) -> Api<Pod> {
    Api::namespaced(s.client.stream.clone(), &s.namespace)
}

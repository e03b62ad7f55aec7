//! Folders on nodes that hold a workload's data.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::chain::chain;
use crate::judge::trial::is_data;
use crate::manifest::Manifest;
use crate::node::{Node, Role};
use crate::scenario::{Failure, Scenario};

/// Levels of a listing.
const DEPTH: usize = 3;

/// Returns the folders of the nodes that the manifests fill: hostPath and local volumes, not those of the system.
pub fn declared(manifest: &Manifest) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for object in manifest.objects() {
        if object.kind() == "PersistentVolume" {
            let spec = &object.body["spec"];
            found.extend(creatable(&spec["hostPath"]).map(str::to_owned));
            found.extend(spec["local"]["path"].as_str().map(str::to_owned));
        } else {
            // Some custom resources have volumes in their own spec.
            let of_pods = object.pod_spec().and_then(|spec| spec.get("volumes"));
            let volumes = of_pods.or_else(|| object.body.pointer("/spec/volumes")).and_then(Value::as_array);
            let paths = volumes.into_iter().flatten().filter_map(|v| creatable(&v["hostPath"]));
            found.extend(paths.map(str::to_owned));
        }
    }
    found.retain(|path| is_data(path));
    found
}

/// Returns the path of a hostPath that a pod may create as a folder. A file, a socket or a folder that must exist is not made.
/// Source: Kubernetes' documentation, "Volumes: hostPath volume types".
fn creatable(source: &Value) -> Option<&str> {
    let kind = source["type"].as_str().unwrap_or_default();
    source["path"].as_str().filter(|_| matches!(kind, "" | "DirectoryOrCreate"))
}

/// Returns every node that Kubernetes knows.
pub fn nodes(s: &Scenario) -> Vec<&Node> {
    s.cluster.nodes.iter().filter(|node| node.role != Role::LoadBalancer).collect()
}

/// Returns the folders on nodes that these pods use.
pub async fn used(s: &Scenario, pods: &[Pod]) -> Result<BTreeSet<String>, Failure> {
    let claims = Api::<PersistentVolumeClaim>::all(s.client.unary.clone());
    let claims = claims.list(&ListParams::default()).await?.items;
    let volumes =
        Api::<PersistentVolume>::all(s.client.unary.clone()).list(&ListParams::default()).await?.items;
    let of_claim = |namespace: Option<&str>, name: &str| -> Option<String> {
        let is_meant =
            |c: &&PersistentVolumeClaim| c.name_any() == name && c.metadata.namespace.as_deref() == namespace;
        let claim = claims.iter().find(is_meant)?;
        let bound = claim.spec.as_ref()?.volume_name.as_deref()?;
        let spec = volumes.iter().find(|v| v.name_any() == bound)?.spec.as_ref()?;
        let host = spec.host_path.as_ref().map(|h| h.path.clone());
        host.or_else(|| spec.local.as_ref().map(|l| l.path.clone()))
    };
    let path = |pod: &Pod, volume: &Volume| -> Option<String> {
        let host = volume.host_path.as_ref().map(|h| h.path.clone());
        let claim = volume.persistent_volume_claim.as_ref();
        host.or_else(|| of_claim(pod.metadata.namespace.as_deref(), &claim?.claim_name))
    };
    let of_pod = |pod: &Pod| -> Vec<String> {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        volumes.filter_map(|volume| path(pod, volume)).collect()
    };
    Ok(pods.iter().flat_map(of_pod).filter(|path| is_data(path)).collect())
}

/// Lists the folders on every node, stopped ones included, and records the results. A failure is recorded too: it makes
/// the judge inconclusive.
pub async fn list(s: &Scenario, listing: &str, paths: &BTreeSet<String>) {
    for path in paths {
        for node in nodes(s) {
            s.log.append(match node.inspect(path, DEPTH).await {
                Ok(found) => found.event(listing),
                Err(error) => node.unlisted(listing, path, &chain(&error)),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_that_a_pod_may_create_are_taken() {
        for (kind, taken) in
            [("FileOrCreate", 0), ("File", 0), ("Directory", 0), ("DirectoryOrCreate", 1), ("\"\"", 1)]
        {
            let pod = format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{volumes: [{{name: v, hostPath: {{path: /mnt/x, type: {kind}}}}}]}}}}"
            );
            assert_eq!(declared(&Manifest::read("m.yaml", &pod).unwrap()).len(), taken, "{kind}");
            let job = format!(
                "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: a}}, spec: {{jobTemplate: {{spec: {{template: {{spec: {{volumes: [{{name: v, hostPath: {{path: /mnt/x, type: {kind}}}}}]}}}}}}}}}}}}"
            );
            assert_eq!(
                declared(&Manifest::read("m.yaml", &job).unwrap()).len(),
                taken,
                "{kind} of a CronJob"
            );
        }
    }

    #[test]
    fn folders_are_found_in_volumes_and_in_pods_but_not_those_of_the_system() {
        let text = "{apiVersion: v1, kind: PersistentVolume, metadata: {name: a}, spec: {hostPath: {path: /mnt/a}}}\n---\n\
                    {apiVersion: v1, kind: PersistentVolume, metadata: {name: b}, spec: {local: {path: /mnt/b}}}\n---\n\
                    {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: c}, spec: {template: {spec: {volumes: [\
                    {name: v, hostPath: {path: /proc}}, {name: w, hostPath: {path: /mnt/c}}]}}}}\n---\n\
                    {apiVersion: v1, kind: Pod, metadata: {name: d}, spec: {volumes: [{name: v, hostPath: {path: /mnt/d}}]}}\n";
        let found = declared(&Manifest::read("m.yaml", text).unwrap());
        assert_eq!(found.iter().collect::<Vec<_>>(), ["/mnt/a", "/mnt/b", "/mnt/c", "/mnt/d"]);
    }
}

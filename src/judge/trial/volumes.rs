//! The writable volumes of a pod on a node's disk, and what pins a pod to one node.

use serde_json::Value;

use super::placement::{HOSTNAME, selector_admits, terms_admit};
use super::state::State;
use crate::judge::Missing;
use crate::judge::object::Object;

/// Folders of the node itself: a pod that mounts them keeps no data there.
const OF_THE_NODE: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/var/run", "/var/lib/kubelet"];

/// A writable volume of a pod that lies on its node's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume<'r> {
    /// Name in the pod's spec.
    pub name: &'r str,
    /// The names of its claim and of its PersistentVolume, if it has them.
    pub others: Vec<String>,
    /// The path on the node; none for an emptyDir, which lies in the pod's own folder.
    pub path: Option<&'r str>,
    /// What the volume is, in words.
    pub what: String,
}

impl Volume<'_> {
    /// Whether the volume has this name, in the pod, as a claim or as a PersistentVolume.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.others.iter().any(|other| other == name)
    }
}

/// Returns the writable volumes of a pod that lie on its node's disk.
///
/// # Errors
/// [`Missing`] if a claim of the pod, or the volume that it is bound to, was not recorded.
pub fn of<'r>(state: &State<'r>, pod: &Object<'r>) -> Result<Vec<Volume<'r>>, Missing> {
    let mut found = Vec::new();
    for volume in pod.entries("/spec/volumes") {
        let name = volume["name"].as_str().unwrap_or_default();
        if is_written(pod, name) {
            found.extend(on_disk(state, pod, (name, volume))?);
        }
    }
    Ok(found)
}

/// Returns a volume, unless it lies elsewhere or is of the node itself.
fn on_disk<'r>(
    state: &State<'r>,
    pod: &Object<'r>,
    (name, volume): (&'r str, &'r Value),
) -> Result<Option<Volume<'r>>, Missing> {
    if volume.get("emptyDir").is_some() {
        return Ok(Some(Volume { name, others: Vec::new(), path: None, what: "an emptyDir".into() }));
    }
    if let Some(host) = volume.get("hostPath") {
        let special = ["Socket", "CharDevice", "BlockDevice"].iter().any(|kind| host["type"] == **kind);
        let path = host["path"].as_str().filter(|path| !special && is_data(path));
        let what = "its volume is a hostPath, which each node has for itself".into();
        return Ok(path.map(|path| Volume { name, others: Vec::new(), path: Some(path), what }));
    }
    if volume.pointer("/persistentVolumeClaim/readOnly") == Some(&Value::Bool(true)) {
        return Ok(None);
    }
    let Some((claim, disk)) = disk_of(state, pod, volume)? else { return Ok(None) };
    let (path, kind) = match (disk.text("/spec/hostPath/path"), disk.text("/spec/local/path")) {
        (Some(path), _) => (path, "hostPath"),
        (None, Some(path)) => (path, "local volume"),
        (None, None) => return Ok(None),
    };
    let affinity = if disk.at("/spec/nodeAffinity").is_some() { "with" } else { "without" };
    let what = format!("its volume {} is a {kind} {affinity} node affinity", disk.name());
    let others = vec![claim, disk.name().to_owned()];
    Ok(Some(Volume { name, others, path: Some(path), what }))
}

/// Returns the claim of a pod's volume and the PersistentVolume that it is bound to; none if the volume has no claim, or if the claim is
/// not bound.
fn disk_of<'r>(
    state: &State<'r>,
    pod: &Object<'r>,
    volume: &Value,
) -> Result<Option<(String, Object<'r>)>, Missing> {
    let name = volume["name"].as_str().unwrap_or_default();
    let of_pod = volume.get("ephemeral").map(|_| format!("{}-{name}", pod.name()));
    let named = volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str).map(str::to_owned);
    let Some(claim) = named.or(of_pod) else { return Ok(None) };
    let namespace = pod.namespace();
    let found = state.named("PersistentVolumeClaim", namespace, &claim);
    let found =
        found.ok_or_else(|| Missing(format!("claim {claim} of pod {} was not recorded", pod.name())))?;
    let Some(disk) = found.text("/spec/volumeName") else { return Ok(None) };
    let found = state.named("PersistentVolume", "", disk);
    let found = found.ok_or_else(|| Missing(format!("volume {disk} of claim {claim} was not recorded")))?;
    Ok(Some((claim, found)))
}

/// Whether a path on a node may hold data of a workload: it is not a folder of the node itself, and no socket.
pub fn is_data(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let below = |folder: &&str| {
        path.strip_prefix(*folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    !path.is_empty() && !path.ends_with(".sock") && !OF_THE_NODE.iter().any(below)
}

/// Whether a container of the pod mounts a volume and may write to it.
fn is_written(pod: &Object<'_>, volume: &str) -> bool {
    let containers = ["/spec/containers", "/spec/initContainers"].iter().flat_map(|list| pod.entries(list));
    let mut mounts = containers.flat_map(|c| c["volumeMounts"].as_array().map_or(&[][..], Vec::as_slice));
    mounts.any(|mount| mount["name"] == *volume && mount["readOnly"] != true)
}

/// Returns why a pod can be placed on one node only, in words; none if nothing pins the pod.
///
/// # Errors
/// [`Missing`] if the node, a claim of the pod or its volume was not recorded.
pub fn pinned_by(state: &State<'_>, pod: &Object<'_>, node: &str) -> Result<Option<String>, Missing> {
    let nodes: Vec<Object<'_>> = state.of_kind("Node").collect();
    let recorded = nodes.iter().find(|n| n.name() == node);
    let recorded = recorded.ok_or_else(|| Missing(format!("node {node} was not recorded")))?;
    let host = recorded.label(HOSTNAME).unwrap_or(node);
    let is_only = |admits: &dyn Fn(&Object<'_>) -> bool| {
        nodes.iter().all(|other| admits(other) == (other.name() == node))
    };
    if nodes.len() > 1 && is_only(&|node| selector_admits(pod, node)) {
        let named = pod.at("/spec/nodeSelector").is_some_and(|labels| labels.get(HOSTNAME).is_some());
        let verb = if named { "names" } else { "admits" };
        return Ok(Some(format!("its nodeSelector {verb} {host}{}", if named { "" } else { " only" })));
    }
    let of_pod = pod.entries(
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
    );
    let is_pinned = |terms: &[Value]| !terms.is_empty() && is_only(&|node| terms_admit(terms, node));
    if is_pinned(of_pod) {
        return Ok(Some(format!("its node affinity names {host} only")));
    }
    for volume in pod.entries("/spec/volumes") {
        let Some((_, disk)) = disk_of(state, pod, volume)? else { continue };
        if is_pinned(disk.entries("/spec/nodeAffinity/required/nodeSelectorTerms")) {
            return Ok(Some(format!("its volume {} is on {host} only", disk.name())));
        }
    }
    Ok(None)
}

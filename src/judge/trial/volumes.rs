//! The writable volumes of a pod on a node's disk, and what pins a pod to one node.

use serde_json::Value;

use super::facts::Workload;
use super::placement::{HOSTNAME, selector_admits, terms_admit, tolerates};
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
    /// The path on the node; none for a volume that lives only as long as its pod.
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
    if let Some(claim) = ephemeral_claim(pod, volume) {
        // The claim is deleted with its pod, and another pod gets a claim of its own, wherever the volume is. Source:
        // Kubernetes' documentation, "Ephemeral Volumes: Lifecycle and PersistentVolumeClaim".
        let found = state.named("PersistentVolumeClaim", pod.namespace(), &claim);
        let disk = found.and_then(|claim| claim.text("/spec/volumeName")).map(str::to_owned);
        let others = [claim].into_iter().chain(disk).collect();
        return Ok(Some(Volume { name, others, path: None, what: "a generic ephemeral volume".into() }));
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

/// Whether a volume of a pod is an emptyDir in the memory of its node.
pub fn is_in_memory(pod: &Object<'_>, name: &str) -> bool {
    let is_it = |volume: &Value| volume["name"] == name && volume["emptyDir"]["medium"] == "Memory";
    pod.entries("/spec/volumes").iter().any(is_it)
}

/// Whether a pod stays on a node that is away for however long: it tolerates that for ever, as those of a DaemonSet do. Its volumes
/// are deleted with it, and a stop of the node does not delete it. Source: Kubernetes' documentation, "Taints and Tolerations".
pub fn outlasts(workload: &Workload, pod: &Object<'_>) -> bool {
    let tolerates = |toleration: &Value| {
        let is =
            |field: &str, own: &str| toleration[field].as_str().is_none_or(|of| of.is_empty() || of == own);
        is("key", "node.kubernetes.io/unreachable") && is("effect", "NoExecute") && is("value", "")
    };
    // The first toleration that fits a taint decides (`GetMatchingTolerations` of pkg/apis/core/v1/helper).
    let first = pod.entries("/spec/tolerations").iter().find(|toleration| tolerates(toleration));
    workload.kind == "DaemonSet" || first.is_some_and(|toleration| toleration["tolerationSeconds"].is_null())
}

/// Returns the name of the claim that Kubernetes makes for a generic ephemeral volume of a pod; none for other volumes.
fn ephemeral_claim(pod: &Object<'_>, volume: &Value) -> Option<String> {
    let name = volume["name"].as_str().unwrap_or_default();
    volume.get("ephemeral").map(|_| format!("{}-{name}", pod.name()))
}

/// Returns the claim of a pod's volume and the PersistentVolume that it is bound to; none if the volume has no claim, or if the claim is
/// not bound.
fn disk_of<'r>(
    state: &State<'r>,
    pod: &Object<'r>,
    volume: &Value,
) -> Result<Option<(String, Object<'r>)>, Missing> {
    let named = volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str).map(str::to_owned);
    let Some(claim) = named.or_else(|| ephemeral_claim(pod, volume)) else { return Ok(None) };
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

/// What may keep a pod from a node.
struct Term<'t> {
    /// What it says of the node that it admits, in words.
    says: String,
    admits: Box<dyn Fn(&Object<'_>) -> bool + 't>,
}

/// Returns why a pod can be placed on one node only, in words; none if nothing pins the pod.
///
/// # Errors
/// [`Missing`] if the node, a claim of the pod or its volume was not recorded.
pub fn pinned_by(state: &State<'_>, pod: &Object<'_>, node: &str) -> Result<Option<String>, Missing> {
    pinned(state, (pod, pod.entries("/spec/volumes").iter().collect()), node)
}

/// Whether nothing pins another pod of the same template to the node of a pod. The pod's generic ephemeral volumes pin only the
/// pod itself.
///
/// # Errors
/// As [`pinned_by`].
pub fn may_move(state: &State<'_>, pod: &Object<'_>, node: &str) -> Result<bool, Missing> {
    let volumes = pod.entries("/spec/volumes").iter().filter(|volume| volume.get("ephemeral").is_none());
    Ok(pinned(state, (pod, volumes.collect()), node)?.is_none())
}

/// As [`pinned_by`], for a pod with these volumes.
fn pinned<'t>(
    state: &State<'t>,
    (pod, volumes): (&Object<'t>, Vec<&'t Value>),
    node: &str,
) -> Result<Option<String>, Missing> {
    let nodes: Vec<Object<'_>> = state.of_kind("Node").collect();
    let recorded = nodes.iter().find(|n| n.name() == node);
    let recorded = recorded.ok_or_else(|| Missing(format!("node {node} was not recorded")))?;
    let host = recorded.label(HOSTNAME).unwrap_or(node);
    let terms = terms(state, (pod, volumes), host)?;
    let others = || nodes.iter().filter(|other| other.name() != node);
    let alone =
        terms.iter().find(|term| others().all(|other| !(term.admits)(other)) && (term.admits)(recorded));
    if let Some(term) = alone {
        return Ok(Some(term.says.clone()).filter(|_| nodes.len() > 1));
    }
    // Taints alone are the cluster's design: a term must keep the pod from a node that has none, or that the pod tolerates.
    let keeps_off = |other: &Object<'_>| terms.iter().any(|term| !(term.admits)(other));
    let is_pinned = !keeps_off(recorded)
        && others().all(|other| !tolerates(pod, other) || keeps_off(other))
        && others().any(|other| tolerates(pod, other));
    let all = "its nodeSelector, node affinity, volumes and tolerations admit together";
    Ok(is_pinned.then(|| format!("{all} {host} only")))
}

fn terms<'t>(
    state: &State<'t>,
    (pod, volumes): (&Object<'t>, Vec<&'t Value>),
    host: &str,
) -> Result<Vec<Term<'t>>, Missing> {
    let mut terms = Vec::new();
    let selector = pod.at("/spec/nodeSelector");
    if selector.is_some() {
        let named = selector.is_some_and(|labels| labels.get(HOSTNAME).is_some());
        let says = match named {
            true => format!("its nodeSelector names {host}"),
            false => format!("its nodeSelector admits {host} only"),
        };
        let pod = *pod;
        terms.push(Term { says, admits: Box::new(move |node| selector_admits(&pod, node)) });
    }
    let mut of = |own: &'t [Value], says: String| {
        if !own.is_empty() {
            terms.push(Term { says, admits: Box::new(move |node| terms_admit(own, node)) });
        }
    };
    let affinity =
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    of(pod.entries(affinity), format!("its node affinity names {host} only"));
    for volume in volumes {
        let Some((_, disk)) = disk_of(state, pod, volume)? else { continue };
        let own = disk.entries("/spec/nodeAffinity/required/nodeSelectorTerms");
        of(own, format!("its volume {} is on {host} only", disk.name()));
    }
    Ok(terms)
}

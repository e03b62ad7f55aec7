//! The pods that kubeadm and kind create in `kube-system`: a cluster needs them to be ready. Everything else there
//! belongs to somebody else.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// DaemonSets of kubeadm and kind.
const DAEMON_SETS: [&str; 2] = ["kindnet", "kube-proxy"];
/// Static pods of kubeadm.
const COMPONENTS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// Label that distinguishes the ReplicaSets of a Deployment, and their pods.
const HASH: &str = "pod-template-hash";

/// Reports whether kubeadm or kind created the pod: a static pod of the control plane, which its node owns, or a pod
/// of kube-proxy, kindnet or CoreDNS. A label alone proves nothing, because anybody may set it.
pub(crate) fn is_part(pod: &Pod) -> bool {
    pod.owner_references().iter().filter(|owner| owner.controller == Some(true)).any(|owner| {
        match owner.kind.as_str() {
            "Node" => is_static(&pod.name_any(), &owner.name),
            "DaemonSet" => DAEMON_SETS.contains(&owner.name.as_str()),
            // A ReplicaSet's name is its Deployment's name and the hash.
            "ReplicaSet" => {
                pod.labels().get(HASH).is_some_and(|hash| owner.name == format!("coredns-{hash}"))
            }
            _ => false,
        }
    })
}

/// Reports whether a pod of this name in `kube-system` is a static pod of kubeadm on this node. The kubelet names the
/// mirror of a static pod after the pod and the node.
pub(crate) fn is_static(pod: &str, node: &str) -> bool {
    COMPONENTS.iter().any(|component| pod == format!("{component}-{node}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody installed the autoscaler of CoreDNS: its pods do not belong to the system.
    #[test]
    fn a_replica_set_whose_name_only_begins_like_coredns_is_not_part() {
        let owner = serde_json::json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "coredns-autoscaler-5d78c9869d",
            "uid": "u", "controller": true}]);
        let meta = serde_json::json!({"name": "a", "namespace": "kube-system", "ownerReferences": owner});
        let pod: Pod = serde_json::from_value(serde_json::json!({"metadata": meta})).unwrap();
        assert!(!is_part(&pod));
    }
}

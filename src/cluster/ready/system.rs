//! The pods that kubeadm and kind make in `kube-system`: what a cluster needs to be ready. Everything else there is
//! somebody's who put it there.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// DaemonSets of kubeadm and kind.
const DAEMON_SETS: [&str; 2] = ["kindnet", "kube-proxy"];
/// Static pods of kubeadm.
const COMPONENTS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// The label by which a Deployment tells its ReplicaSets and their pods apart.
const HASH: &str = "pod-template-hash";

/// Whether kubeadm or kind made the pod: a static pod of the control plane, which its node owns, or one of
/// kube-proxy, kindnet or CoreDNS. A label alone proves nothing: anybody may set it.
pub(crate) fn is_part(pod: &Pod) -> bool {
    pod.owner_references().iter().filter(|owner| owner.controller == Some(true)).any(|owner| {
        match owner.kind.as_str() {
            "Node" => is_static(&pod.name_any(), &owner.name),
            "DaemonSet" => DAEMON_SETS.contains(&owner.name.as_str()),
            // A ReplicaSet is called by its Deployment and the hash.
            "ReplicaSet" => {
                pod.labels().get(HASH).is_some_and(|hash| owner.name == format!("coredns-{hash}"))
            }
            _ => false,
        }
    })
}

/// Whether a pod of this name, in `kube-system`, is a static pod of kubeadm on this node. The kubelet calls the mirror
/// of a static pod by the pod and the node.
pub(crate) fn is_static(pod: &str, node: &str) -> bool {
    COMPONENTS.iter().any(|component| pod == format!("{component}-{node}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The autoscaler of CoreDNS, which somebody installed: its pods make the cluster unready.
    #[test]
    fn a_replica_set_whose_name_begins_like_corednss_is_somebodys() {
        let owner = serde_json::json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "coredns-autoscaler-5d78c9869d",
            "uid": "u", "controller": true}]);
        let meta = serde_json::json!({"name": "a", "namespace": "kube-system", "ownerReferences": owner});
        let pod: Pod = serde_json::from_value(serde_json::json!({"metadata": meta})).unwrap();
        assert!(!is_part(&pod));
    }
}

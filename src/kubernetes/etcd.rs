//! Whether an upgrade of the cluster also upgrades etcd.

use serde::{Deserialize, Serialize};

/// Whether the upgrade also upgrades etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EtcdPolicy {
    /// kubeadm upgrades etcd to the version that it requires; this is kubeadm's default. With a single control plane,
    /// 98 s without an API were measured: the old API server has no etcd and ends slowly, and the kubelet starts the
    /// new API server only afterwards.
    #[default]
    Upgrade,
    /// etcd keeps its version (`etcdUpgrade: false`): 40 s without an API were measured. A later upgrade must upgrade
    /// etcd, one minor version at a time.
    Keep,
}

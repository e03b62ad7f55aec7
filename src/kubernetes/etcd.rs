//! What becomes of etcd in an upgrade.

use serde::{Deserialize, Serialize};

/// What the upgrade does with etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EtcdPolicy {
    /// As kubeadm does by itself: etcd goes to the version that the new kubeadm names. With a single
    /// control plane the API was away for 98 s in a trial: the kubelet waits for an API server without
    /// etcd before it starts the new one.
    #[default]
    Upgrade,
    /// etcd stays as it is (`etcdUpgrade: false`): the API was away for 40 s. A later upgrade has to
    /// bring it along, one minor version at a time.
    Keep,
}

//! Step `kubelet`: installs the new kubelet.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Manner, Step, Upgrading, needed};
use crate::deadline::Deadline;
use crate::kubernetes::etcd::EtcdPolicy;
use crate::kubernetes::skew::State;
use crate::node::{Node, Role};
use crate::upgrade::error::UpgradeError;
use crate::upgrade::facts::{ClusterFacts, ReleaseFacts};
use crate::upgrade::{kubeadm, look, programs_dir};

/// Replaces kubeadm, kubelet and kubectl, restarts the kubelet, and waits until the node is Ready at the new version.
#[derive(Clone, Copy, Debug)]
pub struct Kubelet;

/// The step.
pub static KUBELET: Kubelet = Kubelet;

/// Replaces each program atomically: creates a link under another name, then renames it. The files that the node's
/// entrypoint reads at its next start are updated first, so a node with a new kubelet always has them.
const EXCHANGE: &str = r#"set -e
echo "v$2" > /kind/version.new
mv /kind/version.new /kind/version
if [ -f /kind/kubeadm.conf ]; then
  sed -i "s/^kubernetesVersion: .*/kubernetesVersion: v$2/" /kind/kubeadm.conf
fi
for program in kubeadm kubectl kubelet; do
  ln -sfn "$1/$program" "/usr/bin/.$program.new"
  mv -T "/usr/bin/.$program.new" "/usr/bin/$program"
done
systemctl daemon-reload
systemctl restart kubelet"#;

impl Step for Kubelet {
    fn manner(&self) -> Manner {
        Manner {
            name: "kubelet",
            about: "replaces kubelet, kubectl and kubeadm, restarts the kubelet, waits until the node is Ready",
            is_safe: false,
            backs_out: false,
            limit: Duration::from_secs(5 * 60),
        }
    }

    fn expected(&self, _: &ClusterFacts, _: EtcdPolicy) -> Duration {
        // Measured: 0.9 to 5.7 s on a worker, 28 s on a control plane, whose scheduler has to wait until the previous
        // lease expires.
        Duration::from_secs(12)
    }

    fn after(&self, before: &State, node: Option<&str>, release: &ReleaseFacts, _: EtcdPolicy) -> State {
        let mut state = before.clone();
        if let Some(node) = node {
            state.kubelets.insert(node.into(), release.version);
            if let Some(kubectl) = state.kubectls.get_mut(node) {
                *kubectl = release.version;
            }
        }
        state
    }

    fn run<'a>(
        &'a self,
        up: &'a Upgrading<'a>,
        node: Option<&'a Node>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, UpgradeError>> {
        async move {
            let node = needed(self, node)?;
            kubeadm::migrate(up, node, deadline).await?;
            let (dir, version) = (programs_dir(up.to), up.to.to_string());
            let exchange = ["bash", "-c", EXCHANGE, "exchange", &dir, &version];
            let restarted = up.engine.now().await?;
            up.engine.exec_ok(&node.name, &exchange, None, deadline).await?;
            look::at_version(up.client, &node.name, up.to, restarted, deadline).await?;
            if node.role == Role::ControlPlane {
                // A kubelet of another version restarts the static pods, because their hash changes.
                look::settled(up.client, deadline).await?;
                look::control_plane_ready(up.client, &node.name, deadline).await?;
                look::settled(up.client, deadline).await?;
                look::led(up, deadline).await?;
            }
            Ok(json!({ "kubelet": version }))
        }
        .boxed()
    }
}

//! A topology from a file for kind: what seatrial cannot honour in the file is refused with its line. Everything else goes to
//! kind as it is written.
//!
//! Source of the fields: kind's `pkg/apis/config/v1alpha4/types.go`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use super::{Topology, TopologyError};

/// The name of such a topology, which is a part of the cluster's name. The file's content is in the hash.
const NAME: &str = "config";
/// The format that kind reads.
const API_VERSION: &str = "kind.x-k8s.io/v1alpha4";
/// The settings in which a topology's times are written. A patch of RFC 6902 could change them unseen.
const TIMES: [&str; 6] = [
    "node-monitor-",
    "nodeStatusUpdateFrequency",
    "nodeLeaseDurationSeconds",
    "unreachable-toleration-seconds",
    "leader-elect",
    "election-timeout",
];
/// The settings of kind that are lists of patches.
const PATCHES: &str = "kubeadmConfigPatches";

impl Topology {
    /// Reads a file for kind (`kind.x-k8s.io/v1alpha4`). Its whole text decides the cluster's name, so a cluster of another text
    /// is another cluster.
    ///
    /// # Errors
    /// [`TopologyError`] with file and line: the file cannot be read, or it asks for something that seatrial decides itself or
    /// cannot use.
    pub fn of_kind_config(path: &Path) -> Result<Self, TopologyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TopologyError::Unread { path: path.into(), source })?;
        Self::of_kind_text(path, &text)
    }

    fn of_kind_text(path: &Path, text: &str) -> Result<Self, TopologyError> {
        let wrong = |(line, why): (u64, String)| TopologyError::KindConfig { path: path.into(), line, why };
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        let config: Config = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line());
            let why = error.to_string().lines().next().unwrap_or_default().to_owned();
            wrong((line, crate::sanitise::line(&why)))
        })?;
        config.check().map_err(wrong)?;
        let line_of =
            |word: &str| text.lines().position(|line| line.contains(word)).map_or(1, |at| at as u64 + 1);
        Topology::read(NAME, text).map_err(|error| match error {
            TopologyError::NoControlPlane { .. } => {
                wrong((line_of("nodes"), "no node has the role control-plane".into()))
            }
            TopologyError::Yaml { reason, .. } => {
                wrong((line_of(PATCHES), crate::sanitise::line(reason.lines().next().unwrap_or_default())))
            }
            other => other,
        })
    }
}

/// What a file for kind may say. A value that is read nowhere goes to kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are named so that others are refused")]
struct Config {
    kind: Spanned<String>,
    api_version: Spanned<String>,
    name: Option<Spanned<String>>,
    #[serde(default)]
    nodes: Vec<ConfigNode>,
    networking: Option<Networking>,
    feature_gates: Option<IgnoredAny>,
    runtime_config: Option<IgnoredAny>,
    kubeadm_config_patches: Option<IgnoredAny>,
    #[serde(default, rename = "kubeadmConfigPatchesJSON6902")]
    kubeadm_json: Vec<JsonPatch>,
    containerd_config_patches: Option<IgnoredAny>,
    #[serde(rename = "containerdConfigPatchesJSON6902")]
    containerd_json: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are named so that others are refused")]
struct ConfigNode {
    role: Option<Spanned<String>>,
    image: Option<Spanned<String>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    extra_mounts: Vec<Mount>,
    extra_port_mappings: Option<IgnoredAny>,
    kubeadm_config_patches: Option<IgnoredAny>,
    #[serde(default, rename = "kubeadmConfigPatchesJSON6902")]
    kubeadm_json: Vec<JsonPatch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are named so that others are refused")]
struct Mount {
    container_path: Option<IgnoredAny>,
    host_path: Option<Spanned<String>>,
    read_only: Option<IgnoredAny>,
    #[serde(rename = "selinuxRelabel")]
    relabel: Option<IgnoredAny>,
    propagation: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are named so that others are refused")]
struct JsonPatch {
    group: Option<IgnoredAny>,
    version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    patch: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are named so that others are refused")]
struct Networking {
    ip_family: Option<Spanned<String>>,
    api_server_port: Option<Spanned<i64>>,
    api_server_address: Option<Spanned<String>>,
    pod_subnet: Option<IgnoredAny>,
    service_subnet: Option<IgnoredAny>,
    #[serde(rename = "disableDefaultCNI")]
    disable_default_cni: Option<Spanned<bool>>,
    kube_proxy_mode: Option<Spanned<String>>,
    dns_search: Option<IgnoredAny>,
}

/// A line, and what is wrong there.
type Flaw = (u64, String);

impl Config {
    fn check(&self) -> Result<(), Flaw> {
        if self.kind.value != "Cluster" {
            let why = format!(
                "kind {} is not Cluster: this is no configuration of a kind cluster",
                self.kind.value
            );
            return Err((at(&self.kind), why));
        }
        if self.api_version.value != API_VERSION {
            let why = format!("apiVersion {} is not {API_VERSION}", self.api_version.value);
            return Err((at(&self.api_version), why));
        }
        if let Some(name) = &self.name {
            let why =
                format!("the cluster cannot be named {}: seatrial names its clusters itself", name.value);
            return Err((at(name), why));
        }
        self.nodes.iter().try_for_each(ConfigNode::check)?;
        self.kubeadm_json.iter().try_for_each(JsonPatch::check)?;
        self.networking.as_ref().map_or(Ok(()), Networking::check)
    }
}

impl ConfigNode {
    fn check(&self) -> Result<(), Flaw> {
        let role =
            self.role.as_ref().filter(|role| !["control-plane", "worker"].contains(&role.value.as_str()));
        if let Some(role) = role {
            let why = format!("role {} is neither control-plane nor worker", role.value);
            return Err((at(role), why));
        }
        if let Some(image) = &self.image {
            let why = format!(
                "node image {} cannot be used: the profile and the Kubernetes version (--k8s) choose the image of every node",
                image.value
            );
            return Err((at(image), why));
        }
        // kind takes a relative path from the folder in which it runs, which is not that of the file.
        let relative = self.extra_mounts.iter().filter_map(|mount| mount.host_path.as_ref());
        if let Some(path) = relative.into_iter().find(|path| !path.value.starts_with('/')) {
            return Err((at(path), format!("hostPath {} is not an absolute path", path.value)));
        }
        self.kubeadm_json.iter().try_for_each(JsonPatch::check)
    }
}

impl JsonPatch {
    fn check(&self) -> Result<(), Flaw> {
        match TIMES.iter().find(|setting| self.patch.value.contains(**setting)) {
            None => Ok(()),
            Some(setting) => {
                let why = format!("{setting} in a patch of RFC 6902 is not read: write it in {PATCHES}");
                Err((at(&self.patch), why))
            }
        }
    }
}

impl Networking {
    fn check(&self) -> Result<(), Flaw> {
        if let Some(family) = self.ip_family.as_ref().filter(|family| family.value == "ipv6") {
            return Err((
                at(family),
                "ipFamily ipv6 cannot be used: seatrial reaches its nodes over IPv4".into(),
            ));
        }
        if let Some(address) = self.api_server_address.as_ref().filter(|own| own.value != "127.0.0.1") {
            let why = format!(
                "apiServerAddress {} is not 127.0.0.1, where seatrial asks the API server",
                address.value
            );
            return Err((at(address), why));
        }
        // Two clusters of one file may exist at a time: one is kept after a failure.
        if let Some(port) = self.api_server_port.as_ref().filter(|port| port.value > 0) {
            let why = format!("apiServerPort {} cannot be fixed: the engine chooses a free port", port.value);
            return Err((at(port), why));
        }
        if let Some(off) = self.disable_default_cni.as_ref().filter(|off| off.value) {
            let why = "disableDefaultCNI cannot be used: no node becomes ready without kind's network".into();
            return Err((at(off), why));
        }
        if let Some(mode) = self.kube_proxy_mode.as_ref().filter(|mode| mode.value == "none") {
            let why = "kubeProxyMode none cannot be used: the probes ask Services through kube-proxy".into();
            return Err((at(mode), why));
        }
        Ok(())
    }
}

fn at<T>(spanned: &Spanned<T>) -> u64 {
    spanned.referenced.line()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::{FailureKind, Hint as _};

    const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

    fn read(text: &str) -> Result<Topology, TopologyError> {
        Topology::of_kind_text(Path::new("kind.yaml"), text)
    }

    #[test]
    fn a_file_for_kind_is_a_topology_with_its_own_text() {
        let text = format!(
            "{HEAD}featureGates: {{SidecarContainers: true}}\nruntimeConfig: {{api/alpha: \"true\"}}\n\
             networking: {{podSubnet: 10.1.0.0/16, kubeProxyMode: nftables, apiServerAddress: 127.0.0.1}}\n\
             containerdConfigPatches: [\"version = 2\"]\n\
             nodes:\n- role: control-plane\n  extraPortMappings: [{{containerPort: 30080, hostPort: 8080}}]\n\
             - role: worker\n  labels: {{tier: front}}\n  extraMounts: [{{hostPath: /srv, containerPath: /srv, readOnly: true}}]\n\
             - role: worker\n- role: worker\n\
             kubeadmConfigPatches:\n- |\n  kind: ClusterConfiguration\n  controllerManager:\n    extraArgs: {{node-monitor-grace-period: 15s}}\n"
        );
        let topology = read(&text).unwrap();
        assert_eq!((topology.control_planes(), topology.workers()), (1, 3));
        assert_eq!((topology.timing().grace.as_secs(), topology.yaml()), (15, text.as_str()));
        assert_eq!(topology.name(), "config");
        assert_eq!(read(HEAD).unwrap().control_planes(), 1);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_with_its_line() {
        for (rest, line, words) in [
            ("name: mine\n", 3, "named mine"),
            ("nodes:\n- role: control-plane\n- role: worker\n  image: kindest/node:v1.30.0\n", 6, "--k8s"),
            ("nodes:\n- role: control-plane\n- role: etcd\n", 5, "role etcd"),
            ("nodes:\n- role: worker\n", 3, "no node has the role control-plane"),
            (
                "nodes:\n- role: control-plane\n  extraMounts:\n  - hostPath: ./data\n    containerPath: /d\n",
                6,
                "absolute",
            ),
            ("nodes:\n- role: control-plane\n  taints: []\n", 5, "taints"),
            ("networking:\n  ipFamily: ipv6\n", 4, "IPv4"),
            ("networking:\n  disableDefaultCNI: true\n", 4, "disableDefaultCNI"),
            ("networking:\n  kubeProxyMode: none\n", 4, "kube-proxy"),
            ("networking:\n  apiServerAddress: 0.0.0.0\n", 4, "127.0.0.1"),
            ("networking:\n  apiServerPort: 6443\n", 4, "free port"),
            ("kubeadmConfigPatches:\n- 'kind: [ClusterConfiguration'\n", 3, ""),
            (
                "kubeadmConfigPatchesJSON6902:\n- kind: ClusterConfiguration\n  patch: '[{path: /controllerManager/extraArgs/node-monitor-period}]'\n",
                5,
                "write it in kubeadmConfigPatches",
            ),
        ] {
            let error = read(&format!("{HEAD}{rest}")).unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("kind.yaml:{line}: ")) && text.contains(words),
                "{rest}: {text}"
            );
            assert_eq!(error.failure(), Some(FailureKind::Input));
        }
        for (text, words) in [
            ("kind: Pod\napiVersion: kind.x-k8s.io/v1alpha4\n", "kind.yaml:1: kind Pod"),
            (
                "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha3\n",
                "kind.yaml:2: apiVersion kind.x-k8s.io/v1alpha3",
            ),
            ("kind: Cluster\n", "api"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let gone = Topology::of_kind_config(Path::new("gone/kind.yaml")).unwrap_err();
        assert_eq!(gone.to_string(), "failed to read gone/kind.yaml");
    }
}

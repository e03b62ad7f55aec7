//! Topologies: how many nodes of which role, and how soon a lost node is noticed.

mod kind_config;
pub(crate) mod spec;
pub mod timing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::config;
use crate::hint::{FailureKind, Hint};
use timing::{Election, FailureTiming};

/// A valid kind configuration with a name. All properties of a topology are read from its YAML, so what is shown is
/// what runs. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    name: String,
    yaml: String,
    shape: Shape,
}

/// The properties that a topology's YAML defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    control_planes: usize,
    workers: usize,
    timing: FailureTiming,
}

/// The name and the YAML of a topology, for a `static`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopologySource {
    /// Its name. It is part of the cluster's name: only lower case letters, digits and `-`.
    pub name: &'static str,
    /// kind's configuration, `kind.x-k8s.io/v1alpha4`.
    pub yaml: &'static str,
}

/// One node that is both control plane and worker.
pub static ONE: TopologySource =
    TopologySource { name: "one", yaml: include_str!("../../../kind-config/one.yaml") };
/// One control plane and two workers; a lost node is noticed within seconds.
pub static THREE: TopologySource =
    TopologySource { name: "three", yaml: include_str!("../../../kind-config/three.yaml") };
/// One control plane and two workers with Kubernetes' default failure timing: a lost node is noticed after minutes.
pub static THREE_DEFAULTS: TopologySource =
    TopologySource { name: "three-defaults", yaml: include_str!("../../../kind-config/three-defaults.yaml") };

/// Three control planes behind a load balancer, and two workers: one control plane may be lost.
pub static HA: TopologySource =
    TopologySource { name: "ha", yaml: include_str!("../../../kind-config/ha.yaml") };

/// The topologies that are built into seatrial.
pub static TOPOLOGIES: &[&TopologySource] = &[&ONE, &THREE, &THREE_DEFAULTS, &HA];

/// Why a topology cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Its YAML cannot be read.
    #[error("failed to read topology {name}: {reason}")]
    Yaml {
        /// The topology.
        name: String,
        /// The problem and its place.
        reason: String,
    },
    /// It has no control plane.
    #[error("topology {name} has no node with the role control-plane")]
    NoControlPlane {
        /// The topology.
        name: String,
    },
    /// A file for kind cannot be read.
    #[error("failed to read {}", .path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file for kind asks for something that seatrial cannot honour.
    #[error("{}:{line}: {why}", .path.display())]
    KindConfig {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
}

impl TopologySource {
    /// Reads the YAML.
    ///
    /// # Errors
    /// [`TopologyError`] with the place in the YAML.
    pub fn read(&self) -> Result<Topology, TopologyError> {
        Topology::read(self.name, self.yaml)
    }
}

impl Topology {
    /// Reads kind's configuration. `name` becomes part of the cluster's name: only lower case letters, digits and
    /// `-`.
    ///
    /// # Errors
    /// [`TopologyError`] with the place in the YAML.
    pub fn read(name: impl Into<String>, yaml: impl Into<String>) -> Result<Self, TopologyError> {
        let (name, yaml) = (name.into(), yaml.into());
        let shape = Shape::read(&name, &yaml)?;
        Ok(Self(Arc::new(Parts { name, yaml, shape })))
    }

    /// Returns its name, which is part of the cluster's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns kind's configuration, `kind.x-k8s.io/v1alpha4`.
    pub fn yaml(&self) -> &str {
        &self.0.yaml
    }

    /// Returns the number of control planes, at least 1.
    pub fn control_planes(&self) -> usize {
        self.0.shape.control_planes
    }

    /// Returns the number of workers.
    pub fn workers(&self) -> usize {
        self.0.shape.workers
    }

    /// Returns the failure timing: Kubernetes' defaults, changed by the YAML's patches.
    pub fn timing(&self) -> FailureTiming {
        self.0.shape.timing
    }
}

impl Shape {
    fn read(name: &str, yaml: &str) -> Result<Self, TopologyError> {
        let config: KindConfig = read(name, yaml)?;
        let roles: Vec<&str> = match config.nodes.as_deref() {
            // kind creates one control plane if no node is listed.
            None | Some([]) => vec!["control-plane"],
            Some(nodes) => nodes.iter().map(|n| n.role.as_deref().unwrap_or("control-plane")).collect(),
        };
        let count = |role| roles.iter().filter(|r| **r == role).count();
        if count("control-plane") == 0 {
            return Err(TopologyError::NoControlPlane { name: name.into() });
        }
        let mut timing = FailureTiming::default();
        // kind takes the KubeletConfiguration from the first node only (kind issue 3849). That node's own patches
        // come after the cluster's.
        let first = config.nodes.iter().flatten().next();
        let own = first.map(|n| n.kubeadm_config_patches.as_slice()).unwrap_or_default();
        for patch in config.kubeadm_config_patches.iter().chain(own) {
            let patch: Patch = read(name, patch)?;
            apply(&mut timing, &patch)
                .map_err(|error| TopologyError::Yaml { name: name.into(), reason: error.to_string() })?;
        }
        let (control_planes, workers) = (count("control-plane"), count("worker"));
        Ok(Self { control_planes, workers, timing })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KindConfig {
    nodes: Option<Vec<KindNode>>,
    #[serde(default)]
    kubeadm_config_patches: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KindNode {
    role: Option<String>,
    #[serde(default)]
    kubeadm_config_patches: Vec<String>,
}

/// The parts of the configuration of kubeadm and the kubelet that decide the timing.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Patch {
    kind: String,
    api_server: Component,
    controller_manager: Component,
    etcd: Etcd,
    node_status_update_frequency: Option<String>,
    node_lease_duration_seconds: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Etcd {
    local: Component,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Component {
    extra_args: ExtraArgs,
}

/// A map up to kubeadm's v1beta3; a list of names and values from v1beta4 on.
#[derive(Deserialize)]
#[serde(untagged)]
enum ExtraArgs {
    Map(BTreeMap<String, String>),
    List(Vec<ExtraArg>),
}

#[derive(Deserialize)]
struct ExtraArg {
    name: String,
    value: String,
}

impl Default for ExtraArgs {
    fn default() -> Self {
        Self::Map(BTreeMap::new())
    }
}

impl ExtraArgs {
    fn get(&self, name: &str) -> Option<&str> {
        match self {
            Self::Map(map) => map.get(name).map(String::as_str),
            Self::List(list) => list.iter().find(|a| a.name == name).map(|a| a.value.as_str()),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(name: &str, yaml: &str) -> Result<T, TopologyError> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(yaml, options)
        .map_err(|error| TopologyError::Yaml { name: name.into(), reason: error.to_string() })
}

/// A field of a patch is not a duration.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {text} is not a duration: {error}")]
struct NoDuration {
    field: String,
    text: String,
    error: jiff::Error,
}

fn apply(timing: &mut FailureTiming, patch: &Patch) -> Result<(), NoDuration> {
    let time = |field: &str, text: &str| {
        config::duration(text).map_err(|error| NoDuration { field: field.into(), text: text.into(), error })
    };
    match patch.kind.as_str() {
        "ClusterConfiguration" => {
            let manager = &patch.controller_manager.extra_args;
            for (name, field) in [
                ("node-monitor-period", &mut timing.monitor_period),
                ("node-monitor-grace-period", &mut timing.grace),
            ] {
                if let Some(text) = manager.get(name) {
                    *field = time(name, text)?;
                }
            }
            if manager.get("leader-elect") == Some("false") {
                timing.election = None;
            } else {
                let mut election = timing.election.unwrap_or_default();
                let Election { lease, renew, retry } = &mut election;
                for (name, field) in [
                    ("leader-elect-lease-duration", lease),
                    ("leader-elect-renew-deadline", renew),
                    ("leader-elect-retry-period", retry),
                ] {
                    if let Some(text) = manager.get(name) {
                        *field = time(name, text)?;
                    }
                }
                timing.election = Some(election);
            }
            if let Some(text) = patch.etcd.local.extra_args.get("election-timeout") {
                timing.etcd_election = time("election-timeout", &format!("{text}ms"))?;
            }
            let name = "default-unreachable-toleration-seconds";
            if let Some(text) = patch.api_server.extra_args.get(name) {
                timing.toleration = time(name, &format!("{text}s"))?;
            }
        }
        "KubeletConfiguration" => {
            if let Some(text) = &patch.node_status_update_frequency {
                timing.status_update = time("nodeStatusUpdateFrequency", text)?;
            }
            if let Some(seconds) = patch.node_lease_duration_seconds {
                timing.lease = Duration::from_secs(seconds);
            }
        }
        _ => {}
    }
    Ok(())
}

impl Hint for TopologyError {
    fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::Yaml { .. } | Self::NoControlPlane { .. } => Some(FailureKind::Usage),
            Self::Unread { .. } | Self::KindConfig { .. } => Some(FailureKind::Input),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Yaml { .. } | Self::NoControlPlane { .. } => Some(self.to_string()),
            Self::Unread { .. } => None,
            Self::KindConfig { .. } => Some(
                "remove the line, or change it: everything else in the file goes to kind as it is".into(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(source: TopologySource) -> FailureTiming {
        source.read().unwrap().timing()
    }

    #[test]
    fn every_listed_topology_can_be_read() {
        for source in TOPOLOGIES {
            let topology = source.read().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(topology.name(), source.name);
        }
        let [one, three, ha] = [ONE, THREE, HA].map(|source| source.read().unwrap());
        assert_eq!((three.control_planes(), three.workers()), (1, 2));
        assert_eq!((one.control_planes(), one.workers()), (1, 0));
        assert_eq!((ha.control_planes(), ha.workers()), (3, 2));
    }

    #[test]
    fn timing_comes_from_the_patches_and_else_from_kubernetes() {
        let FailureTiming { status_update, lease, monitor_period, grace, toleration, .. } = timing(THREE);
        let seconds = [status_update, lease, monitor_period, grace, toleration].map(|t| t.as_secs());
        assert_eq!(seconds, [2, 8, 1, 15, 5]);
        assert_eq!(timing(THREE_DEFAULTS), FailureTiming::default());
        insta::assert_snapshot!(timing(THREE).node_loss().to_string(), @r"
         15.0 s  silence until the node is Unknown: node-monitor-grace-period
          1.0 s  the node controller's next look: node-monitor-period
          5.0 s  pods tolerate the unreachable taint
         30.0 s  the replacement is scheduled, starts and is Ready
         51.0 s  in all
        ");
    }

    /// A kubelet with a configured update frequency sends its status that often, changed or not, unless the report
    /// frequency is also set.
    #[test]
    fn an_unchanged_status_is_not_sent_at_every_update() {
        for topology in TOPOLOGIES {
            let sets = |field: &str| topology.yaml.contains(field);
            let both = [sets("nodeStatusUpdateFrequency"), sets("nodeStatusReportFrequency")];
            assert_eq!(both[0], both[1], "{}", topology.name);
        }
    }

    /// A controller-manager that survives an API outage longer than the grace period would set every node to Unknown
    /// afterwards.
    #[test]
    fn a_controller_manager_without_the_api_ends_before_the_grace_period() {
        let seconds = |e: Election| [e.lease, e.renew, e.retry].map(|t| t.as_secs());
        for topology in TOPOLOGIES {
            let timing = timing(**topology);
            let election = timing.election.expect(topology.name);
            assert!(election.renew + election.retry < timing.grace, "{}", topology.name);
        }
        assert_eq!(timing(THREE).election.map(seconds), Some([15, 10, 2]));
        assert_eq!(timing(HA).election.map(seconds), Some([10, 8, 1]));
        assert_eq!(timing(THREE_DEFAULTS).election.map(seconds), Some([15, 10, 2]));
        assert_eq!(timing(HA).etcd_election, Duration::from_secs(2));
        assert_eq!(timing(THREE).etcd_election, Duration::from_millis(200));
        assert_eq!(timing(HA).node_loss().total, timing(THREE).node_loss().total + Duration::from_secs(5));
        assert_eq!(timing(HA).leader_loss().total, Duration::from_millis(49_400));
    }

    #[test]
    fn a_list_of_arguments_is_read_like_a_map() {
        let list = Topology::read(
            "list",
            r#"
kind: Cluster
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  controllerManager:
    extraArgs: [{name: node-monitor-grace-period, value: 1m30s}]
"#,
        )
        .unwrap();
        assert_eq!((list.control_planes(), list.workers()), (1, 0));
        assert_eq!(list.timing().grace, Duration::from_secs(90));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_topology() {
        let yaml = "kubeadmConfigPatches: ['{kind: KubeletConfiguration, nodeStatusUpdateFrequency: often}']";
        let error = Topology::read("wrong", yaml).unwrap_err().to_string();
        assert!(error.contains("topology wrong") && error.contains("often"), "{error}");
        let workers = Topology::read("w", "nodes: [{role: worker}]");
        assert!(matches!(workers, Err(TopologyError::NoControlPlane { .. })));
    }
}

//! Shapes of clusters: how many nodes of which role, and how soon a lost one is noticed.

pub(crate) mod spec;
pub mod timing;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::config;
use timing::{Election, FailureTiming};

/// A kind configuration with a name. Everything that is known of a topology is read from its
/// YAML, so that what is shown is what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Its name: part of the cluster's name, so lower case letters, digits and `-` only.
    pub name: &'static str,
    /// kind's configuration, `kind.x-k8s.io/v1alpha4`.
    pub yaml: &'static str,
}

/// One node that is control plane and worker at once.
pub static ONE: Topology = Topology { name: "one", yaml: include_str!("../../../kind-config/one.yaml") };
/// A control plane and two workers; a lost node is noticed after seconds.
pub static THREE: Topology =
    Topology { name: "three", yaml: include_str!("../../../kind-config/three.yaml") };
/// A control plane and two workers with Kubernetes' own failure timing: minutes.
pub static THREE_DEFAULTS: Topology =
    Topology { name: "three-defaults", yaml: include_str!("../../../kind-config/three-defaults.yaml") };

/// Three control planes behind a load balancer, and two workers: one control plane may be lost.
pub static HA: Topology = Topology { name: "ha", yaml: include_str!("../../../kind-config/ha.yaml") };

/// Every topology that comes with seatrial.
pub static TOPOLOGIES: &[&Topology] = &[&ONE, &THREE, &THREE_DEFAULTS, &HA];

/// A topology that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// No topology of this name.
    #[error("no topology is called {name}; there are {}", names())]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// Its YAML cannot be read.
    #[error("failed to read topology {name}: {reason}")]
    Yaml {
        /// The topology.
        name: &'static str,
        /// What is wrong, with the place.
        reason: String,
    },
    /// It has no control plane.
    #[error("topology {name} has no node with the role control-plane")]
    NoControlPlane {
        /// The topology.
        name: &'static str,
    },
}

/// What a topology's YAML says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of control planes, at least 1.
    pub control_planes: usize,
    /// Number of workers.
    pub workers: usize,
    /// The failure timing that results from its patches.
    pub timing: FailureTiming,
}

impl Topology {
    /// The topology of this name.
    ///
    /// # Errors
    /// [`TopologyError::Unknown`], listing the names there are.
    pub fn named(name: &str) -> Result<&'static Topology, TopologyError> {
        let found = TOPOLOGIES.iter().copied().find(|t| t.name == name);
        found.ok_or_else(|| TopologyError::Unknown { name: name.into() })
    }

    /// Reads the YAML. Made once for a topology before anything is created from it.
    ///
    /// # Errors
    /// [`TopologyError`] with the place in the YAML.
    pub fn shape(&self) -> Result<Shape, TopologyError> {
        let name = self.name;
        let config: KindConfig = read(name, self.yaml)?;
        let roles: Vec<&str> = match config.nodes.as_deref() {
            // kind makes one control plane when no node is listed.
            None | Some([]) => vec!["control-plane"],
            Some(nodes) => nodes.iter().map(|n| n.role.as_deref().unwrap_or("control-plane")).collect(),
        };
        let count = |role| roles.iter().filter(|r| **r == role).count();
        if count("control-plane") == 0 {
            return Err(TopologyError::NoControlPlane { name });
        }
        let mut timing = FailureTiming::default();
        // A KubeletConfiguration is taken from the first node only (kind issue 3849), whose own
        // patches come after the cluster's.
        let first = config.nodes.iter().flatten().next();
        let own = first.map(|n| n.kubeadm_config_patches.as_slice()).unwrap_or_default();
        for patch in config.kubeadm_config_patches.iter().chain(own) {
            let patch: Patch = read(name, patch)?;
            apply(&mut timing, &patch).map_err(|reason| TopologyError::Yaml { name, reason })?;
        }
        let (control_planes, workers) = (count("control-plane"), count("worker"));
        Ok(Shape { control_planes, workers, timing })
    }

    /// Number of control planes; 1 when the YAML cannot be read, which [`Topology::shape`] reports.
    pub fn control_planes(&self) -> usize {
        self.shape().map_or(1, |s| s.control_planes)
    }

    /// Number of workers; 0 when the YAML cannot be read.
    pub fn workers(&self) -> usize {
        self.shape().map_or(0, |s| s.workers)
    }

    /// The failure timing: Kubernetes' defaults, changed by the YAML's patches.
    pub fn timing(&self) -> FailureTiming {
        self.shape().map(|s| s.timing).unwrap_or_default()
    }
}

fn names() -> String {
    TOPOLOGIES.iter().map(|t| t.name).collect::<Vec<_>>().join(", ")
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

/// The parts of kubeadm's and the kubelet's configuration that decide the timing.
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

/// A map up to kubeadm's v1beta3, a list of name and value from v1beta4 on.
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

fn read<T: serde::de::DeserializeOwned>(name: &'static str, yaml: &str) -> Result<T, TopologyError> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(yaml, options)
        .map_err(|error| TopologyError::Yaml { name, reason: error.to_string() })
}

fn apply(timing: &mut FailureTiming, patch: &Patch) -> Result<(), String> {
    let time = |name: &str, text: &str| {
        config::duration(text).map_err(|error| format!("{name}: {text} is no duration: {error}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_topology_can_be_read_and_found() {
        for topology in TOPOLOGIES {
            topology.shape().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(Topology::named(topology.name).unwrap(), *topology);
        }
        assert_eq!((THREE.control_planes(), THREE.workers()), (1, 2));
        assert_eq!((ONE.control_planes(), ONE.workers()), (1, 0));
        assert_eq!((HA.control_planes(), HA.workers()), (3, 2));
    }

    #[test]
    fn timing_comes_from_the_patches_and_else_from_kubernetes() {
        let FailureTiming { status_update, lease, monitor_period, grace, toleration, .. } = THREE.timing();
        let seconds = [status_update, lease, monitor_period, grace, toleration].map(|t| t.as_secs());
        assert_eq!(seconds, [2, 8, 1, 15, 5]);
        assert_eq!(THREE_DEFAULTS.timing(), FailureTiming::default());
        insta::assert_snapshot!(THREE.timing().node_loss().to_string(), @r"
         15.0 s  silence until the node is Unknown: node-monitor-grace-period
          1.0 s  the node controller's next look: node-monitor-period
          5.0 s  pods tolerate the unreachable taint
         30.0 s  the replacement is scheduled, starts and is Ready
         51.0 s  in all
        ");
    }

    /// A kubelet whose status frequency is set reports as often, changed or not, unless it is told.
    #[test]
    fn a_status_that_did_not_change_is_not_sent_all_the_time() {
        for topology in TOPOLOGIES {
            let sets = |field: &str| topology.yaml.contains(field);
            let both = [sets("nodeStatusUpdateFrequency"), sets("nodeStatusReportFrequency")];
            assert_eq!(both[0], both[1], "{}", topology.name);
        }
    }

    /// What lives through an absence of the API longer than the grace period would call every node
    /// Unknown afterwards.
    #[test]
    fn a_controller_manager_without_the_api_ends_before_heartbeats_are_too_old() {
        let seconds = |e: Election| [e.lease, e.renew, e.retry].map(|t| t.as_secs());
        for topology in TOPOLOGIES {
            let timing = topology.timing();
            let election = timing.election.expect(topology.name);
            assert!(election.renew + election.retry < timing.grace, "{}", topology.name);
        }
        assert_eq!(THREE.timing().election.map(seconds), Some([15, 10, 2]));
        assert_eq!(HA.timing().election.map(seconds), Some([10, 8, 1]));
        assert_eq!(THREE_DEFAULTS.timing().election.map(seconds), Some([15, 10, 2]));
        assert_eq!(HA.timing().etcd_election, Duration::from_secs(2));
        assert_eq!(THREE.timing().etcd_election, Duration::from_millis(200));
        assert_eq!(HA.timing().node_loss().total, THREE.timing().node_loss().total + Duration::from_secs(5));
        assert_eq!(HA.timing().leader_loss().total, Duration::from_millis(49_400));
    }

    #[test]
    fn a_list_of_arguments_is_read_like_a_map() {
        let list = Topology {
            name: "list",
            yaml: r#"
kind: Cluster
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  controllerManager:
    extraArgs: [{name: node-monitor-grace-period, value: 1m30s}]
"#,
        };
        let shape = list.shape().unwrap();
        assert_eq!((shape.control_planes, shape.workers), (1, 0));
        assert_eq!(shape.timing.grace, Duration::from_secs(90));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_topology() {
        let wrong = Topology {
            name: "wrong",
            yaml: "kubeadmConfigPatches: ['{kind: KubeletConfiguration, nodeStatusUpdateFrequency: often}']",
        };
        let error = wrong.shape().unwrap_err().to_string();
        assert!(error.contains("topology wrong") && error.contains("often"), "{error}");
        let workers = Topology { name: "w", yaml: "nodes: [{role: worker}]" };
        assert!(matches!(workers.shape(), Err(TopologyError::NoControlPlane { .. })));
        assert_eq!(
            Topology::named("four").unwrap_err().to_string(),
            "no topology is called four; there are one, three, three-defaults, ha",
        );
    }
}

//! The step `fault`: a fault of the program, what it hits, and for how long.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{WorkloadRef, WorkloadRefError};
use crate::cluster::Topology;
use crate::config;
use crate::event::Effect;
use crate::fault::{Fault, FaultError, Faults, Given, TargetKind};

/// A fault, what it hits, and for how long: `{stop: {of: deployment/db}, for: 60s}`.
#[derive(Clone, Debug)]
pub struct FaultPart {
    /// The name of the fault, as `seatrial fault list` prints it.
    pub fault: String,
    /// What it hits.
    pub target: TargetPart,
    /// How long it lasts. Without that, a fault that takes a node away lasts as long as Kubernetes needs to replace its pods.
    pub lasts: Option<String>,
    /// The fault of this name with its defaults, once it was looked up.
    known: Option<&'static dyn Fault>,
}

impl PartialEq for FaultPart {
    fn eq(&self, other: &Self) -> bool {
        (&self.fault, &self.target, &self.lasts) == (&other.fault, &other.target, &other.lasts)
    }
}

impl Eq for FaultPart {}

/// What a fault hits: either `of` or `node`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TargetPart {
    /// A workload: the fault hits the node that runs most of its pods, or one pod of it on that node.
    pub of: Option<WorkloadRef>,
    /// A node by its role and number, such as `worker2` or `control-plane`, or by its whole name.
    pub node: Option<String>,
    /// A container of the pod, for a fault on a pod with several.
    pub container: Option<String>,
    /// Parameters of the fault, such as `{grace: 30s}`; `seatrial fault list` prints them.
    #[serde(default)]
    pub with: BTreeMap<String, String>,
}

/// How long a fault lasts that leaves its node to Kubernetes, if the file does not say.
const STRAINED: Duration = Duration::from_secs(30);

/// Why a step `fault` cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum FaultPartError {
    /// The fault or a parameter is not known.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The workload is none.
    #[error(transparent)]
    Workload(#[from] WorkloadRefError),
    /// What it hits is not said, or said twice.
    #[error("`{fault}` needs `of` with a workload, or `node` with a node, and not both")]
    Target {
        /// The fault.
        fault: String,
    },
    /// A fault on a pod was given a node.
    #[error("`{fault}` acts on a pod: name its workload with `of`")]
    Pod {
        /// The fault.
        fault: String,
    },
    /// A fault on a node was given a container.
    #[error("`{fault}` acts on a node, which has no container {container}")]
    Container {
        /// The fault.
        fault: String,
        /// The container.
        container: String,
    },
    /// A fault on a pod does not last.
    #[error("`{fault}` is over at once: `for` is for faults on nodes")]
    Momentary {
        /// The fault.
        fault: String,
    },
    /// The time is none.
    #[error("{text} is not a duration such as 60s")]
    Time {
        /// The text.
        text: String,
    },
    /// The cluster has no such node.
    #[error("no node is called {node}: topology {topology} has {known}")]
    NoNode {
        /// The node.
        node: String,
        /// The topology.
        topology: String,
        /// Its nodes.
        known: String,
    },
    /// The only control plane would be lost.
    #[error("`{fault}` on the only control plane would take the API away: nothing could be recorded")]
    ControlPlane {
        /// The fault.
        fault: String,
    },
}

impl FaultPart {
    /// Returns one of these faults on the node that runs most pods of a workload, or on one pod of it, in the words of a trial
    /// file. Without `lasts`, it lasts as long as its kind needs.
    ///
    /// # Errors
    /// [`FaultPartError`].
    pub fn of(
        faults: &Faults,
        fault: &str,
        workload: &str,
        lasts: Option<Duration>,
    ) -> Result<Self, FaultPartError> {
        let of = Some(WorkloadRef::try_from(workload.to_owned())?);
        let lasts = lasts.map(|time| format!("{}ms", time.as_millis()));
        let target = TargetPart { of, ..TargetPart::default() };
        let mut part = Self { fault: fault.to_owned(), target, lasts, known: None };
        part.look_up(faults)?;
        part.check()?;
        Ok(part)
    }

    /// Finds the fault by its name. `stop-node` is another word for `stop`, and so on.
    ///
    /// # Errors
    /// [`FaultError::Unknown`].
    pub(super) fn look_up(&mut self, faults: &Faults) -> Result<(), FaultError> {
        let of_node = |fault: &&'static dyn Fault| fault.target_kind() == TargetKind::Node;
        let fault = faults.named(&self.fault).or_else(|unknown| {
            let short = self.fault.strip_suffix("-node").and_then(|short| faults.named(short).ok());
            short.filter(of_node).ok_or(unknown)
        })?;
        (self.fault, self.known) = (fault.name().to_owned(), Some(fault));
        Ok(())
    }

    /// Returns the fault with its parameters.
    ///
    /// # Errors
    /// An unknown fault or parameter.
    pub fn built(&self) -> Result<Box<dyn Fault>, FaultError> {
        let unknown = || FaultError::Unknown { name: self.fault.clone(), known: String::new() };
        let fault = self.known.ok_or_else(unknown)?;
        let words: Vec<String> =
            self.target.with.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fault.with(&Given::read(fault, &words)?)
    }

    /// What the fault does; none before it was looked up.
    pub fn effect(&self) -> Option<Effect> {
        self.known.map(|fault| fault.effect())
    }

    /// Whether the fault acts on a pod.
    pub fn is_on_pod(&self) -> bool {
        self.known.is_some_and(|fault| fault.target_kind() == TargetKind::Pod)
    }

    /// Whether Kubernetes loses the node, or its pods' runtime.
    pub fn takes_node(&self) -> bool {
        self.effect().is_some_and(Effect::is_loss)
    }

    /// How long the fault lasts. `loss` is the time in which the pods of a lost node are replaced.
    pub fn time(&self, loss: Duration) -> Duration {
        // Checked when the file was read.
        let given = self.lasts.as_ref().and_then(|text| config::duration(text).ok());
        let default = match (self.is_on_pod(), self.takes_node()) {
            (true, _) => Duration::ZERO,
            (false, true) => loss,
            (false, false) => STRAINED,
        };
        given.unwrap_or(default)
    }

    /// What is hit, such as `the node of deployment/db`.
    pub fn target(&self) -> String {
        match (&self.target.of, &self.target.node) {
            (Some(of), _) if self.is_on_pod() => format!("a pod of {of}"),
            (Some(of), _) => format!("the node of {of}"),
            (None, node) => node.clone().unwrap_or_default(),
        }
    }

    /// Checks what can be checked without a cluster.
    ///
    /// # Errors
    /// [`FaultPartError`].
    pub(super) fn check(&self) -> Result<(), FaultPartError> {
        let (fault, target) = (self.fault.clone(), &self.target);
        self.built()?;
        match (self.is_on_pod(), &target.of, &target.node) {
            (_, Some(_), Some(_)) | (_, None, None) => return Err(FaultPartError::Target { fault }),
            (true, None, Some(_)) => return Err(FaultPartError::Pod { fault }),
            _ => {}
        }
        if let Some(container) = target.container.clone().filter(|_| !self.is_on_pod()) {
            return Err(FaultPartError::Container { fault, container });
        }
        match &self.lasts {
            Some(_) if self.is_on_pod() => Err(FaultPartError::Momentary { fault }),
            Some(text) if config::duration(text).is_err() => Err(FaultPartError::Time { text: text.clone() }),
            _ => Ok(()),
        }
    }

    /// Checks the node of the fault against a topology. A whole name is left to the cluster.
    ///
    /// # Errors
    /// [`FaultPartError`].
    pub(super) fn check_on(&self, topology: &Topology) -> Result<(), FaultPartError> {
        let planes = (1..=topology.control_planes()).map(|number| node_name("control-plane", number));
        let all: Vec<String> =
            planes.chain((1..=topology.workers()).map(|n| node_name("worker", n))).collect();
        let Some(node) = self.target.node.as_deref().filter(|node| !node.starts_with("seatrial-")) else {
            return Ok(());
        };
        let (fault, named) = (self.fault.clone(), plain(node));
        if !all.iter().any(|known| known == named) {
            let (node, topology) = (node.to_owned(), topology.name().to_owned());
            return Err(FaultPartError::NoNode { node, topology, known: all.join(", ") });
        }
        match named.starts_with("control-plane") && topology.control_planes() == 1 && self.takes_node() {
            true => Err(FaultPartError::ControlPlane { fault }),
            false => Ok(()),
        }
    }

    /// Whether a node of the cluster is the one that the file names.
    pub fn is_on(&self, name: &str) -> bool {
        let is_it = |node: &str| {
            name == node || name.strip_suffix(plain(node)).is_some_and(|rest| rest.ends_with('-'))
        };
        self.target.node.as_deref().is_some_and(is_it)
    }
}

/// Returns the end of the name that kind gives to the `number`th node of a role.
fn node_name(role: &str, number: usize) -> String {
    match number {
        1 => role.to_owned(),
        _ => format!("{role}{number}"),
    }
}

/// The end of a node's name: kind does not number the first one of a role.
fn plain(node: &str) -> &str {
    match node {
        "worker1" | "control-plane1" => &node[..node.len() - 1],
        other => other,
    }
}

impl<'de> Deserialize<'de> for FaultPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = FaultPart;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a fault with what it hits, and `for`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FaultPart, A::Error> {
                let (mut fault, mut lasts): (Option<(String, TargetPart)>, Option<String>) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    if key == "for" {
                        lasts = Some(map.next_value()?);
                        continue;
                    }
                    if let Some((other, _)) = &fault {
                        return Err(A::Error::custom(format!(
                            "one step has one fault, not {other} and {key}"
                        )));
                    }
                    fault = Some((key, map.next_value()?));
                }
                let (fault, target) = fault.ok_or_else(|| A::Error::custom("no fault is named"))?;
                Ok(FaultPart { fault, target, lasts, known: None })
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[cfg(feature = "cli")]
impl schemars::JsonSchema for FaultPart {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FaultPart".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // Its definition is what `describe` writes for each fault.
        generator.subschema_for::<TargetPart>();
        let lasts = serde_json::json!({ "type": "string", "description": "How long it lasts, such as 60s." });
        schemars::json_schema!({
            "description": "A fault, what it hits, and for how long.",
            "type": "object",
            "properties": { "for": lasts },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 2,
        })
    }
}

/// Enters the faults of a program into the schema of trial files.
#[cfg(feature = "cli")]
pub(super) fn describe(schema: &mut schemars::Schema, faults: &Faults) {
    let properties = schema.pointer_mut("/$defs/FaultPart/properties");
    let Some(properties) = properties.and_then(serde_json::Value::as_object_mut) else { return };
    for fault in faults.iter() {
        let of = serde_json::json!({ "$ref": "#/$defs/TargetPart", "description": fault.about() });
        properties.insert(fault.name().to_owned(), of.clone());
        let alias = format!("{}-node", fault.name());
        if ["stop", "kill", "pause", "cut"].contains(&fault.name()) && faults.named(&alias).is_err() {
            properties.insert(alias, of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{HA, THREE};

    fn read(text: &str) -> FaultPart {
        let mut part: FaultPart =
            serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        part.look_up(&Faults::built_in()).unwrap_or_else(|error| panic!("{text}: {error}"));
        part
    }

    #[test]
    fn a_node_is_named_by_role_and_number_or_as_a_whole() {
        for (node, name, is) in [
            ("worker2", "seatrial-three-1-worker2", true),
            ("worker", "seatrial-three-1-worker", true),
            ("worker1", "seatrial-three-1-worker", true),
            ("worker", "seatrial-three-1-worker2", false),
            ("control-plane", "seatrial-three-1-control-plane", true),
            ("seatrial-three-1-worker2", "seatrial-three-1-worker2", true),
        ] {
            assert_eq!(read(&format!("{{stop: {{node: {node}}}}}")).is_on(name), is, "{node} {name}");
        }
    }

    #[test]
    fn a_topology_has_the_node_and_keeps_its_only_control_plane() {
        let [three, ha] = [THREE, HA].map(|source| source.read().unwrap());
        let on = |text: &str, topology: &Topology| {
            read(text).check_on(topology).map_err(|error| error.to_string())
        };
        assert_eq!(on("{stop: {node: worker2}}", &three), Ok(()));
        assert_eq!(on("{slow-cpu: {node: control-plane}}", &three), Ok(()));
        assert_eq!(on("{stop: {node: control-plane3}}", &ha), Ok(()));
        let none = on("{stop: {node: worker3}}", &three).unwrap_err();
        assert_eq!(none, "no node is called worker3: topology three has control-plane, worker, worker2");
        assert!(on("{stop: {node: control-plane}}", &three).unwrap_err().contains("only control plane"));
    }

    #[test]
    fn a_fault_of_a_story_has_the_words_of_a_file() {
        let minute = Some(Duration::from_secs(60));
        let of = FaultPart::of(&Faults::built_in(), "stop-node", "deployment/db", minute).unwrap();
        assert_eq!(of.target, read("{stop: {of: deployment/db}}").target);
        assert_eq!((of.fault.as_str(), of.time(Duration::ZERO)), ("stop", Duration::from_secs(60)));
        for (fault, workload, lasts, words) in [
            ("stopp", "deployment/db", None, "no fault is called"),
            ("stop", "db", None, "neither KIND/NAME"),
            ("kill-container", "deployment/db", minute, "is over at once"),
        ] {
            let error = FaultPart::of(&Faults::built_in(), fault, workload, lasts).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_fault_lasts_as_long_as_its_kind_needs() {
        let time = |text: &str| read(text).time(Duration::from_secs(81)).as_secs();
        for (text, seconds) in [
            ("{stop-node: {of: deployment/db}, for: 60s}", 60),
            ("{cut: {of: deployment/db}}", 81),
            ("{slow-cpu: {of: deployment/db, with: {cores: 0.5}}}", 30),
            ("{kill-container: {of: deployment/db, container: c}}", 0),
        ] {
            read(text).check().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(time(text), seconds, "{text}");
        }
    }
}

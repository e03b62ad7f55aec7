//! The steps of a trial file: names alone, or one name with parameters.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{FaultPart, RolloutPart, RunPart};

/// A step of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Applies the manifests: always the first step, whether or not it is written down.
    Apply,
    /// Restarts each workload through its template.
    Rollout,
    /// Restarts one workload, or gives an image to the workloads that run it.
    RolloutOf(RolloutPart),
    /// Deletes a pod of each workload.
    PodLoss,
    /// Stops the worker with most of the application, and starts it again.
    NodeLoss,
    /// Drains each worker.
    Drain,
    /// Injects a fault for a while, and heals it.
    Fault(FaultPart),
    /// Upgrades the cluster in place: to a version such as `1.35` or `1.35.4`, or to the `next` minor version.
    Upgrade(String),
    /// Runs a command, which must end with 0.
    Run(RunPart),
    /// Deletes everything: always the last step, whether or not it is written down.
    Clean,
}

/// A step by its name alone.
#[derive(Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Named {
    /// Applies the manifests: always the first step, whether or not it is written down.
    Apply,
    /// Restarts each workload through its template.
    Rollout,
    /// Deletes a pod of each workload.
    PodLoss,
    /// Stops the worker with most of the application, and starts it again.
    NodeLoss,
    /// Drains each worker.
    Drain,
    /// Deletes everything: always the last step, whether or not it is written down.
    Clean,
}

/// A step with parameters. Each may be there several times, with other parameters.
#[derive(Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum With {
    /// Restarts one workload, or gives an image to the workloads that run it.
    Rollout(RolloutPart),
    /// Injects a fault for a while, and heals it.
    Fault(FaultPart),
    /// Upgrades the cluster in place: to a version such as `1.35` or `1.35.4`, or to the `next` minor version.
    Upgrade(String),
    /// Runs a command, which must end with 0.
    Run(RunPart),
}

impl From<Named> for Step {
    fn from(named: Named) -> Self {
        match named {
            Named::Apply => Self::Apply,
            Named::Rollout => Self::Rollout,
            Named::PodLoss => Self::PodLoss,
            Named::NodeLoss => Self::NodeLoss,
            Named::Drain => Self::Drain,
            Named::Clean => Self::Clean,
        }
    }
}

impl From<With> for Step {
    fn from(with: With) -> Self {
        match with {
            With::Rollout(part) => Self::RolloutOf(part),
            With::Fault(part) => Self::Fault(part),
            With::Upgrade(to) => Self::Upgrade(to),
            With::Run(part) => Self::Run(part),
        }
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Step;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a step: a name, or one name with parameters")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Step, E> {
                Named::deserialize(StrDeserializer::<E>::new(name)).map(Step::from)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Step, A::Error> {
                With::deserialize(MapAccessDeserializer::new(map)).map(Step::from)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(feature = "cli")]
impl schemars::JsonSchema for Step {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (named, with) = (generator.subschema_for::<Named>(), generator.subschema_for::<With>());
        schemars::json_schema!({ "description": "A step of a trial.", "anyOf": [named, with] })
    }
}

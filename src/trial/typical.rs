//! How long a trial lasts if nothing is wrong: what `plan` prints next to the limits.
//!
//! The figures were measured on two cores with a kept cluster. Pods that use their grace period, or that need long to be
//! ready without saying so in their probes, make a trial longer.

use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;
use serde::Deserialize;
use serde_json::Value;

use super::workloads;
use crate::cluster::Topology;
use crate::judge::trial::facts::Workload;
use crate::manifest::Manifest;

/// From a pod's creation until it is ready, without the delays of its probes.
const START: Duration = Duration::from_millis(2500);
/// From a pod's deletion until it is gone: what a trial assumes of an application.
pub const END: Duration = Duration::from_secs(2);
/// From the start of a node's container until its kubelet runs pods.
const BOOT: Duration = Duration::from_secs(4);
/// Until the probes are steady.
const PROBES: Duration = Duration::from_secs(4);
/// To apply, to list, and to judge, in each step.
const EACH_STEP: Duration = Duration::from_millis(800);

/// From the end of a fault until everything is complete again.
pub const HEALED: Duration = Duration::from_secs(10);

/// Returns the time that the step of a claim usually takes.
pub(in crate::trial) fn typical(claim: &str, topology: &Topology, manifest: &Manifest) -> Duration {
    let all = Pods::all(manifest, topology);
    let rolled = || all.iter().filter(|pods| pods.rolls());
    let slowest = |of: fn(&Pods) -> Duration| all.iter().map(of).max().unwrap_or_default();
    let timing = topology.timing();
    EACH_STEP
        + match claim {
            "ready" => {
                slowest(Pods::first_start) + if has_services(manifest) { PROBES } else { Duration::ZERO }
            }
            "rollout" => rolled().map(Pods::rollout).sum(),
            "pod-loss" => all.iter().filter(|pods| pods.is_replaced()).map(Pods::replacement).sum(),
            "node-loss" if all.iter().any(Pods::moves) => {
                timing.grace + timing.monitor_period / 2 + timing.toleration + slowest(Pods::start)
            }
            "node-loss" => timing.grace + timing.monitor_period / 2,
            "return" => BOOT + slowest(Pods::start),
            "drain" => {
                let workers = u32::try_from(topology.workers()).unwrap_or(u32::MAX);
                workers * (END + slowest(Pods::start))
            }
            "clean" => END,
            _ => return Duration::ZERO,
        }
}

fn has_services(manifest: &Manifest) -> bool {
    manifest.objects().iter().any(|object| object.kind() == "Service")
}

/// The pods that a workload declares.
struct Pods {
    kind: String,
    count: u32,
    /// `initialDelaySeconds` of the slowest readiness probe, and `minReadySeconds`.
    delay: Duration,
    /// How many pods a rollout replaces at a time.
    at_a_time: u32,
    is_parallel: bool,
}

impl Pods {
    fn all(manifest: &Manifest, topology: &Topology) -> Vec<Self> {
        let workers = u32::try_from(topology.workers()).unwrap_or(u32::MAX);
        let own = workloads::declared(manifest, "");
        let of = |w: &Workload| Some(Self::of(&workloads::object(manifest, w)?.body, w, workers));
        own.iter().filter_map(of).collect()
    }

    fn of(body: &Value, workload: &Workload, workers: u32) -> Self {
        let number = |pointer: &str| body.pointer(pointer).and_then(Value::as_u64);
        let spec = body.pointer("/spec/template/spec").or_else(|| body.pointer("/spec"));
        let delay = spec.and_then(|spec| PodSpec::deserialize(spec).ok()).map_or(0, |spec| {
            let probes = spec.containers.iter().filter_map(|container| container.readiness_probe.as_ref());
            probes.filter_map(|probe| probe.initial_delay_seconds).max().unwrap_or_default()
        });
        let delay =
            u64::try_from(delay).unwrap_or_default() + number("/spec/minReadySeconds").unwrap_or_default();
        let count = match workload.kind.as_str() {
            "DaemonSet" => workers,
            _ => number("/spec/replicas").and_then(|n| n.try_into().ok()).unwrap_or(1),
        };
        Self {
            kind: workload.kind.clone(),
            count,
            delay: Duration::from_secs(delay.min(3600)),
            // Of a Deployment a quarter more, rounded up.
            at_a_time: if workload.kind == "Deployment" { count.div_ceil(4).max(1) } else { 1 },
            is_parallel: body.pointer("/spec/podManagementPolicy").is_some_and(|policy| policy == "Parallel"),
        }
    }

    fn start(&self) -> Duration {
        START + self.delay
    }

    fn first_start(&self) -> Duration {
        let is_ordered = self.kind == "StatefulSet" && !self.is_parallel;
        self.start() * if is_ordered { self.count } else { 1 }
    }

    /// A Deployment starts the next pod before the old one is gone; the others only after that.
    fn rollout(&self) -> Duration {
        match self.kind.as_str() {
            "Deployment" => self.start() * self.count.div_ceil(self.at_a_time) + END,
            _ => (END + self.start()) * self.count,
        }
    }

    fn replacement(&self) -> Duration {
        match self.kind.as_str() {
            "Deployment" | "ReplicaSet" => self.start().max(END),
            _ => END + self.start(),
        }
    }

    fn rolls(&self) -> bool {
        matches!(self.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet")
    }

    fn is_replaced(&self) -> bool {
        self.rolls() || self.kind == "ReplicaSet"
    }

    fn moves(&self) -> bool {
        matches!(self.kind.as_str(), "Deployment" | "ReplicaSet")
    }
}

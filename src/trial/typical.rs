//! How long a trial lasts if nothing is wrong: what `plan` prints next to the limits.
//!
//! An estimate for a kept cluster on two idle cores. Pods that use their grace period, or that need long to be ready without
//! saying so in their probes, make a trial longer.

use std::time::Duration;

use serde_json::Value;

use super::steady::{self, STEADY};
use super::{declared, evictions, workloads};
use crate::cluster::Topology;
use crate::judge::trial::facts::Workload;
use crate::manifest::Manifest;
use crate::upgrade::EVICT_AGAIN;

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
    let stay =
        |of: fn(&Pods) -> bool| all.iter().filter(|pods| of(pods)).map(Pods::stays).max().unwrap_or_default();
    EACH_STEP
        + match claim {
            "ready" => {
                slowest(Pods::first_start)
                    + stay(|_| true)
                    + if has_services(manifest) { PROBES } else { Duration::ZERO }
            }
            "rollout" => rolled().map(Pods::rollout).sum(),
            "pod-loss" => all.iter().filter(|pods| pods.is_replaced()).map(Pods::replacement).sum(),
            "node-loss" if all.iter().any(Pods::moves) => {
                timing.grace
                    + timing.monitor_period / 2
                    + timing.toleration
                    + slowest(Pods::start)
                    + stay(Pods::moves)
            }
            "node-loss" => timing.grace + timing.monitor_period / 2,
            "return" => BOOT + slowest(Pods::start) + stay(|pods| !pods.moves()),
            "drain" => {
                // The first worker may have been lost, and has no pod then; every further one has all of them.
                let further = u32::try_from(topology.workers()).unwrap_or(u32::MAX).saturating_sub(1);
                let half = slowest(|pods| pods.drain(pods.count.div_ceil(2)));
                let each = stay(|pods| pods.kind != "DaemonSet");
                half + each + further * (slowest(|pods| pods.drain(pods.count)) + each)
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
    /// How many pods may be evicted at a time.
    evicted: u32,
    is_ordered: bool,
    /// Whether no probe asks a container of them whether it is ready.
    unasked: bool,
}

impl Pods {
    fn all(manifest: &Manifest, topology: &Topology) -> Vec<Self> {
        let (workers, own) = (topology.workers(), workloads::declared(manifest, ""));
        let of = |w: &Workload| Some(Self::of(manifest, &workloads::object(manifest, w)?.body, w, workers));
        own.iter().filter_map(of).collect()
    }

    fn of(manifest: &Manifest, body: &Value, workload: &Workload, workers: usize) -> Self {
        let kind = workload.kind.clone();
        let spec = declared::pod_spec(body);
        let containers = spec.iter().flat_map(|spec| &spec.containers);
        let probes = containers.filter_map(|container| container.readiness_probe.as_ref());
        let delay = probes.filter_map(|probe| u64::try_from(probe.initial_delay_seconds?).ok()).max();
        let after = body.pointer("/spec/minReadySeconds").and_then(Value::as_u64);
        let delay = delay.unwrap_or_default().saturating_add(after.unwrap_or_default());
        let count = declared::count(&kind, body, workers);
        Self {
            count,
            delay: Duration::from_secs(delay.min(3600)),
            // Of a Deployment a quarter more, rounded up.
            evicted: evictions::at_a_time(manifest, body, count),
            at_a_time: if kind == "Deployment" { count.div_ceil(4).max(1) } else { 1 },
            is_ordered: declared::is_ordered(&kind, body),
            unasked: kind != "Job"
                && spec
                    .iter()
                    .flat_map(|spec| &spec.containers)
                    .any(|container| !steady::is_asked(container)),
            kind,
        }
    }

    fn start(&self) -> Duration {
        START + self.delay
    }

    fn first_start(&self) -> Duration {
        self.start() * if self.is_ordered { self.count } else { 1 }
    }

    /// How long the last of them must run before it counts.
    fn stays(&self) -> Duration {
        if self.unasked { STEADY } else { Duration::ZERO }
    }

    /// A Deployment starts the next pod before the old one is gone; the others only after that.
    fn rollout(&self) -> Duration {
        self.stays()
            + match self.kind.as_str() {
                "Deployment" => self.start() * self.count.div_ceil(self.at_a_time) + END,
                _ => (END + self.start()) * self.count,
            }
    }

    fn replacement(&self) -> Duration {
        self.stays()
            + match self.kind.as_str() {
                "Deployment" | "ReplicaSet" => self.start().max(END),
                _ => END + self.start(),
            }
    }

    /// A drain leaves the pods of a DaemonSet, and asks again for an eviction that a budget forbids.
    fn drain(&self, here: u32) -> Duration {
        if self.kind == "DaemonSet" {
            return Duration::ZERO;
        }
        let rounds = here.div_ceil(self.evicted).max(1);
        (rounds - 1) * self.start().max(EVICT_AGAIN) + END + self.start()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::THREE;

    fn of(claim: &str, spec: &str) -> Duration {
        let text =
            format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: a}}, spec: {{{spec}}}}}");
        typical(claim, &THREE.read().unwrap(), &Manifest::read("m.yaml", &text).unwrap())
    }

    #[test]
    fn pods_and_their_delays_make_a_step_longer() {
        assert_eq!(of("rollout", "replicas: 1"), EACH_STEP + START + END);
        assert_eq!(of("rollout", "replicas: 3"), EACH_STEP + 3 * START + END);
        let late = "template: {spec: {containers: [{name: c, readinessProbe: {initialDelaySeconds: 10}}]}}";
        assert_eq!(of("ready", late), EACH_STEP + START + Duration::from_secs(10));
        assert_eq!(of("drain", "replicas: 3"), EACH_STEP + 2 * (END + START));
        let absurd = format!("minReadySeconds: {}, {late}", u64::MAX);
        assert_eq!(of("ready", &absurd), EACH_STEP + START + Duration::from_secs(3600));
    }
}

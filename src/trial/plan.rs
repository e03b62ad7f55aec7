//! What a trial would do, without a cluster.

use std::fmt::Write as _;
use std::time::Duration;

use super::ground::{CALL, START};
use super::steps::{drain, node_loss::SLOW_START};
use super::{Trial, volumes, workloads};
use crate::cluster::Topology;
use crate::duration;
use crate::judge::trial::facts::Workload;

impl Trial {
    /// Describes the trial on a topology: objects, claims, and the time of each step with its arithmetic.
    pub fn plan(&self, topology: &Topology) -> String {
        let manifest = self.manifest();
        let own = workloads::declared(&manifest);
        let mut text = format!(
            "standard trial of {} objects on {}: {} control plane, {} workers\n",
            manifest.objects().len(),
            topology.name(),
            topology.control_planes(),
            topology.workers()
        );
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  workloads: {}", list(own.iter().map(Workload::title)));
        let rest = manifest
            .objects()
            .iter()
            .filter(|object| !own.iter().any(|w| w.kind == object.kind() && w.name == object.name()));
        let _ =
            writeln!(text, "  other objects: {}", list(rest.map(|o| format!("{} {}", o.kind(), o.name()))));
        let _ = writeln!(text, "  folders on nodes: {}", list(volumes::declared(&manifest).into_iter()));
        for place in &self.left_out {
            let _ =
                writeln!(text, "  not applied, a hook of Helm that an installation does not run: {place}");
        }
        for (from, to) in self.images.replaced() {
            let _ = writeln!(text, "  image {from} is replaced by {to}");
        }
        let _ = writeln!(
            text,
            "  stored: the objects without values recognised as secret; names, sizes and small checksums of files"
        );
        text.push('\n');
        let mut all = Duration::ZERO;
        for claim in self.claims() {
            let budget = self.budget(claim.id, topology, &own);
            all += budget;
            let shown = if budget.is_zero() {
                String::new()
            } else {
                format!("at most {}", duration::budget(budget))
            };
            let _ = writeln!(text, "  {:<10} {:<16} {}", claim.id, shown, claim.title);
        }
        let _ = writeln!(text, "\n  loss of a node, by the topology:");
        let loss = topology.timing().node_loss().to_string();
        text.extend(loss.lines().map(|line| format!("  {line}\n")));
        let _ = writeln!(text, "  and {} s for an application that starts slowly", SLOW_START.as_secs());
        let _ = writeln!(text, "\nat most {} in all, not counting images and cluster", duration::budget(all));
        text
    }

    /// Returns the time that the step of a claim may take. Claims that share a step count once.
    fn budget(&self, claim: &str, topology: &Topology, own: &[Workload]) -> Duration {
        let timing = topology.timing();
        let count = |kinds: &[&str]| {
            let of = own.iter().filter(|w| kinds.contains(&w.kind.as_str())).count();
            u32::try_from(of).unwrap_or(u32::MAX)
        };
        match claim {
            "ready" => START + CALL,
            "rollout" => count(&["Deployment", "StatefulSet", "DaemonSet"]) * START,
            "pod-loss" => count(&["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"]) * START,
            "node-loss" => timing.node_loss().total + SLOW_START + CALL,
            "return" => timing.node_return().total + START + CALL,
            "drain" => u32::try_from(topology.workers()).unwrap_or(u32::MAX) * (drain::BUDGET + START),
            "clean" => START + CALL,
            _ => Duration::ZERO,
        }
    }
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

//! What a trial would do, without a cluster.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::file::{ExpectPart, LedgerPart, ProbePart, RolloutPart, Step, step_name};
use super::ground::{CALL, START, turn};
use super::lacks::{Has, lacks};
use super::steps::{drain, node_loss::SLOW_START, upgrade};
use super::typical::{END, HEALED, typical};
use super::{Trial, claims_of, declared, delay, volumes, workloads};
use crate::cluster::Topology;
use crate::duration;
use crate::judge::trial::LEDGER;
use crate::judge::trial::facts::Workload;
use crate::manifest::Manifest;

impl Trial {
    /// Describes the trial on a topology: objects, claims, and the time of each step with its arithmetic. `profile` decides
    /// what the cluster lacks: one of the names of profiles, or `auto`.
    pub fn plan(&self, topology: &Topology, profile: &str) -> String {
        let manifest = self.manifest();
        let own = workloads::declared(&manifest, "");
        let mut text = format!(
            "{} of {} objects on {}: {} control plane, {} workers\n",
            self.name.as_ref().map_or("standard trial".into(), |name| format!("trial {name}")),
            manifest.objects().len(),
            topology.name(),
            topology.control_planes(),
            topology.workers()
        );
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  workloads: {}", list(own.iter().map(Workload::title)));
        let spaces: BTreeSet<&str> = manifest.objects().iter().filter_map(|o| o.namespace()).collect();
        let _ = writeln!(
            text,
            "  namespaces: one of the trial for objects without a namespace{}",
            spaces.iter().map(|name| format!(", {name}")).collect::<String>()
        );
        let rest = manifest.objects().iter().filter(|object| !own.contains(&workloads::of(object, "")));
        let _ =
            writeln!(text, "  other objects: {}", list(rest.map(|o| format!("{} {}", o.kind(), o.name()))));
        let _ = writeln!(text, "  folders on nodes: {}", list(volumes::declared(&manifest).into_iter()));
        self.plan_notes(&manifest, (profile, topology), &mut text);
        text.push('\n');
        let times = self.times(topology, &manifest);
        for claim in self.claims() {
            let own: Vec<&Time> = times.iter().filter(|time| time.claim == claim.id).collect();
            let most: Duration = own.iter().map(|time| time.most).sum();
            let usual: Option<Duration> = own.iter().map(|time| time.usual).sum();
            let usual = usual.filter(|usual| !usual.is_zero()).map(|usual| format!("{} s", usual.as_secs()));
            let most =
                if most.is_zero() { String::new() } else { format!("at most {}", duration::budget(most)) };
            let usual = usual.unwrap_or_default();
            let _ = writeln!(text, "  {:<10} {usual:>6}  {most:<16} {}", claim.id, claim.title);
        }
        let _ = writeln!(text, "\n  loss of a node, by the topology:");
        let loss = topology.timing().node_loss().to_string();
        text.extend(loss.lines().map(|line| format!("  {line}\n")));
        let _ = writeln!(text, "  and {} s for an application that starts slowly", SLOW_START.as_secs());
        self.plan_sum(&times, &mut text);
        text
    }
}

impl Trial {
    /// Adds the time of the whole trial.
    fn plan_sum(&self, times: &[Time], text: &mut String) {
        let usual: Duration = times.iter().filter_map(|time| time.usual).sum();
        let most: Duration = times.iter().map(|time| time.most).sum();
        let mut open: Vec<&str> = times.iter().filter(|t| t.usual.is_none()).map(|t| t.claim).collect();
        open.dedup();
        let open = if open.is_empty() { String::new() } else { format!(", without {}", open.join(", ")) };
        let _ = writeln!(
            text,
            "\nabout {} on a kept cluster if nothing is wrong and each pod ends within {} s{open}; at most {} in all, not \
             counting images and cluster",
            duration::measured(usual.as_secs_f64()),
            END.as_secs(),
            duration::budget(most)
        );
    }

    /// Adds what is left out, replaced, asked, done, lacking and stored.
    fn plan_notes(&self, manifest: &Manifest, (profile, topology): (&str, &Topology), text: &mut String) {
        let timing = topology.timing();
        for place in &self.left_out {
            let _ = writeln!(
                text,
                "  not applied, a hook of Helm that an installation does not run, or made by a controller: {place}"
            );
        }
        for (from, to) in self.images.replaced() {
            let _ = writeln!(text, "  image {from} is replaced by {to}");
        }
        for step in self.chosen_steps() {
            let Step::Fault(part) = step else { continue };
            let lasts = part.time(timing.node_loss().total + SLOW_START).as_secs();
            if lasts > 0 {
                let _ = writeln!(text, "  fault {} on {}: lasts {lasts} s", part.fault, part.target());
            }
        }
        let _ = writeln!(
            text,
            "  stored: the objects without values recognised as secret; names, sizes and small checksums of files"
        );
        let _ = writeln!(text, "  probes: {}", list(self.planned_probes().into_iter()));
        let ledger = |(name, part): (&String, &LedgerPart)| {
            format!(
                "{name} ({}, an entry every {})",
                part.workload,
                duration::measured(part.every().as_secs_f64())
            )
        };
        if !self.ledgers.is_empty() {
            let _ = writeln!(text, "  ledgers: {}", list(self.ledgers.iter().map(ledger)));
        }
        let steps: Vec<String> = self.chosen_steps().map(step_title).collect();
        let steps: Vec<&str> =
            ["apply"].into_iter().chain(steps.iter().map(String::as_str)).chain(["clean"]).collect();
        let _ = writeln!(text, "  steps: {}", steps.join(", "));
        if !self.expect.is_empty() {
            let _ = writeln!(text, "  expected: {}", list(self.expect.iter().map(ExpectPart::title)));
        }
        for lack in self.lacks(manifest, profile) {
            let _ = writeln!(text, "  lacks: {lack}");
        }
    }
}

fn step_title(step: &Step) -> String {
    match step {
        Step::Run(run) => format!("run `{}`", run.command()),
        Step::Upgrade(to) => format!("upgrade to {to}"),
        Step::RolloutOf(part) => part.title(),
        Step::Fault(part) => format!("fault {} on {}", part.fault, part.target()),
        step => step_name(step).to_owned(),
    }
}

impl Trial {
    /// Returns the times of the steps, each with the claim that it is shown at: its own, or the first chosen one of its step.
    fn times(&self, topology: &Topology, manifest: &Manifest) -> Vec<Time> {
        let of_frame = ["ready", "clean"].map(|id| Time::of(id, topology, manifest));
        let of_steps = self.chosen_steps().flat_map(|step| {
            let chosen: Vec<&str> =
                claims_of(step).iter().filter(|claim| self.has(claim)).map(|claim| claim.id).collect();
            let own = self.time(step, topology, manifest).into_iter();
            own.map(move |time| {
                let is_shown = chosen.contains(&time.claim);
                let shown = if is_shown { None } else { chosen.first().copied() };
                Time { claim: shown.unwrap_or(time.claim), ..time }
            })
            .collect::<Vec<_>>()
        });
        // The first entry and the first reading, and the last one.
        let ledger = (!self.ledgers.is_empty() && self.has(&LEDGER)).then_some(Time {
            claim: "ledger",
            most: 2 * START,
            usual: Some(END),
        });
        of_frame.into_iter().chain(of_steps).chain(ledger).collect()
    }

    /// Returns the time that a step may take, in parts by claim.
    fn time(&self, step: &Step, topology: &Topology, manifest: &Manifest) -> Vec<Time> {
        match step {
            Step::Run(run) => vec![Time { claim: "run", most: run.timeout(), usual: None }],
            Step::Fault(part) => {
                // A fault lasts, is healed, and is waited for.
                let timing = topology.timing();
                let back = if part.is_on_pod() { Duration::ZERO } else { timing.node_return().total };
                let lasts = part.time(timing.node_loss().total + SLOW_START);
                vec![Time { claim: "fault", most: CALL + lasts + back + START, usual: Some(lasts + HEALED) }]
            }
            Step::RolloutOf(part) => {
                let replaced: Vec<(String, String)> = self.images.replaced().collect();
                let part = part.renamed(replaced.iter().map(|(from, to)| (from.as_str(), to.as_str())));
                vec![Time { claim: "rollout", most: rollout_time(&part, topology, manifest), usual: None }]
            }
            step => claims_of(step).iter().map(|claim| Time::of(claim.id, topology, manifest)).collect(),
        }
    }

    /// Returns the probes with their budgets: those of the trial file, and those that follow from the manifests.
    fn planned_probes(&self) -> Vec<String> {
        let derived = self.derived();
        let all = self.probes.iter().chain(derived.iter().map(|declared| (&declared.name, &declared.part)));
        let budget = |name: &String| {
            let budget = self.budgets.get(name).or_else(|| self.budgets.get("*"))?;
            let longest = budget.longest.map(|most| format!("longest outage {most} s"));
            let failed = budget.failed.map(|most| format!("failed at most {:.2} %", 100.0 * most));
            Some([longest, failed].into_iter().flatten().collect::<Vec<_>>().join(", "))
        };
        let title = |(name, part): (&String, &ProbePart)| match budget(name) {
            Some(budget) => format!("{name} ({}; {budget})", part.title()),
            None => format!("{name} ({})", part.title()),
        };
        all.map(title).collect()
    }

    /// Returns what the manifests need and a cluster of a profile lacks.
    fn lacks(&self, manifest: &Manifest, profile: &str) -> Vec<String> {
        let loaded = self.loaded();
        let of =
            |has: &Has| lacks(manifest, &loaded, has).iter().map(ToString::to_string).collect::<Vec<_>>();
        let of_kind = of(&Has::of_kind());
        // The images of the profile `offline` bring no provisioner and a network of their own.
        let offline = of(&Has::default());
        match profile {
            "offline" => offline,
            "auto" => {
                let only = offline.iter().filter(|text| !of_kind.contains(text));
                let only: Vec<String> = only.map(|text| format!("{text} (with profile offline)")).collect();
                of_kind.into_iter().chain(only).collect()
            }
            _ => of_kind,
        }
    }
}

/// The time of a step.
struct Time {
    /// The claim that it is shown at.
    claim: &'static str,
    /// How long the step may take.
    most: Duration,
    /// How long it takes if nothing is wrong, where that is known.
    usual: Option<Duration>,
}

impl Time {
    /// The time of the step of a claim, or of the claim's part of it.
    fn of(claim: &'static str, topology: &Topology, manifest: &Manifest) -> Self {
        let usual = (claim != "upgrade").then(|| typical(claim, topology, manifest));
        Self { claim, most: budget(claim, topology, manifest), usual }
    }
}

/// Returns the time that a rollout of some workloads may take.
fn rollout_time(part: &RolloutPart, topology: &Topology, manifest: &Manifest) -> Duration {
    let workers = topology.workers();
    let own = workloads::declared(manifest, "");
    let one = |w: &Workload| one_by_one(manifest, w, workers);
    match &part.workload {
        Some(of) => of.among(&own).map_or(START, one),
        None => {
            let object = |w: &Workload| workloads::object(manifest, w);
            let runs = |w: &&Workload| object(w).is_some_and(|o| !part.containers(&o.body).is_empty());
            let time: Duration = own.iter().filter(runs).map(one).sum();
            // An earlier step may bring the image that this one replaces: then any workload may have it.
            if time.is_zero() { own.iter().map(one).sum() } else { time }
        }
    }
}

/// Returns the time that the step of a claim may take. Claims that share a step count once.
fn budget(claim: &str, topology: &Topology, manifest: &Manifest) -> Duration {
    let timing = topology.timing();
    let workers = topology.workers();
    let own = workloads::declared(manifest, "");
    // For each workload of these kinds the waits of the step, as the story computes them from its pods.
    let each = |kinds: &[&str]| {
        let of = own.iter().filter(|w| kinds.contains(&w.kind.as_str()));
        of.map(|w| one_by_one(manifest, w, workers)).sum::<Duration>()
    };
    let delay = || workloads::delays(manifest, "").into_values().max().unwrap_or_default();
    let drained = || {
        let of = own.iter().filter(|w| w.kind != "DaemonSet").map(|w| pods(manifest, w, workers));
        of.map(|(count, turn)| count * turn).max().unwrap_or_default()
    };
    let slowest = || own.iter().map(|w| pods(manifest, w, workers).1).max().unwrap_or_default();
    match claim {
        "ready" => START + delay() + CALL,
        "rollout" => each(&["Deployment", "StatefulSet", "DaemonSet"]),
        // The pod ends, then the workload is complete.
        "pod-loss" => 2 * each(&["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"]),
        "node-loss" => timing.node_loss().total + SLOW_START + delay() + CALL,
        "return" => timing.node_return().total + START + delay() + CALL,
        "drain" => u32::try_from(workers).unwrap_or(u32::MAX) * (drain::BUDGET + drained() + START + delay()),
        "upgrade" => upgrade::BUDGET + START + delay(),
        "clean" => START + CALL + slowest(),
        _ => Duration::ZERO,
    }
}

/// Returns the time for the pods of a workload to be replaced, one after another.
fn one_by_one(manifest: &Manifest, workload: &Workload, workers: usize) -> Duration {
    let (count, turn) = pods(manifest, workload, workers);
    let body = workloads::object(manifest, workload).map(|object| &object.body);
    let delay =
        body.map(|body| delay::of_workload(&workload.kind, body) + count * delay::available_after(body));
    START + count * turn + delay.unwrap_or_default()
}

/// Returns how many pods a workload declares, and the time for one to end and to be replaced.
fn pods(manifest: &Manifest, workload: &Workload, workers: usize) -> (u32, Duration) {
    let Some(object) = workloads::object(manifest, workload) else { return (1, turn(None)) };
    let spec = declared::pod_spec(&object.body);
    let grace = spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let delay = spec.map(|spec| delay::of_pod(&spec)).unwrap_or_default();
    (declared::count(&workload.kind, &object.body, workers), turn(grace) + delay)
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::THREE;

    #[test]
    fn a_long_grace_period_is_in_the_time_of_each_step_that_waits_for_it() {
        let text = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replicas: 2, \
                    template: {spec: {terminationGracePeriodSeconds: 300}}}}";
        let (manifest, topology) = (Manifest::read("m.yaml", text).unwrap(), THREE.read().unwrap());
        let of = |claim: &str| budget(claim, &topology, &manifest);
        let twice = 2 * turn(Some(300));
        assert_eq!([of("rollout"), of("pod-loss")], [START + twice, 2 * (START + twice)]);
        assert_eq!(of("drain"), 2 * (drain::BUDGET + twice + START));
    }
}

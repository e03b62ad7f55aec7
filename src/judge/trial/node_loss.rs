//! `node-loss`: the pods of a lost node are replaced on other nodes in time, or wait for their node by design.

use std::collections::BTreeMap;

use super::during::{self, Place};
use super::facts::Workload;
use super::fault::{Fault, LOSS};
use super::rules::{self, WorkloadRule};
use super::state::{State, at_mark, declared_lately, is_over, node_of, uid};
use super::volumes::pinned_by;
use super::{kinds, requests, settled, summarise, workloads};
use crate::event::{Change, Event};
use crate::judge::availability::Window;
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Holds, Missing};

/// The loss of a node between two marks: from the fault on, until the end of its waits.
pub struct Loss<'e, 'r> {
    /// The marks.
    pub marks: (&'e str, &'e str),
    /// The fault.
    pub fault: &'e Fault<'r>,
    /// Seconds in which replacements must be ready, in a fault of a step of its own: it may end earlier, and what is complete
    /// afterwards is judged then. None in the step `node-loss`, whose waits have the budget.
    pub budget: Option<f64>,
    /// Whether Kubernetes was told that the node does not run: then a StatefulSet's pod is replaced, too.
    pub releases: bool,
    /// What the trial expects of workloads.
    pub rules: &'e [WorkloadRule],
}

impl Loss<'_, '_> {
    /// Returns the pods of a workload on the node, at the mark of the loss.
    fn there<'r>(&self, evidence: &Evidence<'r>, workload: &Workload) -> Result<Vec<Object<'r>>, Missing> {
        let uid = uid(evidence, self.marks.0, workload)?;
        let before = State::at(evidence, self.marks.0)?;
        Ok(before
            .known_pods(workload, uid)?
            .into_iter()
            .filter(|pod| node_of(pod) == self.fault.node)
            .collect())
    }
}

/// Adds what the trial expects of workloads that had no pod on the node of any of these losses.
pub fn check_rules_met(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    rules: &[WorkloadRule],
    losses: &[Loss<'_, '_>],
) {
    let own = workloads(evidence).unwrap_or_default();
    for rule in rules {
        let Some(workload) = own.iter().find(|workload| rule.workload.is(workload)) else { continue };
        let is_met =
            |loss: &Loss<'_, '_>| loss.there(evidence, workload).is_ok_and(|there| !there.is_empty());
        if !losses.iter().any(is_met) {
            let word = rule.is.word();
            finding.unsure(format!(
                "{} is expected to be {word}, and no lost node had a pod of it",
                workload.title()
            ));
        }
    }
}

/// Judges `node-loss`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let workloads = workloads(evidence)?;
    let fault = Fault::of(evidence)?;
    fault.check(finding, evidence, LOSS)?;
    let rules = rules::of_workloads(finding, evidence)?;
    let loss = Loss { marks: LOSS, fault: &fault, budget: None, releases: false, rules: &rules };
    let volumes = ["Node", "PersistentVolume", "PersistentVolumeClaim"];
    let gaps = evidence.gaps(evidence.between("node-loss", "node-lost")?, &kinds(&workloads, &volumes));
    finding.watched(&gaps, |finding| {
        for workload in &workloads {
            finding.part(|f| check(f, evidence, workload, &loss));
        }
    });
    requests::check_with_loss(finding, evidence, ("node-loss", "node-lost"), &fault);
    check_rules_met(finding, evidence, &rules, &[loss]);
    summarise(finding, &workloads);
    Ok(())
}

/// Checks what becomes of a workload's pods on the lost node.
pub fn check(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    workload: &Workload,
    loss: &Loss<'_, '_>,
) -> Result<(), Missing> {
    let (title, node) = (workload.title(), &loss.fault.node);
    let uid = uid(evidence, loss.marks.0, workload)?;
    let there = loss.there(evidence, workload)?;
    if there.is_empty() {
        finding.check(true, format!("{title} had no pod on {node}"));
        return check_others(finding, evidence, (workload, uid), loss);
    }
    if let Some(rule) = loss.rules.iter().find(|rule| rule.workload.is(workload)) {
        let lasted = evidence.mark(loss.marks.1)?.mono_us as f64 / 1e6 - loss.fault.at;
        let is_short = |budget: &f64| lasted < *budget && is_replaced(workload, loss.releases);
        let short = loss
            .budget
            .filter(is_short)
            .map(|budget| format!("the fault lasted {lasted:.0} s, and Kubernetes may need {budget:.0} s"));
        let place = Place { marks: loss.marks, node, is_lost: true, short: short.as_deref() };
        during::check_at_end(finding, evidence, (workload, uid), place, rule)?;
        if workload.kind == "StatefulSet" {
            check_one_of_a_name(finding, evidence, (workload, &[uid]), loss.marks)?;
        }
        return Ok(());
    }
    match workload.kind.as_str() {
        "Deployment" | "ReplicaSet" => check_moved(finding, evidence, (workload, uid), loss)?,
        "StatefulSet" => {
            match loss.releases {
                true => check_moved(finding, evidence, (workload, uid), loss)?,
                false => {
                    check_stays(finding, evidence, (workload, uid), &there, loss)?;
                    check_others(finding, evidence, (workload, uid), loss)?;
                }
            }
            check_one_of_a_name(finding, evidence, (workload, &[uid]), loss.marks)?;
        }
        "DaemonSet" => {
            let pods: Vec<&str> = there.iter().map(Object::name).collect();
            let what =
                format!("{title}: {} waits for {node} by design, it belongs to the node", names(&pods));
            finding.check(true, what);
            check_others(finding, evidence, (workload, uid), loss)?;
        }
        // Whether the pod is still there after the fault is judged then.
        "Job" | "Pod" if loss.budget.is_some() => {}
        "Job" => check_job(finding, evidence, (workload, uid), node)?,
        _ => {
            finding.check(false, format!("{title} was on {node}: nothing replaces a bare pod"));
        }
    }
    Ok(())
}

/// Whether the pods of a workload on a lost node are replaced on others.
fn is_replaced(workload: &Workload, releases: bool) -> bool {
    match workload.kind.as_str() {
        "Deployment" | "ReplicaSet" | "Job" => true,
        "StatefulSet" => releases,
        _ => false,
    }
}

/// Checks that a Job is complete, or runs on another node.
fn check_job(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (workload, uid): (&Workload, &str),
    node: &str,
) -> Result<(), Missing> {
    let at = evidence.mark("node-lost")?.mono_us as f64 / 1e6;
    let checks = at_mark(evidence, "node-lost", |state| {
        let job = state.object(workload);
        let complete = job.and_then(|job| job.condition("Complete")).is_some_and(|c| c.0 == "True");
        let runs = |pod: &Object<'_>| node_of(pod) != node && pod.text("/status/phase") == Some("Running");
        let elsewhere = state.staying(uid).iter().any(runs);
        let what = format!("{}: complete: {complete}, runs on another node: {elsewhere}", workload.title());
        vec![(Holds::of_any(complete || elsewhere, (at, at)), what)]
    })?;
    checks.into_iter().for_each(|(holds, what)| _ = finding.check(holds, what));
    Ok(())
}

/// Checks that as many pods as declared are ready on other nodes, in time.
fn check_moved(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (workload, uid): (&Workload, &str),
    loss: &Loss<'_, '_>,
) -> Result<(), Missing> {
    let Loss { fault, marks: (from, to), .. } = loss;
    let (title, node) = (workload.title(), fault.node.as_str());
    let window = Window::between(evidence, from, to)?;
    let end = window.span().1;
    let is_back = |pod: &Object<'_>| pod.is_ready() && node_of(pod) != node;
    let short = |state: &State<'_>| {
        let wanted = state.object(workload).and_then(|o| declared_lately(evidence, state, workload, &o, end));
        let wanted = wanted.unwrap_or_default();
        let ready = state.staying(uid).iter().filter(|pod| is_back(pod)).count() as i64;
        (ready, wanted)
    };
    let last = State::at(evidence, to)?;
    if last.object(workload).is_none() {
        finding.check(false, format!("{title} is gone at `{to}`"));
        return Ok(());
    }
    let checks = at_mark(evidence, to, |state| {
        let (ready, wanted) = short(state);
        vec![((ready >= wanted).into(), format!("{title}: {ready} of {wanted} pods ready on other nodes"))]
    })?;
    let budget = match loss.budget {
        Some(budget) => budget,
        None => settled(evidence, from, workload)?.last().map_or(0.0, |(_, settled)| settled.budget),
    };
    if checks.iter().all(|(holds, _)| holds.is_met()) {
        let all = State::after(evidence);
        let counts = window.counts("Pod", |pod| all.is_of(pod, uid), is_back);
        let wanted = short(&last).1;
        // The count may have been reached and lost again: the last time counts.
        let since = counts.iter().rev().take_while(|(_, count)| *count >= wanted).last();
        let back = since.map_or(end, |(at, _)| *at).max(fault.at);
        for (holds, what) in checks {
            finding.check(holds, what);
        }
        let took = back - fault.at;
        finding.within(
            (fault.at, back),
            budget,
            format!("{title}: as many pods as declared were ready on other nodes after {took:.1} s of {budget:.0} s"),
        );
        return Ok(());
    }
    let (ready, wanted) = short(&last);
    if loss.budget.is_some_and(|budget| end - fault.at < budget) {
        let lasted = end - fault.at;
        let what = format!(
            "{ready} of {wanted} pods ready on other nodes after {lasted:.0} s: they may need {budget:.0} s"
        );
        finding.check(true, format!("{title}: {what}"));
        return Ok(());
    }
    check_waits(finding, &last, (workload, uid), fault, (end, (ready, wanted)))
}

/// Checks that the replacements of a workload that is not back cannot be placed by its own design.
fn check_waits(
    finding: &mut Finding,
    state: &State<'_>,
    (workload, uid): (&Workload, &str),
    fault: &Fault<'_>,
    (end, (ready, wanted)): (f64, (i64, i64)),
) -> Result<(), Missing> {
    let (title, node) = (workload.title(), fault.node.as_str());
    let waiting: Vec<Object<'_>> =
        state.staying(uid).into_iter().filter(|pod| node_of(pod) != node && !pod.is_ready()).collect();
    let mut by_design: Vec<(&Object<'_>, String)> = Vec::new();
    for pod in &waiting {
        if node_of(pod).is_empty() && pod.text("/status/phase") == Some("Pending") {
            by_design.extend(pinned_by(state, pod, node)?.map(|why| (pod, why)));
        }
    }
    for (pod, why) in &by_design {
        finding.check(true, format!("{title}: {} waits for {node} by design, {why}", pod.name()));
    }
    if ready + by_design.len() as i64 >= wanted {
        return Ok(());
    }
    let is_free = |pod: &&Object<'_>| !by_design.iter().any(|(other, _)| other.uid() == pod.uid());
    let reasons: Vec<String> =
        waiting.iter().filter(is_free).map(|pod| format!("{} {}", pod.name(), reason(pod))).collect();
    let why = if reasons.is_empty() { "no replacement exists".to_owned() } else { reasons.join(", ") };
    let what = format!(
        "{title}: {ready} of {wanted} pods ready on other nodes after {:.0} s: {why}",
        end - fault.at
    );
    let span = (fault.at, end);
    if finding.machine.starved_in(span.0, span.1) > 0.0 {
        finding.unsure(format!("{what}; the machine starved meanwhile"));
        return Ok(());
    }
    let what = match waiting.iter().filter(is_free).find_map(crowded_by) {
        Some(term) => format!("{what}; its {term} may need more workers than are left"),
        None => what,
    };
    finding.check(Holds::of_any(false, span), what);
    Ok(())
}

/// Returns why a pod is not ready, as its conditions and containers say.
fn reason(pod: &Object<'_>) -> String {
    if let Some((_, reason, message)) = pod.condition("PodScheduled").filter(|c| c.0 == "False") {
        return format!("is not scheduled ({reason}: {message})");
    }
    let containers = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let waiting = containers
        .iter()
        .flat_map(|list| pod.entries(list))
        .find_map(|container| container.pointer("/state/waiting/reason").and_then(serde_json::Value::as_str));
    match waiting {
        Some(reason) => format!("waits ({reason})"),
        None => format!("is {} and not ready", pod.text("/status/phase").unwrap_or("in no phase")),
    }
}

/// Checks that the pods of a StatefulSet stay while their node is down.
fn check_stays(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (workload, uid): (&Workload, &str),
    there: &[Object<'_>],
    loss: &Loss<'_, '_>,
) -> Result<(), Missing> {
    let (title, node) = (workload.title(), &loss.fault.node);
    let state = State::at(evidence, loss.marks.1)?;
    let now: Vec<&str> = state.pods(uid).iter().map(Object::uid).collect();
    for pod in there {
        match now.contains(&pod.uid()) {
            true => finding.check(
                true,
                format!(
                    "{title}: {} waits for {node} by design, no other pod takes its name meanwhile",
                    pod.name()
                ),
            ),
            // The controller does not delete such a pod, but a person or the pod garbage collector may.
            false => finding.unsure(format!("{title}: {} was deleted although {node} was down", pod.name())),
        };
    }
    Ok(())
}

/// Checks that the pods on other nodes that were ready before a loss are ready at its end. By what the application does, they may need
/// those that were lost: no rule of Kubernetes decides that.
fn check_others(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (workload, uid): (&Workload, &str),
    loss: &Loss<'_, '_>,
) -> Result<(), Missing> {
    let (from, to) = loss.marks;
    let before = State::at(evidence, from)?.pods(uid);
    let was_ready = |pod: &Object<'_>| before.iter().any(|old| old.uid() == pod.uid() && old.is_ready());
    for pod in State::at(evidence, to)?.staying(uid) {
        let on = node_of(&pod);
        if on != loss.fault.node && was_ready(&pod) && !pod.is_ready() {
            let (title, name, why) = (workload.title(), pod.name(), reason(&pod));
            finding
                .unsure(format!("{title}: {name} on {on} {why} since the loss, and may need what was lost"));
        }
    }
    Ok(())
}

/// Checks that a StatefulSet never had two living pods of one name between two marks. The set has several UIDs if it was deleted and
/// created again.
pub fn check_one_of_a_name(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (workload, uids): (&Workload, &[&str]),
    (from, to): (&str, &str),
) -> Result<(), Missing> {
    let title = workload.title();
    let all = State::after(evidence);
    let mut living: BTreeMap<&str, &str> = BTreeMap::new();
    let before = State::at(evidence, from)?;
    for pod in uids.iter().flat_map(|uid| before.pods(uid)) {
        living.insert(pod.name(), pod.uid());
    }
    let mut twins: Vec<&str> = Vec::new();
    let between = evidence.between(from, to)?;
    for record in between {
        let Event::ObjectChanged { change, kind, object, .. } = &record.event else { continue };
        let Some(pod) = Object::new(object).ok().filter(|_| kind == "Pod") else { continue };
        let of_name = living.get(pod.name()).copied();
        if *change == Change::Deleted || is_over(&pod) {
            // A pod that ends may have been orphaned before, and has no owner then.
            if of_name == Some(pod.uid()) {
                living.remove(pod.name());
            }
        } else if uids.iter().any(|uid| all.is_of(&pod, uid)) {
            if of_name.is_some_and(|other| other != pod.uid()) {
                twins.push(pod.name());
            }
            living.insert(pod.name(), pod.uid());
        }
    }
    twins.dedup();
    let what = format!(
        "{title}: names with two living pods at a time between `{from}` and `{to}`: {}",
        names(&twins)
    );
    finding.check(twins.is_empty(), what);
    Ok(())
}

/// Returns what allows few pods of a workload on one node, if a pod waits for a node. That its requests fit nowhere only the
/// scheduler's message says (`NodeResourcesFit` in `pkg/scheduler/framework/plugins/noderesources/fit.go`).
fn crowded_by(pod: &Object<'_>) -> Option<&'static str> {
    if !node_of(pod).is_empty() {
        return None;
    }
    let has = |pointer: &str| !pod.entries(pointer).is_empty();
    let containers = pod.entries("/spec/containers");
    let host_port = containers
        .iter()
        .flat_map(|c| c["ports"].as_array().into_iter().flatten())
        .any(|p| p["hostPort"].is_u64());
    let spread = pod.entries("/spec/topologySpreadConstraints");
    if has("/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution") {
        Some("anti-affinity")
    } else if spread.iter().any(|term| term["whenUnsatisfiable"] == "DoNotSchedule") {
        Some("spread constraint")
    } else if pod.condition("PodScheduled").is_some_and(|(_, _, message)| message.contains("Insufficient ")) {
        Some("request for resources")
    } else if host_port || pod.at("/spec/hostNetwork").is_some_and(|on| *on == true) {
        Some("port on the node")
    } else {
        None
    }
}

//! D1: the order of the upgrade, and the versions at each of its steps.

use super::{EndedStep, Evidence, Finding, Missing, PlannedUpgrade, names};
use crate::event::Event;
use crate::judge::skew::{Component, State};
use crate::judge::version::Version;

/// D1.
pub(super) fn in_order(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let plans: Vec<&PlannedUpgrade> = evidence.records().iter().filter_map(|r| plan(&r.event)).collect();
    let first = plans.first().ok_or_else(|| Missing("no plan of an upgrade was recorded".into()))?;
    let last = plans.last().unwrap_or(first);
    for plan in &plans {
        let mut at = plan.from;
        for hop in &plan.hops {
            let ahead = hop.to.minors_ahead(at);
            finding.check((0..=1).contains(&ahead), format!("hop from {at} to {}", hop.to));
            at = hop.to;
        }
        finding.check(at == plan.to, format!("the plan leads to {at}, {} was asked for", plan.to));
    }
    let ended: Vec<&EndedStep> = evidence.records().iter().filter_map(|r| end(&r.event)).collect();
    finding.part(|finding| order(finding, &plans, &ended));
    finding.part(|finding| states(finding, &first.before, &ended, last.to));
    finding.part(|finding| refused(evidence, finding));
    finding.summary(format!(
        "{} -> {}: {} steps, versions in order after each",
        first.from,
        last.to,
        ended.iter().filter(|e| e.error.is_none()).count()
    ));
    Ok(())
}

fn plan(event: &Event) -> Option<&PlannedUpgrade> {
    match event {
        Event::UpgradePlanned(plan) => Some(plan),
        _ => None,
    }
}

fn end(event: &Event) -> Option<&EndedStep> {
    match event {
        Event::UpgradeStepEnded(ended) => Some(ended),
        _ => None,
    }
}

/// Every step that was done is one of the last plan made before it, and they were done in its order.
fn order(finding: &mut Finding, plans: &[&PlannedUpgrade], ended: &[&EndedStep]) -> Result<(), Missing> {
    if ended.is_empty() {
        return Err(Missing("no step of an upgrade was recorded".into()));
    }
    // The steps of all plans in one row: a later plan is the rest of an earlier one, and begins anew
    // at a safe step.
    let planned: Vec<(Version, &str, Option<&str>)> = plans
        .iter()
        .flat_map(|p| &p.hops)
        .flat_map(|h| h.steps.iter().map(move |s| (h.to, s.step.as_str(), s.node.as_deref())))
        .collect();
    let mut at = 0;
    for step in ended {
        let this = (step.to, step.step.as_str(), step.node.as_deref());
        let found = planned[at.min(planned.len())..].iter().position(|p| *p == this);
        let node = step.node.as_deref().map(|n| format!(" {n}")).unwrap_or_default();
        match found {
            Some(i) => at += i + 1,
            None => _ = finding.check(false, format!("`{}{node}` was not planned there", step.step)),
        }
    }
    let done = |name: &str, node: &str| {
        ended.iter().position(|e| e.step == name && e.error.is_none() && e.node.as_deref() == Some(node))
    };
    // Whoever has a new kubelet has it after every control plane was new.
    let planes = plans.first().map(|p| &p.before.planes);
    let of_plane = |e: &EndedStep| {
        let known = |n: &String| planes.is_some_and(|p| p.contains_key(n));
        ["apply", "configure"].contains(&e.step.as_str()) && e.node.as_ref().is_some_and(known)
    };
    let control = ended.iter().rposition(|e| of_plane(e) && e.error.is_none());
    for step in ended.iter().filter(|e| e.step == "kubelet") {
        let node = step.node.as_deref().unwrap_or_default();
        let (kubelet, drain) = (done("kubelet", node), done("drain", node));
        let after = matches!((control, kubelet), (Some(c), Some(k)) if c < k) || control.is_none();
        finding.check(after, format!("the kubelet of {node} came after the control plane"));
        let empty = matches!((drain, kubelet), (Some(d), Some(k)) if d < k);
        finding.check(empty, format!("{node} was drained before its kubelet was exchanged"));
    }
    Ok(())
}

/// The versions after each step: no rule of skew broken, nothing ever older than before, all new in
/// the end.
fn states(finding: &mut Finding, before: &State, ended: &[&EndedStep], to: Version) -> Result<(), Missing> {
    let broken = before.violations();
    finding.check(broken.is_empty(), format!("before: {}", told(&broken)));
    let mut last = before;
    for step in ended {
        let node = step.node.as_deref().map(|n| format!(" {n}")).unwrap_or_default();
        let title = format!("{}{node}", step.step);
        let Some(now) = &step.versions else {
            if step.error.is_none() {
                finding.unsure(format!("the versions after `{title}` were not seen"));
            }
            continue;
        };
        let broken = now.violations();
        finding.check(broken.is_empty(), format!("after `{title}`: {}", told(&broken)));
        let back = older(last, now);
        finding.check(
            back.is_empty(),
            match back.is_empty() {
                true => format!("after `{title}`: nothing is older than before"),
                false => format!("after `{title}`: older than before: {}", names(&back)),
            },
        );
        last = now;
    }
    let late: Vec<String> =
        parts(last).filter(|(_, v)| *v != to).map(|(part, v)| format!("{part} {v}")).collect();
    finding.check(
        late.is_empty(),
        match late.is_empty() {
            true => format!("in the end everything is {to}"),
            false => format!("in the end not {to}: {}", names(&late)),
        },
    );
    Ok(())
}

pub(super) fn told(broken: &[String]) -> String {
    if broken.is_empty() { "no rule of version skew is broken".into() } else { broken.join("; ") }
}

fn older(before: &State, now: &State) -> Vec<String> {
    let known: Vec<(String, Version)> = parts(before).chain(etcds(before)).collect();
    let all = parts(now).chain(etcds(now));
    let back = all.filter(|(part, v)| known.iter().any(|(p, old)| p == part && v < old));
    back.map(|(part, v)| format!("{part} {v}")).collect()
}

/// What Kubernetes releases together: kube-proxy, kubelets and the control plane without etcd.
pub(super) fn parts(state: &State) -> impl Iterator<Item = (String, Version)> {
    let planes = state.planes.iter().flat_map(|(node, parts)| {
        let parts = parts.iter().filter(|(c, _)| **c != Component::Etcd);
        parts.map(move |(c, v)| (format!("{c} of {node}"), *v))
    });
    let kubelets = state.kubelets.iter().map(|(n, v)| (format!("kubelet of {n}"), *v));
    planes.chain(kubelets).chain(state.proxies.iter().map(|(n, v)| (format!("kube-proxy of {n}"), *v)))
}

fn etcds(state: &State) -> impl Iterator<Item = (String, Version)> {
    state.all(Component::Etcd).map(|(node, v)| (format!("etcd of {node}"), v)).collect::<Vec<_>>().into_iter()
}

/// What must not be done was refused, before anything was touched.
fn refused(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let asked = evidence.values("refused");
    if asked.is_empty() {
        return Err(Missing("`refused` was not observed".into()));
    }
    for value in asked {
        let text = |field: &str| value[field].as_str().unwrap_or_default();
        let (asked, answer, because) = (text("asked"), text("answer"), text("because"));
        finding.check(
            !because.is_empty() && answer.contains(because),
            format!("{asked} was answered with: {}", if answer.is_empty() { "a plan" } else { answer }),
        );
    }
    Ok(())
}

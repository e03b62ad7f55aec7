//! `rollout`: a rollout replaces every pod, and as many pods stay available as the workload's strategy promises.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{self, Rollout, Workload};
use super::state::{State, at_mark, declared, uid};
use super::workloads::{is_on_delete, partition};
use super::{check_settled, kinds, requests, rules, summarise, workloads};
use crate::event::Event;
use crate::judge::availability::{Limits, Window, fewest, portion};
use crate::judge::index::Of;
use crate::judge::object::{Object, names};
use crate::judge::stateful_set::history::ordinal;
use crate::judge::stateless::HASH;
use crate::judge::{Evidence, Finding, Holds, Missing};

/// The kinds that are rolled out.
const ROLLED_OUT: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// Judges `rollout`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    rules::none(finding, evidence);
    let workloads = workloads(evidence)?;
    let (rolled, others): (Vec<&Workload>, Vec<&Workload>) =
        workloads.iter().partition(|workload| ROLLED_OUT.contains(&workload.kind.as_str()));
    if rolled.is_empty() {
        for workload in others {
            finding.check(true, format!("{} is not rolled out", workload.title()));
        }
        return Ok(());
    }
    let rounds = rounds(evidence)?;
    for workload in rolled {
        if keeps_pods(evidence, workload) {
            let what = "keeps its pods in a rollout: its strategy OnDelete replaces none by itself";
            finding.check(true, format!("{} {what}", workload.title()));
            continue;
        }
        if let Some(maker) = &workload.made_by {
            let what = format!("{} is not rolled out: {maker} owns its template", workload.title());
            finding.check(true, what);
            continue;
        }
        // Records of older versions do not say which workloads are rolled out: each is, once.
        let once = || {
            vec![Rollout { workload: workload.clone(), place: workload.subject(), images: BTreeMap::new() }]
        };
        let own =
            |all: &Vec<Rollout>| all.iter().filter(|round| round.workload == *workload).cloned().collect();
        let own: Vec<Rollout> = rounds.as_ref().map_or_else(once, own);
        if own.is_empty() {
            finding.check(true, format!("{} is not rolled out: no step names it", workload.title()));
            continue;
        }
        finding.part(|f| check_settled(f, evidence, "rollout", workload));
        for round in own {
            check_round(finding, evidence, &round);
        }
    }
    summarise(finding, &workloads);
    Ok(())
}

/// Returns the rollouts of the trial; none in records of older versions, which have no such fact.
fn rounds(evidence: &Evidence<'_>) -> Result<Option<Vec<Rollout>>, Missing> {
    let begun: Vec<&str> = evidence
        .all(Of::Marks)
        .filter_map(|record| match &record.event {
            Event::Marked { mark } => mark.strip_prefix("rollout "),
            _ => None,
        })
        .collect();
    let all = evidence.facts(&facts::ROLLOUTS).unwrap_or_default();
    // Newer records of planned steps say how many faults are planned.
    let is_planned = evidence.fact(&facts::EXPECTED).is_ok_and(|expected| expected.faults.is_some());
    let is_old = all.is_empty() && !is_planned && !begun.iter().any(|place| place.ends_with(')'));
    match is_old {
        true if evidence.records_of(&facts::ROLLOUTS).next().is_none() => Ok(None),
        _ if begun.len() == all.len() => Ok(Some(all)),
        _ => Err(Missing(format!(
            "{} rollouts began, and `{}` has {}",
            begun.len(),
            facts::ROLLOUTS.name(),
            all.len()
        ))),
    }
}

fn check_round(finding: &mut Finding, evidence: &Evidence<'_>, round: &Rollout) {
    let workload = &round.workload;
    let (from, to) = (format!("rollout {}", round.place), format!("rolled-out {}", round.place));
    finding.part(|f| {
        let window = Window::between(evidence, &from, &to)?;
        let gaps = window.gaps(&kinds(std::slice::from_ref(workload), &[]));
        f.watched(&gaps, |f| {
            f.part(|f| {
                if let Some(why) = replaces_nothing(evidence, workload, &from)? {
                    f.check(true, why);
                    return Ok(());
                }
                f.part(|f| check_replaced(f, evidence, workload, (&from, &to)));
                check_available(f, evidence, workload, &window, &from)
            });
            f.part(|f| check_images(f, evidence, round, &to));
        });
        Ok(())
    });
    requests::check(finding, evidence, &from, &to);
}

/// Says why a rollout replaces no pod, if it replaces none: the workload declares no pod, or a partition keeps them all.
fn replaces_nothing(
    evidence: &Evidence<'_>,
    workload: &Workload,
    from: &str,
) -> Result<Option<String>, Missing> {
    let (title, uid) = (workload.title(), uid(evidence, from, workload)?);
    let before = State::at(evidence, from)?;
    let Some(object) = before.object(workload) else { return Ok(None) };
    if declared(&workload.kind, &object) == Some(0) {
        return Ok(Some(format!("{title} declares no pod: its rollout replaces none")));
    }
    let pods = before.staying(uid);
    let keeps_all = !pods.is_empty() && pods.iter().all(|pod| is_kept(workload, &object, pod));
    let keeps_all = keeps_all && !is_on_delete(&object);
    Ok(keeps_all.then(|| format!("{title}: its partition keeps every pod, and its rollout replaces none")))
}

/// Whether a rollout leaves a pod as it is: a partition, counted from the first ordinal, leaves the pods below it
/// (`newVersionedStatefulSetPod` in `stateful_set_utils.go` of Kubernetes).
fn is_kept(workload: &Workload, object: &Object<'_>, pod: &Object<'_>) -> bool {
    let updated = object.number("/spec/ordinals/start").saturating_add(partition(object));
    workload.kind == "StatefulSet" && ordinal(&workload.name, pod.name()).is_some_and(|n| n < updated)
}

/// Checks that the rollout brought its images to every pod that it replaces.
fn check_images(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    round: &Rollout,
    to: &str,
) -> Result<(), Missing> {
    let (title, uid) = (round.workload.title(), uid(evidence, to, &round.workload)?);
    let checks = at_mark(evidence, to, |state| {
        let mut pods = state.staying(uid);
        if let Some(object) = state.object(&round.workload) {
            pods.retain(|pod| !is_kept(&round.workload, &object, pod));
        }
        let check = |(container, image): (&String, &String)| {
            let runs = |pod: &Object<'_>| {
                let lists =
                    ["/spec/containers", "/spec/initContainers"].iter().flat_map(|list| pod.entries(list));
                lists.filter(|c| c["name"] == **container).any(|c| c["image"] == **image)
            };
            let others: Vec<&str> = pods.iter().filter(|pod| !runs(pod)).map(Object::name).collect();
            let what =
                format!("{title}: pods whose container {container} does not run {image}: {}", names(&others));
            (others.is_empty().into(), what)
        };
        round.images.iter().map(check).collect()
    })?;
    checks.into_iter().for_each(|(holds, what)| _ = finding.check(holds, what));
    Ok(())
}

/// Checks that no pod from before the rollout is left, and that the new ones are named as the kind promises.
fn check_replaced(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    workload: &Workload,
    (from, to): (&str, &str),
) -> Result<(), Missing> {
    let title = workload.title();
    let uid = uid(evidence, from, workload)?;
    let before = State::at(evidence, from)?;
    let object = before.object(workload).ok_or_else(|| Missing(format!("{title} was gone at `{from}`")))?;
    if is_on_delete(&object) {
        finding.check(true, format!("{title} replaces no pod by itself (OnDelete)"));
        return Ok(());
    }
    let kept = |pod: &Object<'_>| is_kept(workload, &object, pod);
    let old: Vec<Object<'_>> = before.staying(uid).into_iter().filter(|pod| !kept(pod)).collect();
    if old.is_empty() {
        return Err(Missing(format!("{title} had no pod to replace at `{from}`")));
    }
    let checks = at_mark(evidence, to, |state| {
        let new: Vec<Object<'_>> = state.staying(uid).into_iter().filter(|pod| !kept(pod)).collect();
        let left: Vec<&str> =
            old.iter().filter(|o| new.iter().any(|n| n.uid() == o.uid())).map(Object::name).collect();
        let mut checks = vec![
            (left.is_empty().into(), format!("{title}: pods that were not replaced: {}", names(&left))),
            (Holds::from(!new.is_empty()), format!("{title}: {} pods after its rollout", new.len())),
        ];
        let set = |pods: &[Object<'_>], of: &dyn Fn(&Object<'_>) -> String| -> BTreeSet<String> {
            pods.iter().map(of).collect()
        };
        match workload.kind.as_str() {
            "StatefulSet" => {
                let name = |pod: &Object<'_>| pod.name().to_owned();
                let (was, is) = (set(&old, &name), set(&new, &name));
                let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
                let what = format!("{title}: pods {} before, {} after", list(&was), list(&is));
                checks.push(((was == is).into(), what));
            }
            "Deployment" => {
                let hash = |pod: &Object<'_>| pod.label(HASH).unwrap_or_default().to_owned();
                let (was, is) = (set(&old, &hash), set(&new, &hash));
                let shared = was.intersection(&is).count();
                let what =
                    format!("{title}: {shared} of {} ReplicaSets have pods before and after", was.len());
                checks.push(((shared == 0).into(), what));
            }
            _ => {}
        }
        checks
    })?;
    checks.into_iter().for_each(|(holds, what)| _ = finding.check(holds, what));
    Ok(())
}

/// Returns the least number of available pods that a workload's strategy promises; none without a promise.
fn least(workload: &Workload, object: &Object<'_>) -> Result<Option<i64>, Missing> {
    let whole = declared(&workload.kind, object).unwrap_or_default();
    let unavailable = object.at("/spec/updateStrategy/rollingUpdate/maxUnavailable");
    match workload.kind.as_str() {
        "Deployment" if object.text("/spec/strategy/type") == Some("Recreate") => Ok(None),
        "Deployment" => Ok(Some(Limits::of(object)?.least)),
        _ if is_on_delete(object) => Ok(None),
        kind => {
            // The controller of DaemonSets rounds a share up, that of StatefulSets down and to one pod at least.
            let up = kind == "DaemonSet";
            let share = unavailable.map_or(Some(1), |value| portion(value, whole, up));
            let share = share
                .ok_or_else(|| Missing(format!("maxUnavailable of {} cannot be read", workload.title())))?;
            Ok(Some((whole - if up { share } else { share.max(1) }).max(0)))
        }
    }
}

/// Checks that enough pods were available all the time, by the workload's status and by its pods.
fn check_available(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    workload: &Workload,
    window: &Window<'_>,
    from: &str,
) -> Result<(), Missing> {
    let title = workload.title();
    let uid = uid(evidence, from, workload)?;
    let states = window.states(uid);
    let all = State::after(evidence);
    let ready = window.counts("Pod", |pod| all.is_of(pod, uid), Object::is_ready);
    if states.len() < 2 || ready.len() < 2 {
        return Err(Missing(format!(
            "no changes of {title} and of its pods were recorded during its rollout"
        )));
    }
    let promised: Vec<Option<i64>> =
        states.iter().map(|state| least(workload, state)).collect::<Result<_, _>>()?;
    // An autoscaler may change the number of pods meanwhile: the smallest promise counts.
    let Some(least) = promised.into_iter().min().flatten() else {
        let strategy = if workload.kind == "Deployment" { "Recreate" } else { "OnDelete" };
        finding
            .check(true, format!("{title}: its strategy {strategy} sets no lower limit of available pods"));
        return Ok(());
    };
    let field = match workload.kind.as_str() {
        "Deployment" => "/status/availableReplicas",
        "StatefulSet" => "/status/readyReplicas",
        _ => "/status/numberAvailable",
    };
    let available: Vec<_> = states.iter().map(|o| (o.span().0, o.number(field))).collect();
    for (sums, by) in [(&available, "by its status"), (&ready, "by its pods")] {
        let (found, enough) = fewest(sums, least);
        finding.check(enough, format!("{title}: fewest available {by}: {found}, at least {least} allowed"));
    }
    Ok(())
}

/// Whether a workload's pods are only replaced when somebody deletes them.
fn keeps_pods(evidence: &Evidence<'_>, workload: &Workload) -> bool {
    let found = State::at(evidence, "ready").ok().and_then(|state| state.object(workload));
    found.is_some_and(|object| is_on_delete(&object))
}

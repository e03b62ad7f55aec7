//! `pod-loss`: a deleted pod is replaced as its workload's kind promises.

use std::collections::BTreeSet;

use super::facts::{self, DeletedPod};
use super::state::{State, at_mark, declared, node_of, uid};
use super::workloads::check_complete;
use super::{check_settled, kinds, requests, rules, summarise, workloads};
use crate::judge::lost::Touched;
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Holds, Missing};

/// Judges `pod-loss`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    rules::none(finding, evidence);
    let workloads = workloads(evidence)?;
    let deleted = evidence.facts(&facts::DELETED_POD);
    for workload in &workloads {
        let title = workload.title();
        if matches!(workload.kind.as_str(), "Job" | "Pod") {
            let why = if workload.kind == "Job" { "a Job runs once" } else { "nothing would replace it" };
            finding.check(true, format!("{title}: no pod is deleted, because {why}"));
            continue;
        }
        if wants_none(evidence, workload) {
            finding.check(true, format!("{title} wants no pod"));
            continue;
        }
        let Some(deleted) = finding.part(|_| deleted.clone()) else { continue };
        let Some(pod) = deleted.iter().rev().find(|deleted| deleted.workload == *workload) else {
            finding.unsure(format!("{title}: no pod of it was deleted"));
            continue;
        };
        let (from, to) =
            (format!("pod-loss {}", workload.subject()), format!("pod-replaced {}", workload.subject()));
        finding.part(|f| check_settled(f, evidence, "pod-loss", workload));
        finding.part(|f| {
            let gaps =
                evidence.gaps(evidence.between(&from, &to)?, &kinds(std::slice::from_ref(workload), &[]));
            f.watched(&gaps, |f| {
                f.part(|f| check_replaced(f, evidence, pod, (&from, &to)));
                f.part(|f| check_complete(f, evidence, &to, workload));
            });
            Ok(())
        });
        requests::check(finding, evidence, &from, &to);
    }
    summarise(finding, &workloads);
    Ok(())
}

/// Whether a workload declares no pods, in the last state that was recorded before the first pod was deleted.
fn wants_none(evidence: &Evidence<'_>, workload: &facts::Workload) -> bool {
    let state = State::after(&evidence.until("clean"));
    state.object(workload).is_some_and(|object| declared(&workload.kind, &object) == Some(0))
}

/// Returns the names of the claims that a pod mounts.
fn claims<'r>(pod: &Object<'r>) -> BTreeSet<&'r str> {
    let volumes = pod.entries("/spec/volumes").iter();
    volumes.filter_map(|volume| volume.pointer("/persistentVolumeClaim/claimName")?.as_str()).collect()
}

fn check_replaced(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    deleted: &DeletedPod,
    (from, to): (&str, &str),
) -> Result<(), Missing> {
    let (title, kind) = (deleted.workload.title(), deleted.workload.kind.as_str());
    let uid = uid(evidence, from, &deleted.workload)?;
    let before = State::at(evidence, from)?.pods(uid);
    let old = before.iter().find(|pod| pod.uid() == deleted.uid);
    let old = old.ok_or_else(|| {
        Missing(format!("pod {} was not recorded as one of {title} before its deletion", deleted.pod))
    })?;
    let at = evidence.mark(to)?.mono_us as f64 / 1e6;
    let checks = at_mark(evidence, to, |state| {
        let staying = state.staying(uid);
        let stays = staying.iter().any(|pod| pod.uid() == deleted.uid);
        let mut checks = vec![(
            Holds::from(!stays),
            format!("{title}: the deleted pod {} is still there: {stays}", old.name()),
        )];
        let new: Vec<&Object<'_>> =
            staying.iter().filter(|pod| before.iter().all(|b| b.uid() != pod.uid())).collect();
        match kind {
            "StatefulSet" => {
                let heir = new.iter().find(|pod| pod.name() == old.name());
                let what = format!("{title}: a new pod {} took the name: {}", old.name(), heir.is_some());
                checks.push((Holds::from(heir.is_some()), what));
                if let Some(heir) = heir {
                    let same = claims(old) == claims(heir);
                    checks
                        .push((same.into(), format!("{title}: {} has the same claims: {same}", heir.name())));
                }
            }
            "DaemonSet" => {
                let node = node_of(old);
                let heir = new.iter().any(|pod| node_of(pod) == node);
                let touched = [Touched::pod(node, old.uid(), (at, at))];
                checks.push((Holds::or(heir, touched), format!("{title}: a new pod runs on {node}: {heir}")));
            }
            "Deployment" | "ReplicaSet" => {
                let heir = new.iter().find(|pod| pod.name() != old.name());
                let name = heir.map_or("no pod", |pod| pod.name());
                checks
                    .push((Holds::from(heir.is_some()), format!("{title}: {name} replaces {}", old.name())));
            }
            _ => {}
        }
        checks
    })?;
    checks.into_iter().for_each(|(holds, what)| _ = finding.check(holds, what));
    Ok(())
}

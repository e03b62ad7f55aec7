//! `identities`: pods are replaced as their kind promises, and none is lost.

use std::collections::BTreeSet;

use super::reasons::OWNERS;
use super::{BEGINS, ENDS, watched};
use crate::judge::object::{Object, names};
use crate::judge::trial::facts::Workload;
use crate::judge::trial::node_loss::check_one_of_a_name;
use crate::judge::trial::state::{LATELY, State, at_mark, declared, least_lately};
use crate::judge::trial::workloads::{check_complete, checks};
use crate::judge::{Evidence, Finding, Missing};

/// The kinds whose pods must be complete at the end.
const KINDS: [&str; 3] = ["DaemonSet", "Deployment", "StatefulSet"];

/// Judges `identities`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let kinds: Vec<&str> = OWNERS.into_iter().filter(|kind| *kind != "Job").chain(["Pod"]).collect();
    watched(evidence, finding, &kinds, |finding| {
        let before = State::at(evidence, BEGINS)?;
        let after = State::at(evidence, ENDS)?;
        let mut complete = Vec::new();
        for kind in KINDS {
            for object in before.of_kind(kind) {
                let namespace = object.namespace().to_owned();
                let workload = Workload {
                    kind: kind.into(),
                    namespace,
                    name: object.name().into(),
                    in_named_namespace: false,
                    made_by: None,
                };
                let one = One { evidence, workload, before: &before, after: &after, object };
                if finding.part(|finding| one.check(finding)) == Some(true) {
                    complete.push(one.workload.title());
                }
            }
            check_new(finding, evidence, kind, (&before, &after));
        }
        if complete.is_empty() {
            finding.unsure("no Deployment, StatefulSet or DaemonSet existed when the command began");
        }
        finding.summary(format!("nothing was lost: {}", names(&complete)));
        Ok(())
    })
}

/// Checks that every workload of a kind that the command created is complete.
fn check_new(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    kind: &str,
    (before, after): (&State<'_>, &State<'_>),
) {
    for object in after.of_kind(kind) {
        let namespace = object.namespace().to_owned();
        if before.named(kind, &namespace, object.name()).is_some() {
            continue;
        }
        let workload = Workload {
            kind: kind.into(),
            namespace,
            name: object.name().into(),
            in_named_namespace: false,
            made_by: None,
        };
        finding.part(|finding| check_end(finding, evidence, &workload));
    }
}

/// Checks that a workload is complete at the end. An autoscaler or a person may have raised its count just before: nothing waits for
/// the new pods then.
fn check_end(finding: &mut Finding, evidence: &Evidence<'_>, workload: &Workload) -> Result<(), Missing> {
    let (end, state) = (evidence.mark(ENDS)?.mono_us as f64 / 1e6, State::at(evidence, ENDS)?);
    let of =
        |state: &State<'_>| state.object(workload).map_or_else(Vec::new, |o| checks(state, workload, &o));
    let is_met = at_mark(evidence, ENDS, of)?.iter().all(|(holds, _)| holds.is_met());
    let raised = state.object(workload).filter(|_| !is_met).and_then(|object| {
        let least = least_lately(evidence, workload, &object, end)?;
        let now = declared(&workload.kind, &object).filter(|now| *now > least)?;
        let ready = state.staying(object.uid()).iter().filter(|pod| pod.is_ready()).count();
        // A DaemonSet that is new declares no pod at first.
        let is_new = least == 0 && workload.kind == "DaemonSet";
        (!is_new && ready as i64 >= least).then_some((least, now, ready))
    });
    let Some((least, now, ready)) = raised else {
        return check_complete(finding, evidence, ENDS, workload);
    };
    let title = workload.title();
    let what =
        format!("{title} was scaled from {least} to {now} within the last {LATELY:.0} s: {ready} pods ready");
    finding.unsure(what);
    Ok(())
}

/// A workload that existed when the command began.
struct One<'e, 'r> {
    evidence: &'e Evidence<'r>,
    workload: Workload,
    before: &'e State<'r>,
    after: &'e State<'r>,
    object: Object<'r>,
}

impl One<'_, '_> {
    /// Returns whether the workload still exists.
    fn check(&self, finding: &mut Finding) -> Result<bool, Missing> {
        let title = self.workload.title();
        let Some(now) = self.after.object(&self.workload) else {
            finding.check(true, format!("{title} was deleted while the command ran"));
            return Ok(false);
        };
        let is_complete = |state: &State<'_>, object: &Object<'_>| {
            checks(state, &self.workload, object).iter().all(|(holds, _)| holds.is_met())
        };
        if is_complete(self.before, &self.object) {
            check_end(finding, self.evidence, &self.workload)?;
        } else {
            finding.unsure(format!("{title} was not complete when the command began"));
        }
        if self.workload.kind == "StatefulSet" {
            // A set that was deleted and created again promises the same names and claims.
            let uids = [self.object.uid(), now.uid()];
            check_one_of_a_name(finding, self.evidence, (&self.workload, &uids), (BEGINS, ENDS))?;
            self.check_claims(finding, &now);
        }
        Ok(true)
    }

    /// Checks that each name has the claims that it had before, in the set as it is now.
    fn check_claims(&self, finding: &mut Finding, now: &Object<'_>) {
        let title = self.workload.title();
        let pods = |state: &State<'_>, uid: &str| {
            let own = state.pods(uid).into_iter();
            own.map(|pod| (pod.name().to_owned(), claims(&pod))).collect::<Vec<_>>()
        };
        let now = pods(self.after, now.uid());
        let other: Vec<String> = pods(self.before, self.object.uid())
            .into_iter()
            .filter(|(name, claims)| now.iter().any(|(of, now)| of == name && now != claims))
            .map(|(name, _)| name)
            .collect();
        finding.check(
            other.is_empty(),
            format!("{title}: names with other claims than before: {}", names(&other)),
        );
    }
}

fn claims(pod: &Object<'_>) -> BTreeSet<String> {
    let claim = |volume: &serde_json::Value| {
        volume
            .pointer("/persistentVolumeClaim/claimName")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
    };
    pod.entries("/spec/volumes").iter().filter_map(claim).collect()
}

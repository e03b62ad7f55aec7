//! `data`: a pod that is replaced on another node finds its files there, or waits for its node.

use std::collections::BTreeSet;

use super::facts::Workload;
use super::fault::{Fault, LOSS};
use super::files::{Compared, compare, files, missing, share_a_file, some};
use super::rules::{self, DataRule, Fate};
use super::state::{State, node_of, uid};
use super::volumes::{self, Volume, pinned_by};
use super::{kinds, summarise, workloads};
use crate::judge::locality::{Listing, listing};
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing};

/// What to do about a volume that a replacement may not find.
const PIN: &str = "give the volume a nodeAffinity, or use storage that follows the pod";

/// Judges `data`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let workloads = workloads(evidence)?;
    let fault = Fault::of(evidence)?;
    fault.check(finding, evidence, LOSS)?;
    let volumes = ["PersistentVolume", "PersistentVolumeClaim"];
    let gaps = evidence.gaps(evidence.between("node-loss", "node-lost")?, &kinds(&workloads, &volumes));
    let rules = rules::of_volumes(finding, evidence)?;
    let mut met = BTreeSet::new();
    finding.watched(&gaps, |finding| {
        for workload in &workloads {
            finding.part(|f| check(f, evidence, workload, (&fault.node, &rules), &mut met));
        }
    });
    // In the claim for one workload, a volume may be another's.
    for rule in rules.iter().filter(|rule| evidence.subject().is_none() && !met.contains(&rule.volume)) {
        let (volume, word) = (&rule.volume, rule.is.word());
        finding.unsure(format!(
            "volume {volume} is expected to be `{word}`, and no pod on {} had it",
            fault.node
        ));
    }
    summarise(finding, &workloads);
    Ok(())
}

/// Returns the volumes on a node's disk of a workload's pods there, at the mark of the loss.
pub fn on_lost_node<'r>(
    evidence: &Evidence<'r>,
    workload: &Workload,
    node: &str,
) -> Result<Vec<(Object<'r>, Volume<'r>)>, Missing> {
    let uid = uid(evidence, "node-loss", workload)?;
    let state = State::at(evidence, "node-loss")?;
    let mut found = Vec::new();
    for pod in state.known_pods(workload, uid)?.into_iter().filter(|pod| node_of(pod) == node) {
        found.extend(volumes::of(&state, &pod)?.into_iter().map(|volume| (pod, volume)));
    }
    Ok(found)
}

fn check(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    workload: &Workload,
    (node, rules): (&str, &[DataRule]),
    met: &mut BTreeSet<String>,
) -> Result<(), Missing> {
    let title = workload.title();
    let volumes = on_lost_node(evidence, workload, node)?;
    if volumes.is_empty() {
        finding.check(true, format!("{title} had no volume on the disk of {node}"));
    }
    let (heirs, coming) = replacements(evidence, workload, node)?;
    let state = State::at(evidence, "node-loss")?;
    let mut seen: Vec<Volume<'_>> = Vec::new();
    for (pod, volume) in volumes {
        let rule = rules.iter().find(|rule| volume.is_called(&rule.volume));
        met.extend(rule.map(|rule| rule.volume.clone()));
        let Some(path) = volume.path else {
            let (pod, name) = (pod.name(), volume.name);
            let what = format!("{title}: volume {name} of {pod} is an emptyDir: lost with its pod");
            decide(finding, rule, (Fate::Lost, true), what);
            continue;
        };
        // Several pods of a workload on the node may share one volume.
        if !seen.contains(&volume) {
            let coming = coming.as_deref();
            let loose = workload.kind == "StatefulSet" && pinned_by(&state, &pod, node)?.is_none();
            let place = Place { evidence, title: &title, node, path, volume: &volume, coming, rule, loose };
            finding.part(|f| place.check(f, &heirs));
        }
        seen.push(volume);
    }
    Ok(())
}

/// Adds the check of what became of a volume: the default, or what a rule expects.
fn decide(finding: &mut Finding, rule: Option<&DataRule>, (fate, by_default): (Fate, bool), what: String) {
    match rule {
        None => finding.check(by_default, what),
        Some(rule) if rule.is == fate => finding.check(true, format!("{what}; expected: {}", fate.word())),
        Some(rule) => {
            finding.check(false, format!("{what}; that is `{}`, expected: {}", fate.word(), rule.is.word()))
        }
    };
}

/// A pod on another node in place of one on the lost node, with its volumes.
struct Heir<'r> {
    node: &'r str,
    volumes: Vec<Volume<'r>>,
}

/// Returns the pods of a workload that came after the loss and run on another node, and in words one that has another node and
/// does not run.
fn replacements<'r>(
    evidence: &Evidence<'r>,
    workload: &Workload,
    node: &str,
) -> Result<(Vec<Heir<'r>>, Option<String>), Missing> {
    let uid = uid(evidence, "node-loss", workload)?;
    let (before, state) = (State::at(evidence, "node-loss")?, State::at(evidence, "node-lost")?);
    let old = before.pods(uid);
    let is_new = |pod: &Object<'_>| node_of(pod) != node && old.iter().all(|o| o.uid() != pod.uid());
    let runs = |pod: &Object<'_>| pod.is_ready() || pod.text("/status/phase") == Some("Running");
    let heirs = state.pods(uid).into_iter().filter(|pod| is_new(pod) && runs(pod));
    let heirs = heirs.map(|pod| Ok(Heir { node: node_of(&pod), volumes: volumes::of(&state, &pod)? }));
    let is_pending = |pod: &Object<'_>| pod.text("/status/phase") == Some("Pending");
    let coming = |pod: &Object<'_>| is_new(pod) && !node_of(pod).is_empty() && is_pending(pod);
    let coming = state.staying(uid).into_iter().find(coming);
    let coming = coming.map(|pod| format!("{} is on {}", pod.name(), node_of(&pod)));
    Ok((heirs.collect::<Result<_, _>>()?, coming))
}

/// A volume on the lost node.
struct Place<'a, 'r> {
    evidence: &'a Evidence<'r>,
    title: &'a str,
    node: &'a str,
    path: &'a str,
    volume: &'a Volume<'r>,
    /// A pod in place of one on the lost node that has another node and does not run, in words.
    coming: Option<&'a str>,
    /// What the trial expects of the volume.
    rule: Option<&'a DataRule>,
    /// Whether Kubernetes may place a replacement on another node: a StatefulSet's pod only stays because it is not replaced.
    loose: bool,
}

impl Place<'_, '_> {
    fn check(&self, finding: &mut Finding, heirs: &[Heir<'_>]) -> Result<(), Missing> {
        let Self { title, node, path, .. } = self;
        let before = listing(self.evidence, "before-loss", node, path)?;
        let files = files(&before);
        if files.is_empty() {
            finding
                .unsure(format!("{title}: {path} on {node} was empty from the start, so nothing is shown"));
            return Ok(());
        }
        if let (true, Some(pod)) = (heirs.is_empty(), self.coming) {
            finding.unsure(format!(
                "{title}: {pod}, and does not run yet: nothing shows what becomes of {path}"
            ));
        } else if heirs.is_empty() {
            self.check_waits(finding, &before);
        }
        for heir in heirs {
            let own = heir.volumes.iter().find(|v| v.name == self.volume.name).and_then(|v| v.path);
            match own {
                Some(own) => _ = finding.part(|f| self.check_heir(f, &before, heir.node, own)),
                None => {
                    let what =
                        format!("{title}: volume {} is not on the disk of {}", self.volume.name, heir.node);
                    _ = match self.rule {
                        None => finding.check(true, what),
                        Some(rule) => {
                            finding.unsure(format!("{what}; whether it is `{}` is not shown", rule.is.word()))
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks that the files of a volume without a replacement are still on its node.
    fn check_waits(&self, finding: &mut Finding, before: &Listing<'_>) {
        let Self { title, node, path, .. } = self;
        let count = files(before).len();
        let waits = format!("{title}: {path} waits for its node {node}, with {count} files");
        let kept = listing(self.evidence, "during-loss", node, path).ok();
        match kept.map(|kept| (kept.incomplete, share_a_file(before, &kept))) {
            Some((Some(why), _)) => {
                let why = format!("{why}: nothing shows whether they stayed");
                finding.unsure(format!("{title}: {path} on {node} had {count} files; {why}"));
            }
            Some((None, false)) => {
                let what = format!("{title}: all {count} files vanished from {path} on {node}");
                decide(finding, self.rule, (Fate::Lost, false), what);
            }
            Some((None, true)) | None if self.loose && self.rule.is_none() => {
                let what = &self.volume.what;
                finding
                    .unsure(format!("{waits}, and nothing keeps a replacement there: {what}. hint: {PIN}"));
            }
            Some((None, true)) | None => decide(finding, self.rule, (Fate::Waits, true), waits),
        }
    }

    /// Checks that a replacement found the files.
    fn check_heir(
        &self,
        finding: &mut Finding,
        before: &Listing<'_>,
        on: &str,
        own: &str,
    ) -> Result<(), Missing> {
        let Self { title, path, .. } = self;
        let there = listing(self.evidence, "before-loss", on, own)?;
        let at = format!("{title}: {own} on {on}");
        match compare(before, &there) {
            Compared::Same { proved: true } if before.incomplete.or(there.incomplete).is_none() => {
                let what =
                    format!("{title}: {path} follows its pod to {on}, the same files were there before");
                decide(finding, self.rule, (Fate::Follows, true), what);
                return Ok(());
            }
            Compared::Same { .. } | Compared::Partly => {
                finding.unsure(format!(
                    "{at} had some of the files before: nothing shows whether it is the same volume"
                ));
                return Ok(());
            }
            Compared::None => {}
        }
        if let Some(why) = there.incomplete {
            finding.unsure(format!("{at} lacks the files, as far as it was listed: {why}"));
            return Ok(());
        }
        // The application itself may have copied its files.
        if let Ok(now) = listing(self.evidence, "during-loss", on, own) {
            match compare(before, &now) {
                Compared::Same { proved: true } => {
                    let what = format!("{at} has the same files, which came after the loss");
                    decide(finding, self.rule, (Fate::Follows, true), what);
                    return Ok(());
                }
                Compared::Same { proved: false } => {
                    finding.unsure(format!(
                        "{at} has files of the same names and sizes: nothing shows whether they are copies"
                    ));
                    return Ok(());
                }
                Compared::Partly | Compared::None => {}
            }
        }
        self.check_lost(finding, before, (on, own), there.is_empty())
    }

    /// Checks where the files are that a replacement did not find.
    fn check_lost(
        &self,
        finding: &mut Finding,
        before: &Listing<'_>,
        (on, own): (&str, &str),
        empty: bool,
    ) -> Result<(), Missing> {
        let Self { title, node, path, volume, .. } = self;
        let kept = listing(self.evidence, "during-loss", node, path)?;
        let gone = missing(before, &kept);
        let count = files(before).len();
        if !gone.is_empty() {
            let what = format!("{title}: files vanished from {path} on {node}: {}", some(&gone));
            match (kept.incomplete, share_a_file(before, &kept), self.rule) {
                (Some(_), ..) => kept.must_have(finding, false, what),
                (None, false, rule) => decide(finding, rule, (Fate::Lost, false), what),
                // Neither lost nor left behind: both are wrong without a rule.
                (None, true, None) => _ = finding.check(false, format!("{what}; the others stayed there")),
                (None, true, Some(rule)) => {
                    let why = format!("whether it is `{}` is not shown", rule.is.word());
                    finding.unsure(format!("{what}; the others stayed there: {why}"));
                }
            }
            return Ok(());
        }
        let how = if empty { format!("an EMPTY {own}") } else { format!("other files in {own}") };
        let what =
            format!("{title} came up on {on} with {how}: {}; {count} files stayed on {node}", volume.what);
        let is_expected = self.rule.is_some_and(|rule| rule.is == Fate::LeftBehind);
        let what = if is_expected { what } else { format!("{what}. hint: {PIN}") };
        decide(finding, self.rule, (Fate::LeftBehind, false), what);
        Ok(())
    }
}

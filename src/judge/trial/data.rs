//! `data`: a pod that is replaced on another node finds its files there, or waits for its node.

use std::collections::BTreeSet;

use super::facts::Workload;
use super::fault::{Fault, LOSS};
use super::files::{Compared, compare, files, missing, servers, share_a_file, some};
use super::rules::{self, DataRule, Fate};
use super::state::{State, node_of, uid};
use super::volumes::{self, Volume, may_move};
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
    let volumes = ["Node", "PersistentVolume", "PersistentVolumeClaim"];
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
    let heirs = replacements(evidence, workload, node)?;
    let state = State::at(evidence, "node-loss")?;
    let lost = State::at(evidence, "node-lost")?;
    let mut seen: Vec<Volume<'_>> = Vec::new();
    for (pod, volume) in volumes {
        let rule = rules.iter().find(|rule| volume.is_called(&rule.volume));
        met.extend(rule.map(|rule| rule.volume.clone()));
        let Some(path) = volume.path else {
            let what = format!("{title}: volume {} of {} is {}", volume.name, pod.name(), volume.what);
            let (fate, why) =
                match (volumes::is_in_memory(&pod, volume.name), volumes::outlasts(workload, &pod)) {
                    (false, true) => {
                        (Fate::Waits, format!("waits on {node} with its pod, which nothing deletes"))
                    }
                    (true, true) => (Fate::Lost, "lost with its node's memory".to_owned()),
                    (_, false) => (Fate::Lost, "lost with its pod".to_owned()),
                };
            decide(finding, rule, (fate, true), format!("{what}: {why}"));
            continue;
        };
        // Several pods of a workload on the node may share one volume.
        if !seen.contains(&volume) {
            let hold = hold((&state, &lost), workload, &pod)?;
            let place = Place { evidence, title: &title, node, path, volume: &volume, rule, hold };
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

/// The pods in place of those on the lost node.
struct Heirs<'r> {
    running: Vec<Heir<'r>>,
    /// In words, one that has another node and does not run.
    coming: Option<String>,
    /// The name of one that has no node.
    unplaced: Option<&'r str>,
}

/// Returns the pods of a workload that came after the loss and are not on the lost node.
fn replacements<'r>(evidence: &Evidence<'r>, workload: &Workload, node: &str) -> Result<Heirs<'r>, Missing> {
    let uid = uid(evidence, "node-loss", workload)?;
    let (before, state) = (State::at(evidence, "node-loss")?, State::at(evidence, "node-lost")?);
    let old = before.pods(uid);
    let is_new = |pod: &Object<'_>| node_of(pod) != node && old.iter().all(|o| o.uid() != pod.uid());
    let runs = |pod: &Object<'_>| pod.is_ready() || pod.text("/status/phase") == Some("Running");
    let running = state.pods(uid).into_iter().filter(|pod| is_new(pod) && runs(pod));
    let running = running.map(|pod| Ok(Heir { node: node_of(&pod), volumes: volumes::of(&state, &pod)? }));
    let is_pending = |pod: &Object<'_>| pod.text("/status/phase") == Some("Pending");
    let pending = state.staying(uid).into_iter().filter(|pod| is_new(pod) && is_pending(pod));
    let (unplaced, coming): (Vec<_>, Vec<_>) = pending.partition(|pod| node_of(pod).is_empty());
    let coming = coming.first().map(|pod| format!("{} is on {}", pod.name(), node_of(pod)));
    let unplaced = unplaced.first().map(Object::name);
    Ok(Heirs { running: running.collect::<Result<_, _>>()?, coming, unplaced })
}

/// What keeps the files of a pod from being left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Any other pod of the workload would be placed on the same node, or no other pod takes its place.
    Pinned,
    /// The pod still has its place, although Kubernetes may give it to another pod on another node.
    Kept,
    /// The pod has lost its place, and nothing pins another pod to the node.
    Loose,
}

/// Returns what keeps the files of a pod of a workload from being left behind, by the states at the loss and at its end.
fn hold(
    (before, after): (&State<'_>, &State<'_>),
    workload: &Workload,
    pod: &Object<'_>,
) -> Result<Hold, Missing> {
    if matches!(workload.kind.as_str(), "DaemonSet" | "Pod") || !may_move(before, pod, node_of(pod))? {
        return Ok(Hold::Pinned);
    }
    let now = after.of_kind("Pod").find(|now| now.uid() == pod.uid());
    // The controller of a StatefulSet makes no other pod of the name until the old one is gone.
    let is_kept = now.is_some_and(|now| workload.kind == "StatefulSet" || !now.is_terminating());
    Ok(if is_kept { Hold::Kept } else { Hold::Loose })
}

/// A volume on the lost node.
struct Place<'a, 'r> {
    evidence: &'a Evidence<'r>,
    title: &'a str,
    node: &'a str,
    path: &'a str,
    volume: &'a Volume<'r>,
    /// What the trial expects of the volume.
    rule: Option<&'a DataRule>,
    hold: Hold,
}

impl Place<'_, '_> {
    fn check(&self, finding: &mut Finding, heirs: &Heirs<'_>) -> Result<(), Missing> {
        let Self { title, node, path, .. } = self;
        let before = listing(self.evidence, "before-loss", node, path)?;
        let files = files(&before);
        if files.is_empty() {
            finding
                .unsure(format!("{title}: {path} on {node} was empty from the start, so nothing is shown"));
            return Ok(());
        }
        if let (true, Some(pod)) = (heirs.running.is_empty(), &heirs.coming) {
            finding.unsure(format!(
                "{title}: {pod}, and does not run yet: nothing shows what becomes of {path}"
            ));
        } else if heirs.running.is_empty() {
            self.check_waits(finding, &before, heirs.unplaced);
        }
        for heir in &heirs.running {
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

    /// Checks that the files of a volume without a running replacement are still on its node.
    fn check_waits(&self, finding: &mut Finding, before: &Listing<'_>, unplaced: Option<&str>) {
        let Self { title, node, path, .. } = self;
        let count = files(before).len();
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
            Some((None, true)) | None => self.check_kept(finding, count, unplaced),
        }
    }

    /// Checks that the files that stayed wait there for their pod.
    fn check_kept(&self, finding: &mut Finding, count: usize, unplaced: Option<&str>) {
        let Self { title, node, path, .. } = self;
        let waits = format!("{title}: {path} waits for its node {node}, with {count} files");
        if self.hold == Hold::Pinned || self.hold == Hold::Kept && self.rule.is_some() {
            return decide(finding, self.rule, (Fate::Waits, true), waits);
        }
        let what = match (self.hold, unplaced) {
            (Hold::Loose, Some(pod)) => {
                format!("{title}: {path} on {node} still has its {count} files, and {pod} has no node yet")
            }
            (Hold::Loose, None) => {
                format!("{title}: {path} on {node} still has its {count} files, and no replacement runs")
            }
            _ => waits,
        };
        match self.rule {
            None => {
                let why = &self.volume.what;
                finding.unsure(format!("{what}, and nothing keeps a replacement there: {why}. hint: {PIN}"))
            }
            Some(rule) => finding.unsure(format!("{what}: whether it is `{}` is not shown", rule.is.word())),
        };
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
        let others = servers(before, &there).filter(|(was, is)| was != is);
        match compare(before, &there) {
            Compared::Same { .. } if others.is_none() && self.has_user(on, own)? => {
                finding.unsure(format!(
                    "{at} had the same files before, and a pod that may have made them: nothing shows whether it is the same \
                     volume"
                ));
                return Ok(());
            }
            Compared::Same { proved: true } if before.incomplete.or(there.incomplete).is_none() => {
                let what =
                    format!("{title}: {path} follows its pod to {on}, the same files were there before");
                decide(finding, self.rule, (Fate::Follows, true), what);
                return Ok(());
            }
            // The files of two servers have the same names.
            Compared::Same { .. } | Compared::Partly if others.is_none() => {
                finding.unsure(format!(
                    "{at} had some of the files before: nothing shows whether it is the same volume"
                ));
                return Ok(());
            }
            _ => {}
        }
        if let Some(why) = there.incomplete.filter(|_| others.is_none()) {
            finding.unsure(format!("{at} lacks the files, as far as it was listed: {why}"));
            return Ok(());
        }
        if self.check_copied(finding, before, (on, own)) {
            return Ok(());
        }
        let how = match others {
            _ if there.is_empty() => format!("an EMPTY {own}"),
            Some((was, is)) => format!("other files in {own} (server_uuid {is}, not {was})"),
            None => format!("other files in {own}"),
        };
        self.check_lost(finding, before, &format!("{on} with {how}"))
    }

    /// Whether a pod on a node used a path there before the loss.
    fn has_user(&self, on: &str, own: &str) -> Result<bool, Missing> {
        let state = State::at(self.evidence, "node-loss")?;
        for pod in state.of_kind("Pod").filter(|pod| node_of(pod) == on) {
            if volumes::of(&state, &pod)?.iter().any(|volume| volume.path == Some(own)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checks whether the application itself has copied its files to another node. Returns whether a check was added.
    fn check_copied(&self, finding: &mut Finding, before: &Listing<'_>, (on, own): (&str, &str)) -> bool {
        let Ok(now) = listing(self.evidence, "during-loss", on, own) else { return false };
        let at = format!("{}: {own} on {on}", self.title);
        let server = servers(before, &now);
        match (compare(before, &now), server) {
            (Compared::Same { .. } | Compared::Partly, Some((was, is))) if was == is => {
                finding.unsure(format!(
                    "{at} has files of the same server (server_uuid {is}), which came after the loss: nothing shows \
                     whether all are copies"
                ));
            }
            // An application that finds nothing makes its first files again, with the same contents.
            (Compared::Same { proved }, None) => {
                let of = if proved { "contents" } else { "names and sizes" };
                finding.unsure(format!(
                    "{at} was empty, and has files of the same {of} since the loss: nothing shows whether they are copies"
                ));
            }
            _ => return false,
        }
        true
    }

    /// Checks where the files are that a replacement did not find, which came up at a place in words.
    fn check_lost(&self, finding: &mut Finding, before: &Listing<'_>, place: &str) -> Result<(), Missing> {
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
        let what = format!("{title} came up on {place}: {}; {count} files stayed on {node}", volume.what);
        let is_expected = self.rule.is_some_and(|rule| rule.is == Fate::LeftBehind);
        let what = if is_expected { what } else { format!("{what}. hint: {PIN}") };
        decide(finding, self.rule, (Fate::LeftBehind, false), what);
        Ok(())
    }
}

//! `data`: a pod that is replaced on another node finds its files there, or waits for its node.

use std::collections::BTreeMap;

use super::facts::Workload;
use super::fault::{Fault, LOSS};
use super::state::{State, node_of, uid};
use super::volumes::{self, Volume};
use super::{kinds, summarise, workloads};
use crate::event::FileEntry;
use crate::judge::locality::{Listing, listing};
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Missing};

/// Judges `data`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let workloads = workloads(evidence)?;
    let fault = Fault::of(evidence)?;
    fault.check(finding, evidence, LOSS)?;
    let volumes = ["PersistentVolume", "PersistentVolumeClaim"];
    let gaps = evidence.gaps(evidence.between("node-loss", "node-lost")?, &kinds(&workloads, &volumes));
    finding.watched(&gaps, |finding| {
        for workload in &workloads {
            finding.part(|f| check(f, evidence, workload, &fault.node));
        }
    });
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
    node: &str,
) -> Result<(), Missing> {
    let title = workload.title();
    let volumes = on_lost_node(evidence, workload, node)?;
    if volumes.is_empty() {
        finding.check(true, format!("{title} had no volume on the disk of {node}"));
    }
    let heirs = heirs(evidence, workload, node)?;
    let mut seen: Vec<Volume<'_>> = Vec::new();
    for (pod, volume) in volumes {
        let Some(path) = volume.path else {
            let (pod, name) = (pod.name(), volume.name);
            finding.check(true, format!("{title}: volume {name} of {pod} is an emptyDir: lost with its pod"));
            continue;
        };
        // Several pods of a workload on the node may share one volume.
        if !seen.contains(&volume) {
            let place = Place { evidence, title: &title, node, path, volume: &volume };
            finding.part(|f| place.check(f, &heirs));
        }
        seen.push(volume);
    }
    Ok(())
}

/// A pod on another node in place of one on the lost node, with its volumes.
struct Heir<'r> {
    node: &'r str,
    volumes: Vec<Volume<'r>>,
}

/// Returns the pods of a workload that came after the loss and run on another node.
fn heirs<'r>(evidence: &Evidence<'r>, workload: &Workload, node: &str) -> Result<Vec<Heir<'r>>, Missing> {
    let uid = uid(evidence, "node-loss", workload)?;
    let (before, state) = (State::at(evidence, "node-loss")?, State::at(evidence, "node-lost")?);
    let old = before.pods(uid);
    let is_heir = |pod: &Object<'_>| {
        let runs = pod.is_ready() || pod.text("/status/phase") == Some("Running");
        runs && node_of(pod) != node && old.iter().all(|o| o.uid() != pod.uid())
    };
    let heirs = state.pods(uid).into_iter().filter(is_heir);
    heirs.map(|pod| Ok(Heir { node: node_of(&pod), volumes: volumes::of(&state, &pod)? })).collect()
}

/// A volume on the lost node.
struct Place<'a, 'r> {
    evidence: &'a Evidence<'r>,
    title: &'a str,
    node: &'a str,
    path: &'a str,
    volume: &'a Volume<'r>,
}

/// How the files of one listing compare with those of another.
enum Compared {
    /// Every file is there with its size and, where both are known, its checksum.
    Same {
        /// Whether checksums of all files prove it.
        proved: bool,
    },
    /// Some files are there.
    Partly,
    /// None is there.
    None,
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
        if heirs.is_empty() {
            finding.check(
                true,
                format!("{title}: {path} waits for its node {node}, with {} files", files.len()),
            );
        }
        for heir in heirs {
            let own = heir.volumes.iter().find(|v| v.name == self.volume.name).and_then(|v| v.path);
            match own {
                Some(own) => _ = finding.part(|f| self.check_heir(f, &before, heir.node, own)),
                None => {
                    _ = finding.check(
                        true,
                        format!("{title}: volume {} is not on the disk of {}", self.volume.name, heir.node),
                    )
                }
            }
        }
        Ok(())
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
                finding.check(
                    true,
                    format!("{title}: {path} follows its pod to {on}, the same files were there before"),
                );
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
                    finding.check(true, format!("{at} has the same files, which came after the loss"));
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
            kept.must_have(finding, false, what);
            return Ok(());
        }
        let how = if empty { format!("an EMPTY {own}") } else { format!("other files in {own}") };
        let what = &volume.what;
        finding.check(
            false,
            format!(
                "{title} came up on {on} with {how}: {what}; {count} files stayed on {node}. hint: give the \
                 volume a nodeAffinity, or use storage that follows the pod"
            ),
        );
        Ok(())
    }
}

/// Returns the files of a listing, without folders.
fn files<'r>(listing: &Listing<'r>) -> Vec<&'r FileEntry> {
    listing.entries.iter().filter(|entry| !entry.path.ends_with('/')).collect()
}

/// Returns the files and folders of one listing that another one lacks.
pub fn missing<'r>(before: &Listing<'r>, now: &Listing<'_>) -> Vec<&'r str> {
    before.entries.iter().map(|entry| entry.path.as_str()).filter(|path| !now.has(path)).collect()
}

/// Names at most five of some files.
pub fn some(paths: &[&str]) -> String {
    match paths {
        [a, b, c, d, e, rest @ ..] if !rest.is_empty() => {
            format!("{} and {} more", [*a, *b, *c, *d, *e].join(", "), rest.len())
        }
        all => names(all),
    }
}

fn compare(before: &Listing<'_>, now: &Listing<'_>) -> Compared {
    let there: BTreeMap<&str, &FileEntry> = files(now).into_iter().map(|e| (e.path.as_str(), e)).collect();
    let (mut same, mut found, mut proved) = (true, false, true);
    for was in files(before) {
        let Some(is) = there.get(was.path.as_str()) else {
            same = false;
            continue;
        };
        found = true;
        let sums = was.sha256.as_ref().zip(is.sha256.as_ref());
        same &= was.size == is.size && sums.is_none_or(|(was, is)| was == is);
        proved &= sums.is_some();
    }
    match (same, found) {
        (true, _) => Compared::Same { proved },
        (false, true) => Compared::Partly,
        (false, false) => Compared::None,
    }
}

//! `return`: with the node back, every workload is complete, and the files of its volumes are still on the node.

use super::data::on_lost_node;
use super::facts::{self, Workload};
use super::files::{keeps_most, missing, servers, share_a_checksum, some};
use super::node_loss::check_one_of_a_name;
use super::state::{State, at_mark, node_of, uid};
use super::workloads::check_complete;
use super::{check_settled, kinds, requests, rules, summarise, workloads};
use crate::judge::locality::{Listing, listing};
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Holds, Missing};

/// Judges `return`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    rules::none(finding, evidence);
    let workloads = workloads(evidence)?;
    let volumes = ["PersistentVolume", "PersistentVolumeClaim"];
    let gaps = evidence.gaps(evidence.between("return", "returned")?, &kinds(&workloads, &volumes));
    for workload in &workloads {
        finding.part(|f| check_settled(f, evidence, "return", workload));
        finding.watched(&gaps, |f| {
            f.part(|f| check_complete(f, evidence, "returned", workload));
            f.part(|f| check_none_ending(f, evidence, workload));
            if workload.kind == "StatefulSet" {
                f.part(|f| {
                    let uid = uid(evidence, "return", workload)?;
                    check_one_of_a_name(f, evidence, (workload, &[uid]), ("return", "returned"))
                });
            }
            f.part(|f| check_files(f, evidence, workload));
        });
    }
    requests::check(finding, evidence, "return", "returned");
    summarise(finding, &workloads);
    Ok(())
}

/// Checks that no pod of a workload is left in its deletion.
fn check_none_ending(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    workload: &Workload,
) -> Result<(), Missing> {
    let uid = uid(evidence, "returned", workload)?;
    let at = evidence.mark("returned")?.mono_us as f64 / 1e6;
    let checks = at_mark(evidence, "returned", |state| {
        let pods = state.of_kind("Pod").filter(|pod| state.is_of(pod, uid) && pod.is_terminating());
        let ending: Vec<&str> = pods.map(|pod: Object<'_>| pod.name()).collect();
        let what =
            format!("{}: pods still terminating with the node back: {}", workload.title(), names(&ending));
        vec![(Holds::of_any(ending.is_empty(), (at, at)), what)]
    })?;
    checks.into_iter().for_each(|(holds, what)| _ = finding.check(holds, what));
    Ok(())
}

/// Checks that the files of the workload's volumes are still on the returned node.
fn check_files(finding: &mut Finding, evidence: &Evidence<'_>, workload: &Workload) -> Result<(), Missing> {
    let (title, node) = (workload.title(), evidence.fact(&facts::LOST_NODE)?);
    let mut seen: Vec<&str> = Vec::new();
    let now = State::at(evidence, "returned")?;
    let now = now.known_pods(workload, uid(evidence, "returned", workload)?)?;
    let is_running = now.iter().any(|pod| node_of(pod) == node);
    for (_, volume) in on_lost_node(evidence, workload, &node)? {
        let Some(path) = volume.path.filter(|path| !seen.contains(path)) else { continue };
        seen.push(path);
        finding.part(|finding| {
            let before = listing(evidence, "before-loss", &node, path)?;
            let after = listing(evidence, "after-return", &node, path)?;
            let gone = missing(&before, &after);
            let all = before.entries.len();
            let during = listing(evidence, "during-loss", &node, path);
            if let Some((was, is)) = servers(&before, &after).filter(|(was, is)| was != is) {
                finding.check(
                    false,
                    format!("{title}: {path} on {node} belongs to another server: its server_uuid was {was} and is {is}"),
                );
            } else if let Some(why) = unseen(&during).filter(|_| all > 0 && !share_a_checksum(&before, &after)) {
                // An application that finds nothing may make files of the same names.
                finding.unsure(format!(
                    "{title}: {path} on {node}: nothing shows that its files are those of before: {why}"
                ));
            } else if gone.is_empty() {
                after.must_have(finding, true, format!("{title}: {path} on {node} still has {all} files"));
            } else if is_running && gone.len() < all {
                // The workload itself may have removed files since its pod is back on the node.
                let lacks = gone.len();
                let what = format!("{title}: {path} on {node} has all but {lacks} of {all} files, and its pod runs there");
                if keeps_most(&before, &after) {
                    finding.check(true, what);
                } else {
                    finding.unsure(format!("{what}: nothing shows whether it removed or changed them itself"));
                }
            } else {
                after.must_have(
                    finding,
                    false,
                    format!("{title}: {path} on {node} lost files: {}", some(&gone)),
                );
            }
            Ok(())
        });
    }
    Ok(())
}

/// Returns why nothing is known of a path while its node was down; none if it was listed.
fn unseen(during: &Result<Listing<'_>, Missing>) -> Option<String> {
    match during {
        Ok(listing) => listing.incomplete.map(str::to_owned),
        Err(missing) => Some(missing.0.clone()),
    }
}

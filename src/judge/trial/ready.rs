//! `ready`: every workload becomes ready within its budget.

use super::facts::{self, Workload};
use super::workloads::check_complete;
use super::{check_settled, kinds, rules, workloads};
use crate::judge::object::names;
use crate::judge::{Evidence, Finding, Missing};

/// Judges `ready`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    rules::none(finding, evidence);
    let custom = custom_resources(evidence);
    let workloads = match workloads(evidence) {
        // The claim is judged for a custom resource alone.
        Err(_) if !custom.is_empty() => Vec::new(),
        found => found?,
    };
    evidence.mark("ready")?;
    let gaps = evidence.gaps(evidence.until("ready").records(), &kinds(&workloads, &[]));
    for workload in &workloads {
        finding.part(|f| check_settled(f, evidence, "ready", workload));
        finding.watched(&gaps, |f| f.part(|f| check_complete(f, evidence, "ready", workload)));
    }
    for resource in &custom {
        finding.part(|f| check_settled(f, evidence, "ready", resource));
    }
    let titles: Vec<String> = workloads.iter().chain(&custom).map(Workload::title).collect();
    finding.summary(format!("ready in time: {}", names(&titles)));
    Ok(())
}

/// Returns the custom resources that the claim is judged for. Older records have none.
fn custom_resources(evidence: &Evidence<'_>) -> Vec<Workload> {
    let mut all = evidence.fact(&facts::CUSTOM_RESOURCES).unwrap_or_default();
    all.retain(|one| evidence.subject().is_none_or(|subject| one.subject() == subject));
    all
}

//! `ready`: every workload becomes ready within its budget.

use super::facts::Workload;
use super::workloads::check_complete;
use super::{check_settled, kinds, workloads};
use crate::judge::object::names;
use crate::judge::{Evidence, Finding, Missing};

/// Judges `ready`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let workloads = workloads(evidence)?;
    evidence.mark("ready")?;
    let gaps = evidence.gaps(evidence.until("ready").records(), &kinds(&workloads, &[]));
    for workload in &workloads {
        finding.part(|f| check_settled(f, evidence, "ready", workload));
        finding.watched(&gaps, |f| f.part(|f| check_complete(f, evidence, "ready", workload)));
    }
    let titles: Vec<String> = workloads.iter().map(Workload::title).collect();
    finding.summary(format!("ready in time: {}", names(&titles)));
    Ok(())
}

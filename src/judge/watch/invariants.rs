//! The invariants of a watched command, each a claim of its own.

use super::{facts, scope, watched};
use crate::judge::invariants as rules;
use crate::judge::{Evidence, Finding, Missing};

/// Judges `nodes`.
pub fn nodes(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    watched(evidence, finding, &["Node"], |finding| rules::nodes_stay_ready(&scope(evidence)?, finding))
}

/// Judges `repeats`.
pub fn repeats(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let most = evidence.fact(&facts::EXPECTED)?.repeats;
    watched(evidence, finding, &["Event"], |finding| {
        rules::no_repeats(&scope(evidence)?, most, |_| false, finding)
    })
}

/// Judges `pending`.
pub fn pending(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let most = evidence.fact(&facts::EXPECTED)?.pending;
    watched(evidence, finding, &["Event", "Pod"], |finding| {
        rules::no_pod_waits(&scope(evidence)?, most, finding)
    })
}

/// Judges `containers`.
pub fn containers(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    watched(evidence, finding, &["Pod"], |finding| {
        rules::no_container_fails(&scope(evidence)?, |_, _| None, finding)
    })
}

/// Judges `sandboxes`.
pub fn sandboxes(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    watched(evidence, finding, &["Event"], |finding| rules::no_sandbox_fails(&scope(evidence)?, finding))
}

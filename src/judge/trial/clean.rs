//! `clean`: deleting the manifests leaves nothing.

use super::state::{State, uid_in};
use super::{facts, kinds, rules, workloads};
use crate::judge::object::names;
use crate::judge::{Evidence, Finding, Missing};

/// Most names of what was left.
const NAMED: usize = 10;

fn names_of(kinds: &[String]) -> String {
    let all: Vec<&str> = kinds.iter().map(String::as_str).collect();
    names(&all)
}

/// Judges `clean`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    rules::none(finding, evidence);
    let workloads = workloads(evidence)?;
    let mut left: Vec<String> = evidence.fact(&facts::LEFT)?;
    let is_word = |text: &str, word: &str| {
        text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '.').any(|w| w == word)
    };
    if evidence.subject().is_some() {
        left.retain(|one| workloads.iter().any(|workload| is_word(one, &workload.name)));
    }
    // Older records have these errors among what was left.
    let mut unanswered = evidence.fact(&facts::UNANSWERED).unwrap_or_default();
    if evidence.subject().is_some() {
        unanswered.retain(|one| workloads.iter().any(|workload| is_word(one, &workload.name)));
    }
    for text in unanswered {
        finding.unsure(format!("the API server gave no answer: {text}"));
    }
    let titles: Vec<String> = workloads.iter().map(facts::Workload::title).collect();
    let what = match left.len() {
        0 => format!("{}: nothing was left", titles.join(", ")),
        n if n > NAMED => format!("left: {} and {} more", left[..NAMED].join(", "), n - NAMED),
        _ => format!("left: {}", left.join(", ")),
    };
    finding.check(left.is_empty(), what);
    // Older records have no such list.
    let unread = evidence.fact(&facts::UNREAD).unwrap_or_default();
    if evidence.subject().is_none() && !unread.is_empty() {
        finding.unsure(format!("not every kind could be listed: {}", names_of(&unread)));
    }
    let since = evidence.since("clean")?;
    let gaps = evidence.gaps(since.records(), &kinds(&workloads, &[]));
    let state = State::after(evidence);
    finding.watched(&gaps, |finding| {
        for workload in &workloads {
            finding.part(|finding| {
                let uid = uid_in(evidence, workload)?;
                let title = workload.title();
                state.known_pods(workload, uid)?;
                let pods = state.of_kind("Pod").filter(|pod| state.is_of(pod, uid)).count();
                match (state.object(workload), pods) {
                    (None, 0) => finding.check(true, format!("{title} and its pods are gone")),
                    // The API lists nothing any more: the record of the deletion may be missing.
                    (None, pods) if left.is_empty() => {
                        finding.unsure(format!("{title}: the end of {pods} pods was not recorded"))
                    }
                    (Some(_), _) if left.is_empty() => {
                        finding.unsure(format!("{title}: its end was not recorded"))
                    }
                    (object, pods) => {
                        let there = object.is_some();
                        finding.check(false, format!("{title} is still there: {there}, with {pods} pods"))
                    }
                };
                Ok(())
            });
        }
    });
    Ok(())
}

//! `disturbed`: every pod that goes or is restarted does so for a reason.

use std::collections::BTreeMap;

use super::reasons::{Disturbance, OWNERS, What, disturbances};
use super::{scope, watched};
use crate::judge::lost::Touched;
use crate::judge::object::names;
use crate::judge::{Evidence, Finding, Holds, Missing};

/// Judges `disturbed`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let kinds: Vec<&str> = OWNERS.into_iter().chain(["Node", "Pod"]).collect();
    watched(evidence, finding, &kinds, |finding| check(evidence, finding))
}

fn check(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let scope = scope(evidence)?;
    let all = disturbances(&scope).ok_or_else(|| Missing("no Pod was recorded".into()))?;
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut unexplained: BTreeMap<(&str, What), (usize, &Disturbance<'_>)> = BTreeMap::new();
    for found in &all {
        match &found.why {
            Some(why) => reasons.entry(why).or_default().push(format!("{} {}", found.name, found.what)),
            // A container that is restarted repeatedly is one finding.
            None => unexplained.entry((&found.name, found.what)).or_insert((0, found)).0 += 1,
        }
    }
    for ((pod, what), (times, found)) in unexplained {
        let how = found.how.map(|how| format!(" ({how})")).unwrap_or_default();
        let times = if times > 1 { format!(", {times} times") } else { String::new() };
        let node = found.pod.text("/spec/nodeName").unwrap_or("no node");
        let text = format!("{pod} on {node} {what}{how}{times} for no known reason");
        if let Some(why) = found.open {
            finding.unsure(format!("{text}: {why}"));
            continue;
        }
        let holds = match what {
            // Kubernetes moves the pods of a node that does not report, but restarts no container because of that.
            What::Went => Holds::or(false, [Touched::pod(node, found.pod.uid(), (found.at, found.at))]),
            What::Restarted => false.into(),
        };
        finding.check(holds, text);
    }
    for (why, mut pods) in reasons {
        pods.sort();
        pods.dedup();
        finding.check(true, format!("{}: {why}", some(&pods)));
    }
    if all.is_empty() {
        finding.check(true, "no pod was disturbed");
    }
    finding.summary(match all.len() {
        0 => "no pod was disturbed".to_owned(),
        n => format!("{n} disturbances of pods, each for a known reason"),
    });
    Ok(())
}

/// Names at most five.
fn some(pods: &[String]) -> String {
    match pods.len() {
        0..=5 => names(pods),
        n => format!("{} and {} more", pods[..5].join(", "), n - 5),
    }
}

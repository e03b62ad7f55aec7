//! What a workload is during a disturbance, and why: the expectations of a trial about workloads.

use super::AHEAD;
use super::facts::Workload;
use super::rules::{During, WorkloadRule};
use super::state::{State, at_mark, between, declared, node_of};
use super::volumes::pinned_by;
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Holds, Missing};

/// What a workload is, why, and that in words.
struct Found {
    is: During,
    /// Reasons of the scheduler, of affinities, of containers and of the kind.
    reasons: Vec<String>,
    /// What the scheduler and the runtime say.
    texts: Vec<String>,
    what: String,
}

/// Where a disturbance is.
#[derive(Clone, Copy)]
pub struct Place<'e> {
    /// The marks around it.
    pub marks: (&'e str, &'e str),
    /// The node.
    pub node: &'e str,
    /// Whether pods on the node do not count, because it is lost.
    pub is_lost: bool,
    /// Why the end of the disturbance does not show what a workload, whose pods are replaced, would have become.
    pub short: Option<&'e str>,
}

/// Checks at the end of a loss that a workload is as expected.
pub fn check_at_end(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (workload, uid): (&Workload, &str),
    place: Place<'_>,
    rule: &WorkloadRule,
) -> Result<(), Missing> {
    // A failure of this is the same at each moment.
    found(&State::at(evidence, place.marks.1)?, (workload, uid), place)?;
    let at = evidence.mark(place.marks.1)?.mono_us as f64 / 1e6;
    let checks = at_mark(evidence, place.marks.1, |state| {
        let (met, what) = match found(state, (workload, uid), place) {
            Ok(found) => found.compared(workload, rule),
            Err(missing) => (false, missing.0),
        };
        vec![(Holds::of_any(met, (at, at)), what)]
    })?;
    for (holds, what) in checks {
        match place.short {
            // It may have become complete later.
            Some(why) if !holds.is_met() || rule.is == During::Away => {
                finding.unsure(format!("{what}; {why}"))
            }
            _ => finding.check(holds, what),
        };
    }
    Ok(())
}

/// Checks that a workload is as expected at some moment of a drain; that it is complete, at the end of its waits. Every evicted pod is
/// away for a moment, so a workload is away only if that lasts, and once its pod has ended: some are replaced only then.
pub fn check_in_drain(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (workload, uid): (&Workload, &str),
    place: Place<'_>,
    rule: &WorkloadRule,
) -> Result<(), Missing> {
    if rule.is == During::Complete {
        return check_at_end(finding, evidence, (workload, uid), place, rule);
    }
    let (from, to) = place.marks;
    let span = [evidence.mark(from)?, evidence.mark(to)?].map(|record| record.mono_us as f64 / 1e6);
    let (least, never) = match rule.is {
        During::Away => (AHEAD, format!("and not for {AHEAD:.0} s of")),
        _ => (0.0, "at no moment of".to_owned()),
    };
    let is_ending = |state: &State<'_>| state.pods(uid).iter().any(Object::is_terminating);
    let (mut last, mut since): (_, Option<(f64, String)>) = (None, None);
    let has_lasted =
        |since: &Option<(f64, String)>, at: f64| since.as_ref().is_some_and(|s| at - s.0 >= least);
    between(evidence, place.marks, |state, at| {
        if has_lasted(&since, at) {
            return true;
        }
        let compared = found(state, (workload, uid), place).map(|found| found.compared(workload, rule));
        match compared {
            Ok((true, what)) if rule.is == During::Away && is_ending(state) => {
                (last, since) = (Some(format!("{what}, until its pod has ended")), None);
            }
            Ok((true, what)) => since = since.take().or(Some((at, what))),
            Ok((false, what)) => (last, since) = (Some(what), None),
            Err(_) => {}
        }
        false
    })?;
    let is_met = has_lasted(&since, span[1]);
    match (since.map(|(_, what)| what), last) {
        (Some(what), _) if is_met => finding.check(true, format!("{what}, in `{from}`")),
        (short, last) => match last.or(short) {
            Some(what) => {
                finding.check(Holds::of_any(false, (span[0], span[1])), format!("{what}, {never} `{from}`"))
            }
            None => return Err(Missing(format!("nothing of {} was recorded in `{from}`", workload.title()))),
        },
    };
    Ok(())
}

/// Returns what a workload is at a moment.
fn found(state: &State<'_>, (workload, uid): (&Workload, &str), place: Place<'_>) -> Result<Found, Missing> {
    let counts = |pod: &Object<'_>| !place.is_lost || node_of(pod) != place.node;
    let own: Vec<Object<'_>> = state.staying(uid).into_iter().filter(counts).collect();
    let ready = own.iter().filter(|pod| pod.is_ready()).count() as i64;
    let wanted = state.object(workload).map_or(1, |o| declared(&workload.kind, &o).unwrap_or(1));
    let waiting: Vec<&Object<'_>> = own.iter().filter(|pod| !pod.is_ready()).collect();
    let title = workload.title();
    if ready >= wanted {
        let what = format!("{title} is complete: {ready} ready pods of {wanted}");
        return Ok(Found { is: During::Complete, reasons: Vec::new(), texts: Vec::new(), what });
    }
    let (mut reasons, mut texts) = (Vec::new(), Vec::new());
    if waiting.is_empty() {
        reasons.push(by_kind(&workload.kind).to_owned());
        let what = format!(
            "{title} is away: {ready} ready pods of {wanted}, and no replacement waits ({})",
            reasons[0]
        );
        return Ok(Found { is: During::Away, reasons, texts, what });
    }
    for pod in &waiting {
        reasons.extend(containers(pod, "reason"));
        texts.extend(containers(pod, "message"));
        // What a pod that has a node asks for explains nothing.
        let Some((_, reason, message)) = pod.condition("PodScheduled").filter(|c| c.0 == "False") else {
            continue;
        };
        reasons.push(reason.to_owned());
        texts.push(message.to_owned());
        if let Some(pinned) = pinned_by(state, pod, place.node)? {
            let kind = match pinned.split_whitespace().nth(1) {
                Some("nodeSelector") => "node selector",
                Some("node") => "node affinity",
                _ => "node affinity of its volume",
            };
            reasons.push(format!("{kind}: {pinned}"));
        }
    }
    let pods: Vec<&str> = waiting.iter().map(|pod| pod.name()).collect();
    let what =
        format!("{title} is pending: {} waits ({})", crate::judge::object::names(&pods), reasons.join("; "));
    Ok(Found { is: During::Pending, reasons, texts, what })
}

/// Returns a field of what the containers of a pod wait for.
fn containers(pod: &Object<'_>, field: &str) -> Vec<String> {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let all = lists.iter().flat_map(|list| pod.entries(list));
    all.filter_map(|c| c["state"]["waiting"][field].as_str()).map(str::to_owned).collect()
}

/// Returns why the pods of a kind are not replaced.
fn by_kind(kind: &str) -> &'static str {
    match kind {
        "StatefulSet" => "a StatefulSet's pod keeps its name",
        "DaemonSet" => "a DaemonSet's pod belongs to its node",
        "Pod" => "a bare pod",
        _ => "no replacement exists",
    }
}

/// How a reason is compared: `anti-affinity`, `Anti Affinity` and `AntiAffinity` are the same.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Found {
    /// Returns whether this is what a rule expects, in words.
    fn compared(&self, workload: &Workload, rule: &WorkloadRule) -> (bool, String) {
        let (what, word) = (&self.what, rule.is.word());
        if self.is != rule.is {
            return (false, format!("{what}; expected: {word}"));
        }
        let Some(because) = &rule.because else {
            return (true, format!("{what}, as expected"));
        };
        let title = workload.title();
        if let Some(reason) = self.reasons.iter().find(|reason| is_named(reason, because)) {
            return (true, format!("{title} is {word} as expected, because of {because}: {reason}"));
        }
        match self.texts.iter().find(|text| has_words(text, because)) {
            Some(text) => {
                (true, format!("{title} is {word} as expected, and `{because}` is in the message: {text}"))
            }
            None => (false, format!("{what}; expected: {word} because of {because}")),
        }
    }
}

/// Whether a reason is the one that is named. `affinity` alone does not name one of its kinds.
fn is_named(reason: &str, because: &str) -> bool {
    plain(because) != "affinity" && has_words(reason, because)
}

/// Whether a text has some words next to each other, each whole: `image pull` is in `ErrImagePull`, `able` is not in
/// `Unschedulable`.
fn has_words(text: &str, words: &str) -> bool {
    let (all, wanted) = (split(text), plain(words));
    let begins = |from: usize| {
        let mut joined = String::new();
        all[from..].iter().any(|word| {
            joined.push_str(word);
            joined == wanted
        })
    };
    !wanted.is_empty() && (0..all.len()).any(begins)
}

/// Returns the words of a text in lower case: `ErrImagePull` has three.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut last = ' ';
    for c in text.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && last.is_lowercase() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().into_iter().for_each(|word| word.extend(c.to_lowercase()));
        }
        last = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_named_by_its_kind() {
        for (reason, because, is) in [
            ("Unschedulable", "unschedulable", true),
            ("ImagePullBackOff", "image pull back-off", true),
            ("node affinity of its volume: its volume pv is on w1 only", "node affinity", true),
            ("node affinity of its volume: its volume pv is on w1 only", "node affinity of its volume", true),
            ("pod anti-affinity", "anti-affinity", true),
            ("pod anti-affinity", "node affinity", false),
            ("pod anti-affinity", "affinity", false),
            ("pod affinity", "anti-affinity", false),
            ("node affinity", "pod affinity", false),
            ("spread constraint", "node affinity", false),
        ] {
            assert_eq!(is_named(reason, because), is, "{reason}: {because}");
        }
    }
}

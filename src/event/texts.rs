//! Removes secrets from the texts of an event that come from outside: errors, answers, objects. Names that seatrial
//! chose and values that identify something are left as they are, because judges compare them.

use std::ops::Range;

use serde_json::Value;

use super::EndedStep;
use super::{Event, Record};
use crate::sanitise;
use crate::secret::Secrets;

/// Removes the secrets from an event. Removing the secrets that are known early and the remaining ones later gives the
/// same event as removing all of them at once.
pub(super) fn hide(event: &mut Event, secrets: &Secrets) {
    // Secrets that are recognised in an object are removed from the other texts too.
    if let Some(object) = object(event) {
        secrets.clean(object);
    }
    each(event, &mut |text| {
        let hidden = secrets.hide_in_record(text);
        if hidden != *text {
            *text = hidden;
        }
    });
}

/// Removes the secrets that were learnt after a line was written, and keeps the length of the line. Returns nothing if
/// the line holds no such secret, or is not a record of seatrial's. Numbers and names stay byte for byte.
pub(super) fn hide_late(line: &[u8], secrets: &Secrets) -> Option<Vec<u8>> {
    let mut record: Record = serde_json::from_slice(line).ok()?;
    if record.event == Event::Unknown {
        return None;
    }
    let before = json(&record);
    hide(&mut record.event, secrets);
    let after = json(&record);
    if before == after {
        return None;
    }
    let (was, old, new) = (strings(line), strings(before.as_bytes()), strings(after.as_bytes()));
    let mut late = Vec::with_capacity(line.len());
    if was.len() == old.len() && old.len() == new.len() {
        let mut at = 0;
        for ((was, old), new) in was.into_iter().zip(old).zip(new) {
            late.extend_from_slice(&line[at..was.start]);
            let same = before[old] == after[new.clone()];
            late.extend_from_slice(if same { &line[was.clone()] } else { after[new].as_bytes() });
            at = was.end;
        }
        late.extend_from_slice(&line[at..]);
    } else {
        late.extend_from_slice(after.as_bytes());
    }
    let ends = late.ends_with(b"\n");
    late.truncate(late.len() - usize::from(ends));
    // The removed bytes are replaced by blanks at the end of the line: JSON allows blanks after a value.
    late.resize(late.len().max(line.len() - usize::from(line.ends_with(b"\n"))), b' ');
    late.extend_from_slice(if line.ends_with(b"\n") { b"\n" } else { b"" });
    Some(late)
}

/// Returns a record in its written form.
pub(super) fn json(record: &Record) -> String {
    sanitise::json(&serde_json::to_string(record).expect("a record is plain data"))
}

/// Finds the ranges of the strings in a line of JSON, quotes included.
fn strings(line: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut begun, mut at) = (Vec::new(), None, 0);
    while at < line.len() {
        match (line[at], begun) {
            (b'\\', Some(_)) => at += 1,
            (b'"', None) => begun = Some(at),
            (b'"', Some(begin)) => {
                found.push(begin..at + 1);
                begun = None;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn object(event: &mut Event) -> Option<&mut Value> {
    match event {
        Event::ObjectChanged { object, .. } => Some(object),
        Event::Observed { value, .. } => Some(value),
        Event::FaultInjected { proof, .. }
        | Event::FaultHealed { proof, .. }
        | Event::UpgradeStepEnded(EndedStep { proof, .. }) => Some(proof),
        _ => None,
    }
}

fn each(event: &mut Event, change: &mut impl FnMut(&mut String)) {
    match event {
        Event::RunStarted { machine, profile_because, .. } => {
            change(profile_because);
            machine.values_mut().for_each(change);
        }
        Event::Substituted { built_from, .. } => change(built_from),
        Event::ScenarioEnded { error, left } => error.iter_mut().chain(left).for_each(change),
        Event::StepEnded { error, .. } | Event::UpgradeStepEnded(EndedStep { error, .. }) => {
            error.iter_mut().for_each(change)
        }
        Event::WatchRestarted { reason, .. }
        | Event::RowWritten { reason, .. }
        | Event::TransactionWritten { reason, .. }
        | Event::RowsSampled { reason, .. } => change(reason),
        Event::Sampled { detail, .. } => change(detail),
        Event::ServerMet { version, .. } => change(version),
        Event::FilesListed { link, incomplete, .. } => link.iter_mut().chain(incomplete).for_each(change),
        Event::ClaimJudged { evidence, details, .. } => {
            change(evidence);
            details.iter_mut().for_each(change);
        }
        Event::Noted { text } => change(text),
        Event::ScenarioStarted { .. }
        | Event::ClusterReady { .. }
        | Event::StepStarted { .. }
        | Event::Marked { .. }
        | Event::FaultIntended { .. }
        | Event::FaultInjected { .. }
        | Event::FaultHealed { .. }
        | Event::Observed { .. }
        | Event::ObjectChanged { .. }
        | Event::ProbePaused { .. }
        | Event::ProbeResumed { .. }
        | Event::RowsRead { .. }
        | Event::UpgradePlanned(_)
        | Event::UpgradeStepStarted(_)
        | Event::RunEnded { .. }
        | Event::Unknown => {}
    }
}

/// Recorded runs are written again with one value known as secret: no verdict may depend on that value.
#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::judge::{self, Conclusion, Evidence};

    const RECORDED: [(&str, &str); 4] = [
        ("stateless", include_str!("../../tests/hermetic/recordings/schema-1/stateless.jsonl")),
        ("set", include_str!("../../tests/hermetic/recordings/schema-1/stateful-set.jsonl")),
        ("set-node", include_str!("../../tests/hermetic/recordings/schema-1/stateful-set-node.jsonl")),
        ("single", include_str!("../../tests/hermetic/recordings/schema-1/mysql-volume.jsonl")),
    ];

    fn read(text: &str) -> Vec<Record> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn verdicts(records: &[Record]) -> BTreeMap<String, Conclusion> {
        let ids: BTreeSet<&String> = records
            .iter()
            .filter_map(|r| match &r.event {
                Event::Observed { claim, .. } => claim.as_ref(),
                _ => None,
            })
            .collect();
        let mut found = BTreeMap::new();
        for id in ids {
            let Some(claim) = judge::claim(id) else { continue };
            let judged = |r: &Record| matches!(&r.event, Event::ClaimJudged { claim, .. } if claim == id);
            let until = records.iter().position(judged).unwrap_or(records.len());
            found.insert(id.clone(), claim.judge(&Evidence::new(&records[..until], id)).conclusion());
        }
        found
    }

    fn differences(words: &[&str], tell: impl Fn(&str, &Secrets) -> Option<Vec<Record>>) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, text) in RECORDED {
            let before = verdicts(&read(text));
            let secrets = Secrets::default();
            words.iter().for_each(|word| secrets.learn(word));
            let Some(records) = tell(text, &secrets) else {
                wrong.push(format!("{name}: the log cannot be read"));
                continue;
            };
            for (id, is) in verdicts(&records) {
                if before[&id] != is {
                    wrong.push(format!("{name}: {id} was {:?}, is {is:?}", before[&id]));
                }
            }
        }
        wrong
    }

    /// Returns the records as they would be appended.
    fn appended(text: &str, secrets: &Secrets) -> Option<Vec<Record>> {
        let mut records = read(text);
        records.iter_mut().for_each(|record| hide(&mut record.event, secrets));
        Some(records)
    }

    /// Returns the records as they would be overwritten at the end of a story.
    fn late(text: &str, secrets: &Secrets) -> Option<Vec<Record>> {
        // The records as appended while no secret was known; `clean` still learnt names from what was appended.
        let early = Secrets::default();
        let mut records = read(text);
        for record in &mut records {
            hide(&mut record.event, &early);
            if let Event::ObjectChanged { object, .. } = &record.event {
                secrets.clean(&mut object.clone());
            }
        }
        let one = |line: &str| {
            let late = hide_late(line.as_bytes(), secrets).unwrap_or_else(|| line.as_bytes().to_vec());
            assert_eq!(late.len(), line.len());
            serde_json::from_slice(&late).ok()
        };
        records.iter().map(|record| one(&json(record))).collect()
    }

    const WORDS: &[&str] = &[
        "deployment",
        "Deployment",
        "container",
        "Container",
        "volume",
        "affinity",
        "conflict",
        "Scaled",
        "replica",
        "replicaset",
        "ReplicaSet",
        "Created",
        "Started",
        "Pulled",
        "already present",
        "machine",
        "assigned",
        "Successfully",
        "progressed",
        "node",
        "connection",
        "refused",
        "timed out",
        "killed",
        "closed",
        "/var/lib/mysql",
        "/mnt/data",
        "/usr/share/nginx/html",
        "hostPath",
        "nginx/1.26.3",
        "1.26.3",
        "1.22",
        "ReadWriteOnce",
        "Retain",
        "WaitForFirstConsumer",
        "kubernetes.io/hostname",
        "NoExecute",
        "node.kubernetes.io/unreachable",
        "information_schema",
        "mysql-0",
        "web-0",
        "w1-2026",
        "exited",
        "running",
        "innodb",
        "OnDelete",
        "RollingUpdate",
        "Recreate",
        "Parallel",
        "OrderedReady",
        "web-5d4767795c",
    ];

    #[test]
    fn no_verdict_depends_on_a_word_that_is_a_secret() {
        let wrong = differences(WORDS, appended);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn judged_again_no_verdict_depends_on_a_word_that_was_learnt_late() {
        let wrong = differences(WORDS, late);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Label values, addresses, revisions, numbers: a Secret's `data` can hold the same values.
    #[test]
    fn judged_again_no_verdict_depends_on_a_value_of_an_object_that_was_learnt_late() {
        let mut words = BTreeSet::new();
        for (_, text) in RECORDED {
            for record in read(text) {
                let Event::ObjectChanged { object, .. } = &record.event else { continue };
                for at in ["/metadata/labels", "/spec/selector/matchLabels", "/metadata/annotations"] {
                    let fields = object.pointer(at).and_then(Value::as_object);
                    for (key, value) in fields.into_iter().flatten() {
                        words.insert(key.clone());
                        words.extend(value.as_str().map(str::to_owned));
                    }
                }
                for at in ["/status/podIP", "/status/updateRevision", "/status/currentRevision"] {
                    words.extend(object.pointer(at).and_then(Value::as_str).map(str::to_owned));
                }
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).filter(|w| w.len() < 80).collect();
        let wrong = differences(&words, late);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

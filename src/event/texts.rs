//! The texts of an event that come from outside: errors, answers, objects. Names that seatrial gave, and
//! those that identify something, are none: judges tell things apart by them.

use serde_json::Value;

use super::Event;
use crate::judge::upgrade::EndedStep;
use crate::secret::Secrets;

/// Leaves the secrets out of an event.
pub(super) fn hide(event: &mut Event, secrets: &Secrets) {
    // What an object teaches is left out of the rest too.
    if let Some(object) = object(event) {
        secrets.clean(object);
    }
    each(event, &mut |text| {
        let hidden = secrets.hide(text);
        if hidden != *text {
            *text = hidden;
        }
    });
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

/// Recorded runs, told again with a value that is known as secret: no verdict depends on it.
#[cfg(test)]
mod attack {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::event::Record;
    use crate::judge::{self, Conclusion, Evidence};

    const RECORDED: [(&str, &str); 4] = [
        ("stateless", include_str!("../../tests/hermetic/fixtures/schema-1/events.jsonl")),
        ("set", include_str!("../../tests/hermetic/stateful_set/recorded.jsonl")),
        ("set-node", include_str!("../../tests/hermetic/stateful_set/recorded-node.jsonl")),
        ("single", include_str!("../../tests/hermetic/stateful_single/fixtures/b12.jsonl")),
    ];

    fn read(text: &str) -> Vec<Record> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn verdicts(records: &[Record]) -> BTreeMap<String, Conclusion> {
        let ids: BTreeSet<&String> = records
            .iter()
            .filter_map(|r| match &r.event {
                Event::Observed { claim, .. } => Some(claim),
                _ => None,
            })
            .collect();
        let mut found = BTreeMap::new();
        for id in ids {
            let Some(claim) = judge::claim(id) else { continue };
            let judged = |r: &Record| matches!(&r.event, Event::ClaimJudged { claim, .. } if claim == id);
            let until = records.iter().position(judged).unwrap_or(records.len());
            found.insert(id.clone(), claim.judge(&Evidence::new(&records[..until], claim.id)).conclusion());
        }
        found
    }

    fn differences(words: &[&str], tell: impl Fn(&str, &Secrets) -> Option<Vec<Record>>) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, text) in RECORDED {
            let before = verdicts(&read(text));
            for word in words {
                let secrets = Secrets::default();
                secrets.learn(word);
                let Some(records) = tell(text, &secrets) else {
                    wrong.push(format!("{name} `{word}`: the log cannot be read"));
                    continue;
                };
                for (id, is) in verdicts(&records) {
                    if before[&id] != is {
                        wrong.push(format!("{name} `{word}`: {id} was {:?}, is {is:?}", before[&id]));
                    }
                }
            }
        }
        wrong
    }

    /// As they are appended.
    fn told(text: &str, secrets: &Secrets) -> Option<Vec<Record>> {
        let mut records = read(text);
        records.iter_mut().for_each(|record| hide(&mut record.event, secrets));
        Some(records)
    }

    /// As they are overwritten at the end of a story.
    fn late(text: &str, secrets: &Secrets) -> Option<Vec<Record>> {
        let one = |line: &str| {
            let mut line = line.as_bytes().to_vec();
            secrets.blank_json(&mut line);
            serde_json::from_slice(&line).ok()
        };
        text.lines().map(one).collect()
    }

    const WORDS: &[&str] = &[
        "deployment", "Deployment", "container", "Container", "volume", "affinity", "conflict", "Scaled", "replica",
        "replicaset", "ReplicaSet", "Created", "Started", "Pulled", "already present", "machine", "assigned",
        "Successfully", "progressed", "node", "connection", "refused", "timed out", "killed", "closed",
        "/var/lib/mysql", "/mnt/data", "/usr/share/nginx/html", "hostPath", "nginx/1.26.3", "1.26.3", "1.22",
        "ReadWriteOnce", "Retain", "WaitForFirstConsumer", "kubernetes.io/hostname", "NoExecute",
        "node.kubernetes.io/unreachable", "information_schema", "mysql-0", "web-0", "w1-2026", "exited", "running",
        "innodb", "OnDelete", "RollingUpdate", "Recreate", "Parallel", "OrderedReady", "web-5d4767795c",
    ];

    #[test]
    fn no_verdict_depends_on_a_word_that_is_a_secret() {
        let wrong = differences(WORDS, told);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn judged_again_no_verdict_depends_on_a_word_that_was_learnt_late() {
        let wrong = differences(WORDS, late);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Label values, addresses, revisions, numbers: what a Secret's `data` can hold as well.
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
        let words: Vec<&str> =
            words.iter().map(String::as_str).filter(|w| w.len() < 80).step_by(3).take(30).collect();
        let wrong = differences(&words, late);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

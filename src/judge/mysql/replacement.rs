//! B6 and B7: the pod is replaced and its node stays.
//!
//! | claim | readings, history |
//! |---|---|
//! | B6 | reading `replaced`; changes of Pods |
//! | B7 | marks `template-change`, `template-changed`; changes of Pods between them, and what ran when they began |

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{check_server_of, facts, is, node_of};
use crate::event::{Change, Event, Record, Server};
use crate::judge::lost::Touched;
use crate::judge::object::{Object, span};
use crate::judge::{Evidence, Finding, Holds, Missing, clock, durability};

/// B6.
pub fn rows(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let before = Object::observed(evidence, &facts::FIRST_POD)?;
    let after = Object::observed(evidence, &facts::SECOND_POD)?;
    let old: Server = evidence.fact(&facts::FIRST_SERVER)?;
    let new: Server = evidence.fact(&facts::SECOND_SERVER)?;
    check_replaced(finding, &before, &after);
    let (from, to) = (node_of(&before)?, node_of(&after)?);
    // Only a loss at the end explains a move: the first pod was recorded long before it was deleted.
    let stayed = moved_by_loss(from == to, &before.seen_with(&after), &after);
    finding.check(stayed, format!("{} runs on {to}, {} ran on {from}", after.name(), before.name()));
    check_server_of(finding, &new, &after);
    finding.check(old.uuid == new.uuid, format!("server {} before, {} after", old.uuid, new.uuid));
    let is_read = |r: &Record| matches!(&r.event, Event::RowsRead { reading, .. } if reading == "replaced");
    let until = evidence.records().iter().rposition(is_read).unwrap_or_default();
    finding.watched(&evidence.gaps(&evidence.records()[..until], &["Pod"]), |finding| {
        let gone = history(evidence, before.uid()).iter().any(|h| h.1 == Change::Deleted);
        if gone {
            finding.check(true, format!("pod {} was seen to go", before.name()));
        } else {
            finding.unsure(format!("the end of pod {} was not recorded", before.name()));
        }
    });
    let (_, read) = durability::at(evidence, "replaced")?;
    finding.check(
        read.server.pod_uid == after.uid(),
        format!("the rows were read from pod {} ({})", read.server.pod, read.server.pod_uid),
    );
    let rows = durability::every_acknowledged_row(evidence, "replaced", finding)?;
    finding.summary(format!(
        "{} replaced {} on {to}, all {} acknowledged rows are there",
        after.name(),
        before.name(),
        rows.kept.len()
    ));
    Ok(())
}

/// B7. The Deployment controller creates the new pod only when no old pod can run any more: its phase is Succeeded or
/// Failed, or the object is gone (`oldPodsRunning` in kubernetes/pkg/controller/deployment/recreate.go).
pub fn never_two(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let deployment = Object::observed(evidence, &facts::DEPLOYMENT_CHANGED)?;
    let before = Object::observed(evidence, &facts::SECOND_POD)?;
    let after = Object::observed(evidence, &facts::THIRD_POD)?;
    let between = evidence.between("template-change", "template-changed")?;
    is(finding, &deployment, "strategy", "/spec/strategy/type", "Recreate");
    check_replaced(finding, &before, &after);
    let hash = |pod: &Object<'_>| pod.label("pod-template-hash").unwrap_or("absent").to_owned();
    let (old, new) = (hash(&before), hash(&after));
    finding.check(old != new, format!("pod-template-hash {old} before, {new} after: the template changed"));

    if let [first, .., last] = between {
        clock::check_agree(finding, first, last);
    }
    finding.watched(&evidence.gaps(between, &["Pod"]), |finding| {
        check_one_at_a_time(evidence, finding, between, (&before, &after));
    });
    Ok(())
}

/// Checks that two MySQL containers never ran at the same time, by the watch and by their own times.
fn check_one_at_a_time(
    evidence: &Evidence<'_>,
    finding: &mut Finding,
    between: &[Record],
    (before, after): (&Object<'_>, &Object<'_>),
) {
    let before_it = evidence.until("template-change");
    let (most, who) = most_running(before_it.records(), between, before.text("/metadata/namespace"));
    finding.check(most <= 1, format!("at most {most} MySQL containers ran at the same time{who}"));
    let ended = history(evidence, before.uid()).into_iter().find(|h| has_ended(h));
    let made = history(evidence, after.uid()).into_iter().next();
    let (Some(ended), Some(made)) = (ended, made) else {
        finding.unsure("the old pod's end or the new pod's beginning was not recorded");
        return;
    };
    finding.check(
        ended.0.seq < made.0.seq,
        format!(
            "watch: the old pod had ended {:.3} s before the new one was there",
            super::super::evidence::seconds_between(ended.0, made.0)
        ),
    );
    let finished =
        history(evidence, before.uid()).iter().rev().find_map(|h| time(&h.2, "terminated/finishedAt"));
    let started = time(after, "running/startedAt");
    let (Some(finished), Some(started)) = (finished, started) else {
        finding.unsure("the containers' own times were not recorded");
        return;
    };
    finding.check(
        finished <= started,
        format!("timestamps: the old container finished at {finished}, the new one started at {started}"),
    );
    finding.summary(format!(
        "{} ended at {finished}, {} started at {started}, never two at a time",
        before.name(),
        after.name()
    ));
}

/// Returns every recorded change of a pod, in order.
pub(super) fn history<'r>(evidence: &Evidence<'r>, uid: &str) -> Vec<(&'r Record, Change, Object<'r>)> {
    let object = |(record, change, value)| Some((record, change, Object::new(value).ok()?.seen(record)));
    let all = evidence.changes("Pod").into_iter().filter_map(object);
    all.filter(|(_, _, pod)| pod.uid() == uid).collect()
}

/// Returns whether a pod is where it must be (`met`). If not, the loss of the earlier pod's node explains it.
pub(in crate::judge) fn moved_by_loss(met: bool, before: &Object<'_>, after: &Object<'_>) -> Holds {
    let node = before.text("/spec/nodeName").unwrap_or_default();
    Holds::or(met, [Touched::pod(node, before.uid(), span(before.seen_us(), after.seen_us()))])
}

pub(super) fn check_replaced(finding: &mut Finding, before: &Object<'_>, after: &Object<'_>) {
    finding.check(
        before.name() != after.name() && before.uid() != after.uid(),
        format!("pod {} before, {} after", before.name(), after.name()),
    );
}

/// Whether no container of a pod can run any more.
fn has_ended((_, change, pod): &(&Record, Change, Object<'_>)) -> bool {
    *change == Change::Deleted || matches!(pod.text("/status/phase"), Some("Succeeded" | "Failed"))
}

/// Returns the maximum of MySQL pods of a namespace with a running container at any recorded moment, and their names.
/// Pods that ran `before` may still run without another change.
fn most_running(before: &[Record], during: &[Record], namespace: Option<&str>) -> (usize, String) {
    let (mut running, mut most, mut who) = (BTreeSet::new(), 0, String::new());
    let records = before.iter().map(|r| (r, false)).chain(during.iter().map(|r| (r, true)));
    for (record, counts) in records {
        if let Event::ObjectChanged { change, kind, name, object, .. } = &record.event
            && kind == "Pod"
            && object["metadata"]["labels"]["app"] == "mysql"
            && object["metadata"]["namespace"].as_str() == namespace
        {
            let statuses = object.pointer("/status/containerStatuses").and_then(Value::as_array);
            let runs = statuses.is_some_and(|all| all.iter().any(|c| c["state"]["running"].is_object()));
            match *change == Change::Deleted || !runs {
                true => running.remove(name.as_str()),
                false => running.insert(name.as_str()),
            };
        }
        if counts && running.len() > most {
            most = running.len();
            who = format!(": {}", running.iter().copied().collect::<Vec<_>>().join(", "));
        }
    }
    (most, who)
}

fn time(pod: &Object<'_>, of_state: &str) -> Option<Timestamp> {
    pod.text(&format!("/status/containerStatuses/0/state/{of_state}"))?.parse().ok()
}

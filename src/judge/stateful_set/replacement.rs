//! C4: a deleted pod comes back with its name, claim and data.
//!
//! Marks: `delete-pod`, `pod-replaced`. History: pods and claims between them.

use super::creation::{claim_of, template};
use super::facts::{self, Content};
use super::history::{Life, Order, lives};
use crate::event::{Change, Event};
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Holds, Missing};

/// C4.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let set = Object::observed(evidence, &facts::SET_BEFORE_REPLACEMENT)?;
    let (before, after) = (
        Object::observed(evidence, &facts::REPLACED_POD)?,
        Object::observed(evidence, &facts::REPLACEMENT_POD)?,
    );
    let (claim, later) = (
        Object::observed(evidence, &facts::REPLACED_CLAIM)?,
        Object::observed(evidence, &facts::REPLACEMENT_CLAIM)?,
    );
    let (written, found): (Content, Content) =
        (evidence.fact(&facts::REPLACED_WROTE)?, evidence.fact(&facts::REPLACEMENT_FOUND)?);
    let records = evidence.between("delete-pod", "pod-replaced")?;
    let template = template(&set)?;
    finding.check(
        before.name() == after.name(),
        format!("pod {} before, {} after", before.name(), after.name()),
    );
    finding.check(before.uid() != after.uid(), format!("UID {} before, {} after", before.uid(), after.uid()));
    finding.check(after.ready(), format!("the new {} is ready: {}", after.name(), after.is_ready()));
    for pod in [&before, &after] {
        let mounted = claim_of(pod, template).unwrap_or("none");
        finding.check(mounted == claim.name(), format!("UID {} mounts claim {mounted}", pod.uid()));
    }
    check_same_claim(finding, &claim, &later);
    check_content(finding, &written, &found, &before, &after);

    let lives = lives(records, set.name());
    let mut order = Order::of(finding, evidence, records, &["Pod", "PersistentVolumeClaim"]);
    let of = |uid: &str| lives.iter().find(|l| l.uid == uid);
    let gone = of(before.uid()).and_then(|l| Some((l.gone()?, l.finished_at())));
    let made = of(after.uid()).filter(|l| l.first().change == Change::Added);
    let made = made.map(|l| (l.first(), l.created_at()));
    order.before(("the old pod gone", gone), ("the new one made", made));
    order.one_identity(&lives);
    order.owned(&lives, &set);
    let others = lives.iter().filter(|l| l.name != before.name() && l.ending().is_some());
    let others: Vec<&Life<'_>> = others.collect();
    let stayed = Holds::or(others.is_empty(), others.iter().map(|life| life.went()));
    order.check(stayed, format!("other pods that went meanwhile: {}", others.len()));
    let deleted = records.iter().filter(|r| {
        matches!(&r.event, Event::ObjectChanged { change: Change::Deleted, uid, .. } if *uid == claim.uid())
    });
    let deleted = deleted.count();
    if !evidence
        .records()
        .iter()
        .any(|r| matches!(&r.event, Event::ObjectChanged { uid, .. } if *uid == claim.uid()))
    {
        order.unsure(format!("no history of claim {}", claim.name()));
    }
    order.check(deleted == 0, format!("claim {} was deleted {deleted} time(s) meanwhile", claim.name()));
    finding.summary(format!(
        "{} came back with a new UID, with {} and the file written before",
        after.name(),
        claim.name()
    ));
    Ok(())
}

/// Checks that a claim is the same object, bound to the same volume.
pub(in crate::judge) fn check_same_claim(finding: &mut Finding, before: &Object<'_>, after: &Object<'_>) {
    finding.check(
        before.name() == after.name() && before.uid() == after.uid(),
        format!(
            "claim {} (UID {}) is now {} (UID {})",
            before.name(),
            before.uid(),
            after.name(),
            after.uid()
        ),
    );
    let volumes = [before, after].map(|c| c.text("/spec/volumeName").unwrap_or("none"));
    let phase = after.text("/status/phase").unwrap_or("absent");
    finding.check(
        volumes[0] == volumes[1] && phase == "Bound" && !after.is_terminating(),
        format!("claim {} is {phase}, volume {} before, {} after", after.name(), volumes[0], volumes[1]),
    );
}

/// Checks that a pod read what an earlier pod of its name wrote.
pub(in crate::judge) fn check_content(
    finding: &mut Finding,
    written: &Content,
    found: &Content,
    writer: &Object<'_>,
    reader: &Object<'_>,
) {
    finding.check(
        written.uid == writer.uid() && found.uid == reader.uid() && written.path == found.path,
        format!("{} was written by UID {}, read by UID {}", written.path, written.uid, found.uid),
    );
    let text = |content: &Content| content.text.clone().unwrap_or_else(|| "no file".into());
    finding.check(
        written.text.is_some() && written.text == found.text,
        format!("{} of {} holds {}, written was {}", found.path, found.pod, text(found), text(written)),
    );
}

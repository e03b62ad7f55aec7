//! C10: a rolling update goes from the highest ordinal down, and `partition` holds the lower ones.
//!
//! Marks: `update`, `partition-opened` (just before the partition is removed), `updated`. History: pods and the set.

use super::REVISION;
use super::creation::{check_complete, check_names};
use super::facts;
use super::history::{Life, Order, held, lives, ordinal};
use crate::event::Record;
use crate::judge::lost::Touched;
use crate::judge::object::{Object, names, span};
use crate::judge::stateless::facts::Images;
use crate::judge::{Evidence, Finding, Holds, Missing};

/// C10.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let (was, set) = (
        Object::observed(evidence, &facts::SET_BEFORE_UPDATE)?,
        Object::observed(evidence, &facts::SET_UPDATED)?,
    );
    let before = Object::list(evidence, &facts::PODS_BEFORE_UPDATE)?;
    let pods = Object::list(evidence, &facts::PODS_UPDATED)?;
    let images: Images = evidence.fact(&facts::IMAGES)?;
    let replicas = set.number("/spec/replicas");
    let old = was.text("/status/currentRevision").unwrap_or("absent");
    let new = set.text("/status/updateRevision").unwrap_or("absent");
    let current = set.text("/status/currentRevision").unwrap_or("absent");
    finding.check(
        old != new && new != "absent" && current == new,
        format!("revision {old} before, {new} asked for, {current} at the end"),
    );
    check_complete(finding, &set, replicas);
    check_names(finding, &set, &pods, replicas);
    check_pods(finding, &before, (old, &images.old.reference));
    check_pods(finding, &pods, (new, &images.new.reference));
    finding.part(|f| check_revisions(f, evidence, &set, &[old, new]));
    let seconds = finding.part(|f| check_partition(f, evidence, &set, (old, new)));
    let order = finding.part(|f| check_order(f, evidence, &set, &before, new)).unwrap_or_default();
    let partition: i64 = evidence.fact(&facts::PARTITION)?;
    finding.summary(format!(
        "{}, each after the one above was ready; partition {partition} held the lower ones on {old} for {:.1} s; \
         now all on {new}",
        names(&order),
        seconds.unwrap_or_default()
    ));
    Ok(())
}

/// Checks the revision and the image of pods.
fn check_pods(finding: &mut Finding, pods: &[Object<'_>], (revision, image): (&str, &str)) {
    for pod in pods {
        let (hash, runs) = made_of(pod);
        finding.check(
            hash == revision && runs == image,
            format!(
                "{} (UID {}) is of {hash} with {runs}, expected {revision} with {image}",
                pod.name(),
                pod.uid()
            ),
        );
    }
}

/// Checks that each revision is a ControllerRevision of the set, and that the later one has the higher number.
fn check_revisions(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    set: &Object<'_>,
    wanted: &[&str],
) -> Result<(), Missing> {
    let revisions = Object::list(evidence, &facts::REVISIONS)?;
    let mut numbers = Vec::new();
    for name in wanted {
        let found = revisions.iter().find(|r| r.name() == *name);
        let ours = found.is_some_and(|r| r.controller().is_some_and(|o| o.2 == set.uid()));
        let number = found.map(|r| r.number("/revision")).unwrap_or_default();
        finding.check(ours, format!("ControllerRevision {name} is number {number}, the set's: {ours}"));
        numbers.push(number);
    }
    finding.check(numbers.is_sorted_by(|a, b| a < b), format!("numbers of the revisions: {numbers:?}"));
    Ok(())
}

/// Checks that the pods below the partition stayed, by UID and revision, although the controller processed the set
/// repeatedly.
fn check_partition(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    set: &Object<'_>,
    (old, new): (&str, &str),
) -> Result<f64, Missing> {
    let partition: i64 = evidence.fact(&facts::PARTITION)?;
    let then = Object::observed(evidence, &facts::SET_HELD)?;
    let (before, pods) =
        (Object::list(evidence, &facts::PODS_BEFORE_UPDATE)?, Object::list(evidence, &facts::PODS_HELD)?);
    let records = evidence.between("update", "partition-opened")?;
    let replicas = set.number("/spec/replicas");
    if !(1..replicas).contains(&partition) {
        finding.unsure(format!("partition {partition} of {replicas} parts nothing"));
    }
    let asked = then.number("/spec/updateStrategy/rollingUpdate/partition");
    finding.check(asked == partition, format!("the set's partition is {asked}, of {partition}"));
    check_complete(finding, &then, replicas);
    let updated = then.number("/status/updatedReplicas");
    finding.check(
        updated == replicas - partition && then.text("/status/currentRevision") == Some(old),
        format!(
            "{updated} pods updated with partition {partition} of {replicas}, currentRevision still {old}"
        ),
    );
    check_names(finding, &then, &pods, replicas);
    for pod in &pods {
        let low = ordinal(set.name(), pod.name()).is_some_and(|n| n < partition);
        let same = before.iter().any(|b| b.uid() == pod.uid());
        let hash = made_of(pod).0;
        let wanted = if low { old } else { new };
        // If the node of a pod below the partition was lost, the pod is created again with the same revision.
        let kept = Holds::or(same == low, before.iter().find(|b| b.name() == pod.name()).map(went(pod)));
        finding.check(
            (hash == wanted) & kept,
            format!(
                "partition {partition}: {} is of {hash}, expected {wanted}; kept by UID: {same}",
                pod.name()
            ),
        );
    }
    let all = lives(records, set.name());
    let mut order = Order::of(finding, evidence, records, &["Pod", "StatefulSet"]);
    let low: Vec<_> = all.iter().filter(|l| l.ordinal < partition && l.ending().is_some()).collect();
    let list: Vec<&str> = low.iter().map(|l| l.name).collect();
    let stayed = Holds::or(low.is_empty(), low.iter().map(|life| life.went()));
    order.check(stayed, format!("pods below partition {partition} that went: {}", names(&list)));
    // Passes count from the moment when only the partition held the other pods.
    let last = all.iter().filter(|l| l.ordinal >= partition).filter_map(|l| Some(l.ready()?.at)).max();
    let last = last.ok_or_else(|| Missing("no pod was seen to be updated".into()))?;
    let meant = |s: &Object<'_>| s.number("/spec/updateStrategy/rollingUpdate/partition") == partition;
    held(finding, &records[last..], set, meant)
}

/// Returns what the loss of a node would explain about a pod that was replaced by the time of a later list.
fn went<'a>(later: &'a Object<'_>) -> impl Fn(&Object<'_>) -> Touched + 'a {
    |old| {
        let node = old.text("/spec/nodeName").unwrap_or_default();
        Touched::pod(node, old.uid(), span(old.seen_us(), later.seen_us()))
    }
}

/// Checks that every pod is replaced once, the highest ordinal first, each only when the pod above it is ready again.
/// Returns the names in that order.
fn check_order<'r>(
    finding: &mut Finding,
    evidence: &Evidence<'r>,
    set: &Object<'_>,
    before: &[Object<'_>],
    new: &str,
) -> Result<Vec<&'r str>, Missing> {
    let records: &'r [Record] = evidence.between("update", "updated")?;
    let lives = lives(records, set.name());
    let mut order = Order::of(finding, evidence, records, &["Pod"]);
    let is_old = |l: &&Life<'_>| before.iter().any(|p| p.uid() == l.uid);
    let mut went: Vec<&Life<'_>> = lives.iter().filter(is_old).filter(|l| l.ending().is_some()).collect();
    went.sort_by_key(|l| l.ending().map(|s| s.at));
    let names_in_order: Vec<&str> = went.iter().map(|l| l.name).collect();
    let down = went.windows(2).all(|pair| pair[0].ordinal > pair[1].ordinal);
    order.check(
        down && went.len() == before.len(),
        format!(
            "{} were replaced, of {} pods, from the highest down: {down}",
            names(&names_in_order),
            before.len()
        ),
    );
    let mut above: Option<&Life<'_>> = None;
    for old in &went {
        let ending = old.ending().map(|s| (s, old.ending_at()));
        if let Some(above) = above {
            let (a, b) =
                (format!("{} ready again", above.name), format!("deletion of {} asked for", old.name));
            order.before((&a, above.ready().map(|s| (s, above.ready_at()))), (&b, ending));
        }
        let heirs: Vec<&Life<'_>> = lives.iter().filter(|l| l.name == old.name && l.uid != old.uid).collect();
        let [heir] = heirs.as_slice() else {
            order.check(false, format!("{} pods came for {}, not one", heirs.len(), old.name));
            continue;
        };
        let hash = made_of(&heir.first().pod).0;
        order.check(hash == new, format!("the new {} was made of {hash}", heir.name));
        let (a, b) = (format!("the old {} gone", old.name), format!("the new {} made", old.name));
        order.before(
            (&a, old.gone().map(|s| (s, old.finished_at()))),
            (&b, Some((heir.first(), heir.created_at()))),
        );
        above = Some(heir);
    }
    order.one_identity(&lives);
    order.owned(&lives, set);
    Ok(names_in_order)
}

/// Returns the revision and the image of a pod.
fn made_of<'r>(pod: &Object<'r>) -> (&'r str, &'r str) {
    let image = pod.text("/spec/containers/0/image");
    (pod.label(REVISION).unwrap_or("absent"), image.unwrap_or("absent"))
}

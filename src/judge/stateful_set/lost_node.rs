//! C9: a pod on a dead node is not replaced until its node is declared out of service.
//!
//! Marks: `declare` just before the taint is set, `moved` when the new pod is ready, `return` just before the node is
//! brought back, `returned`. History: pods, nodes, the set. The fault's records.
//!
//! The replacement of the Deployment's pod proves that the time was long enough. The out-of-service taint is KEP-2268:
//! the pod garbage collector, which runs every 20 s, then deletes the node's terminating pods by force. This is safe
//! only if the node does not run, so the story inspects its container before and after.

use super::facts;
use super::history::{Life, Order, held, lives, until};
use crate::event::{Change, Event, Record};
use crate::judge::evidence::seconds_between;
use crate::judge::fault::{self, Power};
use crate::judge::lost::Touched;
use crate::judge::mysql::replacement::moved_by_loss;
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Holds, Missing, clock};
use crate::kubernetes::taint::{OUT_OF_SERVICE, UNREACHABLE};

/// Minimum of seconds for which the evicted pod must have stayed: by then the garbage collector has run
/// (`gcCheckPeriod`, 20 s, in Kubernetes' pkg/controller/podgc) and has not deleted the pod.
pub const STAYED: f64 = 22.0;

/// C9.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let set = Object::observed(evidence, &facts::SET_MOVED)?;
    let before = Object::observed(evidence, &facts::POD_BEFORE)?;
    let after = Object::observed(evidence, &facts::POD_AFTER)?;
    let home = node_of(&before)?;
    let fault = finding.part(|f| check_down(f, evidence, home));
    let waited = finding.part(|f| check_stays(f, evidence, &set, &before, fault));
    finding.part(|f| check_moves(f, evidence, &set, &before, &after));
    finding.part(|f| check_back(f, evidence, &set, &after, home));
    finding.summary(format!(
        "{home} down: {} stayed on it for {:.0} s, terminating, while a Deployment's pod was replaced; declared \
         out of service, it moved to {}",
        before.name(),
        waited.unwrap_or_default(),
        node_of(&after)?
    ));
    Ok(())
}

/// Checks that the fault stopped the node, that the control plane noticed, and that the node did not run while the pod
/// waited and moved. Returns the fault's first record.
fn check_down<'r>(finding: &mut Finding, evidence: &Evidence<'r>, home: &str) -> Result<&'r Record, Missing> {
    let records = evidence.records();
    let injected = records.iter().find_map(|r| match &r.event {
        Event::FaultInjected { id, fault, node, proof }
            if node == home && fault::reaches_node(fault, proof) =>
        {
            Some((id, proof))
        }
        _ => None,
    });
    let (id, proof) = injected.ok_or_else(|| Missing(format!("no fault on {home} was proved")))?;
    let intended = records.iter().find(|r| matches!(&r.event, Event::FaultIntended { id: i, .. } if i == id));
    let intended = intended.ok_or_else(|| Missing(format!("the intent of fault {id} was not recorded")))?;
    match Power::in_proof(proof) {
        Power::Unknown => {
            finding.unsure(format!("nothing proves that the fault on {home} took hold: {proof}"))
        }
        power => finding.check(power.is_down(), format!("the fault on {home} took hold: {proof}")),
    };
    for fact in [facts::POWER_WAITING, facts::POWER_MOVED] {
        let seen = evidence.fact(&fact)?;
        let down = seen.node == home && Power::of(&seen.power).is_down();
        finding.check(down, format!("{}: the container of {} was {}", fact.name(), seen.node, seen.power));
    }
    let moved = evidence.mark("moved")?;
    let healed = records
        .iter()
        .any(|r| r.seq < moved.seq && matches!(&r.event, Event::FaultHealed { node, .. } if node == home));
    finding.check(!healed, format!("{home} was brought back before the pod had moved: {healed}"));
    let given_up = |node: &Object<'_>| {
        node.condition("Ready").is_some_and(|c| c.0 == "Unknown") && tainted(node, UNREACHABLE)
    };
    if fault::last_node(records, home, |r| r.seq <= intended.seq).is_some_and(|node| given_up(&node)) {
        finding.unsure(format!("{home} was given up before the fault"));
    }
    let lost = node_states(records, home).find(|(r, n)| r.seq > intended.seq && given_up(n));
    lost.ok_or_else(|| Missing(format!("{home} was not seen to be given up")))?;
    Ok(intended)
}

/// Checks that the pod stayed after its deletion was requested, as the only pod of its name, until the node was
/// declared out of service. Returns the seconds for which it stayed.
fn check_stays(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    set: &Object<'_>,
    before: &Object<'_>,
    fault: Option<&Record>,
) -> Result<f64, Missing> {
    let fault = fault.ok_or_else(|| Missing("without the fault nothing is shown by waiting".into()))?;
    let declared = evidence.mark("declare")?;
    let whole = until(evidence, "declare")?;
    let from = whole.iter().position(|r| r.seq == fault.seq).unwrap_or_default();
    let records = &whole[from..];
    let all = lives(records, set.name());
    let mut order = Order::of(finding, evidence, records, &["Pod", "StatefulSet"]);
    let ours: Vec<&Life<'_>> = all.iter().filter(|l| l.name == before.name()).collect();
    let others = ours.iter().filter(|l| l.uid != before.uid()).count();
    order.check(
        others == 0,
        format!("{others} other pods were called {} before the declaration", before.name()),
    );
    let life = ours.iter().find(|l| l.uid == before.uid());
    let gone = life.is_some_and(|l| l.gone().is_some());
    order.check(!gone, format!("{} was gone before the declaration: {gone}", before.name()));
    // The pod may be gone already: the checks of the history above have reported this.
    let waiting = Object::observed(evidence, &facts::POD_WAITING)?;
    finding.check(
        waiting.uid() == before.uid() && waiting.is_terminating(),
        format!("{} (UID {}) terminates before the declaration", waiting.name(), waiting.uid()),
    );
    let ending = life.and_then(|l| l.ending());
    let ending = ending.ok_or_else(|| Missing(format!("{} was not seen to be evicted", before.name())))?;
    let waited = seconds_between(ending.record, declared);
    let what = format!("{} stayed {waited:.1} s after its eviction, needed {STAYED:.0} s", before.name());
    clock::check_agree(finding, ending.record, declared);
    match waited < STAYED {
        true => finding.unsure(what),
        false => finding.check(true, what),
    };
    check_heir(finding, evidence, before, whole.split_at(from))?;
    held(finding, all_after(records, ending.record), set, |_| true)?;
    Ok(waited)
}

/// Checks that the Deployment's pod on the same node was replaced while this pod waited: this pod had enough time. The
/// records are those before the fault, and those between the fault and the declaration.
fn check_heir(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    before: &Object<'_>,
    (earlier, records): (&[Record], &[Record]),
) -> Result<(), Missing> {
    let (other, heir) =
        (Object::observed(evidence, &facts::OTHER_BEFORE)?, Object::observed(evidence, &facts::OTHER_AFTER)?);
    let (home, elsewhere) = (node_of(&other)?, node_of(&heir)?);
    let replaced = home == node_of(before)? && elsewhere != home && heir.uid() != other.uid();
    finding.check(
        replaced & heir.ready(),
        format!(
            "meanwhile the Deployment's {} on {home} was replaced by {} on {elsewhere}",
            other.name(),
            heir.name()
        ),
    );
    let is_heir = |r: &&Record| matches!(&r.event, Event::ObjectChanged { uid, .. } if uid == heir.uid());
    if earlier.iter().any(|r| is_heir(&r)) {
        finding.unsure(format!("{} was there before the fault: it replaced nothing", heir.name()));
    }
    let seen = records.iter().filter(is_heir).any(|r| match &r.event {
        Event::ObjectChanged { object, .. } => Object::new(object).is_ok_and(|pod| pod.is_ready()),
        _ => false,
    });
    Order::of(finding, evidence, records, &["Pod"]).check(
        Holds::of_pod(seen, &heir),
        format!("{} was seen ready before the declaration: {seen}", heir.name()),
    );
    Ok(())
}

/// Checks that the declaration releases the pod: the old pod is deleted, then the new one starts on another node.
fn check_moves(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    set: &Object<'_>,
    before: &Object<'_>,
    after: &Object<'_>,
) -> Result<(), Missing> {
    let budget: f64 = evidence.fact(&facts::MOVE_BUDGET)?;
    let records = evidence.between("declare", "moved")?;
    let declared = evidence.mark("declare")?;
    let home = node_of(before)?;
    let elsewhere = node_of(after)?;
    finding.check(
        (before.name() == after.name() && before.uid() != after.uid() && elsewhere != home) & after.ready(),
        format!("{} is ready on {elsewhere} with a new UID, it was on {home}", after.name()),
    );
    let taint = node_states(records, home).find(|(_, n)| tainted(n, OUT_OF_SERVICE));
    let taint = taint.ok_or_else(|| Missing(format!("{home} was not seen with taint {OUT_OF_SERVICE}")))?.0;
    let lives = lives(records, set.name());
    let of = |uid: &str| lives.iter().find(|l| l.uid == uid);
    let gone = of(before.uid()).and_then(|l| l.gone());
    let gone = gone.ok_or_else(|| Missing(format!("{} was not seen to go", before.name())))?;
    let made = of(after.uid()).filter(|l| l.first().change == Change::Added);
    let made = made.ok_or_else(|| Missing(format!("the new {} was not seen to come", after.name())))?;
    let ready =
        made.ready().ok_or_else(|| Missing(format!("the new {} was not seen ready", after.name())))?;
    let mut order = Order::of(finding, evidence, records, &["Pod", "Node"]);
    // Nodes and pods have separate watches, which may be a moment apart.
    order.check(
        seconds_between(taint, gone.record) > -1.0,
        format!("{} went {:.1} s after the taint", before.name(), seconds_between(taint, gone.record)),
    );
    order.check(
        gone.at < made.first().at,
        format!(
            "the old {} was gone {:.3} s before the new one",
            before.name(),
            seconds_between(gone.record, made.first().record)
        ),
    );
    order.one_identity(&lives);
    let took = seconds_between(declared, ready.record);
    let what = format!("{} ready elsewhere after the declaration", after.name());
    finding.timed_until(ready.record, &what, took, budget);
    clock::check_agree(finding, declared, ready.record);
    Ok(())
}

/// Checks that after the node's return the identity is still one pod, the moved one, and that the taint is gone.
fn check_back(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    set: &Object<'_>,
    after: &Object<'_>,
    home: &str,
) -> Result<(), Missing> {
    let returned = Object::observed(evidence, &facts::POD_RETURNED)?;
    let since = evidence.between("return", "returned")?;
    finding.check(
        moved_by_loss(returned.uid() == after.uid(), after, &returned) & returned.ready(),
        format!("with {home} back {} is still UID {}", returned.name(), returned.uid()),
    );
    let last = node_states(until(evidence, "returned")?, home).last();
    let (_, node) = last.ok_or_else(|| Missing(format!("{home} was not recorded after its return")))?;
    let ready = node.condition("Ready").is_some_and(|c| c.0 == "True");
    let free = !tainted(&node, OUT_OF_SERVICE);
    Order::of(finding, evidence, since, &["Node"]).check(
        free & Holds::or(ready, [Touched::pod(home, "", node.span())]),
        format!("{home} is ready: {ready}, without the taint: {free}"),
    );
    let healed = since.iter().find_map(|r| match &r.event {
        Event::FaultHealed { node, proof, .. } if node == home => Some(proof),
        _ => None,
    });
    match healed {
        None => _ = finding.unsure(format!("{home} was not recorded as brought back")),
        Some(proof) if Power::in_proof(proof) != Power::Running => {
            finding.unsure(format!("nothing proves that {home} runs again: {proof}"));
        }
        Some(_) => {}
    }
    let whole = until(evidence, "returned")?;
    let all = lives(whole, set.name());
    let mut order = Order::of(finding, evidence, whole, &["Pod"]);
    order.one_identity(&all);
    order.owned(&all, set);
    let uids = all.iter().filter(|l| l.name == after.name()).count();
    order.check(uids == 2, format!("{uids} pods were called {} in all: the old and the new", after.name()));
    Ok(())
}

fn all_after<'r>(records: &'r [Record], from: &Record) -> &'r [Record] {
    let at = records.iter().position(|r| r.seq == from.seq).unwrap_or_default();
    &records[at..]
}

fn node_states<'r>(records: &'r [Record], name: &str) -> impl Iterator<Item = (&'r Record, Object<'r>)> {
    records.iter().filter_map(move |record| match &record.event {
        Event::ObjectChanged { kind, name: of, object, .. } if kind == "Node" && of == name => {
            Some((record, Object::new(object).ok()?.seen(record)))
        }
        _ => None,
    })
}

fn tainted(node: &Object<'_>, key: &str) -> bool {
    node.entries("/spec/taints").iter().any(|t| t["key"] == key && t["effect"] == "NoExecute")
}

fn node_of<'r>(pod: &Object<'r>) -> Result<&'r str, Missing> {
    let node = pod.text("/spec/nodeName");
    node.ok_or_else(|| Missing(format!("pod {} had no node when it was observed", pod.name())))
}

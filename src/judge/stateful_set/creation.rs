//! C1 and C3: the first pods of the set, and their claims.
//!
//! Marks: `apply`, `applied`. History: pods between them. C3 also reads the listing `before`.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::facts;
use super::history::{Life, Order, Seen, lives, ordinal};
use crate::event::{Change, Event, Record};
use crate::judge::lost::Touched;
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Holds, Missing, locality};

/// C1. The controller creates a pod only when all earlier pods are running and ready (`podManagementPolicy:
/// OrderedReady`, the API's default).
pub fn in_order(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let set = Object::observed(evidence, &facts::SET)?;
    let pods = Object::list(evidence, &facts::PODS)?;
    let records = evidence.between("apply", "applied")?;
    let replicas = set.number("/spec/replicas");
    let policy = set.text("/spec/podManagementPolicy").unwrap_or("absent");
    finding.check(policy == "OrderedReady", format!("podManagementPolicy is {policy}"));
    check_complete(finding, &set, replicas);
    check_names(finding, &set, &pods, replicas);
    let lives = lives(records, set.name());
    let mut order = Order::of(finding, evidence, records, &["Pod"]);
    // A pod that went with its node was created again.
    let went = lives.iter().filter(|l| l.ending().is_some()).map(Life::went);
    order.check(
        Holds::or(i64::try_from(lives.len()) == Ok(replicas), went),
        format!("{} pods were made for {replicas} replicas: {}", lives.len(), described(&lives)),
    );
    order.owned(&lives, &set);
    for life in &lives {
        let first = life.first().change == Change::Added;
        order.check(first, format!("the beginning of {} was recorded: {first}", life.name));
    }
    for number in 1..replicas {
        let of = |n: i64| lives.iter().find(|l| l.ordinal == n);
        let ready = of(number - 1).and_then(|l| Some((l.ready()?, l.ready_at())));
        let made = of(number).map(|l| (l.first(), l.created_at()));
        let (first, then) =
            (format!("{}-{} ready", set.name(), number - 1), format!("{}-{number} made", set.name()));
        order.before((&first, ready), (&then, made));
    }
    order.one_identity(&lives);
    finding.summary(format!(
        "{}: each made only after the one before was ready, by the watch and by the API's times",
        names(&lives.iter().map(|l| l.name).collect::<Vec<_>>())
    ));
    Ok(())
}

/// C3.
pub fn own_claims(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let set = Object::observed(evidence, &facts::SET)?;
    let pods = Object::list(evidence, &facts::PODS)?;
    let claims = Object::list(evidence, &facts::CLAIMS)?;
    let volumes = Object::list(evidence, &facts::VOLUMES)?;
    let records = evidence.between("apply", "applied")?;
    let template = template(&set)?;
    finding.part(|f| {
        let nodes: Vec<String> = evidence.fact(&facts::NODES)?;
        let all: Vec<&str> = nodes.iter().map(String::as_str).collect();
        locality::nothing_on(f, &locality::listings(evidence, "before", &nodes)?, &all);
        Ok(())
    });
    check_names(finding, &set, &pods, set.number("/spec/replicas"));
    finding.check(claims.len() == pods.len(), format!("{} claims for {} pods", claims.len(), pods.len()));
    let mut used = BTreeSet::new();
    for pod in &pods {
        let wanted = format!("{template}-{}", pod.name());
        let mounted = claim_of(pod, template).unwrap_or("none");
        finding
            .check(mounted == wanted, format!("pod {} mounts claim {mounted}, {wanted} is its", pod.name()));
        let Some(claim) = claims.iter().find(|c| c.name() == wanted) else {
            finding.check(false, format!("there is no claim {wanted}"));
            continue;
        };
        let volume = check_bound(finding, claim, &volumes);
        let own = used.insert(volume);
        finding.check(own, format!("volume {volume} of {wanted} is nobody else's: {own}"));
        finding.part(|f| check_before_running(f, evidence, records, &set, (pod, claim)));
    }
    finding.summary(format!(
        "{}, one volume each, made before their pods and bound before these ran",
        names(&claims.iter().map(Object::name).collect::<Vec<_>>())
    ));
    Ok(())
}

/// Returns the name of the set's only claim template.
///
/// # Errors
/// [`Missing`] if the set has no template.
pub fn template<'r>(set: &Object<'r>) -> Result<&'r str, Missing> {
    let first = set.text("/spec/volumeClaimTemplates/0/metadata/name");
    first.ok_or_else(|| Missing(format!("{} has no claim template", set.name())))
}

/// Returns the claim that a pod mounts as the volume with this name.
pub fn claim_of<'r>(pod: &Object<'r>, volume: &str) -> Option<&'r str> {
    let volume = pod.entries("/spec/volumes").iter().find(|v| v["name"] == volume)?;
    volume["persistentVolumeClaim"]["claimName"].as_str()
}

/// Checks that these are exactly the pods of the first ordinals, each ready and owned by the set.
pub fn check_names(finding: &mut Finding, set: &Object<'_>, pods: &[Object<'_>], replicas: i64) {
    let mut found: Vec<Option<i64>> = pods.iter().map(|p| ordinal(set.name(), p.name())).collect();
    found.sort_unstable();
    let wanted: Vec<Option<i64>> = (0..replicas).map(Some).collect();
    let listed = names(&pods.iter().map(Object::name).collect::<Vec<_>>());
    // A pod whose node was lost is missing for a moment.
    let away = found.iter().all(|number| wanted.contains(number));
    let lost = pods.first().filter(|_| away).map(|pod| Touched::any(pod.span()));
    let all = Holds::or(found == wanted, lost);
    finding.check(all, format!("pods {listed}: {} + 0 to {}", set.name(), replicas - 1));
    for pod in pods {
        let ours = pod.controller().is_some_and(|o| o.2 == set.uid());
        let index = pod.label("apps.kubernetes.io/pod-index").unwrap_or("absent");
        let what = format!("pod {} is ready: {}, the set's: {ours}", pod.name(), pod.is_ready());
        finding.check(ours & pod.ready(), what);
        let right = ordinal(set.name(), pod.name()).is_some_and(|n| index == n.to_string());
        finding.check(right, format!("pod {} has pod-index {index}", pod.name()));
    }
}

/// Checks that the set's status reports completion for the present generation.
pub fn check_complete(finding: &mut Finding, set: &Object<'_>, replicas: i64) {
    let (generation, observed) =
        (set.number("/metadata/generation"), set.number("/status/observedGeneration"));
    finding.check(
        generation > 0 && generation == observed,
        format!("{}: generation {generation}, observed {observed}", set.name()),
    );
    for field in ["replicas", "readyReplicas", "availableReplicas"] {
        let found = set.number(&format!("/status/{field}"));
        let right = Holds::of_counts(found == replicas, set);
        finding.check(right, format!("{}: {field} {found} of {replicas}", set.name()));
    }
}

/// Checks that a claim and its volume are bound to each other. Returns the volume's name.
fn check_bound<'r>(finding: &mut Finding, claim: &Object<'r>, volumes: &[Object<'_>]) -> &'r str {
    let name = claim.text("/spec/volumeName").unwrap_or("none");
    let phase = claim.text("/status/phase").unwrap_or("absent");
    finding.check(phase == "Bound", format!("claim {} is {phase} to {name}", claim.name()));
    match volumes.iter().find(|v| v.name() == name) {
        None => _ = finding.check(false, format!("volume {name} of {} is not there", claim.name())),
        Some(volume) => {
            let uid = volume.text("/spec/claimRef/uid").unwrap_or("none");
            let to = volume.text("/spec/claimRef/name").unwrap_or("nobody");
            let phase = volume.text("/status/phase").unwrap_or("absent");
            finding.check(
                uid == claim.uid() && to == claim.name() && phase == "Bound",
                format!("volume {name} is {phase} to {to} (UID {uid})"),
            );
            // Two volumes on the same folder are not separate.
            let folder = |v: &Object<'_>| v.text("/spec/hostPath/path").map(str::to_owned);
            let same = volumes
                .iter()
                .find(|v| v.name() != name && folder(v).is_some() && folder(v) == folder(volume));
            let other = same.map_or("no other volume's", Object::name);
            finding.check(same.is_none(), format!("the folder of {name} is {other} too"));
        }
    }
    name
}

/// Checks that the claim was bound before the pod ran. Claims and pods are recorded by separate watches; resource
/// versions, which are one counter for all kinds, order them.
fn check_before_running<'r>(
    finding: &mut Finding,
    evidence: &Evidence<'r>,
    records: &'r [Record],
    set: &Object<'_>,
    (pod, claim): (&Object<'_>, &Object<'_>),
) -> Result<(), Missing> {
    let lives = lives(records, set.name());
    let life = lives.iter().find(|l| l.uid == pod.uid());
    let life = life.ok_or_else(|| Missing(format!("no history of pod {}", pod.name())))?;
    let running = life.running().ok_or_else(|| Missing(format!("{} was not seen to run", pod.name())))?;
    let states = || {
        records.iter().enumerate().filter_map(|(at, record)| match &record.event {
            Event::ObjectChanged { change, uid, object, .. } if uid == claim.uid() => {
                Some(Seen { at, record, change: *change, pod: Object::new(object).ok()? })
            }
            _ => None,
        })
    };
    let made = states().next().ok_or_else(|| Missing(format!("no history of claim {}", claim.name())))?;
    let bound = states().find(|s| s.pod.text("/status/phase") == Some("Bound"));
    let bound = bound.ok_or_else(|| Missing(format!("{} was not seen to be bound", claim.name())))?;
    let mut order = Order::of(finding, evidence, records, &["Pod", "PersistentVolumeClaim"]);
    let steps =
        [("claim made", &made, "pod made", life.first()), ("claim bound", &bound, "pod running", running)];
    for (first, a, then, b) in steps {
        let (a, b) = (version(&a.pod)?, version(&b.pod)?);
        order.check(a < b, format!("{}: {first} at version {a}, {then} at {b}", pod.name()));
    }
    let made_at = claim.text("/metadata/creationTimestamp");
    let made_at: Option<Timestamp> = made_at.and_then(|t| t.parse().ok());
    let (Some(made_at), Some(ran_at)) = (made_at, life.started_at()) else {
        order.unsure(format!("{} and its pod do not say when", claim.name()));
        return Ok(());
    };
    order.check(
        made_at <= ran_at,
        format!("{} made at {made_at}, its pod's container started at {ran_at}", claim.name()),
    );
    Ok(())
}

/// Returns an object's resource version as a number.
///
/// # Errors
/// [`Missing`] if the object has none.
pub fn version(object: &Object<'_>) -> Result<u64, Missing> {
    let version = object.text("/metadata/resourceVersion").and_then(|v| v.parse().ok());
    version.ok_or_else(|| Missing(format!("{} was recorded without a resource version", object.name())))
}

fn described(lives: &[Life<'_>]) -> String {
    names(&lives.iter().map(|l| format!("{} ({})", l.name, l.uid)).collect::<Vec<_>>())
}

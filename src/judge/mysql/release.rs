//! B11: the Deployment is deleted, then the claim.
//!
//! The claim also reads: marks `deployment-deletion`, `claim-deletion`, `claim-gone`; listings `deployment-gone`,
//! `claim-gone`, and the last one before these; changes of Deployments, Pods, PersistentVolumeClaims and
//! PersistentVolumes.

use super::outage::passing;
use super::replacement::history;
use super::{DEPLOYMENT, DIRECTORY, FILES, PATH, facts, is, listed, listings, node_of};
use crate::event::{Change, Event, Record, Server};
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing, locality};

/// B11.
pub fn outlives_the_deployment(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let nodes: Vec<String> = evidence.fact(&facts::NODES)?;
    let pod = Object::observed(evidence, &facts::LAST_POD)?;
    let server: Server = evidence.fact(&facts::LAST_SERVER)?;
    let object = |what| Object::observed(evidence, what);
    let (volume_before, claim_before) = (object(&facts::VOLUME_BEFORE)?, object(&facts::CLAIM_BEFORE)?);
    let (volume_kept, claim_kept) = (object(&facts::VOLUME_KEPT)?, object(&facts::CLAIM_KEPT)?);
    let released = object(&facts::VOLUME_RELEASED)?;
    let without = evidence.between("deployment-deletion", "claim-deletion")?;
    let after = evidence.between("claim-deletion", "claim-gone")?;
    let home = node_of(&pod)?;

    check_kept(finding, (&volume_before, &volume_kept), (&claim_before, &claim_kept));
    check_released(finding, &volume_kept, &claim_kept, &released);

    let kinds = ["Deployment", "PersistentVolume", "PersistentVolumeClaim", "Pod"];
    let whole = evidence.between("deployment-deletion", "claim-gone")?;
    finding.watched(&evidence.gaps(whole, &kinds), |finding| {
        let deployment_gone = gone(without, "Deployment", |deployment| deployment.name() == DEPLOYMENT);
        let pods_gone = history(evidence, pod.uid()).iter().any(|(_, change, _)| *change == Change::Deleted);
        check_gone(finding, "the Deployment", deployment_gone);
        check_gone(finding, pod.name(), pods_gone);
        check_bound_all_the_time(finding, without, "PersistentVolume", &volume_kept);
        check_bound_all_the_time(finding, without, "PersistentVolumeClaim", &claim_kept);
        check_claim_deletion(finding, after, &claim_kept, &released);
    });
    let files = check_files(finding, evidence, &nodes, home, &server)?;
    finding.summary(format!(
        "without the Deployment {} and {} stay Bound; without the claim the volume is Released, and {PATH} on {home} \
         still holds the {files} files and folders of server {}",
        claim_kept.name(),
        volume_kept.name(),
        server.uuid
    ));
    Ok(())
}

/// Checks that volume and claim, each given before the deletion of the Deployment and after it, are the same and Bound.
fn check_kept(finding: &mut Finding, volume: (&Object<'_>, &Object<'_>), claim: (&Object<'_>, &Object<'_>)) {
    for (before, kept) in [volume, claim] {
        finding.check(
            before.uid() == kept.uid() && !kept.is_terminating(),
            format!("{} has UID {} before, {} without the Deployment", kept.name(), before.uid(), kept.uid()),
        );
        is(finding, kept, "phase without the Deployment", "/status/phase", "Bound");
    }
    is(finding, claim.1, "volume", "/spec/volumeName", volume.1.name());
    is(finding, volume.1, "claim's UID", "/spec/claimRef/uid", claim.1.uid());
}

/// Checks that the volume was released by its claim, and kept.
fn check_released(finding: &mut Finding, volume: &Object<'_>, claim: &Object<'_>, released: &Object<'_>) {
    let (old, now) = (volume.uid(), released.uid());
    finding.check(old == now, format!("{} has UID {old} before, {now} without its claim", released.name()));
    is(finding, released, "phase without its claim", "/status/phase", "Released");
    is(finding, released, "claim's UID", "/spec/claimRef/uid", claim.uid());
    is(finding, released, "reclaim policy", "/spec/persistentVolumeReclaimPolicy", "Retain");
    if released.is_terminating() {
        finding.check(false, format!("{} was deleted", released.name()));
    }
}

/// Adds a check that something is gone, which is inconclusive if its end was not recorded.
fn check_gone(finding: &mut Finding, what: &str, is_gone: bool) {
    match is_gone {
        true => finding.check(true, format!("{what} is gone")),
        false => finding.unsure(format!("the end of {what} was not recorded")),
    };
}

/// Checks in the records since the claim's deletion that the claim went, and that its volume was released and not
/// deleted.
fn check_claim_deletion(finding: &mut Finding, records: &[Record], claim: &Object<'_>, volume: &Object<'_>) {
    let claim_gone = gone(records, "PersistentVolumeClaim", |now| now.uid() == claim.uid());
    check_gone(finding, claim.name(), claim_gone);
    let is_seen = seen(records, "PersistentVolume", |v| {
        v.uid() == volume.uid() && v.text("/status/phase") == Some("Released")
    });
    if !is_seen {
        finding.unsure(format!("{} was not seen to be released", volume.name()));
    }
    let kept = !gone(records, "PersistentVolume", |now| now.uid() == volume.uid());
    finding.check(kept, format!("{} was {}deleted", volume.name(), if kept { "not " } else { "" }));
}

/// Checks that the server's files on a node outlive the Deployment and the claim. Returns the number of files and
/// folders.
fn check_files(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    nodes: &[String],
    home: &str,
    server: &Server,
) -> Result<usize, Missing> {
    let earlier = listings(evidence, "deployment-gone", nodes)?;
    let later = listings(evidence, "claim-gone", nodes)?;
    let (earlier, later) = (listed(&earlier, home)?, listed(&later, home)?);
    for listing in [earlier, later] {
        locality::holds(finding, listing, &[FILES, &[DIRECTORY]].concat());
        locality::files_of(finding, listing, &server.uuid);
    }
    // A server has written since the last listing before, but it never truncates a file.
    match locality::last_before(evidence, "deployment-gone", home, PATH) {
        None => _ = finding.unsure(format!("{PATH} on {home} was not listed while a server ran")),
        Some(before) => locality::not_emptied(finding, &before, earlier, passing),
    }
    // From here on no server runs.
    locality::untouched(finding, earlier, later, passing);
    Ok(later.entries.len())
}

/// Whether an object of this kind was seen in a state.
fn seen(records: &[Record], of_kind: &str, state: impl Fn(&Object<'_>) -> bool) -> bool {
    records.iter().any(|record| match &record.event {
        Event::ObjectChanged { change: Change::Added | Change::Modified, kind, object, .. } => {
            kind == of_kind && Object::new(object).is_ok_and(|object| state(&object))
        }
        _ => false,
    })
}

/// Whether the deletion of an object of this kind was seen.
fn gone(records: &[Record], of_kind: &str, which: impl Fn(&Object<'_>) -> bool) -> bool {
    records.iter().any(|record| match &record.event {
        Event::ObjectChanged { change: Change::Deleted, kind, object, .. } if kind == of_kind => {
            Object::new(object).is_ok_and(|object| which(&object))
        }
        _ => false,
    })
}

/// Adds a check that the object was Bound in every recorded change between two moments.
fn check_bound_all_the_time(finding: &mut Finding, records: &[Record], of_kind: &str, object: &Object<'_>) {
    let other = records.iter().find_map(|record| match &record.event {
        Event::ObjectChanged { change, kind, uid, object: now, .. }
            if kind == of_kind && uid == object.uid() =>
        {
            let now = Object::new(now).ok()?;
            let phase = now.text("/status/phase").unwrap_or("without phase");
            (phase != "Bound" || *change == Change::Deleted).then_some(phase)
        }
        _ => None,
    });
    let other_text = other.unwrap_or("never anything else");
    finding.check(other.is_none(), format!("{} was Bound meanwhile, {other_text}", object.name()));
}

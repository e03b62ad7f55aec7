//! Part B: a single MySQL on a hostPath volume.
//!
//! [`facts`] lists what each claim reads; the claims also read the ledger's rows, listings and readings. A fact that
//! was not observed makes its claim inconclusive.
//!
//! | claim | listings and readings |
//! |---|---|
//! | B3 | listings `before`, `serving` |
//! | B4 | listing `serving` |
//! | B5 | listings `serving`, `database`; reading `database` |
//! | B6, B7 | see `replacement` |
//! | B8, B9, B10 | see `outage` |
//! | B11 | see `release` |
//! | B12 | see `affinity` |
//!
//! Names of cluster-scoped objects end in a suffix of the scenario, so judges compare them with each other, and only
//! their beginning with the manifest.

use std::collections::BTreeMap;

use super::locality::{self, Listing};
use super::object::Object;
use super::{Claim, Evidence, Finding, Missing, durability};
use crate::event::Server;

#[cfg(not(feature = "internals"))]
pub(crate) mod affinity;
#[cfg(feature = "internals")]
pub mod affinity;
pub mod facts;
#[cfg(not(feature = "internals"))]
pub(crate) mod outage;
#[cfg(feature = "internals")]
pub mod outage;
#[cfg(not(feature = "internals"))]
pub(crate) mod release;
#[cfg(feature = "internals")]
pub mod release;
#[cfg(not(feature = "internals"))]
pub(crate) mod replacement;
#[cfg(feature = "internals")]
pub mod replacement;

/// B1: the claim binds to that volume.
pub static B1: Claim = Claim::new("B1", "the claim binds to that volume", bound);
/// B2: the pod mounts it.
pub static B2: Claim = Claim::new("B2", "the pod mounts it", mounted);
/// B3: files appear in /mnt/data on the pod's node and on no other.
pub static B3: Claim = Claim::new("B3", "files appear in /mnt/data on the pod's node and on no other", files);
/// B4: a server answers, and it is this pod's.
pub static B4: Claim = Claim::new("B4", "a server answers, and it is this pod's", answers);
/// B5: a new database is a new directory on that node.
pub static B5: Claim = Claim::new("B5", "a new database is a new directory on that node", new_directory);
/// B6: rows outlive the pod when the node stays.
pub static B6: Claim =
    Claim::new("B6", "rows outlive the pod when the node stays", replacement::rows).watching(&["Pod"]);
/// B7: `Recreate` never runs two.
pub static B7: Claim =
    Claim::new("B7", "`Recreate` never runs two", replacement::never_two).watching(&["Pod"]);
/// B8: when its node goes down a replacement comes up on another node.
pub static B8: Claim = Claim::new(
    "B8",
    "when its node goes down a replacement comes up on another node",
    outage::replaced_elsewhere,
)
.watching(&["Node", "Pod"]);
/// B9: the replacement is a new environment.
pub static B9: Claim = Claim::new("B9", "the replacement is a new environment", outage::new_environment);
/// B10: nothing was destroyed.
pub static B10: Claim =
    Claim::new("B10", "nothing was destroyed", outage::nothing_destroyed).watching(&["Node", "Pod"]);
/// B11: the claim and volume outlive the Deployment.
pub static B11: Claim =
    Claim::new("B11", "the claim and volume outlive the Deployment", release::outlives_the_deployment)
        .watching(&["Deployment", "PersistentVolume", "PersistentVolumeClaim", "Pod"]);
/// B12: a volume that is pinned to its node keeps MySQL from starting empty elsewhere.
pub static B12: Claim = Claim::new(
    "B12",
    "a volume pinned to its node keeps MySQL from starting empty elsewhere",
    affinity::no_empty_database,
)
.watching(&["Event", "Pod"]);

/// The claims of part B.
pub static CLAIMS: [&Claim; 12] = [&B1, &B2, &B3, &B4, &B5, &B6, &B7, &B8, &B9, &B10, &B11, &B12];

/// The mark at which the part with the volume that names its node begins.
pub const PINNED: &str = "pinned";
/// The directory on the nodes that the volume uses.
pub const PATH: &str = "/mnt/data";
/// The Deployment's name.
pub const DEPLOYMENT: &str = "mysql";
/// The ledger's database.
pub const DATABASE: &str = "qa";
/// The directory of that database in [`PATH`].
pub(super) const DIRECTORY: &str = "qa/";
/// Files that every MySQL since 5.6 has in its data directory.
pub(super) const FILES: &[&str] = &["auto.cnf", "ibdata1", "mysql/"];

/// B1.
fn bound(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let volume = Object::observed(evidence, &facts::VOLUME)?;
    let claim = Object::observed(evidence, &facts::CLAIM)?;
    for (object, begin) in [(&volume, "mysql-pv-volume"), (&claim, "mysql-pv-claim")] {
        finding.check(object.name().starts_with(begin), format!("{} is the {begin}", object.name()));
        for (what, pointer, wanted) in [
            ("phase", "/status/phase", "Bound"),
            ("volume mode", "/spec/volumeMode", "Filesystem"),
            ("access mode", "/spec/accessModes/0", "ReadWriteOnce"),
        ] {
            is(finding, object, what, pointer, wanted);
        }
        finding.check(object.entries("/spec/accessModes").len() == 1, "one access mode");
    }
    for (what, pointer, wanted) in [
        ("volume", "/spec/volumeName", volume.name()),
        ("requested size", "/spec/resources/requests/storage", "20Gi"),
        ("size", "/status/capacity/storage", "20Gi"),
    ] {
        is(finding, &claim, what, pointer, wanted);
    }
    let of_claim = |pointer| claim.text(pointer).unwrap_or("absent");
    for (what, pointer, wanted) in [
        ("claim's name", "/spec/claimRef/name", claim.name()),
        ("claim's namespace", "/spec/claimRef/namespace", of_claim("/metadata/namespace")),
        ("claim's UID", "/spec/claimRef/uid", claim.uid()),
        ("storage class", "/spec/storageClassName", of_claim("/spec/storageClassName")),
        ("size", "/spec/capacity/storage", "20Gi"),
        ("reclaim policy", "/spec/persistentVolumeReclaimPolicy", "Retain"),
        ("path", "/spec/hostPath/path", PATH),
    ] {
        is(finding, &volume, what, pointer, wanted);
    }
    finding.check(of_claim("/spec/storageClassName").starts_with("manual"), "the storage class is manual");
    let label = volume.label("type").unwrap_or("absent");
    finding.check(label == "local", format!("label type of the volume is {label} of local"));
    let affinity = volume.at("/spec/nodeAffinity").is_some();
    finding.check(!affinity, format!("the volume has {} node affinity", if affinity { "a" } else { "no" }));
    for (object, annotation) in [
        (&claim, "pv.kubernetes.io/bind-completed"),
        (&claim, "pv.kubernetes.io/bound-by-controller"),
        (&volume, "pv.kubernetes.io/bound-by-controller"),
    ] {
        let value = object.annotation(annotation).unwrap_or("absent");
        finding.check(value == "yes", format!("annotation {annotation} of {} is {value}", object.name()));
    }
    for (object, finalizer) in
        [(&claim, "kubernetes.io/pvc-protection"), (&volume, "kubernetes.io/pv-protection")]
    {
        let has = object.entries("/metadata/finalizers").iter().any(|f| f == finalizer);
        let has_it = if has { "has" } else { "lacks" };
        finding.check(has, format!("{} {has_it} finalizer {finalizer}", object.name()));
    }
    finding.summary(format!("{} and {} are Bound to each other, Retain", claim.name(), volume.name()));
    Ok(())
}

/// B2.
fn mounted(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    finding.part(|f| {
        let deployment = Object::observed(evidence, &facts::DEPLOYMENT)?;
        is(f, &deployment, "strategy", "/spec/strategy/type", "Recreate");
        let replicas = deployment.number("/spec/replicas");
        f.check(replicas == 1, format!("{} asks for {replicas} of 1 replica", deployment.name()));
        Ok(())
    });
    let pod = Object::observed(evidence, &facts::FIRST_POD)?;
    finding.check(pod.ready(), format!("{} is ready", pod.name()));
    let claim = Object::observed(evidence, &facts::CLAIM)?;
    let volumes = pod.entries("/spec/volumes");
    let volume = volumes.iter().find(|v| v["persistentVolumeClaim"]["claimName"] == claim.name());
    let name = volume.and_then(|v| v["name"].as_str()).unwrap_or("absent");
    finding.check(
        name == "mysql-persistent-storage",
        format!("volume of {} with claim {}: {name}", pod.name(), claim.name()),
    );
    let mounts = pod.entries("/spec/containers/0/volumeMounts");
    let path = mounts.iter().find(|m| m["name"] == name).and_then(|m| m["mountPath"].as_str());
    let path = path.unwrap_or("absent");
    finding.check(path == "/var/lib/mysql", format!("{name} of {} is mounted at {path}", pod.name()));
    finding.summary(format!("{} mounts {} at /var/lib/mysql, strategy Recreate", pod.name(), claim.name()));
    Ok(())
}

/// B3.
fn files(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let nodes: Vec<String> = evidence.fact(&facts::NODES)?;
    let all: Vec<&str> = nodes.iter().map(String::as_str).collect();
    finding.part(|f| {
        locality::nothing_on(f, &listings(evidence, "before", &nodes)?, &all);
        Ok(())
    });
    let home = node_of(&Object::observed(evidence, &facts::FIRST_POD)?)?;
    let serving = listings(evidence, "serving", &nodes)?;
    locality::only_on(finding, &serving, home, FILES);
    let others: Vec<&str> = all.into_iter().filter(|n| *n != home).collect();
    locality::nothing_on(finding, &serving, &others);
    finding.summary(format!("{PATH} has {} on {home}, nothing on {}", FILES.join(" "), others.join(", ")));
    Ok(())
}

/// B4.
fn answers(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let pod = Object::observed(evidence, &facts::FIRST_POD)?;
    let server: Server = evidence.fact(&facts::FIRST_SERVER)?;
    check_server_of(finding, &server, &pod);
    let home = node_of(&pod)?;
    let nodes: Vec<String> = evidence.fact(&facts::NODES)?;
    let serving = listings(evidence, "serving", &nodes)?;
    locality::files_of(finding, listed(&serving, home)?, &server.uuid);
    finding.summary(format!("server {} answers in {}, its auto.cnf lies on {home}", server.uuid, server.pod));
    Ok(())
}

/// B5.
fn new_directory(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let rows = finding.part(|f| durability::every_acknowledged_row(evidence, "database", f));
    let nodes: Vec<String> = evidence.fact(&facts::NODES)?;
    let home = node_of(&Object::observed(evidence, &facts::FIRST_POD)?)?;
    finding.part(|f| {
        let serving = listings(evidence, "serving", &nodes)?;
        let at_home = listed(&serving, home)?;
        let there = at_home.has(DIRECTORY);
        let was = if there { "was there" } else { "was not there" };
        at_home.must_lack(
            f,
            !there,
            format!("{PATH}/{DIRECTORY} on {home} {was} before the database was made"),
        );
        Ok(())
    });
    let database = listings(evidence, "database", &nodes)?;
    locality::only_on(finding, &database, home, &[DIRECTORY]);
    let at_home = listed(&database, home)?;
    let table = at_home.entries.iter().find(|e| e.path.starts_with("qa/ledger."));
    let file = table.map_or("absent", |t| t.path.as_str());
    at_home.must_have(finding, table.is_some(), format!("the ledger's table on {home} is {file}"));
    let server: Server = evidence.fact(&facts::FIRST_SERVER)?;
    locality::files_of(finding, at_home, &server.uuid);
    let rows = rows.map_or(0, |rows| rows.kept.len());
    finding.summary(format!("{PATH}/{DIRECTORY} is new on {home} and on no other, {rows} rows"));
    Ok(())
}

/// Adds a check that a text field has a value.
fn is(finding: &mut Finding, object: &Object<'_>, what: &str, pointer: &str, wanted: &str) {
    let found = object.text(pointer).unwrap_or("absent");
    let of = if found == wanted { String::new() } else { format!(", not {wanted}") };
    finding.check(found == wanted, format!("{what} of {} is {found}{of}", object.name()));
}

/// Adds the checks that a server runs in a pod: by the host name that the server reports, and by UID and node of the
/// pod that the connection led to.
fn check_server_of(finding: &mut Finding, server: &Server, pod: &Object<'_>) {
    finding.check(
        server.pod == pod.name(),
        format!("the server's host name is {}, the pod is {}", server.pod, pod.name()),
    );
    finding.check(
        server.pod_uid == pod.uid(),
        format!("the connection led to pod UID {}, the pod's is {}", server.pod_uid, pod.uid()),
    );
    let node = pod.text("/spec/nodeName").unwrap_or("absent");
    finding.check(server.node == node, format!("the server runs on {}, the pod on {node}", server.node));
}

pub(super) fn node_of<'r>(pod: &Object<'r>) -> Result<&'r str, Missing> {
    let node = pod.text("/spec/nodeName");
    node.ok_or_else(|| Missing(format!("pod {} had no node when it was observed", pod.name())))
}

/// Returns the listings of [`PATH`] with a name, by node.
///
/// # Errors
/// As [`locality::listings`]; [`Missing`] if another path was listed.
fn listings<'r>(
    evidence: &Evidence<'r>,
    name: &str,
    nodes: &[String],
) -> Result<BTreeMap<&'r str, Listing<'r>>, Missing> {
    let found = locality::listings(evidence, name, nodes)?;
    match found.values().find(|l| l.path != PATH) {
        None => Ok(found),
        Some(other) => Err(Missing(format!("`{name}` lists {} on {}, not {PATH}", other.path, other.node))),
    }
}

pub(super) fn listed<'a, 'r>(
    all: &'a BTreeMap<&'r str, Listing<'r>>,
    node: &str,
) -> Result<&'a Listing<'r>, Missing> {
    all.get(node).ok_or_else(|| Missing(format!("{node} is not among the nodes that were listed")))
}

//! Waits until the garbage collector has deleted the dependants of custom resources.
//!
//! It looks up an owner by its kind, learns of a new kind within 30 s, and asks again after a pause that doubles
//! (`pkg/controller/garbagecollector` in kubernetes/kubernetes). Without the definition of the owner's kind it never deletes
//! the dependant: a definition must not be deleted before.

use std::collections::BTreeSet;

use kube::api::{ApiResource, ListParams};
use kube::core::discovery::Scope;

use super::ManifestError;
use super::exact::gone;
use super::inventory::{Listed, api_of, list_all};
use super::kinds::group;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::sanitise;
use crate::wait::WaitError;

/// A kind of owners.
pub(super) type Owner = (ApiResource, Scope);

/// Why dependants are not known to be collected.
pub(super) enum NotCollected {
    /// The cluster's objects cannot be listed.
    List(ManifestError),
    /// A dependant is left: its kind and name, and the error of the wait.
    Left(String, WaitError),
}

/// Waits until no object is left all of whose owners were of these kinds and are gone. Nothing is known about kinds that
/// cannot be listed.
pub(super) async fn collected(
    client: &Client,
    owners: &[Owner],
    deadline: Deadline,
) -> Result<(), NotCollected> {
    if owners.is_empty() {
        return Ok(());
    }
    loop {
        let (all, unread) =
            list_all(client, &ListParams::default(), deadline).await.map_err(NotCollected::List)?;
        let is_read = |(owner, _): &&Owner| {
            !unread.iter().any(|(kind, _)| kind.group == owner.group && kind.kind == owner.kind)
        };
        let owners: Vec<&Owner> = owners.iter().filter(is_read).collect();
        let orphans = orphans(&all, &owners);
        if orphans.is_empty() {
            return Ok(());
        }
        for orphan in orphans {
            let (resource, _, meta) = orphan;
            let [name, uid] = [&meta.name, &meta.uid].map(|text| text.as_deref().unwrap_or_default());
            let left =
                |source| NotCollected::Left(sanitise::line(&format!("{} {name}", resource.kind)), source);
            gone(api_of(&client.stream, orphan), name, uid, deadline).await.map_err(left)?;
        }
    }
}

/// The objects that have owners, all of these kinds and gone. An owner in a namespace does not own an object of the cluster:
/// the garbage collector leaves such an object alone.
fn orphans<'l>(all: &'l [Listed], owners: &[&Owner]) -> Vec<&'l Listed> {
    let present: BTreeSet<&str> = all.iter().filter_map(|(_, _, meta)| meta.uid.as_deref()).collect();
    let is_orphan = |(_, scope, meta): &&Listed| {
        let mut references = meta.owner_references.iter().flatten().peekable();
        references.peek().is_some()
            && references.all(|reference| {
                let is_kind = |(kind, of): &&&Owner| {
                    let is_same = kind.group == group(&reference.api_version) && kind.kind == reference.kind;
                    is_same && (*of == Scope::Cluster || *scope == Scope::Namespaced)
                };
                owners.iter().any(|owner| is_kind(&owner)) && !present.contains(reference.uid.as_str())
            })
    };
    all.iter().filter(is_orphan).collect()
}

//! Removes what dead processes left next to the clusters: containers of control probes, evidence of failed creations,
//! archives of images on their way to the nodes.

use std::path::Path;
use std::time::Duration;

use super::decision::{Action, Reaped};
use crate::cluster::lease::lock::LockFiles;
use crate::cluster::provision::evidence as collected;
use crate::cluster::state::record::remove_dir;
use crate::cluster::{ClusterError, Clusters, names};
use crate::config::{CONTROL_LABEL, OWNED_BY_LABEL, Settings, StateId};
use crate::engine::Power;
use crate::fault::Owner;
use crate::image;

/// Time for which evidence of failed creations is kept.
const EVIDENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reaps containers of control probes whose creating process is not visible. A container that was never started or
/// has ended is removed, because the engine removes only those that end by themselves. A running one stays: its
/// process may live in another container that shares the state folder.
pub(crate) async fn control_probes(
    clusters: &Clusters,
    owner: Option<&StateId>,
    dry_run: bool,
) -> Result<Vec<Reaped>, ClusterError> {
    let Clusters { settings, engine, .. } = clusters;
    let mut done = Vec::new();
    let Some(owner) = owner else { return Ok(done) };
    // A process that creates a probe uses a cluster, and may be about to start the probe.
    let used = |name: &String| !LockFiles::new(&settings.state, name).holders().is_empty();
    let used = LockFiles::names(&settings.state).iter().any(used);
    for container in engine.containers(&[(CONTROL_LABEL, ""), (OWNED_BY_LABEL, owner.as_str())]).await? {
        let maker =
            container.labels.get(CONTROL_LABEL).and_then(|text| serde_json::from_str::<Owner>(text).ok());
        if maker.as_ref().is_some_and(Owner::lives) {
            continue;
        }
        let name = container.name;
        let action = match container.power {
            _ if maker.is_none() => Action::Leave(format!(
                "its label does not name its process, which may be alive; if nobody needs it: \
                 docker rm --force {name}"
            )),
            Power::Created if used => continue,
            Power::Created | Power::Exited | Power::Dead => {
                if !dry_run {
                    engine.remove(&container.id).await?;
                }
                Action::Remove("the process that created this control probe is dead".into())
            }
            Power::Running | Power::Paused | Power::Restarting | Power::Removing => Action::Leave(format!(
                "it runs, and its process is not visible from here but may be alive; if nobody needs it: \
                 docker rm --force {name}"
            )),
        };
        done.push(Reaped { name, action });
    }
    Ok(done)
}

/// Removes old folders of evidence, and raw output that a killed collection left in a newer one. Touches only folders
/// that `Kind::evidence` created.
pub(crate) fn evidence(settings: &Settings, dry_run: bool) -> Result<Vec<Reaped>, ClusterError> {
    let mut done = Vec::new();
    let mut forget = |path: &Path, why: &str| {
        if !dry_run {
            remove_dir(path)?;
        }
        done.push(Reaped { name: path.display().to_string(), action: Action::Forget(why.into()) });
        Ok::<_, ClusterError>(())
    };
    for dir in dirs(&settings.state.join("failed")).filter(|dir| collected::is_evidence(dir)) {
        let age = dir.metadata().and_then(|m| m.modified()).ok().and_then(|m| m.elapsed().ok());
        if age.is_some_and(|age| age > EVIDENCE) {
            forget(&dir, "evidence older than a week")?;
            continue;
        }
        for raw in collected::left_raw(&dir)? {
            forget(&raw, "the process that collected evidence in it is dead")?;
        }
    }
    Ok(done)
}

/// Removes archives of images that a killed process left in the folder of a cluster while it loaded them onto the
/// nodes.
pub(crate) fn archives(settings: &Settings, dry_run: bool) -> Result<Vec<Reaped>, ClusterError> {
    let mut done = Vec::new();
    for name in names::recorded(&settings.state) {
        let dir = settings.cluster_dir(&name);
        let left: Vec<_> = dirs(&dir).filter(|dir| image::is_archive_folder(dir)).collect();
        // A process that loads images uses the cluster.
        if left.is_empty() || !LockFiles::new(&settings.state, &name).holders().is_empty() {
            continue;
        }
        for dir in left {
            if !dry_run {
                remove_dir(&dir)?;
            }
            let why = "the process that loaded an image from it is dead".into();
            done.push(Reaped { name: dir.display().to_string(), action: Action::Forget(why) });
        }
    }
    Ok(done)
}

fn dirs(of: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = std::fs::read_dir(of).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path())
}

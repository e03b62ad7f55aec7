//! What stories leave on a cluster: what earlier ones left, looked at when a story begins, and what a story
//! leaves itself, told when it ends. Neither is a verdict on a claim.

use std::time::Duration;

use super::{Failure, Scenario, WAY_OUT};
use crate::chain::chain;
use crate::client::Client;
use crate::cluster::{Access, Lease};
use crate::deadline::Deadline;
use crate::event::{Event, EventLog};
use crate::fault;
use crate::manifest::{HostFolder, RUN_LABEL, TestNamespace};
use crate::node::{Node, Role};
use crate::progress::Progress;

/// For the folders of a story, or of those that were killed.
const FOLDERS: Duration = Duration::from_secs(60);

/// Removes what killed stories left, for whoever has the cluster to itself: it would be in the way, such as a
/// server on the same folder. What cannot be removed, or is not ours, is named and left; while anything of ours is
/// left, a reap looks for it.
pub(super) async fn by_earlier_stories(
    lease: &Lease,
    client: &Client,
    log: &EventLog,
    progress: &Progress,
) -> Result<(), Failure> {
    let cluster = &lease.cluster;
    let mut gone = true;
    let stays = |text: String| {
        progress.say(&format!("{}: {text}", cluster.name));
        log.append(Event::Noted { text });
    };
    for left in TestNamespace::delete_left(client, RUN_LABEL, Deadline::after(WAY_OUT)).await? {
        gone &= !left.stays();
        match left.kept {
            None => {
                progress.say(&format!("{}: namespace {} of an earlier run: deleted", cluster.name, left.name))
            }
            Some(why) => stays(format!("namespace {} was there before and stays: {why}", left.name)),
        }
    }
    // After the namespaces: a folder belongs to one that is gone.
    let nodes: Vec<&Node> = cluster.nodes.iter().filter(|n| n.role != Role::LoadBalancer).collect();
    match HostFolder::sweep(client, &nodes, Deadline::after(FOLDERS)).await {
        Ok(swept) => {
            gone &= !swept.iter().any(|folder| folder.stays);
            swept.into_iter().for_each(|folder| stays(folder.text));
        }
        Err(error) => {
            gone = false;
            stays(format!("the folders that earlier stories left: {}", chain(&error)));
        }
    }
    if gone {
        lease.cleaned()?;
    }
    Ok(())
}

/// Heals, deletes and releases; every part is tried. Gives what stays behind, and the error of what must not:
/// a fault that is not healed, or a lease that could not be given back.
pub(super) async fn by_this_story(
    scenario: Scenario,
    lease: Lease,
    namespace: TestNamespace,
    deadline: Deadline,
) -> (Vec<String>, Result<(), Failure>) {
    let (engine, intents) = (&scenario.cluster.engine, &scenario.intents);
    let healed = match lease.access() {
        Access::Exclusive => fault::heal_all(engine, intents, deadline).await,
        Access::Shared => fault::heal_abandoned(engine, intents, deadline).await,
    };
    for healed in healed.iter().flatten() {
        scenario.log.append(healed.event());
    }
    let deleted = namespace.delete(&scenario.client, deadline).await;
    scenario.recorder.stop().await;
    scenario.logs.stop().await;
    let mut left = scenario.left.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folders = scenario.folders.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Pods that stay may still write: the next story that has the cluster to itself finds the records.
    for claimed in folders {
        match &deleted {
            Ok(_) => left.extend(claimed.give_back(&scenario.client, Deadline::after(FOLDERS)).await),
            Err(_) => left.push(claimed.stays(&scenario.namespace)),
        }
    }
    left.extend(deleted.err().map(|error| chain(&error)));
    if let Some(control) = scenario.control {
        left.extend(control.stop().await.err());
    }
    let clean: Result<(), Failure> = match healed {
        Ok(_) => lease.release().await.map(drop).map_err(Into::into),
        // A lease that is dropped unreleased marks the cluster dirty: the next one checks it.
        Err(error) => Err(error.into()),
    };
    left.extend(clean.as_ref().err().map(|error| chain(&**error)));
    (left, clean)
}

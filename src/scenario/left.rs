//! Leftovers of stories on a cluster: those of earlier stories, removed when a story begins, and those of this story,
//! reported when it ends. Neither changes the verdict of a claim.

use std::time::Duration;

use super::{Failure, Scenario, WAY_OUT};
use crate::chain::chain;
use crate::client::{ApiError, Client};
use crate::cluster::ready::cordon;
use crate::cluster::{Access, Lease};
use crate::deadline::Deadline;
use crate::event::{Event, EventLog};
use crate::fault;
use crate::manifest::{HostFolder, RUN_LABEL, TestNamespace};
use crate::node::{Node, Role};
use crate::progress::Progress;

/// Time for the folders of a story, or of killed stories.
const FOLDERS: Duration = Duration::from_secs(60);

/// Removes leftovers of killed stories for a scenario with exclusive access: they could disturb it, for example a
/// server on the same folder. Leftovers that cannot be removed or belong to others are named and stay. While a
/// leftover of seatrial stays, a reap looks for it.
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
            Some(why) => stays(format!("namespace {} of an earlier run stays: {why}", left.name)),
        }
    }
    // After the namespaces, because only a folder whose namespace is gone is emptied.
    let nodes: Vec<&Node> = cluster.nodes.iter().filter(|n| n.role != Role::LoadBalancer).collect();
    match HostFolder::sweep(client, &nodes, Deadline::after(FOLDERS)).await {
        Ok(swept) => {
            gone &= !swept.iter().any(|folder| folder.stays);
            swept.into_iter().for_each(|folder| stays(folder.text));
        }
        Err(error) => {
            gone = false;
            stays(format!("failed to remove the folders of earlier stories: {}", chain(&error)));
        }
    }
    if gone {
        lease.cleaned()?;
    }
    Ok(())
}

/// Heals, deletes and releases; a failure of one part does not stop the others. Returns the leftovers, and the error
/// of a part that must not fail: a fault that is not healed, or a lease that could not be released.
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
    let cordoned = match lease.access() {
        Access::Exclusive => uncordon_all(&scenario, deadline).await,
        Access::Shared => Vec::new(),
    };
    let deleted = namespace.delete(&scenario.client, deadline).await;
    scenario.recorder.stop().await;
    scenario.logs.stop().await;
    let mut left = scenario.left.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    left.extend(cordoned);
    let folders = scenario.folders.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Pods of a namespace that stays may still write. The next story with exclusive access finds the records of the
    // folders.
    for claimed in folders {
        match &deleted {
            Ok(_) => left.extend(claimed.give_back(&scenario.client, Deadline::after(FOLDERS)).await),
            Err(_) => left.push(claimed.stays(&scenario.namespace)),
        }
    }
    left.extend(deleted.err().map(|error| chain(&error)));
    if let Some(control) = scenario.control {
        left.extend(control.stop().await.err().map(|stays| stays.to_string()));
    }
    let clean: Result<(), Failure> = match healed {
        Ok(_) => lease.release().await.map(drop).map_err(Into::into),
        // A lease that is dropped without a release marks the cluster: the next lease checks it.
        Err(error) => Err(error.into()),
    };
    left.extend(clean.as_ref().err().map(|error| chain(&**error)));
    (left, clean)
}

/// Uncordons the nodes that a drain of this story has left cordoned. A node that somebody else cordoned stays cordoned.
/// Returns a sentence about each node that stays cordoned by seatrial.
async fn uncordon_all(scenario: &Scenario, deadline: Deadline) -> Vec<String> {
    let mut left = Vec::new();
    for node in scenario.cluster.nodes.iter().filter(|node| node.role != Role::LoadBalancer) {
        if let Err(error) = cordon::uncordon(&scenario.client, &node.name, deadline).await {
            let why = ApiError::from(error);
            left.push(format!("{} may be cordoned: {why}; kubectl uncordon {0}", node.name));
        }
    }
    left
}

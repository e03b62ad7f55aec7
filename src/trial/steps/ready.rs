//! Applies everything, and waits until each workload and each custom resource is complete.

use std::time::Duration;

use super::super::ground::{CALL, Ground, START};
use super::super::{custom, operators, workloads};
use crate::chain::chain;
use crate::judge::trial::facts::{WORKLOADS, Workload};
use crate::manifest::{Applied, Manifest, ManifestError, Object, is_own_kind};
use crate::retry;
use crate::scenario::Failure;

/// Pause before the custom resources are applied again.
const AGAIN: Duration = Duration::from_millis(500);

/// Returns whether everything is complete. Custom resources are applied while the workloads start: a webhook of their
/// operator may refuse them until then, and a workload may wait for what an operator makes of them.
pub async fn start(ground: &mut Ground<'_>) -> Result<bool, Failure> {
    let s = ground.s;
    let (mut first, mut then) = (ground.manifest.clone(), ground.manifest.clone());
    first.leave_out(is_custom);
    then.leave_out(|object| !is_custom(object));
    let mut applied = s.apply(&first, s.deadline().at_most(CALL)).await?;
    let (mut all, custom) = tokio::join!(ground.settle("ready", START), apply_custom(ground, &then));
    all &= match custom {
        Ok(custom) => {
            applied.extend(custom);
            settle_custom(ground).await
        }
        Err(error) => {
            // The reason may be an operator that does not start: the judge has its workload's reason, too.
            let why = chain(&*error);
            for custom in &ground.custom {
                workloads::settled(s, "ready", &custom.named, (START, START), Some(why.clone().into()));
            }
            false
        }
    };
    leave_out_theirs(&mut ground.manifest, &applied);
    if all && !ground.custom.is_empty() {
        let (made, delays): (Vec<_>, Vec<_>) = operators::made(ground).await?.into_iter().unzip();
        ground.delays.extend(made.iter().map(Workload::subject).zip(delays));
        ground.workloads.extend(made.iter().cloned());
        s.observe(&WORKLOADS, &ground.workloads);
        all = ground.settle_each("ready", &made, START).await;
    }
    s.mark("ready");
    Ok(all)
}

fn is_custom(object: &Object) -> bool {
    !is_own_kind(object.api_version())
}

async fn settle_custom(ground: &Ground<'_>) -> bool {
    let all = ground.custom.iter().map(|resource| custom::settle(ground.s, resource, START));
    futures::future::join_all(all).await.into_iter().all(|complete| complete)
}

/// Applies the custom resources. The API serves their kinds a moment after their definitions were applied.
async fn apply_custom(ground: &Ground<'_>, custom: &Manifest) -> Result<Vec<Applied>, Failure> {
    if ground.custom.is_empty() {
        return Ok(Vec::new());
    }
    // A webhook of the operator may refuse them until the operator is ready.
    let deadline = ground.s.deadline().at_most(START + ground.longest_delay());
    let apply = || async {
        match ground.s.apply(custom, deadline).await {
            Err(error) if is_unserved(&*error) => Ok(Err(error)),
            done => done.map(Ok),
        }
    };
    retry::try_until(deadline, retry::every(AGAIN), apply).await?.map_err(|late| late.last)
}

fn is_unserved(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<ManifestError>().map(ManifestError::cause);
    matches!(error, Some(ManifestError::UnknownKind { .. }))
}

/// Leaves out the objects that somebody else created, such as the service account `default`: they were changed, and are
/// not deleted.
fn leave_out_theirs(manifest: &mut Manifest, applied: &[Applied]) {
    let is_it = |object: &Object, applied: &Applied| {
        let of_kind = applied.kind == object.kind() && applied.name == object.name();
        of_kind && applied.namespace.as_deref() == object.namespace()
    };
    manifest.leave_out(|object| applied.iter().any(|applied| !applied.ours && is_it(object, applied)));
}

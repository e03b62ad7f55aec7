//! Applies everything, and waits until each workload and each custom resource is complete.

use super::super::ground::{CALL, Ground, START};
use super::super::{custom, operators};
use crate::judge::trial::facts::WORKLOADS;
use crate::manifest::{Applied, Manifest, Object, is_own_kind};
use crate::scenario::Failure;

/// Returns whether everything is complete. Custom resources are applied while the workloads start: a webhook of their
/// operator may refuse them until then, and a workload may wait for what an operator makes of them.
pub async fn start(ground: &mut Ground<'_>) -> Result<bool, Failure> {
    let s = ground.s;
    let (mut first, mut then) = (ground.manifest.clone(), ground.manifest.clone());
    first.leave_out(is_custom);
    // With the definitions: the API may not serve their kinds yet.
    then.leave_out(|object| !is_custom(object) && object.kind() != "CustomResourceDefinition");
    let mut applied = s.apply(&first, s.deadline().at_most(CALL)).await?;
    let (mut all, custom) = tokio::join!(ground.settle("ready", START), apply_custom(ground, &then));
    applied.extend(custom?);
    leave_out_theirs(&mut ground.manifest, &applied);
    for resource in &ground.custom {
        all &= custom::settle(s, resource, START).await;
    }
    if all && !ground.custom.is_empty() {
        let made = operators::made(ground).await?;
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

async fn apply_custom(ground: &Ground<'_>, custom: &Manifest) -> Result<Vec<Applied>, Failure> {
    match ground.custom.is_empty() {
        true => Ok(Vec::new()),
        false => ground.s.apply(custom, ground.s.deadline().at_most(START)).await,
    }
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

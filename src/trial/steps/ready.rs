//! Applies everything, and waits until each workload is complete.

use super::super::ground::{CALL, Ground, START};
use crate::scenario::Failure;

/// Returns whether every workload is complete.
pub async fn start(ground: &Ground<'_>) -> Result<bool, Failure> {
    let s = ground.s;
    s.apply(&ground.manifest, s.deadline().at_most(CALL)).await?;
    let all = ground.settle("ready", START).await;
    s.mark("ready");
    Ok(all)
}

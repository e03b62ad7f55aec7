//! Drains each worker and opens it again, one after another.

use std::time::{Duration, Instant};

use super::super::story::{CALL, Ground, START};
use crate::chain::chain;
use crate::judge::trial::facts::{DRAINS, Drain};
use crate::scenario::Failure;
use crate::upgrade::{drain, uncordon};

/// Time for one drain.
pub const BUDGET: Duration = Duration::from_secs(60);

pub async fn drain_all(ground: &Ground<'_>) -> Result<(), Failure> {
    let s = ground.s;
    let workers: Vec<String> = s.cluster.workers().map(|node| node.name.clone()).collect();
    for node in workers {
        s.mark(&format!("drain {node}"));
        let began = Instant::now();
        let drained = drain(&s.client, &node, s.deadline().at_most(BUDGET)).await;
        let (took, error) = (began.elapsed().as_secs_f64(), drained.err().map(|e| chain(&e)));
        s.observe(&DRAINS, &Drain { node: node.clone(), took, budget: BUDGET.as_secs_f64(), error });
        uncordon(&s.client, &node, s.deadline().at_most(CALL)).await?;
        ground.settle("drain", START).await;
        s.mark(&format!("drained {node}"));
    }
    Ok(())
}

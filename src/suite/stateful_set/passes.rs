//! Makes the controller process a set repeatedly, and waits until this is proved.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1;
use kube::api::Api;
use kube::runtime::watcher;

use crate::deadline::Deadline;
use crate::judge::stateful_set::PASSES;
use crate::scenario::{Failure, Scenario};
use crate::wait::{self, stateful_sets};
use crate::workload::StatefulSet;

/// Pause between two passes. One pass and one pause more than needed are made: the judge counts only proved passes.
const APART: Duration = Duration::from_secs(1);
const MORE: usize = 1;
/// Default number of kept revisions; each pass requests one more.
const KEPT: i32 = 10;

/// Makes the controller process the set often enough, over at least this time: each pass is a new generation, and the
/// function waits until the controller has observed it.
pub(in crate::suite) async fn passes(
    s: &Scenario,
    set: &StatefulSet,
    least: f64,
    deadline: Deadline,
) -> Result<(), Failure> {
    let (began, mut made) = (Instant::now(), 0);
    let by_name = watcher::Config::default().fields(&format!("metadata.name={}", set.name()));
    while made < PASSES + MORE || began.elapsed().as_secs_f64() < least + APART.as_secs_f64() {
        let generation = set.keep_revisions(KEPT + 1 + i32::try_from(made)?).await?;
        let api = Api::<v1::StatefulSet>::namespaced(s.client.stream.clone(), &s.namespace);
        let observed = stateful_sets::observed(set.name(), generation);
        wait::until(api, by_name.clone(), observed, deadline).await?;
        made += 1;
        deadline.pause(APART).await;
    }
    // Resets the number, so later passes are changes again.
    set.keep_revisions(KEPT).await?;
    Ok(())
}

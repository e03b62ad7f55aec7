//! B12: a volume on the same directory names its node, and this node is stopped again.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use kube::api::{Api, ListParams};
use kube::runtime::watcher;

use crate::fault::StopNode;
use crate::judge::mysql::B12;
use crate::judge::mysql::affinity::HELD;
use crate::judge::mysql::{PINNED, facts};
use crate::manifest::Manifest;
use crate::probe::Traffic;
use crate::scenario::Failure;
use crate::suite::mysql::{
    CALL, CHANGE, CLAIM, Instance, Mysql, RETURN, SELECTOR, START, allowed, place, uid,
};
use crate::wait::{self, Verdict, nodes, pods};

const MANIFEST: &str = include_str!("mysql-affinity.yaml");

/// Stops the node of a volume that names it. The volume has the files of `last`, whose workload is gone. Returns the
/// applied manifest.
pub(super) async fn lose_pinned_node(
    mysql: &Mysql<'_>,
    last: &Instance,
    traffic: &mut Traffic,
) -> Result<Manifest, Failure> {
    let s = mysql.s;
    let home = last.node();
    s.mark(PINNED);
    let manifest = s.manifest("mysql-affinity.yaml", &MANIFEST.replace("the-node", home))?;
    s.apply(&manifest, mysql.within(CHANGE)).await?;
    let bound = wait::claims::claim_bound();
    wait::until(mysql.claims(), watcher::Config::default(), bound, mysql.within(CHANGE)).await?;
    let before = mysql.answering(&[last]).await?;
    let volume = mysql.claims().get(CLAIM).await?.spec.and_then(|spec| spec.volume_name).unwrap_or_default();
    s.observe(
        &facts::PINNED_VOLUME,
        &Api::<PersistentVolume>::all(s.client.unary.clone()).get(&volume).await?,
    );

    traffic.resume();
    mysql.write_on(traffic).await?;
    traffic.pause().await;
    mysql.read(&before, "pinned").await?;
    place::list(s, "pinned").await?;
    traffic.resume();

    let allowed = allowed(s);
    s.observe(&facts::PINNED_BUDGET, &allowed);
    let patience = Duration::from_secs_f64(allowed.ready) + START;
    let node = s.cluster.node(home).ok_or_else(|| format!("no node is called {home}"))?;
    let fault = s.inject(&StopNode::DEFAULT, node, mysql.within(CHANGE)).await?;
    let held_up = pods::unschedulable("affinity");
    let ours = watcher::Config::default().labels(SELECTOR);
    let held_up = wait::until(mysql.pods.clone(), ours, held_up, mysql.within(patience));
    s.step("replacement held up", patience, async { Ok(held_up.await?) }).await?;
    place::list(s, "pinned-stopped").await?;
    stays_pending(mysql, &before).await?;
    let found = mysql.pods.list(&ListParams::default().labels(SELECTOR)).await?.items;
    let pending = found.iter().find(|pod| uid(pod) != uid(&before.pod)).ok_or("the replacement is gone")?;
    s.observe(&facts::POD_PENDING, pending);
    s.recorder.settle(mysql.within(CALL)).await;

    s.mark("pinned-return");
    fault.heal(mysql.within(RETURN)).await?;
    nodes::ready(&s.client, home, mysql.within(RETURN)).await?;
    let after = mysql.answering(&[&before]).await?;
    mysql.gone(&before.pod).await?;
    mysql.write_on(traffic).await?;
    traffic.pause().await;
    mysql.read(&after, "pinned-returned").await?;
    s.observe(&facts::PINNED_POD, &before.pod);
    s.observe(&facts::PINNED_SERVER, &before.server);
    s.observe(&facts::PINNED_POD_RETURNED, &after.pod);
    s.observe(&facts::PINNED_SERVER_RETURNED, &after.server);
    s.prove(&B12).await;
    Ok(manifest)
}

/// Watches the pending replacement for the time that the claim needs. Ends early if the replacement is scheduled: then
/// the claim does not hold, and the judge reports it.
async fn stays_pending(mysql: &Mysql<'_>, before: &Instance) -> Result<(), Failure> {
    let old = uid(&before.pod).to_owned();
    let placed = wait::check("the replacement placed", move |found: &[Pod]| {
        let placed = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        Verdict::met_if(found.iter().any(|pod| uid(pod) != old && placed(pod)), || "it is pending".into())
    });
    let ours = watcher::Config::default().labels(SELECTOR);
    let enough = mysql.within(Duration::from_secs_f64(HELD));
    match wait::until(mysql.pods.clone(), ours, placed, enough).await {
        Ok(_) | Err(wait::WaitError::Timeout { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

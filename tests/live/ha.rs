//! Several control planes: the load balancer in front of them, which is no node.

use std::time::Duration;

use anyhow::{Context, ensure};
use seatrial::cluster::{Access, ClusterSpec, Clusters, HA};
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::fault::{Fault, StopNode, Target};
use seatrial::image;
use seatrial::node::Power;

use crate::session::{shown, variable};

/// Time for a cluster, its images included where they are cached.
const PATIENCE: Duration = Duration::from_secs(40 * 60);
/// What kind writes for it (kind 0.33: pkg/cluster/internal/loadbalancer).
const FILES: [&str; 2] = ["/home/envoy/cds.yaml", "/home/envoy/lds.yaml"];

/// Killed by somebody, it is started by whoever leases the cluster next, and has kept what kind wrote:
/// the same cluster is ready again. (kind 0.32 lost those files at each start: kind pull request 4195.)
#[tokio::test(flavor = "multi_thread")]
async fn nightly_a_load_balancer_that_was_killed_is_started_with_its_files() -> anyhow::Result<()> {
    let settings = Settings::resolve(variable)?;
    let engine =
        Engine::connect(&settings.engine).await.context("no container engine: run scripts/bootstrap")?;
    let clusters = Clusters::new(settings, engine.clone(), shown(), "a live test of the load balancer");
    let images = image::resolve(&clusters.images(Deadline::after(PATIENCE))).await?;
    let offline = images.profile == "offline";
    let spec = ClusterSpec { topology: HA.read()?, images, cluster_suffix: None };
    let acquire = async || Box::pin(clusters.acquire(&spec, Access::Shared, Deadline::after(PATIENCE))).await;
    let lease = acquire().await?;
    let balancer =
        lease.cluster.load_balancer.clone().context("several control planes have a load balancer")?;
    let name = balancer.node.name.as_str();
    ensure!(balancer.substitute.is_some() == offline, "{balancer:?}");
    let stop = StopNode::DEFAULT.check(&Target::from(&balancer.node), Deadline::after(PATIENCE)).await;
    let refusal = stop.err().context("the load balancer is no target")?.to_string();
    ensure!(refusal.contains("it is the load balancer"), "{refusal}");

    let files = async || {
        let mut all = Vec::new();
        for file in FILES {
            all.push(engine.read_file(name, file, 1 << 16).await?.with_context(|| format!("no {file}"))?);
        }
        anyhow::Ok(all)
    };
    let before = files().await?;
    engine.kill(name).await?;
    lease.release().await?;
    let again = acquire().await?;
    ensure!(again.reused, "the cluster was made anew");
    ensure!(balancer.node.power().await? == Power::Running, "{name} does not run");
    ensure!(files().await? == before, "{name} has other files than kind gave it");
    again.release().await?;
    // Nothing has kept the name that was lent to it.
    if let Some(lent) = image::balancer_of_kind()?.filter(|_| offline) {
        let left = engine.image(&lent).await?;
        ensure!(left.is_none_or(|i| !i.labels.contains_key(image::STANDS_FOR_LABEL)), "{lent} is still lent");
    }
    Ok(())
}

//! The smallest useful story: a worker is stopped, and a Deployment's pod starts on another node.
//!
//! `cargo run --example node_loss`. The first run creates the cluster, later runs find it again.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use seatrial::cluster::{Access, Clusters, THREE};
use seatrial::config::Settings;
use seatrial::engine::Engine;
use seatrial::fault::StopNode;
use seatrial::progress::{Progress, Update};
use seatrial::run::{Run, new_id};
use seatrial::scenario::{Needs, Scenario, scenario};
use seatrial::wait;
use tokio_util::sync::CancellationToken;

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: nginx, image: "nginx:1.7.9"}]
"#;

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "the edge resolves the settings")]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::resolve(|name| std::env::var(name).ok())?;
    let engine =
        Engine::connect(&settings.engine).await.context("no container engine: run scripts/bootstrap")?;
    let progress = Progress::new(|update| {
        if let Update::Said(text) = update {
            println!("{text}");
        }
    });
    let id = new_id(jiff::Timestamp::now());
    let clusters = Clusters::new(settings, engine, progress, "node-loss");
    let run = Run::begin(clusters, &id, &["node-loss"], CancellationToken::new()).await?;
    let needs = Needs {
        name: "node-loss",
        claims: &[],
        access: Access::Exclusive,
        topology: &THREE,
        cluster_suffix: None,
        budget: Duration::from_secs(300),
    };
    scenario(&run, needs, async |s: &Scenario| {
        let web = s.manifest("web.yaml", WEB)?;
        s.apply(&web, s.deadline()).await?;
        let before = wait::rollout(&s.client, &s.namespace, "web", s.deadline()).await?;
        let home = node_of(&before.pods).ok_or("the pod has a node")?;
        let node = s.cluster.node(&home).ok_or("the node is the cluster's")?;

        let outage = s.inject(&StopNode::DEFAULT, node, s.deadline()).await?;
        let pods: Api<Pod> = Api::namespaced(s.client.stream.clone(), &s.namespace);
        let elsewhere = wait::check("a ready pod on another node", move |pods: &[Pod]| {
            let ready = pods.iter().filter(|p| wait::pods::is_ready(p));
            match ready.filter_map(|p| p.spec.as_ref()?.node_name.clone()).find(|n| *n != home) {
                Some(_) => wait::Verdict::Met,
                None => wait::Verdict::NotYet("every ready pod is on the lost node".into()),
            }
        });
        let replaced = wait::until(pods, Default::default(), elsewhere, s.deadline()).await?;
        println!("replaced {:.1} s after {} went down", replaced.took.as_secs_f64(), node.name);
        outage.heal(s.deadline()).await?;
        Ok(())
    })
    .await?;
    println!("evidence: {}", run.log.dir().display());
    Ok(())
}

fn node_of(pods: &[Pod]) -> Option<String> {
    pods.first()?.spec.as_ref()?.node_name.clone()
}

//! A program of your own: a Deployment's pod must come up elsewhere in time when its node stops.
//!
//! `cargo run --example own_program -- run --suite node-loss`. The program has every other command of seatrial, too: `plan`
//! prints the arithmetic of the budget, `judge` judges a run again.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use seatrial::prelude::*;

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

/// Seconds from the node's stop to a ready pod on another node.
const REPLACED: Fact<f64> = Fact::new("replaced_after");
/// Seconds that the replacement may take.
const BUDGET: Fact<f64> = Fact::new("budget");

static MOVES: Claim =
    Claim::new("web-moves", "the pod comes up on another node in time", |evidence, finding| {
        let (took, budget) = (evidence.fact(&REPLACED)?, evidence.fact(&BUDGET)?);
        finding.check(took <= budget, format!("replaced after {took:.1} s of {budget:.1} s"));
        Ok(())
    });

static NODE_LOSS: Suite = Suite {
    about: "a worker is lost, a Deployment's pod comes up elsewhere",
    needs: Needs::new("node-loss", &[&MOVES]),
    after_all: false,
    story: |s| Box::pin(story(s)),
};

fn main() -> std::process::ExitCode {
    seatrial::main(&[&NODE_LOSS])
}

async fn story(s: &Scenario) -> Result<(), Failure> {
    s.apply(&s.manifest("web.yaml", WEB)?, s.deadline()).await?;
    let before = wait::rollout(&s.client, &s.namespace, "web", s.deadline()).await?;
    let home = before.pods.first().and_then(node_of).ok_or("the pod has a node")?;
    let node = s.cluster.node(&home).ok_or("the node belongs to the cluster")?;
    let budget = s.cluster.topology.timing().node_loss().total;
    s.observe(&BUDGET, &budget.as_secs_f64());

    let outage = s.inject(&StopNode::DEFAULT, node, s.deadline()).await?;
    let elsewhere = wait::check("a ready pod on another node", move |pods: &[Pod]| {
        let mut ready = pods.iter().filter(|pod| wait::pods::is_ready(pod)).filter_map(node_of);
        wait::Verdict::met_if(ready.any(|node| node != home), || "every ready pod is on the lost node".into())
    });
    let pods: Api<Pod> = Api::namespaced(s.client.stream.clone(), &s.namespace);
    let late = s.deadline().at_most(2 * budget + Duration::from_secs(30));
    let replaced = wait::until(pods, Default::default(), elsewhere, late).await?;
    s.observe(&REPLACED, &replaced.took.as_secs_f64());
    s.prove(&MOVES).await;
    outage.heal(s.deadline()).await?;
    Ok(())
}

fn node_of(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}

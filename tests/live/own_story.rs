//! A test as a user writes one: a story of their own on a leased cluster.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use seatrial::cluster::{Access, THREE};
use seatrial::fault::PauseNode;
use seatrial::judge::{Claim, Fact};
use seatrial::manifest::{self, ManifestError};
use seatrial::scenario::{Needs, scenario};
use seatrial::wait;
use serde_json::json;

use crate::session::in_run;
use crate::trial;

/// Seconds until the cluster noticed that the worker hung.
const TOOK: Fact<f64> = Fact::new("took");
/// Seconds that the topology allows for that.
const BUDGET: Fact<f64> = Fact::new("budget");

/// A claim of the test's own: built-in ones are no other.
static NOTICED: Claim =
    Claim::new("hung-1", "the cluster notices a hung worker in time", |evidence, finding| {
        let (took, budget) = (evidence.fact(&TOOK)?, evidence.fact(&BUDGET)?);
        finding.check(took <= budget, format!("noticed after {took:.1} s of {budget:.1} s"));
        Ok(())
    });

/// The claims of these tests' own stories, for whoever judges them again.
pub fn claims(scenario: &str) -> &'static [&'static Claim] {
    static NOTICED_ALONE: [&Claim; 1] = [&NOTICED];
    if scenario == HUNG { &NOTICED_ALONE } else { trial::own_claims(scenario) }
}

const HUNG: &str = "hung-worker";

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_worker_is_noticed_and_comes_back() -> anyhow::Result<()> {
    let needs = Needs {
        name: HUNG,
        claims: claims(HUNG),
        access: Access::Exclusive,
        topology: &THREE,
        cluster_suffix: None,
        budget: Duration::from_secs(180),
    };
    in_run(&[needs.name], async |run| {
        Ok(scenario(run, needs, async |s| {
            let worker = s.cluster.workers().next().ok_or("the topology has a worker")?;
            let notice = s.cluster.topology.timing().node_loss().total;
            let hang = s.inject(&PauseNode, worker, s.deadline()).await?;
            let noticed =
                wait::nodes::not_ready(&s.client, &worker.name, s.deadline().at_most(notice)).await?;
            s.observe(&TOOK, &noticed.took.as_secs_f64());
            s.observe(&BUDGET, &notice.as_secs_f64());
            s.prove(&NOTICED).await;
            hang.heal(s.deadline()).await?;
            wait::nodes::ready(&s.client, &worker.name, s.deadline()).await?;
            Ok(())
        })
        .await?)
    })
    .await
}

const SCALED: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: scaled}
spec:
  replicas: 0
  selector: {matchLabels: {app: scaled}}
  template:
    metadata: {labels: {app: scaled}}
    spec: {containers: [{name: nginx, image: nginx:1.7.9}]}
";

/// What `kubectl scale` wrote belongs to it: an apply that would put it back is refused, and says whose it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_names_the_other_field_manager() -> anyhow::Result<()> {
    let needs = Needs {
        name: "field-conflict",
        claims: &[],
        access: Access::Shared,
        topology: &THREE,
        cluster_suffix: None,
        budget: Duration::from_secs(120),
    };
    in_run(&[needs.name], async |run| {
        Ok(scenario(run, needs, async |s| {
            let manifest = s.manifest("scaled.yaml", SCALED)?;
            s.apply(&manifest, s.deadline()).await?;
            let deployments = Api::<Deployment>::namespaced(s.client.unary.clone(), &s.namespace);
            let kubectl = PatchParams { field_manager: Some("kubectl".into()), ..PatchParams::default() };
            let scale = Patch::Merge(json!({"spec": {"replicas": 1}}));
            deployments.patch_scale("scaled", &kubectl, &scale).await?;
            let refused = manifest::apply(&s.client, &manifest, s.deadline()).await;
            let Err(ManifestError::Conflict { owned, .. }) = &refused else {
                return Err(format!("no conflict: {refused:?}").into());
            };
            let [field] = owned.as_slice() else { return Err(format!("{owned:?}").into()) };
            if field.field != ".spec.replicas" || !field.manager.contains("kubectl") {
                return Err(format!("{field:?}").into());
            }
            manifest::force_apply(&s.client, &manifest, s.deadline()).await?;
            Ok(())
        })
        .await?)
    })
    .await
}

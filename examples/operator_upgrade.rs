//! A new version of an operator, and its custom resources are still served: `cargo run --example operator_upgrade`.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use seatrial::prelude::*;
use serde_json::json;

/// Seconds until the operator had scaled a site, before and after its upgrade.
const SCALED: Fact<(f64, f64)> = Fact::new("site_scaled");

/// The new version does the work of the old one.
pub static SERVED: Claim =
    Claim::new("sites-served", "the new operator serves the sites of the old one", |evidence, finding| {
        let (before, after) = evidence.fact(&SCALED)?;
        finding
            .check(after < 60.0, format!("a site was scaled after {before:.1} s, then after {after:.1} s"));
        Ok(())
    });

/// The name of the scenario in the reports.
pub const NAME: &str = "operator-upgrade";

#[tokio::main]
async fn main() -> Outcome {
    sites_are_served_by_the_next_operator().await
}

/// Runs the trial.
pub async fn sites_are_served_by_the_next_operator() -> Outcome {
    let story = async |t: &Stage<'_, '_>| {
        let before = scale(t, 3).await?;
        let next = &t.images.workloads["nginx-new"].reference;
        t.set_image("site-system/deployment/operator", next).await?;
        t.observe(&SCALED, &(before, scale(t, 1).await?));
        t.prove(&SERVED).await;
        Ok(())
    };
    trial(NAME).manifests("examples/operator.yaml").images_of_profile().proves([&SERVED]).run(story).await
}

/// Changes the site, and returns the seconds until its Deployment has as many ready pods.
async fn scale(t: &Stage<'_, '_>, replicas: i32) -> Result<f64, Failure> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Site"));
    let sites: Api<DynamicObject> = Api::namespaced_with(t.client.unary.clone(), &t.namespace, &kind);
    let spec = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    sites.patch("front", &PatchParams::default(), &spec).await?;
    let scaled = wait::check("the site is scaled", move |all: &[Deployment]| {
        let status = all.iter().filter_map(|one| one.status.as_ref());
        let mut counts = status.map(|status| (status.replicas, status.ready_replicas));
        let is_met = counts.any(|counts| counts == (Some(replicas), Some(replicas)));
        wait::Verdict::met_if(is_met, || "the operator has not done it".into())
    });
    let all: Api<Deployment> = Api::namespaced(t.client.stream.clone(), &t.namespace);
    Ok(wait::until(all, Default::default(), scaled, t.deadline()).await?.took.as_secs_f64())
}

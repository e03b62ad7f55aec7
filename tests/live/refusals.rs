//! What a real cluster refuses, and what it keeps to itself: waits say why.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, ResourceQuota};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use seatrial::cluster::{Access, THREE};
use seatrial::deadline::Deadline;
use seatrial::scenario::{Failure, Needs, Scenario, scenario};
use seatrial::wait::{self, WaitError};
use serde_json::json;

use crate::session::in_run;

/// Time of one wait, which it uses up.
const WAIT: Duration = Duration::from_secs(5);
/// Time for controllers to be refused and to say so, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn deployment(name: &str, more: &str) -> String {
    format!(
        "\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: main
        image: nginx:1.7.9
{more}"
    )
}

const SET: &str = "\
apiVersion: v1
kind: Service
metadata: {name: vault}
spec: {clusterIP: None, selector: {app: vault}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: vault}
spec:
  serviceName: vault
  selector: {matchLabels: {app: vault}}
  template:
    metadata: {labels: {app: vault}}
    spec: {containers: [{name: main, image: nginx:1.7.9}]}
";

/// Nothing mounts the claim: its volume is chosen when a pod is scheduled.
const CLAIM: &str = "\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: later}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: reports}
spec: {storageClassName: later, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_says_what_the_cluster_refused() -> anyhow::Result<()> {
    let needs = Needs {
        name: "refusals",
        claims: &[],
        access: Access::Shared,
        topology: &THREE,
        cluster_suffix: None,
        budget: Duration::from_secs(240),
    };
    in_run(&[needs.name], async |run| Ok(scenario(run, needs, async |s| story(s).await).await?)).await
}

async fn story(s: &Scenario) -> Result<(), Failure> {
    full_quota(s).await?;
    pod_security(s).await?;
    webhook_away(s).await?;
    readiness_gate(s).await?;
    first_consumer(s).await?;
    feature_off(s).await
}

/// May be lifted by whoever deletes a pod or raises the quota: never a reason to give up.
async fn full_quota(s: &Scenario) -> Result<(), Failure> {
    let quotas = Api::<ResourceQuota>::namespaced(s.client.unary.clone(), &s.namespace);
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    quotas.create(&PostParams::default(), &serde_json::from_value(quota)?).await?;
    s.apply(&s.manifest("full.yaml", &deployment("full", ""))?, s.deadline()).await?;
    let said = says(&["exceeded quota: none"], async || not_yet(s, "full").await).await;
    quotas.delete("none", &DeleteParams::default()).await?;
    said?;
    wait::rollout(&s.client, &s.namespace, "full", s.deadline()).await?;
    Ok(())
}

/// A StatefulSet tells of it in an event only.
async fn pod_security(s: &Scenario) -> Result<(), Failure> {
    let namespaces = Api::<Namespace>::all(s.client.unary.clone());
    let label = async |value| {
        let patch = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": value}}});
        namespaces.patch(&s.namespace, &PatchParams::default(), &Patch::Merge(patch)).await
    };
    label(Some("restricted")).await?;
    s.apply(&s.manifest("vault.yaml", SET)?, s.deadline()).await?;
    let said = says(&["violates PodSecurity \"restricted:latest\""], async || {
        let deadline = s.deadline().at_most(WAIT);
        let waited = wait::stateful_rollout(&s.client, &s.namespace, "vault", deadline).await;
        Ok(waited.map(drop).err().ok_or("a set that PodSecurity forbids came up")?.to_string())
    })
    .await;
    label(None).await?;
    said
}

/// A webhook that is away may come back.
async fn webhook_away(s: &Scenario) -> Result<(), Failure> {
    let hooks = Api::<ValidatingWebhookConfiguration>::all(s.client.unary.clone());
    let name = format!("refusals-{}", s.suffix());
    let hook = json!({
        "metadata": {"name": name},
        "webhooks": [{
            "name": "pods.seatrial.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 1,
            "clientConfig": {"url": "https://127.0.0.1:9/pods"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": s.namespace}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    });
    hooks.create(&PostParams::default(), &serde_json::from_value(hook)?).await?;
    let said = async {
        s.apply(&s.manifest("hooked.yaml", &deployment("hooked", ""))?, s.deadline()).await?;
        says(&["failed calling webhook \"pods.seatrial.dev\""], async || not_yet(s, "hooked").await).await
    };
    let said = said.await;
    hooks.delete(&name, &DeleteParams::default()).await?;
    said
}

async fn readiness_gate(s: &Scenario) -> Result<(), Failure> {
    let text = deployment("gated", "      readinessGates: [{conditionType: seatrial.dev/balanced}]\n");
    s.apply(&s.manifest("gated.yaml", &text)?, s.deadline()).await?;
    says(&["seatrial.dev/balanced"], async || not_yet(s, "gated").await).await
}

async fn first_consumer(s: &Scenario) -> Result<(), Failure> {
    s.apply(&s.manifest("claim.yaml", CLAIM)?, s.deadline()).await?;
    let claims = || Api::<PersistentVolumeClaim>::namespaced(s.client.stream.clone(), &s.namespace);
    says(&["reports is Pending", "WaitForFirstConsumer"], async || {
        let (bound, deadline) = (wait::claims::claim_bound(), s.deadline().at_most(WAIT));
        let waited = wait::until(claims(), Default::default(), bound, deadline).await;
        Ok(waited.map(drop).err().ok_or("a claim without a pod was bound")?.to_string())
    })
    .await
}

/// The gate of `restartPolicyRules` is off by default until 1.35.
async fn feature_off(s: &Scenario) -> Result<(), Failure> {
    let rule = "{action: Restart, exitCodes: {operator: In, values: [42]}}";
    let text =
        deployment("ruled", &format!("        restartPolicy: Never\n        restartPolicyRules: [{rule}]\n"));
    let applied = s.apply(&s.manifest("ruled.yaml", &text)?, s.deadline()).await?;
    let notes: Vec<String> = applied.iter().flat_map(|one| one.notes()).collect();
    match s.cluster.kubernetes.starts_with("1.34.") {
        true => contains(&notes.join("\n"), &["restartPolicyRules"]),
        false if notes.is_empty() => Ok(()),
        false => Err(format!("the API keeps the field: {notes:?}").into()),
    }
}

/// What a wait for a rollout says that cannot be met yet.
async fn not_yet(s: &Scenario, name: &str) -> Result<String, Failure> {
    match wait::rollout(&s.client, &s.namespace, name, s.deadline().at_most(WAIT)).await {
        Err(late @ WaitError::Timeout { .. }) => Ok(late.to_string()),
        Err(never) => Err(format!("given up, though it may be lifted: {never}").into()),
        Ok(_) => Err(format!("{name} came up").into()),
    }
}

/// Waits again until all of this is said.
async fn says(parts: &[&str], wait: impl AsyncFn() -> Result<String, Failure>) -> Result<(), Failure> {
    let limit = Deadline::after(LIMIT);
    loop {
        let said = contains(&wait().await?, parts);
        if said.is_ok() || limit.is_over() {
            return said;
        }
    }
}

fn contains(text: &str, parts: &[&str]) -> Result<(), Failure> {
    match parts.iter().find(|part| !text.contains(**part)) {
        Some(part) => Err(format!("no {part:?} in: {text}").into()),
        None => Ok(()),
    }
}

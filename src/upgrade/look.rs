//! Reads the state of a cluster: the facts for a plan, the versions of all components, and whether a component has
//! arrived at its version.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node as KubeNode, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::api::{Api, GetParams, ListParams, PostParams};
use kube::core::Request;
use kube::runtime::watcher;
use serde::Deserialize;
use serde_json::json;

use super::drain::Before;
use super::drain::{asks_budgets, counts, full_name, moves, unmanaged, uses_up};
use super::error::UpgradeError;
use super::facts::{BudgetFacts, ClusterFacts, NodeFacts};
use super::{STORE, Upgrading, programs_dir};
use crate::client::{ApiError, Client};
use crate::cluster::Cluster;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::judge::upgrade::parts;
use crate::kubernetes::skew::{Component, State};
use crate::kubernetes::version::Version;
use crate::node::{self, Node, Power};
use crate::retry::{self, NotYet};
use crate::sanitise;
use crate::wait::{self, Verdict, check, nodes, pods};

/// Time for one request to a node.
const ASK: Duration = Duration::from_secs(60);
/// Time between two checks of a state that cannot be watched.
pub(super) const LOOK: Duration = Duration::from_millis(300);
/// Number of good answers in a row after which a restarted API server counts as stable: over at least 3 s, because a
/// kubelet restarts its static pods a moment after its own start.
const STEADY: u32 = 10;

/// Time to read versions that are only reported.
pub(super) const GLANCE: Duration = Duration::from_secs(5);

/// Collects the facts for a plan. `cordoned_by_us` comes from the journal.
///
/// # Errors
/// Errors of the API or the engine. A node that is down is not an error but a fact.
pub async fn facts(
    cluster: &Cluster,
    client: &Client,
    cordoned_by_us: BTreeSet<String>,
    deadline: Deadline,
) -> Result<ClusterFacts, UpgradeError> {
    let Cluster { name, engine, nodes, .. } = cluster;
    let looked = try_join_all(nodes.iter().map(|node| on_node(engine, node, deadline))).await?;
    let listed = list::<KubeNode>(client, "the nodes").await?;
    let all = list::<Pod>(client, "the pods").await?;
    let budgets = list::<PodDisruptionBudget>(client, "the PodDisruptionBudgets").await?;
    let mut state = state(client).await?;
    let mut found = Vec::new();
    for (mut facts, kubectl) in looked {
        match listed.iter().find(|n| n.name_any() == facts.name) {
            None => _ = facts.not_ready.get_or_insert_with(|| "the API does not know it".into()),
            Some(node) => {
                facts.cordoned = node.spec.as_ref().is_some_and(|s| s.unschedulable == Some(true));
                if let Verdict::NotYet(why) | Verdict::Never(why) =
                    wait::Check::verdict(&nodes::node_ready(&facts.name, None), std::slice::from_ref(node))
                {
                    facts.not_ready.get_or_insert(why);
                }
            }
        }
        if let Some(kubectl) = kubectl {
            state.kubectls.insert(facts.name.clone(), kubectl);
        }
        found.push(facts);
    }
    let mut alone: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in all.iter().filter(|p| unmanaged(p)) {
        if let Some(node) = pod.spec.as_ref().and_then(|s| s.node_name.clone()) {
            alone.entry(node).or_default().push(full_name(pod));
        }
    }
    Ok(ClusterFacts {
        name: name.into(),
        nodes: found,
        state,
        fail_cgroup_v1: fail_cgroup_v1(client).await?,
        budgets: budgets.iter().map(|b| budget(b, &all)).collect(),
        unmanaged: alone,
        cordoned_by_us,
        interrupted: None,
    })
}

fn budget(budget: &PodDisruptionBudget, pods: &[Pod]) -> BudgetFacts {
    let status = budget.status.clone().unwrap_or_default();
    let counted: Vec<&Pod> = pods.iter().filter(|p| counts(budget, p)).collect();
    let asked = counted.iter().filter(|p| moves(p) && asks_budgets(p));
    let placed = asked.filter_map(|p| Some((full_name(*p), p.spec.as_ref()?.node_name.clone()?)));
    let mut conditions = status.conditions.into_iter().flatten();
    let failed = conditions.find(|c| c.type_ == "DisruptionAllowed" && c.reason == "SyncFailed");
    let policy = budget.spec.as_ref().and_then(|s| s.unhealthy_pod_eviction_policy.as_deref());
    BudgetFacts {
        name: full_name(budget),
        pods: placed.collect(),
        unready: uses_up(&counted),
        lets_unready_go: policy == Some("AlwaysAllow"),
        selects_none: counted.is_empty(),
        uncounted: failed.map(|c| sanitise::line(&c.message)),
        expected: status.expected_pods,
        desired: status.desired_healthy,
        healthy: status.current_healthy,
        allowed: status.disruptions_allowed,
    }
}

/// Reads the facts that only the node itself knows, and the version of its kubectl.
async fn on_node(
    engine: &Engine,
    node: &Node,
    deadline: Deadline,
) -> Result<(NodeFacts, Option<Version>), UpgradeError> {
    let mut facts = NodeFacts {
        name: node.name.clone(),
        role: node.role,
        foreign: None,
        not_ready: None,
        cordoned: false,
        cgroup: 2,
        free: 0,
        images: BTreeSet::new(),
        programs: BTreeSet::new(),
    };
    if let Err(error) = node.ours().await {
        facts.foreign = Some(error.to_string());
        return Ok((facts, None));
    }
    let container = engine.existing(&node.name).await?;
    if container.power != Power::Running {
        facts.not_ready = Some(format!("its container is {}", container.power));
        return Ok((facts, None));
    }
    const SCRIPT: &str = r#"stat -fc %T /sys/fs/cgroup
df --block-size=1 --output=avail /kind /var | tail -n +2 | sort -n | head -1
kubectl version --client --output=json 2>/dev/null | sed -n 's/.*"gitVersion": "\([^"]*\)".*/\1/p' | head -1
echo
ls "$1" 2>/dev/null || true"#;
    let ask = ["bash", "-c", SCRIPT, "look", STORE];
    let said = engine.exec_ok(&node.name, &ask, None, deadline.at_most(ASK)).await?;
    let strange = |why: &str| UpgradeError::Strange {
        what: format!("the facts of node {}", node.name),
        why: why.into(),
    };
    let mut lines = said.lines().map(str::trim);
    facts.cgroup = if lines.next() == Some("cgroup2fs") { 2 } else { 1 };
    facts.free = lines.next().and_then(|l| l.parse().ok()).ok_or_else(|| strange("no free space"))?;
    let kubectl = lines.next().and_then(|l| l.parse().ok());
    facts.programs = lines.filter(|l| !l.ends_with(".part")).filter_map(|l| l.parse().ok()).collect();
    facts.images = node::images(engine, &node.name, deadline.at_most(ASK)).await?;
    Ok((facts, kubectl))
}

/// Returns the pods that are not ready now.
///
/// # Errors
/// Errors of the API.
pub(super) async fn unready(client: &Client) -> Result<Before, UpgradeError> {
    Ok(Before::of(&list::<Pod>(client, "the pods").await?))
}

/// Reads the versions of all components that the API shows. It does not show kubectl.
///
/// # Errors
/// Errors of the API, or a component without a version.
pub async fn state(client: &Client) -> Result<State, UpgradeError> {
    let system = Api::<Pod>::namespaced(client.unary.clone(), "kube-system");
    let pods = system.list(&ListParams::default()).await;
    let pods = pods.map_err(|e| UpgradeError::api("list the pods of kube-system", e))?.items;
    let mut state = State::default();
    for node in list::<KubeNode>(client, "the nodes").await? {
        let version =
            node.status.as_ref().and_then(|s| s.node_info.as_ref()).map(|i| i.kubelet_version.clone());
        state.kubelets.insert(node.name_any(), version.unwrap_or_default().parse()?);
    }
    for pod in pods.iter().filter(|p| pods::is_live(p)) {
        let Some(node) = pod.spec.as_ref().and_then(|s| s.node_name.clone()) else { continue };
        let Some(version) = image(pod).and_then(Version::of_image) else { continue };
        if pod.labels().get("tier").is_some_and(|t| t == "control-plane") {
            let named = |c: &Component| pod.labels().get("component").is_some_and(|n| n == c.name());
            if let Some(component) = Component::ALL.into_iter().find(named) {
                state.control_planes.entry(node).or_default().insert(component, version);
            }
        } else if pod.labels().get("k8s-app").is_some_and(|a| a == "kube-proxy") {
            state.proxies.insert(node, version);
        }
    }
    state.coredns = coredns(client)
        .await?
        .and_then(|d| Version::of_image(d.spec?.template.spec?.containers.first()?.image.as_deref()?));
    state.config = cluster_configuration(client).await?;
    Ok(state)
}

/// Name of CoreDNS's Deployment.
const COREDNS: &str = "coredns";

async fn coredns(client: &Client) -> Result<Option<Deployment>, UpgradeError> {
    let deployments = Api::<Deployment>::namespaced(client.unary.clone(), "kube-system");
    let found = deployments.get_opt(COREDNS).await;
    found.map_err(|e| UpgradeError::api("read the Deployment coredns", e))
}

/// Reads the version that kubeadm has recorded for the cluster. Its next upgrade, and every node that joins, use that
/// version.
async fn cluster_configuration(client: &Client) -> Result<Option<Version>, UpgradeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ClusterConfiguration {
        kubernetes_version: Option<Version>,
    }
    let read =
        configuration::<ClusterConfiguration>(client, "kubeadm-config", "ClusterConfiguration").await?;
    Ok(read.and_then(|c| c.kubernetes_version))
}

/// Reads a configuration that kubeadm keeps under a key of a ConfigMap in kube-system; `None` if it is missing.
async fn configuration<C: serde::de::DeserializeOwned>(
    client: &Client,
    name: &str,
    key: &str,
) -> Result<Option<C>, UpgradeError> {
    let maps = Api::<ConfigMap>::namespaced(client.unary.clone(), "kube-system");
    let map = maps.get_opt(name).await;
    let map = map.map_err(|e| UpgradeError::api(format!("read the ConfigMap {name}"), e))?;
    let Some(text) = map.and_then(|m| m.data?.remove(key)) else { return Ok(None) };
    let strange = |e: String| UpgradeError::Strange { what: format!("the ConfigMap {name}"), why: e };
    serde_saphyr::from_str::<C>(&text).map(Some).map_err(|e| strange(e.to_string()))
}

fn image(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.containers.first()?.image.as_deref()
}

async fn fail_cgroup_v1(client: &Client) -> Result<Option<bool>, UpgradeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct KubeletConfiguration {
        fail_cgroup_v1: Option<bool>,
    }
    let read = configuration::<KubeletConfiguration>(client, "kubelet-config", "kubelet").await?;
    Ok(read.and_then(|c| c.fail_cgroup_v1))
}

async fn list<K>(client: &Client, what: &str) -> Result<Vec<K>, UpgradeError>
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let listed = Api::<K>::all(client.unary.clone()).list(&ListParams::default()).await;
    listed.map(|l| l.items).map_err(|e| UpgradeError::api(format!("list {what}"), e))
}

/// Checks that every node has the programs and all images of the release.
///
/// # Errors
/// [`UpgradeError::Incomplete`] with the node and what it lacks.
pub(super) async fn complete(up: &Upgrading<'_>, deadline: Deadline) -> Result<(), UpgradeError> {
    let dir = programs_dir(up.to);
    try_join_all(up.nodes.iter().map(|node| {
        let dir = &dir;
        async move {
            let lacks =
                |what: String| UpgradeError::Incomplete { node: node.name.clone(), what, version: up.to };
            let kubeadm = format!("{dir}/kubeadm");
            let there =
                up.engine.exec(&node.name, &["test", "-x", &kubeadm], None, deadline.at_most(ASK)).await?;
            if there.code != 0 {
                return Err(lacks("the programs".into()));
            }
            let has = node::images(up.engine, &node.name, deadline.at_most(ASK)).await?;
            let missing: Vec<&str> =
                up.artefacts.images.iter().map(String::as_str).filter(|i| !has.contains(*i)).collect();
            if missing.is_empty() { Ok(()) } else { Err(lacks(missing.join(", "))) }
        }
    }))
    .await
    .map(drop)
}

/// Waits until the API server answers steadily and has its RBAC rules: ten good answers in a row, 0.3 s apart.
///
/// # Errors
/// [`UpgradeError::Late`] with the last reason.
pub(super) async fn settled(client: &Client, deadline: Deadline) -> Result<(), UpgradeError> {
    let mut last = String::from("no answer");
    let mut good = 0;
    while good < STEADY {
        match deadline.at_most(Duration::from_secs(5)).bound(answers(client)).await {
            Ok(Ok(())) => good += 1,
            Ok(Err(why)) => (good, last) = (0, why.0),
            Err(late) => (good, last) = (0, late.to_string()),
        }
        if deadline.is_over() {
            let what = "the API server answers steadily".into();
            return Err(UpgradeError::Late { what, waited: deadline.waited(), last });
        }
        deadline.pause(LOOK).await;
    }
    Ok(())
}

async fn answers(client: &Client) -> Result<(), NotYet> {
    let request = Request::new("").get("readyz", &GetParams::default()).map_err(|e| e.to_string())?;
    client.unary.request_text(request).await.map_err(|e| ApiError::from(e).text)?;
    let review = json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "nodes"}}});
    let review: SelfSubjectAccessReview = serde_json::from_value(review).map_err(|e| e.to_string())?;
    let reviews = Api::<SelfSubjectAccessReview>::all(client.unary.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.map_err(|e| ApiError::from(e).text)?;
    match answer.status {
        Some(status) if status.allowed => Ok(()),
        _ => Err("its RBAC rules are not loaded yet".into()),
    }
}

/// Waits until a node is Ready at a version, with a status that was reported after `since`.
///
/// # Errors
/// [`UpgradeError::Wait`].
pub(super) async fn at_version(
    client: &Client,
    node: &str,
    version: Version,
    since: Timestamp,
    deadline: Deadline,
) -> Result<(), UpgradeError> {
    let ready = nodes::node_ready(node, Some(since));
    let at = check(format!("node {node} ready at {version}"), move |found: &[KubeNode]| {
        let info = found.first().and_then(|n| n.status.as_ref()?.node_info.as_ref());
        let now = info.map(|i| i.kubelet_version.clone()).unwrap_or_default();
        match now.parse::<Version>() {
            Ok(now) if now == version => wait::Check::verdict(&ready, found),
            _ => Verdict::NotYet(format!("its kubelet is {now}")),
        }
    });
    let by_name = watcher::Config::default().fields(&format!("metadata.name={node}"));
    wait::until(Api::all(client.stream.clone()), by_name, at, deadline).await?;
    Ok(())
}

/// Waits until the static pods of a control plane are ready.
///
/// # Errors
/// [`UpgradeError::Wait`].
pub(super) async fn control_plane_ready(
    client: &Client,
    node: &str,
    deadline: Deadline,
) -> Result<(), UpgradeError> {
    let ready = check(format!("the control plane of {node} ready"), |found: &[Pod]| {
        let late: Vec<&Pod> = found.iter().filter(|p| !pods::is_ready(p)).collect();
        Verdict::met_if(found.len() >= Component::ALL.len() && late.is_empty(), || pods::describe_all(late))
    });
    let ours =
        watcher::Config::default().labels("tier=control-plane").fields(&format!("spec.nodeName={node}"));
    let api = Api::<Pod>::namespaced(client.stream.clone(), "kube-system");
    wait::until(api, ours, ready, deadline).await?;
    Ok(())
}

/// Waits until a controller-manager and a scheduler lead: each has renewed its Lease after this call. A replaced
/// leader takes over only when the previous lease has expired, after 15 s by default
/// (`--leader-elect-lease-duration`). Until then pods are neither replaced nor scheduled.
///
/// # Errors
/// [`UpgradeError::Wait`], [`UpgradeError::Engine`], errors of the API.
pub(super) async fn led(up: &Upgrading<'_>, deadline: Deadline) -> Result<(), UpgradeError> {
    let since = up.engine.now().await?;
    let control_planes = ListParams::default().labels("tier=control-plane");
    let control_planes =
        Api::<Pod>::namespaced(up.client.unary.clone(), "kube-system").list(&control_planes).await;
    let control_planes =
        control_planes.map_err(|e| UpgradeError::api("list the pods of the control plane", e))?;
    for component in ["kube-controller-manager", "kube-scheduler"] {
        let elects = |pod: &Pod| {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut words =
                containers.flat_map(|c| c.command.iter().flatten().chain(c.args.iter().flatten()));
            !words.any(|word| word == "--leader-elect=false")
        };
        let of_component = |pod: &&Pod| pod.labels().get("component").is_some_and(|name| name == component);
        if !control_planes.items.iter().filter(of_component).any(elects) {
            continue;
        }
        let leads = check(format!("a {component} leads"), move |leases: &[Lease]| {
            let spec = leases.first().and_then(|lease| lease.spec.as_ref());
            // A leader that steps down clears the holder, and renews the lease while it does.
            let held = spec.filter(|s| s.holder_identity.as_deref().is_some_and(|holder| !holder.is_empty()));
            let renewed = held.and_then(|s| s.renew_time.as_ref()).map(|t| t.0);
            Verdict::met_if(renewed.is_some_and(|at| at > since), || match renewed {
                Some(at) => format!("its lease was last renewed at {at:.1}"),
                None => "nobody holds its lease".into(),
            })
        });
        let by_name = watcher::Config::default().fields(&format!("metadata.name={component}"));
        let leases = Api::<Lease>::namespaced(up.client.stream.clone(), "kube-system");
        wait::until(leases, by_name, leads, deadline).await?;
    }
    Ok(())
}

/// Waits until kube-proxy and CoreDNS are rolled out, each if it exists.
///
/// # Errors
/// [`UpgradeError::Wait`], [`UpgradeError::Api`].
pub(super) async fn addons(client: &Client, deadline: Deadline) -> Result<(), UpgradeError> {
    let proxies = check("kube-proxy rolled out", |sets: &[DaemonSet]| {
        let Some(set) = sets.first() else { return Verdict::Met };
        let status = set.status.clone().unwrap_or_default();
        let current = status.observed_generation == set.metadata.generation;
        let (all, new) =
            (status.desired_number_scheduled, status.updated_number_scheduled.unwrap_or_default());
        let ready = status.number_ready;
        Verdict::met_if(current && new == all && ready == all, || {
            format!("{new} new and {ready} ready of {all}")
        })
    });
    let by_name = watcher::Config::default().fields("metadata.name=kube-proxy");
    let sets = Api::<DaemonSet>::namespaced(client.stream.clone(), "kube-system");
    wait::until(sets, by_name, proxies, deadline).await?;
    if coredns(client).await?.is_some() {
        wait::rollout(client, "kube-system", COREDNS, deadline).await?;
    }
    Ok(())
}

/// Waits until kube-proxy and CoreDNS are rolled out and every component has the version of the hop; returns the
/// versions.
///
/// # Errors
/// [`UpgradeError::Late`] with a component that has another version, [`UpgradeError::Wait`].
pub(super) async fn arrived(up: &Upgrading<'_>, deadline: Deadline) -> Result<State, UpgradeError> {
    settled(up.client, deadline).await?;
    addons(up.client, deadline).await?;
    let arrived = retry::try_until(deadline, retry::every(LOOK), || async {
        let state = state(up.client).await?;
        Ok::<_, UpgradeError>(unlike(&state, up.to).map_or(Ok(state), Err))
    });
    arrived.await?.map_err(|late| UpgradeError::late(format!("every version is {}", up.to), late))
}

/// Returns the first component with another version.
fn unlike(state: &State, version: Version) -> Option<String> {
    parts(state).find(|(_, v)| *v != version).map(|(part, v)| format!("{part} is {v}"))
}

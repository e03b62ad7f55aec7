//! A cluster of its own for those who break it, with a pod on each worker, somebody else's
//! container beside it, and a look at whether everything is as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, ensure};
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptions;
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node as KubeNode, PersistentVolume, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use seatrial::client::Client;
use seatrial::cluster::{
    self, Access, Cluster, ClusterSpec, Clusters, Force, Identity, Lease, TopologySource,
};
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::fault::{FAULTS, Fault, PodOn, Target, TargetKind};
use seatrial::image;
use seatrial::node::{CLUSTER_LABEL, Node, Power};
use serde_json::json;

use crate::session::{shown, variable};

/// As `three`, but nobody else's: suites need not wait.
static KILLS: TopologySource =
    TopologySource { name: "kills", yaml: include_str!("../../kind-config/three.yaml") };
/// The namespace of the pods.
const NAMESPACE: &str = "ground";
/// Time for a cluster, its images included where they are cached.
const PATIENCE: Duration = Duration::from_secs(40 * 60);
/// Time for a cluster that was healed to be as it was, the back-off of killed containers included.
const AS_IT_WAS: Duration = Duration::from_secs(240);

/// The cluster and what is on it.
pub struct Ground {
    pub clusters: Clusters,
    pub name: String,
    spec: ClusterSpec,
    /// What its pods run.
    nginx: String,
    bystander: String,
    before: Mutex<Picture>,
}

/// What must not change.
#[derive(Clone, Debug, Default, PartialEq)]
struct Picture {
    addresses: BTreeMap<String, String>,
    namespaces: BTreeSet<String>,
    volumes: BTreeSet<String>,
    bystander: (String, i64, Option<jiff::Timestamp>),
    /// Containers of other clusters, which take addresses of the same network when they start.
    others: BTreeSet<(String, Option<jiff::Timestamp>, bool)>,
}

impl Ground {
    /// Makes the cluster, or finds it.
    pub async fn prepare() -> anyhow::Result<Self> {
        let mut settings = Settings::resolve(variable)?;
        // Apart from everybody else's: a reap here reaps nothing of theirs.
        settings.state = settings.state.join("kills");
        let engine =
            Engine::connect(&settings.engine).await.context("no container engine: run scripts/bootstrap")?;
        let clusters = Clusters::new(settings, engine, shown(), "a live test of faults");
        let images = image::resolve(&clusters.images(Deadline::after(PATIENCE))).await?;
        let nginx = images.workloads.values().find(|w| w.stands_for.contains("nginx"));
        let nginx = nginx.context("the profile has an nginx")?.reference.clone();
        let spec = ClusterSpec { topology: KILLS.read()?, images, cluster_suffix: None };
        let name = spec.name(&Identity::of(&clusters).await?);
        let ground = Self {
            bystander: format!("{name}-bystander"),
            name,
            before: Mutex::default(),
            clusters,
            spec,
            nginx,
        };
        let lease = ground.lease().await?;
        let client = lease.cluster.client().await?;
        let applied = pods(&client, &ground.nginx).await;
        ground.stand_by(&lease.cluster).await?;
        applied?;
        ground.ready(&lease.cluster, &client).await?;
        let picture = ground.picture(&lease.cluster, &client).await?;
        *ground.before.lock().unwrap_or_else(|p| p.into_inner()) = picture;
        lease.release().await?;
        Ok(ground)
    }

    /// The cluster, alone.
    pub async fn lease(&self) -> anyhow::Result<Lease> {
        let patience = Deadline::after(PATIENCE);
        let lease = self.clusters.acquire(&self.spec, Access::Exclusive, patience);
        Ok(Box::pin(lease).await?)
    }

    /// What a fault is aimed at: the worker, and the pod that runs on it.
    pub async fn target(&self, fault: &dyn Fault, node: &Node, client: &Client) -> anyhow::Result<Target> {
        if fault.target_kind() == TargetKind::Node {
            return Ok(node.into());
        }
        let params = ListParams::default().fields(&format!("spec.nodeName={}", node.name));
        let api = Api::<Pod>::namespaced(client.unary.clone(), NAMESPACE);
        // An eviction that an earlier outage began may come late: its replacement is waited for.
        let limit = Deadline::after(AS_IT_WAS);
        let pod = loop {
            let found = api.list(&params).await?.items;
            match found.into_iter().find(|p| p.metadata.deletion_timestamp.is_none()) {
                Some(pod) => break pod.name_any(),
                None if limit.is_over() => anyhow::bail!("no pod came to {}", node.name),
                None => limit.pause(Duration::from_millis(200)).await,
            }
        };
        let pod = PodOn { namespace: NAMESPACE.into(), name: pod, container: None };
        Ok(Target { pod: Some(pod), ..node.into() })
    }

    /// Waits until everything is as it was.
    pub async fn intact(&self) -> anyhow::Result<()> {
        let limit = Deadline::after(AS_IT_WAS);
        loop {
            let seen = self.look().await;
            match seen {
                Ok(()) => return Ok(()),
                Err(error) if limit.is_over() => {
                    return Err(error.context("not as it was"));
                }
                Err(_) => limit.pause(Duration::from_millis(500)).await,
            }
        }
    }

    /// The pods anew, under a DaemonSet that has no past. Its controller waits before it replaces a
    /// pod that failed, as an evicted one did: 1 s at first, twice as long each time, by DaemonSet
    /// and node (kube-controller-manager: pkg/controller/daemon, `failedPodsBackoff`, at most 15 min).
    pub async fn renew_pods(&self) -> anyhow::Result<()> {
        let cluster = self.clusters.find(&self.name).await?;
        let client = cluster.client().await?;
        let sets = Api::<DaemonSet>::namespaced(client.unary.clone(), NAMESPACE);
        let pods_there = Api::<Pod>::namespaced(client.unary.clone(), NAMESPACE);
        sets.delete("ground", &DeleteParams::background()).await?;
        let limit = Deadline::after(AS_IT_WAS);
        while !pods_there.list(&ListParams::default()).await?.items.is_empty() {
            ensure!(!limit.is_over(), "the pods of the DaemonSet that was deleted do not go");
            limit.pause(Duration::from_millis(200)).await;
        }
        pods(&client, &self.nginx).await?;
        self.ready(&cluster, &client).await
    }

    async fn look(&self) -> anyhow::Result<()> {
        let cluster = self.clusters.find(&self.name).await?;
        let client = cluster.client().await?;
        let open = cluster::open_faults(&self.clusters.settings, &self.name)?;
        ensure!(open.is_empty(), "open: {open:?}");
        let now = self.picture(&cluster, &client).await?;
        self.ready_now(&cluster, &client).await?;
        let mut before = self.before.lock().unwrap_or_else(|p| p.into_inner());
        // Docker gives whoever starts the lowest free address: that a node has its own again can
        // be asked for only where nobody else came or went.
        if now.others != before.others {
            if now.addresses != before.addresses {
                println!("others took or left addresses: {:?} -> {:?}", before.addresses, now.addresses);
            }
            before.addresses = now.addresses.clone();
            before.others = now.others.clone();
        }
        ensure!(now == *before, "{now:?}, was {before:?}");
        Ok(())
    }

    async fn ready(&self, cluster: &Cluster, client: &Client) -> anyhow::Result<()> {
        let limit = Deadline::after(AS_IT_WAS);
        loop {
            match self.ready_now(cluster, client).await {
                Err(_) if !limit.is_over() => limit.pause(Duration::from_millis(500)).await,
                done => return done,
            }
        }
    }

    /// Nodes ready without taints of ours, nothing of a fault in them, each pod ready.
    async fn ready_now(&self, cluster: &Cluster, client: &Client) -> anyhow::Result<()> {
        let nodes = Api::<KubeNode>::all(client.unary.clone()).list(&ListParams::default()).await?;
        for node in &nodes.items {
            let taints = node.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default();
            let strange: Vec<&str> =
                taints.iter().map(|t| t.key.as_str()).filter(|k| !k.contains("control-plane")).collect();
            ensure!(strange.is_empty(), "{} is tainted {strange:?}", node.name_any());
            let conditions = node.status.iter().flat_map(|s| s.conditions.iter().flatten());
            let bad: Vec<&str> = conditions
                .filter(|c| (c.type_ == "Ready") != (c.status == "True"))
                .map(|c| c.type_.as_str())
                .collect();
            ensure!(bad.is_empty(), "{}: {bad:?}", node.name_any());
        }
        let sets = Api::<DaemonSet>::namespaced(client.unary.clone(), NAMESPACE);
        let status = sets.get("ground").await?.status.context("no status")?;
        let workers = i32::try_from(cluster.workers().count())?;
        let ready = status.number_ready;
        ensure!(ready == workers && status.number_unavailable.is_none(), "{ready} pods ready");
        let pods = Api::<Pod>::namespaced(client.unary.clone(), NAMESPACE).list(&Default::default()).await?;
        ensure!(pods.items.len() == cluster.workers().count(), "{} pods", pods.items.len());
        try_join_all(cluster.nodes.iter().map(clean)).await.map(drop)
    }

    async fn picture(&self, cluster: &Cluster, client: &Client) -> anyhow::Result<Picture> {
        let mut addresses = BTreeMap::new();
        for node in &cluster.nodes {
            let address = node.address().await?.context("it has an address")?;
            addresses.insert(node.name.clone(), address.to_string());
        }
        let namespaces = Api::<Namespace>::all(client.unary.clone()).list(&Default::default()).await?;
        let volumes = Api::<PersistentVolume>::all(client.unary.clone()).list(&Default::default()).await?;
        let bystander = self.clusters.engine.existing(&self.bystander).await?;
        ensure!(bystander.power == Power::Running, "the bystander is {}", bystander.power);
        Ok(Picture {
            addresses,
            namespaces: namespaces.items.iter().map(ResourceExt::name_any).collect(),
            volumes: volumes.items.iter().map(ResourceExt::name_any).collect(),
            bystander: (bystander.id, bystander.pid, bystander.started_at),
            others: self.others().await?,
        })
    }

    async fn others(&self) -> anyhow::Result<BTreeSet<(String, Option<jiff::Timestamp>, bool)>> {
        let all = self.clusters.engine.containers(&[(CLUSTER_LABEL, "")]).await?;
        let others = all.into_iter().filter(|c| c.labels.get(CLUSTER_LABEL) != Some(&self.name));
        Ok(others.map(|c| (c.id, c.started_at, c.power == Power::Running)).collect())
    }

    /// A container that is no node of any cluster, so nobody here may touch it. It is from our node
    /// image, the one that is surely there.
    async fn stand_by(&self, cluster: &Cluster) -> anyhow::Result<()> {
        // One of an earlier test that failed.
        self.clusters.engine.remove(&self.bystander).await?;
        let docker = bollard::Docker::connect_with_defaults()?;
        let made = ContainerCreateBody {
            image: Some(cluster.image.clone()),
            entrypoint: Some(vec!["sleep".into(), "infinity".into()]),
            ..Default::default()
        };
        let options = CreateContainerOptions { name: Some(self.bystander.clone()), ..Default::default() };
        docker.create_container(Some(options), made).await?;
        Ok(self.clusters.engine.start(&self.bystander).await?)
    }

    /// Removes the bystander; the cluster goes when idle, or now on a machine that is thrown away.
    pub async fn leave(self) -> anyhow::Result<()> {
        self.clusters.engine.remove(&self.bystander).await?;
        if variable("CI").is_some_and(|v| !v.is_empty() && v != "false") {
            let deadline = Deadline::after(PATIENCE);
            self.clusters.delete(&self.name, Force::No, deadline).await?;
        } else {
            let program = Path::new(env!("CARGO_BIN_EXE_seatrial"));
            cluster::start_watcher(&self.clusters.settings, program, &self.name)?;
        }
        Ok(())
    }
}

/// Nothing of a fault is left in the node or on its container.
async fn clean(node: &Node) -> anyhow::Result<()> {
    let container = node.container().await?;
    ensure!(container.power == Power::Running, "{} is {}", node.name, container.power);
    ensure!(container.cores.is_none(), "{} has {:?} cores", node.name, container.cores);
    let script = "systemctl is-active kubelet containerd; \
        for f in iptables ip6tables; do $f -w -t mangle -S 2>/dev/null | grep SEATRIAL; done; \
        ls -d /var/lib/seatrial-fill /run/seatrial-fill.yaml 2>/dev/null; \
        grep config.yaml /proc/self/mountinfo; true";
    let found = node.exec_ok(&["bash", "-c", script], None, Deadline::after(Duration::from_secs(20))).await?;
    ensure!(found == "active\nactive\n", "{}: {found}", node.name);
    Ok(())
}

/// A pod on each worker, which ends within a second.
async fn pods(client: &Client, image: &str) -> anyhow::Result<()> {
    // Labelled as ours, so that the idle cluster may go.
    let labels = json!({ "dev.seatrial.test": "kills" });
    let namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE, "labels": labels } }))?;
    let set: DaemonSet = serde_json::from_value(json!({
        "metadata": { "name": "ground" },
        "spec": {
            "selector": { "matchLabels": { "app": "ground" } },
            "template": {
                "metadata": { "labels": { "app": "ground" } },
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{ "name": "web", "image": image }],
                },
            },
        },
    }))?;
    let spaces = Api::<Namespace>::all(client.unary.clone());
    let sets = Api::<DaemonSet>::namespaced(client.unary.clone(), NAMESPACE);
    let there = |error: kube::Error| match error {
        kube::Error::Api(status) if status.code == 409 => Ok(()),
        other => Err(other),
    };
    let ours =
        PostParams { field_manager: Some(seatrial::manifest::FIELD_MANAGER.into()), ..PostParams::default() };
    spaces.create(&ours, &namespace).await.map(drop).or_else(there)?;
    sets.create(&PostParams::default(), &set).await.map(drop).or_else(there)?;
    Ok(())
}

/// The fault of round `n`: each of the list in turn, on one worker and then on the other.
pub fn of_round(cluster: &Cluster, n: usize) -> (&'static dyn Fault, &Node) {
    let workers: Vec<&Node> = cluster.workers().collect();
    (FAULTS[n % FAULTS.len()], workers[n / FAULTS.len() % workers.len()])
}

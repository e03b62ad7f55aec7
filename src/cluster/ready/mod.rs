//! Checks that a cluster is ready: each part is proved, with the time that it took.
//!
//! A cluster is ready only if what the API shows is newer than the last start of the nodes: leases renewed and
//! containers started since then. A status alone survives a stop, and shows Ready for many seconds after the start.

pub mod cordon;
pub(crate) mod dns;
pub(crate) mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node as KubeNode, Pod, Service};
use kube::api::{GetParams, ListParams};
use kube::core::Request;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::{Cluster, ClusterError};
use crate::client::{ApiError, Client, get, list};
use crate::deadline::Deadline;
use crate::engine::{Engine, EngineError};
use crate::node;
use crate::retry::{self, NotYet};
use crate::wait::{self, Check, Verdict, WaitError, check};

/// The result of a readiness check.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// The parts, each with the time from the beginning of the check until it was ready.
    pub parts: Vec<(&'static str, Duration)>,
    /// Pods of `kube-system` and nodes that are not ready and that neither kubeadm nor kind created, each with its
    /// state. They do not make the cluster unready.
    pub others: Vec<String>,
    /// The time until all parts were ready.
    pub took: Duration,
}

/// Time between two checks of a state that cannot be watched.
const LOOK: Duration = Duration::from_millis(200);
/// Time for one request to a node.
const ASK: Duration = Duration::from_secs(10);

/// Waits until the cluster is ready and its nodes hold these images. Each node's lease must have been renewed after
/// `since`, on the engine's clock ([`Engine::now`]), and after the node's container was started.
///
/// # Errors
/// [`ClusterError::NotReady`] with the missing part and the last reason.
pub async fn ready(
    cluster: &Cluster,
    images: &[String],
    since: Timestamp,
    deadline: Deadline,
) -> Result<Ready, ClusterError> {
    let client = cluster.client().await?;
    let started = started(cluster).await?;
    let ctx = Looking { cluster, client: &client, started: &started, since, deadline };
    let api = ctx.part("API", ctx.api()).await?;
    let rest = futures::future::try_join4(
        ctx.part("nodes", ctx.nodes()),
        ctx.part("system pods", ctx.system_pods()),
        ctx.part("cluster DNS", ctx.dns()),
        ctx.part("images", ctx.images(images)),
    );
    let (nodes, pods, dns, images) = rest.await?;
    let mut parts = vec![api, nodes, pods, dns, images];
    parts.sort_by_key(|part| part.1);
    let others = ctx.others().await;
    Ok(Ready { took: deadline.waited(), parts, others })
}

/// Returns the last start of each node's container.
async fn started(cluster: &Cluster) -> Result<BTreeMap<String, Timestamp>, EngineError> {
    let containers = try_join_all(cluster.nodes.iter().map(|n| cluster.engine.existing(&n.name)));
    let found = containers.await?.into_iter();
    Ok(found.filter_map(|c| Some((c.name, c.started_at?))).collect())
}

/// Returns the references of workload images that a node lacks.
///
/// # Errors
/// [`EngineError`] if the node does not run.
pub async fn missing_images(
    engine: &Engine,
    node: &str,
    wanted: &[String],
    deadline: Deadline,
) -> Result<Vec<String>, EngineError> {
    let there = node::images(engine, node, deadline).await?;
    let missing = |image: &&String| !there.contains(&full_name(image));
    Ok(wanted.iter().filter(missing).cloned().collect())
}

/// Returns an image's name as containerd stores it: `nginx` is `docker.io/library/nginx:latest`. The rule is that of
/// distribution's `reference` package.
pub fn full_name(reference: &str) -> String {
    let (host, rest) = match reference.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
        Some(_) => ("docker.io", reference.to_owned()),
        None => ("docker.io", format!("library/{reference}")),
    };
    let last = rest.rsplit('/').next().unwrap_or(&rest);
    let tag = if last.contains([':', '@']) { "" } else { ":latest" };
    format!("{host}/{rest}{tag}")
}

struct Looking<'a> {
    cluster: &'a Cluster,
    client: &'a Client,
    started: &'a BTreeMap<String, Timestamp>,
    since: Timestamp,
    deadline: Deadline,
}

impl Looking<'_> {
    async fn part(
        &self,
        part: &'static str,
        work: impl Future<Output = Result<(), NotYet>>,
    ) -> Result<(&'static str, Duration), ClusterError> {
        let waited = || self.deadline.waited();
        let fail = |why: NotYet| ClusterError::NotReady {
            name: self.cluster.name.clone(),
            part,
            waited: waited(),
            last: why.0,
        };
        work.await.map_err(fail)?;
        Ok((part, waited()))
    }

    async fn api(&self) -> Result<(), NotYet> {
        let ask = || async {
            let request = Request::new("").get("readyz", &GetParams::default());
            let request = request.map_err(|e| e.to_string())?;
            let answer = self.client.unary.request_text(request).await;
            answer.map(drop).map_err(|e| ApiError::from(e).text.into())
        };
        self.again(ask).await
    }

    async fn nodes(&self) -> Result<(), NotYet> {
        let stream = &self.client.stream;
        let nodes = nodes_ready(self.started.keys().cloned().collect());
        let leases = leases_renewed(self.started.clone(), self.since);
        let lease_api = Api::<Lease>::namespaced(stream.clone(), "kube-node-lease");
        let both = futures::future::try_join(
            wait::until(Api::all(stream.clone()), watcher::Config::default(), nodes, self.deadline),
            wait::until(lease_api, watcher::Config::default(), leases, self.deadline),
        );
        both.await.map_err(last)?;
        Ok(())
    }

    /// Lists pods and nodes that are not ready and that seatrial did not create. Returns an empty list if the API
    /// does not answer.
    async fn others(&self) -> Vec<String> {
        let client = &self.client.unary;
        let asked = async {
            let all = ListParams::default();
            let pods = list(Api::<Pod>::namespaced(client.clone(), "kube-system"), &all).await?;
            let nodes = list(Api::<KubeNode>::all(client.clone()), &all).await?;
            Ok::<_, kube::Error>((pods, nodes))
        };
        let Ok(Ok((pods, nodes))) = self.deadline.at_most(ASK).bound(asked).await else { return Vec::new() };
        let pods = pods.iter().filter(|p| !system::is_part(p) && !wait::pods::is_ready(p));
        let strange = |n: &&KubeNode| !self.started.contains_key(&n.name_any());
        let nodes = nodes.iter().filter(strange).map(|n| format!("node {}", n.name_any()));
        pods.map(|p| format!("pod {}", wait::pods::describe(p))).chain(nodes).collect()
    }

    async fn system_pods(&self) -> Result<(), NotYet> {
        let api = Api::<Pod>::namespaced(self.client.stream.clone(), "kube-system");
        let pods = pods_fresh(self.started.clone());
        wait::until(api, watcher::Config::default(), pods, self.deadline).await.map_err(last)?;
        Ok(())
    }

    /// Resolves the API's name on each node through the DNS service.
    async fn dns(&self) -> Result<(), NotYet> {
        let services = Api::<Service>::namespaced(self.client.unary.clone(), "kube-system");
        let services = &services;
        let address = || async move {
            let service = get(services.clone(), "kube-dns").await.map_err(|e| ApiError::from(e).text)?;
            let server: Option<IpAddr> = service.spec.and_then(|s| s.cluster_ip?.parse().ok());
            server.ok_or_else(|| "service kube-dns has no address".into())
        };
        let server = self.again(address).await?;
        // Each node is retried on its own: on a busy machine, three answers at the same time may be too much.
        let all = self.started.keys().map(|node| self.again(move || self.ask_dns(node, server)));
        match try_join_all(all).await {
            Ok(_) => Ok(()),
            Err(why) => Err(format!("{why}; {}", self.dns_pods().await).into()),
        }
    }

    /// Describes where CoreDNS runs and in which state, to help find out why DNS does not answer.
    async fn dns_pods(&self) -> String {
        let pods = Api::<Pod>::namespaced(self.client.unary.clone(), "kube-system");
        let wanted = ListParams::default().labels("k8s-app=kube-dns");
        let listed = match Deadline::after(ASK).bound(list(pods, &wanted)).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => return format!("its pods cannot be listed: {}", ApiError::from(error).text),
            Err(late) => return format!("its pods cannot be listed: {late}"),
        };
        let about = |pod: &Pod| {
            let ip = pod.status.as_ref().and_then(|s| s.pod_ip.as_deref()).unwrap_or("no address");
            format!("{} at {ip}", wait::pods::describe(pod))
        };
        listed.iter().map(about).collect::<Vec<_>>().join("; ")
    }

    async fn ask_dns(&self, node: &str, server: IpAddr) -> Result<(), NotYet> {
        let command = dns::command(server);
        let argv: Vec<&str> = command.iter().map(String::as_str).collect();
        let result = self.cluster.engine.exec(node, &argv, None, self.deadline.at_most(ASK)).await;
        let from = |why: &str| NotYet(format!("from {node}: {why}"));
        match result {
            Ok(result) => match result.code {
                0 => dns::answered(&result.stdout).map_err(|why| from(&why.0)),
                // Exit code of timeout(1).
                124 => Err(from(&format!("no answer from {server} within 3 s"))),
                _ => Err(from(&crate::exec::tail(&String::from_utf8_lossy(&result.stderr)))),
            },
            // The error's own text would contain the whole command.
            Err(EngineError::Timeout { .. }) => Err(from("the node does not run commands")),
            Err(error) => Err(error.to_string().into()),
        }
    }

    async fn images(&self, wanted: &[String]) -> Result<(), NotYet> {
        let engine = &self.cluster.engine;
        let ask = || async {
            let deadline = self.deadline.at_most(ASK);
            let all = self.started.keys().map(async |node| {
                let missing = missing_images(engine, node, wanted, deadline).await;
                match missing.map_err(|e| e.to_string())?.as_slice() {
                    [] => Ok(()),
                    missing => Err(format!("{node} lacks {}", missing.join(", ")).into()),
                }
            });
            try_join_all(all).await.map(drop)
        };
        self.again(ask).await
    }

    /// Asks until the answer is good. The reported reason is the last one that was not cut off by the deadline, if
    /// there is one.
    async fn again<T, F: Future<Output = Result<T, NotYet>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, NotYet> {
        let answer = retry::until(self.deadline, retry::every(LOOK), || async {
            self.deadline.bound(ask()).await.unwrap_or_else(|late| Err(late.to_string().into()))
        });
        answer.await.map_err(|late| late.last)
    }
}

/// Checks that each of these nodes is ready. Nodes that somebody added are ignored.
fn nodes_ready(names: BTreeSet<String>) -> impl Check<KubeNode> {
    let ready = wait::nodes::nodes_ready(names.len());
    check(ready.what(), move |nodes: &[KubeNode]| {
        let ours: Vec<_> = nodes.iter().filter(|n| names.contains(&n.name_any())).cloned().collect();
        ready.verdict(&ours)
    })
}

/// Checks that each of these nodes renewed its lease after its start and after `since`.
fn leases_renewed(started: BTreeMap<String, Timestamp>, since: Timestamp) -> impl Check<Lease> {
    check(format!("leases of {} nodes renewed", started.len()), move |leases: &[Lease]| {
        let renewed = |node: &str| {
            let lease = leases.iter().find(|l| l.name_any() == node)?;
            lease.spec.as_ref()?.renew_time.as_ref().map(|t| t.0)
        };
        let old = |(node, start): (&String, &Timestamp)| match renewed(node) {
            None => Some(format!("{node} has no lease")),
            Some(at) if at < since.max(*start) => Some(format!("{node}: last renewed at {at:.1}")),
            Some(_) => None,
        };
        let late: Vec<String> = started.iter().filter_map(old).collect();
        Verdict::met_if(late.is_empty(), || late.join(", "))
    })
}

/// Checks that every pod of kubeadm and kind is Ready, in containers started after their node's start. CoreDNS and,
/// on each node, kube-proxy must be among them. Terminating and finished pods are ignored, and so are other people's
/// pods.
fn pods_fresh(started: BTreeMap<String, Timestamp>) -> impl Check<Pod> {
    check("system pods ready", move |pods: &[Pod]| {
        let here: Vec<&Pod> = pods.iter().filter(|p| system::is_part(p) && wait::pods::is_live(p)).collect();
        let count =
            |app: &str| here.iter().filter(|p| p.labels().get("k8s-app").is_some_and(|v| v == app)).count();
        let (dns, proxies) = (count("kube-dns"), count("kube-proxy"));
        if dns == 0 || proxies < started.len() {
            let nodes = started.len();
            return Verdict::NotYet(format!("{dns} pods of CoreDNS, {proxies} of {nodes} kube-proxies"));
        }
        let why = |pod: &&Pod| {
            if !wait::pods::is_ready(pod) {
                return Some(wait::pods::describe(pod));
            }
            let node = pod.spec.as_ref()?.node_name.as_deref()?;
            let start = started.get(node)?.as_second();
            let status = pod.status.as_ref()?;
            let old = status.container_statuses.iter().flatten().any(|c| {
                let running = c.state.as_ref().and_then(|s| s.running.as_ref());
                running.and_then(|r| r.started_at.as_ref()).is_none_or(|t| t.0.as_second() < start)
            });
            old.then(|| format!("{}: its status is older than its node's start", pod.name_any()))
        };
        let late: Vec<String> = here.iter().filter_map(why).collect();
        Verdict::met_if(late.is_empty(), || late.join("; "))
    })
}

fn last(error: WaitError) -> String {
    match error {
        WaitError::Timeout { what, last, api_error, .. } => match api_error {
            Some(api) => format!("{what}: {last} (API: {api})"),
            None => format!("{what}: {last}"),
        },
        never => never.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn nodes() -> BTreeMap<String, Timestamp> {
        [("w".to_owned(), at("2026-01-01T00:00:10.5Z"))].into()
    }

    fn pod(app: &str, ready: &str, started: &str) -> Pod {
        let (kind, owner) = match app {
            "kube-dns" => ("ReplicaSet", "coredns-5d78c9869d"),
            other => ("DaemonSet", other),
        };
        let owner =
            json!({"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": "u", "controller": true});
        serde_json::from_value(json!({
            "metadata": {"name": app, "labels": {"k8s-app": app, "pod-template-hash": "5d78c9869d"},
                "ownerReferences": [owner]},
            "spec": {"nodeName": "w", "containers": []},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{"name": app, "image": "", "imageID": "", "ready": true,
                    "restartCount": 0, "state": {"running": {"startedAt": started}}}]
            }
        }))
        .unwrap()
    }

    fn verdict(pods: &[Pod]) -> Verdict {
        pods_fresh(nodes()).verdict(pods)
    }

    #[test]
    fn a_status_from_before_the_start_does_not_count() {
        let (old, new) = ("2026-01-01T00:00:05Z", "2026-01-01T00:00:10Z");
        let fresh = [pod("kube-dns", "True", new), pod("kube-proxy", "True", new)];
        assert_eq!(verdict(&fresh), Verdict::Met);
        let stale = [pod("kube-dns", "True", old), pod("kube-proxy", "True", new)];
        assert!(matches!(verdict(&stale), Verdict::NotYet(why) if why.starts_with("kube-dns")));
        let unready = [pod("kube-dns", "False", new), pod("kube-proxy", "True", new)];
        assert!(matches!(verdict(&unready), Verdict::NotYet(_)));
        assert!(matches!(verdict(&fresh[..1]), Verdict::NotYet(why) if why.contains("0 of 1")));
    }

    #[test]
    fn other_peoples_pods_do_not_make_a_cluster_unready() {
        let new = "2026-01-01T00:00:10Z";
        let ended = |app: &str, phase: &str| {
            let mut pod = pod(app, "False", new);
            pod.status.as_mut().unwrap().phase = Some(phase.into());
            pod
        };
        let ours = || vec![pod("kube-dns", "True", new), pod("kube-proxy", "True", new)];
        let mut all = ours();
        all.extend([ended("batch", "Succeeded"), pod("crashing", "False", new)]);
        assert_eq!(verdict(&all), Verdict::Met);
        // A pod with our label but without our owner does not count.
        let mut posing = ours();
        posing[1].metadata.owner_references = None;
        assert!(matches!(verdict(&posing), Verdict::NotYet(why) if why.contains("0 of 1")));
        // An evicted pod of CoreDNS stays as a record; only its replacement counts.
        let mut evicted = ours();
        evicted.push(ended("kube-dns", "Failed"));
        assert_eq!(verdict(&evicted), Verdict::Met);
    }

    #[test]
    fn nodes_that_somebody_added_do_not_make_a_cluster_unready() {
        let node = |name: &str, ready: &str| -> KubeNode {
            let conditions = json!([{"type": "Ready", "status": ready}]);
            serde_json::from_value(json!({"metadata": {"name": name}, "status": {"conditions": conditions}}))
                .unwrap()
        };
        let check = nodes_ready(["w".to_owned()].into());
        assert_eq!(check.verdict(&[node("w", "True"), node("virtual", "False")]), Verdict::Met);
        assert!(matches!(check.verdict(&[node("virtual", "True")]), Verdict::NotYet(_)));
        assert!(
            matches!(check.verdict(&[node("w", "False")]), Verdict::NotYet(why) if why.starts_with("0 of 1"))
        );
    }

    #[test]
    fn a_lease_must_be_renewed_after_both_start_and_since() {
        let lease = |renewed: &str| -> Vec<Lease> {
            vec![
                serde_json::from_value(json!({"metadata": {"name": "w"}, "spec": {"renewTime": renewed}}))
                    .unwrap(),
            ]
        };
        let since = |text| leases_renewed(nodes(), at(text));
        let before_start = lease("2026-01-01T00:00:10.400000Z");
        let after_start = lease("2026-01-01T00:00:11.000000Z");
        let early = "2026-01-01T00:00:00Z";
        assert!(matches!(since(early).verdict(&before_start), Verdict::NotYet(_)));
        assert_eq!(since(early).verdict(&after_start), Verdict::Met);
        assert!(matches!(since("2026-01-01T00:00:12Z").verdict(&after_start), Verdict::NotYet(_)));
        assert!(matches!(since(early).verdict(&[]), Verdict::NotYet(why) if why == "w has no lease"));
    }

    #[test]
    fn images_are_compared_by_their_full_name() {
        for (short, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.26", "docker.io/library/nginx:1.26"),
            ("team/app:2", "docker.io/team/app:2"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("seatrial.local/nginx:1.22", "seatrial.local/nginx:1.22"),
            ("nginx@sha256:00", "docker.io/library/nginx@sha256:00"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }
}

//! Rules on nodes. Source: the node lifecycle controller's documentation ("Nodes", "Taints and
//! Tolerations").

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};

use super::{Check, Verdict, WaitError, Waited, check, until};
use crate::client::Client;
use crate::deadline::Deadline;
use crate::kubernetes::taint::{DISK_PRESSURE, NO_EXECUTE, NOT_READY, OUT_OF_SERVICE, UNREACHABLE};

/// The node is ready, without the taints of a lost node. After a start or restart, pass its time as `since`, on the
/// node's clock: an earlier `Ready` heartbeat is about the node before the restart. A kubelet reports when it starts. A
/// kubelet that was paused without notice may not report for 5 minutes (`nodeStatusReportFrequency`): pass None there.
pub fn node_ready(name: &str, since: Option<Timestamp>) -> impl Check<Node> + use<> {
    let name = name.to_owned();
    check(format!("node {name} ready"), move |nodes: &[Node]| {
        let Some(node) = nodes.iter().find(|n| n.name_any() == name) else {
            return Verdict::NotYet("there is no such node".into());
        };
        let Some(ready) = condition(node) else {
            return Verdict::NotYet("it has not reported yet".into());
        };
        let heartbeat = ready.last_heartbeat_time.as_ref().map(|t| t.0);
        // API timestamps have whole seconds.
        let stale = since.is_some_and(|s| heartbeat.is_none_or(|h| h.as_second() < s.as_second()));
        let taint = [UNREACHABLE, NOT_READY].into_iter().find(|key| has_taint(node, key));
        match taint {
            _ if ready.status != "True" => Verdict::NotYet(describe(node)),
            _ if stale => Verdict::NotYet("its last report is older than its start".into()),
            Some(key) => Verdict::NotYet(format!("ready, but still tainted {key}")),
            None => Verdict::Met,
        }
    })
}

/// Waits for [`node_ready`] without `since`; returns the node.
///
/// # Errors
/// As [`until`].
pub fn ready(
    client: &Client,
    name: &str,
    deadline: Deadline,
) -> BoxFuture<'static, Result<Waited<Node>, WaitError>> {
    until(Api::all(client.stream.clone()), by_name(name), node_ready(name, None), deadline).boxed()
}

/// Waits for [`node_not_ready`]; returns the node.
///
/// # Errors
/// As [`until`].
pub fn not_ready(
    client: &Client,
    name: &str,
    deadline: Deadline,
) -> BoxFuture<'static, Result<Waited<Node>, WaitError>> {
    until(Api::all(client.stream.clone()), by_name(name), node_not_ready(name), deadline).boxed()
}

/// The cluster has exactly `n` nodes, all of them ready and without the taints of a lost or full node.
pub fn nodes_ready(n: usize) -> impl Check<Node> {
    check(format!("{n} nodes ready"), move |nodes: &[Node]| {
        let bad = [UNREACHABLE, NOT_READY, DISK_PRESSURE, OUT_OF_SERVICE];
        let clean = |node: &&Node| !bad.iter().any(|key| has_taint(node, key));
        let count = nodes.iter().filter(|n| is_ready(n)).filter(clean).count();
        let list = || nodes.iter().map(describe).collect::<Vec<_>>().join(", ");
        Verdict::met_if(count == n && nodes.len() == n, || format!("{count} of {n} ready: {}", list()))
    })
}

/// The node is reported as not ready: its `Ready` condition is `False` or `Unknown`.
pub fn node_not_ready(name: &str) -> impl Check<Node> + use<> {
    let name = name.to_owned();
    check(format!("node {name} not ready"), move |nodes: &[Node]| {
        let Some(node) = nodes.iter().find(|n| n.name_any() == name) else {
            return Verdict::NotYet("there is no such node".into());
        };
        Verdict::met_if(is_lost(node), || describe(node))
    })
}

/// The control plane considers the node lost: `Ready` is `Unknown`, and the `unreachable` taint has the effect
/// `NoExecute`. The toleration times of the pods then start.
pub fn node_unreachable(name: &str) -> impl Check<Node> + use<> {
    let name = name.to_owned();
    check(format!("node {name} unreachable"), move |nodes: &[Node]| {
        let Some(node) = nodes.iter().find(|n| n.name_any() == name) else {
            return Verdict::NotYet("there is no such node".into());
        };
        let unknown = condition(node).is_some_and(|c| c.status == "Unknown");
        let evicts = taints(node).any(|(key, effect)| key == UNREACHABLE && effect == NO_EXECUTE);
        Verdict::met_if(unknown && evicts, || describe(node))
    })
}

/// Whether the node's `Ready` condition is true.
pub fn is_ready(node: &Node) -> bool {
    condition(node).is_some_and(|c| c.status == "True")
}

/// Whether the node's `Ready` condition is `False` or `Unknown`. A node without the condition has not reported yet.
pub(super) fn is_lost(node: &Node) -> bool {
    condition(node).is_some_and(|c| c.status != "True")
}

fn by_name(name: &str) -> watcher::Config {
    watcher::Config::default().fields(&format!("metadata.name={name}"))
}

/// Describes a node: its `Ready` condition with the reason, and its taints.
pub(super) fn describe(node: &Node) -> String {
    let taints: Vec<String> = taints(node).map(|(key, effect)| format!("{key}:{effect}")).collect();
    let taints = if taints.is_empty() { String::new() } else { format!(", tainted {}", taints.join(" ")) };
    match condition(node) {
        None => format!("{} without Ready condition{taints}", node.name_any()),
        Some(c) => {
            let reason = c.reason.as_deref().unwrap_or("no reason");
            format!("{} Ready={} ({reason}){taints}", node.name_any(), c.status)
        }
    }
}

fn condition(node: &Node) -> Option<&NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == "Ready")
}

fn has_taint(node: &Node, key: &str) -> bool {
    taints(node).any(|(k, _)| k == key)
}

fn taints(node: &Node) -> impl Iterator<Item = (&str, &str)> {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_ref()).into_iter().flatten();
    taints.map(|t| (t.key.as_str(), t.effect.as_str()))
}

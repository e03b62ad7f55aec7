//! Reads etcd's members inside the control planes, with tools that each control plane has: curl, and the API server's
//! own certificate.

use serde::Deserialize;

use crate::deadline::Deadline;
use crate::judge::ha::Member;
use crate::node::Node;
use crate::scenario::Failure;

/// Calls etcd's API as JSON (etcd: "gRPC gateway") with the certificate that kubeadm gives to the API server.
const LIST: [&str; 15] = [
    "curl",
    "-sS",
    "--max-time",
    "10",
    "--cacert",
    "/etc/kubernetes/pki/etcd/ca.crt",
    "--cert",
    "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    "--key",
    "/etc/kubernetes/pki/apiserver-etcd-client.key",
    "--request",
    "POST",
    "https://127.0.0.1:2379/v3/cluster/member/list",
    "--data",
    "{\"linearizable\": true}",
];

/// The endpoint at which a member reports its health, without a certificate (kubeadm: `listen-metrics-urls`).
const HEALTH: [&str; 5] = ["curl", "-s", "--max-time", "5", "http://127.0.0.1:2381/health"];

#[derive(Deserialize)]
struct Listed {
    members: Vec<Known>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    /// Empty for a member that has not started yet.
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default)]
    is_learner: bool,
}

#[derive(Deserialize)]
struct Health {
    health: String,
}

/// Returns the members that the majority knows, each with the health that it reports.
pub(super) async fn members(control_planes: &[&Node], deadline: Deadline) -> Result<Vec<Member>, Failure> {
    let mut why = String::from("there is no control plane");
    for plane in control_planes {
        let said = match plane.exec(&LIST, None, deadline).await {
            Ok(said) => said,
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        match serde_json::from_slice::<Listed>(&said.stdout) {
            Ok(listed) => return Ok(with_health(listed, control_planes, deadline).await),
            Err(error) => {
                let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
                why = format!("{}: {error}: {}", plane.name, crate::exec::tail(&text));
            }
        }
    }
    Err(format!("failed to list etcd's members: {why}").into())
}

async fn with_health(listed: Listed, control_planes: &[&Node], deadline: Deadline) -> Vec<Member> {
    let mut members = Vec::new();
    for Known { name, mut peer_urls, is_learner } in listed.members {
        let healthy = match control_planes.iter().find(|p| p.name == name) {
            Some(plane) => {
                let said = plane.exec(&HEALTH, None, deadline).await;
                let health = said.ok().and_then(|s| serde_json::from_slice::<Health>(&s.stdout).ok());
                health.is_some_and(|h| h.health == "true")
            }
            None => false,
        };
        peer_urls.sort();
        members.push(Member { name, peers: peer_urls, votes: !is_learner, healthy });
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}

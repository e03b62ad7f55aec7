//! etcd's members, asked in the control planes with what every one of them has: curl, and the API
//! server's own certificate.

use serde::Deserialize;

use crate::deadline::Deadline;
use crate::judge::ha::Member;
use crate::node::Node;
use crate::scenario::Failure;

/// etcd's API as JSON (etcd: "gRPC gateway"); the certificate is the one that kubeadm gives the API
/// server.
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

/// Where a member says how it is, without a certificate (kubeadm: `listen-metrics-urls`).
const HEALTH: [&str; 5] = ["curl", "-s", "--max-time", "5", "http://127.0.0.1:2381/health"];

#[derive(Deserialize)]
struct Listed {
    members: Vec<Known>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    /// Empty in a member that has not begun yet.
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

/// The members that the majority agrees on, each with what it says of itself.
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
    Err(format!("etcd does not say who its members are: {why}").into())
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

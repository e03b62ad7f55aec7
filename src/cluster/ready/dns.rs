//! Asks a cluster's DNS from inside a node, with only the bash that every node image has. One query over TCP goes
//! through the address of the Service, so the answer also proves kube-proxy's rules.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::client::{ApiError, Client, untyped};
use crate::deadline::Deadline;
use crate::retry::NotYet;
use crate::wait;

/// The name that every cluster must be able to resolve.
const NAME: &str = "kubernetes.default.svc.cluster.local";
/// Id of our query; the answer repeats it.
const ID: u16 = 0x5ea1;
/// Bytes of length prefix and header: enough to see whether the name was found.
const HEAD: usize = 14;

/// Restarts CoreDNS after all control planes have joined: both pods were scheduled to the first control plane, and
/// would be lost with that node. Source: kubeadm's documentation, "Creating Highly Available Clusters", which asks
/// for this restart.
///
/// # Errors
/// The API's last answer, or the reason why the new pods are not ready.
pub(crate) async fn spread(client: &Client, deadline: Deadline) -> Result<(), NotYet> {
    let again = json!({"kubectl.kubernetes.io/restartedAt": Timestamp::now().to_string()});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": again}}}});
    let deployments = untyped(Api::<Deployment>::namespaced(client.unary.clone(), "kube-system"));
    let patched = deployments.patch("coredns", &PatchParams::default(), &Patch::Merge(patch)).await;
    patched.map_err(|e| ApiError::from(e).text)?;
    wait::rollout(client, "kube-system", "coredns", deadline)
        .await
        .map(drop)
        .map_err(|e| e.to_string().into())
}

/// Returns the command that asks `server` and prints the first bytes of its answer. It ends within 3 s.
pub(crate) fn command(server: IpAddr) -> [String; 5] {
    let query: String = query(server).iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let script = format!("exec 3<>/dev/tcp/{server}/53 && printf '{query}' >&3 && head -c {HEAD} <&3");
    ["timeout".into(), "3".into(), "bash".into(), "-c".into(), script]
}

/// Checks that these are the first bytes of an answer with an address.
pub(crate) fn answered(bytes: &[u8]) -> Result<(), NotYet> {
    let Some(head) = bytes.get(2..HEAD) else {
        return Err(format!("{} bytes are not a DNS answer", bytes.len()).into());
    };
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (id, flags, answers) = (word(0), word(2), word(6));
    match flags & 0xf {
        _ if id != ID || flags & 0x8000 == 0 => Err("the response is not an answer to the query".into()),
        0 if answers > 0 => Ok(()),
        0 => Err(format!("no address for {NAME}").into()),
        2 => Err(format!("server failure for {NAME}").into()),
        3 => Err(format!("{NAME} does not exist").into()),
        code => Err(format!("error {code} for {NAME}").into()),
    }
}

/// Builds a query for an address of the server's own family, with the length prefix that TCP requires (RFC 1035,
/// 4.2.2).
fn query(server: IpAddr) -> Vec<u8> {
    let mut body = Vec::new();
    // Recursion desired, one question.
    for word in [ID, 0x0100, 1, 0, 0, 0] {
        body.extend(word.to_be_bytes());
    }
    for label in NAME.split('.') {
        body.push(u8::try_from(label.len()).unwrap_or_default());
        body.extend(label.as_bytes());
    }
    body.push(0);
    // Type A or AAAA (RFC 3596, 2.1), class IN.
    body.extend([0, if server.is_ipv4() { 1 } else { 28 }, 0, 1]);
    let mut whole = u16::try_from(body.len()).unwrap_or_default().to_be_bytes().to_vec();
    whole.append(&mut body);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;
    use crate::exec::Exec;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn answer(flags: u16, answers: u16) -> Vec<u8> {
        let words = [53, ID, flags, 1, answers, 0, 0];
        words.into_iter().flat_map(u16::to_be_bytes).collect()
    }

    #[test]
    fn only_an_address_is_an_answer() {
        assert_eq!(answered(&answer(0x8180, 1)), Ok(()));
        assert!(answered(&answer(0x8183, 0)).unwrap_err().0.contains("does not exist"));
        assert!(answered(&answer(0x8182, 0)).unwrap_err().0.contains("server failure"));
        assert!(answered(&answer(0x8180, 0)).unwrap_err().0.contains("no address"));
        assert!(answered(&answer(0x0100, 1)).is_err(), "our own query sent back");
        assert!(answered(&[]).is_err());
    }

    #[test]
    fn the_query_asks_for_the_clusters_own_address_family() {
        for (server, kind) in [("10.96.0.10", 1), ("fd00:10:96::a", 28)] {
            let query = query(server.parse().unwrap());
            assert_eq!(query[query.len() - 4..], [0, kind, 0, 1], "{server}");
        }
    }

    #[tokio::test]
    async fn bash_sends_the_query_unchanged() {
        // The test may not open port 53, so the same script runs against another port.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server: IpAddr = "127.0.0.1".parse().unwrap();
        let query = || query(server);
        let [_, _, bash, c, script] = command(server);
        let script = script.replace("/53 ", &format!("/{port} "));
        let served = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut got = vec![0; query().len()];
            socket.read_exact(&mut got).await.unwrap();
            socket.write_all(&answer(0x8180, 1)).await.unwrap();
            got
        };
        let deadline = Deadline::after(Duration::from_secs(5));
        let (got, out) = tokio::join!(served, Exec::new(bash).args([c, script]).run(deadline));
        assert_eq!(got, query());
        // As text the bytes above 0x7f are replaced; the number of characters still shows that all bytes came.
        assert_eq!(out.unwrap().stdout.chars().count(), HEAD);
    }
}

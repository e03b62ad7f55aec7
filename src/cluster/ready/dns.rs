//! Asks a cluster's DNS from inside a node with nothing but the bash that every node image has:
//! one query over TCP through the service's address, so kube-proxy's rules are proved with it.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::wait;

/// The name that every cluster must be able to resolve.
const NAME: &str = "kubernetes.default.svc.cluster.local";
/// Number of our query: the answer carries it back.
const ID: u16 = 0x5ea1;
/// Length prefix and header: enough to see that the name was found.
const HEAD: usize = 14;

/// Makes CoreDNS' pods anew, now that there are more nodes than the first control plane: both were
/// placed there, and the cluster's DNS would go with that one node. Source: kubeadm's documentation,
/// "Creating Highly Available Clusters", which asks for this restart after control planes joined.
///
/// # Errors
/// The API's last answer, or what keeps the new pods from being ready.
pub(crate) async fn spread(client: &Client, deadline: Deadline) -> Result<(), String> {
    let again = json!({"kubectl.kubernetes.io/restartedAt": Timestamp::now().to_string()});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": again}}}});
    let deployments = Api::<Deployment>::namespaced(client.unary.clone(), "kube-system");
    let patched = deployments.patch("coredns", &PatchParams::default(), &Patch::Merge(patch)).await;
    patched.map_err(|e| ApiError::from(e).text)?;
    wait::rollout(client, "kube-system", "coredns", deadline).await.map(drop).map_err(|e| e.to_string())
}

/// The command that asks `server` and prints the first bytes of its answer. It ends within 3 s.
pub(crate) fn command(server: IpAddr) -> [String; 5] {
    let query: String = query(server).iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let script = format!("exec 3<>/dev/tcp/{server}/53 && printf '{query}' >&3 && head -c {HEAD} <&3");
    ["timeout".into(), "3".into(), "bash".into(), "-c".into(), script]
}

/// Whether these are the first bytes of an answer with an address in it.
pub(crate) fn answered(bytes: &[u8]) -> Result<(), String> {
    let Some(head) = bytes.get(2..HEAD) else {
        return Err(format!("{} bytes are no answer", bytes.len()));
    };
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (id, flags, answers) = (word(0), word(2), word(6));
    match flags & 0xf {
        _ if id != ID || flags & 0x8000 == 0 => Err("something that is no answer came back".into()),
        0 if answers > 0 => Ok(()),
        0 => Err(format!("no address for {NAME}")),
        2 => Err(format!("server failure for {NAME}")),
        3 => Err(format!("{NAME} does not exist")),
        code => Err(format!("error {code} for {NAME}")),
    }
}

/// A query for an address of the family that the cluster's own has, with the length in front that TCP asks for
/// (RFC 1035, 4.2.2).
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
        assert!(answered(&answer(0x8183, 0)).unwrap_err().contains("does not exist"));
        assert!(answered(&answer(0x8182, 0)).unwrap_err().contains("server failure"));
        assert!(answered(&answer(0x8180, 0)).unwrap_err().contains("no address"));
        assert!(answered(&answer(0x0100, 1)).is_err(), "our own query sent back");
        assert!(answered(&[]).is_err());
    }

    #[test]
    fn the_address_of_the_clusters_own_family_is_asked_for() {
        for (server, kind) in [("10.96.0.10", 1), ("fd00:10:96::a", 28)] {
            let query = query(server.parse().unwrap());
            assert_eq!(query[query.len() - 4..], [0, kind, 0, 1], "{server}");
        }
    }

    #[tokio::test]
    async fn bash_sends_the_query_as_it_should_be() {
        // Port 53 is not ours to open: the same script against another port.
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
        // As text the bytes above 0x7f are replaced; their number still shows that all came.
        assert_eq!(out.unwrap().stdout.chars().count(), HEAD);
    }
}

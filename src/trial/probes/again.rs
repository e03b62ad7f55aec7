//! A command on a node that is started again when the node comes back.

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};

use crate::deadline::Deadline;
use crate::engine::{Engine, EngineError};

/// Pause before the command is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// Where kube-proxy says whether it works (flag `--healthz-bind-address`). It says so before it has written its first rules, too.
const HEALTH: &str = "http://localhost:10256/healthz";
/// Times that kube-proxy is asked, twice a second, before the command is started without its answer: another program may
/// do its work.
const TIMES: u32 = 60;

/// The lines of the running command, or none before it is started.
type Running = Option<BoxStream<'static, Result<String, EngineError>>>;

/// Returns the lines of a command on a node. When the command ends, because the node was stopped or its container restarted, it
/// is started again, until the deadline. Judges see from the samples that nobody asked meanwhile.
///
/// A node that was restarted has no rules for Services at first. Its requests to them would leave the cluster, where
/// something may even answer. The command is therefore started again after kube-proxy has written its rules.
pub fn again(
    engine: Engine,
    node: String,
    (words, address): (Vec<String>, &str),
    deadline: Deadline,
) -> impl Stream<Item = Result<String, EngineError>> + Send + 'static {
    let later = after_rules(&words, HEALTH, address, TIMES);
    stream::unfold((None, words), move |(mut running, mut words): (Running, Vec<String>)| {
        let (engine, node, later) = (engine.clone(), node.clone(), later.clone());
        async move {
            loop {
                let lines = running.get_or_insert_with(|| {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    engine.exec_lines(&node, &words)
                });
                if let Some(Ok(line)) = lines.next().await {
                    return Some((Ok(line), (running, words)));
                }
                (running, words) = (None, later.clone());
                if deadline.is_over() {
                    return None;
                }
                deadline.pause(PAUSE).await;
            }
        }
    })
}

/// Returns a command that runs `words` once `url` answers with a good status and the node has rules that name the address of the
/// Service (iptables, nftables, or an address of the device for IPVS), or after it was asked in vain. An empty address needs none.
fn after_rules(words: &[String], url: &str, address: &str, times: u32) -> Vec<String> {
    let script = r#"url=$1 left=$2 address=$3
shift 3
rules() {
  [ -z "$address" ] ||
    { iptables-save -t nat; ip6tables-save -t nat; nft list ruleset; ip -o address; } 2>/dev/null | grep -qwF -- "$address"
}
until { curl -fs -o /dev/null -m 1 "$url" && rules; } || [ "$left" -le 0 ]; do
  left=$((left - 1))
  sleep 0.5
done
exec "$@""#;
    let own = ["sh", "-c", script, "after-rules", url].map(str::to_owned);
    own.into_iter().chain([times.to_string(), address.to_owned()]).chain(words.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::exec::Exec;

    async fn run(url: &str, times: u32) -> String {
        let words = after_rules(&["echo".into(), "asked  now".into()], url, "", times);
        let run = Exec::new(&words[0]).args(&words[1..]);
        run.run(Deadline::after(Duration::from_secs(30))).await.unwrap().stdout
    }

    #[tokio::test]
    async fn a_restarted_node_asks_once_kube_proxy_has_its_rules() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/healthz", server.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for status in ["503 Service Unavailable", "503 Service Unavailable", "200 OK"] {
                let (mut client, _) = server.accept().unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let _ = client.read(&mut [0; 1024]).unwrap();
                write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .unwrap();
            }
        });
        assert_eq!(run(&url, 60).await, "asked  now\n");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_node_without_kube_proxy_asks_after_a_while() {
        assert_eq!(run("http://127.0.0.1:1/healthz", 1).await, "asked  now\n");
    }
}

//! A fake API server that lists pods and forwards to them. Behind each pod is a server that says the pod's name and
//! then repeats what it receives.

use std::sync::{Arc, Mutex};

use futures::{SinkExt, StreamExt};
use seatrial::client::Client;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// The pods, and the behaviour of their ports.
#[derive(Clone)]
pub(super) struct FakePods {
    pods: Arc<Mutex<Vec<Value>>>,
    /// An error that every forward reports instead of a connection.
    pub(super) refusal: Arc<Mutex<Option<String>>>,
    /// Whether every forward comes too late, because its pod is replaced under the same name meanwhile.
    pub(super) late: Arc<Mutex<bool>>,
    address: std::net::SocketAddr,
}

impl FakePods {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Self { pods: Arc::default(), refusal: Arc::default(), late: Arc::default(), address };
        let served = fake.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(served.clone().serve(socket));
            }
        });
        fake
    }

    pub(super) async fn client(&self) -> Client {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: f\n\
             clusters: [{{name: f, cluster: {{server: \"http://{}\"}}}}]\n\
             contexts: [{{name: f, context: {{cluster: f, user: f}}}}]\nusers: [{{name: f, user: {{}}}}]\n",
            self.address
        );
        std::fs::write(file.path(), text).unwrap();
        Client::from_kubeconfig(file.path()).await.unwrap()
    }

    /// Sets the pods: name, ready, terminating.
    pub(super) fn set(&self, pods: &[(&str, bool, bool)]) {
        let pod = |(age, (name, ready, terminating)): (usize, &(&str, bool, bool))| {
            let time = format!("2026-01-01T00:00:{age:02}Z");
            json!({
                "metadata": {
                    "name": name, "uid": format!("uid-{name}"), "namespace": "ns", "creationTimestamp": time,
                    "deletionTimestamp": terminating.then_some(&time),
                },
                "spec": { "containers": [], "nodeName": format!("node-of-{name}") },
                "status": { "conditions": [
                    { "type": "Ready", "status": if *ready { "True" } else { "False" } }
                ] },
            })
        };
        *self.pods.lock().unwrap() = pods.iter().enumerate().map(pod).collect();
    }

    async fn serve(self, mut socket: TcpStream) {
        let mut head = [0; 4096];
        let n = socket.peek(&mut head).await.unwrap_or_default();
        let head = String::from_utf8_lossy(&head[..n]).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default();
        if let Some((pod, _)) = path.split_once("/portforward") {
            let pod = pod.rsplit('/').next().unwrap_or_default().to_owned();
            return self.forward(socket, &pod).await;
        }
        let pods = self.pods.lock().unwrap().clone();
        let name = path.split('?').next().and_then(|p| p.rsplit('/').next()).unwrap_or_default();
        let body = match pods.iter().find(|p| p["metadata"]["name"] == name) {
            Some(pod) => pod.to_string(),
            None => json!({
                "apiVersion": "v1", "kind": "PodList", "metadata": { "resourceVersion": "1" }, "items": pods,
            })
            .to_string(),
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = socket.write_all(answer.as_bytes()).await;
        // Peeked bytes must be read, or closing resets the connection.
        let mut rest = vec![0; n];
        let _ = tokio::io::AsyncReadExt::read_exact(&mut socket, &mut rest).await;
    }

    /// Speaks v4.channel.k8s.io: a channel byte before each message, data on channel 0, errors on channel 1, each
    /// opened by the port's number.
    async fn forward(self, socket: TcpStream, pod: &str) {
        #[expect(clippy::result_large_err, reason = "tungstenite's own type")]
        let accept = |_: &Request, mut answer: Response| {
            let protocol = "v4.channel.k8s.io".parse().unwrap();
            answer.headers_mut().insert("sec-websocket-protocol", protocol);
            Ok(answer)
        };
        let mut far = tokio_tungstenite::accept_hdr_async(socket, accept).await.unwrap();
        if *self.late.lock().unwrap() {
            for one in self.pods.lock().unwrap().iter_mut().filter(|p| p["metadata"]["name"] == pod) {
                one["metadata"]["uid"] = "another".into();
            }
        }
        let port = 3306_u16.to_le_bytes();
        for channel in [0, 1] {
            far.send(Message::binary(vec![channel, port[0], port[1]])).await.unwrap();
        }
        let refusal = self.refusal.lock().unwrap().clone();
        if let Some(why) = refusal {
            far.send(Message::binary([&[1], why.as_bytes()].concat())).await.unwrap();
            let _ = far.close(None).await;
            return;
        }
        far.send(Message::binary([&[0], pod.as_bytes()].concat())).await.unwrap();
        while let Some(Ok(message)) = far.next().await {
            if message.is_binary() && message.len() > 1 && far.send(message).await.is_err() {
                break;
            }
        }
    }
}

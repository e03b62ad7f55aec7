//! A local TCP port that leads into a cluster's network through a node. Unlike a port-forward, it needs no API server:
//! its connections reach the pods while the API server is down.

use std::net::{IpAddr, Ipv4Addr};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::io::StreamReader;

use super::Route;
use super::forward::ForwardError;
use crate::engine::{Engine, EngineError};

/// Listens on a port of 127.0.0.1. For each accepted connection, a command on the node opens a connection from there:
/// kube-proxy's rules on that node lead it to a Service's pod.
///
/// # Cancellation
/// Dropping the value ends the listener and every connection.
#[derive(Debug)]
pub struct Inside {
    route: Route,
    task: tokio::task::JoinHandle<()>,
}

/// Opens a connection and copies in both directions, with the bash that every node image has. The first end of either
/// side ends both.
const CARRY: &str = r#"exec 3<>"/dev/tcp/$1/$2" || exit 1
cat <&3 &
far=$!
{ cat >&3; kill "$far"; } 2>/dev/null <&0 &
near=$!
wait "$far"
kill "$near" 2>/dev/null
exit 0"#;

impl Inside {
    /// Opens a free local port that leads to `address:port`, as seen from the node.
    ///
    /// # Errors
    /// [`ForwardError::Listen`].
    pub async fn open(engine: &Engine, node: &str, address: IpAddr, port: u16) -> Result<Self, ForwardError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(ForwardError::Listen)?;
        let route = Route::direct(listener.local_addr().map_err(ForwardError::Listen)?);
        let way = Way { engine: engine.clone(), node: node.into(), address, port };
        Ok(Self { route, task: tokio::spawn(accept(listener, way)) })
    }

    /// The route over this port.
    pub fn route(&self) -> &Route {
        &self.route
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Way {
    engine: Engine,
    node: String,
    address: IpAddr,
    port: u16,
}

async fn accept(listener: TcpListener, way: Way) {
    // The set ends its connections when it is dropped, for example when this task is aborted.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((socket, _)) = accepted {
                    let way = way.clone();
                    // The client sees the end of the connection. The reason would not help it.
                    connections.spawn(async move { _ = way.carry(socket).await });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Way {
    async fn carry(&self, mut near: TcpStream) -> Result<(), EngineError> {
        let (address, port) = (self.address.to_string(), self.port.to_string());
        let argv = ["bash", "-c", CARRY, "carry", &address, &port];
        let mut piped = self.engine.exec_piped(&self.node, &argv).await?;
        let mut far_read = StreamReader::new(&mut piped.output);
        let (mut near_read, mut near_write) = near.split();
        // The first end of either side ends both.
        tokio::select! {
            _ = tokio::io::copy(&mut far_read, &mut near_write) => {}
            _ = tokio::io::copy(&mut near_read, &mut piped.input) => {}
        }
        let _ = piped.input.shutdown().await;
        Ok(())
    }
}

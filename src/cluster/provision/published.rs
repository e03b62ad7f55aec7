//! Checks that the published port of the API server can be reached from this process.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::cluster::{Cluster, ClusterError};
use crate::deadline::Deadline;
use crate::retry;

/// Time for the port to accept connections: the engine publishes it before the container runs.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(200);
/// Time for the API server to answer inside the node.
const ASK: Duration = Duration::from_secs(10);

/// Refuses a cluster whose API server answers inside its node while nobody listens at the published port. Then the
/// port is on another loopback, as in a container that has the engine's socket. A slow port, or an API server that
/// does not answer, is left to the later wait for readiness.
pub(crate) async fn check(cluster: &Cluster, port: SocketAddr) -> Result<(), ClusterError> {
    let Some(plane) = cluster.control_planes().next() else { return Ok(()) };
    let serves = async || plane.api_serves(Deadline::after(ASK)).await.unwrap_or(false);
    match refused(port, Deadline::after(PATIENCE)).await && serves().await {
        true => Err(ClusterError::Unpublished { node: plane.name.clone(), port }),
        false => Ok(()),
    }
}

/// Reports whether connections to the port are refused until the deadline.
async fn refused(port: SocketAddr, deadline: Deadline) -> bool {
    let reached = retry::until(deadline, retry::every(AGAIN), || async {
        match deadline.bound(TcpStream::connect(port)).await {
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Err(true),
            Err(_late) => Err(false),
            Ok(_) => Ok(()),
        }
    });
    reached.await.is_err_and(|late| late.last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_without_a_listener_is_refused_and_one_that_gets_one_is_not() {
        let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = listen();
        assert!(!refused(listener.local_addr().unwrap(), Deadline::after(PATIENCE)).await);
        // This port is free again: nobody ever connected to it.
        let port = listen().local_addr().unwrap();
        assert!(refused(port, Deadline::after(AGAIN)).await);
        let later = async {
            Deadline::after(PATIENCE).pause(AGAIN).await;
            std::net::TcpListener::bind(port).unwrap()
        };
        let (is_refused, _listener) = tokio::join!(refused(port, Deadline::after(PATIENCE)), later);
        assert!(!is_refused);
    }
}

//! Checks whether the engine and this process share a loopback.

use tokio::net::UnixStream;

use super::EngineError;

/// Compares our network namespace with that of the process at the other end of the socket: the engine, or systemd if
/// systemd listens for the engine.
pub(super) async fn check(host: &str) -> Result<(), EngineError> {
    let Some(path) = host.strip_prefix("unix://") else { return Ok(()) };
    let Some(pid) = peer(path).await else { return Ok(()) };
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    match (namespace(&pid.to_string()), namespace("self")) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(EngineError::OtherNetwork { pid }),
        _ => Ok(()),
    }
}

/// Returns the process that listens on the socket; none if it is in another process namespace.
async fn peer(path: &str) -> Option<i32> {
    let stream = UnixStream::connect(path).await.ok()?;
    stream.peer_cred().ok()?.pid().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_of_this_process_is_in_its_network() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let host = format!("unix://{}", path.display());
        assert_eq!(peer(path.to_str().unwrap()).await, i32::try_from(std::process::id()).ok());
        assert!(check(&host).await.is_ok());
        assert!(check("tcp://127.0.0.1:1").await.is_ok() && check("unix:///nowhere").await.is_ok());
    }
}

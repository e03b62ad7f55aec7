//! Clients of one cluster's API, made from a kubeconfig file of our own.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::Status;

use crate::chain::answered;
use crate::sanitise;

/// Two clients of one API server. Cheap to clone, but bound to the runtime that made them: the
/// connection of a kube client is a task. Each test makes its own.
#[derive(Clone)]
pub struct Client {
    /// For calls with one answer: 30 s without a byte end them, nothing is retried.
    pub unary: kube::Client,
    /// For watches, exec, port-forward and followed logs, which may rightly be silent for long.
    pub stream: kube::Client,
    /// The server's URL.
    pub server: String,
}

/// Time without a byte after which a call with one answer is given up. A paused control plane
/// accepts connections and says nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a connection to a loopback address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Client {
    /// Reads a kubeconfig's current context. Neither `KUBECONFIG` nor the user's file nor a proxy
    /// of the environment is used.
    ///
    /// # Errors
    /// [`ClientError`]: a file that cannot be read, a server that is not on a loopback address, or
    /// credentials that would start a program.
    pub async fn from_kubeconfig(path: &Path) -> Result<Self, ClientError> {
        let read = |source| ClientError::Read { path: path.into(), source: Box::new(source) };
        let kubeconfig = Kubeconfig::read_from(path).map_err(read)?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(read)?;
        if config.auth_info.exec.is_some() || config.auth_info.auth_provider.is_some() {
            return Err(ClientError::Program { path: path.into() });
        }
        Self::from_config(config)
    }

    /// Makes both clients from one configuration.
    ///
    /// # Errors
    /// [`ClientError::NotLoopback`], [`ClientError::Make`].
    pub fn from_config(mut config: Config) -> Result<Self, ClientError> {
        let server = config.cluster_url.to_string();
        if !config.cluster_url.host().is_some_and(is_loopback) {
            return Err(ClientError::NotLoopback { server });
        }
        // With two providers in the process and none installed, rustls panics; whoever was first
        // may stay.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The loopback address of a proxy is not ours.
        config.proxy_url = None;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // kube's own retry hides a 429 or 503 for minutes; waits have a deadline and say why.
        config.default_retry = false;
        let make = |source| ClientError::Make { server: server.clone(), source: ApiError::from(source) };
        let stream = kube::Client::try_from(config.clone()).map_err(make)?;
        config.read_timeout = Some(READ_TIMEOUT);
        config.reset_reader_on_write = true;
        let unary = kube::Client::try_from(config).map_err(make)?;
        Ok(Self { unary, stream, server })
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig cannot be used.
    #[error("failed to read the kubeconfig {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    /// The server may belong to somebody: only clusters on this machine are touched.
    #[error("refused to use the API server {server}: it is not on a loopback address")]
    NotLoopback {
        /// Its URL.
        server: String,
    },
    /// The credentials come from a program.
    #[error("refused to use the kubeconfig {}: its user runs a program for credentials", .path.display())]
    Program {
        /// The file.
        path: PathBuf,
    },
    /// The client cannot be made.
    #[error("failed to make a client of {server}")]
    Make {
        /// The server's URL.
        server: String,
        /// The reason.
        #[source]
        source: ApiError,
    },
}

impl ClientError {
    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotLoopback { .. } | Self::Program { .. } => {
                Some("use a cluster made by `seatrial up`".into())
            }
            Self::Read { .. } | Self::Make { .. } => None,
        }
    }
}

/// An error of the API in one line that says each thing once: kube's own texts repeat their
/// sources and print whole structures.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct ApiError {
    /// The line.
    pub text: String,
    /// What the server answered, where it did.
    pub status: Option<Box<Status>>,
}

impl ApiError {
    /// The HTTP status code of the answer; none where there was no answer.
    pub fn code(&self) -> Option<u16> {
        self.status.as_ref().map(|s| s.code)
    }

    /// Whether the server said that the object, or its kind, is not there.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the same request may succeed later: no answer, 429, or a server's trouble.
    pub fn is_transient(&self) -> bool {
        self.code().is_none_or(|code| code == 429 || code >= 500)
    }

    /// What the server answered, in one line.
    pub fn from_status(status: Status) -> Self {
        // A webhook, a quota, a value that somebody sent: part of it is never the server's own.
        Self { text: sanitise::line(&answered(&status)), status: Some(Box::new(status)) }
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(*status),
            other => Self { text: sanitise::line(&innermost(&other)), status: None },
        }
    }
}

impl From<kube::runtime::watcher::Error> for ApiError {
    fn from(error: kube::runtime::watcher::Error) -> Self {
        use kube::runtime::watcher::Error;
        match error {
            Error::InitialListFailed(e) | Error::WatchStartFailed(e) | Error::WatchFailed(e) => e.into(),
            Error::WatchError(status) => Self::from_status(*status),
            other => Self { text: sanitise::line(&innermost(&other)), status: None },
        }
    }
}

/// The texts of an error's chain without those that only repeat what follows them.
fn innermost(error: &dyn std::error::Error) -> String {
    let texts: Vec<String> =
        std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect();
    let repeats = |i: &usize| texts.get(i + 1).is_some_and(|next| texts[*i].contains(next.as_str()));
    let own: Vec<&str> = (0..texts.len()).filter(|i| !repeats(i)).map(|i| texts[i].as_str()).collect();
    own.join(": ")
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(server: &str, user: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {user}}}]\n"
        );
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[tokio::test]
    async fn only_a_server_on_a_loopback_address_is_used() {
        for server in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            let file = kubeconfig(server, "{}");
            assert!(Client::from_kubeconfig(file.path()).await.is_ok(), "{server}");
        }
        for server in ["https://10.0.0.1:6443", "https://localhost.example.org", "https://prod:6443"] {
            let file = kubeconfig(server, "{}");
            let error = Client::from_kubeconfig(file.path()).await.unwrap_err();
            assert!(matches!(error, ClientError::NotLoopback { .. }), "{server}: {error}");
        }
    }

    #[tokio::test]
    async fn credentials_never_start_a_program() {
        let file = kubeconfig("http://127.0.0.1:1", "{exec: {command: touch, apiVersion: v1}}");
        let error = Client::from_kubeconfig(file.path()).await.unwrap_err();
        assert!(matches!(error, ClientError::Program { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_refused_connection_is_one_line_and_transient() {
        let file = kubeconfig("http://127.0.0.1:1", "{}");
        let client = Client::from_kubeconfig(file.path()).await.unwrap();
        let error = ApiError::from(client.unary.apiserver_version().await.unwrap_err());
        assert!(error.is_transient());
        assert_eq!(error.text.matches("refused").count(), 1, "{}", error.text);
    }
}

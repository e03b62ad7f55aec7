//! Clients of one cluster's API, made from a kubeconfig file that seatrial wrote.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::api::{Api, DynamicObject, ListParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, Resource, Status};
use serde::de::DeserializeOwned;

use crate::chain::{answered, plain};
use crate::deadline::Deadline;
use crate::hint::{FailureKind, Hint};
use crate::{retry, sanitise};

#[cfg(feature = "cli")]
mod context;

#[cfg(feature = "cli")]
pub use context::{ContextError, Named};

/// Two clients of one API server. Cheap to clone, but bound to the runtime that made them, because the connection of a
/// kube client is a task. Each test makes its own.
#[derive(Clone)]
pub struct Client {
    /// For requests with one response. They fail after 30 s without a byte and are not retried.
    pub unary: kube::Client,
    /// For watches, exec, port-forward and followed logs, which may be silent for a long time.
    pub stream: kube::Client,
    /// The server's URL.
    pub server: String,
}

/// Time without a byte after which a request with one response fails. A paused control plane accepts connections and
/// does not answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout for connecting to a loopback address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Client {
    /// Reads the current context of a kubeconfig. `KUBECONFIG`, the user's own file and proxies of the environment are
    /// ignored.
    ///
    /// # Errors
    /// [`ClientError`] if the file cannot be read, the server is not on a loopback address, or the credentials would
    /// start a program.
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
    pub fn from_config(config: Config) -> Result<Self, ClientError> {
        if !config.cluster_url.host().is_some_and(is_loopback) {
            return Err(ClientError::NotLoopback { server: config.cluster_url.to_string() });
        }
        Self::pair(config)
    }

    /// Makes one client for requests with one response, of a server that is no cluster.
    ///
    /// # Errors
    /// [`ClientError::Make`].
    pub(crate) fn for_requests(config: Config) -> Result<kube::Client, ClientError> {
        Ok(Self::pair(config)?.unary)
    }

    /// Makes both clients, wherever the server is.
    fn pair(mut config: Config) -> Result<Self, ClientError> {
        let server = config.cluster_url.to_string();
        // rustls panics if the process has two providers and none is installed. If another is installed already, it
        // stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // On the proxy's machine, the loopback address is another machine's.
        if config.cluster_url.host().is_some_and(is_loopback) {
            config.proxy_url = None;
        }
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // kube's own retries hide a 429 or 503 for minutes. Waits have a deadline and report the reason.
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

/// Why no client was made.
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
    /// The server may belong to somebody else: seatrial uses only clusters on this machine.
    #[error("refused to use the API server {server}: it is not on a loopback address")]
    NotLoopback {
        /// Its URL.
        server: String,
    },
    /// The credentials come from a program, which seatrial does not start.
    #[error("refused to use the kubeconfig {}: its user runs a program for credentials", .path.display())]
    Program {
        /// The file.
        path: PathBuf,
    },
    /// The client could not be made.
    #[error("failed to make a client of {server}")]
    Make {
        /// The server's URL.
        server: String,
        /// The reason.
        #[source]
        source: ApiError,
    },
}

/// An error of the API in one line without repetitions. kube's own texts repeat their sources and print whole
/// structures.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct ApiError {
    /// The line.
    pub text: String,
    /// The server's response, if there was one.
    pub status: Option<Box<Status>>,
}

impl ApiError {
    /// Returns the HTTP status code of the response, or none without a response.
    pub fn code(&self) -> Option<u16> {
        self.status.as_ref().map(|s| s.code)
    }

    /// Whether the server answered that the object, or its kind, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the same request may succeed later: no response, 429, or a server error.
    pub fn is_transient(&self) -> bool {
        self.code().is_none_or(|code| code == 429 || code >= 500)
    }

    /// Whether the API server itself gave no answer to the request: as [`ApiError::is_transient`], but for the error of a
    /// webhook (k8s.io/apiserver, `pkg/util/webhook/error.go` and apiextensions-apiserver,
    /// `pkg/apiserver/conversion/webhook_converter.go`).
    pub fn is_unanswered(&self) -> bool {
        let of_webhook = ["failed calling webhook ", "conversion webhook for "];
        self.is_transient() && !of_webhook.iter().any(|words| self.text.contains(words))
    }

    /// Makes an error of the server's response.
    pub fn from_status(status: Status) -> Self {
        // The message may quote a webhook, a quota, or a value from a request.
        Self { text: sanitise::line(&answered(&status)), status: Some(Box::new(status)) }
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(*status),
            other => Self { text: sanitise::line(&plain(&innermost(&other))), status: None },
        }
    }
}

impl From<kube::runtime::watcher::Error> for ApiError {
    fn from(error: kube::runtime::watcher::Error) -> Self {
        use kube::runtime::watcher::Error;
        match error {
            Error::InitialListFailed(e) | Error::WatchStartFailed(e) | Error::WatchFailed(e) => e.into(),
            Error::WatchError(status) => Self::from_status(*status),
            other => Self { text: sanitise::line(&plain(&innermost(&other))), status: None },
        }
    }
}

/// Returns the same API for objects of any type. kube compiles its watcher and its decoder again for each type, which
/// takes seconds for each of the larger types.
pub(crate) fn untyped<K: Resource>(api: Api<K>) -> Api<DynamicObject> {
    // `/api/v1/...` for the group without a name, else `/apis/<group>/<version>/...`.
    let url = api.resource_url().trim_start_matches('/').to_owned();
    let (root, rest) = url.split_once('/').unwrap_or_default();
    let (group, rest) = if root == "api" { ("", rest) } else { rest.split_once('/').unwrap_or_default() };
    let version = rest.split('/').next().unwrap_or_default();
    let resource = ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: if group.is_empty() { version.into() } else { format!("{group}/{version}") },
        // No request contains the kind.
        kind: String::new(),
        plural: rest.rsplit('/').next().unwrap_or_default().into(),
    };
    let namespace = api.namespace().map(str::to_owned);
    match namespace {
        Some(namespace) => Api::namespaced_with(api.into_client(), &namespace, &resource),
        None => Api::all_with(api.into_client(), &resource),
    }
}

/// Lists objects of a type over its [`untyped`] API.
pub(crate) async fn list<K: Resource + DeserializeOwned>(
    api: Api<K>,
    params: &ListParams,
) -> kube::Result<Vec<K>> {
    let found = untyped(api).list(params).await?;
    found.items.into_iter().map(|object| typed(object).map_err(kube::Error::SerdeError)).collect()
}

/// Reads one object of a type over its [`untyped`] API.
pub(crate) async fn get<K: Resource + DeserializeOwned>(api: Api<K>, name: &str) -> kube::Result<K> {
    typed(untyped(api).get(name).await?).map_err(kube::Error::SerdeError)
}

/// Reads an object of [`untyped`] as its type.
pub(crate) fn typed<K: DeserializeOwned>(object: DynamicObject) -> serde_json::Result<K> {
    serde_json::to_value(object).and_then(serde_json::from_value)
}

/// Repeats a request until the API answers or the deadline is over; then returns the last error. An error that `passes`
/// does not accept ends the retry at once. An attempt is dropped at the deadline. If the server says when to ask again,
/// it is not asked earlier.
pub(crate) async fn asked<T, F>(
    deadline: Deadline,
    mut pauses: impl FnMut(&ApiError) -> Duration,
    mut ask: impl FnMut() -> F,
    passes: impl Fn(&ApiError) -> bool,
) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    let wanted = |error: &ApiError| {
        let seconds = error.status.as_ref().and_then(|s| s.details.as_ref()?.retry_after_seconds.into());
        Duration::from_secs(seconds.unwrap_or(0).into())
    };
    let pauses = |error: &ApiError| pauses(error).max(wanted(error));
    let answer = retry::try_until(deadline, pauses, || {
        let asked = deadline.bound(ask());
        async {
            match asked.await {
                Ok(Ok(answer)) => Ok(Ok(answer)),
                Ok(Err(error)) => match ApiError::from(error) {
                    error if passes(&error) => Ok(Err(error)),
                    error => Err(error),
                },
                Err(_) => Ok(Err(ApiError { text: "the API gave no answer".into(), status: None })),
            }
        }
    });
    answer.await?.map_err(|late| late.last)
}

/// Returns the texts of an error's chain, without texts that only repeat their source.
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

impl Hint for ClientError {
    fn failure(&self) -> Option<FailureKind> {
        Some(FailureKind::Unavailable)
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotLoopback { .. } | Self::Program { .. } => {
                Some("use a cluster that `seatrial up` created".into())
            }
            Self::Read { .. } | Self::Make { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Node, Pod};

    use super::*;

    #[tokio::test]
    async fn an_untyped_api_asks_at_the_same_place() {
        let config = Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        let cron =
            ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("example.org", "v1beta2", "Cron"));
        let dynamic = Api::<DynamicObject>::namespaced_with(client.clone(), "a", &cron);
        let urls = [
            untyped(Api::<Pod>::namespaced(client.clone(), "a")).resource_url().to_owned(),
            untyped(Api::<Node>::all(client.clone())).resource_url().to_owned(),
            untyped(dynamic.clone()).resource_url().to_owned(),
        ];
        let pods = "/api/v1/namespaces/a/pods";
        assert_eq!(urls, [pods, "/api/v1/nodes", dynamic.resource_url()]);
    }

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

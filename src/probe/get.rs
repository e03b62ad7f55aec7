//! Sends HTTP requests from this host continuously: to a URL, or through a cluster's API server to a Service.
//!
//! The way through the API server (`services/proxy`) needs nothing in the cluster. It bypasses kube-proxy: the API server
//! chooses one of the Service's endpoints itself.

use std::time::{Duration, Instant};

use kube::client::Body;
use kube::config::Config;
use kube::core::Status;
use kube::core::params::GetParams;
use kube::core::request::Request;
use tokio::task::JoinHandle;

use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::event::{Event, EventLog, Outcome};
use crate::judge::watch::API_SAYS;

/// Timeout of one request.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause between two requests to a URL.
pub const PAUSE: Duration = Duration::from_millis(250);
/// Pause between two requests to the API server, which serves others too.
const GENTLE: Duration = Duration::from_secs(1);
/// Answers that are longer than this are not read, in bytes.
const LONGEST: u64 = 64 << 10;

/// A Service's port, as the API server's proxy asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// The port: a number or a name.
    pub port: String,
    /// The path, which begins with `/`.
    pub path: String,
}

/// A running probe. Dropping the value ends it.
#[derive(Debug)]
pub struct Get {
    task: JoinHandle<()>,
}

/// A URL that cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("{url} is not a URL such as https://shop.example.org/healthz")]
pub struct UrlError {
    /// The text.
    pub url: String,
}

/// A checked URL: its server, and its path with the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    server: String,
    path: String,
}

impl Url {
    /// Reads a URL of HTTP or HTTPS.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let wrong = || UrlError { url: url.into() };
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (server, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let is_plain =
            !server.is_empty() && !server.contains(['@', ' ']) && path.is_ascii() && !path.contains(' ');
        match scheme {
            "http" | "https" if is_plain => Ok(Self { server: format!("{scheme}://{server}"), path }),
            _ => Err(wrong()),
        }
    }
}

impl Get {
    /// Starts a probe of a URL. Each request opens a new connection.
    ///
    /// # Errors
    /// [`UrlError`] if the server is no address.
    pub fn url(name: &str, url: &Url, log: &EventLog) -> Result<Self, UrlError> {
        let wrong = || UrlError { url: format!("{}{}", url.server, url.path) };
        let mut config = Config::new(url.server.parse().map_err(|_| wrong())?);
        config.connect_timeout = Some(PATIENCE);
        let client = Client::for_requests(config).map_err(|_| wrong())?;
        let asks = Asks { name: name.into(), client, path: url.path.clone(), of: Of::Url };
        Ok(Self::every(PAUSE, log.clone(), asks))
    }

    /// Starts a probe of a Service through the API server. If the API server itself gives no answer, or answers for
    /// itself, the detail of the sample begins with [`API_SAYS`].
    pub fn through(name: &str, client: &Client, to: &ServicePort, log: &EventLog) -> Self {
        let ServicePort { namespace, service, port, path } = to;
        let path = format!("/api/v1/namespaces/{namespace}/services/http:{service}:{port}/proxy{path}");
        let asks = Asks { name: name.into(), client: client.unary.clone(), path, of: Of::Service };
        Self::every(GENTLE, log.clone(), asks)
    }

    /// Starts a probe of the API server itself, which asks for its version. Any answer of its own counts.
    pub fn api(name: &str, client: &Client, log: &EventLog) -> Self {
        let path = "/version".into();
        let asks = Asks { name: name.into(), client: client.unary.clone(), path, of: Of::ApiServer };
        Self::every(GENTLE, log.clone(), asks)
    }

    fn every(pause: Duration, log: EventLog, asks: Asks) -> Self {
        let task = tokio::spawn(async move {
            loop {
                let event = asks.ask().await;
                log.append(event);
                Deadline::after(pause).pause(pause).await;
            }
        });
        Self { task }
    }

    /// Ends the probe. Its samples until now are in the log.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Get {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a probe is about.
#[derive(Clone, Copy)]
enum Of {
    Url,
    Service,
    ApiServer,
}

/// What a probe asks.
struct Asks {
    name: String,
    client: kube::Client,
    path: String,
    of: Of,
}

impl Asks {
    async fn ask(&self) -> Event {
        let began = Instant::now();
        let alone = matches!(self.of, Of::Url);
        let answer = Deadline::after(PATIENCE).bound(get(&self.client, &self.path, alone)).await;
        let (outcome, detail) = match (answer, self.of) {
            (Ok(Ok(answer)), Of::Service) => told(&answer),
            (Ok(Ok(answer)), Of::ApiServer) if answer.status < 500 => {
                (Outcome::Acknowledged, answer.status.to_string())
            }
            (Ok(Ok(answer)), _) => answered(answer.status),
            (Ok(Err(error)), Of::Service) => (Outcome::Indeterminate, format!("{API_SAYS}{}", error.text)),
            (Ok(Err(error)), _) => (Outcome::Refused, error.text),
            // The Service or the API server may be silent: the probe of the API server tells which.
            (Err(late), _) => (Outcome::Indeterminate, format!("no answer: {late}")),
        };
        let took_ms = began.elapsed().as_secs_f64() * 1e3;
        Event::Sampled { probe: self.name.clone(), outcome, took_ms, detail }
    }
}

/// An answer: its status, and what the API server says if the answer is its own.
struct Answer {
    status: u16,
    own: Option<Status>,
}

async fn get(client: &kube::Client, path: &str, alone: bool) -> Result<Answer, ApiError> {
    let broken = |text: String| ApiError { text, status: None };
    let request = Request::new("").get("x", &GetParams::default()).map_err(|e| broken(e.to_string()))?;
    let mut request = request.map(Body::from);
    *request.uri_mut() = path.parse().map_err(|_| broken(format!("{path} is no path of a URL")))?;
    if alone {
        // The next request opens its own connection: a kept one does not notice that new ones fail.
        let close = "close".parse().map_err(|_| broken("no header".into()))?;
        request.headers_mut().insert("connection", close);
    }
    let response = client.send(request).await?;
    let status = response.status().as_u16();
    let length = response.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > LONGEST) {
        return Ok(Answer { status, own: None });
    }
    let body = response.into_body().collect_bytes().await?;
    let own = serde_json::from_slice::<serde_json::Value>(&body).ok();
    let own = own.filter(|value| value["kind"] == "Status" && value["apiVersion"] == "v1");
    Ok(Answer { status, own: own.and_then(|value| serde_json::from_value(value).ok()) })
}

fn answered(status: u16) -> (Outcome, String) {
    let outcome = if (200..400).contains(&status) { Outcome::Acknowledged } else { Outcome::Refused };
    (outcome, status.to_string())
}

/// Classifies an answer that came through the API server. It says in a `Status` of its own that the Service has no
/// endpoint or could not be reached (`pkg/registry/core/service/storage` and `apimachinery/pkg/util/proxy`).
fn told(answer: &Answer) -> (Outcome, String) {
    let Some(own) = answer.own.as_ref().filter(|_| answer.status >= 400) else {
        return answered(answer.status);
    };
    let text = ApiError::from_status(own.clone()).text;
    let is_about_the_service = own.message.contains("no endpoints available")
        || own.message.contains("trying to reach service")
        || answer.status == 404 && own.message.starts_with("services ");
    match is_about_the_service {
        true => (Outcome::Refused, format!("{} {text}", answer.status)),
        false => (Outcome::Indeterminate, format!("{API_SAYS}{} {text}", answer.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_server_and_a_path() {
        let parts = |url: &str| Url::parse(url).map(|url| (url.server, url.path)).ok();
        let found = |server: &str, path: &str| Some((server.to_owned(), path.to_owned()));
        assert_eq!(parts("https://shop.test/a?b=c#d"), found("https://shop.test", "/a?b=c"));
        assert_eq!(parts("http://127.0.0.1:80"), found("http://127.0.0.1:80", "/"));
        assert_eq!(parts("http://[::1]:80?x"), found("http://[::1]:80", "/?x"));
        for wrong in ["shop:80", "ftp://shop", "http://", "http://user@shop/", "http://shop/a b"] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_the_api_server_says_for_itself_is_told_from_the_service() {
        let of = |status: u16, message: &str| {
            let own = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                "message": message, "reason": "x", "code": status});
            let (outcome, detail) = told(&Answer { status, own: serde_json::from_value(own).ok() });
            (outcome, detail.starts_with(API_SAYS))
        };
        assert_eq!(of(503, "no endpoints available for service \"shop\""), (Outcome::Refused, false));
        assert_eq!(of(503, "error trying to reach service: dial tcp"), (Outcome::Refused, false));
        assert_eq!(of(404, "services \"shop\" not found"), (Outcome::Refused, false));
        assert_eq!(of(403, "services \"shop\" is forbidden"), (Outcome::Indeterminate, true));
        assert_eq!(of(429, "too many requests"), (Outcome::Indeterminate, true));
        assert_eq!(told(&Answer { status: 500, own: None }).0, Outcome::Refused);
        assert_eq!(told(&Answer { status: 302, own: None }).0, Outcome::Acknowledged);
    }
}

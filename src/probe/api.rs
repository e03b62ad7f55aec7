//! Sends requests to the API server continuously, as a client outside the cluster does.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use tokio::task::JoinHandle;

use crate::client::{ApiError, Client, untyped};
use crate::deadline::Deadline;
use crate::event::{Event, EventLog, Outcome};
use crate::retry::NotYet;

/// Name of the probe in its samples.
pub const PROBE: &str = "api";

/// Name of the probe that opens a new connection for each request.
pub const ANEW: &str = "api-anew";

/// Pause between two requests.
const PAUSE: Duration = Duration::from_millis(250);
/// Timeout of one request.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Sends one request after another and records each as an [`Event::Sampled`]. A request gets the namespace `default`,
/// which the server reads from etcd: an API server without etcd counts as down.
#[derive(Debug)]
pub struct ApiProbe {
    task: JoinHandle<()>,
}

impl ApiProbe {
    /// Starts the probe.
    pub fn start(client: &Client, log: EventLog) -> Self {
        let client = client.clone();
        let task = tokio::spawn(async move {
            loop {
                sample(PROBE, &log, ask(&client)).await;
            }
        });
        Self { task }
    }

    /// Like [`ApiProbe::start`], named [`ANEW`], with a new connection for each request. A client that keeps its
    /// connection does not notice the loss of another API server.
    pub fn anew(kubeconfig: PathBuf, log: EventLog) -> Self {
        let task = tokio::spawn(async move {
            loop {
                let asked = async {
                    let client = Client::from_kubeconfig(&kubeconfig).await.map_err(|e| e.to_string())?;
                    ask(&client).await
                };
                sample(ANEW, &log, asked).await;
            }
        });
        Self { task }
    }

    /// Ends the probe.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

async fn ask(client: &Client) -> Result<(), NotYet> {
    let namespaces = untyped(Api::<Namespace>::all(client.unary.clone()));
    namespaces.get("default").await.map(drop).map_err(|e| with_status(&ApiError::from(e)).into())
}

/// The error's text, preceded by the HTTP status if there was an answer.
fn with_status(error: &ApiError) -> String {
    match error.code() {
        Some(code) => format!("{code} {}", error.text),
        None => error.text.clone(),
    }
}

/// Records the outcome of a request, and pauses.
async fn sample(probe: &str, log: &EventLog, asked: impl Future<Output = Result<(), NotYet>>) {
    let began = Instant::now();
    let answer = Deadline::after(PATIENCE).bound(asked).await;
    let took_ms = began.elapsed().as_secs_f64() * 1e3;
    let (outcome, detail) = match answer {
        Ok(Ok(())) => (Outcome::Acknowledged, "answered".to_owned()),
        // A read changes nothing, so an error counts as a refusal. Silence leaves the outcome open.
        Ok(Err(why)) => (Outcome::Refused, why.0),
        Err(late) => (Outcome::Indeterminate, late.to_string()),
    };
    log.append(Event::Sampled { probe: probe.into(), outcome, took_ms, detail });
    Deadline::after(PAUSE).pause(PAUSE).await;
}

impl Drop for ApiProbe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

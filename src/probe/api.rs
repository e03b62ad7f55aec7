//! Asks the API server over and over, as a client outside the cluster does.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use tokio::task::JoinHandle;

use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::event::{Event, EventLog, Outcome};

/// Name of the probe in its samples.
pub const PROBE: &str = "api";

/// Pause between two requests.
const PAUSE: Duration = Duration::from_millis(250);
/// Time after which one request is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// One request after another, each recorded as an [`Event::Sampled`]: the namespace `default` by name,
/// which the server reads from etcd, so that an API server without etcd counts as away.
#[derive(Debug)]
pub struct ApiProbe {
    task: JoinHandle<()>,
}

impl ApiProbe {
    /// Begins to ask.
    pub fn start(client: &Client, log: EventLog) -> Self {
        let namespaces = Api::<Namespace>::all(client.unary.clone());
        let task = tokio::spawn(async move {
            loop {
                let began = Instant::now();
                let patience = Deadline::after(PATIENCE);
                let answer = patience.bound(namespaces.get("default")).await;
                let took_ms = began.elapsed().as_secs_f64() * 1e3;
                let (outcome, detail) = match answer {
                    Ok(Ok(_)) => (Outcome::Acknowledged, "answered".to_owned()),
                    // Reading changes nothing, so an error is a refusal; silence may be anything.
                    Ok(Err(error)) => (Outcome::Refused, ApiError::from(error).text),
                    Err(late) => (Outcome::Indeterminate, late.to_string()),
                };
                log.append(Event::Sampled { probe: PROBE.into(), outcome, took_ms, detail });
                Deadline::after(PAUSE).pause(PAUSE).await;
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

impl Drop for ApiProbe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

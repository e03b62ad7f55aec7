//! A local TCP port that always leads to the current pod.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::chain::chain;
use crate::client::{list, untyped};
use crate::deadline::Deadline;
use crate::wait::pods;

/// Listens on a port of 127.0.0.1. Each accepted connection looks for the pod again and gets a port-forward of its own,
/// because one port-forward carries one connection. The port stays the same while pods are replaced; a connection ends
/// with its pod.
///
/// # Cancellation
/// Dropping the value ends the listener and every connection.
#[derive(Debug)]
pub struct Forward {
    route: Route,
    task: tokio::task::JoinHandle<()>,
}

/// The pod that a connection leads to.
#[derive(Clone, Debug)]
pub enum Target {
    /// A ready pod that is not terminating, by label selector.
    Selector(String),
    /// The pod with this UID, ready or not.
    Uid(String),
}

/// The address of a server, and the pods that connections reached.
#[derive(Clone, Debug)]
pub struct Route {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Name to UID and node, of every pod that a connection reached.
    pods: BTreeMap<String, (String, String)>,
    last_error: Option<(Instant, String)>,
}

/// Why a connection did not reach a pod.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No local port is available.
    #[error("failed to listen on 127.0.0.1")]
    Listen(#[source] std::io::Error),
    /// The API returned an error.
    #[error("failed to {doing}")]
    Api {
        /// The failed operation, such as `find a pod with app=mysql`.
        doing: String,
        /// The error.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API did not answer.
    #[error("failed to {doing}: no answer in {:.1} s", .waited.as_secs_f64())]
    Silent {
        /// The failed operation.
        doing: String,
        /// Timeout that passed.
        waited: Duration,
    },
    /// No pod matches now.
    #[error("no pod to forward to in namespace {namespace}: {why}")]
    NoPod {
        /// The namespace.
        namespace: String,
        /// The existing pods, and why none of them qualifies.
        why: String,
    },
    /// The other end reported an error.
    #[error("connection to pod {pod} broke: {why}")]
    Broken {
        /// The pod.
        pod: String,
        /// The text from the other end.
        why: String,
    },
}

/// Timeout for finding the pod, and for opening the port-forward.
const ANSWER: Duration = Duration::from_secs(5);

impl Route {
    /// A route to a server that needs no forward, such as one in a side container.
    pub fn direct(address: SocketAddr) -> Self {
        Self { address, seen: Arc::default() }
    }

    /// The address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// UID and node of a pod that a connection reached.
    pub fn pod(&self, name: &str) -> Option<(String, String)> {
        self.lock().pods.get(name).cloned()
    }

    /// Why the last connection failed or broke, if that was after `since`.
    pub fn error_since(&self, since: Instant) -> Option<String> {
        let last = self.lock().last_error.clone();
        last.filter(|(at, _)| *at >= since).map(|(_, text)| text)
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) {
        self.lock().last_error = Some((Instant::now(), chain(error)));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Forward {
    /// Opens a free local port. No pod needs to exist yet. `client` must have no read timeout, because that would end
    /// quiet connections.
    ///
    /// # Errors
    /// [`ForwardError::Listen`].
    pub async fn open(
        client: &kube::Client,
        namespace: &str,
        target: Target,
        port: u16,
    ) -> Result<Self, ForwardError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(ForwardError::Listen)?;
        let route = Route::direct(listener.local_addr().map_err(ForwardError::Listen)?);
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        let to = Far { pods, namespace: namespace.into(), target, port, route: route.clone() };
        let task = tokio::spawn(accept(listener, to));
        Ok(Self { route, task })
    }

    /// The route over this forward.
    pub fn route(&self) -> &Route {
        &self.route
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Far {
    pods: Api<Pod>,
    namespace: String,
    target: Target,
    port: u16,
    route: Route,
}

async fn accept(listener: TcpListener, to: Far) {
    // The set ends its connections when it is dropped, for example when this task is aborted.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((mut socket, _)) => {
                    let to = to.clone();
                    connections.spawn(async move {
                        // The error is stored before the client sees the end of the connection.
                        if let Err(error) = to.carry(&mut socket).await {
                            to.route.failed(&error);
                        }
                    });
                }
                Err(error) => to.route.failed(&error),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Far {
    async fn carry(&self, near: &mut TcpStream) -> Result<(), ForwardError> {
        let (pod, uid) = self.find().await?;
        let doing = format!("forward to port {} of pod {pod}", self.port);
        let mut forward = answer(&doing, self.pods.portforward(&pod, &[self.port])).await.map(Abort)?;
        // The port-forward uses the name, which another pod may have by now.
        let now = answer(&doing, untyped(self.pods.clone()).get(&pod)).await?;
        if now.metadata.uid.as_deref() != Some(&uid) {
            let why = format!("{pod} was replaced while the forward was opened");
            return Err(ForwardError::NoPod { namespace: self.namespace.clone(), why });
        }
        let broken = |why: &str| ForwardError::Broken { pod: pod.clone(), why: why.into() };
        let mut far = forward.0.take_stream(self.port).ok_or_else(|| broken("no stream"))?;
        let error = forward.0.take_error(self.port).ok_or_else(|| broken("no error stream"))?;
        let mut error = std::pin::pin!(error.fuse());
        // The protocol has no half-close: the first end of either side ends both.
        let (mut near_read, mut near_write) = near.split();
        let (mut far_read, mut far_write) = tokio::io::split(&mut far);
        let ended = tokio::select! {
            biased;
            Some(why) = &mut error => return Err(broken(&why)),
            ended = tokio::io::copy(&mut far_read, &mut near_write) => ended,
            ended = tokio::io::copy(&mut near_read, &mut far_write) => ended,
        };
        // If nothing listens on the port, the stream ends first and the error follows.
        if let Ok(Some(why)) = Deadline::after(Duration::from_millis(50)).bound(error).await {
            return Err(broken(&why));
        }
        ended.map(|_| ()).map_err(|e| broken(&e.to_string()))
    }

    /// The pod's name and UID.
    async fn find(&self) -> Result<(String, String), ForwardError> {
        let (params, doing) = match &self.target {
            Target::Selector(labels) => {
                (ListParams::default().labels(labels), format!("find a pod with {labels}"))
            }
            Target::Uid(uid) => (ListParams::default(), format!("find the pod with UID {uid}")),
        };
        let pods = answer(&doing, list(self.pods.clone(), &params)).await?;
        let no_pod = || ForwardError::NoPod {
            namespace: self.namespace.clone(),
            why: match pods.is_empty() {
                true => "no pod matches".into(),
                false => pods.iter().map(state).collect::<Vec<_>>().join(", "),
            },
        };
        let pod = choose(&pods, &self.target).ok_or_else(no_pod)?;
        let name = pod.metadata.name.clone().unwrap_or_default();
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let node = pod.spec.as_ref().and_then(|s| s.node_name.clone()).unwrap_or_default();
        self.route.lock().pods.insert(name.clone(), (uid.clone(), node));
        Ok((name, uid))
    }
}

/// Aborts the `Portforwarder` on drop: dropping alone would leave it running.
struct Abort(kube::api::Portforwarder);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn answer<T>(
    doing: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ForwardError> {
    match Deadline::after(ANSWER).bound(call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(ForwardError::Api { doing: doing.into(), source: Box::new(source) }),
        Err(late) => Err(ForwardError::Silent { doing: doing.into(), waited: late.0 }),
    }
}

fn choose<'p>(pods: &'p [Pod], target: &Target) -> Option<&'p Pod> {
    match target {
        Target::Uid(uid) => pods.iter().find(|p| p.metadata.uid.as_ref() == Some(uid)),
        // The newest pod: during a rollout this is the one that stays.
        Target::Selector(_) => pods
            .iter()
            .filter(|p| pods::is_ready(p))
            .max_by_key(|p| p.metadata.creation_timestamp.as_ref().map(|t| t.0)),
    }
}

fn state(pod: &Pod) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let state = match (pod.metadata.deletion_timestamp.is_some(), pods::is_ready(pod)) {
        (true, _) => "terminating",
        (false, true) => "ready",
        (false, false) => "not ready",
    };
    format!("{name} is {state}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ready: bool, terminating: bool, second: i64) -> Pod {
        let time = |s: i64| jiff::Timestamp::from_second(s).unwrap().to_string();
        let mut meta = serde_json::json!({
            "name": name, "uid": format!("uid-{name}"), "creationTimestamp": time(second),
        });
        if terminating {
            meta["deletionTimestamp"] = time(second).into();
        }
        let status = if ready { "True" } else { "False" };
        let conditions = [serde_json::json!({ "type": "Ready", "status": status })];
        let pod = serde_json::json!({ "metadata": meta, "status": { "conditions": conditions } });
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_selector_takes_the_newest_ready_pod_that_stays() {
        let by = Target::Selector("app=mysql".into());
        let name = |pods: &[Pod]| choose(pods, &by).and_then(|p| p.metadata.name.clone());
        let old = pod("old", true, false, 1);
        let leaving = pod("leaving", true, true, 3);
        let new = pod("new", true, false, 2);
        let starting = pod("starting", false, false, 4);
        assert_eq!(name(&[old.clone(), leaving.clone(), new, starting.clone()]).unwrap(), "new");
        assert_eq!(name(&[leaving, starting]), None);
        assert_eq!(name(&[old]).unwrap(), "old");
    }

    #[test]
    fn a_uid_takes_that_pod_whatever_its_state() {
        let pods = [pod("a", true, false, 1), pod("b", false, true, 2)];
        let found = choose(&pods, &Target::Uid("uid-b".into()));
        assert_eq!(found.and_then(|p| p.metadata.name.as_deref()), Some("b"));
        assert!(choose(&pods, &Target::Uid("uid-c".into())).is_none());
    }
}

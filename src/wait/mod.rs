//! Waits: a question on objects, asked on a watch until it is met, hopeless or out of time.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::runtime::watcher;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::deadline::Deadline;
use crate::{sanitise, secret};

pub mod around;
pub mod claims;
pub mod deployments;
pub mod endpoints;
pub mod namespaces;
pub mod nodes;
pub mod pods;
mod refused;
mod rollout;
pub mod stateful_sets;
mod warnings;
mod watched;

pub use around::Around;
use around::Surroundings;
pub use rollout::{Rollout, StatefulRollout, rollout, rollout_running, stateful_rollout};
use watched::{Seen, Watched};

/// The answer to a question on objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Met,
    /// Not yet, because.
    NotYet(String),
    /// It cannot hold any more, because: a wait ends at once.
    Never(String),
}

impl Verdict {
    /// Met where `holds`, else not yet, because `why`.
    pub fn met_if(holds: bool, why: impl FnOnce() -> String) -> Self {
        if holds { Self::Met } else { Self::NotYet(why()) }
    }
}

/// A question on a set of objects. One object by name is a set of at most one.
///
/// # Guarantees
/// It is asked again after every change, so it must depend on nothing but the objects.
pub trait Check<K>: Send + Sync {
    /// What is waited for, such as `2 pods ready`.
    fn what(&self) -> String;
    /// The answer for the set as it is now. Every object that is left out is not there.
    fn verdict(&self, objects: &[K]) -> Verdict;
    /// The same with what is known of nodes and warnings; without need of those it is [`Check::verdict`].
    fn verdict_in(&self, objects: &[K], around: &Around) -> Verdict {
        let _ = around;
        self.verdict(objects)
    }
}

/// A check from a text and a function.
pub fn check<K>(what: impl Into<String>, verdict: impl Fn(&[K]) -> Verdict + Send + Sync) -> impl Check<K> {
    struct Named<F>(String, F);
    impl<K, F: Fn(&[K]) -> Verdict + Send + Sync> Check<K> for Named<F> {
        fn what(&self) -> String {
            self.0.clone()
        }
        fn verdict(&self, objects: &[K]) -> Verdict {
            (self.1)(objects)
        }
    }
    Named(what.into(), verdict)
}

/// What a wait ended with.
#[derive(Clone, Debug)]
pub struct Waited<K> {
    /// The set that met the check.
    pub objects: Vec<K>,
    /// How long it took.
    pub took: Duration,
}

/// Waits until the objects that `api` and `params` select meet the check.
///
/// Errors of the API are "not yet": a watch that breaks, or ends with 410, starts anew with a
/// list. `params.timeout` is the silence in seconds after which the set is listed anew, in case
/// the connection died unnoticed; default 20 s. Give it an [`Api`] of [`crate::client::Client::stream`].
///
/// # Errors
/// [`WaitError::Never`] as soon as the check says so; [`WaitError::Timeout`] with the last state, the newest
/// warnings about the objects and their owners, and the last error of the API. For those warnings the API is
/// asked once after the deadline, for 3 s at most.
///
/// # Cancellation
/// May be dropped at any time; the watch ends with it.
pub async fn until<K>(
    api: Api<K>,
    params: watcher::Config,
    check: impl Check<K>,
    deadline: Deadline,
) -> Result<Waited<K>, WaitError>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let client = api.clone().into_client();
    let mut watched = Watched::new(api, params);
    let mut wait = Wait::new(check.what(), deadline);
    loop {
        match wait.bound(watched.next()).await {
            Err(timeout) => return Err(wait.explained(timeout, &client, &watched.objects()).await),
            Ok(Seen::Trouble(text)) => wait.trouble(text),
            Ok(Seen::Change) => {
                if wait.is_met(check.verdict(&watched.objects()))? {
                    return Ok(Waited { objects: watched.objects(), took: wait.took() });
                }
            }
        }
    }
}

/// As [`until`] for the pods that `params` select, and the check also sees nodes, their leases and the warnings in
/// the namespace ([`Check::verdict_in`]).
///
/// # Errors
/// As [`until`].
pub async fn pods_until(
    client: &Client,
    namespace: &str,
    params: watcher::Config,
    check: impl Check<Pod>,
    deadline: Deadline,
) -> Result<Waited<Pod>, WaitError> {
    let mut around = Surroundings::new(client, namespace);
    let mut watched = Watched::new(Api::<Pod>::namespaced(client.stream.clone(), namespace), params);
    let mut wait = Wait::new(check.what(), deadline);
    loop {
        let next = async {
            tokio::select! {
                seen = watched.next() => seen,
                seen = around.next() => seen,
            }
        };
        match wait.bound(next).await {
            Err(timeout) => return Err(wait.explained(timeout, &client.stream, &watched.objects()).await),
            Ok(Seen::Trouble(text)) => wait.trouble(text),
            Ok(Seen::Change) if !(watched.is_complete() && around.is_complete()) => {}
            Ok(Seen::Change) => {
                if wait.is_met(check.verdict_in(&watched.objects(), &around.now()))? {
                    return Ok(Waited { objects: watched.objects(), took: wait.took() });
                }
            }
        }
    }
}

/// Why a wait ended without its condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The deadline passed.
    #[error(
        "{what}: not met after {:.1} s; last seen: {last}{}{}",
        .waited.as_secs_f64(), quoted(.warnings), in_brackets(.api_error)
    )]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// The last answer of the check.
        last: String,
        /// The newest warnings about the objects and their owners.
        warnings: Option<String>,
        /// The last error of the API, with its age.
        api_error: Option<String>,
    },
    /// It cannot be met any more.
    #[error("{what}: cannot be met any more (after {:.1} s): {why}", .waited.as_secs_f64())]
    Never {
        /// What was waited for.
        what: String,
        /// Why not.
        why: String,
        /// How long was waited.
        waited: Duration,
    },
}

impl WaitError {
    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        None
    }
}

fn in_brackets(text: &Option<String>) -> String {
    text.as_ref().map(|t| format!(" [{t}]")).unwrap_or_default()
}

fn quoted(warnings: &Option<String>) -> String {
    warnings.as_ref().map(|w| format!("; newest warnings: {w}")).unwrap_or_default()
}

/// What objects say of themselves, as an error may repeat it.
fn told(why: &str) -> String {
    sanitise::line(&secret::hide_shapes(why))
}

/// The bookkeeping of one wait: what a timeout will have to say.
struct Wait {
    what: String,
    deadline: Deadline,
    began: Instant,
    last: Option<String>,
    trouble: Option<(Instant, String)>,
}

impl Wait {
    fn new(what: String, deadline: Deadline) -> Self {
        Self { what, deadline, began: Instant::now(), last: None, trouble: None }
    }

    async fn bound<T>(&self, work: impl Future<Output = T>) -> Result<T, WaitError> {
        self.deadline.bound(work).await.map_err(|_| WaitError::Timeout {
            what: self.what.clone(),
            waited: self.took(),
            last: self.last.clone().unwrap_or_else(|| "nothing, the API gave no list".into()),
            warnings: None,
            api_error: self
                .trouble
                .as_ref()
                .map(|(at, text)| format!("API error {:.1} s before: {text}", at.elapsed().as_secs_f64())),
        })
    }

    /// A timeout with the newest warnings about these objects.
    async fn explained<K>(&self, mut error: WaitError, client: &kube::Client, objects: &[K]) -> WaitError
    where
        K: Resource + Debug,
    {
        if let WaitError::Timeout { warnings, .. } = &mut error {
            *warnings = warnings::quoted(client, objects).await.map(|text| told(&text));
        }
        error
    }

    /// A timeout with the newest of these warnings about objects with these UIDs.
    fn explained_by(&self, mut error: WaitError, events: &[Event], about: &BTreeSet<String>) -> WaitError {
        if let WaitError::Timeout { warnings, .. } = &mut error {
            *warnings = warnings::newest(events, about).map(|text| told(&text));
        }
        error
    }

    fn is_met(&mut self, verdict: Verdict) -> Result<bool, WaitError> {
        match verdict {
            Verdict::Met => Ok(true),
            Verdict::NotYet(why) => {
                self.last = Some(told(&why));
                Ok(false)
            }
            Verdict::Never(why) => {
                Err(WaitError::Never { what: self.what.clone(), why: told(&why), waited: self.took() })
            }
        }
    }

    fn trouble(&mut self, text: String) {
        self.trouble = Some((Instant::now(), text));
    }

    fn took(&self) -> Duration {
        self.began.elapsed()
    }
}

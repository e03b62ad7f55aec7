//! Waits: a question about objects, asked on a watch until the answer is met or never, or until the deadline passes.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::deadline::Deadline;
use crate::{sanitise, secret};

#[cfg(not(feature = "internals"))]
pub(crate) mod around;
#[cfg(feature = "internals")]
pub mod around;
pub mod claims;
pub mod custom_resources;
pub mod daemon_sets;
pub mod deployments;
pub mod endpoints;
pub mod jobs;
pub mod namespaces;
pub mod nodes;
pub mod pods;
mod refused;
mod rollout;
mod same;
mod sets;
pub mod stateful_sets;
mod warnings;
mod watched;

pub use around::Around;
pub use rollout::{Rollout, StatefulRollout, rollout, rollout_running, stateful_rollout};
use same::Same;
use sets::Sets;
use watched::{Seen, Watched};

/// The answer to a question about objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The condition holds.
    Met,
    /// The condition does not hold yet, for this reason.
    NotYet(String),
    /// The condition can no longer hold, for this reason: a wait ends at once.
    Never(String),
}

impl Verdict {
    /// Returns met if `holds`, otherwise not yet with the reason `why`.
    pub fn met_if(holds: bool, why: impl FnOnce() -> String) -> Self {
        if holds { Self::Met } else { Self::NotYet(why()) }
    }
}

/// A question about a set of objects. One object by name is a set of at most one object.
///
/// # Guarantees
/// The verdict is asked again after every change, so it must depend on the objects only.
pub trait Check<K>: Send + Sync {
    /// Describes the condition, such as `2 pods ready`.
    fn what(&self) -> String;
    /// The answer for the set as it is now. An object that is not in the set does not exist.
    fn verdict(&self, objects: &[K]) -> Verdict;
    /// The answer with knowledge of nodes and warnings; by default that of [`Check::verdict`].
    fn verdict_in(&self, objects: &[K], around: &Around) -> Verdict {
        let _ = around;
        self.verdict(objects)
    }
    /// Kind and name of the object if the check is about a single object. A wait then follows the object that it sees
    /// first, and ends when that object is deleted or created again.
    fn follows(&self) -> Option<(&str, &str)> {
        None
    }
}

/// Creates a check from a description and a function.
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

/// Creates a check on the single object of this name, from a description and a function ([`Check::follows`]).
fn check_one<K: Resource<DynamicType = ()>>(
    name: String,
    what: String,
    verdict: impl Fn(&K) -> Verdict + Send + Sync,
) -> impl Check<K> {
    struct One<F> {
        kind: String,
        name: String,
        what: String,
        verdict: F,
    }
    impl<K: Resource<DynamicType = ()>, F: Fn(&K) -> Verdict + Send + Sync> Check<K> for One<F> {
        fn what(&self) -> String {
            self.what.clone()
        }
        fn verdict(&self, objects: &[K]) -> Verdict {
            match objects.iter().find(|o| o.meta().name.as_ref() == Some(&self.name)) {
                Some(found) => (self.verdict)(found),
                None => Verdict::NotYet(format!("there is no such {}", self.kind)),
            }
        }
        fn follows(&self) -> Option<(&str, &str)> {
            Some((&self.kind, &self.name))
        }
    }
    One { kind: K::kind(&()).into_owned(), name, what, verdict }
}

/// The result of a successful wait.
#[derive(Clone, Debug)]
pub struct Waited<K> {
    /// The set that met the check.
    pub objects: Vec<K>,
    /// How long the wait took.
    pub took: Duration,
}

/// Waits until the objects that `api` and `params` select meet the check.
///
/// After API errors the wait continues: a watch that breaks, or ends with 410, starts again with a list.
/// `params.timeout` is the silence in seconds (default 20) after which the objects are listed again, because a
/// connection can die unnoticed. `api` must use [`crate::client::Client::stream`].
///
/// # Errors
/// [`WaitError::Never`] as soon as the check says so; [`WaitError::Timeout`] with the last state, the newest warnings
/// about the objects and their owners, and the last API error. To get these warnings, the wait asks the API once after
/// the deadline, for at most 3 s.
///
/// # Cancellation
/// The future may be dropped at any time; the watch ends with it.
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
    let mut same = Same::default();
    loop {
        match wait.bound(watched.next()).await {
            Err(timeout) => return Err(wait.explained(timeout, &client, &watched.objects()).await),
            Ok(Seen::Trouble(text)) => wait.trouble(text),
            Ok(Seen::Change) => {
                let objects = watched.objects();
                let another = check.follows().and_then(|(kind, name)| {
                    let named = objects.iter().find(|o| o.meta().name.as_deref() == Some(name));
                    same.still(kind, named.cloned())
                        .err()
                        .filter(|verdict| matches!(verdict, Verdict::Never(_)))
                });
                if wait.is_met(another.unwrap_or_else(|| check.verdict(&objects)))? {
                    return Ok(Waited { objects, took: wait.took() });
                }
            }
        }
    }
}

/// Like [`until`] for the pods that `params` select. The check also sees nodes, their leases and the warnings in the
/// namespace ([`Check::verdict_in`]), if the API permits to read them.
///
/// # Errors
/// As [`until`]. If no pod exists, the warnings are those about refused pods in the namespace.
pub async fn pods_until(
    client: &Client,
    namespace: &str,
    params: watcher::Config,
    check: impl Check<Pod>,
    deadline: Deadline,
) -> Result<Waited<Pod>, WaitError> {
    let mut sets = Sets::<Pod>::of_pods(client, namespace, params);
    let wait = Wait::new(check.what(), deadline);
    let answer = |sets: &Sets<Pod>, around: &Around| {
        let pods = sets.pods.objects();
        match check.verdict_in(&pods, around) {
            Verdict::Met => Ok(pods),
            other => Err(other),
        }
    };
    let about = |sets: &Sets<Pod>, around: &Around| {
        let pods = sets.pods.objects();
        let owners = pods.iter().flat_map(|p| p.owner_references()).map(|owner| owner.uid.clone());
        match pods.is_empty() {
            true => warnings::refused_for(&around.warnings),
            false => owners.chain(pods.iter().filter_map(|p| p.uid())).collect(),
        }
    };
    sets.until(wait, answer, about).await.map(|(objects, took)| Waited { objects, took })
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
        /// The condition.
        what: String,
        /// Duration of the wait.
        waited: Duration,
        /// The last answer of the check.
        last: String,
        /// The newest warnings about the objects and their owners.
        warnings: Option<String>,
        /// The last API error and its age.
        api_error: Option<String>,
        /// Whether the API gave nothing to look at, or an error after the last look.
        unanswered: bool,
    },
    /// The condition can no longer be met.
    #[error("{what}: cannot be met any more (after {:.1} s): {why}", .waited.as_secs_f64())]
    Never {
        /// The condition.
        what: String,
        /// Why it cannot be met.
        why: String,
        /// Duration of the wait.
        waited: Duration,
    },
}

impl WaitError {
    /// The command that fixes the problem, if there is one.
    pub fn hint(&self) -> Option<String> {
        None
    }

    /// Whether the wait ended without a look at the cluster after the last error of the API: its last observation may be
    /// old.
    pub fn is_unanswered(&self) -> bool {
        matches!(self, Self::Timeout { unanswered: true, .. })
    }
}

fn in_brackets(text: &Option<String>) -> String {
    text.as_ref().map(|t| format!(" [{t}]")).unwrap_or_default()
}

fn quoted(warnings: &Option<String>) -> String {
    warnings.as_ref().map(|w| format!("; newest warnings: {w}")).unwrap_or_default()
}

/// A text from the objects, made safe for an error message.
fn safe(why: &str) -> String {
    sanitise::line(&secret::hide_shapes(why))
}

/// The state of one wait that a timeout reports.
struct Wait {
    what: String,
    deadline: Deadline,
    began: Instant,
    last: Option<(Instant, String)>,
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
            last: match &self.last {
                Some((_, last)) => last.clone(),
                None => "nothing, the API gave no list".into(),
            },
            warnings: None,
            api_error: self
                .trouble
                .as_ref()
                .map(|(at, text)| format!("API error {:.1} s before: {text}", at.elapsed().as_secs_f64())),
            unanswered: match (&self.last, &self.trouble) {
                (Some((seen, _)), Some((at, _))) => at > seen,
                (last, _) => last.is_none(),
            },
        })
    }

    /// Adds the newest warnings about these objects to a timeout.
    async fn explained<K>(&self, mut error: WaitError, client: &kube::Client, objects: &[K]) -> WaitError
    where
        K: Resource + Debug,
    {
        if let WaitError::Timeout { warnings, .. } = &mut error {
            *warnings = warnings::quoted(client, objects).await.map(|text| safe(&text));
        }
        error
    }

    /// Adds to a timeout the newest warnings about objects with these UIDs, and what could not be read.
    fn explained_by(&self, mut error: WaitError, around: &Around, about: &BTreeSet<String>) -> WaitError {
        if let WaitError::Timeout { warnings, last, .. } = &mut error {
            *warnings = warnings::newest(&around.warnings, about).map(|text| safe(&text));
            for unread in &around.unread {
                *last = format!("{last}; {}", safe(unread));
            }
        }
        error
    }

    fn is_met(&mut self, verdict: Verdict) -> Result<bool, WaitError> {
        match verdict {
            Verdict::Met => Ok(true),
            Verdict::NotYet(why) => {
                self.last = Some((Instant::now(), safe(&why)));
                Ok(false)
            }
            Verdict::Never(why) => {
                Err(WaitError::Never { what: self.what.clone(), why: safe(&why), waited: self.took() })
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

//! The sets of objects that a wait for pods watches together: the pods, their owners, nodes and warnings.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::around::{Around, Surroundings};
use super::watched::{Seen, Watched};
use super::{Verdict, Wait, WaitError};
use crate::client::Client;

/// Sets of objects that one wait watches; `N` is the kind of the object that the wait is about.
pub(super) struct Sets<N> {
    pub(super) named: Option<Watched<N>>,
    pub(super) replica_sets: Option<Watched<ReplicaSet>>,
    pub(super) pods: Watched<Pod>,
    around: Surroundings,
}

impl<N> Sets<N>
where
    N: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
{
    /// The pods that `params` select.
    pub(super) fn of_pods(client: &Client, namespace: &str, params: watcher::Config) -> Self {
        Self {
            named: None,
            replica_sets: None,
            pods: Watched::new(Api::namespaced(client.stream.clone(), namespace), params),
            around: Surroundings::new(client, namespace),
        }
    }

    /// The object of this name, and all pods of the namespace.
    pub(super) fn of(client: &Client, namespace: &str, name: &str) -> Self {
        let by_name = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let named = Watched::new(Api::namespaced(client.stream.clone(), namespace), by_name);
        Self { named: Some(named), ..Self::of_pods(client, namespace, watcher::Config::default()) }
    }

    /// Like [`Sets::of`], with all ReplicaSets of the namespace.
    pub(super) fn with_replica_sets(client: &Client, namespace: &str, name: &str) -> Self {
        let sets =
            Watched::new(Api::namespaced(client.stream.clone(), namespace), watcher::Config::default());
        Self { replica_sets: Some(sets), ..Self::of(client, namespace, name) }
    }

    /// The object of the name, if it exists.
    pub(super) fn found(&self) -> Option<N> {
        self.named.as_ref()?.objects().pop()
    }

    /// The ReplicaSets; empty if they are not watched.
    pub(super) fn replica_sets(&self) -> Vec<ReplicaSet> {
        self.replica_sets.as_ref().map(Watched::objects).unwrap_or_default()
    }

    /// Calls `answer` after every change until it returns an answer, and returns that with the duration; `about`
    /// returns the UIDs of the objects whose warnings a timeout quotes.
    ///
    /// # Errors
    /// As [`super::until`].
    ///
    /// # Cancellation
    /// The future may be dropped at any time.
    pub(super) async fn until<T>(
        &mut self,
        mut wait: Wait,
        mut answer: impl FnMut(&Self, &Around) -> Result<T, Verdict>,
        about: impl Fn(&Self, &Around) -> BTreeSet<String>,
    ) -> Result<(T, Duration), WaitError> {
        let mut begun = false;
        loop {
            let seen = wait.bound(self.next()).await;
            self.around.refresh();
            match seen {
                Err(timeout) => {
                    let around = self.around.now();
                    return Err(wait.explained_by(timeout, around, &about(self, around)));
                }
                // From now on `is_complete` no longer waits for surroundings that the API forbids to read.
                Ok(Seen::Trouble(text)) => wait.trouble(text),
                Ok(Seen::Change) => {}
            }
            if !self.is_complete() {
                continue;
            }
            if !std::mem::replace(&mut begun, true) {
                self.around.begin_with(&self.pods.objects());
                self.around.begin_with(&self.replica_sets());
            }
            match answer(self, self.around.now()) {
                Ok(found) => return Ok((found, wait.took())),
                Err(verdict) => drop(wait.is_met(verdict)?),
            }
        }
    }

    async fn next(&mut self) -> Seen {
        tokio::select! {
            seen = changed(&mut self.named) => seen,
            seen = changed(&mut self.replica_sets) => seen,
            seen = self.pods.next() => seen,
            seen = self.around.next() => seen,
        }
    }

    fn is_complete(&self) -> bool {
        self.named.as_ref().is_none_or(Watched::is_complete)
            && self.replica_sets.as_ref().is_none_or(Watched::is_complete)
            && self.pods.is_complete()
            && self.around.is_complete()
    }
}

/// Waits for the next change of a watched set; pends for ever for a set that is not watched.
async fn changed<K>(watched: &mut Option<Watched<K>>) -> Seen
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    match watched {
        Some(watched) => watched.next().await,
        None => std::future::pending().await,
    }
}

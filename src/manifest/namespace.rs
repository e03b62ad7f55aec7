//! The namespace of one test.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};

use super::apply::{discover, of_namespaces, tried};
use super::bound::{ClaimStays, delete_claim_of};
use super::exact::{delete_exact, exactly, gone};
use super::{ManifestError, NAMESPACE_LABEL, is_ours};
use crate::chain::chain;
use crate::client::{ApiError, Client, untyped};
use crate::deadline::Deadline;
use crate::sanitise;
use crate::wait::{self, Verdict, WaitError, namespaces};

/// The label of a test's namespace that names the run that created it: its value is the run's id.
pub const RUN_LABEL: &str = "dev.seatrial.run";

/// A namespace for one test. It is not deleted on drop: the test that created it calls [`TestNamespace::delete`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestNamespace {
    /// Its name: the stem, a dash and six random characters.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// What happened to a namespace that an earlier test left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftNamespace {
    /// Its name.
    pub name: String,
    /// Why it still exists; none if it is gone.
    pub kept: Option<String>,
    /// Whether seatrial created it: anybody can set a label.
    pub ours: bool,
}

impl LeftNamespace {
    /// Whether seatrial left something that still exists.
    pub fn stays(&self) -> bool {
        self.ours && self.kept.is_some()
    }
}

/// Timeout for the deletion of a namespace that an earlier test left, from the request on.
const PATIENCE: Duration = Duration::from_secs(90);
/// Timeout for a second look at a namespace whose deletion was requested long ago.
const LOOK: Duration = Duration::from_secs(3);
/// Timeout for requests after the wait: what blocks the namespace, and its volumes.
const AFTERWARDS: Duration = Duration::from_secs(15);
/// Maximum number of objects that are named as blocking a namespace.
const NAMED: usize = 10;

/// Characters of Kubernetes' own random names: no vowels, and none that are easily confused.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Length of a DNS label (63) without a dash and six characters.
const LONGEST_STEM: usize = 56;

impl TestNamespace {
    /// Creates the namespace `<stem>-<six random characters>` and waits for its default service account: from then on
    /// pods can be created in it.
    ///
    /// # Errors
    /// [`ManifestError::Namespace`], [`ManifestError::NamespaceWait`].
    pub async fn create(
        client: &Client,
        stem: &str,
        labels: &BTreeMap<String, String>,
        deadline: Deadline,
    ) -> Result<Self, ManifestError> {
        let name = random_name(stem);
        let made = make(client, &name, labels, deadline).await;
        let source = match made {
            Ok(uid) => {
                let accounts = Api::<ServiceAccount>::namespaced(client.stream.clone(), &name);
                let default = watcher::Config::default().fields("metadata.name=default");
                let exists = |set: &[ServiceAccount]| {
                    Verdict::met_if(!set.is_empty(), || "there is no service account `default`".into())
                };
                let check = wait::check("default service account", exists);
                let ready = wait::until(accounts, default, check, deadline).await;
                let named = Self { name, uid };
                let Err(source) = ready else { return Ok(named) };
                // No other process knows the name. The first error is the one to report.
                let params = exactly(&named.uid, DeleteParams::default());
                let _ =
                    untyped(Api::<Namespace>::all(client.unary.clone())).delete(&named.name, &params).await;
                return Err(named.stuck("prepare", source));
            }
            Err(source) => source,
        };
        Err(ManifestError::Namespace { namespace: name, doing: "create", waited: deadline.waited(), source })
    }

    /// Deletes the objects of the test in other namespaces and without one, then the namespace with all its objects, then
    /// the volumes and storage classes with its label. Waits until all are gone.
    ///
    /// # Errors
    /// [`ManifestError::NamespaceWait`] with the objects that block it, with their finalizers, and what the namespace
    /// controller reports as remaining. [`ManifestError::NotOurs`] for a volume or a storage class that has the label
    /// but that seatrial did not apply: it stays.
    pub async fn delete(self, client: &Client, deadline: Deadline) -> Result<(), ManifestError> {
        // First, while operators in the namespace run. If an object elsewhere stays, the namespace stays too: its label
        // is how the next lease finds the rest.
        self.sweep_elsewhere(client, deadline).await?;
        let api = untyped(Api::<Namespace>::all(client.unary.clone()));
        let params = exactly(&self.uid, DeleteParams::default());
        match tried(deadline, || api.delete(&self.name, &params)).await {
            Ok(_) => {}
            // Already gone, created again by somebody else, or being deleted.
            Err(error) if matches!(error.code(), Some(404 | 409)) => {}
            Err(source) => return Err(self.failed("delete", deadline, source)),
        }
        let by_name = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let watched = Api::<Namespace>::all(client.stream.clone());
        let gone = wait::until(watched, by_name, namespaces::namespace_gone(&self.uid), deadline).await;
        // Delete the cluster-scoped objects even if the blocked namespace has used up the time.
        let rest = if gone.is_ok() { deadline.remaining().max(AFTERWARDS) } else { AFTERWARDS };
        let (rest, wait) = (Deadline::after(rest), gone.is_ok());
        let volumes = self.sweep::<PersistentVolume>(client, wait, rest).await;
        let classes = self.sweep::<StorageClass>(client, wait, rest).await;
        if let Err(source) = gone {
            let held = self.held_by(client, Deadline::after(AFTERWARDS)).await;
            let (namespace, source) = (self.name.clone(), Box::new(source));
            return Err(ManifestError::NamespaceWait { namespace, doing: "delete", held, source });
        }
        volumes.and(classes)
    }

    /// The objects that block the namespace: those with finalizers, and those that are being deleted. Empty if the API
    /// does not answer in time.
    async fn held_by(&self, client: &Client, deadline: Deadline) -> Vec<String> {
        let Ok(discovery) = discover(client, deadline).await else { return Vec::new() };
        let listed = of_namespaces(&discovery).map(async |resource| {
            let api = Api::<DynamicObject>::namespaced_with(client.unary.clone(), &self.name, &resource);
            let all = ListParams::default();
            let found = deadline.bound(api.list(&all)).await;
            (resource.kind, found.ok().and_then(Result::ok).map(|l| l.items).unwrap_or_default())
        });
        let mut held = BTreeMap::new();
        for (kind, objects) in futures::future::join_all(listed).await {
            for object in objects {
                let name = sanitise::line(&object.name_any());
                let finalizers = sanitise::line(&object.finalizers().join(", "));
                let text = match (finalizers.is_empty(), object.metadata.deletion_timestamp.is_some()) {
                    (false, _) => format!("{kind} {name} (finalizers {finalizers})"),
                    (true, true) => format!("{kind} {name} (being deleted)"),
                    (true, false) => continue,
                };
                // Some kinds are served in two groups.
                held.insert(object.uid().unwrap_or_else(|| text.clone()), text);
            }
        }
        let more = held.len().saturating_sub(NAMED);
        let mut held: Vec<String> = held.into_values().take(NAMED).collect();
        held.extend((more > 0).then(|| format!("{more} more")));
        held
    }

    /// Deletes every namespace with this label, whatever its value, as [`TestNamespace::delete`] does, and returns what
    /// happened to each. Only for the holder of an exclusive lease: such namespaces then belong to killed tests.
    ///
    /// A namespace that seatrial did not create is left alone. A namespace that is not gone 90 s after the request is
    /// left behind; a later call waits only 3 s for it. Volumes and storage classes whose namespace is already gone are
    /// deleted, too, and reported under the name of that namespace.
    ///
    /// # Errors
    /// [`ManifestError::Namespace`] if the API does not list them.
    pub async fn delete_left(
        client: &Client,
        label: &str,
        deadline: Deadline,
    ) -> Result<Vec<LeftNamespace>, ManifestError> {
        let api = untyped(Api::<Namespace>::all(client.unary.clone()));
        let labelled = ListParams::default().labels(label);
        let found = tried(deadline, || api.list(&labelled)).await.map_err(|source| {
            let (namespace, waited) = (format!("with label {label}"), deadline.waited());
            ManifestError::Namespace { namespace, doing: "list every", waited, source }
        })?;
        let each = found.into_iter().map(async |left| {
            let (name, uid) = (left.name_any(), left.uid().unwrap_or_default());
            if !is_ours(&left.metadata) {
                let kept = format!("it has the label {label}, but seatrial did not create it");
                return LeftNamespace { name, kept: Some(kept), ours: false };
            }
            let asked = left.metadata.deletion_timestamp.as_ref();
            let since = asked.map(|at| Timestamp::now().duration_since(at.0));
            let since = since.and_then(|s| Duration::try_from(s).ok()).unwrap_or_default();
            let patience = PATIENCE.saturating_sub(since).max(LOOK);
            let ours = Self { name: name.clone(), uid };
            let gone = ours.delete(client, deadline.at_most(patience)).await;
            LeftNamespace { name, kept: gone.err().map(|error| chain(&error)), ours: true }
        });
        let mut left = futures::future::join_all(each).await;
        // Also if a blocked namespace has used up the time.
        let rest = Deadline::after(deadline.remaining().max(AFTERWARDS));
        left.extend(Self::delete_orphans(client, rest).await?);
        Ok(left)
    }

    /// Deletes the volumes of tests that were killed after they deleted their namespace and before they deleted their
    /// volumes, and what tests left elsewhere whose namespace somebody deleted.
    async fn delete_orphans(
        client: &Client,
        deadline: Deadline,
    ) -> Result<Vec<LeftNamespace>, ManifestError> {
        let asked = async {
            let mut of = labelled::<PersistentVolume>(client, deadline).await?;
            of.extend(labelled::<StorageClass>(client, deadline).await?);
            // Somebody may have deleted the namespace of a trial, and with it the label that leads to the rest.
            of.extend(labelled::<Namespace>(client, deadline).await?);
            of.extend(labelled::<CustomResourceDefinition>(client, deadline).await?);
            of.extend(labelled::<ClusterRole>(client, deadline).await?);
            of.extend(labelled::<ValidatingWebhookConfiguration>(client, deadline).await?);
            of.extend(labelled::<MutatingWebhookConfiguration>(client, deadline).await?);
            // The namespaces are listed last: the namespace of a running test still exists.
            let (all, any) = (untyped(Api::<Namespace>::all(client.unary.clone())), ListParams::default());
            let alive = tried(deadline, || all.list(&any)).await?;
            alive.iter().for_each(|namespace| _ = of.remove(&namespace.name_any()));
            Ok(of)
        };
        let gone = asked.await.map_err(|source| {
            let (namespace, waited) = (format!("by label {NAMESPACE_LABEL}"), deadline.waited());
            ManifestError::Namespace { namespace, doing: "list the volumes of every", waited, source }
        })?;
        let each = gone.into_iter().map(async |name| {
            let gone = Self { name, uid: String::new() };
            let deadline = deadline.at_most(PATIENCE);
            let elsewhere = gone.sweep_found(client, deadline).await;
            let volumes = gone.sweep::<PersistentVolume>(client, true, deadline).await;
            let deleted = volumes.and(gone.sweep::<StorageClass>(client, true, deadline).await);
            let kept = elsewhere.and(deleted).err().map(|error| chain(&error));
            LeftNamespace { name: gone.name, kept, ours: true }
        });
        Ok(futures::future::join_all(each).await)
    }

    /// Deletes the objects with this namespace's label; with `wait`, waits until they are gone.
    async fn sweep<K>(&self, client: &Client, wait: bool, deadline: Deadline) -> Result<(), ManifestError>
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = kube::api::ApiResource::erase::<K>(&());
        let api = Api::<DynamicObject>::all_with(client.unary.clone(), &resource);
        let ours = ListParams::default().labels(&format!("{NAMESPACE_LABEL}={}", self.name));
        let doing = "delete the volumes of";
        let failed = |source| self.failed(doing, deadline, source);
        let mut foreign = Vec::new();
        for object in tried(deadline, || api.list(&ours)).await.map_err(failed)? {
            let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
            if !is_ours(&object.metadata) {
                foreign.push(name);
                continue;
            }
            // A claim in another namespace may hold the volume.
            if wait {
                match delete_claim_of(client, &object.data, &[&self.name], deadline).await {
                    Err(ClaimStays::Theirs(claim)) => {
                        foreign.push(format!("{name} (bound to {claim})"));
                        continue;
                    }
                    Err(ClaimStays::Api(source)) => return Err(failed(source)),
                    Err(ClaimStays::Wait(source)) => return Err(self.stuck(doing, source)),
                    Ok(()) => {}
                }
            }
            let asked = delete_exact(&api, &name, &uid, DeleteParams::background(), deadline).await;
            if !asked.map_err(failed)? || !wait {
                continue;
            }
            let watched = Api::<DynamicObject>::all_with(client.stream.clone(), &resource);
            gone(watched, &name, &uid, deadline).await.map_err(|source| self.stuck(doing, source))?;
        }
        match foreign.is_empty() {
            true => Ok(()),
            false => {
                Err(ManifestError::NotOurs { what: format!("{} {}", resource.kind, foreign.join(", ")) })
            }
        }
    }

    fn failed(&self, doing: &'static str, deadline: Deadline, source: ApiError) -> ManifestError {
        ManifestError::Namespace { namespace: self.name.clone(), doing, waited: deadline.waited(), source }
    }

    fn stuck(&self, doing: &'static str, source: WaitError) -> ManifestError {
        let (namespace, source) = (self.name.clone(), Box::new(source));
        ManifestError::NamespaceWait { namespace, doing, held: Vec::new(), source }
    }
}

/// The namespaces that the objects of a kind were created for, if seatrial created them.
async fn labelled<K>(client: &Client, deadline: Deadline) -> Result<BTreeSet<String>, ApiError>
where
    K: Resource<DynamicType = ()>,
{
    let api = untyped(Api::<K>::all(client.unary.clone()));
    let with_label = ListParams::default().labels(NAMESPACE_LABEL);
    let found = match tried(deadline, || api.list_metadata(&with_label)).await {
        Ok(found) => found.items,
        // The cluster does not serve the kind.
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => return Err(error),
    };
    let ours = found.iter().filter(|object| is_ours(&object.metadata));
    Ok(ours.filter_map(|object| object.labels().get(NAMESPACE_LABEL).cloned()).collect())
}

/// Creates the namespace and returns its UID. A creation without an answer may have taken effect: the 409 of the next
/// try then concerns seatrial's own namespace. A namespace of somebody else is not taken.
async fn make(
    client: &Client,
    name: &str,
    labels: &BTreeMap<String, String>,
    deadline: Deadline,
) -> Result<String, ApiError> {
    let api = untyped(Api::<Namespace>::all(client.unary.clone()));
    let mut namespace = DynamicObject::new(name, &ApiResource::erase::<Namespace>(&()));
    namespace.metadata.labels = Some(labels.clone());
    let params = PostParams { field_manager: Some(super::FIELD_MANAGER.into()), ..PostParams::default() };
    let made = match tried(deadline, || api.create(&params, &namespace)).await {
        Err(error) if error.code() == Some(409) => {
            let found = tried(deadline, || api.get(name)).await?;
            let same = |(key, value): (&String, &String)| found.labels().get(key) == Some(value);
            if !is_ours(&found.metadata) || !labels.iter().all(same) {
                return Err(error);
            }
            found
        }
        other => other?,
    };
    Ok(made.metadata.uid.unwrap_or_default())
}

fn random_name(stem: &str) -> String {
    let stem: String = stem.chars().take(LONGEST_STEM).collect();
    let mut number = RandomState::new().hash_one(std::process::id());
    let letter = |_| {
        let letters = LETTERS.len() as u64;
        let at = usize::try_from(number % letters).unwrap_or_default();
        number /= letters;
        char::from(LETTERS[at])
    };
    let random: String = (0..6).map(letter).collect();
    format!("{}-{random}", stem.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The API answers 409 to a creation: somebody else has a namespace of that name.
    #[tokio::test]
    async fn a_namespace_of_somebody_else_is_not_taken() {
        use axum::Json;
        use axum::http::{Method, StatusCode};
        use serde_json::json;
        let with = async |manager: &'static str, run: &'static str| {
            let answer = move |method: Method| async move {
                let meta = json!({"name": "n", "uid": "u", "labels": {RUN_LABEL: run},
                    "managedFields": [{"manager": manager, "operation": "Update"}]});
                let taken = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 409,
                    "reason": "AlreadyExists", "message": "n is taken"});
                match method {
                    Method::POST => (StatusCode::CONFLICT, Json(taken)),
                    _ => (
                        StatusCode::OK,
                        Json(json!({"kind": "Namespace", "apiVersion": "v1", "metadata": meta})),
                    ),
                }
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
            let app = axum::Router::new().fallback(answer);
            tokio::spawn(async move { axum::serve(listener, app).await });
            let unary = kube::Client::try_from(kube::Config::new(uri)).unwrap();
            let client = Client { stream: unary.clone(), unary, server: String::new() };
            let labels = BTreeMap::from([(RUN_LABEL.to_owned(), "r1".to_owned())]);
            make(&client, "n", &labels, Deadline::after(Duration::from_secs(5))).await
        };
        assert_eq!(with("seatrial", "r1").await.unwrap(), "u", "the answer to the first try was lost");
        for (manager, run) in [("kubectl-create", "r1"), ("seatrial", "r2")] {
            assert_eq!(with(manager, run).await.unwrap_err().code(), Some(409), "{manager} {run}");
        }
    }

    #[test]
    fn names_are_dns_labels_and_differ() {
        let long = "a-suite-with-a-name-that-is-much-longer-than-any-dns-label-may-ever-be";
        for stem in ["seatrial-nginx-", "seatrial-nginx", long] {
            let (a, b) = (random_name(stem), random_name(stem));
            assert_ne!(a, b);
            assert!(a.len() <= 63 && !a.contains("--"), "{a}");
        }
        assert!(random_name("seatrial-nginx-").starts_with("seatrial-nginx-"));
    }
}

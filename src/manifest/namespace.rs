//! The namespace of one test.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, ServiceAccount};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams, Preconditions};
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};

use super::apply::tried;
use super::delete::{gone, remove};
use super::{ManifestError, NAMESPACE_LABEL};
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::wait::{self, Verdict, WaitError, namespaces};

/// The label of a test's namespace that says which run made it: its value is the run's id.
pub const RUN_LABEL: &str = "dev.seatrial.run";

/// A namespace that one test has for itself. It is not deleted on drop: whoever made it calls
/// [`TestNamespace::delete`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestNamespace {
    /// Its name: the stem and six random characters.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// Characters of Kubernetes' own random names: no vowels, nothing easily mistaken.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Length of a DNS label, less a dash and six characters.
const LONGEST_STEM: usize = 56;

impl TestNamespace {
    /// Makes a namespace `<stem>-<six random characters>` and waits until pods may be made in it,
    /// which is when its default service account is there.
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
                // Nobody but us knows its name; the error that matters is the first.
                let _ = Api::<Namespace>::all(client.unary.clone())
                    .delete(&named.name, &DeleteParams::default())
                    .await;
                return Err(named.stuck("prepare", source));
            }
            Err(source) => source,
        };
        Err(ManifestError::Namespace { namespace: name, doing: "create", waited: deadline.waited(), source })
    }

    /// Deletes it with all it holds, and the volumes and storage classes labelled as its own, and
    /// waits until they are gone.
    ///
    /// # Errors
    /// [`ManifestError::NamespaceWait`] with what holds it: finalizers, and the objects that the
    /// namespace controller reports as remaining.
    pub async fn delete(self, client: &Client, deadline: Deadline) -> Result<(), ManifestError> {
        let api = Api::<Namespace>::all(client.unary.clone());
        let preconditions = Some(Preconditions { uid: Some(self.uid.clone()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match tried(deadline, || api.delete(&self.name, &params)).await {
            Ok(_) => {}
            // Gone already, made anew by somebody, or being deleted.
            Err(error) if matches!(error.code(), Some(404 | 409)) => {}
            Err(source) => return Err(self.failed("delete", deadline, source)),
        }
        let by_name = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let watched = Api::<Namespace>::all(client.stream.clone());
        let gone = wait::until(watched, by_name, namespaces::namespace_gone(&self.uid), deadline).await;
        // What is cluster-scoped goes even if the namespace is held.
        let volumes = self.sweep::<PersistentVolume>(client, deadline).await;
        let classes = self.sweep::<StorageClass>(client, deadline).await;
        gone.map_err(|source| self.stuck("delete", source))?;
        volumes.and(classes)
    }

    /// Deletes every namespace with this label, whatever its value, as [`TestNamespace::delete`] does, and
    /// gives their names. For whoever has a cluster to itself: those are of tests that were killed.
    ///
    /// # Errors
    /// Those of [`TestNamespace::delete`].
    pub async fn delete_left(
        client: &Client,
        label: &str,
        deadline: Deadline,
    ) -> Result<Vec<String>, ManifestError> {
        let api = Api::<Namespace>::all(client.unary.clone());
        let labelled = ListParams::default().labels(label);
        let found = tried(deadline, || api.list(&labelled)).await.map_err(|source| {
            let (namespace, waited) = (label.into(), deadline.waited());
            ManifestError::Namespace { namespace, doing: "list those labelled", waited, source }
        })?;
        let mut names = Vec::new();
        for left in found {
            let (name, uid) = (left.name_any(), left.uid().unwrap_or_default());
            names.push(name.clone());
            Self { name, uid }.delete(client, deadline).await?;
        }
        Ok(names)
    }

    async fn sweep<K>(&self, client: &Client, deadline: Deadline) -> Result<(), ManifestError>
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = kube::api::ApiResource::erase::<K>(&());
        let api = Api::<DynamicObject>::all_with(client.unary.clone(), &resource);
        let ours = ListParams::default().labels(&format!("{NAMESPACE_LABEL}={}", self.name));
        let doing = "delete the volumes of";
        let failed = |source| self.failed(doing, deadline, source);
        for object in tried(deadline, || api.list(&ours)).await.map_err(failed)? {
            let name = object.name_any();
            let Some(uid) = remove(&api, &name, deadline).await.map_err(failed)? else { continue };
            let watched = Api::<DynamicObject>::all_with(client.stream.clone(), &resource);
            gone(watched, &name, &uid, deadline).await.map_err(|source| self.stuck(doing, source))?;
        }
        Ok(())
    }

    fn failed(&self, doing: &'static str, deadline: Deadline, source: ApiError) -> ManifestError {
        ManifestError::Namespace { namespace: self.name.clone(), doing, waited: deadline.waited(), source }
    }

    fn stuck(&self, doing: &'static str, source: WaitError) -> ManifestError {
        ManifestError::NamespaceWait { namespace: self.name.clone(), doing, source: Box::new(source) }
    }
}

/// Creates it; gives its UID. A creation without an answer may have been done: the 409 of the next
/// try is then about our own, since nobody else has the name.
async fn make(
    client: &Client,
    name: &str,
    labels: &BTreeMap<String, String>,
    deadline: Deadline,
) -> Result<String, ApiError> {
    let api = Api::<Namespace>::all(client.unary.clone());
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.into());
    namespace.metadata.labels = Some(labels.clone());
    let params = PostParams { field_manager: Some(super::FIELD_MANAGER.into()), ..PostParams::default() };
    let made = match tried(deadline, || api.create(&params, &namespace)).await {
        Err(error) if error.code() == Some(409) => tried(deadline, || api.get(name)).await?,
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

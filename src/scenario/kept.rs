//! Manifests whose names stay as they are, and the namespaces that they bring.

use std::collections::BTreeMap;

use super::{Failure, Scenario};
use crate::deadline::Deadline;
use crate::manifest::{Kept, Manifest, TestNamespace};

impl Scenario {
    /// Keeps the names of a manifest as they are, for a story with exclusive access: [`Manifest::keep_names`]. Its images
    /// stay. The end of the scope deletes everything that the manifest brings, in other namespaces too.
    ///
    /// # Errors
    /// Those of [`Manifest::keep_names`]. Then nothing was applied.
    pub async fn kept(&self, manifest: Manifest, deadline: Deadline) -> Result<Kept, Failure> {
        self.learn_secrets(&manifest);
        let labels = BTreeMap::from([("dev.seatrial.scenario".to_owned(), self.namespace.clone())]);
        let kept = manifest.keep_names(&self.client, &self.namespace, &labels, deadline).await?;
        if kept.is_elsewhere() {
            TestNamespace::mark_elsewhere(&self.client, &self.namespace, deadline).await?;
        }
        for place in &kept.added {
            self.note(format!(
                "namespace {} is created: {place} is in it, and no object declares it",
                place.name
            ));
        }
        kept.foreign.iter().for_each(|reference| self.note(reference.to_string()));
        let mut namespaces = self.others();
        for namespace in kept.created.iter().chain(&kept.existing) {
            if !namespaces.contains(namespace) && *namespace != self.namespace {
                self.logs.follow(namespace);
                namespaces.push(namespace.clone());
            }
        }
        drop(namespaces);
        Ok(kept)
    }

    /// Returns the namespaces of the story: its own first, then those of the manifests of [`Scenario::kept`].
    pub fn namespaces(&self) -> Vec<String> {
        let mut all = vec![self.namespace.clone()];
        all.extend(self.others().iter().cloned());
        all
    }

    /// Learns the secrets of a manifest before the API has it: nothing that the API returns is recorded with a secret.
    pub(super) fn learn_secrets(&self, manifest: &Manifest) {
        manifest.objects().iter().for_each(|object| self.clusters.settings.secrets.learn_from(&object.body));
    }

    fn others(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.others.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

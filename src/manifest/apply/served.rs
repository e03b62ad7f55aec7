//! What the cluster serves, and why it does not serve the rest.

use std::collections::BTreeMap;

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, TypeMeta};
use kube::core::discovery::Scope;
use kube::discovery::{ApiGroup, Discovery, verbs};

use super::super::kinds::{group, is_own};
use super::super::{Manifest, ManifestError, Object};
use super::asked::tried;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::sanitise;

/// The kinds of a cluster.
pub(in crate::manifest) struct Served {
    discovery: Discovery,
    /// Why the server of an `apiVersion` is not available.
    away: BTreeMap<String, String>,
}

impl Served {
    /// Asks for what is served, and for the servers of kinds that are not Kubernetes' own.
    pub(in crate::manifest) async fn ask(
        client: &Client,
        manifest: &Manifest,
        deadline: Deadline,
    ) -> Result<Self, ManifestError> {
        let discovery = discover(client, deadline).await?;
        let mut served = Self { discovery, away: BTreeMap::new() };
        if manifest.objects().iter().any(|object| !is_own(object.api_version())) {
            let (api, all) = (Api::<APIService>::all(client.unary.clone()), ListParams::default());
            // Who may not read them gets the answers of the discovery alone.
            if let Ok(services) = tried(deadline, || api.list(&all)).await {
                served.away = services.items.iter().filter_map(away).collect();
            }
        }
        Ok(served)
    }

    /// The part of the API where the object lives.
    pub(in crate::manifest) fn api(
        &self,
        client: &kube::Client,
        object: &Object,
    ) -> Result<Api<DynamicObject>, ManifestError> {
        let place = || Box::new(object.place.clone());
        let (api_version, kind) = (object.api_version().to_owned(), object.kind().to_owned());
        if let Some(reason) = self.away.get(&api_version) {
            return Err(ManifestError::Away { place: place(), api_version, reason: reason.clone() });
        }
        let types = TypeMeta { api_version, kind };
        let Some((resource, capabilities)) = self.discovery.resolve_typemeta(&types) else {
            let TypeMeta { api_version, kind } = types;
            let served = self.versions(&kind, group(&api_version));
            return Err(ManifestError::UnknownKind { place: place(), kind, api_version, served });
        };
        scoped(client, object, &resource, &capabilities.scope)
    }

    /// The part of the API where the object lives if it is there: in another version of its group where its own is not
    /// served, since all versions have the same objects. None where no version has the kind: then it has no objects.
    pub(in crate::manifest) fn api_of_any_version(
        &self,
        client: &kube::Client,
        object: &Object,
    ) -> Result<Option<Api<DynamicObject>>, ManifestError> {
        match self.api(client, object) {
            Err(ManifestError::UnknownKind { .. }) => {}
            known => return known.map(Some),
        }
        let of_group = |g: &&ApiGroup| g.name() == group(object.api_version());
        let kinds = self.discovery.groups().filter(of_group).flat_map(|group| group.resources_by_stability());
        let found = kinds.into_iter().find(|(resource, _)| resource.kind == object.kind());
        found.map(|(resource, can)| scoped(client, object, &resource, &can.scope)).transpose()
    }

    /// Every kind of a namespace whose objects can be listed, in its most stable version.
    pub(in crate::manifest) fn of_namespaces(&self) -> impl Iterator<Item = ApiResource> {
        of_namespaces(&self.discovery)
    }

    /// The `apiVersion`s in which a kind of this name is served, those of its group first.
    fn versions(&self, kind: &str, group: &str) -> Vec<String> {
        let mut found = Vec::new();
        for served in self.discovery.groups_alphabetical() {
            for version in served.versions() {
                let resources = served.versioned_resources(version);
                let of_kind = resources.into_iter().find(|(resource, _)| resource.kind == kind);
                found.extend(of_kind.map(|(resource, _)| (resource.group != group, resource.api_version)));
            }
        }
        found.sort_by_key(|(other, _)| *other);
        found.into_iter().map(|(_, api_version)| sanitise::line(&api_version)).collect()
    }
}

/// What the cluster serves, asked in two requests.
pub(in crate::manifest) async fn discover(
    client: &Client,
    deadline: Deadline,
) -> Result<Discovery, ManifestError> {
    let ask = || Discovery::new(client.unary.clone()).run_aggregated();
    let found = tried(deadline, ask).await;
    found.map_err(|source| ManifestError::Discovery { waited: deadline.waited(), source })
}

/// Every kind of a namespace whose objects can be listed, in its most stable version: that of its group may not serve it.
pub(in crate::manifest) fn of_namespaces(discovery: &Discovery) -> impl Iterator<Item = ApiResource> {
    let kinds = discovery.groups().flat_map(ApiGroup::resources_by_stability);
    let listed =
        kinds.filter(|(_, can)| can.scope == Scope::Namespaced && can.supports_operation(verbs::LIST));
    listed.map(|(resource, _)| resource)
}

/// The `apiVersion` of another server that is not available, with the reason.
fn away(service: &APIService) -> Option<(String, String)> {
    let spec = service.spec.as_ref().filter(|spec| spec.service.is_some())?;
    let conditions = service.status.as_ref().and_then(|status| status.conditions.as_ref());
    let available = conditions.into_iter().flatten().find(|condition| condition.type_ == "Available")?;
    if available.status == "True" {
        return None;
    }
    let said = [&available.reason, &available.message].map(|text| text.as_deref().unwrap_or_default());
    // Another server's words.
    let reason = sanitise::line(said.join(": ").trim_matches([':', ' ']));
    let reason = if reason.is_empty() { "it is not available".into() } else { reason };
    let version = spec.version.as_deref().unwrap_or_default();
    Some((format!("{}/{version}", spec.group.as_deref().unwrap_or_default()), reason))
}

/// The API of an object of this resource, where its namespace fits.
pub(super) fn scoped(
    client: &kube::Client,
    object: &Object,
    resource: &ApiResource,
    scope: &Scope,
) -> Result<Api<DynamicObject>, ManifestError> {
    let place = || Box::new(object.place.clone());
    match (scope, object.namespace()) {
        // Localised, only what was renamed has none: the API would leave the namespace out and change
        // the object for everybody.
        (Scope::Cluster, Some(_)) => {
            let kind = object.kind();
            let why = format!("a {kind} belongs to the whole cluster, a test cannot have one of its own");
            Err(ManifestError::Wrong { place: place(), why })
        }
        (Scope::Cluster, None) => Ok(Api::all_with(client.clone(), resource)),
        (Scope::Namespaced, Some(namespace)) => Ok(Api::namespaced_with(client.clone(), namespace, resource)),
        (Scope::Namespaced, None) => {
            let why = "it has no namespace: localise the manifest first".into();
            Err(ManifestError::Wrong { place: place(), why })
        }
    }
}

//! The kinds that the cluster serves, and why it does not serve others.

use std::collections::BTreeMap;

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, TypeMeta};
use kube::core::discovery::Scope;
use kube::discovery::{ApiGroup, Discovery, verbs};

use super::super::kinds::{group, is_own};
use super::super::{Manifest, ManifestError, Object};
use super::asked::tried;
use crate::client::{Client, list};
use crate::deadline::Deadline;
use crate::sanitise;

/// The kinds that a cluster serves.
pub(in crate::manifest) struct Served {
    discovery: Discovery,
    /// For each `apiVersion` whose API server is unavailable, the reason.
    away: BTreeMap<String, String>,
}

impl Served {
    /// Asks the cluster for its kinds, and for the state of aggregated API servers if the manifest needs one.
    pub(in crate::manifest) async fn ask(
        client: &Client,
        manifest: &Manifest,
        deadline: Deadline,
    ) -> Result<Self, ManifestError> {
        let discovery = discover(client, deadline).await?;
        let mut served = Self { discovery, away: BTreeMap::new() };
        if manifest.objects().iter().any(|object| !is_own(object.api_version())) {
            let (api, all) = (Api::<APIService>::all(client.unary.clone()), ListParams::default());
            // Without permission to list APIServices, discovery alone decides.
            if let Ok(services) = tried(deadline, || list(api.clone(), &all)).await {
                served.away = services.iter().filter_map(away).collect();
            }
        }
        Ok(served)
    }

    /// The API for the object, in its own version and namespace.
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

    /// The API for the object, in another version of its group if its own version is not served: all versions share the
    /// same objects. None if no version has the kind; such a kind has no objects.
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

    /// The scope of an object's kind; none if the cluster does not serve the kind.
    pub(in crate::manifest) fn scope(&self, object: &Object) -> Option<Scope> {
        let types = TypeMeta { api_version: object.api_version().into(), kind: object.kind().into() };
        self.discovery.resolve_typemeta(&types).map(|(_, capabilities)| capabilities.scope)
    }

    /// Every namespaced kind that can be listed, in its most stable version.
    pub(in crate::manifest) fn of_namespaces(&self) -> impl Iterator<Item = ApiResource> {
        of_namespaces(&self.discovery)
    }

    /// The `apiVersion`s in which a kind of this name is served, those of `group` first.
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

/// Asks the API server for all served kinds, in two requests.
pub(in crate::manifest) async fn discover(
    client: &Client,
    deadline: Deadline,
) -> Result<Discovery, ManifestError> {
    let ask = || Discovery::new(client.unary.clone()).run_aggregated();
    let found = tried(deadline, ask).await;
    found.map_err(|source| ManifestError::Discovery { waited: deadline.waited(), source })
}

/// Every namespaced kind that can be listed, in its most stable version. The group's preferred version may lack the
/// kind.
pub(in crate::manifest) fn of_namespaces(discovery: &Discovery) -> impl Iterator<Item = ApiResource> {
    let kinds = discovery.groups().flat_map(ApiGroup::resources_by_stability);
    let listed =
        kinds.filter(|(_, can)| can.scope == Scope::Namespaced && can.supports_operation(verbs::LIST));
    listed.map(|(resource, _)| resource)
}

/// The `apiVersion` of an unavailable aggregated API server, and the reason.
fn away(service: &APIService) -> Option<(String, String)> {
    let spec = service.spec.as_ref().filter(|spec| spec.service.is_some())?;
    let conditions = service.status.as_ref().and_then(|status| status.conditions.as_ref());
    let available = conditions.into_iter().flatten().find(|condition| condition.type_ == "Available")?;
    if available.status == "True" {
        return None;
    }
    let said = [&available.reason, &available.message].map(|text| text.as_deref().unwrap_or_default());
    // The text comes from another server.
    let reason = sanitise::line(said.join(": ").trim_matches([':', ' ']));
    let reason = if reason.is_empty() { "it is not available".into() } else { reason };
    let version = spec.version.as_deref().unwrap_or_default();
    Some((format!("{}/{version}", spec.group.as_deref().unwrap_or_default()), reason))
}

/// The API for an object of this resource, if the object's namespace fits the resource's scope.
pub(super) fn scoped(
    client: &kube::Client,
    object: &Object,
    resource: &ApiResource,
    scope: &Scope,
) -> Result<Api<DynamicObject>, ManifestError> {
    let place = || Box::new(object.place.clone());
    match (scope, object.namespace()) {
        // In a manifest that was scoped to a namespace only the renamed cluster-scoped kinds have no namespace. For others, the API would
        // drop the namespace and change the object for the whole cluster.
        (Scope::Cluster, Some(_)) => {
            let kind = object.kind();
            let why = format!("a {kind} belongs to the whole cluster, a test cannot have one of its own");
            Err(ManifestError::Wrong { place: place(), why })
        }
        (Scope::Cluster, None) => Ok(Api::all_with(client.clone(), resource)),
        (Scope::Namespaced, Some(namespace)) => Ok(Api::namespaced_with(client.clone(), namespace, resource)),
        (Scope::Namespaced, None) => {
            let why = "it has no namespace: scope the manifest to a namespace first".into();
            Err(ManifestError::Wrong { place: place(), why })
        }
    }
}

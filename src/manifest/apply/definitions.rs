//! Kinds that the manifest itself defines with CustomResourceDefinitions.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition as Definition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, TypeMeta};
use kube::core::discovery::Scope;
use kube::runtime::watcher;
use serde_json::Value;

use super::super::{Manifest, ManifestError, Object};
use super::served::{discover, scoped};
use crate::client::{Client, untyped};
use crate::deadline::Deadline;
use crate::retry;
use crate::sanitise;
use crate::wait::{self, Check, Verdict, check};

/// Whether an object is a CustomResourceDefinition.
pub(in crate::manifest) fn is_definition(object: &Object) -> bool {
    object.is("apiextensions.k8s.io", "CustomResourceDefinition")
}

/// The kinds that the CustomResourceDefinitions of a manifest define.
pub(in crate::manifest) struct Defined(Vec<(ApiResource, Scope)>);

impl Defined {
    pub(in crate::manifest) fn by(manifest: &Manifest) -> Self {
        let definitions = manifest.objects().iter().filter(|object| is_definition(object));
        Self(definitions.flat_map(|object| kinds(&object.body["spec"])).collect())
    }

    /// Each kind in every version that is served.
    pub(in crate::manifest) fn kinds(&self) -> &[(ApiResource, Scope)] {
        &self.0
    }

    pub(in crate::manifest) fn defines(&self, object: &Object) -> bool {
        self.of(object).is_some()
    }

    /// The API resource for an object of such a kind.
    pub(super) fn api(
        &self,
        client: &kube::Client,
        object: &Object,
    ) -> Result<Api<DynamicObject>, ManifestError> {
        match self.of(object) {
            Some((resource, scope)) => scoped(client, object, resource, scope),
            None => {
                let (kind, api_version) = (object.kind().to_owned(), object.api_version().to_owned());
                let place = Box::new(object.place.clone());
                Err(ManifestError::UnknownKind { place, kind, api_version, served: Vec::new() })
            }
        }
    }

    fn of(&self, object: &Object) -> Option<&(ApiResource, Scope)> {
        let is = |resource: &ApiResource| {
            resource.kind == object.kind() && resource.api_version == object.api_version()
        };
        self.0.iter().find(|(resource, _)| is(resource))
    }
}

/// The kinds of a CustomResourceDefinition, one for each version that it serves.
pub(in crate::manifest) fn kinds(spec: &Value) -> Vec<(ApiResource, Scope)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let scope = if spec["scope"] == "Namespaced" { Scope::Namespaced } else { Scope::Cluster };
    let served =
        spec["versions"].as_array().into_iter().flatten().filter(|version| version["served"] == true);
    let resource = |version: &Value| {
        let (group, version) = (text(&spec["group"]), text(&version["name"]));
        let (kind, plural) = (text(&spec["names"]["kind"]), text(&spec["names"]["plural"]));
        (
            ApiResource { api_version: format!("{group}/{version}"), group, version, kind, plural },
            scope.clone(),
        )
    };
    served.map(resource).collect()
}

/// Waits until the API serves the kinds of `others` that the definitions define. Returns at once if `others` has no
/// such object.
pub(super) async fn served<'o>(
    client: &Client,
    definitions: &[(&Object, Api<DynamicObject>)],
    others: impl Iterator<Item = &'o Object> + Clone,
    deadline: Deadline,
) -> Result<(), ManifestError> {
    let mut awaited: Vec<TypeMeta> = Vec::new();
    for (definition, _) in definitions {
        let kinds = kinds(&definition.body["spec"]);
        let of_it = |object: &&Object| {
            let is = |(r, _): &(ApiResource, Scope)| {
                r.kind == object.kind() && r.api_version == object.api_version()
            };
            kinds.iter().any(is)
        };
        let found = others.clone().filter(of_it);
        let found = found.map(|o| TypeMeta { api_version: o.api_version().into(), kind: o.kind().into() });
        let before = awaited.len();
        awaited.extend(found);
        if awaited.len() > before {
            let api = untyped(Api::<Definition>::all(client.stream.clone()));
            let by_name = watcher::Config::default().fields(&format!("metadata.name={}", definition.name()));
            let met = wait::until(api, by_name, established(definition.name()), deadline).await;
            met.map_err(|source| ManifestError::NotEstablished {
                place: Box::new(definition.place.clone()),
                source: Box::new(source),
            })?;
        }
    }
    if awaited.is_empty() {
        return Ok(());
    }
    // Discovery lists an established kind a moment later, and no watch reports that.
    let listed = || async {
        let discovery = discover(client, deadline).await?;
        let all = awaited.iter().all(|types| discovery.resolve_typemeta(types).is_some());
        Ok(if all { Ok(()) } else { Err(()) })
    };
    retry::try_until(deadline, retry::every(Duration::from_millis(200)), listed).await.map(drop)
}

/// Met when the definition has the condition Established: its kind is served. The definition is read untyped: the decoder
/// of its schema would cost every build seconds.
fn established(name: &str) -> impl Check<DynamicObject> + use<> {
    check(
        format!("the kind of CustomResourceDefinition {name} is established"),
        |definitions: &[DynamicObject]| {
            let Some(definition) = definitions.first() else {
                return Verdict::NotYet("the CustomResourceDefinition does not exist".into());
            };
            let conditions = definition.data["status"]["conditions"].as_array();
            let condition = |name: &str| conditions.into_iter().flatten().find(|c| c["type"] == name);
            let said = |condition: &Value| {
                let text = |key: &str| condition[key].as_str().unwrap_or_default();
                sanitise::line(&format!("{}: {}", text("reason"), text("message")))
            };
            match (condition("Established"), condition("NamesAccepted")) {
                (Some(established), _) if established["status"] == "True" => Verdict::Met,
                // Another definition uses the same names.
                (_, Some(accepted)) if accepted["status"] == "False" => Verdict::Never(said(accepted)),
                (Some(established), _) => Verdict::NotYet(said(established)),
                (None, _) => Verdict::NotYet("it has no condition Established".into()),
            }
        },
    )
}

//! Server-side apply.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::core::discovery::Scope;
use kube::discovery::Discovery;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{FIELD_MANAGER, GUEST, Manifest, ManifestError, Object, OwnedField, is_ours};
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;

/// An object as the API gave it back.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Its kind.
    pub kind: String,
    /// Its namespace; none for a cluster-scoped one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its generation after the apply; 0 for a kind that has none.
    pub generation: i64,
    /// The object, without `metadata.managedFields`.
    pub object: Value,
}

/// Applies the objects in the order of the file, by server-side apply with strict validation, as the field
/// manager [`FIELD_MANAGER`]; to an object that somebody else made, as another one, and [`delete`](super::delete)
/// leaves it. A field that another manager owns, such as the replicas that `kubectl scale` set,
/// keeps its value: see [`force_apply`]. An apply that met no answer, 429 or a server's trouble is tried again
/// until the deadline: it is idempotent.
///
/// # Errors
/// The first object that the API refuses ([`ManifestError::Api`]), does not know
/// ([`ManifestError::UnknownKind`]), or that has no namespace though it needs one, or one though its kind
/// belongs to the whole cluster. The last three are found before anything is applied.
/// [`ManifestError::Conflict`] names the fields that other managers own with other values.
pub async fn apply(
    client: &Client,
    manifest: &Manifest,
    deadline: Deadline,
) -> Result<Vec<Applied>, ManifestError> {
    apply_as(client, manifest, false, deadline).await
}

/// As [`apply`], but takes over the fields that other managers own and sets the manifest's values, as
/// `kubectl apply --server-side --force-conflicts` does.
///
/// # Errors
/// Those of [`apply`], without [`ManifestError::Conflict`].
pub async fn force_apply(
    client: &Client,
    manifest: &Manifest,
    deadline: Deadline,
) -> Result<Vec<Applied>, ManifestError> {
    apply_as(client, manifest, true, deadline).await
}

async fn apply_as(
    client: &Client,
    manifest: &Manifest,
    force: bool,
    deadline: Deadline,
) -> Result<Vec<Applied>, ManifestError> {
    let discovery = discover(client, deadline).await?;
    // All of them before the first is applied: a manifest that is wrong changes nothing.
    let apis = manifest.objects().iter().map(|object| api_for(&client.unary, &discovery, object));
    let apis = apis.collect::<Result<Vec<_>, _>>()?;
    let mut applied = Vec::new();
    for (object, api) in manifest.objects().iter().zip(apis) {
        let found = tried(deadline, || api.get_metadata_opt(object.name())).await;
        let found = found.map_err(|source| failed(object, "look for it", deadline, source))?;
        let applying = Applying { object, api, force, deadline };
        let given = applying.whosever(found.map(|found| found.metadata)).await;
        let given = given.map_err(|source| match owned(&source) {
            owned if owned.is_empty() => failed(object, "apply it", deadline, source),
            owned => ManifestError::Conflict { place: Box::new(object.place.clone()), owned },
        })?;
        applied.push(Applied::from(given));
    }
    Ok(applied)
}

/// One object on its way.
struct Applying<'a> {
    object: &'a Object,
    api: Api<DynamicObject>,
    force: bool,
    deadline: Deadline,
}

impl Applying<'_> {
    /// Applies it, by the manager that says whose it is: what somebody else made stays theirs, and is not deleted.
    /// What was found says who made the object only where the object is the same one: between the look and the
    /// apply somebody may have made it, or another one of the name.
    async fn whosever(&self, found: Option<ObjectMeta>) -> Result<DynamicObject, ApiError> {
        let manager = if found.as_ref().is_none_or(is_ours) { FIELD_MANAGER } else { GUEST };
        let given = self.by(manager, &self.object.body).await?;
        if found.is_some_and(|found| found.uid == given.metadata.uid) {
            return Ok(given);
        }
        let whose = if is_made_by(manager, &given.metadata) { FIELD_MANAGER } else { GUEST };
        if whose == manager { Ok(given) } else { self.handed(whose, manager).await }
    }

    /// Applies it by one manager, and takes it away from another one that has applied the same: no field changes.
    async fn handed(&self, to: &str, from: &str) -> Result<DynamicObject, ApiError> {
        self.by(to, &self.object.body).await?;
        let nothing = json!({
            "apiVersion": self.object.api_version(),
            "kind": self.object.kind(),
            "metadata": {"name": self.object.name()},
        });
        self.by(from, &nothing).await
    }

    async fn by(&self, manager: &str, body: &Value) -> Result<DynamicObject, ApiError> {
        let params = PatchParams {
            force: self.force,
            field_validation: Some(ValidationDirective::Strict),
            field_manager: Some(manager.into()),
            ..PatchParams::default()
        };
        let patch = Patch::Apply(body);
        tried(self.deadline, || self.api.patch(self.object.name(), &params, &patch)).await
    }
}

/// Field managers that write into an object soon after it was made, whoever made it.
const KUBERNETES: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"];

/// Whether the object of an answer was made by this apply: nobody else manages any of it. An apply before it, of which
/// the answer was lost, may have made it: Kubernetes' own components may have written into it since then, and into its
/// subresources anybody.
fn is_made_by(manager: &str, meta: &ObjectMeta) -> bool {
    meta.managed_fields.iter().flatten().all(|entry| {
        let name = entry.manager.as_deref().unwrap_or_default();
        name == manager || entry.subresource.is_some() || KUBERNETES.contains(&name)
    })
}

/// The fields of a conflict, as the API names them; none where the error is another one.
fn owned(error: &ApiError) -> Vec<OwnedField> {
    let details = error.status.as_ref().and_then(|status| status.details.as_ref());
    let causes = details.into_iter().flat_map(|details| &details.causes);
    let conflicts = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    let owned = conflicts.map(|cause| {
        let manager = cause.message.strip_prefix("conflict with ").unwrap_or(&cause.message);
        OwnedField { field: cause.field.clone(), manager: manager.to_owned() }
    });
    owned.collect()
}

impl From<DynamicObject> for Applied {
    fn from(mut object: DynamicObject) -> Self {
        object.managed_fields_mut().clear();
        Self {
            kind: object.types.as_ref().map(|t| t.kind.clone()).unwrap_or_default(),
            namespace: object.namespace(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or(0),
            object: serde_json::to_value(&object).unwrap_or_default(),
        }
    }
}

/// What the cluster serves, asked in two requests.
pub(super) async fn discover(client: &Client, deadline: Deadline) -> Result<Discovery, ManifestError> {
    let ask = || Discovery::new(client.unary.clone()).run_aggregated();
    let found = tried(deadline, ask).await;
    found.map_err(|source| ManifestError::Discovery { waited: deadline.waited(), source })
}

/// The part of the API where the object lives.
pub(super) fn api_for(
    client: &kube::Client,
    discovery: &Discovery,
    object: &Object,
) -> Result<Api<DynamicObject>, ManifestError> {
    let types = kube::api::TypeMeta { api_version: object.api_version().into(), kind: object.kind().into() };
    let place = || Box::new(object.place.clone());
    let Some((resource, capabilities)) = discovery.resolve_typemeta(&types) else {
        let (kind, api_version) = (types.kind, types.api_version);
        return Err(ManifestError::UnknownKind { place: place(), kind, api_version });
    };
    match (capabilities.scope, object.namespace()) {
        // Localised, only what was renamed has none: the API would leave the namespace out and change
        // the object for everybody.
        (Scope::Cluster, Some(_)) => {
            let kind = object.kind();
            let why = format!("a {kind} belongs to the whole cluster, a test cannot have one of its own");
            Err(ManifestError::Wrong { place: place(), why })
        }
        (Scope::Cluster, None) => Ok(Api::all_with(client.clone(), &resource)),
        (Scope::Namespaced, Some(namespace)) => {
            Ok(Api::namespaced_with(client.clone(), namespace, &resource))
        }
        (Scope::Namespaced, None) => {
            let why = "it has no namespace: localise the manifest first".into();
            Err(ManifestError::Wrong { place: place(), why })
        }
    }
}

/// Asks until there is an answer, a refusal, or the deadline passes; gives the last error then.
/// `ask` must be idempotent.
pub(super) async fn tried<T, F>(deadline: Deadline, mut ask: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    let silent = || ApiError { text: "the API gave no answer".into(), status: None };
    let mut last = None;
    let mut pause = Duration::from_millis(100);
    loop {
        let error = match deadline.bound(ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => ApiError::from(error),
            Err(_) => return Err(last.unwrap_or_else(silent)),
        };
        if !error.is_transient() || is_schema(&error) || deadline.is_over() {
            return Err(error);
        }
        let asked = error.status.as_ref().and_then(|s| s.details.as_ref()?.retry_after_seconds.into());
        let asked = Duration::from_secs(asked.unwrap_or(0).into());
        deadline.pause(pause.max(asked)).await;
        pause = (pause * 2).min(Duration::from_secs(2));
        last = Some(error);
    }
}

/// An unknown field in a server-side apply comes as a 500 of the server, though no retry helps.
fn is_schema(error: &ApiError) -> bool {
    let says = |words| error.text.contains(words);
    error.code() == Some(500)
        && (says("failed to create typed patch object") || says("field not declared in schema"))
}

pub(super) fn failed(
    object: &Object,
    doing: &'static str,
    deadline: Deadline,
    source: ApiError,
) -> ManifestError {
    ManifestError::Api { place: Box::new(object.place.clone()), doing, waited: deadline.waited(), source }
}

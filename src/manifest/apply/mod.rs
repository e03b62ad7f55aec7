//! Server-side apply.

use kube::api::{DynamicObject, PostParams, Request};
use kube::{Api, ResourceExt};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::faults::{Failures, Faults};
use super::read::twice;
use super::{FIELD_MANAGER, Manifest, ManifestError, Object, OwnedField};
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::sanitise;

mod asked;
mod definitions;
mod left_out;
mod served;
mod whose;

pub(super) use asked::tried;
use asked::tried_once;
pub(super) use definitions::{Defined, is_definition, kinds};
pub(super) use served::{Served, discover, of_namespaces};
use whose::Applying;
pub(super) use whose::KUBERNETES;

/// An applied object, as the API returned it.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Its kind.
    pub kind: String,
    /// Its namespace; none for a cluster-scoped object.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its generation after the apply; 0 for a kind without generations.
    pub generation: i64,
    /// The object, without `metadata.managedFields`.
    pub object: Value,
    /// Fields that were sent and that the API did not keep, such as those of a disabled feature gate. seatrial does
    /// not own them.
    pub left_out: Vec<String>,
    /// Whether seatrial created it, and deletes it with the manifest. Otherwise somebody else's object was changed.
    pub ours: bool,
    /// The API chose the name from `generateName`: the object was created, and another apply creates another object.
    pub generated: bool,
}

impl Applied {
    /// Notes for the user, one sentence each.
    pub fn notes(&self) -> Vec<String> {
        let name = format!("{} {}", self.kind, self.name);
        let left_out = self.left_out.iter().map(|field| {
            format!("{name}: the API did not keep `{field}`; its feature may be off in this cluster")
        });
        let generated = self.generated.then(|| {
            format!("{name} was created by `generateName`: it cannot be applied again, another apply creates another object")
        });
        left_out.chain(generated).collect()
    }
}

/// Applies the objects in the order of the file, by server-side apply with strict validation and the field manager
/// [`FIELD_MANAGER`]. An object that somebody else created gets another field manager, and
/// [`delete`](super::delete) leaves it alone. A field that another manager owns keeps its value, for example the
/// replicas that `kubectl scale` set: see [`force_apply`]. The apply is idempotent: after a lost answer, a 429 or a
/// server error it is retried until the deadline.
///
/// CustomResourceDefinitions are applied first, wherever they are in the file. The apply then waits until the API
/// serves those kinds of the manifest that they define. An object with `generateName` and without a name is created,
/// and each apply creates another one.
///
/// # Errors
/// The error of the first object that the API refuses ([`ManifestError::Api`]), whose kind the cluster does not serve
/// ([`ManifestError::UnknownKind`]), or that has no namespace though its kind needs one, or has one though its kind
/// is cluster-scoped. The last three are found before anything is applied.
/// [`ManifestError::Conflict`] names the fields that other managers own with other values.
/// [`ManifestError::Away`]: an aggregated API server is unavailable; the objects of all other APIs are applied.
/// [`ManifestError::Each`] holds several of these errors.
/// [`ManifestError::Partly`] wraps any of them and lists what was applied before.
pub async fn apply(
    client: &Client,
    manifest: &Manifest,
    deadline: Deadline,
) -> Result<Vec<Applied>, ManifestError> {
    apply_as(client, manifest, false, deadline).await
}

/// Like [`apply`], but takes over the fields that other managers own and sets the manifest's values, as
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
    // Check every object before the first is applied: an invalid manifest changes nothing.
    let mut faults = Faults::default();
    twice(manifest.objects(), &mut faults);
    faults.end()?;
    let served = Served::ask(client, manifest, deadline).await?;
    let defined = Defined::by(manifest);
    let mut away = Failures::default();
    let mut planned = Vec::new();
    for object in manifest.objects() {
        match served.api(&client.unary, object) {
            Ok(api) => planned.push((object, api)),
            // The objects that do not need the unavailable server are applied.
            Err(error @ ManifestError::Away { .. }) => away.add(error),
            Err(ManifestError::UnknownKind { .. }) if defined.defines(object) => {
                planned.push((object, defined.api(&client.unary, object)?));
            }
            Err(error) => return Err(error),
        }
    }
    // Definitions are applied before the objects of their kinds, whatever their order in the file.
    let (definitions, others): (Vec<_>, Vec<_>) =
        planned.into_iter().partition(|(object, _)| definitions::is_definition(object));
    let mut applied = Vec::new();
    let work = async {
        for (object, api) in &definitions {
            applied.push(one(object, api, force, deadline).await?);
        }
        let rest = others.iter().map(|(object, _)| *object);
        definitions::served(client, &definitions, rest, deadline).await?;
        for (object, api) in &others {
            applied.push(one(object, api, force, deadline).await?);
        }
        away.end()
    };
    match work.await {
        Ok(()) => Ok(applied),
        Err(error) if applied.is_empty() => Err(error),
        Err(error) => {
            let applied = applied.iter().map(|done| format!("{} {}", done.kind, done.name)).collect();
            Err(ManifestError::Partly { applied, source: Box::new(error) })
        }
    }
}

async fn one(
    object: &Object,
    api: &Api<DynamicObject>,
    force: bool,
    deadline: Deadline,
) -> Result<Applied, ManifestError> {
    if object.generate_name().is_some() {
        return created(object, api, deadline).await;
    }
    let name = segment(object.name());
    let found = tried(deadline, || api.get_metadata_opt(&name)).await;
    let found = found.map_err(|source| failed(object, "look for it", deadline, source))?;
    let applying = Applying { object, api, force, deadline };
    let given = applying.whosever(found.map(|found| found.metadata)).await;
    let (given, manager) = given.map_err(|source| match owned(&source) {
        owned if owned.is_empty() => failed(object, "apply it", deadline, source),
        owned => ManifestError::Conflict { place: Box::new(object.place.clone()), owned },
    })?;
    let left_out = left_out::fields(&object.body, &given, manager, "Apply");
    Ok(Applied { left_out, ours: manager == FIELD_MANAGER, ..Applied::from(given) })
}

/// Creates an object whose name the API chooses. A request whose answer was lost is not repeated, because it may have
/// created an object. A throttled request (429) is.
async fn created(
    object: &Object,
    api: &Api<DynamicObject>,
    deadline: Deadline,
) -> Result<Applied, ManifestError> {
    let failed = |source| failed(object, "create it", deadline, source);
    let wrong = |text: String| failed(ApiError { text, status: None });
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    let request = Request::new(api.resource_url()).create(&params, object.body.to_string().into_bytes());
    let mut request = request.map_err(|error| wrong(error.to_string()))?;
    // Strict validation as in an apply: kube's `create` cannot ask for it.
    let strict = format!("{}&fieldValidation=Strict", request.uri());
    *request.uri_mut() = strict.parse().map_err(|_| wrong(format!("{strict} is not a valid URI")))?;
    let client = api.clone().into_client();
    let post = || client.request::<DynamicObject>(request.clone());
    let given = tried_once(deadline, post).await.map_err(failed)?;
    let left_out = left_out::fields(&object.body, &given, FIELD_MANAGER, "Update");
    Ok(Applied { generated: true, left_out, ..Applied::from(given) })
}

/// The fields of a conflict, as the API names them; empty for any other error.
fn owned(error: &ApiError) -> Vec<OwnedField> {
    let details = error.status.as_ref().and_then(|status| status.details.as_ref());
    let causes = details.into_iter().flat_map(|details| &details.causes);
    let conflicts = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    let owned = conflicts.map(|cause| {
        let manager = cause.message.strip_prefix("conflict with ").unwrap_or(&cause.message);
        OwnedField { field: sanitise::line(&cause.field), manager: sanitise::line(manager) }
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
            left_out: Vec::new(),
            ours: true,
            generated: false,
        }
    }
}

/// A name escaped as one segment of a request's path: RBAC names may contain blanks.
pub(super) fn segment(name: &str) -> String {
    const NO_PATH: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'%')
        .add(b'/')
        .add(b'<')
        .add(b'>')
        .add(b'?')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}')
        .add(b'[')
        .add(b']');
    utf8_percent_encode(name, NO_PATH).to_string()
}

pub(super) fn failed(
    object: &Object,
    doing: &'static str,
    deadline: Deadline,
    source: ApiError,
) -> ManifestError {
    ManifestError::Api { place: Box::new(object.place.clone()), doing, waited: deadline.waited(), source }
}

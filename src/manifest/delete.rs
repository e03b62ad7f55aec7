//! Deletion of what a manifest names.

use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Preconditions};
use kube::runtime::watcher;

use super::apply::{api_for, discover, failed, tried};
use super::{Manifest, ManifestError};
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::wait::{self, WaitError, namespaces};

/// Deletes the objects in the reverse order of the file, each with its dependants in the
/// background, and waits until each is gone. What is not there is no error. An object that
/// somebody makes anew under the same name meanwhile is another one, and stays.
///
/// # Errors
/// [`ManifestError::Left`] with what holds the object; [`ManifestError::Api`].
pub async fn delete(client: &Client, manifest: &Manifest, deadline: Deadline) -> Result<(), ManifestError> {
    let discovery = discover(client, deadline).await?;
    for object in manifest.objects().iter().rev() {
        let api = api_for(&client.unary, &discovery, object)?;
        let asked = remove(&api, object.name(), deadline).await;
        let uid = asked.map_err(|source| failed(object, "delete it", deadline, source))?;
        let Some(uid) = uid else { continue };
        let gone = gone(api_for(&client.stream, &discovery, object)?, object.name(), &uid, deadline).await;
        gone.map_err(|source| ManifestError::Left {
            place: Box::new(object.place.clone()),
            source: Box::new(source),
        })?;
    }
    Ok(())
}

/// Asks for the deletion of an object by name; gives the UID of what will go, none where there is
/// nothing.
pub(super) async fn remove(
    api: &Api<DynamicObject>,
    name: &str,
    deadline: Deadline,
) -> Result<Option<String>, ApiError> {
    let Some(found) = tried(deadline, || api.get_opt(name)).await? else {
        return Ok(None);
    };
    let uid = found.metadata.uid;
    let preconditions = Some(Preconditions { uid: uid.clone(), resource_version: None });
    let params = DeleteParams { preconditions, ..DeleteParams::background() };
    match tried(deadline, || api.delete(name, &params)).await {
        Ok(_) => Ok(uid),
        // Gone, or gone and made anew, between the two requests.
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until the object with this UID is gone. `api` must be that of the streaming client.
pub(super) async fn gone(
    api: Api<DynamicObject>,
    name: &str,
    uid: &str,
    deadline: Deadline,
) -> Result<(), WaitError> {
    let by_name = watcher::Config::default().fields(&format!("metadata.name={name}"));
    wait::until(api, by_name, namespaces::deleted(uid), deadline).await.map(drop)
}

//! Deletion of what a manifest names.

use std::fmt::Debug;

use kube::api::{DeleteParams, DynamicObject, Preconditions};
use kube::runtime::watcher;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::apply::{api_for, discover, failed, tried};
use super::{Manifest, ManifestError, is_ours};
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::wait::{self, WaitError, namespaces};

/// Deletes the objects in the reverse order of the file, each with its dependants in the
/// background, and waits until each is gone. What is not there is no error. An object that
/// somebody makes anew under the same name meanwhile is another one, and stays.
///
/// # Errors
/// [`ManifestError::NotOurs`] for an object that seatrial did not apply; [`ManifestError::Left`] with what holds
/// the object; [`ManifestError::Api`].
pub async fn delete(client: &Client, manifest: &Manifest, deadline: Deadline) -> Result<(), ManifestError> {
    let discovery = discover(client, deadline).await?;
    for object in manifest.objects().iter().rev() {
        let api = api_for(&client.unary, &discovery, object)?;
        let (name, failed) = (object.name(), |source| failed(object, "delete it", deadline, source));
        let Some(found) = tried(deadline, || api.get_opt(name)).await.map_err(failed)? else { continue };
        if !is_ours(&found.metadata) {
            return Err(ManifestError::NotOurs { what: object.place.to_string() });
        }
        let uid = found.metadata.uid.unwrap_or_default();
        let asked = delete_exact(&api, name, &uid, DeleteParams::background(), deadline).await;
        if !asked.map_err(failed)? {
            continue;
        }
        let gone = gone(api_for(&client.stream, &discovery, object)?, name, &uid, deadline).await;
        gone.map_err(|source| ManifestError::Left {
            place: Box::new(object.place.clone()),
            source: Box::new(source),
        })?;
    }
    Ok(())
}

/// Asks for the deletion of the object with this name and UID; false where it is gone already. Another
/// object of the name stays: a request whose answer was lost is sent again, and the object's controller may
/// have replaced the object in the meantime.
///
/// # Errors
/// The API's last answer.
pub async fn delete_exact<K>(
    api: &Api<K>,
    name: &str,
    uid: &str,
    params: DeleteParams,
    deadline: Deadline,
) -> Result<bool, ApiError>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let params = exactly(uid, params);
    match tried(deadline, || api.delete(name, &params)).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        // The UID differs; any other conflict is about the object that is still there.
        Err(error) if error.code() == Some(409) => {
            let still = tried(deadline, || api.get_opt(name)).await?;
            let still = still.is_some_and(|found| found.meta().uid.as_deref() == Some(uid));
            if still { Err(error) } else { Ok(false) }
        }
        Err(error) => Err(error),
    }
}

/// The same deletion, of the object with this UID only.
pub(super) fn exactly(uid: &str, params: DeleteParams) -> DeleteParams {
    let preconditions = Some(Preconditions { uid: Some(uid.into()), resource_version: None });
    DeleteParams { preconditions, ..params }
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

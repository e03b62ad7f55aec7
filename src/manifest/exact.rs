//! Deletes one object by its UID: another object of the same name stays.

use kube::api::{DeleteParams, DynamicObject, Preconditions};
use kube::runtime::watcher;
use kube::{Api, Resource};

use super::apply::{segment, tried};
use crate::client::{ApiError, untyped};
use crate::deadline::Deadline;
use crate::wait::{self, WaitError, namespaces};

/// Asks the API to delete the object with this name and UID; returns false if it is already gone. Another object of
/// the same name stays. That matters when a request whose answer was lost is repeated: the object's controller may
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
    K: Resource + Clone,
{
    let (api, params, name) = (untyped(api.clone()), exactly(uid, params), segment(name));
    match tried(deadline, || api.delete(&name, &params)).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        // The UID differs. Any other conflict concerns the object that still exists.
        Err(error) if error.code() == Some(409) => {
            let still = tried(deadline, || api.get_opt(&name)).await?;
            let still = still.is_some_and(|found| found.metadata.uid.as_deref() == Some(uid));
            if still { Err(error) } else { Ok(false) }
        }
        Err(error) => Err(error),
    }
}

/// The same deletion parameters, restricted to the object with this UID.
pub(super) fn exactly(uid: &str, params: DeleteParams) -> DeleteParams {
    let preconditions = Some(Preconditions { uid: Some(uid.into()), resource_version: None });
    DeleteParams { preconditions, ..params }
}

/// Waits until the object with this UID is gone. `api` must use the streaming client.
pub(super) async fn gone(
    api: Api<DynamicObject>,
    name: &str,
    uid: &str,
    deadline: Deadline,
) -> Result<(), WaitError> {
    // Escaped like apimachinery's `fields.EscapeValue`.
    let name = name.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
    let by_name = watcher::Config::default().fields(&format!("metadata.name={name}"));
    wait::until(api, by_name, namespaces::deleted(uid), deadline).await.map(drop)
}

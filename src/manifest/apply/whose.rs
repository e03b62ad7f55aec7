//! Whose an object is that is applied: seatrial's, or somebody else's that seatrial only changes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, ValidationDirective};
use serde_json::{Value, json};

use super::{segment, tried};
use crate::client::ApiError;
use crate::deadline::Deadline;
use crate::manifest::{FIELD_MANAGER, GUEST, Object, is_ours};

/// One object on its way.
pub(super) struct Applying<'a> {
    pub(super) object: &'a Object,
    pub(super) api: &'a Api<DynamicObject>,
    pub(super) force: bool,
    pub(super) deadline: Deadline,
}

impl Applying<'_> {
    /// Applies it, by the manager that says whose it is: what somebody else made stays theirs, and is not deleted.
    /// What was found says who made the object only where the object is the same one: between the look and the
    /// apply somebody may have made it, or another one of the name. Gives the object and the manager that has it now.
    pub(super) async fn whosever(
        &self,
        found: Option<ObjectMeta>,
    ) -> Result<(DynamicObject, &'static str), ApiError> {
        let manager = if found.as_ref().is_none_or(is_ours) { FIELD_MANAGER } else { GUEST };
        let given = self.by(manager, &self.object.body).await?;
        if found.is_some_and(|found| found.uid == given.metadata.uid) {
            return Ok((given, manager));
        }
        let whose = if is_made_by(manager, &given.metadata) { FIELD_MANAGER } else { GUEST };
        let given = if whose == manager { given } else { self.handed(whose, manager).await? };
        Ok((given, whose))
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
        let name = segment(self.object.name());
        tried(self.deadline, || self.api.patch(&name, &params, &patch)).await
    }
}

/// Field managers that write into an object soon after it was made, whoever made it.
pub(in crate::manifest) const KUBERNETES: [&str; 4] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"];

/// Whether the object of an answer was made by this apply: nobody else manages any of it. An apply before it, of which
/// the answer was lost, may have made it: Kubernetes' own components may have written into it since then, and into its
/// subresources anybody.
fn is_made_by(manager: &str, meta: &ObjectMeta) -> bool {
    meta.managed_fields.iter().flatten().all(|entry| {
        let name = entry.manager.as_deref().unwrap_or_default();
        name == manager || entry.subresource.is_some() || KUBERNETES.contains(&name)
    })
}

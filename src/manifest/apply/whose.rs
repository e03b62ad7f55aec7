//! Who owns an applied object: seatrial, or somebody else whose object seatrial only changes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, ValidationDirective};
use serde_json::{Value, json};

use super::{segment, tried};
use crate::client::ApiError;
use crate::deadline::Deadline;
use crate::manifest::{FIELD_MANAGER, GUEST, Object, is_ours};

/// One object that is being applied.
pub(super) struct Applying<'a> {
    pub(super) object: &'a Object,
    pub(super) api: &'a Api<DynamicObject>,
    pub(super) force: bool,
    pub(super) deadline: Deadline,
}

impl Applying<'_> {
    /// Applies the object under the field manager of its owner. An object that somebody else created stays theirs and
    /// is not deleted. The object found before the apply decides the owner only if the answer has the same UID: in
    /// between, somebody may have created or replaced it. Returns the object and the manager that owns it now.
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

    /// Applies the object under `to` and withdraws it from `from`, which applied the same fields: no field changes.
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

/// Field managers of Kubernetes' own components, which write into an object soon after its creation.
pub(in crate::manifest) const KUBERNETES: [&str; 4] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"];

/// Whether this apply created the object: no other manager owns any of its fields. Two kinds of entries do not count,
/// because an earlier apply whose answer was lost may have created the object: those of Kubernetes' own components, and
/// those of any manager for a subresource.
fn is_made_by(manager: &str, meta: &ObjectMeta) -> bool {
    meta.managed_fields.iter().flatten().all(|entry| {
        let name = entry.manager.as_deref().unwrap_or_default();
        name == manager || entry.subresource.is_some() || KUBERNETES.contains(&name)
    })
}

//! The identities of pods before and after an action, in the form that the judges use.

use kube::api::DynamicObject;
use serde_json::Value;

pub use crate::judge::identity::{Comparison, Identity, distinct, pod_names};
use crate::judge::object::Object;

/// The identities of pods as the API returned them. Objects without name or UID are left out.
///
/// [`Comparison::of`] then tells which pods were kept, replaced under the same name, are gone, or new.
pub fn identities(pods: &[DynamicObject]) -> Vec<Identity> {
    let values: Vec<Value> = pods.iter().filter_map(|p| serde_json::to_value(p).ok()).collect();
    values.iter().filter_map(|v| Object::new(v).ok().map(|o| Identity::of(&o))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn identities_are_read_from_what_the_api_gave() {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web-abc-2x4mz", "uid": "u1", "labels": {"pod-template-hash": "abc"}},
            "spec": {"nodeName": "worker", "containers": [{"name": "web", "image": "web:1"}]},
            "status": {"containerStatuses": [
                {"name": "web", "restartCount": 2, "imageID": "sha256:1"},
                {"name": "side", "restartCount": 1, "imageID": "sha256:2"},
            ]},
        });
        let pods: Vec<DynamicObject> = serde_json::from_value(json!([pod, {"metadata": {}}])).unwrap();
        let found = identities(&pods);
        assert_eq!(found.len(), 1);
        let Identity { name, uid, hash, image, image_id, node, restarts, .. } = found[0].clone();
        assert_eq!([name, uid, hash, image], ["web-abc-2x4mz", "u1", "abc", "web:1"]);
        assert_eq!((image_id.as_str(), node.as_str(), restarts), ("sha256:1", "worker", 3));
    }
}

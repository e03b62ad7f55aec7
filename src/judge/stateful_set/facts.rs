//! The facts that the stories of part C observe, in order: `stateful-set`, then `stateful-set-node`. In schema 1 each
//! claim had its own facts; these names are next to those that replaced them.

use serde::{Deserialize, Serialize};

use crate::judge::Fact;
use crate::judge::fact::{Raw, RawList};
use crate::judge::stateless::facts::Images;

/// A file in a pod's volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Name of the pod that wrote or read the file.
    pub pod: String,
    /// UID of that pod.
    pub uid: String,
    /// The file's path in the pod.
    pub path: String,
    /// Content of the file; none if the file does not exist. The content is random for each pod: no other volume holds
    /// it.
    pub text: Option<String>,
}

/// The answer that one pod got for another pod's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// `before` or `after` the replacement.
    pub when: String,
    /// The name that the claim is about: `pod.service.namespace.svc`.
    pub name: String,
    /// The name that was asked: complete, with the cluster's domain and the final dot. Absent in runs of earlier
    /// versions, in which the client's search domains may have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// Name of the pod that asked.
    pub asker: String,
    /// UID of that pod.
    pub asker_uid: String,
    /// The addresses in the answer; none if the name was unknown.
    pub addresses: Vec<String>,
    /// Seconds since the named pod was found ready.
    pub waited: f64,
}

/// A question without the right answer in the whole time for asking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GaveUp {
    /// As [`Answer::when`].
    pub when: String,
    /// As [`Answer::name`].
    pub name: String,
    /// Seconds since the named pod was found ready.
    pub waited: f64,
}

/// What is predicted before scaling down a StatefulSet and a Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// The set's pods that will be deleted, in this order.
    pub goes: Vec<String>,
    /// The set's pods that will stay.
    pub stays: Vec<String>,
    /// The number of the Deployment's pods that will be deleted. Which ones cannot be predicted: their names are
    /// random.
    pub deployment_goes: usize,
}

/// State of a node's container when it was inspected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedAt {
    /// The node.
    pub node: String,
    /// `running`, `exited`, `paused`.
    pub power: String,
}

/// The set when its first rollout is complete.
pub const SET: Fact<Raw> = Fact::new("set");
/// The set's pods when its first rollout is complete.
pub const PODS: Fact<RawList> = Fact::new("pods");
/// The names of the nodes that hold volumes.
pub const NODES: Fact<Vec<String>> = Fact::new("nodes");
/// The set's claims when its first rollout is complete.
pub const CLAIMS: Fact<RawList> = Fact::new("claims");
/// The scenario's volumes when the set's first rollout is complete.
pub const VOLUMES: Fact<RawList> = Fact::new("volumes");

/// The set's headless Service.
pub const SERVICE: Fact<Raw> = Fact::new("service");
/// The set's pods before one of them is deleted.
pub const PODS_BEFORE_REPLACEMENT: Fact<RawList> =
    Fact::new("pods_before_replacement").was(&[("C2", "pods_before")]);
/// Seconds after which other pods must get the new address of a replaced pod.
pub const ANSWER_BUDGET: Fact<f64> = Fact::new("answer_budget").was(&[("C2", "budget")]);
/// The answer that a pod got for another pod's name; recorded each time the answer changes.
pub const ANSWER: Fact<Answer> = Fact::new("answer");
/// A question without the right answer; recorded for each.
pub const GAVE_UP: Fact<GaveUp> = Fact::new("gave_up");
/// The set before one of its pods is deleted.
pub const SET_BEFORE_REPLACEMENT: Fact<Raw> = Fact::new("set_before_replacement").was(&[("C4", "set")]);
/// The pod that is deleted, before its deletion.
pub const REPLACED_POD: Fact<Raw> = Fact::new("replaced_pod").was(&[("C4", "pod_before")]);
/// The claim of that pod before the deletion.
pub const REPLACED_CLAIM: Fact<Raw> = Fact::new("replaced_claim").was(&[("C4", "claim_before")]);
/// The file that was written into that pod's volume.
pub const REPLACED_WROTE: Fact<Content> = Fact::new("replaced_wrote").was(&[("C4", "written")]);
/// The file that the replacement read.
pub const REPLACEMENT_FOUND: Fact<Content> = Fact::new("replacement_found").was(&[("C4", "found")]);
/// The replacement of the deleted pod.
pub const REPLACEMENT_POD: Fact<Raw> = Fact::new("replacement_pod").was(&[("C4", "pod_after")]);
/// The claim of the replacement.
pub const REPLACEMENT_CLAIM: Fact<Raw> = Fact::new("replacement_claim").was(&[("C4", "claim_after")]);
/// The set's pods when the replacement is ready.
pub const PODS_AFTER_REPLACEMENT: Fact<RawList> =
    Fact::new("pods_after_replacement").was(&[("C2", "pods_after")]);

/// The set before it is scaled down.
pub const SET_BEFORE_DOWN: Fact<Raw> = Fact::new("set_before_down").was(&[("C7", "set")]);
/// The set's pods before it is scaled down.
pub const PODS_BEFORE_DOWN: Fact<RawList> =
    Fact::new("pods_before_down").was(&[("C5", "pods_before"), ("C7", "pods_before"), ("C8", "pods_before")]);
/// The set's claims before it is scaled down.
pub const CLAIMS_BEFORE: Fact<RawList> = Fact::new("claims_before");
/// The file that was written into each pod's volume before scaling down.
pub const WRITTEN: Fact<Vec<Content>> = Fact::new("written");
/// The pods of the Deployment next to the set, before both are scaled down.
pub const DEPLOYMENT_PODS_BEFORE: Fact<RawList> = Fact::new("deployment_pods_before");
/// The prediction for both before they are scaled down.
pub const PREDICTION: Fact<Prediction> = Fact::new("prediction");
/// The set after scaling down.
pub const SET_DOWN: Fact<Raw> = Fact::new("set_down").was(&[("C5", "set")]);
/// The set's pods after scaling down.
pub const PODS_DOWN: Fact<RawList> = Fact::new("pods_down").was(&[("C5", "pods"), ("C8", "pods")]);
/// The Deployment's pods after scaling down.
pub const DEPLOYMENT_PODS: Fact<RawList> = Fact::new("deployment_pods");
/// The set's claims after scaling down.
pub const CLAIMS_DOWN: Fact<RawList> = Fact::new("claims_down");
/// The set's pods after scaling up again.
pub const PODS_UP: Fact<RawList> = Fact::new("pods_up");
/// The set's claims after scaling up again.
pub const CLAIMS_UP: Fact<RawList> = Fact::new("claims_up");
/// The file that each of the set's pods read after scaling up again.
pub const FOUND: Fact<Vec<Content>> = Fact::new("found");

/// The set when one of its pods is not ready, before it is scaled down.
pub const SET_UNREADY: Fact<Raw> = Fact::new("set_unready").was(&[("C6", "set_before")]);
/// The set's pods before it is scaled down with one pod that is not ready.
pub const PODS_UNREADY: Fact<RawList> = Fact::new("pods_unready").was(&[("C6", "pods_before")]);
/// The pod that was made unready, with a lower ordinal than the pods that scaling down deletes.
pub const UNREADY: Fact<Raw> = Fact::new("unready");
/// The set when that pod is ready again and the scaling is done.
pub const SET_HEALED: Fact<Raw> = Fact::new("set_healed").was(&[("C6", "set")]);
/// The set's pods when the scaling is done.
pub const PODS_HEALED: Fact<RawList> = Fact::new("pods_healed").was(&[("C6", "pods")]);

/// The two images of the update.
pub const IMAGES: Fact<Images> = Fact::new("images");
/// The set before its update.
pub const SET_BEFORE_UPDATE: Fact<Raw> = Fact::new("set_before_update").was(&[("C10", "set_before")]);
/// The set's pods before its update.
pub const PODS_BEFORE_UPDATE: Fact<RawList> = Fact::new("pods_before_update").was(&[("C10", "pods_before")]);
/// The lowest ordinal of the pods that get the new image first.
pub const PARTITION: Fact<i64> = Fact::new("partition");
/// The set while the partition holds the other pods.
pub const SET_HELD: Fact<Raw> = Fact::new("set_held");
/// The set's pods while the partition holds the other pods.
pub const PODS_HELD: Fact<RawList> = Fact::new("pods_held");
/// The set when all its pods are updated.
pub const SET_UPDATED: Fact<Raw> = Fact::new("set_updated").was(&[("C10", "set")]);
/// The set's pods when all are updated.
pub const PODS_UPDATED: Fact<RawList> = Fact::new("pods_updated").was(&[("C10", "pods")]);
/// The set's ControllerRevisions when all pods are updated.
pub const REVISIONS: Fact<RawList> = Fact::new("revisions");

/// The set's claims after the set's deletion.
pub const CLAIMS_ORPHANED: Fact<RawList> = Fact::new("claims_orphaned");
/// The name of the claim that is deleted by hand.
pub const DELETED: Fact<String> = Fact::new("deleted");
/// The set's claims after that claim is gone.
pub const CLAIMS_AFTER: Fact<RawList> = Fact::new("claims_after");

/// The set's pod before its node is stopped.
pub const POD_BEFORE: Fact<Raw> = Fact::new("pod_before");
/// The pod of a Deployment on the same node before the node is stopped.
pub const OTHER_BEFORE: Fact<Raw> = Fact::new("other_before");
/// The pod that replaced the Deployment's pod.
pub const OTHER_AFTER: Fact<Raw> = Fact::new("other_after");
/// The node's container just before the node is declared out of service.
pub const POWER_WAITING: Fact<LookedAt> = Fact::new("power_waiting");
/// The set's pod just before its node is declared out of service.
pub const POD_WAITING: Fact<Raw> = Fact::new("pod_waiting");
/// Seconds from the declaration after which the set's pod must be ready on another node.
pub const MOVE_BUDGET: Fact<f64> = Fact::new("move_budget").was(&[("C9", "budget")]);
/// The node's container when the set's pod is ready on another node.
pub const POWER_MOVED: Fact<LookedAt> = Fact::new("power_moved");
/// The set's pod when it is ready on another node.
pub const POD_AFTER: Fact<Raw> = Fact::new("pod_after");
/// The set when its pod is ready on another node.
pub const SET_MOVED: Fact<Raw> = Fact::new("set_moved").was(&[("C9", "set")]);
/// The set's pod after the node's return.
pub const POD_RETURNED: Fact<Raw> = Fact::new("pod_returned");

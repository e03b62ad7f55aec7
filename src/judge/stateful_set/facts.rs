//! What the stories of part C observe, in the order in which they do: `stateful-set`, then `stateful-set-node`. Names
//! of schema 1, where each claim had its own facts, are beside those that replaced them.

use serde::{Deserialize, Serialize};

use crate::judge::Fact;
use crate::judge::fact::{Raw, RawList};
use crate::judge::stateless::facts::Images;

/// A file in a pod's volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Name of the pod that wrote or read it.
    pub pod: String,
    /// Its UID.
    pub uid: String,
    /// The file's path in the pod.
    pub path: String,
    /// What is in it; none where there is no such file. Random for each pod, so that no other
    /// volume holds it.
    pub text: Option<String>,
}

/// What one pod was told of another's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// `before` or `after` the replacement.
    pub when: String,
    /// The name that is meant: `pod.service.namespace.svc`.
    pub name: String,
    /// What was asked for: the whole name with the cluster's domain and the final dot. Absent in runs of
    /// earlier versions, where a client's search domains may have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// Name of the pod that asked.
    pub asker: String,
    /// Its UID.
    pub asker_uid: String,
    /// The addresses that it was told; none where the name was unknown.
    pub addresses: Vec<String>,
    /// Seconds since the named pod was found ready.
    pub waited: f64,
}

/// The right answer did not come for as long as was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GaveUp {
    /// As [`Answer::when`].
    pub when: String,
    /// As [`Answer::name`].
    pub name: String,
    /// Seconds since the named pod was found ready.
    pub waited: f64,
}

/// What is said before scaling down, of a StatefulSet and of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// The set's pods that will go, in this order.
    pub goes: Vec<String>,
    /// The set's pods that will stay.
    pub stays: Vec<String>,
    /// How many of the Deployment's pods will go. Nothing tells which: their names are random.
    pub deployment_goes: usize,
}

/// State of a node's container when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedAt {
    /// The node.
    pub node: String,
    /// `running`, `exited`, `paused`.
    pub power: String,
}

/// The set when its first rollout is complete.
pub const SET: Fact<Raw> = Fact::new("set");
/// Its pods then.
pub const PODS: Fact<RawList> = Fact::new("pods");
/// The names of the nodes that hold volumes.
pub const NODES: Fact<Vec<String>> = Fact::new("nodes");
/// The set's claims when its first rollout is complete.
pub const CLAIMS: Fact<RawList> = Fact::new("claims");
/// The scenario's volumes then.
pub const VOLUMES: Fact<RawList> = Fact::new("volumes");

/// The set's headless Service.
pub const SERVICE: Fact<Raw> = Fact::new("service");
/// The set's pods before one of them is deleted.
pub const PODS_BEFORE_REPLACEMENT: Fact<RawList> =
    Fact::new("pods_before_replacement").was(&[("C2", "pods_before")]);
/// Seconds until other pods must be told the address of a pod that was replaced.
pub const ANSWER_BUDGET: Fact<f64> = Fact::new("answer_budget").was(&[("C2", "budget")]);
/// What a pod was told of another one's name; recorded each time that the answer is another one.
pub const ANSWER: Fact<Answer> = Fact::new("answer");
/// A question to which the right answer did not come; recorded for each.
pub const GAVE_UP: Fact<GaveUp> = Fact::new("gave_up");
/// The set before one of its pods is deleted.
pub const SET_BEFORE_REPLACEMENT: Fact<Raw> = Fact::new("set_before_replacement").was(&[("C4", "set")]);
/// The pod that is deleted, before it is.
pub const REPLACED_POD: Fact<Raw> = Fact::new("replaced_pod").was(&[("C4", "pod_before")]);
/// The claim of that pod then.
pub const REPLACED_CLAIM: Fact<Raw> = Fact::new("replaced_claim").was(&[("C4", "claim_before")]);
/// The file that was written into its volume.
pub const REPLACED_WROTE: Fact<Content> = Fact::new("replaced_wrote").was(&[("C4", "written")]);
/// What the pod read that came back.
pub const REPLACEMENT_FOUND: Fact<Content> = Fact::new("replacement_found").was(&[("C4", "found")]);
/// The pod that came back.
pub const REPLACEMENT_POD: Fact<Raw> = Fact::new("replacement_pod").was(&[("C4", "pod_after")]);
/// Its claim.
pub const REPLACEMENT_CLAIM: Fact<Raw> = Fact::new("replacement_claim").was(&[("C4", "claim_after")]);
/// The set's pods when that one is back.
pub const PODS_AFTER_REPLACEMENT: Fact<RawList> =
    Fact::new("pods_after_replacement").was(&[("C2", "pods_after")]);

/// The set before it is scaled down.
pub const SET_BEFORE_DOWN: Fact<Raw> = Fact::new("set_before_down").was(&[("C7", "set")]);
/// Its pods then.
pub const PODS_BEFORE_DOWN: Fact<RawList> =
    Fact::new("pods_before_down").was(&[("C5", "pods_before"), ("C7", "pods_before"), ("C8", "pods_before")]);
/// Its claims then.
pub const CLAIMS_BEFORE: Fact<RawList> = Fact::new("claims_before");
/// The file that was written into the volume of each of its pods then.
pub const WRITTEN: Fact<Vec<Content>> = Fact::new("written");
/// The pods of the Deployment beside the set, before both are scaled down.
pub const DEPLOYMENT_PODS_BEFORE: Fact<RawList> = Fact::new("deployment_pods_before");
/// What is said of both before they are scaled down.
pub const PREDICTION: Fact<Prediction> = Fact::new("prediction");
/// The set when it is scaled down.
pub const SET_DOWN: Fact<Raw> = Fact::new("set_down").was(&[("C5", "set")]);
/// Its pods then.
pub const PODS_DOWN: Fact<RawList> = Fact::new("pods_down").was(&[("C5", "pods"), ("C8", "pods")]);
/// The Deployment's pods then.
pub const DEPLOYMENT_PODS: Fact<RawList> = Fact::new("deployment_pods");
/// The set's claims then.
pub const CLAIMS_DOWN: Fact<RawList> = Fact::new("claims_down");
/// The set's pods when it is scaled up again.
pub const PODS_UP: Fact<RawList> = Fact::new("pods_up");
/// Its claims then.
pub const CLAIMS_UP: Fact<RawList> = Fact::new("claims_up");
/// What each of its pods read then.
pub const FOUND: Fact<Vec<Content>> = Fact::new("found");

/// The set when one of its pods is not ready, before it is scaled down.
pub const SET_UNREADY: Fact<Raw> = Fact::new("set_unready").was(&[("C6", "set_before")]);
/// Its pods then.
pub const PODS_UNREADY: Fact<RawList> = Fact::new("pods_unready").was(&[("C6", "pods_before")]);
/// The pod that was made unready, of a lower ordinal than the one to go.
pub const UNREADY: Fact<Raw> = Fact::new("unready");
/// The set when that pod is ready again and the scaling is done.
pub const SET_HEALED: Fact<Raw> = Fact::new("set_healed").was(&[("C6", "set")]);
/// Its pods then.
pub const PODS_HEALED: Fact<RawList> = Fact::new("pods_healed").was(&[("C6", "pods")]);

/// The two images of the update.
pub const IMAGES: Fact<Images> = Fact::new("images");
/// The set before its update.
pub const SET_BEFORE_UPDATE: Fact<Raw> = Fact::new("set_before_update").was(&[("C10", "set_before")]);
/// Its pods then.
pub const PODS_BEFORE_UPDATE: Fact<RawList> = Fact::new("pods_before_update").was(&[("C10", "pods_before")]);
/// The ordinal from which on pods get the new image first.
pub const PARTITION: Fact<i64> = Fact::new("partition");
/// The set while the partition holds the other pods.
pub const SET_HELD: Fact<Raw> = Fact::new("set_held");
/// Its pods then.
pub const PODS_HELD: Fact<RawList> = Fact::new("pods_held");
/// The set when all its pods are updated.
pub const SET_UPDATED: Fact<Raw> = Fact::new("set_updated").was(&[("C10", "set")]);
/// Its pods then.
pub const PODS_UPDATED: Fact<RawList> = Fact::new("pods_updated").was(&[("C10", "pods")]);
/// Its ControllerRevisions then.
pub const REVISIONS: Fact<RawList> = Fact::new("revisions");

/// The set's claims when the set is deleted.
pub const CLAIMS_ORPHANED: Fact<RawList> = Fact::new("claims_orphaned");
/// The name of the claim that is deleted by hand then.
pub const DELETED: Fact<String> = Fact::new("deleted");
/// The set's claims when that one is gone.
pub const CLAIMS_AFTER: Fact<RawList> = Fact::new("claims_after");

/// The set's pod before its node goes down.
pub const POD_BEFORE: Fact<Raw> = Fact::new("pod_before");
/// The pod of a Deployment on the same node then.
pub const OTHER_BEFORE: Fact<Raw> = Fact::new("other_before");
/// What replaced the Deployment's pod.
pub const OTHER_AFTER: Fact<Raw> = Fact::new("other_after");
/// The node's container before the node is declared gone.
pub const POWER_WAITING: Fact<LookedAt> = Fact::new("power_waiting");
/// The set's pod then.
pub const POD_WAITING: Fact<Raw> = Fact::new("pod_waiting");
/// Seconds from the declaration until the set's pod must be ready elsewhere.
pub const MOVE_BUDGET: Fact<f64> = Fact::new("move_budget").was(&[("C9", "budget")]);
/// The node's container when the set's pod is ready elsewhere.
pub const POWER_MOVED: Fact<LookedAt> = Fact::new("power_moved");
/// The set's pod then.
pub const POD_AFTER: Fact<Raw> = Fact::new("pod_after");
/// The set then.
pub const SET_MOVED: Fact<Raw> = Fact::new("set_moved").was(&[("C9", "set")]);
/// The set's pod after the node's return.
pub const POD_RETURNED: Fact<Raw> = Fact::new("pod_returned");

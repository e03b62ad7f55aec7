//! What the story of part A observes, in the order in which it does. Names of schema 1, where each claim had its own
//! facts, are beside those that replaced them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::judge::Fact;
use crate::judge::fact::{Raw, RawList};

/// The two images of the change, as the image profile gives them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// What ran before.
    pub old: Image,
    /// What runs after.
    pub new: Image,
}

/// One image of the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// What pods ask for.
    pub reference: String,
    /// Version that its server answers with, such as `1.22`.
    pub version: String,
}

/// The image that runs, and one that cannot be pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadImages {
    /// What runs all the while.
    pub old: Image,
    /// The reference that can be pulled nowhere.
    pub bad: String,
}

/// How the wait for the rollout ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "kebab-case")]
pub enum Ended {
    /// It found the rollout complete.
    Met,
    /// It found that it can never be complete.
    Never {
        /// The reason.
        why: String,
    },
    /// It ran into its deadline.
    Timeout {
        /// What it saw last.
        last: String,
    },
}

/// The Deployment when its first rollout is complete.
pub const DEPLOYMENT: Fact<Raw> = Fact::new("deployment");
/// Its pods then.
pub const PODS: Fact<RawList> = Fact::new("pods");
/// Its ReplicaSets then.
pub const REPLICA_SETS: Fact<RawList> = Fact::new("replica_sets");
/// The Deployment as it was sent, without what the API adds.
pub const APPLIED: Fact<Raw> = Fact::new("applied");
/// The namespace's events (core/v1 or events.k8s.io/v1), when the trail of the rollout was complete or its time was up.
pub const EVENTS: Fact<RawList> = Fact::new("events");
/// The pods of kube-apiserver, when the first rollout is complete.
pub const API_SERVERS: Fact<RawList> = Fact::new("api_servers");
/// Seconds for which a pod tolerates a lost node, as the topology declares.
pub const TOLERATION: Fact<i64> = Fact::new("toleration");

/// The Deployment before its image is changed.
pub const DEPLOYMENT_BEFORE_CHANGE: Fact<Raw> =
    Fact::new("deployment_before_change").was(&[("A7", "deployment_before")]);
/// Its pods then.
pub const PODS_BEFORE_CHANGE: Fact<RawList> = Fact::new("pods_before_change").was(&[("A7", "pods_before")]);
/// Its ReplicaSets then.
pub const REPLICA_SETS_BEFORE_CHANGE: Fact<RawList> =
    Fact::new("replica_sets_before_change").was(&[("A7", "replica_sets_before")]);
/// The two images of the change.
pub const IMAGES: Fact<Images> = Fact::new("images");
/// The Deployment after the change of its image.
pub const DEPLOYMENT_CHANGED: Fact<Raw> = Fact::new("deployment_changed").was(&[("A7", "deployment")]);
/// Its pods then.
pub const PODS_CHANGED: Fact<RawList> = Fact::new("pods_changed").was(&[("A7", "pods")]);
/// Its ReplicaSets then.
pub const REPLICA_SETS_CHANGED: Fact<RawList> =
    Fact::new("replica_sets_changed").was(&[("A7", "replica_sets")]);
/// The EndpointSlices of the Service then.
pub const ENDPOINT_SLICES: Fact<RawList> = Fact::new("endpoint_slices");

/// The facts of one scaling.
#[derive(Clone, Copy, Debug)]
pub struct Scaling {
    /// The Deployment before the number of replicas is changed.
    pub deployment_before: Fact<Raw>,
    /// Its pods then.
    pub pods_before: Fact<RawList>,
    /// The Deployment when it has as many pods as it wants.
    pub deployment: Fact<Raw>,
    /// Its pods then.
    pub pods: Fact<RawList>,
    /// Its ReplicaSets then.
    pub replica_sets: Fact<RawList>,
}

/// Scaling up, see [`Scaling`].
pub const UP: Scaling = Scaling {
    deployment_before: Fact::new("deployment_before_up").was(&[("A8", "deployment_before")]),
    pods_before: Fact::new("pods_before_up").was(&[("A8", "pods_before")]),
    deployment: Fact::new("deployment_up").was(&[("A8", "deployment")]),
    pods: Fact::new("pods_up").was(&[("A8", "pods")]),
    replica_sets: Fact::new("replica_sets_up").was(&[("A8", "replica_sets")]),
};
/// Scaling down, see [`Scaling`].
pub const DOWN: Scaling = Scaling {
    deployment_before: Fact::new("deployment_before_down").was(&[("A9", "deployment_before")]),
    pods_before: Fact::new("pods_before_down").was(&[("A9", "pods_before")]),
    deployment: Fact::new("deployment_down").was(&[("A9", "deployment")]),
    pods: Fact::new("pods_down").was(&[("A9", "pods")]),
    replica_sets: Fact::new("replica_sets_down").was(&[("A9", "replica_sets")]),
};

/// The Deployment before it is given an image that can be pulled nowhere.
pub const DEPLOYMENT_BEFORE_BAD_IMAGE: Fact<Raw> =
    Fact::new("deployment_before_bad_image").was(&[("A11", "deployment_before")]);
/// Its pods then.
pub const PODS_BEFORE_BAD_IMAGE: Fact<RawList> =
    Fact::new("pods_before_bad_image").was(&[("A11", "pods_before")]);
/// The image of those pods, and the bad one.
pub const BAD_IMAGES: Fact<BadImages> = Fact::new("bad_images").was(&[("A11", "images")]);
/// How the wait for the rollout of the bad image ended.
pub const BAD_IMAGE_WAIT: Fact<Ended> = Fact::new("bad_image_wait").was(&[("A11", "wait")]);
/// The Deployment after that wait, before it is rolled back.
pub const DEPLOYMENT_DURING_BAD_IMAGE: Fact<Raw> =
    Fact::new("deployment_during_bad_image").was(&[("A11", "deployment_during")]);
/// Its pods then.
pub const PODS_DURING_BAD_IMAGE: Fact<RawList> =
    Fact::new("pods_during_bad_image").was(&[("A11", "pods_during")]);
/// The Deployment when it is rolled back.
pub const DEPLOYMENT_ROLLED_BACK: Fact<Raw> =
    Fact::new("deployment_rolled_back").was(&[("A11", "deployment")]);
/// Its pods then.
pub const PODS_ROLLED_BACK: Fact<RawList> = Fact::new("pods_rolled_back").was(&[("A11", "pods")]);
/// Its ReplicaSets then.
pub const REPLICA_SETS_ROLLED_BACK: Fact<RawList> =
    Fact::new("replica_sets_rolled_back").was(&[("A11", "replica_sets")]);

/// The facts of one way to delete. Each is a map with the lists `deployments`, `replica_sets` and `pods`: the Deployment
/// by its name, and what carries its label.
#[derive(Clone, Copy, Debug)]
pub struct Deletion {
    /// Before the deletion is asked for.
    pub before: Fact<Value>,
    /// When nothing is left.
    pub after: Fact<Value>,
}

/// Deletion in the background, see [`Deletion`].
pub const BACKGROUND: Deletion =
    Deletion { before: Fact::new("background_before"), after: Fact::new("background_after") };
/// Deletion in the foreground, see [`Deletion`].
pub const FOREGROUND: Deletion =
    Deletion { before: Fact::new("foreground_before"), after: Fact::new("foreground_after") };

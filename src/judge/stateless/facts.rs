//! The facts that the story of part A observes, in order. In schema 1 each claim had its own facts; these names are
//! next to those that replaced them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::judge::Fact;
use crate::judge::fact::{Raw, RawList};

/// The two images of the change, from the image profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// The image before the change.
    pub old: Image,
    /// The image after the change.
    pub new: Image,
}

/// One image of the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The reference in the pods' template.
    pub reference: String,
    /// Version in the answers of the image's server, such as `1.22`.
    pub version: String,
}

/// The running image, and an image that cannot be pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadImages {
    /// The image that runs all the time.
    pub old: Image,
    /// A reference that no registry can serve.
    pub bad: String,
}

/// How the wait for the rollout ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "kebab-case")]
pub enum Ended {
    /// The wait found the rollout complete.
    Met,
    /// The wait found that the rollout can never be complete.
    Never {
        /// The reason.
        why: String,
    },
    /// The wait reached its deadline.
    Timeout {
        /// The last state that the wait saw.
        last: String,
    },
}

/// The Deployment when its first rollout is complete.
pub const DEPLOYMENT: Fact<Raw> = Fact::new("deployment");
/// The Deployment's pods when its first rollout is complete.
pub const PODS: Fact<RawList> = Fact::new("pods");
/// The Deployment's ReplicaSets when its first rollout is complete.
pub const REPLICA_SETS: Fact<RawList> = Fact::new("replica_sets");
/// The Deployment as it was sent, without the fields that the API adds.
pub const APPLIED: Fact<Raw> = Fact::new("applied");
/// The namespace's events (core/v1 or events.k8s.io/v1) when the trail of the rollout was complete or the time for it
/// was over.
pub const EVENTS: Fact<RawList> = Fact::new("events");
/// The pods of kube-apiserver, when the first rollout is complete.
pub const API_SERVERS: Fact<RawList> = Fact::new("api_servers");
/// Seconds for which a pod tolerates a lost node, as the topology declares.
pub const TOLERATION: Fact<i64> = Fact::new("toleration");

/// The Deployment before its image is changed.
pub const DEPLOYMENT_BEFORE_CHANGE: Fact<Raw> =
    Fact::new("deployment_before_change").was(&[("A7", "deployment_before")]);
/// The Deployment's pods before its image is changed.
pub const PODS_BEFORE_CHANGE: Fact<RawList> = Fact::new("pods_before_change").was(&[("A7", "pods_before")]);
/// The Deployment's ReplicaSets before its image is changed.
pub const REPLICA_SETS_BEFORE_CHANGE: Fact<RawList> =
    Fact::new("replica_sets_before_change").was(&[("A7", "replica_sets_before")]);
/// The two images of the change.
pub const IMAGES: Fact<Images> = Fact::new("images");
/// The Deployment after the change of its image.
pub const DEPLOYMENT_CHANGED: Fact<Raw> = Fact::new("deployment_changed").was(&[("A7", "deployment")]);
/// The Deployment's pods after the change of its image.
pub const PODS_CHANGED: Fact<RawList> = Fact::new("pods_changed").was(&[("A7", "pods")]);
/// The Deployment's ReplicaSets after the change of its image.
pub const REPLICA_SETS_CHANGED: Fact<RawList> =
    Fact::new("replica_sets_changed").was(&[("A7", "replica_sets")]);
/// The EndpointSlices of the Service after the change of the image.
pub const ENDPOINT_SLICES: Fact<RawList> = Fact::new("endpoint_slices");

/// The facts of one scaling.
#[derive(Clone, Copy, Debug)]
pub struct Scaling {
    /// The Deployment before the number of replicas is changed.
    pub deployment_before: Fact<Raw>,
    /// The Deployment's pods before the number of replicas is changed.
    pub pods_before: Fact<RawList>,
    /// The Deployment when it has the requested number of pods.
    pub deployment: Fact<Raw>,
    /// The Deployment's pods after the scaling.
    pub pods: Fact<RawList>,
    /// The Deployment's ReplicaSets after the scaling.
    pub replica_sets: Fact<RawList>,
}

/// The facts of scaling up.
pub const UP: Scaling = Scaling {
    deployment_before: Fact::new("deployment_before_up").was(&[("A8", "deployment_before")]),
    pods_before: Fact::new("pods_before_up").was(&[("A8", "pods_before")]),
    deployment: Fact::new("deployment_up").was(&[("A8", "deployment")]),
    pods: Fact::new("pods_up").was(&[("A8", "pods")]),
    replica_sets: Fact::new("replica_sets_up").was(&[("A8", "replica_sets")]),
};
/// The facts of scaling down.
pub const DOWN: Scaling = Scaling {
    deployment_before: Fact::new("deployment_before_down").was(&[("A9", "deployment_before")]),
    pods_before: Fact::new("pods_before_down").was(&[("A9", "pods_before")]),
    deployment: Fact::new("deployment_down").was(&[("A9", "deployment")]),
    pods: Fact::new("pods_down").was(&[("A9", "pods")]),
    replica_sets: Fact::new("replica_sets_down").was(&[("A9", "replica_sets")]),
};

/// The Deployment before its image is changed to one that cannot be pulled.
pub const DEPLOYMENT_BEFORE_BAD_IMAGE: Fact<Raw> =
    Fact::new("deployment_before_bad_image").was(&[("A11", "deployment_before")]);
/// The Deployment's pods before its image is changed to one that cannot be pulled.
pub const PODS_BEFORE_BAD_IMAGE: Fact<RawList> =
    Fact::new("pods_before_bad_image").was(&[("A11", "pods_before")]);
/// The running image, and the bad one.
pub const BAD_IMAGES: Fact<BadImages> = Fact::new("bad_images").was(&[("A11", "images")]);
/// How the wait for the rollout of the bad image ended.
pub const BAD_IMAGE_WAIT: Fact<Ended> = Fact::new("bad_image_wait").was(&[("A11", "wait")]);
/// The Deployment after that wait, before it is rolled back.
pub const DEPLOYMENT_DURING_BAD_IMAGE: Fact<Raw> =
    Fact::new("deployment_during_bad_image").was(&[("A11", "deployment_during")]);
/// The Deployment's pods after that wait.
pub const PODS_DURING_BAD_IMAGE: Fact<RawList> =
    Fact::new("pods_during_bad_image").was(&[("A11", "pods_during")]);
/// The Deployment after the rollback.
pub const DEPLOYMENT_ROLLED_BACK: Fact<Raw> =
    Fact::new("deployment_rolled_back").was(&[("A11", "deployment")]);
/// The Deployment's pods after the rollback.
pub const PODS_ROLLED_BACK: Fact<RawList> = Fact::new("pods_rolled_back").was(&[("A11", "pods")]);
/// The Deployment's ReplicaSets after the rollback.
pub const REPLICA_SETS_ROLLED_BACK: Fact<RawList> =
    Fact::new("replica_sets_rolled_back").was(&[("A11", "replica_sets")]);

/// The facts of one deletion mode. Each is a map with the lists `deployments`, `replica_sets` and `pods`: the
/// Deployment by its name, the others by its label.
#[derive(Clone, Copy, Debug)]
pub struct Deletion {
    /// The objects before the deletion is requested.
    pub before: Fact<Value>,
    /// The objects after the wait until everything is gone.
    pub after: Fact<Value>,
}

/// The facts of a deletion in the background.
pub const BACKGROUND: Deletion =
    Deletion { before: Fact::new("background_before"), after: Fact::new("background_after") };
/// The facts of a deletion in the foreground.
pub const FOREGROUND: Deletion =
    Deletion { before: Fact::new("foreground_before"), after: Fact::new("foreground_after") };

//! The images of a cluster: which ones it runs, and how they are pulled or built and then loaded onto nodes.

mod artefacts;
mod balancer;
#[cfg(not(feature = "internals"))]
pub(crate) mod build;
#[cfg(feature = "internals")]
pub mod build;
mod context;
mod error;
#[cfg(not(feature = "internals"))]
pub(crate) mod extract;
#[cfg(feature = "internals")]
pub mod extract;
#[cfg(not(feature = "internals"))]
pub(crate) mod load;
#[cfg(feature = "internals")]
pub mod load;
pub mod profile;
mod prune;
mod recipes;
#[cfg(not(feature = "internals"))]
pub(crate) mod registry;
#[cfg(feature = "internals")]
pub mod registry;
mod resolve;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use artefacts::{Artefacts, Program, artefacts, known, obtainable};
pub use balancer::{IMAGE_LABEL, STANDS_FOR_LABEL, StandIn, balancer_of_kind, load_balancer};
pub use build::{BuildError, abandoned};
pub use context::ImageContext;
pub use error::{Answer, ImageError, Trouble};
pub use load::{Loaded, Loader, is_archive_folder};
pub use profile::{PROFILES, Profile, ProfileError};
pub use prune::{Pruned, UNUSED, prune};
pub use resolve::{beside, check, resolve};

/// All images of a cluster. Each is in the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSet {
    /// The profile's name.
    pub profile: String,
    /// Why this profile was chosen.
    pub because: String,
    /// Kubernetes version, without `v`.
    pub kubernetes: String,
    /// The image of the nodes.
    pub node: NodeImage,
    /// The images of pods by role: `nginx-old`, `nginx-new`, `mysql`.
    pub workloads: BTreeMap<String, WorkloadImage>,
}

/// The image of nodes. It has the owner's label, which its containers inherit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeImage {
    /// Its name in the engine.
    pub reference: String,
    /// Identifies its content: a registry's digest, or the key of a build.
    pub id: String,
    /// Whether it contains the workloads' images already; if not, [`Loader::load`] loads them.
    pub baked: bool,
    /// A description of its source.
    pub built_from: String,
}

/// The image of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadImage {
    /// Its name in the engine and on nodes.
    pub reference: String,
    /// The image name in manifests that it replaces: `nginx:1.7.9`.
    pub stands_for: String,
    /// A description of its source.
    pub built_from: String,
    /// The version that the program reports, or a prefix of it: `1.22`.
    pub version: String,
}

/// Label that describes the source of an image that seatrial built or copied.
pub const BUILT_FROM_LABEL: &str = "dev.seatrial.built-from";

impl ImageSet {
    /// Returns the replacement for each image name in manifests.
    pub fn substitutions(&self) -> BTreeMap<String, String> {
        self.workloads.values().map(|w| (w.stands_for.clone(), w.reference.clone())).collect()
    }
}

//! Which images a cluster runs, and how they come to be there: pulled from a registry or built
//! here, then loaded onto nodes.

mod artefacts;
mod balancer;
pub mod build;
mod context;
mod error;
pub mod extract;
pub mod load;
pub mod profile;
mod prune;
mod recipes;
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

/// Every image of a cluster, present in the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSet {
    /// The profile's name.
    pub profile: String,
    /// Why this profile.
    pub because: String,
    /// Kubernetes version, without `v`.
    pub kubernetes: String,
    /// What nodes are made from.
    pub node: NodeImage,
    /// What pods run, by role: `nginx-old`, `nginx-new`, `mysql`.
    pub workloads: BTreeMap<String, WorkloadImage>,
}

/// What nodes are made from. It carries the owner's label, so its containers do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeImage {
    /// Its name in the engine.
    pub reference: String,
    /// What tells its content from any other: a registry's digest, or the key of a build.
    pub id: String,
    /// Whether the workloads' images are in it already; else [`Loader::load`] brings them.
    pub baked: bool,
    /// Where it comes from.
    pub built_from: String,
}

/// What a pod runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadImage {
    /// Its name, in the engine and on nodes.
    pub reference: String,
    /// The name in the manifests that it is run for: `nginx:1.7.9`.
    pub stands_for: String,
    /// Where it comes from.
    pub built_from: String,
    /// What the program says that it is, or how that begins: `1.22`.
    pub version: String,
}

/// Images that seatrial made or derived say in this label where they come from.
pub const BUILT_FROM_LABEL: &str = "dev.seatrial.built-from";

impl ImageSet {
    /// What a manifest's image names are replaced by.
    pub fn substitutions(&self) -> BTreeMap<String, String> {
        self.workloads.values().map(|w| (w.stands_for.clone(), w.reference.clone())).collect()
    }
}

//! Which images a cluster runs, and how they come to be there.

pub mod build;
pub mod profile;

pub use build::BuildError;
pub use profile::{Profile, ProfileError};

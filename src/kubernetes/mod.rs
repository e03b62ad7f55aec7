//! Versions of Kubernetes, and the rules of the version skew policy. No I/O.

pub mod skew;
pub mod version;

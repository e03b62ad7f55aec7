//! Clusters.

pub mod lock;
pub mod timing;
pub mod topology;

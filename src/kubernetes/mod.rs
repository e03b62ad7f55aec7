//! Terms of Kubernetes that need no I/O: versions, the rules of the version skew policy, taints.

pub mod skew;
pub mod taint;
pub mod version;

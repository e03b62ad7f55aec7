//! What Kubernetes itself says of its versions: how they are written, and which may run beside each other.

pub mod skew;
pub mod version;

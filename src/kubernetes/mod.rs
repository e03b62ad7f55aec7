//! Versions of Kubernetes, the rules of the version skew policy, and what kubeadm prints. No I/O.

pub mod etcd;
pub(crate) mod kubeadm_output;
pub mod skew;
pub mod version;

//! Terms of Kubernetes that need no I/O: versions, the rules of the version skew policy, taints, what kubeadm prints.

pub mod etcd;
pub(crate) mod kubeadm_output;
pub mod skew;
pub mod taint;
pub mod version;

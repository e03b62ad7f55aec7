//! What there is of a release on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A release's programs and images, on this machine's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefacts {
    /// Kubernetes version, without `v`.
    pub version: String,
    /// kubeadm, kubelet and kubectl, under these names.
    pub programs: Vec<Program>,
    /// Full names of the images that the release's kubeadm names.
    pub images: Vec<String>,
    /// Which of them are another image under that name, and which one. kind's node images hold the
    /// pause of their containerd, whatever their kubeadm names.
    pub stand_ins: BTreeMap<String, String>,
    /// All of them, as `docker save` or `ctr images export` writes them.
    pub archive: PathBuf,
}

/// A program's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it lies.
    pub file: PathBuf,
    /// The names that it is called by.
    pub names: Vec<String>,
}

//! The files of a release on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A release's programs and images, on this machine's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefacts {
    /// Kubernetes version, without `v`.
    pub version: String,
    /// kubeadm, kubelet and kubectl, under these names.
    pub programs: Vec<Program>,
    /// Full names of the images that the release's kubeadm requires.
    pub images: Vec<String>,
    /// Images under the name of another image: the required name, and the image that has it. kind's node images contain
    /// the pause image of their containerd, whichever version kubeadm requires.
    pub stand_ins: BTreeMap<String, String>,
    /// An archive of all images, as `docker save` or `ctr images export` writes it.
    pub archive: PathBuf,
}

/// A program's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The path of the file.
    pub file: PathBuf,
    /// The names under which the program is called.
    pub names: Vec<String>,
}

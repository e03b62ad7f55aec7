//! What a cluster is made from.

use std::path::Path;

use crate::cluster::state::record::Record;
use crate::cluster::topology::{TOPOLOGIES, Topology};
use crate::cluster::{ClusterError, names};
use crate::config::Settings;

/// What a cluster is made from, once images are resolved.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub name: String,
    /// The image profile; empty where the cluster is only found, and never made.
    pub profile: String,
    pub topology: Topology,
    pub kubernetes: String,
    pub image: String,
    pub workloads: Vec<String>,
}

impl Wanted {
    /// What the cluster of this name was made from, as its record says.
    pub(crate) fn of(settings: &Settings, name: &str) -> Result<Self, ClusterError> {
        names::check(name)?;
        let dir = settings.cluster_dir(name);
        let unknown = || ClusterError::Unknown { name: name.into() };
        let record = Record::read(&dir).ok_or_else(unknown)?;
        let topology = match TOPOLOGIES.iter().find(|t| t.name == record.topology) {
            Some(source) => source.read()?,
            None => own_topology(&dir, record.topology, unknown)?,
        };
        Ok(Self {
            name: record.name,
            profile: String::new(),
            topology,
            kubernetes: record.kubernetes,
            image: record.image,
            workloads: record.workloads,
        })
    }
}

/// A topology that does not come with seatrial is known by the file that kind was given.
fn own_topology(
    dir: &Path,
    name: String,
    unknown: impl Fn() -> ClusterError,
) -> Result<Topology, ClusterError> {
    let path = dir.join("kind.yaml");
    match std::fs::read_to_string(&path) {
        Ok(yaml) => Topology::read(name, yaml).map_err(|source| ClusterError::OwnTopology { path, source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(unknown()),
        Err(error) => Err(ClusterError::file("read", &path, error)),
    }
}

//! What a cluster is made from.

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
    pub topology: &'static Topology,
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
            Some(topology) => *topology,
            None => {
                // Somebody's own, known by its file alone. A few kilobytes for the life of the
                // process; a command line needs one.
                let yaml = std::fs::read_to_string(dir.join("kind.yaml")).map_err(|_| unknown())?;
                Box::leak(Box::new(Topology { name: record.topology.leak(), yaml: yaml.leak() }))
            }
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

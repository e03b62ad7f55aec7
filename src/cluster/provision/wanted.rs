//! The inputs of a cluster.

use std::path::Path;

use crate::cluster::state::record::Record;
use crate::cluster::topology::{TOPOLOGIES, Topology};
use crate::cluster::{ClusterError, names};
use crate::config::Settings;

/// The inputs of a cluster, after its images are resolved.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub name: String,
    /// The image profile; empty if the cluster is only found and never created.
    pub profile: String,
    pub topology: Topology,
    pub kubernetes: String,
    pub image: String,
    pub workloads: Vec<String>,
}

impl Wanted {
    /// Reads the inputs of the cluster of this name from its record.
    pub(crate) fn of(settings: &Settings, name: &str) -> Result<Self, ClusterError> {
        names::check(name)?;
        let dir = settings.cluster_dir(name);
        let unknown = || ClusterError::Unknown { name: name.into() };
        let record = Record::read(&dir).ok_or_else(unknown)?;
        let topology = match TOPOLOGIES.iter().find(|t| t.name == record.topology) {
            Some(source) => source.read()?,
            None => own_topology(&dir, name, record.topology)?,
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

/// Reads a topology that is not built into seatrial from the file that kind was given.
fn own_topology(dir: &Path, cluster: &str, topology: String) -> Result<Topology, ClusterError> {
    let path = dir.join("kind.yaml");
    let name = cluster.to_owned();
    match std::fs::read_to_string(&path) {
        Ok(yaml) => {
            Topology::read(topology, yaml).map_err(|source| ClusterError::OwnTopology { name, path, source })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(ClusterError::Unknown { name }),
        Err(error) => Err(ClusterError::file("read", &path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::Hint as _;

    #[test]
    fn an_own_topology_that_cannot_be_read_is_named_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let read = || own_topology(dir.path(), "c", "mine".into());
        assert!(matches!(read(), Err(ClusterError::Unknown { .. })));
        std::fs::write(dir.path().join("kind.yaml"), "nodes: [{role: worker}]").unwrap();
        let error = read().unwrap_err();
        assert!(error.to_string().contains("kind.yaml"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("seatrial down c"));
        std::fs::write(dir.path().join("kind.yaml"), "nodes: [{role: control-plane}]").unwrap();
        assert_eq!((read().unwrap().name(), read().unwrap().control_planes()), ("mine", 1));
    }
}

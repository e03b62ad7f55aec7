//! The specification of a cluster, which decides its name.

use ring::digest::{Context, SHA256};

use super::Topology;
use crate::cluster::state::owner::Identity;
use crate::image::ImageSet;

/// A topology with the images to run on it. Equal specs share a cluster. A cluster that was upgraded keeps its name,
/// and the next cluster of the same spec gets a name with a number.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// The topology.
    pub topology: Topology,
    /// The images.
    pub images: ImageSet,
    /// Separates the cluster from the shared ones: the end of its name, of lower case letters and digits. For a
    /// cluster that will be changed, for example by an upgrade.
    pub cluster_suffix: Option<String>,
}

impl ClusterSpec {
    /// Returns eight hexadecimal digits that change with every input of the cluster: the topology's YAML, the node
    /// image's content, the workloads' images, the Kubernetes version.
    pub fn hash(&self) -> String {
        let ImageSet { kubernetes, node, workloads, .. } = &self.images;
        let mut parts: Vec<&str> = vec![self.topology.yaml(), kubernetes, &node.reference, &node.id];
        for (role, image) in workloads {
            parts.extend([role.as_str(), &image.reference, &image.built_from]);
        }
        let mut sha = Context::new(&SHA256);
        for part in parts {
            // The length separates neighbours: `ab`, `c` is not `a`, `bc`.
            sha.update(&(part.len() as u64).to_be_bytes());
            sha.update(part.as_bytes());
        }
        hex::encode(&sha.finish().as_ref()[..4])
    }

    /// Returns the cluster's name: `seatrial-<topology>-<hash>-<tag>`, and the suffix if there is one. The tag
    /// identifies the state folder and the engine: two users of one engine never use the same name.
    pub fn name(&self, identity: &Identity) -> String {
        let suffix = self.cluster_suffix.as_ref().map(|a| format!("-{a}")).unwrap_or_default();
        format!("seatrial-{}-{}-{}{suffix}", self.topology.name(), self.hash(), identity.tag())
    }

    /// Returns the name of the `number`th cluster of this spec, from 1. Clusters with lower numbers were upgraded, or
    /// are kept.
    pub fn numbered(&self, identity: &Identity, number: usize) -> String {
        match number {
            0 | 1 => self.name(identity),
            _ => format!("{}-{number}", self.name(identity)),
        }
    }

    /// Returns the references of the images that every node must hold, each once.
    pub fn workloads(&self) -> Vec<String> {
        let mut all: Vec<String> = self.images.workloads.values().map(|w| w.reference.clone()).collect();
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ONE, THREE};
    use super::*;
    use crate::image::{NodeImage, WorkloadImage};

    fn spec() -> ClusterSpec {
        let nginx = WorkloadImage {
            reference: "seatrial.local/nginx:1.22".into(),
            stands_for: "nginx:1.7.9".into(),
            built_from: "nginx-light 1.22.1".into(),
            version: "1.22".into(),
        };
        let images = ImageSet {
            profile: "offline".into(),
            because: "asked for".into(),
            kubernetes: "1.34.4".into(),
            node: NodeImage {
                reference: "seatrial.local/node:1".into(),
                id: "k1".into(),
                baked: true,
                built_from: "source".into(),
            },
            workloads: [("nginx-old".to_owned(), nginx)].into(),
        };
        let topology = Topology::read("small", "nodes: [{role: control-plane}]").unwrap();
        ClusterSpec { topology, images, cluster_suffix: None }
    }

    fn us() -> Identity {
        Identity { state: "0123456789abcdef".into(), engine: "engine".into() }
    }

    #[test]
    fn two_state_folders_on_one_engine_want_different_names() {
        let other = Identity { state: "fedcba9876543210".into(), ..us() };
        assert_ne!(spec().name(&us()), spec().name(&other));
        let elsewhere = Identity { engine: "another".into(), ..us() };
        assert_ne!(spec().name(&us()), spec().name(&elsewhere));
    }

    #[test]
    fn the_hash_stays_what_it_was() {
        // If this value changes, an update of seatrial creates every cluster again.
        assert_eq!(spec().name(&us()), format!("seatrial-small-e8076d38-{}", us().tag()));
    }

    #[test]
    fn the_hash_follows_everything_that_a_cluster_is_made_from() {
        let base = spec().hash();
        let changed = |change: fn(&mut ClusterSpec)| {
            let mut other = spec();
            change(&mut other);
            other.hash()
        };
        assert_ne!(base, changed(|s| s.topology = THREE.read().unwrap()));
        assert_ne!(
            changed(|s| s.topology = ONE.read().unwrap()),
            changed(|s| s.topology = THREE.read().unwrap())
        );
        assert_ne!(base, changed(|s| s.images.kubernetes = "1.35.4".into()));
        assert_ne!(base, changed(|s| s.images.node.id = "k2".into()));
        assert_ne!(base, changed(|s| s.images.workloads.clear()));
        // The reason why a profile was chosen does not change what runs.
        assert_eq!(base, changed(|s| s.images.because = "no registry answers".into()));
        assert_eq!(base, changed(|s| s.images.profile = "auto".into()));
    }

    #[test]
    fn names_fit_what_kind_allows() {
        for topology in crate::cluster::TOPOLOGIES {
            let topology = topology.read().unwrap();
            let spec = ClusterSpec { topology, cluster_suffix: Some("upgrade".into()), ..spec() };
            let name = spec.numbered(&us(), 99);
            assert!(name.len() <= 50, "{name}: node names must be host names");
            assert!(name.starts_with(&spec.name(&us())) && name.ends_with("-upgrade-99"));
        }
    }
}

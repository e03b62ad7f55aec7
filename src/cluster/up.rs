//! Creates a cluster to keep, and loads images into a cluster.

use super::clusters::Clusters;
use super::lease::lock::Access;
use super::state::record::Record;
use super::topology::spec::ClusterSpec;
use super::{Cluster, ClusterError};
use crate::deadline::Deadline;
use crate::image;

impl Clusters {
    /// Creates or reuses a cluster and leaves it ready and free. From then on the cluster is kept: no lease replaces
    /// it and no idle time removes it. Only [`Clusters::delete`] or a reap of all clusters removes it.
    ///
    /// # Errors
    /// Those of [`Clusters::acquire`], [`ClusterError::File`].
    pub async fn up(&self, spec: &ClusterSpec, deadline: Deadline) -> Result<Cluster, ClusterError> {
        let lease = self.acquire(spec, Access::Shared, deadline).await?;
        let cluster = lease.cluster.clone();
        if let Some(record) = Record::read(&cluster.dir).filter(|r| !r.kept) {
            Record { kept: true, ..record }.write(&cluster.dir)?;
        }
        lease.release().await?;
        Ok(cluster)
    }

    /// Loads images from the container engine onto every node of a cluster; a node that has an image is skipped.
    ///
    /// # Errors
    /// [`ClusterError::Image`], and those of [`Clusters::existing`].
    pub async fn load(
        &self,
        name: &str,
        references: &[&str],
        deadline: Deadline,
    ) -> Result<Vec<image::Loaded>, ClusterError> {
        let lease = self.existing(name, Access::Shared, deadline).await?;
        let nodes: Vec<&str> = lease.cluster.nodes.iter().map(|n| n.name.as_str()).collect();
        let (engine, progress) = (&self.engine, &self.progress);
        let loader = image::Loader { engine, scratch: &lease.cluster.dir, progress };
        let loaded = loader.load(&nodes, references, deadline).await;
        lease.release().await?;
        Ok(loaded?)
    }
}

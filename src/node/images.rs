//! The images in a node's container runtime.

use std::collections::BTreeSet;

use crate::deadline::Deadline;
use crate::engine::{Engine, EngineError};

/// Returns the full names of the images that the node's containerd has for Kubernetes.
///
/// # Errors
/// [`EngineError`] if the node does not run, or does not answer before the deadline.
pub async fn images(
    engine: &Engine,
    node: &str,
    deadline: Deadline,
) -> Result<BTreeSet<String>, EngineError> {
    let argv = ["ctr", "-n", "k8s.io", "images", "ls", "-q"];
    let listed = engine.exec_ok(node, &argv, None, deadline).await?;
    Ok(listed.lines().map(|line| line.trim().to_owned()).collect())
}

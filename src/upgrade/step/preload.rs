//! Step `preload`: copies programs and images onto every node before anything changes.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Manner, Step, Upgrading};
use crate::deadline::Deadline;
use crate::image::Program;
use crate::image::load::{Archive, load_archive};
use crate::kubernetes::etcd::EtcdPolicy;
use crate::node::Node;
use crate::upgrade::error::UpgradeError;
use crate::upgrade::facts::ClusterFacts;
use crate::upgrade::pace::Pace;
use crate::upgrade::{look, programs_dir};

/// Copies the new release's programs and images onto every node. Nothing uses them yet.
#[derive(Clone, Copy, Debug)]
pub struct Preload;

/// The step.
pub static PRELOAD: Preload = Preload;

/// Writes a program into a temporary folder. [`FINISH`] renames that folder.
const STORE: &str = r#"mkdir -p "$1.part" && cat > "$1.part/$2" && chmod 755 "$1.part/$2""#;

/// Creates the other names of a program as links.
const LINK: &str =
    r#"cd "$1.part" && shift && file=$1 && shift && for name; do ln -sfn "$file" "$name"; done"#;

/// Renames the temporary folder. A folder with its final name is complete.
const FINISH: &str = r#"sync "$1.part" && rm -rf "$1" && mv "$1.part" "$1""#;

impl Step for Preload {
    fn manner(&self) -> Manner {
        Manner {
            name: "preload",
            about: "copies the new programs and images onto every node",
            is_safe: true,
            backs_out: true,
            limit: Duration::from_secs(15 * 60),
        }
    }

    fn expected(&self, facts: &ClusterFacts, _: EtcdPolicy) -> Duration {
        // Measured: 13.8 and 15.7 s for three nodes.
        Duration::from_secs(5 + 4 * facts.nodes.len() as u64)
    }

    fn run<'a>(
        &'a self,
        up: &'a Upgrading<'a>,
        _: Option<&'a Node>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, UpgradeError>> {
        async move {
            let images: Vec<&str> = up.artefacts.images.iter().map(String::as_str).collect();
            let archive = Archive { file: &up.artefacts.archive, references: &images };
            let pace = Pace::start(up.client);
            let mut loaded = Vec::new();
            // Nodes are filled one after another, in pieces that wait for the API: the workloads on the cluster
            // should not notice.
            for node in up.nodes {
                up.detail(&node.name);
                programs(up, node, &pace, deadline).await?;
                let paced = |file| pace.reader(file);
                if load_archive(up.engine, &node.name, &archive, paced, deadline).await? {
                    loaded.push(&node.name);
                }
            }
            look::complete(up, deadline).await?;
            let nodes: Vec<&str> = up.nodes.iter().map(|n| n.name.as_str()).collect();
            let mut proof = json!({
                "nodes": nodes, "images": images, "loaded_onto": loaded, "held_up": pace.held().as_secs_f64(),
            });
            if !up.artefacts.stand_ins.is_empty() {
                proof["stand_ins"] = json!(up.artefacts.stand_ins);
            }
            Ok(proof)
        }
        .boxed()
    }
}

async fn programs(
    up: &Upgrading<'_>,
    node: &Node,
    pace: &Pace,
    deadline: Deadline,
) -> Result<(), UpgradeError> {
    let dir = programs_dir(up.to);
    if up.engine.exec(&node.name, &["test", "-d", &dir], None, deadline).await?.code == 0 {
        return Ok(());
    }
    for Program { file, names } in &up.artefacts.programs {
        let open = tokio::fs::File::open(file).await;
        let open = open.map_err(|source| UpgradeError::File { doing: "read", path: file.clone(), source })?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let store = ["sh", "-c", STORE, "store", &dir, &name];
        up.engine.exec_reading(&node.name, &store, pace.reader(open), deadline).await?;
        let mut link = vec!["sh", "-c", LINK, "link", &dir, &name];
        link.extend(names.iter().map(String::as_str).filter(|n| *n != name));
        up.engine.exec_ok(&node.name, &link, None, deadline).await?;
    }
    up.engine.exec_ok(&node.name, &["sh", "-c", FINISH, "finish", &dir], None, deadline).await?;
    Ok(())
}

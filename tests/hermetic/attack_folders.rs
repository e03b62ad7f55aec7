//! An attack on point 7 of the issue on ownership: each test asserts what is right.

use std::path::PathBuf;
use std::time::Duration;

use rstest::rstest;
use seatrial::client::Client;
use seatrial::deadline::Deadline;
use seatrial::manifest::HostFolder;
use seatrial::node::{Node, ROOT};
use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::fake_engine::FakeEngine;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

const DATA: &str = "/mnt/data";

/// A cluster of two nodes with disks, as in host_folder.rs.
struct Disks {
    api: FakeApi,
    client: Client,
    engine: FakeEngine,
    nodes: Vec<Node>,
}

impl Disks {
    async fn new() -> anyhow::Result<Self> {
        let (api, engine) = (FakeApi::start().await, FakeEngine::cluster(&["cp"])?);
        for name in ["w", "cp"] {
            let disk = engine.dir().join(name);
            std::fs::create_dir_all(disk.join("mnt"))?;
            engine.change(name, |c| c.disk = Some(disk));
        }
        let nodes = vec![engine.node("w").await?, engine.plane("cp").await?];
        let ground = Self { client: api.client().await, api, engine, nodes };
        for namespace in ["b", "c"] {
            ground.api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        }
        Ok(ground)
    }

    fn on(&self, path: &str) -> PathBuf {
        self.engine.dir().join("w").join(path.trim_start_matches('/'))
    }

    fn fill(&self, path: &str) -> anyhow::Result<PathBuf> {
        let folder = self.on(path).join("mysql");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("rows"), "rows")?;
        Ok(folder.join("rows"))
    }

    async fn claim(&self, namespace: &str, path: &str) -> Result<(), String> {
        let nodes: Vec<&Node> = self.nodes.iter().collect();
        let folder = HostFolder::new("r1", namespace, path);
        let claimed = folder.claim(&self.client, &nodes, soon()).await;
        claimed.map(drop).map_err(|e| e.to_string())
    }
}

fn host_path(path: &str) -> Value {
    json!({"containers": [], "volumes": [{"name": "v", "hostPath": {"path": path}}]})
}

/// A killed run left its record of /mnt/data, and a user has used the folder since.
#[rstest]
#[case::a_job_that_has_ended(json!({
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "load", "namespace": "default"},
    "spec": host_path(DATA), "status": {"phase": "Succeeded"},
}))]
#[case::a_server_scaled_to_zero(json!({
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "mysql", "namespace": "default"},
    "spec": {"replicas": 0, "selector": {}, "template": {"spec": host_path(DATA)}},
}))]
#[case::another_name_of_the_folder(json!({
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mysql", "namespace": "default"},
    "spec": host_path("/mnt/alias"), "status": {"phase": "Running"},
}))]
#[tokio::test]
async fn rows_of_a_user_that_the_api_still_shows_are_kept(#[case] user: Value) -> anyhow::Result<()> {
    let ground = Disks::new().await?;
    ground.claim("a", DATA).await.unwrap();
    std::os::unix::fs::symlink(ground.on(DATA), ground.on("/mnt/alias"))?;
    ground.api.put(user);
    let rows = ground.fill(DATA)?;
    let claimed = ground.claim("b", DATA).await;
    assert!(rows.exists() && claimed.is_err(), "{claimed:?}");
    Ok(())
}

/// A record permits to empty its folder, and not one in it that a living test has.
#[tokio::test]
async fn a_folder_of_a_living_test_below_is_not_emptied() -> anyhow::Result<()> {
    let ground = Disks::new().await?;
    ground.claim("a", DATA).await.unwrap();
    ground.claim("b", "/mnt/data/x").await.unwrap();
    let rows = ground.fill("/mnt/data/x")?;
    let claimed = ground.claim("c", DATA).await;
    assert!(rows.exists() && claimed.is_err(), "{claimed:?}");
    Ok(())
}

/// The records lie there: whoever empties it empties them.
#[tokio::test]
async fn the_folder_of_all_records_is_nobodys() -> anyhow::Result<()> {
    let ground = Disks::new().await?;
    assert!(ground.claim("a", ROOT).await.is_err());
    Ok(())
}

/// A user put a link to a larger disk where the folder was.
#[tokio::test]
async fn one_folder_that_cannot_be_swept_keeps_no_other_one() -> anyhow::Result<()> {
    let ground = Disks::new().await?;
    let other = format!("{ROOT}/gone");
    for path in [DATA, other.as_str()] {
        ground.claim("gone", path).await.unwrap();
    }
    let rows = ground.fill(&other)?;
    std::fs::create_dir(ground.on("/mnt/large"))?;
    std::os::unix::fs::symlink(ground.on("/mnt/large"), ground.on(DATA))?;
    let swept = HostFolder::sweep(&ground.client, &[&ground.nodes[0]], soon()).await;
    assert!(!rows.exists(), "{swept:?}");
    assert!(swept.is_ok(), "{swept:?}");
    Ok(())
}

//! Folders on the nodes that tests fill: nobody else's files are deleted. The shells really run, with a folder of the
//! test as each node's disk.

use std::path::PathBuf;
use std::time::Duration;

use rstest::rstest;
use seatrial::client::Client;
use seatrial::deadline::Deadline;
use seatrial::hint::Hint;
use seatrial::manifest::{FIELD_MANAGER, HostFolder, HostFolderError, NAMESPACE_LABEL};
use seatrial::node::{FolderRecord, Node, NodeError, Power, ROOT};
use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::fake_engine::{FakeEngine, Trouble};

const DATA: &str = "/mnt/data";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// A cluster of two nodes with disks.
struct Ground {
    api: FakeApi,
    client: Client,
    engine: FakeEngine,
    nodes: Vec<Node>,
}

impl Ground {
    async fn new() -> anyhow::Result<Self> {
        let (api, engine) = (FakeApi::start().await, FakeEngine::cluster(&["cp"])?);
        for name in ["w", "cp"] {
            let disk = engine.dir().join(name);
            std::fs::create_dir_all(disk.join("mnt"))?;
            engine.change(name, |c| c.disk = Some(disk));
        }
        let nodes = vec![engine.node("w").await?, engine.plane("cp").await?];
        let ground = Self { client: api.client().await, api, engine, nodes };
        for namespace in ["a", "b"] {
            ground.api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        }
        Ok(ground)
    }

    fn nodes(&self) -> Vec<&Node> {
        self.nodes.iter().collect()
    }

    fn on(&self, node: &str, path: &str) -> PathBuf {
        self.engine.dir().join(node).join(path.trim_start_matches('/'))
    }

    /// A server's files in a folder of a node.
    fn fill(&self, node: &str, path: &str) -> anyhow::Result<PathBuf> {
        let folder = self.on(node, path);
        std::fs::create_dir_all(folder.join("mysql"))?;
        std::fs::write(folder.join("mysql/rows"), "rows")?;
        Ok(folder.join("mysql/rows"))
    }

    async fn claim(&self, namespace: &str, path: &str) -> Result<usize, HostFolderError> {
        let folder = HostFolder::new("r1", namespace, path);
        Ok(folder.claim(&self.client, &self.nodes(), soon()).await?.len())
    }

    async fn release(&self, namespace: &str, path: &str) -> Result<(), HostFolderError> {
        HostFolder::new("r1", namespace, path).release(&self.client, &self.nodes(), soon()).await
    }

    /// Namespace and path of each record. Both nodes have the same records.
    async fn records(&self) -> anyhow::Result<Vec<(String, String)>> {
        let names = |found: Vec<FolderRecord>| -> Vec<_> {
            found.into_iter().map(|r| (r.namespace, r.path)).collect()
        };
        let (w, cp) = (self.nodes[0].folder_records().await?, self.nodes[1].folder_records().await?);
        let (w, cp) = (names(w), names(cp));
        assert_eq!(w, cp);
        Ok(w)
    }
}

fn named(namespace: &str, path: &str) -> (String, String) {
    (namespace.into(), path.into())
}

#[tokio::test]
async fn a_folder_is_recorded_and_given_back_empty() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    let below = format!("{ROOT}/a");
    for path in [DATA, below.as_str()] {
        assert_eq!(ground.claim("a", path).await?, 0);
        assert_eq!(ground.records().await?, [named("a", path)]);
        // The program that fills the folder needs it empty, so the record lies elsewhere.
        assert_eq!(std::fs::read_dir(ground.on("w", path))?.count(), 0, "{path}");
        let rows = ground.fill("w", path)?;
        ground.release("a", path).await?;
        assert!(!rows.exists() && ground.records().await?.is_empty());
        // A folder above it may belong to somebody else. Ours is removed.
        assert_eq!(ground.on("w", path).exists(), path == DATA, "{path}");
    }
    Ok(())
}

/// One node is enough for a refusal. The folders of the others stay as they are.
#[tokio::test]
async fn files_without_a_record_are_refused_and_stay() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    let rows = ground.fill("cp", DATA)?;
    let error = ground.claim("a", DATA).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused to use /mnt/data on cp: it holds mysql/, and no record says that seatrial made it"
    );
    assert!(error.hint().unwrap().contains("docker exec cp ls -la /mnt/data"));
    assert!(rows.exists() && ground.records().await?.is_empty());
    // Returning a folder that was never taken deletes nothing, either.
    ground.release("a", DATA).await.unwrap_err();
    assert!(rows.exists());
    Ok(())
}

#[tokio::test]
async fn the_next_test_empties_the_folder_of_a_killed_one() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.claim("a", DATA).await?;
    let rows = ground.fill("w", DATA)?;
    ground.api.remove("Namespace", "", "a");
    assert_eq!(ground.claim("b", DATA).await?, 1, "what was found is told");
    assert!(!rows.exists());
    assert_eq!(ground.records().await?, [named("b", DATA)]);
    Ok(())
}

fn volume(source: Value, labels: Value) -> Value {
    let mut spec = source;
    spec["capacity"] = json!({"storage": "1Gi"});
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv", "labels": labels}, "spec": spec})
}

fn pod(namespace: &str, path: &str, phase: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace},
        "spec": {"containers": [], "volumes": [{"name": "v", "hostPath": {"path": path}}]},
        "status": {"phase": phase},
    })
}

/// A workload without pods.
fn template(version: &str, kind: &str) -> Value {
    let template = json!({"spec": pod("", "/mnt/data", "")["spec"]});
    json!({
        "apiVersion": version, "kind": kind, "metadata": {"name": "p", "namespace": "default"},
        "spec": {"replicas": 0, "selector": {}, "serviceName": "p", "template": template},
    })
}

fn cron_job() -> Value {
    let mut job = template("batch/v1", "CronJob");
    job["spec"] = json!({"schedule": "@daily", "jobTemplate": {"spec": job["spec"]}});
    job
}

#[rstest]
#[case::volume(volume(json!({"hostPath": {"path": "/mnt/data"}}), json!({})), "PersistentVolume pv uses /mnt/data")]
#[case::local_volume_below(volume(json!({"local": {"path": "/mnt/data/x/"}}), json!({})), "pv uses /mnt/data/x/")]
#[case::volume_above(volume(json!({"hostPath": {"path": "/mnt"}}), json!({})), "pv uses /mnt")]
#[case::volume_of_another_test(
    volume(json!({"hostPath": {"path": "/mnt/data"}}), json!({NAMESPACE_LABEL: "b"})), "pv uses /mnt/data"
)]
#[case::pod(pod("default", "/mnt/data", "Running"), "pod default/p uses /mnt/data")]
#[case::ended_pod(pod("default", "/mnt/data", "Succeeded"), "pod default/p uses /mnt/data")]
#[case::server_at_zero(template("apps/v1", "Deployment"), "Deployment default/p uses /mnt/data")]
#[case::replica_set(template("apps/v1", "ReplicaSet"), "ReplicaSet default/p uses /mnt/data")]
#[case::controller(template("v1", "ReplicationController"), "ReplicationController default/p uses /mnt/data")]
#[case::stateful_set(template("apps/v1", "StatefulSet"), "StatefulSet default/p uses /mnt/data")]
#[case::daemon_set(template("apps/v1", "DaemonSet"), "DaemonSet default/p uses /mnt/data")]
#[case::job(template("batch/v1", "Job"), "Job default/p uses /mnt/data")]
#[case::cron_job(cron_job(), "CronJob default/p uses /mnt/data")]
#[tokio::test]
async fn a_path_that_somebody_else_uses_is_refused(
    #[case] user: Value,
    #[case] why: &str,
) -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.claim("a", DATA).await?;
    let rows = ground.fill("w", DATA)?;
    let object = ground.api.put(user);
    let error = ground.claim("a", DATA).await.unwrap_err();
    assert!(matches!(error, HostFolderError::Used { .. }) && error.to_string().ends_with(why), "{error}");
    assert!(error.hint().unwrap().contains("kubectl get persistentvolumes,pods"));
    // From now on the files may be theirs. No record permits the deletion, even after the user is gone.
    assert!(rows.exists() && ground.records().await?.is_empty());
    let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
    ground.api.remove(kind, object["metadata"]["namespace"].as_str().unwrap_or_default(), name);
    let error = ground.claim("a", DATA).await.unwrap_err();
    assert!(matches!(error, HostFolderError::Foreign { .. }) && rows.exists(), "{error}");
    Ok(())
}

/// The same object, created by seatrial.
fn made(mut object: Value) -> Value {
    object["metadata"]["managedFields"] = json!([{"manager": FIELD_MANAGER, "operation": "Apply"}]);
    object
}

#[rstest]
#[case::own_volume(made(volume(json!({"hostPath": {"path": "/mnt/data"}}), json!({NAMESPACE_LABEL: "a"}))))]
#[case::own_pod(pod("a", "/mnt/data", "Running"))]
#[case::own_ended_pod(pod("a", "/mnt/data", "Succeeded"))]
#[case::other_path(pod("default", "/mnt/data2", "Running"))]
#[case::no_path(volume(json!({}), json!({})))]
#[tokio::test]
async fn unrelated_objects_do_not_block_a_folder(#[case] object: Value) -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.api.put(object);
    ground.claim("a", DATA).await?;
    ground.release("a", DATA).await?;
    Ok(())
}

/// The dead test's own pod, in a namespace that cannot be deleted. Its files are still ours after the pod has gone.
#[tokio::test]
async fn a_folder_that_a_dead_test_still_uses_stays_recorded() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.claim("a", DATA).await?;
    ground.api.put(pod("a", DATA, "Running"));
    assert!(matches!(ground.claim("b", DATA).await, Err(HostFolderError::Used { .. })));
    assert_eq!(ground.records().await?, [named("a", DATA)]);
    Ok(())
}

/// Somebody began to use it while the test ran.
#[tokio::test]
async fn a_folder_that_somebody_uses_by_now_is_left_alone() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.claim("a", DATA).await?;
    let rows = ground.fill("w", DATA)?;
    ground.api.put(pod("default", DATA, "Running"));
    assert!(matches!(ground.release("a", DATA).await, Err(HostFolderError::Used { .. })));
    assert!(rows.exists() && ground.records().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn folders_of_namespaces_that_are_gone_are_swept() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    let (gone, used) = (format!("{ROOT}/gone"), format!("{ROOT}/used"));
    for (namespace, path) in [("gone", gone.as_str()), ("used", used.as_str()), ("a", DATA)] {
        ground.claim(namespace, path).await?;
        ground.fill("w", path)?;
    }
    let unrecorded = ground.fill("w", "/mnt/seatrial/theirs")?;
    ground.api.put(pod("default", &used, "Running"));
    let said = HostFolder::sweep(&ground.client, &ground.nodes(), soon()).await?;
    // From then on neither folder is seatrial's.
    assert!(said.iter().all(|left| !left.stays), "{said:?}");
    let on_w: Vec<&String> = said.iter().map(|left| &left.text).filter(|s| s.contains(" on w ")).collect();
    assert_eq!(
        on_w,
        [
            "/mnt/seatrial/gone on w was left by the test in gone, which is gone: emptied",
            "/mnt/seatrial/used on w was left by the test in used, which is gone: pod default/p uses \
             /mnt/seatrial/used, so it stays",
        ]
    );
    assert_eq!(ground.records().await?, [named("a", DATA)]);
    assert!(
        !ground.on("w", &gone).exists() && ground.on("w", &used).exists() && ground.on("w", DATA).exists()
    );
    assert!(unrecorded.exists());
    Ok(())
}

/// The record that was just read may be withdrawn, and a path may lead somewhere else.
#[tokio::test]
async fn a_node_empties_only_what_its_own_record_permits() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    let node = &ground.nodes[0];
    let record = FolderRecord { path: DATA.into(), run: "r1".into(), namespace: "a".into(), identity: None };
    let rows = ground.fill("w", DATA)?;
    let error = node.empty_folder(&record, soon()).await.unwrap_err();
    assert!(error.to_string().contains("no record permits it"), "{error}");
    // A copy of a record under another name, and a file that is no record.
    node.record_folder(&record, soon()).await?;
    let records = ground.on("w", "/mnt/seatrial/.records");
    std::fs::rename(records.join("a+mnt+data"), records.join("b+mnt+data"))?;
    std::fs::write(records.join("a+mnt+data"), "{\"path\":")?;
    assert_eq!(node.folder_records().await?, []);
    // A link to somebody's files.
    let home = ground.on("w", "/mnt/home");
    std::fs::rename(ground.on("w", DATA), &home)?;
    std::os::unix::fs::symlink(&home, ground.on("w", DATA))?;
    node.record_folder(&record, soon()).await?;
    let error = node.empty_folder(&record, soon()).await.unwrap_err();
    assert!(error.to_string().contains("the path leads elsewhere"), "{error}");
    assert!(home.join("mysql/rows").exists() && !rows.exists() || rows.exists());
    // A container that is not a node of ours.
    ground.engine.change("w", |c| drop(c.labels.remove(seatrial::node::OWNER_LABEL)));
    for done in [node.record_folder(&record, soon()).await, node.forget_folder(&record, soon()).await] {
        assert!(matches!(done, Err(NodeError::NotOurs { .. })), "{done:?}");
    }
    Ok(())
}

#[tokio::test]
async fn only_a_plain_path_is_taken() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    for path in ["/mnt", "/mnt/../etc/x", "mnt/data"] {
        assert!(matches!(ground.claim("a", path).await, Err(HostFolderError::Path { .. })), "{path}");
    }
    assert!(ground.records().await?.is_empty());
    Ok(())
}

/// The API knows the folder by another name.
#[tokio::test]
async fn a_pod_on_a_link_to_the_folder_uses_it() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.claim("a", DATA).await?;
    ground.api.remove("Namespace", "", "a");
    std::os::unix::fs::symlink(ground.on("w", "/mnt"), ground.on("w", "/mnt/alias"))?;
    ground.api.put(pod("default", "/mnt/alias/data/x", "Running"));
    let rows = ground.fill("w", DATA)?;
    let claimed = ground.claim("b", DATA).await;
    assert!(matches!(claimed, Err(HostFolderError::Used { .. })) && rows.exists(), "{claimed:?}");
    Ok(())
}

/// A record permits the removal of its own folder's contents, but not of a living test's folder inside.
#[rstest]
#[case::the_same(DATA)]
#[case::below("/mnt/data/x")]
#[tokio::test]
async fn a_folder_of_a_living_test_is_not_emptied(#[case] path: &str) -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.claim("gone", DATA).await?;
    ground.claim("b", path).await?;
    let rows = ground.fill("w", path)?;
    let error = ground.claim("a", DATA).await.unwrap_err();
    assert!(error.to_string().contains(&format!("the test in b has {path} on w")), "{error}");
    let said = HostFolder::sweep(&ground.client, &ground.nodes(), soon()).await?;
    assert!(rows.exists() && (path == DATA || said[0].text.contains("so it stays")), "{said:?}");
    // The dead test's folder above it is still recorded.
    assert!(said.iter().all(|left| left.stays), "{said:?}");
    Ok(())
}

/// This folder holds the records. Emptying it would delete them.
#[tokio::test]
async fn the_folder_of_all_records_cannot_be_used() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    assert!(matches!(ground.claim("a", ROOT).await, Err(HostFolderError::Path { .. })));
    Ok(())
}

/// The dead test's folder is gone, and the user created one of the same name.
#[tokio::test]
async fn another_folder_than_the_recorded_one_is_not_emptied() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.claim("gone", DATA).await?;
    std::fs::rename(ground.on("w", DATA), ground.on("w", "/mnt/old"))?;
    let rows = ground.fill("w", DATA)?;
    let error = ground.claim("b", DATA).await.unwrap_err();
    assert!(error.to_string().contains("it is not the folder that seatrial recorded there"), "{error}");
    let node = &ground.nodes[0];
    let record = node.folder_records().await?.remove(0);
    let error = node.empty_folder(&record, soon()).await.unwrap_err();
    assert!(error.to_string().contains("it is not the folder that was recorded"), "{error}");
    assert!(rows.exists());
    Ok(())
}

/// `find -xdev` that starts inside a mount also enters mounts of the same device.
#[rstest]
#[case::there("/mnt/data")]
#[case::below("/mnt/data/mysql")]
#[tokio::test]
async fn a_folder_with_a_mount_is_not_emptied(#[case] mount: &str) -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.claim("gone", DATA).await?;
    let rows = ground.fill("w", DATA)?;
    let line = format!("36 35 98:0 / {} rw shared:1 - ext4 /dev/x rw\n", ground.on("w", mount).display());
    std::fs::write(ground.on("w", "mountinfo"), line)?;
    let error = ground.claim("b", DATA).await.unwrap_err();
    assert!(error.to_string().contains(&format!("something is mounted at {mount}")), "{error}");
    let said = HostFolder::sweep(&ground.client, &[&ground.nodes[0]], soon()).await?;
    assert!(
        said[0].text.contains("and stays: ") && said[0].text.contains("is mounted at") && rows.exists(),
        "{said:?}"
    );
    Ok(())
}

/// A user replaced the folder by a link to a larger disk.
#[tokio::test]
async fn one_folder_that_cannot_be_swept_keeps_no_other_one() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    let other = format!("{ROOT}/gone");
    for path in [DATA, other.as_str()] {
        ground.claim("gone", path).await?;
    }
    let rows = ground.fill("w", &other)?;
    std::fs::rename(ground.on("w", DATA), ground.on("w", "/mnt/large"))?;
    std::os::unix::fs::symlink(ground.on("w", "/mnt/large"), ground.on("w", DATA))?;
    let said = HostFolder::sweep(&ground.client, &[&ground.nodes[0]], soon()).await?;
    assert!(!rows.exists() && said[0].text.contains("the path leads elsewhere"), "{said:?}");
    assert_eq!(said.iter().map(|left| left.stays).collect::<Vec<_>>(), [true, false], "{said:?}");
    Ok(())
}

/// Its files can be read but not changed.
#[tokio::test]
async fn a_dead_tests_folder_on_a_stopped_node_is_named_and_stays_recorded() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.claim("gone", DATA).await?;
    let rows = ground.fill("w", DATA)?;
    ground.engine.change("w", |c| c.power = Power::Exited);
    let said = HostFolder::sweep(&ground.client, &ground.nodes(), soon()).await?;
    let [w, cp] = said.as_slice() else { panic!("{said:?}") };
    assert!(w.stays && w.text.starts_with("/mnt/data on w was left by the test in gone"), "{said:?}");
    assert!(w.text.contains("and stays: failed to empty /mnt/data on w: "), "{said:?}");
    assert!(!cp.stays && rows.exists(), "{said:?}");
    assert_eq!(ground.nodes[0].folder_records().await?.len(), 1);
    // As soon as the node runs, the folder is emptied.
    ground.engine.change("w", |c| c.power = Power::Running);
    let said = HostFolder::sweep(&ground.client, &ground.nodes(), soon()).await?;
    assert!(said.len() == 1 && !said[0].stays && !rows.exists(), "{said:?}");
    Ok(())
}

/// Whether this node has a folder of a dead test is unknown. The other node is examined nevertheless.
#[rstest]
#[case::files("/archive", Power::Exited)]
#[case::state("GET /containers/w/json", Power::Running)]
#[tokio::test]
async fn an_unreadable_node_counts_as_one_with_leftovers(
    #[case] asked: &'static str,
    #[case] power: Power,
) -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    ground.claim("gone", DATA).await?;
    let rows = ground.fill("w", DATA)?;
    ground.engine.change("w", |c| c.power = power);
    ground.engine.trouble(asked, Trouble::Status(500, "input/output error"), 1);
    let said = HostFolder::sweep(&ground.client, &ground.nodes(), soon()).await?;
    let [w, cp] = said.as_slice() else { panic!("{said:?}") };
    assert!(w.stays && w.text.contains("failed to read the records of folders on w: "), "{said:?}");
    assert!(!cp.stays && cp.text.contains(" on cp "), "{said:?}");
    assert!(rows.exists());
    Ok(())
}

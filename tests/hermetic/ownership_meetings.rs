//! Ownership when two commands, two owners or a killed run meet: seatrial keeps what belongs to others, and removes
//! what belongs to seatrial.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use seatrial::cluster::lease::lock::{Access, LockFiles};
use seatrial::cluster::{Action, ClusterError, Force, ReapOptions};
use seatrial::deadline::Deadline;
use seatrial::fault::{DeletePod, IntentLog, Owner, PodOn, Target, heal_abandoned};
use seatrial::manifest::{self, HostFolder, Manifest, NAMESPACE_LABEL, TestNamespace};
use seatrial::node::{OWNER_LABEL, ROLE_LABEL};
use seatrial::upgrade::{drain, uncordon};
use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::fake_engine::{FakeEngine, Trouble};
use crate::state_folder::{Ground, NAME, soon};

const DATA: &str = "/mnt/data";

// --- Clusters.

/// An interrupted `up` once removed every complete cluster of the state folder that was younger than the command, such
/// as one that another terminal created and keeps.
#[rstest]
#[case::of_another_up(true)]
#[case::of_a_run(false)]
#[tokio::test]
async fn an_interrupted_up_leaves_the_cluster_that_another_command_made(
    #[case] kept: bool,
) -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.trouble("GET /images", Trouble::Hang, 50);
    // Created while this `up` waits for its images.
    let later = Timestamp::now() + SignedDuration::from_secs(5);
    ground.recorded(NAME, |record| (record.created_at, record.kept) = (later, kept))?;
    let said = ground.interrupted("3", &["up"]).await;
    assert!(ground.fake.state().requests.iter().any(|r| r.starts_with("GET /images")), "{said}");
    assert!(ground.has("three-worker"), "somebody's cluster is gone: {said}");
    Ok(())
}

/// `down NAME` without force once removed containers that have the cluster's label but are not in its record: somebody
/// else's load balancer, or a node that somebody joined.
#[rstest]
#[case::load_balancer("external-load-balancer")]
#[case::node("worker")]
#[tokio::test]
async fn down_without_force_leaves_a_foreign_container(#[case] role: &str) -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |_| ())?;
    ground.add("somebodys", NAME);
    ground.fake.change("somebodys", |c| {
        c.labels.insert(ROLE_LABEL.into(), role.into());
        if role != "worker" {
            c.labels.remove(OWNER_LABEL);
        }
    });
    let done = ground.clusters().await.delete(NAME, Force::No, soon()).await;
    assert!(ground.has("somebodys"), "{done:?}");
    Ok(())
}

/// The opposite case: the interrupted command examines only the cluster that it created, and that cluster stays if
/// somebody asked to keep it.
#[rstest]
#[case::made_by_another(Some(Owner::of(1)), None)]
#[case::made_by_nobody_known(None, None)]
#[case::kept(Some(Owner::me()), Some("it was created with `seatrial up`"))]
#[tokio::test]
async fn the_clusters_of_an_interrupted_process_are_known_by_its_record(
    #[case] made_by: Option<Owner>,
    #[case] stays: Option<&str>,
) -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| (record.made_by, record.kept) = (made_by, true))?;
    let done = ground.clusters().await.remove_made().await;
    assert!(ground.is_there(), "{done:?}");
    let why = done.into_iter().map(|(_, removed)| removed.unwrap_err().to_string()).next();
    assert_eq!(why.is_some(), stays.is_some(), "{why:?}");
    assert!(stays.is_none_or(|stays| why.is_some_and(|why| why.contains(stays))));
    Ok(())
}

/// `reap --all` names no cluster, so it does not permit the removal of a node that somebody joined.
#[tokio::test]
async fn reap_of_everything_leaves_a_foreign_container() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |_| ())?;
    ground.add("somebodys", NAME);
    let all = ReapOptions { all: true, ..ReapOptions::default() };
    let done = ground.reap(all).await?;
    assert!(ground.has("somebodys") && ground.is_there(), "{done:?}");
    assert!(matches!(done.as_slice(), [Action::Leave(why)] if why.ends_with("seatrial down three --force")));
    ground.down(NAME, Force::Yes).await?;
    assert!(!ground.has("somebodys"), "it was named, and forced");
    Ok(())
}

/// A cluster that could not be removed once made `down --all` skip all later clusters.
#[tokio::test]
async fn down_of_all_continues_after_a_cluster_that_stays() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.add("a-worker", "a");
    ground.recorded("a", |_| ())?;
    ground.add("somebodys", "a");
    ground.recorded(NAME, |_| ())?;
    let said = ground.said(&["down", "--all"]).await;
    assert!(!ground.is_there() && ground.has("a-worker"), "{said}");
    assert!(said.contains("three removed") && said.contains("seatrial did not create somebodys"), "{said}");
    Ok(())
}

/// A network with the cluster's name but without a container of the cluster belongs to somebody else.
#[tokio::test]
async fn force_leaves_a_network_that_no_container_of_the_cluster_is_in() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.mark(r#"{"id":"fedcba9876543210","state":"/home/b"}"#);
    for name in ["three-control-plane", "three-control-plane2"] {
        ground.fake.state().add(name);
        ground.fake.change(name, |c| _ = c.labels.insert(ROLE_LABEL.into(), "control-plane".into()));
    }
    ground.down(NAME, Force::Yes).await?;
    assert!(ground.fake.state().containers.is_empty());
    let changes = ground.fake.changes();
    assert!(!changes.iter().any(|r| r.starts_with("DELETE /networks")), "{changes:?}");
    Ok(())
}

/// The process that removes an idle cluster once ended for good at a temporary error.
#[tokio::test]
async fn the_watcher_tries_again_after_an_error() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.complete = false)?;
    // A folder in place of the lock file: it cannot be opened as a file.
    let odd = ground.settings.state.join("leases/three/turnstile");
    std::fs::create_dir_all(&odd)?;
    let clusters = ground.clusters().await;
    let watching = clusters.watch(NAME, Duration::from_millis(1));
    let looks =
        || ground.fake.state().requests.iter().filter(|r| r.starts_with("GET /containers/json")).count();
    let mended = async {
        let patience = soon();
        while looks() < 3 && !patience.is_over() {
            patience.pause(Duration::from_millis(20)).await;
        }
        std::fs::remove_dir(&odd)
    };
    let (watched, mended) = tokio::join!(watching, mended);
    mended?;
    watched?;
    assert!(!ground.is_there());
    Ok(())
}

/// The state folder holds credentials, and `doctor` may be the command that creates it.
#[tokio::test]
async fn doctor_makes_a_state_folder_that_only_its_owner_may_enter() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let mine = |path: &Path| std::fs::metadata(path).map(|meta| meta.permissions().mode() & 0o077);
    std::fs::remove_dir_all(&ground.settings.state)?;
    let said = ground.said(&["doctor"]).await;
    assert_eq!(mine(&ground.settings.state)?, 0, "{said}");
    let files = LockFiles::new(&ground.settings.state, NAME);
    files.enter(Access::Shared, "one", soon(), |_| ()).await?.leave();
    assert_eq!(mine(&ground.settings.state.join("leases"))?, 0);
    Ok(())
}

/// The first cluster that could not be inspected once ended the cleanup: all later clusters stayed.
#[tokio::test]
async fn one_half_cluster_that_cannot_be_removed_keeps_no_other_one() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.add("a-worker", "a");
    ground.recorded("a", |record| record.complete = false)?;
    ground.recorded(NAME, |record| record.complete = false)?;
    // The trouble is for this container alone, and for the list that contains it.
    let id: &'static str =
        Box::leak(format!("GET /containers/{}/json", ground.id_of("a-worker")).into_boxed_str());
    ground.fake.trouble(id, Trouble::Status(500, "input/output error"), 1);
    let done = ground.clusters().await.remove_incomplete().await;
    assert!(!ground.has("three-worker"), "{done:?}");
    Ok(())
}

/// A folder that the user keeps next to the evidence was once removed because of its age; a file stays.
#[tokio::test]
async fn a_folder_of_the_users_among_the_evidence_stays() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().containers.clear();
    let mine = ground.settings.state.join("failed/for-the-bug-report");
    std::fs::create_dir_all(&mine)?;
    std::fs::write(mine.join("notes.md"), "mine")?;
    let month = Duration::from_secs(30 * 24 * 3600);
    std::fs::File::open(&mine)?.set_modified(std::time::SystemTime::now() - month)?;
    let done = ground.clusters().await.reap(ReapOptions::default()).await?;
    assert!(mine.join("notes.md").is_file(), "{done:?}");
    Ok(())
}

/// A file that a file manager left next to the clusters once made each reap fail.
#[tokio::test]
async fn a_stray_file_among_the_clusters_is_no_error() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().containers.clear();
    let clusters = ground.settings.state.join("clusters");
    std::fs::create_dir_all(&clusters)?;
    std::fs::write(clusters.join(".DS_Store"), "")?;
    let done = ground.clusters().await.reap(ReapOptions::default()).await;
    assert!(done.is_ok(), "{done:?}");
    Ok(())
}

/// A refused lease has touched nothing. It was once reported as a holder that died without a release: the next lease
/// then checked the cluster with care, and a reap "healed" it.
#[tokio::test]
async fn a_lease_that_was_refused_leaves_no_mark() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.owner = Some("fedcba9876543210".into()))?;
    let refused = ground.clusters().await.existing(NAME, Access::Exclusive, soon()).await;
    assert!(matches!(refused, Err(ClusterError::Elsewhere { .. })), "{refused:?}");
    assert_eq!(LockFiles::new(&ground.settings.state, NAME).unclean(), [] as [String; 0]);
    Ok(())
}

/// The same for a process that waited in vain to change its shared lease to an exclusive one.
#[tokio::test]
async fn a_process_that_waits_in_vain_for_exclusive_use_leaves_no_mark() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let files = LockFiles::new(dir.path(), NAME);
    let held = files.enter(Access::Shared, "one", soon(), |_| ()).await?.enter()?;
    let entering = files.enter(Access::Shared, "two", soon(), |_| ()).await?;
    let late = entering.make_exclusive(Deadline::after(Duration::from_millis(50)), |_| ()).await;
    assert!(late.is_err());
    held.release()?;
    assert_eq!(files.unclean(), [] as [String; 0]);
    Ok(())
}

// --- Nodes of Kubernetes.

fn node(taints: Value, unschedulable: bool, manager: &str, field: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": "w", "annotations": {"dev.seatrial.out-of-service": "nodeshutdown"},
            "managedFields": [{"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "time": "2026-01-01T01:00:00Z", "fieldsV1": {"f:spec": {field: {}}}}],
        },
        "spec": {"taints": taints, "unschedulable": unschedulable},
    })
}

/// With `run --jobs 2`, the end of one story once healed the faults of another story of the same process, and the
/// record named the wrong story.
#[tokio::test]
async fn the_end_of_one_story_heals_no_fault_of_another_one_of_the_process() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let dir = tempfile::tempdir()?;
    let (one, other) = (IntentLog::open(dir.path())?.shared(), IntentLog::open(dir.path())?.shared());
    let pod = PodOn { namespace: "ns".into(), name: "p".into(), container: None };
    let node = fake.node("w").await?;
    let target = Target { pod: Some(pod), ..(&node).into() };
    let (intent, _) = other.write(&DeletePod::GRACEFULLY, target, soon()).await?;
    // The end of a shared story does this.
    heal_abandoned(&fake.client().await?, &one, soon()).await?;
    assert_eq!(other.list()?, [intent]);
    Ok(())
}

/// The user cordoned the node after the plan was checked, while an earlier node was upgraded: the drain took the
/// cordon for its own, and the next step uncordoned the node.
#[tokio::test]
async fn a_node_that_the_user_cordoned_in_the_middle_of_an_upgrade_stays_so() {
    let fake = FakeApi::start().await;
    let mut theirs = node(json!([]), true, "kubectl-cordon", "f:unschedulable");
    // The fake treats an apply as a merge patch, which conflicts; the API does not.
    theirs["metadata"] = json!({"name": "w"});
    fake.put(theirs);
    let client = fake.client().await;
    // The steps `drain` and `uncordon` do this.
    drain(&client, "w", soon()).await.unwrap();
    uncordon(&client, "w", soon()).await.unwrap();
    assert_eq!(fake.get("Node", "", "w").unwrap()["spec"]["unschedulable"], true);
}

// --- Objects.

/// An apply to an existing object makes seatrial one of its field managers. Such an object once counted as created by
/// seatrial, and was deleted with its owner's data.
#[tokio::test]
async fn an_object_from_before_our_apply_is_not_deleted() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    fake.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "m", "namespace": "default", "managedFields": [
            {"manager": "kubectl-create", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
             "fieldsV1": {"f:data": {"f:theirs": {}}}}]},
        "data": {"theirs": "x"},
    }));
    let text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: default}\ndata: {ours: mine}\n";
    let manifest = Manifest::read("m.yaml", text).unwrap();
    let applied = manifest::apply(&client, &manifest, soon()).await;
    let deleted = manifest::delete(&client, &manifest, soon()).await;
    assert!(fake.get("ConfigMap", "default", "m").is_some(), "{applied:?} {deleted:?}");
}

fn volume(label: &str, managed: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": "pv", "labels": {NAMESPACE_LABEL: label}, "managedFields": managed},
        "spec": {"hostPath": {"path": DATA}, "capacity": {"storage": "1Gi"}},
    })
}

fn by_us() -> Value {
    json!([{"manager": manifest::FIELD_MANAGER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {}}])
}

/// The test was killed after its namespace was deleted and before its volumes were. Only namespaces were searched, so
/// the volumes stayed for ever, and `holds` took them for seatrial's.
#[tokio::test]
async fn a_volume_of_a_dead_test_whose_namespace_is_gone_is_removed() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    fake.put(volume("gone", by_us()));
    let left = TestNamespace::delete_left(&client, manifest::RUN_LABEL, soon()).await.unwrap();
    let told = left.iter().any(|left| left.name.contains("pv") || left.name == "gone");
    assert!(fake.get("PersistentVolume", "", "pv").is_none() || told, "{left:?}");
}

/// A fake API, and a fake node with a disk.
async fn disk() -> anyhow::Result<(FakeApi, FakeEngine)> {
    let (api, engine) = (FakeApi::start().await, FakeEngine::cluster(&["cp"])?);
    let disk = engine.dir().join("w");
    std::fs::create_dir_all(disk.join("mnt"))?;
    engine.change("w", |c| c.disk = Some(disk));
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b"}}));
    Ok((api, engine))
}

/// The same history: the folder was emptied, but each later story was refused the path because of the volume.
#[tokio::test]
async fn a_volume_of_a_dead_test_keeps_no_later_story_from_its_folder() -> anyhow::Result<()> {
    let (api, engine) = disk().await?;
    let (client, node) = (api.client().await, engine.node("w").await?);
    HostFolder::new("r1", "gone", DATA).claim(&client, &[&node], soon()).await?;
    api.put(volume("gone", by_us()));
    // A story with exclusive access does this.
    TestNamespace::delete_left(&client, manifest::RUN_LABEL, soon()).await?;
    HostFolder::sweep(&client, &[&node], soon()).await?;
    let claimed = HostFolder::new("r2", "b", DATA).claim(&client, &[&node], soon()).await;
    assert!(claimed.is_ok(), "{claimed:?}");
    Ok(())
}

/// The user copied one of our volumes with its label. The label alone proves nothing: the files are the user's, and
/// were once deleted with the folder of the dead test.
#[tokio::test]
async fn a_users_volume_with_a_copied_label_keeps_its_files() -> anyhow::Result<()> {
    let (api, engine) = disk().await?;
    let (client, node) = (api.client().await, engine.node("w").await?);
    HostFolder::new("r1", "gone", DATA).claim(&client, &[&node], soon()).await?;
    let by_kubectl = json!([{"manager": "kubectl-client-side-apply", "operation": "Update",
        "fieldsType": "FieldsV1", "fieldsV1": {}}]);
    api.put(volume("gone", by_kubectl));
    let rows = engine.dir().join("w/mnt/data/rows");
    std::fs::write(&rows, "theirs")?;
    let said = HostFolder::sweep(&client, &[&node], soon()).await?;
    assert!(rows.exists(), "{said:?}");
    Ok(())
}

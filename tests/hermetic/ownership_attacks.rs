//! Errors about ownership that an adversarial review found. Each test asserts the right behaviour.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node as KubeNode;
use rstest::rstest;
use seatrial::cluster::lease::lock::LockFiles;
use seatrial::cluster::ready::cordon::is_cordoned_by_us;
use seatrial::cluster::{Action, Force, ListedState, ReapOptions};
use seatrial::config::StateId;
use seatrial::exec::Exec;
use seatrial::fault::{IntentLog, heal_all};
use seatrial::image::{STANDS_FOR_LABEL, balancer_of_kind};
use seatrial::node::{CLUSTER_LABEL, OWNER_LABEL, Power, ROLE_LABEL};
use serde_json::{Value, json};

use crate::fake_engine::{FakeEngine, Trouble};
use crate::state_folder::{Ground, MARK, NAME, soon};

const THEIRS: &str = r#"{"id":"fedcba9876543210","state":"/home/b/.local/state/seatrial"}"#;

/// `seatrial down "$NAME" --force` with an unset variable: an empty label value matches any cluster.
#[tokio::test]
async fn an_empty_name_names_no_cluster() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.mark(THEIRS);
    let other = ground.settings.cluster_dir("another");
    std::fs::create_dir_all(&other)?;
    let done = ground.down("", Force::Yes).await;
    assert!(ground.has("three-worker"), "somebody's cluster was removed: {done:?}");
    assert!(other.is_dir(), "the records of all clusters were removed: {done:?}");
    assert!(done.is_err());
    Ok(())
}

#[rstest]
#[case("..")]
#[case("../../project")]
#[tokio::test]
async fn a_name_that_is_a_path_is_no_cluster(#[case] name: &str) -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().containers.clear();
    std::fs::create_dir_all(ground.settings.state.join("clusters"))?;
    let project = ground.fake.dir().join("project");
    std::fs::create_dir_all(&project)?;
    let done = ground.down(name, Force::Yes).await;
    assert!(project.is_dir(), "a folder of the user's was removed: {done:?}");
    assert!(ground.settings.state.join("id").is_file(), "the state folder was emptied: {done:?}");
    assert!(done.is_err());
    Ok(())
}

/// A `down` or a `reap` was killed between two containers.
#[tokio::test]
async fn a_cluster_of_which_containers_are_missing_is_not_complete() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let there = ("three-worker".to_owned(), ground.id_of("three-worker"));
    let gone = ("three-control-plane".to_owned(), "gone".to_owned());
    ground.made(|record| record.containers = [there, gone].into())?;
    let listed = ground.list().await?;
    assert!(matches!(listed.as_slice(), [(_, ListedState::Incomplete(_))]), "{listed:?}");
    Ok(())
}

/// A lease refuses to replace such a cluster. A reap once removed it, with the container that somebody had put next
/// to the nodes.
#[tokio::test]
async fn a_container_that_somebody_added_is_not_reaped() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let known = ("three-worker".to_owned(), ground.id_of("three-worker"));
    ground.made(|record| (record.containers, record.created_at) = ([known].into(), Timestamp::UNIX_EPOCH))?;
    ground.fake.state().add("three-added");
    let done = ground.reap(ReapOptions::default()).await?;
    assert!(ground.has("three-added"), "{done:?}");
    assert!(matches!(done.as_slice(), [Action::Leave(_)]), "{done:?}");
    Ok(())
}

/// A record of a later version cannot be read, so its engine is unknown.
#[tokio::test]
async fn a_record_that_is_not_understood_is_not_forgotten() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|_| ())?;
    let dir = ground.settings.cluster_dir(NAME);
    let later = json!({"name": NAME, "format": 2, "engine": {"id": "ANOTHER:ENGINE"}});
    std::fs::write(dir.join("cluster.json"), later.to_string())?;
    std::fs::create_dir_all(dir.join("intents"))?;
    std::fs::write(dir.join("intents/stop.json"), "{}")?;
    // Its cluster is on another engine.
    ground.fake.state().containers.clear();
    let done = ground.reap(ReapOptions::default()).await?;
    assert!(dir.join("intents/stop.json").is_file() && dir.join("cluster.json").is_file(), "{done:?}");
    Ok(())
}

/// Two Podman machines with the same host name and the default root folder.
#[tokio::test]
async fn two_engines_without_an_id_are_not_one() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().id = "random".into();
    let made_on = ground.fake.client().await?.id().await?;
    ground.made(|record| record.engine = Some(made_on))?;
    let other = FakeEngine::with(&[])?;
    other.state().id = "random".into();
    let done = ground.reap_on(&other, ReapOptions::default()).await?;
    assert!(ground.settings.cluster_dir(NAME).join("cluster.json").is_file(), "{done:?}");
    Ok(())
}

/// The engine's id changed (its id file was removed, or Podman's host was renamed). The containers are those of the
/// record.
#[tokio::test]
async fn a_cluster_with_recorded_containers_is_ours_under_any_engine_id() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let known = ("three-worker".to_owned(), ground.id_of("three-worker"));
    ground.made(|record| record.containers = [known].into())?;
    ground.fake.state().id = "NEW:ID".into();
    let listed = ground.list().await?;
    let [(_, state)] = listed.as_slice() else { panic!("{listed:?}") };
    let wrong = matches!(state, ListedState::Foreign(why) if why.contains("no record of its creation"));
    assert!(!wrong, "there is a record: {state:?}");
    Ok(())
}

#[tokio::test]
async fn a_broken_foreign_node_hides_no_cluster_of_ours() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|_| ())?;
    ground.fake.state().add("b-worker");
    ground.fake.change("b-worker", |c| _ = c.labels.insert(CLUSTER_LABEL.into(), "b".into()));
    ground.fake.trouble("GET /containers/b-worker/json", Trouble::Status(500, "input/output error"), 50);
    let listed = ground.list().await;
    let ours = listed.as_ref().is_ok_and(|all| all.iter().any(|(name, _)| name == NAME));
    assert!(ours, "{listed:?}");
    Ok(())
}

/// A cluster with several control planes has its own network, whoever created it.
#[tokio::test]
async fn force_removes_the_network_too() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.mark(THEIRS);
    for (name, role) in [
        ("three-control-plane", "control-plane"),
        ("three-control-plane2", "control-plane"),
        ("three-external-load-balancer", "external-load-balancer"),
    ] {
        ground.fake.state().add(name);
        ground.fake.change(name, |c| {
            c.labels.insert(ROLE_LABEL.into(), role.into());
            // As kind creates it for seatrial.
            c.network = NAME.into();
        });
    }
    ground.fake.change("three-external-load-balancer", |c| _ = c.labels.remove(OWNER_LABEL));
    ground.down(NAME, Force::Yes).await?;
    assert!(ground.fake.state().containers.is_empty());
    let changes = ground.fake.changes();
    assert!(changes.iter().any(|r| r.starts_with("DELETE /networks/three")), "{changes:?}");
    Ok(())
}

/// Somebody put a client next to the nodes. The engine removes no network that is in use.
#[tokio::test]
async fn a_network_that_somebody_uses_stays_and_is_named() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.mark(THEIRS);
    for name in ["three-control-plane", "three-control-plane2", "client"] {
        ground.fake.state().add(name);
        ground.fake.change(name, |c| c.network = NAME.into());
    }
    ground.fake.change("client", |c| c.labels.clear());
    let began = std::time::Instant::now();
    let said = ground.said(&["down", NAME, "--force"]).await;
    assert!(said.contains("network three stays, because client uses it"), "{said}");
    assert!(said.contains("docker network rm three"), "{said}");
    assert!(!ground.is_there() && ground.has("client"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(60), "nobody waits for it");
    Ok(())
}

/// One cluster's fault cannot be healed from here. The faults of the other clusters are healed.
#[tokio::test]
async fn one_fault_that_stays_does_not_keep_the_others() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|_| ())?;
    ground.recorded("seatrial-aaa-01234567", |record| record.engine = Some("OTHER:ENGINE".into()))?;
    for name in ["seatrial-aaa-01234567", NAME] {
        let intents = ground.settings.cluster_dir(name).join("intents");
        std::fs::create_dir_all(&intents)?;
        let node = if name == NAME { "three-worker" } else { "seatrial-aaa-01234567-worker" };
        let intent = json!({
            "id": "pause-1", "fault": "pause", "node": node, "role": "worker", "address": null,
            "container": ground.id_of("three-worker"), "at": Timestamp::now(), "owner": {"pid": 4_000_000, "started": 1},
        });
        std::fs::write(intents.join("pause-1.json"), intent.to_string())?;
    }
    ground.fake.change("three-worker", |c| c.power = Power::Paused);
    let said = ground.said(&["fault", "clear", "--all"]).await;
    let changes = ground.fake.changes();
    assert!(changes.iter().any(|r| r.contains("/unpause")), "{said}: {changes:?}");
    assert!(said.contains("seatrial-aaa-01234567"), "{said}");
    Ok(())
}

/// The lock is a file in a cache. A creation with another cache is invisible here.
#[tokio::test]
async fn the_name_of_a_load_balancer_that_somebody_else_lent_stays() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let Some(name) = balancer_of_kind()? else { return Ok(()) };
    let locks = ground.settings.cache.join("locks");
    std::fs::create_dir_all(&locks)?;
    // We created such a cluster once. Now we lend no name.
    std::fs::write(locks.join("load-balancer-name.lock"), "")?;
    let labels = [(STANDS_FOR_LABEL.to_owned(), name.clone())].into();
    ground.fake.state().images.insert(name, labels);
    let done = ground.reap(ReapOptions::default()).await;
    let requests = ground.fake.state().requests.clone();
    assert!(!requests.iter().any(|r| r.starts_with("DELETE /images/")), "{done:?} {requests:?}");
    Ok(())
}

/// Somebody put a file next to the evidence, such as a tarball of it.
#[tokio::test]
async fn a_file_among_the_evidence_is_no_error() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().containers.clear();
    let file = ground.settings.state.join("failed/mine.tar");
    std::fs::create_dir_all(file.parent().expect("it has one"))?;
    std::fs::write(&file, "tar")?;
    let month = Duration::from_secs(30 * 24 * 3600);
    std::fs::File::options().write(true).open(&file)?.set_modified(std::time::SystemTime::now() - month)?;
    let done = ground.reap(ReapOptions::default()).await;
    assert!(done.is_ok(), "{done:?}");
    assert!(file.is_file(), "it is not seatrial's");
    Ok(())
}

/// Files in this folder get their names by a rename. A file that is no intent of this version belongs to another
/// version, and its fault is open.
#[tokio::test]
async fn an_intent_of_a_later_version_is_not_forgotten() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let dir = tempfile::tempdir()?;
    let log = IntentLog::open(dir.path())?;
    fake.change("w", |c| c.power = Power::Paused);
    let later = json!({"id": "pause-w-1", "format": 2, "fault": "pause", "node": "w", "targets": ["w"]});
    let file = dir.path().join("intents/pause-w-1.json");
    std::fs::write(&file, later.to_string())?;
    let healed = heal_all(&fake.client().await?, &log, soon()).await;
    let healed_it = fake.state().containers["w"].power == Power::Running;
    assert!(healed_it || file.is_file(), "the node stays paused and nothing knows of it: {healed:?}");
    Ok(())
}

/// `cp -al`, `rsync --link-dest`: the files of the copy have the same inodes.
#[test]
fn a_copy_of_hard_links_is_a_copy() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (ours, copy) = (dir.path().join("ours"), dir.path().join("copy"));
    StateId::of(&ours)?;
    std::fs::create_dir(&copy)?;
    std::fs::hard_link(ours.join("id"), copy.join("id"))?;
    assert_eq!(StateId::read(&copy)?, None);
    Ok(())
}

/// New file systems number their files alike. A folder unpacked on another file system can have the same inodes.
#[test]
fn a_copy_on_another_file_system_with_the_same_inode_is_a_copy() -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir()?;
    let ours = dir.path().join("ours");
    StateId::of(&ours)?;
    let mut written: Value = serde_json::from_slice(&std::fs::read(ours.join("id"))?)?;
    let Some(born) = written["born_ns"].as_u64() else { return Ok(()) };
    // As the copy reads on the other volume: the same inode, created at another time.
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy)?;
    let file = std::fs::File::create(copy.join("id"))?;
    written["inode"] = json!(file.metadata()?.ino());
    written["born_ns"] = json!(born - 1_000_000_000);
    std::fs::write(copy.join("id"), written.to_string())?;
    assert_eq!(StateId::read(&copy)?, None);
    Ok(())
}

/// The user mended the node by hand and later cordoned it for another reason. The annotation of our drain is still
/// there.
#[test]
fn a_cordon_that_somebody_set_after_ours_is_not_ours() -> anyhow::Result<()> {
    let node: KubeNode = serde_json::from_value(json!({
        "metadata": {
            "name": "w", "annotations": {"dev.seatrial.cordoned": "drain"},
            "managedFields": [
                {"manager": "unknown", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                 "time": "2026-01-01T00:00:00Z",
                 "fieldsV1": {"f:metadata": {"f:annotations": {"f:dev.seatrial.cordoned": {}}}}},
                {"manager": "kubectl-cordon", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                 "time": "2026-01-01T01:00:00Z", "fieldsV1": {"f:spec": {"f:unschedulable": {}}}},
            ],
        },
        "spec": {"unschedulable": true},
    }))?;
    assert!(!is_cordoned_by_us(&node));
    Ok(())
}

/// A running cluster with a user's workload is kept. Stopped to save memory, it was once removed.
#[tokio::test]
async fn a_stopped_cluster_is_not_taken_for_empty() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let long_ago = Timestamp::now() - SignedDuration::from_hours(24);
    ground.made(|record| record.created_at = long_ago)?;
    ground.fake.change("three-worker", |c| c.power = Power::Exited);
    let done = ground.reap(ReapOptions::default()).await?;
    assert!(ground.has("three-worker"), "what it holds is not known: {done:?}");
    Ok(())
}

/// A creation that ended between kind's network and its first container, or a cluster whose containers were pruned.
#[tokio::test]
async fn the_network_of_a_cluster_without_containers_is_removed() -> anyhow::Result<()> {
    for complete in [true, false] {
        let ground = Ground::new()?;
        ground.made(|record| (record.topology, record.complete) = ("ha".into(), complete))?;
        ground.fake.state().containers.clear();
        let done = ground.reap(ReapOptions::default()).await?;
        assert!(matches!(done.as_slice(), [Action::Forget(_) | Action::Remove(_)]), "{done:?}");
        let changes = ground.fake.changes();
        assert!(changes.iter().any(|r| r.starts_with("DELETE /networks/three")), "{changes:?}");
    }
    Ok(())
}

/// `down --force` was killed, or refused by the engine, after the nodes were removed and before the load balancer
/// was.
#[tokio::test]
async fn an_unfinished_removal_by_force_can_be_finished() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().containers.clear();
    for (name, role) in
        [("three-control-plane", "control-plane"), ("three-external-load-balancer", "external-load-balancer")]
    {
        ground.fake.state().add(name);
        ground.fake.change(name, |c| _ = c.labels.insert(ROLE_LABEL.into(), role.into()));
    }
    ground.fake.change("three-control-plane", |c| _ = c.files.insert(MARK.into(), THEIRS.into()));
    ground.fake.change("three-external-load-balancer", |c| _ = c.labels.remove(OWNER_LABEL));
    ground.fake.trouble(
        "DELETE /containers/id-three-external",
        Trouble::Status(500, "device or resource busy"),
        1,
    );
    ground.down(NAME, Force::Yes).await.unwrap_err();
    let again = ground.down(NAME, Force::Yes).await;
    assert!(again.is_ok() && ground.fake.state().containers.is_empty(), "{again:?}");
    Ok(())
}

/// The leftovers of a build that is dropped in the middle.
fn scratch(ground: &Ground) -> anyhow::Result<PathBuf> {
    let building = ground.settings.cache.join("building/node-1");
    std::fs::create_dir_all(building.join("scratch"))?;
    std::fs::create_dir_all(ground.settings.cache.join("locks"))?;
    Ok(building)
}

#[tokio::test]
async fn a_run_that_is_interrupted_in_a_build_names_its_leftovers() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let building = scratch(&ground)?;
    ground.fake.trouble("GET /images", Trouble::Hang, 50);
    let said = ground.interrupted("2", &["run", "--suite", "stateless"]).await;
    assert!(ground.fake.state().requests.iter().any(|r| r.starts_with("GET /images")), "{said}");
    assert!(!building.exists() || said.contains("node-1"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_that_is_interrupted_removes_nothing() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|record| record.complete = false)?;
    let building = scratch(&ground)?;
    ground.fake.trouble("GET /containers/json", Trouble::Hang, 1);
    let said = ground.interrupted("2", &["reap", "--dry-run"]).await;
    assert!(building.is_dir(), "{said}");
    assert!(ground.has("three-worker"), "{said}");
    Ok(())
}

/// Removals are reported, even if another one failed.
#[tokio::test]
async fn a_reap_that_fails_in_part_reports_what_it_removed() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|record| record.complete = false)?;
    ground.fake.state().add("b-worker");
    ground.fake.change("b-worker", |c| _ = c.labels.insert(CLUSTER_LABEL.into(), "b".into()));
    ground.fake.trouble("GET /containers/b-worker/json", Trouble::Status(500, "input/output error"), 50);
    let said = ground.interrupted("40", &["reap"]).await;
    assert!(!ground.has("three-worker"), "{said}");
    assert!(said.contains("three: removed"), "{said}");
    Ok(())
}

/// A dropped connection, or a closed terminal.
#[tokio::test]
async fn a_hangup_is_an_interrupt() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let building = scratch(&ground)?;
    ground.fake.trouble("GET /images", Trouble::Hang, 50);
    let said = ground.signalled("HUP", "2", &["up"]).await;
    assert!(ground.fake.state().requests.iter().any(|r| r.starts_with("GET /images")), "{said}");
    assert!(!building.exists(), "{said}");
    Ok(())
}

/// An owner begins to use its cluster between the check and the removal.
#[tokio::test]
async fn nobody_gets_a_lease_while_force_removes() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let theirs = ground.fake.dir().join("theirs");
    let id = StateId::of(&theirs)?;
    ground.mark(&format!("{{\"id\":\"{id}\",\"state\":\"{}\"}}", theirs.display()));
    ground.fake.trouble("DELETE /containers/id-three-worker", Trouble::Slow(Duration::from_secs(1)), 1);
    let came = async {
        let limit = soon();
        let removes = || ground.fake.state().requests.iter().any(|r| r.starts_with("DELETE /containers"));
        while !removes() && !limit.is_over() {
            limit.pause(Duration::from_millis(5)).await;
        }
        LockFiles::new(&theirs, NAME).try_enter("run of theirs").map(|entered| entered.map(|e| e.leave()))
    };
    let (done, came) = tokio::join!(ground.down(NAME, Force::Yes), came);
    assert!(came?.is_none(), "the owner has a lease on what is being removed: {done:?}");
    Ok(())
}

/// If the system does not say when a process started, the pid alone does not identify the process, so no signal is
/// sent.
#[tokio::test]
async fn a_process_that_only_has_the_pid_of_an_owner_is_not_signalled() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|_| ())?;
    let pid = Exec::new("sleep").arg("60").detach(&ground.fake.dir().join("log"))?;
    let intents = ground.settings.cluster_dir(NAME).join("intents");
    std::fs::create_dir_all(&intents)?;
    let now = Timestamp::now();
    let intent = json!({
        "id": "pause-1", "fault": "pause", "node": "three-worker", "role": "worker", "address": null,
        "container": ground.id_of("three-worker"), "at": now - SignedDuration::from_hours(30),
        "until": now - SignedDuration::from_hours(29), "owner": {"pid": pid, "started": null},
    });
    std::fs::write(intents.join("pause-1.json"), intent.to_string())?;
    let said = ground.interrupted("3", &["fault", "clear", "--all"]).await;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let lives = stat.contains("(sleep) S");
    let _ = Exec::new("kill").arg(pid.to_string()).run(soon()).await;
    assert!(lives, "somebody's process was ended: {said}");
    Ok(())
}

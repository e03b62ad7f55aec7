//! An attack on points 1 to 12 of the issue on ownership: each test asserts what is right.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node as KubeNode;
use rstest::rstest;
use seatrial::client::Client;
use seatrial::cluster::record::Record;
use seatrial::cluster::{self, Action, ClusterError, Force, ReapOptions, State, out_of_service};
use seatrial::config::{Settings, StateId};
use seatrial::deadline::Deadline;
use seatrial::exec::{Exec, ExecError};
use seatrial::fault::{IntentLog, heal_all};
use seatrial::image::{STANDS_FOR_LABEL, balancer_of_kind};
use seatrial::manifest::HostFolder;
use seatrial::node::{CLUSTER_LABEL, Node, OWNER_LABEL, Power, ROLE_LABEL, ROOT};
use seatrial::progress::Progress;
use seatrial::upgrade::is_cordoned_by_us;
use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::fake_engine::{FakeEngine, Trouble};

const NAME: &str = "three";
const MARK: &str = "/kind/seatrial-owner";
const THEIRS: &str = r#"{"id":"fedcba9876543210","state":"/home/b/.local/state/seatrial"}"#;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

struct Ground {
    fake: FakeEngine,
    settings: Settings,
}

impl Ground {
    fn new() -> anyhow::Result<Self> {
        let fake = FakeEngine::with(&["three-worker"])?;
        let state = fake.dir().join("ours");
        let variable = |name: &str| match name {
            "SEATRIAL_STATE" => Some(state.display().to_string()),
            "SEATRIAL_CACHE" => Some(state.join("cache").display().to_string()),
            "SEATRIAL_KIND" => Some("true".into()),
            _ => None,
        };
        let settings = Settings::resolve(variable)?;
        StateId::of(&settings.state)?;
        Ok(Self { fake, settings })
    }

    fn made(&self, change: impl FnOnce(&mut Record)) -> anyhow::Result<()> {
        let id = StateId::of(&self.settings.state)?;
        self.mark(&format!("{{\"id\":\"{id}\",\"state\":\"{}\"}}", self.settings.state.display()));
        let dir = self.settings.cluster_dir(NAME);
        std::fs::create_dir_all(&dir)?;
        let mut record = Record {
            name: NAME.into(),
            topology: "three".into(),
            kubernetes: "1.34.4".into(),
            made_as: None,
            image: "fake:1".into(),
            workloads: Vec::new(),
            created_at: Timestamp::now(),
            complete: true,
            addresses: Default::default(),
            containers: Default::default(),
            owner: Some(id),
            engine: Some("FAKE:ENGINE".into()),
            kept: false,
        };
        change(&mut record);
        Ok(record.write(&dir)?)
    }

    fn mark(&self, text: &str) {
        self.fake.change("three-worker", |c| _ = c.files.insert(MARK.into(), text.into()));
    }

    fn id_of(&self, container: &str) -> String {
        self.fake.state().containers[container].id.clone()
    }

    async fn reap(&self, fake: &FakeEngine) -> Result<Vec<Action>, ClusterError> {
        let engine = fake.client().await.expect("the fake answers");
        let done = cluster::reap(&self.settings, &engine, ReapOptions::default(), &Progress::silent()).await?;
        Ok(done.into_iter().map(|one| one.action).collect())
    }

    async fn down(&self, name: &str) -> Result<(), ClusterError> {
        let (engine, quiet) = (self.fake.client().await.expect("the fake answers"), Progress::silent());
        cluster::down(&self.settings, &engine, name, Force::Yes, "test", soon(), &quiet).await
    }

    async fn list(&self) -> Result<Vec<(String, State)>, ClusterError> {
        let engine = self.fake.client().await.expect("the fake answers");
        let all = cluster::list(&self.settings, &engine).await?;
        Ok(all.into_iter().map(|one| (one.name, one.state)).collect())
    }

    fn has(&self, container: &str) -> bool {
        self.fake.state().containers.contains_key(container)
    }
}

/// `seatrial down "$NAME" --force` with a variable that is not set: an empty value of a label means any.
#[tokio::test]
async fn an_empty_name_names_no_cluster() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.mark(THEIRS);
    let other = ground.settings.cluster_dir("another");
    std::fs::create_dir_all(&other)?;
    let done = ground.down("").await;
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
    let done = ground.down(name).await;
    assert!(project.is_dir(), "a folder of the user's was removed: {done:?}");
    assert!(ground.settings.state.join("id").is_file(), "the state folder was emptied: {done:?}");
    assert!(done.is_err());
    Ok(())
}

/// A `down` or a `reap` that was killed between two containers.
#[tokio::test]
async fn a_cluster_of_which_containers_are_missing_is_not_complete() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let there = ("three-worker".to_owned(), ground.id_of("three-worker"));
    let gone = ("three-control-plane".to_owned(), "gone".to_owned());
    ground.made(|record| record.containers = [there, gone].into())?;
    let listed = ground.list().await?;
    assert!(matches!(listed.as_slice(), [(_, State::Incomplete(_))]), "{listed:?}");
    Ok(())
}

/// A lease refuses to replace such a cluster; a reap removes it with what somebody put beside the nodes.
#[tokio::test]
async fn a_container_that_somebody_added_is_not_reaped() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let known = ("three-worker".to_owned(), ground.id_of("three-worker"));
    ground.made(|record| (record.containers, record.created_at) = ([known].into(), Timestamp::UNIX_EPOCH))?;
    ground.fake.state().add("three-added");
    let done = ground.reap(&ground.fake).await?;
    assert!(ground.has("three-added"), "{done:?}");
    assert!(matches!(done.as_slice(), [Action::Leave(_)]), "{done:?}");
    Ok(())
}

/// A record of a later version says nothing that we understand: not that its cluster is on this engine.
#[tokio::test]
async fn a_record_that_is_not_understood_is_not_forgotten() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|_| ())?;
    let dir = ground.settings.cluster_dir(NAME);
    let later = json!({"name": NAME, "format": 2, "engine": {"id": "ANOTHER:ENGINE"}});
    std::fs::write(dir.join("cluster.json"), later.to_string())?;
    std::fs::create_dir_all(dir.join("intents"))?;
    std::fs::write(dir.join("intents/stop.json"), "{}")?;
    // It lives on another engine.
    ground.fake.state().containers.clear();
    let done = ground.reap(&ground.fake).await?;
    assert!(dir.join("intents/stop.json").is_file() && dir.join("cluster.json").is_file(), "{done:?}");
    Ok(())
}

/// Two Podman machines with one host name and the default root folder.
#[tokio::test]
async fn two_engines_without_an_id_are_not_one() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().id = "random".into();
    let made_on = ground.fake.client().await?.id().await?;
    ground.made(|record| record.engine = Some(made_on))?;
    let other = FakeEngine::with(&[])?;
    other.state().id = "random".into();
    let done = ground.reap(&other).await?;
    assert!(ground.settings.cluster_dir(NAME).join("cluster.json").is_file(), "{done:?}");
    Ok(())
}

/// The engine got another id (its id file was removed, or Podman's host another name): the containers are those of
/// the record.
#[tokio::test]
async fn a_cluster_whose_containers_are_recorded_is_ours_whatever_the_engines_id() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let known = ("three-worker".to_owned(), ground.id_of("three-worker"));
    ground.made(|record| record.containers = [known].into())?;
    ground.fake.state().id = "NEW:ID".into();
    let listed = ground.list().await?;
    let [(_, state)] = listed.as_slice() else { panic!("{listed:?}") };
    let wrong = matches!(state, State::Foreign(why) if why.contains("no record of its creation"));
    assert!(!wrong, "there is a record: {state:?}");
    Ok(())
}

#[tokio::test]
async fn a_sick_node_of_a_stranger_hides_no_cluster_of_ours() -> anyhow::Result<()> {
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

/// A cluster with several control planes has a network of its own, whoever made it.
#[tokio::test]
async fn force_leaves_no_network() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.mark(THEIRS);
    for (name, role) in [
        ("three-control-plane", "control-plane"),
        ("three-control-plane2", "control-plane"),
        ("three-external-load-balancer", "external-load-balancer"),
    ] {
        ground.fake.state().add(name);
        ground.fake.change(name, |c| _ = c.labels.insert(ROLE_LABEL.into(), role.into()));
    }
    ground.fake.change("three-external-load-balancer", |c| _ = c.labels.remove(OWNER_LABEL));
    ground.down(NAME).await?;
    assert!(ground.fake.state().containers.is_empty());
    let changes = ground.fake.changes();
    assert!(changes.iter().any(|r| r.starts_with("DELETE /networks/three")), "{changes:?}");
    Ok(())
}

/// The lock is a file in a cache: a creation by somebody with another cache is not seen.
#[tokio::test]
async fn the_name_of_a_load_balancer_that_somebody_else_lent_stays() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let Some(name) = balancer_of_kind()? else { return Ok(()) };
    let locks = ground.settings.cache.join("locks");
    std::fs::create_dir_all(&locks)?;
    // We made such a cluster once; nothing is lent by us now.
    std::fs::write(locks.join("load-balancer-name.lock"), "")?;
    let labels = [(STANDS_FOR_LABEL.to_owned(), name.clone())].into();
    ground.fake.state().images.insert(name, labels);
    let done = ground.reap(&ground.fake).await;
    let requests = ground.fake.state().requests.clone();
    assert!(!requests.iter().any(|r| r.starts_with("DELETE /images/")), "{done:?} {requests:?}");
    Ok(())
}

/// What somebody put beside the evidence, such as a tarball of it.
#[tokio::test]
async fn a_file_among_the_evidence_is_no_error() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().containers.clear();
    let file = ground.settings.state.join("failed/mine.tar");
    std::fs::create_dir_all(file.parent().expect("it has one"))?;
    std::fs::write(&file, "tar")?;
    let month = Duration::from_secs(30 * 24 * 3600);
    std::fs::File::options().write(true).open(&file)?.set_modified(std::time::SystemTime::now() - month)?;
    let done = ground.reap(&ground.fake).await;
    assert!(done.is_ok(), "{done:?}");
    assert!(file.is_file(), "it is not seatrial's");
    Ok(())
}

/// Files get their names by a rename: one that is no intent of this version is of another one, and its fault is open.
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

/// `cp -al`, `rsync --link-dest`: a copy whose files are the same inodes.
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

/// Fresh volumes number their files alike: a folder that is unpacked in another one has the same inodes.
#[test]
fn a_copy_on_another_file_system_with_the_same_inode_is_a_copy() -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir()?;
    let ours = dir.path().join("ours");
    StateId::of(&ours)?;
    let mut written: Value = serde_json::from_slice(&std::fs::read(ours.join("id"))?)?;
    let Some(born) = written["born_ns"].as_u64() else { return Ok(()) };
    // As it reads on the other volume: the same inode, born at another time.
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy)?;
    let file = std::fs::File::create(copy.join("id"))?;
    written["inode"] = json!(file.metadata()?.ino());
    written["born_ns"] = json!(born - 1_000_000_000);
    std::fs::write(copy.join("id"), written.to_string())?;
    assert_eq!(StateId::read(&copy)?, None);
    Ok(())
}

/// The user mended the node by hand, and cordoned it later for a reason of his own: the note of our drain is still
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

#[tokio::test]
async fn somebodys_out_of_service_taint_outlives_ours() -> anyhow::Result<()> {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let theirs = json!([{"key": out_of_service::OUT_OF_SERVICE, "value": "theirs", "effect": "NoSchedule"}]);
    fake.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w"}, "spec": {"taints": theirs}}));
    let declared = out_of_service::declare(&client, "w", soon()).await;
    let withdrawn = out_of_service::withdraw(&client, soon()).await;
    let node = fake.get("Node", "", "w").expect("it is there");
    assert_eq!(node["spec"]["taints"], theirs, "{declared:?} {withdrawn:?}");
    Ok(())
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

/// A cluster that holds a user's workload is spared while it runs; stopped to save memory, it is removed.
#[tokio::test]
async fn a_cluster_that_somebody_stopped_is_not_taken_for_empty() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let long_ago = Timestamp::now() - SignedDuration::from_hours(24);
    ground.made(|record| record.created_at = long_ago)?;
    ground.fake.change("three-worker", |c| c.power = Power::Exited);
    let done = ground.reap(&ground.fake).await?;
    assert!(ground.has("three-worker"), "what it holds is not known: {done:?}");
    Ok(())
}

/// A creation that ended between kind's network and its first container, or whose containers were pruned.
#[tokio::test]
async fn the_network_of_a_cluster_without_containers_goes_too() -> anyhow::Result<()> {
    for complete in [true, false] {
        let ground = Ground::new()?;
        ground.made(|record| (record.topology, record.complete) = ("ha".into(), complete))?;
        ground.fake.state().containers.clear();
        let done = ground.reap(&ground.fake).await?;
        assert!(matches!(done.as_slice(), [Action::Forget(_) | Action::Remove(_)]), "{done:?}");
        let changes = ground.fake.changes();
        assert!(changes.iter().any(|r| r.starts_with("DELETE /networks/three")), "{changes:?}");
    }
    Ok(())
}

/// Killed, or refused by the engine, when the nodes were gone and the load balancer was not.
#[tokio::test]
async fn what_force_began_can_be_finished() -> anyhow::Result<()> {
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
    ground.fake.trouble("DELETE /containers/id-three-external", Trouble::Status(500, "device or resource busy"), 1);
    ground.down(NAME).await.unwrap_err();
    let again = ground.down(NAME).await;
    assert!(again.is_ok() && ground.fake.state().containers.is_empty(), "{again:?}");
    Ok(())
}

/// The command line, with SIGINT after a while.
async fn interrupted(ground: &Ground, after: &str, args: &[&str]) -> String {
    let home = ground.fake.dir().display().to_string();
    let exec = Exec::new("/usr/bin/timeout")
        .args(["--signal=INT", after, env!("CARGO_BIN_EXE_seatrial")])
        .args(args.iter().copied())
        .clear_env()
        .env("HOME", &home)
        .env("SEATRIAL_STATE", &ground.settings.state)
        .env("SEATRIAL_CACHE", &ground.settings.cache)
        .env("SEATRIAL_KIND", "true")
        .env("SEATRIAL_PROFILE", "current")
        .env("DOCKER_HOST", ground.fake.host());
    match exec.run(Deadline::after(Duration::from_secs(60))).await {
        Ok(output) => format!("{}{}", output.stdout, output.stderr),
        Err(ExecError::Failed { stdout, stderr, .. }) => format!("{stdout}{stderr}"),
        Err(error) => panic!("{error}"),
    }
}

/// What a build leaves that is dropped in the middle.
fn scratch(ground: &Ground) -> anyhow::Result<PathBuf> {
    let building = ground.settings.cache.join("building/node-1");
    std::fs::create_dir_all(building.join("scratch"))?;
    std::fs::create_dir_all(ground.settings.cache.join("locks"))?;
    Ok(building)
}

#[tokio::test]
async fn a_run_that_is_interrupted_in_a_build_leaves_nothing_unsaid() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let building = scratch(&ground)?;
    ground.fake.trouble("GET /images", Trouble::Hang, 50);
    let said = interrupted(&ground, "2", &["run", "--suite", "stateless"]).await;
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
    let said = interrupted(&ground, "2", &["reap", "--dry-run"]).await;
    assert!(building.is_dir(), "{said}");
    assert!(ground.has("three-worker"), "{said}");
    Ok(())
}

/// What was removed is told, also where something else could not be.
#[tokio::test]
async fn a_reap_that_fails_in_part_says_what_it_did() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|record| record.complete = false)?;
    ground.fake.state().add("b-worker");
    ground.fake.change("b-worker", |c| _ = c.labels.insert(CLUSTER_LABEL.into(), "b".into()));
    ground.fake.trouble("GET /containers/b-worker/json", Trouble::Status(500, "input/output error"), 50);
    let said = interrupted(&ground, "40", &["reap"]).await;
    assert!(!ground.has("three-worker"), "{said}");
    assert!(said.contains("three: removed"), "{said}");
    Ok(())
}

//! Reaping: leftovers of dead processes are healed and removed, what belongs to living processes stays. Whatever stays
//! is named with the command that removes it.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use seatrial::cluster::lease::lock::{Access, LockFiles};
use seatrial::cluster::{Action, ClusterError, Clusters, Identity, ReapOptions, THREE};
use seatrial::config::{CONTROL_LABEL, OWNED_BY_LABEL, Settings, StateId};
use seatrial::deadline::Deadline;
use seatrial::fault::{Intent, Owner};
use seatrial::hint::Hint;
use seatrial::image::extract::EXTRACT_LABEL;
use seatrial::node::{OWNER_LABEL, Power, Role};
use seatrial::progress::Progress;

use crate::fake_engine::{FakeEngine, Trouble};
use crate::state_folder::{Ground, NAME, soon, spec};

/// Another process ran `down` during a reap: the container was listed, and missing when it was inspected.
#[tokio::test]
async fn a_cluster_that_somebody_removes_just_now_is_no_error() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a"])?;
    let home = fake.dir().display().to_string();
    let settings = Settings::resolve(|name| (name == "HOME").then(|| home.clone()))?;
    fake.trouble("GET /containers/a/json", Trouble::Status(404, "No such container"), 1);
    let engine = fake.client().await?;
    let clusters = Clusters::new(settings, engine, Progress::silent(), "test");
    let done = clusters.reap(ReapOptions::default()).await?;
    assert!(matches!(done[0].action, Action::Leave(_)), "the cluster is foreign: {done:?}");
    assert!(fake.state().troubles.is_empty(), "one request for the container got 404");
    assert_eq!(fake.changes(), [] as [String; 0]);
    Ok(())
}

fn dead() -> Owner {
    Owner { pid: 1, started: Some(u64::MAX) }
}

/// Leaves the open fault `pause` of a dead process in the cluster.
fn paused(ground: &Ground) -> anyhow::Result<()> {
    ground.fake.change("three-worker", |c| c.power = Power::Paused);
    open(ground, NAME, "pause").map(drop)
}

/// Leaves an open fault of a dead process on the cluster's worker. Returns the intent's file.
fn open(ground: &Ground, cluster: &str, fault: &str) -> anyhow::Result<PathBuf> {
    let node = format!("{cluster}-worker");
    let intent = Intent {
        id: format!("{fault}-{node}-0-1-0"),
        fault: fault.into(),
        container: ground.id_of(&node),
        node,
        role: Role::Worker,
        address: None,
        at: Timestamp::UNIX_EPOCH,
        owner: dead(),
        lease: None,
        pod: None,
        lasts_ms: 0,
        until: None,
        program: Some("/home/jane/orders-trial".into()),
    };
    let intents = ground.settings.cluster_dir(cluster).join("intents");
    std::fs::create_dir_all(&intents)?;
    let file = intents.join(format!("{}.json", intent.id));
    std::fs::write(&file, serde_json::to_vec(&intent)?)?;
    Ok(file)
}

/// Only the program that injected the fault can heal it: the idle cluster stays with its intent, and the reap says so.
#[tokio::test]
async fn a_fault_of_another_program_keeps_its_idle_cluster_from_a_reap() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.created_at = Timestamp::UNIX_EPOCH)?;
    let file = open(&ground, NAME, "unplug")?;
    let error = ground.reap(ReapOptions::default()).await.unwrap_err();
    let ClusterError::Fault(fault) = &error else { anyhow::bail!("{error:?}") };
    assert!(fault.needs_another_program(), "{fault:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("/home/jane/orders-trial")), "{error:?}");
    assert!(ground.is_there() && file.is_file());
    Ok(())
}

/// A lease that created the cluster again would also remove the intent.
#[tokio::test]
async fn a_fault_of_another_program_keeps_its_cluster_from_a_lease() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let id = StateId::of(&ground.settings.state)?;
    let identity = Identity { state: id, engine: "FAKE:ENGINE".into() };
    let name = spec(&THREE).name(&identity);
    ground.add(&format!("{name}-worker"), &name);
    ground.recorded(&name, |_| ())?;
    let file = open(&ground, &name, "unplug")?;
    let error = ground.clusters().await.acquire(&spec(&THREE), Access::Exclusive, soon()).await.unwrap_err();
    assert!(matches!(&error, ClusterError::Fault(fault) if fault.needs_another_program()), "{error:?}");
    assert!(ground.has(&format!("{name}-worker")) && file.is_file());
    Ok(())
}

/// An idle cluster that may hold objects of others is not removed. The fault of a dead process in such a cluster was
/// once neither healed nor named, in this reap and in each later one.
#[tokio::test]
async fn a_fault_of_the_dead_is_healed_in_an_idle_cluster_that_stays() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.created_at = Timestamp::UNIX_EPOCH)?;
    paused(&ground)?;
    let done = ground.reap(ReapOptions::default()).await;
    assert!(ground.is_there(), "the cluster's objects are unknown: {done:?}");
    let power = ground.fake.state().containers["three-worker"].power;
    assert_eq!(power, Power::Running, "{done:?}");
    Ok(())
}

/// A shared lease removes no namespace of a dead story, and neither does a process that only inspects the cluster.
/// Both once removed the mark, and `reap` then found nothing to do.
#[tokio::test]
async fn a_shared_lease_does_not_hide_a_dead_run_from_a_reap() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.kept = true)?;
    let files = LockFiles::new(&ground.settings.state, NAME);
    drop(files.enter(Access::Exclusive, "run r1", soon(), |_| ()).await?.enter()?);
    assert_eq!(files.unclean(), ["run r1"]);
    // `seatrial up` and `seatrial load` do this.
    files.enter(Access::Shared, "load", soon(), |_| ()).await?.enter()?.release()?;
    let dry = ReapOptions { dry_run: true, ..ReapOptions::default() };
    let done = ground.reap(dry).await?;
    assert!(matches!(done.as_slice(), [Action::Heal(why)] if why.contains("run r1")), "{done:?}");
    Ok(())
}

/// In the middle of an upgrade a reap heals only faults: the namespaces of the dead run stay. If the reap reported
/// them as removed, nobody would look for them again.
#[tokio::test]
async fn a_reap_in_the_middle_of_an_upgrade_does_not_forget_a_dead_run() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.kept = true)?;
    std::fs::write(ground.settings.cluster_dir(NAME).join("upgrade.json"), "{")?;
    let files = LockFiles::new(&ground.settings.state, NAME);
    drop(files.enter(Access::Exclusive, "run r1", soon(), |_| ()).await?.enter()?);
    let done = ground.reap(ReapOptions::default()).await?;
    assert_eq!(files.unclean(), ["run r1"], "{done:?}");
    Ok(())
}

/// The engine removes a control probe's container when the process that created it ends. If such a container runs,
/// that process lives, perhaps in another container with the same state folder.
#[tokio::test]
async fn a_control_probe_that_runs_is_not_reaped() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let id = StateId::of(&ground.settings.state)?;
    ground.fake.state().containers.clear();
    ground.fake.state().add("seatrial-control-abc");
    let maker = serde_json::to_string(&dead())?;
    ground.fake.change("seatrial-control-abc", |c| {
        c.labels = [(CONTROL_LABEL.to_owned(), maker), (OWNED_BY_LABEL.to_owned(), id.to_string())].into();
    });
    let done = ground.reap(ReapOptions::default()).await;
    assert!(ground.has("seatrial-control-abc"), "{done:?}");
    Ok(())
}

/// The raw output of kind stays in the folder of evidence until secrets are removed from it. A process that was killed
/// before left it there with a proxy's password, and nobody removed it.
#[tokio::test]
async fn what_a_killed_collection_of_evidence_left_as_it_was_is_removed() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().containers.clear();
    let evidence = ground.settings.state.join("failed/three-20261130-100000");
    let raw = evidence.join(".tmpAbCdEf/three-worker");
    std::fs::create_dir_all(&raw)?;
    std::fs::write(evidence.join("kind.yaml"), "kind: Cluster\n")?;
    let inspect = raw.join("inspect.json");
    std::fs::write(&inspect, r#"[{"Config":{"Env":["HTTPS_PROXY=http://jane:s3cr3t-value9@proxy:3128"]}}]"#)?;
    let done = ground.reap(ReapOptions::default()).await;
    let text = std::fs::read_to_string(&inspect).unwrap_or_default();
    assert!(!text.contains("s3cr3t-value9"), "{done:?}: {text}");
    Ok(())
}

/// Somebody else's container has the label of our idle cluster: the cluster was once neither removed nor named.
#[tokio::test]
async fn a_reap_names_a_cluster_of_ours_with_a_foreign_container() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.created_at = Timestamp::UNIX_EPOCH)?;
    ground.add("somebodys", NAME);
    ground.fake.change("somebodys", |c| _ = c.labels.remove(OWNER_LABEL));
    let said = ground.said(&["reap"]).await;
    assert!(ground.has("somebodys") && ground.is_there(), "{said}");
    assert!(said.contains("seatrial down three --force"), "{said:?}");
    Ok(())
}

/// The objects of a cluster are listed only after it is healed, so a dry run cannot know whether it would remove the
/// cluster.
#[tokio::test]
async fn a_dry_run_names_the_fault_of_an_idle_cluster() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.created_at = Timestamp::UNIX_EPOCH)?;
    paused(&ground)?;
    let dry = ReapOptions { dry_run: true, ..ReapOptions::default() };
    let done = ground.reap(dry).await?;
    assert!(
        matches!(done.as_slice(), [Action::Heal(why)] if why.starts_with("1 faults were left open; then")),
        "{done:?}"
    );
    assert_eq!(ground.fake.changes(), [] as [String; 0]);
    Ok(())
}

/// The process that created the probe may be invisible, and may be about to start it, as long as somebody uses a
/// cluster.
#[tokio::test]
async fn a_control_probe_that_never_ran_goes_once_nobody_uses_a_cluster() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |_| ())?;
    let id = StateId::of(&ground.settings.state)?;
    ground.fake.state().add("seatrial-control-abc");
    let maker = serde_json::to_string(&dead())?;
    ground.fake.change("seatrial-control-abc", |c| {
        c.power = Power::Created;
        c.labels = [(CONTROL_LABEL.to_owned(), maker), (OWNED_BY_LABEL.to_owned(), id.to_string())].into();
    });
    let files = LockFiles::new(&ground.settings.state, NAME);
    let held = files.enter(Access::Shared, "run", soon(), |_| ()).await?.enter()?;
    ground.reap(ReapOptions::default()).await?;
    assert!(ground.has("seatrial-control-abc"));
    held.release()?;
    ground.reap(ReapOptions::default()).await?;
    assert!(!ground.has("seatrial-control-abc"));
    Ok(())
}

/// A load that is killed while the engine writes the archive leaves gigabytes in the folder of a cluster that stays.
#[tokio::test]
async fn an_archive_of_a_killed_load_is_removed() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |_| ())?;
    let archive = ground.settings.cluster_dir(NAME).join("load-AbCdEf");
    std::fs::create_dir(&archive)?;
    let files = LockFiles::new(&ground.settings.state, NAME);
    let held = files.enter(Access::Shared, "load", soon(), |_| ()).await?.enter()?;
    ground.reap(ReapOptions::default()).await?;
    assert!(archive.exists(), "somebody loads");
    held.release()?;
    let done = ground.reap(ReapOptions::default()).await?;
    assert!(!archive.exists() && matches!(done.as_slice(), [Action::Forget(_)]), "{done:?}");
    Ok(())
}

/// If the intents cannot be read, open faults are unknown: the cluster may be frozen, and may hold objects of others.
#[tokio::test]
async fn a_cluster_whose_intents_cannot_be_read_is_left_with_the_reason() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.created_at = Timestamp::UNIX_EPOCH)?;
    std::fs::write(ground.settings.cluster_dir(NAME).join("intents"), "no folder")?;
    let done = ground.reap(ReapOptions { all: true, ..ReapOptions::default() }).await;
    let why = done.expect_err("the intents cannot be read").to_string();
    assert!(ground.is_there() && why.contains("intents"), "{why}");
    Ok(())
}

#[tokio::test]
async fn a_watcher_of_a_cluster_that_is_somebody_elses_ends() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |_| ())?;
    ground.mark(r#"{"id":"fedcba9876543210","state":"/home/b"}"#);
    let clusters = ground.clusters().await;
    let watching = clusters.watch(NAME, Duration::from_millis(1));
    let ended = Deadline::after(Duration::from_secs(3)).bound(watching).await;
    assert!(ended.is_ok(), "the watcher ends without an error");
    assert!(ground.is_there());
    Ok(())
}

/// Adds a container of ours with this label that belongs to no cluster.
fn beside(ground: &Ground, name: &str, label: &str, value: &str, power: Power) -> anyhow::Result<()> {
    let id = StateId::of(&ground.settings.state)?;
    ground.fake.state().containers.clear();
    ground.fake.state().add(name);
    ground.fake.change(name, |c| {
        c.power = power;
        c.labels = [(label.to_owned(), value.to_owned()), (OWNED_BY_LABEL.to_owned(), id.to_string())].into();
    });
    Ok(())
}

/// The cache was deleted with the lock that shows whether the process which created the container lives.
#[tokio::test]
async fn a_container_of_a_cache_that_is_gone_is_named() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let name = "seatrial-extract-abc";
    let lock = ground.settings.cache.join("locks/release-1.35.4-0123456789abcdef.lock");
    beside(&ground, name, EXTRACT_LABEL, &lock.display().to_string(), Power::Running)?;
    let said = ground.said(&["reap"]).await;
    assert!(ground.has(name) && said.contains(&format!("docker rm --force --volumes {name}")), "{said}");
    Ok(())
}

/// The process that created the container holds its lock in another cache of the same state folder.
#[tokio::test]
async fn a_container_of_another_cache_whose_maker_lives_is_not_named() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let name = "seatrial-extract-abc";
    let file = ground.fake.dir().join("other.lock");
    let lock = std::fs::File::create(&file)?;
    beside(&ground, name, EXTRACT_LABEL, &file.display().to_string(), Power::Running)?;
    lock.lock()?;
    assert_eq!(ground.reap(ReapOptions::default()).await?, []);
    lock.unlock()?;
    let done = ground.reap(ReapOptions::default()).await?;
    assert!(ground.has(name) && matches!(done.as_slice(), [Action::Leave(_)]), "{done:?}");
    Ok(())
}

/// Two containers share a state folder. Each has its own cache at the same path.
#[tokio::test]
async fn a_container_of_a_cache_at_the_same_path_on_another_disk_stays() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let name = "seatrial-extract-abc";
    let locks = ground.settings.cache.join("locks");
    std::fs::create_dir_all(&locks)?;
    let lock = locks.canonicalize()?.join("release-1.35.4-0123456789abcdef.lock");
    std::fs::File::create(&lock)?;
    let meta = std::fs::metadata(&ground.settings.cache)?;
    let mark = |inode: u64| format!("{}:{inode} at {}", meta.dev(), lock.display());
    beside(&ground, name, EXTRACT_LABEL, &mark(meta.ino() + 1), Power::Running)?;
    ground.reap(ReapOptions::default()).await?;
    assert!(ground.has(name));
    beside(&ground, name, EXTRACT_LABEL, &mark(meta.ino()), Power::Running)?;
    ground.reap(ReapOptions::default()).await?;
    assert!(!ground.has(name), "the process that created it is gone");
    Ok(())
}

/// Another version of seatrial wrote the label.
#[tokio::test]
async fn a_control_probe_whose_maker_cannot_be_read_is_named() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let name = "seatrial-control-abc";
    beside(&ground, name, CONTROL_LABEL, r#"{"process":12,"since":3}"#, Power::Exited)?;
    let said = ground.said(&["reap"]).await;
    assert!(ground.has(name) && said.contains(&format!("docker rm --force {name}")), "{said}");
    Ok(())
}

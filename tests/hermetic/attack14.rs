//! Whose things are, attacked once more: each test asserts what is right.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use seatrial::cluster::lock::{Access, LockFiles};
use seatrial::cluster::{Action, ClusterSpec, HA, Lease, ReapOptions};
use seatrial::config::{CONTROL_LABEL, OWNED_BY_LABEL, StateId};
use seatrial::fault::{Intent, Owner};
use seatrial::image::{ImageSet, NodeImage, STANDS_FOR_LABEL, balancer_of_kind};
use seatrial::manifest::{self, Manifest};
use seatrial::node::{OWNER_LABEL, Power, Role};
use seatrial::progress::Progress;
use serde_json::json;

use crate::fake_api::FakeApi;
use crate::fake_engine::Trouble;
use crate::ground::{Ground, NAME, soon};

const VALUE: &str = "s3cr3t-value9";

// --- Secrets.

/// kind's export lies as it is in the folder of evidence until it is gone over. A process that is killed meanwhile
/// leaves it, with a proxy's password, and nobody removes it.
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
    assert!(!text.contains(VALUE), "{done:?}: {text}");
    Ok(())
}

// --- What dead processes left.

fn dead() -> Owner {
    Owner { pid: 1, started: Some(u64::MAX) }
}

/// An idle cluster is to be removed, and is left since something of somebody's may be in it: the fault that a dead
/// process left in it is neither healed nor named, now and at each later reap.
#[tokio::test]
async fn a_fault_of_the_dead_is_healed_in_an_idle_cluster_that_stays() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.created_at = Timestamp::UNIX_EPOCH)?;
    ground.fake.change("three-worker", |c| c.power = Power::Paused);
    let intent = Intent {
        id: "pause-three-worker-0-1-0".into(),
        fault: "pause".into(),
        node: "three-worker".into(),
        role: Role::Worker,
        container: ground.id_of("three-worker"),
        address: None,
        at: Timestamp::UNIX_EPOCH,
        owner: dead(),
        lease: None,
        pod: None,
        lasts_ms: 0,
        until: None,
    };
    let intents = ground.settings.cluster_dir(NAME).join("intents");
    std::fs::create_dir_all(&intents)?;
    std::fs::write(intents.join(format!("{}.json", intent.id)), serde_json::to_vec(&intent)?)?;
    let done = ground.reap(ReapOptions::default()).await;
    assert!(ground.is_there(), "nobody knows what it holds: {done:?}");
    let power = ground.fake.state().containers["three-worker"].power;
    assert_eq!(power, Power::Running, "{done:?}");
    Ok(())
}

/// Who shares a cluster, or only looks at it, removes no namespace of a dead story, and takes away the mark that
/// there is one: `reap` then says that there is nothing to reap.
#[tokio::test]
async fn a_shared_lease_does_not_hide_a_dead_run_from_a_reap() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.kept = true)?;
    let files = LockFiles::new(&ground.settings.state, NAME);
    drop(files.enter(Access::Exclusive, "run r1", soon(), |_| ()).await?.enter()?);
    assert_eq!(files.unclean(), ["run r1"]);
    // As `seatrial up` and `seatrial load` do.
    files.enter(Access::Shared, "load", soon(), |_| ()).await?.enter()?.release()?;
    let dry = ReapOptions { dry_run: true, ..ReapOptions::default() };
    let done = ground.reap(dry).await?;
    assert!(matches!(done.as_slice(), [Action::Heal(why)] if why.contains("run r1")), "{done:?}");
    Ok(())
}

/// In the middle of an upgrade only faults are healed: the namespaces of the dead run stay. Said to be healed, they
/// are forgotten.
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

// --- What belongs to somebody who lives.

/// The engine removes the container of a control probe when its maker ends: one that runs has a maker, whose process
/// is not to be seen from another container with the same state folder.
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

/// The lock is a file in a cache: a creation of somebody with another cache may need the name just now.
#[tokio::test]
async fn a_creation_leaves_the_load_balancers_name_that_somebody_else_lent() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let Some(name) = balancer_of_kind()? else { return Ok(()) };
    ground.fake.state().containers.clear();
    let labels = [(STANDS_FOR_LABEL.to_owned(), name.clone())].into();
    ground.fake.state().images.insert(name, labels);
    let node = NodeImage { reference: "node:1".into(), id: "1".into(), baked: true, built_from: "x".into() };
    let images = ImageSet {
        profile: "current".into(),
        because: "a test".into(),
        kubernetes: "1.34.4".into(),
        node,
        workloads: BTreeMap::new(),
    };
    let spec = ClusterSpec { topology: &HA, images, apart: None };
    let (engine, quiet) = (ground.fake.client().await?, Progress::silent());
    let settings = &ground.settings;
    let made = Lease::acquire(settings, &engine, &spec, Access::Shared, "test", soon(), &quiet).await;
    let requests = ground.fake.state().requests.clone();
    let made = made.map(drop);
    assert!(requests.iter().any(|r| r.starts_with("GET /images/")), "{made:?} {requests:?}");
    assert!(!requests.iter().any(|r| r.starts_with("DELETE /images/")), "{made:?} {requests:?}");
    Ok(())
}

/// Made by somebody between our look and our apply: we are one of its managers then, and it is deleted as ours.
#[tokio::test]
async fn an_object_that_somebody_made_just_before_our_apply_is_not_deleted() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    // The API is busy when it is asked for the first time.
    fake.trouble("PATCH", "/configmaps/m", false, 1, crate::fake_api::Trouble::TooMany { retry_after: 1 });
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: default}\ndata: {ours: y}\n";
    let manifest = Manifest::read("m.yaml", text).unwrap();
    let somebody = async {
        let patience = soon();
        while !fake.requests().iter().any(|r| r.starts_with("PATCH")) && !patience.is_over() {
            patience.pause(Duration::from_millis(20)).await;
        }
        fake.put(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "m", "namespace": "default", "managedFields": [
                {"manager": "kubectl-create", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:data": {"f:theirs": {}}}}]},
            "data": {"theirs": "x"},
        }))
    };
    let (applied, _) = tokio::join!(manifest::apply(&client, &manifest, soon()), somebody);
    let deleted = manifest::delete(&client, &manifest, soon()).await;
    let now = fake.get("ConfigMap", "default", "m");
    assert!(now.is_some_and(|m| m["data"]["theirs"] == "x"), "{applied:?} {deleted:?}");
}

// --- What a command says.

/// A container that seatrial did not make has the cluster's label: the cluster, ours and idle, is neither removed nor
/// named.
#[tokio::test]
async fn a_reap_names_a_cluster_of_ours_that_a_stranger_joined() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |record| record.created_at = Timestamp::UNIX_EPOCH)?;
    ground.add("somebodys", NAME);
    ground.fake.change("somebodys", |c| _ = c.labels.remove(OWNER_LABEL));
    let said = ground.said(&["reap"]).await;
    assert!(ground.has("somebodys") && ground.is_there(), "{said}");
    assert!(said.contains("seatrial down three --force"), "{said:?}");
    Ok(())
}

/// A cluster of this state folder that cannot be looked at is taken for somebody's, and `down --all` is silent about
/// it.
#[tokio::test]
async fn down_of_all_names_a_cluster_of_ours_that_cannot_be_looked_at() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |_| ())?;
    let id: &'static str =
        Box::leak(format!("GET /containers/{}/json", ground.id_of("three-worker")).into_boxed_str());
    ground.fake.trouble(id, Trouble::Status(500, "input/output error"), 500);
    let said = ground.said(&["down", "--all"]).await;
    assert!(ground.is_there(), "{said}");
    assert!(said.contains(NAME), "nothing was said: {said:?}");
    Ok(())
}

/// The same where its record cannot be read: a power failure, a full disk.
#[tokio::test]
async fn down_of_all_names_a_cluster_of_ours_whose_record_is_damaged() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |_| ())?;
    std::fs::write(ground.settings.cluster_dir(NAME).join("cluster.json"), "{")?;
    let said = ground.said(&["down", "--all"]).await;
    assert!(ground.is_there(), "{said}");
    assert!(said.contains(NAME), "nothing was said: {said:?}");
    Ok(())
}

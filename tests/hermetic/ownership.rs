//! Who owns a cluster. Clusters that this state folder did not record on this engine are not removed, healed or
//! forgotten. Each is listed with the command that removes it.

use jiff::{SignedDuration, Timestamp};
use seatrial::cluster::lease::lock::LockFiles;
use seatrial::cluster::{Access, Action, ClusterError, Force, ListedState, ReapOptions};
use seatrial::config::StateId;
use seatrial::hint::Hint;
use seatrial::node::{OWNER_LABEL, Power};
use std::time::Duration;

use crate::fake_engine::Trouble;
use crate::state_folder::{Ground, NAME, settings, soon};

const ALL: ReapOptions = ReapOptions { idle: Some(Duration::ZERO), all: true, dry_run: false };

/// Seen in use: a plain `kind create cluster` with seatrial's node image was removed after 15 minutes.
#[tokio::test]
async fn a_cluster_without_our_record_is_left_alone_at_any_age() -> anyhow::Result<()> {
    let theirs = r#"{"id":"fedcba9876543210","state":"/home/b/.local/state/seatrial"}"#;
    for mark in [None, Some(theirs), Some("/home/b/.local/state/seatrial\n")] {
        for age in [-3600, -10, 0, 20 * 60, 24 * 3600] {
            let ground = Ground::new()?;
            mark.into_iter().for_each(|text| ground.mark(text));
            ground.aged(SignedDuration::from_secs(age));
            for options in [ReapOptions::default(), ALL] {
                let done = ground.reap(options).await?;
                let [Action::Leave(why)] = done.as_slice() else { panic!("{mark:?} {age}: {done:?}") };
                assert!(why.ends_with("if nobody needs it: seatrial down three --force"), "{why}");
                let whose = match mark {
                    None => "owner unknown",
                    Some(mark) if mark == theirs => "owner fedcba9876543210 (state folder /home/b",
                    Some(_) => "owner unknown (state folder /home/b",
                };
                assert!(why.contains("started") && why.contains(whose), "{why}");
            }
            assert!(matches!(ground.list().await?.as_slice(), [(_, ListedState::Foreign(_))]));
            assert!(matches!(ground.down(NAME, Force::No).await, Err(ClusterError::Elsewhere { .. })));
            assert_eq!(ground.fake.changes(), [] as [String; 0]);
            assert!(ground.is_there());
        }
    }
    Ok(())
}

/// The same path on another file system: containers of two CI jobs share the engine's socket.
#[tokio::test]
async fn a_different_folder_at_our_path_is_another_owner() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    StateId::of(&ground.settings.state)?;
    let path = ground.settings.state.display();
    ground.mark(&format!("{{\"id\":\"fedcba9876543210\",\"state\":\"{path}\"}}"));
    assert!(matches!(ground.reap(ALL).await?.as_slice(), [Action::Leave(_)]));
    // A copy of our folder, records included.
    ground.made(|_| ())?;
    let copy = ground.fake.dir().join("copy");
    std::fs::create_dir_all(copy.join("clusters").join(NAME))?;
    for file in ["id", "clusters/three/cluster.json"] {
        std::fs::copy(ground.settings.state.join(file), copy.join(file))?;
    }
    let copied = Ground { settings: settings(&copy)?, ..ground };
    assert!(matches!(copied.reap(ALL).await?.as_slice(), [Action::Leave(_)]));
    assert!(copied.is_there() && copied.settings.cluster_dir(NAME).is_dir());
    Ok(())
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_nothing_old() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|record| record.created_at = Timestamp::now() + SignedDuration::from_hours(1))?;
    assert_eq!(ground.reap(ReapOptions::default()).await?, [], "made in the future");
    let files = LockFiles::new(&ground.settings.state, NAME);
    files.try_enter("test")?.expect("nobody has it").enter()?.release()?;
    let used = std::fs::File::open(ground.settings.state.join("leases/three/used"))?;
    used.set_modified(std::time::SystemTime::now() + Duration::from_secs(3600))?;
    assert_eq!(ground.reap(ReapOptions::default()).await?, [], "used in the future");
    assert!(ground.is_there());
    Ok(())
}

#[tokio::test]
async fn a_cluster_on_another_engine_keeps_its_files() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|_| ())?;
    let intent = ground.settings.cluster_dir(NAME).join("intents");
    std::fs::create_dir_all(&intent)?;
    std::fs::write(intent.join("stop.json"), "{}")?;
    ground.fake.state().id = "ANOTHER:ENGINE".into();
    ground.fake.state().containers.clear();
    for options in [ReapOptions::default(), ALL] {
        let done = ground.reap(options).await?;
        assert!(matches!(done.as_slice(), [Action::Leave(why)] if why.contains("FAKE:ENGINE")), "{done:?}");
    }
    assert!(matches!(ground.list().await?.as_slice(), [(_, ListedState::Foreign(_))]));
    assert!(
        intent.join("stop.json").is_file()
            && ground.settings.cluster_dir(NAME).join("cluster.json").is_file()
    );
    // Only by name, and with `--force`.
    assert!(matches!(ground.down(NAME, Force::No).await, Err(ClusterError::Elsewhere { .. })));
    ground.down(NAME, Force::Yes).await?;
    assert!(!ground.settings.cluster_dir(NAME).exists());
    Ok(())
}

/// Podman reports another id at each request.
#[tokio::test]
async fn an_engine_with_a_changing_id_is_one_engine() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().id = "random".into();
    let (first, again) = (ground.fake.client().await?.id().await?, ground.fake.client().await?.id().await?);
    assert!(first == again && first.starts_with("fake /var/lib/docker unix://"), "{first} {again}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_we_recorded_is_removed_as_before() -> anyhow::Result<()> {
    let half = Ground::new()?;
    half.made(|record| record.complete = false)?;
    assert!(matches!(half.reap(ReapOptions::default()).await?.as_slice(), [Action::Remove(_)]));
    assert!(!half.is_there() && !half.settings.cluster_dir(NAME).exists());

    let idle = Ground::new()?;
    idle.made(|record| record.created_at = Timestamp::UNIX_EPOCH)?;
    // Its contents are unknown: it has no API server.
    assert!(matches!(idle.reap(ReapOptions::default()).await?.as_slice(), [Action::Leave(_)]));
    assert!(idle.is_there());
    assert!(matches!(idle.reap(ALL).await?.as_slice(), [Action::Remove(_)]));

    let kept = Ground::new()?;
    kept.made(|record| (record.created_at, record.kept) = (Timestamp::UNIX_EPOCH, true))?;
    assert_eq!(kept.reap(ReapOptions::default()).await?, []);
    assert!(kept.is_there());
    // Nor if a part of it is missing: somebody may want its files.
    kept.made(|record| {
        record.kept = true;
        record.containers =
            [("three-worker".to_owned(), "id-three-worker-0".to_owned()), ("gone".into(), "id".into())]
                .into();
    })?;
    let left = kept.reap(ReapOptions::default()).await?;
    assert!(matches!(left.as_slice(), [Action::Leave(why)] if why.contains("`seatrial up`")), "{left:?}");
    assert!(kept.is_there());
    assert!(matches!(kept.reap(ALL).await?.as_slice(), [Action::Remove(_)]));
    Ok(())
}

#[tokio::test]
async fn force_removes_the_named_cluster_unless_its_owner_uses_it() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let theirs = ground.fake.dir().join("theirs");
    let id = StateId::of(&theirs)?;
    ground.mark(&format!("{{\"id\":\"{id}\",\"state\":\"{}\"}}", theirs.display()));
    let files = LockFiles::new(&theirs, NAME);
    let held = files.enter(Access::Shared, "run of theirs", soon(), |_| ()).await?.enter()?;
    let refused = ground.down(NAME, Force::Yes).await.unwrap_err();
    assert!(refused.to_string().contains("run of theirs"), "{refused}");
    assert!(ground.is_there());
    held.release()?;
    ground.down(NAME, Force::Yes).await?;
    assert!(!ground.is_there());
    Ok(())
}

#[tokio::test]
async fn a_container_that_is_not_ours_is_refused_even_by_force() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.change("three-worker", |c| drop(c.labels.remove(seatrial::node::OWNER_LABEL)));
    assert!(matches!(ground.down(NAME, Force::Yes).await, Err(ClusterError::NotOurs { .. })));
    // Nor is a lone load balancer, whose image is kind's.
    ground.fake.change("three-worker", |c| {
        c.labels.insert(seatrial::node::ROLE_LABEL.into(), "external-load-balancer".into());
    });
    assert!(matches!(ground.down(NAME, Force::Yes).await, Err(ClusterError::NotOurs { .. })));
    assert!(ground.is_there());
    Ok(())
}

/// Seen in use: 2.1 GB stayed until the next build.
#[tokio::test]
async fn leftovers_of_a_killed_build_are_removed_and_reported() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.made(|_| ())?;
    let building = ground.settings.cache.join("building/node-1");
    std::fs::create_dir_all(building.join("scratch"))?;
    std::fs::create_dir_all(ground.settings.cache.join("locks"))?;
    let lock = std::fs::File::create(ground.settings.cache.join("locks/node-1.lock"))?;
    lock.lock()?;
    assert_eq!(ground.reap(ReapOptions::default()).await?, [], "somebody builds");
    drop(lock);
    let dry = ReapOptions { dry_run: true, ..ReapOptions::default() };
    assert!(matches!(ground.reap(dry).await?.as_slice(), [Action::Remove(_)]));
    assert!(building.is_dir());
    assert!(matches!(ground.reap(ReapOptions::default()).await?.as_slice(), [Action::Remove(_)]));
    assert!(!building.exists());
    Ok(())
}

/// A cluster of this state folder that cannot be inspected counts as foreign, and `down --all` once did not name it.
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

/// The same if its record cannot be read, after a power failure or with a full disk.
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

/// A reap left the cluster alone and named it. `down --force` removes seatrial's part of it, and nothing else.
#[tokio::test]
async fn down_by_force_removes_our_part_next_to_a_foreign_container() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |_| ())?;
    ground.add("somebodys", NAME);
    ground.fake.change("somebodys", |c| _ = c.labels.remove(OWNER_LABEL));
    let refused = ground.down(NAME, Force::No).await.unwrap_err();
    assert!(matches!(refused, ClusterError::NotOurs { mixed: true, .. }), "{refused}");
    assert!(refused.hint().is_some_and(|hint| hint.ends_with("seatrial down three --force")), "{refused}");
    let said = ground.said(&["down", NAME, "--force"]).await;
    assert!(!ground.is_there() && ground.has("somebodys"), "{said}");
    assert!(said.contains("docker rm --force somebodys"), "{said}");
    assert!(!ground.settings.cluster_dir(NAME).exists());
    Ok(())
}

/// A node of the cluster may belong to somebody else, who decides when it starts.
#[tokio::test]
async fn a_lease_does_not_start_a_node_that_somebody_joined() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |_| ())?;
    ground.add("somebodys", NAME);
    ground.fake.change("somebodys", |c| c.power = Power::Exited);
    // The fake publishes no API server. The lease fails after it has started the nodes that it may start.
    let failed = ground.clusters().await.existing(NAME, Access::Shared, soon()).await;
    assert!(matches!(failed, Err(ClusterError::WrongKubeconfig { .. })), "{failed:?}");
    assert_eq!(ground.fake.state().containers["somebodys"].power, Power::Exited);
    Ok(())
}

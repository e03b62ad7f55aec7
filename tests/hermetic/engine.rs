//! The engine module when the engine misbehaves: each problem is a clear error, before the deadline.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use rstest::rstest;
use seatrial::deadline::Deadline;
use seatrial::engine::{Engine, EngineError, Power};
use seatrial::hint::Hint;
use seatrial::node::CLUSTER_LABEL;

use crate::fake_engine::{FakeEngine, Trouble};

fn short() -> Deadline {
    Deadline::after(Duration::from_millis(200))
}

#[tokio::test]
async fn a_container_is_read_with_its_address_and_ports() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a", "b"])?;
    let all = fake.client().await?.containers(&[(CLUSTER_LABEL, "three")]).await?;
    assert_eq!(all.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(all[1].addresses["kind"].to_string(), "172.18.0.3");
    assert_eq!(all[0].ports["6443/tcp"].to_string(), "127.0.0.1:34567");
    assert_eq!((all[0].ports.len(), all[0].finished_at), (1, None));
    assert_eq!(all[0].tmpfs, ["/run"]);
    Ok(())
}

#[tokio::test]
async fn facts_are_read() -> anyhow::Result<()> {
    let facts = FakeEngine::with(&[])?;
    let facts = facts.client().await?.facts().await?;
    assert!(facts.rootless);
    assert_eq!((facts.cores, facts.cgroup_version.as_str()), (4, "2"));
    Ok(())
}

#[tokio::test]
async fn a_missing_engine_is_named_with_its_address_and_a_hint() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let host = format!("unix://{}/engine.sock", dir.path().display());
    // First no socket; then a socket without a listener, as a dead engine leaves it.
    for _ in 0..2 {
        let error = Engine::connect(&host).await.unwrap_err();
        assert!(
            matches!(&error, EngineError::Unreachable { host: named, .. } if *named == host),
            "{error:?}"
        );
        assert!(error.hint().is_some_and(|h| h.contains("DOCKER_HOST")));
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("engine.sock")).ok());
    }
    assert!(Engine::connect("gopher://x").await.is_err());
    Ok(())
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_refused() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&[])?;
    fake.state().commands.insert("be old".into(), (0, "", ""));
    let error = Engine::connect(&fake.host()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the container engine supports API version "1.40", but 1.41 or later is required"#
    );
    Ok(())
}

/// Podman's service speaks Docker's API; kind's Docker provider and the faults need Docker.
#[tokio::test]
async fn podman_is_refused_by_name() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&[])?;
    fake.state().commands.insert("be podman".into(), (0, "", ""));
    let error = Engine::connect(&fake.host()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the container engine at {} is Podman Engine 5.4.2, not Docker", fake.host())
    );
    assert!(error.hint().unwrap().contains("DOCKER_HOST"));
    Ok(())
}

#[rstest]
#[case(Trouble::Hang)]
#[case(Trouble::Reset)]
#[case(Trouble::Garbage)]
#[case(Trouble::Status(500, "out of order"))]
#[tokio::test]
async fn a_broken_greeting_ends_in_time(#[case] trouble: Trouble) -> anyhow::Result<()> {
    let fake = FakeEngine::with(&[])?;
    fake.trouble("/version", trouble.clone(), 1);
    let began = Instant::now();
    let error = Engine::connect_within(&fake.host(), short()).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(2));
    match trouble {
        Trouble::Hang => assert!(matches!(error, EngineError::Timeout { .. }), "{error:?}"),
        _ => assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}"),
    }
    Ok(())
}

/// Every call with every trouble: an error within the call's deadline, which names the operation.
#[rstest]
#[tokio::test]
async fn every_call_fails_clearly_and_in_time(
    #[values(
        Trouble::Hang,
        Trouble::Slow(Duration::from_secs(5)),
        Trouble::Reset,
        Trouble::Cut,
        Trouble::Garbage,
        Trouble::Status(500, "out of order")
    )]
    trouble: Trouble,
) -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a"])?;
    let engine = fake.client().await?.at_most(Duration::from_millis(200));
    fake.trouble(" /", trouble.clone(), usize::from(u16::MAX));
    let began = Instant::now();
    let errors = [
        ("system information", engine.facts().await.err()),
        ("list containers", engine.containers(&[]).await.err()),
        ("inspect container a", engine.container("a").await.err()),
        ("start container a", engine.start("a").await.err()),
        ("stop container a", engine.stop("a", Duration::ZERO).await.err()),
        ("kill container a", engine.kill("a").await.err()),
        ("pause container a", engine.pause("a").await.err()),
        ("unpause container a", engine.unpause("a").await.err()),
        ("log of container a", engine.logs("a", 9).await.err()),
        ("run `ls /` in a", engine.exec("a", &["ls", "/"], None, short()).await.err()),
        ("run `ls /` in a", engine.exec_ok("a", &["ls", "/"], None, short()).await.err()),
        ("run `ls /` in a", engine.exec_lines("a", &["ls", "/"]).next().await.and_then(Result::err)),
        ("inspect container a", engine.list("a", "/x", 1).await.err()),
        ("inspect container a", engine.read_file("a", "/x", 9).await.err()),
        ("inspect image i", engine.image("i").await.err()),
        ("pull i", engine.pull("i", short(), |_, _| {}).await.err()),
        ("registry for i", engine.registry_digest("i", short()).await.err()),
        ("inspect image i", engine.label_image("i", "j", &[]).await.err()),
        ("inspect image i", engine.save(&["i"], &fake.dir().join("out.tar"), short()).await.err()),
        ("remove network n", engine.remove_network("n").await.err()),
        ("tag i as j", engine.tag_image("i", "j").await.err()),
        ("remove image i", engine.remove_image("i").await.err()),
        ("remove container a", engine.remove("a").await.err()),
    ];
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    for (doing, error) in errors {
        // Calls that look only at the status need no body, so they may succeed with a broken one.
        let Some(error) = error else {
            assert!(matches!(trouble, Trouble::Cut | Trouble::Garbage), "{doing} ended well");
            continue;
        };
        // A pull whose answer was garbled leaves no image.
        let named = matches!(error, EngineError::NotFound { .. }) && matches!(trouble, Trouble::Garbage);
        assert!(named || error.to_string().contains(doing), "{doing}: {error}");
        let late = matches!(error, EngineError::Timeout { .. });
        assert_eq!(late, matches!(trouble, Trouble::Hang | Trouble::Slow(_)), "{doing}: {error:?}");
        if matches!(trouble, Trouble::Status(..)) {
            assert_eq!(error.status(), Some(500), "{error:?}");
            let source = std::error::Error::source(&error).map(ToString::to_string);
            assert!(source.is_some_and(|s| s.contains("out of order")), "{error:?}");
        }
    }
    assert!(!fake.dir().join("out.tar").exists());
    Ok(())
}

#[tokio::test]
async fn a_late_answer_within_the_deadline_is_an_answer() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a"])?;
    fake.trouble("/containers/a/json", Trouble::Slow(Duration::from_millis(200)), 1);
    assert!(fake.client().await?.container("a").await?.is_some());
    Ok(())
}

/// A 409 or 500 is no error if the requested state already holds. Otherwise it is one.
#[tokio::test]
async fn a_conflict_is_settled_by_the_state() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a"])?;
    let engine = fake.client().await?;
    fake.trouble("/stop", Trouble::DoneBut(500, "context canceled"), 1);
    engine.stop("a", Duration::ZERO).await?;
    fake.trouble("/start", Trouble::Status(409, "conflict"), 1);
    let error = engine.start("a").await.unwrap_err();
    assert_eq!(error.status(), Some(409), "{error:?}");
    let error = engine.pause("a").await.unwrap_err();
    assert!(matches!(error, EngineError::NotRunning { power: Power::Exited, .. }), "{error:?}");
    assert_eq!(error.hint().as_deref(), Some("docker start a"));
    fake.trouble("DELETE", Trouble::DoneBut(409, "removal is already in progress"), 1);
    engine.remove("a").await?;
    fake.trouble("/start", Trouble::Status(404, "No such container"), 1);
    assert!(matches!(engine.start("a").await, Err(EngineError::NotFound { .. })));
    Ok(())
}

#[tokio::test]
async fn a_full_disk_is_named() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a"])?;
    let engine = fake.client().await?;
    engine.kill("a").await?;
    fake.trouble("/start", Trouble::Status(500, "write /var/lib/docker: no space left on device"), 1);
    let error = engine.start("a").await.unwrap_err();
    assert!(matches!(error, EngineError::NoSpace { .. }), "{error:?}");
    assert!(error.hint().is_some());
    Ok(())
}

#[tokio::test]
async fn a_container_that_goes_away_while_listed_is_left_out() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a", "b"])?;
    let engine = fake.client().await?;
    fake.trouble("/containers/id-a", Trouble::Status(404, "No such container"), 1);
    assert_eq!(engine.containers(&[]).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_command_gives_code_and_streams() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a"])?;
    let engine = fake.client().await?;
    fake.state().commands.insert("ls".into(), (3, "one\ntwo", "bad luck"));
    let ran = engine.exec("a", &["ls"], None, short()).await?;
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (3, &b"one\ntwo"[..], &b"bad luck"[..]));
    let error = engine.exec_ok("a", &["ls"], None, short()).await.unwrap_err();
    assert_eq!(error.to_string(), "`ls` in a ended with 3: bad luck");
    let lines: Vec<_> = engine.exec_lines("a", &["ls"]).collect().await;
    assert!(
        matches!(&lines[..], [Ok(a), Ok(b), Err(EngineError::Command { code: 3, .. })] if a == "one" && b == "two")
    );
    fake.change("a", |c| c.power = Power::Exited);
    let error = engine.exec("a", &["ls"], None, short()).await.unwrap_err();
    assert!(matches!(error, EngineError::NotRunning { power: Power::Exited, .. }), "{error:?}");
    Ok(())
}

/// Half a listing is no listing: missing files would count as deleted.
#[tokio::test]
async fn the_files_of_a_container_that_ends_meanwhile_are_listed_in_another_way() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a"])?;
    let half = "d\x004096\x000\x00755\x00\x00\x00f\x001\x000\x00644\x00a\x00\x00";
    let last = (6 * 50_002).to_string();
    fake.state().commands.insert(last.clone(), (0, half, ""));
    let engine = fake.client().await?;
    assert_eq!(engine.list("a", "/x", 1).await?.map(|l| l.entries.len()), Some(1));
    fake.state().commands.insert(last, (137, half, ""));
    // The fake's archive is empty.
    assert_eq!(engine.list("a", "/x", 1).await?, None);
    Ok(())
}

#[tokio::test]
async fn memory_of_a_stopped_container_cannot_be_seen() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a"])?;
    fake.change("a", |c| c.power = Power::Exited);
    let error = fake.client().await?.list("a", "/run/x", 1).await.unwrap_err();
    // The fake has no file system. /run itself is looked up first, and it is in memory.
    assert!(matches!(&error, EngineError::NotVisible { mount, .. } if mount == "/run"), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_pull_that_repeats_its_progress_counts_as_stuck() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&[])?;
    let step = |id: &str, status: &str, now: i64| serde_json::json!({ "id": id, "status": status, "progressDetail": { "current": now, "total": 9_000_000 } });
    // As the containerd store reports progress: every open layer, over and over.
    fake.state().steps = vec![
        step("a", "Downloading", 1_000_000),
        step("b", "Downloading", 1_000_000),
        step("a", "Downloading", 1_000_000),
        step("b", "Downloading", 1_000_001),
        step("a", "Extracting", 1_000_000),
        step("b", "Downloading", 1_000_001),
    ];
    fake.state().images.insert("nginx:1".into(), BTreeMap::new());
    let mut told = Vec::new();
    let client = fake.client().await?;
    client.pull("nginx:1", short(), |text, moved| told.push((text.to_owned(), moved))).await?;
    let moved: Vec<bool> = told.iter().map(|(_, moved)| *moved).collect();
    assert_eq!(moved, [true, true, false, true, true, false]);
    assert_eq!(told[0].0, "a Downloading 1 of 9 MB");
    Ok(())
}

#[rstest]
#[case::unknown("manifest for nginx:1 not found: manifest unknown", None)]
#[case::denied(
    "pull access denied for nginx, repository does not exist or may require 'docker login'",
    Some("docker login")
)]
#[case::platform("no matching manifest for linux/arm64/v8 in the manifest list entries", Some("linux/arm64"))]
#[case::containerd("no match for platform in manifest: not found", Some("platform"))]
#[tokio::test]
async fn the_causes_of_a_404_are_told_apart(
    #[case] says: &'static str,
    #[case] kept: Option<&str>,
) -> anyhow::Result<()> {
    let fake = FakeEngine::with(&[])?;
    fake.trouble("POST /images/create", Trouble::Status(404, says), 1);
    let error = fake.client().await?.pull("nginx:1", short(), |_, _| {}).await.unwrap_err();
    match kept {
        None => {
            assert!(matches!(&error, EngineError::NotFound { name, .. } if name == "nginx:1"), "{error:?}")
        }
        Some(words) => {
            let EngineError::Api { source, .. } = &error else { panic!("{error:?}") };
            assert!(source.to_string().contains(words), "{source}");
        }
    }
    Ok(())
}

/// Kubelets report by the engine's clock. In a virtual machine that clock may be seconds behind ours.
#[tokio::test]
async fn the_engines_time_is_read_from_the_engine() -> anyhow::Result<()> {
    let engine = FakeEngine::with(&["w"])?;
    engine.state().ahead = jiff::SignedDuration::from_secs(-30);
    let behind = jiff::Timestamp::now().duration_since(engine.client().await?.now().await?);
    assert!((25..60).contains(&behind.as_secs()), "{behind:?}");
    Ok(())
}

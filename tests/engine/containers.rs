//! The engine module against a real engine.

use std::time::{Duration, Instant};

use futures::StreamExt;
use seatrial::deadline::Deadline;
use seatrial::engine::{Engine, EngineError, Power};

use crate::box_container::{FOREIGN, POLITE, STUBBORN, soon, with_box};

#[tokio::test]
async fn facts_speak_of_this_machine() -> anyhow::Result<()> {
    let facts = crate::engine().await?.facts().await?;
    assert!(facts.cores > 0 && facts.memory_bytes > 1 << 28, "{facts:?}");
    assert!(["1", "2"].contains(&facts.cgroup_version.as_str()), "{facts:?}");
    assert!(facts.root_dir.starts_with('/'), "{facts:?}");
    Ok(())
}

#[tokio::test]
async fn every_power_switch_may_be_thrown_twice() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let power = async || anyhow::Ok(engine.existing(&name).await?.power);
        engine.start(&name).await?;
        let running = engine.existing(&name).await?;
        assert_eq!(running.power, Power::Running);
        assert!(running.pid > 0 && running.addresses.len() == 1, "{running:?}");
        for _ in 0..2 {
            engine.pause(&name).await?;
            assert_eq!(power().await?, Power::Paused);
        }
        for _ in 0..2 {
            engine.unpause(&name).await?;
            assert_eq!(power().await?, Power::Running);
        }
        for _ in 0..2 {
            engine.stop(&name, Duration::from_secs(10)).await?;
        }
        let stopped = engine.existing(&name).await?;
        assert_eq!((stopped.power, stopped.exit_code), (Power::Exited, 7));
        assert!(stopped.finished_at > running.started_at && stopped.addresses.is_empty(), "{stopped:?}");
        engine.kill(&name).await?;
        let error = engine.pause(&name).await.unwrap_err();
        assert!(matches!(error, EngineError::NotRunning { power: Power::Exited, .. }), "{error:?}");
        engine.start(&name).await?;
        engine.kill(&name).await?;
        assert_eq!(engine.existing(&name).await?.exit_code, 137);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stop_kills_what_ignores_the_signal() -> anyhow::Result<()> {
    with_box(STUBBORN, |engine, name| async move {
        engine.stop(&name, Duration::from_secs(1)).await?;
        assert_eq!(engine.existing(&name).await?.exit_code, 137);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_there() -> anyhow::Result<()> {
    let engine = crate::engine().await?;
    let none = "seatrial-test-none";
    assert_eq!(engine.container(none).await?, None);
    assert_eq!(engine.image("seatrial-test-none:1").await?, None);
    engine.remove(none).await?;
    engine.remove_image("seatrial-test-none:1").await?;
    let stopped = engine.stop(none, Duration::ZERO).await;
    assert!(matches!(stopped, Err(EngineError::NotFound { .. })), "{stopped:?}");
    let listed = engine.list(none, "/", 1).await;
    assert!(matches!(listed, Err(EngineError::NotFound { .. })), "{listed:?}");
    let ran = engine.exec(none, &["ls"], None, soon()).await;
    assert!(matches!(ran, Err(EngineError::NotFound { .. })), "{ran:?}");
    assert!(matches!(engine.logs(none, 5).await, Err(EngineError::NotFound { .. })));
    Ok(())
}

#[tokio::test]
async fn commands_give_code_and_both_streams() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let ran = engine.exec(&name, &["sh", "-c", "echo out; echo err >&2; exit 3"], None, soon()).await?;
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (3, &b"out\n"[..], &b"err\n"[..]));
        let input = vec![b'x'; 300_000];
        let ran = engine.exec(&name, &["cat"], Some(input.clone()), soon()).await?;
        assert!(ran.stdout == input && ran.code == 0, "{} bytes came back", ran.stdout.len());
        let error = engine.exec_ok(&name, &["ls", "/none"], None, soon()).await.unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
        let missing = engine.exec(&name, &["no-such-program"], None, soon()).await?;
        assert_eq!(missing.code, 127);
        let big = engine.exec(&name, &["head", "-c", "5000000", "/dev/zero"], None, soon()).await?;
        assert_eq!(big.stdout.len(), 5_000_000);
        engine.pause(&name).await?;
        let error = engine.exec(&name, &["ls"], None, soon()).await.unwrap_err();
        assert!(matches!(error, EngineError::NotRunning { power: Power::Paused, .. }), "{error:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_command_ends_inside_when_its_deadline_passes() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let short = Deadline::after(Duration::from_millis(700));
        let error = engine.exec(&name, &["sleep", "4321"], None, short).await.unwrap_err();
        assert!(matches!(error, EngineError::Timeout { .. }), "{error:?}");
        gone(&engine, &name, "sleep 4321").await
    })
    .await
}

#[tokio::test]
async fn lines_come_as_they_are_printed_and_end_with_the_stream() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let script = "echo one; printf two; sleep 1; echo; sleep 1234";
        let mut lines = engine.exec_lines(&name, &["sh", "-c", script]);
        assert_eq!(lines.next().await.unwrap()?, "one");
        assert_eq!(lines.next().await.unwrap()?, "two");
        let seen = engine.exec_ok(&name, &["ps", "-eo", "args"], None, soon()).await?;
        assert!(seen.contains("sleep 1234"), "{seen}");
        drop(lines);
        gone(&engine, &name, script).await?;
        gone(&engine, &name, "sleep 1234").await?;

        let items: Vec<_> = engine.exec_lines(&name, &["sh", "-c", "echo a; exit 4"]).collect().await;
        assert!(matches!(&items[..], [Ok(line), Err(EngineError::Command { code: 4, .. })] if line == "a"));
        let items: Vec<_> = engine.exec_lines(&name, &["seq", "1000"]).collect().await;
        assert_eq!(items.len(), 1000);
        // A flood that nobody reads must end as well.
        let mut flood = engine.exec_lines(&name, &["yes"]);
        assert_eq!(flood.next().await.unwrap()?, "y");
        drop(flood);
        gone(&engine, &name, "yes").await
    })
    .await
}

#[tokio::test]
async fn a_stream_of_lines_ends_when_its_container_is_killed() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let mut lines = engine.exec_lines(&name, &["sh", "-c", "echo up; sleep 1000"]);
        assert_eq!(lines.next().await.unwrap()?, "up");
        engine.kill(&name).await?;
        let rest = soon().bound(lines.collect::<Vec<_>>()).await?;
        assert!(matches!(&rest[..], [Err(_)]), "{rest:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_image_is_labelled_saved_loaded_and_removed() -> anyhow::Result<()> {
    with_box(FOREIGN, |engine, name| async move {
        let base = engine.existing(&name).await?.image_id;
        let tag = format!("{name}:labelled");
        let made = engine.label_image(&base, &tag, &[("dev.seatrial.test", "a b=c")]).await?;
        assert_eq!(made.labels["dev.seatrial.test"], "a b=c");
        let dir = tempfile::tempdir()?;
        let archive = dir.path().join("image.tar");
        engine.save(&[&tag], &archive, soon()).await?;
        engine.remove_image(&tag).await?;
        assert_eq!(engine.image(&tag).await?, None);
        assert_eq!(engine.load(&archive, soon()).await?, std::slice::from_ref(&tag));
        assert_eq!(engine.image(&tag).await?.map(|i| i.id), Some(made.id.clone()));
        // A name more, taken away again: the image and its own name stay.
        let lent = format!("docker.io/seatrial-test/{name}:lent");
        engine.tag_image(&tag, &lent).await?;
        assert_eq!(engine.image(&lent).await?.map(|i| i.id), Some(made.id.clone()));
        engine.remove_image(&lent).await?;
        assert_eq!(engine.image(&lent).await?, None);
        assert_eq!(engine.image(&tag).await?.map(|i| i.id), Some(made.id));
        engine.remove_image(&tag).await?;
        let none = engine.tag_image(&tag, &lent).await;
        assert!(matches!(none, Err(EngineError::NotFound { .. })), "{none:?}");
        let none = engine.label_image("seatrial-test-none:1", &tag, &[]).await;
        assert!(matches!(none, Err(EngineError::NotFound { .. })), "{none:?}");
        let none = engine.load(&dir.path().join("none.tar"), soon()).await;
        assert!(matches!(none, Err(EngineError::File { .. })), "{none:?}");
        std::fs::write(&archive, b"this is no archive at all")?;
        assert!(engine.load(&archive, soon()).await.is_err());
        Ok(())
    })
    .await
}

/// Waits until no process inside has this command line.
async fn gone(engine: &Engine, name: &str, args: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let seen = engine.exec_ok(name, &["ps", "-eo", "args"], None, soon()).await?;
        if !seen.lines().any(|line| line.ends_with(args)) {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "still there:\n{seen}");
        soon().pause(Duration::from_millis(200)).await;
    }
}

//! Loading images onto nodes, with a `ctr` that keeps names instead of images.

use std::time::Duration;

use anyhow::ensure;
use seatrial::engine::{Engine, EngineError};
use seatrial::image::{ImageError, Loaded, Loader};
use seatrial::progress::Progress;

use crate::box_container::{IMAGE, POLITE, soon, with_box};

/// Understands what seatrial asks of a node's containerd; `/mnt/fail` makes imports fail,
/// `/mnt/forget` makes them do nothing. What it was fed is kept as `/mnt/archive`.
const CTR: &str = r#"#!/bin/sh
case "$*" in
  'images import --help') echo "  --local"; exit ;;
  '-n k8s.io images ls -q') cat /mnt/have/* 2>/dev/null; exit 0 ;;
  '-n k8s.io images import --local --discard-unpacked-layers -')
    cat > /mnt/archive
    [ ! -e /mnt/fail ] || { echo "ctr: no space left on device" >&2; exit 1; }
    [ -e /mnt/forget ] || echo REFERENCE > /mnt/have/REFERENCE ;;
  *) echo "unknown: $*" >&2; exit 64 ;;
esac
"#;
/// The box itself is the image that is loaded.
const REFERENCE: &str = IMAGE;

async fn install(engine: &Engine, name: &str) -> anyhow::Result<()> {
    // Writing into a program that is there keeps its mode: the box has no chmod.
    let script = "mkdir -p /mnt/have; cat > /bin/yes; ln -s yes /bin/ctr";
    let ctr = CTR.replace("REFERENCE", REFERENCE);
    engine.exec_ok(name, &["sh", "-c", script], Some(ctr.into()), soon()).await?;
    Ok(())
}

async fn load_onto(engine: &Engine, nodes: &[&str], reference: &str) -> Result<Vec<Loaded>, ImageError> {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let loader = Loader { engine, scratch: scratch.path(), progress: &Progress::silent() };
    let loaded = loader.load(nodes, &[reference], soon()).await;
    let left = std::fs::read_dir(scratch.path()).map_or(0, Iterator::count);
    assert_eq!(left, 0, "an archive was left");
    loaded
}

#[tokio::test]
async fn an_image_is_loaded_where_it_is_lacking_and_only_there() -> anyhow::Result<()> {
    with_box(POLITE, async |engine, one| {
        with_box(POLITE, async move |engine, two| {
            install(&engine, &one).await?;
            install(&engine, &two).await?;
            let loaded = load_onto(&engine, &[&one], REFERENCE).await?;
            ensure!(loaded[0].onto == [one.clone()], "{loaded:?}");
            let whole = engine.exec_ok(&one, &["ls", "-l", "/mnt/archive"], None, soon()).await?;
            let size: u64 = whole.split_whitespace().nth(4).unwrap_or_default().parse()?;
            ensure!(size > 1_000_000, "the whole archive arrives: {whole}");
            let loaded = load_onto(&engine, &[&one, &two], REFERENCE).await?;
            ensure!(loaded[0].onto == [two.clone()], "{loaded:?}");
            let loaded = load_onto(&engine, &[&one, &two], REFERENCE).await?;
            ensure!(loaded[0].onto.is_empty(), "{loaded:?}");
            Ok(())
        })
        .await?;
        let _ = engine;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_went_wrong_on_a_node_is_said_with_its_name() -> anyhow::Result<()> {
    with_box(POLITE, async |engine, node| {
        install(&engine, &node).await?;
        engine.exec_ok(&node, &["sh", "-c", ": > /mnt/fail"], None, soon()).await?;
        let error = load_onto(&engine, &[&node], REFERENCE).await.unwrap_err();
        let text = error.to_string();
        ensure!(matches!(error, ImageError::Engine(EngineError::Command { .. })), "{error:?}");
        ensure!(text.contains(&node) && text.contains("no space left"), "{text}");

        engine.exec_ok(&node, &["sh", "-c", "rm /mnt/fail; : > /mnt/forget"], None, soon()).await?;
        let error = load_onto(&engine, &[&node], REFERENCE).await.unwrap_err();
        ensure!(matches!(&error, ImageError::NotThere { place, .. } if *place == node), "{error:?}");

        let error = load_onto(&engine, &[&node], "seatrial-test-none:1").await.unwrap_err();
        ensure!(matches!(error, ImageError::Engine(EngineError::NotFound { .. })), "{error:?}");
        engine.stop(&node, Duration::from_secs(1)).await?;
        let error = load_onto(&engine, &[&node], REFERENCE).await.unwrap_err();
        ensure!(matches!(error, ImageError::Engine(EngineError::NotRunning { .. })), "{error:?}");
        Ok(())
    })
    .await
}

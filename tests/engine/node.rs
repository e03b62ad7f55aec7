//! Nodes and faults against a real engine.

use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::fault::{FAULTS, Fault, FaultError, HealOutcome, Healed, IntentLog, StopNode, heal_all};
use seatrial::node::{Node, NodeError, Power, Role};
use serde_json::Value;

use crate::box_container::{FOREIGN, Like, POLITE, STUBBORN, soon, with_box};

fn node(engine: &Engine, name: &str) -> Node {
    Node::new(engine.clone(), name, Role::Worker)
}

#[tokio::test]
async fn each_fault_takes_hold_is_proved_and_is_healed() -> anyhow::Result<()> {
    with_box(STUBBORN, |engine, name| async move {
        for fault in FAULTS {
            let node = node(&engine, &name);
            let proof = fault.inject(&node, soon()).await?;
            let power = node.power().await?;
            assert_ne!(power, Power::Running, "{fault:?}");
            assert_eq!(proof["power"], power.name(), "{fault:?} {proof}");
            if power == Power::Exited {
                assert_eq!(proof["exit_code"], 137, "{fault:?} {proof}");
                assert!(proof["finished_at"].is_string(), "{fault:?} {proof}");
            }
            let again = fault.inject(&node, soon()).await.unwrap_err();
            assert!(matches!(again, FaultError::AlreadyDown { .. }), "{again:?}");
            for was in [power.name(), "running"] {
                let proof = fault.clear(&node, soon()).await?;
                assert_eq!((&proof["power"], &proof["was"]), (&"running".into(), &was.into()), "{proof}");
                // Other tests' containers come and go in the same network.
                let changed = proof["address"] != proof["address_before"];
                assert_eq!(proof["address_changed"], changed, "{proof}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_orderly_stop_is_told_from_a_kill() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let proof = StopNode.inject(&node(&engine, &name), soon()).await?;
        assert_eq!((&proof["exit_code"], &proof["killed"]), (&7.into(), &false.into()), "{proof}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn somebody_elses_container_is_left_alone() -> anyhow::Result<()> {
    with_box(FOREIGN, |engine, name| async move {
        let node = node(&engine, &name);
        for fault in FAULTS {
            let injected = fault.inject(&node, soon()).await;
            assert!(matches!(injected, Err(FaultError::NotOurs { .. })), "{injected:?}");
            let cleared = fault.clear(&node, soon()).await;
            assert!(matches!(cleared, Err(FaultError::NotOurs { .. })), "{cleared:?}");
        }
        assert!(matches!(node.kill().await, Err(NodeError::NotOurs { .. })));
        assert_eq!(node.power().await?, Power::Running);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_open_intent_is_healed_and_says_that_the_address_changed() -> anyhow::Result<()> {
    with_box(POLITE, |engine, first| async move {
        drop(engine);
        with_box(POLITE, |engine, second| async move {
            let dir = tempfile::tempdir()?;
            let log = IntentLog::open(dir.path())?;
            let (first, second) = (node(&engine, &first), node(&engine, &second));
            for node in [&first, &second] {
                log.write(&StopNode, node).await?;
                node.stop(Duration::from_secs(5)).await?;
            }
            let before = (first.known_address(), second.known_address());
            // Docker gives out the lowest free address: started in the wrong order they swap.
            second.start().await?;
            first.start().await?;
            let healed = heal_all(&engine, &log, soon()).await?;
            assert_eq!(healed.len(), 2);
            for node in [&first, &second] {
                let of = |h: &&Healed| h.intent.as_ref().is_some_and(|i| i.node == node.name);
                let healed = healed.iter().find(of).expect("one of each");
                let HealOutcome::Restored(proof) = &healed.outcome else { anyhow::bail!("{healed:?}") };
                let now = node.address().await?;
                assert_eq!(proof["address"], serde_json::to_value(now)?);
                assert_eq!(proof["address_changed"], Value::Bool(now != node.known_address()), "{proof}");
            }
            assert!(before.0.is_some() && before.1.is_some());
            assert!(log.list()?.is_empty());
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_node_that_is_gone_counts_as_healed() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let dir = tempfile::tempdir()?;
        let log = IntentLog::open(dir.path())?;
        log.write(&StopNode, &node(&engine, &name)).await?;
        engine.remove(&name).await?;
        let healed = heal_all(&engine, &log, soon()).await?;
        assert!(matches!(healed[0].outcome, HealOutcome::Gone(_)), "{healed:?}");
        Ok(())
    })
    .await
}

/// Ends by itself when it is started a second time.
const FLEETING: Like =
    Like { command: "[ -e /once ] && { echo cannot go on; exit 3; }; : >/once; sleep infinity", ours: true };

#[tokio::test]
async fn a_node_that_ends_again_is_not_called_healed() -> anyhow::Result<()> {
    with_box(FLEETING, |engine, name| async move {
        let node = node(&engine, &name);
        node.kill().await?;
        let error = StopNode.clear(&node, soon()).await.unwrap_err();
        assert!(matches!(error, FaultError::DoesNotStay { exit_code: 3, .. }), "{error:?}");
        assert!(error.to_string().ends_with("cannot go on"), "{error}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_listing_names_the_server_whose_data_it_is() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let node = node(&engine, &name);
        let make = "mkdir -p /mnt/data; echo '[auto]' >/mnt/data/auto.cnf; echo server-uuid=ab-1 >>/mnt/data/auto.cnf";
        node.exec_ok(&["sh", "-c", make], None, soon()).await?;
        node.stop(Duration::from_secs(5)).await?;
        let listing = node.list("/mnt/data", 2).await?;
        assert_eq!((listing.power, listing.exists), (Power::Exited, true));
        assert_eq!(listing.server_uuid.as_deref(), Some("ab-1"));
        let none = node.list("/mnt/none", 2).await?;
        assert_eq!((none.exists, none.entries.len(), none.server_uuid), (false, 0, None));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stop_that_outlasts_its_deadline_says_what_the_node_is_now() -> anyhow::Result<()> {
    with_box(STUBBORN, |engine, name| async move {
        let short = Deadline::after(Duration::from_secs(1));
        let error = StopNode.inject(&node(&engine, &name), short).await.unwrap_err();
        assert!(matches!(error, FaultError::Timeout { power: Power::Running, .. }), "{error:?}");
        Ok(())
    })
    .await
}

//! Nodes and faults against a real engine.

use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::fault::{
    FAULTS, Fault, FaultError, HealOutcome, IntentLog, KillNode, StopNode, Target, TargetKind, heal_all,
};
use seatrial::node::{FolderRecord, Node, NodeError, Power, Role};

use serde_json::Value;

use crate::box_container::{FOREIGN, Like, POLITE, STUBBORN, soon, with_box, with_boxes};

/// Checks the target and injects, as a story does.
async fn inject(
    fault: &dyn Fault,
    target: impl Into<Target>,
    deadline: Deadline,
) -> Result<Value, FaultError> {
    let checked = fault.check(&target.into(), deadline).await?;
    fault.inject(&checked, deadline).await
}

fn node(engine: &Engine, name: &str) -> Node {
    Node::new(engine.clone(), name, Role::Worker)
}

#[tokio::test]
async fn each_fault_takes_hold_is_proved_and_is_healed() -> anyhow::Result<()> {
    with_box(STUBBORN, |engine, name| async move {
        for fault in FAULTS.iter().filter(|f| ["stop", "kill", "pause"].contains(&f.name())) {
            let node = node(&engine, &name);
            let proof = inject(*fault, &node, soon()).await?;
            let power = node.power().await?;
            assert_ne!(power, Power::Running, "{fault:?}");
            assert_eq!(proof["power"], power.name(), "{fault:?} {proof}");
            if power == Power::Exited {
                assert_eq!(proof["exit_code"], 137, "{fault:?} {proof}");
                assert!(proof["finished_at"].is_string(), "{fault:?} {proof}");
            }
            let again = inject(*fault, &node, soon()).await.unwrap_err();
            assert!(matches!(again, FaultError::AlreadyDown { .. }), "{again:?}");
            for was in [power.name(), "running"] {
                let proof = fault.clear(&node, soon()).await?;
                assert_eq!((&proof["power"], &proof["was"]), (&"running".into(), &was.into()), "{proof}");
                assert_eq!(proof["address_changed"], false, "{proof}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_orderly_stop_is_told_from_a_kill() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let proof = inject(&StopNode::DEFAULT, &node(&engine, &name), soon()).await?;
        assert_eq!((&proof["exit_code"], &proof["killed"]), (&7.into(), &false.into()), "{proof}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn somebody_elses_container_is_left_alone() -> anyhow::Result<()> {
    with_box(FOREIGN, |engine, name| async move {
        let node = node(&engine, &name);
        for fault in FAULTS.iter().filter(|f| f.target_kind() == TargetKind::Node) {
            let injected = inject(*fault, &node, soon()).await;
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

/// Docker gives whoever starts the lowest free address.
#[tokio::test]
async fn two_nodes_keep_their_addresses_when_healed_and_swap_them_when_started_by_hand() -> anyhow::Result<()>
{
    with_boxes([POLITE, POLITE], |engine, [first, second]| async move {
        let dir = tempfile::tempdir()?;
        let log = IntentLog::open(dir.path())?;
        let (first, second) = (node(&engine, &first), node(&engine, &second));
        let stop_both = async || {
            for node in [&second, &first] {
                log.write(&KillNode, node, soon()).await?;
                inject(&KillNode, node, soon()).await?;
            }
            anyhow::Ok((first.known_address(), second.known_address()))
        };
        for by_hand in [false, true] {
            let before = stop_both().await?;
            assert!(before.0.is_some() && before.0 != before.1);
            if by_hand {
                second.start().await?;
                first.start().await?;
            }
            let healed = heal_all(&engine, &log, soon()).await?;
            assert_eq!(healed.len(), 2);
            for healed in &healed {
                let HealOutcome::Restored(proof) = &healed.outcome else { anyhow::bail!("{healed:?}") };
                assert_eq!(proof["address_changed"], by_hand, "{proof}");
            }
            let after = (first.address().await?, second.address().await?);
            assert_eq!(after, if by_hand { (before.1, before.0) } else { before });
        }
        assert!(log.list()?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_that_is_gone_counts_as_healed() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let dir = tempfile::tempdir()?;
        let log = IntentLog::open(dir.path())?;
        log.write(&KillNode, &node(&engine, &name), soon()).await?;
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
        let error = StopNode::DEFAULT.clear(&node, soon()).await.unwrap_err();
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

/// Whose a folder is must be known before a story begins, also where a node is down.
#[tokio::test]
async fn the_record_of_a_folder_is_read_on_a_stopped_node_too() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let node = node(&engine, &name);
        let (path, run, namespace) = ("/mnt/data".into(), "r1".into(), "a".into());
        let mut record = FolderRecord { path, run, namespace, identity: None };
        assert_eq!(node.folder_records().await?, []);
        node.record_folder(&record, soon()).await?;
        record.identity = Some(node.make_folder(&record.path, soon()).await?);
        node.record_folder(&record, soon()).await?;
        let fill = "mkdir -p /mnt/data/mysql && echo row > /mnt/data/mysql/t";
        node.exec_ok(&["sh", "-c", fill], None, soon()).await?;
        node.stop(Duration::from_secs(5)).await?;
        assert_eq!(node.folder_records().await?, std::slice::from_ref(&record));
        assert!(node.empty_folder(&record, soon()).await.is_err(), "nothing runs there");
        node.start().await?;
        node.empty_folder(&record, soon()).await?;
        assert!(node.list("/mnt/data", 2).await?.entries.is_empty());
        node.forget_folder(&record, soon()).await?;
        assert_eq!(node.folder_records().await?, []);
        Ok(())
    })
    .await
}

/// Docker goes on with a stop that nobody waits for any more.
#[tokio::test]
async fn a_stop_that_outlasts_its_deadline_is_healed_after_it_has_taken_hold() -> anyhow::Result<()> {
    with_box(STUBBORN, |engine, name| async move {
        let dir = tempfile::tempdir()?;
        let log = IntentLog::open(dir.path())?;
        let node = node(&engine, &name);
        log.write(&StopNode::DEFAULT, &node, soon()).await?;
        let short = Deadline::after(Duration::from_secs(1));
        let error = inject(&StopNode::DEFAULT, &node, short).await.unwrap_err();
        assert!(matches!(error, FaultError::Timeout { power: Power::Running, .. }), "{error:?}");
        let healed = heal_all(&engine, &log, soon()).await?;
        let HealOutcome::Restored(proof) = &healed[0].outcome else { anyhow::bail!("{healed:?}") };
        assert_eq!(proof["was"], "exited", "{proof}");
        soon().pause(Duration::from_secs(2)).await;
        assert_eq!(node.power().await?, Power::Running);
        Ok(())
    })
    .await
}

/// The limit of a processor is the container's, not the process's: no power state keeps it.
#[tokio::test]
async fn a_processor_limit_is_set_and_lifted_in_every_power_state() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let node = node(&engine, &name);
        let limit = async |cores: Option<f64>| {
            node.limit_cpu(cores).await?;
            anyhow::Ok(node.container().await?.cores)
        };
        assert_eq!(node.container().await?.cores, None);
        for step in ["running", "paused", "running", "exited", "running"] {
            match (step, node.power().await?) {
                ("paused", _) => node.pause().await?,
                ("exited", _) => node.kill().await?,
                (_, Power::Paused) => node.unpause().await?,
                (_, Power::Exited) => node.start().await?,
                _ => {}
            }
            assert_eq!(node.power().await?.name(), step);
            assert_eq!(limit(Some(0.25)).await?, Some(0.25), "{step}");
            assert_eq!(limit(None).await?, None, "{step}");
        }
        Ok(())
    })
    .await
}

//! The contract of every fault in the list, and the intents that outlive a process.

use std::path::Path;
use std::time::{Duration, Instant};

use rstest::rstest;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::event::Event;
use seatrial::exec::Exec;
use seatrial::fault::{
    FAULTS, Fault, FaultError, Faults, HealOutcome, Intent, IntentLog, KillNode, Owner, StopNode, Target,
    TargetKind, heal_abandoned, heal_all,
};
use seatrial::node::{Node, OWNER_LABEL, Power, Role};
use serde_json::{Value, json};

use crate::fake_engine::{FakeEngine, Trouble};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

#[test]
fn names_are_unique_and_found() {
    for fault in FAULTS {
        assert_eq!(Faults::built_in().named(fault.name()).unwrap().about(), fault.about());
        assert_eq!(FAULTS.iter().filter(|f| f.name() == fault.name()).count(), 1);
        assert!(fault.name().chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    }
    assert_eq!(
        Faults::built_in().named("sink").unwrap_err().to_string(),
        format!(
            r#"no fault is called "sink"; known faults: {}"#,
            FAULTS.iter().map(|f| f.name()).collect::<Vec<_>>().join(", ")
        )
    );
}

/// Checks the target and injects, as a story does.
pub async fn inject(
    fault: &dyn Fault,
    target: impl Into<Target>,
    deadline: Deadline,
) -> Result<Value, FaultError> {
    let checked = fault.check(&target.into(), deadline).await?;
    fault.inject(&checked, deadline).await
}

/// Faults of the node's power.
fn of_power() -> impl Iterator<Item = &'static &'static dyn Fault> {
    FAULTS.iter().filter(|f| ["stop", "kill", "pause"].contains(&f.name()))
}

/// Faults that last until they are cleared.
fn lasting() -> impl Iterator<Item = &'static &'static dyn Fault> {
    FAULTS.iter().filter(|f| f.target_kind() == TargetKind::Node)
}

fn target(fault: &dyn Fault, node: &Node) -> Target {
    match fault.target_kind() {
        TargetKind::Node => node.into(),
        TargetKind::Pod => Target::pod(node, "ns", "p"),
    }
}

#[tokio::test]
async fn a_fault_acts_once_and_can_be_cleared_twice() -> anyhow::Result<()> {
    for fault in lasting() {
        let fake = FakeEngine::cluster(&["cp"])?;
        let node = fake.node("w").await?;
        let proof = inject(*fault, &target(*fault, &node), soon()).await?;
        let power = node.power().await?;
        if power != Power::Running {
            assert_eq!(proof["power"], power.name());
        }
        assert_eq!(proof["address"], "172.18.0.2", "{fault:?} {proof}");
        let again = inject(*fault, &target(*fault, &node), soon()).await.unwrap_err();
        let refused = matches!(again, FaultError::AlreadyDown { .. } | FaultError::AlreadyBroken { .. });
        assert!(refused && again.to_string().contains("somebody else"), "{again:?}");
        for was in [power.name(), "running"] {
            let proof = fault.clear(&node, soon()).await?;
            assert_eq!(proof["power"], "running", "{proof}");
            assert_eq!((&proof["was"], &proof["address_changed"]), (&was.into(), &false.into()), "{proof}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn clearing_what_was_never_injected_changes_nothing() -> anyhow::Result<()> {
    for fault in FAULTS {
        let fake = FakeEngine::cluster(&["cp"])?;
        let proof = fault.clear(&fake.node("w").await?, soon()).await?;
        assert!(proof["address_changed"].is_null(), "nothing was known before: {proof}");
        assert_eq!(fake.changes(), [""; 0], "{fault:?}");
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn every_fault_clears_from_every_power_state(
    #[values(Power::Exited, Power::Paused, Power::Created)] power: Power,
) -> anyhow::Result<()> {
    for fault in lasting() {
        let fake = FakeEngine::cluster(&["cp"])?;
        let fault_name = fault.name();
        fake.change("w", |c| {
            c.power = power;
            c.quota = 20_000;
            if !["stop", "kill", "pause", "slow-cpu", "out-of-service"].contains(&fault_name) {
                c.broken.insert(fault_name.into());
            }
        });
        let (key, value, effect) = ("node.kubernetes.io/out-of-service", "nodeshutdown", "NoExecute");
        let tainted = json!([{ "key": key, "value": value, "effect": effect }]);
        fake.state().objects.get_mut("/api/v1/nodes/w").expect("it is there")["spec"]["taints"] = tainted;
        let node = fake.node("w").await?;
        let proof = fault.clear(&node, soon()).await?;
        assert_eq!((node.power().await?, &proof["was"]), (Power::Running, &power.name().into()), "{proof}");
        fake.change("w", |c| {
            assert!(c.broken.is_empty(), "{fault_name}: {:?}", c.broken);
            assert!(fault_name != "slow-cpu" || c.quota == -1, "{}", c.quota);
        });
        if fault_name == "out-of-service" {
            assert_eq!(fake.state().objects["/api/v1/nodes/w"]["spec"]["taints"], json!([]));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_restart_in_progress_is_waited_for() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["w"])?;
    fake.change("w", |c| c.power = Power::Restarting);
    let node = fake.node("w").await?;
    let (cleared, ()) = tokio::join!(StopNode::DEFAULT.clear(&node, soon()), async {
        soon().pause(Duration::from_millis(300)).await;
        fake.change("w", |c| c.power = Power::Running);
    });
    assert_eq!(cleared?["was"], "restarting");
    assert_eq!(fake.changes(), [""; 0]);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_node_that_is_already_down_is_somebody_elses_outage(
    #[values(Power::Exited, Power::Paused)] power: Power,
) -> anyhow::Result<()> {
    // A pod can be deleted whatever the state of its node.
    for fault in FAULTS.iter().filter(|f| !f.name().starts_with("delete-pod")) {
        let fake = FakeEngine::cluster(&["cp"])?;
        fake.change("w", |c| c.power = power);
        let node = target(*fault, &fake.node("w").await?);
        let error = inject(*fault, &node, soon()).await.unwrap_err();
        assert!(matches!(error, FaultError::AlreadyDown { .. }), "{error:?}");
        assert!(error.to_string().contains("somebody else"), "{error}");
        let log = IntentLog::open(fake.dir())?;
        let error = log.write(*fault, &node, soon()).await.unwrap_err();
        assert!(matches!(error, FaultError::AlreadyDown { .. }), "{error:?}");
        assert!(log.list()?.is_empty(), "no intent: healing would start what others stopped");
        assert_eq!(fake.changes(), [""; 0], "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_foreign_node_is_refused() -> anyhow::Result<()> {
    for fault in FAULTS {
        for power in [Power::Running, Power::Exited] {
            let fake = FakeEngine::cluster(&["cp"])?;
            fake.change("w", |c| c.power = power);
            fake.change("w", |c| drop(c.labels.remove(OWNER_LABEL)));
            let node = fake.node("w").await?;
            let target = target(*fault, &node);
            let log = IntentLog::open(fake.dir())?;
            for error in [
                inject(*fault, &target, soon()).await.err(),
                fault.clear(&node, soon()).await.err(),
                log.write(*fault, &target, soon()).await.err(),
            ] {
                assert!(matches!(error, Some(FaultError::NotOurs { .. })), "{error:?}");
            }
            assert_eq!(fake.changes(), [""; 0], "{fault:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_gone_is_healed_but_not_injected() -> anyhow::Result<()> {
    for fault in FAULTS {
        let fake = FakeEngine::with(&[])?;
        let node = fake.node("w").await?;
        assert!(inject(*fault, &target(*fault, &node), soon()).await.is_err());
        assert_eq!(fault.clear(&node, soon()).await?["gone"], true);
    }
    Ok(())
}

#[tokio::test]
async fn a_changed_address_is_in_the_proof() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a", "b"])?;
    let (a, b) = (fake.node("a").await?, fake.node("b").await?);
    inject(&StopNode::DEFAULT, &a, soon()).await?;
    inject(&StopNode::DEFAULT, &b, soon()).await?;
    // Docker gives the lowest free address to the first container that starts. That was the address of `a`.
    let proof = StopNode::DEFAULT.clear(&b, soon()).await?;
    assert_eq!(proof["address_changed"], true);
    assert_eq!((&proof["address_before"], &proof["address"]), (&"172.18.0.3".into(), &"172.18.0.2".into()));
    Ok(())
}

#[rstest]
#[case(Trouble::Reset)]
#[case(Trouble::DoneButReset)]
#[case(Trouble::DoneBut(500, "context canceled"))]
#[case(Trouble::Status(500, "driver failed"))]
#[tokio::test]
async fn one_bad_answer_does_not_keep_a_node_down(#[case] trouble: Trouble) -> anyhow::Result<()> {
    for part in ["/start", "/json"] {
        let fake = FakeEngine::with(&["w"])?;
        let node = fake.node("w").await?;
        inject(&StopNode::DEFAULT, &node, soon()).await?;
        fake.trouble(part, trouble.clone(), 1);
        StopNode::DEFAULT.clear(&node, soon()).await?;
        assert_eq!(node.power().await?, Power::Running, "{part}");
    }
    Ok(())
}

#[tokio::test]
async fn an_engine_that_keeps_failing_is_not_asked_for_ever() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["w"])?;
    let node = fake.node("w").await?;
    inject(&StopNode::DEFAULT, &node, soon()).await?;
    fake.trouble("/start", Trouble::Status(500, "driver failed"), 1000);
    let began = Instant::now();
    let error = StopNode::DEFAULT.clear(&node, Deadline::after(Duration::from_secs(60))).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(error.to_string(), "failed to start container w");
    Ok(())
}

#[tokio::test]
async fn a_node_that_ends_after_each_start_is_not_healed() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["w"])?;
    let node = fake.node("w").await?;
    inject(&StopNode::DEFAULT, &node, soon()).await?;
    fake.change("w", |c| c.ends_with = Some(1));
    let error = StopNode::DEFAULT.clear(&node, soon()).await.unwrap_err();
    let said = "w does not stay up: started 4 times, it ended with 1: entrypoint: failed";
    assert_eq!(error.to_string(), said);
    Ok(())
}

#[tokio::test]
async fn a_hanging_engine_ends_with_the_deadline() -> anyhow::Result<()> {
    for (fault, part) in of_power().zip(["/stop", "/kill", "/pause"]) {
        let fake = FakeEngine::with(&["w"])?;
        let node = fake.node("w").await?;
        fake.trouble(part, Trouble::Hang, 1);
        let began = Instant::now();
        let short = Deadline::after(Duration::from_millis(400));
        let error = inject(*fault, &target(*fault, &node), short).await.unwrap_err();
        assert!(matches!(error, FaultError::Timeout { power: Power::Running, .. }), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    Ok(())
}

#[tokio::test]
async fn open_intents_are_healed_in_the_order_of_their_addresses() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a", "b", "c"])?;
    let engine = fake.client().await?;
    let log = IntentLog::open(fake.dir())?;
    for name in ["c", "a"] {
        let node = fake.node(name).await?;
        log.write(&StopNode::DEFAULT, &node, soon()).await?;
        inject(&StopNode::DEFAULT, &node, soon()).await?;
    }
    let open = log.list()?;
    assert_eq!(open.iter().map(|i| i.node.as_str()).collect::<Vec<_>>(), ["c", "a"], "oldest first");
    assert!(open[0].owner.lives() && open[0].address.is_some());
    let healed = heal_all(&engine, &log, soon()).await?;
    assert_eq!(healed.len(), 2);
    for healed in &healed {
        let HealOutcome::Restored(proof) = &healed.outcome else { panic!("{healed:?}") };
        assert_eq!(proof["address_changed"], false, "{proof}");
        assert!(matches!(healed.event(), Event::FaultHealed { id, .. } if id == healed.id));
    }
    assert!(log.list()?.is_empty());
    assert_eq!(heal_all(&engine, &log, soon()).await?, []);
    Ok(())
}

#[tokio::test]
async fn files_that_are_no_intent_are_reported_and_removed() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["w"])?;
    let log = IntentLog::open(fake.dir())?;
    let (whole, _) = log.write(&KillNode, &fake.node("w").await?, soon()).await?;
    let dir = fake.dir().join("intents");
    let text = std::fs::read_to_string(dir.join(format!("{}.json", whole.id)))?;
    std::fs::write(dir.join("half.json"), &text[..text.len() / 2])?;
    std::fs::write(dir.join("empty.json"), "")?;
    std::fs::write(dir.join(".new-4294967295-x"), &text[..9])?;
    std::fs::write(dir.join(format!(".new-{}-x", std::process::id())), &text[..9])?;
    assert_eq!(log.list()?.len(), 1);
    let healed = heal_all(&fake.client().await?, &log, soon()).await?;
    let broken = healed.iter().filter(|h| matches!(h.outcome, HealOutcome::Broken(_)));
    assert_eq!((healed.len(), broken.count()), (3, 2), "{healed:?}");
    assert!(healed.iter().any(|h| matches!(h.event(), Event::Noted { text } if text.contains("half"))));
    // The unfinished file of a living writer stays.
    let left: Vec<_> = std::fs::read_dir(&dir)?.flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    Ok(())
}

#[tokio::test]
async fn a_node_created_again_is_not_touched_for_an_old_intent() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a", "b"])?;
    let log = IntentLog::open(fake.dir())?;
    for name in ["a", "b"] {
        log.write(&KillNode, &fake.node(name).await?, soon()).await?;
    }
    fake.state().containers.remove("a");
    fake.change("b", |c| {
        c.id = "another".into();
        c.power = Power::Exited;
    });
    let before = fake.changes();
    let healed = heal_all(&fake.client().await?, &log, soon()).await?;
    assert!(healed.iter().all(|h| matches!(h.outcome, HealOutcome::Gone(_))), "{healed:?}");
    assert_eq!(fake.changes(), before);
    assert!(log.list()?.is_empty());
    Ok(())
}

#[tokio::test]
async fn one_fault_that_cannot_be_healed_does_not_keep_the_others_open() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a", "b"])?;
    let engine = fake.client().await?;
    let log = IntentLog::open(fake.dir())?;
    for name in ["a", "b"] {
        let node = fake.node(name).await?;
        log.write(&StopNode::DEFAULT, &node, soon()).await?;
        inject(&StopNode::DEFAULT, &node, soon()).await?;
    }
    fake.trouble("/a/start", Trouble::Status(500, "driver failed"), 1000);
    let error = heal_all(&engine, &log, soon()).await.unwrap_err();
    assert_eq!(error.to_string(), "failed to heal `stop` on a (0 more stay open)");
    assert_eq!(log.list()?.iter().map(|i| i.node.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(fake.node("b").await?.power().await?, Power::Running);
    Ok(())
}

/// A process with shared access must not heal a fault in the middle of another process's claim.
#[tokio::test]
async fn a_fault_of_a_living_process_is_not_healed_by_shared_holders() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["alive", "dead", "mine"])?;
    let engine = fake.client().await?;
    let log = IntentLog::open(fake.dir())?;
    let owners =
        [("alive", Owner::of(1)), ("dead", Owner { pid: u32::MAX, started: None }), ("mine", Owner::me())];
    for (name, owner) in owners {
        let node = fake.node(name).await?;
        let intent = Intent { owner, ..log.write(&KillNode, &node, soon()).await?.0 };
        let file = fake.dir().join("intents").join(format!("{}.json", intent.id));
        std::fs::write(file, serde_json::to_vec(&intent)?)?;
        inject(&KillNode, &node, soon()).await?;
    }
    let healed = heal_abandoned(&engine, &log, soon()).await?;
    let mut nodes: Vec<_> =
        healed.iter().filter_map(|h| h.intent.as_ref()).map(|i| i.node.as_str()).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["dead", "mine"]);
    assert_eq!(fake.node("alive").await?.power().await?, Power::Exited);
    assert_eq!(log.list()?.len(), 1);
    heal_all(&engine, &log, soon()).await?;
    assert_eq!(fake.node("alive").await?.power().await?, Power::Running, "alone, everything is healed");
    Ok(())
}

#[tokio::test]
async fn a_shared_holder_cannot_inject_a_fault() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let log = IntentLog::open(fake.dir())?.shared();
    let node = fake.node("w").await?;
    for fault in FAULTS {
        let written = log.write(*fault, target(*fault, &node), soon()).await;
        match fault.target_kind() {
            TargetKind::Node => {
                assert!(matches!(written, Err(FaultError::Shared { .. })), "{}", fault.name())
            }
            TargetKind::Pod => assert!(written.is_ok(), "{}: {written:?}", fault.name()),
        }
    }
    assert!(log.list()?.iter().all(|intent| intent.pod.is_some()));
    Ok(())
}

#[tokio::test]
async fn an_intent_that_cannot_be_written_is_an_error() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["w"])?;
    let log = IntentLog::open(fake.dir())?;
    std::fs::remove_dir(fake.dir().join("intents"))?;
    let error = log.write(&StopNode::DEFAULT, &fake.node("w").await?, soon()).await.unwrap_err();
    assert!(matches!(error, FaultError::File { doing: "write", .. }), "{error:?}");
    Ok(())
}

/// Two other processes write intents into one folder until they are killed. Both run this test binary with the test
/// below.
#[tokio::test]
async fn intents_of_killed_processes_are_whole_and_healed() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["w"])?;
    let log = IntentLog::open(fake.dir())?;
    let args = ["--exact", "fault::child_writes_intents_for_ever"];
    let child = || Exec::new(std::env::current_exe().unwrap()).args(args).cwd(fake.dir());
    let watch = async {
        loop {
            let open = log.list()?;
            let mut owners: Vec<u32> = open.iter().map(|i| i.owner.pid).collect();
            owners.sort_unstable();
            owners.dedup();
            if owners.len() == 2 && open.len() > 20 {
                return anyhow::Ok(());
            }
            soon().pause(Duration::from_millis(20)).await;
        }
    };
    let long = Deadline::after(Duration::from_secs(60));
    // The children are killed when their futures are dropped.
    tokio::select! {
        ended = child().run(long) => anyhow::bail!("a child ended: {ended:?}"),
        ended = child().run(long) => anyhow::bail!("a child ended: {ended:?}"),
        seen = watch => seen?,
    }
    let count = log.list()?.len();
    let healed = heal_all(&fake.client().await?, &log, long).await?;
    assert!(healed.len() >= count);
    let wrong: Vec<_> = healed.iter().filter(|h| !matches!(h.outcome, HealOutcome::Restored(_))).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(log.list()?.is_empty());
    Ok(())
}

/// Does nothing unless the test above runs it, in a folder with an engine.
#[tokio::test]
async fn child_writes_intents_for_ever() -> anyhow::Result<()> {
    let here = std::env::current_dir()?;
    if !here.join("engine.sock").exists() {
        return Ok(());
    }
    let engine = Engine::connect(&format!("unix://{}", here.join("engine.sock").display())).await?;
    let node = Node::new(engine, "w", Role::Worker);
    let log = IntentLog::open(Path::new("."))?;
    loop {
        log.write(&KillNode, &node, soon()).await?;
    }
}

//! A fault of a test's own is healed after a kill like a built-in one, by the tests that name it.

use std::path::Path;
use std::time::Duration;

use futures::future::BoxFuture;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::event::Effect;
use seatrial::exec::Exec;
use seatrial::fault::{
    Checked, FAULTS, Fault, FaultError, Faults, Given, HealOutcome, IntentLog, PauseNode, heal_abandoned,
};
use seatrial::hint::Hint;
use seatrial::node::{Node, Power, Role};
use seatrial::trial::file::{self, Step};
use serde_json::{Value, json};

use crate::fake_engine::FakeEngine;

/// Freezes a node, as a person could write it.
#[derive(Debug)]
struct Freeze;

impl Fault for Freeze {
    fn name(&self) -> &'static str {
        "freeze"
    }
    fn about(&self) -> &'static str {
        "freezes the node"
    }
    fn proof(&self) -> &'static str {
        "the container's state"
    }
    fn cleared(&self) -> &'static str {
        "the node runs"
    }
    fn with(&self, _: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(Self))
    }
    fn inject<'a>(&'a self, on: &'a Checked, _: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            on.target.node.pause().await?;
            Ok(json!({ "power": "paused" }))
        })
    }
    fn clear<'a>(&'a self, node: &'a Node, _: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let was = node.power().await?;
            if was == Power::Paused {
                node.unpause().await?;
            }
            Ok(json!({ "was": was, "power": node.power().await? }))
        })
    }
}

/// Another way to stop a node.
#[derive(Debug)]
struct StopByHand;

impl Fault for StopByHand {
    fn name(&self) -> &'static str {
        "stop-node"
    }
    fn about(&self) -> &'static str {
        "stops the node by hand"
    }
    fn proof(&self) -> &'static str {
        "none"
    }
    fn cleared(&self) -> &'static str {
        "never"
    }
    fn with(&self, _: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(Self))
    }
    fn inject<'a>(&'a self, _: &'a Checked, _: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async { Ok(Value::Null) })
    }
    fn clear<'a>(&'a self, _: &'a Node, _: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async { Ok(Value::Null) })
    }
}

fn known() -> Faults {
    Faults::built_in().and(&[&Freeze]).expect("its name is free")
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// The child runs this test binary with the test below, and is killed with SIGKILL when its future is dropped.
#[tokio::test]
async fn an_own_fault_of_a_killed_process_is_healed_by_the_next_one() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["w"])?;
    let (engine, node) = (fake.client().await?, fake.node("w").await?);
    let log = IntentLog::open(fake.dir())?;
    let args = ["--exact", "own_fault::child_freezes_its_node_and_stays"];
    let frozen = async {
        while node.power().await? != Power::Paused {
            soon().pause(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        ended = Exec::new(std::env::current_exe()?).args(args).cwd(fake.dir()).run(soon()) => {
            anyhow::bail!("the child ended: {ended:?}")
        }
        seen = frozen => seen?,
    }
    let child = log.list()?.into_iter().next().expect("it wrote its intent").owner;
    let killed = soon();
    while child.lives() {
        anyhow::ensure!(!killed.is_over(), "the child was not killed");
        killed.pause(Duration::from_millis(20)).await;
    }
    // A test of the same binary that does not name the fault keeps it open, and says what to do.
    let soon_over = Deadline::after(Duration::from_secs(5));
    let error = heal_abandoned(&engine, &log, soon_over).await.unwrap_err();
    assert!(error.needs_another_program(), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("trial(..).fault(&FAULT)")), "{:?}", error.hint());
    assert_eq!(node.power().await?, Power::Paused);
    let healed = heal_abandoned(&engine, &log.clone().knowing(&known()), soon()).await?;
    let [one] = healed.as_slice() else { anyhow::bail!("{healed:?}") };
    assert!(matches!(&one.outcome, HealOutcome::Restored(proof) if proof["was"] == "paused"), "{one:?}");
    assert_eq!(node.power().await?, Power::Running);
    assert!(log.list()?.is_empty());
    Ok(())
}

/// Does nothing unless the test above runs it, in a folder with an engine.
#[tokio::test]
async fn child_freezes_its_node_and_stays() -> anyhow::Result<()> {
    let here = std::env::current_dir()?;
    if !here.join("engine.sock").exists() {
        return Ok(());
    }
    let engine = Engine::connect(&format!("unix://{}", here.join("engine.sock").display())).await?;
    let node = Node::new(engine, "w", Role::Worker);
    let log = IntentLog::open(Path::new("."))?.knowing(&known());
    let (_, checked) = log.write(&Freeze, &node, soon()).await?;
    Freeze.inject(&checked, soon()).await?;
    std::future::pending().await
}

#[tokio::test]
async fn a_fault_that_no_list_names_is_refused_with_the_way_to_name_it() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["w"])?;
    let log = IntentLog::open(fake.dir())?;
    let error = log.write(&Freeze, &fake.node("w").await?, soon()).await.unwrap_err();
    assert!(error.to_string().starts_with("refused to inject `freeze`: this program has no such fault"));
    assert!(error.hint().is_some_and(|hint| hint.contains("trial(..).fault(&FAULT)")), "{:?}", error.hint());
    assert_eq!(fake.changes(), [""; 0]);
    Ok(())
}

/// A trial file injects it by its name, and its effect says how it is judged.
#[test]
fn an_own_fault_is_a_step_of_a_trial_file() -> anyhow::Result<()> {
    let text = "trial: shop\nmanifests: [a.yaml]\nsteps:\n- fault: {freeze: {of: deployment/db}, for: 60s}\n\
                expect:\n- {workload: deployment/db, is: pending, during: fault}\n";
    let read = |faults: &Faults| file::read(Path::new("t.yaml"), text, faults);
    let file = read(&known())?;
    let Some(Step::Fault(part)) = file.steps.first() else { anyhow::bail!("{:?}", file.steps) };
    assert!(part.takes_node() && !part.is_on_pod(), "{part:?}");
    assert_eq!((part.built()?.name(), part.target().as_str()), ("freeze", "the node of deployment/db"));
    let error = read(&Faults::built_in()).unwrap_err().to_string();
    assert!(error.starts_with("t.yaml:4: no fault is called \"freeze\"; known faults: stop, "), "{error}");
    // A fault of its own whose name is another word for a built-in one.
    let own = Faults::built_in().and(&[&StopByHand])?;
    let text = "trial: shop\nmanifests: [a.yaml]\nsteps: [fault: {stop-node: {node: worker}}]\n";
    let stopped = file::read(Path::new("t.yaml"), text, &own)?;
    assert!(
        matches!(&stopped.steps[0], Step::Fault(part) if part.fault == "stop-node"),
        "{:?}",
        stopped.steps
    );
    let schema = file::schema(&known());
    let described = schema.pointer("/$defs/FaultPart/properties/freeze/description");
    assert_eq!(described, Some(&json!("freezes the node")));
    Ok(())
}

/// Records without an effect are judged by the names of built-in faults.
#[test]
fn the_effect_of_a_built_in_fault_is_known_by_its_name() {
    for fault in FAULTS {
        assert_eq!(Effect::of(fault.name()), Some(fault.effect()), "{}", fault.name());
    }
}

/// An open fault is healed by its name: with two of one name, the wrong one could do it.
#[test]
fn a_name_that_is_taken_is_refused() {
    let (one, built_in): (&'static dyn Fault, &'static dyn Fault) = (&Freeze, &PauseNode);
    for own in [vec![built_in], vec![one, one]] {
        let error = Faults::built_in().and(&own).unwrap_err();
        assert!(matches!(error, FaultError::NameTaken { .. }), "{error:?}");
        assert!(error.to_string().contains("each name must be unique"), "{error}");
    }
}

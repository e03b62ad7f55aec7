//! The out-of-service taint, and somebody else's taints.

use std::time::Duration;

use rstest::rstest;
use seatrial::deadline::Deadline;
use seatrial::fault::{Fault, FaultError, HealOutcome, IntentLog, OutOfService, Target, heal_all};
use seatrial::kubernetes::taint;
use seatrial::node::Power;
use serde_json::{Value, json};

use crate::fake_engine::{FakeEngine, Trouble};
use crate::fault::inject;

const NODE: &str = "/api/v1/nodes/w";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

fn tainted(value: &str, effect: &str) -> Value {
    json!({"key": taint::OUT_OF_SERVICE, "value": value, "effect": effect})
}

fn set_taints(fake: &FakeEngine, taints: &Value) {
    fake.state().objects.get_mut(NODE).expect("the node exists")["spec"]["taints"] = taints.clone();
}

fn taints(fake: &FakeEngine) -> Value {
    fake.state().objects[NODE]["spec"]["taints"].clone()
}

#[tokio::test]
async fn the_out_of_service_taint_is_set_and_removed_without_other_taints() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let node = fake.node("w").await?;
    let other = json!({"key": taint::UNREACHABLE, "effect": "NoExecute"});
    set_taints(&fake, &json!([other]));
    // Somebody else changes the node at the same time, and the engine is unavailable for a moment.
    fake.state().conflicts = 1;
    fake.trouble("/cp/exec", Trouble::Status(500, "busy"), 2);
    OutOfService::declare(&node, soon()).await?;
    OutOfService::declare(&node, soon()).await?;
    assert_eq!(taints(&fake), json!([other, tainted("nodeshutdown", "NoExecute")]));
    fake.state().conflicts = 1;
    fake.trouble("/cp/exec", Trouble::Status(500, "busy"), 2);
    OutOfService::withdraw(&node, soon()).await?;
    assert_eq!(taints(&fake), json!([other]));
    Ok(())
}

/// The story was killed after it set the taint: the fault's intent covers the taint.
#[rstest]
#[case::before_the_declaration(false)]
#[case::after_the_declaration(true)]
#[tokio::test]
async fn a_later_process_removes_the_taint_of_a_dead_story(#[case] is_declared: bool) -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let (log, node) = (IntentLog::open(fake.dir())?, fake.node("w").await?);
    let fault = &OutOfService::DECLARED_LATER;
    log.write(fault, &node, soon()).await?;
    let proof = inject(fault, &node, soon()).await?;
    assert_eq!((&proof["power"], &proof["taints"]), (&"exited".into(), &Value::Null));
    assert!(!taints(&fake).to_string().contains(taint::OUT_OF_SERVICE), "the story declares");
    if is_declared {
        OutOfService::declare(&node, soon()).await?;
    }
    let healed = heal_all(&fake.client().await?, &log, soon()).await?;
    assert!(matches!(&healed[..], [one] if matches!(one.outcome, HealOutcome::Restored(_))), "{healed:?}");
    assert!(!taints(&fake).to_string().contains(taint::OUT_OF_SERVICE), "{}", taints(&fake));
    assert_eq!(node.power().await?, Power::Running);
    Ok(())
}

/// A taint with another value or effect belongs to somebody else, even next to ours.
#[rstest]
#[case::of_another_value(json!([tainted("power-cut", "NoExecute")]))]
#[case::of_another_effect(json!([tainted("nodeshutdown", "NoSchedule")]))]
#[tokio::test]
async fn a_taint_of_somebody_else_is_respected(#[case] theirs: Value) -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let node = fake.node("w").await?;
    set_taints(&fake, &theirs);
    let checked = OutOfService::DEFAULT.check(&Target::from(&node), soon()).await;
    for refused in [checked.map(drop), OutOfService::declare(&node, soon()).await] {
        let error = refused.unwrap_err();
        assert!(matches!(error, FaultError::AlreadyBroken { .. }), "{error:?}");
        assert!(error.to_string().contains("somebody else"), "{error}");
    }
    OutOfService::withdraw(&node, soon()).await?;
    assert_eq!(taints(&fake), theirs);
    // Also if we set our taint before somebody else set theirs.
    let mut both = theirs.clone();
    both.as_array_mut().expect("a list").push(tainted("nodeshutdown", "NoExecute"));
    for clear in [false, true] {
        set_taints(&fake, &both);
        match clear {
            true => drop(OutOfService::DEFAULT.clear(&node, soon()).await?),
            false => OutOfService::withdraw(&node, soon()).await?,
        }
        assert_eq!(taints(&fake), theirs, "clear: {clear}");
    }
    Ok(())
}

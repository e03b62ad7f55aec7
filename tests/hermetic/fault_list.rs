//! What each fault refuses, what it proves, and the page that lists them.

use std::time::Duration;

use futures::future::BoxFuture;
use rstest::rstest;
use seatrial::deadline::Deadline;
use seatrial::fault::{
    Checked, CutNode, DeletePod, FAULTS, Fault, FaultError, Faults, FillDisk, Given, HealOutcome, Intent,
    IntentLog, KillContainer, KillNode, OutOfService, PauseNode, SlowCpu, StopNode, StopUnit, Target,
    TargetKind, heal_all,
};
use seatrial::hint::Hint;
use seatrial::judge::fault::ON_PODS;
use seatrial::node::{Node, Power};
use serde_json::{Value, json};

use crate::fake_engine::FakeEngine;
use crate::fault::inject;

const POD: &str = "/api/v1/namespaces/ns/pods/p";
const NODE: &str = "/api/v1/nodes/w";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

const PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];

#[tokio::test]
async fn a_control_plane_is_a_target_while_enough_others_serve() -> anyhow::Result<()> {
    for fault in FAULTS.iter().filter(|f| f.target_kind() == TargetKind::Node) {
        let fake = FakeEngine::cluster(&PLANES)?;
        let target = Target::from(&fake.plane("cp1").await?);
        fault.check(&target, soon()).await?;
        // The last control plane that serves, whatever is wrong with the others.
        fake.change("cp2", |c| c.serves = false);
        fake.change("cp3", |c| c.power = Power::Exited);
        let error = fault.check(&target.allow_last_control_plane(), soon()).await.unwrap_err();
        assert!(matches!(error, FaultError::ControlPlane { others: 2, .. }), "{error:?}");
        assert!(error.to_string().contains("last control plane that serves"), "{error}");
        assert_eq!(fake.changes(), [""; 0], "{fault:?}");
    }
    Ok(())
}

/// With one of three down, a second one may not be stopped: etcd would have one member of three.
#[rstest]
#[case::stopped(|f: &FakeEngine| f.change("cp3", |c| c.power = Power::Exited), "its API server is not ready")]
#[case::frozen(|f: &FakeEngine| f.change("cp3", |c| c.power = Power::Paused), "its API server is not ready")]
#[case::without_etcd(|f: &FakeEngine| f.change("cp3", |c| c.serves = false), "its API server is not ready")]
#[case::silent(|f: &FakeEngine| f.node_is("cp3", "Unknown"), "its node is not Ready")]
#[case::not_ready(|f: &FakeEngine| f.node_is("cp3", "False"), "its node is not Ready")]
#[case::forgotten(|f: &FakeEngine| drop(f.state().objects.remove("/api/v1/nodes/cp3")), "does not know its node")]
#[tokio::test]
async fn a_control_plane_whose_loss_would_cost_the_majority_is_refused(
    #[case] harm: fn(&FakeEngine),
    #[case] because: &str,
) -> anyhow::Result<()> {
    for fault in FAULTS.iter().filter(|f| f.target_kind() == TargetKind::Node) {
        let fake = FakeEngine::cluster(&PLANES)?;
        harm(&fake);
        let target = Target::from(&fake.plane("cp1").await?);
        let log = IntentLog::open(fake.dir())?;
        for error in [
            fault.check(&target.clone().allow_last_control_plane(), soon()).await.err(),
            log.write(*fault, &target, soon()).await.err(),
        ] {
            let error = error.expect("it is refused");
            let numbers = "etcd with 3 members needs 2, and 1 would be left";
            let FaultError::Quorum { members: 3, needed: 2, healthy: 1, .. } = error else {
                panic!("{error:?}")
            };
            let text = error.to_string();
            assert!(text.contains(numbers) && text.contains("cp3: ") && text.contains(because), "{text}");
        }
        assert!(log.list()?.is_empty());
        assert_eq!(fake.changes(), [""; 0], "{fault:?}");
    }
    Ok(())
}

/// (control planes, how many of them are down besides the target, whether the target may be stopped)
#[rstest]
#[case(2, 0, false)]
#[case(3, 0, true)]
#[case(3, 1, false)]
#[case(4, 0, true)]
#[case(4, 1, false)]
#[case(5, 0, true)]
#[case(5, 1, true)]
#[case(5, 2, false)]
#[tokio::test]
async fn the_majority_is_counted_for_any_number_of_members(
    #[case] control_planes: usize,
    #[case] down: usize,
    #[case] allowed: bool,
) -> anyhow::Result<()> {
    let names: Vec<String> = (0..control_planes).map(|i| format!("cp{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fake = FakeEngine::cluster(&names)?;
    for name in names.iter().skip(1).take(down) {
        fake.change(name, |c| c.power = Power::Exited);
    }
    let target = Target::from(&fake.plane("cp0").await?);
    let answer = StopNode::DEFAULT.check(&target, soon()).await;
    assert_eq!(answer.is_ok(), allowed, "{answer:?}");
    assert!(allowed || matches!(answer, Err(FaultError::Quorum { .. })), "{answer:?}");
    Ok(())
}

/// The load balancer is no node: nothing of Kubernetes runs there, and its image is not ours.
#[tokio::test]
async fn the_load_balancer_is_no_target() -> anyhow::Result<()> {
    for fault in FAULTS.iter().filter(|f| f.target_kind() == TargetKind::Node) {
        let fake = FakeEngine::cluster(&PLANES)?;
        let role = seatrial::node::Role::LoadBalancer;
        fake.change("w", |c| {
            c.labels.remove(seatrial::node::OWNER_LABEL);
            c.labels.insert(seatrial::node::ROLE_LABEL.into(), role.kind_name().into());
        });
        let balancer = Node::new(fake.client().await?, "w", role);
        let error = inject(*fault, &balancer, soon()).await.unwrap_err();
        assert!(matches!(error, FaultError::Unfit { .. }), "{error:?}");
        assert!(error.to_string().contains("it is the load balancer, no node"), "{error}");
        assert_eq!(fake.changes(), [""; 0], "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_last_control_plane_is_a_target_only_on_explicit_request() -> anyhow::Result<()> {
    for fault in FAULTS.iter().filter(|f| f.target_kind() == TargetKind::Node) {
        let fake = FakeEngine::cluster(&["cp"])?;
        let target = Target::from(&fake.plane("cp").await?);
        let log = IntentLog::open(fake.dir())?;
        let error = log.write(*fault, &target, soon()).await.unwrap_err();
        assert!(matches!(error, FaultError::ControlPlane { others: 0, .. }), "{error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--allow-last-control-plane")));
        assert!(log.list()?.is_empty());
        fault.check(&target.allow_last_control_plane(), soon()).await?;
    }
    Ok(())
}

/// A control plane of another cluster on the same engine does not count.
#[tokio::test]
async fn only_control_planes_of_the_same_cluster_count() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&PLANES)?;
    for other in ["cp2", "cp3"] {
        fake.change(other, |c| drop(c.labels.insert(seatrial::node::CLUSTER_LABEL.into(), "other".into())));
    }
    let error = CutNode::OFF.check(&(&fake.plane("cp1").await?).into(), soon()).await.unwrap_err();
    assert!(matches!(error, FaultError::ControlPlane { others: 0, .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn faults_of_a_pod_prove_their_effect_on_it() -> anyhow::Result<()> {
    for (fault, wanted) in [
        (&KillContainer as &dyn Fault, json!({ "exit_code": 137, "container_id": "c1", "restarts": 1 })),
        (&DeletePod::GRACEFULLY, json!({ "uid": "u1", "gone": false })),
        (&DeletePod::NOW, json!({ "uid": "u1", "gone": true })),
    ] {
        let fake = FakeEngine::cluster(&["cp"])?;
        let node = fake.node("w").await?;
        let proof = inject(fault, &Target::pod(&node, "ns", "p"), soon()).await?;
        for (name, value) in wanted.as_object().expect("an object") {
            assert_eq!(&proof[name], value, "{fault:?} {proof}");
        }
        assert_eq!(fault.clear(&node, soon()).await?["lasts"], false);
        assert_eq!(fake.changes(), [""; 0], "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_pod_must_be_named_and_exist() -> anyhow::Result<()> {
    for fault in FAULTS.iter().filter(|f| f.target_kind() == TargetKind::Pod) {
        let fake = FakeEngine::cluster(&["cp"])?;
        let node = fake.node("w").await?;
        let said = async |target: Target| inject(*fault, &target, soon()).await.unwrap_err().to_string();
        assert_eq!(said((&node).into()).await, format!("`{}` needs a pod on w", fault.name()));
        let none = "pod ns/q is not on w: no pod has this name, or the pod has no node";
        assert_eq!(said(Target::pod(&node, "ns", "q")).await, none);
        fake.state().objects.get_mut(POD).expect("it is there")["spec"]["nodeName"] = "v".into();
        assert_eq!(said(Target::pod(&node, "ns", "p")).await, "pod ns/p is not on w: it is on v");
    }
    Ok(())
}

#[tokio::test]
async fn a_pod_is_deleted_even_if_its_node_is_down() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    fake.change("w", |c| c.power = Power::Exited);
    let node = fake.node("w").await?;
    let log = IntentLog::open(fake.dir())?;
    let target = Target::pod(&node, "ns", "p");
    assert_eq!(log.write(&DeletePod::NOW, &target, soon()).await?.0.pod.as_deref(), Some("ns/p"));
    inject(&DeletePod::NOW, &target, soon()).await?;
    heal_all(&fake.client().await?, &log, soon()).await?;
    assert_eq!(node.power().await?, Power::Exited, "somebody else's outage");
    Ok(())
}

#[tokio::test]
async fn a_full_disk_of_a_node_leaves_room_on_the_host() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let target = Target::from(&fake.node("w").await?);
    // The fake has 40 GiB, of which 5 must stay free.
    for (gib, fits) in [(35, true), (36, false), (u64::MAX >> 30, false)] {
        let checked = FillDisk { bytes: gib << 30, ..FillDisk::DEFAULT }.check(&target, soon()).await;
        assert_eq!(checked.is_ok(), fits, "{checked:?}");
    }
    let error =
        inject(&FillDisk { bytes: 36 << 30, ..FillDisk::DEFAULT }, &target, soon()).await.unwrap_err();
    let said = "refused to fill the disk of w by 36.0 GiB: 40.0 GiB are free, and 5.0 GiB must stay free for the host";
    assert_eq!(error.to_string(), said);
    fake.change("w", |c| assert!(c.broken.is_empty()));
    Ok(())
}

/// The engine reports the quota that was requested. Only the node's kernel knows whether the node is still slow.
#[tokio::test]
async fn a_limit_that_the_kernel_still_has_is_not_cleared() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let node = fake.node("w").await?;
    inject(&SlowCpu::DEFAULT, &node, soon()).await?;
    fake.change("w", |c| c.held_back = true);
    let error = SlowCpu::DEFAULT.clear(&node, Deadline::after(Duration::from_secs(2))).await.unwrap_err();
    let FaultError::Unproved { what: "is not gone", found, .. } = &error else { panic!("{error:?}") };
    assert!(found.contains("20000"), "{found}");
    fake.change("w", |c| c.held_back = false);
    let proof = SlowCpu::DEFAULT.clear(&node, soon()).await?;
    assert_eq!((&proof["cores"], &proof["limit"]), (&Value::Null, &json!("none")), "{proof}");
    Ok(())
}

/// The engine reports the node as running, but no command runs in it.
#[tokio::test]
async fn a_node_that_runs_no_command_is_not_resumed() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let node = fake.node("w").await?;
    inject(&PauseNode, &node, soon()).await?;
    fake.state().commands.insert("true".into(), (1, "", "frozen"));
    let error = PauseNode.clear(&node, soon()).await.unwrap_err().to_string();
    assert!(error.contains("frozen"), "{error}");
    fake.state().commands.clear();
    assert_eq!(PauseNode.clear(&node, soon()).await?["answers"], true);
    Ok(())
}

#[tokio::test]
async fn a_limit_that_somebody_else_set_is_left_alone() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    fake.change("w", |c| c.quota = 150_000);
    let error = inject(&SlowCpu::DEFAULT, &fake.node("w").await?, soon()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "w is broken before `slow-cpu` (it is limited to 1.5 cores): somebody else did that"
    );
    assert_eq!(fake.changes(), [""; 0]);
    Ok(())
}

/// Neither fault can be healed alone. The taint needs a control plane, which is down too, and comes later in the
/// order of addresses.
#[tokio::test]
async fn a_fault_that_needs_another_one_healed_first_gets_a_second_try() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let log = IntentLog::open(fake.dir())?;
    let (worker, plane) = (Target::from(&fake.node("w").await?), Target::from(&fake.plane("cp").await?));
    for (fault, target) in [
        (&OutOfService::DEFAULT as &dyn Fault, worker),
        (&StopNode::DEFAULT, plane.allow_last_control_plane()),
    ] {
        log.write(fault, &target, soon()).await?;
        inject(fault, &target, soon()).await?;
    }
    assert_eq!(fake.state().objects[NODE]["spec"]["taints"][0]["effect"], "NoExecute");
    let few = Deadline::after(Duration::from_secs(8));
    let healed = heal_all(&fake.client().await?, &log, few).await?;
    assert!(healed.iter().all(|h| matches!(h.outcome, HealOutcome::Restored(_))), "{healed:?}");
    assert_eq!(healed.len(), 2);
    assert_eq!(fake.state().objects[NODE]["spec"]["taints"], json!([]));
    Ok(())
}

#[tokio::test]
async fn faults_of_one_node_are_healed_together() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let (log, node) = (IntentLog::open(fake.dir())?, fake.node("w").await?);
    for fault in [&CutNode::IN as &dyn Fault, &StopUnit::KUBELET, &SlowCpu::DEFAULT, &StopUnit::RUNTIME] {
        log.write(fault, &node, soon()).await?;
        inject(fault, &node, soon()).await?;
    }
    let healed = heal_all(&fake.client().await?, &log, soon()).await?;
    let order: Vec<&str> = healed.iter().filter_map(|h| Some(h.intent.as_ref()?.fault.as_str())).collect();
    assert_eq!(order, ["slow-cpu", "stop-runtime", "stop-kubelet", "cut-in"]);
    fake.change("w", |c| assert!(c.broken.is_empty() && c.quota == -1));
    Ok(())
}

/// The engine handles the request when its sender is already dead and the next process has begun to heal.
#[tokio::test]
async fn a_kill_that_the_engine_handles_late_is_healed() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let (log, node) = (IntentLog::open(fake.dir())?, fake.node("w").await?);
    log.write(&KillNode, &node, soon()).await?;
    let client = fake.client().await?;
    let (healed, late) = tokio::join!(heal_all(&client, &log, soon()), async {
        soon().pause(Duration::from_secs(2)).await;
        node.kill().await
    });
    late?;
    let HealOutcome::Restored(proof) = &healed?[0].outcome else { anyhow::bail!("not healed") };
    assert_eq!(proof["was"], "exited", "{proof}");
    assert_eq!(node.power().await?, Power::Running);
    Ok(())
}

#[rstest]
#[case::nothing("", "is not gone")]
#[case::still_there("broken=true\nstate=inactive\n", "is not gone on w: state inactive")]
#[tokio::test]
async fn a_fault_counts_as_present_until_its_absence_is_proved(
    #[case] said: &'static str,
    #[case] text: &str,
) -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    fake.state().commands.insert("stop-kubelet:clear".into(), (0, said, ""));
    let short = Deadline::after(Duration::from_secs(1));
    let error = StopUnit::KUBELET.clear(&fake.node("w").await?, short).await.unwrap_err();
    assert!(matches!(error, FaultError::Unproved { .. }), "{error:?}");
    assert!(error.to_string().contains(text), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_script_that_fails_says_so_without_its_whole_text() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let target = Target::from(&fake.node("w").await?);
    for (code, said) in [
        (1, "failed to inject `cut` in w: it ended with 1: no packet was dropped"),
        (65, "`cut` does not fit w: no packet was dropped"),
    ] {
        fake.state().commands.insert("cut:inject".into(), (code, "", "no packet was dropped\n"));
        assert_eq!(inject(&CutNode::OFF, &target, soon()).await.unwrap_err().to_string(), said);
    }
    Ok(())
}

/// No program could heal such a fault.
#[tokio::test]
async fn a_fault_that_is_not_in_the_list_gets_no_intent() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["w"])?;
    let log = IntentLog::open(fake.dir())?;
    let error = log.write(&Stranger, &fake.node("w").await?, soon()).await.unwrap_err();
    assert!(matches!(error, FaultError::NotListed { fault: "stranger" }), "{error:?}");
    Ok(())
}

/// A fault of the caller's own is still open after the process was killed.
#[tokio::test]
async fn an_own_fault_is_healed_by_the_program_that_knows_it_and_kept_by_another() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["v", "w"])?;
    let engine = fake.client().await?;
    let mut own = Faults::built_in();
    own.add(&Stranger);
    let knows = IntentLog::open(fake.dir())?.knowing(&own);
    knows.write(&Stranger, &fake.node("w").await?, soon()).await?;
    knows.write(&KillNode, &fake.node("v").await?, soon()).await?;
    let other = IntentLog::open(fake.dir())?;
    let error = heal_all(&engine, &other, Deadline::after(Duration::from_secs(3))).await.unwrap_err();
    let FaultError::Open { source, others: 0, .. } = &error else { panic!("{error:?}") };
    let program = std::fs::read_link("/proc/self/exe")?.display().to_string();
    assert_eq!(
        source.to_string(),
        format!("`stranger` is open on w, and this program does not know it: it is a fault of {program}")
    );
    // The hint is about tests, because this binary is the program.
    assert!(error.hint().is_some_and(|hint| hint.contains("in each test of this binary")), "{error:?}");
    // Faults that the other program knows are healed nevertheless. The unknown fault stays.
    let left: Vec<String> = other.list()?.into_iter().map(|intent| intent.fault).collect();
    assert_eq!(left, ["stranger"]);
    let healed = heal_all(&engine, &knows, soon()).await?;
    assert!(
        matches!(&healed[0].outcome, HealOutcome::Restored(proof) if proof["undone"] == true),
        "{healed:?}"
    );
    assert!(knows.list()?.is_empty());
    Ok(())
}

#[derive(Debug)]
struct Stranger;

impl Fault for Stranger {
    fn name(&self) -> &'static str {
        "stranger"
    }
    fn about(&self) -> &'static str {
        ""
    }
    fn proof(&self) -> &'static str {
        ""
    }
    fn cleared(&self) -> &'static str {
        ""
    }
    fn with(&self, _: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(Self))
    }
    fn inject<'a>(&'a self, _: &'a Checked, _: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async { Ok(Value::Null) })
    }
    fn clear<'a>(&'a self, _: &'a Node, _: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async { Ok(json!({ "undone": true })) })
    }
}

#[tokio::test]
async fn an_intent_of_an_older_version_is_read() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["w"])?;
    let log = IntentLog::open(fake.dir())?.until("2026-01-01T00:00:00Z".parse()?);
    let grace = StopNode { grace: Duration::from_secs(30) };
    let (intent, _) = log.write(&grace, &fake.node("w").await?, soon()).await?;
    assert_eq!(
        (intent.lasts_ms, intent.until.is_some()),
        (40_000, true),
        "as the fault was, not its default"
    );
    let mut older = serde_json::to_value(&intent)?;
    let fields = older.as_object_mut().expect("an object");
    fields.retain(|name, _| !["pod", "lasts_ms", "until", "program"].contains(&name.as_str()));
    let read: Intent = serde_json::from_value(older)?;
    assert_eq!(read, Intent { lasts_ms: 0, until: None, program: None, ..intent });
    Ok(())
}

#[test]
fn every_parameter_can_be_given() {
    for fault in FAULTS {
        for parameter in fault.parameters() {
            let words = [format!("{}={}", parameter.name, "7")];
            let given = Given::read(*fault, &words).unwrap();
            // A plain number is a size or a count, and no duration.
            let long = Given::read(*fault, &[format!("{}=7s", parameter.name)]).unwrap();
            let changed = fault.with(&given).or_else(|_| fault.with(&long)).unwrap();
            assert_ne!(format!("{changed:?}"), format!("{fault:?}"), "{}", parameter.name);
        }
    }
}

/// docs/faults.md is generated from the list.
#[test]
fn the_page_of_faults_equals_the_list() {
    let head = ["fault", "what it does", "proof", "how it is cleared", "parameters"].join(" | ");
    let mut rows = format!("| {head} |\n|---|---|---|---|---|\n");
    for fault in FAULTS {
        let parameters: Vec<String> = fault
            .parameters()
            .iter()
            .map(|p| format!("`{}`: {} (default {})", p.name, p.about, p.default))
            .collect();
        let reach = if fault.target_kind() == TargetKind::Pod { " (needs a pod)" } else { "" };
        let cells = [fault.about(), fault.proof(), fault.cleared()].join(" | ");
        rows.push_str(&format!("| `{}`{reach} | {cells} | {} |\n", fault.name(), parameters.join("; ")));
    }
    let page = include_str!("../../docs/faults.md");
    assert!(page.contains(&rows), "docs/faults.md lacks this table:\n{rows}");
}

/// A fault of the caller's own on a pod. Judges cannot know it by its name.
#[tokio::test]
async fn a_fault_on_a_pod_says_so_in_its_proof() -> anyhow::Result<()> {
    let fake = FakeEngine::cluster(&["cp"])?;
    let log = IntentLog::open(fake.dir())?;
    let (on_pod, _) =
        log.write(&KillContainer, Target::pod(&fake.node("w").await?, "ns", "p"), soon()).await?;
    let proof = on_pod.recorded(json!({ "lasts": false }));
    assert_eq!(proof, json!({ "lasts": false, "pod": "ns/p" }));
    assert!(!seatrial::judge::fault::reaches_node("own", &proof));
    let other = on_pod.recorded(Value::Null);
    assert!(!seatrial::judge::fault::reaches_node("own", &other), "{other}");
    // A fault on a node says so even if a pod was named to it.
    let (on_node, _) = log.write(&KillNode, Target::pod(&fake.node("w").await?, "ns", "p"), soon()).await?;
    assert!(seatrial::judge::fault::reaches_node("own", &on_node.recorded(json!({ "pod": "x" }))));
    Ok(())
}

/// Judges use these names to recognise the faults of older records that leave their node alone.
#[test]
fn judges_know_the_faults_on_pods() {
    let on_pods: Vec<&str> =
        FAULTS.iter().filter(|f| f.target_kind() == TargetKind::Pod).map(|f| f.name()).collect();
    assert_eq!(on_pods, ON_PODS);
}

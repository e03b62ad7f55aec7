//! D1 for upgrades with a detour: a failed step, and plans that were made again.

use seatrial::event::{EndedStep, UpgradeStep};
use seatrial::event::{Event, Record};
use seatrial::judge::Conclusion;
use seatrial::upgrade::{Component, EtcdPolicy, UpgradePlan};
use serde_json::Value;

use super::{cluster, comes_out, put, releases, second, told, v, versions};

/// An upgrade that stopped because a kubelet step failed leaves D1 inconclusive.
#[test]
fn a_kubelet_step_that_failed_leaves_d1_open() {
    let mut records = told();
    let is = |r: &Record| matches!(&r.event, Event::UpgradeStepEnded(e) if e.step == "kubelet");
    let at = records.iter().rposition(is).unwrap();
    let Event::UpgradeStepEnded(ended) = &mut records[at].event else { unreachable!() };
    (ended.error, ended.versions) = (Some("node w2 ready at 1.35.4: not in 300 s".into()), None);
    let of_step = |r: &Record| matches!(&r.event, Event::UpgradeStepStarted(_) | Event::UpgradeStepEnded(_));
    let mut n = 0;
    records.retain(|r| {
        n += 1;
        n <= at + 1 || !of_step(r)
    });
    comes_out(&records, "D1", Conclusion::Inconclusive);
}

/// An interrupted upgrade that is resumed repeats `apply` if a kube-proxy was not seen. Its kubelets were upgraded
/// after the first `apply`.
#[test]
fn a_repeated_apply_does_not_count_as_after_the_kubelets() {
    let mut records = told();
    let settled = |r: &Record| {
        matches!(&r.event, Event::UpgradeStepStarted(UpgradeStep { step, .. }) if step == "settle")
            || matches!(&r.event, Event::UpgradeStepEnded(EndedStep { step, .. }) if step == "settle")
    };
    records.retain(|r| !settled(r));
    let mut facts = cluster(&["cp", "w1", "w2"]);
    let whole = UpgradePlan::make(&facts, &releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap();
    facts.state = whole.hops[0].steps.last().unwrap().after.clone();
    facts.state.proxies.remove("w1");
    let plan = UpgradePlan::make(&facts, &releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap();
    let steps: Vec<String> = plan.hops[0].steps.iter().map(|s| s.title()).collect();
    assert_eq!(steps, ["preload", "apply cp", "settle"]);
    let mut at = second(records.last().unwrap()) + 1.0;
    put(&mut records, at, plan.event(&facts.state));
    for planned in &plan.hops[0].steps {
        at += 1.0;
        put(
            &mut records,
            at,
            Event::UpgradeStepEnded(EndedStep {
                to: v("1.35.4"),
                step: planned.step.name().into(),
                node: planned.node.clone(),
                took: 1.0,
                error: None,
                proof: Value::Null,
                versions: Some(planned.after.clone()),
            }),
        );
    }
    comes_out(&records, "D1", Conclusion::Passed);
}

/// A component that disappears between two plans is in none of the later ones. D1 compares with the components before
/// the upgrade.
#[test]
fn a_coredns_that_is_gone_when_the_upgrade_is_resumed_fails_d1() {
    let mut records = told();
    let is_plan = |r: &Record| matches!(&r.event, Event::UpgradePlanned(_));
    let at = records.iter().rposition(is_plan).unwrap();
    let Event::UpgradePlanned(plan) = &mut records[at].event else { unreachable!() };
    plan.before.coredns = None;
    plan.hops.iter_mut().flat_map(|h| &mut h.steps).for_each(|step| step.after.coredns = None);
    versions(&mut records[at..], |state| state.coredns = None);
    comes_out(&records, "D1", Conclusion::Failed);
}

/// The last plan began with a version that the plan before it had not reached.
#[test]
fn a_part_that_changed_between_two_plans_fails_d1() {
    for bend in [
        |state: &mut seatrial::upgrade::State| state.coredns = Some(v("1.14.2")),
        |state: &mut seatrial::upgrade::State| {
            state.control_planes.values_mut().for_each(|parts| _ = parts.insert(Component::Etcd, v("3.6.8")));
        },
        |state: &mut seatrial::upgrade::State| {
            _ = state.control_planes.values_mut().next().unwrap().remove(&Component::Etcd)
        },
    ] {
        let mut records = told();
        let at = records.iter().rposition(|r| matches!(&r.event, Event::UpgradePlanned(_))).unwrap();
        let Event::UpgradePlanned(plan) = &mut records[at].event else { unreachable!() };
        bend(&mut plan.before);
        plan.hops.iter_mut().flat_map(|hop| &mut hop.steps).for_each(|step| bend(&mut step.after));
        versions(&mut records[at..], bend);
        comes_out(&records, "D1", Conclusion::Failed);
    }
}

/// The first plan for a cluster that nobody upgraded: an API server that is newer after `preload`, which changes
/// nothing, contradicts the plan.
#[test]
fn d1_compares_what_is_seen_after_the_preload_of_a_first_plan() {
    let mut records = told();
    let is = |r: &Record| matches!(&r.event, Event::UpgradeStepEnded(e) if e.step == "preload");
    let at = records.iter().position(is).unwrap();
    let Event::UpgradeStepEnded(ended) = &mut records[at].event else { unreachable!() };
    let state = ended.versions.as_mut().unwrap();
    for part in [Component::KubeApiserver, Component::KubeControllerManager, Component::KubeScheduler] {
        state.control_planes.values_mut().for_each(|parts| _ = parts.insert(part, v("1.35.4")));
    }
    comes_out(&records, "D1", Conclusion::Failed);
}

/// An upgrade that continued under a new plan and broke off before the end of its first step is not finished.
#[test]
fn a_plan_of_which_no_step_ended_leaves_d1_open() {
    let mut records = told();
    let second = records.iter().rposition(|r| matches!(r.event, Event::UpgradePlanned(_))).unwrap();
    records.truncate(second + 1);
    // The first stretch was left before the failed drain.
    let drain = records.iter().rposition(|r| matches!(r.event, Event::UpgradeStepStarted(_))).unwrap();
    records.drain(drain..second);
    comes_out(&records, "D1", Conclusion::Inconclusive);
}

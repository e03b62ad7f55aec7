//! Falsehoods in the told faults of a trial, and expectations of them.

use rstest::rstest;
use seatrial::event::{Event, Outcome};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::trial::facts;
use serde_json::{Value, json};

use super::lies::{deleted, expects, fail, meanwhile, object, range, settled, unready};
use super::story::{judged, pod};
use crate::story::{Story, changed};

const WEB: (&str, &str, &str) = ("web", "ReplicaSet", "web-2");
const FAULT: (&str, &str) = ("fault 1", "fault 1 over");
const KILL: (&str, &str) = ("fault 2", "fault 2 healed");

/// Changes a field of the first fault's record.
fn first_fault(story: &mut Story, field: &str, to: Value) {
    story.each(|event| {
        let Event::Observed { what, value, .. } = event else { return };
        if what == facts::FAULTS.name() && value["step"] == "fault 1" {
            value[field] = to.clone();
        }
    });
}

/// The first fault has another name.
fn renamed(story: &mut Story, name: &str) {
    first_fault(story, "fault", json!(name));
    let (from, to) = range(story, "fault 1", "fault 1 healed");
    for record in &mut story.records[from..to] {
        match &mut record.event {
            Event::FaultIntended { fault, .. } | Event::FaultHealed { fault, .. } => *fault = name.into(),
            Event::FaultInjected { fault, proof, .. } => {
                (*fault, *proof) = (name.into(), json!({"broken": true}))
            }
            _ => {}
        }
    }
}

/// The first fault hits a node, and none of the trial's pods.
fn on_an_idle_node(story: &mut Story) {
    renamed(story, "slow-cpu");
    first_fault(story, "node", json!("w9"));
    let (from, to) = range(story, "fault 1", "fault 1 healed");
    for record in &mut story.records[from..to] {
        if let Event::FaultIntended { node, .. }
        | Event::FaultInjected { node, .. }
        | Event::FaultHealed { node, .. } = &mut record.event
        {
            *node = "w9".into();
        }
    }
}

/// The pod of the cluster's DNS runs on another node.
fn with_dns(story: &mut Story) {
    let mut dns = pod("coredns-1", ("coredns", "ReplicaSet", "coredns-1"), "u-dns", "w2");
    dns["metadata"]["namespace"] = json!("kube-system");
    dns["metadata"]["labels"] = json!({"k8s-app": "kube-dns"});
    story.insert_after("ready", changed(dns));
}

/// A server answers with an error where a request failed.
fn answered_with_errors(story: &mut Story) {
    story.each(|event| {
        if let Event::Sampled { outcome, detail, .. } = event
            && *outcome == Outcome::Indeterminate
        {
            (*outcome, *detail) = (Outcome::Refused, "503 nginx".into());
        }
    });
}

/// The container that the second fault kills is started again at once.
fn started_again(story: &mut Story) {
    let mut pod = pod("web-2-h", WEB, "u-web-2-h", "w2");
    pod["status"]["containerStatuses"] = json!([{"name": "c", "restartCount": 1}]);
    story.insert_after("fault 2 over", changed(pod));
}

/// Only the first steps were taken, of a trial with so many faults.
fn so_far(story: &mut Story, faults: usize) {
    story.fact(&facts::EXPECTED)["faults"] = json!(faults);
    let at = story.mark("clean");
    story.records.truncate(at);
}

#[rstest]
#[case::fault_in_time("fault", |_: &mut Story| {}, Passed, "Deployment web: as many pods as declared were ready on other nodes after 60.0 s of 81 s")]
#[case::fault_late("fault", |s: &mut Story| first_fault(s, "budget", json!(30.0)), Failed, "Deployment web: as many pods as declared were ready on other nodes after 60.0 s of 30 s")]
#[case::fault_too_short_to_move("fault", |_: &mut Story| {}, Passed, "Deployment db: 0 of 1 pods ready on other nodes after 61 s: they may need 81 s")]
#[case::fault_not_moved("fault", |s: &mut Story| { object(s, FAULT, "u-web-2-h", unready); first_fault(s, "budget", json!(55.0)); }, Failed, "Deployment web: 2 of 3 pods ready on other nodes after 61 s: web-2-h is Running and not ready")]
#[case::fault_unproved("fault", |s: &mut Story| s.each(|e| if let Event::FaultInjected { proof, id, .. } = e && id == "2" { *proof = json!({"power": "running"}) }), Inconclusive, "nothing proves that w1 was down")]
#[case::fault_healed_early("fault", |s: &mut Story| s.insert_after("fault 1", Event::FaultHealed { id: "2".into(), fault: "stop".into(), node: "w1".into(), proof: json!({}) }), Inconclusive, "w1 was brought back before")]
#[case::fault_after_detection("fault", |s: &mut Story| fail(s, FAULT, |n| n == 230), Failed, "Service shop: 1 of ")]
#[case::fault_cut("fault", |s: &mut Story| renamed(s, "cut"), Passed, "`cut` took hold of w1")]
#[case::fault_of_a_slow_node("fault", |s: &mut Story| { renamed(s, "slow-cpu"); fail(s, FAULT, |n| n % 2 == 0); }, Passed, "48 % of 253 requests failed")]
#[case::fault_of_a_slow_node_that_takes_all("fault", |s: &mut Story| { renamed(s, "slow-cpu"); fail(s, FAULT, |_| true); }, Failed, "(2 of 3 endpoints lost)")]
#[case::fault_unknown("fault", |s: &mut Story| renamed(s, "unplug"), Inconclusive, "`fault 1`: fault unplug is not known here")]
#[case::fault_of_the_program("fault", |s: &mut Story| { renamed(s, "unplug"); first_fault(s, "effect", json!("away")); }, Passed, "`unplug` took hold of w1")]
#[case::fault_of_the_program_that_leaves_its_node("fault", |s: &mut Story| { renamed(s, "slow-disk"); first_fault(s, "effect", json!("strained")); fail(s, FAULT, |_| true); }, Failed, "(2 of 3 endpoints lost)")]
#[case::fault_unrecorded("fault", |s: &mut Story| s.insert_after("fault 1", Event::Marked { mark: "fault 3".into() }), Inconclusive, "3 faults began, and `trial_faults` has 2")]
#[case::fault_incomplete("fault", |s: &mut Story| settled(s, "fault 1", "db", "error", json!("0 of 1")), Failed, "Deployment db: 0 of 1")]
#[case::fault_not_back("fault", |s: &mut Story| object(s, ("fault 1 over", "fault 1 healed"), "u-agent", |o| o["status"]["numberReady"] = json!(1)), Failed, "DaemonSet agent by its status")]
#[case::fault_released("fault", |s: &mut Story| { renamed(s, "out-of-service"); s.each(|e| if let Event::FaultInjected { proof, id, .. } = e && id == "2" { *proof = json!({"power": "exited"}) }); }, Passed, "StatefulSet set: 1 of 2 pods ready on other nodes after 61 s: they may need 81 s")]
#[case::fault_of_a_bare_pod("fault", |s: &mut Story| { let tool = pod("tool", ("tool", "", ""), "u-tool", "w2"); s.insert_after("fault 1 over", deleted(tool)); }, Failed, "Pod tool is gone: nothing replaces a bare pod")]
#[case::container_killed_and_all_failed("fault", |s: &mut Story| fail(s, KILL, |_| true), Failed, "(1 of 3 endpoints lost)")]
#[case::pending_in_a_fault("fault", |s: &mut Story| expects(s, meanwhile(("fault", "Deployment", "db"), "pending", "node affinity")), Passed, "Deployment db is pending as expected")]
#[case::complete_in_a_fault("fault", |s: &mut Story| { first_fault(s, "budget", json!(60.5)); expects(s, meanwhile(("fault", "Deployment", "db"), "complete", "")); }, Failed, "Deployment db is pending: db-2-c waits")]
#[case::complete_in_a_short_fault("fault", |s: &mut Story| expects(s, meanwhile(("fault", "Deployment", "db"), "complete", "")), Inconclusive, "the fault lasted 61 s, and Kubernetes may need 81 s")]
#[case::away_in_a_short_fault("fault", |s: &mut Story| expects(s, meanwhile(("fault", "Deployment", "db"), "away", "")), Inconclusive, "the fault lasted 61 s, and Kubernetes may need 81 s")]
#[case::expected_of_a_later_fault("fault", |s: &mut Story| { expects(s, meanwhile(("fault", "Pod", "tool"), "away", "")); so_far(s, 3); }, Passed, "")]
#[case::expected_of_no_fault("fault", |s: &mut Story| { expects(s, meanwhile(("fault", "Pod", "tool"), "away", "")); so_far(s, 2); }, Inconclusive, "no lost node had a pod of it")]
#[case::fault_that_takes_nothing("fault", |s: &mut Story| { on_an_idle_node(s); with_dns(s); fail(s, FAULT, |n| n % 6 == 1); }, Failed, " for no reason")]
#[case::fault_that_takes_none_of_a_service("fault", |s: &mut Story| { on_an_idle_node(s); fail(s, FAULT, |n| n % 6 == 1); }, Failed, " for no reason")]
#[case::fault_that_may_take_what_a_service_needs("fault", |s: &mut Story| { on_an_idle_node(s); fail(s, FAULT, |n| n % 6 == 1); answered_with_errors(s); }, Inconclusive, "the node also had a pod of another workload, which the answers may need, the first: 503 nginx")]
#[case::fault_that_answers_without_what_it_may_need("fault", |s: &mut Story| { on_an_idle_node(s); fail(s, FAULT, |_| false); }, Passed, "")]
#[case::fault_of_the_node_that_asks("fault", |s: &mut Story| s.fact(&facts::PROBES)[0]["node"] = json!("w1"), Inconclusive, "Service shop: only w1 asked, which the fault hit")]
#[case::fault_of_a_slow_node_that_is_healed("fault", |s: &mut Story| { renamed(s, "slow-cpu"); fail(s, FAULT, |_| false); fail(s, ("fault 1 over", "fault 1 healed"), |n| n == 0); }, Passed, "")]
#[case::container_killed("fault", |s: &mut Story| { started_again(s); fail(s, KILL, |n| n < 7 && n % 3 == 1); }, Passed, "")]
#[case::container_killed_and_another_fails("fault", |s: &mut Story| { started_again(s); fail(s, KILL, |n| n > 9); }, Failed, "requests failed for no reason")]
#[case::expected_of_a_slow_node("fault", |s: &mut Story| { renamed(s, "slow-cpu"); expects(s, meanwhile(("fault", "Deployment", "db"), "pending", "")); }, Inconclusive, "no lost node had a pod of it")]
fn a_falsehood_is_found(
    #[case] claim: &str,
    #[case] how: impl FnOnce(&mut Story),
    #[case] wanted: Conclusion,
    #[case] said: &str,
) {
    judged(claim, how, wanted, said);
}

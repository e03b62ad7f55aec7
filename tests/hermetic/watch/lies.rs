//! Falsehoods in a made-up watch, each with its verdict and the evidence that reveals it.

use rstest::rstest;
use seatrial::event::{Change, Event, Outcome};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::watch::facts::{self, Unread};
use seatrial::judge::watch::{API, API_SAYS, BEGINS, CLAIMS, ENDS};
use serde_json::{Value, json};

use super::story::{MARK, PROBE, budget, ending, event, evicted, node, set, starting, told, web};
use crate::passing_histories::undecided_without_a_fact;
use crate::story::{Story, changed, says};
use crate::trial::story::{object, pod};

/// Records a change a number of seconds after a mark.
fn at(story: &mut Story, (mark, seconds): (&str, f64), change: Change, object: Value) {
    let from = story.records[story.mark(mark)].mono_us as f64 / 1e6;
    let place = story.records.iter().position(|r| r.mono_us as f64 / 1e6 >= from + seconds).unwrap();
    let event = match changed(object) {
        Event::ObjectChanged { kind, name, uid, object, .. } => {
            Event::ObjectChanged { change, kind, name, uid, object }
        }
        other => other,
    };
    let record = seatrial::event::Record { event, ..story.records[place].clone() };
    story.records.insert(place, record);
}

fn is(story: &mut Story, seconds: f64, object: Value) {
    at(story, (MARK, seconds), Change::Modified, object);
}

/// Lets requests of a probe fail from a number of seconds after a mark on.
fn fail(story: &mut Story, probe: &str, (from, to): (f64, f64), (outcome, detail): (Outcome, &str)) {
    let mark = story.records[story.mark(MARK)].mono_us as f64 / 1e6;
    for record in &mut story.records {
        let second = record.mono_us as f64 / 1e6 - mark;
        if let Event::Sampled { probe: of, outcome: found, detail: said, .. } = &mut record.event
            && of == probe
            && (from..to).contains(&second)
        {
            (*found, *said) = (outcome, detail.into());
        }
    }
}

const REFUSED: (Outcome, &str) = (Outcome::Refused, "curl 7: Connection refused");

fn starve(story: &mut Story, (from, to): (f64, f64)) {
    fail(story, "control", (from, to), (Outcome::Indeterminate, "2000 ms late"));
}

/// The probe asks through the API server.
fn through_the_api(story: &mut Story) {
    story.fact(&facts::PROBES)[0]["way"] = json!("api-server");
}

fn unread(story: &mut Story, kind: &str) {
    let unread = Unread { kind: kind.into(), namespace: Some("shop".into()), why: "403 forbidden".into() };
    *story.fact(&facts::UNREAD) = json!([unread]);
}

fn unready_node() -> Value {
    let mut node = node("w2");
    node["status"]["conditions"][0] =
        json!({"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"});
    node
}

fn ended(mut pod: Value, code: i64, reason: &str) -> Value {
    let end =
        json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": "2026-12-01T00:00:01Z"}});
    pod["status"]["containerStatuses"] = json!([{"name": "c", "restartCount": 1, "lastState": end}]);
    pod
}

fn set_pod(uid: &str) -> Value {
    pod("set-0", ("set", "StatefulSet", "set"), uid, "w2")
}

/// The set is deleted and created again, and its pod has a claim of another template or the same one.
fn set_again(story: &mut Story, claim: &str) {
    let mut old = set_pod("u-set-0");
    let volumes = |claim: &str| json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    old["spec"]["volumes"] = volumes("data-set-0");
    story.insert_before(BEGINS, changed(old.clone()));
    let mut again = object("StatefulSet", "set", 1, (1, 1));
    again["metadata"]["uid"] = json!("u-set-again");
    let mut new = set_pod("u-set-0-again");
    new["spec"]["volumes"] = volumes(claim);
    new["metadata"]["ownerReferences"][0]["uid"] = json!("u-set-again");
    let mut orphan = old;
    orphan["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    let deleted = object("StatefulSet", "set", 1, (1, 1));
    for (seconds, change, object) in [
        (8.0, Change::Modified, orphan.clone()),
        (8.2, Change::Deleted, deleted),
        (9.0, Change::Added, again),
        (9.2, Change::Deleted, orphan),
        (9.4, Change::Added, new),
    ] {
        at(story, (MARK, seconds), change, object);
    }
}

/// A second pod of the name `set-0` while the first one lives, after [`set_again`].
fn twin_of_the_set_again(story: &mut Story) {
    set_again(story, "data-set-0");
    let mut twin = set_pod("u-twin");
    twin["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data-set-0"}}]);
    twin["metadata"]["ownerReferences"][0]["uid"] = json!("u-set-again");
    at(story, (MARK, 12.0), Change::Added, twin);
}

/// The node `w1` is away for 4 s, and of its pods of `web` these are not ready meanwhile. The rollout and the eviction are long over.
fn two_are_away(story: &mut Story, letters: [&str; 2]) {
    let mut away = node("w1");
    away["status"]["conditions"][0] =
        json!({"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"});
    is(story, 16.5, away);
    for letter in letters {
        let mut pod = web("web-2", letter, "w1");
        pod["status"]["conditions"][0]["status"] = json!("False");
        is(story, 17.0, pod);
        is(story, 20.5, web("web-2", letter, "w1"));
    }
    is(story, 17.5, budget(1));
    is(story, 20.0, node("w1"));
    is(story, 20.7, budget(3));
}

/// The pods of `web` restart, with a new boot of the node `w1`, so soon that Kubernetes never saw the node away.
fn reboots(story: &mut Story, (before, after): (&str, &str)) {
    for (seconds, boot) in [(2.0, before), (16.5, after)] {
        let mut node = node("w1");
        node["status"]["nodeInfo"] = json!({"bootID": boot});
        is(story, seconds, node);
    }
    for letter in ["a", "c"] {
        is(story, 17.0, ended(starting(web("web-2", letter, "w1")), 255, "Unknown"));
        is(story, 20.5, ended(web("web-2", letter, "w1"), 255, "Unknown"));
    }
    is(story, 17.5, budget(1));
    is(story, 20.7, budget(3));
}

/// Every pod of the node `w1` restarts, and nothing else shows that the node did.
fn all_restart(story: &mut Story) {
    let agent = pod("agent-1", ("agent", "DaemonSet", "agent"), "u-agent-1", "w1");
    let set = pod("set-0", ("set", "StatefulSet", "set"), "u-set-0", "w1");
    for pod in [web("web-2", "a", "w1"), web("web-2", "c", "w1"), web("web-2", "d", "w1"), agent, set] {
        is(story, 17.0, ended(pod, 255, "Error"));
    }
}

/// A pod of a third template comes, and the rollout is paused then.
fn canary(story: &mut Story) {
    at(story, (MARK, 5.0), Change::Added, set("web-3", 1));
    at(story, (MARK, 5.5), Change::Added, web("web-3", "a", "w2"));
}

/// A pod of a StatefulSet or DaemonSet, with a template.
fn of_template(name: &str, (app, kind): (&str, &str), template: &str, node: &str) -> Value {
    let mut pod = pod(name, (app, kind, app), &format!("u-{name}-{template}"), node);
    pod["metadata"]["labels"]["pod-template-hash"] = json!(template);
    pod
}

/// StatefulSet `set` has a pod of another template since some seconds, and somebody deletes `set-0`, which is made again.
fn partition(story: &mut Story, template: &str) {
    at(story, (MARK, 5.0), Change::Added, of_template("set-1", ("set", "StatefulSet"), "next", "w2"));
    let old = pod("set-0", ("set", "StatefulSet", "set"), "u-set-0", "w1");
    is(story, 9.0, ending(old.clone()));
    at(story, (MARK, 10.0), Change::Deleted, ending(old));
    at(story, (MARK, 10.2), Change::Added, of_template("set-0", ("set", "StatefulSet"), template, "w1"));
}

/// DaemonSet `agent` has pods of another template, and its pod on `w1` goes.
fn agent_goes(story: &mut Story, pods: &[(f64, &str, &str, &str)]) {
    for (seconds, name, template, node) in pods {
        at(story, (MARK, *seconds), Change::Added, of_template(name, ("agent", "DaemonSet"), template, node));
    }
    is(story, 9.0, ending(pod("agent-1", ("agent", "DaemonSet", "agent"), "u-agent-1", "w1")));
}

/// The pods of `web` are replaced by pods of their own template: nothing lowered the number of the old ones.
fn same_template(story: &mut Story) {
    story.each(|event| {
        let Event::ObjectChanged { kind, name, object, .. } = event else { return };
        if object["metadata"]["labels"]["app"] == "web" {
            object["metadata"]["labels"]["pod-template-hash"] = json!("web-1");
        } else if kind == "ReplicaSet" && name == "web-1" {
            object["spec"]["replicas"] = json!(3);
        }
    });
}

/// Deployment `web` is scaled down to one pod.
fn scaled_to_one(story: &mut Story, seconds: f64) {
    is(story, seconds, object("Deployment", "web", 3, (1, 1)));
    for letter in ["a", "c"] {
        is(story, seconds + 0.5, ending(web("web-2", letter, "w1")));
    }
}

/// Two of three pods are lost for no reason, and Deployment `web` is scaled down some seconds later.
fn scaled_while_low(story: &mut Story, (lost, scaled, back): (f64, f64, f64)) {
    is(story, lost, budget(1));
    scaled_to_one(story, scaled);
    is(story, back, budget(3));
}

/// A drain evicts a pod of `web` while a rollout has few healthy ones.
fn evicted_in_a_rollout(story: &mut Story, pod: Value) {
    at(story, (BEGINS, 8.0), Change::Modified, budget(1));
    at(story, (BEGINS, 8.2), Change::Added, pod.clone());
    at(story, (BEGINS, 8.6), Change::Modified, evicted(pod));
    at(story, (BEGINS, 9.0), Change::Modified, budget(3));
}

/// Somebody, such as an autoscaler, raises Deployment `web` from three to five pods.
fn raised(story: &mut Story, seconds: f64) {
    is(story, seconds, object("Deployment", "web", 3, (5, 3)));
}

/// The pod's kubelet evicts it, as for memory.
fn by_its_kubelet(pod: Value) -> Value {
    let mut pod = evicted(pod);
    pod["metadata"].as_object_mut().unwrap().remove("deletionTimestamp");
    pod["status"]["phase"] = json!("Failed");
    pod["status"]["conditions"][1]["reason"] = json!("TerminationByKubelet");
    pod
}

fn always_away(story: &mut Story) {
    *story.fact(&facts::AWAY) = json!([{"from": null, "to": null}]);
}

#[rstest]
#[case::outage("outages", |s: &mut Story| fail(s, PROBE, (5.0, 12.0), REFUSED), Failed, "http shop:80/healthz: longest outage 7.2 s of 5.0 s")]
#[case::outage_and_starved("outages", |s: &mut Story| { fail(s, PROBE, (5.0, 12.0), REFUSED); starve(s, (4.0, 13.0)); }, Inconclusive, "the machine starved meanwhile")]
#[case::share("outages", |s: &mut Story| [3.0, 6.0, 9.0, 12.0].iter().for_each(|at| fail(s, PROBE, (*at, at + 0.3), REFUSED)), Failed, "requests failed, 2 may fail")]
#[case::one_request("outages", |s: &mut Story| fail(s, PROBE, (5.0, 5.2), REFUSED), Passed, "1 of 143 requests failed, 2 may fail")]
#[case::not_over("outages", |s: &mut Story| fail(s, PROBE, (21.4, 99.0), REFUSED), Inconclusive, "the last outage was not over at the end")]
#[case::unsteady("outages", |s: &mut Story| s.fact(&facts::PROBES)[0]["steady"] = json!(false), Inconclusive, "gave no steady answer before the command began")]
#[case::silent("outages", |s: &mut Story| { let mark = s.records[s.mark(MARK)].mono_us; s.records.retain(|r| !(r.mono_us > mark + 5_000_000 && r.mono_us < mark + 12_000_000 && matches!(&r.event, Event::Sampled { probe, .. } if probe == PROBE))); }, Inconclusive, "no request for 7")]
#[case::nobody_asked("outages", |s: &mut Story| *s.fact(&facts::PROBES) = json!([]), Inconclusive, "no probe asked")]
#[case::api_away("outages", |s: &mut Story| { through_the_api(s); fail(s, PROBE, (5.0, 12.0), (Outcome::Indeterminate, "no answer: timed out after 2.0 s")); fail(s, API, (5.0, 12.0), REFUSED); }, Inconclusive, "because the API server was away")]
#[case::api_away_after_a_failure("outages", |s: &mut Story| { through_the_api(s); fail(s, PROBE, (5.0, 5.2), REFUSED); fail(s, PROBE, (5.2, 12.0), (Outcome::Indeterminate, "no answer: timed out after 2.0 s")); fail(s, API, (5.2, 12.0), REFUSED); }, Inconclusive, "because the API server was away")]
#[case::api_refuses("outages", |s: &mut Story| { through_the_api(s); fail(s, PROBE, (5.0, 12.0), (Outcome::Indeterminate, &format!("{API_SAYS}429 too many"))); }, Inconclusive, "429 too many")]
#[case::service_away_behind_the_api("outages", |s: &mut Story| { through_the_api(s); fail(s, PROBE, (5.0, 12.0), (Outcome::Refused, "503 no endpoints available")); }, Failed, "longest outage 7.2 s")]
#[case::service_silent_behind_the_api("outages", |s: &mut Story| { through_the_api(s); fail(s, PROBE, (5.0, 12.0), (Outcome::Indeterminate, "no answer: timed out after 2.0 s")); }, Failed, "longest outage 7.2 s")]
#[case::deleted_by_hand("disturbed", |s: &mut Story| is(s, 9.0, ending(web("web-2", "a", "w1"))), Failed, "shop/web-2-a on w1 went for no known reason")]
#[case::deleted_by_hand_on_a_lost_node("disturbed", |s: &mut Story| { starve(s, (4.0, 8.0)); is(s, 6.0, unready_node()); is(s, 9.0, ending(web("web-2", "d", "w2"))); }, Inconclusive, "w2 was not ready")]
#[case::restarted("disturbed", |s: &mut Story| is(s, 9.0, ended(web("web-2", "a", "w1"), 1, "Error")), Failed, "shop/web-2-a on w1 was restarted (Error) for no known reason")]
#[case::by_its_kubelet("disturbed", |s: &mut Story| { let mut pod = evicted(web("web-2", "a", "w1")); pod["status"]["conditions"][1]["reason"] = json!("TerminationByKubelet"); is(s, 9.0, pod); }, Failed, "web-2-a on w1 went (TerminationByKubelet) for no known reason")]
#[case::by_a_taint("disturbed", |s: &mut Story| { let mut pod = evicted(web("web-2", "a", "w1")); pod["status"]["conditions"][1]["reason"] = json!("DeletionByTaintManager"); is(s, 9.0, pod); }, Failed, "for no known reason")]
#[case::by_hand_next_to_a_canary("disturbed", |s: &mut Story| { canary(s); is(s, 9.0, ending(web("web-2", "a", "w1"))); }, Failed, "shop/web-2-a on w1 went for no known reason")]
#[case::by_its_kubelet_next_to_a_canary("disturbed", |s: &mut Story| { canary(s); is(s, 9.0, by_its_kubelet(web("web-2", "a", "w1"))); }, Failed, "web-2-a on w1 went (TerminationByKubelet) for no known reason")]
#[case::by_its_kubelet_in_a_rollout("disturbed", |s: &mut Story| { canary(s); is(s, 8.5, set("web-2", 2)); is(s, 9.0, by_its_kubelet(web("web-2", "a", "w1"))); }, Failed, "web-2-a on w1 went (TerminationByKubelet) for no known reason")]
#[case::the_rollout_after_a_canary("disturbed", |s: &mut Story| { canary(s); is(s, 8.5, set("web-2", 2)); is(s, 9.0, ending(web("web-2", "a", "w1"))); }, Passed, "shop/web-2-a went: replaced by a pod of a new template")]
#[case::on_a_node_that_shuts_down_after_it("disturbed", |s: &mut Story| { canary(s); is(s, 8.5, set("web-2", 2)); let pod = ending(web("web-2", "a", "w1")); is(s, 9.0, pod.clone()); let mut late = by_its_kubelet(pod); late["metadata"]["deletionTimestamp"] = json!("2026-12-01T00:00:00Z"); is(s, 9.5, late); }, Passed, "replaced by a pod of a new template")]
#[case::by_hand_below_a_partition("disturbed", |s: &mut Story| partition(s, "set"), Failed, "shop/set-0 on w1 went for no known reason")]
#[case::rolled_back_while_a_pod_ended("disturbed", |s: &mut Story| { partition(s, "set"); is(s, 8.5, object("StatefulSet", "set", 2, (1, 1))); is(s, 9.5, object("StatefulSet", "set", 3, (1, 1))); }, Inconclusive, "its workload was changed again before its successor came")]
#[case::rolled_out_above_a_partition("disturbed", |s: &mut Story| partition(s, "next"), Passed, "shop/set-0 went")]
#[case::agent_by_hand("disturbed", |s: &mut Story| agent_goes(s, &[(5.0, "agent-2", "next", "w2"), (9.5, "agent-3", "agent", "w1"), (12.0, "agent-4", "next", "w1")]), Failed, "shop/agent-1 on w1 went for no known reason")]
#[case::agent_rolled_out("disturbed", |s: &mut Story| agent_goes(s, &[(9.5, "agent-3", "next", "w1")]), Passed, "replaced by a pod of a new template")]
#[case::agent_rolled_out_with_a_surge("disturbed", |s: &mut Story| agent_goes(s, &[(8.0, "agent-3", "next", "w1")]), Passed, "replaced by a pod of a new template")]
#[case::agent_that_its_node_is_not_for_any_more("disturbed", |s: &mut Story| agent_goes(s, &[(8.0, "agent-3", "next", "w2")]), Passed, "replaced by a pod of a new template")]
#[case::scaled_down("disturbed", |s: &mut Story| { is(s, 8.0, object("Deployment", "web", 3, (2, 2))); is(s, 9.0, ending(web("web-2", "a", "w1"))); }, Passed, "")]
#[case::owner_deleted("disturbed", |s: &mut Story| { at(s, (MARK, 8.0), Change::Deleted, object("DaemonSet", "agent", 1, (1, 1))); is(s, 9.0, ending(pod("agent-1", ("agent", "DaemonSet", "agent"), "u-agent-1", "w1"))); }, Passed, "")]
#[case::node_removed("disturbed", |s: &mut Story| { at(s, (MARK, 8.0), Change::Deleted, node("w1")); is(s, 9.0, ending(web("web-2", "a", "w1"))); }, Passed, "")]
#[case::same_template("disturbed", same_template, Failed, "shop/web-1-a on w1 went for no known reason")]
#[case::no_pod_seen("disturbed", |s: &mut Story| s.forget(|e| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod")), Inconclusive, "no Pod was recorded")]
#[case::pods_unread("disturbed", |s: &mut Story| { unread(s, "Pod"); is(s, 9.0, ending(web("web-2", "a", "w1"))); }, Inconclusive, "Pod in namespace shop could not be read: 403 forbidden")]
#[case::broken_by_an_eviction("budgets", |s: &mut Story| is(s, 0.6, budget(1)), Failed, "PodDisruptionBudget web: 1 pods healthy for 0.2 s, 2 must stay; shop/web-2-b was evicted")]
#[case::broken_for_no_reason("budgets", |s: &mut Story| { is(s, 18.0, budget(1)); is(s, 19.0, budget(3)); }, Failed, "PodDisruptionBudget web: 1 pods healthy for 1.0 s, 2 must stay")]
#[case::broken_by_a_deletion("budgets", |s: &mut Story| { is(s, 17.5, ending(web("web-2", "a", "w1"))); is(s, 18.0, budget(1)); is(s, 19.0, budget(3)); }, Failed, "PodDisruptionBudget web: 1 pods healthy for 1.0 s, 2 must stay")]
#[case::evicted_during_a_dip("budgets", |s: &mut Story| at(s, (BEGINS, 8.0), Change::Modified, budget(1)), Failed, "shop/web-2-b was evicted")]
#[case::broken_by_a_rollout("budgets", |s: &mut Story| { at(s, (BEGINS, 8.0), Change::Modified, budget(1)); at(s, (BEGINS, 9.0), Change::Modified, budget(3)); }, Passed, "")]
#[case::node_of_the_pods_away("budgets", |s: &mut Story| { two_are_away(s, ["a", "c"]); always_away(s); }, Passed, "1 pods healthy for 3.2 s, 2 must stay; shop/web-2-a and shop/web-2-c: their node was away, as declared, which no budget limits")]
#[case::node_of_the_pods_away_in_its_time("budgets", |s: &mut Story| { two_are_away(s, ["a", "c"]); *s.fact(&facts::AWAY) = json!([{"from": MARK, "to": null}]); }, Passed, "as declared, which no budget limits")]
#[case::node_of_the_pods_away_undeclared("budgets", |s: &mut Story| two_are_away(s, ["a", "c"]), Failed, "1 pods healthy for 3.2 s, 2 must stay")]
#[case::node_away_explains_too_little("budgets", |s: &mut Story| { two_are_away(s, ["a", "c"]); always_away(s); s.each(|e| if let Event::ObjectChanged { kind, object, .. } = e && kind == "PodDisruptionBudget" && object["status"]["currentHealthy"] == 1 { object["status"]["currentHealthy"] = json!(0); object["status"]["desiredHealthy"] = json!(3) }); }, Failed, "0 pods healthy")]
#[case::evicted_while_a_node_is_away("budgets", |s: &mut Story| { two_are_away(s, ["a", "c"]); always_away(s); is(s, 17.7, evicted(web("web-2", "d", "w1"))); }, Failed, "shop/web-2-d was evicted")]
#[case::broken_while_every_node_is_there("budgets", |s: &mut Story| { is(s, 18.0, budget(1)); is(s, 19.0, budget(3)); is(s, 17.8, ended(starting(web("web-2", "a", "w1")), 1, "Error")); always_away(s); }, Failed, "1 pods healthy for 1.0 s, 2 must stay")]
#[case::node_of_the_pods_reboots("budgets", |s: &mut Story| { reboots(s, ("one", "two")); always_away(s); }, Passed, "their node was away, as declared, which no budget limits")]
#[case::node_of_the_pods_stays_up("budgets", |s: &mut Story| { reboots(s, ("one", "one")); always_away(s); }, Failed, "1 pods healthy for 3.2 s, 2 must stay")]
#[case::rollout_before_the_budget_had_room("budgets", |s: &mut Story| { is(s, 5.0, budget(3)); is(s, 10.0, budget(1)); is(s, 11.0, budget(3)); }, Inconclusive, "web-1-c went before, but the budget had room since")]
#[case::restarted_while_nodes_may_be_away("disturbed", |s: &mut Story| { is(s, 9.0, ended(web("web-2", "a", "w1"), 1, "Error")); always_away(s); }, Inconclusive, "shop/web-2-a on w1 was restarted (Error) for no known reason: its node may be away, as declared, and nothing shows that it was")]
#[case::restarted_with_its_node("disturbed", |s: &mut Story| { reboots(s, ("one", "two")); always_away(s); }, Passed, "shop/web-2-a was restarted and shop/web-2-c was restarted: its node was away, as declared")]
#[case::restarted_with_all_of_its_node("disturbed", |s: &mut Story| { all_restart(s); always_away(s); }, Passed, "its node was away, as declared")]
#[case::lost_with_its_node("disturbed", |s: &mut Story| { is(s, 9.0, ended(web("web-2", "a", "w1"), 255, "Unknown")); always_away(s); }, Passed, "its node was away, as declared")]
#[case::one_deletion_and_two_falls("budgets", |s: &mut Story| { is(s, 16.0, object("Deployment", "web", 3, (2, 2))); is(s, 16.3, ending(web("web-2", "a", "w1"))); is(s, 16.6, budget(2)); is(s, 17.6, budget(1)); is(s, 19.0, budget(3)); }, Failed, "nothing explains the fall to 1")]
#[case::two_away_and_three_lost("budgets", |s: &mut Story| { two_are_away(s, ["a", "c"]); always_away(s); is(s, 18.5, budget(0)); }, Failed, "nothing explains the fall to 0")]
#[case::scaled_long_after_the_fall("budgets", |s: &mut Story| scaled_while_low(s, (16.5, 19.5, 20.5)), Failed, "1 pods healthy for 4.0 s, 2 must stay; nothing explains the fall to 1")]
#[case::scaled_before_the_fall("budgets", |s: &mut Story| { scaled_to_one(s, 16.0); is(s, 16.6, budget(1)); is(s, 18.0, budget(3)); }, Passed, ": Deployment web was scaled from 3 to 1, which no budget limits")]
#[case::a_second_fall_for_no_reason("budgets", |s: &mut Story| { s.later(ENDS, 30.0); scaled_while_low(s, (17.0, 16.0, 40.0)); is(s, 38.0, budget(0)); }, Failed, "2 must stay; nothing explains the fall to 0")]
#[case::an_unready_pod_is_deleted("budgets", |s: &mut Story| { is(s, 15.0, starting(web("web-2", "a", "w1"))); is(s, 16.5, object("Deployment", "web", 3, (2, 2))); is(s, 17.0, ending(starting(web("web-2", "a", "w1")))); is(s, 17.5, budget(1)); is(s, 18.0, budget(3)); }, Failed, "nothing explains the fall to 1")]
#[case::an_unready_pod_is_evicted("budgets", |s: &mut Story| evicted_in_a_rollout(s, starting(web("web-2", "z", "w2"))), Passed, "replaced by a pod of a new template, which no budget limits")]
#[case::a_ready_pod_is_evicted_in_a_rollout("budgets", |s: &mut Story| evicted_in_a_rollout(s, web("web-2", "z", "w2")), Failed, "shop/web-2-z was evicted")]
#[case::scaled_up("budgets", |s: &mut Story| { let mut more = budget(3); more["status"]["desiredHealthy"] = json!(9); is(s, 18.0, more); is(s, 19.0, budget(3)); }, Passed, "")]
#[case::installed("budgets", |s: &mut Story| for (t, n) in [(1.0, 0), (3.0, 2)] { let mut b = budget(n); b["metadata"]["uid"] = json!("u-new"); b["metadata"]["name"] = json!("new"); b["spec"]["selector"] = json!({"matchLabels": {"app": "new"}}); at(s, (BEGINS, t), Change::Added, b); }, Passed, "")]
#[case::rolled_back("disturbed", |s: &mut Story| { at(s, (MARK, 5.0), Change::Added, set("web-3", 1)); at(s, (MARK, 5.5), Change::Added, starting(web("web-3", "a", "w1"))); is(s, 9.0, set("web-3", 0)); is(s, 9.3, ending(starting(web("web-3", "a", "w1")))); }, Passed, "")]
#[case::deleted_after_a_scaling("disturbed", |s: &mut Story| { is(s, 1.0, object("Deployment", "web", 3, (2, 2))); is(s, 1.5, ending(web("web-2", "a", "w1"))); is(s, 18.0, ending(web("web-2", "c", "w1"))); }, Failed, "web-2-c on w1 went")]
#[case::owner_unknown("disturbed", |s: &mut Story| { let mut pod = web("web-2", "a", "w1"); pod["metadata"]["ownerReferences"][0]["uid"] = json!("u-somebody"); is(s, 9.0, ending(pod)); }, Inconclusive, "what owns it was not recorded")]
#[case::new_and_never_ready("identities", |s: &mut Story| { let mut rs = set("new-1", 1); rs["metadata"]["ownerReferences"][0]["uid"] = json!("u-new"); at(s, (MARK, 5.0), Change::Added, object("Deployment", "new", 1, (1, 0))); at(s, (MARK, 5.1), Change::Added, rs); }, Failed, "Deployment new by its status")]
#[case::sidecar("containers", |s: &mut Story| { let mut pod = ended(web("web-2", "a", "w1"), 0, "Completed"); pod["spec"]["initContainers"] = json!([{"name": "proxy", "restartPolicy": "Always"}]); pod["status"]["containerStatuses"] = json!([{"name": "c", "state": {"terminated": {"exitCode": 0}}}]); pod["status"]["initContainerStatuses"] = json!([{"name": "proxy", "state": {"terminated": {"exitCode": 143, "reason": "Error"}}}]); is(s, 9.0, pod); }, Passed, "")]
#[case::never_allowed("budgets", |s: &mut Story| s.each(|e| if let Event::ObjectChanged { kind, object, .. } = e && kind == "PodDisruptionBudget" { object["status"]["disruptionsAllowed"] = json!(0) }), Passed, "it never allowed an eviction")]
#[case::budgets_unread("budgets", |s: &mut Story| { unread(s, "PodDisruptionBudget"); is(s, 0.6, budget(1)); }, Inconclusive, "PodDisruptionBudget in namespace shop could not be read")]
#[case::no_status("budgets", |s: &mut Story| s.each(|e| if let Event::ObjectChanged { kind, object, .. } = e && kind == "PodDisruptionBudget" { object["status"] = json!({}) }), Inconclusive, "PodDisruptionBudget web has no status")]
#[case::raised_just_before_the_end("identities", |s: &mut Story| raised(s, 18.0), Inconclusive, "Deployment web was scaled from 3 to 5 within the last 30 s: 3 pods ready")]
#[case::raised_long_before_the_end("identities", |s: &mut Story| { raised(s, 18.0); s.later(ENDS, 31.0); }, Failed, "Deployment web by its status")]
#[case::raised_and_a_pod_lost("identities", |s: &mut Story| { raised(s, 18.0); at(s, (MARK, 19.0), Change::Deleted, web("web-2", "a", "w1")); }, Failed, "Deployment web has 2 ready pods of 5")]
#[case::raised_and_complete("identities", |s: &mut Story| { raised(s, 15.0); for letter in ["x", "y"] { at(s, (MARK, 17.0), Change::Added, web("web-2", letter, "w1")); } is(s, 18.0, object("Deployment", "web", 3, (5, 5))); }, Passed, "Deployment web has 5 ready pods of 5")]
#[case::a_new_daemon_set("identities", |s: &mut Story| for (seconds, wanted) in [(18.0, 0), (18.5, 2)] { let mut new = object("DaemonSet", "new", 1, (wanted, 0)); new["metadata"]["uid"] = json!("u-new"); at(s, (MARK, seconds), Change::Added, new); }, Failed, "DaemonSet new by its status")]
#[case::pod_lost("identities", |s: &mut Story| { is(s, 9.0, object("Deployment", "web", 2, (3, 2))); at(s, (MARK, 9.0), Change::Deleted, web("web-2", "a", "w1")); }, Failed, "Deployment web by its status: generation 2 of 2 observed, updatedReplicas 3 of 3, availableReplicas 2 of 3")]
#[case::twins("identities", |s: &mut Story| at(s, (MARK, 9.0), Change::Added, set_pod("u-twin")), Failed, "StatefulSet set: names with two living pods at a time between `watch begins` and `watch ends`: set-0")]
#[case::other_claims("identities", |s: &mut Story| { let mut pod = set_pod("u-set-0"); pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "other"}}]); is(s, 9.0, pod); }, Failed, "StatefulSet set: names with other claims than before: set-0")]
#[case::other_claims_of_a_set_again("identities", |s: &mut Story| set_again(s, "pg-set-0"), Failed, "StatefulSet set: names with other claims than before: set-0")]
#[case::same_claims_of_a_set_again("identities", |s: &mut Story| set_again(s, "data-set-0"), Passed, "StatefulSet set has 1 ready pods of 1")]
#[case::twins_of_a_set_again(
    "identities",
    twin_of_the_set_again,
    Failed,
    "StatefulSet set: names with two living pods at a time between `watch begins` and `watch ends`: set-0"
)]
#[case::deleted("identities", |s: &mut Story| at(s, (MARK, 8.0), Change::Deleted, object("DaemonSet", "agent", 1, (1, 1))), Passed, "")]
#[case::incomplete_before("identities", |s: &mut Story| s.insert_before(BEGINS, changed(object("DaemonSet", "agent", 1, (1, 0)))), Inconclusive, "DaemonSet agent was not complete when the command began")]
#[case::nothing_there("identities", |s: &mut Story| s.forget(|e| matches!(e, Event::ObjectChanged { .. })), Inconclusive, "no Deployment, StatefulSet or DaemonSet existed")]
#[case::node_away("nodes", |s: &mut Story| { is(s, 5.0, unready_node()); is(s, 9.0, node("w2")); }, Failed, "node w2 was not ready for 4.0 s (Ready is Unknown, NodeStatusUnknown)")]
#[case::node_away_and_starved("nodes", |s: &mut Story| { starve(s, (2.0, 4.9)); is(s, 5.0, unready_node()); is(s, 9.0, node("w2")); }, Inconclusive, "the machine starved meanwhile")]
#[case::node_away_as_declared("nodes", |s: &mut Story| { is(s, 5.0, unready_node()); is(s, 9.0, node("w2")); *s.fact(&facts::AWAY) = json!([{"from": MARK, "to": null}]); }, Passed, "")]
#[case::node_away_before_its_time("nodes", |s: &mut Story| { at(s, (BEGINS, 1.0), Change::Modified, unready_node()); at(s, (BEGINS, 2.0), Change::Modified, node("w2")); *s.fact(&facts::AWAY) = json!([{"from": MARK, "to": null}]); }, Failed, "node w2 was not ready")]
#[case::node_joined("nodes", |s: &mut Story| { let mut new = node("w9"); new["status"]["conditions"][0]["status"] = json!("False"); at(s, (MARK, 5.0), Change::Added, new); is(s, 9.0, node("w9")); }, Passed, "")]
#[case::node_unready_before("nodes", |s: &mut Story| s.insert_before(BEGINS, changed(unready_node())), Inconclusive, "since before the judged time")]
#[case::nodes_unread("nodes", |s: &mut Story| unread(s, "Node"), Inconclusive, "Node in namespace shop could not be read: 403 forbidden")]
#[case::no_node("nodes", |s: &mut Story| s.forget(|e| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Node")), Inconclusive, "no Node was recorded")]
#[case::repeated("repeats", |s: &mut Story| is(s, 15.0, event("BackOff", 121)), Failed, "event BackOff of Pod shop/web-2-a came 21 times, 20 are allowed: said the kubelet")]
#[case::new_and_repeated("repeats", |s: &mut Story| at(s, (MARK, 15.0), Change::Added, event("Unhealthy", 30)), Failed, "event Unhealthy of Pod shop/web-2-a came 30 times")]
#[case::often_enough("repeats", |s: &mut Story| is(s, 15.0, event("BackOff", 120)), Passed, "no event came more than 20 times")]
#[case::events_unread("repeats", |s: &mut Story| { unread(s, "Event"); is(s, 15.0, event("BackOff", 121)); }, Inconclusive, "Event in namespace shop could not be read")]
#[case::waits(
    "pending",
    waits,
    Failed,
    "pod shop/web-2-z was Pending for 110 s, 60 s are allowed without a known reason"
)]
#[case::waits_unscheduled("pending", |s: &mut Story| { waits(s); let mut pod = starting(web("web-2", "z", "w1")); pod["status"]["conditions"].as_array_mut().unwrap().push(json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"})); is(s, 16.0, pod); }, Passed, "")]
#[case::waits_for_its_image("pending", |s: &mut Story| { waits(s); let mut pod = starting(web("web-2", "z", "w1")); pod["status"]["containerStatuses"] = json!([{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]); is(s, 16.0, pod); }, Passed, "")]
#[case::waits_and_nothing_said("pending", |s: &mut Story| { waits(s); let mut pod = starting(web("web-2", "z", "w1")); pod["status"]["containerStatuses"] = json!([{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]); is(s, 16.0, pod); }, Failed, "shop/web-2-z was Pending for ")]
#[case::out_of_memory("containers", |s: &mut Story| is(s, 9.0, ended(web("web-2", "a", "w1"), 137, "OOMKilled")), Failed, "container c of pod shop/web-2-a ended with 137 (OOMKilled)")]
#[case::with_an_error("containers", |s: &mut Story| is(s, 9.0, ended(web("web-2", "a", "w1"), 1, "Error")), Failed, "ended with 1 (Error)")]
#[case::at_its_deletion("containers", |s: &mut Story| is(s, 9.0, ended(ending(web("web-2", "a", "w1")), 143, "Error")), Passed, "")]
#[case::before_the_command("containers", |s: &mut Story| s.insert_before(BEGINS, changed(ended(web("web-1", "a", "w1"), 1, "Error"))), Passed, "")]
#[case::sandbox("sandboxes", |s: &mut Story| at(s, (MARK, 9.0), Change::Added, event("FailedCreatePodSandBox", 1)), Failed, "FailedCreatePodSandBox of pod shop/web-2-a: said the kubelet")]
#[case::sandbox_again("sandboxes", |s: &mut Story| { s.insert_before(BEGINS, changed(event("FailedCreatePodSandBox", 1))); is(s, 9.0, event("FailedCreatePodSandBox", 2)); }, Failed, "FailedCreatePodSandBox of pod shop/web-2-a")]
#[case::sandbox_before("sandboxes", |s: &mut Story| s.insert_before(BEGINS, changed(event("FailedCreatePodSandBox", 1))), Passed, "")]
fn a_falsehood_is_found(
    #[case] claim: &str,
    #[case] how: impl FnOnce(&mut Story),
    #[case] wanted: Conclusion,
    #[case] said: &str,
) {
    let mut story = told();
    how(&mut story);
    let finding = story.judge(claim);
    assert_eq!(finding.conclusion(), wanted, "{claim}: {:#?}", finding.details());
    says(&finding, wanted, said);
}

/// A pod that is still Pending 110 s after its creation.
fn waits(story: &mut Story) {
    at(story, (MARK, 15.0), Change::Added, starting(web("web-2", "z", "w1")));
    let mark = story.records[story.mark(MARK)].mono_us;
    let place = story.records.iter().position(|r| r.mono_us > mark + 16_000_000).unwrap();
    for record in &mut story.records[place..] {
        record.mono_us += 104_000_000;
    }
    // Without these samples the control probe would have been silent.
    story.forget(|e| matches!(e, Event::Sampled { probe, .. } if probe == "control"));
}

#[test]
fn a_told_watch_passes_every_claim() {
    let story = told();
    for claim in CLAIMS {
        let finding = story.judge(claim.id);
        assert_eq!(finding.conclusion(), Passed, "{}: {:#?}", claim.id, finding.details());
    }
}

#[test]
fn the_page_has_every_claim_in_its_table() {
    let page = include_str!("../../../docs/watch.md");
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|row| row.0)
        .collect();
    let ids: Vec<&str> = CLAIMS.iter().map(|claim| claim.id).collect();
    assert!(rows.ends_with(&ids), "{rows:?}");
}

#[test]
fn a_claim_is_undecided_without_a_fact_or_a_mark() {
    let records = told().records;
    for claim in CLAIMS {
        undecided_without_a_fact(claim, &records, 1);
        for mark in [BEGINS, ENDS] {
            let mut story = told();
            story.forget(|e| matches!(e, Event::Marked { mark: m } if m == mark));
            assert_eq!(story.judge(claim.id).conclusion(), Inconclusive, "{} without {mark}", claim.id);
        }
    }
}

/// An interrupted watch, or an unreadable kind, leaves a claim inconclusive, whatever the other records show.
#[test]
fn a_gap_or_an_unread_kind_leaves_every_claim_open_that_reads_it() {
    for claim in CLAIMS {
        for kind in claim.watches {
            let mut story = told();
            unread(&mut story, kind);
            assert_eq!(story.judge(claim.id).conclusion(), Inconclusive, "{} without {kind}", claim.id);
            let mut story = told();
            let reason = "410 Gone".into();
            story.insert_after(MARK, Event::WatchRestarted { kind: (*kind).into(), reason, since_us: None });
            assert_eq!(story.judge(claim.id).conclusion(), Inconclusive, "{} with a gap in {kind}", claim.id);
        }
    }
}

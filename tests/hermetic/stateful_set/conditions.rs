//! Each condition of a check counts by itself: one is falsified, the others hold.

use rstest::rstest;
use seatrial::event::{Change, Event};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::stateful_set::facts;
use serde_json::{Value, json};

use super::Story;
use super::edits::{ending, is_gone, is_ready, told};
use crate::story::{is_of, observed, says};

#[rstest]
#[case::never_observed("C1", unobserved, Failed, "generation 0, observed 0")]
#[case::made_pods_are_named("C1", |s: &mut Story| another(s, "apply", false), Failed, "4 pods were made for 3 replicas: web-3 (another)")]
#[case::told_before_another("C2", answered_beside, Passed, "web-1 to be found at ")]
#[case::in_order("C5", |_: &mut Story| (), Passed, "s before deletion of web-1 asked for")]
#[case::one_taken("C5", |s: &mut Story| pop(s.fact(&facts::PODS_BEFORE_DOWN)), Inconclusive, "1 pods were taken: an order needs two")]
#[case::survivor_replaced("C5", |s: &mut Story| s.fact(&facts::PODS_DOWN)[0]["metadata"]["uid"] = json!("other"), Failed, "1 pods that were not there before")]
#[case::no_scaling_down("C6", |s: &mut Story| s.fact(&facts::SET_UNREADY)["spec"]["replicas"] = json!(2), Failed, "2 -> 2 replicas")]
#[case::more_should_go("C6", |s: &mut Story| s.fact(&facts::SET_UNREADY)["spec"]["replicas"] = json!(6), Failed, "web-2 went; 4 were too many")]
#[case::passes_over_another("C6", passes_over_another, Inconclusive, "no pass of the controller")]
#[case::one_claim("C7", |s: &mut Story| s.fact(&facts::CLAIMS_BEFORE).as_array_mut().unwrap().truncate(1), Inconclusive, "1 claims before")]
#[case::new_pod("C8", new_pod, Failed, "new: 1")]
#[case::written_before_it_goes(
    "C8",
    written_before_it_goes,
    Passed,
    "order of deletion: web-2 and web-1, predicted web-2 and web-1"
)]
#[case::said_others_stay("C8", |s: &mut Story| s.fact(&facts::PREDICTION)["stays"] = json!(["web-9"]), Failed, "predicted web-9; new: 0")]
#[case::said_later_by_number("C8", |s: &mut Story| said_later(s, 1, 0), Failed, "recorded after the change")]
#[case::said_later_by_time("C8", |s: &mut Story| said_later(s, 0, 1), Failed, "recorded after the change")]
#[case::another_given_up("C9", another_given_up, Inconclusive, "w2 was not seen to be given up")]
#[case::other_on_another_node("C9", |s: &mut Story| s.fact(&facts::OTHER_BEFORE)["spec"]["nodeName"] = json!("w9"), Failed, "meanwhile the Deployment's")]
#[case::heir_on_the_same_node("C9", heir_on_the_same_node, Failed, "meanwhile the Deployment's")]
#[case::heir_is_the_same_pod("C9", heir_is_the_same_pod, Failed, "meanwhile the Deployment's")]
#[case::heir_never_ready("C9", heir_never_ready, Failed, "was seen ready before the declaration: false")]
#[case::passes_before_only("C9", passes_before_only, Inconclusive, "no pass of the controller")]
#[case::taint_just_before("C9", |s: &mut Story| tainted(s, -500_000), Passed, "solo-0 went 0.5 s after the taint")]
#[case::taint_just_after("C9", |s: &mut Story| tainted(s, 500_000), Passed, "solo-0 went -0.5 s after the taint")]
#[case::taint_long_after("C9", |s: &mut Story| tainted(s, 2_000_000), Failed, "solo-0 went -2.0 s after the taint")]
#[case::taint_without_effect("C9", taint_without_effect, Inconclusive, "was not seen with taint")]
#[case::not_all_the_new("C10", |s: &mut Story| s.fact(&facts::SET_UPDATED)["status"]["currentRevision"] = json!("web-other"), Failed, "web-other at the end")]
#[case::no_revision("C10", no_revision, Failed, "absent asked for, absent at the end")]
#[case::all_updated("C10", |s: &mut Story| s.fact(&facts::SET_HELD)["status"]["updatedReplicas"] = json!(3), Failed, "3 pods updated with partition 2 of 3")]
#[case::not_held_on_the_old("C10", |s: &mut Story| s.fact(&facts::SET_HELD)["status"]["currentRevision"] = json!("web-other"), Failed, "1 pods updated with partition 2 of 3")]
#[case::another_went("C10", |s: &mut Story| another(s, "update", true), Passed, "web-2, web-1 and web-0 were replaced, of 3 pods")]
fn what_is_bent_shows_in_its_line(
    #[case] id: &str,
    #[case] bend: fn(&mut Story),
    #[case] conclusion: Conclusion,
    #[case] said: &str,
) {
    let mut story = Story::recorded(id);
    bend(&mut story);
    says(&story.judge(id), conclusion, said);
}

/// Two claims are enough to distinguish a deleted one from one that stayed.
#[test]
fn two_claims_are_enough() {
    let mut story = Story::recorded("C7");
    story.fact(&facts::CLAIMS_BEFORE).as_array_mut().unwrap().truncate(2);
    let lines = story.judge("C7").details();
    assert!(!lines.iter().any(|line| line.contains("claims before")), "{lines:#?}");
}

#[test]
fn pods_that_stayed_are_named() {
    let line = Story::recorded("C5").judge("C5").evidence();
    assert!(line.starts_with("web-2 and web-1 went") && line.ends_with("; web-0 stayed"), "{line}");
}

/// A claim about a lost node uses no records from before the fault.
#[test]
fn a_watch_that_broke_before_the_fault_opens_nothing() {
    let mut story = Story::recorded("C9");
    let fault = story.0.iter().position(|r| matches!(r.event, Event::FaultIntended { .. })).unwrap();
    story.insert(
        fault,
        Event::WatchRestarted { kind: "StatefulSet".into(), reason: "410 Gone".into(), since_us: None },
    );
    let finding = story.judge("C9");
    assert_eq!(finding.conclusion(), Passed, "{:#?}", finding.details());
}

fn unobserved(story: &mut Story) {
    let set = story.fact(&facts::SET);
    set["metadata"]["generation"] = json!(0);
    set["status"]["observedGeneration"] = json!(0);
}

fn pop(list: &mut Value) {
    list.as_array_mut().unwrap().pop();
}

/// One more pod with a name of the StatefulSet is created, or its deletion is seen.
fn another(story: &mut Story, mark: &str, goes: bool) {
    let mut pod = story.ready("web-2");
    pod["metadata"]["name"] = json!("web-3");
    pod["metadata"]["uid"] = json!("another");
    let event = if goes { told(Change::Modified, ending(pod)) } else { told(Change::Added, pod) };
    story.insert_after(mark, event);
}

/// A pod got the new address for another name, after an endless time.
fn answered_beside(story: &mut Story) {
    let told = story.facts(&facts::ANSWER).into_iter().rfind(|a| {
        let name = a["name"].as_str().unwrap_or_default();
        a["when"] == "after" && name.starts_with("web-1.")
    });
    let mut answer = told.expect("an answer").clone();
    answer["name"] = json!("another.name");
    answer["waited"] = json!(1e9);
    story.insert_after("apply", observed(&facts::ANSWER, answer));
}

/// The controller passed over a StatefulSet of the same name that is not this one.
fn passes_over_another(story: &mut Story) {
    for (kind, _, object) in story.objects_after("refuse") {
        if kind == "StatefulSet" {
            object["metadata"]["uid"] = json!("another");
        }
    }
}

fn new_pod(story: &mut Story) {
    let mut pod = story.fact(&facts::PODS_DOWN)[0].clone();
    pod["metadata"]["name"] = json!("web-9");
    pod["metadata"]["uid"] = json!("another");
    story.fact(&facts::PODS_DOWN).as_array_mut().unwrap().push(pod);
}

/// The pod that is deleted last is seen once more before any of them is deleted.
fn written_before_it_goes(story: &mut Story) {
    let pod = story.ready("web-1");
    story.insert_after("scale-down", told(Change::Modified, pod));
}

/// The prediction has a later number than the change, or a later time.
fn said_later(story: &mut Story, number: u64, time: u64) {
    let change = story.mark("scale-down");
    let (seq, mono_us) = (story.0[change].seq, story.0[change].mono_us);
    for record in &mut story.0 {
        if is_of(&record.event, &facts::PREDICTION) {
            record.seq = if number > 0 { seq + number } else { record.seq };
            record.mono_us = if time > 0 { mono_us + time } else { record.mono_us };
        }
    }
}

/// The control plane gave up a node that is not the stopped one.
fn another_given_up(story: &mut Story) {
    for record in &mut story.0 {
        if let Event::ObjectChanged { kind, name, object, .. } = &mut record.event
            && kind == "Node"
            && object["status"]["conditions"][0]["status"] == "Unknown"
        {
            *name = "w9".into();
        }
    }
}

fn heir_on_the_same_node(story: &mut Story) {
    let node = story.fact(&facts::OTHER_BEFORE)["spec"]["nodeName"].clone();
    story.fact(&facts::OTHER_AFTER)["spec"]["nodeName"] = node;
}

fn heir_is_the_same_pod(story: &mut Story) {
    let uid = story.fact(&facts::OTHER_BEFORE)["metadata"]["uid"].clone();
    story.fact(&facts::OTHER_AFTER)["metadata"]["uid"] = uid;
}

/// Another pod is ready, and the replacement is not.
fn heir_never_ready(story: &mut Story) {
    let heir = story.fact(&facts::OTHER_AFTER)["metadata"]["uid"].clone();
    story.0.retain(|r| {
        !matches!(&r.event, Event::ObjectChanged { change, uid, object, .. }
            if heir == **uid && is_ready(*change, object))
    });
    let mut other = story.fact(&facts::OTHER_AFTER).clone();
    (other["kind"], other["metadata"]["uid"]) = (json!("Pod"), json!("another"));
    let at = story.mark("declare");
    story.insert(at, told(Change::Modified, other));
}

/// After the pod's eviction there are no records of the StatefulSet.
fn passes_before_only(story: &mut Story) {
    let evicted = story.0.iter().position(|r| {
        matches!(&r.event, Event::ObjectChanged { name, object, .. }
            if name == "solo-0" && !object["metadata"]["deletionTimestamp"].is_null())
    });
    let mut at = 0;
    story.0.retain(|r| {
        at += 1;
        let set = matches!(&r.event, Event::ObjectChanged { kind, .. } if kind == "StatefulSet");
        !set || Some(at - 1) < evicted
    });
}

/// The taint was recorded this many microseconds after the old pod's deletion.
fn tainted(story: &mut Story, after: i64) {
    let gone = story.change("declare", "solo-0", is_gone);
    let at = story.0[gone].mono_us.checked_add_signed(after).unwrap();
    let node = story.change("declare", "w2", |_, _| true);
    story.0[node].mono_us = at;
}

fn taint_without_effect(story: &mut Story) {
    for (kind, _, node) in story.objects_after("declare") {
        for taint in node.pointer_mut("/spec/taints").and_then(Value::as_array_mut).into_iter().flatten() {
            if kind == "Node" && taint["key"] == "node.kubernetes.io/out-of-service" {
                taint["effect"] = json!("NoSchedule");
            }
        }
    }
}

/// At the end neither the requested revision nor that of the pods is known.
fn no_revision(story: &mut Story) {
    for field in ["currentRevision", "updateRevision"] {
        story.fact(&facts::SET_UPDATED)["status"][field] = Value::Null;
    }
}

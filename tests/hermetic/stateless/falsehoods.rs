//! Seeded falsehoods: each bends one thing in the recorded story, and the claim that it belongs to must
//! not pass, with a line that names the thing.

use rstest::rstest;
use seatrial::event::{Change, Event, Outcome};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive};
use serde_json::{Value, json};

use super::{Story, changed, sample};

type Bend = fn(&mut Story);

#[rstest]
#[case::stale_observed_generation("A1", stale::<1>, Failed, "observedGeneration")]
#[case::one_pod_of_two("A1", |s: &mut Story| pop(s.fact("A1", "pods")), Failed, "1 pods")]
#[case::pod_restarted("A1", |s: &mut Story| s.fact("A1", "pods")[0]["status"]["containerStatuses"][0]["restartCount"] = json!(1), Failed, "restarts 1")]
#[case::pod_terminating("A1", |s: &mut Story| s.fact("A1", "pods")[0]["metadata"]["deletionTimestamp"] = json!("2026-11-24T09:00:00Z"), Failed, "terminating")]
#[case::pod_not_ready("A1", |s: &mut Story| s.fact("A1", "pods")[1]["status"]["containerStatuses"][0]["ready"] = json!(false), Failed, "ready 0/1")]
#[case::pod_of_another_app("A1", |s: &mut Story| s.fact("A1", "pods")[0]["metadata"]["labels"]["app"] = json!("other"), Failed, "1 of them with label app=nginx")]
#[case::one_unavailable("A1", |s: &mut Story| s.fact("A1", "deployment")["status"]["unavailableReplicas"] = json!(1), Failed, "unavailable 1")]
#[case::status_empty("A1", |s: &mut Story| s.fact("A1", "deployment")["status"] = json!({}), Failed, "available 0 of 2")]
#[case::pods_not_objects("A1", |s: &mut Story| *s.fact("A1", "pods") = json!([{}]), Inconclusive, "`pods`")]
#[case::surge_is_not_the_default("A2", |s: &mut Story| s.fact("A2", "deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = json!("50%"), Failed, "maxSurge is 50%")]
#[case::strategy_recreate("A2", |s: &mut Story| s.fact("A2", "deployment")["spec"]["strategy"] = json!({"type": "Recreate"}), Failed, "strategy is Recreate")]
#[case::min_ready_seconds("A2", |s: &mut Story| s.fact("A2", "deployment")["spec"]["minReadySeconds"] = json!(5), Failed, "minReadySeconds is 5")]
#[case::revision_not_1("A2", |s: &mut Story| s.fact("A2", "deployment")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("3"), Failed, "is 3 of 1")]
#[case::manifest_sets_it_itself("A2", |s: &mut Story| s.fact("A2", "applied")["spec"]["strategy"] = json!({"type": "RollingUpdate"}), Failed, "the manifest itself sets strategy")]
#[case::progressing_of_the_rollout_before("A3", |s: &mut Story| progress(s, "A3"), Failed, "Progressing speaks of")]
#[case::stale_conditions("A3", stale::<3>, Failed, "observedGeneration")]
#[case::not_available("A3", |s: &mut Story| s.fact("A3", "deployment")["status"]["conditions"][0]["status"] = json!("False"), Failed, "Available: False")]
#[case::still_progressing("A3", |s: &mut Story| s.fact("A3", "deployment")["status"]["conditions"][1]["reason"] = json!("ReplicaSetUpdated"), Failed, "Progressing: True/ReplicaSetUpdated")]
#[case::old_replica_set_there("A3", |s: &mut Story| duplicate(s.fact("A3", "replica_sets")), Failed, "one ReplicaSet, found")]
#[case::pulled_event_missing("A4", |s: &mut Story| lose(s, "Pulled"), Failed, "no Pulled event by kubelet")]
#[case::scheduled_event_missing("A4", |s: &mut Story| lose(s, "Scheduled"), Failed, "no Scheduled event by default-scheduler")]
#[case::scaling_event_missing("A4", |s: &mut Story| lose(s, "ScalingReplicaSet"), Failed, "no ScalingReplicaSet event")]
#[case::started_on_another_node("A4", |s: &mut Story| event(s, "Started", |e| e["source"]["host"] = json!("elsewhere")), Failed, "no Started event by kubelet on")]
#[case::created_by_somebody_else("A4", |s: &mut Story| event(s, "Created", |e| e["source"]["component"] = json!("default-scheduler")), Failed, "found one by default-scheduler")]
#[case::pulled_from_a_registry("A4", |s: &mut Story| event(s, "Pulled", |e| e["message"] = json!("Successfully pulled image \"x\" in 3s")), Failed, "already present on machine")]
#[case::event_of_an_earlier_pod("A4", |s: &mut Story| event(s, "Created", |e| e["involvedObject"]["uid"] = json!("another")), Failed, "no Created event")]
#[case::not_the_configured_toleration("A5", |s: &mut Story| s.fact("A5", "pods")[0]["spec"]["tolerations"][0]["tolerationSeconds"] = json!(300), Failed, "toleration of not-ready for")]
#[case::topology_not_in_effect("A5", |s: &mut Story| s.fact("A5", "api_servers")[0]["spec"]["containers"][0]["command"] = json!(["kube-apiserver"]), Failed, "the API server gives not-ready 300 s")]
#[case::guaranteed("A5", |s: &mut Story| s.fact("A5", "pods")[0]["status"]["qosClass"] = json!("Guaranteed"), Failed, "QoS class Guaranteed")]
#[case::no_token_mounted("A5", |s: &mut Story| s.fact("A5", "pods")[0]["spec"]["containers"][0]["volumeMounts"] = json!([]), Failed, "mounted 0 time(s)")]
#[case::condition_missing("A5", |s: &mut Story| s.fact("A5", "pods")[1]["status"]["conditions"] = json!([]), Failed, "condition Initialized is absent")]
#[case::owner_unknown("A5", |s: &mut Story| s.fact("A5", "pods")[0]["metadata"]["ownerReferences"][0]["uid"] = json!("another"), Failed, "owner ReplicaSet none")]
#[case::hash_is_not_the_label("A6", |s: &mut Story| s.fact("A6", "pods")[0]["metadata"]["labels"]["pod-template-hash"] = json!("bbbbbbbbbb"), Failed, "is named")]
#[case::ordinal("A6", |s: &mut Story| s.fact("A6", "pods")[0]["metadata"]["name"] = json!("nginx-deployment-0"), Failed, "pod nginx-deployment-0")]
#[case::vowel_in_the_suffix("A6", |s: &mut Story| suffix(s, "abcde"), Failed, "`abcde`")]
#[case::short_suffix("A6", |s: &mut Story| suffix(s, "bcd"), Failed, "`bcd`")]
#[case::pod_replaced_in_a8("A8", |s: &mut Story| old_pod(s, "A8")["metadata"]["uid"] = json!("another"), Failed, "is gone")]
#[case::pod_restarted_in_a8("A8", |s: &mut Story| old_pod(s, "A8")["status"]["containerStatuses"][0]["restartCount"] = json!(1), Failed, "restarts 0 -> 1")]
#[case::three_of_four("A8", |s: &mut Story| pop(s.fact("A8", "pods")), Failed, "3 pods")]
#[case::revision_rose("A8", |s: &mut Story| s.fact("A8", "deployment")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("9"), Failed, "after 9")]
#[case::scaled_by_another_template("A8", |s: &mut Story| s.fact("A8", "pods")[3]["metadata"]["labels"]["pod-template-hash"] = json!("bbbbbbbbbb"), Failed, "pod-template-hash before")]
#[case::revision_rose_in_a9("A9", |s: &mut Story| s.fact("A9", "deployment")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("9"), Failed, "after 9")]
#[case::stale_in_a8("A8", stale::<8>, Failed, "observedGeneration")]
#[case::survivor_is_a_stranger("A9", |s: &mut Story| { let pod = &mut s.fact("A9", "pods")[0]; pod["metadata"]["uid"] = json!("x"); pod["metadata"]["name"] = json!("stranger"); }, Failed, "stranger")]
#[case::three_survivors("A9", |s: &mut Story| duplicate(s.fact("A9", "pods")), Failed, "3 pods")]
fn a_falsehood_about_a_state_is_found(
    #[case] id: &str,
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn(id, bend, expected, named);
}

#[rstest]
#[case::stale("A7", stale::<7>, Failed, "observedGeneration")]
#[case::progressing_of_the_rollout_before("A7", |s: &mut Story| progress(s, "A7"), Failed, "Progressing speaks of")]
#[case::old_endpoint_left("A7", old_endpoint, Failed, "endpoint")]
#[case::old_version_answers_after("A7", |s: &mut Story| insert_late(s, "200 nginx/1.22.1"), Failed, "after the change by the old version")]
#[case::renamed_but_not_re_imaged("A7", |s: &mut Story| s.fact("A7", "pods")[0]["spec"]["containers"][0]["image"] = old_image(s, "/spec/containers/0/image"), Failed, "asks for")]
#[case::wrong_image_under_the_right_tag("A7", |s: &mut Story| s.fact("A7", "pods")[0]["status"]["containerStatuses"][0]["imageID"] = old_image(s, "/status/containerStatuses/0/imageID"), Failed, "images run both before and after")]
#[case::image_not_reported("A7", |s: &mut Story| s.fact("A7", "pods")[0]["status"]["containerStatuses"][0]["imageID"] = json!(""), Failed, "one image before")]
#[case::name_kept("A7", |s: &mut Story| { let name = s.fact("A7", "pods_before")[0]["metadata"]["name"].clone(); s.fact("A7", "pods")[0]["metadata"]["name"] = name; }, Failed, "names in common: nginx-deployment-")]
#[case::uid_kept("A7", |s: &mut Story| { let uid = s.fact("A7", "pods_before")[0]["metadata"]["uid"].clone(); s.fact("A7", "pods")[0]["metadata"]["uid"] = uid; }, Failed, "UIDs in common: nginx-deployment-")]
#[case::revision_stays("A7", |s: &mut Story| s.fact("A7", "deployment")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("1"), Failed, "revision 1 -> 1")]
#[case::old_replica_set_gone("A7", |s: &mut Story| s.fact("A7", "replica_sets").as_array_mut().unwrap().retain(|r| r["spec"]["replicas"] != 0), Failed, "the old ReplicaSet is gone")]
#[case::old_replica_set_has_a_pod("A7", |s: &mut Story| for set in s.fact("A7", "replica_sets").as_array_mut().unwrap() { if set["spec"]["replicas"] == 0 { set["status"]["replicas"] = json!(1); } }, Failed, "desired 0, total 1")]
#[case::surge_above_the_limit("A7", surge, Failed, "most pods asked for, by ")]
#[case::no_history_of_replica_sets("A7", |s: &mut Story| s.forget(|e| is_change(e, "ReplicaSet")), Inconclusive, "no change of a ReplicaSet")]
#[case::dip_in_availability("A7", |s: &mut Story| deployment_says(s, "availableReplicas", 1), Failed, "fewest available")]
#[case::dip_seen_by_pods_only("A7", pod_unready, Failed, "fewest ready")]
#[case::fourth_pod("A7", |s: &mut Story| another_pod(s, "x"), Failed, "most pods at a time: 4")]
#[case::failed_request("A7", |s: &mut Story| s.insert_after("image-change", sample(Outcome::Refused, "curl 7: refused")), Failed, "failed for no reason, the first: curl 7")]
#[case::failed_long_after_the_last_pod_ended("A7", |s: &mut Story| late(s, 2_500_000), Failed, "1 of ")]
#[case::refused_by_a_server("A7", |s: &mut Story| beside_an_ending(s, "503 nginx/1.26.3", 1), Failed, "the first: 503")]
#[case::outage_beside_an_ending_pod("A7", |s: &mut Story| beside_an_ending(s, "curl 7: refused", 80), Failed, "longest time without an answer")]
#[case::unanswered_request("A7", |s: &mut Story| s.insert_after("image-change", sample(Outcome::Indeterminate, "curl 28: timed out")), Failed, "curl 28")]
#[case::answer_by_neither("A7", |s: &mut Story| s.insert_after("image-change", sample(Outcome::Acknowledged, "200 nginx/1.9.1")), Failed, "1 answers by neither version")]
#[case::old_version_never_seen("A7", |s: &mut Story| s.fact("A7", "images")["old"]["version"] = json!("1.2"), Failed, "old is 1.2")]
#[case::no_samples("A7", |s: &mut Story| s.forget(|e| matches!(e, Event::Sampled { .. })), Inconclusive, "0 samples")]
#[case::no_history_of_pods("A7", |s: &mut Story| s.forget(|e| is_change(e, "Pod")), Inconclusive, "no change of a pod")]
#[case::no_history_of_the_deployment("A7", |s: &mut Story| s.forget(|e| is_change(e, "Deployment")), Inconclusive, "no change of the Deployment")]
#[case::history_ends_early("A7", end_early, Inconclusive, "history ends before pod")]
#[case::watch_broke("A7", |s: &mut Story| s.insert_after("image-change", Event::WatchRestarted { kind: "Pod".into(), reason: "410".into() }), Inconclusive, "watch of Pod broke off")]
#[case::probe_was_blind("A7", blind, Inconclusive, "no sample for")]
fn a_falsehood_about_the_change_is_found(
    #[case] id: &str,
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn(id, bend, expected, named);
}

#[rstest]
#[case::replica_set_left("background", "replica_sets", "ReplicaSet", Failed)]
#[case::pod_left("background", "pods", "Pod", Failed)]
#[case::deployment_left("foreground", "deployments", "Deployment", Failed)]
#[case::pod_left_in_foreground("foreground", "pods", "Pod", Failed)]
fn what_is_left_after_a_deletion_is_found(
    #[case] mode: &str,
    #[case] list: &str,
    #[case] kind: &str,
    #[case] expected: Conclusion,
) {
    let mut story = Story::recorded();
    let left = story.fact("A10", &format!("{mode}_before"))[list].clone();
    story.fact("A10", &format!("{mode}_after"))[list] = left;
    let finding = story.judge("A10");
    assert_eq!(finding.conclusion(), expected);
    assert!(finding.evidence().contains(&format!("{mode}: {kind} ")), "{}", finding.evidence());
    assert!(finding.evidence().contains("was not removed"), "{}", finding.evidence());
}

#[rstest]
#[case::deployment_first(|s: &mut Story| deleted_at(s, "Deployment", 1), Failed, "before Deployment")]
#[case::replica_set_before_its_pods(|s: &mut Story| deleted_at(s, "ReplicaSet", 1), Failed, "before ReplicaSet")]
#[case::never_seen_waiting(no_finalizer, Failed, "was seen waiting with its finalizer: false")]
#[case::deletion_not_recorded(|s: &mut Story| s.forget(|e| matches!(e, Event::ObjectChanged { change: Change::Deleted, kind, .. } if kind == "ReplicaSet")), Inconclusive, "the deletion of ReplicaSet")]
#[case::nothing_there_before(|s: &mut Story| s.fact("A10", "background_before")["pods"] = json!([]), Failed, "0 Pod(s) before")]
#[case::lists_incomplete(|s: &mut Story| s.fact("A10", "foreground_after")["pods"] = Value::Null, Inconclusive, "foreground_after.pods")]
#[case::watch_broke(|s: &mut Story| s.insert_after("foreground-delete", Event::WatchRestarted { kind: "Pod".into(), reason: "410".into() }), Inconclusive, "watch of Pod broke off")]
fn a_falsehood_about_the_order_of_deletion_is_found(
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn("A10", bend, expected, named);
}

fn must_turn(id: &str, bend: Bend, expected: Conclusion, named: &str) {
    let mut story = Story::recorded();
    bend(&mut story);
    let finding = story.judge(id);
    assert_eq!(finding.conclusion(), expected, "{id}: {:#?}", finding.details());
    assert!(finding.evidence().contains(named), "{id} does not name `{named}`: {}", finding.evidence());
}

/// The Deployment's status is of an older generation, all else as it should be.
fn stale<const N: u32>(story: &mut Story) {
    let deployment = story.fact(&format!("A{N}"), "deployment");
    let generation = deployment["metadata"]["generation"].as_i64().unwrap();
    deployment["metadata"]["generation"] = json!(generation + 1);
}

fn progress(story: &mut Story, id: &str) {
    let before = "ReplicaSet \"nginx-deployment-bbbbbbbbbb\" has successfully progressed.";
    for condition in story.fact(id, "deployment")["status"]["conditions"].as_array_mut().unwrap() {
        if condition["type"] == "Progressing" {
            condition["message"] = json!(before);
        }
    }
}

fn pop(list: &mut Value) {
    list.as_array_mut().unwrap().pop();
}

fn duplicate(list: &mut Value) {
    let mut one = list[0].clone();
    one["metadata"]["uid"] = json!("another");
    one["metadata"]["name"] = json!("nginx-deployment-bbbbbbbbbb");
    list.as_array_mut().unwrap().push(one);
}

fn lose(story: &mut Story, reason: &str) {
    let events = story.fact("A4", "events").as_array_mut().unwrap();
    let first = events.iter().position(|e| e["reason"] == reason).unwrap();
    events.remove(first);
}

fn event(story: &mut Story, reason: &str, bend: impl Fn(&mut Value)) {
    let events = story.fact("A4", "events").as_array_mut().unwrap();
    let event = events.iter_mut().find(|e| e["reason"] == reason).unwrap();
    // Both shapes of the reporter, so that the bent one is the only one.
    event["reportingComponent"] = Value::Null;
    event["reportingInstance"] = Value::Null;
    bend(event);
}

/// The pod of the later set that was there in the earlier one.
fn old_pod<'s>(story: &'s mut Story, id: &str) -> &'s mut Value {
    let uid = story.fact(id, "pods_before")[0]["metadata"]["uid"].clone();
    let pods = story.fact(id, "pods").as_array_mut().unwrap();
    pods.iter_mut().find(|p| p["metadata"]["uid"] == uid).unwrap()
}

fn suffix(story: &mut Story, letters: &str) {
    let name = &mut story.fact("A6", "pods")[0]["metadata"]["name"];
    let (stem, _) = name.as_str().unwrap().rsplit_once('-').unwrap();
    *name = json!(format!("{stem}-{letters}"));
}

fn old_image(story: &mut Story, pointer: &str) -> Value {
    story.fact("A7", "pods_before")[0].pointer(pointer).unwrap().clone()
}

/// An endpoint that still leads to a pod of before.
fn old_endpoint(story: &mut Story) {
    let old = story.fact("A7", "pods_before")[0]["metadata"].clone();
    let endpoints = story.fact("A7", "endpoint_slices")[0]["endpoints"].as_array_mut().unwrap();
    let mut endpoint = endpoints[0].clone();
    endpoint["targetRef"]["uid"] = old["uid"].clone();
    endpoint["targetRef"]["name"] = old["name"].clone();
    endpoint["conditions"] = json!({"ready": false, "serving": true, "terminating": true});
    endpoints.push(endpoint);
}

fn insert_late(story: &mut Story, detail: &str) {
    story.insert_after("image-changed", sample(Outcome::Acknowledged, detail));
}

fn deployment_says(story: &mut Story, field: &str, number: i64) {
    let mut deployment = story.state_before("image-changed", "Deployment", 0);
    deployment["status"][field] = json!(number);
    story.insert_after("image-change", changed(deployment));
}

/// The old ReplicaSet is asked for two pods more than it had.
fn surge(story: &mut Story) {
    let mut set = story.state_before("image-change", "ReplicaSet", 0);
    set["spec"]["replicas"] = json!(4);
    story.insert_after("image-change", changed(set));
}

/// Both old pods are there, but one of them is not ready for a moment.
fn pod_unready(story: &mut Story) {
    let pod = story.state_before("image-change", "Pod", 0);
    let mut unready = pod.clone();
    for condition in unready["status"]["conditions"].as_array_mut().unwrap() {
        condition["status"] = json!("False");
    }
    story.insert_after("image-change", changed(pod));
    story.insert_after("image-change", changed(unready));
}

fn another_pod(story: &mut Story, name: &str) {
    let mut pod = story.state_before("image-change", "Pod", 0);
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["uid"] = json!(name);
    story.insert_after("image-change", changed(pod));
}

fn is_change(event: &Event, wanted: &str) -> bool {
    matches!(event, Event::ObjectChanged { kind, .. } if kind == wanted)
}

/// The watch saw the change begin, and nothing of the pods after that.
fn end_early(story: &mut Story) {
    // Without the pods' endings nothing would explain them.
    story.forget(|e| matches!(e, Event::Sampled { outcome, .. } if *outcome != Outcome::Acknowledged));
    let (from, to) = (story.mark("image-change"), story.mark("image-settled"));
    let pods: Vec<usize> = (from..to).filter(|&i| is_change(&story.0[i].event, "Pod")).collect();
    for &at in pods[1..].iter().rev() {
        story.0.remove(at);
    }
}

/// A refused request this many microseconds after the change was complete.
fn late(story: &mut Story, after: u64) {
    insert_late(story, "200 nginx/1.26.3");
    let at = story.mark("image-changed") + 1;
    for record in &mut story.0[at..] {
        record.mono_us += after;
    }
    story.0[at].event = sample(Outcome::Refused, "curl 7: refused");
}

/// Failed requests, a tenth of a second each, just after an old pod began to end.
fn beside_an_ending(story: &mut Story, detail: &str, count: u64) {
    let from = story.mark("image-change");
    let ending = story.0[from..].iter().position(
        |r| matches!(&r.event, Event::ObjectChanged { kind, object, .. } if kind == "Pod" && !object["metadata"]["deletionTimestamp"].is_null()),
    );
    let at = from + ending.unwrap() + 1;
    for record in &mut story.0[at..] {
        record.mono_us += count * 100_000;
    }
    for n in 0..count {
        let mut record = story.0[at - 1].clone();
        record.mono_us += n * 100_000;
        record.event = sample(Outcome::Refused, detail);
        story.0.insert(at + usize::try_from(n).unwrap(), record);
    }
}

#[test]
fn a_request_that_meets_an_ending_pod_is_counted_and_no_failure() {
    let met = |story: &Story| {
        let finding = story.judge("A7");
        assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
        let line = finding.evidence();
        let (before, _) = line.split_once(" met a pod that was ending").unwrap();
        before.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    let mut story = Story::recorded();
    let recorded = met(&story);
    beside_an_ending(&mut story, "curl 7: refused", 2);
    assert_eq!(met(&story), recorded + 2);
}

/// A pause of five seconds in the samples.
fn blind(story: &mut Story) {
    let at = story.mark("image-changed");
    for record in &mut story.0[at..] {
        record.mono_us += 5_000_000;
    }
}

/// The last deletion of an object of this kind happened at this resource version.
fn deleted_at(story: &mut Story, wanted: &str, version: u64) {
    let last = story.0.iter_mut().rev().find_map(|r| match &mut r.event {
        Event::ObjectChanged { change: Change::Deleted, kind, object, .. } if kind == wanted => Some(object),
        _ => None,
    });
    last.unwrap()["metadata"]["resourceVersion"] = json!(version.to_string());
}

fn no_finalizer(story: &mut Story) {
    for record in &mut story.0 {
        if let Event::ObjectChanged { object, .. } = &mut record.event {
            object["metadata"]["finalizers"] = json!([]);
        }
    }
}

//! Part A judged from a recorded run: the true run passes, and without a part of it the claims are undecided.

use rstest::rstest;
use seatrial::event::{Event, Outcome, Record};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::stateless::CLAIMS;
use seatrial::judge::stateless::change::SAMPLES;
use seatrial::judge::stateless::facts;
use serde_json::{Value, json};

use crate::lies::change::beside_an_ending;
use crate::passing_histories::{history, undecided_without_a_fact};
use crate::story::{Story, changed, recorded, sample, says};

#[rstest]
fn the_recorded_story_proves_every_claim() {
    let story = recorded();
    for claim in &CLAIMS {
        let finding = story.judge(claim.id);
        assert_eq!(finding.conclusion(), Conclusion::Passed, "{}: {}", claim.id, finding.evidence());
        assert!(!finding.evidence().is_empty() && !finding.details().is_empty(), "{}", claim.id);
    }
}

#[test]
fn a_claim_without_any_of_its_facts_is_undecided() {
    for claim in &CLAIMS {
        undecided_without_a_fact(claim, &history(claim.id), 2);
    }
}

#[rstest]
#[case("A7", "image-change")]
#[case("A7", "image-changed")]
#[case("A7", "image-settled")]
#[case("A10", "background-delete")]
#[case("A10", "background-deleted")]
#[case("A10", "foreground-delete")]
#[case("A10", "foreground-deleted")]
fn a_claim_without_its_marks_is_undecided(#[case] id: &str, #[case] name: &str) {
    let mut story = recorded();
    story.forget(|e| matches!(e, Event::Marked { mark } if mark == name));
    let finding = story.judge(id);
    assert_eq!(finding.conclusion(), Conclusion::Inconclusive, "{finding:?}");
    assert!(finding.evidence().contains(name), "{}", finding.evidence());
}

/// If a watch is restarted after a change, the change counts if the gap began in the judged time.
#[rstest]
#[case::in_it(-0.2, true, Inconclusive)]
#[case::after_it(0.01, true, Passed)]
#[case::on_another_clock(-0.2, false, Passed)]
fn a_gap_that_ends_after_the_change_is_placed_by_its_beginning(
    #[case] after: f64,
    #[case] same_clock: bool,
    #[case] expected: Conclusion,
) {
    let mut story = recorded();
    let end = story.records[story.mark("image-settled")].mono_us as f64 / 1e6;
    let since_us = Some(((end + after) * 1e6) as u64);
    story.insert_after(
        "image-settled",
        Event::WatchRestarted { kind: "Pod".into(), reason: "410".into(), since_us },
    );
    if !same_clock {
        story
            .records
            .iter_mut()
            .filter(|r| matches!(r.event, Event::WatchRestarted { .. }))
            .for_each(|r| r.writer += 1);
    }
    assert_eq!(story.judge("A7").conclusion(), expected);
}

/// Wordings and forms of the events that Kubernetes 1.30 to 1.37 send.
#[rstest]
#[case::before_1_31("Scaled up replica set {set} to 2", "Created container nginx", "")]
#[case::since_1_32("Scaled up replica set {set} from 0 to 2", "Created container: nginx", "")]
#[case::since_1_35(
    "Scaled up replica set {set} from 0 to 2",
    "Container created",
    " and can be accessed by the pod"
)]
fn the_trail_is_found_in_every_wording(#[case] scaled: &str, #[case] created: &str, #[case] tail: &str) {
    for new_shape in [false, true] {
        let mut story = recorded();
        let set = story.fact(&facts::REPLICA_SETS)[0]["metadata"]["name"].as_str().unwrap().to_owned();
        for event in story.fact(&facts::EVENTS).as_array_mut().unwrap() {
            match event["reason"].as_str() {
                Some("ScalingReplicaSet") => event["message"] = json!(scaled.replace("{set}", &set)),
                Some("Created") => event["message"] = json!(created),
                Some("Pulled") => {
                    event["message"] = json!(format!("{}{tail}", event["message"].as_str().unwrap()));
                }
                _ => {}
            }
            if new_shape {
                *event = in_events_v1(event);
            }
        }
        let finding = story.judge("A4");
        assert_eq!(finding.conclusion(), Conclusion::Passed, "{}", finding.evidence());
    }
}

/// The same event in the form of events.k8s.io/v1.
fn in_events_v1(event: &Value) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": event["metadata"],
        "type": event["type"],
        "reason": event["reason"],
        "note": event["message"],
        "regarding": event["involvedObject"],
        "eventTime": event["eventTime"],
        "reportingController": event["reportingComponent"],
        "reportingInstance": event["reportingInstance"],
        "deprecatedSource": event["source"],
    })
}

#[test]
fn a_request_that_meets_an_ending_pod_is_counted_and_no_failure() {
    let met = |story: &Story| {
        let finding = story.judge("A7");
        assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
        let line = finding.evidence();
        // The number comes first, because a terminal truncates the line.
        line.split_once(" of ").unwrap().0.parse::<u32>().unwrap()
    };
    let mut story = recorded();
    let recorded = met(&story);
    beside_an_ending(&mut story, "curl 7: refused", 2);
    assert_eq!(met(&story), recorded + 2);
}

/// Each condition of a check counts by itself: one is falsified, the others hold.
#[rstest]
#[case::never_observed("A1", |s: &mut Story| unobserved(s), Failed, "observedGeneration 0, generation 0")]
#[case::operator("A5", |s: &mut Story| toleration(s, "operator", json!("Equal")), Failed, "toleration of not-ready")]
#[case::effect("A5", |s: &mut Story| toleration(s, "effect", json!("NoSchedule")), Failed, "toleration of not-ready")]
#[case::seconds("A5", |s: &mut Story| toleration(s, "tolerationSeconds", json!(1)), Failed, "toleration of not-ready")]
#[case::mounted_elsewhere("A5", mounted_elsewhere, Failed, "mounted 0 time(s)")]
#[case::endpoint_without_conditions("A7", |s: &mut Story| endpoint_of_old(s, json!({})), Failed, "is one of the new pods: false")]
#[case::endpoint_not_ready("A7", |s: &mut Story| endpoint_of_old(s, json!({"ready": false})), Passed, "is one of the new pods: true")]
#[case::endpoint_missing("A7", endpoint_missing, Failed, "is ready: false")]
#[case::last_answer_before(
    "A7",
    old_answer_before,
    Passed,
    "0 of 12 answers after the change by the old version"
)]
#[case::replaced_beside_new("A8", replaced, Failed, "2 new names: ")]
#[case::other_hash_before("A8", other_hash, Failed, "pod-template-hash before bbbbbbbbbb, after ")]
#[case::other_hash_of_the_set("A8", other_hash_of_the_set, Failed, "1 ReplicaSet(s) with pods")]
#[case::left("A10", |s: &mut Story| left(s, None), Failed, ") was not removed")]
#[case::left_and_new("A10", |s: &mut Story| left(s, Some("another")), Failed, "(UID another) is new and was not removed")]
#[case::pull_of_another_image("A11", |s: &mut Story| kubelet(s, "message", "Error: ImagePullBackOff"), Inconclusive, "no Failed event about pod")]
#[case::image_in_another_event("A11", |s: &mut Story| kubelet(s, "reason", "BackOff"), Inconclusive, "no Failed event about pod")]
#[case::another_ready("A11", another_ready, Failed, "fewest old pods ready, by ")]
#[case::both_left("A11", both_left, Failed, "2 pods of other templates are left")]
fn what_is_bent_shows_in_its_line(
    #[case] id: &str,
    #[case] bend: fn(&mut Story),
    #[case] conclusion: Conclusion,
    #[case] said: &str,
) {
    let mut story = recorded();
    bend(&mut story);
    says(&story.judge(id), conclusion, said);
}

/// A history of two states, between which somebody watched a change.
#[rstest]
#[case("A7", "Deployment", ("image-change", "image-settled"))]
#[case("A7", "ReplicaSet", ("image-change", "image-settled"))]
#[case("A11", "Deployment", ("bad-image", "bad-image-rolled-back"))]
#[case("A11", "Pod", ("bad-image", "bad-image-rolled-back"))]
fn two_states_are_enough(#[case] id: &str, #[case] of: &str, #[case] (from, to): (&str, &str)) {
    let mut story = recorded();
    let during = story.mark(from)..story.mark(to);
    let waits = |object: &Value| match object.pointer("/status/containerStatuses/0/state/waiting/reason") {
        Some(reason) => reason == "ErrImagePull",
        None => of != "Pod" || id == "A7",
    };
    let (mut at, mut kept) = (0, 0);
    story.records.retain(|record| {
        at += 1;
        match &record.event {
            Event::ObjectChanged { kind, object, .. } if kind == of && during.contains(&(at - 1)) => {
                kept += usize::from(waits(object));
                kept == 1 && waits(object)
            }
            _ => true,
        }
    });
    let finding = story.judge(id);
    assert_eq!((kept > 0, finding.conclusion()), (true, Passed), "{:#?}", finding.details());
}

#[rstest]
#[case("A7", ("image-change", "image-settled"))]
#[case("A11", ("bad-image", "bad-image-rolled-back"))]
fn so_many_samples_are_enough_and_one_less_is_not(#[case] id: &str, #[case] (from, to): (&str, &str)) {
    let too_few = |count: usize| {
        let mut story = recorded();
        let during = story.mark(from)..story.mark(to);
        let (mut at, mut seen) = (0, 0);
        story.records.retain(|record| {
            at += 1;
            let sampled = matches!(record.event, Event::Sampled { .. });
            let inside = sampled && during.contains(&(at - 1));
            seen += usize::from(inside);
            !sampled || (inside && seen <= count)
        });
        story.judge(id).details().iter().any(|line| line.contains("samples of `http`"))
    };
    assert_eq!((too_few(SAMPLES - 1), too_few(SAMPLES)), (true, false));
}

fn unobserved(story: &mut Story) {
    let deployment = story.fact(&facts::DEPLOYMENT);
    deployment["metadata"]["generation"] = json!(0);
    deployment["status"]["observedGeneration"] = json!(0);
}

fn toleration(story: &mut Story, field: &str, to: Value) {
    let all = story.fact(&facts::PODS)[0]["spec"]["tolerations"].as_array_mut().unwrap();
    all.iter_mut().find(|t| t["key"] == "node.kubernetes.io/not-ready").unwrap()[field] = to;
}

fn mounted_elsewhere(story: &mut Story) {
    for mount in story.fact(&facts::PODS)[0]["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap()
    {
        mount["mountPath"] = json!("/elsewhere");
    }
}

fn endpoints(story: &mut Story) -> &mut Vec<Value> {
    story.fact(&facts::ENDPOINT_SLICES)[0]["endpoints"].as_array_mut().unwrap()
}

/// An endpoint that leads to an old pod.
fn endpoint_of_old(story: &mut Story, conditions: Value) {
    let old = story.fact(&facts::PODS_BEFORE_CHANGE)[0]["metadata"].clone();
    let target = json!({"uid": old["uid"], "name": old["name"]});
    endpoints(story).push(json!({"targetRef": target, "conditions": conditions}));
}

/// An old pod exists in place of a new one.
fn endpoint_missing(story: &mut Story) {
    endpoints(story).remove(0);
    endpoint_of_old(story, json!({}));
}

/// An old pod gave the last answer before the change was complete.
fn old_answer_before(story: &mut Story) {
    let at = story.mark("image-changed");
    let event = sample(Outcome::Acknowledged, "200 nginx/1.22.1");
    let record = Record { event, ..story.records[at - 1].clone() };
    story.records.insert(at, record);
}

/// An old pod has another UID.
fn replaced(story: &mut Story) {
    let name = story.fact(&facts::UP.pods_before)[0]["metadata"]["name"].clone();
    let pods = story.fact(&facts::UP.pods).as_array_mut().unwrap();
    let pod = pods.iter_mut().find(|p| p["metadata"]["name"] == name).unwrap();
    pod["metadata"]["uid"] = json!("another");
}

fn other_hash(story: &mut Story) {
    for pod in story.fact(&facts::UP.pods_before).as_array_mut().unwrap() {
        pod["metadata"]["labels"]["pod-template-hash"] = json!("bbbbbbbbbb");
    }
}

/// The ReplicaSet with the requested pods is not the owner of the pods.
fn other_hash_of_the_set(story: &mut Story) {
    for set in story.fact(&facts::UP.replica_sets).as_array_mut().unwrap() {
        set["metadata"]["labels"]["pod-template-hash"] = json!("bbbbbbbbbb");
    }
}

/// Old pods, or other pods, are left.
fn left(story: &mut Story, uid: Option<&str>) {
    let mut pods = story.fact(&facts::BACKGROUND.before)["pods"].clone();
    for pod in pods.as_array_mut().unwrap() {
        pod["metadata"]["uid"] = uid.map_or_else(|| pod["metadata"]["uid"].clone(), |uid| json!(uid));
    }
    story.fact(&facts::BACKGROUND.after)["pods"] = pods;
}

/// The kubelet's message about the bad pod.
fn kubelet(story: &mut Story, field: &str, to: &str) {
    story.each(|event| {
        if let Event::ObjectChanged { kind, object, .. } = event
            && kind == "Event"
        {
            object[field] = json!(to);
        }
    });
}

/// One old pod is unready for a moment, while a pod that was not an old one is ready.
fn another_ready(story: &mut Story) {
    let uid = story.fact(&facts::PODS_BEFORE_BAD_IMAGE)[0]["metadata"]["uid"].clone();
    let ready = story.last_state(uid.as_str().unwrap(), "bad-image");
    let (mut unready, mut another) = (ready.clone(), ready.clone());
    another["metadata"]["uid"] = json!("another");
    for condition in unready["status"]["conditions"].as_array_mut().unwrap() {
        condition["status"] = json!("False");
    }
    // Each is inserted right after the mark, so the last one comes first.
    for state in [ready, unready, another] {
        story.insert_after("bad-image", changed(state));
    }
}

/// The bad ReplicaSet has a pod, and one is requested.
fn both_left(story: &mut Story) {
    let bad = story.fact(&facts::BAD_IMAGES)["bad"].clone();
    for set in story.fact(&facts::REPLICA_SETS_ROLLED_BACK).as_array_mut().unwrap() {
        if set["spec"]["template"]["spec"]["containers"][0]["image"] == bad {
            set["status"]["replicas"] = json!(1);
            set["spec"]["replicas"] = json!(1);
        }
    }
}

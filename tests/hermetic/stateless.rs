//! Part A judged from a recorded run: true as it was recorded, undecided where a part is missing.

use rstest::rstest;
use seatrial::event::Event;
use seatrial::judge::Conclusion;
use seatrial::judge::stateless::CLAIMS;
use serde_json::{Value, json};

use crate::lies::change::beside_an_ending;
use crate::story::{Story, recorded};

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
    let facts: Vec<(String, String)> = recorded()
        .records
        .iter()
        .filter_map(|r| match &r.event {
            Event::Observed { claim, what, .. } => Some((claim.clone(), what.clone())),
            _ => None,
        })
        .collect();
    assert!(facts.len() > 25, "{facts:?}");
    for (id, name) in facts {
        let mut story = recorded();
        story.forget(|e| matches!(e, Event::Observed { claim, what, .. } if *claim == id && *what == name));
        let finding = story.judge(&id);
        assert_eq!(finding.conclusion(), Conclusion::Inconclusive, "{id} without {name}: {finding:?}");
        assert!(finding.evidence().contains(&name), "{id} without {name}: {}", finding.evidence());
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

/// Wordings and shapes of the event trail that Kubernetes 1.30 to 1.37 give.
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
        let set = story.fact("A4", "replica_sets")[0]["metadata"]["name"].as_str().unwrap().to_owned();
        for event in story.fact("A4", "events").as_array_mut().unwrap() {
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

/// The same event as events.k8s.io/v1 gives it.
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
        let (before, _) = line.split_once(" met a pod that was ending").unwrap();
        before.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    let mut story = recorded();
    let recorded = met(&story);
    beside_an_ending(&mut story, "curl 7: refused", 2);
    assert_eq!(met(&story), recorded + 2);
}

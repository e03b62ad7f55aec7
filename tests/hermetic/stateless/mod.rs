//! Part A judged from a recorded story: true as it was recorded, and never true when it is bent.

use std::path::Path;
use std::sync::LazyLock;

use rstest::rstest;
use seatrial::event::{Change, Event, Outcome, Record};
use seatrial::judge::stateless::CLAIMS;
use seatrial::judge::{Conclusion, Evidence, Finding};
use serde_json::{Value, json};

mod falsehoods;

/// The records of one run of the suite, to be bent.
pub struct Story(Vec<Record>);

impl Story {
    /// A run on a real cluster of Kubernetes 1.34.4, cut to what part A is judged from.
    fn recorded() -> Self {
        static READ: LazyLock<Vec<Record>> = LazyLock::new(|| {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hermetic/stateless/recorded.jsonl");
            seatrial::event::read(&file).expect("the recorded story can be read")
        });
        Self(READ.clone())
    }

    fn judge(&self, id: &str) -> Finding {
        let claim = CLAIMS.iter().find(|c| c.id == id).expect("a claim of part A");
        claim.judge(&Evidence::new(&self.0, id))
    }

    /// The last fact of this name.
    fn fact(&mut self, id: &str, name: &str) -> &mut Value {
        let fact = self.0.iter_mut().rev().find_map(|r| match &mut r.event {
            Event::Observed { claim, what, value } if claim == id && what == name => Some(value),
            _ => None,
        });
        fact.unwrap_or_else(|| panic!("{id} has no fact {name}"))
    }

    fn forget(&mut self, gone: impl Fn(&Event) -> bool) {
        self.0.retain(|r| !gone(&r.event));
    }

    fn mark(&self, name: &str) -> usize {
        let at = self.0.iter().position(|r| matches!(&r.event, Event::Marked { mark } if mark == name));
        at.unwrap_or_else(|| panic!("no mark {name}"))
    }

    /// Slips an event in just after a mark.
    fn insert_after(&mut self, mark: &str, event: Event) {
        let at = self.mark(mark) + 1;
        let record = Record { event, ..self.0[at - 1].clone() };
        self.0.insert(at, record);
    }

    /// The last recorded state of an object of a kind before a mark.
    fn state_before(&self, mark: &str, wanted: &str, nth: usize) -> Value {
        let mut seen: Vec<(String, Value)> = Vec::new();
        for record in &self.0[..self.mark(mark)] {
            if let Event::ObjectChanged { kind, uid, object, .. } = &record.event
                && kind == wanted
            {
                seen.retain(|s| s.0 != *uid);
                seen.push((uid.clone(), object.clone()));
            }
        }
        seen[nth].1.clone()
    }
}

/// A change of an object.
fn changed(object: Value) -> Event {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name, uid) = (text("/kind"), text("/metadata/name"), text("/metadata/uid"));
    Event::ObjectChanged { change: Change::Modified, kind, name, uid, object }
}

fn sample(outcome: Outcome, detail: &str) -> Event {
    Event::Sampled { probe: "http".into(), outcome, took_ms: 1.0, detail: detail.into() }
}

#[rstest]
fn the_recorded_story_proves_every_claim() {
    let story = Story::recorded();
    for claim in &CLAIMS {
        let finding = story.judge(claim.id);
        assert_eq!(finding.conclusion(), Conclusion::Passed, "{}: {}", claim.id, finding.evidence());
        assert!(!finding.evidence().is_empty() && !finding.details().is_empty(), "{}", claim.id);
    }
}

#[test]
fn a_claim_without_any_of_its_facts_is_undecided() {
    let facts: Vec<(String, String)> = Story::recorded()
        .0
        .iter()
        .filter_map(|r| match &r.event {
            Event::Observed { claim, what, .. } => Some((claim.clone(), what.clone())),
            _ => None,
        })
        .collect();
    assert!(facts.len() > 25, "{facts:?}");
    for (id, name) in facts {
        let mut story = Story::recorded();
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
    let mut story = Story::recorded();
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
        let mut story = Story::recorded();
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

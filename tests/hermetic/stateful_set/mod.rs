//! Part C judged from recorded stories: the true story passes, and a falsified one never does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use rstest::rstest;
use seatrial::event::{Change, Event, Record};
use seatrial::judge::stateful_set::CLAIMS;
use seatrial::judge::{Conclusion, Evidence, Finding};
use serde_json::Value;

use crate::passing_histories::undecided_without_a_fact;
use crate::schemas::converted;

mod before_the_fault;
pub mod claims;
mod conditions;
mod edits;
pub mod lost_node;
pub mod order;

const SHARED: [&str; 9] = ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C10"];

/// The records of one run of a suite, for a test to falsify.
pub struct Story(Vec<Record>);

impl Story {
    /// Runs on a real cluster (Kubernetes 1.34.4, nginx 1.22 to 1.26): of suite `stateful-set`, or of
    /// `stateful-set-node` for C9, where a worker was stopped. Records that no judge of part C reads were removed,
    /// nodes and namespace have short names, and the logs were converted from schema 1.
    pub fn recorded(id: &str) -> Self {
        let name = if id == "C9" { "stateful-set-node.jsonl" } else { "stateful-set.jsonl" };
        static READ: LazyLock<Mutex<BTreeMap<&'static str, Vec<Record>>>> = LazyLock::new(Mutex::default);
        let mut read = READ.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let story = read.entry(name).or_insert_with(|| {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hermetic/recordings/schema-1");
            converted(seatrial::event::read(&dir.join(name)).expect("the recorded story can be read"))
        });
        Self(story.clone())
    }

    pub fn records(&self) -> &[Record] {
        &self.0
    }

    pub fn judge(&self, id: &str) -> Finding {
        let claim = CLAIMS.iter().find(|c| c.id == id).expect("a claim of part C");
        claim.judge(&Evidence::new(&self.0, id))
    }
}

#[rstest]
fn a_real_run_proves_every_claim(
    #[values("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10")] id: &str,
) {
    let finding = Story::recorded(id).judge(id);
    assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
    assert!(!finding.evidence().is_empty() && finding.details().len() > 5, "{:#?}", finding.details());
}

#[test]
fn a_claim_without_any_of_its_facts_is_undecided() {
    for claim in &CLAIMS {
        undecided_without_a_fact(claim, Story::recorded(claim.id).records(), 2);
    }
}

#[rstest]
#[case("C1", &["apply", "applied"])]
#[case("C3", &["apply", "applied"])]
#[case("C4", &["delete-pod", "pod-replaced"])]
#[case("C5", &["scale-down", "scaled-down"])]
#[case("C6", &["refuse", "held", "heal", "healed"])]
#[case("C7", &["scale-down", "delete-claim", "claim-deleted"])]
#[case("C8", &["scale-down", "scaled-down"])]
#[case("C9", &["declare", "moved", "return", "returned"])]
#[case("C10", &["update", "partition-opened", "updated"])]
fn a_claim_without_its_marks_is_undecided(#[case] id: &str, #[case] marks: &[&str]) {
    for wanted in marks {
        let mut story = Story::recorded(id);
        story.0.retain(|r| !matches!(&r.event, Event::Marked { mark } if mark == wanted));
        let finding = story.judge(id);
        assert_eq!(finding.conclusion(), Conclusion::Inconclusive, "{id} without {wanted}: {finding:#?}");
        assert!(finding.evidence().contains(wanted), "{}", finding.evidence());
    }
}

/// Events during a gap in the watch may have happened in another order.
#[rstest]
#[case("C1", "apply", "Pod")]
#[case("C3", "apply", "PersistentVolumeClaim")]
#[case("C4", "delete-pod", "Pod")]
#[case("C5", "scale-down", "Pod")]
#[case("C6", "refuse", "Pod")]
#[case("C6", "heal", "Pod")]
#[case("C7", "scaled-down", "PersistentVolumeClaim")]
#[case("C8", "scale-down", "Pod")]
#[case("C9", "declare", "Pod")]
#[case("C10", "update", "StatefulSet")]
#[case("C10", "partition-opened", "Pod")]
fn a_watch_that_lost_events_decides_nothing(#[case] id: &str, #[case] after: &str, #[case] kind: &str) {
    let mut story = Story::recorded(id);
    story.insert_after(
        after,
        Event::WatchRestarted { kind: kind.into(), reason: "410 Gone".into(), since_us: None },
    );
    let finding = story.judge(id);
    assert_eq!(finding.conclusion(), Conclusion::Inconclusive, "{id}: {:#?}", finding.details());
    assert!(finding.evidence().contains(&format!("watch of {kind} broke off")), "{}", finding.evidence());
}

/// The same if the gap makes the order look wrong, or hides whole parts.
#[test]
fn a_gap_that_hides_records_is_no_failure_either() {
    let mut story = Story::recorded("C5");
    story.0.retain(|r| {
        let deleted =
            matches!(&r.event, Event::ObjectChanged { change: Change::Deleted, name, .. } if name == "web-2");
        !deleted
    });
    assert_eq!(story.judge("C5").conclusion(), Conclusion::Failed);
    story.insert_after(
        "scale-down",
        Event::WatchRestarted { kind: "Pod".into(), reason: "410".into(), since_us: None },
    );
    assert_eq!(story.judge("C5").conclusion(), Conclusion::Inconclusive);
}

/// A run of the shared suite is judged for C9, and a run of the node suite for the other claims: each is undecided
/// and names the missing evidence.
#[test]
fn the_other_suites_claims_are_undecided() {
    assert_eq!(Story::recorded("C1").judge("C9").conclusion(), Conclusion::Inconclusive);
    for id in SHARED {
        assert_eq!(Story::recorded("C9").judge(id).conclusion(), Conclusion::Inconclusive, "{id}");
    }
}

fn uid_of(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

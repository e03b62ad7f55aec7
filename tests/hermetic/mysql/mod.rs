//! Part B judged from a made-up story: the true story passes, and without a part of it the claim is inconclusive.

use rstest::rstest;
use seatrial::event::Event;
use seatrial::judge::mysql::CLAIMS;
use seatrial::judge::mysql::facts;
use seatrial::judge::{self, Conclusion};

use crate::passing_histories::undecided_without_a_fact;
use crate::story::Story;

mod before_the_fault;
mod conditions;
pub mod sound_story;
mod volume_and_ledger;

#[rstest]
fn the_story_as_it_is_told_proves_every_claim(
    #[values("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11", "B12")] id: &str,
) {
    let finding = sound_story::story().judge(id);
    assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
    assert!(!finding.evidence().is_empty());
}

/// Runs on a real cluster (Kubernetes 1.34.4, MySQL 9.7.4, a worker stopped), judged again. Records that no judge of
/// part B reads were removed, and the nodes have short names. The first run is older than B11, B12, transactions and
/// readers, and is still read.
#[rstest]
#[case::until_b10("mysql.jsonl", 10)]
#[case::until_b12("mysql-volume.jsonl", 12)]
fn a_real_run_proves_every_claim(#[case] file: &str, #[case] claims: usize) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hermetic/recordings/schema-1");
    let records = seatrial::event::read(&std::path::Path::new(folder).join(file)).unwrap();
    let story = Story { records, seconds: 0.0 };
    for claim in &CLAIMS[..claims] {
        let finding = story.judge(claim.id);
        assert_eq!(finding.conclusion(), Conclusion::Passed, "{}: {:#?}", claim.id, finding.details());
    }
}

/// A pod without a readiness probe is ready when its container runs. The server may still be initialising its
/// directory.
#[test]
fn a_server_that_answers_long_after_its_pod_is_ready_has_a_budget_of_its_own() {
    let mut story = sound_story::story();
    story.later("replacement-answers", 60.0);
    assert_eq!(story.judge("B8").conclusion(), Conclusion::Failed);
    story.fact(&facts::OUTAGE_BUDGET)["answers"] = 150.0.into();
    let finding = story.judge("B8");
    assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
    story.later("replacement-answers", 90.0);
    assert_eq!(story.judge("B8").conclusion(), Conclusion::Failed);
}

#[rstest]
fn without_any_one_fact_no_claim_passes(
    #[values("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11", "B12")] id: &str,
) {
    undecided_without_a_fact(judge::claim(id).unwrap(), &sound_story::story().records, 2);
}

#[rstest]
#[case("B3", "before")]
#[case("B3", "serving")]
#[case("B5", "database")]
#[case("B9", "before-fault")]
#[case("B9", "while-stopped")]
#[case("B10", "while-stopped")]
#[case("B10", "returned")]
#[case("B11", "deployment-gone")]
#[case("B11", "claim-gone")]
#[case("B12", "pinned")]
#[case("B12", "pinned-stopped")]
fn a_node_that_was_not_listed_leaves_a_claim_open(#[case] id: &str, #[case] listing: &str) {
    for node in sound_story::NODES {
        let mut story = sound_story::story();
        story.forget(
            |e| matches!(e, Event::FilesListed { listing: l, node: n, .. } if l == listing && n == node),
        );
        let finding = story.judge(id);
        assert_eq!(finding.conclusion(), Conclusion::Inconclusive, "{id} {node}: {:#?}", finding.details());
    }
}

#[rstest]
#[case("B5", "database")]
#[case("B6", "replaced")]
#[case("B9", "elsewhere")]
#[case("B10", "returned")]
#[case("B12", "pinned")]
#[case("B12", "pinned-returned")]
fn without_its_reading_a_claim_is_open(#[case] id: &str, #[case] reading: &str) {
    let mut story = sound_story::story();
    story.forget(|e| matches!(e, Event::RowsRead { reading: r, .. } if r == reading));
    assert_eq!(story.judge(id).conclusion(), Conclusion::Inconclusive);
}

#[rstest]
#[case::fault("B8", |e: &Event| matches!(e, Event::FaultInjected { .. }))]
#[case::fault_b9("B9", |e: &Event| matches!(e, Event::FaultInjected { .. }))]
#[case::fault_b10("B10", |e: &Event| matches!(e, Event::FaultInjected { .. }))]
#[case::heal("B10", |e: &Event| matches!(e, Event::FaultHealed { .. }))]
#[case::nodes_b8("B8", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Node"))]
#[case::nodes_b10("B10", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Node"))]
#[case::pods_b6("B6", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::pods_b7("B7", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::pods_b8("B8", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::pods_b10("B10", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::rows("B5", |e: &Event| matches!(e, Event::RowWritten { .. }))]
#[case::rows_b9("B9", |e: &Event| matches!(e, Event::RowWritten { .. }))]
#[case::fault_b12("B12", |e: &Event| matches!(e, Event::FaultInjected { .. }))]
#[case::heal_b12("B12", |e: &Event| matches!(e, Event::FaultHealed { .. }))]
#[case::pods_b11("B11", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::deployment_b11("B11", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Deployment"))]
#[case::claim_b11("B11", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "PersistentVolumeClaim"))]
#[case::pods_b12("B12", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::scheduling_b12("B12", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Event"))]
#[case::rows_b12("B12", |e: &Event| matches!(e, Event::RowWritten { .. }))]
#[case::readers_b12("B12", |e: &Event| matches!(e, Event::RowsSampled { .. }))]
#[case::rows_b10("B10", |e: &Event| matches!(e, Event::RowWritten { .. }))]
fn without_its_history_a_claim_never_passes(#[case] id: &str, #[case] gone: fn(&Event) -> bool) {
    let mut story = sound_story::story();
    story.forget(gone);
    assert_ne!(story.judge(id).conclusion(), Conclusion::Passed);
}

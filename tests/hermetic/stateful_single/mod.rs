//! Part B judged from a story: true as it is told, undecided where a part of it is missing.

use rstest::rstest;
use seatrial::event::{Change, Event, Outcome, Record};
use seatrial::judge::Conclusion;
use serde_json::json;

use crate::story::{Story, row};

pub mod told;

#[rstest]
fn the_story_as_it_is_told_proves_every_claim(
    #[values("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10")] id: &str,
) {
    let finding = told::story().judge(id);
    assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
    assert!(!finding.evidence().is_empty());
}

/// A run on a real cluster (Kubernetes 1.34.4, MySQL 9.7.4, a worker stopped), judged again. What no
/// judge of part B reads was cut from it, and the nodes have short names.
#[rstest]
fn a_real_run_proves_every_claim(
    #[values("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10")] id: &str,
) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hermetic/stateful_single/recorded.jsonl");
    let records = seatrial::event::read(std::path::Path::new(file)).unwrap();
    let finding = Story { records, seconds: 0.0 }.judge(id);
    assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
}

#[rstest]
fn without_any_one_fact_no_claim_passes(
    #[values("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10")] id: &str,
) {
    let story = told::story();
    let facts: Vec<String> = story.records.iter().filter_map(|r| fact_of(&r.event, id)).collect();
    // `nodes` and the old server are observed for several claims alike, and not each reads them.
    let unread: &[&str] = match id {
        "B2" => &["nodes", "server"],
        "B3" => &["server"],
        "B7" => &["server_before", "server_after"],
        "B8" => &["nodes", "server_before"],
        _ => &[],
    };
    for fact in facts.iter().filter(|f| !unread.contains(&f.as_str())) {
        let mut story = story.clone();
        story.forget(|e| fact_of(e, id).as_ref() == Some(fact));
        let conclusion = story.judge(id).conclusion();
        assert_eq!(conclusion, Conclusion::Inconclusive, "{id} without {fact}");
    }
    assert!(!facts.is_empty());
}

fn fact_of(event: &Event, id: &str) -> Option<String> {
    match event {
        Event::Observed { claim, what, .. } if claim == id => Some(what.clone()),
        _ => None,
    }
}

#[rstest]
#[case("B3", "before")]
#[case("B3", "serving")]
#[case("B5", "database")]
#[case("B9", "before-fault")]
#[case("B9", "while-stopped")]
#[case("B10", "while-stopped")]
#[case("B10", "returned")]
fn a_node_that_was_not_listed_leaves_a_claim_open(#[case] id: &str, #[case] listing: &str) {
    for node in told::NODES {
        let mut story = told::story();
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
fn without_its_reading_a_claim_is_open(#[case] id: &str, #[case] reading: &str) {
    let mut story = told::story();
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
#[case::rows_b10("B10", |e: &Event| matches!(e, Event::RowWritten { .. }))]
fn without_its_history_a_claim_never_passes(#[case] id: &str, #[case] gone: fn(&Event) -> bool) {
    let mut story = told::story();
    story.forget(gone);
    assert_ne!(story.judge(id).conclusion(), Conclusion::Passed);
}

#[test]
fn a_file_on_a_second_node_breaks_b3() {
    let mut story = told::story();
    story.listed("serving", "w2", "running", &["ibdata1"], None);
    assert_eq!(story.judge("B3").conclusion(), Conclusion::Failed);
}

#[test]
fn files_of_an_earlier_test_break_b3_and_b9() {
    let mut story = told::story();
    story.listed("before", "w1", "running", &["auto.cnf"], Some("uuid-z"));
    assert_eq!(story.judge("B3").conclusion(), Conclusion::Failed);
    story.listed("before-fault", "w2", "running", &["auto.cnf", "qa/"], Some("uuid-b"));
    assert_eq!(story.judge("B9").conclusion(), Conclusion::Failed);
}

#[test]
fn a_lost_row_breaks_b6_and_b10() {
    let mut story = told::story();
    story.each(|e| {
        if let Event::RowsRead { rows, .. } = e {
            rows.retain(|r| r.number != 3);
        }
    });
    for id in ["B6", "B10"] {
        let finding = story.judge(id);
        assert_eq!(finding.conclusion(), Conclusion::Failed);
        assert!(finding.evidence().contains("lost 3"), "{}", finding.evidence());
    }
}

#[test]
fn two_containers_at_a_time_break_b7() {
    let mut story = told::story();
    // The old pod is not seen to end before the new one runs.
    story.each(|e| {
        if let Event::ObjectChanged { change, name, object, .. } = e
            && name == "mysql-2"
            && object["status"]["phase"] == "Succeeded"
        {
            *change = Change::Modified;
            *object = told::pod(2, "w1", "h1", "Running");
        }
    });
    let finding = story.judge("B7");
    assert_eq!(finding.conclusion(), Conclusion::Failed);
    let said = "at most 2 MySQL containers ran at the same time: mysql-2, mysql-3";
    assert!(finding.evidence().contains(said), "{}", finding.evidence());
}

#[test]
fn a_watch_that_broke_leaves_b7_and_b8_open() {
    let mut story = told::story();
    let broken = Event::WatchRestarted { kind: "Pod".into(), reason: "gone".into() };
    let after = |story: &mut Story, is: fn(&Event) -> bool| {
        let at = story.records.iter().position(|r| is(&r.event)).unwrap();
        let record = Record { event: broken.clone(), ..story.records[at].clone() };
        story.records.insert(at + 1, record);
    };
    after(&mut story, |e| matches!(e, Event::Marked { mark } if mark == "template-change"));
    assert_eq!(story.judge("B7").conclusion(), Conclusion::Inconclusive);
    assert_eq!(story.judge("B8").conclusion(), Conclusion::Passed);
    after(&mut story, |e| matches!(e, Event::FaultInjected { .. }));
    assert_eq!(story.judge("B8").conclusion(), Conclusion::Inconclusive);
}

#[test]
fn a_node_that_ran_on_leaves_every_claim_of_its_outage_open() {
    let mut story = told::story();
    story.each(|e| {
        if let Event::FilesListed { listing, node, power, .. } = e
            && listing == "while-stopped"
            && node == "w1"
        {
            *power = "running".into();
        }
    });
    for id in ["B8", "B9", "B10"] {
        let finding = story.judge(id);
        assert_eq!(finding.conclusion(), Conclusion::Inconclusive);
        assert!(finding.evidence().contains("never took hold: container running"), "{}", finding.evidence());
    }
}

#[test]
fn an_old_pod_that_went_early_breaks_b8() {
    let mut story = told::story();
    let gone = told::pod(3, "w1", "h2", "Running");
    let uid = gone["metadata"]["uid"].as_str().unwrap().to_owned();
    let event = Event::ObjectChanged {
        change: Change::Deleted,
        kind: "Pod".into(),
        name: "mysql-3".into(),
        uid,
        object: gone,
    };
    let at = story
        .records
        .iter()
        .position(|r| matches!(&r.event, Event::Marked { mark } if mark == "replacement-answers"));
    let at = at.unwrap();
    let record = Record { event, ..story.records[at].clone() };
    story.records.insert(at, record);
    let finding = story.judge("B8");
    assert_eq!(finding.conclusion(), Conclusion::Failed);
    assert!(
        finding.evidence().contains("pod mysql-3 went before the node's return"),
        "{}",
        finding.evidence()
    );
}

#[test]
fn rows_that_were_not_read_from_the_stopped_disk_leave_b9_open() {
    let mut story = told::story();
    story.bend("B9", "rows_on_disk", |v| v["found"] = json!([1, 2]));
    let finding = story.judge("B9");
    assert_eq!(finding.conclusion(), Conclusion::Inconclusive);
    assert!(finding.evidence().contains("2 of 6 acknowledged rows were read"), "{}", finding.evidence());
}

#[test]
fn a_row_that_the_new_server_acknowledged_breaks_b9_and_b10() {
    let mut story = told::story();
    let at = story
        .records
        .iter()
        .position(|r| matches!(&r.event, Event::RowsRead { reading, .. } if reading == "elsewhere"));
    let at = at.unwrap();
    let (row, server) = (row(50), told::server("b", 4, "w2"));
    let event = Event::RowWritten { row, outcome: Outcome::Acknowledged, server, reason: String::new() };
    let record = Record { event, ..story.records[at].clone() };
    story.records.insert(at, record);
    assert_eq!(story.judge("B9").conclusion(), Conclusion::Failed);
    let finding = story.judge("B10");
    assert_eq!(finding.conclusion(), Conclusion::Failed);
    assert!(finding.evidence().contains("misplaced 50"), "{}", finding.evidence());
}

#[test]
fn a_file_that_is_gone_after_the_return_breaks_b10() {
    let mut story = told::story();
    story.each(|e| {
        if let Event::FilesListed { listing, entries, .. } = e
            && listing == "returned"
        {
            entries.retain(|e| e.path != "qa/ledger.ibd");
        }
    });
    let finding = story.judge("B10");
    assert_eq!(finding.conclusion(), Conclusion::Failed);
    assert!(finding.evidence().contains("gone: qa/ledger.ibd"), "{}", finding.evidence());
}

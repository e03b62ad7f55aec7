//! Reports of a recorded run, and of runs that went wrong.

use std::path::{Path, PathBuf};

use rstest::rstest;
use seatrial::event::{self, Event, Record};
use seatrial::judge::Conclusion;
use seatrial::judge::stateless::facts;
use seatrial::report::{
    FORMATS, Format, Html, Json, Junit, Look, RunReport, State, Terminal, read, rejudge, write,
};
use serde_json::json;

use crate::story::value_in;

/// A run of both parts with a node stop.
pub(crate) fn recorded() -> Vec<Record> {
    event::read(&fixture()).expect("the fixture is a log")
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hermetic/recordings/schema-1/short-run.jsonl")
}

#[test]
fn a_report_from_the_file_equals_a_report_from_its_records() {
    for file in crate::missing_evidence::logs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hermetic")) {
        let (whole, slim) = (RunReport::of(&event::read(&file).unwrap()), read(&file).unwrap());
        for format in FORMATS {
            assert_eq!(
                render(*format, &whole),
                render(*format, &slim),
                "{} of {}",
                format.name(),
                file.display()
            );
        }
    }
}

/// Titles that are independent of the catalogue's wording.
fn title(id: &str) -> Option<&'static str> {
    match id {
        "A1" => Some("applying the manifest gives 2 ready pods"),
        "B8" => Some("when its node goes down a replacement comes up on another node"),
        "B9" => Some("the replacement is a new environment"),
        "B10" => Some("nothing was destroyed"),
        _ => None,
    }
}

pub(crate) fn report(records: &[Record]) -> RunReport {
    RunReport::with_titles(records, title)
}

pub(crate) fn render(format: &dyn Format, report: &RunReport) -> String {
    format.render(report, Look::default()).expect("the report can be rendered")
}

/// The recorded run with something wrong in every way that a report must show.
pub(crate) fn gone_wrong() -> Vec<Record> {
    let mut records = recorded();
    let until = records.iter().position(|r| matches!(&r.event, Event::FaultHealed { .. }));
    records.truncate(until.expect("a fault was healed"));
    for record in &mut records {
        if let Event::ClaimJudged { claim, verdict, evidence, details, took, .. } = &mut record.event {
            match claim.as_str() {
                "A7" => {
                    *verdict = Conclusion::Failed;
                    *details = vec![
                        "passed: no name and no UID in common".into(),
                        "failed: 3 of 40 requests through the Service were refused, the longest outage \
                         0.6 s from 22.1 s to 22.7 s while nginx-deployment-5d59d67564-7xkqp went away"
                            .into(),
                    ];
                    *evidence = "3 of 40 requests were refused".into();
                }
                "B8" => {
                    *verdict = Conclusion::Failed;
                    *took = Some(140.2);
                    *evidence = "the replacement took 140.2 s of 130.0 s".into();
                    *details = vec![format!("failed: {evidence}")];
                }
                "B9" => {
                    *verdict = Conclusion::Inconclusive;
                    *evidence = "no evidence: `server-uuid` was not observed".into();
                    *details = vec![format!("inconclusive: {evidence}")];
                }
                _ => {}
            }
        }
    }
    records
}

#[test]
fn the_terminal_shows_one_line_for_each_claim() {
    insta::assert_snapshot!("terminal", render(&Terminal, &report(&recorded())));
}

#[test]
fn the_terminal_shows_what_decided_against_a_claim() {
    insta::assert_snapshot!("terminal_gone_wrong", render(&Terminal, &report(&gone_wrong())));
}

#[test]
fn the_terminal_keeps_to_its_width() {
    for width in [80, 100, 120] {
        let look = Look { colour: false, width };
        let text = Terminal.render(&report(&gone_wrong()), look).expect("rendered");
        let long: Vec<&str> = text.lines().filter(|l| l.chars().count() > width).collect();
        assert!(long.is_empty(), "{width} columns: {long:#?}");
    }
    let look = Look { colour: true, width: 100 };
    let text = Terminal.render(&report(&gone_wrong()), look).expect("rendered");
    assert!(text.contains("\u{1b}[1;31mfailed"), "no colour: {text}");
}

/// With Kubernetes' default timing a claim takes minutes, and a time in minutes needs more room than one in seconds.
#[test]
fn a_long_time_leaves_the_evidence_less_room() {
    let mut report = report(&recorded());
    let claim = report.claims.iter_mut().find(|c| c.id == "B8").expect("it is recorded");
    (claim.took, claim.budget) = (Some(345.0), Some(406.0));
    claim.evidence = "evidence ".repeat(20);
    for width in [80, 100, 200] {
        let look = Look { width, ..Look::default() };
        let text = Terminal.render(&report, look).expect("rendered");
        let line = text.lines().find(|l| l.contains("B8")).expect("there is a line");
        assert!(line.trim_end().ends_with(" 5 min 45 s of 6 min 46 s"), "{line}");
        assert!(line.chars().count() <= width, "{line}");
    }
}

#[test]
fn json_has_the_documented_fields() {
    insta::assert_snapshot!("json", render(&Json, &report(&recorded())));
    let wrong: serde_json::Value =
        serde_json::from_str(&render(&Json, &report(&gone_wrong()))).expect("the report is JSON");
    assert_eq!(wrong["schema"], 1);
    assert_eq!(wrong["verdict"], "failed");
    let claims = wrong["claims"].as_array().expect("claims is a list");
    assert_eq!(claims.len(), 23);
    for field in ["id", "verdict", "title", "suite", "evidence", "took", "budget"] {
        assert!(claims.iter().all(|c| c.get(field).is_some()), "{field}");
    }
}

#[test]
fn junit_is_red_for_claims_that_are_not_proved() {
    insta::assert_snapshot!("junit_gone_wrong", render(&Junit, &report(&gone_wrong())));
    let parsed = quick_junit::Report::deserialize_from_str(&render(&Junit, &report(&gone_wrong())));
    let parsed = parsed.expect("the report is JUnit");
    // A7 and B8 failed, B9 inconclusive, B10 to B12 not judged.
    assert_eq!((parsed.tests, parsed.failures), (24, 6));
    let green = quick_junit::Report::deserialize_from_str(&render(&Junit, &report(&recorded())));
    let green = green.expect("the report is JUnit");
    assert_eq!((green.tests, green.failures, green.errors), (23, 0, 0));
}

#[test]
fn html_loads_nothing() {
    let page = render(&Html, &report(&gone_wrong()));
    for outside in ["http://", "https://", "src=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    for inside in
        ["mysql-75bdf9c8d6-k5b8z", "no evidence: `server-uuid`", "stop-node", "v1.34.4", "mysql:5.6"]
    {
        assert!(page.contains(inside), "{inside} is not in the page");
    }
}

#[test]
fn text_from_the_cluster_is_not_markup() {
    let mut records = recorded();
    for record in &mut records {
        if let Event::ClaimJudged { evidence, details, .. } = &mut record.event {
            *evidence = "<script>x</script> \u{1b}[2J & \"q\"".into();
            details.push("failed: ]]> <b>\u{0}".into());
        }
    }
    for format in FORMATS {
        let text = render(*format, &report(&records));
        assert!(!text.contains('\u{1b}') && !text.contains('\u{0}'), "{}", format.name());
    }
    assert!(!render(&Html, &report(&records)).contains("<script>x"));
    let junit = render(&Junit, &report(&records));
    quick_junit::Report::deserialize_from_str(&junit).expect("the report is JUnit");
}

#[test]
fn a_run_that_was_cut_off_is_not_passed() {
    let whole = recorded();
    let verdict = |records: &[Record]| report(records).verdict;
    assert_eq!(verdict(&whole), Conclusion::Passed);
    // Cut off at any place, the run never passes, and the report says that the run has no end.
    for until in (0..whole.len()).step_by(7) {
        let cut = report(&whole[..until]);
        assert_eq!(cut.verdict, Conclusion::Inconclusive, "{until} records");
        assert!(cut.defects.iter().any(|d| d.contains("end of the run is not recorded")), "{cut:#?}");
    }
}

#[test]
fn a_claim_that_was_not_judged_is_inconclusive_and_says_why() {
    let records = recorded();
    let broken = records.iter().cloned().filter_map(|mut record| {
        match &mut record.event {
            Event::ClaimJudged { claim, .. } if claim == "B12" => return None,
            Event::ScenarioEnded { error, .. }
                if record.scope.scenario.as_deref() == Some("stateful-single") =>
            {
                *error = Some("failed to apply pinned.yaml: the server said no".into());
            }
            _ => {}
        }
        Some(record)
    });
    let report = report(&broken.collect::<Vec<_>>());
    assert_eq!(report.verdict, Conclusion::Failed);
    let claim = report.claims.iter().find(|c| c.id == "B12").expect("B12 is in the report");
    assert_eq!(claim.verdict, Conclusion::Inconclusive);
    assert_eq!(
        claim.evidence,
        "not judged: the story broke: failed to apply pinned.yaml: the server said no"
    );
    assert!(report.defects.iter().any(|d| d.contains("of writer 4711 are missing")), "{:?}", report.defects);
}

/// A namespace that cannot be deleted is reported on its own line. The story was not broken, and its claims keep
/// their verdicts.
#[test]
fn leftovers_of_a_story_change_no_verdict() {
    let held =
        "failed to delete namespace seatrial-mysql-x, held by ConfigMap m (finalizers example.com/hold)";
    let mut records = recorded();
    let was = report(&records);
    for record in &mut records {
        if let Event::ScenarioEnded { left, .. } = &mut record.event {
            left.push(held.into());
        }
    }
    let report = report(&records);
    assert_eq!((report.verdict, report.counts), (was.verdict, was.counts));
    assert!(report.suites.iter().all(|s| s.error.is_none() && s.left == [held]), "{:#?}", report.suites);
    for format in FORMATS {
        let shown = format.render(&report, Look::default()).unwrap();
        let spaced = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(spaced.contains(held), "{}: {shown}", format.name());
        assert!(!shown.contains("story broke"), "{}: {shown}", format.name());
    }
}

#[test]
fn a_suite_that_never_began_is_reported_missing() {
    let records: Vec<Record> = recorded()
        .into_iter()
        .filter(|r| r.scope.scenario.as_deref() != Some("stateful-single"))
        .enumerate()
        .map(|(seq, record)| Record { seq: seq as u64, ..record })
        .collect();
    let report = report(&records);
    assert_eq!(report.defects, ["suite stateful-single did not begin"]);
    assert_eq!(report.verdict, Conclusion::Inconclusive);
}

/// Every story passed, but the run's end says otherwise.
#[test]
fn a_verdict_of_the_run_itself_is_shown_with_its_reason() {
    for (given, word) in [(Conclusion::Inconclusive, "inconclusive"), (Conclusion::Failed, "failed")] {
        let mut records = recorded();
        for record in &mut records {
            if let Event::RunEnded { verdict } = &mut record.event {
                *verdict = given;
            }
        }
        let report = report(&records);
        assert_eq!(report.verdict, given);
        let reason = format!("the run was ended as {word}: it was interrupted,");
        for format in FORMATS {
            let text = render(*format, &report);
            assert!(text.contains(&reason), "{}: {text}", format.name());
        }
        let junit = quick_junit::Report::deserialize_from_str(&render(&Junit, &report)).expect("JUnit");
        assert_eq!((junit.failures, junit.errors), (0, 1));
    }
}

#[test]
fn a_run_without_a_claim_says_so() {
    let records: Vec<Record> = recorded()
        .into_iter()
        .filter(|r| r.scope.scenario.is_none())
        .enumerate()
        .map(|(seq, mut record)| {
            if let Event::RunStarted { suites, .. } = &mut record.event {
                suites.clear();
            }
            Record { seq: seq as u64, ..record }
        })
        .collect();
    let report = report(&records);
    assert_eq!(report.defects, ["no claim was judged"]);
    assert_eq!(report.verdict, Conclusion::Inconclusive);
}

#[test]
fn a_fault_that_nobody_healed_is_shown() {
    let report = report(&gone_wrong());
    assert!(report.defects.iter().any(|d| d.starts_with("stop-node on")), "{:?}", report.defects);
}

#[test]
fn a_claim_that_was_judged_twice_has_the_worse_verdict() {
    let mut records = recorded();
    let at =
        records.iter().position(|r| matches!(&r.event, Event::ClaimJudged { claim, .. } if claim == "A10"));
    let at = at.expect("A10 was judged");
    let mut bad = records[at].clone();
    if let Event::ClaimJudged { verdict, details, evidence, .. } = &mut bad.event {
        *verdict = Conclusion::Failed;
        *evidence = "a pod was left".into();
        *details = vec!["failed: a pod was left".into()];
    }
    records.insert(at, bad);
    let report = report(&records);
    let claim = report.claims.iter().find(|c| c.id == "A10").expect("A10 is in the report");
    assert_eq!((claim.verdict, claim.evidence.as_str()), (Conclusion::Failed, "a pod was left"));
    assert_eq!(claim.details.len(), 3);
}

#[test]
fn the_same_suite_twice_keeps_two_names() {
    let mut records = recorded();
    let again: Vec<Record> = records
        .iter()
        .filter(|r| r.scope.scenario.as_deref() == Some("stateless"))
        .cloned()
        .map(|mut record| {
            if let Event::ClusterReady { kubernetes, .. } = &mut record.event {
                *kubernetes = "v1.35.4".into();
            }
            record.writer += 1;
            record
        })
        .collect();
    records.splice(records.len() - 1..records.len() - 1, again);
    let report = report(&records);
    let names: Vec<&str> = report.suites.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["stateless on v1.34.4", "stateful-single", "stateless on v1.35.4"]);
    assert_eq!(report.claims.len(), 34);
}

#[test]
fn judging_again_changes_nothing_the_second_time() {
    let once = rejudge(&recorded(), |_| &[]);
    let twice = rejudge(&once.records, |_| &[]);
    assert!(twice.changes.is_empty(), "{:?}", twice.changes);
    assert_eq!(once.report().claims, twice.report().claims);
    assert_eq!(render(&Json, &twice.report()), render(&Json, &RunReport::of(&once.records)));
    // A verdict that the evidence does not support is a defect of the judged run.
    assert_eq!(once.report().defects.len(), once.changes.len() + twice.report().defects.len());
}

/// The recorded run, after a change to the records and to their numbers.
fn bent(bend: impl FnOnce(&mut Vec<Record>)) -> RunReport {
    let mut records = event::read(&crate::story::fixture()).expect("the recorded run");
    bend(&mut records);
    for (seq, record) in records.iter_mut().enumerate() {
        record.seq = seq as u64;
    }
    rejudge(&records, |_| &[]).report()
}

fn is_judged(record: &Record, id: &str) -> bool {
    matches!(&record.event, Event::ClaimJudged { claim, .. } if claim == id)
}

#[test]
fn a_verdict_without_support_in_its_evidence_is_a_named_defect() {
    for with_details in [true, false] {
        let report = bent(|records| {
            let a1 = records.iter_mut().find(|r| is_judged(r, "A1")).unwrap();
            if let Event::ClaimJudged { verdict, details, .. } = &mut a1.event {
                *verdict = Conclusion::Failed;
                details.retain(|_| with_details);
            }
        });
        let claim = report.claims.iter().find(|c| c.id == "A1").unwrap();
        assert_eq!((claim.verdict, report.verdict), (Conclusion::Passed, Conclusion::Inconclusive));
        let said = "A1 of stateless is recorded as failed by seatrial";
        assert!(report.defects.iter().any(|d| d.starts_with(said)), "{:?}", report.defects);
    }
}

#[test]
fn a_claim_that_this_version_does_not_know_is_shown_as_it_was_recorded() {
    let report = bent(|records| {
        let at = records.iter().position(|r| is_judged(r, "A1")).unwrap();
        let mut own = records[at].clone();
        if let Event::ClaimJudged { claim, verdict, evidence, .. } = &mut own.event {
            (*claim, *verdict, *evidence) = ("own-1".into(), Conclusion::Failed, "a row is lost".into());
        }
        records.insert(at, own);
    });
    let claim = report.claims.iter().find(|c| c.id == "own-1").unwrap();
    assert_eq!(claim.verdict, Conclusion::Failed);
    let said = "not judged again: this version does not know it, seatrial ";
    assert!(claim.evidence.starts_with(said), "{}", claim.evidence);
    assert!(claim.evidence.ends_with(" recorded it and can: a row is lost"), "{}", claim.evidence);
}

/// An inconclusive claim without a check at the end of a story was not reached. Anywhere else the record was edited.
#[test]
fn a_claim_that_its_story_did_not_reach_stays_inconclusive() {
    let not_reached = |records: &mut Vec<Record>, at: usize| {
        if let Event::ClaimJudged { verdict, details, evidence, .. } = &mut records[at].event {
            (*verdict, *evidence) = (Conclusion::Inconclusive, "not reached: x".into());
            details.clear();
        }
    };
    let verdict = |report: &RunReport| report.claims.iter().find(|c| c.id == "A1").unwrap().verdict;
    let edited = bent(|records| {
        let at = records.iter().position(|r| is_judged(r, "A1")).unwrap();
        not_reached(records, at);
    });
    assert_eq!(verdict(&edited), Conclusion::Passed);
    let reached = bent(|records| {
        let at = records.iter().position(|r| is_judged(r, "A1")).unwrap();
        let record = records.remove(at);
        let end = records.iter().position(|r| matches!(r.event, Event::ScenarioEnded { .. })).unwrap();
        records.insert(end, record);
        not_reached(records, end);
    });
    assert_eq!(verdict(&reached), Conclusion::Inconclusive);
}

#[test]
fn every_format_is_written_completely_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a folder");
    let files = write(FORMATS, &report(&recorded()), dir.path()).expect("written");
    let names: Vec<_> = files.iter().filter_map(|f| f.file_name()?.to_str()).collect();
    assert_eq!(names, ["report.json", "junit.xml", "report.html"]);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 3, "something is left over");
    let gone =
        write(FORMATS, &report(&recorded()), &dir.path().join("none")).expect_err("there is no such folder");
    assert!(gone.to_string().contains("report.json"), "{gone}");
}

/// Schema 1 of the log as it was written on 24 November 2026, and the same log in later schemas. Every later version
/// must read each log completely and judge it alike.
#[rstest]
fn a_run_of_each_schema_stays_readable(#[values(1, 2)] schema: u32) {
    let file = crate::schemas::folder().join(format!("schema-{schema}/stateless.jsonl"));
    let records = event::read(&file).expect("it is read");
    let text = std::fs::read_to_string(&file).expect("the fixture");
    for (line, record) in text.lines().zip(&records) {
        let written: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(written["schema"], schema, "the fixture is of another schema");
        assert_ne!(record.event, Event::Unknown, "{line}");
        assert_eq!(serde_json::to_value(record).expect("JSON"), written, "a field is lost");
    }
    let rejudged = rejudge(&records, |_| &[]);
    assert!(rejudged.changes.is_empty(), "{:?}", rejudged.changes);
    let report = rejudged.report();
    assert_eq!((report.verdict, report.counts.passed, report.claims.len()), (Conclusion::Passed, 11, 11));
}

/// Records of one story, each with a second and an event in JSON.
fn told(events: Vec<(f64, serde_json::Value)>) -> Vec<Record> {
    let all = events.into_iter().enumerate().map(|(seq, (second, mut event))| {
        let micros = (second * 1e6) as i64;
        let at = jiff::Timestamp::from_microsecond(1_790_000_000_000_000 + micros).unwrap();
        let place = serde_json::json!({"schema": 1, "seq": seq, "writer": 7, "at": at, "mono_us": micros,
            "run": "r", "scenario": "s"});
        event.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    });
    all.collect()
}

/// The spans of a probe's lane: from, to, state.
fn spans(records: &[Record], probe: &str) -> Vec<(f64, f64, State)> {
    let report = RunReport::of(records);
    let lane = report.timelines[0].lanes.iter().find(|l| l.group == "probes" && l.name == probe).unwrap();
    lane.spans.iter().map(|s| (s.from, s.to, s.state)).collect()
}

#[test]
fn an_outage_is_drawn_from_the_last_answer_to_the_next() {
    let sample = |outcome: &str| json!({"event": "sampled", "probe": "http", "outcome": outcome, "took_ms": 900.0, "detail": "curl 28"});
    let records = told(vec![
        (0.0, sample("acknowledged")),
        (1.0, sample("acknowledged")),
        (3.0, sample("refused")),
        (4.0, sample("refused")),
        (5.0, sample("acknowledged")),
        (6.0, sample("acknowledged")),
    ]);
    let drawn = [(0.0, 1.0, State::Good), (1.0, 5.0, State::Bad), (5.0, 6.0, State::Good)];
    assert_eq!(spans(&records, "http"), drawn);
}

/// One probe ends, and another one of the same name begins later.
#[test]
fn nothing_is_drawn_while_no_probe_asks() {
    let sample = |outcome: &str| json!({"event": "sampled", "probe": "http", "outcome": outcome, "took_ms": 900.0, "detail": ""});
    let told = told(vec![
        (0.0, sample("acknowledged")),
        (1.0, sample("refused")),
        (6.9, sample("acknowledged")),
        (8.0, sample("acknowledged")),
    ]);
    let drawn = [(0.0, 0.0, State::Good), (0.0, 1.0, State::Bad), (6.9, 8.0, State::Good)];
    assert_eq!(spans(&told, "http"), drawn);
}

#[test]
fn a_pause_is_neither_good_nor_bad() {
    let server = json!({"uuid": "u", "pod": "p", "pod_uid": "x", "node": "w", "address": ""});
    let row = |n: u64, outcome: &str| {
        json!({"event": "row-written", "row": {"writer": "w1", "number": n, "checksum": "c"}, "outcome": outcome, "server": server,
            "reason": "gone"})
    };
    let records = told(vec![
        (0.0, row(1, "acknowledged")),
        (1.0, row(2, "acknowledged")),
        (2.0, json!({"event": "probe-paused", "probe": "w1"})),
        (5.0, json!({"event": "probe-resumed", "probe": "w1"})),
        (6.0, row(3, "refused")),
        (7.0, row(4, "acknowledged")),
    ]);
    let drawn = [(0.0, 2.0, State::Good), (5.0, 7.0, State::Bad), (7.0, 7.0, State::Good)];
    assert_eq!(spans(&records, "w1"), drawn);
}

#[test]
fn a_server_without_the_table_is_drawn_as_broken_and_its_rows_do_not_count() {
    let server = json!({"uuid": "u", "pod": "p", "pod_uid": "x", "node": "w", "address": ""});
    let row = |n: u64| json!({"writer": "w1", "number": n, "checksum": "c"});
    let written = |n: u64| json!({"event": "row-written", "row": row(n), "outcome": "acknowledged", "server": server, "reason": ""});
    let records = told(vec![
        (0.0, written(1)),
        (
            1.0,
            json!({"event": "rows-sampled", "reader": "r", "outcome": "acknowledged", "server": server,
            "exists": false, "began_us": 900_000, "writers": [], "reason": ""}),
        ),
        (3.0, written(2)),
        (
            4.0,
            json!({"event": "rows-read", "reading": "late", "server": server, "exists": true,
            "rows": [row(1), row(3)], "began_us": 2_000_000}),
        ),
        (5.0, written(3)),
    ]);
    assert_eq!(spans(&records, "r"), [(0.9, 1.0, State::Bad)]);
    let report = RunReport::of(&records);
    let reading = &report.suites[0].rows.as_ref().unwrap().readings[0];
    assert_eq!((reading.found, reading.missing, reading.foreign), (2, 0, 0));
}

#[test]
fn characters_that_xml_forbids_do_not_break_the_file() {
    let mut report = report(&recorded());
    report.claims[0].evidence = "a\u{fffe}b\u{ffff}c\u{1}".into();
    report.defects.push("x\u{ffff}".into());
    let xml = render(&Junit, &report);
    assert!(!xml.contains(['\u{fffe}', '\u{ffff}', '\u{1}']), "{xml}");
}

/// A failure that is edited to `inconclusive` without a check, at the end of its story, is not taken for one
/// that the story did not reach.
#[test]
fn an_edited_verdict_at_the_end_of_its_story_is_judged_again() {
    let mut records = event::read(&crate::story::fixture()).unwrap();
    for record in &mut records {
        if let Some(value) = value_in(&mut record.event, &facts::BACKGROUND.after) {
            value["pods"] = json!([{"metadata": {"name": "left", "uid": "left"}}]);
        }
    }
    let at =
        records.iter().position(|r| matches!(&r.event, Event::ClaimJudged { claim, .. } if claim == "A10"));
    let at = at.unwrap();
    // The object that changed afterwards is recorded as changed before.
    let (a, b) = (records[at].event.clone(), records[at + 1].event.clone());
    (records[at].event, records[at + 1].event) = (b, a);
    let Event::ClaimJudged { verdict, details, reached, .. } = &mut records[at + 1].event else {
        unreachable!()
    };
    // The end as this version records it.
    (*verdict, *details, *reached) = (Conclusion::Inconclusive, Vec::new(), Some(true));
    let again = rejudge(&records, |_| &[]);
    let Event::ClaimJudged { verdict, .. } = &again.records[at + 1].event else { unreachable!() };
    assert_eq!(*verdict, Conclusion::Failed, "{:?}", again.changes);
}

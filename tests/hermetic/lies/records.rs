//! Lies in the file of a run: cut, edited, mixed with another run, or from another time. The run is judged again from
//! the file.

use seatrial::event;
use seatrial::judge::stateless::facts::BAD_IMAGE_WAIT;
use seatrial::report::rejudge;

use super::{FAILED, Found, Lie, OPEN, Told, Verdict};
use crate::story;

pub(super) static LIES: &[Lie] = &[
    file("an events file cut in half", "A11", cut_in_half, OPEN, "not judged: the records end too early"),
    file(
        "a line cut out of the middle",
        "A8",
        |l| drop(l.remove(before("A8", l))),
        OPEN,
        "of writer 4242 are missing",
    ),
    file(
        "the head of the file cut off",
        "A1",
        |l| drop(l.drain(..30)),
        OPEN,
        "records 0 to 29 of writer 4242 are missing",
    ),
    file(
        "a line that is there twice",
        "A8",
        |l| l.insert(before("A8", l), l[before("A8", l)].clone()),
        OPEN,
        "of writer 4242 is there twice",
    ),
    file("two lines in another order", "A8", |l| swapped(l), OPEN, "stands after record"),
    file(
        "a failure called passed by hand",
        "A11",
        |l| called_passed(l),
        FAILED,
        "the wait ended by its deadline",
    ),
    file(
        "a failure called passed by hand, without a single check",
        "A11",
        |l| {
            called_passed(l);
            without_checks(l, "A11");
        },
        FAILED,
        "the wait ended by its deadline",
    ),
    file("a verdict without its evidence", "A11", without_evidence, OPEN, "of writer 4242 are missing"),
    file("records of another run mixed in", "A11", mixed, Verdict::Refused, "is of run 20261124-000000-0000"),
    file(
        "a file of a future version",
        "A11",
        |l| replace(l, "\"schema\":2", "\"schema\":3"),
        Verdict::Refused,
        "has schema 3, this seatrial reads up to 2",
    ),
    file(
        "a line that is no record",
        "A11",
        |l| l.insert(9, "{}".into()),
        Verdict::Refused,
        "events.jsonl:10 is not an event",
    ),
    file(
        "a monotonic clock that goes back",
        "A11",
        |l| clock_back(l),
        OPEN,
        "the monotonic clock of writer 4242 goes back by",
    ),
    file(
        "a wall clock that jumps an hour",
        "A11",
        |l| shift(l, 3600.0),
        OPEN,
        "the clocks disagree on how long it took",
    ),
    file(
        "a clock that makes a long wait short",
        "A11",
        |l| shift(l, -90.0),
        OPEN,
        "the clocks disagree on how long it took",
    ),
    file(
        "a claim that the story never reached",
        "A11",
        |l| never_reached(l),
        OPEN,
        "not judged: the story ended without it",
    ),
    file(
        "a judgement of an unknown kind",
        "A11",
        |l| replace(l, "\"event\":\"claim-judged\"", "\"event\":\"claim-praised\""),
        OPEN,
        "not judged: the story ended without it",
    ),
];

const fn file(
    name: &'static str,
    claim: &'static str,
    bend: fn(&mut Vec<String>),
    comes_out: Verdict,
    betrayed_by: &'static str,
) -> Lie {
    Lie { name, claim, told: Told::File(bend), comes_out, betrayed_by }
}

/// The lines of the recorded run.
pub(super) fn lines() -> Vec<String> {
    let text = std::fs::read_to_string(story::fixture()).expect("the recorded run");
    text.lines().map(str::to_owned).collect()
}

/// The result of `seatrial judge` on a claim in a file with these lines.
pub(super) fn judged_again(lines: &[String], claim: &str) -> Found {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("events.jsonl");
    std::fs::write(&path, lines.join("\n") + "\n").expect("a file");
    let records = match event::read(&path) {
        Ok(records) => records,
        Err(error) => {
            let said = error.to_string().replace(&format!("{}/", dir.path().display()), "");
            return (Verdict::Refused, said);
        }
    };
    let report = rejudge(&records, |_| &[]).report();
    let found = report.claims.iter().find(|c| c.id == claim).expect("the claim is in the report");
    (Verdict::Judged(found.verdict), found.evidence.clone())
}

/// The line at which a claim was judged.
fn judgement(claim: &str, lines: &[String]) -> usize {
    let line = format!("\"event\":\"claim-judged\",\"claim\":\"{claim}\"");
    lines.iter().position(|l| l.contains(&line)).expect("it was judged")
}

fn before(claim: &str, lines: &[String]) -> usize {
    judgement(claim, lines) - 1
}

fn replace(lines: &mut [String], what: &str, with: &str) {
    for line in lines {
        *line = line.replace(what, with);
    }
}

fn cut_in_half(lines: &mut Vec<String>) {
    let half = lines.len() / 2;
    lines.truncate(half);
    let last = lines.last_mut().expect("a line");
    last.truncate(last.len() / 2);
    // A killed writer leaves no newline at the end. The file is written with one, so it is cut here.
    lines.pop();
}

fn swapped(lines: &mut [String]) {
    let at = before("A8", lines);
    lines.swap(at - 1, at);
}

/// The wait ran into its deadline, but the recorded judgement says that it did not.
fn called_passed(lines: &mut [String]) {
    for line in lines {
        if is_wait(line) {
            *line = line.replace("\"ended\":\"never\",\"why\"", "\"ended\":\"timeout\",\"last\"");
        }
    }
}

fn without_checks(lines: &mut [String], claim: &str) {
    let at = judgement(claim, lines);
    let mut record: serde_json::Value = serde_json::from_str(&lines[at]).expect("JSON");
    record["details"] = serde_json::json!([]);
    lines[at] = record.to_string();
}

fn without_evidence(lines: &mut Vec<String>) {
    lines.retain(|line| !is_wait(line));
}

fn is_wait(line: &str) -> bool {
    line.contains(&format!("\"what\":\"{}\"", BAD_IMAGE_WAIT.name()))
}

fn mixed(lines: &mut Vec<String>) {
    let at = before("A11", lines);
    let foreign = lines[at].replace("20261124-151229-5eed", "20261124-000000-0000");
    lines.insert(at, foreign);
}

/// Changes the numbers of a field of every line from a mark on.
fn from_mark(lines: &mut [String], mark: &str, change: impl Fn(&mut serde_json::Value)) {
    let named = format!("\"mark\":\"{mark}\"");
    let at = lines.iter().position(|l| l.contains(&named)).expect("the mark");
    for line in &mut lines[at..] {
        let mut record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        change(&mut record);
        *line = record.to_string();
    }
}

fn clock_back(lines: &mut [String]) {
    from_mark(lines, "bad-image-refused", |record| {
        record["mono_us"] = (record["mono_us"].as_u64().expect("a number") - 10_000_000).into();
    });
}

/// During the wait the wall clock advances by this many seconds more than the monotonic clock.
fn shift(lines: &mut [String], seconds: f64) {
    from_mark(lines, "bad-image-refused", |record| {
        let at: jiff::Timestamp = record["at"].as_str().and_then(|at| at.parse().ok()).expect("a time");
        record["at"] = (at + jiff::SignedDuration::from_secs_f64(seconds)).to_string().into();
    });
}

fn never_reached(lines: &mut [String]) {
    let at = judgement("A11", lines);
    // Nothing is missing, but one record is replaced.
    lines[at] = lines[at].replace("\"event\":\"claim-judged\"", "\"event\":\"noted\",\"text\":\"x\"");
}

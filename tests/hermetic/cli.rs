//! The command line, as a process of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::event::{self, Event, Record};
use seatrial::exec::{Exec, ExecError};
use seatrial::fault::FAULTS;
use seatrial::report::{self, RunReport, rejudge};
use seatrial::suite::SUITES;
use serde_json::Value;

use crate::fake_engine::FakeEngine;

/// A home directory with a few runs in it.
pub struct Home {
    pub dir: tempfile::TempDir,
}

/// How the command ended.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    pub fn runs(&self) -> PathBuf {
        self.dir.path().join("state/seatrial/runs")
    }

    /// Writes a run of these lines into the home directory.
    pub fn keep(&self, id: &str, events: &str) -> PathBuf {
        let dir = self.runs().join(id);
        std::fs::create_dir_all(&dir).expect("a folder");
        std::fs::write(dir.join("events.jsonl"), events).expect("a file");
        dir
    }

    pub async fn seatrial(&self, args: &[&str]) -> Ended {
        self.with_engine(&format!("unix://{}", self.dir.path().join("no-engine.sock").display()), args).await
    }

    pub async fn with_engine(&self, host: &str, args: &[&str]) -> Ended {
        self.run(Exec::new(env!("CARGO_BIN_EXE_seatrial")), host, args).await
    }

    /// Runs the command with standard output on a full disk.
    pub async fn with_full_disk(&self, host: &str, args: &[&str]) -> Ended {
        let script = r#"exec "$0" "$@" >/dev/full"#;
        let exec = Exec::new("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_seatrial")]);
        self.run(exec, host, args).await
    }

    async fn run(&self, exec: Exec, host: &str, args: &[&str]) -> Ended {
        let home = self.dir.path();
        let exec = exec
            .args(args)
            .clear_env()
            .env("HOME", home)
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("DOCKER_HOST", host)
            .env("PATH", home.join("bin"));
        match exec.run(Deadline::after(Duration::from_secs(30))).await {
            Ok(output) => Ended { code: 0, out: output.stdout, err: output.stderr },
            Err(ExecError::Failed { status, stdout, stderr, .. }) => {
                Ended { code: status.code().unwrap_or(-1), out: stdout, err: stderr }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

pub fn fixture() -> String {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hermetic/recordings/schema-1/short-run.jsonl");
    std::fs::read_to_string(file).expect("the fixture")
}

/// The fixture with the verdict of one claim changed.
fn turned(verdict: &str) -> String {
    let passed = r#""claim":"A10","verdict":"passed""#;
    fixture().replace(passed, &passed.replace("passed", verdict))
}

#[tokio::test]
async fn faults_are_listed_without_an_engine_and_wrong_arguments_are_usage_errors() {
    let home = Home::new();
    let listed = home.seatrial(&["fault", "list"]).await;
    assert_eq!(listed.code, 0, "{}", listed.err);
    let json: Value =
        serde_json::from_str(&home.seatrial(&["fault", "list", "--json"]).await.out).expect("JSON");
    for (at, fault) in FAULTS.iter().enumerate() {
        assert!(listed.out.contains(fault.about()), "{}", listed.out);
        assert_eq!(json["faults"][at]["name"], fault.name());
    }
    for (args, code, said) in [
        (&["inject", "sink", "worker"][..], 2, "possible values: stop, kill"),
        (&["inject", "stop", "worker", "--for", "soon"], 2, "not a duration"),
        (&["inject", "stop", "worker", "--pod", "web"], 2, "not NAMESPACE/NAME"),
        (
            &["inject", "stop", "worker", "--with", "speed=1"],
            2,
            "error: `stop` cannot take speed=1: it takes grace=VALUE",
        ),
        (&["clear"], 2, "required"),
        (&["inject", "stop", "worker"], 69, "error: failed to reach a container engine"),
        (&["clear", "--all"], 69, "error: failed to reach a container engine"),
    ] {
        let ended = home.seatrial(&[&["fault"], args].concat()).await;
        assert!(ended.code == code && ended.err.contains(said), "{args:?}: {} {}", ended.code, ended.err);
    }
}

/// A worker of a cluster that belongs to somebody else.
#[tokio::test]
async fn a_foreign_or_missing_node_is_refused_from_the_shell() -> anyhow::Result<()> {
    let (home, fake) = (Home::new(), FakeEngine::cluster(&["cp"])?);
    for (args, code, said) in [
        (
            &["inject", "stop", "w"][..],
            77,
            "error: w is a node of a cluster with another owner\nhint: `seatrial list`",
        ),
        (&["inject", "stop", "worker9"], 69, "error: no node is called worker9"),
        (&["clear", "worker9"], 69, "error: no node is called worker9"),
        (&["clear", "--all"], 0, ""),
    ] {
        let ended = home.with_engine(&fake.host(), &[&["fault"], args].concat()).await;
        assert!(ended.code == code && ended.err.contains(said), "{args:?}: {} {}", ended.code, ended.err);
    }
    assert_eq!(fake.changes(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn report_last_without_any_run_says_what_to_do() {
    let ended = Home::new().seatrial(&["report", "last"]).await;
    assert_eq!(ended.code, 65, "{}", ended.err);
    assert!(ended.out.is_empty());
    let lines: Vec<&str> = ended.err.lines().collect();
    assert!(lines[0].starts_with("error: there is no run in "), "{lines:?}");
    assert_eq!(lines[1..], ["hint: seatrial run"]);
}

#[tokio::test]
async fn a_run_is_found_by_last_id_prefix_and_folder() {
    let home = Home::new();
    let old = fixture().replace("2026-11-24T", "2025-11-24T");
    home.keep("20261124-091500-3f7a", &old);
    let newest = home.keep("20261125-100000-0001", &old);
    // A run that was killed before its first record is sorted by the time of its file.
    home.keep("20261125-100000-0002", "");
    std::fs::create_dir_all(home.runs().join("20261126-000000-aaaa")).expect("a folder without events");
    let folder = newest.to_string_lossy().into_owned();
    for name in ["20261124-091500-3f7a", "20261124", "20261125-100000-0001", &folder] {
        let ended = home.seatrial(&["report", name, "--format", "json"]).await;
        assert_eq!(ended.code, 0, "{name}: {}", ended.err);
        assert!(ended.out.starts_with("{\n  \"schema\": 1,\n"), "{name}: {}", ended.out);
    }
    // Runs of test runners have ids without a time, so they are sorted by the time of their first record.
    let records =
        fixture().replace("2026-11-24T", "2025-01-01T").replace("20261124-091500-3f7a", "nextest-12");
    home.keep("nextest-12", &records);
    let oldest = home.seatrial(&["report", "nextest", "--format", "json"]).await;
    assert!(oldest.out.contains("\"run\": \"nextest-12\""), "{}", oldest.out);
    let several = home.seatrial(&["report", "20261125"]).await;
    assert_eq!(several.code, 65);
    assert!(
        several.err.contains("20261125 matches several runs: 20261125-100000-0001, 20261125-100000-0002"),
        "{}",
        several.err
    );
    let unknown = home.seatrial(&["report", "2027"]).await;
    assert_eq!(unknown.code, 65);
    assert!(
        unknown.err.contains("no run is called 2027\nhint: the newest runs are 20261125-100000-0002"),
        "{}",
        unknown.err
    );
    let empty = home.seatrial(&["report", "last"]).await;
    assert_eq!(empty.code, 65);
    assert!(empty.err.contains("has no complete record"), "{}", empty.err);
}

#[tokio::test]
async fn a_truncated_log_is_reported_and_not_passed() {
    let home = Home::new();
    let whole = fixture();
    home.keep("20261124-091500-3f7a", &whole[..whole.len() / 2]);
    let ended = home.seatrial(&["report"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.starts_with("run 20261124-091500-3f7a: inconclusive"), "{}", ended.out);
    assert!(ended.out.contains("the end of the run is not recorded"), "{}", ended.out);
}

#[tokio::test]
async fn a_foreign_or_future_log_is_refused_with_its_place() {
    let home = Home::new();
    home.keep("20261124-000000-0001", "{\"level\":\"info\"}\n");
    let foreign = home.seatrial(&["report"]).await;
    assert_eq!(foreign.code, 65);
    assert!(foreign.err.contains("events.jsonl:1 is not an event: missing field"), "{}", foreign.err);
    home.keep("20261124-000000-0002", &fixture().replace("\"schema\":1", "\"schema\":7"));
    // The log is judged by its run's id. A log without times counts as created now, perhaps after every fixture.
    let future = home.seatrial(&["judge", "20261124-000000-0002"]).await;
    assert_eq!(future.code, 65);
    assert!(future.err.contains("has schema 7, this seatrial reads up to 2\nhint: "), "{}", future.err);
    let dir = home.seatrial(&["report", &home.dir.path().to_string_lossy()]).await;
    assert_eq!(dir.code, 65);
    assert!(dir.err.contains("is not the folder of a run: it has no events.jsonl"), "{}", dir.err);
}

#[tokio::test]
async fn every_error_is_one_line_in_lower_case_and_a_hint() {
    let home = Home::new();
    for args in [&["report"][..], &["judge", "x"], &["claims", "Z9"], &["list"], &["up"]] {
        let ended = home.seatrial(args).await;
        let lines: Vec<&str> = ended.err.lines().filter(|l| !l.starts_with('[')).collect();
        assert_eq!(lines.len(), 2, "{args:?}: {}", ended.err);
        assert!(lines[0].starts_with("error: ") && lines[1].starts_with("hint: "), "{args:?}: {lines:?}");
        assert!(lines[0].chars().nth(7).is_some_and(|c| !c.is_uppercase()), "{args:?}: {lines:?}");
    }
}

#[tokio::test]
async fn the_same_log_gives_the_same_bytes() {
    let home = Home::new();
    home.keep("20261124-091500-3f7a", &fixture());
    for format in ["json", "junit", "html", "terminal", "markdown", "github"] {
        let args = ["report", "last", "--format", format];
        assert_eq!(home.seatrial(&args).await.out, home.seatrial(&args).await.out, "{format}");
    }
}

#[tokio::test]
async fn judging_again_says_what_changed_and_ends_with_the_verdict() {
    let home = Home::new();
    // The fixture was not recorded from a cluster, so this version's judges come to other verdicts.
    home.keep("20261124-091500-3f7a", &turned("failed"));
    let ended = home.seatrial(&["judge", "--format", "json"]).await;
    let again: serde_json::Value = serde_json::from_str(&ended.out).expect("JSON");
    let code = match again["verdict"].as_str() {
        Some("passed") => 0,
        Some("failed") => 1,
        _ => 3,
    };
    assert_eq!(ended.code, code, "{}", ended.err);
    let claim = again["claims"].as_array().expect("claims").iter().find(|c| c["id"] == "A10").expect("A10");
    let said = ended.err.contains("A10 of stateless was failed");
    assert_eq!(said, claim["verdict"] != "failed", "{}", ended.err);
}

#[tokio::test]
async fn a_misspelled_word_is_answered_with_the_right_one() {
    let home = Home::new();
    for (args, right) in [
        (&["reprot"][..], "report"),
        (&["report", "--format", "jsn"], "json"),
        (&["up", "--topology", "tree"], "three"),
        (&["run", "--suite", "mysqll"], "mysql"),
        (&["run", "--profile", "ofline"], "offline"),
    ] {
        let ended = home.seatrial(args).await;
        assert_eq!(ended.code, 2, "{args:?}: {}", ended.err);
        assert!(ended.err.contains(&format!("'{right}'")), "{args:?}: {}", ended.err);
    }
}

#[tokio::test]
async fn help_is_complete() {
    let home = Home::new();
    let help = home.seatrial(&["--help"]).await;
    assert_eq!(help.code, 0);
    insta::assert_snapshot!("help", help.out);
    for command in ["report", "judge", "run", "up", "reap", "plan", "doctor", "upgrade"] {
        let help = home.seatrial(&[command, "--help"]).await;
        assert_eq!(help.code, 0, "{}", help.err);
        insta::assert_snapshot!(format!("help_{command}"), help.out);
    }
}

#[tokio::test]
async fn claims_lists_the_catalogue() {
    let home = Home::new();
    let all = home.seatrial(&["claims"]).await;
    assert_eq!(all.code, 0, "{}", all.err);
    // Claims of trials and of watches belong to no suite.
    use seatrial::judge::{trial, watch};
    let is_told = |id: &str| trial::CLAIMS.iter().chain(&watch::CLAIMS).any(|claim| claim.id == id);
    for part in seatrial::judge::CLAIMS {
        for claim in part.iter().filter(|claim| !is_told(claim.id)) {
            assert!(
                all.out.lines().any(|l| l.starts_with(claim.id) && l.ends_with(claim.title)),
                "{}",
                claim.id
            );
        }
    }
}

#[tokio::test]
async fn plan_shows_every_claim_and_the_arithmetic_without_an_engine() {
    let home = Home::new();
    let plan = home.seatrial(&["plan", "--profile", "offline"]).await;
    assert_eq!(plan.code, 0, "{}", plan.err);
    // A suite that changes its cluster runs only when it is named.
    for suite in SUITES.iter().filter(|s| !s.only_named()) {
        for claim in suite.needs.claims {
            assert!(
                plan.out.lines().any(|l| l.starts_with(&format!("  {:<4} ", claim.id))),
                "{}: {}",
                claim.id,
                plan.out
            );
        }
    }
    assert!(plan.out.contains("node-monitor-grace-period") && plan.out.contains("in all"), "{}", plan.out);
    assert!(!home.dir.path().join("state").exists(), "plan touched the state folder");
    let upgrade = home.seatrial(&["plan", "--profile", "offline", "--suite", "upgrade"]).await;
    assert!(upgrade.out.contains("  D4 "), "{}", upgrade.out);
    assert!(!plan.out.contains("  D4 "), "{}", plan.out);
    let wrong = home.seatrial(&["plan", "--profile", "offline", "--k8s", "1.2.3"]).await;
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert!(wrong.err.contains("hint: choose one of "), "{}", wrong.err);
    let wrong = home.seatrial(&["plan", "--k8s", "9.9.9"]).await;
    assert_eq!(wrong.code, 2, "as `run` does: {}", wrong.err);
    for command in ["plan", "up", "images"] {
        let several = home.seatrial(&[command, "--k8s", "1.34,1.35"]).await;
        assert_eq!(several.code, 2, "{command}: {}", several.err);
        assert!(several.err.contains("not 1.34, 1.35\nhint: only `run` "), "{}", several.err);
    }
}

#[tokio::test]
async fn a_profile_can_be_a_file_of_the_user() {
    let home = Home::new();
    let file = home.dir.path().join("mine.toml");
    let (_, text) = seatrial::image::PROFILES[0];
    std::fs::write(&file, text.replace("docker.io", "mirror.local")).unwrap();
    let path = file.to_string_lossy();
    let plan = home.seatrial(&["plan", "--profile", &path, "--k8s", "1.35"]).await;
    assert_eq!(plan.code, 0, "{}", plan.err);
    assert!(plan.out.contains(&format!("{path}, Kubernetes 1.35.")), "{}", plan.out);
    std::fs::write(&file, "name = 1").unwrap();
    let wrong = home.seatrial(&["plan", "--profile", &path]).await;
    assert!(wrong.code == 65 && wrong.err.contains("mine.toml"), "{} {}", wrong.code, wrong.err);
    std::fs::remove_file(&file).unwrap();
    let gone = home.seatrial(&["plan", "--profile", &path]).await;
    assert!(gone.code == 65 && gone.err.contains("failed to read the image profile"), "{}", gone.err);
}

#[tokio::test]
async fn doctor_names_what_is_missing_and_how_to_mend_it() {
    let home = Home::new();
    let doctor = home.seatrial(&["doctor"]).await;
    assert_eq!(doctor.code, 69, "{}", doctor.out);
    let lines: Vec<&str> = doctor.out.lines().collect();
    for need in ["missing  container engine: ", "missing  docker program: ", "missing  kind: "] {
        let at = lines.iter().position(|l| l.starts_with(need));
        let at = at.unwrap_or_else(|| panic!("no line {need:?}: {}", doctor.out));
        assert!(lines[at + 1].starts_with("         hint: "), "{}", doctor.out);
    }
}

#[tokio::test]
async fn without_an_engine_no_command_begins() {
    let home = Home::new();
    for command in ["run", "up", "list", "down", "reap", "kubeconfig"] {
        let ended = home.seatrial(&[command]).await;
        assert_eq!(ended.code, 69, "{command}: {}", ended.err);
        assert!(ended.err.contains("no-engine.sock") || ended.err.contains("DOCKER_HOST"), "{}", ended.err);
    }
    assert!(!home.runs().exists(), "a run was begun");
}

/// A run on a real cluster, with the verdicts that this version gives.
pub fn judged_story() -> String {
    let recorded = event::read(&crate::story::fixture()).expect("the recorded run");
    let rejudged = rejudge(&recorded, |_| &[]);
    assert!(rejudged.changes.is_empty(), "{:?}", rejudged.changes);
    rejudged.records.iter().map(|r| serde_json::to_string(r).expect("JSON") + "\n").collect()
}

#[tokio::test]
async fn judging_a_recorded_story_again_gives_the_same_bytes() {
    let home = Home::new();
    let story = judged_story();
    home.keep("20261124-151229-5eed", &story);
    for format in ["json", "junit", "html", "terminal", "markdown", "github"] {
        let report = home.seatrial(&["report", "last", "--format", format]).await;
        let judged = home.seatrial(&["judge", "last", "--format", format]).await;
        assert_eq!((judged.code, judged.err.as_str()), (0, ""), "{format}");
        assert_eq!(report.out, judged.out, "{format}");
    }
    // With one unanswered request in the log, the same judges give another verdict.
    let at = story.find("\"outcome\":\"acknowledged\"").expect("a sample");
    let bent = format!("{}{}", &story[..at], story[at..].replace("acknowledged", "refused"));
    home.keep("20261124-151229-5eed", &bent);
    let judged = home.seatrial(&["judge", "last"]).await;
    assert_eq!(judged.code, 1, "{}", judged.err);
    assert!(judged.err.contains("A7 of stateless was passed, is failed"), "{}", judged.err);
}

#[tokio::test]
async fn a_copied_run_is_judged_to_the_same_bytes_on_another_machine() {
    let made = Home::new();
    let dir = made.keep("20261124-151229-5eed", &judged_story());
    let report = RunReport::of(&event::read(&dir.join("events.jsonl")).expect("the run"));
    report::write(report::FORMATS, &report, &dir).expect("the reports of the run");
    let shown = made.seatrial(&["report", "last"]).await;

    // On another machine the state folder and the engine are missing, and the run's folder has another name.
    let other = Home::new();
    let copy = other.dir.path().join("from-a-colleague");
    std::fs::create_dir(&copy).expect("a folder");
    for file in ["events.jsonl", "report.json", "junit.xml", "report.html"] {
        std::fs::copy(dir.join(file), copy.join(file)).expect("a copy");
    }
    let run = copy.to_string_lossy();
    for (format, file) in [("json", "report.json"), ("junit", "junit.xml"), ("html", "report.html")] {
        let judged = other.seatrial(&["judge", &run, "--format", format]).await;
        assert_eq!((judged.code, judged.err.as_str()), (0, ""), "{format}");
        let written = std::fs::read_to_string(copy.join(file)).expect("the report");
        assert!(judged.out == written, "{file} differs");
    }
    let judged = other.seatrial(&["judge", &run]).await;
    assert_eq!((judged.code, judged.out), (0, shown.out));
    assert!(!other.runs().exists(), "judging left something behind");
}

/// The recorded run as a version without A11 wrote it, with or without the facts of A11.
fn older(with_facts: bool) -> String {
    let of_a11 = |event: &Event| match event {
        Event::ClaimJudged { claim, .. } => claim == "A11",
        Event::Observed { claim: Some(claim), .. } => claim == "A11" && !with_facts,
        _ => false,
    };
    // That version wrote schema 1.
    let file = crate::schemas::folder().join("schema-1/stateless.jsonl");
    let mut records = event::read(&file).expect("the recorded run");
    records.retain(|r| !of_a11(&r.event));
    for (seq, record) in records.iter_mut().enumerate() {
        record.seq = seq as u64;
        if let Event::ScenarioStarted { claims, .. } = &mut record.event {
            claims.retain(|c| c != "A11");
        }
    }
    records.iter().map(|r| serde_json::to_string(r).expect("JSON") + "\n").collect()
}

#[tokio::test]
async fn a_claim_that_is_newer_than_the_run_is_judged_if_its_evidence_exists() {
    let home = Home::new();
    home.keep("20261124-151229-5eed", &older(true));
    let there = home.seatrial(&["judge", "--format", "json"]).await;
    assert_eq!(there.code, 0, "{}", there.err);
    assert_eq!(there.err, "A11 of stateless was not known, is passed\n");
    let report: serde_json::Value = serde_json::from_str(&there.out).expect("JSON");
    assert_eq!((report["counts"]["passed"].as_u64(), &report["defects"]), (Some(11), &serde_json::json!([])));

    home.keep("20261124-151229-5eed", &older(false));
    let missing = home.seatrial(&["judge", "--format", "json"]).await;
    assert_eq!(missing.code, 3, "{}", missing.err);
    assert_eq!(missing.err, "A11 of stateless was not known, is inconclusive\n");
    assert!(missing.out.contains("no evidence: `images` was not observed"), "{}", missing.out);
    // The report shows the run as it was recorded.
    assert!(!home.seatrial(&["report", "last"]).await.out.contains("A11"));
}

#[tokio::test]
async fn faulty_records_leave_the_claims_judged_from_them_inconclusive() {
    let home = Home::new();
    let whole = judged_story();
    let lines: Vec<&str> = whole.lines().collect();
    let a8 = lines.iter().position(|l| l.contains(r#""claim-judged","claim":"A8""#)).expect("A8 was judged");
    let judged = async |lines: &[&str]| {
        home.keep("20261124-151229-5eed", &(lines.join("\n") + "\n"));
        home.seatrial(&["judge"]).await
    };
    let is_open = |ended: &Ended, id: &str| {
        ended.err.contains(&format!("{id} of stateless was passed, is inconclusive"))
    };

    let mut cut = lines.clone();
    cut.remove(a8 - 1);
    let gap = judged(&cut).await;
    assert_eq!(
        (gap.code, is_open(&gap, "A7"), is_open(&gap, "A8"), is_open(&gap, "A11")),
        (3, false, true, true)
    );
    assert!(
        gap.out.contains(&format!("records {0} to {0} of writer 4242 are missing", a8 - 1)),
        "{}",
        gap.out
    );

    let mut swapped = lines.clone();
    swapped.swap(a8 - 2, a8 - 1);
    let order = judged(&swapped).await;
    assert_eq!((order.code, is_open(&order, "A8")), (3, true), "{}", order.out);
    assert!(order.out.contains("stands after record"), "{}", order.out);

    let half = judged(&lines[..a8]).await;
    assert_eq!(half.code, 3, "{}", half.out);
    assert!(half.out.contains("not judged: the records end too early"), "{}", half.out);

    // Records of another run: one error that names the line.
    let foreign = lines[a8].replace("20261124-151229-5eed", "20261124-000000-0000");
    let mut mixed = lines.clone();
    mixed.insert(a8, &foreign);
    let mixed = judged(&mixed).await;
    assert_eq!((mixed.code, mixed.out.as_str()), (65, ""), "{}", mixed.err);
    let said = format!("events.jsonl:{} is of run 20261124-000000-0000, the lines before it are of", a8 + 1);
    assert!(mixed.err.contains(&said) && mixed.err.contains("\nhint: "), "{}", mixed.err);
}

#[tokio::test]
async fn clocks_that_jump_or_disagree_are_named() {
    let home = Home::new();
    let mut records = event::read(&crate::story::fixture()).expect("the recorded run");
    let mark = |name: &str| {
        let is = |r: &Record| matches!(&r.event, Event::Marked { mark } if mark == name);
        records.iter().position(is).expect("the mark")
    };
    let (from, until) = (mark("bad-image") + 1, records.len());
    for record in &mut records[from..until] {
        record.at += jiff::SignedDuration::from_secs(3600);
    }
    let lines: String = records.iter().map(|r| serde_json::to_string(r).expect("JSON") + "\n").collect();
    home.keep("20261124-151229-5eed", &lines);
    let ended = home.seatrial(&["judge", "--format", "json"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (3, "A11 of stateless was passed, is inconclusive\n"));
    assert!(ended.out.contains("the wall clock jumped by +3600.0 s before record"), "{}", ended.out);
    assert!(ended.out.contains("the clocks disagree on how long it took"), "{}", ended.out);

    // The cluster's clock is behind. Durations use the host's clock, so nothing else changes.
    for record in &mut records {
        record.at += jiff::SignedDuration::from_secs(60);
    }
    for record in &mut records[from..until] {
        record.at -= jiff::SignedDuration::from_secs(3600);
    }
    let lines: String = records.iter().map(|r| serde_json::to_string(r).expect("JSON") + "\n").collect();
    home.keep("20261124-151229-5eed", &lines);
    let ended = home.seatrial(&["judge", "--format", "json"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(ended.out.contains("the cluster's clock is 60."), "{}", ended.out);
    assert!(ended.out.contains(" s behind this host's"), "{}", ended.out);
}

//! What a long run costs its process. This test binary starts itself again as the writer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::event::{self, Change, Event, EventLog, Scope};
use seatrial::exec::Exec;
use seatrial::report::RunReport;
use serde_json::json;

use crate::story::observed;

/// Bytes of log that the writer makes.
const LENGTH: u64 = 40 << 20;
/// Limit for the memory that the log adds to the writer, in KiB. Held in memory, the records would take ten times the
/// length of the log.
const LIMIT: u64 = 30 << 10;

#[tokio::test]
async fn the_memory_of_a_writer_does_not_grow_with_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let exec = Exec::new(std::env::current_exe().unwrap())
        .args(["--exact", "event_log::writer", "--ignored", "--nocapture"])
        .env("LOG_DIR", dir.path());
    exec.run(Deadline::after(Duration::from_secs(300))).await.unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert!(dir.path().join("events.jsonl").metadata().unwrap().len() >= LENGTH);
    let [base, most]: [u64; 2] = ["base", "peak"].map(|name| read(name).parse().unwrap());
    let grown = most.saturating_sub(base);
    assert!(grown < LIMIT, "{base} KiB at first, then {grown} KiB more, of {LIMIT} KiB");
    assert_eq!(read("judged"), "1", "what another scenario recorded was judged");
}

/// The writer may write 2 KiB into a file, as if the disk were full then, and more later.
#[tokio::test]
async fn a_log_of_a_full_disk_is_read_and_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    // Without the trap, the signal of setrlimit(2) would end the process.
    let exec = Exec::new("/bin/sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 4; exec \"$0\" --exact event_log::hindered --ignored"])
        .arg(std::env::current_exe().unwrap())
        .env("LOG_DIR", dir.path());
    exec.run(Deadline::after(Duration::from_secs(100))).await.unwrap();
    let records = event::read(&dir.path().join("events.jsonl")).unwrap();
    let texts: Vec<&Event> = records.iter().map(|r| &r.event).rev().take(2).collect();
    let note = |text: &str| Event::Noted { text: text.into() };
    assert_eq!(texts, [&note("again"), &note("there is room")]);
    let report = RunReport::of(&records);
    let missing = format!("records {0} to {1} of writer", records.len() - 2, records.len() + 1);
    assert!(report.defects.iter().any(|d| d.starts_with(&missing)), "{:?}", report.defects);
}

/// Half a line, as a process killed during a write leaves it.
#[test]
fn a_log_that_ends_in_half_a_line_is_continued() {
    let dir = tempfile::tempdir().unwrap();
    let note = |log: &EventLog, text: &str| log.append(Event::Noted { text: text.into() });
    note(&EventLog::open(dir.path(), "r").unwrap(), "first");
    let path = dir.path().join("events.jsonl");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(&bytes.clone()[..40]);
    std::fs::write(&path, bytes).unwrap();
    let log = EventLog::open(dir.path(), "r").unwrap();
    note(&log, "second");
    log.check().unwrap();
    let found = |records: &[event::Record]| records.len();
    assert_eq!((found(&event::read(&path).unwrap()), found(&log.records())), (2, 1));
    log.check().unwrap();
}

#[test]
#[ignore = "a child process of the tests in this file"]
fn hindered() {
    let log = EventLog::open(&folder(), "r").unwrap();
    let note = |text: &str| log.append(Event::Noted { text: text.into() });
    while log.check().is_ok() {
        note("a longer one");
    }
    // The disk stays full for a while.
    (0..3).for_each(|_| note("a longer one"));
    let file = rustix::process::Resource::Fsize;
    let all = rustix::process::getrlimit(file).maximum;
    rustix::process::setrlimit(file, rustix::process::Rlimit { current: all, maximum: all }).unwrap();
    note("there is room");
    note("again");
    assert!(log.check().is_err(), "the first failure is forgotten");
}

#[expect(clippy::disallowed_methods, reason = "how the parent test speaks to this process")]
fn folder() -> PathBuf {
    std::env::var("LOG_DIR").unwrap().into()
}

/// One scenario that records much, and one that records once and is judged.
#[test]
#[ignore = "a child process of the tests in this file"]
fn writer() {
    let dir = folder();
    let log = EventLog::open(&dir, "r").unwrap();
    let scoped = |name: &str| log.scoped(Scope { scenario: Some(name.into()), ..Scope::default() });
    let (busy, calm) = (scoped("busy"), scoped("calm"));
    calm.append(Event::Marked { mark: "here".into() });
    let text = "x".repeat(60);
    let object = json!({"status": {"conditions": (0..20).map(|n| json!({"type": n, "message": text})).collect::<Vec<_>>()}});
    let mut base = None;
    while std::fs::metadata(dir.join("events.jsonl")).unwrap().len() < LENGTH {
        for n in 0..500 {
            let (kind, name, uid) = ("Pod".into(), format!("pod-{n}"), format!("{n}"));
            busy.append(Event::ObjectChanged {
                change: Change::Modified,
                kind,
                name,
                uid,
                object: object.clone(),
            });
        }
        // The program itself grows with every test. Memory that it loads for the first records is no growth of the
        // log.
        base = base.or_else(|| Some(peak()));
    }
    std::fs::write(dir.join("base"), base.unwrap().to_string()).unwrap();
    calm.append_judged(|seen, _| {
        std::fs::write(dir.join("judged"), seen.len().to_string()).unwrap();
        Event::Noted { text: "judged".into() }
    });
    log.check().unwrap();
    std::fs::write(dir.join("peak"), peak().to_string()).unwrap();
}

/// The greatest resident size of this process so far, in KiB (proc(5), VmHWM); 0 elsewhere.
fn peak() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or_default()
}

#[test]
fn no_value_of_a_secret_variable_gets_into_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), "r").unwrap();
    let pod = json!({"metadata": {"managedFields": [1]}, "spec": {"containers": [{"name": "db", "env": [
        {"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "plain"}]}]}});
    let (kind, name, uid) = ("Pod".to_owned(), "db-0".to_owned(), "u".to_owned());
    log.append(Event::ObjectChanged { change: Change::Added, kind, name, uid, object: pod.clone() });
    log.append(observed("pods", json!([pod])));
    log.check().unwrap();
    let text = std::fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("managedFields"), "{text}");
    assert_eq!(text.matches("plain").count(), 2);
    assert_eq!(
        log.secrets().hide("hunter2"),
        "(left out)",
        "what was left out is known: a bundle leaves it out too"
    );
}

#[test]
fn a_secret_that_becomes_known_late_is_removed_from_written_records() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), "r").unwrap();
    let early = ["got hunter22-x here", "a \"quoted\" hunter22-x", "none"];
    early.iter().for_each(|text| log.append(Event::Noted { text: (*text).into() }));
    let pod = json!({"metadata": {"name": "web-0"}, "status": {"message": "hunter22-x"}});
    let (kind, name, uid) = ("Pod".to_owned(), "web-0".to_owned(), "u".to_owned());
    log.append(Event::ObjectChanged { change: Change::Added, kind, name, uid, object: pod });
    log.append(observed("env", json!([{"name": "DB_PASS", "value": "hunter22-x"}])));
    let before = log.position();
    log.leave_out_late();
    log.check().unwrap();
    assert_eq!(log.position(), before);
    let texts: Vec<String> = log.records().iter().map(|r| serde_json::to_string(&r.event).unwrap()).collect();
    assert!(
        texts[0].contains("got *000000001 here")
            && texts[1].ends_with("*000000001\"}")
            && texts[2].contains("none")
    );
    // Judges tell objects apart by their names, so names stay.
    assert!(
        texts[3].contains(r#""name":"web-0","uid""#) && texts[3].contains(r#""metadata":{"name":"web-0"}"#)
    );
    assert!(texts[3].contains(r#""message":"*000000001""#), "{}", texts[3]);
}

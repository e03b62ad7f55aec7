//! What a long run costs its process: this test binary starts itself again as the writer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::event::{Change, Event, EventLog, Scope};
use seatrial::exec::Exec;
use serde_json::json;

/// Bytes of log that the writer makes.
const LENGTH: u64 = 40 << 20;
/// What it may have in memory at most, in KiB: held in memory, the records would take ten times
/// the length of the log.
const LIMIT: u64 = 60 << 10;

#[tokio::test]
async fn the_memory_of_a_writer_does_not_grow_with_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let exec = Exec::new(std::env::current_exe().unwrap())
        .args(["--exact", "event_log::writer", "--ignored", "--nocapture"])
        .env("LOG_DIR", dir.path());
    exec.run(Deadline::after(Duration::from_secs(100))).await.unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert!(dir.path().join("events.jsonl").metadata().unwrap().len() >= LENGTH);
    let most: u64 = read("peak").parse().unwrap();
    assert!(most < LIMIT, "{most} KiB at most, of {LIMIT} KiB");
    assert_eq!(read("judged"), "1", "what another scenario recorded was judged");
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
    }
    calm.append_judged(|seen| {
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

//! The recorder against a fake API server that loses its memory.

use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::event::{Change, Event, EventLog, Record};
use seatrial::probe::Recorder;
use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Trouble};

struct Recorded {
    fake: FakeApi,
    recorder: Recorder,
    log: EventLog,
    _dir: tempfile::TempDir,
}

fn pod(name: &str, phase: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "ns" },
        "status": { "phase": phase },
    })
}

impl Recorded {
    async fn start(before: &[Value]) -> Self {
        let fake = FakeApi::start().await;
        before.iter().for_each(|object| drop(fake.put(object.clone())));
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r").unwrap();
        let recorder = Recorder::start(&fake.client().await, "ns", &log).await.unwrap();
        Self { fake, recorder, log, _dir: dir }
    }

    async fn settle(&self) {
        self.recorder.settle(Deadline::after(Duration::from_secs(20))).await;
    }

    /// Every change of a pod, in order: kind of change, name, phase.
    fn pods(&self) -> Vec<(Change, String, String)> {
        let change = |event: Event| match event {
            Event::ObjectChanged { change, kind, name, object, .. } if kind == "Pod" => {
                assert_eq!(object["kind"], "Pod", "objects are whole");
                Some((change, name, object["status"]["phase"].as_str().unwrap_or_default().to_owned()))
            }
            _ => None,
        };
        self.log.records().into_iter().filter_map(|r| change(r.event)).collect()
    }

    /// How often the pods were watched, or listed.
    fn asked(&self, watch: bool) -> usize {
        let of_pods = |r: &&String| r.contains("/namespaces/ns/pods") && r.contains("watch=true") == watch;
        self.fake.requests().iter().filter(of_pods).count()
    }

    async fn until(&self, met: impl Fn(&Self) -> bool) {
        let deadline = Deadline::after(Duration::from_secs(20));
        while !met(self) {
            assert!(!deadline.is_over(), "{:?}", self.fake.requests());
            deadline.pause(Duration::from_millis(10)).await;
        }
    }

    /// Every restart of the pods' watch: when it was interrupted, and when it began again.
    fn restarts(&self) -> Vec<(Option<u64>, u64)> {
        let of_pods = |record: &Record| match &record.event {
            Event::WatchRestarted { kind, since_us, .. } if kind == "Pod" => {
                Some((*since_us, record.mono_us))
            }
            _ => None,
        };
        self.log.records().iter().filter_map(of_pods).collect()
    }
}

fn seen(change: Change, name: &str, phase: &str) -> (Change, String, String) {
    (change, name.into(), phase.into())
}

#[tokio::test]
async fn existing_changed_and_deleted_objects_are_recorded_once_each() {
    let r = Recorded::start(&[pod("a", "Pending")]).await;
    let mut foreign = pod("foreign", "Running");
    foreign["metadata"]["namespace"] = json!("elsewhere");
    r.fake.put(foreign);
    r.fake.change("Pod", "ns", "a", |p| p["status"]["phase"] = json!("Running"));
    r.settle().await;
    r.fake.remove("Pod", "ns", "a");
    r.settle().await;
    r.settle().await;
    let expected = [
        seen(Change::Added, "a", "Pending"),
        seen(Change::Modified, "a", "Running"),
        seen(Change::Deleted, "a", "Running"),
    ];
    assert_eq!(r.pods(), expected);
    assert_eq!(r.restarts(), []);
    r.recorder.stop().await;
}

#[tokio::test]
async fn a_broken_connection_loses_nothing() {
    let r = Recorded::start(&[pod("a", "Pending")]).await;
    for n in 0..5 {
        r.fake.cut();
        r.fake.put(pod(&format!("b{n}"), "Running"));
        r.settle().await;
    }
    let names: Vec<String> = r.pods().into_iter().map(|p| p.1).collect();
    assert_eq!(names, ["a", "b0", "b1", "b2", "b3", "b4"]);
    r.recorder.stop().await;
}

#[tokio::test]
async fn a_restarted_watch_says_so_and_finds_deleted_objects() {
    let r = Recorded::start(&[pod("a", "Pending"), pod("b", "Running")]).await;
    r.settle().await;
    r.fake.expire();
    r.fake.remove("Pod", "ns", "b");
    r.fake.change("Pod", "ns", "a", |p| p["status"]["phase"] = json!("Failed"));
    r.settle().await;
    let pods = r.pods();
    assert!(pods.contains(&seen(Change::Deleted, "b", "Running")), "{pods:?}");
    assert_eq!(pods.iter().rfind(|p| p.1 == "a").unwrap(), &seen(Change::Modified, "a", "Failed"));
    assert!(!r.restarts().is_empty());
    r.recorder.stop().await;
}

#[tokio::test]
async fn a_restarted_watch_says_since_when_it_was_interrupted() {
    let r = Recorded::start(&[pod("a", "Pending")]).await;
    r.settle().await;
    // The list that ends the gap fails twice.
    r.fake.trouble("GET", "/namespaces/ns/pods", false, 2, Trouble::Code(503));
    let begun = r.log.now_us();
    r.fake.expire();
    r.until(|r| r.restarts().len() == 3).await;
    r.settle().await;
    let first = r.restarts();
    let since = first[0].0.expect("an error ended the watch");
    assert!(first.len() == 3 && (begun..=first[0].1).contains(&since), "{begun}: {first:?}");
    assert!(first.iter().all(|restart| restart.0 == Some(since)), "one gap: {first:?}");
    // In between the watch was complete.
    let whole = r.log.now_us();
    r.fake.expire();
    r.fake.change("Pod", "ns", "a", |p| p["status"]["phase"] = json!("Running"));
    r.settle().await;
    let again = r.restarts()[3];
    assert!(again.0.is_some_and(|since| since >= whole), "{whole}: {again:?}");
    r.recorder.stop().await;
}

#[tokio::test]
async fn an_uninterrupted_watch_is_complete_even_without_changes() {
    let r = Recorded::start(&[pod("a", "Pending")]).await;
    r.settle().await;
    r.fake.trouble("GET", "/namespaces/ns/pods", true, 2, Trouble::Code(503));
    let watches = r.asked(true);
    r.fake.cut();
    r.until(|r| r.asked(true) == watches + 3).await;
    r.settle().await;
    assert_eq!(r.restarts(), [], "it was taken up where it was");
    let whole = r.log.now_us();
    r.fake.trouble("GET", "/namespaces/ns/pods", true, 1, Trouble::Expired);
    r.fake.cut();
    r.until(|r| r.restarts().len() == 1).await;
    let again = r.restarts()[0];
    assert!(again.0.is_some_and(|since| since >= whole), "{whole}: {again:?}");
    r.recorder.stop().await;
}

#[tokio::test]
async fn an_accepted_watch_is_complete_only_after_the_missed_changes_came() {
    let r = Recorded::start(&[pod("a", "Pending")]).await;
    r.settle().await;
    // The server accepts the watch and sends nothing.
    r.fake.trouble("GET", "/namespaces/ns/pods", true, 1, Trouble::Silent);
    let lists = r.asked(false);
    r.fake.cut();
    r.fake.put(pod("b", "Running"));
    r.until(|r| r.asked(false) == lists + 1).await;
    let later = r.log.now_us();
    r.fake.trouble("GET", "/namespaces/ns/pods", true, 1, Trouble::Expired);
    r.fake.cut();
    r.until(|r| r.restarts().len() == 1).await;
    let again = r.restarts()[0];
    assert!(again.0.is_some_and(|since| since < later), "{later}: {again:?}");
    r.recorder.stop().await;
}

#[tokio::test]
async fn records_that_fall_behind_are_a_gap_of_their_kind_only() {
    let r = Recorded::start(&[pod("a", "Pending")]).await;
    r.settle().await;
    let whole = r.log.now_us();
    // The watch is accepted, and silent from then on.
    r.fake.trouble("GET", "/namespaces/ns/pods", true, 1, Trouble::Silent);
    r.fake.cut();
    r.fake.put(pod("b", "Running"));
    r.recorder.settle(Deadline::after(Duration::from_secs(2))).await;
    let gaps: Vec<(String, String, bool)> = r
        .log
        .records()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::WatchRestarted { kind, reason, since_us } => {
                Some((kind, reason, since_us.is_some_and(|since| since >= whole && since < record.mono_us)))
            }
            _ => None,
        })
        .collect();
    let [(kind, reason, since)] = gaps.as_slice() else { panic!("{gaps:?}") };
    assert!(kind == "Pod" && *since, "{gaps:?}");
    assert!(
        reason.starts_with("records are behind the API after 2.") && reason.ends_with("b was not recorded"),
        "{reason}"
    );
    r.recorder.stop().await;
}

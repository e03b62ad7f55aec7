//! The recorder against a fake API server that loses its memory.

use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::event::{Change, Event, EventLog};
use seatrial::probe::Recorder;
use serde_json::{Value, json};

use crate::fake_api::FakeApi;

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

    /// Every change of a pod, in order: how, name, phase.
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

    fn restarts(&self) -> usize {
        let of_pods = |event: &Event| matches!(event, Event::WatchRestarted { kind, .. } if kind == "Pod");
        self.log.records().iter().filter(|r| of_pods(&r.event)).count()
    }
}

fn seen(change: Change, name: &str, phase: &str) -> (Change, String, String) {
    (change, name.into(), phase.into())
}

#[tokio::test]
async fn what_exists_changes_and_goes_is_recorded_once_each() {
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
    assert_eq!(r.restarts(), 0);
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
async fn a_watch_that_begins_anew_says_so_and_finds_what_went_meanwhile() {
    let r = Recorded::start(&[pod("a", "Pending"), pod("b", "Running")]).await;
    r.settle().await;
    r.fake.expire();
    r.fake.remove("Pod", "ns", "b");
    r.fake.change("Pod", "ns", "a", |p| p["status"]["phase"] = json!("Failed"));
    r.settle().await;
    let pods = r.pods();
    assert!(pods.contains(&seen(Change::Deleted, "b", "Running")), "{pods:?}");
    assert_eq!(pods.iter().rfind(|p| p.1 == "a").unwrap(), &seen(Change::Modified, "a", "Failed"));
    assert!(r.restarts() >= 1);
    r.recorder.stop().await;
}

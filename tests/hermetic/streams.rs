//! Logs of pods that come and go, followed while they live.

use std::time::Duration;

use seatrial::client::Client;
use seatrial::cluster::{Cluster, THREE};
use seatrial::deadline::Deadline;
use seatrial::diagnostics::{self, Bundle, LogStreams, Scene};
use seatrial::secret::Secrets;
use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Trouble};
use crate::fake_engine::FakeEngine;

struct Story {
    engine: FakeEngine,
    api: FakeApi,
    client: Client,
    streams: LogStreams,
    dir: tempfile::TempDir,
}

/// A pod whose container is in this state, after so many restarts.
fn pod(name: &str, uid: &str, restarts: i32, state: Value, last: Value) -> Value {
    let status = |container: &str, state: &Value, restarts: i32| {
        json!({"name": container, "ready": false, "image": "", "imageID": "", "restartCount": restarts,
            "state": state, "lastState": last})
    };
    let ended = json!({"terminated": {"exitCode": 0}});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "story", "uid": uid},
        "spec": {"containers": [{"name": "app", "image": "i"}]},
        "status": {"phase": "Running", "initContainerStatuses": [status("init", &ended, 0)],
            "containerStatuses": [status("app", &state, restarts)]}})
}

fn line(second: u32, text: &str) -> String {
    format!("2026-01-01T00:00:{second:02}.000000000Z {text}\n")
}

impl Story {
    async fn begin() -> anyhow::Result<Self> {
        let (engine, api, dir) = (FakeEngine::with(&[])?, FakeApi::start().await, tempfile::tempdir()?);
        let client = api.client().await;
        let streams =
            LogStreams::start(&client, &["story"], &Secrets::default(), &dir.path().join("streamed/story"));
        Ok(Self { engine, api, client, streams, dir })
    }

    /// Waits until this text was stored.
    async fn has(&self, text: &str) {
        let limit = Deadline::after(Duration::from_secs(30));
        let kept = || {
            let entries =
                std::fs::read_dir(self.dir.path().join("streamed/story")).into_iter().flatten().flatten();
            entries.map(|e| std::fs::read_to_string(e.path()).unwrap_or_default()).collect::<String>()
        };
        while !kept().contains(text) {
            assert!(!limit.is_over(), "{text} is not in {}: {:?}", kept(), self.api.requests());
            limit.pause(Duration::from_millis(10)).await;
        }
    }

    async fn asked(&self, part: &str, times: usize) {
        let limit = Deadline::after(Duration::from_secs(30));
        while self.api.requests().iter().filter(|r| r.contains(part)).count() < times {
            assert!(!limit.is_over(), "{:?}", self.api.requests());
            limit.pause(Duration::from_millis(10)).await;
        }
    }

    async fn bundle(&self, time: Duration) -> anyhow::Result<Bundle> {
        let cluster = Cluster {
            name: "c".into(),
            topology: THREE.read().unwrap(),
            kubernetes: "1.34.4".into(),
            image: "node".into(),
            dir: self.engine.dir().into(),
            kubeconfig: self.engine.dir().join("kubeconfig"),
            nodes: Vec::new(),
            load_balancer: None,
            engine: self.engine.client().await?,
        };
        let deadline = Deadline::after(time);
        let scene = Scene {
            cluster: &cluster,
            client: &self.client,
            namespaces: &["story".into()],
            streams: Some(&self.streams),
            deadline,
        };
        Ok(diagnostics::collect(
            diagnostics::COLLECTORS,
            &scene,
            &Secrets::default(),
            &self.dir.path().join("bundle"),
        )
        .await)
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join("bundle/logs").join(name))
            .unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

fn running() -> Value {
    json!({"running": {}})
}

fn ended() -> Value {
    json!({"terminated": {"exitCode": 1}})
}

#[tokio::test]
async fn a_pod_that_crashed_and_was_deleted_has_its_logs() -> anyhow::Result<()> {
    let s = Story::begin().await?;
    s.api.print("story/a/init", &line(0, "prepared"), true);
    s.api.put(pod("a", "0123456789", 0, running(), json!({})));
    s.api.print("story/a/app", &line(1, "begun"), false);
    s.has("begun").await;
    // The container dies and runs again; then the pod is deleted.
    s.api.print("story/a/app", &line(2, "panic: no more"), true);
    s.has("panic: no more").await;
    s.api.print("story/a/app/previous", &(line(1, "begun") + &line(2, "panic: no more")), true);
    s.api.put(pod("a", "0123456789", 1, running(), ended()));
    s.asked("previous=true", 1).await;
    s.api.remove("Pod", "story", "a");
    let bundle = s.bundle(Duration::from_secs(20)).await?;
    let first = s.file("a.01234567/app.0.log");
    assert_eq!(first, line(1, "begun") + &line(2, "panic: no more"));
    assert_eq!(s.file("a.01234567/init.0.log"), line(0, "prepared"));
    assert!(!bundle.missing.iter().any(|m| m.contains("app.0.log")), "{:?}", bundle.missing);
    Ok(())
}

#[tokio::test]
async fn a_pod_that_was_deleted_before_its_log_was_read_is_named() -> anyhow::Result<()> {
    let s = Story::begin().await?;
    s.api.trouble("GET", "/pods/b/log", false, usize::MAX, Trouble::Code(500));
    s.api.put(pod("b", "b-uid-0001", 0, running(), json!({})));
    s.asked("/pods/b/log", 2).await;
    s.api.remove("Pod", "story", "b");
    let bundle = s.bundle(Duration::from_secs(20)).await?;
    for container in ["app", "init"] {
        let named = format!("logs/b.b-uid-00/{container}.0.log: it was not read while its pod lived");
        assert!(bundle.missing.contains(&named), "{:?}", bundle.missing);
    }
    assert!(std::fs::read_to_string(bundle.dir.join("MISSING.txt"))?.contains("b.b-uid-00/app.0.log"));
    Ok(())
}

#[tokio::test]
async fn a_log_that_an_api_outage_interrupts_is_resumed() -> anyhow::Result<()> {
    let s = Story::begin().await?;
    s.api.put(pod("a", "0123456789", 0, running(), json!({})));
    s.api.print("story/a/app", &line(1, "one"), false);
    s.has("one").await;
    s.api.trouble("GET", "/namespaces/story/pods", true, 1, Trouble::Code(503));
    s.api.trouble("GET", "/pods/a/log", false, 2, Trouble::Code(503));
    s.api.cut();
    s.api.print("story/a/app", &line(2, "two"), false);
    s.has("two").await;
    s.api.print("story/a/app", &line(3, "three"), true);
    s.has("three").await;
    s.api.remove("Pod", "story", "a");
    // An API that does not answer costs only its own part.
    s.api.trouble("GET", "/", false, usize::MAX, Trouble::Hang);
    let bundle = s.bundle(Duration::from_secs(4)).await?;
    assert_eq!(s.file("a.01234567/app.0.log"), line(1, "one") + &line(2, "two") + &line(3, "three"));
    assert!(bundle.missing.iter().any(|m| m.starts_with("logs: ")), "{:?}", bundle.missing);
    Ok(())
}

#[tokio::test]
async fn the_end_waits_for_no_stream_and_leaves_none() -> anyhow::Result<()> {
    let s = Story::begin().await?;
    s.api.put(pod("a", "0123456789", 0, running(), json!({})));
    s.api.print("story/a/app", &line(1, "one"), false);
    s.has("one").await;
    s.api.trouble("GET", "/", false, usize::MAX, Trouble::Hang);
    let Story { streams, dir, .. } = s;
    let stopped = Deadline::after(Duration::from_secs(10)).bound(streams.stop()).await;
    assert!(stopped.is_ok());
    assert!(!dir.path().join("streamed").exists());
    Ok(())
}

/// Logs are requested by the pod's name. Output of a later pod of the same name is not written into the old one's
/// file.
#[tokio::test]
async fn output_of_a_later_pod_of_the_same_name_is_not_the_old_ones() -> anyhow::Result<()> {
    let s = Story::begin().await?;
    s.api.print("story/a/init", &line(0, "prepared"), true);
    s.api.put(pod("a", "0123456789", 0, running(), json!({})));
    s.api.print("story/a/app", &line(1, "of the old pod"), false);
    s.has("of the old pod").await;
    // The API server stops, and the watch comes back late.
    let before = s.api.requests().iter().filter(|r| r.contains("/a/log")).count();
    s.api.trouble("GET", "/pods", true, usize::MAX, Trouble::Hang);
    s.api.cut();
    s.api.remove("Pod", "story", "a");
    s.api.put(pod("a", "fedcba9876", 0, running(), json!({})));
    s.api.print("story/a/app", &line(5, "of the new pod"), false);
    s.asked("/a/log", before + 1).await;
    let limit = Deadline::after(Duration::from_secs(3));
    limit.pause(Duration::from_secs(3)).await;
    s.bundle(Duration::from_secs(20)).await?;
    let old = s.file("a.01234567/app.0.log");
    assert!(old.contains("of the old pod") && !old.contains("of the new pod"), "{old}");
    s.streams.stop().await;
    Ok(())
}

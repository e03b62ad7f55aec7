//! The bundle of a failed scenario, from a cluster whose parts are partly dead.

use std::path::Path;
use std::time::Duration;

use seatrial::cluster::{Cluster, THREE};
use seatrial::deadline::Deadline;
use seatrial::diagnostics::{self, Bundle, Scene};
use seatrial::engine::Power;
use seatrial::secret::Secrets;
use serde_json::json;

use crate::fake_api::{self, FakeApi};
use crate::fake_engine::{FakeEngine, Trouble};

/// A cluster of two nodes with one pod that has a password.
async fn cluster(engine: &FakeEngine, api: &FakeApi) -> anyhow::Result<Cluster> {
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "mysql-0", "namespace": "story"},
        "spec": {"nodeName": "w2", "containers": [{"name": "mysql", "image": "mysql:5.6",
            "env": [{"name": "MYSQL_ROOT_PASSWORD", "value": "hunter2"}]}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "mysql", "ready": false,
            "image": "mysql:5.6", "imageID": "", "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}}));
    let nodes = vec![engine.node("w1").await?, engine.node("w2").await?];
    Ok(Cluster {
        name: "seatrial-three-1".into(),
        topology: THREE.read().unwrap(),
        kubernetes: "1.34.4".into(),
        image: "node".into(),
        dir: engine.dir().into(),
        kubeconfig: engine.dir().join("kubeconfig"),
        nodes,
        load_balancer: None,
        engine: engine.client().await?,
    })
}

fn secrets() -> Secrets {
    let secrets = Secrets::default();
    secrets.learn("hunter2");
    secrets
}

fn everything(bundle: &Bundle) -> String {
    let read = |file: &std::path::PathBuf| std::fs::read(file).unwrap_or_default();
    bundle.files.iter().map(|f| String::from_utf8_lossy(&read(f)).into_owned()).collect()
}

fn lacks(bundle: &Bundle, what: &str) -> bool {
    bundle.missing.iter().any(|line| line.starts_with(what))
}

async fn collect(cluster: &Cluster, api: &FakeApi, to: &Path, time: Duration) -> Bundle {
    let client = api.client().await;
    let deadline = Deadline::after(time);
    let scene = Scene { cluster, client: &client, namespaces: &["story".into()], streams: None, deadline };
    diagnostics::collect(diagnostics::COLLECTORS, &scene, &secrets(), to).await
}

#[tokio::test]
async fn no_secret_gets_into_the_bundle_and_what_is_missing_is_named() -> anyhow::Result<()> {
    let (engine, api) = (FakeEngine::with(&["w1", "w2"])?, FakeApi::start().await);
    let cluster = cluster(&engine, &api).await?;
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "kube-proxy-1", "namespace": "kube-system"},
        "status": {"containerStatuses": [{"name": "proxy", "ready": true, "image": "", "imageID": "", "restartCount": 0}]}}));
    engine.state().commands.insert("--counters".into(), (0, "[1:60] -A GUARD -j REJECT\n", ""));
    engine.change("w2", |node| node.power = Power::Exited);
    let dir = tempfile::tempdir()?;
    let bundle = collect(&cluster, &api, &dir.path().join("bundle"), Duration::from_secs(20)).await;
    let text = everything(&bundle);
    assert!(
        text.contains("story/mysql-0 Running ready 0/1 restarts 2 node w2 mysql: CrashLoopBackOff"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
    assert!(lacks(&bundle, "nodes/w2/kubelet.log: the node is exited"), "{:?}", bundle.missing);
    assert!(text.contains("-A GUARD"), "{text}");
    let proxy = bundle.dir.join("logs/kube-system/kube-proxy-1/proxy.log");
    assert!(bundle.files.contains(&proxy), "{:?}", bundle.files);
    let list = std::fs::read_to_string(bundle.dir.join("MISSING.txt"))?;
    assert_eq!(list.lines().count(), bundle.missing.len());
    Ok(())
}

#[tokio::test]
async fn a_silent_api_server_costs_its_own_part_and_the_time_that_was_given() -> anyhow::Result<()> {
    let (engine, api) = (FakeEngine::with(&["w1", "w2"])?, FakeApi::start().await);
    let cluster = cluster(&engine, &api).await?;
    api.trouble("GET", "/", false, usize::MAX, fake_api::Trouble::Hang);
    let dir = tempfile::tempdir()?;
    let began = std::time::Instant::now();
    let bundle = collect(&cluster, &api, &dir.path().join("bundle"), Duration::from_secs(3)).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(lacks(&bundle, "pods: timed out after"), "{:?}", bundle.missing);
    assert!(bundle.dir.join("nodes/w1/container.txt").is_file(), "{bundle:?}");
    Ok(())
}

#[tokio::test]
async fn an_engine_that_hangs_costs_its_own_part() -> anyhow::Result<()> {
    let (engine, api) = (FakeEngine::with(&["w1", "w2"])?, FakeApi::start().await);
    let cluster = cluster(&engine, &api).await?;
    engine.trouble("/containers", Trouble::Hang, 1000);
    let dir = tempfile::tempdir()?;
    let bundle = collect(&cluster, &api, &dir.path().join("bundle"), Duration::from_secs(3)).await;
    assert!(lacks(&bundle, "nodes: timed out after"), "{:?}", bundle.missing);
    assert!(bundle.dir.join("pods.txt").is_file(), "{bundle:?}");
    Ok(())
}

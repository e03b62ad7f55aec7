//! Secrets of many kinds are planted wherever a cluster can hold them, and repeated wherever it can print them. Then
//! all files of a failed run and of a failed creation are searched.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use seatrial::cluster::{Cluster, ClusterSpec, Clusters, ONE, THREE};
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::diagnostics::{self, LogStreams, Scene};
use seatrial::event::{self, Event, EventLog, Outcome, Record, Scope};
use seatrial::image::{ImageSet, NodeImage};
use seatrial::judge::Conclusion;
use seatrial::probe::Recorder;
use seatrial::progress::Progress;
use seatrial::report;
use seatrial::secret::Secrets;
use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::fake_engine::FakeEngine;
use crate::story::observed;

/// A kind, and the value that must not be found.
type Plant = (&'static str, String);

/// Each value differs from the others in both halves, so half of a value is found too.
fn plants() -> Vec<Plant> {
    let kinds = [
        "MYSQL_ROOT_PASSWORD",
        "DB_PASS",
        "MYSQL_PWD",
        "PGPASS",
        "APIKEY",
        "AWS_SECRET_ACCESS_KEY",
        "DATABASE_URL",
        "SSH_KEY",
        "REDIS_AUTH",
        "stringData",
        "data",
        "--password=",
        "-p",
        "--token",
        "dsn",
        "annotation",
        "yaml annotation",
        "header",
        "proxy",
        "dockerconfigjson",
        "last-applied",
        "requirepass",
    ];
    let plant = |(n, kind): (usize, &&'static str)| (*kind, format!("Zq{n:02}vX-{n:02}wKu7"));
    let mut all: Vec<Plant> = kinds.iter().enumerate().map(plant).collect();
    all.push(("AWS_ACCESS_KEY_ID", "AKIAZQ7VXWKU7PLMNBQA".into()));
    all.push(("jwt", "eyJhbGciOiJub25l.eyJzdWIiOiJacTk5dlgifQ.WnE5OXdLdQ".into()));
    all
}

fn value(kind: &str) -> String {
    plants().into_iter().find(|plant| plant.0 == kind).expect("it is planted").1
}

/// The content of a Secret of the story. It is in the story's manifest and is never read back.
fn secret() -> Value {
    let docker = json!({"auths": {"registry.example.org": {"auth": STANDARD.encode(format!("jane:{}", value("dockerconfigjson")))}}});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mysql", "namespace": "story"}, "type": "Opaque",
        "stringData": {"password": value("stringData")},
        "data": {"other": STANDARD.encode(value("data")), ".dockerconfigjson": STANDARD.encode(docker.to_string()),
            "registry": STANDARD.encode(value("dockerconfigjson"))}})
}

fn pod(name: &str) -> Value {
    let variable = |kind: &&str| json!({"name": kind, "value": value(kind)});
    let by_name = [
        "MYSQL_ROOT_PASSWORD",
        "DB_PASS",
        "MYSQL_PWD",
        "PGPASS",
        "APIKEY",
        "AWS_SECRET_ACCESS_KEY",
        "SSH_KEY",
        "REDIS_AUTH",
        "AWS_ACCESS_KEY_ID",
    ];
    let mut env: Vec<Value> = by_name.iter().map(variable).collect();
    env.push(
        json!({"name": "DATABASE_URL", "value": format!("mysql://app:{}@db:3306/x", value("DATABASE_URL"))}),
    );
    env.push(json!({"name": "DSN", "value": format!("app:{}@tcp(db:3306)/x", value("dsn"))}));
    env.push(json!({"name": "HTTP_PROXY", "value": format!("http://jane:{}@proxy:3128", value("proxy"))}));
    env.push(json!({"name": "SESSION", "value": value("jwt")}));
    env.push(json!({"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "mysql", "key": "password"}}}));
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "story", "annotations": {
            "tool.example.org/applied": json!({"kind": "Secret", "stringData": {"k": value("annotation")}}).to_string(),
            "tool.example.org/yaml": format!("db:\n  host: db\n  password: {}\n", value("yaml annotation")),
            "kubectl.kubernetes.io/last-applied-configuration":
                json!({"spec": {"env": [{"name": "OTHER_PASS", "value": value("last-applied")}]}}).to_string()}},
        "spec": {"nodeName": "w1", "containers": [{"name": "mysql", "image": "mysql:5.6", "env": env,
            "command": ["mysqld", format!("--password={}", value("--password="))],
            "args": [format!("-p{}", value("-p")), "--token", value("--token"), "--requirepass", value("requirepass")],
            "livenessProbe": {"httpGet": {"httpHeaders": [
                {"name": "Authorization", "value": format!("Bearer {}", value("header"))}]}}}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "mysql", "ready": false, "image": "", "imageID": "",
            "restartCount": 0, "state": {"running": {}},
            "lastState": {"terminated": {"exitCode": 1, "message": everything()}}}]}})
}

/// All values in one text, as a program prints its environment, and in other forms.
fn everything() -> String {
    let one = |(_, value): &Plant| {
        let base64 = STANDARD.encode(format!("{value} and more"));
        format!("got {value} {base64} \"{value}\"")
    };
    plants().iter().map(one).collect::<Vec<_>>().join("; ")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found
}

/// Asserts that no planted value and no half of one remains in any form, and that no folder is open to others.
fn search(dir: &Path) {
    let all = files(dir);
    let mut wrong = Vec::new();
    for path in &all {
        if path.is_dir() {
            let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            if mode != 0o700 {
                wrong.push(format!("{} has mode {mode:o}", path.display()));
            }
            continue;
        }
        let bytes = std::fs::read(path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for (kind, value) in plants() {
            let (first, second) = value.split_at(value.len() / 2);
            let inside = STANDARD.encode(&value);
            for form in [value.as_str(), first, second, &inside[..inside.len() - 4]] {
                if let Some(at) = text.find(form) {
                    let around: String =
                        text[..at].chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
                    wrong.push(format!("{kind} in {}: ...{around}{form}", path.display()));
                }
            }
        }
    }
    assert!(all.iter().any(|p| p.is_file()), "nothing was left in {}", dir.display());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn settings(home: &Path) -> Settings {
    let of_home = |name: &str| match name {
        "HOME" => Some(home.display().to_string()),
        "https_proxy" => Some(format!("http://jane:{}@proxy:3128", value("proxy"))),
        _ => None,
    };
    Settings::resolve(of_home).unwrap()
}

#[tokio::test]
async fn no_file_of_a_failed_run_has_a_secret() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let settings = settings(home.path());
    let (engine, api) = (FakeEngine::with(&["w1"])?, FakeApi::start().await);
    let printed: &'static str = Box::leak(format!("kubelet: {}\n", everything()).into_boxed_str());
    engine.state().commands.insert("kubelet".into(), (0, printed, ""));
    let client = api.client().await;
    let dir = settings.runs_dir().join("r1");
    let log = EventLog::open(&dir, "r1")?.with_secrets(&settings.secrets);
    let log = log.scoped(Scope { scenario: Some("mysql".into()), ..Scope::default() });
    // As a story does with each manifest before it sends the manifest to the API.
    settings.secrets.learn_from(&secret());
    log.append(Event::ScenarioStarted { claims: vec!["B1".into()], title: None });
    let recorder = Recorder::start(&client, "story", &log).await?;
    let streams = LogStreams::start(&client, &["story"], &settings.secrets, &dir.join("streamed/story"));
    api.put(pod("mysql-0"));
    api.put(pod("mysql-1"));
    recorder.settle(Deadline::after(Duration::from_secs(10))).await;
    for name in ["mysql-0", "mysql-1"] {
        let lines = format!("2026-01-01T00:00:00.000000001Z {}\n", everything()).repeat(3);
        api.print(&format!("story/{name}/mysql"), &lines, false);
        api.print(
            &format!("story/{name}/mysql"),
            "2026-01-01T00:00:00.000000002Z the password is wrong\n",
            true,
        );
    }
    let read = |dir: &Path| {
        files(dir)
            .iter()
            .filter(|f| f.is_file())
            .any(|f| std::fs::read_to_string(f).is_ok_and(|t| t.contains("the password is wrong")))
    };
    let limit = Deadline::after(Duration::from_secs(20));
    while !read(&dir.join("streamed")) {
        assert!(!limit.is_over(), "{:?}", api.requests());
        limit.pause(Duration::from_millis(20)).await;
    }
    search(&dir.join("streamed"));
    api.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "story"},
        "involvedObject": {"kind": "Pod", "name": "mysql-0"}, "reason": "Failed", "message": everything()}));
    api.remove("Pod", "story", "mysql-1");
    recorder.settle(Deadline::after(Duration::from_secs(10))).await;
    for event in [
        Event::Noted { text: everything() },
        Event::StepEnded { step: "s".into(), took: 1.0, budget: None, error: Some(everything()) },
        Event::Sampled {
            probe: "http".into(),
            outcome: Outcome::Refused,
            took_ms: 1.0,
            detail: everything(),
        },
        observed("x", json!([everything(), pod("mysql-0"), secret()])),
        Event::ClaimJudged {
            claim: "B1".into(),
            verdict: Conclusion::Failed,
            evidence: everything(),
            details: vec![format!("failed: {}", everything())],
            took: None,
            budget: None,
            title: None,
            reached: None,
            seen: None,
        },
        Event::ScenarioEnded { error: Some(everything()), left: vec![everything()] },
        Event::RunEnded { verdict: Conclusion::Failed },
    ] {
        log.append(event);
    }
    log.check()?;
    let cluster = Cluster {
        name: "c".into(),
        topology: THREE.read().unwrap(),
        kubernetes: "1.34.4".into(),
        image: "node".into(),
        dir: engine.dir().into(),
        kubeconfig: engine.dir().join("kubeconfig"),
        nodes: vec![engine.node("w1").await?],
        load_balancer: None,
        engine: engine.client().await?,
    };
    let deadline = Deadline::after(Duration::from_secs(20));
    let scene = Scene {
        cluster: &cluster,
        client: &client,
        namespaces: &["story".into()],
        streams: Some(&streams),
        deadline,
    };
    let bundle =
        diagnostics::collect(diagnostics::COLLECTORS, &scene, &settings.secrets, &dir.join("bundle/mysql"))
            .await;
    report::write(report::FORMATS, &report::read(&dir.join("events.jsonl"))?, &dir)?;
    streams.stop().await;
    recorder.stop().await;
    assert!(!dir.join("streamed").exists(), "what was streamed is in the bundle");
    search(home.path());
    // The parts that evidence needs are still there.
    let whole: String = bundle.files.iter().map(|f| std::fs::read_to_string(f).unwrap_or_default()).collect();
    for stays in [
        "MYSQL_ROOT_PASSWORD",
        "\"key\": \"password\"",
        "the password is wrong",
        "@db:3306/x",
        "kubelet: got",
        "(left out)",
    ] {
        assert!(whole.contains(stays), "{stays} is gone");
    }
    Ok(())
}

#[tokio::test]
async fn no_file_of_a_failed_creation_has_a_secret() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let mut settings = settings(home.path());
    let engine = FakeEngine::with(&[])?;
    let script = engine.dir().join("kind");
    let inspect = json!([{"Config": {"Env": [format!("HTTP_PROXY=http://jane:{}@proxy:3128", value("proxy")),
        format!("https_proxy=http://jane:{}@proxy:3128", value("proxy")), "MODE=plain",
        format!("X_DB_PASS={}", value("DB_PASS"))]}}]);
    // In a log, the proxy names only its user. kind's output has the shape of a secret.
    let log = format!("proxy refused jane:{} at once\n", value("proxy"));
    std::fs::write(engine.dir().join("inspect.json"), inspect.to_string())?;
    std::fs::write(engine.dir().join("kubelet.log"), log.repeat(200_000))?;
    let text = format!(
        "#!/bin/sh\nfor last; do :; done\ncase \"$1\" in\n\
         create) echo 'ERROR: failed to create cluster: --token={} http://jane:{}@proxy:3128' >&2; exit 1;;\n\
         export) mkdir -p \"$last/n1/pods\"; cp {dir}/inspect.json {dir}/kubelet.log \"$last/n1/\";;\nesac\n",
        value("--token"),
        value("proxy"),
        dir = engine.dir().display(),
    );
    std::fs::write(&script, text)?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    settings.kind = script;
    settings.engine = engine.host();
    let node = NodeImage { reference: "node:1".into(), id: "1".into(), baked: true, built_from: "x".into() };
    let images = ImageSet {
        profile: "offline".into(),
        because: "x".into(),
        kubernetes: "1.34.4".into(),
        node,
        workloads: Default::default(),
    };
    let spec = ClusterSpec { topology: ONE.read().unwrap(), images, cluster_suffix: None };
    let deadline = Deadline::after(Duration::from_secs(60));
    let client = engine.client().await?;
    let clusters = Clusters::new(settings.clone(), client, Progress::silent(), "test");
    let made = clusters.up(&spec, deadline).await;
    let error = made.unwrap_err().to_string();
    assert!(
        error.contains("@proxy:3128")
            && !error.contains(&value("--token"))
            && !error.contains(&value("proxy")),
        "{error}"
    );
    search(&settings.state.join("failed"));
    let kept: Vec<PathBuf> = files(&settings.state.join("failed"));
    let inspected = kept.iter().find(|f| f.ends_with("nodes/n1/inspect.json")).expect("it was exported");
    let inspected = std::fs::read_to_string(inspected)?;
    assert!(inspected.contains("MODE=plain") && inspected.contains("@proxy:3128"), "{inspected}");
    let log = kept.iter().find(|f| f.ends_with("nodes/n1/kubelet.log")).expect("it was exported");
    assert!(std::fs::metadata(log)?.len() <= seatrial::artefact::Folder::FILE_LIMIT as u64);
    let missing = kept.iter().find(|f| f.ends_with("MISSING.txt")).expect("it is written");
    assert!(std::fs::read_to_string(missing)?.contains("nodes/n1/kubelet.log"));
    Ok(())
}

/// The same records, each written by a log that remembers these.
fn rewritten(text: &str, known: &[&str]) -> (Vec<Record>, Vec<Record>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("before.jsonl");
    std::fs::write(&path, text).unwrap();
    let before = event::read(&path).unwrap();
    let secrets = Secrets::default();
    known.iter().for_each(|value| secrets.learn(value));
    let log = EventLog::open(dir.path(), &before[0].run).unwrap().with_secrets(&secrets);
    before.iter().for_each(|record| log.append(record.event.clone()));
    log.leave_out_late();
    let written = event::read(&dir.path().join("events.jsonl")).unwrap();
    assert_eq!(written.len(), before.len());
    let again = before.iter().zip(written).map(|(old, new)| Record { event: new.event, ..old.clone() });
    let after = again.collect();
    (before, after)
}

#[test]
fn removed_secrets_change_no_verdict() {
    let logs = [
        include_str!("recordings/schema-1/short-run.jsonl"),
        include_str!("recordings/schema-1/stateless.jsonl"),
        include_str!("recordings/schema-2/stateless.jsonl"),
        include_str!("recordings/schema-1/stateful-set.jsonl"),
        include_str!("recordings/schema-1/stateful-set-node.jsonl"),
        include_str!("recordings/schema-1/mysql.jsonl"),
        include_str!("recordings/schema-1/mysql-volume.jsonl"),
    ];
    let mut judged = 0;
    for text in logs {
        // Passwords that somebody took from the names of objects. These names stay.
        for known in
            [&[][..], &["nginx-deployment", "mysql-pv-claim", "kube-scheduler", "deployment-controller"]]
        {
            let (before, after) = rewritten(text, known);
            let verdicts = |records: &[Record]| -> Vec<(String, Conclusion)> {
                let all = |scenario: &str| {
                    seatrial::suite::Suite::named(scenario).map_or(&[][..], |s| s.needs.claims)
                };
                let report = report::rejudge(records, all).report();
                report.claims.into_iter().map(|claim| (claim.id, claim.verdict)).collect()
            };
            let was = verdicts(&before);
            judged += was.len();
            assert_eq!(was, verdicts(&after), "{known:?}");
        }
    }
    assert!(judged > 40, "{judged}");
}

//! `seatrial watch` as a process, on a foreign cluster: a fake API server.

use std::path::PathBuf;
use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::event::{self, Event, Record};
use serde_json::{Value, json};

use super::story::{budget, node, set, web};
use crate::cli::{Ended, Home};
use crate::fake_api::{FakeApi, Trouble};
use crate::trial::story::object;

/// The Service of the fake, as the API server's proxy path names it.
const SERVICE: &str = "shop/http:shop:80";
const PROBE: &str = "http=shop:80/healthz";

/// A foreign cluster with a Deployment of three pods and a Service that answers.
struct Ground {
    home: Home,
    fake: FakeApi,
    kubeconfig: PathBuf,
}

impl Ground {
    async fn new() -> Self {
        let (home, fake) = (Home::new(), FakeApi::start().await);
        let typed = |version: &str, mut object: Value| {
            object["apiVersion"] = json!(version);
            fake.put(object);
        };
        typed("v1", json!({"kind": "Namespace", "metadata": {"name": "shop"}}));
        typed("v1", node("w1"));
        typed("v1", json!({"kind": "Service", "metadata": {"name": "shop", "namespace": "shop"}}));
        typed("apps/v1", object("Deployment", "web", 1, (3, 3)));
        typed("apps/v1", set("web-1", 3));
        for letter in ["a", "b", "c"] {
            typed("v1", web("web-1", letter, "w1"));
        }
        typed("policy/v1", budget(3));
        fake.answer(SERVICE, Some(200));
        let kubeconfig = home.dir.path().join("kubeconfig");
        std::fs::write(&kubeconfig, fake.kubeconfig()).unwrap();
        Self { home, fake, kubeconfig }
    }

    /// Watches the command `sh -c` with this script.
    async fn watch(&self, options: &[&str], script: &str) -> Ended {
        let kubeconfig = self.kubeconfig.to_str().unwrap();
        let script = format!("PATH=/usr/bin:/bin; cd {}; {script}", self.home.dir.path().display());
        let fixed = ["watch", "-n", "shop", "--context", "fake", "--kubeconfig", kubeconfig, "--after", "1s"];
        let command = ["--", "/bin/sh", "-c", &script];
        self.home.seatrial(&[&fixed[..], options, &command].concat()).await
    }

    fn records(&self) -> Vec<Record> {
        let run = std::fs::read_dir(self.home.runs()).unwrap().next().expect("a run").unwrap();
        event::read(&run.path().join("events.jsonl")).unwrap()
    }

    /// Verdict and evidence of a claim.
    fn judged(&self, id: &str) -> (String, String) {
        let found = self.records().into_iter().find_map(|record| match record.event {
            Event::ClaimJudged { claim, verdict, evidence, .. } if claim == id => {
                Some((verdict.to_string(), evidence))
            }
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{id} was not judged"))
    }

    /// Waits until the command has made a file.
    async fn until(&self, file: &str) {
        let deadline = Deadline::after(Duration::from_secs(25));
        while !self.home.dir.path().join(file).exists() && !deadline.is_over() {
            deadline.pause(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_foreign_cluster_is_only_read() {
    let ground = Ground::new().await;
    let output = ground.home.dir.path().join("reports");
    let ended = ground
        .watch(
            &["--probe", PROBE, "--output", output.to_str().unwrap()],
            "echo started; echo ::mark::cut-over; echo '::mark::two words'; sleep 2; echo TOKEN=s3cr3t-value >&2",
        )
        .await;
    assert_eq!(ended.code, 0, "{}\n{}", ended.out, ended.err);
    for request in ground.fake.requests() {
        let path =
            request.strip_prefix("GET ").unwrap_or_else(|| panic!("{request} is no get, list or watch"));
        assert!(!path.contains("review") && !path.contains("portforward"), "{request}");
    }
    let asked = ground.fake.requests();
    assert!(asked.iter().any(|r| r.contains("/services/http:shop:80/proxy/healthz")), "{asked:?}");
    assert!(
        asked.iter().any(|r| r.contains("/poddisruptionbudgets") && r.contains("watch=true")),
        "{asked:?}"
    );
    // The command's lines are shown, without secrets.
    assert!(ended.out.starts_with("started\n"), "{}", ended.out);
    assert!(!ended.err.contains("s3cr3t-value"), "{}", ended.err);
    let records = ground.records();
    let marks: Vec<&str> = records
        .iter()
        .filter_map(|r| match &r.event {
            Event::Marked { mark } => Some(mark.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(marks, ["watch begins", "cut-over", "watch ends"]);
    let noted = |text: &str| {
        records.iter().any(|r| matches!(&r.event, Event::Noted { text: said } if said.contains(text)))
    };
    assert!(noted("kube-proxy was bypassed") && noted("two words sets no mark"));
    for file in ["report.html", "junit.xml", "report.json"] {
        assert!(output.join(file).is_file(), "{file}");
    }
    let run = std::fs::read_dir(ground.home.runs()).unwrap().next().unwrap().unwrap().path();
    let kept = std::fs::read_to_string(run.join("command/output.log")).unwrap();
    assert!(kept.contains("out started\n") && !kept.contains("s3cr3t-value"), "{kept}");
    // The run is judged again without the cluster.
    let again = ground.home.seatrial(&["judge", "last"]).await;
    assert_eq!((again.code, again.err.as_str()), (0, ""), "{}", again.out);
}

#[tokio::test]
async fn the_current_context_is_never_used_by_itself() {
    let ground = Ground::new().await;
    let kubeconfig = ground.kubeconfig.to_str().unwrap();
    let none = ["watch", "-n", "shop", "--kubeconfig", kubeconfig, "--", "/bin/true"];
    let ended = ground.home.seatrial(&none).await;
    assert_eq!(ended.code, 2, "{}", ended.err);
    assert!(ended.err.contains("error: no cluster is named"), "{}", ended.err);
    assert!(ended.err.contains("hint: --context NAME names one of fake;"), "{}", ended.err);
    let other = ["watch", "-n", "shop", "--context", "prod", "--kubeconfig", kubeconfig, "--", "/bin/true"];
    let ended = ground.home.seatrial(&other).await;
    assert_eq!(ended.code, 2, "{}", ended.err);
    assert!(
        ended.err.contains("error: no context is called prod\nhint: --context NAME names one of fake"),
        "{}",
        ended.err
    );
    let tcp = ground.watch(&["--probe", "tcp=shop:3306"], "exit 0").await;
    assert!(tcp.code == 2 && tcp.err.contains("only on a cluster of ours"), "{} {}", tcp.code, tcp.err);
    assert_eq!(ground.fake.requests(), [""; 0]);
}

#[tokio::test]
async fn the_exit_code_of_a_command_that_failed_is_passed_on_and_the_records_are_judged() {
    let ground = Ground::new().await;
    let ended = ground.watch(&[], "exit 7").await;
    assert_eq!(ended.code, 7, "{}", ended.err);
    assert!(
        ended.err.contains("the command failed, so 7 is the exit code; the claims are passed"),
        "{}",
        ended.err
    );
    assert_eq!(ground.judged("identities").0, "passed");
    assert!(ended.out.contains("the command ended with exit code 7"), "{}", ended.out);
}

/// The command sends SIGTERM to its parent, seatrial. seatrial passes the signal on to the command.
#[tokio::test]
async fn a_signal_reaches_the_command_and_the_records_are_judged() {
    let ground = Ground::new().await;
    let script = "trap 'echo got TERM; exit 5' TERM; kill -TERM $PPID; sleep 20 & wait";
    let ended = ground.watch(&[], script).await;
    assert_eq!(ended.code, 5, "{}\n{}", ended.out, ended.err);
    assert!(ended.out.contains("got TERM\n"), "{}", ended.out);
    assert_eq!(ground.judged("disturbed").0, "passed");
}

#[tokio::test]
async fn a_command_that_a_signal_ended_has_the_code_of_a_shell() {
    let ground = Ground::new().await;
    let ended = ground.watch(&[], "kill -TERM $$").await;
    assert_eq!(ended.code, 143, "{}\n{}", ended.out, ended.err);
    assert!(ended.out.contains("the command was ended by signal 15"), "{}", ended.out);
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_usage() {
    let ground = Ground::new().await;
    let kubeconfig = ground.kubeconfig.to_str().unwrap();
    let args = ["watch", "-n", "shop", "--context", "fake", "--kubeconfig", kubeconfig, "--", "/no/such"];
    let ended = ground.home.seatrial(&args).await;
    assert_eq!(ended.code, 2, "{}", ended.err);
    assert!(ended.err.contains("failed to start `/no/such`"), "{}", ended.err);
    assert!(ended.err.contains("hint: after -- comes a program"), "{}", ended.err);
}

#[tokio::test]
async fn kinds_that_may_not_be_read_are_inconclusive_and_named() {
    let ground = Ground::new().await;
    for path in ["/apis/policy/v1/namespaces/shop/poddisruptionbudgets", "/api/v1/nodes"] {
        ground.fake.trouble("GET", path, false, 1000, Trouble::Code(403));
    }
    let ended = ground.watch(&["--probe", PROBE], "sleep 3").await;
    assert_eq!(ended.code, 3, "{}\n{}", ended.out, ended.err);
    for (claim, said) in [
        ("budgets", "PodDisruptionBudget in namespace shop could not be read: "),
        ("nodes", "Node could not be read: "),
        ("disturbed", "Node could not be read: "),
    ] {
        let (verdict, evidence) = ground.judged(claim);
        assert!(verdict == "inconclusive" && evidence.contains(said), "{claim}: {verdict} {evidence}");
    }
    for claim in ["outages", "identities", "pending", "containers"] {
        assert_eq!(ground.judged(claim).0, "passed", "{claim}");
    }
}

/// Runs an action while the command waits.
const WAITS: &str = "touch begun; until [ -e go ]; do sleep 0.1; done";

#[tokio::test]
async fn an_outage_is_found_and_named() {
    let ground = Ground::new().await;
    let happens = async {
        ground.until("begun").await;
        ground.fake.answer(SERVICE, None);
        // The probe has seen the outage three times.
        let until = Deadline::after(Duration::from_secs(20));
        let seen = || ground.fake.requests().iter().filter(|r| r.contains("/proxy/")).count();
        let before = seen();
        while seen() < before + 4 && !until.is_over() {
            until.pause(Duration::from_millis(50)).await;
        }
        ground.fake.answer(SERVICE, Some(200));
        std::fs::write(ground.home.dir.path().join("go"), "").unwrap();
    };
    let watched = ground.watch(&["--probe", PROBE, "--budget", "longest=1s,failed=100%"], WAITS);
    let (ended, ()) = tokio::join!(watched, happens);
    assert_eq!(ended.code, 1, "{}\n{}", ended.out, ended.err);
    let (verdict, evidence) = ground.judged("outages");
    assert_eq!(verdict, "failed", "{evidence}");
    assert!(evidence.contains("longest outage") && evidence.contains("no ready pod"), "{evidence}");
    assert_eq!(ground.judged("disturbed").0, "passed");
}

/// The API server is overloaded: that says nothing about the Service behind it.
#[tokio::test]
async fn an_api_server_that_is_away_fails_nothing() {
    let ground = Ground::new().await;
    let happens = async {
        ground.until("begun").await;
        let from = ground.fake.requests().len();
        ground.fake.trouble("GET", "/proxy/", false, 4, Trouble::TooMany { retry_after: 1 });
        let until = Deadline::after(Duration::from_secs(20));
        let seen = || ground.fake.requests()[from..].iter().filter(|r| r.contains("/proxy/")).count();
        while seen() < 6 && !until.is_over() {
            until.pause(Duration::from_millis(50)).await;
        }
        std::fs::write(ground.home.dir.path().join("go"), "").unwrap();
    };
    let watched = ground.watch(&["--probe", PROBE, "--budget", "longest=1s"], WAITS);
    let (ended, ()) = tokio::join!(watched, happens);
    assert_eq!(ended.code, 3, "{}\n{}", ended.out, ended.err);
    let (verdict, evidence) = ground.judged("outages");
    assert!(verdict == "inconclusive" && evidence.contains("too many requests"), "{verdict} {evidence}");
}

/// A pod that somebody deletes while the command runs.
#[tokio::test]
async fn a_pod_that_is_deleted_for_no_reason_fails() {
    let ground = Ground::new().await;
    let happens = async {
        ground.until("begun").await;
        ground.fake.remove("Pod", "shop", "web-1-a");
        let mut back = web("web-1", "d", "w1");
        back["apiVersion"] = json!("v1");
        ground.fake.put(back);
        std::fs::write(ground.home.dir.path().join("go"), "").unwrap();
    };
    let (ended, ()) = tokio::join!(ground.watch(&[], WAITS), happens);
    assert_eq!(ended.code, 1, "{}\n{}", ended.out, ended.err);
    let (verdict, evidence) = ground.judged("disturbed");
    assert!(
        verdict == "failed" && evidence.contains("shop/web-1-a on w1 went for no known reason"),
        "{evidence}"
    );
    assert_eq!(ground.judged("identities").0, "passed");
}

/// As in clusters of EKS, GKE and AKS: a program prints the token.
#[tokio::test]
async fn a_credential_plugin_gives_the_token() {
    let ground = Ground::new().await;
    let plugin = ground.home.dir.path().join("plugin");
    let credential =
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}"#;
    std::fs::write(&plugin, format!("#!/bin/sh\necho '{credential}'\n")).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&plugin, executable).unwrap();
    let user = |command: &str| {
        let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "Never"});
        ground.fake.kubeconfig().replace("user: {}", &format!("user: {}", json!({"exec": exec})))
    };
    std::fs::write(&ground.kubeconfig, user(plugin.to_str().unwrap())).unwrap();
    let ended = ground.watch(&[], "exit 0").await;
    assert_eq!(ended.code, 0, "{}\n{}", ended.out, ended.err);
    std::fs::write(&ground.kubeconfig, user("/no/such/plugin")).unwrap();
    let ended = ground.watch(&[], "touch begun").await;
    assert_eq!(ended.code, 69, "{}\n{}", ended.out, ended.err);
    assert!(
        ended.err.contains("the credential plugin /no/such/plugin, which is not installed"),
        "{}",
        ended.err
    );
    assert!(!ground.home.dir.path().join("begun").exists(), "the command must not run");
}

#[tokio::test]
async fn an_api_server_that_gives_no_answer_ends_the_watch_before_the_command() {
    let ground = Ground::new().await;
    ground.fake.trouble("GET", "/version", false, 1000, Trouble::Code(401));
    let ended = ground.watch(&[], "touch begun").await;
    assert_eq!(ended.code, 69, "{}\n{}", ended.out, ended.err);
    assert!(ended.err.contains("gives no answer: "), "{}", ended.err);
    assert!(!ground.home.dir.path().join("begun").exists(), "the command must not run");
}

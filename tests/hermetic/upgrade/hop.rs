//! A hop against a fake cluster. The cluster after a step is compared with the plan, and a failed step that changed
//! nothing leaves the cluster usable.

use std::time::Duration;

use seatrial::chain::chain;
use seatrial::deadline::Deadline;
use seatrial::hint::Hint;
use seatrial::upgrade::{Component, Ending, UpgradeError};
use serde_json::json;

use super::refused::{Ground, ground};
use super::v;
use crate::fake_api::Trouble;

/// Time for changes that become visible late.
const SOON: Duration = Duration::from_secs(20);
const CONFIG: &str = "/configmaps/kubeadm-config";

fn asked_for_config(ground: &Ground) -> usize {
    ground.api.requests().iter().filter(|r| r.contains(CONFIG)).count()
}

#[tokio::test]
async fn a_difference_from_the_plan_stops_the_upgrade_with_its_name() {
    let ground = ground().await;
    let planned = |s: &mut seatrial::upgrade::State| s.config = Some(v("1.35.4"));
    let (ended, entry, told) = ground.hop("drain w", Duration::ZERO, planned).await;
    let error = ended.unwrap_err();
    let text = chain(&error);
    assert!(
        text.contains("step `drain w`") && text.contains("kubeadm-config is 1.34.4, planned 1.35.4"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("continues from there"));
    assert!(!entry.done && !entry.safe, "{entry:?}");
    // The judge gets the observed versions, and compares by itself.
    let (result, seen) = told.unwrap();
    assert!(result.is_ok() && seen.is_some_and(|s| s.config == Some(v("1.34.4"))));
}

#[tokio::test]
async fn a_component_that_is_gone_after_a_step_stops_the_upgrade() {
    let ground = ground().await;
    let planned = |s: &mut seatrial::upgrade::State| {
        s.control_planes.entry("cp2".into()).or_default().insert(Component::KubeScheduler, v("1.34.4"));
    };
    let (ended, ..) = ground.hop("drain w", Duration::ZERO, planned).await;
    let text = chain(&ended.unwrap_err());
    assert!(text.contains("kube-scheduler of cp2 is gone, planned 1.34.4"), "{text}");
}

#[tokio::test]
async fn a_change_that_becomes_visible_late_is_waited_for() {
    let ground = ground().await;
    let planned = |s: &mut seatrial::upgrade::State| s.config = Some(v("1.35.4"));
    let late = async {
        let deadline = Deadline::after(SOON);
        // Read once for the facts, and once after the step.
        while asked_for_config(&ground) < 2 {
            assert!(!deadline.is_over(), "it never looked");
            deadline.pause(Duration::from_millis(5)).await;
        }
        ground.api.change("ConfigMap", "kube-system", "kubeadm-config", |map| {
            map["data"]["ClusterConfiguration"] = json!("kubernetesVersion: v1.35.4");
        });
    };
    let ((ended, entry, _), ()) = tokio::join!(ground.hop("drain w", SOON, planned), late);
    assert_eq!(ended.unwrap(), Ending::Complete);
    assert!(entry.done, "{entry:?}");
}

#[tokio::test]
async fn an_api_that_does_not_answer_after_a_step_is_asked_again() {
    let ground = ground().await;
    let facts = ground.facts().await;
    assert_eq!(facts.state.config, Some(v("1.34.4")));
    // The trouble begins with the first read after the step.
    let troubled = async {
        let deadline = Deadline::after(SOON);
        while asked_for_config(&ground) < 2 {
            assert!(!deadline.is_over(), "it never looked");
            deadline.pause(Duration::from_millis(1)).await;
        }
        ground.api.trouble("GET", CONFIG, false, 2, Trouble::Code(503));
    };
    let ((ended, _, told), ()) = tokio::join!(ground.hop("drain w", Duration::ZERO, |_| {}), troubled);
    assert_eq!(ended.unwrap(), Ending::Complete);
    assert!(told.unwrap().1.is_some());
    assert!(asked_for_config(&ground) >= 5, "{:?}", ground.api.requests());
}

/// kubeadm of the new release fails. `code` is the node's exit code for the comparison with the earlier fingerprint.
async fn failing(code: i64) -> (UpgradeError, seatrial::cluster::JournalEntry) {
    const SAID: &str = "failed
[upgrade/preflight] Running preflight checks
error: error execution phase preflight: [preflight] Some fatal errors occurred:
	[ERROR CreateJob]: Job \"upgrade-health-check\" did not complete in 15s
	[ERROR ControlPlaneNodesReady]: there are NotReady control-planes: [cp2]
[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`
To see the stack trace of this error execute with --v=5 or higher
";
    let ground = ground().await;
    let dir = "/kind/upgrade/v1.35.4";
    for (word, said) in [
        (format!("{dir}/kubeadm"), (0, "", "")),
        ("-q".into(), (0, "", "")),
        (format!("{dir}/upgrade.yaml"), (0, "", "")),
        (format!("{dir}/kubeadm.log"), (0, SAID, "")),
        (format!("{dir}/kubeadm.log.before"), (code, "", "")),
    ] {
        ground.fake.state().commands.insert(word, said);
    }
    let (ended, entry, _) = ground.hop("apply cp", SOON, |_| {}).await;
    (ended.unwrap_err(), entry)
}

#[tokio::test]
async fn failed_checks_of_kubeadm_are_reported_in_full_and_leave_the_cluster_usable() {
    let (error, entry) = failing(0).await;
    let text = chain(&error);
    assert!(
        text.contains("kubeadm changed nothing on cp: error: error execution phase preflight: "),
        "{text}"
    );
    for line in [
        "[ERROR CreateJob]: Job \"upgrade-health-check\" did not",
        "[ERROR ControlPlaneNodesReady]: there are",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("If you know") && !text.contains("stack trace"), "{text}");
    assert!(error.hint().unwrap().contains("docker exec cp cat /kind/upgrade/v1.35.4/kubeadm.log"));
    assert!(entry.safe && entry.step.is_none() && !entry.open, "{entry:?}");
}

#[tokio::test]
async fn a_kubeadm_that_had_begun_to_change_its_node_leaves_the_upgrade_unfinished() {
    let (error, entry) = failing(1).await;
    assert!(
        chain(&error).contains("kubeadm failed on cp: error: error execution phase"),
        "{}",
        chain(&error)
    );
    assert!(!entry.safe && entry.open && entry.step.as_deref() == Some("apply cp"), "{entry:?}");
}

/// The cluster, with the release's programs and images on every node.
async fn loaded() -> Ground {
    let ground = ground().await;
    for word in ["/kind/upgrade/v1.35.4", "/kind/upgrade/v1.35.4/kubeadm", "-q"] {
        ground.fake.state().commands.insert(word.into(), (0, "", ""));
    }
    ground
}

/// The upgrade is resumed during kube-proxy's rollout. The plan has the versions of that moment, and one node gets
/// the new version before `preload` ends.
#[tokio::test]
async fn a_rollout_during_planning_does_not_stop_the_upgrade() {
    let ground = loaded().await;
    let image = |name: &str, image: &str| {
        ground.api.change("Pod", "kube-system", name, |pod| {
            pod["spec"]["containers"][0]["image"] = json!(image);
        });
    };
    for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        image(name, &format!("{name}:v1.35.4"));
    }
    image("etcd", "etcd:3.6.6-0");
    image("kube-proxy-cp", "kube-proxy:v1.35.4");
    let (ended, ..) =
        ground.hop("preload", Duration::ZERO, |_| image("kube-proxy-w", "kube-proxy:v1.35.4")).await;
    assert_eq!(ended.unwrap(), Ending::Complete);
}

/// When the plan was made, the API did not show a static pod whose manifest had just been put back.
#[tokio::test]
async fn a_static_pod_that_returns_during_planning_does_not_stop_the_upgrade() {
    let ground = loaded().await;
    let scheduler = ground.api.get("Pod", "kube-system", "kube-scheduler").unwrap();
    ground.api.remove("Pod", "kube-system", "kube-scheduler");
    let (ended, ..) = ground.hop("preload", Duration::ZERO, |_| _ = ground.api.put(scheduler)).await;
    assert_eq!(ended.unwrap(), Ending::Complete);
}

/// `preload` changes nothing, so a difference that is seen after it does not make the cluster unusable.
#[tokio::test]
async fn a_difference_after_preload_leaves_the_journal_as_it_was() {
    let ground = loaded().await;
    let (ended, entry, _) =
        ground.hop("preload", Duration::ZERO, |state| state.config = Some(v("1.35.4"))).await;
    assert!(ended.is_err());
    assert!(entry.step.is_none() && entry.safe, "{entry:?}");
}

/// kubeadm in `configure` may succeed and leave CoreDNS outdated: it skips the addons until it sees every control
/// plane upgraded. The next plan repeats the step and starts its unit again, although that has succeeded.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test runs a script as it is")]
fn a_step_that_is_planned_again_is_run_again() {
    let source = include_str!("../../../src/upgrade/kubeadm.rs");
    let script = source.split_once("const START: &str = r#\"").unwrap().1.split_once("\"#;").unwrap().0;
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    let script = script.replace("/kind/upgrade", dir.path().to_str().unwrap());
    // The unit has succeeded (`RemainAfterExit`), and stays so until it is stopped.
    let stubs = format!(
        r#"systemctl() {{ case $1 in
  show) [ -e {stopped} ] && echo inactive || echo active ;;
  stop) touch {stopped} ;;
esac; }}
systemd-run() {{ touch {started}; }}
exec() {{ "$@"; }}
PRINT=true
"#,
        stopped = place("stopped"),
        started = place("started"),
    );
    let script = stubs + &script;
    let unit = ["-c", &script, "start", "u.service", &place("log"), "kubeadm", "upgrade", "node"];
    let done = std::process::Command::new("bash").args(unit).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(std::path::Path::new(&place("started")).exists(), "kubeadm was not run again");
}

//! Falsehoods in a told upgrade of a trial.

use rstest::rstest;
use seatrial::event::{Event, Outcome};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::trial::facts;
use seatrial::judge::{self, Evidence};
use serde_json::{Value, json};

use super::story::{PROBE, pod, told};
use crate::story::{Story, changed, says};

const WEB: (&str, &str, &str) = ("web", "ReplicaSet", "web-2");
/// A refusal that names a pod of the trial.
const NEVER: &str =
    "PodDisruptionBudget shop/web never allows the eviction of shop/web-2-h from w1: 1 of 1 pods must stay";

fn ended(story: &mut Story, field: &str, to: Value) {
    story.fact(&facts::UPGRADED)[field] = to;
}

/// Removes the records of steps that began or ended.
fn without(story: &mut Story, step: &str) {
    story.forget(|event| match event {
        Event::UpgradeStepStarted(one) => one.step == step,
        Event::UpgradeStepEnded(one) => one.step == step,
        _ => false,
    });
}

/// A pod of `web` at the beginning of the upgrade, long after every other pod ended.
fn early(story: &mut Story, how: impl FnOnce(&mut Value)) {
    let at = story.mark("upgrade");
    for record in &mut story.records[at..] {
        record.mono_us += 90_000_000;
        record.at += jiff::SignedDuration::from_secs(90);
    }
    let mut pod = pod("web-2-h", WEB, "u-web-2-h", "w2");
    how(&mut pod);
    story.insert_after("upgrade", changed(pod));
}

fn restarted(pod: &mut Value, reason: &str) {
    pod["status"]["containerStatuses"] =
        json!([{"restartCount": 1, "lastState": {"terminated": {"reason": reason, "exitCode": 1}}}]);
}

/// A pod of `web` begins its deletion, with a reason of Kubernetes or without.
fn went(story: &mut Story, reason: Option<&str>) {
    early(story, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-12-01T00:00:00Z");
        if let Some(reason) = reason {
            let target = json!({"type": "DisruptionTarget", "status": "True", "reason": reason});
            pod["status"]["conditions"].as_array_mut().unwrap().push(target);
        }
    });
}

/// A workload is not complete after the upgrade.
fn incomplete(story: &mut Story) {
    story.each(|event| {
        let Event::Observed { what, value, .. } = event else { return };
        if what == facts::SETTLED.name() && value["step"] == "upgrade" {
            value["error"] = json!("not met after 180 s");
        }
    });
}

/// A container of `web` is restarted while the control plane is upgraded.
fn in_apply(story: &mut Story) {
    let is_it = |event: &Event| matches!(event, Event::UpgradeStepStarted(one) if one.step == "apply");
    let at = story.records.iter().position(|r| is_it(&r.event)).unwrap();
    let mut pod = pod("web-2-h", WEB, "u-web-2-h", "w2");
    restarted(&mut pod, "Error");
    let record = seatrial::event::Record { event: changed(pod), ..story.records[at].clone() };
    story.records.insert(at + 1, record);
}

/// The watch of pods breaks off in a step.
fn blind(story: &mut Story, step: &str) {
    let is_it = |event: &Event| matches!(event, Event::UpgradeStepStarted(one) if one.step == step);
    let at = story.records.iter().rposition(|r| is_it(&r.event)).unwrap();
    let event = Event::WatchRestarted { kind: "Pod".into(), reason: "closed".into(), since_us: None };
    let record = seatrial::event::Record { event, ..story.records[at].clone() };
    story.records.insert(at + 1, record);
}

/// The first request of the upgrade fails.
fn fail(story: &mut Story) {
    let at = story.mark("upgrade");
    let sampled = story.records[at..].iter_mut().find_map(|record| match &mut record.event {
        Event::Sampled { probe, outcome, detail, .. } if probe == PROBE => Some((outcome, detail)),
        _ => None,
    });
    let (outcome, detail) = sampled.unwrap();
    (*outcome, *detail) = (Outcome::Refused, "curl 7: Failed to connect".into());
}

#[rstest]
#[case::nothing_wrong(|_: &mut Story| {}, Passed, "Deployment web: 1 pods were moved by the drains of the upgrade")]
#[case::by_the_new_kubelet(|_: &mut Story| {}, Passed, "DaemonSet agent: pod agent-2b on w2: container 1 was restarted (Error) by the new kubelet")]
#[case::forbidden(|s: &mut Story| ended(s, "forbidden", json!([NEVER])), Failed, "the upgrade to next did not end: it was not begun: PodDisruptionBudget shop/web never")]
#[case::forbidden_by_a_stranger(|s: &mut Story| ended(s, "forbidden", json!(["pod other/x on w1 has no controller"])), Inconclusive, "it names no pod of the trial")]
#[case::stopped_by_a_pod(|s: &mut Story| ended(s, "error", json!("step `drain w1` failed: pod shop/web-2-h was not evicted")), Failed, "the upgrade to next did not end: step `drain w1` failed")]
#[case::stopped_by_the_cluster(|s: &mut Story| ended(s, "error", json!("kubeadm failed on cp")), Inconclusive, "did not end: kubeadm failed on cp; it names no pod")]
#[case::stopped_by_the_cluster_and_incomplete(|s: &mut Story| { ended(s, "error", json!("kubeadm failed on cp")); incomplete(s); }, Inconclusive, "did not end: kubeadm failed on cp")]
#[case::restarted_while_the_api_was_away(|s: &mut Story| { early(s, |_| {}); in_apply(s); }, Passed, "it may have needed the API server, which was away")]
#[case::not_to_its_end(|s: &mut Story| without(s, "settle"), Inconclusive, "the upgrade stopped after `uncordon w3`, 1 steps before its end")]
#[case::left_out(|s: &mut Story| without(s, "drain"), Failed, "was planned before")]
#[case::a_failed_request(
    fail,
    Failed,
    "requests failed for no reason, the first: curl 7: Failed to connect, between `upgrade` and `upgraded`"
)]
#[case::out_of_memory(|s: &mut Story| early(s, |pod| restarted(pod, "OOMKilled")), Failed, "pod web-2-h on w2: container 1 was restarted (OOMKilled)")]
#[case::crashed(|s: &mut Story| early(s, |pod| restarted(pod, "Error")), Failed, "pod web-2-h on w2: container 1 was restarted (Error)")]
#[case::sidecar_crashed(|s: &mut Story| early(s, |pod| { pod["spec"]["initContainers"] = json!([{"name": "proxy", "restartPolicy": "Always"}]); pod["status"]["initContainerStatuses"] = json!([{"name": "proxy", "restartCount": 1, "lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}]); }), Failed, "pod web-2-h on w2: sidecar 1 was restarted (Error)")]
#[case::init_container_again(|s: &mut Story| early(s, |pod| { pod["spec"]["initContainers"] = json!([{"name": "migrate"}]); pod["status"]["initContainerStatuses"] = json!([{"name": "migrate", "restartCount": 1}]); }), Passed, "pods were moved")]
#[case::crashed_after_another_pod_went(|s: &mut Story| { let mut pod = pod("web-2-h", WEB, "u-web-2-h", "w2"); restarted(&mut pod, "Error"); s.insert_after("upgrade", changed(pod)); }, Passed, "it may have needed a pod that was moved shortly before")]
#[case::went(|s: &mut Story| went(s, None), Inconclusive, "pod web-2-h on w2 went in the upgrade, and no step of the upgrade explains it")]
#[case::evicted_by_somebody(|s: &mut Story| went(s, Some("EvictionByEvictionAPI")), Passed, "Deployment web: 2 pods were moved")]
#[case::killed_by_the_kubelet(|s: &mut Story| went(s, Some("TerminationByKubelet")), Failed, "pod web-2-h on w2 went in the upgrade: TerminationByKubelet")]
#[case::blind_in_a_drain(|s: &mut Story| blind(s, "drain"), Inconclusive, "the watch of Pod broke off during `drain w3` (closed)")]
#[case::blind_while_the_api_is_exchanged(|s: &mut Story| blind(s, "apply"), Passed, "1 pods were moved")]
fn an_upgrade_is_judged(#[case] bend: impl Fn(&mut Story), #[case] wanted: Conclusion, #[case] said: &str) {
    let mut story = told().story;
    bend(&mut story);
    let finding = story.judge("upgrade");
    // Where time was stretched, nobody asked meanwhile: that alone is inconclusive.
    let stretched = finding.details().iter().any(|line| line.contains("no request for"));
    if !stretched || wanted == Failed {
        assert_eq!(finding.conclusion(), wanted, "{:#?}", finding.details());
    }
    says(&finding, wanted, said);
}

/// The order of the upgrade and the pods of others say nothing of one workload.
#[test]
fn another_workload_stops_an_upgrade() {
    let mut story = told().story;
    ended(&mut story, "forbidden", json!([NEVER]));
    for (id, wanted) in [("upgrade/Deployment/web", Failed), ("upgrade/Deployment/db", Inconclusive)] {
        let finding = judge::claim(id).unwrap().judge(&Evidence::new(&story.records, id));
        assert_eq!(finding.conclusion(), wanted, "{id}: {:#?}", finding.details());
    }
}

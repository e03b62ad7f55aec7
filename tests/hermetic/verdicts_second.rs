//! A second attack on the judges and on the upgrade's own comparison: records and interleavings for which what comes
//! out is wrong. Each test says what is right.

use std::time::Duration;

use seatrial::event::{self, Change, Event, Outcome, Record};
use seatrial::judge::upgrade::{Budgets, EndedStep, UpgradeStep, costs};
use seatrial::judge::{self, Conclusion, Evidence};
use seatrial::report::rejudge;
use seatrial::upgrade::{Component, Ending, EtcdPolicy, UpgradePlan};
use serde_json::{Value, json};

use crate::story::{self, Story, changed};
use crate::upgrade::refused::{Ground, ground};
use crate::upgrade::{self, v};
use crate::{ha, story::recorded};

/// Puts an event among records at a second of their clock, after what is there at that second.
fn put(records: &mut Vec<Record>, second: f64, event: Event) {
    let mono_us = (second * 1e6) as u64;
    let at = records.iter().position(|r| r.mono_us > mono_us).unwrap_or(records.len());
    let near = records[at.saturating_sub(1)].clone();
    let wall = near.at + jiff::SignedDuration::from_micros(mono_us as i64 - near.mono_us as i64);
    records.insert(at, Record { event, mono_us, at: wall, ..near });
}

fn sampled(probe: &str, outcome: Outcome, took_ms: f64, detail: &str) -> Event {
    Event::Sampled { probe: probe.into(), outcome, took_ms, detail: detail.into() }
}

/// The control probe is late: it was served at `to` only.
fn starves(records: &mut Vec<Record>, from: f64, to: f64) {
    put(records, to, sampled("control", Outcome::Indeterminate, (to - from) * 1e3, "late"));
}

/// The control probe is served in time, four times a second.
fn healthy(records: &mut Vec<Record>, from: f64, to: f64) {
    for n in 0..((to - from) / 0.25) as u32 {
        put(records, from + 0.25 * f64::from(n), sampled("control", Outcome::Acknowledged, 1.0, "0 ms late"));
    }
}

fn node_is(name: &str, ready: &str) -> Event {
    changed(json!({"kind": "Node", "metadata": {"name": name, "uid": name},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
}

fn second(record: &Record) -> f64 {
    record.mono_us as f64 / 1e6
}

fn began(records: &[Record], step: &str) -> f64 {
    let is = |r: &&Record| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == step);
    second(records.iter().find(is).unwrap())
}

#[track_caller]
fn comes_out(records: &[Record], claim: &str, right: Conclusion) {
    let until = records
        .iter()
        .position(|r| matches!(&r.event, Event::ClaimJudged { claim: id, .. } if id == claim))
        .unwrap_or(records.len());
    let finding = judge::claim(claim).unwrap().judge(&Evidence::new(&records[..until], claim));
    assert_eq!(finding.conclusion(), right, "{claim}: {}", finding.evidence());
}

fn versions(records: &mut [Record], bend: impl Fn(&mut seatrial::upgrade::State)) {
    for record in records {
        if let Event::UpgradeStepEnded(ended) = &mut record.event {
            ended.versions.iter_mut().for_each(&bend);
        }
    }
}

/// An etcd that nobody upgraded.
fn old_etcd(records: &mut [Record]) {
    versions(records, |state| {
        state.planes.values_mut().for_each(|parts| _ = parts.insert(Component::Etcd, v("3.6.5")));
    });
}

// ---- A machine that starves ----

/// High: one NotReady while the machine starved excuses checks that no lost node can touch, here D1's versions.
#[test]
fn a_lost_node_does_not_excuse_an_etcd_that_was_never_upgraded() {
    let mut records = upgrade::told();
    old_etcd(&mut records);
    comes_out(&records, "D1", Conclusion::Failed);
    let at = began(&records, "preload");
    starves(&mut records, at, at + 1.5);
    put(&mut records, at + 1.2, node_is("w2", "False"));
    comes_out(&records, "D1", Conclusion::Failed);
}

/// High: the same for A7, an image that is the wrong one.
#[test]
fn a_lost_node_does_not_excuse_pods_of_the_wrong_image() {
    let mut story = recorded();
    story.fact("A7", "pods")[0]["spec"]["containers"][0]["image"] = json!("another:1");
    let at = second(&story.records[story.mark("image-change")]) + 0.1;
    starves(&mut story.records, at, at + 1.5);
    put(&mut story.records, at + 1.2, node_is("w", "False"));
    comes_out(&story.records, "A7", Conclusion::Failed);
}

/// High: a node that was lost on a healthy machine is excused by a starved moment much later, in which its object
/// happens to change.
#[test]
fn a_node_that_was_lost_before_the_machine_starved_is_no_excuse() {
    let mut story = recorded();
    let evicted = story.fact("A8", "pods_before")[0]["metadata"]["uid"].clone();
    for pod in story.fact("A8", "pods").as_array_mut().unwrap() {
        if pod["metadata"]["uid"] == evicted {
            pod["metadata"]["uid"] = json!("another");
        }
    }
    let from = second(&story.records[story.mark("image-change")]);
    let to = second(&story.records[story.mark("image-settled")]);
    healthy(&mut story.records, from, to);
    put(&mut story.records, from + 0.5, node_is("w", "Unknown"));
    comes_out(&story.records, "A8", Conclusion::Failed);
    starves(&mut story.records, to - 0.2, to + 1.0);
    put(&mut story.records, to + 0.5, node_is("w", "Unknown"));
    comes_out(&story.records, "A8", Conclusion::Failed);
}

/// High: a node that our own fault stopped is Unknown for a while after it was started again; that is no lost node.
#[test]
fn a_node_that_boots_after_its_fault_was_healed_is_no_excuse() {
    let mut story = ha::told();
    story.each(|event| {
        if let Event::FaultHealed { proof, .. } = event {
            proof["address"] = json!("172.18.0.9");
        }
    });
    comes_out(&story.records, "E2", Conclusion::Failed);
    let healed = story.records.iter().find(|r| matches!(&r.event, Event::FaultHealed { .. }));
    let at = second(healed.unwrap());
    starves(&mut story.records, at + 0.1, at + 1.6);
    put(&mut story.records, at + 1.0, node_is("cp", "Unknown"));
    comes_out(&story.records, "E2", Conclusion::Failed);
}

/// High: a time over its budget is excused by starvation long before it began: all of the scenario's is summed up.
#[test]
fn starvation_before_a_time_began_does_not_excuse_it() {
    let mut story = ha::told();
    story.bend_at("E3", "budget", "/seconds", json!(20.0));
    comes_out(&story.records, "E3", Conclusion::Failed);
    // The fault is at 20 s.
    starves(&mut story.records, 1.0, 6.0);
    comes_out(&story.records, "E3", Conclusion::Failed);
}

/// High: A7's longest time without an answer is held against the cluster though the machine starved all of it.
#[test]
fn an_outage_while_the_machine_starved_leaves_a7_open() {
    let mut story = recorded();
    let from = second(&story.records[story.mark("image-settled")]);
    story.later("image-settled", 8.0);
    for n in 1..=14 {
        let failed = sampled("http", Outcome::Indeterminate, 400.0, "curl 28: timed out");
        put(&mut story.records, from + 0.5 * f64::from(n), failed);
    }
    starves(&mut story.records, from + 0.05, from + 7.9);
    comes_out(&story.records, "A7", Conclusion::Inconclusive);
}

/// High: one request that fails just after the machine starved makes the whole outage, starved seconds and all, the
/// cluster's: requests that are left out do not take their time with them.
#[test]
fn a_request_that_fails_just_after_the_machine_starved_does_not_bring_the_starved_time_back() {
    let mut records = upgrade::told();
    let at = began(&records, "apply");
    for end in [1.5, 2.5, 3.5] {
        put(&mut records, at + end, sampled("http", Outcome::Indeterminate, 400.0, "curl 28: timed out"));
    }
    put(&mut records, at + 4.6, sampled("http", Outcome::Indeterminate, 800.0, "curl 28: timed out"));
    starves(&mut records, at + 1.05, at + 3.6);
    comes_out(&records, "D2", Conclusion::Inconclusive);
}

/// Middle: D2, E1 and A11 excuse a server's own refusal while the machine starved; A7 says rightly that it refuses
/// whatever the machine does.
#[test]
fn a_servers_answer_is_its_own_also_while_the_machine_starves() {
    let mut records = upgrade::told();
    let at = began(&records, "apply");
    for n in 3..10 {
        let refused = sampled("http", Outcome::Refused, 1.0, "500 nginx/1.29.0");
        put(&mut records, at + 0.5 * f64::from(n), refused);
    }
    comes_out(&records, "D2", Conclusion::Failed);
    starves(&mut records, at + 1.05, at + 4.9);
    comes_out(&records, "D2", Conclusion::Failed);
}

/// The same for A11.
#[test]
fn a_servers_answer_is_its_own_in_a11() {
    let mut story = recorded();
    let at = second(&story.records[story.mark("bad-image")]) + 0.05;
    put(&mut story.records, at, sampled("http", Outcome::Refused, 1.0, "500 nginx/1.22.1"));
    starves(&mut story.records, at - 0.5, at + 1.0);
    comes_out(&story.records, "A11", Conclusion::Failed);
}

/// Middle: a control probe that was well, and is silent from some second to the end of the records, got no time to
/// ask; nobody sees that starvation.
#[test]
fn a_control_probe_that_falls_silent_to_the_end_got_no_time_to_ask() {
    let mut story = recorded();
    let begin = second(&story.records[story.mark("bad-image")]);
    let from = second(&story.records[story.mark("bad-image-rolled-back")]);
    story.later("bad-image-rolled-back", 8.0);
    for n in 1..=14 {
        let (outcome, detail) = match n {
            10 => (Outcome::Indeterminate, "curl 28: timed out"),
            _ => (Outcome::Acknowledged, "200 nginx/1.26.3"),
        };
        put(&mut story.records, from + 0.5 * f64::from(n), sampled("http", outcome, 400.0, detail));
    }
    healthy(&mut story.records, begin, from);
    comes_out(&story.records, "A11", Conclusion::Inconclusive);
}

// ---- An upgrade, judged ----

/// High: an upgrade that stopped because a kubelet step failed leaves D1 open, with where and why; it fails.
#[test]
fn a_kubelet_step_that_failed_leaves_d1_open() {
    let mut records = upgrade::told();
    let is = |r: &Record| matches!(&r.event, Event::UpgradeStepEnded(e) if e.step == "kubelet");
    let at = records.iter().rposition(is).unwrap();
    let Event::UpgradeStepEnded(ended) = &mut records[at].event else { unreachable!() };
    (ended.error, ended.versions) = (Some("node w2 ready at 1.35.4: not in 300 s".into()), None);
    let of_step = |r: &Record| matches!(&r.event, Event::UpgradeStepStarted(_) | Event::UpgradeStepEnded(_));
    let mut n = 0;
    records.retain(|r| {
        n += 1;
        n <= at + 1 || !of_step(r)
    });
    comes_out(&records, "D1", Conclusion::Inconclusive);
}

/// High: an upgrade that was interrupted and gone on with does `apply` again where a kube-proxy was not seen; D1 fails
/// because the kubelets, which came after the first `apply`, came before the last one.
#[test]
fn an_apply_that_is_done_again_does_not_put_the_kubelets_before_it() {
    let mut records = upgrade::told();
    let settled = |r: &Record| {
        matches!(&r.event, Event::UpgradeStepStarted(UpgradeStep { step, .. }) if step == "settle")
            || matches!(&r.event, Event::UpgradeStepEnded(EndedStep { step, .. }) if step == "settle")
    };
    records.retain(|r| !settled(r));
    let mut facts = upgrade::cluster(&["cp", "w1", "w2"]);
    let whole = UpgradePlan::make(&facts, &upgrade::releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap();
    facts.state = whole.hops[0].steps.last().unwrap().after.clone();
    facts.state.proxies.remove("w1");
    let plan = UpgradePlan::make(&facts, &upgrade::releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap();
    let steps: Vec<String> = plan.hops[0].steps.iter().map(|s| s.title()).collect();
    assert_eq!(steps, ["preload", "apply cp", "settle"]);
    let mut at = second(records.last().unwrap()) + 1.0;
    put(&mut records, at, plan.event(&facts.state));
    for planned in &plan.hops[0].steps {
        at += 1.0;
        put(
            &mut records,
            at,
            Event::UpgradeStepEnded(EndedStep {
                to: v("1.35.4"),
                step: planned.step.name().into(),
                node: planned.node.clone(),
                took: 1.0,
                error: None,
                proof: Value::Null,
                versions: Some(planned.after.clone()),
            }),
        );
    }
    comes_out(&records, "D1", Conclusion::Passed);
}

/// Middle: a CoreDNS that goes for no reason in `preload` is excused by a template that comes a whole upgrade later.
#[test]
fn a_system_pod_that_went_long_before_a_rollout_was_not_replaced_by_it() {
    let dns = |name: &str, template: &str, ready: bool| {
        json!({
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "kube-system", "uid": name,
                "labels": {"k8s-app": "kube-dns", "pod-template-hash": template},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "o", "uid": "o", "controller": true}]},
            "spec": {"nodeName": "cp"},
            "status": {"phase": if ready { "Running" } else { "Failed" },
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        })
    };
    let mut records = upgrade::told();
    let (first, preload) = (second(&records[0]), began(&records, "preload"));
    let change = |change: Change, name: &str, template: &str, ready: bool| Event::ObjectChanged {
        change,
        kind: "Pod".into(),
        name: name.into(),
        uid: name.into(),
        object: dns(name, template, ready),
    };
    put(&mut records, first, change(Change::Added, "dns-old", "a", true));
    put(&mut records, preload + 1.0, change(Change::Deleted, "dns-old", "a", false));
    let mut without = records.clone();
    put(&mut without, preload + 2.0, change(Change::Added, "dns-next", "a", true));
    comes_out(&without, "D4", Conclusion::Failed);
    let late = began(&records, "settle");
    put(&mut without, late, change(Change::Added, "dns-new", "b", true));
    comes_out(&without, "D4", Conclusion::Failed);
}

/// Middle: without a single probe there is nothing that D2 could show; it passes.
#[test]
fn nobody_who_asked_is_no_pass_of_d2() {
    let mut told = Story { records: upgrade::told(), seconds: 0.0 };
    *told.fact("D2", "probes") = json!([]);
    comes_out(&told.records, "D2", Conclusion::Inconclusive);
}

/// Middle: the same for D3 and its workers.
#[test]
fn nobody_who_was_drained_is_no_pass_of_d3() {
    let mut told = Story { records: upgrade::told(), seconds: 0.0 };
    *told.fact("D3", "workers") = json!([]);
    comes_out(&told.records, "D3", Conclusion::Inconclusive);
}

/// Middle: an API that nobody drew up probes for, though it was asked and was away, is left out: D2 reads the names
/// that the story observed, not who asked.
#[test]
fn a_probe_that_asked_counts_for_d2_though_it_is_not_listed() {
    let mut told = Story { records: upgrade::told(), seconds: 0.0 };
    let from = began(&told.records, "settle");
    for n in 1..=100 {
        put(
            &mut told.records,
            from + 0.05 * f64::from(n),
            sampled("http", Outcome::Refused, 1.0, "curl 7: refused"),
        );
    }
    comes_out(&told.records, "D2", Conclusion::Failed);
    *told.fact("D2", "probes") = json!(["ledger"]);
    comes_out(&told.records, "D2", Conclusion::Failed);
}

/// Middle: a failure that is edited to `inconclusive` without a check, at the end of its story, is taken for one that
/// the story did not reach: it is not judged again, and no defect is named.
#[test]
fn an_edited_verdict_at_the_end_of_its_story_is_judged_again() {
    let mut records = event::read(&story::fixture()).unwrap();
    for record in &mut records {
        if let Event::Observed { claim, what, value } = &mut record.event
            && claim == "A10"
            && what == "background_after"
        {
            value["pods"] = json!([{"metadata": {"name": "left", "uid": "left"}}]);
        }
    }
    let at =
        records.iter().position(|r| matches!(&r.event, Event::ClaimJudged { claim, .. } if claim == "A10"));
    let at = at.unwrap();
    // The object that changed after it changed before it.
    let (a, b) = (records[at].event.clone(), records[at + 1].event.clone());
    (records[at].event, records[at + 1].event) = (b, a);
    let Event::ClaimJudged { verdict, details, .. } = &mut records[at + 1].event else { unreachable!() };
    (*verdict, *details) = (Conclusion::Inconclusive, Vec::new());
    let again = rejudge(&records, |_| &[]);
    let Event::ClaimJudged { verdict, .. } = &again.records[at + 1].event else { unreachable!() };
    assert_eq!(*verdict, Conclusion::Failed, "{:?}", again.changes);
}

/// High: what is gone between two plans is in none of the later ones; D1 compares with those only, never with what
/// there was before the upgrade.
#[test]
fn a_coredns_that_is_gone_when_the_upgrade_is_gone_on_with_fails_d1() {
    let mut records = upgrade::told();
    let is_plan = |r: &Record| matches!(&r.event, Event::UpgradePlanned(_));
    let at = records.iter().rposition(is_plan).unwrap();
    let Event::UpgradePlanned(plan) = &mut records[at].event else { unreachable!() };
    plan.before.coredns = None;
    plan.hops.iter_mut().flat_map(|h| &mut h.steps).for_each(|step| step.after.coredns = None);
    versions(&mut records[at..], |state| state.coredns = None);
    comes_out(&records, "D1", Conclusion::Failed);
}

/// High: an outage that begins just before a step ends counts in that step, also while it lasts; the upgrade looks at
/// the last step alone, and goes on and on while nobody is served. (As the watcher of suite/upgrade.rs looks.)
#[test]
fn an_outage_that_began_in_the_step_before_is_a_reason_to_stop() {
    let mut records = upgrade::told();
    let step = |r: &Record| match &r.event {
        Event::UpgradeStepEnded(e) => Some(e.step.clone()),
        _ => None,
    };
    let drained = records.iter().position(|r| step(r).as_deref() == Some("drain")).unwrap();
    let done = drained
        + 1
        + records[drained + 1..].iter().position(|r| step(r).as_deref() == Some("uncordon")).unwrap();
    let from = second(&records[drained]) - 0.5;
    records.truncate(done + 1);
    for record in &mut records {
        let away = second(record) > from;
        if let Event::Sampled { probe, outcome, .. } = &mut record.event
            && probe == "http"
            && away
        {
            *outcome = Outcome::Refused;
        }
    }
    put(&mut records, from + 0.1, sampled("http", Outcome::Refused, 1.0, "curl 7: refused"));
    let costs = costs(&records);
    assert!(costs.iter().any(|cost| !cost.over(&Budgets::defaults()).is_empty()), "D2 knows");
    let last = costs.last().unwrap();
    assert!(!last.over(&Budgets::defaults()).is_empty(), "{} goes on: {:?}", last.title(), last.probes);
}

// ---- An upgrade, carried out ----

/// The cluster, with the release's programs and images on every node.
async fn loaded() -> Ground {
    let ground = ground().await;
    for word in ["/kind/upgrade/v1.35.4", "/kind/upgrade/v1.35.4/kubeadm", "-q"] {
        ground.fake.state().commands.insert(word.into(), (0, "", ""));
    }
    ground
}

/// High: an upgrade is gone on with while kube-proxy is being rolled out. The plan has each node as it was seen; one
/// that comes to the new version before `preload` ends stops the upgrade: "planned 1.34.4".
#[tokio::test]
async fn a_rollout_that_goes_on_while_one_plans_does_not_stop_the_upgrade() {
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

/// High: as before, with a static pod that was not shown while the facts were looked up, as right after the manifest
/// of one was put back: "planned nowhere".
#[tokio::test]
async fn a_static_pod_that_comes_back_while_one_plans_does_not_stop_the_upgrade() {
    let ground = loaded().await;
    let scheduler = ground.api.get("Pod", "kube-system", "kube-scheduler").unwrap();
    ground.api.remove("Pod", "kube-system", "kube-scheduler");
    let (ended, ..) = ground.hop("preload", Duration::ZERO, |_| _ = ground.api.put(scheduler)).await;
    assert_eq!(ended.unwrap(), Ending::Complete);
}

/// Middle: a step that changes nothing (`backs_out`) and ends well, but after which a difference is seen, leaves the
/// journal "in the middle of a step": the cluster counts as unusable.
#[tokio::test]
async fn a_difference_after_preload_leaves_the_journal_as_it_was() {
    let ground = loaded().await;
    let (ended, entry, _) =
        ground.hop("preload", Duration::ZERO, |state| state.config = Some(v("1.35.4"))).await;
    assert!(ended.is_err());
    assert!(entry.step.is_none() && entry.safe, "{entry:?}");
}

/// High: kubeadm of `configure` ends well and leaves CoreDNS behind (it skips the addons where it does not see every
/// control plane new); the upgrade stops with the difference, the next plan has the step again, and its unit, which
/// has ended well, is not started again: every retry ends there.
#[test]
fn a_step_that_is_planned_again_is_run_again() {
    let source = include_str!("../../src/upgrade/kubeadm.rs");
    let script = source.split_once("const START: &str = r#\"").unwrap().1.split_once("\"#;").unwrap().0;
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    let script = script.replace("/kind/upgrade", dir.path().to_str().unwrap());
    // The unit has ended well (`RemainAfterExit`), until it is stopped.
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

/// High: kube-proxy had no time to write its rules, since the machine starved just after a pod was deleted; the request
/// that fails 4 s after the deletion, the machine being well again, convicts the cluster.
#[test]
fn starvation_between_a_deletion_and_a_failed_request_leaves_a7_open() {
    let mut story = recorded();
    let (from, settled) = (story.mark("image-change"), story.mark("image-settled"));
    let is_ending = |r: &Record| {
        matches!(&r.event, Event::ObjectChanged { kind, object, .. }
            if kind == "Pod" && !object["metadata"]["deletionTimestamp"].is_null())
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut deleted = 0.0;
    for record in &story.records[from..settled] {
        if let Event::ObjectChanged { uid, .. } = &record.event
            && is_ending(record)
            && seen.insert(uid.clone())
        {
            deleted = second(record);
        }
    }
    let end = second(&story.records[settled]);
    story.later("image-settled", 10.0);
    for n in 1..=19 {
        let good = sampled("http", Outcome::Acknowledged, 1.0, "200 nginx/1.26.3");
        put(&mut story.records, end + 0.5 * f64::from(n), good);
    }
    comes_out(&story.records, "A7", Conclusion::Passed);
    let first = second(&story.records[0]);
    healthy(&mut story.records, first, deleted);
    starves(&mut story.records, deleted, deleted + 2.8);
    healthy(&mut story.records, deleted + 2.9, end + 10.0);
    let failed = sampled("http", Outcome::Indeterminate, 1.0, "curl 7: refused");
    put(&mut story.records, deleted + 4.0, failed);
    comes_out(&story.records, "A7", Conclusion::Inconclusive);
}

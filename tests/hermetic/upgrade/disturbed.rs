//! Which step disturbed which pod, and why: one or two pods during a short upgrade.

use rstest::rstest;
use seatrial::event::{Change, Event, Outcome};
use seatrial::event::{EndedStep, UpgradeStep};
use seatrial::judge::Conclusion;
use seatrial::judge::upgrade::{Disturbed, STRETCH_END, costs, disturbances};
use seatrial::report::{FORMATS, Look, RunReport, read};
use serde_json::{Value, json};

use super::story::{Story, pod};
use super::{began, comes_out, drain_of_w2, put, second, v};
use crate::story::changed;

/// A pod as seen at a second: namespace, name, app, node, owner, template, state.
struct Seen(
    f64,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const SYSTEM: &str = "kube-system";

/// `apply cp` from 10 to 18, `drain w1` from 30 to 38 with one pod evicted, `kubelet w1` from 38 to 46,
/// `uncordon cp` from 70 to 78; the upgrade ends at 90. `cp` and `cp2` are control planes.
fn told(pods: &[Seen]) -> Story {
    let mut s = Story { records: Vec::new(), at: 0.0 };
    for (step, node, from) in
        [("apply", "cp", 10.0), ("drain", "w1", 30.0), ("kubelet", "w1", 38.0), ("uncordon", "cp", 70.0)]
    {
        let (to, step, node) = (v("1.35.4"), step.to_owned(), Some(node.to_owned()));
        s.at = from;
        s.add(Event::UpgradeStepStarted(UpgradeStep { to, step: step.clone(), node: node.clone() }));
        s.at = from + 8.0;
        let proof = json!({ "evicted": if step == "drain" { vec!["n/web"] } else { Vec::new() } });
        s.add(Event::UpgradeStepEnded(EndedStep {
            to,
            step,
            node,
            took: 8.0,
            error: None,
            proof,
            versions: None,
        }));
    }
    s.at = 90.0;
    s.add(Event::Marked { mark: STRETCH_END.into() });
    let control_planes =
        ["cp", "cp2"].map(|node| Seen(0.0, SYSTEM, node, "kube-apiserver", node, "Node", "a", "ready"));
    for Seen(at, namespace, name, app, node, owner, template, is) in control_planes.iter().chain(pods) {
        let uid = format!("{name}-{template}");
        let mut object = pod(namespace, name, app, &uid, node, owner, is);
        object["metadata"]["labels"]["pod-template-hash"] = json!(template);
        if *is == "ended" {
            object["status"]["phase"] = json!("Succeeded");
        }
        s.at = *at;
        s.changed(Change::Modified, object);
    }
    s.records.sort_by_key(|r| r.mono_us);
    s
}

type Told = (&'static str, &'static str, &'static str);

/// Each disturbance: pod, step, reason.
fn found(s: &Story) -> Vec<(String, String, String)> {
    let costs = costs(&s.records);
    let text = |d: seatrial::judge::upgrade::Disturbance| {
        let step = d.step.map_or("none".into(), |i| costs[i].title());
        let pod = match d.what {
            Disturbed::Went => d.pod,
            Disturbed::Restarted(times) => format!("{} x{times}", d.pod),
        };
        (pod, step, d.why.unwrap_or("nothing").to_owned())
    };
    disturbances(&s.records).into_iter().map(text).collect()
}

const EVICTED: &str = "evicted by the drain";
const EXCHANGED: &str = "the control plane's components were exchanged";
const NEW_TEMPLATE: &str = "replaced by one of a new template";
const OWN_CHECK: &str = "a Job of the step itself, which ends";
const API_AWAY: &str = "it ended by itself while the API server was away";
const NEW_KUBELET: &str = "the new kubelet started it anew";
const DNS: (&str, &str) = ("dns", "kube-system/dns");

fn dns(at: f64, node: &'static str, template: &'static str, is: &'static str) -> Seen {
    Seen(at, SYSTEM, DNS.0, "coredns", node, "ReplicaSet", template, is)
}

fn web(at: f64, template: &'static str, is: &'static str) -> Seen {
    Seen(at, "n", "web", "web", "w1", "ReplicaSet", template, is)
}

fn api(at: f64, node: &'static str, template: &'static str, is: &'static str) -> Seen {
    Seen(at, SYSTEM, node, "kube-apiserver", node, "Node", template, is)
}

fn job(at: f64, owner: &'static str, is: &'static str) -> Seen {
    Seen(at, SYSTEM, "job", "check", "w2", owner, "j", is)
}

#[rstest]
#[case::evicted(&[web(1.0, "a", "ready"), web(35.0, "a", "ending")], &[("n/web", "drain w1", EVICTED)])]
#[case::evicted_before_the_next_step(&[web(1.0, "a", "ready"), web(37.0, "a", "ending")], &[("n/web", "drain w1", EVICTED)])]
#[case::before_the_upgrade(&[web(1.0, "a", "ready"), web(5.0, "a", "ending")], &[])]
#[case::when_it_is_over(&[web(1.0, "a", "ready"), web(90.0, "a", "ending")], &[])]
#[case::no_workload(&[Seen(1.0, "n", "x", "x", "w2", "ReplicaSet", "a", "ready"), Seen(35.0, "n", "x", "x", "w2", "ReplicaSet", "a", "ending")], &[])]
#[case::a_new_workload(&[web(1.0, "a", "ready"), web(14.0, "b", "ready"), web(15.0, "a", "ending")], &[("n/web", "apply cp", "nothing")])]
#[case::new_template(&[dns(1.0, "w2", "a", "ready"), dns(14.0, "w2", "b", "ready"), dns(15.0, "w2", "a", "ending")], &[(DNS.1, "apply cp", NEW_TEMPLATE)])]
#[case::new_template_later(&[dns(1.0, "w2", "a", "ready"), dns(31.0, "w2", "b", "ready"), dns(32.0, "w2", "a", "ending")], &[(DNS.1, "drain w1", NEW_TEMPLATE)])]
#[case::new_template_as_the_next_begins(&[dns(1.0, "w2", "a", "ready"), dns(31.0, "w2", "b", "ready"), dns(38.0, "w2", "a", "ending")], &[(DNS.1, "kubelet w1", NEW_TEMPLATE)])]
#[case::older_template(&[dns(0.5, "w2", "b", "ready"), dns(1.0, "w2", "a", "ready"), dns(15.0, "w2", "a", "ending")], &[(DNS.1, "apply cp", "nothing")])]
#[case::same_template(&[dns(1.0, "w2", "a", "ready"), Seen(14.0, SYSTEM, "dns-2", "coredns", "w2", "ReplicaSet", "a", "ready"), dns(15.0, "w2", "a", "ending")], &[(DNS.1, "apply cp", "nothing")])]
#[case::template_elsewhere(&[dns(1.0, "w2", "a", "ready"), Seen(14.0, "other", "dns", "coredns", "w2", "ReplicaSet", "b", "ready"), dns(15.0, "w2", "a", "ending")], &[(DNS.1, "apply cp", "nothing")])]
#[case::template_of_another_app(&[dns(1.0, "w2", "a", "ready"), Seen(14.0, SYSTEM, "x", "x", "w2", "ReplicaSet", "b", "ready"), dns(15.0, "w2", "a", "ending")], &[(DNS.1, "apply cp", "nothing")])]
#[case::own_job(&[job(11.0, "Job", "ready"), job(14.0, "Job", "ending")], &[("kube-system/job", "apply cp", OWN_CHECK)])]
#[case::own_job_that_succeeds(&[job(11.0, "Job", "ready"), job(14.0, "Job", "ended"), job(15.0, "Job", "ending")], &[])]
#[case::job_of_before(&[job(5.0, "Job", "ready"), job(14.0, "Job", "ending")], &[("kube-system/job", "apply cp", "nothing")])]
#[case::job_of_before_that_succeeds(&[job(5.0, "Job", "ready"), job(14.0, "Job", "ended")], &[])]
#[case::job_of_a_drain(&[job(31.0, "Job", "ready"), job(33.0, "Job", "ending")], &[("kube-system/job", "drain w1", "nothing")])]
#[case::no_job(&[job(11.0, "ReplicaSet", "ready"), job(14.0, "ReplicaSet", "ended")], &[("kube-system/job", "apply cp", "nothing")])]
#[case::exchanged(&[api(12.0, "cp", "a", "ending")], &[("kube-system/cp", "apply cp", EXCHANGED)])]
#[case::exchanged_elsewhere(&[api(12.0, "cp2", "a", "ending")], &[("kube-system/cp2", "apply cp", "nothing")])]
#[case::exchanged_by_no_such_step(&[api(75.0, "cp", "a", "ending")], &[("kube-system/cp", "uncordon cp", "nothing")])]
#[case::static_on_a_worker(&[Seen(0.0, SYSTEM, "s", "s", "w1", "Node", "a", "ready"), Seen(40.0, SYSTEM, "s", "s", "w1", "Node", "a", "ending")], &[("kube-system/s", "kubelet w1", "nothing")])]
#[case::lost_its_leader(&[api(12.0, "cp2", "a", "restarted")], &[("kube-system/cp2 x1", "apply cp", EXCHANGED)])]
#[case::restarted_in_a_drain(&[api(36.0, "cp2", "a", "restarted")], &[("kube-system/cp2 x1", "drain w1", "nothing")])]
#[case::new_kubelet(&[dns(1.0, "w1", "a", "ready"), dns(40.0, "w1", "a", "restarted")], &[("kube-system/dns x1", "kubelet w1", NEW_KUBELET)])]
#[case::long_before_the_kubelet(&[dns(1.0, "w1", "a", "ready"), dns(25.0, "w1", "a", "restarted")], &[("kube-system/dns x1", "apply cp", "nothing")])]
#[case::label_of_a_workload_elsewhere(&[Seen(1.0, "other", "web", "web", "w1", "ReplicaSet", "a", "ready"), Seen(40.0, "other", "web", "web", "w1", "ReplicaSet", "a", "restarted")], &[("other/web x1", "kubelet w1", NEW_KUBELET)])]
#[case::restarted_as_it_begins(&[dns(1.0, "w1", "a", "ready"), dns(10.0, "w1", "a", "restarted")], &[])]
fn a_disturbance_has_its_step_and_its_reason(#[case] pods: &[Seen], #[case] wanted: &[Told]) {
    let found = found(&told(pods));
    let found: Vec<Told2<'_>> = found.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    assert_eq!(found, wanted);
}

type Told2<'t> = (&'t str, &'t str, &'t str);

/// The kubelet of a control plane asks its own API server. While that server is replaced, the node may be lost.
#[rstest]
#[case::own_node("cp", true, true, "the node was lost while its own API server was exchanged")]
#[case::another_control_plane("cp2", true, true, "nothing")]
#[case::a_worker("w2", true, true, "nothing")]
#[case::for_another_reason("cp", false, true, "nothing")]
#[case::by_a_taint_of_somebodys("cp", true, false, "nothing")]
fn a_pod_that_a_taint_drove_from_its_control_plane(
    #[case] node: &'static str,
    #[case] by_taint: bool,
    #[case] lost: bool,
    #[case] why: &str,
) {
    let mut s = told(&[dns(1.0, node, "a", "ready"), dns(15.0, node, "a", "ending")]);
    let is = |status: &str| {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "uid": node},
            "status": {"conditions": [{"type": "Ready", "status": status}]}})
    };
    for (at, status) in [(1.0, "True"), (12.0, if lost { "Unknown" } else { "True" }), (17.0, "True")] {
        put(&mut s.records, at, changed(is(status)));
    }
    for record in s.records.iter_mut().filter(|r| by_taint && r.mono_us == 15_000_000) {
        if let Event::ObjectChanged { object, .. } = &mut record.event {
            let conditions = object["status"]["conditions"].as_array_mut().unwrap();
            conditions.push(
                json!({"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}),
            );
        }
    }
    assert_eq!(found(&s), [(DNS.1.into(), "apply cp".into(), why.into())]);
}

/// Restarts that a pod had when it was first seen are older than the upgrade.
#[test]
fn restarts_are_counted_from_their_number_before() {
    let mut s = told(&[dns(1.0, "w1", "a", "restarted"), dns(41.0, "w1", "a", "restarted")]);
    assert_eq!(found(&s), []);
    for record in s.records.iter_mut().filter(|r| r.mono_us == 41_000_000) {
        if let Event::ObjectChanged { object, .. } = &mut record.event {
            object["status"]["containerStatuses"][0]["restartCount"] = json!(2);
        }
    }
    assert_eq!(found(&s), [(format!("{} x1", DNS.1), "kubelet w1".into(), NEW_KUBELET.into())]);
}

/// A step without an end lasts until the next one begins, plus a margin for late records.
#[test]
fn a_step_without_an_end_lasts_to_the_next() {
    for (second, why) in [(84.0, NEW_KUBELET), (86.0, "nothing")] {
        let mut s = told(&[dns(1.0, "w1", "a", "ready"), dns(second, "w1", "a", "restarted")]);
        s.records.retain(|r| !matches!(&r.event, Event::UpgradeStepEnded(e) if e.step == "kubelet"));
        assert_eq!(found(&s)[0].2, why, "at {second}");
    }
}

/// A drain that was given up does not record which pods it had evicted.
#[test]
fn a_drain_that_was_given_up_explains_each_of_its_pods() {
    for (error, why) in [(Some("given up"), EVICTED), (None, "nothing")] {
        let mut s = told(&[web(1.0, "a", "ready"), web(35.0, "a", "ending")]);
        for record in &mut s.records {
            if let Event::UpgradeStepEnded(ended) = &mut record.event {
                (ended.error, ended.proof) =
                    (error.map(str::to_owned), json!({ "evicted": Value::Array(Vec::new()) }));
            }
        }
        assert_eq!(found(&s)[0].2, why, "{error:?}");
    }
}

/// A container's restarts: the second at which they are seen, their total, and how the container had ended.
fn restarts(s: &mut Story, seen: &[(f64, i64, &str)]) {
    s.changed_at(1.0, dns_that(0, None));
    for (second, count, ended) in seen {
        s.changed_at(*second, dns_that(*count, Some(ended)));
    }
}

fn dns_that(restarts: i64, ended: Option<&str>) -> Value {
    let mut object = pod(SYSTEM, DNS.0, "coredns", "dns-a", "w2", "ReplicaSet", "ready");
    object["status"]["containerStatuses"][0]["restartCount"] = json!(restarts);
    if let Some(ended) = ended {
        object["status"]["containerStatuses"][0]["lastState"] = json!({"terminated": {"reason": ended}});
    }
    object
}

impl Story {
    fn changed_at(&mut self, second: f64, object: Value) {
        self.at = second;
        self.changed(Change::Modified, object);
    }

    /// Whether the API answers at a second.
    fn api(&mut self, second: f64, outcome: Outcome) {
        self.at = second;
        self.add(Event::Sampled { probe: "api".into(), outcome, took_ms: 1.0, detail: String::new() });
    }
}

#[rstest]
#[case::once(&[(33.0, 1, "Error")], &[(1, API_AWAY)])]
#[case::told_late(&[(48.0, 1, "Error")], &[(1, API_AWAY)])]
#[case::told_too_late(&[(50.5, 1, "Error")], &[(1, "nothing")])]
#[case::before_it_went(&[(27.0, 1, "Error")], &[(1, "nothing")])]
#[case::twice(&[(33.0, 1, "Error"), (34.0, 2, "Error")], &[(1, API_AWAY), (1, "nothing")])]
#[case::twice_at_once(&[(33.0, 2, "Error")], &[(1, API_AWAY), (1, "nothing")])]
#[case::out_of_memory(&[(33.0, 1, "OOMKilled")], &[(1, "nothing")])]
fn what_ended_while_the_api_was_away_is_explained_by_that_once(
    #[case] seen: &[(f64, i64, &str)],
    #[case] wanted: &[(i64, &str)],
) {
    use Outcome::{Acknowledged, Indeterminate, Refused};
    for (outcome, answered) in [(Refused, false), (Indeterminate, false), (Acknowledged, true)] {
        let mut s = told(&[]);
        restarts(&mut s, seen);
        for (second, outcome) in [(30.0, Acknowledged), (31.0, outcome), (35.0, Acknowledged)] {
            s.api(second, outcome);
        }
        s.records.sort_by_key(|r| r.mono_us);
        let why: Vec<(i64, String)> = found(&s)
            .into_iter()
            .map(|(pod, _, why)| (pod.rsplit_once('x').unwrap().1.parse().unwrap(), why))
            .collect();
        match answered {
            true => assert!(why.iter().all(|(_, why)| why == "nothing"), "{why:?}"),
            false => {
                let wanted: Vec<(i64, String)> =
                    wanted.iter().map(|(n, why)| (*n, (*why).to_owned())).collect();
                assert_eq!(why, wanted, "{outcome:?}");
            }
        }
    }
}

/// The report that a run stores is made from the file, which holds only a part of the records.
#[test]
fn the_stored_report_names_the_same_pods() {
    let pods = [
        api(12.0, "cp", "b", "ending"),
        dns(1.0, "w2", "a", "ready"),
        dns(14.0, "w2", "b", "ready"),
        dns(15.0, "w2", "a", "ending"),
        job(11.0, "Job", "ready"),
        job(14.0, "Job", "ending"),
        web(1.0, "a", "ready"),
        web(35.0, "a", "ending"),
        Seen(1.0, SYSTEM, "proxy", "kube-proxy", "w1", "DaemonSet", "a", "ready"),
        Seen(41.0, SYSTEM, "proxy", "kube-proxy", "w1", "DaemonSet", "a", "restarted"),
    ];
    let mut s = told(&pods);
    for (seq, record) in s.records.iter_mut().enumerate() {
        record.seq = seq as u64;
        record.scope.scenario = Some("upgrade".into());
        let Event::ObjectChanged { name, object, .. } = &mut record.event else { continue };
        if name == DNS.0 {
            // The annotation of a static pod with the hash of its manifest.
            let hash = object["metadata"]["labels"]["pod-template-hash"].take();
            object["metadata"]["annotations"] = json!({"kubernetes.io/config.hash": hash, "other": "x"});
        }
        if let Some(containers) = object["status"]["containerStatuses"].as_array_mut() {
            containers.insert(0, json!({"restartCount": 0}));
        }
    }
    let whole = RunReport::of(&s.records);
    let disturbed: Vec<usize> = whole.suites[0].upgrade.iter().map(|step| step.pods.len()).collect();
    assert_eq!(disturbed, [3, 1, 1, 0]);
    let restarts =
        |report: &RunReport| report.timelines[0].lanes.iter().map(|l| l.moments.len()).sum::<usize>();
    assert_eq!(restarts(&whole), 1);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.jsonl");
    let lines: String = s.records.iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect();
    std::fs::write(&file, lines).unwrap();
    let stored = read(&file).unwrap();
    for format in FORMATS {
        let [whole, stored] = [&whole, &stored].map(|r| format.render(r, Look::default()).unwrap());
        assert_eq!(stored, whole, "{}", format.name());
    }
}

/// A CoreDNS pod that is deleted for no reason in `preload` is not excused by a new template that appears a whole
/// upgrade later.
#[test]
fn a_system_pod_deleted_long_before_a_rollout_was_not_replaced_by_it() {
    let pod = |name: &str, template: &str, ready: bool| {
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
    let mut records = super::told();
    let (first, preload) = (second(&records[0]), began(&records, "preload"));
    let change = |change: Change, name: &str, template: &str, ready: bool| Event::ObjectChanged {
        change,
        kind: "Pod".into(),
        name: name.into(),
        uid: name.into(),
        object: pod(name, template, ready),
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

/// A foreign pod, with its controller's kind and its container's restarts.
fn theirs(name: &str, node: &str, owner: &str, phase: &str, restarts: i64) -> Event {
    changed(json!({
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system", "uid": name, "labels": {"app": name},
            "ownerReferences": [{"kind": owner, "name": "o", "uid": "o", "controller": true}]},
        "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"restartCount": restarts, "lastState": {"terminated": {"reason": "Error"}}}]},
    }))
}

/// A scheduler on another control plane crashes seven times in the step `apply`, while the API always answers. Its
/// own API server is not touched, and one lost leader election explains only one restart.
#[test]
fn a_scheduler_that_keeps_crashing_on_another_control_plane_is_disturbed() {
    let mut records = super::told();
    let scheduler = |times| theirs("kube-scheduler-cp2", "cp2", "Node", "Running", times);
    let (first, at) = (second(&records[0]), began(&records, "apply"));
    put(&mut records, first, scheduler(0));
    put(&mut records, at + 0.5, scheduler(1));
    comes_out(&records, "D4", Conclusion::Passed);
    for times in 2..=7 {
        put(&mut records, at + 0.5 + 0.1 * times as f64, scheduler(times));
    }
    comes_out(&records, "D4", Conclusion::Failed);
}

/// A Job that succeeds was not disturbed.
#[test]
fn a_job_that_succeeds_while_a_node_is_drained_was_not_disturbed() {
    let mut records = super::told();
    let at = drain_of_w2(&records);
    put(&mut records, at + 0.5, theirs("backup-1", "w1", "Job", "Running", 0));
    put(&mut records, at + 1.0, theirs("backup-1", "w1", "Job", "Succeeded", 0));
    comes_out(&records, "D4", Conclusion::Passed);
}

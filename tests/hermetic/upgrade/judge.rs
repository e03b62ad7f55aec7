//! Part D judged from made-up records: a story without an error passes, and each falsehood turns its claim.

use seatrial::judge::upgrade::facts;
use std::collections::BTreeMap;

use seatrial::event::EndedStep;
use seatrial::event::{Change, Event, Outcome, Record};
use seatrial::judge::Conclusion;
use seatrial::judge::upgrade::{Budgets, Disturbed, STRETCH_END, costs, disturbances};
use serde_json::{Value, json};

use super::story::{Story, Wrong, pod, told};
use super::v;
use crate::lies::{FAILED, Found, Lie, OPEN, Verdict, played};
use seatrial::kubernetes::version::Version;
use seatrial::upgrade::{Component, State};

#[test]
fn a_sound_upgrade_passes() {
    let story = told(Wrong::default());
    for claim in ["D1", "D2", "D3", "D4"] {
        let (conclusion, evidence) = story.judge(claim);
        assert_eq!(conclusion, Conclusion::Passed, "{claim}: {evidence}");
    }
}

#[test]
fn without_evidence_nothing_passes() {
    let empty = Story { records: Vec::new(), at: 0.0 };
    for claim in ["D1", "D2", "D3", "D4", "D5"] {
        assert_eq!(empty.judge(claim).0, Conclusion::Inconclusive, "{claim}");
    }
}

#[test]
fn versions_out_of_order_fail() {
    told(Wrong { stale: true, ..Wrong::default() }).wrong("D1", "is ahead of kube-apiserver 1.34.4");
    let mut story = told(Wrong::default());
    // A step that is in no plan.
    let step = EndedStep {
        to: v("1.35.4"),
        step: "apply".into(),
        node: Some("w1".into()),
        took: 1.0,
        error: None,
        proof: Value::Null,
        versions: None,
    };
    story.add(Event::UpgradeStepEnded(step));
    story.wrong("D1", "`apply w1` was not planned there");
    let mut story = told(Wrong::default());
    story.observe(&facts::REFUSED, json!({"asked": "1.34 to 1.36", "answer": null, "because": "skipped"}));
    story.wrong("D1", "1.34 to 1.36 was answered with: a plan");
}

#[test]
fn an_upgrade_that_did_not_reach_its_version_fails() {
    let mut story = told(Wrong::default());
    let last = story
        .records
        .iter()
        .rposition(|r| matches!(&r.event, Event::UpgradeStepEnded(e) if e.step == "kubelet"));
    for record in story.records.iter_mut().skip(last.unwrap()) {
        if let Event::UpgradeStepEnded(ended) = &mut record.event {
            ended.versions.as_mut().unwrap().kubelets.insert("w2".into(), v("1.34.4"));
        }
    }
    story.wrong("D1", "in the end not 1.35.4: kubelet of w2 1.34.4");
}

#[test]
fn an_outage_counts_in_the_step_in_which_it_began() {
    let story = told(Wrong { outage: 4, ..Wrong::default() });
    story.wrong("D2", "`apply cp`: http 4 of 8 requests failed, longest time without an answer 5.0 s of 2 s, 5.0 s of 4 s in all");
    let cost = costs(&story.records);
    let apply = cost.iter().find(|c| c.title() == "apply cp").unwrap();
    assert_eq!(
        apply.over(&Budgets::defaults()),
        [
            "http was without an answer for 5.0 s of 2 s in `apply cp`",
            "http was without an answer for 5.0 s of 4 s in all in `apply cp`"
        ]
    );
    // One second is within the budget.
    assert_eq!(told(Wrong { outage: 1, ..Wrong::default() }).judge("D2").0, Conclusion::Passed);
}

/// The clocks must agree from the beginning of the first step to the end of the last stretch.
#[test]
fn a_jump_of_the_wall_clock_counts_from_the_first_step_to_the_last_stretchs_end() {
    let whole = told(Wrong::default());
    let at = |is: &dyn Fn(&Event) -> bool| whole.records.iter().position(|r| is(&r.event)).unwrap();
    let first = at(&|e| matches!(e, Event::UpgradeStepStarted(_)));
    let end = |e: &Event| matches!(e, Event::Marked { mark } if mark == STRETCH_END);
    let last = whole.records.iter().rposition(|r| end(&r.event)).unwrap();
    for (from, conclusion) in [
        (first, Conclusion::Passed),
        (first + 1, Conclusion::Inconclusive),
        (last, Conclusion::Inconclusive),
        (last + 1, Conclusion::Passed),
    ] {
        let mut story = told(Wrong::default());
        for record in &mut story.records[from..] {
            record.at += jiff::SignedDuration::from_hours(1);
        }
        assert_eq!(story.judge("D2").0, conclusion, "from record {from} on");
    }
}

#[test]
fn a_probe_that_did_not_ask_decides_nothing() {
    let (conclusion, evidence) = told(Wrong { silent: true, ..Wrong::default() }).judge("D2");
    assert_eq!(conclusion, Conclusion::Inconclusive);
    assert!(evidence.contains("ledger did not ask during `apply cp`"), "{evidence}");
}

fn found(claim: &str, bend: impl Fn(&mut Wrong)) -> Found {
    let mut wrong = Wrong::default();
    bend(&mut wrong);
    let (conclusion, evidence) = told(wrong).judge(claim);
    (Verdict::Judged(conclusion), evidence)
}

fn out_of_memory(lies: bool) -> Found {
    let mut story = told(Wrong::default());
    let apply = |r: &Record| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == "apply");
    let at = story.records.iter().position(apply).unwrap();
    let (first, mono_us) = (story.records[at].clone(), story.records[at].mono_us + 1_500_000);
    let (probe, detail) = ("api".into(), "refused".into());
    let mut events = vec![Event::Sampled { probe, outcome: Outcome::Refused, took_ms: 1.0, detail }];
    for times in (1..8).filter(|_| lies) {
        let mut object = pod("kube-system", "coredns-1", "kube-dns", "dns-1", "w1", "ReplicaSet", "ready");
        object["status"]["containerStatuses"][0]["restartCount"] = json!(times);
        object["status"]["containerStatuses"][0]["lastState"] =
            json!({"terminated": {"reason": "OOMKilled"}});
        let (kind, name, uid) = ("Pod".into(), "coredns-1".into(), "dns-1".into());
        events.push(Event::ObjectChanged { change: Change::Modified, kind, name, uid, object });
    }
    for (n, event) in (0u64..).zip(events) {
        let mono_us = mono_us + n * 100_000;
        let at = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_micros(mono_us as i64);
        story.records.push(Record { event, mono_us, at, ..first.clone() });
    }
    story.records.sort_by_key(|r| r.mono_us);
    let (conclusion, evidence) = story.judge("D4");
    (Verdict::Judged(conclusion), evidence)
}

/// Changes the versions after each step; steps are counted from 0.
fn seen(lies: bool, bend: impl Fn(usize, &mut State)) -> Found {
    let mut story = told(Wrong::default());
    let ended = story.records.iter_mut().filter_map(|r| match &mut r.event {
        Event::UpgradeStepEnded(ended) => ended.versions.as_mut(),
        _ => None,
    });
    for (n, state) in ended.enumerate().filter(|_| lies) {
        bend(n, state);
    }
    let (conclusion, evidence) = story.judge("D1");
    (Verdict::Judged(conclusion), evidence)
}

/// Changes the parts of the control plane.
fn plane(state: &mut State, bend: impl Fn(&mut BTreeMap<Component, Version>)) {
    state.control_planes.values_mut().for_each(bend);
}

fn left_out(lies: bool) -> Found {
    let mut story = told(Wrong::default());
    let is = |e: &EndedStep| lies && e.step == "configure" && e.node.as_deref() == Some("w2");
    story.records.retain(|r| !matches!(&r.event, Event::UpgradeStepEnded(e) if is(e)));
    let (conclusion, evidence) = story.judge("D1");
    (Verdict::Judged(conclusion), evidence)
}

/// The made-up upgrade, followed by the same upgrade from there to 1.36.3 without some of its steps.
fn two_hops(lies: bool, without: fn(&EndedStep) -> bool) -> Found {
    let mut story = told(Wrong::default());
    let of_upgrade = |r: &&Record| {
        matches!(
            &r.event,
            Event::UpgradePlanned(_) | Event::UpgradeStepStarted(_) | Event::UpgradeStepEnded(_)
        )
    };
    let again: Vec<Record> = story.records.iter().filter(of_upgrade).cloned().collect();
    let last = story.records.last().unwrap().mono_us;
    for record in again {
        let mut text = serde_json::to_string(&record).unwrap();
        for (old, new) in [("1.36.3", "@"), ("1.35.4", "1.36.3"), ("1.34.4", "1.35.4")] {
            text = text.replace(old, new);
        }
        for (old, new) in [("3.6.6", "3.6.8"), ("3.6.5", "3.6.6"), ("1.13.1", "1.14.2"), ("1.12.1", "1.13.1")]
        {
            text = text.replace(old, new);
        }
        let mut record: Record = serde_json::from_str(&text).unwrap();
        record.mono_us += last;
        story.records.push(record);
    }
    story.records.retain(|r| !matches!(&r.event, Event::UpgradeStepEnded(e) if lies && without(e)));
    let (conclusion, evidence) = story.judge("D1");
    (Verdict::Judged(conclusion), evidence)
}

/// During kube-proxy's rollout, one node after another has no kube-proxy, and others have the old one. When the
/// upgrade has settled, every node has the new one.
#[test]
fn a_rollout_of_kube_proxy_may_be_under_way_until_the_upgrade_settles() {
    let under_way = |from: &str, to: &str, gone: &[&str], left: &str| {
        let mut story = told(Wrong::default());
        let mut on = false;
        for record in &mut story.records {
            let Event::UpgradeStepEnded(ended) = &mut record.event else { continue };
            on |= ended.step == from;
            if on && let Some(state) = &mut ended.versions {
                state.proxies.retain(|node, _| !gone.contains(&node.as_str()));
                state.proxies.insert("cp".into(), v(left));
            }
            on &= ended.step != to;
        }
        let (conclusion, evidence) = story.judge("D1");
        (conclusion, evidence.contains("kube-proxy of"))
    };
    assert_eq!(under_way("apply", "apply", &["w1"], "1.34.4"), (Conclusion::Passed, false));
    assert_eq!(under_way("apply", "apply", &["w1", "w2"], "1.34.4"), (Conclusion::Failed, true));
    assert_eq!(under_way("apply", "apply", &[], "1.33.13"), (Conclusion::Failed, true));
    assert_eq!(under_way("settle", "settle", &["w1"], "1.35.4"), (Conclusion::Failed, true));
    assert_eq!(under_way("preload", "preload", &["w1"], "1.34.4"), (Conclusion::Failed, true));
}

/// HTTP asks twice a second, and every second answer is bad: no single outage is long.
fn every_second(lies: bool) -> Found {
    let mut story = told(Wrong::default());
    let last = story.records.last().unwrap().mono_us;
    story.records.retain(|r| !matches!(&r.event, Event::Sampled { probe, .. } if probe == "http"));
    let first = story.records[0].clone();
    for (n, mono_us) in (100_000..last).step_by(500_000).enumerate() {
        let outcome = if lies && n % 2 == 1 { Outcome::Refused } else { Outcome::Acknowledged };
        let (probe, detail) = ("http".into(), "curl 7: refused".into());
        let event = Event::Sampled { probe, outcome, took_ms: 1.0, detail };
        let at = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_micros(mono_us as i64);
        story.records.push(Record { event, mono_us, at, ..first.clone() });
    }
    story.records.sort_by_key(|r| r.mono_us);
    let (conclusion, evidence) = story.judge("D2");
    (Verdict::Judged(conclusion), evidence)
}

/// One lie for each field of [`Wrong`].
pub static LIES: &[Lie] = &[
    played(
        "an API server that was never upgraded",
        "D1",
        |lies| found("D1", |w| w.stale = lies),
        FAILED,
        "is ahead of kube-apiserver 1.34.4",
    ),
    played(
        "an etcd that was never upgraded",
        "D1",
        |lies| seen(lies, |_, state| plane(state, |parts| _ = parts.insert(Component::Etcd, v("3.6.5")))),
        FAILED,
        "after `apply cp`: not as planned: etcd of cp is 3.6.5, planned 3.6.6",
    ),
    played(
        "a CoreDNS that was downgraded",
        "D1",
        |lies| seen(lies, |n, state| state.coredns = Some(v(if n > 2 { "1.9.0" } else { "1.12.1" }))),
        FAILED,
        "CoreDNS is 1.9.0, planned 1.13.1",
    ),
    played(
        "a CoreDNS that is gone",
        "D1",
        |lies| seen(lies, |_, state| state.coredns = None),
        FAILED,
        "after `preload`: not as planned: CoreDNS is gone, planned 1.12.1",
    ),
    played(
        "a scheduler and a controller-manager that are gone",
        "D1",
        |lies| {
            seen(lies, |n, state| {
                plane(state, |parts| {
                    parts.retain(|c, _| n == 0 || [Component::Etcd, Component::KubeApiserver].contains(c));
                });
            })
        },
        FAILED,
        "kube-controller-manager of cp is gone, planned 1.35.4 and kube-scheduler of cp is gone",
    ),
    played(
        "a node that is gone",
        "D1",
        |lies| seen(lies, |n, state| state.kubelets.retain(|node, _| n == 0 || node != "w2")),
        FAILED,
        "after `apply cp`: not as planned: kubelet of w2 is gone, planned 1.34.4",
    ),
    played(
        "kube-proxies that are gone from every node",
        "D1",
        |lies| seen(lies, |n, state| state.proxies.retain(|_, _| n == 0)),
        FAILED,
        "kube-proxy of w2 is gone, planned 1.35.4",
    ),
    played(
        "a step of the plan that was left out",
        "D1",
        left_out,
        FAILED,
        "`configure w2` was planned before `kubelet w2` and was not done",
    ),
    played(
        "a second hop without its drains",
        "D1",
        |lies| two_hops(lies, |e| e.step == "drain" && e.to == v("1.36.3")),
        FAILED,
        "w2 was drained before its kubelet was exchanged (1.36.3)",
    ),
    played(
        "an upgrade that stopped on its way",
        "D1",
        |lies| two_hops(lies, |e| e.step == "settle" && e.to == v("1.36.3")),
        OPEN,
        "the upgrade stopped after `uncordon w2`, 1 steps before its end",
    ),
    played(
        "requests that failed for four seconds",
        "D2",
        |lies| found("D2", |w| w.outage = 4 * u32::from(lies)),
        FAILED,
        "longest time without an answer 5.0 s of 2 s",
    ),
    played(
        "an outage that began between two steps",
        "D2",
        |lies| found("D2", |w| w.between = lies),
        FAILED,
        "`preload`: http 3 of 3 requests failed, longest time without an answer 9.0 s of 2 s",
    ),
    played(
        "requests that ended in the middle of a step",
        "D2",
        |lies| found("D2", |w| w.fell_silent = lies),
        OPEN,
        "http did not ask for 9.0 s in `kubelet cp`",
    ),
    played(
        "a wall clock that jumps in the middle of an upgrade",
        "D2",
        |lies| found("D2", |w| w.jumped = lies),
        OPEN,
        "the clocks disagree on how long it took",
    ),
    played(
        "every second request that failed, each for less than a second",
        "D2",
        every_second,
        FAILED,
        " requests failed in all, ",
    ),
    played(
        "a ledger that did not ask",
        "D2",
        |lies| found("D2", |w| w.silent = lies),
        OPEN,
        "ledger did not ask during `apply cp`",
    ),
    played(
        "a drain that closed nothing",
        "D3",
        |lies| found("D3", |w| w.uncordoned_drain = lies),
        FAILED,
        "w1 was not cordoned for its drain",
    ),
    played(
        "a drain that moved nothing",
        "D3",
        |lies| found("D3", |w| w.nothing_moved = lies),
        FAILED,
        "set-0 stayed on w1",
    ),
    played(
        "a node that stays closed in the end",
        "D3",
        |lies| found("D3", |w| w.left_cordoned = lies),
        FAILED,
        "w2 is cordoned in the end",
    ),
    played(
        "a forbidden drain that left its node closed",
        "D3",
        |lies| found("D3", |w| w.left_closed = lies),
        FAILED,
        "w1 was left cordoned then",
    ),
    played(
        "both pods down at once",
        "D3",
        |lies| found("D3", |w| w.both_down = lies),
        FAILED,
        "fewest pods ready 0, at least 1 must be",
    ),
    played(
        "pods that were listed anew when the drain was over",
        "D3",
        |lies| found("D3", |w| w.blind = lies),
        OPEN,
        "the watch of Pod broke off during `drain w2`",
    ),
    played(
        "pods that were listed anew when the drain was over",
        "D4",
        |lies| found("D4", |w| w.blind = lies),
        OPEN,
        "the watch of Pod broke off during `drain w2`",
    ),
    played(
        "a pod that went without a drain",
        "D4",
        |lies| found("D4", |w| w.stray_pod = lies),
        FAILED,
        "`apply cp`: n/web-2 on w2 went for no known reason",
    ),
    played(
        "a container that restarted",
        "D4",
        |lies| found("D4", |w| w.restarted = lies),
        FAILED,
        "n/set-0 on w1 restarted for no known reason",
    ),
    played(
        "a pod that went in a drain which did not evict it",
        "D4",
        |lies| found("D4", |w| w.not_evicted = lies),
        FAILED,
        "n/set-0 on w1 went for no known reason",
    ),
    played(
        "a restart of the cluster's own that nothing explains",
        "D4",
        |lies| found("D4", |w| w.unexplained = lies),
        FAILED,
        "kube-system/coredns-3 on cp restarted for no known reason",
    ),
    played(
        "a CoreDNS that runs out of memory seven times while the API is away once",
        "D4",
        out_of_memory,
        FAILED,
        "`apply cp`: kube-system/coredns-1 on w1 restarted 7 times (OOMKilled) for no known reason",
    ),
    played(
        "a pod of the set that mounts another claim",
        "D4",
        |lies| found("D4", |w| w.other_claim = lies),
        FAILED,
        "set-1 mounted claim data-set-1, mounts data-set-0",
    ),
    played(
        "a claim of the set that is bound to another volume",
        "D4",
        |lies| found("D4", |w| w.other_volume = lies),
        FAILED,
        "claim data-set-1 is Bound, volume pv-1 before, pv-9 after",
    ),
    played(
        "a file of the set that is another one",
        "D4",
        |lies| found("D4", |w| w.other_file = lies),
        FAILED,
        "/data/identity of set-1 holds f0, written was f1",
    ),
    played(
        "a database with a home that came up elsewhere",
        "D4",
        |lies| found("D4", |w| w.elsewhere = lies),
        FAILED,
        "pod mysql-2 was given w1 while w2 was closed",
    ),
    played(
        "a database that waited, and nobody says why",
        "D4",
        |lies| found("D4", |w| w.unsaid = lies),
        FAILED,
        "no FailedScheduling of MySQL's pod names the volume's node affinity",
    ),
    played(
        "another server that answers after the upgrade",
        "D4",
        |lies| found("D4", |w| w.other_server = lies),
        FAILED,
        "server s1 before, s2 in pod mysql-2 now",
    ),
    played(
        "a plain hostPath whose rows came along",
        "D4",
        |lies| found("D4", |w| w.full_trap = lies),
        FAILED,
        "trap: server t1 before, t2 now, which has the ledger's table",
    ),
    played(
        "a plain hostPath whose rows are not on the drained node",
        "D4",
        |lies| found("D4", |w| w.gone_from_disk = lies),
        OPEN,
        "trap: rows 1 were read from qa/ledger.ibd of w2",
    ),
    played(
        "a plain hostPath whose pod was never moved",
        "D4",
        |lies| found("D4", |w| w.unmoved_trap = lies),
        FAILED,
        "trap: pod trap-1 was on w2, pod trap-1 is ready on w2",
    ),
    played(
        "an identity that changed",
        "D4",
        |lies| found("D4", |w| w.renamed = lies),
        FAILED,
        "gone set-1, new set-2",
    ),
    played(
        "a row lost in the upgrade",
        "D4",
        |lies| found("D4", |w| w.lost_row = lies),
        FAILED,
        "acknowledged rows are there, lost 1",
    ),
];

#[test]
fn a_watch_that_broke_off_during_a_drain_decides_nothing() {
    let mut story = told(Wrong::default());
    let broken = |records: &mut Vec<Record>, step: &str| {
        let at = records
            .iter()
            .rposition(|r| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == step))
            .unwrap();
        let event = Event::WatchRestarted { kind: "Pod".into(), reason: "410".into(), since_us: None };
        let record = Record { event, ..records[at].clone() };
        records.insert(at + 1, record);
    };
    broken(&mut story.records, "settle");
    assert_eq!(story.judge("D4").0, Conclusion::Passed, "no node was drained then");
    broken(&mut story.records, "drain");
    for claim in ["D3", "D4"] {
        let (conclusion, evidence) = story.judge(claim);
        assert_eq!(conclusion, Conclusion::Inconclusive, "{evidence}");
        assert!(evidence.contains("the watch of Pod broke off during `drain w2`"), "{evidence}");
    }
}

#[test]
fn each_disturbed_pod_has_its_step_and_its_reason() {
    let story = told(Wrong::default());
    let costs = costs(&story.records);
    let of = |pod: &str| {
        let all = disturbances(&story.records);
        let found = all.iter().filter(|d| d.pod == pod);
        let told = |d: &seatrial::judge::upgrade::Disturbance| {
            (costs[d.step.unwrap()].title(), d.what, d.why.unwrap().to_owned())
        };
        found.map(told).collect::<Vec<_>>()
    };
    let exchanged = "the control plane's components were exchanged".to_owned();
    assert_eq!(
        of("kube-system/kube-apiserver-cp"),
        [
            ("apply cp".into(), Disturbed::Went, exchanged),
            ("kubelet cp".into(), Disturbed::Restarted(1), "the new kubelet started it anew".into()),
        ]
    );
    assert_eq!(of("n/trap-1"), [("drain w2".into(), Disturbed::Went, "evicted by the drain".into())]);
    assert_eq!(of("n/web-2b"), []);
}

#[test]
fn lost_rows_are_named_by_ranges() {
    let (conclusion, evidence) = told(Wrong::default()).judge("D4");
    assert_eq!(conclusion, Conclusion::Passed);
    assert!(evidence.ends_with("trap: rows 1-3 stayed on w2"), "{evidence}");
}

//! Part D judged from made-up records: a sound story passes, and each thing that can go wrong turns
//! its claim.

use seatrial::event::{Change, Event, Outcome, Record, Row, Scope, Server};
use seatrial::judge::upgrade::{AFTER, Budgets, EndedStep, PlannedUpgrade, STRETCH_END, UpgradeStep, costs};
use seatrial::judge::{self, Conclusion, Evidence};
use seatrial::upgrade::{EtcdPolicy, State, UpgradePlan};
use serde_json::{Value, json};

use super::{cluster, releases, v};
use crate::lies::{FAILED, Found, Lie, OPEN, Verdict, played};

/// Records, a second apart unless said otherwise.
struct Story {
    records: Vec<Record>,
    at: f64,
}

impl Story {
    fn add(&mut self, event: Event) {
        self.records.push(Record {
            schema: 1,
            seq: self.records.len() as u64,
            writer: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            mono_us: (self.at * 1e6) as u64,
            run: "r".into(),
            scope: Scope::default(),
            event,
        });
    }

    fn observe(&mut self, claim: &str, what: &str, value: Value) {
        self.add(Event::Observed { claim: claim.into(), what: what.into(), value });
    }

    fn sample(&mut self, probe: &str, good: bool) {
        let outcome = if good { Outcome::Acknowledged } else { Outcome::Refused };
        self.add(Event::Sampled { probe: probe.into(), outcome, took_ms: 1.0, detail: String::new() });
    }

    fn row(&mut self, number: u64, outcome: Outcome) -> Row {
        let row = Row { writer: "ledger".into(), number, checksum: format!("c{number}") };
        let reason = String::new();
        self.add(Event::RowWritten { row: row.clone(), outcome, server: Server::default(), reason });
        row
    }

    fn pod(&mut self, name: &str, app: &str, uid: &str, node: &str, is: &str) {
        let mut object = json!({
            "metadata": {"name": name, "uid": uid, "labels": {"app": app}},
            "spec": {"nodeName": node},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": if is == "ready" { "True" } else { "False" }}],
                "containerStatuses": [{"restartCount": if is == "restarted" { 1 } else { 0 }}],
            },
        });
        if is == "ending" {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let change = if is == "gone" { Change::Deleted } else { Change::Modified };
        let (kind, name, uid) = ("Pod".into(), name.into(), uid.into());
        self.add(Event::ObjectChanged { change, kind, name, uid, object });
    }

    fn node(&mut self, name: &str, cordoned: bool) {
        let object = json!({"metadata": {"name": name, "uid": name}, "spec": {"unschedulable": cordoned}});
        let (kind, name, uid) = ("Node".into(), name.into(), name.into());
        self.add(Event::ObjectChanged { change: Change::Modified, kind, name, uid, object });
    }

    fn judge(&self, claim: &str) -> (Conclusion, String) {
        let known = judge::claim(claim).unwrap();
        let finding = known.judge(&Evidence::new(&self.records, known.id));
        (finding.conclusion(), finding.evidence())
    }

    fn wrong(&self, claim: &str, because: &str) {
        let (conclusion, evidence) = self.judge(claim);
        assert_eq!(conclusion, Conclusion::Failed, "{claim}: {evidence}");
        assert!(evidence.contains(because), "{claim}: {evidence}");
    }
}

/// What may go wrong in the told story; the default is that nothing does.
#[derive(Clone, Copy, Default)]
struct Wrong {
    /// This step's drain cordons nothing.
    uncordoned_drain: bool,
    /// The worker `w2` stays cordoned.
    left_cordoned: bool,
    /// A pod goes in the step `apply`.
    stray_pod: bool,
    /// Both pods are down at once.
    both_down: bool,
    /// A container restarts.
    restarted: bool,
    /// The StatefulSet has another name in the end.
    renamed: bool,
    /// An acknowledged row is gone.
    lost_row: bool,
    /// HTTP fails for so many seconds in the step `apply`.
    outage: u32,
    /// The ledger is silent throughout.
    silent: bool,
    /// The forbidden drain leaves its node closed.
    left_closed: bool,
    /// The API server is never upgraded.
    stale: bool,
}

fn told(wrong: Wrong) -> Story {
    let mut s = Story { records: Vec::new(), at: 0.0 };
    let facts = cluster(&["cp", "w1", "w2"]);
    let plan = UpgradePlan::make(&facts, &releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap();
    let Event::UpgradePlanned(planned) = plan.event(&facts.state) else { panic!() };
    for node in ["cp", "w1", "w2"] {
        s.node(node, false);
    }
    for (name, app, node) in
        [("web-1", "web", "w1"), ("web-2", "web", "w2"), ("set-0", "set", "w1"), ("set-1", "set", "w2")]
    {
        s.pod(name, app, name, node, "ready");
    }
    s.observe("D2", "budgets", serde_json::to_value(Budgets::defaults()).unwrap());
    s.observe("D2", "probes", json!(["http", "ledger"]));
    s.observe("D3", "workers", json!(["w1", "w2"]));
    s.observe("D3", "budget", json!({"name": "n/web", "least": 1}));
    s.observe("D3", "forbidding", json!("n/held"));
    let refused =
        json!({"asked": "1.34 to 1.36", "answer": "no minor version is skipped", "because": "skipped"});
    s.observe("D1", "refused", refused);
    s.observe("D4", "set_before", set(&["set-0", "set-1"], ""));
    let rows = vec![s.row(1, Outcome::Acknowledged)];
    // The first stretch ends in the drain of w1, which a budget forbids.
    stretch(&mut s, &planned, Some("w1"), wrong);
    s.add(Event::Marked { mark: STRETCH_END.into() });
    s.at += 30.0;
    let rest = rest(&planned, "w1");
    stretch(&mut s, &rest, None, wrong);
    s.add(Event::Marked { mark: STRETCH_END.into() });
    if wrong.renamed {
        s.observe("D4", "set_after", set(&["set-0", "set-2"], "b"));
    } else {
        s.observe("D4", "set_after", set(&["set-0", "set-1"], "b"));
    }
    let exists = true;
    let rows = if wrong.lost_row { Vec::new() } else { rows };
    let ours = |r: &Record| match &r.event {
        Event::RowWritten { row, outcome: Outcome::Acknowledged, .. } => Some(row.clone()),
        _ => None,
    };
    let all: Vec<Row> = s.records.iter().filter_map(ours).collect();
    let found = if wrong.lost_row { all.into_iter().skip(1).collect() } else { all };
    assert!(found.len() >= rows.len());
    s.add(Event::RowsRead {
        reading: AFTER.into(),
        server: Server::default(),
        exists,
        began_us: None,
        rows: found,
    });
    let spread = ["w1", "w2"].map(|node| {
        json!({"metadata": {"name": format!("web-{node}"), "uid": node}, "spec": {"nodeName": node},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    });
    s.observe("D3", "spread", json!(spread));
    s
}

fn set(names: &[&str], generation: &str) -> Value {
    let pod = |name: &&str| {
        json!({"metadata": {"name": name, "uid": format!("{name}{generation}")}, "spec": {"nodeName": "w1"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    };
    names.iter().map(pod).collect()
}

/// What a plan made anew after a drain of this node failed has left.
fn rest(planned: &PlannedUpgrade, node: &str) -> PlannedUpgrade {
    let mut rest = planned.clone();
    let steps = &mut rest.hops[0].steps;
    let at = steps.iter().position(|s| s.step == "drain" && s.node.as_deref() == Some(node)).unwrap();
    let preload = steps[0].clone();
    rest.before = steps[at - 1].after.clone();
    steps.drain(..at);
    steps.insert(0, preload);
    steps[0].after = rest.before.clone();
    rest
}

fn stretch(s: &mut Story, plan: &PlannedUpgrade, forbidden: Option<&str>, wrong: Wrong) {
    s.add(Event::UpgradePlanned(plan.clone()));
    let mut number = if forbidden.is_some() { 100 } else { 200 };
    for step in &plan.hops[0].steps {
        s.at += 1.0;
        let node = step.node.as_deref().unwrap_or_default();
        let is_forbidden = step.step == "drain" && forbidden == Some(node);
        s.add(Event::UpgradeStepStarted(UpgradeStep {
            to: v("1.35.4"),
            step: step.step.clone(),
            node: step.node.clone(),
        }));
        s.sample("http", true);
        if !wrong.silent {
            number += 1;
            s.row(number, Outcome::Acknowledged);
        }
        match step.step.as_str() {
            "apply" => {
                for _ in 0..wrong.outage {
                    s.at += 1.0;
                    s.sample("http", false);
                }
                s.at += 1.0;
                s.sample("http", true);
                if wrong.stray_pod {
                    s.pod("web-2", "web", "web-2", "w2", "ending");
                }
            }
            "drain" if node != "cp" => drain(s, node, is_forbidden, wrong),
            "uncordon" if node != "cp" && !(wrong.left_cordoned && node == "w2") => s.node(node, false),
            _ => {}
        }
        s.at += 8.0;
        s.sample("http", true);
        if !wrong.silent {
            number += 1;
            s.row(number, Outcome::Acknowledged);
        }
        let error =
            is_forbidden.then(|| "pod n/held-1 was not evicted: PodDisruptionBudget n/held".to_owned());
        let mut seen: State = if error.is_some() { plan.before.clone() } else { step.after.clone() };
        if error.is_some() {
            seen = plan.hops[0]
                .steps
                .iter()
                .rev()
                .find(|s| s.step == "uncordon" && s.node.as_deref() == Some("cp"))
                .map_or(seen, |s| s.after.clone());
        }
        if wrong.stale {
            for parts in seen.planes.values_mut() {
                parts.values_mut().for_each(|v| *v = super::v("1.34.4"));
            }
        }
        let failed = error.is_some();
        s.add(Event::UpgradeStepEnded(EndedStep {
            to: v("1.35.4"),
            step: step.step.clone(),
            node: step.node.clone(),
            took: 8.0,
            error,
            proof: Value::Null,
            versions: Some(seen),
        }));
        if failed {
            return;
        }
    }
}

fn drain(s: &mut Story, node: &str, forbidden: bool, wrong: Wrong) {
    if !wrong.uncordoned_drain {
        s.node(node, true);
    }
    if forbidden {
        // The pod of the Deployment is evicted all the same: another one is held.
        if !wrong.left_closed {
            s.node(node, false);
        }
        return;
    }
    let (other, uid) = if node == "w1" { ("w2", "1") } else { ("w1", "2") };
    let (web, set) = (format!("web-{uid}"), if node == "w1" { "set-0" } else { "set-1" });
    if !wrong.both_down {
        s.pod(&format!("{web}b"), "web", &format!("{web}b"), other, "ready");
    }
    if node == "w1" {
        s.pod(&web, "web", &web, node, "ending");
        s.pod(&web, "web", &web, node, "gone");
    } else {
        for pod in ["web-2", "web-1b"] {
            s.pod(pod, "web", pod, node, "ending");
        }
        if wrong.both_down {
            s.pod("web-x", "web", "web-x", other, "unready");
        }
    }
    s.pod(set, "set", set, node, "ending");
    s.pod(set, "set", &format!("{set}b"), other, if wrong.restarted { "restarted" } else { "ready" });
}

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
    for claim in ["D1", "D2", "D3", "D4"] {
        assert_eq!(empty.judge(claim).0, Conclusion::Inconclusive, "{claim}");
    }
}

#[test]
fn versions_out_of_order_fail() {
    told(Wrong { stale: true, ..Wrong::default() }).wrong("D1", "is ahead of kube-apiserver 1.34.4");
    let mut story = told(Wrong::default());
    // A step of no plan.
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
    story.observe("D1", "refused", json!({"asked": "1.34 to 1.36", "answer": null, "because": "skipped"}));
    story.wrong("D1", "1.34 to 1.36 was answered with: a plan");
}

#[test]
fn an_upgrade_that_did_not_arrive_fails() {
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
fn an_outage_counts_in_the_step_that_it_began_in() {
    let story = told(Wrong { outage: 4, ..Wrong::default() });
    story.wrong("D2", "`apply cp`: http 4 of 7 requests failed, longest time without an answer 5.0 s of 2 s");
    let cost = costs(&story.records);
    let apply = cost.iter().find(|c| c.title() == "apply cp").unwrap();
    assert_eq!(
        apply.over(&Budgets::defaults()),
        ["http was without an answer for 5.0 s of 2 s in `apply cp`"]
    );
    // One second is within the budget.
    assert_eq!(told(Wrong { outage: 1, ..Wrong::default() }).judge("D2").0, Conclusion::Passed);
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

/// One lie a field of [`Wrong`].
pub static LIES: &[Lie] = &[
    played(
        "an API server that was never upgraded",
        "D1",
        |lies| found("D1", |w| w.stale = lies),
        FAILED,
        "is ahead of kube-apiserver 1.34.4",
    ),
    played(
        "requests that failed for four seconds",
        "D2",
        |lies| found("D2", |w| w.outage = 4 * u32::from(lies)),
        FAILED,
        "longest time without an answer 5.0 s of 2 s",
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
        "a pod that went without a drain",
        "D4",
        |lies| found("D4", |w| w.stray_pod = lies),
        FAILED,
        "went though its node was not drained: web-2 on w2",
    ),
    played(
        "a container that restarted",
        "D4",
        |lies| found("D4", |w| w.restarted = lies),
        FAILED,
        "restarted: set-0 (1)",
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
        let event = Event::WatchRestarted { kind: "Pod".into(), reason: "410".into() };
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

//! Part E judged from a made-up story: the true story passes, and each falsehood turns its claim.

use rstest::rstest;
use seatrial::event::{Event, Outcome, Record};
use seatrial::judge::Conclusion::{self, Inconclusive, Passed};
use seatrial::judge::ha::facts;
use seatrial::judge::ha::{Allowed, Container, DOWN, Member, RETURNED, Refused};
use serde_json::{Value, json};

use crate::lies::{FAILED, Lie, OPEN, lie};
use crate::story::{Story, changed, is_of, says};
use crate::upgrade::{comes_out, put, second};

const PLANES: [&str; 3] = ["cp", "cp2", "cp3"];
const ADDRESS: &str = "172.18.0.4";

/// `cp`, the leader, is stopped at 20 s, is Unknown at 50 s, and comes back at 60 s. The API is away for 5 s after
/// the stop, and for 4 s after the return.
pub fn told() -> Story {
    let mut s = Story::default();
    let budget = |seconds| Allowed {
        seconds,
        away: None,
        failed: None,
        arithmetic: vec![format!("{seconds} s  all of it")],
    };
    s.observe(&facts::TARGET, "cp");
    s.observe(&facts::ABSENCE_BUDGET, Allowed { away: Some(32.0), failed: Some(0.3), ..budget(16.0) });
    s.observe(&facts::NOTICE_BUDGET, budget(44.4));
    s.observe(&facts::LEADER_BEFORE, lease("cp", 3));
    s.observe(&facts::MEMBERS_BEFORE, members());
    s.observe(&facts::OTHERS_BEFORE, others());
    answers(&mut s, 20);
    s.marked(DOWN);
    let (id, fault, node) = ("f1".to_owned(), "stop".to_owned(), "cp".to_owned());
    s.say(Event::FaultIntended { id: id.clone(), fault: fault.clone(), node: node.clone() });
    let proof = json!({"power": "exited", "took_s": 2.0, "address": ADDRESS});
    s.say(Event::FaultInjected { id: id.clone(), fault: fault.clone(), node: node.clone(), proof });
    refuses(&mut s);
    s.seconds = 24.0;
    answers(&mut s, 26);
    s.say(node_is("Unknown"));
    s.observe(&facts::LEADER_AFTER, lease("cp2", 4));
    let majority = "etcd with 3 members needs 2, and 1 would be left";
    for (asked, because) in
        [("to stop cp2", majority), ("to stop cp3", majority), ("to stop lb", "it is the load balancer")]
    {
        let answer = Some(format!("refused: {because} (cp: its API server is not ready)"));
        let node = asked.strip_prefix("to stop ").map(str::to_owned);
        s.observe(&facts::REFUSED, Refused { asked: asked.into(), node, answer, because: because.into() });
    }
    s.observe(&facts::OTHERS_AFTER, others());
    answers(&mut s, 10);
    let proof = json!({"power": "running", "was": "exited", "address": ADDRESS, "address_changed": false});
    s.say(Event::FaultHealed { id, fault, node, proof });
    refuses(&mut s);
    s.seconds += 3.0;
    s.say(node_is("True"));
    s.observe(&facts::SERVED, true);
    s.observe(&facts::MEMBERS_AFTER, members());
    answers(&mut s, 10);
    s.marked(RETURNED);
    s
}

fn members() -> Vec<Member> {
    let member = |(i, name): (usize, &str)| Member {
        name: name.into(),
        peers: vec![format!("https://172.18.0.{}:2380", i + 4)],
        votes: true,
        healthy: true,
    };
    PLANES.into_iter().enumerate().map(member).collect()
}

fn others() -> Vec<Container> {
    let container = |name: &str| Container {
        name: name.into(),
        power: "running".into(),
        started_at: Some("2026-01-01T00:00:00Z".into()),
    };
    ["cp2", "cp3", "lb"].map(container).into()
}

fn lease(leader: &str, transitions: u32) -> Value {
    json!({
        "kind": "Lease",
        "metadata": {"name": "kube-controller-manager", "uid": "l"},
        "spec": {"holderIdentity": format!("{leader}_5f1c"), "leaseTransitions": transitions},
    })
}

fn node_is(ready: &str) -> Event {
    changed(json!({
        "kind": "Node",
        "metadata": {"name": "cp", "uid": "n"},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }))
}

/// One answer each second.
fn answers(s: &mut Story, count: usize) {
    for _ in 0..count {
        sampled_by_both(s, Outcome::Acknowledged);
        s.seconds += 1.0;
    }
}

fn refuses(s: &mut Story) {
    sampled_by_both(s, Outcome::Refused);
}

fn sampled_by_both(s: &mut Story, outcome: Outcome) {
    for probe in ["api", "api-anew"] {
        let detail = "connection refused".into();
        s.say(Event::Sampled { probe: probe.into(), outcome, took_ms: 1.0, detail });
    }
}

fn injected(s: &mut Story, how: fn(&mut Value)) {
    s.each(|e| {
        if let Event::FaultInjected { proof, .. } = e {
            how(proof);
        }
    });
}

fn healed(s: &mut Story, how: fn(&mut Value)) {
    s.each(|e| {
        if let Event::FaultHealed { proof, .. } = e {
            how(proof);
        }
    });
}

fn fault_of(s: &mut Story, other: &str) {
    s.each(|e| match e {
        Event::FaultIntended { node, .. }
        | Event::FaultInjected { node, .. }
        | Event::FaultHealed { node, .. } => *node = other.into(),
        _ => {}
    });
}

/// The API stops answering at this second, for this long.
fn silent(s: &mut Story, from: f64, to: f64) {
    s.records.iter_mut().for_each(|r| {
        let at = r.mono_us as f64 / 1e6;
        if let Event::Sampled { outcome, .. } = &mut r.event
            && at >= from
            && at < to
        {
            *outcome = Outcome::Refused;
        }
    });
}

/// Everything from the first answer after the fault happens 20 s later.
fn noticed_late(s: &mut Story) {
    for record in s.records.iter_mut().filter(|r| r.mono_us >= 24_000_000) {
        record.mono_us += 20_000_000;
        record.at += jiff::SignedDuration::from_secs(20);
    }
}

fn sampled(e: &Event) -> bool {
    matches!(e, Event::Sampled { .. })
}

pub(super) static LIES: &[Lie] = &[
    lie(
        "the load balancer down instead of a control plane",
        "E4",
        told,
        |s| fault_of(s, "lb"),
        OPEN,
        "no control plane was down when it was asked",
    ),
    lie(
        "the intent of a fault on another node",
        "E1",
        told,
        |s| {
            s.each(|e| {
                if let Event::FaultIntended { node, .. } = e {
                    *node = "cp2".into();
                }
            });
        },
        OPEN,
        "the intent of fault f1 was not recorded",
    ),
    lie("an API that was away for longer", "E1", told, |s| silent(s, 24.0, 40.0), FAILED, "of 16.0 s"),
    lie("an API that never answered again", "E1", told, |s| silent(s, 66.0, 99.0), FAILED, "away in the end"),
    lie(
        "an API that new clients do not reach",
        "E1",
        told,
        |s| {
            s.each(|e| {
                if let Event::Sampled { probe, outcome, .. } = e
                    && probe == "api-anew"
                {
                    *outcome = Outcome::Refused;
                }
            });
        },
        FAILED,
        "api-anew: the API was away in the end",
    ),
    lie(
        "a wall clock that jumps while the node is down",
        "E1",
        told,
        |s| {
            let at = s.mark(RETURNED);
            for record in &mut s.records[at - 1..] {
                record.at += jiff::SignedDuration::from_hours(1);
            }
        },
        OPEN,
        "the clocks disagree on how long it took",
    ),
    lie("a probe that did not ask", "E1", told, |s| s.forget(sampled), OPEN, "api: 0 answers before"),
    lie(
        "a probe that fell silent while the node was down",
        "E1",
        told,
        |s| {
            s.records.retain(|r| !sampled(&r.event) || r.mono_us < 26_000_000 || r.mono_us > 47_000_000);
        },
        OPEN,
        "api did not ask for 23.0 s",
    ),
    lie(
        "an API that was asked while nothing was down",
        "E1",
        told,
        |s| injected(s, |p| p["power"] = "running".into()),
        OPEN,
        "the fault on cp never took hold",
    ),
    lie("another node went down", "E1", told, |s| fault_of(s, "w"), OPEN, "no fault on cp was proved"),
    lie(
        "an address that changed",
        "E2",
        told,
        |s| healed(s, |p| p["address"] = "172.18.0.9".into()),
        FAILED,
        "cp had 172.18.0.4 and has 172.18.0.9",
    ),
    lie(
        "an address that nobody took note of",
        "E2",
        told,
        |s| injected(s, |p| p["address"] = Value::Null),
        OPEN,
        "the address of cp was not taken note of",
    ),
    lie(
        "a control plane that somebody else started",
        "E2",
        told,
        |s| healed(s, |p| p["was"] = "running".into()),
        OPEN,
        "somebody else started it",
    ),
    lie(
        "a control plane that never came back",
        "E2",
        told,
        |s| s.forget(|e| matches!(e, Event::FaultHealed { .. })),
        OPEN,
        "cp was not brought back",
    ),
    lie(
        "an API server that does not serve",
        "E2",
        told,
        |s| s.bend(&facts::SERVED, |v| *v = false.into()),
        FAILED,
        "the API server of cp is ready again: false",
    ),
    lie(
        "a member of etcd that is gone",
        "E2",
        told,
        |s| s.bend(&facts::MEMBERS_AFTER, |v| drop(v.as_array_mut().unwrap().remove(0))),
        FAILED,
        "etcd: {\"cp\"",
    ),
    lie(
        "a member of etcd that is sick",
        "E2",
        told,
        |s| s.bend_at(&facts::MEMBERS_AFTER, "/0/healthy", false.into()),
        FAILED,
        "etcd after: not healthy, or without a vote: cp",
    ),
    lie(
        "a member of etcd that only learns",
        "E2",
        told,
        |s| s.bend_at(&facts::MEMBERS_AFTER, "/2/votes", false.into()),
        FAILED,
        "etcd after: not healthy, or without a vote: cp3",
    ),
    lie(
        "a member of etcd at another address",
        "E2",
        told,
        |s| s.bend_at(&facts::MEMBERS_AFTER, "/0/peers/0", "https://172.18.0.9:2380".into()),
        FAILED,
        "172.18.0.9:2380",
    ),
    lie(
        "a cluster with one member of etcd",
        "E2",
        told,
        |s| s.bend(&facts::MEMBERS_BEFORE, |v| v.as_array_mut().unwrap().truncate(1)),
        OPEN,
        "1 members of etcd",
    ),
    lie(
        "a node that is noticed too late",
        "E3",
        told,
        noticed_late,
        FAILED,
        "cp Unknown took 52.0 s of 44.4 s",
    ),
    lie(
        "a node that nobody notices",
        "E3",
        told,
        |s| {
            s.forget(|e| matches!(e, Event::ObjectChanged { object, .. } if object["status"]["conditions"][0]["status"] == "Unknown"));
        },
        OPEN,
        "cp was not seen Unknown",
    ),
    lie(
        "a leader that ran elsewhere",
        "E3",
        told,
        |s| s.bend_at(&facts::LEADER_BEFORE, "/spec/holderIdentity", "cp3_77".into()),
        FAILED,
        "cp3 led before, cp went down",
    ),
    lie(
        "a leader that stays though it is down",
        "E3",
        told,
        |s| s.bend_at(&facts::LEADER_AFTER, "/spec/holderIdentity", "cp_5f1c".into()),
        FAILED,
        "cp leads after, cp is down",
    ),
    lie(
        "the lease of another component",
        "E3",
        told,
        |s| {
            for fact in [&facts::LEADER_BEFORE, &facts::LEADER_AFTER] {
                s.bend_at(fact, "/metadata/name", "kube-scheduler".into());
            }
        },
        FAILED,
        "the lease before is kube-scheduler, of kube-controller-manager",
    ),
    lie(
        "a lease that did not change hands",
        "E3",
        told,
        |s| s.bend_at(&facts::LEADER_AFTER, "/spec/leaseTransitions", 3.into()),
        FAILED,
        "transition 3 before, 3 after",
    ),
    lie(
        "a lease without a leader",
        "E3",
        told,
        |s| s.bend_at(&facts::LEADER_AFTER, "/spec/holderIdentity", "".into()),
        OPEN,
        "names no leader",
    ),
    lie(
        "a second control plane that may go",
        "E4",
        told,
        |s| s.bend_at(&facts::REFUSED, "/answer", Value::Null),
        FAILED,
        "to stop lb was answered with: yes",
    ),
    lie(
        "a refusal for another reason",
        "E4",
        told,
        |s| s.bend_at(&facts::REFUSED, "/answer", "no such container".into()),
        FAILED,
        "to stop lb was answered with: no such container",
    ),
    lie(
        "only the load balancer was asked for",
        "E4",
        told,
        |s| {
            s.forget(|e| matches!(e, Event::Observed { value, .. } if is_of(e, &facts::REFUSED) && value["node"] != "lb"))
        },
        OPEN,
        "nobody asked for cp2; nobody asked for cp3",
    ),
    lie(
        "a refusal while no control plane was down",
        "E4",
        told,
        |s| s.forget(|e| matches!(e, Event::FaultInjected { .. })),
        OPEN,
        "no control plane was down when it was asked",
    ),
    lie(
        "a control plane whose return nothing proves",
        "E2",
        told,
        |s| healed(s, |p| p["power"] = "exited".into()),
        OPEN,
        "nothing proves that cp runs again",
    ),
    lie(
        "nobody asked",
        "E4",
        told,
        |s| s.forget(|e| is_of(e, &facts::REFUSED)),
        OPEN,
        "`refused` was not observed",
    ),
    lie(
        "a refused target that was restarted",
        "E4",
        told,
        |s| s.bend_at(&facts::OTHERS_AFTER, "/0/started_at", "2026-01-01T00:05:00Z".into()),
        FAILED,
        "2026-01-01T00:05:00Z",
    ),
    lie(
        "a refused target that is down",
        "E4",
        told,
        |s| {
            for fact in [&facts::OTHERS_BEFORE, &facts::OTHERS_AFTER] {
                s.bend_at(fact, "/1/power", "exited".into());
            }
        },
        FAILED,
        "not running: cp3",
    ),
];

/// Each condition of a check counts by itself: one is falsified, the others hold.
#[rstest]
#[case::unknown_before("E3", |s: &mut Story| unknown(s, 17.9, "cp"), Inconclusive, "cp was not seen Unknown")]
#[case::unknown_as_it_stops("E3", |s: &mut Story| unknown(s, 18.0, "cp"), Passed, "cp Unknown took 0.0 s")]
#[case::unknown_while_it_stops("E3", |s: &mut Story| unknown(s, 19.0, "cp"), Passed, "cp Unknown took 1.0 s")]
#[case::another_unknown("E3", |s: &mut Story| unknown(s, 50.0, "cp2"), Inconclusive, "cp was not seen Unknown")]
#[case::no_member("E2", no_member, Inconclusive, "no member of etcd is called cp")]
#[case::earlier_fault("E2", earlier_fault, Passed, "cp had 172.18.0.4 and has 172.18.0.4")]
fn what_is_bent_shows_in_its_line(
    #[case] id: &str,
    #[case] bend: fn(&mut Story),
    #[case] conclusion: Conclusion,
    #[case] said: &str,
) {
    let mut story = told();
    bend(&mut story);
    says(&story.judge(id), conclusion, said);
}

/// The second at which the one Unknown node was seen Unknown.
fn unknown(s: &mut Story, second: f64, node: &str) {
    let unknown = |r: &Record| matches!(&r.event, Event::ObjectChanged { object, .. } if object["status"]["conditions"][0]["status"] == "Unknown");
    let at = s.records.iter().position(unknown).unwrap();
    let mut record = s.records.remove(at);
    record.mono_us = (second * 1e6) as u64;
    record.at = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs_f64(second);
    if let Event::ObjectChanged { object, .. } = &mut record.event {
        object["metadata"]["name"] = json!(node);
    }
    let to = s.records.iter().position(|r| r.mono_us > record.mono_us).unwrap();
    record.seq = s.records[to - 1].seq;
    s.records.insert(to, record);
}

fn no_member(s: &mut Story) {
    for fact in [&facts::MEMBERS_BEFORE, &facts::MEMBERS_AFTER] {
        s.bend_at(fact, "/0/name", json!("other"));
    }
}

/// An earlier fault on the same node was already healed, at another address.
fn earlier_fault(s: &mut Story) {
    let (id, fault, node) = ("f0".into(), "stop".into(), "cp".into());
    let proof = json!({"power": "running", "was": "exited", "address": "172.18.0.9"});
    s.insert_after(DOWN, Event::FaultHealed { id, fault, node, proof });
}

#[test]
fn the_budgets_are_in_the_findings() {
    let story = told();
    for (claim, took, budget) in [("E1", 5.0, 16.0), ("E3", 32.0, 44.4)] {
        let finding = story.judge(claim);
        assert_eq!(finding.conclusion(), Conclusion::Passed, "{:?}", finding.details());
        let told = (finding.took.unwrap(), finding.budget.unwrap());
        assert!((told.0 - took).abs() < 0.1 && told.1 == budget, "{claim}: {told:?}");
    }
}

#[test]
fn an_outage_before_the_fault_does_not_count() {
    let mut story = told();
    silent(&mut story, 1.0, 4.0);
    let finding = story.judge("E1");
    assert_eq!(finding.conclusion(), Conclusion::Passed);
    assert!(finding.evidence().contains("api 2 times"), "{}", finding.evidence());
}

/// E4's fault hits a worker. All control planes run, so the refusal cannot be about them.
#[test]
fn e4_is_not_proved_while_a_worker_is_down() {
    let mut story = told();
    comes_out(&story.records, "E4", Passed);
    story.each(|event| match event {
        Event::FaultIntended { node, .. }
        | Event::FaultInjected { node, .. }
        | Event::FaultHealed { node, .. } => *node = "w1".into(),
        _ => {}
    });
    comes_out(&story.records, "E4", Inconclusive);
}

/// Every other request is refused while the control plane is down and while it comes back, never two in a row. A run
/// of an earlier version has no budget for that, so twice the longest absence counts.
#[rstest]
#[case::recorded(true)]
#[case::of_an_earlier_version(false)]
fn half_of_all_requests_refused_is_no_api_that_answers(#[case] has_figures: bool) {
    let mut story = told();
    if !has_figures {
        story.bend(&facts::ABSENCE_BUDGET, |budget| {
            budget
                .as_object_mut()
                .unwrap()
                .retain(|name, _| ["seconds", "arithmetic"].contains(&name.as_str()));
        });
    }
    comes_out(&story.records, "E1", Passed);
    for of in ["api", "api-anew"] {
        let mut nth = 0;
        for record in &mut story.records {
            let at = second(record);
            if let Event::Sampled { probe, outcome, .. } = &mut record.event
                && probe == of
                && (24.0..70.0).contains(&at)
            {
                nth += 1;
                *outcome = if nth % 2 == 0 { Outcome::Refused } else { Outcome::Acknowledged };
            }
        }
    }
    let finding = story.judge("E1");
    says(&finding, Conclusion::Failed, "api: all absences together took");
    says(&finding, Conclusion::Failed, "api-anew: 23 of 48 requests failed, 47.9 % of 30.0 %");
    says(&finding, Passed, "api: the API's longest absence took 5.0 s of 16.0 s");
}

/// Each figure of E1's budget counts by itself.
#[rstest]
#[case::in_all("away", 8.0, "api: all absences together took 9.0 s of 8.0 s")]
#[case::share("failed", 0.01, "api: 2 of 48 requests failed, 4.2 % of 1.0 %")]
fn each_figure_of_the_absences_counts(#[case] figure: &str, #[case] allowed: f64, #[case] said: &str) {
    let mut story = told();
    story.bend_at(&facts::ABSENCE_BUDGET, &format!("/{figure}"), json!(allowed));
    says(&story.judge("E1"), Conclusion::Failed, said);
}

/// The node was Unknown long before the fault. The time until then shows nothing about the loss of the leader.
#[test]
fn a_node_that_was_unknown_before_the_fault_was_not_noticed_by_it() {
    let mut story = told();
    put(&mut story.records, 5.0, node_is("Unknown"));
    put(&mut story.records, 20.5, node_is("Unknown"));
    let finding = story.judge("E3");
    assert_eq!(finding.conclusion(), Inconclusive, "{:?}", finding.details());
    says(&finding, Inconclusive, "cp was Unknown before the fault");
}

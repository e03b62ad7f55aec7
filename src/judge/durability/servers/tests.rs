use serde_json::json;

use super::*;
use crate::event::{Change, Row, SCHEMA, Scope};
use crate::judge::Conclusion;

fn server(uuid: &str, pod: u32) -> Server {
    Server { uuid: uuid.into(), pod: format!("pod-{pod}"), pod_uid: format!("uid-{pod}"), node: "w1".into() }
}

fn record(second: f64, event: Event) -> Record {
    Record {
        schema: SCHEMA,
        seq: 0,
        writer: 1,
        at: jiff::Timestamp::UNIX_EPOCH,
        mono_us: (second * 1e6) as u64,
        run: "r".into(),
        scope: Scope::default(),
        event,
    }
}

fn wrote(second: f64, server: Server) -> Record {
    let row = Row { writer: "w".into(), number: second as u64, checksum: String::new() };
    let (outcome, reason) = (Outcome::Acknowledged, String::new());
    record(second, Event::RowWritten { row, outcome, server, reason })
}

fn met(second: f64, uptime: u64, server: Server) -> Record {
    let (version, flush_at_commit) = ("9.7".into(), Some(1));
    record(second, Event::ServerMet { server, uptime, version, flush_at_commit })
}

fn pod(second: f64, n: u32, node: &str, code: Option<i64>) -> Record {
    let state = code.map_or(json!({ "running": {} }), |code| json!({ "terminated": { "exitCode": code } }));
    let (name, uid) = (format!("pod-{n}"), format!("uid-{n}"));
    let object = json!({
        "metadata": { "name": name, "uid": uid }, "spec": { "nodeName": node },
        "status": { "containerStatuses": [{ "state": state }] },
    });
    record(second, Event::ObjectChanged { change: Change::Modified, kind: "Pod".into(), name, uid, object })
}

fn judge(records: &[Record]) -> Finding {
    let mut finding = Finding::new();
    check(&Evidence::new(records, "t"), &mut finding);
    finding
}

#[test]
fn acknowledgements_are_led_back_to_pods() {
    let good = [pod(0.0, 1, "w1", None), wrote(1.0, server("a", 1))];
    assert_eq!(judge(&good).conclusion(), Conclusion::Passed, "{:#?}", judge(&good).details());
    assert!(
        judge(&good).details()[0].contains("each of 1 acknowledgements"),
        "{:#?}",
        judge(&good).details()
    );
    let elsewhere = Server { node: "w2".into(), ..server("a", 1) };
    // A connection around the port-forward gives a host name that no forward led to.
    let past =
        Server { pod: "my-laptop".into(), pod_uid: String::new(), node: String::new(), ..server("a", 1) };
    let other = Server { pod: "pod-2".into(), ..server("a", 1) };
    for wrong in [elsewhere, past, other, Server { uuid: String::new(), ..server("a", 1) }, server("a", 3)] {
        let finding = judge(&[good[0].clone(), wrote(1.0, wrong.clone()), wrote(2.0, wrong)]);
        assert_eq!(finding.conclusion(), Conclusion::Failed);
        assert!(finding.evidence().contains("2 rows from 1"), "{}", finding.evidence());
    }
    assert_eq!(judge(&good[..1]).conclusion(), Conclusion::Inconclusive);
}

#[test]
fn two_servers_at_once_are_named_and_one_after_another_is_not() {
    let pods = [pod(0.0, 1, "w1", None), pod(0.0, 2, "w1", None)];
    let story = |records: &[Record]| judge(&[&pods, records].concat());
    let (a, b) = (server("a", 1), server("b", 2));
    let after =
        [met(1.0, 0, a.clone()), wrote(2.0, a.clone()), met(10.0, 0, b.clone()), wrote(11.0, b.clone())];
    assert_eq!(story(&after).conclusion(), Conclusion::Passed);
    let split = [&after[..], &[wrote(12.0, a.clone())]].concat();
    let finding = story(&split);
    assert_eq!(finding.conclusion(), Conclusion::Failed);
    assert!(finding.evidence().starts_with("1 pairs of servers ran at the same time: server a in pod pod-1"));
    // Two servers on the same files are just as wrong.
    let same = [wrote(1.0, a.clone()), wrote(2.0, server("a", 2)), wrote(3.0, a.clone())];
    assert_eq!(story(&same).conclusion(), Conclusion::Failed);
    // The first server stopped in between and came back.
    let back = [&after[..], &[met(20.0, 3, a.clone()), wrote(21.0, a.clone())]].concat();
    assert_eq!(story(&back).conclusion(), Conclusion::Passed, "{:#?}", story(&back).details());
    // The server reports that it ran all the time.
    let ran_on = [&after[..], &[met(20.0, 19, a.clone()), wrote(21.0, a)]].concat();
    assert_eq!(story(&ran_on).conclusion(), Conclusion::Failed);
}

#[test]
fn a_crash_is_told_from_an_orderly_end() {
    let a = || server("a", 1);
    let before = [pod(0.0, 1, "w1", None), met(1.0, 0, a()), wrote(5.0, a())];
    let fault = record(
        6.0,
        Event::FaultInjected {
            id: "f".into(),
            fault: "kill-node".into(),
            node: "w1".into(),
            proof: json!({ "power": "exited", "exit_code": 137 }),
        },
    );
    let stopped = |node: &str| {
        let (id, fault, node) = ("f".into(), "stop-node".into(), node.into());
        let proof = json!({ "power": "exited", "exit_code": 130 });
        record(6.0, Event::FaultInjected { id, fault, node, proof })
    };
    for (between, said) in [
        (
            pod(6.0, 1, "w1", Some(137)),
            "recovered after a crash at 9 s, last answer at 5.000 s (its container ended with 137)",
        ),
        (
            pod(6.0, 1, "w1", Some(0)),
            "started anew after it had shut down at 9 s, last answer at 5.000 s (its container ended with 0)",
        ),
        (stopped("w1"), "started anew at 9 s, last answer at 5.000 s (stop-node on w1)"),
        (stopped("w2"), "started anew at 9 s, last answer at 5.000 s (nothing on record ended it)"),
        (fault, "recovered after a crash at 9 s, last answer at 5.000 s (kill-node on w1)"),
        (
            pod(6.0, 2, "w1", Some(137)),
            "started anew at 9 s, last answer at 5.000 s (nothing on record ended it)",
        ),
        (
            wrote(6.0, server("b", 1)),
            "started anew at 9 s, last answer at 5.000 s (nothing on record ended it)",
        ),
    ] {
        let finding = judge(&[&before[..], &[between, met(10.0, 1, a())]].concat());
        let details = finding.details();
        assert!(details.iter().any(|d| d.contains(said)), "{said}: {details:#?}");
    }
    let same = [&before[..], &[met(10.0, 8, a())]].concat();
    assert_eq!(restarts(&Evidence::new(&same, "t")), []);
    // Two starts are distinguished by seconds, at any distance.
    let late = [met(1000.0, 0, a()), met(1010.0, 1, a()), met(1020.0, 9, a())];
    assert_eq!(restarts(&Evidence::new(&late, "t")).len(), 1);
}

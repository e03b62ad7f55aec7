//! Upgrades without a cluster: plans from made-up facts, each refusal, and messages of drains.

mod budgets;
mod conditions;
mod cost;
mod detours;
mod disturbed;
mod drain;
mod drained;
mod hop;
pub mod judge;
mod plan;
mod probes_and_drains;
pub mod refused;
mod refused_before;
mod resumed;
mod stories;
mod story;
pub mod trap;
pub mod upgraded;

use seatrial::event::{Event, Outcome, Record};
use seatrial::judge::{Conclusion, Evidence};
use seatrial::kubernetes::version::Version;
use seatrial::node::Role;
use seatrial::upgrade::{ClusterFacts, Component, NodeFacts, ReleaseFacts, State};
use serde_json::Value;

/// The records of an upgrade without an error.
pub fn told() -> Vec<Record> {
    story::told(story::Wrong::default()).records
}

/// A version.
pub fn v(text: &str) -> Version {
    text.parse().unwrap()
}

/// A healthy cluster of 1.34.4 with these nodes: names that begin with `cp` are control planes, with `w` workers.
pub fn cluster(nodes: &[&str]) -> ClusterFacts {
    let node = |name: &&str| NodeFacts {
        name: (*name).into(),
        role: if name.starts_with('w') { Role::Worker } else { Role::ControlPlane },
        foreign: None,
        not_ready: None,
        cordoned: false,
        cgroup: 1,
        free: 50_000_000_000,
        images: Default::default(),
        programs: Default::default(),
    };
    let mut state = State { coredns: Some(v("1.12.1")), config: Some(v("1.34.4")), ..State::default() };
    for name in nodes {
        if !name.starts_with('w') {
            let parts =
                Component::ALL.map(|c| (c, if c == Component::Etcd { v("3.6.5") } else { v("1.34.4") }));
            state.control_planes.insert((*name).into(), parts.into());
        }
        for part in [&mut state.kubelets, &mut state.proxies, &mut state.kubectls] {
            part.insert((*name).into(), v("1.34.4"));
        }
    }
    ClusterFacts {
        name: "c".into(),
        nodes: nodes.iter().map(node).collect(),
        state,
        fail_cgroup_v1: Some(false),
        ..ClusterFacts::default()
    }
}

/// The images of a profile.
pub fn releases() -> Vec<ReleaseFacts> {
    let release = |version: &str, etcd: &str, coredns: &str| ReleaseFacts {
        version: v(version),
        etcd: Some(v(etcd)),
        coredns: Some(v(coredns)),
        unreachable: None,
        bytes: 1_000_000_000,
    };
    vec![
        release("1.33.13", "3.6.4-0", "1.12.0"),
        release("1.34.4", "3.6.5-0", "1.12.1"),
        release("1.35.3", "3.6.6-0", "1.13.1"),
        release("1.35.4", "3.6.6-0", "1.13.1"),
        release("1.36.3", "3.6.8-0", "1.14.2"),
        release("1.37.2", "3.7.0-0", "1.14.6"),
    ]
}

/// Inserts an event at a second of the records' clock, after the records of that second.
pub fn put(records: &mut Vec<Record>, second: f64, event: Event) {
    let mono_us = (second * 1e6) as u64;
    let at = records.iter().position(|r| r.mono_us > mono_us).unwrap_or(records.len());
    let near = records[at.saturating_sub(1)].clone();
    let wall = near.at + jiff::SignedDuration::from_micros(mono_us as i64 - near.mono_us as i64);
    records.insert(at, Record { event, mono_us, at: wall, ..near });
}

fn refused_at(records: &mut Vec<Record>, second: f64, probe: &str) {
    let (probe, detail) = (probe.into(), "curl 7: refused".into());
    put(records, second, Event::Sampled { probe, outcome: Outcome::Refused, took_ms: 1.0, detail });
}

pub fn second(record: &Record) -> f64 {
    record.mono_us as f64 / 1e6
}

/// When a step began for the first time.
pub fn began(records: &[Record], step: &str) -> f64 {
    let is = |r: &&Record| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == step);
    second(records.iter().find(is).unwrap())
}

/// Judges a claim from the records before its judgement.
#[track_caller]
pub fn comes_out(records: &[Record], claim: &str, right: Conclusion) {
    let judged = |r: &Record| matches!(&r.event, Event::ClaimJudged { claim: id, .. } if id == claim);
    let until = records.iter().position(judged).unwrap_or(records.len());
    let finding = seatrial::judge::claim(claim).unwrap().judge(&Evidence::new(&records[..until], claim));
    assert_eq!(finding.conclusion(), right, "{claim}: {}", finding.evidence());
}

/// Changes the versions after every step.
pub fn versions(records: &mut [Record], bend: impl Fn(&mut State)) {
    for record in records {
        if let Event::UpgradeStepEnded(ended) = &mut record.event {
            ended.versions.iter_mut().for_each(&bend);
        }
    }
}

/// When the drain of `w2` begins.
pub fn drain_of_w2(records: &[Record]) -> f64 {
    let is = |r: &&Record| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == "drain" && s.node.as_deref() == Some("w2"));
    second(records.iter().find(is).unwrap())
}

/// The last state of a pod before a second.
pub fn pod_at(records: &[Record], uid: &str, at: f64) -> Value {
    let is = |r: &&Record| {
        second(r) <= at && matches!(&r.event, Event::ObjectChanged { uid: of, .. } if of == uid)
    };
    let Event::ObjectChanged { object, .. } = &records.iter().rfind(is).unwrap().event else {
        unreachable!()
    };
    object.clone()
}

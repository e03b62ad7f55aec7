//! Upgrades without a cluster: plans from made-up facts, each refusal, and what a drain says.

mod budgets;
mod cost;
mod disturbed;
mod drain;
mod each;
mod hop;
pub mod judge;
mod plan;
pub mod refused;
mod resumed;
mod story;
pub mod trap;
pub mod upgraded;

use seatrial::event::Record;
use seatrial::judge::version::Version;
use seatrial::node::Role;
use seatrial::upgrade::{ClusterFacts, Component, NodeFacts, ReleaseFacts, State};

/// The records of a sound upgrade.
pub fn told() -> Vec<Record> {
    story::told(story::Wrong::default()).records
}

/// A version.
pub fn v(text: &str) -> Version {
    text.parse().unwrap()
}

/// A sound cluster of 1.34.4 with these nodes: `cp` and the like are control planes, `w` workers.
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
            state.planes.insert((*name).into(), parts.into());
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

/// What an image profile has.
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

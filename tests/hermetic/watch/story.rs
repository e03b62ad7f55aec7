//! A made-up watch that passes every claim: a rollout of a Deployment and an eviction, while a StatefulSet, a
//! DaemonSet and a Job stay.

use seatrial::event::{Change, Event, Outcome};
use seatrial::judge::watch::facts::{self, Asked, Expected, Unread, Way};
use seatrial::judge::watch::{API, BEGINS, ENDS};
use serde_json::{Value, json};

use crate::story::Story;
use crate::trial::story::{object, pod};

/// The probe of the Service.
pub const PROBE: &str = "http shop:80/healthz";
/// Seconds between two requests.
const PACE: f64 = 0.25;
/// The mark in the middle.
pub const MARK: &str = "cut-over";

/// A node.
pub fn node(name: &str) -> Value {
    json!({
        "kind": "Node", "metadata": {"name": name, "uid": format!("u-{name}")},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
    })
}

/// The budget of the Deployment: healthy pods of three, of which two must stay.
pub fn budget(healthy: i64) -> Value {
    json!({
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-pdb", "generation": 1},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
        "status": {
            "currentHealthy": healthy, "desiredHealthy": 2, "expectedPods": 3, "observedGeneration": 1,
            "disruptionsAllowed": (healthy - 2).max(0),
        },
    })
}

/// An event about a pod of `web`.
pub fn event(reason: &str, count: i64) -> Value {
    json!({
        "kind": "Event", "metadata": {"name": reason, "namespace": "shop", "uid": format!("u-{reason}")},
        "reason": reason, "message": "said the kubelet", "type": "Warning", "count": count,
        "source": {"host": "w1"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-2-a", "uid": "u-web-2-a"},
    })
}

/// A ReplicaSet of `web`.
pub fn set(name: &str, replicas: i64) -> Value {
    json!({
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("u-{name}"),
            "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": "u-web", "controller": true}]},
        "spec": {"replicas": replicas},
    })
}

/// A pod of `web`, of this ReplicaSet.
pub fn web(set: &str, letter: &str, node: &str) -> Value {
    let name = format!("{set}-{letter}");
    pod(&name, ("web", "ReplicaSet", set), &format!("u-{name}"), node)
}

/// Whether the deletion of a pod has begun.
pub fn ending(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!("2026-12-01T00:00:00Z");
    pod
}

/// A pod that the Eviction API ended.
pub fn evicted(pod: Value) -> Value {
    let mut pod = ending(pod);
    let target = json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"});
    pod["status"]["conditions"].as_array_mut().unwrap().push(target);
    pod
}

/// A pod that waits for its containers.
pub fn starting(mut pod: Value) -> Value {
    pod["status"]["phase"] = json!("Pending");
    pod["status"]["conditions"][0]["status"] = json!("False");
    pod
}

struct Told(Story);

impl Told {
    fn wait(&mut self, seconds: f64) {
        for n in 0..(seconds / PACE) as usize {
            self.0.seconds += PACE;
            for probe in ["control", PROBE, API] {
                if probe == API && n % 4 != 0 {
                    continue;
                }
                self.0.say(Event::Sampled {
                    probe: probe.into(),
                    outcome: Outcome::Acknowledged,
                    took_ms: 1.0,
                    detail: "200".into(),
                });
            }
        }
    }

    fn is(&mut self, change: Change, object: &Value) {
        self.0.changed(change, object);
        self.wait(0.25);
    }

    /// A pod of the new ReplicaSet is created, and one of the old ReplicaSet, which keeps this many, is deleted.
    fn replace(&mut self, letter: &str, node: &str, left: i64) {
        let (new, old) = (web("web-2", letter, node), web("web-1", letter, node));
        self.is(Change::Added, &starting(new.clone()));
        self.wait(2.0);
        self.is(Change::Modified, &new);
        self.0.changed(Change::Modified, &set("web-1", left));
        self.is(Change::Modified, &ending(old.clone()));
        self.wait(1.0);
        self.is(Change::Deleted, &ending(old));
    }
}

/// The whole story.
pub fn told() -> Story {
    let mut told = Told(Story::default());
    told.0.observe(&facts::UNREAD, Vec::<Unread>::new());
    let expected = Expected { longest: 5.0, failed: 0.01, repeats: 20, pending: 60.0 };
    told.0.observe(&facts::EXPECTED, expected);
    told.0.observe(&facts::AWAY, Vec::<facts::Away>::new());
    let mut all = vec![node("w1"), node("w2"), object("Deployment", "web", 1, (3, 3)), set("web-1", 3)];
    all.extend([("a", "w1"), ("b", "w2"), ("c", "w1")].map(|(letter, on)| web("web-1", letter, on)));
    all.extend([
        object("StatefulSet", "set", 1, (1, 1)),
        pod("set-0", ("set", "StatefulSet", "set"), "u-set-0", "w1"),
    ]);
    all.extend([
        object("DaemonSet", "agent", 1, (1, 1)),
        pod("agent-1", ("agent", "DaemonSet", "agent"), "u-agent-1", "w1"),
    ]);
    all.extend([budget(3), event("BackOff", 100)]);
    for object in &all {
        told.0.changed(Change::Added, object);
    }
    told.wait(2.0);
    told.0.observe(&facts::PROBES, vec![Asked { probe: PROBE.into(), way: Way::Node, steady: true }]);
    told.0.seconds += 0.1;
    told.0.marked(BEGINS);
    told.wait(1.0);
    told.is(Change::Modified, &object("Deployment", "web", 2, (3, 3)));
    told.is(Change::Added, &set("web-2", 1));
    for (letter, on, left) in [("a", "w1", 2), ("b", "w2", 1), ("c", "w1", 0)] {
        told.replace(letter, on, left);
    }
    told.is(Change::Modified, &set("web-1", 0));
    told.is(Change::Modified, &set("web-2", 3));
    told.0.marked(MARK);
    // A drain evicts a pod, and the budget allows it.
    told.is(Change::Modified, &evicted(web("web-2", "b", "w2")));
    told.is(Change::Modified, &budget(2));
    told.is(Change::Added, &web("web-2", "d", "w1"));
    told.is(Change::Deleted, &evicted(web("web-2", "b", "w2")));
    told.is(Change::Modified, &budget(3));
    told.is(Change::Modified, &event("BackOff", 110));
    told.wait(20.0);
    told.0.marked(ENDS);
    told.wait(1.0);
    told.0
}

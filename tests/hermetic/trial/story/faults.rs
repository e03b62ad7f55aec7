//! The told faults of steps of their own.

use seatrial::event::{Change, Event};
use seatrial::judge::trial::facts::{self, FaultStep};
use serde_json::json;

use super::{AGENT, DB, SET, Told, WEB, is, pod, workload};

/// A step stops the node of `db` for a minute.
pub(super) fn node_fault(t: &mut Told) {
    let step = FaultStep {
        step: "fault 1".into(),
        fault: "stop".into(),
        effect: None,
        node: "w1".into(),
        pod: None,
        of: Some(workload("Deployment", "db")),
        lasts: 60.0,
        budget: 81.0,
    };
    t.story.observe(&facts::FAULTS, step);
    t.story.marked("fault 1");
    let (id, fault, node) = ("2".to_owned(), "stop".to_owned(), "w1".to_owned());
    t.story.say(Event::FaultIntended { id: id.clone(), fault: fault.clone(), node: node.clone() });
    let proof = json!({"power": "exited"});
    t.story.say(Event::FaultInjected { id: id.clone(), fault: fault.clone(), node: node.clone(), proof });
    t.wait(50.0, |n| n % 3 == 1);
    t.node("w1", "Unknown");
    let lost = ["web-2-f", "web-2-g", "db-2-b", "set-0d", "agent-1c"];
    lost.iter().for_each(|pod| t.now(pod, "unready"));
    t.status("Deployment", "web", (3, 1));
    t.wait(10.0, |_| false);
    lost[..4].iter().for_each(|pod| t.now(pod, "ending"));
    t.new_pod("web-2-h", "web-2-h", WEB, "w2");
    t.new_pod("web-2-i", "web-2-i", WEB, "w3");
    t.status("Deployment", "web", (3, 3));
    let mut waiting = pod("db-2-c", DB, "u-db-2-c", "w1");
    is(&mut waiting, "pending");
    t.story.changed(Change::Added, &waiting);
    t.pods.insert("db-2-c", waiting);
    t.pass();
    t.story.marked("fault 1 over");
    t.story.say(Event::FaultHealed { id, fault, node, proof: json!({"power": "running"}) });
    t.pass();
    t.node("w1", "True");
    lost[..4].iter().for_each(|pod| t.now(pod, "gone"));
    t.new_pod("agent-1c", "agent-1c", AGENT, "w1");
    t.new_pod("db-2-c", "db-2-c", DB, "w1");
    t.new_pod("set-0e", "set-0", SET, "w1");
    for (kind, name, count) in [("Deployment", "db", 1), ("StatefulSet", "set", 2), ("DaemonSet", "agent", 2)]
    {
        t.status(kind, name, (count, count));
    }
    t.pass();
    t.all_settled("fault 1");
    t.story.marked("fault 1 healed");
}

/// A step kills the container of a pod of `web`.
pub(super) fn pod_fault(t: &mut Told) {
    let step = FaultStep {
        step: "fault 2".into(),
        fault: "kill-container".into(),
        effect: None,
        node: "w2".into(),
        pod: Some("shop/web-2-h".into()),
        of: Some(workload("Deployment", "web")),
        lasts: 0.0,
        budget: 81.0,
    };
    t.story.observe(&facts::FAULTS, step);
    t.story.marked("fault 2");
    let (id, fault, node) = ("3".to_owned(), "kill-container".to_owned(), "w2".to_owned());
    t.story.say(Event::FaultIntended { id: id.clone(), fault: fault.clone(), node: node.clone() });
    let proof = json!({"pod": "shop/web-2-h"});
    t.story.say(Event::FaultInjected { id: id.clone(), fault: fault.clone(), node: node.clone(), proof });
    t.story.marked("fault 2 over");
    t.story.say(Event::FaultHealed { id, fault, node, proof: json!({}) });
    t.wait(3.0, |n| n % 3 == 1);
    t.all_settled("fault 2");
    t.story.marked("fault 2 healed");
}

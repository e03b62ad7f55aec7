//! Falsehoods about a dead node: C9.

use seatrial::event::{Change, Event};
use seatrial::judge::stateful_set::facts;
use serde_json::{Value, json};

use super::edits::{is_added, is_gone, told};
use super::{Story, uid_of};
use crate::lies::{FAILED, Lie, OPEN, of_set};

pub static LIES: &[Lie] = &[
    of_set(
        "node ran on",
        "C9",
        |s| s.fact(&facts::POWER_WAITING)["power"] = json!("running"),
        FAILED,
        "was running",
    ),
    of_set(
        "node ran when the pod moved",
        "C9",
        |s| s.fact(&facts::POWER_MOVED)["power"] = json!("running"),
        FAILED,
        "power_moved: the container of",
    ),
    of_set(
        "fault did not take hold",
        "C9",
        |s| {
            fault(s, |e| {
                if let Event::FaultInjected { proof, .. } = e {
                    proof["power"] = json!("running");
                }
            })
        },
        FAILED,
        "took hold",
    ),
    of_set(
        "fault without a proof",
        "C9",
        |s| {
            fault(s, |e| {
                if let Event::FaultInjected { proof, .. } = e {
                    *proof = json!({});
                }
            })
        },
        OPEN,
        "nothing proves that the fault on w2 took hold: {}",
    ),
    of_set(
        "another node was stopped",
        "C9",
        |s| {
            fault(s, |e| {
                if let Event::FaultInjected { node, .. } = e {
                    *node = "w9".into();
                }
            })
        },
        OPEN,
        "no fault on",
    ),
    of_set(
        "node came back before",
        "C9",
        |s| {
            let at = s.healed();
            let event = s.0[at].event.clone();
            s.insert_after("declare", event);
        },
        FAILED,
        "was brought back before the pod had moved: true",
    ),
    of_set(
        "node not given up",
        "C9",
        |s| {
            s.0.retain(|r| !matches!(&r.event, Event::ObjectChanged { kind, object, .. } if kind == "Node" && object["status"]["conditions"][0]["status"] == "Unknown"))
        },
        OPEN,
        "was not seen to be given up",
    ),
    of_set(
        "not evicted",
        "C9",
        |s| s.fact(&facts::POD_WAITING)["metadata"]["deletionTimestamp"] = Value::Null,
        FAILED,
        "terminates before the declaration",
    ),
    of_set(
        "gone when looked at",
        "C9",
        |s| {
            s.gone_early();
            *s.fact(&facts::POD_WAITING) = Value::Null;
        },
        FAILED,
        "solo-0 was gone before the declaration: true",
    ),
    of_set(
        "second copy",
        "C9",
        second_copy,
        FAILED,
        "1 other pods were called solo-0 before the declaration",
    ),
    of_set(
        "replaced by itself",
        "C9",
        |s| s.gone_early(),
        FAILED,
        "solo-0 was gone before the declaration: true",
    ),
    of_set(
        "did not stay long",
        "C9",
        |s| {
            let from = s.mark("declare");
            let early = s.evicted() + 1_000_000;
            for r in &mut s.0[..=from] {
                r.mono_us = r.mono_us.min(early);
            }
        },
        OPEN,
        "needed 22 s",
    ),
    of_set(
        "a wall clock that jumps while the pod waits",
        "C9",
        |s| s.jump(s.mark("declare")),
        OPEN,
        "the clocks disagree on how long it took",
    ),
    of_set(
        "a wall clock that jumps while the pod moves",
        "C9",
        |s| s.jump(s.mark("declare") + 1),
        OPEN,
        "the clocks disagree on how long it took",
    ),
    of_set(
        "controller never looked",
        "C9",
        |s| {
            for r in &mut s.0 {
                if let Event::ObjectChanged { kind, object, .. } = &mut r.event
                    && kind == "StatefulSet"
                {
                    object["status"]["observedGeneration"] = json!(0);
                }
            }
        },
        OPEN,
        "no pass of the controller",
    ),
    of_set(
        "nothing else was replaced",
        "C9",
        |s| {
            let pod = s.fact(&facts::OTHER_BEFORE).clone();
            *s.fact(&facts::OTHER_AFTER) = pod;
        },
        FAILED,
        "meanwhile the Deployment's",
    ),
    of_set("moved without a declaration", "C9", |s| s.taints(false), OPEN, "was not seen with taint"),
    of_set(
        "moved to the same node",
        "C9",
        |s| {
            let home = s.fact(&facts::POD_BEFORE)["spec"]["nodeName"].clone();
            s.fact(&facts::POD_AFTER)["spec"]["nodeName"] = home;
        },
        FAILED,
        "with a new UID, it was on",
    ),
    of_set(
        "same pod",
        "C9",
        |s| {
            let uid = uid_of(s.fact(&facts::POD_BEFORE));
            s.fact(&facts::POD_AFTER)["metadata"]["uid"] = json!(uid);
        },
        FAILED,
        "is ready on",
    ),
    of_set(
        "two at a time",
        "C9",
        |s| s.comes_before("declare", ("solo-0", is_added), ("solo-0", is_gone)),
        FAILED,
        "was still there when",
    ),
    of_set("too late", "C9", |s| *s.fact(&facts::MOVE_BUDGET) = json!(1.0), FAILED, "s of 1.0 s"),
    of_set(
        "moved back",
        "C9",
        |s| s.fact(&facts::POD_RETURNED)["metadata"]["uid"] = json!("other"),
        FAILED,
        "is still UID other",
    ),
    of_set("taint left", "C9", |s| s.taints(true), FAILED, "without the taint: false"),
    of_set("third pod", "C9", third, FAILED, "3 pods were called solo-0"),
    of_set(
        "return not recorded",
        "C9",
        |s| {
            let at = s.healed();
            drop(s.0.remove(at));
        },
        OPEN,
        "was not recorded as brought back",
    ),
];

impl Story {
    fn healed(&self) -> usize {
        self.0.iter().position(|r| matches!(&r.event, Event::FaultHealed { .. })).unwrap()
    }

    /// When the pod's eviction was recorded, in microseconds.
    fn evicted(&self) -> u64 {
        let ending = |r: &&seatrial::event::Record| match &r.event {
            Event::ObjectChanged { name, object, .. } => {
                name == "solo-0" && !object["metadata"]["deletionTimestamp"].is_null()
            }
            _ => false,
        };
        self.0.iter().find(ending).unwrap().mono_us
    }

    /// The old pod is deleted before anybody set the out-of-service taint.
    fn gone_early(&mut self) {
        let (gone, declared) = (self.change("declare", "solo-0", is_gone), self.mark("declare"));
        self.carry(gone, declared);
    }

    /// Removes the taint from every recorded node, or leaves it there for good.
    fn taints(&mut self, there: bool) {
        let taint = json!({"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"});
        for record in &mut self.0 {
            let Event::ObjectChanged { kind, object, .. } = &mut record.event else { continue };
            if kind == "Node" {
                match there {
                    true => object["spec"]["taints"] = json!([taint]),
                    false => object["spec"] = json!({}),
                }
            }
        }
    }
}

fn fault(story: &mut Story, bend: impl Fn(&mut Event)) {
    story.0.iter_mut().for_each(|r| bend(&mut r.event));
}

/// A pod of the same name runs elsewhere while the old one is still there.
fn second_copy(story: &mut Story) {
    let mut pod = story.fact(&facts::POD_AFTER).clone();
    (pod["kind"], pod["metadata"]["uid"]) = (json!("Pod"), json!("copy"));
    let at = story.mark("declare");
    story.insert(at, told(Change::Added, pod));
}

fn third(story: &mut Story) {
    let mut pod = story.fact(&facts::POD_AFTER).clone();
    (pod["kind"], pod["metadata"]["uid"]) = (json!("Pod"), json!("third"));
    story.insert_after("return", told(Change::Added, pod));
}

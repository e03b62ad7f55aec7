//! Falsehoods about order: C1, C5, C6, C8, C10.

use seatrial::event::{Change, Event, Record};
use seatrial::judge::stateful_set::facts;
use serde_json::{Value, json};

use super::Story;
use super::edits::{is_added, is_any, is_ending, is_gone, is_ready, told};
use crate::lies::{FAILED, Lie, OPEN, of_set};
use crate::story::is_of;

pub static LIES: &[Lie] = &[
    of_set(
        "made too early",
        "C1",
        |s| s.comes_before("apply", ("web-1", is_added), ("web-0", is_ready)),
        FAILED,
        "web-0 ready came ",
    ),
    of_set(
        "made too early by its own time",
        "C1",
        |s| {
            let at = s.change("apply", "web-1", is_added);
            s.object(at)["metadata"]["creationTimestamp"] = json!("2026-11-24T14:00:00Z");
        },
        FAILED,
        "web-1 made at 2026-11-24T14:00:00Z",
    ),
    of_set(
        "ready only later by its own time",
        "C1",
        |s| {
            let at = s.change("apply", "web-1", is_ready);
            s.object(at)["status"]["conditions"][0]["lastTransitionTime"] = json!("2026-11-24T16:00:00Z");
        },
        FAILED,
        "web-1 ready at 2026-11-24T16:00:00Z",
    ),
    of_set(
        "never ready",
        "C1",
        |s| s.unseen(("apply", "applied"), Some("web-0"), is_ready),
        FAILED,
        "web-0 ready was never seen",
    ),
    of_set("ordinal skipped", "C1", skipped, FAILED, "pods web-0, web-3 and web-2"),
    of_set("two of one identity", "C1", two_of_one, FAILED, "was still there when UID rogue came"),
    of_set(
        "one of somebody else",
        "C1",
        |s| rogue(s, "apply", "web-3"),
        FAILED,
        "pod web-3 (UID rogue) is controlled by nobody",
    ),
    of_set(
        "all at once",
        "C1",
        |s| s.fact(&facts::SET)["spec"]["podManagementPolicy"] = json!("Parallel"),
        FAILED,
        "Parallel",
    ),
    of_set(
        "status of before",
        "C1",
        |s| s.fact(&facts::SET)["metadata"]["generation"] = json!(9),
        FAILED,
        "generation 9, observed 1",
    ),
    of_set(
        "pod not ready",
        "C1",
        |s| s.fact(&facts::PODS)[2]["status"]["conditions"][0]["status"] = json!("False"),
        FAILED,
        "web-2 is ready: false",
    ),
    of_set(
        "history begins late",
        "C1",
        |s| {
            s.unseen(("apply", "applied"), None, |change, object| {
                is_added(change, object) && object["kind"] == "Pod"
            })
        },
        FAILED,
        "the beginning of web-0 was recorded: false",
    ),
    of_set(
        "lowest first",
        "C5",
        |s| s.exchange(("scale-down", "scaled-down"), ("web-1", "web-2")),
        FAILED,
        "web-1 was taken before web-2",
    ),
    of_set(
        "both at once",
        "C5",
        |s| s.comes_before("scale-down", ("web-1", is_ending), ("web-2", is_gone)),
        FAILED,
        "web-2 gone came ",
    ),
    of_set(
        "both at once by their times",
        "C5",
        |s| finished(s, "scale-down", "web-2", "2026-11-24T16:00:00Z"),
        FAILED,
        "web-2 gone at 2026-11-24T16:00:00Z",
    ),
    of_set(
        "survivor restarted",
        "C5",
        |s| s.fact(&facts::PODS_DOWN)[0]["status"]["containerStatuses"][0]["restartCount"] = json!(1),
        FAILED,
        "restarts 0 -> 1",
    ),
    of_set(
        "survivor replaced",
        "C5",
        |s| s.fact(&facts::PODS_DOWN)[0]["metadata"]["uid"] = json!("other"),
        FAILED,
        "is gone",
    ),
    of_set("one more went", "C5", |s| s.goes("scale-down", "web-0"), FAILED, "2 were too many"),
    of_set(
        "end not recorded",
        "C5",
        |s| s.unseen(("scale-down", "scaled-down"), Some("web-1"), is_gone),
        FAILED,
        "web-1 was seen to go: false",
    ),
    of_set("no time of its end", "C5", |s| forget_ends(s, "scale-down"), OPEN, "do not say when"),
    of_set(
        "only one went",
        "C5",
        |s| drop(s.fact(&facts::PODS_BEFORE_DOWN).as_array_mut().unwrap().pop()),
        FAILED,
        "1 were too many",
    ),
    of_set(
        "went all the same",
        "C6",
        |s| s.goes("refuse", "web-2"),
        FAILED,
        "pods that went while web-0 was unready: web-2",
    ),
    of_set("was ready", "C6", was_ready, FAILED, "web-0 was ready when it was asked for: Some(true)"),
    of_set(
        "became ready",
        "C6",
        |s| {
            let at = s.change("heal", "web-0", is_ready);
            let pod = s.object(at).clone();
            s.insert_after("refuse", told(Change::Modified, pod));
        },
        FAILED,
        "web-0 was ready meanwhile: true",
    ),
    of_set(
        "went before it was healed",
        "C6",
        |s| s.comes_before("heal", ("web-2", is_ending), ("web-0", is_ready)),
        FAILED,
        "web-0 ready again came ",
    ),
    of_set(
        "controller never looked",
        "C6",
        |s| sets(s, "refuse", |set| set["status"]["observedGeneration"] = json!(1)),
        OPEN,
        "no pass of the controller",
    ),
    of_set(
        "a wall clock that jumps while it is refused",
        "C6",
        |s| s.jump((s.mark("refuse") + s.mark("held")) / 2),
        OPEN,
        "the clocks disagree on how long it took",
    ),
    of_set(
        "a wall clock that jumps while the partition holds",
        "C10",
        |s| {
            let before = s.mark("partition-opened");
            let pass =
                |r: &Record| matches!(&r.event, Event::ObjectChanged { kind, .. } if kind == "StatefulSet");
            s.jump(s.0[..before].iter().rposition(pass).unwrap() - 1);
        },
        OPEN,
        "the clocks disagree on how long it took",
    ),
    of_set("controller looked once", "C6", one_pass, OPEN, "1 passes of the controller"),
    of_set(
        "too short",
        "C6",
        |s| {
            let from = s.mark("refuse");
            let begin = s.0[from].mono_us;
            for r in &mut s.0[from..] {
                r.mono_us = begin;
            }
        },
        OPEN,
        "in 0.0 s, needed 5 in 5 s",
    ),
    of_set(
        "wish not known",
        "C6",
        |s| sets(s, "refuse", |set| set["spec"]["replicas"] = json!(3)),
        OPEN,
        "no pass of the controller",
    ),
    of_set(
        "higher ordinal unready",
        "C6",
        |s| s.fact(&facts::UNREADY)["metadata"]["name"] = json!("web-2"),
        FAILED,
        "web-2 unready is one that would stay: false",
    ),
    of_set("never went", "C6", |s| s.unseen(("heal", "healed"), Some("web-2"), is_any), FAILED, "none went"),
    of_set(
        "said afterwards",
        "C8",
        |s| {
            let at = s.said();
            let to = s.mark("scaled-down");
            late(s, at, to);
        },
        FAILED,
        "recorded after the change",
    ),
    of_set(
        "said twice",
        "C8",
        |s| {
            let at = s.said();
            let event = s.0[at].event.clone();
            s.insert(at, event);
        },
        FAILED,
        "2 prediction(s)",
    ),
    of_set(
        "said another",
        "C8",
        |s| s.fact(&facts::PREDICTION)["goes"] = json!(["web-2", "web-0"]),
        FAILED,
        "predicted web-0 and web-2",
    ),
    of_set(
        "said in another order",
        "C8",
        |s| s.fact(&facts::PREDICTION)["goes"] = json!(["web-1", "web-2"]),
        FAILED,
        "order of deletion",
    ),
    of_set(
        "said nothing",
        "C8",
        |s| {
            let p = s.fact(&facts::PREDICTION);
            p["goes"] = json!([]);
        },
        FAILED,
        "predicted none",
    ),
    of_set(
        "another stayed",
        "C8",
        |s| s.fact(&facts::PODS_DOWN)[0]["metadata"]["uid"] = json!("other"),
        FAILED,
        "none stayed by UID",
    ),
    of_set(
        "deployment lost none",
        "C8",
        |s| {
            let all = s.fact(&facts::DEPLOYMENT_PODS_BEFORE).clone();
            *s.fact(&facts::DEPLOYMENT_PODS) = all;
        },
        FAILED,
        "the Deployment's",
    ),
    of_set(
        "lowest first",
        "C10",
        |s| s.exchange(("update", "updated"), ("web-0", "web-2")),
        FAILED,
        "from the highest down: false",
    ),
    of_set(
        "next before ready",
        "C10",
        |s| s.comes_before("partition-opened", ("web-0", is_ending), ("web-1", is_ready)),
        FAILED,
        "web-1 ready again came ",
    ),
    of_set(
        "new before gone",
        "C10",
        |s| s.comes_before("update", ("web-2", is_added), ("web-2", is_gone)),
        FAILED,
        "was still there when",
    ),
    of_set(
        "partition broken",
        "C10",
        |s| s.goes("update", "web-1"),
        FAILED,
        "pods below partition 2 that went: web-1",
    ),
    of_set(
        "lower pod new",
        "C10",
        |s| s.fact(&facts::PODS_HELD)[1]["metadata"]["labels"]["controller-revision-hash"] = json!("web-new"),
        FAILED,
        "web-1 is of web-new",
    ),
    of_set(
        "lower pod replaced",
        "C10",
        |s| s.fact(&facts::PODS_HELD)[0]["metadata"]["uid"] = json!("other"),
        FAILED,
        "kept by UID: false",
    ),
    of_set(
        "partition never set",
        "C10",
        |s| s.fact(&facts::SET_HELD)["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(0),
        FAILED,
        "the set's partition is 0",
    ),
    of_set(
        "same image",
        "C10",
        |s| {
            let old = s.fact(&facts::IMAGES)["old"].clone();
            s.fact(&facts::PODS_UPDATED)[1]["spec"]["containers"][0]["image"] = old["reference"].clone();
        },
        FAILED,
        "web-1 (UID",
    ),
    of_set(
        "same revision",
        "C10",
        |s| {
            let old = s.fact(&facts::SET_BEFORE_UPDATE)["status"]["currentRevision"].clone();
            s.fact(&facts::SET_UPDATED)["status"]["updateRevision"] = old;
        },
        FAILED,
        "asked for",
    ),
    of_set(
        "the revision of before",
        "C10",
        |s| {
            let new = s.fact(&facts::SET_UPDATED)["status"]["updateRevision"].clone();
            s.fact(&facts::SET_BEFORE_UPDATE)["status"]["currentRevision"] = new;
        },
        FAILED,
        "asked for",
    ),
    of_set(
        "revision not kept",
        "C10",
        |s| drop(s.fact(&facts::REVISIONS).as_array_mut().unwrap().pop()),
        FAILED,
        "is number 0",
    ),
    of_set(
        "revisions of one number",
        "C10",
        |s| {
            for r in s.fact(&facts::REVISIONS).as_array_mut().unwrap() {
                r["revision"] = json!(1);
            }
        },
        FAILED,
        "numbers of the revisions: [1, 1]",
    ),
    of_set(
        "one not replaced",
        "C10",
        |s| {
            let old = s.fact(&facts::PODS_BEFORE_UPDATE)[0].clone();
            s.fact(&facts::PODS_UPDATED)[0] = old;
        },
        FAILED,
        "web-0 (UID",
    ),
    of_set(
        "nothing to hold",
        "C10",
        |s| *s.fact(&facts::PARTITION) = json!(0),
        FAILED,
        "the set's partition is 2, of 0",
    ),
    of_set(
        "controller never looked",
        "C10",
        |s| sets(s, "update", |set| set["status"]["observedGeneration"] = json!(1)),
        OPEN,
        "no pass of the controller",
    ),
    of_set("rogue pod", "C10", |s| rogue(s, "partition-opened", "web-3"), FAILED, "controlled by nobody"),
];

impl Story {
    /// Where the prediction was recorded.
    fn said(&self) -> usize {
        self.0.iter().position(|r| is_of(&r.event, &facts::PREDICTION)).unwrap()
    }
}

fn skipped(story: &mut Story) {
    for record in &mut story.0 {
        if let Event::ObjectChanged { kind, name, object, .. } = &mut record.event
            && kind == "Pod"
            && name == "web-1"
        {
            *name = "web-3".into();
            object["metadata"]["name"] = json!("web-3");
        }
    }
    story.fact(&facts::PODS)[1]["metadata"]["name"] = json!("web-3");
}

fn two_of_one(story: &mut Story) {
    let at = story.change("apply", "web-1", is_ready);
    let mut second = story.ready("web-1");
    second["metadata"]["uid"] = json!("rogue");
    story.insert(at + 1, told(Change::Added, second));
}

/// A pod with a name of the StatefulSet that the StatefulSet did not create.
fn rogue(story: &mut Story, after: &str, name: &str) {
    let mut pod = story.ready("web-2");
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["uid"] = json!("rogue");
    pod["metadata"]["ownerReferences"] = json!([]);
    story.insert_after(after, told(Change::Added, pod));
}

fn finished(story: &mut Story, after: &str, wanted: &str, at: &str) {
    for (_, _, pod) in story.objects_after(after).filter(|(_, name, _)| *name == wanted) {
        if let Some(state) = pod.pointer_mut("/status/containerStatuses/0/state/terminated") {
            state["finishedAt"] = json!(at);
        }
    }
}

fn forget_ends(story: &mut Story, after: &str) {
    story.objects_after(after).for_each(|(_, _, object)| object["status"]["containerStatuses"] = json!([]));
}

fn was_ready(story: &mut Story) {
    let pod = story.ready("web-0");
    let at = story.mark("refuse");
    story.insert(at, told(Change::Modified, pod));
}

/// Changes every state of the StatefulSet after a mark.
fn sets(story: &mut Story, after: &str, bend: impl Fn(&mut Value)) {
    let sets = story.objects_after(after).filter(|(kind, _, _)| *kind == "StatefulSet");
    sets.for_each(|(_, _, set)| bend(set));
}

/// The controller observed only one generation.
fn one_pass(story: &mut Story) {
    sets(story, "refuse", |set| {
        set["metadata"]["generation"] = json!(4);
        set["status"]["observedGeneration"] = json!(4);
    });
}

/// Moves a record, with its number and time, to after another one.
fn late(story: &mut Story, from: usize, to: usize) {
    let (seq, mono_us) = (story.0[to].seq, story.0[to].mono_us);
    let mut record = story.0.remove(from);
    (record.seq, record.mono_us) = (seq, mono_us);
    story.0.insert(to, record);
}

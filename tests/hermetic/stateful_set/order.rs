//! Falsehoods about order: C1, C5, C6, C8, C10.

use seatrial::event::{Change, Event};
use serde_json::{Value, json};

use super::bends::{ending, is_added, is_ending, is_gone, is_ready, told};
use super::{Story, uid_of};
use crate::lies::{FAILED, Lie, OPEN, of_set};

pub static LIES: &[Lie] = &[
    of_set("made too early", "C1", made_early, FAILED, "web-0 ready came "),
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
        |s| {
            s.drop_between(("apply", "applied"), |e| matches!(e, Event::ObjectChanged { name, object, .. } if name == "web-0" && object["status"]["conditions"][0]["status"] == "True"))
        },
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
        |s| s.fact("C1", "set")["spec"]["podManagementPolicy"] = json!("Parallel"),
        FAILED,
        "Parallel",
    ),
    of_set(
        "status of before",
        "C1",
        |s| s.fact("C1", "set")["metadata"]["generation"] = json!(9),
        FAILED,
        "generation 9, observed 1",
    ),
    of_set(
        "pod not ready",
        "C1",
        |s| s.fact("C1", "pods")[2]["status"]["conditions"][0]["status"] = json!("False"),
        FAILED,
        "web-2 is ready: false",
    ),
    of_set(
        "history begins late",
        "C1",
        |s| {
            s.drop_between(
                ("apply", "applied"),
                |e| matches!(e, Event::ObjectChanged { change: Change::Added, kind, .. } if kind == "Pod"),
            )
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
    of_set("both at once", "C5", at_once, FAILED, "web-2 gone came "),
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
        |s| s.fact("C5", "pods")[0]["status"]["containerStatuses"][0]["restartCount"] = json!(1),
        FAILED,
        "restarts 0 -> 1",
    ),
    of_set(
        "survivor replaced",
        "C5",
        |s| s.fact("C5", "pods")[0]["metadata"]["uid"] = json!("other"),
        FAILED,
        "is gone",
    ),
    of_set(
        "one more went",
        "C5",
        |s| {
            let pod = s.state("web-0");
            s.insert_after("scale-down", told(Change::Modified, ending(pod)));
        },
        FAILED,
        "2 were too many",
    ),
    of_set(
        "end not recorded",
        "C5",
        |s| {
            s.drop_between(("scale-down", "scaled-down"), |e| matches!(e, Event::ObjectChanged { change: Change::Deleted, name, .. } if name == "web-1"))
        },
        FAILED,
        "web-1 was seen to go: false",
    ),
    of_set("no time of its end", "C5", |s| forget_ends(s, "scale-down"), OPEN, "do not say when"),
    of_set(
        "only one went",
        "C5",
        |s| drop(s.fact("C5", "pods_before").as_array_mut().unwrap().pop()),
        FAILED,
        "1 were too many",
    ),
    of_set(
        "went all the same",
        "C6",
        |s| {
            let pod = s.state("web-2");
            s.insert_after("refuse", told(Change::Modified, ending(pod)));
        },
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
        |s| {
            let (ready, end) = (s.change("heal", "web-0", is_ready), s.change("heal", "web-2", is_ending));
            s.carry(end, ready);
        },
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
        |s| s.fact("C6", "unready")["metadata"]["name"] = json!("web-2"),
        FAILED,
        "web-2 unready is one that would stay: false",
    ),
    of_set(
        "never went",
        "C6",
        |s| {
            s.drop_between(
                ("heal", "healed"),
                |e| matches!(e, Event::ObjectChanged { name, .. } if name == "web-2"),
            )
        },
        FAILED,
        "none went",
    ),
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
        |s| s.fact("C8", "prediction")["goes"] = json!(["web-2", "web-0"]),
        FAILED,
        "predicted web-0 and web-2",
    ),
    of_set(
        "said in another order",
        "C8",
        |s| s.fact("C8", "prediction")["goes"] = json!(["web-1", "web-2"]),
        FAILED,
        "order of deletion",
    ),
    of_set(
        "said nothing",
        "C8",
        |s| {
            let p = s.fact("C8", "prediction");
            p["goes"] = json!([]);
        },
        FAILED,
        "predicted none",
    ),
    of_set(
        "another stayed",
        "C8",
        |s| s.fact("C8", "pods")[0]["metadata"]["uid"] = json!("other"),
        FAILED,
        "none stayed by UID",
    ),
    of_set(
        "deployment lost none",
        "C8",
        |s| {
            let all = s.fact("C8", "deployment_pods_before").clone();
            *s.fact("C8", "deployment_pods") = all;
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
        |s| {
            let (ready, end) = (
                s.change("partition-opened", "web-1", is_ready_new),
                s.change("partition-opened", "web-0", is_ending),
            );
            s.carry(end, ready);
        },
        FAILED,
        "web-1 ready again came ",
    ),
    of_set(
        "new before gone",
        "C10",
        |s| {
            let (gone, new) = (s.change("update", "web-2", is_gone), s.change("update", "web-2", is_added));
            s.carry(new, gone);
        },
        FAILED,
        "was still there when",
    ),
    of_set(
        "partition broken",
        "C10",
        |s| {
            let pod = s.state("web-1");
            s.insert_after("update", told(Change::Modified, ending(pod)));
        },
        FAILED,
        "pods below partition 2 that went: web-1",
    ),
    of_set(
        "lower pod new",
        "C10",
        |s| {
            s.fact("C10", "pods_held")[1]["metadata"]["labels"]["controller-revision-hash"] = json!("web-new")
        },
        FAILED,
        "web-1 is of web-new",
    ),
    of_set(
        "lower pod replaced",
        "C10",
        |s| s.fact("C10", "pods_held")[0]["metadata"]["uid"] = json!("other"),
        FAILED,
        "kept by UID: false",
    ),
    of_set(
        "partition never set",
        "C10",
        |s| s.fact("C10", "set_held")["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(0),
        FAILED,
        "the set's partition is 0",
    ),
    of_set(
        "same image",
        "C10",
        |s| {
            let old = s.fact("C10", "images")["old"].clone();
            s.fact("C10", "pods")[1]["spec"]["containers"][0]["image"] = old["reference"].clone();
        },
        FAILED,
        "web-1 (UID",
    ),
    of_set(
        "same revision",
        "C10",
        |s| {
            let old = s.fact("C10", "set_before")["status"]["currentRevision"].clone();
            s.fact("C10", "set")["status"]["updateRevision"] = old;
        },
        FAILED,
        "asked for",
    ),
    of_set(
        "revision not kept",
        "C10",
        |s| drop(s.fact("C10", "revisions").as_array_mut().unwrap().pop()),
        FAILED,
        "is number 0",
    ),
    of_set(
        "revisions of one number",
        "C10",
        |s| {
            for r in s.fact("C10", "revisions").as_array_mut().unwrap() {
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
            let old = s.fact("C10", "pods_before")[0].clone();
            s.fact("C10", "pods")[0] = old;
        },
        FAILED,
        "web-0 (UID",
    ),
    of_set(
        "nothing to hold",
        "C10",
        |s| *s.fact("C10", "partition") = json!(0),
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
    /// The last recorded state of the first pod of this name.
    fn state(&mut self, name: &str) -> Value {
        let at = self.change("apply", name, is_ready);
        self.object(at).clone()
    }

    /// Where the prediction was recorded.
    fn said(&self) -> usize {
        self.0
            .iter()
            .position(|r| matches!(&r.event, Event::Observed { what, .. } if what == "prediction"))
            .unwrap()
    }
}

fn made_early(story: &mut Story) {
    let (ready, made) = (story.change("apply", "web-0", is_ready), story.change("apply", "web-1", is_added));
    story.carry(made, ready - 1);
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
    story.fact("C1", "pods")[1]["metadata"]["name"] = json!("web-3");
}

fn two_of_one(story: &mut Story) {
    let at = story.change("apply", "web-1", is_ready);
    let mut second = story.object(at).clone();
    second["metadata"]["uid"] = json!("rogue");
    story.insert(at + 1, told(Change::Added, second));
}

/// A pod of one of the set's names that the set did not make.
fn rogue(story: &mut Story, after: &str, name: &str) {
    let mut pod = story.state("web-2");
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["uid"] = json!("rogue");
    pod["metadata"]["ownerReferences"] = json!([]);
    story.insert_after(after, told(Change::Added, pod));
}

fn at_once(story: &mut Story) {
    let (gone, end) =
        (story.change("scale-down", "web-2", is_gone), story.change("scale-down", "web-1", is_ending));
    story.carry(end, gone);
}

fn finished(story: &mut Story, after: &str, wanted: &str, at: &str) {
    let from = story.mark(after);
    for record in &mut story.0[from..] {
        if let Event::ObjectChanged { name, object, .. } = &mut record.event
            && name == wanted
            && let Some(state) = object.pointer_mut("/status/containerStatuses/0/state/terminated")
        {
            state["finishedAt"] = json!(at);
        }
    }
}

fn forget_ends(story: &mut Story, after: &str) {
    let from = story.mark(after);
    for record in &mut story.0[from..] {
        if let Event::ObjectChanged { object, .. } = &mut record.event {
            object["status"]["containerStatuses"] = json!([]);
        }
    }
}

fn was_ready(story: &mut Story) {
    let pod = story.state("web-0");
    let at = story.mark("refuse");
    story.insert(at, told(Change::Modified, pod));
}

/// Bends every state of the set after a mark.
fn sets(story: &mut Story, after: &str, bend: impl Fn(&mut Value)) {
    let from = story.mark(after);
    for record in &mut story.0[from..] {
        if let Event::ObjectChanged { kind, object, .. } = &mut record.event
            && kind == "StatefulSet"
        {
            bend(object);
        }
    }
}

/// The controller observed one generation only.
fn one_pass(story: &mut Story) {
    sets(story, "refuse", |set| {
        set["metadata"]["generation"] = json!(4);
        set["status"]["observedGeneration"] = json!(4);
    });
}

/// Takes a record to after another one, with its number and time.
fn late(story: &mut Story, from: usize, to: usize) {
    let (seq, mono_us) = (story.0[to].seq, story.0[to].mono_us);
    let mut record = story.0.remove(from);
    (record.seq, record.mono_us) = (seq, mono_us);
    story.0.insert(to, record);
}

fn is_ready_new(change: Change, pod: &Value) -> bool {
    is_ready(change, pod) && !uid_of(pod).is_empty()
}

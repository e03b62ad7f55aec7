//! Falsehoods about names, claims and data: C2, C3, C4, C7.

use seatrial::event::{Change, Event, FileEntry};
use seatrial::judge::Fact;
use seatrial::judge::fact::RawList;
use seatrial::judge::stateful_set::facts;
use serde_json::{Value, json};

use super::edits::{ending, is_added, is_gone, told};
use super::{Story, uid_of};
use crate::lies::{FAILED, Lie, OPEN, of_set};

pub static LIES: &[Lie] = &[
    of_set(
        "volume released",
        "C3",
        |s| s.fact(&facts::VOLUMES)[1]["status"]["phase"] = json!("Released"),
        FAILED,
        "is Released to",
    ),
    of_set(
        "two volumes on one folder",
        "C3",
        |s| {
            let volumes = s.fact(&facts::VOLUMES);
            volumes[1]["spec"]["hostPath"]["path"] = volumes[0]["spec"]["hostPath"]["path"].clone();
        },
        FAILED,
        "the folder of data-",
    ),
    of_set(
        "old address",
        "C2",
        |s| {
            let old = address(s, &facts::PODS_BEFORE_REPLACEMENT);
            answer(s)["addresses"] = json!([old]);
        },
        FAILED,
        "which has 10.",
    ),
    of_set(
        "both addresses",
        "C2",
        |s| {
            let old = address(s, &facts::PODS_BEFORE_REPLACEMENT);
            answer(s)["addresses"].as_array_mut().unwrap().push(json!(old));
        },
        FAILED,
        "after: web-2 was told",
    ),
    of_set("unknown", "C2", |s| answer(s)["addresses"] = json!([]), FAILED, "was told none"),
    of_set(
        "a wall clock that jumps before the answer",
        "C2",
        |s| {
            let told = answer(s).clone();
            let is_told = |e: &Event| matches!(e, Event::Observed { value, .. } if *value == told);
            s.jump(s.0.iter().position(|r| is_told(&r.event)).unwrap());
        },
        OPEN,
        "the clocks disagree on how long it took",
    ),
    of_set("too late", "C2", |s| answer(s)["waited"] = json!(61.5), FAILED, "took 61.5 s of 60.0 s"),
    of_set(
        "asked itself",
        "C2",
        asked_itself,
        OPEN,
        "no other pod of the set asked for web-1.web.ns.svc after",
    ),
    of_set(
        "asked a pod that is gone",
        "C2",
        |s| answer(s)["asker_uid"] = json!("gone"),
        OPEN,
        "no other pod of the set asked for web-1.web.ns.svc after",
    ),
    of_set(
        "same address",
        "C2",
        |s| {
            let old = address(s, &facts::PODS_BEFORE_REPLACEMENT);
            s.fact(&facts::PODS_AFTER_REPLACEMENT)[1]["status"]["podIP"] = json!(old);
            answer(s)["addresses"] = json!([old]);
        },
        OPEN,
        "got its old address",
    ),
    of_set(
        "nothing replaced",
        "C2",
        |s| {
            let old = s.fact(&facts::PODS_BEFORE_REPLACEMENT).clone();
            *s.fact(&facts::PODS_AFTER_REPLACEMENT) = old;
        },
        FAILED,
        "after: ",
    ),
    of_set(
        "not headless",
        "C2",
        |s| s.fact(&facts::SERVICE)["spec"]["clusterIP"] = json!("10.96.0.9"),
        FAILED,
        "cluster IP 10.96.0.9",
    ),
    of_set(
        "another domain",
        "C2",
        |s| s.fact(&facts::PODS_AFTER_REPLACEMENT)[0]["spec"]["subdomain"] = json!("other"),
        FAILED,
        "subdomain Some(\"other\")",
    ),
    of_set(
        "no address",
        "C2",
        |s| s.fact(&facts::PODS_AFTER_REPLACEMENT)[2]["status"]["podIP"] = Value::Null,
        OPEN,
        "without an address",
    ),
    of_set(
        "of another name",
        "C3",
        |s| s.fact(&facts::CLAIMS)[1]["metadata"]["name"] = json!("data-web-9"),
        FAILED,
        "there is no claim data-web-1",
    ),
    of_set(
        "mounts another",
        "C3",
        |s| {
            s.fact(&facts::PODS)[1]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] =
                json!("data-web-0")
        },
        FAILED,
        "pod web-1 mounts claim data-web-0",
    ),
    of_set(
        "one volume for two",
        "C3",
        |s| {
            let one = s.fact(&facts::CLAIMS)[0]["spec"]["volumeName"].clone();
            s.fact(&facts::CLAIMS)[1]["spec"]["volumeName"] = one;
        },
        FAILED,
        "is nobody else's: false",
    ),
    of_set(
        "volume of somebody else",
        "C3",
        |s| {
            for v in s.fact(&facts::VOLUMES).as_array_mut().unwrap() {
                v["spec"]["claimRef"]["uid"] = json!("other");
            }
        },
        FAILED,
        "(UID other)",
    ),
    of_set(
        "not bound",
        "C3",
        |s| s.fact(&facts::CLAIMS)[2]["status"]["phase"] = json!("Pending"),
        FAILED,
        "claim data-web-2 is Pending",
    ),
    of_set("bound too late", "C3", |s| bound(s, "999999999"), FAILED, "claim bound at version 999999999"),
    of_set(
        "never seen bound",
        "C3",
        |s| {
            s.unseen(("apply", "applied"), Some("data-web-0"), |_, claim| claim["status"]["phase"] == "Bound")
        },
        OPEN,
        "data-web-0 was not seen to be bound",
    ),
    of_set(
        "made after the pod",
        "C3",
        |s| {
            let at = s.change("apply", "data-web-1", is_added);
            s.object(at)["metadata"]["resourceVersion"] = json!("999999999");
        },
        FAILED,
        "web-1: claim made at version 999999999",
    ),
    of_set(
        "made after it ran",
        "C3",
        |s| s.fact(&facts::CLAIMS)[0]["metadata"]["creationTimestamp"] = json!("2026-11-24T23:00:00Z"),
        FAILED,
        "data-web-0 made at 2026-11-24T23:00:00Z",
    ),
    of_set("seeded before", "C3", seeded, FAILED, "holds 0/"),
    of_set(
        "node not listed",
        "C3",
        |s| s.0.retain(|r| !matches!(&r.event, Event::FilesListed { node, .. } if node == "w2")),
        OPEN,
        "`before` was not listed on w2",
    ),
    of_set(
        "claim made anew",
        "C4",
        |s| s.fact(&facts::REPLACEMENT_CLAIM)["metadata"]["uid"] = json!("other"),
        FAILED,
        "(UID other)",
    ),
    of_set(
        "another volume",
        "C4",
        |s| s.fact(&facts::REPLACEMENT_CLAIM)["spec"]["volumeName"] = json!("data-9"),
        FAILED,
        "data-9 after",
    ),
    of_set(
        "claim on its way out",
        "C4",
        |s| {
            let claim = s.fact(&facts::REPLACEMENT_CLAIM);
            *claim = ending(claim.clone());
        },
        FAILED,
        "claim data-web-1 is Bound",
    ),
    of_set(
        "claim went and came",
        "C4",
        |s| {
            let claim = s.fact(&facts::REPLACED_CLAIM).clone();
            let mut claim = claim;
            claim["kind"] = json!("PersistentVolumeClaim");
            s.insert_after("delete-pod", told(Change::Deleted, claim));
        },
        FAILED,
        "was deleted 1 time(s)",
    ),
    of_set(
        "empty volume",
        "C4",
        |s| s.fact(&facts::REPLACEMENT_FOUND)["text"] = Value::Null,
        FAILED,
        "holds no file",
    ),
    of_set(
        "another file",
        "C4",
        |s| s.fact(&facts::REPLACEMENT_FOUND)["text"] = json!("0000"),
        FAILED,
        "holds 0000",
    ),
    of_set(
        "nothing was written",
        "C4",
        |s| {
            s.fact(&facts::REPLACEMENT_FOUND)["text"] = Value::Null;
            s.fact(&facts::REPLACED_WROTE)["text"] = Value::Null;
        },
        FAILED,
        "written was no file",
    ),
    of_set(
        "read by the old pod",
        "C4",
        |s| {
            let uid = uid_of(s.fact(&facts::REPLACED_POD));
            s.fact(&facts::REPLACEMENT_FOUND)["uid"] = json!(uid);
        },
        FAILED,
        "read by UID",
    ),
    of_set(
        "never replaced",
        "C4",
        |s| {
            let uid = uid_of(s.fact(&facts::REPLACED_POD));
            s.fact(&facts::REPLACEMENT_POD)["metadata"]["uid"] = json!(uid);
        },
        FAILED,
        "before, ",
    ),
    of_set(
        "another name",
        "C4",
        |s| s.fact(&facts::REPLACEMENT_POD)["metadata"]["name"] = json!("web-7"),
        FAILED,
        "web-7 after",
    ),
    of_set(
        "two at a time",
        "C4",
        |s| s.comes_before("delete-pod", ("web-1", is_added), ("web-1", is_gone)),
        FAILED,
        "was still there when",
    ),
    of_set("containers overlap", "C4", overlap, FAILED, "the next started at 2026-11-24T01:00:00Z"),
    of_set(
        "another pod went too",
        "C4",
        |s| s.goes("delete-pod", "web-2"),
        FAILED,
        "other pods that went meanwhile: 1",
    ),
    of_set(
        "old end not recorded",
        "C4",
        |s| s.unseen(("delete-pod", "pod-replaced"), None, is_gone),
        FAILED,
        "the old pod gone was never seen",
    ),
    of_set(
        "claim went with its pod",
        "C7",
        |s| drop(s.fact(&facts::CLAIMS_DOWN).as_array_mut().unwrap().pop()),
        FAILED,
        "claim data-web-2 is not there scaled down",
    ),
    of_set(
        "claim made anew",
        "C7",
        |s| s.fact(&facts::CLAIMS_UP)[1]["metadata"]["uid"] = json!("other"),
        FAILED,
        "(UID other)",
    ),
    of_set(
        "claim went with the set",
        "C7",
        |s| *s.fact(&facts::CLAIMS_ORPHANED) = json!([]),
        FAILED,
        "0 claims with the set deleted",
    ),
    of_set(
        "another claim mounted",
        "C7",
        |s| {
            s.fact(&facts::PODS_UP)[2]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] =
                json!("data-web-9")
        },
        FAILED,
        "mounts data-web-9",
    ),
    of_set("data lost", "C7", |s| s.fact(&facts::FOUND)[2]["text"] = Value::Null, FAILED, "holds no file"),
    of_set(
        "data of another",
        "C7",
        |s| {
            let other = s.fact(&facts::FOUND)[0]["text"].clone();
            s.fact(&facts::FOUND)[1]["text"] = other;
        },
        FAILED,
        "web-1 holds",
    ),
    of_set(
        "not read",
        "C7",
        |s| drop(s.fact(&facts::FOUND).as_array_mut().unwrap().pop()),
        OPEN,
        "no file of web-2 was written and read",
    ),
    of_set("nothing was scaled", "C7", same_pods, FAILED, "0 pods came back"),
    of_set(
        "went by itself",
        "C7",
        |s| {
            let claim = claim(s, "data-web-1");
            s.insert_after("scaled-down", told(Change::Modified, ending(claim)));
        },
        FAILED,
        "deletion of data-web-1 seen before that by hand: true",
    ),
    of_set(
        "another went by hand",
        "C7",
        |s| {
            let claim = claim(s, "data-web-0");
            s.insert_after("delete-claim", told(Change::Deleted, claim));
        },
        FAILED,
        "data-web-0 went: true",
    ),
    of_set(
        "does not go",
        "C7",
        |s| {
            let all = s.fact(&facts::CLAIMS_ORPHANED).clone();
            *s.fact(&facts::CLAIMS_AFTER) = all;
        },
        FAILED,
        "data-web-2 went: true, is there: true",
    ),
    of_set(
        "deleted something else",
        "C7",
        |s| *s.fact(&facts::DELETED) = json!("data-web-7"),
        FAILED,
        "data-web-7 is one of the set's claims: false",
    ),
];

fn address(story: &mut Story, list: &Fact<RawList>) -> String {
    story.fact(list)[1]["status"]["podIP"].as_str().unwrap().to_owned()
}

/// The last answer about the replaced pod, after its replacement.
fn answer(story: &mut Story) -> &mut Value {
    let about = |a: &&mut Value| a["when"] == "after" && a["name"] == "web-1.web.ns.svc";
    story.facts(&facts::ANSWER).into_iter().rfind(about).unwrap()
}

/// The replaced pod asked for its own name, which is in its /etc/hosts.
fn asked_itself(story: &mut Story) {
    let uid = uid_of(&story.fact(&facts::PODS_AFTER_REPLACEMENT)[1].clone());
    let answer = answer(story);
    answer["asker"] = json!("web-1");
    answer["asker_uid"] = json!(uid);
}

fn bound(story: &mut Story, version: &str) {
    let at = story.change("apply", "data-web-0", |_, claim| claim["status"]["phase"] == "Bound");
    story.object(at)["metadata"]["resourceVersion"] = json!(version);
}

fn seeded(story: &mut Story) {
    for record in &mut story.0 {
        if let Event::FilesListed { entries, exists, .. } = &mut record.event {
            *exists = true;
            entries.push(FileEntry {
                path: "0/".into(),
                size: 0,
                uid: 0,
                mode: 0o755,
                ..FileEntry::default()
            });
        }
    }
}

fn overlap(story: &mut Story) {
    let (from, to) = (story.mark("delete-pod"), story.mark("pod-replaced"));
    for record in &mut story.0[from..to] {
        if let Event::ObjectChanged { object, .. } = &mut record.event
            && let Some(state) = object.pointer_mut("/status/containerStatuses/0/state/running")
        {
            state["startedAt"] = json!("2026-11-24T01:00:00Z");
        }
    }
}

fn same_pods(story: &mut Story) {
    let (pods, texts) = (story.fact(&facts::PODS_BEFORE_DOWN).clone(), story.fact(&facts::WRITTEN).clone());
    *story.fact(&facts::PODS_UP) = pods;
    *story.fact(&facts::FOUND) = texts;
}

/// A claim in its first recorded state.
fn claim(story: &mut Story, name: &str) -> Value {
    let at = story.change("apply", name, is_added);
    story.object(at).clone()
}

//! Lies about a change of image under load: A7.

use seatrial::event::{Event, Outcome, Record};
use seatrial::judge::stateless::facts;
use serde_json::{Value, json};

use super::stateless::{progress, stale};
use super::{FAILED, Lie, OPEN, lie, machine};
use crate::story::{Story, changed, recorded, sample};

pub(super) static LIES: &[Lie] = &[
    lie("stale", "A7", recorded, |s| stale(s, &facts::DEPLOYMENT_CHANGED), FAILED, "observedGeneration"),
    lie(
        "progressing of the rollout before",
        "A7",
        recorded,
        |s| progress(s, &facts::DEPLOYMENT_CHANGED),
        FAILED,
        "Progressing speaks of",
    ),
    lie("old endpoint left", "A7", recorded, old_endpoint, FAILED, "endpoint"),
    lie(
        "old version answers after",
        "A7",
        recorded,
        |s| insert_late(s, "200 nginx/1.22.1"),
        FAILED,
        "after the change by the old version",
    ),
    lie(
        "renamed but not re imaged",
        "A7",
        recorded,
        |s| {
            s.fact(&facts::PODS_CHANGED)[0]["spec"]["containers"][0]["image"] =
                old_image(s, "/spec/containers/0/image")
        },
        FAILED,
        "asks for",
    ),
    lie(
        "wrong image under the right tag",
        "A7",
        recorded,
        |s| {
            s.fact(&facts::PODS_CHANGED)[0]["status"]["containerStatuses"][0]["imageID"] =
                old_image(s, "/status/containerStatuses/0/imageID")
        },
        FAILED,
        "images run both before and after",
    ),
    lie(
        "image not reported",
        "A7",
        recorded,
        |s| s.fact(&facts::PODS_CHANGED)[0]["status"]["containerStatuses"][0]["imageID"] = json!(""),
        FAILED,
        "one image before",
    ),
    lie(
        "name kept",
        "A7",
        recorded,
        |s| {
            let name = s.fact(&facts::PODS_BEFORE_CHANGE)[0]["metadata"]["name"].clone();
            s.fact(&facts::PODS_CHANGED)[0]["metadata"]["name"] = name;
        },
        FAILED,
        "names in common: nginx-deployment-",
    ),
    lie(
        "uid kept",
        "A7",
        recorded,
        |s| {
            let uid = s.fact(&facts::PODS_BEFORE_CHANGE)[0]["metadata"]["uid"].clone();
            s.fact(&facts::PODS_CHANGED)[0]["metadata"]["uid"] = uid;
        },
        FAILED,
        "UIDs in common: nginx-deployment-",
    ),
    lie(
        "revision stays",
        "A7",
        recorded,
        |s| {
            s.fact(&facts::DEPLOYMENT_CHANGED)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] =
                json!("1")
        },
        FAILED,
        "revision 1 -> 1",
    ),
    lie(
        "old replica set gone",
        "A7",
        recorded,
        |s| {
            s.fact(&facts::REPLICA_SETS_CHANGED)
                .as_array_mut()
                .unwrap()
                .retain(|r| r["spec"]["replicas"] != 0)
        },
        FAILED,
        "the old ReplicaSet is gone",
    ),
    lie(
        "old replica set has a pod",
        "A7",
        recorded,
        |s| {
            for set in s.fact(&facts::REPLICA_SETS_CHANGED).as_array_mut().unwrap() {
                if set["spec"]["replicas"] == 0 {
                    set["status"]["replicas"] = json!(1);
                }
            }
        },
        FAILED,
        "desired 0, total 1",
    ),
    lie("surge above the limit", "A7", recorded, surge, FAILED, "most pods asked for, by "),
    lie(
        "no history of replica sets",
        "A7",
        recorded,
        |s| s.forget(|e| is_change(e, "ReplicaSet")),
        OPEN,
        "no change of a ReplicaSet",
    ),
    lie(
        "dip in availability",
        "A7",
        recorded,
        |s| deployment_says(s, "availableReplicas", 1),
        FAILED,
        "fewest available",
    ),
    lie("dip seen by pods only", "A7", recorded, pod_unready, FAILED, "fewest ready"),
    lie(
        "a fourth and a fifth pod for longer than a moment",
        "A7",
        recorded,
        |s| {
            another_pod(s, "x");
            another_pod(s, "y");
        },
        FAILED,
        "most pods at a time: 5",
    ),
    lie(
        "failed request",
        "A7",
        recorded,
        |s| s.insert_after("image-change", sample(Outcome::Refused, "curl 7: refused")),
        FAILED,
        "failed for no reason, the first: curl 7",
    ),
    lie("failed long after the last pod ended", "A7", recorded, |s| late(s, 10_500_000), FAILED, "1 of "),
    lie(
        "failed a while after the last pod's deletion",
        "A7",
        recorded,
        |s| late(s, 2_500_000),
        OPEN,
        "failed later than 2 s after a pod's deletion, and nothing says how the machine was",
    ),
    lie(
        "failed a while after the last pod's deletion on a machine that starved",
        "A7",
        recorded,
        |s| control(s, Outcome::Indeterminate),
        OPEN,
        "failed later than 2 s after a pod's deletion, and the machine starved",
    ),
    lie(
        "failed a while after the last pod's deletion on a healthy machine",
        "A7",
        recorded,
        |s| control(s, Outcome::Acknowledged),
        FAILED,
        "failed for no reason, the first: curl 7",
    ),
    lie(
        "half of the requests refused while a pod uses up its grace",
        "A7",
        recorded,
        grace_used_up,
        FAILED,
        "requests through the Service failed for no reason, the first: curl 7",
    ),
    lie(
        "refused by a server",
        "A7",
        recorded,
        |s| beside_an_ending(s, "503 nginx/1.26.3", 1),
        FAILED,
        "the first: 503",
    ),
    lie(
        "outage beside an ending pod",
        "A7",
        recorded,
        |s| beside_an_ending(s, "curl 7: refused", 80),
        FAILED,
        "longest time without an answer",
    ),
    lie(
        "unanswered request",
        "A7",
        recorded,
        |s| s.insert_after("image-change", sample(Outcome::Indeterminate, "curl 28: timed out")),
        FAILED,
        "curl 28",
    ),
    lie(
        "answer by neither",
        "A7",
        recorded,
        |s| s.insert_after("image-change", sample(Outcome::Acknowledged, "200 nginx/1.9.1")),
        FAILED,
        "1 answers by neither version",
    ),
    lie(
        "old version never seen",
        "A7",
        recorded,
        |s| s.fact(&facts::IMAGES)["old"]["version"] = json!("1.2"),
        FAILED,
        "old is 1.2",
    ),
    lie(
        "no samples",
        "A7",
        recorded,
        |s| s.forget(|e| matches!(e, Event::Sampled { .. })),
        OPEN,
        "0 samples",
    ),
    lie("no history of pods", "A7", recorded, nobody_watched, OPEN, "no change of a pod"),
    lie(
        "no history of the deployment",
        "A7",
        recorded,
        |s| s.forget(|e| is_change(e, "Deployment")),
        OPEN,
        "no change of the Deployment",
    ),
    lie("history ends early", "A7", recorded, end_early, OPEN, "history ends before pod"),
    lie(
        "watch broke",
        "A7",
        recorded,
        |s| {
            s.insert_after(
                "image-change",
                Event::WatchRestarted { kind: "Pod".into(), reason: "410".into(), since_us: None },
            )
        },
        OPEN,
        "watch of Pod broke off",
    ),
    lie(
        "watch of replica sets broke",
        "A7",
        recorded,
        |s| {
            s.insert_after(
                "image-change",
                Event::WatchRestarted { kind: "ReplicaSet".into(), reason: "410".into(), since_us: None },
            )
        },
        OPEN,
        "the watch of ReplicaSet broke off",
    ),
    lie("probe was blind", "A7", recorded, blind, OPEN, "no sample for"),
];

fn old_image(story: &mut Story, pointer: &str) -> Value {
    story.fact(&facts::PODS_BEFORE_CHANGE)[0].pointer(pointer).unwrap().clone()
}

/// An endpoint that still leads to an old pod.
fn old_endpoint(story: &mut Story) {
    let old = story.fact(&facts::PODS_BEFORE_CHANGE)[0]["metadata"].clone();
    let endpoints = story.fact(&facts::ENDPOINT_SLICES)[0]["endpoints"].as_array_mut().unwrap();
    let mut endpoint = endpoints[0].clone();
    endpoint["targetRef"]["uid"] = old["uid"].clone();
    endpoint["targetRef"]["name"] = old["name"].clone();
    endpoint["conditions"] = json!({"ready": false, "serving": true, "terminating": true});
    endpoints.push(endpoint);
}

fn insert_late(story: &mut Story, detail: &str) {
    story.insert_after("image-changed", sample(Outcome::Acknowledged, detail));
}

fn deployment_says(story: &mut Story, field: &str, number: i64) {
    let mut deployment = story.state_before("image-changed", "Deployment", 0);
    deployment["status"][field] = json!(number);
    story.insert_after("image-change", changed(deployment));
}

/// The old ReplicaSet is scaled to two pods more than it had.
fn surge(story: &mut Story) {
    let mut set = story.state_before("image-change", "ReplicaSet", 0);
    set["spec"]["replicas"] = json!(4);
    story.insert_after("image-change", changed(set));
}

/// Both old pods exist, but one of them is not ready for a moment.
fn pod_unready(story: &mut Story) {
    let pod = story.state_before("image-change", "Pod", 0);
    let mut unready = pod.clone();
    for condition in unready["status"]["conditions"].as_array_mut().unwrap() {
        condition["status"] = json!("False");
    }
    story.insert_after("image-change", changed(pod));
    story.insert_after("image-change", changed(unready));
}

fn another_pod(story: &mut Story, name: &str) {
    let mut pod = story.state_before("image-change", "Pod", 0);
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["uid"] = json!(name);
    story.insert_after("image-change", changed(pod));
}

/// Pods are created and deleted without a record.
fn nobody_watched(story: &mut Story) {
    // Without the pods' endings nothing would explain them.
    story.forget(|e| matches!(e, Event::Sampled { outcome, .. } if *outcome != Outcome::Acknowledged));
    story.forget(|e| is_change(e, "Pod"));
}

/// The watch saw the beginning of the change, and none of the pods after that.
fn end_early(story: &mut Story) {
    // Without the pods' endings nothing would explain them.
    story.forget(|e| matches!(e, Event::Sampled { outcome, .. } if *outcome != Outcome::Acknowledged));
    let (from, to) = (story.mark("image-change"), story.mark("image-settled"));
    let pods: Vec<usize> = (from..to).filter(|&i| is_change(&story.records[i].event, "Pod")).collect();
    for &at in pods[1..].iter().rev() {
        story.records.remove(at);
    }
}

/// A request that is refused this many microseconds after the change was complete.
fn late(story: &mut Story, after: u64) {
    insert_late(story, "200 nginx/1.26.3");
    let at = story.mark("image-changed") + 1;
    for record in &mut story.records[at..] {
        record.mono_us += after;
    }
    story.records[at].event = sample(Outcome::Refused, "curl 7: refused");
}

/// A request that is refused 2.5 s after the change was complete, and what the control probe saw all the time.
fn control(story: &mut Story, outcome: Outcome) {
    late(story, 2_500_000);
    machine::control(story, ("image-change", "image-settled"), outcome);
}

/// The last old pod takes 28 s longer to end, and every second request is refused until then.
fn grace_used_up(story: &mut Story) {
    const LONGER: u64 = 28_000_000;
    let (from, to) = (story.mark("image-change"), story.mark("image-changed"));
    let is_ending = |r: &Record| {
        matches!(&r.event, Event::ObjectChanged { kind, object, .. }
            if kind == "Pod" && !object["metadata"]["deletionTimestamp"].is_null())
    };
    let ending: Vec<usize> = (from..to).filter(|&i| is_ending(&story.records[i])).collect();
    let template = story.records[from].clone();
    let (first, last) = (story.records[ending[0]].mono_us, *ending.last().unwrap());
    let end = story.records[last].mono_us + LONGER;
    for record in &mut story.records[last..] {
        record.mono_us += LONGER;
        record.at += jiff::SignedDuration::from_secs(28);
    }
    for (n, mono_us) in (first + 10_000..end).step_by(250_000).enumerate() {
        let event = match n % 2 {
            0 => sample(Outcome::Acknowledged, "200 nginx/1.26.3"),
            _ => sample(Outcome::Refused, "curl 7: refused"),
        };
        let since = i64::try_from(mono_us - template.mono_us).unwrap();
        let at = template.at + jiff::SignedDuration::from_micros(since);
        story.records.push(Record { event, mono_us, at, ..template.clone() });
    }
    // Judges use only records from before the judgement.
    story.records.sort_by_key(|r| r.mono_us);
}

/// Failed requests at intervals of 0.1 s, just after an old pod began to terminate.
pub(crate) fn beside_an_ending(story: &mut Story, detail: &str, count: u64) {
    let from = story.mark("image-change");
    let ending = story.records[from..].iter().position(
        |r| matches!(&r.event, Event::ObjectChanged { kind, object, .. } if kind == "Pod" && !object["metadata"]["deletionTimestamp"].is_null()),
    );
    let at = from + ending.unwrap() + 1;
    for record in &mut story.records[at..] {
        record.mono_us += count * 100_000;
    }
    for n in 0..count {
        let mut record = story.records[at - 1].clone();
        record.mono_us += n * 100_000;
        record.event = sample(Outcome::Refused, detail);
        story.records.insert(at + usize::try_from(n).unwrap(), record);
    }
}

/// A pause of five seconds in the samples.
fn blind(story: &mut Story) {
    let at = story.mark("image-changed");
    for record in &mut story.records[at..] {
        record.mono_us += 5_000_000;
    }
}

fn is_change(event: &Event, wanted: &str) -> bool {
    matches!(event, Event::ObjectChanged { kind, .. } if kind == wanted)
}

//! Lies about a rollout to an image that cannot be pulled: A11.

use seatrial::event::{Event, Outcome};
use seatrial::judge::Fact;
use seatrial::judge::fact::RawList;
use seatrial::judge::stateless::facts;
use serde_json::{Value, json};

use super::{FAILED, Lie, OPEN, lie};
use crate::story::{Story, changed, recorded, sample};

pub(super) static LIES: &[Lie] = &[
    lie(
        "it ran into its deadline",
        "A11",
        recorded,
        |s| *s.fact(&facts::BAD_IMAGE_WAIT) = json!({"ended": "timeout", "last": "1 of 2"}),
        FAILED,
        "the wait ended by its deadline",
    ),
    lie(
        "the rollout was called complete",
        "A11",
        recorded,
        |s| *s.fact(&facts::BAD_IMAGE_WAIT) = json!({"ended": "met"}),
        FAILED,
        "the wait ended by success",
    ),
    lie(
        "another reason",
        "A11",
        recorded,
        |s| said(s, "ErrImagePull", "CrashLoopBackOff"),
        FAILED,
        "CrashLoopBackOff",
    ),
    lie(
        "another image in the reason",
        "A11",
        recorded,
        |s| said(s, "registry.invalid/seatrial/nginx:none", "nginx:1.9.1"),
        FAILED,
        "reason and image named",
    ),
    lie(
        "the node is not named",
        "A11",
        recorded,
        |s| said(s, "-worker", "-somewhere"),
        FAILED,
        "the wait names the node",
    ),
    lie(
        "the reason after two minutes",
        "A11",
        recorded,
        |s| s.later("bad-image-refused", 120.0),
        FAILED,
        "the refusal took 12",
    ),
    lie(
        "no pod ever waited for the image",
        "A11",
        recorded,
        no_pod_waited,
        OPEN,
        "no pod of registry.invalid/seatrial/nginx:none was seen",
    ),
    lie(
        "the kubelet said nothing",
        "A11",
        recorded,
        |s| s.forget(|e| is_change(e, "Event")),
        OPEN,
        "no Failed event about pod",
    ),
    lie(
        "the kubelet of another node said it",
        "A11",
        recorded,
        |s| event(s, |e| e["source"]["host"] = json!("elsewhere")),
        FAILED,
        "Failed by kubelet on elsewhere",
    ),
    lie(
        "somebody else said it",
        "A11",
        recorded,
        |s| event(s, |e| e["source"]["component"] = json!("scheduler")),
        FAILED,
        "Failed by scheduler",
    ),
    lie(
        "status of an older generation",
        "A11",
        recorded,
        |s| s.fact(&facts::DEPLOYMENT_DURING_BAD_IMAGE)["metadata"]["generation"] = json!(99),
        FAILED,
        "generation 99",
    ),
    lie(
        "one unavailable while the image is missing",
        "A11",
        recorded,
        |s| s.fact(&facts::DEPLOYMENT_DURING_BAD_IMAGE)["status"]["availableReplicas"] = json!(1),
        FAILED,
        "1 of 2 available while",
    ),
    lie(
        "an old pod was replaced meanwhile",
        "A11",
        recorded,
        |s| old(s, &facts::PODS_DURING_BAD_IMAGE)["metadata"]["uid"] = json!("another"),
        FAILED,
        "is gone",
    ),
    lie(
        "an old pod restarted meanwhile",
        "A11",
        recorded,
        |s| {
            old(s, &facts::PODS_DURING_BAD_IMAGE)["status"]["containerStatuses"][0]["restartCount"] = json!(1)
        },
        FAILED,
        "restarts 0 -> 1",
    ),
    lie("a dip in availability for a moment", "A11", recorded, dip, FAILED, "fewest available, by"),
    lie("an old pod not ready for a moment", "A11", recorded, unready, FAILED, "fewest old pods ready, by"),
    lie(
        "a new pod that serves beside the old ones",
        "A11",
        recorded,
        stranger,
        FAILED,
        "pods that became ready beside the old ones: stranger",
    ),
    lie(
        "a request that failed",
        "A11",
        recorded,
        |s| s.insert_after("bad-image", sample(Outcome::Refused, "curl 7: refused")),
        FAILED,
        "1 of ",
    ),
    lie(
        "a request without an answer",
        "A11",
        recorded,
        |s| s.insert_after("bad-image-refused", sample(Outcome::Indeterminate, "curl 28: late")),
        FAILED,
        "curl 28",
    ),
    lie(
        "an answer by another version",
        "A11",
        recorded,
        |s| s.insert_after("bad-image", sample(Outcome::Acknowledged, "200 nginx/1.22.1")),
        FAILED,
        "1 answers by another version",
    ),
    lie(
        "an answer by who knows what",
        "A11",
        recorded,
        |s| s.insert_after("bad-image", sample(Outcome::Acknowledged, "200")),
        FAILED,
        "1 answers by another version",
    ),
    lie(
        "nobody asked",
        "A11",
        recorded,
        |s| s.forget(|e| matches!(e, Event::Sampled { .. })),
        OPEN,
        "0 samples",
    ),
    lie(
        "the probe was blind for a while",
        "A11",
        recorded,
        |s| s.later("bad-image-rollback", 9.0),
        OPEN,
        "no sample for 9",
    ),
    lie(
        "a watch that loses events (410)",
        "A11",
        recorded,
        |s| {
            s.insert_after(
                "bad-image",
                Event::WatchRestarted { kind: "Pod".into(), reason: "410 Gone".into(), since_us: None },
            )
        },
        OPEN,
        "the watch of Pod broke off",
    ),
    lie("nobody watched the pods", "A11", recorded, |s| s.forget(|e| is_change(e, "Pod")), OPEN, "no pod of"),
    lie(
        "nobody watched the Deployment",
        "A11",
        recorded,
        |s| s.forget(|e| is_change(e, "Deployment")),
        OPEN,
        "no change of the Deployment",
    ),
    lie(
        "another template after rolling back",
        "A11",
        recorded,
        |s| {
            s.fact(&facts::DEPLOYMENT_ROLLED_BACK)["spec"]["template"]["spec"]["containers"][0]["image"] =
                json!("nginx:1.9.1")
        },
        FAILED,
        "the template of before is back: false",
    ),
    lie(
        "the Deployment was made anew",
        "A11",
        recorded,
        |s| s.fact(&facts::DEPLOYMENT_ROLLED_BACK)["metadata"]["uid"] = json!("another"),
        FAILED,
        "the template of before is back: false",
    ),
    lie(
        "the revision stays",
        "A11",
        recorded,
        |s| {
            s.fact(&facts::DEPLOYMENT_ROLLED_BACK)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] =
                json!("3")
        },
        FAILED,
        "revision 2 -> 3 -> 3",
    ),
    lie(
        "the bad template was no revision",
        "A11",
        recorded,
        |s| {
            s.fact(&facts::DEPLOYMENT_DURING_BAD_IMAGE)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] =
                json!("2")
        },
        FAILED,
        "revision 2 -> 2 -> 4",
    ),
    lie(
        "the history of revisions is lost",
        "A11",
        recorded,
        |s| set(s, true)["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] = json!("1"),
        FAILED,
        "before that 1",
    ),
    lie(
        "the ReplicaSet of before is gone",
        "A11",
        recorded,
        |s| set(s, true)["metadata"]["labels"]["pod-template-hash"] = json!("bbbbbbbbbb"),
        FAILED,
        "the ReplicaSet of before is there: false",
    ),
    lie(
        "a pod of the bad template is left",
        "A11",
        recorded,
        |s| set(s, false)["status"]["replicas"] = json!(1),
        FAILED,
        "1 pods of other templates are left",
    ),
    lie(
        "the bad ReplicaSet is still asked for a pod",
        "A11",
        recorded,
        |s| set(s, false)["spec"]["replicas"] = json!(1),
        FAILED,
        "1 pods of other templates are left",
    ),
    lie(
        "an old pod was replaced by rolling back",
        "A11",
        recorded,
        |s| old(s, &facts::PODS_ROLLED_BACK)["metadata"]["uid"] = json!("another"),
        FAILED,
        "is gone",
    ),
    lie(
        "one of two after rolling back",
        "A11",
        recorded,
        |s| drop(s.fact(&facts::PODS_ROLLED_BACK).as_array_mut().unwrap().pop()),
        FAILED,
        "1 pods, 1 of them",
    ),
    lie(
        "Progressing speaks of the bad ReplicaSet",
        "A11",
        recorded,
        |s| super::stateless::progress(s, &facts::DEPLOYMENT_ROLLED_BACK),
        FAILED,
        "Progressing speaks of",
    ),
    lie(
        "the pods ran another image before",
        "A11",
        recorded,
        |s| old(s, &facts::PODS_BEFORE_BAD_IMAGE)["spec"]["containers"][0]["image"] = json!("nginx:1.7.9"),
        FAILED,
        "2 pods of seatrial.local/nginx:1.26 before",
    ),
];

fn said(story: &mut Story, what: &str, instead: &str) {
    let why = &mut story.fact(&facts::BAD_IMAGE_WAIT)["why"];
    *why = json!(why.as_str().unwrap().replace(what, instead));
}

fn is_change(event: &Event, wanted: &str) -> bool {
    matches!(event, Event::ObjectChanged { kind, .. } if kind == wanted)
}

/// No pod reports that it waits for its image.
fn no_pod_waited(story: &mut Story) {
    for record in &mut story.records {
        if let Event::ObjectChanged { kind, object, .. } = &mut record.event
            && kind == "Pod"
            && object.pointer("/status/containerStatuses/0/state/waiting").is_some()
        {
            object["status"]["containerStatuses"][0]["state"] =
                json!({"waiting": {"reason": "ContainerCreating"}});
        }
    }
}

/// Changes every Failed event about the bad pod.
fn event(story: &mut Story, bend: impl Fn(&mut Value)) {
    for record in &mut story.records {
        if let Event::ObjectChanged { kind, object, .. } = &mut record.event
            && kind == "Event"
        {
            object["reportingComponent"] = Value::Null;
            object["reportingInstance"] = Value::Null;
            bend(object);
        }
    }
}

/// A pod of a ReplicaSet that existed before the change.
fn old<'s>(story: &'s mut Story, list: &Fact<RawList>) -> &'s mut Value {
    let uid = story.fact(&facts::PODS_BEFORE_BAD_IMAGE)[0]["metadata"]["uid"].clone();
    let pods = story.fact(list).as_array_mut().unwrap();
    pods.iter_mut().find(|p| p["metadata"]["uid"] == uid).unwrap()
}

/// The ReplicaSet of the old pods, or of the bad image.
fn set(story: &mut Story, of_old: bool) -> &mut Value {
    let hash =
        story.fact(&facts::PODS_BEFORE_BAD_IMAGE)[0]["metadata"]["labels"]["pod-template-hash"].clone();
    let bad = story.fact(&facts::BAD_IMAGES)["bad"].clone();
    let sets = story.fact(&facts::REPLICA_SETS_ROLLED_BACK).as_array_mut().unwrap();
    let fits = |s: &&mut Value| match of_old {
        true => s["metadata"]["labels"]["pod-template-hash"] == hash,
        false => s["spec"]["template"]["spec"]["containers"][0]["image"] == bad,
    };
    sets.iter_mut().find(fits).unwrap()
}

fn dip(story: &mut Story) {
    let mut deployment = story.state_before("bad-image-rollback", "Deployment", 0);
    deployment["status"]["availableReplicas"] = json!(1);
    story.insert_after("bad-image", changed(deployment));
}

fn unready(story: &mut Story) {
    let uid = story.fact(&facts::PODS_BEFORE_BAD_IMAGE)[0]["metadata"]["uid"].clone();
    let pod = story.last_state(uid.as_str().unwrap(), "bad-image");
    let mut unready = pod.clone();
    for condition in unready["status"]["conditions"].as_array_mut().unwrap() {
        condition["status"] = json!("False");
    }
    story.insert_after("bad-image", changed(pod));
    story.insert_after("bad-image", changed(unready));
}

fn stranger(story: &mut Story) {
    let uid = story.fact(&facts::PODS_BEFORE_BAD_IMAGE)[0]["metadata"]["uid"].clone();
    let mut pod = story.last_state(uid.as_str().unwrap(), "bad-image");
    pod["metadata"]["name"] = json!("stranger");
    pod["metadata"]["uid"] = json!("stranger");
    story.insert_after("bad-image", changed(pod));
}

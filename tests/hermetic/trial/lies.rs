//! Falsehoods in a made-up trial, each with its verdict and the evidence that reveals it.

use rstest::rstest;
use seatrial::event::{Change, Event, FileEntry, Outcome, Record};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::trial::{CLAIMS, facts};
use seatrial::judge::{self, Evidence};
use serde_json::{Value, json};

use super::story::{PROBE, judged, object as state_of, pod, told};
use crate::passing_histories::undecided_without_a_fact;
use crate::story::{Story, changed, observed};

/// The rollout of `web` brings an image, which these of its pods run.
fn with_image(story: &mut Story, running: &[&str]) {
    story.each(|event| {
        let Event::Observed { what, value, .. } = event else { return };
        if what == facts::ROLLOUTS.name() && value["workload"]["name"] == "web" {
            value["images"] = json!({"c": "shop:next"});
        }
    });
    for uid in running {
        object(story, ("", ""), uid, |pod| pod["spec"]["containers"][0]["image"] = json!("shop:next"));
    }
}

/// No step rolls `set` out.
fn unnamed(story: &mut Story) {
    story.forget(|event| match event {
        Event::Observed { what, value, .. } => {
            what == facts::ROLLOUTS.name() && value["workload"]["name"] == "set"
        }
        Event::Marked { mark } => mark.ends_with(" StatefulSet/set") && mark.starts_with("roll"),
        _ => false,
    });
}

/// Forgets what was recorded of the rollouts: of that of `web`, or of all.
fn rollouts_unrecorded(story: &mut Story, all: bool) {
    story.forget(|event| match event {
        Event::Observed { what, value, .. } => {
            what == facts::ROLLOUTS.name() && (all || value["workload"]["name"] == "web")
        }
        _ => false,
    });
}

/// The trial expects this in place of a default.
pub fn expects(story: &mut Story, rule: Value) {
    story.fact(&facts::EXPECTED)["rules"] = json!([rule]);
}

pub fn volume(is: &str) -> Value {
    json!({"rule": "data", "claim": "data", "volume": "pv", "is": is})
}

/// The workload is so in a claim, for a reason unless that is empty.
pub fn meanwhile((claim, kind, name): (&str, &str, &str), is: &str, because: &str) -> Value {
    let workload = json!({"kind": kind, "name": name});
    let mut rule = json!({"rule": "workload", "claim": claim, "workload": workload, "is": is});
    if !because.is_empty() {
        rule["because"] = json!(because);
    }
    rule
}

/// The replacement of `db` waits for a place during the drain of its node.
fn no_place_in_the_drain(story: &mut Story) {
    let mut waiting = pod("db-2-y", ("db", "ReplicaSet", "db-2"), "u-db-2-y", "w1");
    super::story::is(&mut waiting, "pending");
    story.insert_after("drain w1", deleted(waiting.clone()));
    story.insert_after("drain w1", changed(waiting));
    let mut going = pod("db-2-b", ("db", "ReplicaSet", "db-2"), "u-db-2-b", "w1");
    super::story::is(&mut going, "ending");
    story.insert_after("drain w1", changed(going));
}

/// The waiting replacement of `db` asks for a label that every node has.
fn on_linux(story: &mut Story) {
    unpinned(story);
    let label = json!({"kubernetes.io/os": "linux"});
    story.each(|event| {
        let Event::ObjectChanged { kind, object, .. } = event else { return };
        match kind.as_str() {
            "Node" => object["metadata"]["labels"]["kubernetes.io/os"] = json!("linux"),
            "Pod" if object["metadata"]["labels"]["app"] == "db" => {
                object["spec"]["nodeSelector"] = label.clone()
            }
            _ => {}
        }
    });
}

/// The node `w1` and the pods of `db` have a label that no other node has.
fn on_a_labelled_node(story: &mut Story) {
    unpinned(story);
    story.each(|event| {
        let Event::ObjectChanged { kind, name, object, .. } = event else { return };
        match kind.as_str() {
            "Node" if name == "w1" => object["metadata"]["labels"]["tier"] = json!("data"),
            "Pod" if object["metadata"]["labels"]["app"] == "db" => {
                object["spec"]["nodeSelector"] = json!({"tier": "data"})
            }
            _ => {}
        }
    });
}

/// The label is also on a second node, which has a taint or not.
fn on_two_labelled_nodes(story: &mut Story, taints: Value) {
    on_a_labelled_node(story);
    story.each(|event| {
        let Event::ObjectChanged { kind, name, object, .. } = event else { return };
        if kind == "Node" && name == "w2" {
            object["metadata"]["labels"]["tier"] = json!("data");
            object["spec"]["taints"] = taints.clone();
        }
    });
}

/// Changes every state of the object from one mark to another; an empty mark is the beginning or the end.
pub fn object(story: &mut Story, (from, to): (&str, &str), wanted: &str, mut how: impl FnMut(&mut Value)) {
    let (from, to) = range(story, from, to);
    for record in &mut story.records[from..to] {
        if let Event::ObjectChanged { uid, object, .. } = &mut record.event
            && uid == wanted
        {
            how(object);
        }
    }
}

pub fn range(story: &Story, from: &str, to: &str) -> (usize, usize) {
    let at = |mark: &str, none: usize| if mark.is_empty() { none } else { story.mark(mark) };
    (at(from, 0), at(to, story.records.len()))
}

/// Lets requests fail between two marks, selected by number.
pub fn fail(story: &mut Story, (from, to): (&str, &str), fails: impl Fn(usize) -> bool) {
    let (from, to) = range(story, from, to);
    let mut number = 0;
    for record in &mut story.records[from..to] {
        if let Event::Sampled { probe, outcome, detail, .. } = &mut record.event
            && probe == PROBE
        {
            if fails(number) {
                (*outcome, *detail) =
                    (Outcome::Indeterminate, "curl 28: Connection timed out after 1001 milliseconds".into());
            } else {
                (*outcome, *detail) = (Outcome::Acknowledged, "200".into());
            }
            number += 1;
        }
    }
}

pub fn settled(story: &mut Story, step: &str, name: &str, field: &str, to: Value) {
    story.each(|event| {
        let Event::Observed { what, value, .. } = event else { return };
        if what == facts::SETTLED.name() && value["step"] == *step && value["workload"]["name"] == *name {
            value[field] = to.clone();
        }
    });
}

/// Removes the changes of objects with these UIDs from a mark on.
fn forget(story: &mut Story, mark: &str, uids: &[&str]) {
    let mut at = 0;
    let from = story.mark(mark);
    story.records.retain(|record| {
        at += 1;
        !(at > from
            && matches!(&record.event, Event::ObjectChanged { uid, .. } if uids.contains(&uid.as_str())))
    });
}

/// The files of a listing of a path on a node.
pub fn files<'s>(story: &'s mut Story, wanted: &str, on: &str, at: &str) -> &'s mut Vec<FileEntry> {
    let found = story.records.iter_mut().find_map(|record| match &mut record.event {
        Event::FilesListed { listing, node, path, entries, .. }
            if listing == wanted && node == on && path == at =>
        {
            Some(entries)
        }
        _ => None,
    });
    found.expect("it is listed")
}

pub fn unready(pod: &mut Value) {
    pod["status"]["conditions"][0]["status"] = json!("False");
}

/// The volume of `db` can be used on any node.
fn unpinned(story: &mut Story) {
    object(story, ("", ""), "u-pv", |pv| drop(pv["spec"].as_object_mut().unwrap().remove("nodeAffinity")));
}

/// The replacement of `db` runs on another node.
pub fn elsewhere(story: &mut Story) {
    unpinned(story);
    let db = pod("db-2-b", ("db", "ReplicaSet", "db-2"), "u-db-2-b", "w2");
    object(story, ("node-loss", "node-lost"), "u-db-2-b", |pod| *pod = db.clone());
}

/// A second pod of the name `set-0`.
fn twin(story: &mut Story, mark: &str) {
    let twin = pod("set-0", ("set", "StatefulSet", "set"), "u-twin", "w3");
    story.insert_after(mark, changed(twin));
}

pub fn starve(story: &mut Story, from: &str, to: &str) {
    let (from, to) = range(story, from, to);
    for record in &mut story.records[from..to] {
        if let Event::Sampled { probe, outcome, .. } = &mut record.event
            && probe == "control"
        {
            *outcome = Outcome::Indeterminate;
        }
    }
}

/// Sets the user's limits for every probe: the longest outage in seconds, and the share of failed requests.
pub fn budget(story: &mut Story, longest: f64, failed: f64) {
    story.each(|event| {
        let Event::Observed { what, value, .. } = event else { return };
        if what == facts::EXPECTED.name() {
            value["budgets"] = json!({"*": {"longest": longest, "failed": failed}});
        }
    });
}

/// Changes a field of the command's record.
fn command(story: &mut Story, field: &str, to: Value) {
    story.each(|event| {
        let Event::Observed { what, value, .. } = event else { return };
        if what == facts::COMMANDS.name() {
            value[field] = to.clone();
        }
    });
}

/// Adds a custom resource whose wait ended with an error, or without.
fn custom(story: &mut Story, error: Value) {
    let gadget = json!({"kind": "Gadget", "namespace": "shop", "name": "first"});
    let settled = json!({"step": "ready", "workload": gadget, "took": 1.0, "budget": 60.0, "error": error});
    for event in [observed(&facts::SETTLED, settled), observed(&facts::CUSTOM_RESOURCES, [gadget])] {
        let at = story.mark("ready");
        let record = Record { event, ..story.records[at - 1].clone() };
        story.records.insert(at, record);
    }
}

/// The probe asks from a worker.
fn on_worker(story: &mut Story, node: &str) {
    let probe = &mut story.fact(&facts::PROBES)[0];
    (probe["on_worker"], probe["node"]) = (json!(true), json!(node));
}

/// Keeps only one request between two marks.
fn thin(story: &mut Story, (from, to): (&str, &str)) {
    let (from, to) = range(story, from, to);
    let is_one = |record: &Record| matches!(&record.event, Event::Sampled { probe, .. } if probe == PROBE);
    let mut at = 0;
    let mut kept = false;
    story.records.retain(|record| {
        at += 1;
        let is_out = (from..to).contains(&(at - 1)) && is_one(record) && kept;
        kept |= (from..to).contains(&(at - 1)) && is_one(record);
        !is_out
    });
}

/// An operator created a Deployment with zero replicas.
fn idle(story: &mut Story) {
    let mut set = state_of("ReplicaSet", "idle-1", 1, (0, 0));
    set["metadata"]["ownerReferences"] =
        json!([{"kind": "Deployment", "name": "idle", "uid": "u-idle", "controller": true}]);
    for value in [set, state_of("Deployment", "idle", 1, (0, 0))] {
        story.insert_after("ready", changed(value));
    }
    let idle = json!({"kind": "Deployment", "namespace": "shop", "name": "idle", "made_by": "an operator"});
    story.fact(&facts::WORKLOADS).as_array_mut().unwrap().push(idle);
}

/// An operator created a workload.
fn made(story: &mut Story, name: &str) {
    story.each(|event| {
        let Event::Observed { what, value, .. } = event else { return };
        if what == facts::WORKLOADS.name() {
            let all = value.as_array_mut().unwrap().iter_mut();
            all.filter(|w| w["name"] == *name).for_each(|w| w["made_by"] = json!("Gadget first"));
        }
    });
}

const WEB: (&str, &str) = ("rollout Deployment/web", "rolled-out Deployment/web");
const AGENT: (&str, &str) = ("rollout DaemonSet/agent", "rolled-out DaemonSet/agent");
const LOSS: (&str, &str) = ("node-loss", "node-lost");
const EMPTY: &str = "Deployment db came up on w2 with an EMPTY /srv/db: its volume pv is a hostPath without node affinity; \
                     3 files stayed on w1";

#[rstest]
#[case::ready_error("ready", |s: &mut Story| settled(s, "ready", "web", "error", json!("web-1 cannot pull")), Failed, "Deployment web: web-1 cannot pull")]
#[case::ready_late("ready", |s: &mut Story| settled(s, "ready", "db", "budget", json!(0.5)), Failed, "Deployment db was complete after 1.0 s of 0 s")]
#[case::ready_late_and_starved("ready", |s: &mut Story| { settled(s, "ready", "db", "budget", json!(0.5)); starve(s, "", "ready"); }, Inconclusive, "the machine starved meanwhile")]
#[case::ready_status("ready", |s: &mut Story| object(s, ("", "rollout Deployment/web"), "u-web", |o| o["status"]["availableReplicas"] = json!(2)), Failed, "Deployment web by its status: generation 1 of 1 observed, updatedReplicas 3 of 3, availableReplicas 2 of 3")]
#[case::ready_generation("ready", |s: &mut Story| object(s, ("", "rollout StatefulSet/set"), "u-set", |o| o["status"]["observedGeneration"] = json!(0)), Failed, "StatefulSet set by its status: generation 0 of 1")]
#[case::ready_pods("ready", |s: &mut Story| object(s, ("", "rollout Deployment/web"), "u-web-1-c", unready), Failed, "Deployment web has 2 ready pods of 3")]
#[case::ready_job("ready", |s: &mut Story| object(s, ("", "clean"), "u-once", |o| o["status"]["conditions"][0]["status"] = json!("False")), Failed, "Job once has condition Complete: false")]
#[case::ready_pod("ready", |s: &mut Story| object(s, ("", ""), "u-tool", unready), Failed, "Pod tool is ready: false")]
#[case::not_replaced("rollout", |s: &mut Story| forget(s, WEB.0, &["u-web-1-c"]), Failed, "Deployment web: pods that were not replaced: web-1-c")]
#[case::same_set("rollout", |s: &mut Story| object(s, (WEB.0, WEB.1), "u-web-2-a", |o| o["metadata"]["labels"]["pod-template-hash"] = json!("web-1")), Failed, "Deployment web: 1 of 1 ReplicaSets have pods before and after")]
#[case::other_name("rollout", |s: &mut Story| object(s, ("", ""), "u-set-0b", |o| o["metadata"]["name"] = json!("set-9")), Failed, "StatefulSet set: pods set-0, set-1 before, set-1, set-9 after")]
#[case::dip_of_the_status("rollout", |s: &mut Story| object(s, (WEB.0, WEB.1), "u-web", |o| o["status"]["availableReplicas"] = json!(1)), Failed, "Deployment web: fewest available by its status: 1, at least 2 allowed")]
#[case::dip_of_the_pods("rollout", |s: &mut Story| ["u-web-2-a", "u-web-2-b"].iter().for_each(|pod| object(s, (WEB.0, WEB.1), pod, unready)), Failed, "Deployment web: fewest available by its pods: 1, at least 2 allowed")]
#[case::dip_of_a_set("rollout", |s: &mut Story| object(s, ("rollout StatefulSet/set", "rolled-out StatefulSet/set"), "u-set", |o| o["status"]["readyReplicas"] = json!(0)), Failed, "StatefulSet set: fewest available by its status: 0, at least 1 allowed")]
#[case::all_down("rollout", |s: &mut Story| object(s, (AGENT.0, AGENT.1), "u-agent", |o| o["status"]["numberAvailable"] = json!(0)), Failed, "DaemonSet agent: fewest available by its status: 0, at least 1 allowed")]
#[case::refused("rollout", |s: &mut Story| fail(s, AGENT, |n| n == 3), Failed, "Service shop: 1 of ")]
#[case::refused_and_starved("rollout", |s: &mut Story| { fail(s, AGENT, |n| n == 3); starve(s, AGENT.0, AGENT.1); }, Inconclusive, "requests failed, and the machine starved")]
#[case::met_an_end("rollout", |s: &mut Story| fail(s, WEB, |n| n == 5), Passed, "requests failed and met a pod that was ending")]
#[case::no_pod("rollout", |s: &mut Story| { fail(s, AGENT, |n| n == 3); ["u-web-2-a", "u-web-2-b", "u-web-2-c"].iter().for_each(|pod| s.insert_after(AGENT.0, unready_web(pod))); }, Passed, "requests failed and came while no pod of it was ready")]
#[case::unwatched("rollout", |s: &mut Story| s.forget(|e| matches!(e, Event::Sampled { probe, .. } if probe == PROBE)), Inconclusive, "Service shop: fewer than 3 requests")]
#[case::unsteady("rollout", |s: &mut Story| { fail(s, AGENT, |n| n == 3); s.fact(&facts::PROBES)[0]["steady"] = json!(false); }, Passed, "")]
#[case::pod_is_still_there("pod-loss", |s: &mut Story| forget(s, "pod-loss Deployment/web", &["u-web-2-a"]), Failed, "Deployment web: the deleted pod web-2-a is still there: true")]
#[case::pod_not_replaced("pod-loss", |s: &mut Story| forget(s, "pod-loss Deployment/web", &["u-web-2-d"]), Failed, "Deployment web: no pod replaces web-2-a")]
#[case::other_claims("pod-loss", |s: &mut Story| object(s, ("", ""), "u-set-0c", |o| o["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "other"}}])), Failed, "StatefulSet set: set-0 has the same claims: false")]
#[case::name_lost("pod-loss", |s: &mut Story| object(s, ("", ""), "u-set-0c", |o| o["metadata"]["name"] = json!("set-7")), Failed, "StatefulSet set: a new pod set-0 took the name: false")]
#[case::other_node("pod-loss", |s: &mut Story| object(s, ("", ""), "u-agent-1c", |o| o["spec"]["nodeName"] = json!("w3")), Failed, "DaemonSet agent: a new pod runs on w1: false")]
#[case::half_failed("node-loss", |s: &mut Story| fail(s, LOSS, |n| n < 200 && n % 2 == 0), Failed, "Service shop: 45 % of 221 requests failed for 49.8 s (1 of 3 endpoints lost), none after that")]
#[case::half_failed_by_affinity("node-loss", |s: &mut Story| { fail(s, LOSS, |n| n < 200 && n % 2 == 0); object(s, ("", ""), "u-shop", |o| o["spec"]["sessionAffinity"] = json!("ClientIP")); }, Inconclusive, "sessionAffinity")]
#[case::failed_after_detection("node-loss", |s: &mut Story| fail(s, LOSS, |n| n == 230), Failed, "Service shop: 1 of ")]
#[case::silent("node-loss", |s: &mut Story| { let (from, to) = range(s, LOSS.0, LOSS.1); let mut at = 0; s.records.retain(|r| { at += 1; !(at > from + 100 && at < (from + 160).min(to) && matches!(&r.event, Event::Sampled { probe, .. } if probe == PROBE)) }); }, Inconclusive, "Service shop: no request for ")]
#[case::not_moved("node-loss", |s: &mut Story| forget(s, "node-loss", &["u-web-2-e"]), Failed, "Deployment web: 2 of 3 pods ready on other nodes after 61 s: no replacement exists")]
#[case::moved_late("node-loss", |s: &mut Story| settled(s, "node-loss", "web", "budget", json!(30.0)), Failed, "Deployment web: as many pods as declared were ready on other nodes after 60.0 s of 30 s")]
#[case::crashing("node-loss", |s: &mut Story| object(s, ("node-loss", ""), "u-web-2-e", |o| { unready(o); o["status"]["containerStatuses"] = json!([{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]); }), Failed, "web-2-e waits (CrashLoopBackOff)")]
#[case::not_placed("node-loss", |s: &mut Story| unpinned(s), Failed, "Deployment db: 0 of 1 pods ready on other nodes after 61 s: db-2-b is not scheduled (Unschedulable: 0/4 nodes")]
#[case::pinned_by_its_volume("node-loss", |_: &mut Story| {}, Passed, "Deployment db: db-2-b waits for w1 by design, its volume pv is on w1 only")]
#[case::pinned_by_selector("node-loss", |s: &mut Story| { unpinned(s); object(s, ("", ""), "u-db-2-b", |o| o["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": "w1"})); }, Passed, "its nodeSelector names w1")]
#[case::two_nodes("node-loss", |s: &mut Story| object(s, ("", ""), "u-pv", |o| o["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] = json!(["w1", "w2"])), Failed, "db-2-b is not scheduled")]
#[case::volume_unseen("node-loss", |s: &mut Story| s.forget(|e| matches!(e, Event::ObjectChanged { uid, .. } if uid == "u-pv")), Inconclusive, "volume pv of claim data was not recorded")]
#[case::twins("node-loss", |s: &mut Story| twin(s, "node-loss"), Failed, "StatefulSet set: names with two living pods at a time between `node-loss` and `node-lost`: set-0")]
#[case::bare_pod("node-loss", |s: &mut Story| object(s, ("", ""), "u-tool", |o| o["spec"]["nodeName"] = json!("w1")), Failed, "Pod tool was on w1: nothing replaces a bare pod")]
#[case::never_down("node-loss", |s: &mut Story| s.each(|e| if let Event::FaultInjected { proof, .. } = e { *proof = json!({"power": "running"}) }), Inconclusive, "nothing proves that w1 was down")]
#[case::no_fault("node-loss", |s: &mut Story| s.forget(|e| matches!(e, Event::FaultInjected { .. })), Inconclusive, "no fault on w1 was proved")]
#[case::empty("data", elsewhere, Failed, EMPTY)]
#[case::shared("data", |s: &mut Story| { elsewhere(s); let all = files(s, "before-loss", "w1", "/srv/db").clone(); *files(s, "before-loss", "w2", "/srv/db") = all; }, Passed, "Deployment db: /srv/db follows its pod to w2")]
#[case::other_sums("data", |s: &mut Story| { elsewhere(s); let mut all = files(s, "before-loss", "w1", "/srv/db").clone(); all[1].sha256 = Some("x".into()); *files(s, "before-loss", "w2", "/srv/db") = all; }, Inconclusive, "had some of the files before")]
#[case::vanished("data", |s: &mut Story| { elsewhere(s); files(s, "during-loss", "w1", "/srv/db").clear(); }, Failed, "Deployment db: files vanished from /srv/db on w1: base/, base/1, base/2 and VERSION")]
#[case::nothing_there("data", |s: &mut Story| files(s, "before-loss", "w1", "/srv/db").clear(), Inconclusive, "Deployment db: /srv/db on w1 was empty from the start, so nothing is shown")]
#[case::not_listed("data", |s: &mut Story| s.forget(|e| matches!(e, Event::FilesListed { .. })), Inconclusive, "/srv/db was not listed on w1 (`before-loss`)")]
#[case::not_listed_there("data", |s: &mut Story| { elsewhere(s); s.forget(|e| matches!(e, Event::FilesListed { node, .. } if node == "w2")); }, Inconclusive, "/srv/db was not listed on w2")]
#[case::waits("data", |_: &mut Story| {}, Passed, "Deployment db: /srv/db waits for its node w1, with 3 files")]
#[case::files_gone("return", |s: &mut Story| files(s, "after-return", "w1", "/srv/db").clear(), Failed, "Deployment db: /srv/db on w1 lost files: base")]
#[case::twins_again("return", |s: &mut Story| twin(s, "return"), Failed, "between `return` and `returned`: set-0")]
#[case::still_ending("return", |s: &mut Story| forget(s, "return", &["u-web-2-d"]), Failed, "Deployment web: pods still terminating with the node back: web-2-d")]
#[case::not_back("return", |s: &mut Story| object(s, ("return", "returned"), "u-agent", |o| o["status"]["numberReady"] = json!(1)), Failed, "DaemonSet agent by its status")]
#[case::pod_gone("return", |s: &mut Story| { let tool = pod("tool", ("tool", "", ""), "u-tool", "w2"); s.insert_after("return", deleted(tool)); }, Failed, "Pod tool is gone: nothing replaces a bare pod")]
#[case::drain_error("drain", |s: &mut Story| s.fact(&facts::DRAINS)["error"] = json!("web-2-c cannot be evicted: 429"), Failed, "the drain of w3 did not end: web-2-c cannot be evicted: 429")]
#[case::drain_late("drain", |s: &mut Story| s.fact(&facts::DRAINS)["budget"] = json!(0.5), Failed, "the drain of w3 took 1.0 s of 0 s")]
#[case::drain_incomplete("drain", |s: &mut Story| settled(s, "drain", "db", "error", json!("0 of 1")), Failed, "Deployment db: 0 of 1")]
#[case::left("clean", |s: &mut Story| *s.fact(&facts::LEFT) = json!(["PersistentVolumeClaim shop data"]), Failed, "left: PersistentVolumeClaim shop data")]
#[case::within_budget("rollout", |s: &mut Story| { budget(s, 60.0, 0.5); fail(s, AGENT, |n| n == 3); }, Passed, "Service shop: 1 of ")]
#[case::over_the_share("rollout", |s: &mut Story| { budget(s, 60.0, 0.01); fail(s, AGENT, |n| n == 3); }, Failed, "of 1.00 %, the first: curl 28")]
#[case::over_the_longest("rollout", |s: &mut Story| { budget(s, 0.1, 1.0); fail(s, AGENT, |n| n == 3); }, Failed, "s of 0.1 s")]
#[case::an_explained_failure_counts_in_a_budget("rollout", |s: &mut Story| { budget(s, 60.0, 0.0); fail(s, WEB, |n| n == 5); }, Failed, "of 0.00 %")]
#[case::over_the_share_and_starved("rollout", |s: &mut Story| { budget(s, 60.0, 0.01); fail(s, AGENT, |n| n == 3); starve(s, AGENT.0, AGENT.1); }, Inconclusive, "the machine starved")]
#[case::a_budget_without_a_probe("rollout", |s: &mut Story| s.fact(&facts::EXPECTED)["budgets"] = json!({"front": {"longest": 2.0}}), Inconclusive, "the budget of front: no probe has that name")]
#[case::from_a_worker("rollout", |s: &mut Story| { on_worker(s, "w9"); fail(s, AGENT, |n| n == 3); }, Failed, "Service shop from w9: 1 of ")]
#[case::few_from_a_worker("rollout", |s: &mut Story| { on_worker(s, "w9"); thin(s, AGENT); }, Passed, "")]
#[case::few_in_a_short_time("rollout", |s: &mut Story| thin(s, AGENT), Passed, "Service shop: 0 of 2 requests failed")]
#[case::local_pod_away("rollout", |s: &mut Story| { on_worker(s, "w9"); object(s, ("", ""), "u-shop", |o| o["spec"]["internalTrafficPolicy"] = json!("Local")); fail(s, AGENT, |n| n == 3); }, Passed, "no pod of it was ready")]
#[case::from_the_lost_worker("node-loss", |s: &mut Story| { on_worker(s, "w1"); fail(s, LOSS, |_| true); }, Inconclusive, "Service shop: only w1 asked, which the fault hit")]
#[case::made_without_pods("pod-loss", idle, Passed, "Deployment idle wants no pod")]
#[case::command_unrecorded("run", |s: &mut Story| s.insert_after("command 1", Event::Marked { mark: "command 2".into() }), Inconclusive, "2 commands began, and 1 ends were recorded")]
#[case::command_failed("run", |s: &mut Story| command(s, "code", json!(3)), Failed, "`./smoke.sh` ended with 3: all is well")]
#[case::command_late("run", |s: &mut Story| command(s, "budget", json!(0.5)), Failed, "ended with 0 after 1.0 s of 0 s")]
#[case::command_killed("run", |s: &mut Story| command(s, "code", Value::Null), Failed, "did not end by itself")]
#[case::command_killed_and_starved("run", |s: &mut Story| { command(s, "code", Value::Null); starve(s, "drained w3", "clean"); }, Inconclusive, "the machine starved")]
#[case::custom_not_ready("ready", |s: &mut Story| custom(s, json!("Ready=False: NoQuorum")), Failed, "Gadget first: Ready=False: NoQuorum")]
#[case::custom_ready("ready", |s: &mut Story| custom(s, Value::Null), Passed, "Gadget first was complete")]
#[case::made_by_an_operator("rollout", |s: &mut Story| { made(s, "web"); forget(s, WEB.0, &["u-web-1-c"]); }, Passed, "Deployment web is not rolled out: Gadget first owns its template")]
#[case::image_everywhere("rollout", |s: &mut Story| with_image(s, &["u-web-2-a", "u-web-2-b", "u-web-2-c"]), Passed, "pods whose container c does not run shop:next: none")]
#[case::image_not_everywhere("rollout", |s: &mut Story| with_image(s, &["u-web-2-a", "u-web-2-b"]), Failed, "Deployment web: pods whose container c does not run shop:next: web-2-c")]
#[case::no_step_names_it("rollout", unnamed, Passed, "StatefulSet set is not rolled out: no step names it")]
#[case::rollout_unrecorded("rollout", |s: &mut Story| rollouts_unrecorded(s, false), Inconclusive, "4 rollouts began, and `trial_rollouts` has 3")]
#[case::rollouts_of_an_older_version("rollout", |s: &mut Story| { rollouts_unrecorded(s, true); s.fact(&facts::EXPECTED)["faults"] = Value::Null; }, Passed, "")]
#[case::rollouts_unrecorded_all("rollout", |s: &mut Story| rollouts_unrecorded(s, true), Inconclusive, "4 rollouts began, and `trial_rollouts` has 0")]
#[case::data_waits_as_expected("data", |s: &mut Story| expects(s, volume("waits")), Passed, "waits for its node w1, with 3 files; expected: waits")]
#[case::data_waits_unexpectedly("data", |s: &mut Story| expects(s, volume("follows")), Failed, "that is `waits`, expected: follows")]
#[case::data_left_behind_as_expected("data", |s: &mut Story| { elsewhere(s); expects(s, volume("left-behind")); }, Passed, "3 files stayed on w1; expected: left-behind")]
#[case::data_left_behind_of_a_claim("data", |s: &mut Story| { elsewhere(s); let mut rule = volume("left-behind"); rule["volume"] = json!("data"); expects(s, rule); }, Failed, "volume data of set-0 is an emptyDir: lost with its pod; that is `lost`, expected: left-behind")]
#[case::data_follows_unexpectedly("data", |s: &mut Story| { elsewhere(s); expects(s, volume("waits")); let all = files(s, "before-loss", "w1", "/srv/db").clone(); *files(s, "before-loss", "w2", "/srv/db") = all; }, Failed, "that is `follows`, expected: waits")]
#[case::data_vanished_as_expected("data", |s: &mut Story| { elsewhere(s); expects(s, volume("lost")); files(s, "during-loss", "w1", "/srv/db").clear(); }, Passed, "expected: lost")]
#[case::data_of_no_volume("data", |s: &mut Story| { let mut rule = volume("waits"); rule["volume"] = json!("other"); expects(s, rule); }, Inconclusive, "volume other is expected to be `waits`, and no pod on w1 had it")]
#[case::data_empty_is_still_undecided("data", |s: &mut Story| { expects(s, volume("waits")); files(s, "before-loss", "w1", "/srv/db").clear(); }, Inconclusive, "was empty from the start")]
#[case::rule_of_an_unknown_kind("data", |s: &mut Story| expects(s, json!({"rule": "latency", "claim": "data", "below": 1})), Inconclusive, "this seatrial does not know the rule")]
#[case::rule_with_an_unknown_word("data", |s: &mut Story| expects(s, volume("shrinks")), Inconclusive, "this seatrial does not know the rule")]
#[case::rule_with_an_unknown_field("data", |s: &mut Story| { let mut rule = volume("waits"); rule["unless"] = json!("x"); expects(s, rule); }, Inconclusive, "this seatrial does not know the rule")]
#[case::rule_without_a_claim("ready", |s: &mut Story| expects(s, json!({"rule": "data", "volume": "pv", "is": "waits"})), Inconclusive, "this seatrial does not know the rule")]
#[case::rule_of_a_claim_that_has_none("rollout", |s: &mut Story| { let mut rule = volume("waits"); rule["claim"] = json!("rollout"); expects(s, rule); }, Inconclusive, "this seatrial does not know the rule")]
#[case::rule_of_another_claim("rollout", |s: &mut Story| expects(s, json!({"rule": "latency", "claim": "data"})), Passed, "")]
#[case::rules_unrecorded("data", |s: &mut Story| s.forget(|e| matches!(e, Event::Observed { what, .. } if what == facts::EXPECTED.name())), Inconclusive, "`trial_expected` was not observed")]
#[case::pending_as_expected("node-loss", |s: &mut Story| expects(s, meanwhile(("node-loss", "Deployment", "db"), "pending", "node affinity")), Passed, "Deployment db is pending as expected, because of node affinity: node affinity of its volume")]
#[case::pending_by_the_schedulers_reason("node-loss", |s: &mut Story| expects(s, meanwhile(("node-loss", "Deployment", "db"), "pending", "Unschedulable")), Passed, "because of Unschedulable: Unschedulable")]
#[case::pending_by_the_message("node-loss", |s: &mut Story| expects(s, meanwhile(("node-loss", "Deployment", "db"), "pending", "nodes are available")), Passed, "`nodes are available` is in the message: 0/4 nodes")]
#[case::pending_for_another_reason("node-loss", |s: &mut Story| expects(s, meanwhile(("node-loss", "Deployment", "db"), "pending", "anti-affinity")), Failed, "expected: pending because of anti-affinity")]
#[case::complete_unexpectedly("node-loss", |s: &mut Story| expects(s, meanwhile(("node-loss", "Deployment", "web"), "pending", "")), Failed, "Deployment web is complete: 3 ready pods of 3; expected: pending")]
#[case::pending_unexpectedly("node-loss", |s: &mut Story| expects(s, meanwhile(("node-loss", "Deployment", "db"), "complete", "")), Failed, "expected: complete")]
#[case::away_as_expected("node-loss", |s: &mut Story| expects(s, meanwhile(("node-loss", "StatefulSet", "set"), "away", "keeps its name")), Passed, "StatefulSet set is away as expected, because of keeps its name")]
#[case::twins_although_away("node-loss", |s: &mut Story| { expects(s, meanwhile(("node-loss", "StatefulSet", "set"), "away", "")); twin(s, "node-loss"); }, Failed, "names with two living pods")]
#[case::expected_of_a_stranger("node-loss", |s: &mut Story| expects(s, meanwhile(("node-loss", "Deployment", "other"), "away", "")), Inconclusive, "Deployment other is not on trial")]
#[case::expected_elsewhere("node-loss", |s: &mut Story| expects(s, meanwhile(("node-loss", "Pod", "tool"), "away", "")), Inconclusive, "Pod tool is expected to be away, and no lost node had a pod of it")]
#[case::pending_by_half_a_word("node-loss", |s: &mut Story| expects(s, meanwhile(("node-loss", "Deployment", "db"), "pending", "able")), Failed, "expected: pending because of able")]
#[case::pending_not_by_its_selector("node-loss", |s: &mut Story| { on_linux(s); expects(s, meanwhile(("node-loss", "Deployment", "db"), "pending", "node selector")); }, Failed, "expected: pending because of node selector")]
#[case::pending_by_its_selector("node-loss", |s: &mut Story| { on_a_labelled_node(s); expects(s, meanwhile(("node-loss", "Deployment", "db"), "pending", "node selector")); }, Passed, "because of node selector: node selector: its nodeSelector admits w1 only")]
#[case::kept_until_its_pod_ends("node-loss", |s: &mut Story| kept(s, 30), Passed, "4 of ")]
#[case::kept_longer_than_its_pod("node-loss", |s: &mut Story| kept(s, 1), Failed, "Service shop over a kept connection: 4 of ")]
#[case::pinned_by_a_label(
    "node-loss",
    on_a_labelled_node,
    Passed,
    "waits for w1 by design, its nodeSelector admits w1 only"
)]
#[case::pinned_by_a_label_and_a_taint("node-loss", |s: &mut Story| on_two_labelled_nodes(s, json!([{"key": "role", "effect": "NoSchedule"}])), Passed, "waits for w1 by design, its nodeSelector, node affinity, volumes and tolerations admit together w1 only")]
#[case::a_label_on_two_nodes("node-loss", |s: &mut Story| on_two_labelled_nodes(s, json!([])), Failed, "Deployment db: 0 of 1 pods ready on other nodes")]
#[case::pending_once_it_runs("node-loss", |s: &mut Story| { elsewhere(s); object(s, ("node-loss", ""), "u-db-2-b", |pod| { unready(pod); pod["spec"]["nodeName"] = json!("w2"); }); expects(s, meanwhile(("node-loss", "Deployment", "db"), "away", "")); }, Failed, "Deployment db is pending: db-2-b waits")]
#[case::data_of_a_pod_that_comes("data", |s: &mut Story| { elsewhere(s); object(s, ("node-loss", "node-lost"), "u-db-2-b", |pod| { unready(pod); pod["status"]["phase"] = json!("Pending"); }); }, Inconclusive, "db-2-b is on w2, and does not run yet")]
#[case::rule_of_the_invariants("invariants", |s: &mut Story| expects(s, json!({"rule": "latency", "claim": "invariants"})), Inconclusive, "this seatrial does not know the rule")]
#[case::rule_of_an_upgrade("upgrade", |s: &mut Story| expects(s, json!({"rule": "latency", "claim": "upgrade"})), Inconclusive, "this seatrial does not know the rule")]
#[case::budget_in_a_command("run", |s: &mut Story| { budget(s, 5.0, 0.005); fail(s, ("command 1", "command 1 over"), |n| n % 2 == 0); }, Failed, "4 of 9 requests failed, 44.44 % of 0.50 %")]
#[case::budget_in_a_good_command("run", |s: &mut Story| { budget(s, 5.0, 0.005); fail(s, ("command 1", "command 1 over"), |_| false); }, Passed, "0 of ")]
#[case::no_budget_in_a_command("run", |s: &mut Story| fail(s, ("command 1", "command 1 over"), |_| true), Passed, "")]
#[case::pending_in_a_drain("drain", |s: &mut Story| { no_place_in_the_drain(s); expects(s, meanwhile(("drain", "Deployment", "db"), "pending", "node affinity")); }, Passed, "Deployment db is pending as expected, because of node affinity")]
#[case::complete_in_a_drain("drain", |s: &mut Story| expects(s, meanwhile(("drain", "Deployment", "db"), "pending", "")), Failed, "expected: pending, at no moment of `drain w1`")]
#[case::complete_after_a_drain("drain", |s: &mut Story| expects(s, meanwhile(("drain", "Deployment", "web"), "complete", "")), Passed, "Deployment web is complete: 3 ready pods of 3, as expected")]
#[case::in_no_drain("drain", |s: &mut Story| expects(s, meanwhile(("drain", "Job", "once"), "away", "")), Inconclusive, "no drained node had a pod of it")]
#[case::unread("clean", |s: &mut Story| s.insert_after("clean", observed(&facts::UNREAD, ["ConfigMap"])), Inconclusive, "not every kind could be listed: ConfigMap")]
#[case::unanswered("clean", |s: &mut Story| *s.fact(&facts::UNANSWERED) = json!(["failed to list the kinds: Connection refused"]), Inconclusive, "the API server gave no answer: failed to list the kinds")]
#[case::end_unseen("clean", |s: &mut Story| forget(s, "clean", &["u-web"]), Inconclusive, "Deployment web: its end was not recorded")]
fn a_falsehood_is_found(
    #[case] claim: &str,
    #[case] how: impl FnOnce(&mut Story),
    #[case] wanted: Conclusion,
    #[case] said: &str,
) {
    judged(claim, how, wanted, said);
}

/// The probe keeps its connection, and requests fail 6 s after the deletion of a pod with this grace period.
fn kept(story: &mut Story, grace: i64) {
    story.fact(&facts::PROBES)[0]["kept"] = json!(true);
    object(story, ("node-loss", "node-lost"), "u-web-2-d", |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    });
    fail(story, ("node-loss", "node-lost"), |n| n < 200 && n % 3 == 1 || (224..228).contains(&n));
}

/// A pod of `web` that is not ready.
fn unready_web(uid: &str) -> Event {
    let mut pod = pod(uid.trim_start_matches("u-"), ("web", "ReplicaSet", "web-2"), uid, "w1");
    unready(&mut pod);
    changed(pod)
}

pub fn deleted(object: Value) -> Event {
    match changed(object) {
        Event::ObjectChanged { kind, name, uid, object, .. } => {
            Event::ObjectChanged { change: Change::Deleted, kind, name, uid, object }
        }
        other => other,
    }
}

/// A Deployment is undecided if its pods, or its ReplicaSets, were not recorded.
#[rstest]
fn a_workload_whose_pods_were_not_seen_does_not_pass(
    #[values("ready", "rollout", "pod-loss", "node-loss", "data", "return", "fault", "clean")] claim: &str,
    #[values("Pod", "ReplicaSet")] kind: &str,
) {
    let mut story = told().story;
    story.forget(|e| matches!(e, Event::ObjectChanged { kind: of, .. } if of == kind));
    let id = format!("{claim}/Deployment/web");
    let finding = judge::claim(&id).unwrap().judge(&Evidence::new(&story.records, &id));
    assert_ne!(finding.conclusion(), Passed, "{id}: {:#?}", finding.details());
}

#[test]
fn a_told_trial_passes_every_claim() {
    let story = told().story;
    for claim in CLAIMS {
        let finding = story.judge(claim.id);
        assert_eq!(finding.conclusion(), Passed, "{}: {:#?}", claim.id, finding.details());
    }
}

/// The pod is back on the node and may have removed the file itself.
#[test]
fn a_file_that_is_missing_under_a_running_pod_fails_nothing() {
    let mut story = told().story;
    files(&mut story, "after-return", "w1", "/srv/db").remove(1);
    let finding = story.judge("return");
    assert_eq!(finding.conclusion(), Passed, "{:#?}", finding.details());
    let says = |line: &String| line.contains("/srv/db on w1 has all but 1 of ");
    assert!(finding.details().iter().any(says), "{:#?}", finding.details());
}

/// An application whose database is unavailable may answer with errors. No other application may.
#[test]
fn an_error_is_explained_while_another_workload_has_no_ready_pod() {
    let failing = |mark: &str| {
        let mut story = told().story;
        let at = story
            .records
            .iter()
            .position(|r| matches!(&r.event, Event::Marked { mark: m } if m == mark))
            .unwrap();
        let sampled = story.records[at..]
            .iter_mut()
            .find(|r| matches!(&r.event, Event::Sampled { probe, .. } if probe == PROBE))
            .unwrap();
        if let Event::Sampled { outcome, detail, .. } = &mut sampled.event {
            (*outcome, *detail) = (Outcome::Refused, "503 shop".into());
        }
        story.judge("rollout")
    };
    let during = failing("rollout Deployment/db");
    assert_eq!(during.conclusion(), Passed, "{:#?}", during.details());
    let other = failing("rollout DaemonSet/agent");
    assert_eq!(other.conclusion(), Failed, "{:#?}", other.details());
}

/// After the loss of a node that also had the database, every server may answer late or with an error. Requests that
/// reach no server are judged separately.
#[test]
fn answers_may_need_another_workload_of_the_lost_node() {
    let failing = |words: &str, outcome: Outcome| {
        let mut story = told().story;
        let (from, to) = range(&story, "node-loss", "node-lost");
        for record in &mut story.records[from..to] {
            if let Event::Sampled { probe, outcome: found, detail, .. } = &mut record.event
                && probe == PROBE
            {
                (*found, *detail) = (outcome, words.into());
            }
        }
        story.judge("node-loss")
    };
    for (words, outcome, wanted) in [
        ("curl 7: Failed to connect to 10.96.0.9 port 80", Outcome::Refused, Failed),
        ("curl 28: Connection timed out after 1001 milliseconds", Outcome::Indeterminate, Failed),
    ] {
        let found = failing(words, outcome);
        assert_eq!(found.conclusion(), wanted, "{words}: {:#?}", found.details());
    }
    // After the detection no reason explains these failures. Until then the requests may wait for the database.
    let found = failing("500 shop", Outcome::Refused);
    let says =
        |line: &String| line.starts_with("inconclusive") && line.contains("which the answers may need");
    assert!(found.details().iter().any(says), "{:#?}", found.details());
}

#[test]
fn a_claim_is_undecided_without_a_fact() {
    let records = told().story.records;
    for claim in CLAIMS {
        // These read one fact.
        let least = if matches!(claim.id, "run" | "ledger" | "invariants") { 1 } else { 2 };
        undecided_without_a_fact(claim, &records, least);
    }
}

#[test]
fn a_claim_is_undecided_without_a_mark() {
    let records = told().story.records;
    let marks = records.iter().filter_map(|r| match &r.event {
        Event::Marked { mark } => Some(mark.clone()),
        _ => None,
    });
    for mark in marks {
        let mut without = records.clone();
        without.retain(|r| !matches!(&r.event, Event::Marked { mark: m } if *m == mark));
        let judged = |claim: &&&judge::Claim| {
            let found = claim.judge(&Evidence::new(&without, claim.id)).conclusion();
            assert_ne!(found, Failed, "{} without `{mark}`", claim.id);
            found == Inconclusive
        };
        assert!(CLAIMS.iter().filter(judged).count() > 0, "nobody reads `{mark}`");
    }
}

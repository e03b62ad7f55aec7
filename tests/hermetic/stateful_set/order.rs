//! Falsehoods about order: C1, C5, C6, C8, C10.

use rstest::rstest;
use seatrial::event::{Change, Event};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive};
use serde_json::{Value, json};

use super::bends::{ending, is_added, is_ending, is_gone, is_ready, told};
use super::{Bend, Story, must_turn, uid_of};

#[rstest]
#[case::made_too_early(made_early, Failed, "web-0 ready came ")]
#[case::made_too_early_by_its_own_time(|s: &mut Story| { let at = s.change("apply", "web-1", is_added); s.object(at)["metadata"]["creationTimestamp"] = json!("2026-11-24T14:00:00Z"); }, Failed, "web-1 made at 2026-11-24T14:00:00Z")]
#[case::ready_only_later_by_its_own_time(|s: &mut Story| { let at = s.change("apply", "web-1", is_ready); s.object(at)["status"]["conditions"][0]["lastTransitionTime"] = json!("2026-11-24T16:00:00Z"); }, Failed, "web-1 ready at 2026-11-24T16:00:00Z")]
#[case::never_ready(|s: &mut Story| s.drop_between(("apply", "applied"), |e| matches!(e, Event::ObjectChanged { name, object, .. } if name == "web-0" && object["status"]["conditions"][0]["status"] == "True")), Failed, "web-0 ready was never seen")]
#[case::ordinal_skipped(skipped, Failed, "pods web-0, web-3 and web-2")]
#[case::two_of_one_identity(two_of_one, Failed, "was still there when UID rogue came")]
#[case::one_of_somebody_else(|s: &mut Story| rogue(s, "apply", "web-3"), Failed, "pod web-3 (UID rogue) is controlled by nobody")]
#[case::all_at_once(|s: &mut Story| s.fact("C1", "set")["spec"]["podManagementPolicy"] = json!("Parallel"), Failed, "Parallel")]
#[case::status_of_before(|s: &mut Story| s.fact("C1", "set")["metadata"]["generation"] = json!(9), Failed, "generation 9, observed 1")]
#[case::pod_not_ready(|s: &mut Story| s.fact("C1", "pods")[2]["status"]["conditions"][0]["status"] = json!("False"), Failed, "web-2 is ready: false")]
#[case::history_begins_late(|s: &mut Story| s.drop_between(("apply", "applied"), |e| matches!(e, Event::ObjectChanged { change: Change::Added, kind, .. } if kind == "Pod")), Failed, "the beginning of web-0 was recorded: false")]
fn a_falsehood_about_creation_is_found(
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn("C1", bend, expected, named);
}

#[rstest]
#[case::lowest_first(|s: &mut Story| s.exchange(("scale-down", "scaled-down"), ("web-1", "web-2")), Failed, "web-1 was taken before web-2")]
#[case::both_at_once(at_once, Failed, "web-2 gone came ")]
#[case::both_at_once_by_their_times(|s: &mut Story| finished(s, "scale-down", "web-2", "2026-11-24T16:00:00Z"), Failed, "web-2 gone at 2026-11-24T16:00:00Z")]
#[case::survivor_restarted(|s: &mut Story| s.fact("C5", "pods")[0]["status"]["containerStatuses"][0]["restartCount"] = json!(1), Failed, "restarts 0 -> 1")]
#[case::survivor_replaced(|s: &mut Story| s.fact("C5", "pods")[0]["metadata"]["uid"] = json!("other"), Failed, "is gone")]
#[case::one_more_went(|s: &mut Story| { let pod = s.state("web-0"); s.insert_after("scale-down", told(Change::Modified, ending(pod))); }, Failed, "2 were too many")]
#[case::end_not_recorded(|s: &mut Story| s.drop_between(("scale-down", "scaled-down"), |e| matches!(e, Event::ObjectChanged { change: Change::Deleted, name, .. } if name == "web-1")), Failed, "web-1 was seen to go: false")]
#[case::no_time_of_its_end(|s: &mut Story| forget_ends(s, "scale-down"), Inconclusive, "do not say when")]
#[case::only_one_went(|s: &mut Story| drop(s.fact("C5", "pods_before").as_array_mut().unwrap().pop()), Failed, "1 were too many")]
fn a_falsehood_about_scaling_down_is_found(
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn("C5", bend, expected, named);
}

#[rstest]
#[case::went_all_the_same(|s: &mut Story| { let pod = s.state("web-2"); s.insert_after("refuse", told(Change::Modified, ending(pod))); }, Failed, "pods that went while web-0 was unready: web-2")]
#[case::was_ready(was_ready, Failed, "web-0 was ready when it was asked for: Some(true)")]
#[case::became_ready(|s: &mut Story| { let at = s.change("heal", "web-0", is_ready); let pod = s.object(at).clone(); s.insert_after("refuse", told(Change::Modified, pod)); }, Failed, "web-0 was ready meanwhile: true")]
#[case::went_before_it_was_healed(|s: &mut Story| { let (ready, end) = (s.change("heal", "web-0", is_ready), s.change("heal", "web-2", is_ending)); s.carry(end, ready); }, Failed, "web-0 ready again came ")]
#[case::controller_never_looked(|s: &mut Story| sets(s, "refuse", |set| set["status"]["observedGeneration"] = json!(1)), Inconclusive, "no pass of the controller")]
#[case::controller_looked_once(one_pass, Inconclusive, "1 passes of the controller")]
#[case::too_short(|s: &mut Story| { let from = s.mark("refuse"); let begin = s.0[from].mono_us; for r in &mut s.0[from..] { r.mono_us = begin; } }, Inconclusive, "in 0.0 s, needed 5 in 5 s")]
#[case::wish_not_known(|s: &mut Story| sets(s, "refuse", |set| set["spec"]["replicas"] = json!(3)), Inconclusive, "no pass of the controller")]
#[case::higher_ordinal_unready(|s: &mut Story| s.fact("C6", "unready")["metadata"]["name"] = json!("web-2"), Failed, "web-2 unready is one that would stay: false")]
#[case::never_went(|s: &mut Story| s.drop_between(("heal", "healed"), |e| matches!(e, Event::ObjectChanged { name, .. } if name == "web-2")), Failed, "none went")]
fn a_falsehood_about_the_refusal_is_found(
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn("C6", bend, expected, named);
}

#[rstest]
#[case::said_afterwards(|s: &mut Story| { let at = s.said(); let to = s.mark("scaled-down"); late(s, at, to); }, Failed, "recorded after the change")]
#[case::said_twice(|s: &mut Story| { let at = s.said(); let event = s.0[at].event.clone(); s.insert(at, event); }, Failed, "2 prediction(s)")]
#[case::said_another(|s: &mut Story| s.fact("C8", "prediction")["goes"] = json!(["web-2", "web-0"]), Failed, "predicted web-0 and web-2")]
#[case::said_in_another_order(|s: &mut Story| s.fact("C8", "prediction")["goes"] = json!(["web-1", "web-2"]), Failed, "order of deletion")]
#[case::said_nothing(|s: &mut Story| { let p = s.fact("C8", "prediction"); p["goes"] = json!([]); }, Failed, "predicted none")]
#[case::another_stayed(|s: &mut Story| s.fact("C8", "pods")[0]["metadata"]["uid"] = json!("other"), Failed, "none stayed by UID")]
#[case::deployment_lost_none(|s: &mut Story| { let all = s.fact("C8", "deployment_pods_before").clone(); *s.fact("C8", "deployment_pods") = all; }, Failed, "the Deployment's")]
fn a_falsehood_about_the_prediction_is_found(
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn("C8", bend, expected, named);
}

#[rstest]
#[case::lowest_first(|s: &mut Story| s.exchange(("update", "updated"), ("web-0", "web-2")), Failed, "from the highest down: false")]
#[case::next_before_ready(|s: &mut Story| { let (ready, end) = (s.change("partition-opened", "web-1", is_ready_new), s.change("partition-opened", "web-0", is_ending)); s.carry(end, ready); }, Failed, "web-1 ready again came ")]
#[case::new_before_gone(|s: &mut Story| { let (gone, new) = (s.change("update", "web-2", is_gone), s.change("update", "web-2", is_added)); s.carry(new, gone); }, Failed, "was still there when")]
#[case::partition_broken(|s: &mut Story| { let pod = s.state("web-1"); s.insert_after("update", told(Change::Modified, ending(pod))); }, Failed, "pods below partition 2 that went: web-1")]
#[case::lower_pod_new(|s: &mut Story| s.fact("C10", "pods_held")[1]["metadata"]["labels"]["controller-revision-hash"] = json!("web-new"), Failed, "web-1 is of web-new")]
#[case::lower_pod_replaced(|s: &mut Story| s.fact("C10", "pods_held")[0]["metadata"]["uid"] = json!("other"), Failed, "kept by UID: false")]
#[case::partition_never_set(|s: &mut Story| s.fact("C10", "set_held")["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(0), Failed, "the set's partition is 0")]
#[case::same_image(|s: &mut Story| { let old = s.fact("C10", "images")["old"].clone(); s.fact("C10", "pods")[1]["spec"]["containers"][0]["image"] = old["reference"].clone(); }, Failed, "web-1 (UID")]
#[case::same_revision(|s: &mut Story| { let old = s.fact("C10", "set_before")["status"]["currentRevision"].clone(); s.fact("C10", "set")["status"]["updateRevision"] = old; }, Failed, "asked for")]
#[case::revision_not_kept(|s: &mut Story| drop(s.fact("C10", "revisions").as_array_mut().unwrap().pop()), Failed, "is number 0")]
#[case::revisions_of_one_number(|s: &mut Story| for r in s.fact("C10", "revisions").as_array_mut().unwrap() { r["revision"] = json!(1); }, Failed, "numbers of the revisions: [1, 1]")]
#[case::one_not_replaced(|s: &mut Story| { let old = s.fact("C10", "pods_before")[0].clone(); s.fact("C10", "pods")[0] = old; }, Failed, "web-0 (UID")]
#[case::nothing_to_hold(|s: &mut Story| *s.fact("C10", "partition") = json!(0), Failed, "the set's partition is 2, of 0")]
#[case::controller_never_looked(|s: &mut Story| sets(s, "update", |set| set["status"]["observedGeneration"] = json!(1)), Inconclusive, "no pass of the controller")]
#[case::rogue_pod(|s: &mut Story| rogue(s, "partition-opened", "web-3"), Failed, "controlled by nobody")]
fn a_falsehood_about_the_update_is_found(
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn("C10", bend, expected, named);
}

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

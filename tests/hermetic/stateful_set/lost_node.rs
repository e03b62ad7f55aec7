//! Falsehoods about a dead node: C9.

use rstest::rstest;
use seatrial::event::{Change, Event};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive};
use serde_json::{Value, json};

use super::bends::{is_added, is_gone, told};
use super::{Bend, Story, must_turn, uid_of};

#[rstest]
#[case::node_ran_on(|s: &mut Story| s.fact("C9", "power_waiting")["power"] = json!("running"), Failed, "was running")]
#[case::node_ran_when_the_pod_moved(|s: &mut Story| s.fact("C9", "power_moved")["power"] = json!("running"), Failed, "power_moved: the container of")]
#[case::fault_did_not_take_hold(|s: &mut Story| fault(s, |e| if let Event::FaultInjected { proof, .. } = e { proof["power"] = json!("running"); }), Failed, "took hold")]
#[case::another_node_was_stopped(|s: &mut Story| fault(s, |e| if let Event::FaultInjected { node, .. } = e { *node = "w9".into(); }), Inconclusive, "no fault on")]
#[case::node_came_back_before(|s: &mut Story| { let at = s.healed(); let event = s.0[at].event.clone(); s.insert_after("declare", event); }, Failed, "was brought back before the pod had moved: true")]
#[case::node_not_given_up(|s: &mut Story| s.0.retain(|r| !matches!(&r.event, Event::ObjectChanged { kind, object, .. } if kind == "Node" && object["status"]["conditions"][0]["status"] == "Unknown")), Inconclusive, "was not seen to be given up")]
#[case::not_evicted(|s: &mut Story| s.fact("C9", "pod_waiting")["metadata"]["deletionTimestamp"] = Value::Null, Failed, "terminates before the declaration")]
#[case::gone_when_looked_at(|s: &mut Story| { s.gone_early(); *s.fact("C9", "pod_waiting") = Value::Null; }, Failed, "solo-0 was gone before the declaration: true")]
#[case::second_copy(second_copy, Failed, "1 other pods were called solo-0 before the declaration")]
#[case::replaced_by_itself(|s: &mut Story| s.gone_early(), Failed, "solo-0 was gone before the declaration: true")]
#[case::did_not_stay_long(|s: &mut Story| { let from = s.mark("declare"); let early = s.evicted() + 1_000_000; for r in &mut s.0[..=from] { r.mono_us = r.mono_us.min(early); } }, Inconclusive, "needed 22 s")]
#[case::controller_never_looked(|s: &mut Story| for r in &mut s.0 { if let Event::ObjectChanged { kind, object, .. } = &mut r.event && kind == "StatefulSet" { object["status"]["observedGeneration"] = json!(0); } }, Inconclusive, "no pass of the controller")]
#[case::nothing_else_was_replaced(|s: &mut Story| { let pod = s.fact("C9", "other_before").clone(); *s.fact("C9", "other_after") = pod; }, Failed, "meanwhile the Deployment's")]
#[case::moved_without_a_declaration(|s: &mut Story| s.taints(false), Inconclusive, "was not seen with taint")]
#[case::moved_to_the_same_node(|s: &mut Story| { let home = s.fact("C9", "pod_before")["spec"]["nodeName"].clone(); s.fact("C9", "pod_after")["spec"]["nodeName"] = home; }, Failed, "with a new UID, it was on")]
#[case::same_pod(|s: &mut Story| { let uid = uid_of(s.fact("C9", "pod_before")); s.fact("C9", "pod_after")["metadata"]["uid"] = json!(uid); }, Failed, "is ready on")]
#[case::two_at_a_time(|s: &mut Story| { let (gone, new) = (s.change("declare", "solo-0", is_gone), s.change("declare", "solo-0", is_added)); s.carry(new, gone); }, Failed, "was still there when")]
#[case::too_late(|s: &mut Story| *s.fact("C9", "budget") = json!(1.0), Failed, "s of 1.0 s")]
#[case::moved_back(|s: &mut Story| s.fact("C9", "pod_returned")["metadata"]["uid"] = json!("other"), Failed, "is still UID other")]
#[case::taint_left(|s: &mut Story| s.taints(true), Failed, "without the taint: false")]
#[case::third_pod(third, Failed, "3 pods were called solo-0")]
#[case::return_not_recorded(|s: &mut Story| { let at = s.healed(); drop(s.0.remove(at)); }, Inconclusive, "was not recorded as brought back")]
fn a_falsehood_about_a_dead_node_is_found(
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn("C9", bend, expected, named);
}

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

    /// The old pod goes before anybody declared anything.
    fn gone_early(&mut self) {
        let (gone, declared) = (self.change("declare", "solo-0", is_gone), self.mark("declare"));
        self.carry(gone, declared);
    }

    /// Takes the taint away from every recorded node, or leaves it there for good.
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
    let mut pod = story.fact("C9", "pod_after").clone();
    (pod["kind"], pod["metadata"]["uid"]) = (json!("Pod"), json!("copy"));
    let at = story.mark("declare");
    story.insert(at, told(Change::Added, pod));
}

fn third(story: &mut Story) {
    let mut pod = story.fact("C9", "pod_after").clone();
    (pod["kind"], pod["metadata"]["uid"]) = (json!("Pod"), json!("third"));
    story.insert_after("return", told(Change::Added, pod));
}

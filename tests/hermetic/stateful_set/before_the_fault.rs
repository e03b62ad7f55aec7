//! A pod's knowledge of itself says nothing about other pods, and earlier events say nothing about the fault.

use seatrial::event::{Event, Record};
use seatrial::judge::Conclusion::{Failed, Inconclusive};
use seatrial::judge::stateful_set::facts;
use serde_json::{Value, json};

use super::Story;
use crate::passing_histories::{fact, history};
use crate::story::{changed, is_of, says};
use crate::upgrade::comes_out;

/// A pod's own name is in its own /etc/hosts. Only the answer that another pod got counts, and only that answer's
/// time.
#[test]
fn a_pods_own_answer_about_itself_does_not_count() {
    let mut records = history("C2");
    let answers: Vec<usize> = records
        .iter()
        .enumerate()
        .filter(|(_, r)| {
            matches!(&r.event, Event::Observed { value, .. } if is_of(&r.event, &facts::ANSWER) && value["when"] == "after")
        })
        .map(|(at, _)| at)
        .collect();
    let (_, budget) = fact(&mut records, &facts::ANSWER_BUDGET);
    let budget = budget.as_f64().unwrap();
    let after = {
        let (_, pods) = fact(&mut records, &facts::PODS_AFTER_REPLACEMENT);
        pods.clone()
    };
    let before = {
        let (_, pods) = fact(&mut records, &facts::PODS_BEFORE_REPLACEMENT);
        pods.clone()
    };
    let is_old = |uid: &Value| before.as_array().unwrap().iter().any(|p| p["metadata"]["uid"] == *uid);
    let new = after.as_array().unwrap().iter().find(|p| !is_old(&p["metadata"]["uid"])).unwrap().clone();
    let name = new["metadata"]["name"].as_str().unwrap();
    let mut first = None;
    for at in answers {
        let Event::Observed { value, .. } = &mut records[at].event else { unreachable!() };
        if value["name"].as_str().unwrap().starts_with(&format!("{name}.")) {
            value["waited"] = json!(budget + 5.0);
            first.get_or_insert(at);
        }
    }
    let first = first.unwrap();
    comes_out(&records, "C2", Failed);
    let mut own = records[first].clone();
    let Event::Observed { value, .. } = &mut own.event else { unreachable!() };
    value["asker"] = json!(name);
    value["asker_uid"] = new["metadata"]["uid"].clone();
    value["addresses"] = json!([new["status"]["podIP"]]);
    value["waited"] = json!(0.1);
    records.insert(first, own);
    comes_out(&records, "C2", Failed);
}

/// The Deployment's other pod was elsewhere all the time. It replaced nothing, so it does not show that there was
/// enough time.
#[test]
fn a_pod_from_before_the_fault_is_no_replacement_in_c9() {
    let mut records = history("C9");
    let (_, heir) = fact(&mut records, &facts::OTHER_AFTER);
    let mut heir = heir.clone();
    heir["kind"] = json!("Pod");
    let fault = |r: &Record| matches!(&r.event, Event::FaultIntended { .. });
    let place = records.iter().position(fault).unwrap();
    let near = records[place - 1].clone();
    records.insert(place, Record { event: changed(heir), ..near });
    comes_out(&records, "C9", Inconclusive);
}

/// The node was Unknown and tainted before the fault, so the fault did not cause that.
#[test]
fn a_node_that_was_given_up_before_the_fault_leaves_c9_open() {
    let mut records = history("C9");
    let is_lost = |r: &&Record| {
        matches!(&r.event, Event::ObjectChanged { kind, object, .. } if kind == "Node"
            && object["status"]["conditions"].as_array().unwrap().iter().any(|c| c["type"] == "Ready" && c["status"] == "Unknown")
            && object["spec"]["taints"].to_string().contains("NoExecute"))
    };
    let lost = records.iter().find(is_lost).unwrap().event.clone();
    let place = records.iter().position(|r| matches!(&r.event, Event::FaultIntended { .. })).unwrap();
    let near = records[place - 1].clone();
    records.insert(place, Record { event: lost, ..near });
    says(&Story(records).judge("C9"), Inconclusive, "was given up before the fault");
}

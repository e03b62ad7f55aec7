//! Rules on custom resources, whose kinds nobody here knows. Source: kstatus of sigs.k8s.io/cli-utils, which reads the
//! conventions of Kubernetes' API: `observedGeneration`, and the conditions Ready, Reconciling and Stalled.

use kube::api::DynamicObject;
use serde_json::Value;

use super::{Check, Verdict, check};
use crate::sanitise;

/// Conditions by which operators say that their object works, in the order in which they are looked for.
const READY: [&str; 2] = ["Ready", "Available"];

/// The operator has seen the object's current generation and calls it ready. Operators write the status a moment after the
/// object was applied, and some kinds have none: `may_be_silent` says whether an object without a status is ready.
pub fn custom_resource_ready(title: &str, may_be_silent: bool) -> impl Check<DynamicObject> + use<> {
    let name = title.to_owned();
    check(format!("{title} ready"), move |objects: &[DynamicObject]| match objects.first() {
        Some(object) => ready(object, may_be_silent),
        None => Verdict::NotYet(format!("{name} does not exist")),
    })
}

fn ready(object: &DynamicObject, may_be_silent: bool) -> Verdict {
    let status = object.data.get("status").unwrap_or(&Value::Null);
    if !may_be_silent && status.as_object().is_none_or(|fields| fields.is_empty()) {
        return Verdict::NotYet("its operator has said nothing yet".into());
    }
    let (generation, seen) = (
        object.metadata.generation.unwrap_or_default(),
        status.get("observedGeneration").and_then(Value::as_i64),
    );
    if let Some(seen) = seen.filter(|seen| *seen < generation) {
        return Verdict::NotYet(format!(
            "generation {generation} is not observed yet (the status is of {seen})"
        ));
    }
    let conditions = status.get("conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let named = |name: &str| conditions.iter().find(|condition| condition["type"] == name);
    let is = |name: &str| named(name).is_some_and(|condition| condition["status"] == "True");
    // A stalled object may go on after a change of something else, so it is not hopeless.
    for waits in ["Stalled", "Reconciling"] {
        if let Some(condition) = named(waits).filter(|_| is(waits)) {
            return Verdict::NotYet(said(condition));
        }
    }
    match READY.iter().find_map(|name| named(name)) {
        Some(condition) if condition["status"] != "True" => Verdict::NotYet(said(condition)),
        _ => Verdict::Met,
    }
}

fn said(condition: &Value) -> String {
    let text = |key: &str| condition[key].as_str().unwrap_or_default();
    sanitise::line(&format!("{}={}: {} {}", text("type"), text("status"), text("reason"), text("message")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(status: Value) -> Verdict {
        let object = json!({"apiVersion": "example.test/v1", "kind": "Widget",
            "metadata": {"name": "w", "generation": 2}, "status": status});
        ready(&serde_json::from_value(object).unwrap(), false)
    }

    #[test]
    fn an_object_that_nobody_has_seen_is_not_ready_yet() {
        for status in [json!(null), json!({})] {
            let said = verdict(status.clone());
            assert!(
                matches!(&said, Verdict::NotYet(why) if why.contains("said nothing")),
                "{status}: {said:?}"
            );
            let object =
                json!({"apiVersion": "example.test/v1", "kind": "Widget", "metadata": {}, "status": status});
            assert_eq!(ready(&serde_json::from_value(object).unwrap(), true), Verdict::Met);
        }
    }

    #[test]
    fn an_object_is_ready_when_its_operator_says_so_about_this_generation() {
        let with = |kind: &str, status: &str| json!([{"type": kind, "status": status, "reason": "r", "message": "m"}]);
        let met = [
            json!({"phase": "anything"}),
            json!({"observedGeneration": 2}),
            json!({"observedGeneration": 2, "conditions": with("Ready", "True")}),
            json!({"conditions": with("Available", "True")}),
            json!({"conditions": with("Stalled", "False")}),
        ];
        for status in met {
            assert_eq!(verdict(status.clone()), Verdict::Met, "{status}");
        }
        let not_yet = [
            json!({"observedGeneration": 1, "conditions": with("Ready", "True")}),
            json!({"conditions": with("Ready", "False")}),
            json!({"conditions": with("Ready", "Unknown")}),
            json!({"conditions": with("Reconciling", "True")}),
            json!({"conditions": with("Stalled", "True")}),
        ];
        for status in not_yet {
            assert!(matches!(verdict(status.clone()), Verdict::NotYet(_)), "{status}");
        }
    }
}

//! Rules on namespaces, and the rule for any object that must go.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Resource, ResourceExt};

use super::{Check, Verdict, check};

/// The namespace with this UID is gone. Until then the answer names what holds it, as the
/// namespace controller reports it in the conditions.
pub fn namespace_gone(uid: &str) -> impl Check<Namespace> + use<> {
    let uid = uid.to_owned();
    check("namespace gone", move |set: &[Namespace]| {
        let left = set.iter().find(|n| n.metadata.uid.as_deref() == Some(&uid));
        left.map_or(Verdict::Met, |n| Verdict::NotYet(holds(n)))
    })
}

/// The object with this UID is gone; one of the same name with another UID is another object.
/// Until then the answer names its finalizers.
pub fn deleted<K: Resource + Debug>(uid: &str) -> impl Check<K> + use<K> {
    let uid = uid.to_owned();
    check("object gone", move |set: &[K]| {
        let left = set.iter().find(|o| o.meta().uid.as_deref() == Some(&uid));
        left.map_or(Verdict::Met, |o| Verdict::NotYet(format!("{} {}", o.name_any(), state(o))))
    })
}

fn state<K: Resource>(object: &K) -> String {
    match (&object.meta().deletion_timestamp, object.finalizers()) {
        (None, _) => "is not being deleted".into(),
        (Some(_), []) => "is being deleted".into(),
        (Some(_), held) => format!("is being deleted, held by finalizers {}", held.join(", ")),
    }
}

fn holds(namespace: &Namespace) -> String {
    let conditions = namespace.status.as_ref().and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    let told = conditions.filter(|c| c.status == "True" && c.type_.starts_with("Namespace"));
    let mut told: Vec<String> = told.filter_map(|c| c.message.clone()).collect();
    told.dedup();
    let what = if told.is_empty() { String::new() } else { format!(": {}", told.join("; ")) };
    format!("{} {}{what}", namespace.name_any(), state(namespace))
}

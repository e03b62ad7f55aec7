//! Rules on namespaces, and the rule for any object that must be deleted.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Resource, ResourceExt};

use super::{Check, Verdict, check};

/// The namespace with this UID is gone. Until then the answer names what blocks the deletion, from the conditions that
/// the namespace controller sets.
pub fn namespace_gone(uid: &str) -> impl Check<Namespace> + use<> {
    let uid = uid.to_owned();
    check("namespace gone", move |set: &[Namespace]| {
        let left = set.iter().find(|n| n.metadata.uid.as_deref() == Some(&uid));
        left.map_or(Verdict::Met, |n| Verdict::NotYet(holds(n)))
    })
}

/// The object with this UID is gone. An object of the same name with another UID is a different object. Until then the
/// answer names its finalizers.
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
    let messages = conditions.filter(|c| c.status == "True" && c.type_.starts_with("Namespace"));
    let mut messages: Vec<String> = messages.filter_map(|c| c.message.clone()).collect();
    messages.dedup();
    let what = if messages.is_empty() { String::new() } else { format!(": {}", messages.join("; ")) };
    format!("{} {}{what}", namespace.name_any(), state(namespace))
}

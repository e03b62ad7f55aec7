//! The recorded objects of one kind.

use std::collections::BTreeMap;

use kube::api::{DynamicObject, ObjectList};

use crate::event::Change;

/// By UID: the resource version and the object, as recorded last.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<String, (String, DynamicObject)>);

impl Known {
    /// Remembers an object. Returns the kind of change; None if this version is already recorded.
    pub(super) fn take(&mut self, object: &DynamicObject) -> Option<Change> {
        let (uid, version) = (uid(object).to_owned(), version(object).to_owned());
        let change = match self.0.get(&uid) {
            None => Change::Added,
            Some((known, _)) if *known != version => Change::Modified,
            Some(_) => return None,
        };
        self.0.insert(uid, (version, object.clone()));
        Some(change)
    }

    /// Forgets a deleted object.
    pub(super) fn forget(&mut self, object: &DynamicObject) {
        self.0.remove(uid(object));
    }

    /// Forgets every object that is missing in a complete list; returns their last states.
    pub(super) fn forget_all_but(&mut self, list: &[DynamicObject]) -> Vec<DynamicObject> {
        let is_gone = |known: &String| !list.iter().any(|object| uid(object) == known);
        let gone: Vec<String> = self.0.keys().filter(|known| is_gone(known)).cloned().collect();
        gone.iter().filter_map(|uid| self.0.remove(uid)).map(|(_, object)| object).collect()
    }

    /// The first difference between a list from the API and the records.
    pub(super) fn behind(&self, list: &ObjectList<DynamicObject>) -> Option<String> {
        for object in &list.items {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            let version = version(object);
            match self.0.get(uid(object)) {
                Some((known, _)) if number(known) >= number(version) => {}
                Some((known, _)) => return Some(format!("{name} is at {version}, recorded {known}")),
                None => return Some(format!("{name} was not recorded")),
            }
        }
        let at = number(list.metadata.resource_version.as_deref().unwrap_or_default());
        let shown = |known: &String| list.items.iter().any(|object| uid(object) == known);
        // An object that was created after the list is not missing from it.
        let deleted = self.0.iter().find(|(known, (version, _))| !shown(known) && number(version) <= at);
        let (_, (_, object)) = deleted?;
        Some(format!("the end of {} was not recorded", object.metadata.name.as_deref()?))
    }
}

/// Whether a resource version is at least that of a list.
pub(super) fn reaches(version: &str, list: &ObjectList<DynamicObject>) -> bool {
    list.metadata.resource_version.as_deref().is_some_and(|of_list| number(version) >= number(of_list))
}

fn uid(object: &DynamicObject) -> &str {
    object.metadata.uid.as_deref().unwrap_or_default()
}

fn version(object: &DynamicObject) -> &str {
    object.metadata.resource_version.as_deref().unwrap_or_default()
}

/// Resource versions of one kind can be compared as whole numbers (KEP-5504).
fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(version: &str, items: &[(&str, &str)]) -> ObjectList<DynamicObject> {
        let item = |(uid, version): &(&str, &str)| {
            let metadata = serde_json::json!({ "name": uid, "uid": uid, "resourceVersion": version });
            serde_json::json!({ "metadata": metadata })
        };
        let items: Vec<_> = items.iter().map(item).collect();
        let list = serde_json::json!({ "metadata": { "resourceVersion": version }, "items": items });
        serde_json::from_value(list).unwrap()
    }

    #[test]
    fn an_object_deleted_since_the_list_is_no_gap_once_its_version_is_reached() {
        let mut known = Known::default();
        let shown = list("7", &[("a", "5")]);
        assert_eq!(known.take(&shown.items[0]), Some(Change::Added));
        assert_eq!(known.behind(&shown), None);
        known.forget(&shown.items[0]);
        assert_eq!(known.behind(&shown).as_deref(), Some("a was not recorded"));
        for (version, reached) in [("6", false), ("7", true), ("8", true), ("10", true)] {
            assert_eq!(reaches(version, &shown), reached, "{version}");
        }
        let mut without = shown;
        without.metadata.resource_version = None;
        assert!(!reaches("8", &without), "such a list proves nothing");
    }
}

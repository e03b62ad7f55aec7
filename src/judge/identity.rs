//! Who a pod is, and what became of a set of pods: kept, replaced under the same name, gone, new.
//! A Deployment's pods are replaced under new names (A7), a StatefulSet's under the same (C4).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::object::{Object, names};
use super::{Evidence, Finding, Missing};

/// One pod at one moment, reduced to what tells it from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The pod's name.
    pub name: String,
    /// The pod's UID: two pods of one name are told apart by it.
    pub uid: String,
    /// Label `pod-template-hash`; empty where there is none.
    pub hash: String,
    /// Image of the first container, as the spec asks for it.
    pub image: String,
    /// Image that the first container runs, as its node names it; empty until it was started.
    pub image_id: String,
    /// The node; empty until the pod was scheduled.
    pub node: String,
    /// Restarts of all containers together.
    pub restarts: i64,
}

impl Identity {
    /// The identity in a recorded pod.
    pub fn of(pod: &Object<'_>) -> Self {
        let text = |pointer: &str| pod.text(pointer).unwrap_or_default().to_owned();
        let containers = pod.entries("/status/containerStatuses");
        Self {
            name: pod.name().into(),
            uid: pod.uid().into(),
            hash: pod.label("pod-template-hash").unwrap_or_default().into(),
            image: text("/spec/containers/0/image"),
            image_id: text("/status/containerStatuses/0/imageID"),
            node: text("/spec/nodeName"),
            restarts: containers.iter().filter_map(|c| c["restartCount"].as_i64()).sum(),
        }
    }

    /// The identities in a list of pods that was observed.
    ///
    /// # Errors
    /// [`Missing`] where none was.
    pub fn observed(evidence: &Evidence<'_>, what: &str) -> Result<Vec<Self>, Missing> {
        Ok(Object::list(evidence, what)?.iter().map(Self::of).collect())
    }
}

/// What became of a set of pods. Every pod of either set is in exactly one of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// In both sets, by UID: before and after.
    pub kept: Vec<(Identity, Identity)>,
    /// Another pod under the same name: before and after.
    pub replaced: Vec<(Identity, Identity)>,
    /// Before only.
    pub gone: Vec<Identity>,
    /// After only, under a name that was not there before.
    pub new: Vec<Identity>,
}

impl Comparison {
    /// Compares two sets.
    pub fn of(before: &[Identity], after: &[Identity]) -> Self {
        let mut compared = Self::default();
        for old in before {
            if let Some(same) = after.iter().find(|p| p.uid == old.uid) {
                compared.kept.push((old.clone(), same.clone()));
            } else if let Some(same) = after.iter().find(|p| p.name == old.name) {
                compared.replaced.push((old.clone(), same.clone()));
            } else {
                compared.gone.push(old.clone());
            }
        }
        let known = |p: &&Identity| before.iter().any(|old| old.uid == p.uid || old.name == p.name);
        compared.new = after.iter().filter(|p| !known(p)).cloned().collect();
        compared
    }

    /// Whether every pod was replaced by one under a new name: nothing in common, as many as before.
    pub fn is_renamed(&self) -> bool {
        self.kept.is_empty() && self.replaced.is_empty() && self.gone.len() == self.new.len()
    }

    /// Checks that every one of these kept its UID, its name and its restart count.
    pub fn check_kept(&self, finding: &mut Finding, expected: &[Identity]) {
        for old in expected {
            let same = self.kept.iter().find(|(before, _)| before.uid == old.uid);
            match same {
                None => finding.check(false, format!("pod {} (UID {}) is gone", old.name, old.uid)),
                Some((_, now)) => finding.check(
                    now.name == old.name && now.restarts == old.restarts,
                    format!("pod {} is still there, restarts {} -> {}", old.name, old.restarts, now.restarts),
                ),
            };
        }
    }
}

/// The names of a set, for a sentence.
pub fn pod_names(pods: &[Identity]) -> String {
    names(&pods.iter().map(|p| p.name.as_str()).collect::<Vec<_>>())
}

/// The different values that a set has for one of its words.
pub fn distinct<'p>(pods: &'p [Identity], word: impl Fn(&'p Identity) -> &'p str) -> Vec<&'p str> {
    pods.iter().map(word).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, uid: &str) -> Identity {
        let text = String::new;
        Identity {
            name: name.into(),
            uid: uid.into(),
            hash: text(),
            image: text(),
            image_id: text(),
            node: text(),
            restarts: 0,
        }
    }

    #[test]
    fn every_pod_is_in_exactly_one_list() {
        let before = [pod("a", "1"), pod("b", "2"), pod("c", "3")];
        let after = [pod("a", "1"), pod("b", "9"), pod("d", "4")];
        let compared = Comparison::of(&before, &after);
        assert_eq!(compared.kept, [(pod("a", "1"), pod("a", "1"))]);
        assert_eq!(compared.replaced, [(pod("b", "2"), pod("b", "9"))]);
        assert_eq!(compared.gone, [pod("c", "3")]);
        assert_eq!(compared.new, [pod("d", "4")]);
        assert!(!compared.is_renamed());
    }

    #[test]
    fn renamed_means_nothing_in_common_and_as_many_as_before() {
        let before = [pod("a", "1"), pod("b", "2")];
        assert!(Comparison::of(&before, &[pod("c", "3"), pod("d", "4")]).is_renamed());
        assert!(!Comparison::of(&before, &[pod("c", "3")]).is_renamed());
        assert!(!Comparison::of(&before, &[pod("a", "3"), pod("d", "4")]).is_renamed());
    }

    #[test]
    fn a_restart_is_not_keeping() {
        let before = [pod("a", "1")];
        let after = [Identity { restarts: 1, ..pod("a", "1") }];
        let mut finding = Finding::new();
        Comparison::of(&before, &after).check_kept(&mut finding, &before);
        assert_eq!(finding.evidence(), "pod a is still there, restarts 0 -> 1");
        assert_eq!(finding.conclusion(), crate::judge::Conclusion::Failed);
    }
}

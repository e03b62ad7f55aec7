//! The identity of a pod, and what became of a set of pods: kept, replaced under the same name, gone, new. A set is
//! renamed if all its pods are gone and as many new pods exist. A Deployment's pods are replaced under new names (A7),
//! a StatefulSet's under the same names (C4).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::fact::RawList;
use super::lost::{Holds, Touched};
use super::object::{Object, names, span};
use super::{Evidence, Fact, Finding, Missing};

/// Labels that distinguish the pods of one template from those of another.
const HASHES: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];

/// One pod at one moment, reduced to the fields that distinguish it from other pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The pod's name.
    pub name: String,
    /// The pod's UID: distinguishes two pods of one name.
    pub uid: String,
    /// Label `pod-template-hash`, or `controller-revision-hash` of a StatefulSet's pod; empty if the pod has neither.
    pub hash: String,
    /// Image of the first container, as the spec asks for it.
    pub image: String,
    /// Image that the first container runs, as its node names it; empty until the container was started.
    pub image_id: String,
    /// The node; empty until the pod was scheduled.
    pub node: String,
    /// Restarts of all containers in sum.
    pub restarts: i64,
    /// When the pod was seen, in microseconds on the records' clock.
    #[serde(skip)]
    pub seen_us: Option<u64>,
}

impl Identity {
    /// Reads the identity of a recorded pod.
    pub fn of(pod: &Object<'_>) -> Self {
        let text = |pointer: &str| pod.text(pointer).unwrap_or_default().to_owned();
        Self {
            name: pod.name().into(),
            uid: pod.uid().into(),
            hash: HASHES.iter().find_map(|l| pod.label(l)).unwrap_or_default().into(),
            image: text("/spec/containers/0/image"),
            image_id: text("/status/containerStatuses/0/imageID"),
            node: text("/spec/nodeName"),
            restarts: pod.restarts(),
            seen_us: pod.seen_us(),
        }
    }

    /// Reads the identities in an observed list of pods.
    ///
    /// # Errors
    /// As [`Object::list`].
    pub fn observed(evidence: &Evidence<'_>, fact: &Fact<RawList>) -> Result<Vec<Self>, Missing> {
        Ok(Object::list(evidence, fact)?.iter().map(Self::of).collect())
    }
}

impl Identity {
    /// Returns the differences to an earlier state of the pod, each as `what old -> new`; none if the pod is the same
    /// and unchanged.
    pub fn changed_from(&self, old: &Self) -> Vec<String> {
        let restarts = [old.restarts.to_string(), self.restarts.to_string()];
        let fields = [
            ("name", &old.name, &self.name),
            ("UID", &old.uid, &self.uid),
            ("template hash", &old.hash, &self.hash),
            ("image", &old.image, &self.image),
            ("image id", &old.image_id, &self.image_id),
            ("node", &old.node, &self.node),
            ("restarts", &restarts[0], &restarts[1]),
        ];
        let changed = fields.into_iter().filter(|(_, old, new)| old != new);
        changed.map(|(what, old, new)| format!("{what} {} -> {}", word(old), word(new))).collect()
    }
}

fn word(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// What became of a set of pods. Every pod of either set is in exactly one of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Pods in both sets, by UID: before and after.
    pub kept: Vec<(Identity, Identity)>,
    /// Pods replaced by another pod of the same name: before and after.
    pub replaced: Vec<(Identity, Identity)>,
    /// Pods in the first set only.
    pub gone: Vec<Identity>,
    /// Pods in the second set only, under a new name.
    pub new: Vec<Identity>,
    /// When the second set was observed, in microseconds on the records' clock.
    until_us: Option<u64>,
}

impl Comparison {
    /// Compares two sets.
    pub fn of(before: &[Identity], after: &[Identity]) -> Self {
        let until_us = after.iter().filter_map(|pod| pod.seen_us).max();
        let mut compared = Self { until_us, ..Self::default() };
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

    /// Returns the result of a check on which pods are gone and which are new: the loss of the nodes of the gone pods
    /// explains it.
    pub fn by_loss(&self, met: bool) -> Holds {
        let replaced = self.replaced.iter().map(|pair| &pair.0);
        Holds::or(met, self.gone.iter().chain(replaced).map(|pod| self.went(pod)))
    }

    fn went(&self, pod: &Identity) -> Touched {
        Touched::pod(&pod.node, &pod.uid, span(pod.seen_us, self.until_us))
    }

    /// Checks that every one of these pods is the same as before and unchanged: UID, name, template, image, node and
    /// restarts. The loss of a node explains that a pod is gone, but not that a remaining pod has changed.
    pub fn check_kept(&self, finding: &mut Finding, expected: &[Identity]) {
        for old in expected {
            let same = self.kept.iter().find(|(before, _)| before.uid == old.uid);
            let Some((_, now)) = same else {
                let stays = Holds::or(false, [self.went(old)]);
                finding.check(stays, format!("pod {} (UID {}) is gone", old.name, old.uid));
                continue;
            };
            let changed = now.changed_from(old);
            let how = if changed.is_empty() { "untouched".into() } else { changed.join(", ") };
            finding.check(changed.is_empty(), format!("pod {} is still there, {how}", old.name));
        }
    }

    /// Checks that every pod was replaced by one under a new name: no name and no UID in common, as many pods as
    /// before, and one other template.
    pub fn check_renamed(&self, finding: &mut Finding) {
        let common = |pairs: &[(Identity, Identity)]| {
            names(&pairs.iter().map(|pair| pair.0.name.as_str()).collect::<Vec<_>>())
        };
        finding.check(self.kept.is_empty(), format!("UIDs in common: {}", common(&self.kept)));
        finding.check(self.replaced.is_empty(), format!("names in common: {}", common(&self.replaced)));
        // The number of pods may differ only if a lost node explains it, and only if no name or UID is in common.
        let renamed = self.is_renamed();
        let as_many = match self.kept.is_empty() && self.replaced.is_empty() {
            true => self.by_loss(renamed),
            false => renamed.into(),
        };
        finding.check(as_many, format!("{} replaced by {}", pod_names(&self.gone), pod_names(&self.new)));
        let (was, is) = (self.sides().0, self.sides().1);
        let (was, is) = (distinct(&was, |p| &p.hash), distinct(&is, |p| &p.hash));
        finding.check(
            was.len() == 1 && is.len() == 1 && was != is && !is[0].is_empty(),
            format!("template hash before {}, after {}", was.join(", "), is.join(", ")),
        );
    }

    /// Returns both sets again.
    fn sides(&self) -> (Vec<Identity>, Vec<Identity>) {
        let pairs = || self.kept.iter().chain(&self.replaced);
        let before = pairs().map(|p| &p.0).chain(&self.gone).cloned().collect();
        let after = pairs().map(|p| &p.1).chain(&self.new).cloned().collect();
        (before, after)
    }
}

/// Checks that no two pods of a set are the same: each has its own name and UID.
pub fn check_distinct(finding: &mut Finding, pods: &[Identity]) {
    for (what, of) in [
        ("name", &(|p: &Identity| p.name.clone()) as &dyn Fn(&Identity) -> String),
        ("UID", &|p| p.uid.clone()),
    ] {
        let mut all: Vec<String> = pods.iter().map(of).collect();
        all.sort();
        let twice: Vec<&String> = all.windows(2).filter(|w| w[0] == w[1]).map(|w| &w[0]).collect();
        finding.check(twice.is_empty(), format!("pods that share a {what}: {}", names(&twice)));
    }
}

/// Formats the names of a set for a sentence.
pub fn pod_names(pods: &[Identity]) -> String {
    names(&pods.iter().map(|p| p.name.as_str()).collect::<Vec<_>>())
}

/// Returns the distinct values of one field in a set.
pub fn distinct<'p>(pods: &'p [Identity], word: impl Fn(&'p Identity) -> &'p str) -> Vec<&'p str> {
    pods.iter().map(word).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Conclusion;

    fn pod(name: &str, uid: &str) -> Identity {
        let text = || "x".to_owned();
        Identity {
            name: name.into(),
            uid: uid.into(),
            hash: text(),
            image: text(),
            image_id: text(),
            node: text(),
            restarts: 0,
            seen_us: None,
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

    fn found(check: impl FnOnce(&mut Finding)) -> (Conclusion, String) {
        let mut finding = Finding::new();
        check(&mut finding);
        (finding.conclusion(), finding.evidence())
    }

    #[test]
    fn keeping_is_to_be_untouched() {
        let before = [pod("a", "1")];
        let kept = |after: &[Identity]| found(|f| Comparison::of(&before, after).check_kept(f, &before));
        assert_eq!(kept(&before).0, Conclusion::Passed);
        let cases: [(Identity, &str); 6] = [
            (Identity { restarts: 1, ..pod("a", "1") }, "restarts 0 -> 1"),
            (Identity { name: "b".into(), ..pod("a", "1") }, "name a -> b"),
            (Identity { hash: String::new(), ..pod("a", "1") }, "template hash x -> none"),
            (Identity { image: "y".into(), ..pod("a", "1") }, "image x -> y"),
            (Identity { image_id: "y".into(), ..pod("a", "1") }, "image id x -> y"),
            (Identity { node: "y".into(), ..pod("a", "1") }, "node x -> y"),
        ];
        for (after, how) in cases {
            let said = format!("pod a is still there, {how}");
            assert_eq!(kept(&[after]), (Conclusion::Failed, said));
        }
        assert_eq!(kept(&[pod("a", "2")]), (Conclusion::Failed, "pod a (UID 1) is gone".into()));
    }

    #[test]
    fn renaming_takes_new_names_new_uids_and_another_template() {
        let before = [pod("a", "1"), pod("b", "2")];
        let new = |name, uid| Identity { hash: "y".into(), ..pod(name, uid) };
        let renamed = |after: &[Identity]| found(|f| Comparison::of(&before, after).check_renamed(f));
        assert_eq!(renamed(&[new("c", "3"), new("d", "4")]).0, Conclusion::Passed);
        for (after, said) in [
            ([new("c", "1"), new("d", "4")], "UIDs in common: a"),
            ([new("a", "3"), new("d", "4")], "names in common: a"),
            ([pod("c", "3"), pod("d", "4")], "template hash before x, after x"),
            ([new("c", "3"), pod("d", "4")], "template hash before x, after x, y"),
        ] {
            let (conclusion, evidence) = renamed(&after);
            assert_eq!(conclusion, Conclusion::Failed, "{said}");
            assert!(evidence.contains(said), "{evidence}");
        }
        let (conclusion, evidence) = renamed(&[new("c", "3")]);
        assert_eq!((conclusion, evidence.as_str()), (Conclusion::Failed, "a and b replaced by c"));
        let bare = |name, uid| Identity { hash: String::new(), ..pod(name, uid) };
        assert_eq!(renamed(&[bare("c", "3"), bare("d", "4")]).0, Conclusion::Failed);
    }

    #[test]
    fn no_two_pods_are_one() {
        let distinct = |pods: &[Identity]| found(|f| check_distinct(f, pods));
        assert_eq!(distinct(&[pod("a", "1"), pod("b", "2")]).0, Conclusion::Passed);
        let same_name = distinct(&[pod("b", "1"), pod("a", "3"), pod("b", "2")]);
        assert_eq!(same_name, (Conclusion::Failed, "pods that share a name: b".into()));
        let same_uid = distinct(&[pod("b", "1"), pod("a", "1")]);
        assert_eq!(same_uid, (Conclusion::Failed, "pods that share a UID: 1".into()));
    }

    #[test]
    fn the_template_hash_is_that_of_either_controller() {
        for (labels, hash) in [
            (serde_json::json!({"pod-template-hash": "d"}), "d"),
            (serde_json::json!({"controller-revision-hash": "s"}), "s"),
            (serde_json::json!({"app": "x"}), ""),
        ] {
            let pod = serde_json::json!({"metadata": {"name": "a", "uid": "1", "labels": labels}});
            assert_eq!(Identity::of(&Object::new(&pod).unwrap()).hash, hash);
        }
    }
}

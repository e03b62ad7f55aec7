//! The effect of PodDisruptionBudgets on the drains of a plan: which eviction the API will never allow, which
//! eviction has to wait, and which budget protects nothing. The rules are those of the API server's eviction
//! (pkg/registry/core/pod/storage/eviction.go of Kubernetes).

use std::collections::{BTreeMap, BTreeSet};

use super::facts::BudgetFacts;
use super::refusal::Refusal;

/// Returns a refusal for each eviction from this node that the budgets will never allow.
pub(super) fn never_evicted(budgets: &[BudgetFacts], node: &str) -> Vec<Refusal> {
    let mut of_pod: BTreeMap<&str, Vec<&BudgetFacts>> = BTreeMap::new();
    for budget in budgets {
        for (pod, _) in budget.pods.iter().filter(|(_, on)| on == node) {
            of_pod.entry(pod).or_default().push(budget);
        }
    }
    let refused = of_pod.into_iter().filter_map(|(pod, budgets)| {
        let (pod, node) = (pod.to_owned(), node.to_owned());
        let [budget] = budgets[..] else {
            let budgets = budgets.iter().map(|b| b.name.clone()).collect();
            return Some(Refusal::TwoBudgets { pod, node, budgets });
        };
        let (name, desired, expected) = (budget.name.clone(), budget.desired, budget.expected);
        match &budget.uncounted {
            _ if budget.lets_go(&pod) => None,
            Some(why) => Some(Refusal::Uncounted { budget: name, pod, node, why: why.clone() }),
            None if budget.never_allows() => {
                Some(Refusal::Budget { budget: name, pod, node, desired, expected })
            }
            None => None,
        }
    });
    refused.collect()
}

/// Returns warnings about the budgets before a drain, one sentence each.
pub(super) fn warnings(budgets: &[BudgetFacts]) -> Vec<String> {
    budgets.iter().filter_map(warning).collect()
}

fn warning(budget: &BudgetFacts) -> Option<String> {
    let BudgetFacts { name, healthy, desired, expected, .. } = budget;
    if budget.selects_none {
        return Some(format!(
            "PodDisruptionBudget {name} selects no pod, so it protects none: compare its selector with the labels of the pods"
        ));
    }
    let asked = budget.pods.iter().any(|(pod, _)| !budget.lets_go(pod));
    if budget.allowed > 0 || !asked {
        return None;
    }
    let why = match &budget.uncounted {
        Some(why) => format!("its controller cannot count its pods: {why}"),
        None if *expected == 0 => "its controller has not counted its pods yet".into(),
        None => format!("{healthy} healthy, {desired} must stay{}", not_ready(&budget.unready)),
    };
    Some(format!("PodDisruptionBudget {name} allows no eviction right now ({why}): a drain waits for it"))
}

/// Lists the pods that use up a budget because they are not ready; empty if all are ready.
pub(super) fn not_ready(unready: &BTreeSet<String>) -> String {
    let names: Vec<&str> = unready.iter().map(String::as_str).collect();
    if names.is_empty() { String::new() } else { format!(", not ready: {}", names.join(", ")) }
}

/// Reports whether so many pods of so many must stay that none of them may go.
pub(super) fn never_allows(desired: i32, expected: i32) -> bool {
    expected > 0 && desired >= expected
}

impl BudgetFacts {
    /// Reports whether the budget never allows an eviction, because all of its pods must stay healthy.
    pub fn never_allows(&self) -> bool {
        never_allows(self.desired, self.expected)
    }

    /// Reports whether the API evicts this pod although the budget allows no disruption: the pod is not ready, and
    /// the budget allows the eviction of unready pods, or enough other pods are healthy.
    pub fn lets_go(&self, pod: &str) -> bool {
        let enough = self.desired > 0 && self.healthy >= self.desired;
        self.unready.contains(pod) && (self.lets_unready_go || enough)
    }
}

//! PodDisruptionBudgets whose allowed disruptions cannot simply be counted: which of them a plan refuses, and which
//! it reports.

use rstest::rstest;
use seatrial::upgrade::{BudgetFacts, EtcdPolicy, Refusal, UpgradePlan};
use serde_json::{Value, json};

use super::refused::{Ground, ground};
use super::{cluster, releases, v};

/// A budget for one pod of `w1`.
fn budget(name: &str) -> BudgetFacts {
    BudgetFacts {
        name: name.into(),
        pods: vec![("shop/web-1".into(), "w1".into())],
        ..BudgetFacts::default()
    }
}

/// The refusals, or the warnings, of a plan for a cluster with these budgets.
fn told(budgets: &[BudgetFacts]) -> Result<String, Vec<Refusal>> {
    let mut facts = cluster(&["cp", "w1", "w2"]);
    facts.budgets = budgets.to_vec();
    let plan = UpgradePlan::make(&facts, &releases(), v("1.35.4"), EtcdPolicy::Upgrade)?;
    Ok(plan.warnings.join("\n"))
}

#[test]
fn a_budget_that_cannot_be_counted_is_a_refusal() {
    let why = "jobs.batch does not implement the scale subresource";
    let refused = told(&[BudgetFacts { uncounted: Some(why.into()), ..budget("shop/batch") }]).unwrap_err();
    let [refusal @ Refusal::Uncounted { .. }] = &refused[..] else { panic!("{refused:?}") };
    let text = refusal.to_string();
    assert!(
        text.contains("PodDisruptionBudget shop/batch never allows the eviction of shop/web-1 from w1"),
        "{text}"
    );
    assert!(text.ends_with(why) && refusal.hint().unwrap().contains("minAvailable"), "{text}");
    // The budget was created a moment ago.
    let fresh = told(&[budget("shop/batch")]).unwrap();
    assert!(
        fresh.contains("shop/batch allows no eviction right now (its controller has not counted"),
        "{fresh}"
    );
}

#[rstest]
#[case::always(true, 0, 1, true)]
#[case::enough_others(false, 2, 2, true)]
#[case::too_few_others(false, 1, 2, false)]
#[case::none_must_stay(false, 0, 0, false)]
fn a_pod_that_is_not_ready_may_go_where_its_policy_lets_it(
    #[case] always: bool,
    #[case] healthy: i32,
    #[case] desired: i32,
    #[case] goes: bool,
) {
    let unready = ["shop/web-1".to_owned()].into();
    let sick = BudgetFacts {
        unready,
        lets_unready_go: always,
        healthy,
        desired,
        expected: 3,
        ..budget("shop/sick")
    };
    let warnings = told(std::slice::from_ref(&sick)).unwrap();
    assert_eq!(warnings.is_empty(), goes, "{warnings}");
    assert!(goes || warnings.contains("must stay, not ready: shop/web-1)"), "{warnings}");
    // The same for a budget that requires all pods.
    let all = told(&[BudgetFacts { desired: 3, healthy: 2, ..sick }]);
    assert_eq!(all.is_err(), !always, "{all:?}");
}

#[test]
fn a_budget_without_pods_is_reported() {
    let warnings =
        told(&[BudgetFacts { name: "shop/none".into(), selects_none: true, ..BudgetFacts::default() }]);
    assert!(warnings.unwrap().contains("PodDisruptionBudget shop/none selects no pod"));
    // A budget on pods that a drain leaves in place is no problem.
    assert_eq!(
        told(&[BudgetFacts { pods: Vec::new(), expected: 1, ..budget("shop/agents") }]),
        Ok(String::new())
    );
}

#[test]
fn two_budgets_for_one_pod_are_a_refusal() {
    let open = |name| BudgetFacts { expected: 3, desired: 1, healthy: 3, allowed: 2, ..budget(name) };
    assert_eq!(told(&[open("shop/a")]), Ok(String::new()));
    let refused = told(&[open("shop/a"), open("shop/b")]).unwrap_err();
    let [refusal @ Refusal::TwoBudgets { .. }] = &refused[..] else { panic!("{refused:?}") };
    assert!(refusal.to_string().starts_with(
        "pod shop/web-1 on w1 is counted by the PodDisruptionBudgets shop/a and shop/b: the API refuses every eviction"
    ));
}

/// A budget as the API shows it, on the pods with this label.
fn shown(name: &str, app: &str, spec: Value, status: Value) -> Value {
    let mut budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": app}}},
        "status": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0},
    });
    for (part, more) in [("spec", spec), ("status", status)] {
        budget[part].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    budget
}

async fn facts(ground: &Ground) -> BudgetFacts {
    let mut found = ground.facts().await.budgets;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[tokio::test]
async fn a_budget_is_read_as_the_api_shows_it() {
    let ground = ground().await;
    let condition = json!({"conditions": [{
        "type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed",
        "message": "jobs.batch does not implement\u{1b}[2J the scale subresource", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]});
    ground.api.put(shown("web", "web", json!({}), condition));
    let uncounted = facts(&ground).await;
    assert_eq!(uncounted.uncounted.as_deref(), Some("jobs.batch does not implement the scale subresource"));
    assert_eq!(uncounted.pods, [("default/web-1".to_owned(), "w".to_owned())]);
    assert!(!uncounted.lets_unready_go && uncounted.unready.is_empty() && !uncounted.selects_none);
    let reasons = ground.reasons("1.35.4").await;
    assert!(reasons.len() == 1 && reasons[0].contains("its controller cannot count its pods"), "{reasons:?}");

    let counts = json!({"currentHealthy": 0, "desiredHealthy": 1, "expectedPods": 1});
    ground.api.put(shown("web", "web", json!({"unhealthyPodEvictionPolicy": "AlwaysAllow"}), counts));
    ground.api.change("Pod", "default", "web-1", |p| p["status"]["conditions"][0]["status"] = json!("False"));
    let sick = facts(&ground).await;
    assert!(
        sick.lets_unready_go && sick.uncounted.is_none() && sick.unready.contains("default/web-1"),
        "{sick:?}"
    );
    assert_eq!(ground.reasons("1.35.4").await, Vec::<String>::new());

    // The API evicts a Pending pod without consulting its budget.
    ground.api.change("Pod", "default", "web-1", |p| p["status"]["phase"] = json!("Pending"));
    assert!(facts(&ground).await.pods.is_empty());
    ground.api.put(shown("web", "nobody", json!({}), json!({})));
    assert!(facts(&ground).await.selects_none);
}

//! The steps of plans, and each reason to refuse an upgrade.

use rstest::rstest;
use seatrial::judge::upgrade::{AHEAD, SKIPPED};
use seatrial::node::Role;
use seatrial::upgrade::{
    BudgetFacts, ClusterFacts, Component, EtcdPolicy, Refusal, ReleaseFacts, UpgradePlan,
};

use super::{cluster, releases, v};

fn plan(facts: &ClusterFacts, to: &str) -> Result<UpgradePlan, Vec<Refusal>> {
    UpgradePlan::make(facts, &releases(), v(to), EtcdPolicy::Upgrade)
}

/// The only reason to refuse this upgrade.
fn refusal(facts: &ClusterFacts, to: &str) -> Refusal {
    let mut refused = plan(facts, to).expect_err("it was planned");
    assert_eq!(refused.len(), 1, "{refused:?}");
    refused.remove(0)
}

fn titles(plan: &UpgradePlan) -> Vec<String> {
    plan.hops.iter().flat_map(|h| &h.steps).map(|s| s.title()).collect()
}

fn three() -> ClusterFacts {
    cluster(&["cp", "w1", "w2"])
}

#[test]
fn control_planes_come_before_kubelets_and_workers_one_after_another() {
    let plan = plan(&three(), "1.35.4").unwrap();
    let steps = [
        "preload",
        "apply cp",
        "drain cp",
        "kubelet cp",
        "uncordon cp",
        "drain w1",
        "configure w1",
        "kubelet w1",
        "uncordon w1",
        "drain w2",
        "configure w2",
        "kubelet w2",
        "uncordon w2",
        "settle",
    ];
    assert_eq!(titles(&plan), steps);
    let [hop] = plan.hops.as_slice() else { panic!() };
    assert_eq!((hop.etcd, hop.coredns), (Some(v("3.6.6")), Some(v("1.13.1"))));
    let at = |title: &str| &hop.steps.iter().find(|s| s.title() == title).unwrap().after;
    let applied = at("apply cp");
    assert_eq!(applied.control_planes["cp"][&Component::KubeApiserver], v("1.35.4"));
    assert_eq!(applied.control_planes["cp"][&Component::Etcd], v("3.6.6"));
    assert_eq!((applied.kubelets["cp"], applied.proxies["w2"]), (v("1.34.4"), v("1.35.4")));
    assert_eq!(at("kubelet w1").kubelets["w2"], v("1.34.4"));
    assert!(at("settle").kubelets.values().all(|k| *k == v("1.35.4")));
}

#[test]
fn no_state_of_any_plan_violates_the_skew_policy() {
    for nodes in [&["cp"][..], &["cp", "w1", "w2"], &["cp", "cp2", "cp3", "w1", "w2"]] {
        for to in ["1.34.4", "1.35.4", "1.36.3", "1.37.2"] {
            let plan = plan(&cluster(nodes), to).unwrap();
            for step in plan.hops.iter().flat_map(|h| &h.steps) {
                assert_eq!(step.after.violations(), Vec::<String>::new(), "{nodes:?} {to} {}", step.title());
            }
        }
    }
}

#[test]
fn with_three_control_planes_no_kubelet_is_new_before_every_server_is() {
    let plan = plan(&cluster(&["cp", "cp2", "cp3", "w1"]), "1.35.4").unwrap();
    assert_eq!(
        titles(&plan)[..6],
        ["preload", "apply cp", "configure cp2", "configure cp3", "drain cp", "kubelet cp"]
    );
    // kubeadm upgrades kube-proxy together with the last control plane.
    let proxy = |i: usize| plan.hops[0].steps[i].after.proxies["w1"];
    assert_eq!([proxy(1), proxy(2), proxy(3)], [v("1.34.4"), v("1.34.4"), v("1.35.4")]);
}

#[test]
fn several_minor_versions_are_several_hops() {
    let plan = plan(&three(), "1.37.2").unwrap();
    let hops: Vec<String> = plan.hops.iter().map(|h| format!("{} -> {}", h.from, h.to)).collect();
    assert_eq!(hops, ["1.34.4 -> 1.35.4", "1.35.4 -> 1.36.3", "1.36.3 -> 1.37.2"]);
    assert_eq!(
        plan.expected(),
        plan.hops.iter().flat_map(|h| &h.steps).map(|s| s.expected).sum::<std::time::Duration>()
    );
}

#[test]
fn finished_steps_are_not_repeated() {
    let whole = plan(&three(), "1.35.4").unwrap();
    // After a kill in any step, the new plan has the remaining steps, from the beginning of that node.
    for (i, step) in whole.hops[0].steps.iter().enumerate() {
        let mut facts = three();
        facts.state = step.after.clone();
        if ["drain", "configure", "kubelet"].contains(&step.step.name()) {
            let node = step.node.clone().unwrap();
            facts.nodes.iter_mut().find(|n| n.name == node).unwrap().cordoned = true;
            facts.cordoned_by_us.insert(node);
        }
        let rest = titles(&plan(&facts, "1.35.4").unwrap());
        let left = titles(&whole).split_off(i + 1);
        match step.title().as_str() {
            "preload" => assert_eq!(rest, titles(&whole)),
            "uncordon w2" | "settle" => assert_eq!(rest, Vec::<String>::new(), "{}", step.title()),
            title => {
                let last = rest.len() - left.len().min(rest.len());
                assert!(rest.ends_with(&left) && last <= 4, "after {title}: {rest:?}");
            }
        }
    }
}

#[test]
fn a_hop_that_was_begun_is_ended_before_the_next() {
    let mut facts = three();
    facts.state = plan(&facts, "1.35.3").unwrap().hops[0].steps[4].after.clone();
    let plan = plan(&facts, "1.36.3").unwrap();
    assert_eq!(plan.hops.iter().map(|h| h.to).collect::<Vec<_>>(), [v("1.35.3"), v("1.36.3")]);
    assert_eq!(titles(&plan)[..2], ["preload", "drain w1"]);
}

#[test]
fn etcd_may_stay() {
    let plan = UpgradePlan::make(&three(), &releases(), v("1.35.4"), EtcdPolicy::Keep).unwrap();
    assert_eq!(plan.hops[0].steps[1].after.control_planes["cp"][&Component::Etcd], v("3.6.5"));
}

#[test]
fn an_upgrade_may_stop_where_no_node_is_between_two_versions() {
    let plan = plan(&three(), "1.36.3").unwrap();
    let control_planes = ["cp".to_owned()];
    let stop = |name: &str| plan.stop_after(name, &control_planes).map_err(|error| error.to_string());
    assert_eq!(stop("control-plane"), Ok((v("1.35.4"), "uncordon cp".into())));
    assert_eq!(stop("w1"), Ok((v("1.35.4"), "uncordon w1".into())));
    assert_eq!(stop("preload"), Ok((v("1.35.4"), "preload".into())));
    assert_eq!(stop("apply cp"), Ok((v("1.35.4"), "apply cp".into())));
    assert!(stop("kubelet w1").unwrap_err().contains("between two versions"));
    assert!(
        stop("w9").unwrap_err().contains("possible steps to stop after: control-plane, preload, apply cp")
    );
}

#[test]
fn a_minor_version_without_a_release_is_not_skipped() {
    let mut few: Vec<ReleaseFacts> = releases();
    few.retain(|r| r.version.line() != "1.35");
    let refused = UpgradePlan::make(&three(), &few, v("1.36.3"), EtcdPolicy::Upgrade).unwrap_err();
    let text = refused[0].to_string();
    assert!(matches!(&refused[..], [Refusal::SkipsMinor { line, .. }] if line == "1.35"), "{text}");
    // D1 looks for these words in the recorded answer, also in older runs.
    assert!(text.ends_with("no minor version is skipped") && text.ends_with(SKIPPED), "{text}");
}

#[test]
fn nothing_is_downgraded() {
    assert!(matches!(refusal(&three(), "1.33.13"), Refusal::Downgrade { .. }));
    let mut ahead = three();
    ahead.state = plan(&ahead, "1.35.4").unwrap().hops[0].steps.last().unwrap().after.clone();
    assert!(matches!(refusal(&ahead, "1.35.3"), Refusal::Downgrade { .. }));
    assert!(plan(&ahead, "1.35.4").unwrap().hops.is_empty());
}

#[test]
fn a_kubelet_ahead_of_the_api_server_is_refused() {
    let mut facts = three();
    facts.state.kubelets.insert("w1".into(), v("1.35.4"));
    let text = refusal(&facts, "1.35.4").to_string();
    assert_eq!(text, "as it is now: kubelet 1.35.4 of w1 is ahead of kube-apiserver 1.34.4");
    assert!(text.contains(AHEAD));
}

#[test]
fn every_node_must_be_ours_ready_and_schedulable() {
    type Change = fn(&mut ClusterFacts);
    let cases: [(Change, &str); 3] = [
        (
            |f| f.nodes[1].foreign = Some("made by hand".into()),
            "w1 was not created by seatrial: made by hand",
        ),
        (|f| f.nodes[1].not_ready = Some("Ready=Unknown".into()), "w1 is not ready: Ready=Unknown"),
        (|f| f.nodes[1].cordoned = true, "w1 was cordoned by somebody else"),
    ];
    for (change, text) in cases {
        let mut facts = three();
        change(&mut facts);
        assert_eq!(refusal(&facts, "1.35.4").to_string(), text);
    }
    let mut both = three();
    both.nodes[1].not_ready = Some("down".into());
    both.nodes[2].cordoned = true;
    assert_eq!(plan(&both, "1.35.4").unwrap_err().len(), 2, "all reasons at once");
}

#[test]
fn a_budget_that_never_allows_an_eviction_is_named_with_its_pod() {
    let mut facts = three();
    let mut budget = BudgetFacts {
        name: "shop/web".into(),
        pods: vec![("shop/web-1".into(), "w1".into())],
        expected: 1,
        desired: 1,
        healthy: 1,
        ..BudgetFacts::default()
    };
    facts.budgets.push(budget.clone());
    assert_eq!(
        refusal(&facts, "1.35.4").to_string(),
        "PodDisruptionBudget shop/web never allows the eviction of shop/web-1 from w1: 1 of 1 pods must stay"
    );
    // A budget that forbids the eviction only at the moment is waited for, and reported beforehand.
    (budget.expected, budget.healthy) = (2, 1);
    facts.budgets = vec![budget];
    assert!(plan(&facts, "1.35.4").unwrap().warnings[0].contains("PodDisruptionBudget shop/web"));
}

#[test]
fn a_pod_that_a_drain_would_lose_is_named() {
    let mut facts = three();
    facts.unmanaged.insert("w2".into(), vec!["shop/alone".into()]);
    assert!(refusal(&facts, "1.35.4").to_string().starts_with("pod shop/alone on w2 has no controller"));
}

#[test]
fn disk_is_counted_over_all_nodes_and_hops() {
    let mut facts = three();
    facts.nodes[2].free = 2_900_000_000;
    let text = refusal(&facts, "1.35.4").to_string();
    assert_eq!(text, "w2 has 2900 MB free, 3000 MB are needed for Kubernetes 1.35.4 on 3 node(s)");
    facts.nodes.iter_mut().for_each(|n| _ = n.programs.insert(v("1.35.4")));
    assert!(plan(&facts, "1.35.4").is_ok(), "nothing is brought there twice");
    facts.nodes[2].free = 100;
    assert!(matches!(refusal(&facts, "1.36.3"), Refusal::Disk { version, .. } if version == v("1.36.3")));
}

#[test]
fn a_kubelet_that_refuses_cgroup_v1_is_refused_before_the_first_step() {
    for told in [None, Some(true)] {
        let mut facts = three();
        facts.fail_cgroup_v1 = told;
        let refused = plan(&facts, "1.35.4").unwrap_err();
        assert!(
            refused.iter().all(|r| matches!(r, Refusal::Cgroup { .. })) && refused.len() == 3,
            "{refused:?}"
        );
        facts.nodes.iter_mut().for_each(|n| n.cgroup = 2);
        assert!(plan(&facts, "1.35.4").is_ok());
        facts.nodes.iter_mut().for_each(|n| n.cgroup = 1);
        assert!(plan(&facts, "1.34.4").unwrap().hops.is_empty());
    }
}

#[test]
fn an_unavailable_version_is_refused_with_the_reason() {
    let mut dear = releases();
    dear[3].unreachable = Some("making root file systems needs root".into());
    let refused = UpgradePlan::make(&three(), &dear, v("1.36.3"), EtcdPolicy::Upgrade).unwrap_err();
    assert_eq!(
        refused[0].to_string(),
        "Kubernetes 1.35.4 is not available: making root file systems needs root"
    );
    let text = refusal(&three(), "1.35.9").to_string();
    assert!(text.starts_with("Kubernetes 1.35.9 is unknown: the image profile has 1.33.13, 1.34.4"));
}

#[test]
fn etcd_and_coredns_are_compared_with_the_new_kubeadms_versions() {
    let mut facts = three();
    facts.state.control_planes.get_mut("cp").unwrap().insert(Component::Etcd, v("3.7.0"));
    let text = refusal(&facts, "1.35.4").to_string();
    assert_eq!(text, "Kubernetes 1.35.4: etcd 3.7.0 cannot be downgraded to 3.6.6");
    assert!(UpgradePlan::make(&facts, &releases(), v("1.35.4"), EtcdPolicy::Keep).is_ok());
    let mut facts = three();
    facts.state.coredns = Some(v("1.20.0"));
    assert!(refusal(&facts, "1.35.4").to_string().contains("CoreDNS 1.20.0 cannot be downgraded"));
}

/// The versions in a registry's node image are unknown until the image was pulled.
#[test]
fn a_plan_says_what_it_could_not_check_yet() {
    let mut later = releases();
    later[3].etcd = None;
    let mut facts = three();
    facts.state.control_planes.get_mut("cp").unwrap().insert(Component::Etcd, v("3.7.0"));
    let plan = UpgradePlan::make(&facts, &later, v("1.35.4"), EtcdPolicy::Upgrade).unwrap();
    assert!(
        plan.warnings.iter().any(|w| w.starts_with("the etcd and CoreDNS versions of 1.35.4")),
        "{:?}",
        plan.warnings
    );
    let known = UpgradePlan::make(&three(), &releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap();
    assert!(
        !known.warnings.iter().any(|w| w.contains("the etcd and CoreDNS versions")),
        "{:?}",
        known.warnings
    );
}

#[test]
fn a_refusal_that_a_command_can_fix_names_the_command() {
    let mut facts = three();
    facts.nodes[1].cordoned = true;
    assert_eq!(refusal(&facts, "1.35.4").hint().as_deref(), Some("kubectl uncordon w1"));
    assert_eq!(facts.of(Role::Worker).count(), 2);
}

/// An etcd that is not seen once counted as done, unlike every other component of the control plane. An outdated etcd
/// (an earlier command had `--keep-etcd`) was skipped when etcd had to be upgraded. The plan mentioned neither.
#[rstest]
fn an_etcd_that_is_not_at_its_goal_is_upgraded_or_reported(
    #[values(&["cp", "w1"][..], &["cp", "cp2", "cp3", "w1"])] nodes: &[&str],
    #[values(None, Some("3.6.5"))] etcd: Option<&str>,
) {
    let make = |facts: &ClusterFacts| {
        UpgradePlan::make(facts, &releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap()
    };
    let mut facts = cluster(nodes);
    // `apply cp` has ended.
    let whole = make(&facts);
    facts.state = whole.hops[0].steps.iter().find(|s| s.title() == "apply cp").unwrap().after.clone();
    let parts = facts.state.control_planes.get_mut("cp").unwrap();
    match etcd {
        Some(version) => _ = parts.insert(Component::Etcd, v(version)),
        None => _ = parts.remove(&Component::Etcd),
    }
    let plan = make(&facts);
    let titles: Vec<String> = plan.hops[0].steps.iter().map(|step| step.title()).collect();
    let last = &plan.hops[0].steps.last().unwrap().after;
    let arrived = last.control_planes.values().all(|parts| parts.get(&Component::Etcd) == Some(&v("3.6.6")));
    assert!(arrived || plan.warnings.iter().any(|w| w.contains("etcd")), "{titles:?} {:?}", plan.warnings);
}

/// The way to 1.36 leads through "the newest release" of 1.35. A release candidate is not a release.
#[test]
fn an_intermediate_hop_leads_to_a_release_and_not_to_a_candidate() {
    let mut known = releases();
    let candidate = seatrial::upgrade::ReleaseFacts { version: v("1.35.5-rc.0"), ..known[3].clone() };
    known.push(candidate);
    let facts = cluster(&["cp", "w1"]);
    let plan = UpgradePlan::make(&facts, &known, v("1.36.3"), EtcdPolicy::Upgrade).unwrap();
    assert_eq!(plan.hops[0].to, v("1.35.4"));
}

//! Plans that resume interrupted upgrades, and plans' rules about full versions.

use seatrial::upgrade::{ClusterFacts, Component, EtcdPolicy, Refusal, ReleaseFacts, UpgradePlan, Version};

use super::{cluster, releases, v};

fn plan(facts: &ClusterFacts, to: &str) -> UpgradePlan {
    UpgradePlan::make(facts, &releases(), v(to), EtcdPolicy::Upgrade).unwrap()
}

fn titles(plan: &UpgradePlan) -> Vec<String> {
    plan.hops.iter().flat_map(|h| &h.steps).map(|s| s.title()).collect()
}

/// A cluster with everything at 1.35.4, except the version that kubeadm has recorded.
fn unnoted() -> ClusterFacts {
    let mut facts = cluster(&["cp", "cp2", "cp3", "w1"]);
    facts.state = plan(&facts, "1.35.4").hops[0].steps.last().unwrap().after.clone();
    facts.state.config = Some(v("1.34.4"));
    facts
}

/// `kubeadm upgrade apply` ended between the static pods and upload-config.
#[test]
fn an_apply_that_did_not_record_the_version_is_repeated() {
    let mut facts = cluster(&["cp", "cp2", "cp3", "w1"]);
    for (component, version) in facts.state.control_planes.get_mut("cp").unwrap() {
        *version = if *component == Component::Etcd { v("3.6.6") } else { v("1.35.4") };
    }
    let resumed = plan(&facts, "1.35.4");
    assert_eq!(titles(&resumed)[..4], ["preload", "apply cp", "configure cp2", "configure cp3"]);
    // Also if no other step is left, and before the next minor version.
    assert_eq!(titles(&plan(&unnoted(), "1.35.4")), ["preload", "apply cp", "settle"]);
    let next = plan(&unnoted(), "1.36.3");
    assert_eq!(next.hops.iter().map(|h| h.to).collect::<Vec<_>>(), [v("1.35.4"), v("1.36.3")]);
    // A cluster without a recorded version is not finished either.
    let mut nothing = unnoted();
    nothing.state.config = None;
    assert_eq!(titles(&plan(&nothing, "1.35.4")), ["preload", "apply cp", "settle"]);
}

#[test]
fn a_component_that_is_not_seen_is_not_finished() {
    for unseen in [Component::KubeApiserver, Component::KubeControllerManager, Component::KubeScheduler] {
        let mut facts = unnoted();
        facts.state.config = Some(v("1.35.4"));
        facts.state.control_planes.get_mut("cp2").unwrap().remove(&unseen);
        let plan = plan(&facts, "1.35.4");
        assert_eq!(titles(&plan), ["preload", "configure cp2", "settle"], "{unseen}");
        let after = &plan.hops[0].steps.last().unwrap().after;
        assert_eq!(after.control_planes["cp2"][&unseen], v("1.35.4"), "{unseen} is to be there afterwards");
    }
    // No component of a control plane is seen.
    let mut facts = cluster(&["cp", "cp2", "cp3", "w1"]);
    facts.state.control_planes.remove("cp2");
    let plan = plan(&facts, "1.35.4");
    let steps = &plan.hops[0].steps;
    assert_eq!(titles(&plan)[..4], ["preload", "apply cp", "configure cp2", "configure cp3"]);
    assert_eq!(steps[2].after.control_planes["cp2"].len(), Component::ALL.len());
    // kubeadm upgrades kube-proxy together with the last control plane.
    assert_eq!([1, 2, 3].map(|i| steps[i].after.proxies["w1"]), [v("1.34.4"), v("1.34.4"), v("1.35.4")]);
    assert_eq!([0, 1].map(|i| steps[i].after.config), [Some(v("1.34.4")), Some(v("1.35.4"))]);
}

/// kube-proxy is rolled out while the facts are read, and one node has none.
#[test]
fn a_node_without_kube_proxy_gets_one_where_the_others_have_one() {
    let mut facts = unnoted();
    facts.state.config = Some(v("1.35.4"));
    facts.state.proxies.remove("w1");
    let plan = plan(&facts, "1.35.4");
    assert_eq!(titles(&plan), ["preload", "configure cp3", "settle"]);
    assert_eq!(plan.hops[0].steps[1].after.proxies["w1"], v("1.35.4"));
    // A cluster without kube-proxy needs none.
    facts.state.proxies.clear();
    assert!(
        UpgradePlan::make(&facts, &releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap().hops.is_empty()
    );
}

#[test]
fn an_outdated_dns_is_upgraded_too() {
    let mut facts = unnoted();
    (facts.state.config, facts.state.coredns) = (Some(v("1.35.4")), Some(v("1.12.1")));
    assert_eq!(titles(&plan(&facts, "1.35.4")), ["preload", "configure cp3", "settle"]);
}

/// Refusals and warnings of an upgrade from 1.33 with this etcd to 1.34 with etcd 3.6.5.
fn from_etcd(nodes: &[&str], etcd: &str, policy: EtcdPolicy) -> Result<UpgradePlan, Vec<Refusal>> {
    let mut facts = cluster(nodes);
    for (component, version) in facts.state.control_planes.values_mut().flatten() {
        *version = v(if *component == Component::Etcd { etcd } else { "1.33.13" });
    }
    for part in [&mut facts.state.kubelets, &mut facts.state.proxies, &mut facts.state.kubectls] {
        part.values_mut().for_each(|version| *version = v("1.33.13"));
    }
    (facts.state.coredns, facts.state.config) = (Some(v("1.12.0")), Some(v("1.33.13")));
    UpgradePlan::make(&facts, &releases(), v("1.34.4"), policy)
}

#[test]
fn etcd_before_3_5_26_does_not_go_to_3_6() {
    let three = ["cp", "cp2", "cp3", "w1"];
    for etcd in ["3.5.16-0", "3.5.21-0", "3.5.24-0", "3.5.25-0"] {
        let refused = from_etcd(&three, etcd, EtcdPolicy::Upgrade).unwrap_err();
        let [refusal @ Refusal::Members { .. }] = &refused[..] else { panic!("{refused:?}") };
        let text = refusal.to_string();
        assert!(text.contains("must not go to 3.6.5 before 3.5.26"), "{text}");
        assert!(refusal.hint().unwrap().contains("--keep-etcd"));
        assert!(from_etcd(&three, etcd, EtcdPolicy::Keep).is_ok());
        // A single etcd member has no other member to return to, unless one was removed.
        let alone = from_etcd(&["cp", "w1"], etcd, EtcdPolicy::Upgrade).unwrap();
        assert!(alone.warnings.iter().any(|w| w.contains("3.5.26")), "{:?}", alone.warnings);
    }
    for etcd in ["3.5.26-0", "3.5.27-0"] {
        let plan = from_etcd(&three, etcd, EtcdPolicy::Upgrade).unwrap();
        assert!(!plan.warnings.iter().any(|w| w.contains("3.5.26")), "{:?}", plan.warnings);
    }
}

#[test]
fn a_pre_release_is_no_release() {
    let facts = cluster(&["cp", "w1"]);
    let refused = UpgradePlan::make(&facts, &releases(), v("1.35.4-rc.1"), EtcdPolicy::Upgrade).unwrap_err();
    assert!(refused[0].to_string().starts_with("Kubernetes 1.35.4-rc.1 is unknown: "), "{refused:?}");
    // Rules for its minor version apply to the pre-release.
    let candidate = ReleaseFacts { version: v("1.35.0-rc.1"), ..releases()[2].clone() };
    let mut refusing = cluster(&["cp", "w1"]);
    refusing.fail_cgroup_v1 = None;
    let refused = UpgradePlan::make(
        &refusing,
        std::slice::from_ref(&candidate),
        candidate.version,
        EtcdPolicy::Upgrade,
    );
    assert!(matches!(refused.unwrap_err()[..], [Refusal::Cgroup { .. }, Refusal::Cgroup { .. }]));
    let plan = UpgradePlan::make(&facts, &[candidate], v("1.35.0-rc.1"), EtcdPolicy::Upgrade).unwrap();
    assert_eq!(
        plan.hops[0].steps[1].after.config.as_ref().map(Version::to_string).as_deref(),
        Some("1.35.0-rc.1")
    );
    // The release is an upgrade from its pre-release.
    let mut there = cluster(&["cp", "w1"]);
    there.state = plan.hops[0].steps.last().unwrap().after.clone();
    let release = ReleaseFacts { version: v("1.35.0"), ..releases()[2].clone() };
    assert!(
        !UpgradePlan::make(&there, &[release], v("1.35.0"), EtcdPolicy::Upgrade).unwrap().hops.is_empty()
    );
}

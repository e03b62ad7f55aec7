//! Which versions may run next to each other. Sources: kubernetes.io/releases/version-skew-policy; kubeadm's
//! documentation, "Upgrading kubeadm clusters"; etcd's documentation, "Upgrading". A [`State`] is the set of running
//! versions. An upgrade's plan computes the state after each of its steps, and no state may break a rule.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::version::Version;

/// A component of the control plane that each control plane node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// etcd.
    Etcd,
    /// kube-apiserver.
    KubeApiserver,
    /// kube-controller-manager.
    KubeControllerManager,
    /// kube-scheduler.
    KubeScheduler,
}

impl Component {
    /// All components in the order in which kubeadm upgrades them.
    pub const ALL: [Self; 4] =
        [Self::Etcd, Self::KubeApiserver, Self::KubeControllerManager, Self::KubeScheduler];

    /// Returns the name of its static pod and of its image.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
        }
    }
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The versions of all components at one time. Components that do not exist, such as kube-proxy in a cluster without
/// it, are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The components of each control plane node, by node.
    #[serde(rename = "planes")]
    pub control_planes: BTreeMap<String, BTreeMap<Component, Version>>,
    /// The kubelet of each node.
    pub kubelets: BTreeMap<String, Version>,
    /// The kube-proxy of each node.
    pub proxies: BTreeMap<String, Version>,
    /// The kubectl of each node.
    pub kubectls: BTreeMap<String, Version>,
    /// CoreDNS of the cluster.
    pub coredns: Option<Version>,
    /// The cluster's `kubernetesVersion` in the ClusterConfiguration of the ConfigMap `kubeadm-config` in kube-system,
    /// which `kubeadm upgrade apply` writes after the static pods. Missing in records of earlier versions of seatrial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Version>,
}

impl State {
    /// Returns the versions of one component, by node.
    pub fn all(&self, component: Component) -> impl Iterator<Item = (&str, Version)> {
        self.control_planes.iter().filter_map(move |(node, c)| Some((node.as_str(), *c.get(&component)?)))
    }

    /// Returns the oldest and the newest version of the API servers.
    pub fn servers(&self) -> Option<(Version, Version)> {
        let versions = || self.all(Component::KubeApiserver).map(|(_, v)| v);
        Some((versions().min()?, versions().max()?))
    }

    /// Returns one sentence for each broken rule, with the names of both components.
    pub fn violations(&self) -> Vec<String> {
        let Some((oldest, newest)) = self.servers() else {
            return vec!["no API server is known".into()];
        };
        let servers = Servers { oldest, newest };
        let mut broken = Vec::new();
        if newest.minors_ahead(oldest) > 1 {
            broken
                .push(format!("kube-apiservers {oldest} and {newest} are more than one minor version apart"));
        }
        for component in [Component::KubeControllerManager, Component::KubeScheduler] {
            for (node, version) in self.all(component) {
                // Each component connects to the API server of its own node, as kubeadm's kubeconfigs say.
                let server =
                    self.control_planes[node].get(&Component::KubeApiserver).copied().unwrap_or(oldest);
                let own = Servers { oldest: server, newest: server };
                against(&mut broken, &format!("{component} {version} of {node}"), version, own, 1);
            }
        }
        for (node, version) in &self.kubelets {
            // The limit is two for kubelets before 1.25.
            let behind = if version.is_of_or_after(1, 25) { 3 } else { 2 };
            against(&mut broken, &format!("kubelet {version} of {node}"), *version, servers, behind);
        }
        for (node, version) in &self.proxies {
            let behind = if version.is_of_or_after(1, 25) { 3 } else { 2 };
            let what = format!("kube-proxy {version} of {node}");
            against(&mut broken, &what, *version, servers, behind);
            if let Some(kubelet) = self.kubelets.get(node)
                && version.minors_ahead(*kubelet).abs() > behind
            {
                broken.push(format!(
                    "{what} and its kubelet {kubelet} are more than {behind} minor versions apart"
                ));
            }
        }
        for (node, version) in &self.kubectls {
            if version.minors_ahead(oldest) > 1 || newest.minors_ahead(*version) > 1 {
                broken.push(format!(
                    "kubectl {version} of {node} is more than one minor version away from kube-apiserver {}",
                    if version.minors_ahead(oldest) > 1 { oldest } else { newest }
                ));
            }
        }
        let etcds: Vec<Version> = self.all(Component::Etcd).map(|(_, v)| v).collect();
        if let (Some(low), Some(high)) = (etcds.iter().min(), etcds.iter().max())
            && high.minors_ahead(*low) > 1
        {
            broken.push(format!("etcd {low} and {high} are more than one minor version apart"));
        }
        broken
    }
}

/// Ends the refusal of a plan that skips a minor version. D1 looks for these words in the recorded answer, so they stay.
pub const SKIPPED: &str = "no minor version is skipped";
/// Part of the refusal of a component that is newer than its API server. D1 looks for these words, so they stay.
pub const AHEAD: &str = "is ahead of kube-apiserver";

/// The API servers that a component may connect to.
#[derive(Clone, Copy)]
struct Servers {
    oldest: Version,
    newest: Version,
}

/// Checks a component that must not be newer than the oldest API server it may connect to, and at most `behind` minor
/// versions older than the newest.
fn against(broken: &mut Vec<String>, what: &str, version: Version, servers: Servers, behind: i64) {
    let Servers { oldest, newest } = servers;
    // The policy compares only minor versions: a later patch release is not ahead.
    if version.minors_ahead(oldest) > 0 {
        broken.push(format!("{what} {AHEAD} {oldest}"));
    }
    if newest.minors_ahead(version) > behind {
        broken.push(format!("{what} is more than {behind} minor versions behind kube-apiserver {newest}"));
    }
}

/// Returns the reasons why kubeadm of version `to` cannot upgrade from this state; empty if it can.
///
/// kubeadm deploys control planes of its own minor version or one older, and accepts kubelets down to
/// three minors older (`MinimumControlPlaneVersion` and `MinimumKubeletVersion` of
/// `cmd/kubeadm/app/constants`).
pub fn kubeadm_reaches(state: &State, to: Version) -> Vec<String> {
    let mut broken = Vec::new();
    for (node, version) in state.all(Component::KubeApiserver) {
        let ahead = to.minors_ahead(version);
        if to < version {
            broken.push(format!(
                "kube-apiserver {version} of {node} is newer than {to}: kubeadm downgrades nothing"
            ));
        } else if ahead > 1 {
            broken.push(format!(
                "kubeadm {to} upgrades a control plane of {} at most, {node} has {version}",
                Version::new(to.major, to.minor.saturating_sub(1), 0).line()
            ));
        }
    }
    for (node, version) in &state.kubelets {
        if to.minors_ahead(*version) > 3 {
            broken.push(format!("kubeadm {to} does not support kubelet {version} of {node}"));
        }
    }
    broken
}

/// Returns why etcd may not go from one version to another; none if it may. etcd goes forward only, one minor version
/// at a time.
pub fn etcd_step(from: Version, to: Version) -> Option<String> {
    match to.minors_ahead(from) {
        _ if to < from => Some(format!("etcd {from} cannot be downgraded to {to}")),
        0 | 1 => None,
        _ => Some(format!("etcd goes one minor version at a time, {from} to {to} skips one")),
    }
}

/// The first etcd that repairs its list of members; etcd 3.6 and later read the list from another store.
const REPAIRS_MEMBERS: Version = Version::new(3, 5, 26);

/// Returns the known risk for etcd's members on the way from one version to another; none if no risk is known. etcd up
/// to 3.5 reads the list of members from one store, and etcd 3.6 from another one, which may still contain removed
/// members, or promoted members as learners. Sources: etcd.io/blog/2025/zombie_members_upgrade and
/// etcd.io/blog/2025/upgrade_from_3.5_to_3.6_issue.
pub fn etcd_members(from: Version, to: Version) -> Option<String> {
    (from < REPAIRS_MEMBERS && to.is_of_or_after(3, 6)).then(|| {
        format!(
            "etcd {from} must not go to {to} before {REPAIRS_MEMBERS}, which repairs the list of members: \
             removed members may come back"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    /// Returns the state of a cluster with one control plane and one worker.
    fn state(server: &str, manager: &str, kubelet: &str, proxy: &str) -> State {
        let plane = [
            (Component::Etcd, v("3.6.5")),
            (Component::KubeApiserver, v(server)),
            (Component::KubeControllerManager, v(manager)),
            (Component::KubeScheduler, v(manager)),
        ];
        State {
            control_planes: [("c".to_owned(), plane.into())].into(),
            kubelets: [("c".to_owned(), v(kubelet)), ("w".to_owned(), v(kubelet))].into(),
            proxies: [("w".to_owned(), v(proxy))].into(),
            ..State::default()
        }
    }

    #[test]
    fn allowed_versions_break_no_rule() {
        for (server, manager, kubelet, proxy) in [
            ("1.34.4", "1.34.4", "1.34.4", "1.34.4"),
            ("1.35.4", "1.34.4", "1.34.4", "1.34.4"),
            ("1.35.4", "1.35.4", "1.34.4", "1.35.4"),
            ("1.37.2", "1.37.2", "1.34.4", "1.37.2"),
            // From 1.25 on, a kubelet may be three minor versions behind.
            ("1.28.0", "1.28.0", "1.25.0", "1.25.0"),
            // A kubelet of a later patch release is not ahead.
            ("1.34.4", "1.34.4", "1.34.6", "1.34.4"),
        ] {
            let state = state(server, manager, kubelet, proxy);
            assert_eq!(state.violations(), Vec::<String>::new(), "{server} {manager} {kubelet} {proxy}");
        }
    }

    #[test]
    fn each_broken_rule_of_the_policy_is_reported() {
        for (server, manager, kubelet, proxy, why) in [
            ("1.34.4", "1.34.4", "1.35.4", "1.34.4", "kubelet 1.35.4 of c is ahead of kube-apiserver 1.34.4"),
            ("1.34.4", "1.35.4", "1.34.4", "1.34.4", "kube-controller-manager 1.35.4 of c is ahead"),
            ("1.36.3", "1.34.4", "1.36.3", "1.36.3", "kube-controller-manager 1.34.4 of c is more than 1"),
            ("1.34.4", "1.34.4", "1.34.4", "1.35.4", "kube-proxy 1.35.4 of w is ahead"),
            ("1.37.2", "1.37.2", "1.33.13", "1.36.3", "kubelet 1.33.13 of c is more than 3"),
            ("1.27.0", "1.27.0", "1.24.0", "1.27.0", "kubelet 1.24.0 of c is more than 2"),
            ("1.37.2", "1.37.2", "1.37.2", "1.33.13", "kube-proxy 1.33.13 of w is more than 3"),
            ("1.27.0", "1.27.0", "1.27.0", "1.24.0", "kube-proxy 1.24.0 of w is more than 2"),
        ] {
            let broken = state(server, manager, kubelet, proxy).violations();
            assert!(broken.iter().any(|b| b.starts_with(why)), "{why}: {broken:?}");
        }
        assert_eq!(State::default().violations(), ["no API server is known"]);
    }

    #[test]
    fn components_are_compared_with_oldest_and_newest_server() {
        let mut two = state("1.35.4", "1.35.4", "1.34.4", "1.34.4");
        let old = state("1.34.4", "1.34.4", "1.34.4", "1.34.4");
        two.control_planes.insert("c2".into(), old.control_planes["c"].clone());
        assert_eq!(two.violations(), Vec::<String>::new());
        for (kubectl, wrong) in [("1.36.0", 1), ("1.35.0", 0), ("1.34.0", 0), ("1.33.0", 1)] {
            two.kubectls = [("c".to_owned(), v(kubectl))].into();
            assert_eq!(two.violations().len(), wrong, "kubectl {kubectl}");
        }
        two.kubectls.clear();
        let mut etcd = |version| {
            two.control_planes.get_mut("c2").unwrap().insert(Component::Etcd, v(version));
            two.violations().len()
        };
        assert_eq!((etcd("3.5.0"), etcd("3.4.0"), etcd("3.6.5")), (0, 1, 0));
        // One API server is upgraded already, but through the load balancer this kubelet may reach the other one.
        two.kubelets.insert("c".into(), v("1.35.4"));
        assert_eq!(two.violations(), ["kubelet 1.35.4 of c is ahead of kube-apiserver 1.34.4"]);
        two.kubelets.insert("c".into(), v("1.34.4"));
        two.control_planes.get_mut("c").unwrap().insert(Component::KubeApiserver, v("1.36.3"));
        assert!(two.violations()[0].contains("more than one minor version apart"));
        two.control_planes.get_mut("c").unwrap().insert(Component::Etcd, v("3.8.0"));
        assert!(two.violations().iter().any(|b| b.starts_with("etcd 3.6.5 and 3.8.0")));
    }

    #[test]
    fn kubectl_is_compared_with_oldest_and_newest_server() {
        let mut state = state("1.35.4", "1.35.4", "1.34.4", "1.34.4");
        state.kubectls.insert("w".into(), v("1.34.4"));
        assert_eq!(state.violations(), Vec::<String>::new());
        state.kubectls.insert("w".into(), v("1.33.13"));
        assert!(state.violations()[0].starts_with("kubectl 1.33.13 of w"));
    }

    #[test]
    fn kubeadm_goes_one_minor_forward_at_a_time() {
        let state = state("1.34.4", "1.34.4", "1.34.4", "1.34.4");
        assert_eq!(kubeadm_reaches(&state, v("1.35.4")), Vec::<String>::new());
        assert_eq!(kubeadm_reaches(&state, v("1.34.5")), Vec::<String>::new());
        assert!(kubeadm_reaches(&state, v("1.36.3"))[0].contains("1.35 at most"));
        assert!(kubeadm_reaches(&state, v("1.33.13"))[0].contains("downgrades nothing"));
        assert!(kubeadm_reaches(&state, v("1.34.3"))[0].contains("downgrades nothing"));
        assert_eq!(kubeadm_reaches(&state, v("1.34.4")), Vec::<String>::new());
    }

    #[test]
    fn kubeadm_supports_kubelets_three_minors_older() {
        for (kubelet, taken) in [("1.33.0", true), ("1.32.0", true), ("1.31.9", false), ("1.30.0", false)] {
            let broken = kubeadm_reaches(&state("1.34.4", "1.34.4", kubelet, "1.34.4"), v("1.35.4"));
            assert_eq!(broken.is_empty(), taken, "{kubelet}: {broken:?}");
        }
    }

    #[test]
    fn etcd_goes_one_minor_forward_at_a_time() {
        assert_eq!(etcd_step(v("3.6.5-0"), v("3.6.6-0")), None);
        assert_eq!(etcd_step(v("3.6.8-0"), v("3.7.0-0")), None);
        assert_eq!(etcd_step(v("3.6.5"), v("3.6.5")), None);
        assert!(etcd_step(v("3.5.9"), v("3.7.0")).unwrap().contains("skips one"));
        assert!(etcd_step(v("3.6.6"), v("3.6.5")).unwrap().contains("downgraded"));
    }

    #[test]
    fn etcd_repairs_its_members_before_it_goes_to_3_6() {
        for (from, to, warned) in [
            ("3.5.25-0", "3.6.5-0", true),
            ("3.5.26-0", "3.6.5-0", false),
            ("3.5.16", "3.5.25", false),
            ("3.5.16", "3.6.0-rc.3", true),
            ("3.6.4", "3.6.5", false),
        ] {
            let why = etcd_members(v(from), v(to));
            assert_eq!(why.is_some_and(|why| why.contains("3.5.26")), warned, "{from} to {to}");
        }
    }
}

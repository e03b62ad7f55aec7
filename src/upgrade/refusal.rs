//! The reasons to refuse an upgrade.

use crate::kubernetes::skew::SKIPPED;
use crate::kubernetes::version::Version;

/// A reason not to change a cluster. A plan reports all reasons at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// seatrial did not create the container.
    #[error("{node} was not created by seatrial: {why}")]
    NotOurs {
        /// The node.
        node: String,
        /// The evidence.
        why: String,
    },
    /// Kubernetes cannot be downgraded.
    #[error("{to} is older than {node}'s {part} {from}: nothing is downgraded")]
    Downgrade {
        /// The target version.
        to: Version,
        /// The component that is newer.
        part: String,
        /// Its version.
        from: Version,
        /// The node that has it.
        node: String,
    },
    /// A minor version in between has no release in the profile.
    #[error("{from} to {to} needs a release of {line} in between, which is missing: {}", SKIPPED)]
    SkipsMinor {
        /// The version at the beginning of the hop.
        from: Version,
        /// The target version.
        to: Version,
        /// The missing minor version.
        line: String,
    },
    /// The target version does not exist in the profile.
    #[error("Kubernetes {to} is unknown: {known}")]
    Unknown {
        /// The target version.
        to: Version,
        /// The known versions.
        known: String,
    },
    /// The programs and images of the release are not available.
    #[error("Kubernetes {version} is not available: {why}")]
    Unreachable {
        /// The release.
        version: Version,
        /// The reason.
        why: String,
    },
    /// The version skew policy forbids this combination of versions.
    #[error("{when}: {what}")]
    Skew {
        /// `as it is now`, or the step after which the rule is violated.
        when: String,
        /// The violated rule.
        what: String,
    },
    /// etcd or CoreDNS would be downgraded, or would skip a version.
    #[error("Kubernetes {version}: {what}")]
    Companion {
        /// The release.
        version: Version,
        /// The problem.
        what: String,
    },
    /// The members of etcd may not survive the upgrade.
    #[error("Kubernetes {version}: {what}")]
    Members {
        /// The release.
        version: Version,
        /// The risk.
        what: String,
    },
    /// A node is not ready; every node must be ready before the first step.
    #[error("{node} is not ready: {why}")]
    NotReady {
        /// The node.
        node: String,
        /// The reason.
        why: String,
    },
    /// Somebody else has cordoned the node.
    #[error("{node} was cordoned by somebody else")]
    Cordoned {
        /// The node.
        node: String,
    },
    /// A budget never allows the eviction.
    #[error(
        "PodDisruptionBudget {budget} never allows the eviction of {pod} from {node}: {desired} of {expected} pods must stay"
    )]
    Budget {
        /// `namespace/name`.
        budget: String,
        /// The pod.
        pod: String,
        /// Its node.
        node: String,
        /// Pods that must stay.
        desired: i32,
        /// Pods that exist.
        expected: i32,
    },
    /// The controller of the budget cannot count its pods. Until it can, the API allows no eviction.
    #[error(
        "PodDisruptionBudget {budget} never allows the eviction of {pod} from {node}: its controller cannot count its pods: {why}"
    )]
    Uncounted {
        /// `namespace/name`.
        budget: String,
        /// The pod.
        pod: String,
        /// Its node.
        node: String,
        /// The controller's message.
        why: String,
    },
    /// The API evicts no pod that more than one budget counts.
    #[error(
        "pod {pod} on {node} is counted by the PodDisruptionBudgets {}: the API refuses every eviction of such a pod",
        .budgets.join(" and ")
    )]
    TwoBudgets {
        /// `namespace/name`.
        pod: String,
        /// Its node.
        node: String,
        /// The names of the budgets, `namespace/name`.
        budgets: Vec<String>,
    },
    /// A drain would delete the pod without a replacement.
    #[error("pod {pod} on {node} has no controller: a drain would delete it without a replacement")]
    Unmanaged {
        /// `namespace/name`.
        pod: String,
        /// Its node.
        node: String,
    },
    /// The disk is too small.
    #[error("{node} has {} MB free, {} MB are needed for Kubernetes {version} on {nodes} node(s)", .free / 1_000_000, .need / 1_000_000)]
    Disk {
        /// The node.
        node: String,
        /// The release.
        version: Version,
        /// Free bytes.
        free: u64,
        /// Needed bytes on all nodes together, because the nodes share a disk.
        need: u64,
        /// Number of nodes that lack the release.
        nodes: usize,
    },
    /// The new kubelet would not start on cgroup v1.
    #[error(
        "{node} has cgroup v1, which the kubelet of {version} refuses unless its configuration says failCgroupV1: false"
    )]
    Cgroup {
        /// The node.
        node: String,
        /// The release.
        version: Version,
    },
}

impl Refusal {
    /// Returns how to fix the problem, if one sentence can say it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotOurs { .. } => {
                "upgrade a cluster that `seatrial up` created; `seatrial list` shows all clusters".into()
            }
            Self::Downgrade { .. } => "create a new cluster of the older version".into(),
            Self::SkipsMinor { line, .. } => format!("add a release of {line} to the image profile"),
            Self::Unknown { .. } => "`seatrial images` shows the versions of each profile".into(),
            Self::Members { .. } => {
                "`--keep-etcd` does not upgrade etcd; upgrade etcd to 3.5.26 or a later 3.5 before the next upgrade".into()
            }
            Self::Unreachable { .. } | Self::Companion { .. } => return None,
            Self::Skew { when, .. } if when == NOW => {
                "first upgrade the nodes whose version differs to the version of the control plane".into()
            }
            Self::Skew { .. } => return None,
            Self::NotReady { node, .. } => format!("kubectl describe node {node}"),
            Self::Cordoned { node } => format!("kubectl uncordon {node}"),
            Self::Budget { .. } => "allow a disruption in the budget, or add a replica".into(),
            Self::Uncounted { .. } => {
                "use minAvailable with a number if the pods' controller has no scale subresource (a Job, a DaemonSet)".into()
            }
            Self::TwoBudgets { .. } => "narrow the selectors until only one budget counts the pod".into(),
            Self::Unmanaged { .. } => "delete the pod, or give it a controller".into(),
            Self::Disk { .. } => "free disk space, for example with `docker image prune`".into(),
            Self::Cgroup { .. } => {
                "set failCgroupV1: false in the ConfigMap kubelet-config of kube-system, or in the topology"
                    .into()
            }
        })
    }
}

/// The `when` of [`Refusal::Skew`] for a rule that is violated before the first step.
pub const NOW: &str = "as it is now";

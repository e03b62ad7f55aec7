//! Why an upgrade is not begun.

use crate::kubernetes::version::Version;

/// A reason not to touch a cluster. A plan gives all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A container that we did not make.
    #[error("{node} is not ours: {why}")]
    NotOurs {
        /// The node.
        node: String,
        /// What shows it.
        why: String,
    },
    /// Kubernetes goes forward only.
    #[error("{to} is older than {node}'s {part} {from}: nothing is downgraded")]
    Downgrade {
        /// The version asked for.
        to: Version,
        /// The part that is newer.
        part: String,
        /// Its version.
        from: Version,
        /// The node that has it.
        node: String,
    },
    /// A minor version lies between, and there is no release of it.
    #[error(
        "from {from} to {to} a release of {line} is needed between, and there is none: no minor version is skipped"
    )]
    SkipsMinor {
        /// Where the hop would begin.
        from: Version,
        /// The version asked for.
        to: Version,
        /// The minor version that is missing.
        line: String,
    },
    /// The version asked for is not among those that there are.
    #[error("there is no Kubernetes {to}: {known}")]
    Unknown {
        /// The version asked for.
        to: Version,
        /// Those that there are.
        known: String,
    },
    /// Its programs and images cannot be had.
    #[error("Kubernetes {version} cannot be had: {why}")]
    Unreachable {
        /// The release.
        version: Version,
        /// The reason.
        why: String,
    },
    /// Versions that may not run beside each other.
    #[error("{when}: {what}")]
    Skew {
        /// `as it is now`, or after which step.
        when: String,
        /// The rule that does not hold.
        what: String,
    },
    /// etcd or CoreDNS would not go forward by one.
    #[error("Kubernetes {version}: {what}")]
    Companion {
        /// The release.
        version: Version,
        /// What is wrong.
        what: String,
    },
    /// The members of etcd may not come through.
    #[error("Kubernetes {version}: {what}")]
    Members {
        /// The release.
        version: Version,
        /// What may go wrong.
        what: String,
    },
    /// Every node must be ready before the first step.
    #[error("{node} is not ready: {why}")]
    NotReady {
        /// The node.
        node: String,
        /// The reason.
        why: String,
    },
    /// Somebody drains it, or keeps it free for a reason.
    #[error("{node} is cordoned, and not by an upgrade")]
    Cordoned {
        /// The node.
        node: String,
    },
    /// No eviction is ever allowed.
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
        /// Pods that there are.
        expected: i32,
    },
    /// The controller of the budget cannot count its pods, and the API allows no eviction until it can.
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
        /// Their names, `namespace/name`.
        budgets: Vec<String>,
    },
    /// A drain would delete it for good.
    #[error("pod {pod} on {node} has no controller: a drain would delete it for good")]
    Unmanaged {
        /// `namespace/name`.
        pod: String,
        /// Its node.
        node: String,
    },
    /// Too little disk.
    #[error("{node} has {} MB free, {} MB are needed for Kubernetes {version} on {nodes} node(s)", .free / 1_000_000, .need / 1_000_000)]
    Disk {
        /// The node.
        node: String,
        /// The release.
        version: Version,
        /// Bytes free.
        free: u64,
        /// Bytes needed, on all nodes together: they share a disk.
        need: u64,
        /// How many nodes lack it.
        nodes: usize,
    },
    /// The new kubelet would not start.
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
    /// What mends it, where a sentence can say so.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotOurs { .. } => {
                "upgrade a cluster that `seatrial up` made; `seatrial list` shows them".into()
            }
            Self::Downgrade { .. } => "make a new cluster of the older version".into(),
            Self::SkipsMinor { line, .. } => format!("add a release of {line} to the image profile"),
            Self::Unknown { .. } => "`seatrial images` shows the versions of each profile".into(),
            Self::Members { .. } => {
                "`--keep-etcd` leaves etcd as it is; bring it to 3.5.26 or later of 3.5 before the next upgrade".into()
            }
            Self::Unreachable { .. } | Self::Companion { .. } => return None,
            Self::Skew { when, .. } if when == NOW => {
                "bring the nodes that are ahead or behind to the version of the control plane first".into()
            }
            Self::Skew { .. } => return None,
            Self::NotReady { node, .. } => format!("kubectl describe node {node}"),
            Self::Cordoned { node } => format!("kubectl uncordon {node}"),
            Self::Budget { .. } => "allow a disruption in the budget, or add a replica".into(),
            Self::Uncounted { .. } => {
                "count with minAvailable, as a number, where the pods' controller has no scale (a Job, a DaemonSet)".into()
            }
            Self::TwoBudgets { .. } => "narrow the selectors until one budget counts the pod".into(),
            Self::Unmanaged { .. } => "delete the pod, or give it a controller".into(),
            Self::Disk { .. } => "make room, for example with `docker image prune`".into(),
            Self::Cgroup { .. } => {
                "set failCgroupV1: false in the ConfigMap kubelet-config of kube-system, or in the topology"
                    .into()
            }
        })
    }
}

/// [`Refusal::Skew`]'s `when` for what is wrong before anything is done.
pub const NOW: &str = "as it is now";

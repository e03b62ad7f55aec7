//! How long Kubernetes takes to notice a lost node and to replace its pods: computed from a topology's configuration.
//!
//! Source of the rules: Kubernetes' "Nodes" page (heartbeats, node controller) and "Taints and
//! Tolerations" (taint-based eviction); defaults as of 1.32, where the grace period became 50 s.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The settings that decide how soon a lost node is noticed and its pods are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FailureTiming {
    /// `nodeStatusUpdateFrequency`: how often a kubelet checks whether its status changed.
    pub status_update: Duration,
    /// `nodeLeaseDurationSeconds`: a kubelet renews its lease every quarter of this time.
    pub lease: Duration,
    /// `node-monitor-period`: how often the node controller checks leases and statuses.
    pub monitor_period: Duration,
    /// `node-monitor-grace-period`: silence after which a node's condition becomes Unknown.
    pub grace: Duration,
    /// How long a pod without tolerations of its own stays on an unreachable node.
    pub toleration: Duration,
    /// How the controller-managers elect their leader; `None` if leader election is off, because there is only one.
    pub election: Option<Election>,
    /// `election-timeout` of etcd: its members elect another leader when the old one was silent for this time, or up
    /// to twice this time.
    pub etcd_election: Duration,
}

/// The settings of a leader election (client-go: tools/leaderelection).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Election {
    /// `leader-elect-lease-duration`: a rival takes over when it has seen no renewal for this time.
    pub lease: Duration,
    /// `leader-elect-renew-deadline`: a leader that could not renew for this time steps down.
    pub renew: Duration,
    /// `leader-elect-retry-period`: how often the leader renews, and how often rivals check.
    pub retry: Duration,
}

/// Kubernetes' default settings.
impl Default for Election {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), renew: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

impl Election {
    /// Returns the longest time between two checks of a rival: the period plus a random addition of at most 1.2
    /// periods (`JitterFactor`, applied by `wait.JitterUntil`).
    pub fn look(&self) -> Duration {
        self.retry.mul_f64(2.2)
    }

    /// Returns the longest time from the moment a leader falls silent until a rival replaces it. A rival counts the
    /// lease from the moment when it *saw* the last renewal (`observedTime`), up to one check later, and notices the
    /// end up to another check later. A controller-manager that is stopped cleanly does not release the lease early
    /// (`ReleaseOnCancel` is not set).
    pub fn takeover(&self) -> Duration {
        self.look() + self.lease + self.look()
    }
}

/// Kubernetes' default settings.
impl Default for FailureTiming {
    fn default() -> Self {
        Self {
            status_update: Duration::from_secs(10),
            lease: Duration::from_secs(40),
            monitor_period: Duration::from_secs(5),
            grace: Duration::from_secs(50),
            toleration: Duration::from_secs(300),
            election: Some(Election::default()),
            etcd_election: Duration::from_secs(1),
        }
    }
}

impl FailureTiming {
    /// Returns the time between two renewals of a node's lease: a quarter of its duration (kubelet's fixed
    /// `nodeLeaseRenewIntervalFraction`).
    pub fn renewal(&self) -> Duration {
        self.lease / 4
    }

    /// Returns the budget from the moment a node falls silent until its pods are replaced on other nodes and Ready.
    pub fn node_loss(&self) -> Budget {
        Budget::of([
            ("silence until the node is Unknown: node-monitor-grace-period", self.grace),
            ("the node controller's next look: node-monitor-period", self.monitor_period),
            ("pods tolerate the unreachable taint", self.toleration),
            ("the replacement is scheduled, starts and is Ready", START),
        ])
    }

    /// Returns the budget from the moment a control plane falls silent until its node is Unknown, if the leading
    /// controller-manager ran on that control plane. Another controller-manager first becomes leader, and counts the
    /// node's silence from its own first check, because it knows of no earlier one (`tryUpdateNodeHealth` in
    /// Kubernetes' pkg/controller/nodelifecycle, "Assuming now as a timestamp"). With 10 s of lease and 15 s of
    /// grace, a dead node may show Ready for half a minute.
    pub fn leader_loss(&self) -> Budget {
        let election = self.election.unwrap_or_default();
        Budget::of([
            ("etcd elects another leader: election-timeout, twice at most", self.etcd_election * 2),
            ("a rival saw the last renewal this late: leader-elect-retry-period, 2.2 times", election.look()),
            ("its lease runs out: leader-elect-lease-duration", election.lease),
            ("the rival's next try: leader-elect-retry-period, 2.2 times", election.look()),
            ("the new leader starts its controllers", CONTROLLERS),
            ("the new leader counts the silence again: node-monitor-grace-period", self.grace),
            ("the node controller's next look: node-monitor-period", self.monitor_period),
        ])
    }

    /// Returns how long the API may be unavailable for an outside client if one of several control planes fails
    /// without notice. `patience` is the client's timeout.
    pub fn control_plane_loss(&self, patience: Duration) -> Budget {
        Budget::of([
            ("etcd elects another leader: election-timeout, twice at most", self.etcd_election * 2),
            ("the load balancer notices: two health checks, 2 s apart, 3 s each", BALANCER),
            ("the client gives up its pending request", patience),
        ])
    }

    /// Returns the budget from the start of a stopped node until it is Ready again and its deleted pods are gone.
    pub fn node_return(&self) -> Budget {
        Budget::of([
            ("the node's system and kubelet start", BOOT),
            ("the kubelet's next status: nodeStatusUpdateFrequency", self.status_update),
            ("the node controller's next look: node-monitor-period", self.monitor_period),
            ("pods that were deleted in the meantime terminate", START),
        ])
    }
}

/// Allowance for scheduling, container start and first readiness on a busy machine of two cores; 1 to 6 s were
/// measured on an idle machine.
const START: Duration = Duration::from_secs(30);

/// Allowance for a controller-manager that has become leader: its caches fill and about 35 controllers start, in
/// random order.
const CONTROLLERS: Duration = Duration::from_secs(10);

/// Time until kind's load balancer sends no more requests to a failed control plane (kind 0.33:
/// `ProxyCDSConfigTemplate`, interval 2 s, timeout 3 s, unhealthy threshold 2).
const BALANCER: Duration = Duration::from_secs(2 * (2 + 3));

/// Allowance for a node's start. After a restart of the whole engine, workers took 55 s.
const BOOT: Duration = Duration::from_secs(60);

/// A sum of durations that shows its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// The purpose and duration of each part, in the order in which they happen.
    pub lines: Vec<(String, Duration)>,
    /// Their sum.
    pub total: Duration,
}

impl Budget {
    /// Adds up the parts.
    pub fn of<'a>(lines: impl IntoIterator<Item = (&'a str, Duration)>) -> Self {
        let lines: Vec<_> = lines.into_iter().map(|(what, time)| (what.to_owned(), time)).collect();
        let total = lines.iter().map(|line| line.1).sum();
        Self { lines, total }
    }
}

/// Prints one line for each part, then the sum.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, time) in &self.lines {
            writeln!(f, "{:>7.1} s  {what}", time.as_secs_f64())?;
        }
        write!(f, "{:>7.1} s  in all", self.total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_shows_its_arithmetic() {
        insta::assert_snapshot!(FailureTiming::default().node_loss().to_string(), @r"
         50.0 s  silence until the node is Unknown: node-monitor-grace-period
          5.0 s  the node controller's next look: node-monitor-period
        300.0 s  pods tolerate the unreachable taint
         30.0 s  the replacement is scheduled, starts and is Ready
        385.0 s  in all
        ");
    }

    #[test]
    fn a_lost_leader_is_counted_with_its_election() {
        let election = Election {
            lease: Duration::from_secs(10),
            renew: Duration::from_secs(8),
            retry: Duration::from_secs(1),
        };
        let timing = FailureTiming {
            monitor_period: Duration::from_secs(1),
            grace: Duration::from_secs(15),
            election: Some(election),
            etcd_election: Duration::from_secs(2),
            ..FailureTiming::default()
        };
        insta::assert_snapshot!(timing.leader_loss().to_string(), @r"
          4.0 s  etcd elects another leader: election-timeout, twice at most
          2.2 s  a rival saw the last renewal this late: leader-elect-retry-period, 2.2 times
         10.0 s  its lease runs out: leader-elect-lease-duration
          2.2 s  the rival's next try: leader-elect-retry-period, 2.2 times
         10.0 s  the new leader starts its controllers
         15.0 s  the new leader counts the silence again: node-monitor-grace-period
          1.0 s  the node controller's next look: node-monitor-period
         44.4 s  in all
        ");
        insta::assert_snapshot!(timing.control_plane_loss(Duration::from_secs(2)).to_string(), @r"
          4.0 s  etcd elects another leader: election-timeout, twice at most
         10.0 s  the load balancer notices: two health checks, 2 s apart, 3 s each
          2.0 s  the client gives up its pending request
         16.0 s  in all
        ");
        // Each case: lease, retry, and the longest time in seconds until another leader takes over. The first case
        // has Kubernetes' defaults.
        for (lease, retry, takeover) in [(15, 2, 23.8), (10, 1, 14.4), (60, 5, 82.0)] {
            let seconds = Duration::from_secs;
            let election = Election { lease: seconds(lease), renew: seconds(1), retry: seconds(retry) };
            assert_eq!(election.takeover().as_secs_f64(), takeover, "{lease} {retry}");
        }
        // The loss of a worker does not involve an election.
        let without = FailureTiming { election: None, ..timing };
        assert_eq!(without.node_loss(), timing.node_loss());
    }

    #[test]
    fn the_sum_follows_the_parts() {
        let mut timing = FailureTiming::default();
        let before = timing.node_loss().total;
        timing.toleration = Duration::from_secs(5);
        assert_eq!(before - timing.node_loss().total, Duration::from_secs(295));
        assert_eq!(timing.renewal(), Duration::from_secs(10));
    }
}

//! How long Kubernetes takes to notice a lost node and to replace its pods: arithmetic over what
//! a topology configures.
//!
//! Source of the rules: Kubernetes' "Nodes" page (heartbeats, node controller) and "Taints and
//! Tolerations" (taint-based eviction); defaults as of 1.32, where the grace period became 50 s.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The five figures that decide how soon a lost node is noticed and its pods are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FailureTiming {
    /// `nodeStatusUpdateFrequency`: how often a kubelet looks whether its status changed.
    pub status_update: Duration,
    /// `nodeLeaseDurationSeconds`: a kubelet renews its lease every quarter of this.
    pub lease: Duration,
    /// `node-monitor-period`: how often the node controller looks at leases and statuses.
    pub monitor_period: Duration,
    /// `node-monitor-grace-period`: silence after which a node's condition becomes Unknown.
    pub grace: Duration,
    /// How long a pod without tolerations of its own stays on an unreachable node.
    pub toleration: Duration,
}

/// Kubernetes' own figures.
impl Default for FailureTiming {
    fn default() -> Self {
        Self {
            status_update: Duration::from_secs(10),
            lease: Duration::from_secs(40),
            monitor_period: Duration::from_secs(5),
            grace: Duration::from_secs(50),
            toleration: Duration::from_secs(300),
        }
    }
}

impl FailureTiming {
    /// Time between two renewals of a node's lease: a quarter of its duration (kubelet's fixed
    /// `nodeLeaseRenewIntervalFraction`).
    pub fn renewal(&self) -> Duration {
        self.lease / 4
    }

    /// From the moment a node falls silent until its pods are replaced on other nodes and Ready.
    pub fn node_loss(&self) -> Budget {
        Budget::of([
            ("silence until the node is Unknown: node-monitor-grace-period", self.grace),
            ("the node controller's next look: node-monitor-period", self.monitor_period),
            ("pods tolerate the unreachable taint", self.toleration),
            ("the replacement is scheduled, starts and is Ready", START),
        ])
    }

    /// From the start of a stopped node until it is Ready again and its deleted pods are gone.
    pub fn node_return(&self) -> Budget {
        Budget::of([
            ("the node's system and kubelet start", BOOT),
            ("the kubelet's next status: nodeStatusUpdateFrequency", self.status_update),
            ("the node controller's next look: node-monitor-period", self.monitor_period),
            ("pods that were deleted meanwhile end and go", START),
        ])
    }
}

/// Allowance for scheduling, container start and first readiness on a busy machine of two cores;
/// 1 to 6 s were measured on a quiet one.
const START: Duration = Duration::from_secs(30);

/// Allowance for a node's start. After a restart of the whole engine workers took 55 s.
const BOOT: Duration = Duration::from_secs(60);

/// A sum of durations that shows how it was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// What each part is for, in the order in which they happen.
    pub lines: Vec<(String, Duration)>,
    /// Their sum.
    pub total: Duration,
}

impl Budget {
    /// Adds the parts up.
    pub fn of<'a>(lines: impl IntoIterator<Item = (&'a str, Duration)>) -> Self {
        let lines: Vec<_> = lines.into_iter().map(|(what, time)| (what.to_owned(), time)).collect();
        let total = lines.iter().map(|line| line.1).sum();
        Self { lines, total }
    }
}

/// A line a part, then the sum.
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
    fn the_sum_follows_the_parts() {
        let mut timing = FailureTiming::default();
        let before = timing.node_loss().total;
        timing.toleration = Duration::from_secs(5);
        assert_eq!(before - timing.node_loss().total, Duration::from_secs(295));
        assert_eq!(timing.renewal(), Duration::from_secs(10));
    }
}

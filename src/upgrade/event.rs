//! Converts an upgrade into events of the event log.

use super::plan::{Hop, Planned, UpgradePlan};
use super::{EtcdPolicy, State, UpgradeEvent};
use crate::chain::chain;
use crate::event::Event;
use crate::event::{EndedStep, PlannedHop, PlannedStep, PlannedUpgrade, UpgradeStep};

impl UpgradePlan {
    /// Returns the event of the plan, before it is carried out.
    pub fn event(&self, before: &State) -> Event {
        let etcd = match self.etcd {
            EtcdPolicy::Upgrade => "upgrade",
            EtcdPolicy::Keep => "keep",
        };
        Event::UpgradePlanned(PlannedUpgrade {
            from: self.from,
            to: self.to,
            etcd: etcd.into(),
            before: before.clone(),
            hops: self.hops.iter().map(Hop::in_event).collect(),
        })
    }
}

impl Hop {
    fn in_event(&self) -> PlannedHop {
        PlannedHop { to: self.to, steps: self.steps.iter().map(Planned::in_event).collect() }
    }
}

impl Planned {
    fn in_event(&self) -> PlannedStep {
        PlannedStep {
            step: self.step.name().into(),
            node: self.node.clone(),
            safe: self.step.is_safe(),
            expected: self.expected.as_secs_f64(),
            after: self.after.clone(),
        }
    }
}

impl UpgradeEvent<'_> {
    /// Returns the event for the event log.
    pub fn event(&self) -> Event {
        match self {
            Self::Planned { plan, before } => plan.event(before),
            Self::Started { to, step } => Event::UpgradeStepStarted(UpgradeStep {
                to: *to,
                step: step.step.name().into(),
                node: step.node.clone(),
            }),
            Self::Ended { to, step, result, took, seen } => Event::UpgradeStepEnded(EndedStep {
                to: *to,
                step: step.step.name().into(),
                node: step.node.clone(),
                took: *took,
                error: result.err().map(|error| chain(error)),
                proof: result.ok().cloned().unwrap_or_default(),
                versions: seen.cloned(),
            }),
        }
    }
}

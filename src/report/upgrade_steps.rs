//! The effects of each step of an upgrade, counted as the judges do.

use super::run::{DisturbedReport, ProbeReport, UpgradeStepReport};
use super::stories::{Clock, Story};
use super::units::millis;
use crate::event::{Event, Record};
use crate::judge::upgrade::{Disturbance, Tally, costs, disturbances};
use crate::sanitise::line;

/// Returns the steps of a story's upgrade; none if it has no upgrade.
pub(super) fn steps(story: &Story<'_>, clock: &Clock) -> Vec<UpgradeStepReport> {
    let started = |r: &&&Record| matches!(r.event, Event::UpgradeStepStarted(_));
    let began: Vec<f64> = story.records.iter().filter(started).map(|r| clock.at(r)).collect();
    if began.is_empty() {
        return Vec::new();
    }
    let own: Vec<Record> = story.records.iter().map(|r| (*r).clone()).collect();
    let pods = disturbances(&own);
    let step = |(i, (cost, began))| {
        let cost: &crate::judge::upgrade::StepCost = cost;
        let here = pods.iter().filter(|d| d.step == Some(i));
        UpgradeStepReport {
            to: cost.step.to.to_string(),
            step: cost.step.step.clone(),
            node: cost.step.node.clone(),
            began,
            took: cost.ended.as_ref().map(|e| millis(e.took)),
            error: cost.ended.as_ref().and_then(|e| e.error.as_deref()).map(line),
            probes: cost.probes.iter().map(|(name, tally)| (line(name), probe(tally))).collect(),
            pods: here.map(disturbed).collect(),
        }
    };
    costs(&own).iter().zip(began).enumerate().map(step).collect()
}

fn probe(tally: &Tally) -> ProbeReport {
    let Tally { requests, refused, indeterminate, outage, away, .. } = *tally;
    let acknowledged = requests.saturating_sub(refused + indeterminate);
    ProbeReport { requests, acknowledged, refused, indeterminate, outage: millis(outage), away: millis(away) }
}

fn disturbed(found: &Disturbance) -> DisturbedReport {
    DisturbedReport {
        pod: line(&found.pod),
        node: line(&found.node),
        what: found.what.to_string(),
        why: found.why.map(str::to_owned),
    }
}

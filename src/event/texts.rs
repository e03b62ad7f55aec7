//! The texts of an event that come from outside: errors, answers, objects. Names that seatrial gave, and
//! those that identify something, are none: judges tell things apart by them.

use serde_json::Value;

use super::Event;
use crate::judge::upgrade::EndedStep;
use crate::secret::Secrets;

/// Leaves the secrets out of an event.
pub(super) fn hide(event: &mut Event, secrets: &Secrets) {
    // What an object teaches is left out of the rest too.
    if let Some(object) = object(event) {
        secrets.clean(object);
    }
    each(event, &mut |text| {
        let hidden = secrets.hide(text);
        if hidden != *text {
            *text = hidden;
        }
    });
}

fn object(event: &mut Event) -> Option<&mut Value> {
    match event {
        Event::ObjectChanged { object, .. } => Some(object),
        Event::Observed { value, .. } => Some(value),
        Event::FaultInjected { proof, .. }
        | Event::FaultHealed { proof, .. }
        | Event::UpgradeStepEnded(EndedStep { proof, .. }) => Some(proof),
        _ => None,
    }
}

fn each(event: &mut Event, change: &mut impl FnMut(&mut String)) {
    match event {
        Event::RunStarted { machine, profile_because, .. } => {
            change(profile_because);
            machine.values_mut().for_each(change);
        }
        Event::Substituted { built_from, .. } => change(built_from),
        Event::ScenarioEnded { error, left } => error.iter_mut().chain(left).for_each(change),
        Event::StepEnded { error, .. } | Event::UpgradeStepEnded(EndedStep { error, .. }) => {
            error.iter_mut().for_each(change)
        }
        Event::WatchRestarted { reason, .. }
        | Event::RowWritten { reason, .. }
        | Event::TransactionWritten { reason, .. }
        | Event::RowsSampled { reason, .. } => change(reason),
        Event::Sampled { detail, .. } => change(detail),
        Event::ServerMet { version, .. } => change(version),
        Event::FilesListed { link, incomplete, .. } => link.iter_mut().chain(incomplete).for_each(change),
        Event::ClaimJudged { evidence, details, .. } => {
            change(evidence);
            details.iter_mut().for_each(change);
        }
        Event::Noted { text } => change(text),
        Event::ScenarioStarted { .. }
        | Event::ClusterReady { .. }
        | Event::StepStarted { .. }
        | Event::Marked { .. }
        | Event::FaultIntended { .. }
        | Event::FaultInjected { .. }
        | Event::FaultHealed { .. }
        | Event::Observed { .. }
        | Event::ObjectChanged { .. }
        | Event::ProbePaused { .. }
        | Event::ProbeResumed { .. }
        | Event::RowsRead { .. }
        | Event::UpgradePlanned(_)
        | Event::UpgradeStepStarted(_)
        | Event::RunEnded { .. }
        | Event::Unknown => {}
    }
}

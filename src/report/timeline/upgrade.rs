//! An upgrade on the timeline: a lane for each node with its steps, and a lane for each component with its versions.

use super::{Lanes, State};
use crate::event::Event;
use crate::kubernetes::skew::State as Versions;

/// The lane of steps that concern no single node.
const CLUSTER: &str = "all nodes";

/// Draws one event of an upgrade.
pub(super) fn take(lanes: &mut Lanes, event: &Event, at: f64) {
    match event {
        Event::UpgradePlanned(plan) => versions(lanes, &plan.before, at),
        Event::UpgradeStepStarted(step) => {
            let lane = step.node.as_deref().unwrap_or(CLUSTER);
            lanes.begin("upgrade", lane, at, State::Moving.noted(&format!("{}: not ended", step.step)));
        }
        Event::UpgradeStepEnded(ended) => {
            let lane = ended.node.as_deref().unwrap_or(CLUSTER);
            let (state, why) = match &ended.error {
                Some(error) => (State::Bad, format!(": {error}")),
                None => (State::Good, String::new()),
            };
            let note = format!("{} {:.1} s{why}", ended.step, ended.took);
            lanes.close("upgrade", lane, at, state.noted(&note));
            if let Some(now) = &ended.versions {
                versions(lanes, now, at);
            }
        }
        _ => {}
    }
}

/// Adds a lane for each component: its version, from the time when it was first seen.
fn versions(lanes: &mut Lanes, now: &Versions, at: f64) {
    let control_planes = now.control_planes.iter().flat_map(|(node, parts)| {
        parts.iter().map(move |(component, version)| (format!("{component} {node}"), *version))
    });
    let kubelets = now.kubelets.iter().map(|(node, version)| (format!("kubelet {node}"), *version));
    let proxies = now.proxies.iter().map(|(node, version)| (format!("kube-proxy {node}"), *version));
    let coredns = now.coredns.iter().map(|version| ("coredns".to_owned(), *version));
    for (lane, version) in control_planes.chain(kubelets).chain(proxies).chain(coredns) {
        lanes.turn("versions", &lane, at, (State::Good, version.to_string()));
    }
}

//! The told upgrade of the cluster.

use seatrial::event::{EndedStep, Event, PlannedUpgrade, UpgradeStep};
use seatrial::judge::trial::facts::Upgraded;
use seatrial::upgrade::{EtcdPolicy, UpgradePlan};
use serde_json::Value;

use super::{Told, WEB};

/// The cluster is upgraded. A pod of `web` is moved, and the new kubelet of `w2` starts the container of `agent` again.
pub(super) fn upgrade(t: &mut Told) {
    let facts = crate::upgrade::cluster(&["cp", "w1", "w2", "w3"]);
    let to = crate::upgrade::v("1.35.4");
    let plan = UpgradePlan::make(&facts, &crate::upgrade::releases(), to, EtcdPolicy::Upgrade).unwrap();
    let planned = plan.event(&facts.state);
    let Event::UpgradePlanned(PlannedUpgrade { hops, .. }) = planned.clone() else { panic!("{planned:?}") };
    t.story.marked("upgrade");
    t.story.say(planned);
    for step in hops.into_iter().flat_map(|hop| hop.steps) {
        let (name, node) = (step.step, step.node);
        t.story.say(Event::UpgradeStepStarted(UpgradeStep { to, step: name.clone(), node: node.clone() }));
        t.pass();
        match (name.as_str(), node.as_deref()) {
            ("drain", Some("w3")) => {
                t.ends("web-2-i");
                t.new_pod("web-2-j", "web-2-j", WEB, "w2");
            }
            ("kubelet", Some("w2")) => t.restarted("agent-2b"),
            _ => {}
        }
        let (proof, error, versions) = (Value::Null, None, Some(step.after));
        t.story.say(Event::UpgradeStepEnded(EndedStep {
            to,
            step: name,
            node,
            took: 1.0,
            error,
            proof,
            versions,
        }));
    }
    let upgraded = Upgraded { to: "next".into(), error: None, forbidden: Vec::new() };
    t.story.observe(&seatrial::judge::trial::facts::UPGRADED, upgraded);
    t.pass();
    t.all_settled("upgrade");
    t.story.marked("upgraded");
}

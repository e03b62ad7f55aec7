//! D4: rows and identities that must stay, and pods that must not be disturbed.

use std::collections::BTreeMap;

use super::disturbed::{Disturbance, Disturbed, disturbances};
use super::facts;
use super::{
    AFTER, Evidence, Finding, Holds, Missing, Object, SET, Touched, WEB, costs, gaps_in_drains, lives, names,
    pinned, trap,
};
use crate::judge::durability;
use crate::judge::identity::{Comparison, Identity};
use crate::judge::stateful_set::creation::{claim_of, template};
use crate::judge::stateful_set::facts::Content;
use crate::judge::stateful_set::replacement::{check_content, check_same_claim};

/// D4.
pub(super) fn nothing_lost(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let rows = finding.part(|finding| {
        let rows = durability::every_acknowledged_row(evidence, AFTER, finding)?;
        Ok(rows.acknowledged())
    });
    let records = evidence.records();
    finding.part(|finding| pinned::waited_for_its_node(evidence, finding));
    let stayed = finding.part(|finding| trap::stayed_behind(evidence, finding));
    finding.part(|finding| identities(evidence, finding));
    let gaps = gaps_in_drains(records, &costs(records), &["Pod"]);
    let disturbed = finding.part(|finding| finding.watched(&gaps, |finding| undisturbed(evidence, finding)));
    finding.summary(format!(
        "{} acknowledged rows are there, every identity kept its claim and its file, each of {} disturbed pods \
         for a reason; trap: {}",
        rows.unwrap_or_default(),
        disturbed.unwrap_or_default(),
        stayed.unwrap_or_default()
    ));
    Ok(())
}

/// Checks that the StatefulSet has the same names as before, each with its earlier claim, volume and file.
fn identities(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let before = Identity::observed(evidence, &facts::SET_BEFORE)?;
    let after = Identity::observed(evidence, &facts::SET_AFTER)?;
    if before.is_empty() {
        return Err(Missing("the StatefulSet had no pods".into()));
    }
    let compared = Comparison::of(&before, &after);
    let lost: Vec<&str> = compared.gone.iter().map(|p| p.name.as_str()).collect();
    let new: Vec<&str> = compared.new.iter().map(|p| p.name.as_str()).collect();
    finding.check(
        compared.by_loss(lost.is_empty() && new.is_empty()),
        format!(
            "StatefulSet: {} names kept, gone {}, new {}",
            before.len() - lost.len(),
            names(&lost),
            names(&new)
        ),
    );
    let now = Object::list(evidence, &facts::SET_AFTER)?;
    let ready = now.iter().filter(|p| p.is_ready()).count();
    let late = now.iter().filter(|p| !p.is_ready()).map(Object::touched);
    finding.check(
        (now.len() == before.len()) & Holds::or(ready == before.len(), late),
        format!("StatefulSet: {ready} of {} pods ready in the end", before.len()),
    );
    if compared.replaced.is_empty() {
        finding.unsure("StatefulSet: no pod was moved, so none could come back as another");
    }
    finding.part(|finding| claims(evidence, finding));
    Ok(())
}

/// Checks that each pod mounts its earlier claim, bound to its earlier volume, with the file that was written before.
fn claims(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let set = Object::observed(evidence, &facts::SET)?;
    let template = template(&set)?;
    let (old, new) =
        (Object::list(evidence, &facts::SET_BEFORE)?, Object::list(evidence, &facts::SET_AFTER)?);
    let (before, after) =
        (Object::list(evidence, &facts::CLAIMS_BEFORE)?, Object::list(evidence, &facts::CLAIMS_AFTER)?);
    let (written, found): (Vec<Content>, Vec<Content>) =
        (evidence.fact(&facts::WRITTEN)?, evidence.fact(&facts::FOUND)?);
    for pod in &old {
        // A missing name was reported above.
        let Some(now) = new.iter().find(|p| p.name() == pod.name()) else { continue };
        let claim = |p: &Object<'_>| claim_of(p, template).map(str::to_owned);
        let (was, is) = (claim(pod), claim(now));
        let text = |c: &Option<String>| c.clone().unwrap_or_else(|| "none".into());
        finding.check(
            was.is_some() && was == is,
            format!("{} mounted claim {}, mounts {}", pod.name(), text(&was), text(&is)),
        );
        match (named(&before, &was), named(&after, &is)) {
            (Some(was), Some(is)) => check_same_claim(finding, &was, &is),
            _ => _ = finding.unsure(format!("the claim of {} was not observed before and after", pod.name())),
        }
        let of = |all: &[Content], uid: &str| all.iter().find(|c| c.uid == uid).cloned();
        match (of(&written, pod.uid()), of(&found, now.uid())) {
            (Some(wrote), Some(read)) => check_content(finding, &wrote, &read, pod, now),
            _ => _ = finding.unsure(format!("no file of {} was written and read", pod.name())),
        }
    }
    Ok(())
}

fn named<'o>(all: &[Object<'o>], name: &Option<String>) -> Option<Object<'o>> {
    all.iter().find(|c| Some(c.name()) == name.as_deref()).copied()
}

/// Step, pod, node, and why the pod's container had ended.
type Unexplained<'d> = (Option<usize>, &'d str, &'d str, Option<&'d str>);

/// Checks that every pod that ended or restarted did so for a reason: its node's drain, or the purpose of the step.
/// Returns how many pods did.
fn undisturbed(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<usize, Missing> {
    let records = evidence.records();
    let costs = costs(records);
    if costs.is_empty() {
        return Err(Missing("no step of an upgrade was recorded".into()));
    }
    for label in [WEB, SET] {
        if lives(records, label).is_empty() {
            return Err(Missing(format!("no pod with {}={} was recorded", label.0, label.1)));
        }
    }
    if !super::lives::all(records).iter().any(|l| l.is_static()) {
        finding.unsure("no static pod was recorded: what became of the control plane's is not known");
    }
    let all = disturbances(records);
    let mut reasons: BTreeMap<(Option<usize>, &str), Vec<String>> = BTreeMap::new();
    // A container that ends repeatedly is one finding.
    let mut unexplained: BTreeMap<Unexplained<'_>, (Option<f64>, i64)> = BTreeMap::new();
    for found in &all {
        let Disturbance { pod, node, what, .. } = found;
        match found.why {
            Some(why) => reasons.entry((found.step, why)).or_default().push(format!("{pod} {what}")),
            None => {
                let key = (found.step, pod.as_str(), node.as_str(), found.ended.as_deref());
                let (went, restarts) = unexplained.entry(key).or_default();
                match what {
                    Disturbed::Went => *went = Some(found.at),
                    Disturbed::Restarted(times) => *restarts += times,
                }
            }
        }
    }
    for ((step, pod, node, ended), (went, restarts)) in unexplained {
        let step = step.and_then(|i| costs.get(i)).map_or("between steps".into(), |c| c.title());
        let how = ended.map(|how| format!(" ({how})")).unwrap_or_default();
        let told = |what: Disturbed| format!("`{step}`: {pod} on {node} {what}{how} for no known reason");
        if let Some(at) = went {
            // Kubernetes moves the pods of a node that does not report, but does not restart containers because of
            // that.
            let stayed = Holds::or(false, [Touched::pod(node, "", (at, at))]);
            finding.check(stayed, told(Disturbed::Went));
        }
        if restarts > 0 {
            finding.check(false, told(Disturbed::Restarted(restarts)));
        }
    }
    for ((step, why), pods) in reasons {
        let step = step.and_then(|i| costs.get(i)).map_or("between steps".into(), |c| c.title());
        finding.check(true, format!("`{step}`: {}: {why}", names(&pods)));
    }
    if !all.iter().any(|d| d.workload) {
        finding.unsure("no pod of a workload was moved");
    }
    Ok(all.len())
}

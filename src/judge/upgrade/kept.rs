//! D4: rows, identities and pods that nothing should have happened to.

use super::{
    AFTER, Evidence, Finding, Life, Missing, Object, SET, WEB, check_watched, costs, drained_at, lives, names,
};
use crate::judge::durability;
use crate::judge::identity::{Comparison, Identity};

/// D4.
pub(super) fn nothing_lost(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let rows = finding.part(|finding| {
        let rows = durability::every_acknowledged_row(evidence, AFTER, finding)?;
        Ok(rows.acknowledged())
    });
    finding.part(|finding| identities(evidence, finding));
    finding.part(|finding| undisturbed(evidence, finding));
    finding.summary(format!(
        "{} acknowledged rows are there, every identity is kept, no pod went where no node was drained",
        rows.unwrap_or_default()
    ));
    Ok(())
}

/// The StatefulSet has the same names as before, and none went but from a drained node.
fn identities(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let before = Identity::observed(evidence, "set_before")?;
    let after = Identity::observed(evidence, "set_after")?;
    if before.is_empty() {
        return Err(Missing("the StatefulSet had no pods".into()));
    }
    let compared = Comparison::of(&before, &after);
    let lost: Vec<&str> = compared.gone.iter().map(|p| p.name.as_str()).collect();
    let new: Vec<&str> = compared.new.iter().map(|p| p.name.as_str()).collect();
    finding.check(
        lost.is_empty() && new.is_empty(),
        format!(
            "StatefulSet: {} names kept, gone {}, new {}",
            before.len() - lost.len(),
            names(&lost),
            names(&new)
        ),
    );
    let ready = Object::list(evidence, "set_after")?.iter().filter(|p| p.is_ready()).count();
    finding.check(
        ready == before.len(),
        format!("StatefulSet: {ready} of {} pods ready in the end", before.len()),
    );
    Ok(())
}

/// Every pod that went did so in the drain of its own node, and no container was restarted.
fn undisturbed(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let costs = costs(evidence.records());
    let (Some(from), Some(to)) = (costs.first().map(|c| c.from), costs.last().map(|c| c.to)) else {
        return Err(Missing("no step of an upgrade was recorded".into()));
    };
    check_watched(finding, evidence.records(), &costs, "Pod");
    for label in [WEB, SET] {
        let lives: Vec<Life<'_>> =
            lives(evidence.records(), label).into_iter().filter(|l| l.began < to).collect();
        if lives.is_empty() {
            return Err(Missing(format!("no pod with {}={} was recorded", label.0, label.1)));
        }
        let went = lives.iter().filter_map(|l| Some((l, l.ending.filter(|at| *at >= from && *at < to)?)));
        let (mut gone, mut stray) = (0, Vec::new());
        for (life, at) in went {
            gone += 1;
            if !drained_at(&costs, life.node, at) {
                stray.push(format!("{} on {}", life.name, life.node));
            }
        }
        finding.check(
            stray.is_empty(),
            match stray.is_empty() {
                true => {
                    format!("{gone} pods with {}={} went, each in the drain of its node", label.0, label.1)
                }
                false => format!("went though its node was not drained: {}", names(&stray)),
            },
        );
        let restarted: Vec<String> =
            lives.iter().filter(|l| l.restarts > 0).map(|l| format!("{} ({})", l.name, l.restarts)).collect();
        finding.check(
            restarted.is_empty(),
            match restarted.is_empty() {
                true => format!("no container of {}={} was restarted", label.0, label.1),
                false => format!("restarted: {}", names(&restarted)),
            },
        );
    }
    Ok(())
}

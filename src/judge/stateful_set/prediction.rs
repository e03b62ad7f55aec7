//! C8: which pods go is known before the change, unlike a Deployment's (A9).
//!
//! Marks: `scale-down`, `scaled-down`.

use super::facts::{self, Prediction};
use super::history::Order;
use crate::event::{Event, Record};
use crate::judge::identity::{Comparison, Identity, pod_names};
use crate::judge::object::names;
use crate::judge::{Evidence, Finding, Missing};

/// C8.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let prediction: Prediction = evidence.fact(&facts::PREDICTION)?;
    let records = evidence.between("scale-down", "scaled-down")?;
    let (old, new) = (
        Identity::observed(evidence, &facts::PODS_BEFORE_DOWN)?,
        Identity::observed(evidence, &facts::PODS_DOWN)?,
    );
    let (other_old, other_new) = (
        Identity::observed(evidence, &facts::DEPLOYMENT_PODS_BEFORE)?,
        Identity::observed(evidence, &facts::DEPLOYMENT_PODS)?,
    );
    check_said_before(finding, evidence)?;
    let mut predicted: Vec<&str> = prediction.goes.iter().map(String::as_str).collect();
    let in_order = deleted(records, &predicted);
    Order::of(finding, evidence, records, &["Pod"]).check(
        in_order == predicted,
        format!("order of deletion: {}, predicted {}", names(&in_order), names(&predicted)),
    );
    predicted.sort_unstable();
    check_pods(finding, &Comparison::of(&old, &new), &predicted, &prediction.stays);
    let other = Comparison::of(&other_old, &other_new);
    check_deployment(finding, &other, &other_old, prediction.deployment_goes);
    finding.check(
        old.len() - new.len().min(old.len()) == other_old.len() - other_new.len().min(other_old.len()),
        format!(
            "the same change: {} -> {} and {} -> {} pods",
            old.len(),
            new.len(),
            other_old.len(),
            other_new.len()
        ),
    );
    finding.summary(format!(
        "{} were deleted as predicted; of the Deployment's {} pods {} were deleted, which nothing predicts",
        names(&prediction.goes),
        other_old.len(),
        pod_names(&other.gone)
    ));
    Ok(())
}

/// Checks that the StatefulSet's pods went and stayed as predicted; `predicted` is sorted.
fn check_pods(finding: &mut Finding, compared: &Comparison, predicted: &[&str], stays: &[String]) {
    let mut gone: Vec<&str> = compared.gone.iter().map(|p| p.name.as_str()).collect();
    gone.sort_unstable();
    // The loss of a node may delete pods that were not predicted.
    let right = gone == predicted || predicted.iter().all(|name| gone.contains(name));
    let as_predicted = right & compared.by_loss(gone == predicted);
    finding.check(as_predicted, format!("{} went, predicted {}", names(&gone), names(predicted)));
    if predicted.is_empty() {
        finding.unsure("nothing was predicted");
    }
    let mut stayed: Vec<&str> = compared.kept.iter().map(|k| k.0.name.as_str()).collect();
    stayed.sort_unstable();
    let strange = compared.new.len() + compared.replaced.len();
    finding.check(
        compared.by_loss(stayed == stays && strange == 0),
        format!("{} stayed by UID, predicted {}; new: {strange}", names(&stayed), names(stays)),
    );
}

/// Checks that as many of the Deployment's pods went as predicted.
fn check_deployment(finding: &mut Finding, compared: &Comparison, old: &[Identity], predicted: usize) {
    let goes = compared.gone.len() == predicted;
    finding.check(
        compared.by_loss(goes && compared.new.is_empty() && compared.replaced.is_empty()),
        format!(
            "the Deployment's {}: {} were deleted, and {predicted} deletions were predicted without names",
            pod_names(old),
            pod_names(&compared.gone)
        ),
    );
}

/// Checks that the prediction was recorded once, before the change.
fn check_said_before(finding: &mut Finding, evidence: &Evidence<'_>) -> Result<(), Missing> {
    let change = evidence.mark("scale-down")?;
    let said: Vec<_> = evidence.records_of(&facts::PREDICTION).collect();
    let early = said.iter().all(|(r, _)| r.seq < change.seq && r.mono_us <= change.mono_us);
    let word = if early { "before" } else { "after" };
    finding
        .check(early && said.len() == 1, format!("{} prediction(s), recorded {word} the change", said.len()));
    Ok(())
}

/// Returns those of the named pods that were deleted, in the order in which their deletions were first seen.
fn deleted<'r>(records: &'r [Record], wanted: &[&str]) -> Vec<&'r str> {
    let mut order: Vec<&str> = Vec::new();
    for record in records {
        let Event::ObjectChanged { kind, name, object, .. } = &record.event else { continue };
        let ending = object.pointer("/metadata/deletionTimestamp").is_some_and(|t| !t.is_null());
        if kind == "Pod" && ending && wanted.contains(&name.as_str()) && !order.contains(&name.as_str()) {
            order.push(name);
        }
    }
    order
}

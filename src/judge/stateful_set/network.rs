//! C2: names that stay while addresses change.
//!
//! A pod's own name is in its own /etc/hosts, so only answers to other pods count.

use serde::Deserialize;

use super::facts::{self, Answer, GaveUp};
use crate::event::Record;
use crate::judge::evidence::seconds_between;
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Missing, clock};

/// C2.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let service = Object::observed(evidence, &facts::SERVICE)?;
    let before = Object::list(evidence, &facts::PODS_BEFORE_REPLACEMENT)?;
    let after = Object::list(evidence, &facts::PODS_AFTER_REPLACEMENT)?;
    let budget: f64 = evidence.fact(&facts::ANSWER_BUDGET)?;
    let answers = evidence.facts(&facts::ANSWER)?;
    let headless = service.text("/spec/clusterIP").unwrap_or("absent");
    finding.check(headless == "None", format!("Service {} has cluster IP {headless}", service.name()));
    for (when, pods) in [("before", &before), ("after", &after)] {
        for pod in pods {
            // Answers about a replaced pod are timed below, from the beginning of the replacement.
            let stays = before.iter().any(|p| p.uid() == pod.uid());
            let allowed = if stays { budget } else { f64::INFINITY };
            finding.part(|f| {
                check_named(f, &service, (when, pods), pod, (evidence, &answers, (budget, allowed)))
            });
        }
    }
    let mut lines = Vec::new();
    for new in &after {
        let old = before.iter().find(|p| p.name() == new.name());
        let Some(old) = old.filter(|p| p.uid() != new.uid()) else { continue };
        let (was, is) = (address(old)?, address(new)?);
        if was == is {
            finding.unsure(format!("{} got its old address {is} again, which shows no change", new.name()));
        }
        let is_told = |a: &&Answer| {
            a.when == "after" && a.name == name(new, &service) && a.addresses == [is.to_owned()]
        };
        let told = answers.iter().filter(is_told).find(|a| by_another(a, new, &after));
        if let Some(told) = told {
            let (from, to) = wait(evidence, told).ok_or_else(|| {
                Missing(format!("no record has the time at which {} got its answer", told.asker))
            })?;
            let what = format!("{} to be found at {is}", new.name());
            finding.timed_until(to, &what, told.waited, budget);
            if let Some(from) = from {
                clock::check_agree(finding, from, to);
            }
        }
        lines.push(format!("{}: {was}, after its replacement {is}", name(new, &service)));
    }
    if lines.is_empty() {
        finding.unsure("no pod was replaced in between");
    }
    finding.summary(format!("{} answers inside the cluster; {}", answers.len(), names(&lines)));
    Ok(())
}

/// Checks that the last answer for a pod's name is the pod's address, was given to another pod, and came within the
/// budget.
fn check_named(
    finding: &mut Finding,
    service: &Object<'_>,
    (when, pods): (&str, &[Object<'_>]),
    pod: &Object<'_>,
    (evidence, answers, (budget, allowed)): (&Evidence<'_>, &[Answer], (f64, f64)),
) -> Result<(), Missing> {
    let (host, domain) = (pod.text("/spec/hostname"), pod.text("/spec/subdomain"));
    finding.check(
        host == Some(pod.name()) && domain == Some(service.name()),
        format!("pod {}: host name {host:?}, subdomain {domain:?}", pod.name()),
    );
    let name = name(pod, service);
    let mut asked = answers.iter().filter(|a| a.when == when && a.name == name);
    let last = asked.rfind(|a| by_another(a, pod, pods));
    let last = last.ok_or_else(|| Missing(format!("no other pod of the set asked for {name} {when}")))?;
    let address = address(pod)?;
    let whole = |asked: &&String| !(asked.starts_with(&format!("{name}.")) && asked.ends_with('.'));
    if let Some(asked) = last.asked.as_ref().filter(whole) {
        finding
            .unsure(format!("{when}: {} asked for {asked}, which is not the whole name {name}", last.asker));
    }
    let excused = gave_up(evidence, when, &name)
        .is_some_and(|(from, to)| finding.machine.fed(from, to, to - from) <= budget);
    finding.check_unless_starved(
        last.addresses == [address],
        excused,
        format!("{when}: {} was told {} for {name}, which has {address}", last.asker, names(&last.addresses)),
    );
    if let Some((_, told)) = wait(evidence, last).filter(|_| last.waited > allowed) {
        let to = told.mono_us as f64 / 1e6;
        let what = format!("{when}: the answer on {name} took {:.1} s of {budget:.1} s", last.waited);
        finding.within((to - last.waited, to), budget, what);
    }
    Ok(())
}

/// Returns the period, in seconds, in which the right answer for a name did not come; none if it came.
fn gave_up(evidence: &Evidence<'_>, when: &str, name: &str) -> Option<(f64, f64)> {
    evidence.records_of(&facts::GAVE_UP).rev().find_map(|(record, value)| {
        let told = GaveUp::deserialize(value).ok().filter(|told| told.when == when && told.name == name)?;
        let to = record.mono_us as f64 / 1e6;
        Some((to - told.waited, to))
    })
}

/// Whether another pod of the set got the answer.
fn by_another(answer: &Answer, pod: &Object<'_>, pods: &[Object<'_>]) -> bool {
    let asked = |p: &Object<'_>| p.name() == answer.asker && p.uid() == answer.asker_uid;
    answer.asker_uid != pod.uid() && pods.iter().any(asked)
}

/// Returns the name that the claim is about: `pod.service.namespace.svc`.
fn name(pod: &Object<'_>, service: &Object<'_>) -> String {
    let namespace = pod.namespace();
    format!("{}.{}.{namespace}.svc", pod.name(), service.name())
}

fn address<'r>(pod: &Object<'r>) -> Result<&'r str, Missing> {
    let address = pod.text("/status/podIP");
    address.ok_or_else(|| Missing(format!("pod {} was recorded without an address", pod.name())))
}

/// Returns the records around the wait for an answer: the last answer before it, and the answer itself.
fn wait<'r>(evidence: &Evidence<'r>, told: &Answer) -> Option<(Option<&'r Record>, &'r Record)> {
    let is_told = |value| Answer::deserialize(value).is_ok_and(|a: Answer| a == *told);
    let (to, _) = evidence.records_of(&facts::ANSWER).find(|(_, value)| is_told(*value))?;
    Some((evidence.records().iter().rfind(|r| seconds_between(r, to) >= told.waited), to))
}

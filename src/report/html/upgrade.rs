//! A table of an upgrade's steps: what each probe observed, and which pods were disturbed and why.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::duration::measured;
use crate::report::run::{ProbeReport, UpgradeStepReport};

pub(super) fn section(steps: &[UpgradeStepReport]) -> Markup {
    let mut probes: Vec<&str> = steps.iter().flat_map(|s| s.probes.keys()).map(String::as_str).collect();
    probes.sort_unstable();
    probes.dedup();
    html! {
        h3 { "Steps of the upgrade" }
        p.quiet { "Requests (for the ledger: rows), failures, the longest outage, and the total of several outages." }
        div.wide {
            table {
                thead {
                    tr {
                        th { "step" } th.number { "took" }
                        @for probe in &probes { th.number { (probe) } }
                        th { "pods" }
                    }
                }
                tbody { @for step in steps { (row(step, &probes)) } }
            }
        }
    }
}

fn row(step: &UpgradeStepReport, probes: &[&str]) -> Markup {
    html! {
        tr {
            td {
                b { (step.step) } @if let Some(node) = &step.node { " " (node) }
                @if let Some(error) = &step.error { p.broke { (error) } }
            }
            td.number { @match step.took { Some(took) => { (measured(took)) }, None => { "not ended" } } }
            @for probe in probes { td.number { @if let Some(seen) = step.probes.get(*probe) { (cell(seen)) } } }
            td { (pods(step)) }
        }
    }
}

fn cell(seen: &ProbeReport) -> Markup {
    html! {
        (seen.requests)
        @if seen.refused > 0 { br; (seen.refused) " refused" }
        @if seen.indeterminate > 0 { br; (seen.indeterminate) " without an answer" }
        @if seen.outage > 0.0 { br; b { (measured(seen.outage)) } }
        @if seen.away > seen.outage { br; (measured(seen.away)) " in all" }
    }
}

/// Lists pods by what happened to them and why; pods without a reason are emphasised.
fn pods(step: &UpgradeStepReport) -> Markup {
    let mut by_reason: BTreeMap<(&str, Option<&str>), Vec<&str>> = BTreeMap::new();
    for found in &step.pods {
        let name = found.pod.rsplit('/').next().unwrap_or(&found.pod);
        by_reason.entry((&found.what, found.why.as_deref())).or_default().push(name);
    }
    html! {
        @for ((what, why), pods) in by_reason {
            p {
                (what) ": " (pods.join(", "))
                @match why { Some(why) => { small { " (" (why) ")" } }, None => { b { " for no known reason" } } }
            }
        }
    }
}

//! `report.html`: the run as one self-contained page without scripts, fonts or network access.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::timeline::{GROUPS, Lane, Span, State, Timeline};
use super::{
    ClaimReport, ClusterReport, FaultReport, Format, Look, ReportError, RowsReport, RunReport, StepReport,
    SuiteReport,
};
use crate::duration::measured;
use crate::judge::Conclusion;

mod upgrade;

/// The format for people: summary, claims with their checks, timelines, rows, environment.
#[derive(Debug)]
pub struct Html;

const STYLE: &str = include_str!("html.css");

impl Format for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn about(&self) -> &'static str {
        "one page for people, with timelines; needs no network"
    }

    fn file(&self) -> Option<&'static str> {
        Some("report.html")
    }

    fn render(&self, report: &RunReport, _look: Look) -> Result<String, ReportError> {
        Ok(page(report).into_string() + "\n")
    }
}

fn page(report: &RunReport) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // The browser enforces that the page loads nothing.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { "seatrial " (report.run) ": " (report.verdict) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (summary(report))
                main {
                    @for suite in &report.suites { (suite_section(report, suite)) }
                    (environment(report))
                }
            }
        }
    }
}

fn summary(report: &RunReport) -> Markup {
    let counts = report.counts;
    html! {
        header class=(report.verdict) {
            p.verdict { (report.verdict) }
            h1 { "seatrial run " span.id { (report.run) } }
            p {
                @if let Some(at) = report.started { (at.strftime("%-d %B %Y, %H:%M:%S UTC")) ", " }
                (measured(report.took)) ", seatrial " (report.seatrial)
            }
            p.counts {
                span.passed { b { (counts.passed) } " passed" }
                span.failed { b { (counts.failed) } " failed" }
                span.inconclusive { b { (counts.inconclusive) } " inconclusive" }
            }
            @if !report.defects.is_empty() {
                div.defects {
                    b { "Not proved by these records" }
                    ul { @for defect in &report.defects { li { (defect) } } }
                }
            }
            @if !report.substitutions.is_empty() {
                div.swaps {
                    b { "Images that ran in place of those in the manifests" }
                    " (profile " (report.profile) ": " (report.profile_because) ")"
                    ul {
                        @for swap in &report.substitutions {
                            li { code { (swap.from) } " → " code { (swap.to) } " " small { (swap.built_from) } }
                        }
                    }
                }
            }
        }
    }
}

fn suite_section(report: &RunReport, suite: &SuiteReport) -> Markup {
    let timeline = report.timelines.iter().find(|t| t.suite == suite.name);
    let faults: Vec<&FaultReport> = report.faults.iter().filter(|f| f.suite == suite.name).collect();
    html! {
        section {
            h2 { (suite.name) " " span.badge.(suite.verdict) { (suite.verdict) } }
            p.quiet {
                (measured(suite.took))
                @if let Some(cluster) = &suite.cluster { ", cluster " code { (cluster) } }
                @if let Some(namespace) = &suite.namespace { ", namespace " code { (namespace) } }
                @if let Some(run) = &suite.run { ", run " code { (run) } }
            }
            @if let Some(error) = &suite.error { p.broke { b { "The story broke: " } (error) } }
            @for left in &suite.left { p.quiet { b { "Left behind: " } (left) } }
            @let named = report.claims_of(&suite.name).any(|claim| claim.id.chars().count() > 4);
            div.claims.named[named] { @for claim in report.claims_of(&suite.name) { (claim_row(claim)) } }
            @if let Some(timeline) = timeline { (timeline_section(timeline)) }
            @if !suite.upgrade.is_empty() { (upgrade::section(&suite.upgrade)) }
            @if let Some(rows) = &suite.rows { (rows_section(rows)) }
            @if !faults.is_empty() { (faults_section(&faults)) }
            @if !suite.steps.is_empty() { (steps_section(&suite.steps)) }
        }
    }
}

fn claim_row(claim: &ClaimReport) -> Markup {
    // The claim on a single workload of a trial follows the whole claim, which shows the same checks.
    let subject = claim.id.split_once('/').map(|(_, subject)| subject);
    html! {
        details.claim.(claim.verdict).part[subject.is_some()] open[subject.is_none() && claim.verdict != Conclusion::Passed] {
            summary {
                b.id { (subject.unwrap_or(&claim.id)) }
                span.badge.(claim.verdict) { (claim.verdict) }
                span.title {
                    @if claim.title.is_empty() { (claim.evidence) } @else { (claim.title) }
                }
                @if let Some(took) = claim.took { (bar(took, claim.budget)) }
            }
            @if !claim.title.is_empty() { p.evidence { (claim.evidence) } }
            @if !claim.details.is_empty() {
                ul {
                    @for detail in &claim.details {
                        @let (verdict, what) = detail.split_once(": ").unwrap_or(("", detail));
                        li.(verdict) { (what) }
                    }
                }
            }
        }
    }
}

/// Shows time and budget, in words and as a bar.
fn bar(took: f64, budget: Option<f64>) -> Markup {
    let share = budget.filter(|b| *b > 0.0).map(|b| 100.0 * took / b);
    html! {
        span.time {
            (measured(took))
            @if let Some(budget) = budget { " of " (measured(budget)) }
            @if let Some(share) = share {
                span.bar.over[share > 100.0] { i style=(format!("width:{:.1}%", share.min(100.0))) {} }
            }
        }
    }
}

fn timeline_section(timeline: &Timeline) -> Markup {
    let length = (timeline.to - timeline.from).max(0.001);
    let place = |at: f64| 100.0 * (at - timeline.from) / length;
    html! {
        h3 { "Timeline" }
        div.timeline {
            div.lane.axis {
                span.name { "seconds" }
                div.track {
                    @for tick in ticks(length) {
                        span.tick style=(format!("left:{:.2}%", 100.0 * (tick as f64) / length)) { (tick) }
                    }
                }
            }
            @if !timeline.marks.is_empty() {
                div.lane {
                    span.name { "marks" }
                    div.track.thin {
                        @for (at, mark) in &timeline.marks {
                            i.mark style=(format!("left:{:.2}%", place(*at))) title=(mark) {}
                        }
                    }
                }
            }
            @for group in GROUPS {
                @let lanes: Vec<&Lane> = timeline.lanes.iter().filter(|l| l.group == group).collect();
                @if !lanes.is_empty() {
                    h4 { (group) }
                    @for lane in lanes { (lane_row(lane, timeline.from, &place)) }
                }
            }
            @if !timeline.marks.is_empty() {
                p.legend {
                    "marks: "
                    @for (at, mark) in &timeline.marks {
                        span { (mark) " at " (measured(at - timeline.from)) }
                    }
                }
            }
            p.legend {
                span { i.good {} "as it should be" }
                span { i.moving {} "on its way, or no answer" }
                span { i.bad {} "not as it should be" }
                span { i.fault {} "broken by the test" }
                span { i.starved {} "the machine had no time" }
                span { i.mark {} "a container restarted" }
            }
        }
    }
}

fn lane_row(lane: &Lane, from: f64, place: &impl Fn(f64) -> f64) -> Markup {
    html! {
        div.lane {
            // Pod names differ at their end, which must stay visible if a name is shortened.
            span.name.tail[lane.group != "steps"] title=(lane.name) { bdi { (lane.name) } }
            div.track {
                @for span in &lane.spans {
                    @let (left, right) = (place(span.from), place(span.to));
                    i.(colour(span.state)) style=(format!("left:{left:.2}%;width:{:.2}%", right - left))
                        title=(words(span, from)) {}
                }
                @for (at, what) in &lane.moments {
                    i.mark style=(format!("left:{:.2}%", place(*at)))
                        title=(format!("{what} ({:.1} s)", at - from)) {}
                }
            }
        }
    }
}

fn words(span: &Span, from: f64) -> String {
    format!("{} ({:.1} s to {:.1} s)", span.note, span.from - from, span.to - from)
}

fn colour(state: State) -> &'static str {
    match state {
        State::Good => "good",
        State::Moving => "moving",
        State::Bad => "bad",
        State::Fault => "fault",
        State::Starved => "starved",
    }
}

/// Returns four to eight round numbers of seconds for the axis.
fn ticks(length: f64) -> Vec<u64> {
    let steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200];
    let step = steps.into_iter().find(|s| length / (*s as f64) <= 8.0).unwrap_or(14_400);
    (0..).map(|n| n * step).take_while(|at| (*at as f64) < length * 0.98).take(50).collect()
}

fn rows_section(rows: &RowsReport) -> Markup {
    html! {
        h3 { "Rows" }
        p {
            (rows.acknowledged) " acknowledged, " (rows.refused) " refused, "
            (rows.indeterminate) " without an answer"
        }
        @if !rows.readings.is_empty() {
            div.wide {
                table {
                    thead {
                        tr {
                            th { "reading" } th { "pod" } th { "node" }
                            th.number { "found" } th.number { "acknowledged, not found" }
                            th.number { "found, no answer" } th.number { "found, not ours" }
                        }
                    }
                    tbody {
                        @for reading in &rows.readings {
                            tr {
                                td { (reading.reading) }
                                td title=(reading.server_uuid) { (reading.pod) }
                                td { (reading.node) }
                                @if reading.exists { td.number { (reading.found) } } @else { td.number { "no table" } }
                                td.number { (reading.missing) }
                                td.number { (reading.unanswered) }
                                td.number { (reading.foreign) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn faults_section(faults: &[&FaultReport]) -> Markup {
    html! {
        h3 { "Faults" }
        ul.faults {
            @for fault in faults {
                li {
                    b { (fault.fault) } " on " code { (fault.node) } ": "
                    @match fault.injected {
                        Some(at) => { "took hold at " (measured(at)) " of the run" },
                        None => { "not proved to have taken hold" },
                    }
                    @if !fault.proof.is_empty() { " (" (fault.proof) ")" }
                    @match fault.healed {
                        Some(at) => { ", healed at " (measured(at)) },
                        None => { ", " b { "not recorded as healed" } },
                    }
                    @if !fault.healed_proof.is_empty() { " (" (fault.healed_proof) ")" }
                }
            }
        }
    }
}

fn steps_section(steps: &[StepReport]) -> Markup {
    html! {
        details.steps {
            summary { "Steps with their budgets (" (steps.len()) ")" }
            ul {
                @for step in steps {
                    li {
                        span.title { (step.name) }
                        @match step.took {
                            Some(took) => { (bar(took, step.budget)) },
                            None => { span.time { "never ended" } },
                        }
                        @if let Some(error) = &step.error { p.broke { (error) } }
                    }
                }
            }
        }
    }
}

fn environment(report: &RunReport) -> Markup {
    html! {
        section {
            h2 { "Environment" }
            @for cluster in &report.clusters { (cluster_table(cluster)) }
            @if !report.machine.is_empty() {
                h3 { "Machine" }
                dl { @for (name, value) in &report.machine { dt { (name) } dd { (value) } } }
            }
            @if !report.notes.is_empty() {
                h3 { "Notes" }
                ul {
                    @for note in &report.notes {
                        li { span.quiet { (measured(note.at)) } " " (note.text) }
                    }
                }
            }
        }
    }
}

fn cluster_table(cluster: &ClusterReport) -> Markup {
    html! {
        h3 { "Cluster " code { (cluster.name) } }
        p {
            "Kubernetes " (cluster.kubernetes) ", topology " (cluster.topology) ", "
            @if cluster.reused { "found ready in " } @else { "made in " }
            (measured(cluster.took)) ", node image " code { (cluster.image) }
        }
        div.wide {
            table {
                thead { tr { th { "node" } th { "kubelet" } th { "runtime" } th { "system" } th { "kernel" } } }
                tbody {
                    @for node in &cluster.nodes {
                        tr {
                            td { (node.name) } td { (node.kubelet) } td { (node.runtime) }
                            td { (node.os) } td { (node.kernel) }
                        }
                    }
                }
            }
        }
    }
}

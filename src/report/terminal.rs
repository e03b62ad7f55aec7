//! Shows the run as a table for a terminal or a log.

use super::{ClaimReport, Format, Look, ReportError, RunReport, SuiteReport};
use crate::duration::measured;
use crate::judge::Conclusion;

/// One line for each claim; a claim that did not pass is followed by its decisive checks.
#[derive(Debug)]
pub struct Terminal;

impl Format for Terminal {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn about(&self) -> &'static str {
        "a table: claim, verdict, evidence, time against budget"
    }

    fn file(&self) -> Option<&'static str> {
        None
    }

    fn render(&self, report: &RunReport, look: Look) -> Result<String, ReportError> {
        let mut page =
            Page { text: String::new(), colour: look.colour, width: look.width.clamp(80, 120), ids: ID };
        page.head(report);
        for suite in &report.suites {
            page.suite(report, suite);
        }
        page.foot(report);
        Ok(page.text)
    }
}

/// Whether a claim is not the part of another claim that is about a single workload of a trial.
fn is_whole(report: &RunReport, claim: &ClaimReport) -> bool {
    let base = claim.id.split_once('/').map(|(base, _)| base);
    !base.is_some_and(|base| report.claims.iter().any(|whole| whole.id == base && whole.suite == claim.suite))
}

struct Page {
    text: String,
    colour: bool,
    width: usize,
    /// Width of the column of ids.
    ids: usize,
}

/// Minimum width of the column of ids.
const ID: usize = 4;
/// Maximum width of the column of ids. A longer id moves its own line to the right.
const LONGEST_ID: usize = 20;
/// Columns of `12.3 s of 180 s` with the blanks before it.
const TIME: usize = 20;

impl Page {
    fn head(&mut self, report: &RunReport) {
        let verdict = self.paint(report.verdict, &report.verdict.to_string());
        let took = measured(report.took);
        self.line(&format!("run {}: {verdict} after {took} (seatrial {})", report.run, report.seatrial));
        if !report.profile.is_empty() {
            self.wrapped("  ", &format!("images: {}, {}", report.profile, report.profile_because));
        }
        for cluster in &report.clusters {
            let made = if cluster.reused { "found" } else { "made" };
            let nodes = cluster.nodes.len();
            let plural = if nodes == 1 { "node" } else { "nodes" };
            self.wrapped(
                "  ",
                &format!(
                    "cluster {}: Kubernetes {}, {nodes} {plural}, {made} in {}",
                    cluster.name,
                    cluster.kubernetes,
                    measured(cluster.took)
                ),
            );
        }
        for swap in &report.substitutions {
            self.wrapped("  ", &format!("{} -> {} ({})", swap.from, swap.to, swap.built_from));
        }
    }

    fn suite(&mut self, report: &RunReport, suite: &SuiteReport) {
        let name = if self.colour { format!("\x1b[1m{}\x1b[0m", suite.name) } else { suite.name.clone() };
        self.line("");
        self.line(&format!("{name}  {}", measured(suite.took)));
        let shown = || report.claims_of(&suite.name).filter(|claim| is_whole(report, claim));
        self.ids = shown().map(|claim| claim.id.chars().count()).fold(ID, usize::max).min(LONGEST_ID);
        for claim in shown() {
            self.claim(claim);
        }
        if let Some(error) = &suite.error {
            self.verdict_line("", Conclusion::Failed, "broken", &format!("the story broke: {error}"));
        }
        for left in &suite.left {
            self.wrapped("       ", &format!("left behind: {left}"));
        }
        for step in suite.steps.iter().filter(|s| s.error.is_some() || s.took.is_none()) {
            let what = step.error.as_deref().unwrap_or("never ended");
            let after = step.took.map(|t| format!(" after {}", measured(t))).unwrap_or_default();
            self.wrapped("       ", &format!("step `{}`{after}: {what}", step.name));
        }
        for step in suite.steps.iter().filter(|s| s.error.is_none()) {
            if let (Some(took), Some(budget)) = (step.took, step.budget)
                && took > budget
            {
                let (took, budget) = (measured(took), measured(budget));
                self.wrapped("       ", &format!("step `{}` took {took} of {budget}", step.name));
            }
        }
    }

    fn claim(&mut self, claim: &ClaimReport) {
        let time = match (claim.took, claim.budget) {
            (Some(took), Some(budget)) => format!("{} of {}", measured(took), measured(budget)),
            (Some(took), None) => measured(took),
            _ => String::new(),
        };
        if claim.verdict == Conclusion::Passed {
            let (room, length) = (self.width - self.margin(), time.chars().count());
            let evidence = match length {
                0 => cut(&claim.evidence, room),
                _ => cut(&claim.evidence, room.saturating_sub(TIME.max(length + 1))),
            };
            let gap = if length == 0 { 0 } else { room.saturating_sub(evidence.chars().count() + length) };
            let text = format!("{evidence}{}{time}", " ".repeat(gap));
            self.verdict_line(&claim.id, claim.verdict, "passed", &text);
            return;
        }
        let timed = if time.is_empty() { String::new() } else { format!(" ({time})") };
        let text = format!("{}{timed}", if claim.title.is_empty() { "" } else { &claim.title });
        let mut lines = wrap(&text, self.width - self.margin()).into_iter();
        let first = lines.next().unwrap_or_default();
        self.verdict_line(&claim.id, claim.verdict, &claim.verdict.to_string(), &first);
        for line in lines {
            self.line(&format!("{}{line}", " ".repeat(self.margin())));
        }
        let decisive: Vec<&String> =
            claim.details.iter().filter(|d| d.starts_with(&format!("{}:", claim.verdict))).collect();
        if decisive.is_empty() {
            self.wrapped(&" ".repeat(self.margin()), &claim.evidence);
        }
        for detail in decisive {
            let what = detail.split_once(": ").map_or(detail.as_str(), |d| d.1);
            self.wrapped(&" ".repeat(self.margin()), what);
        }
    }

    fn foot(&mut self, report: &RunReport) {
        self.line("");
        for defect in &report.defects {
            self.wrapped("", &format!("records: {defect}"));
        }
        let count = |verdict: Option<Conclusion>| {
            let whole = report.claims.iter().filter(|claim| is_whole(report, claim));
            whole.filter(|claim| verdict.is_none_or(|verdict| claim.verdict == verdict)).count()
        };
        let of = |verdict| count(Some(verdict));
        self.line(&format!(
            "{} claims: {} passed, {} failed, {} inconclusive",
            count(None),
            of(Conclusion::Passed),
            of(Conclusion::Failed),
            of(Conclusion::Inconclusive)
        ));
    }

    /// Returns the column at which texts about a claim begin.
    fn margin(&self) -> usize {
        2 + self.ids + 1 + 12 + 1
    }

    fn verdict_line(&mut self, id: &str, verdict: Conclusion, word: &str, text: &str) {
        let word = self.paint(verdict, &format!("{word:<12}"));
        let width = self.ids;
        self.line(format!("  {id:<width$} {word} {text}").trim_end());
    }

    fn paint(&self, verdict: Conclusion, text: &str) -> String {
        let code = match verdict {
            Conclusion::Passed => "32",
            Conclusion::Inconclusive => "33",
            Conclusion::Failed => "1;31",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }

    /// Writes text that is wrapped at the right edge, with all lines indented alike.
    fn wrapped(&mut self, indent: &str, text: &str) {
        for line in wrap(text, self.width - indent.len()) {
            self.line(&format!("{indent}{line}"));
        }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }
}

/// Cuts a text to at most `room` characters; an ellipsis marks the cut.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.into();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Wraps a text at blanks into lines of at most `room` characters; a longer word gets its own line.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

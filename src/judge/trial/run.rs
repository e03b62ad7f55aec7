//! `run`: every command of the trial ends with 0.

use super::{facts, requests, rules};
use crate::event::{Event, Record};
use crate::judge::index::Of;
use crate::judge::{Evidence, Finding, Holds, Missing};

/// Judges `run`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    rules::none(finding, evidence);
    let all = evidence.facts(&facts::COMMANDS)?;
    let number = |mark: &str| mark.strip_prefix("command ").and_then(|number| number.parse::<usize>().ok());
    let is_begun = |r: &&Record| matches!(&r.event, Event::Marked { mark } if number(mark).is_some());
    let begun = evidence.all(Of::Marks).filter(is_begun).count();
    if begun != all.len() {
        return Err(Missing(format!("{begun} commands began, and {} ends were recorded", all.len())));
    }
    let ends = evidence.records_of(&facts::COMMANDS).map(|(record, _)| record.mono_us as f64 / 1e6);
    for (end, run) in ends.zip(all) {
        let span = (end - run.took, end);
        let command = &run.command;
        match run.code {
            Some(0) => finding.within(
                span,
                run.budget,
                format!("`{command}` ended with 0 after {:.1} s of {:.0} s", run.took, run.budget),
            ),
            Some(code) => finding.check(false, format!("`{command}` ended with {code}: {}", run.output)),
            // The machine may have been too slow for the timeout.
            None if finding.machine.starved_in(span.0, span.1) > 0.0 => finding
                .unsure(format!("`{command}` did not end by itself: {}; the machine starved", run.output)),
            None => finding.check(
                Holds::of_any(false, span),
                format!("`{command}` did not end by itself after {:.1} s: {}", run.took, run.output),
            ),
        };
    }
    let is_planned = evidence.fact(&facts::EXPECTED).is_ok_and(|expected| expected.faults.is_some());
    for number in 1..=begun {
        let marks = (format!("command {number}"), format!("command {number} over"));
        // Records of older versions have no such mark.
        if is_planned || evidence.mark(&marks.1).is_ok() {
            requests::check_budgets(finding, evidence, (&marks.0, &marks.1));
        }
    }
    Ok(())
}

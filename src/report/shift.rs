//! Moves a report along the time axis: the report of one run becomes a part of a report that began earlier.

use super::run::RunReport;

/// Adds `by` seconds to every moment of a report.
pub(super) fn later(report: &mut RunReport, by: f64) {
    let add = |at: &mut f64| *at = super::units::millis(*at + by);
    for suite in &mut report.suites {
        add(&mut suite.began);
        suite.steps.iter_mut().for_each(|step| add(&mut step.began));
        suite.upgrade.iter_mut().for_each(|step| add(&mut step.began));
        suite.rows.iter_mut().flat_map(|rows| &mut rows.readings).for_each(|reading| add(&mut reading.at));
    }
    for fault in &mut report.faults {
        fault.injected.iter_mut().chain(&mut fault.healed).for_each(add);
    }
    report.notes.iter_mut().for_each(|note| add(&mut note.at));
    for timeline in &mut report.timelines {
        [&mut timeline.from, &mut timeline.to].into_iter().for_each(add);
        timeline.marks.iter_mut().for_each(|(at, _)| add(at));
        for lane in &mut timeline.lanes {
            lane.spans.iter_mut().flat_map(|span| [&mut span.from, &mut span.to]).for_each(add);
            lane.moments.iter_mut().for_each(|(at, _)| add(at));
        }
    }
}

//! `seatrial judge`: judge a finished run again.

use seatrial::config::Settings;
use seatrial::report::{self, RunReport, rejudge};

use crate::args::JudgeArgs;
use crate::exit::Exit;
use crate::{runs, show};

/// Judges the run from its records and shows it. What came out otherwise than recorded is said on
/// standard error; the run's folder is not changed. Ends with the code of the new verdict.
pub fn judge(settings: &Settings, args: &JudgeArgs) -> anyhow::Result<Exit> {
    let found = runs::find(settings, &args.run)?;
    let (records, changes) = rejudge(&found.records);
    for change in &changes {
        show::error(&format!("{} of {} was {}, is {}", change.claim, change.scenario, change.was, change.is));
    }
    let report = RunReport::of(&records);
    show::text(&report::format(&args.format)?.render(&report, show::look())?)?;
    Ok(report.verdict.into())
}

//! `seatrial judge`: judges a finished run again.

use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::report::{Change, rejudge};

use crate::cli::args::{self, JudgeArgs};
use crate::cli::exit::Exit;
use crate::cli::{runs, show};

/// Judges the run from its records and prints the report. Verdicts that differ from the recorded ones go to standard
/// error. The run's folder is not changed. The exit code is that of a run with these verdicts.
pub fn judge(settings: &Settings, catalogue: &Catalogue, args: &JudgeArgs) -> anyhow::Result<Exit> {
    let found = runs::find(settings, &args.run)?;
    let claims = |scenario: &str| catalogue.suite(scenario).map_or(&[][..], |suite| suite.needs.claims);
    let rejudged = rejudge(&found.records, claims);
    for Change { claim, scenario, was, is } in &rejudged.changes {
        let was = was.map_or_else(|| "not known".into(), |was| was.to_string());
        show::error(&format!("{claim} of {scenario} was {was}, is {is}"));
    }
    let report = rejudged.report();
    show::page(&args::format(catalogue, &args.format)?.render(&report, show::look())?)?;
    Ok(Exit::of(&report, None))
}

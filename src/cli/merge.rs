//! `seatrial merge`: one report over several runs.

use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::report::{self, Merged, ReportError, RunReport};
use crate::run::new_id;
use jiff::Timestamp;

use crate::cli::args::{self, MergeArgs};
use crate::cli::exit::{Exit, explanation};
use crate::cli::{runs, show};

/// Writes the merged reports and shows them. What a reader must know about the runs goes to standard error.
///
/// The exit code is that of a run with these claims. If an argument is not a run, the others are merged all the same:
/// the code is 1 if one of their claims failed, otherwise that of the first argument that is not a run.
pub fn merge(settings: &Settings, catalogue: &Catalogue, args: &MergeArgs) -> anyhow::Result<Exit> {
    let (mut found, mut missing, mut refused) = (Vec::new(), Vec::new(), None);
    for name in &args.runs {
        match runs::find(settings, name) {
            Ok(run) => found.push(RunReport::of(&run.records)),
            Err(error) => {
                let (_, lines) = explanation(&error);
                let why = lines[0].trim_start_matches("error: ");
                missing.push(format!("{name} could not be merged: {why}"));
                let exit = show::explain(&error);
                refused.get_or_insert(exit);
            }
        }
    }
    if let (true, Some(exit)) = (found.is_empty(), refused) {
        return Ok(exit);
    }
    let Merged { report, statements } = report::merge(found, args.expect, &missing);
    let dir = match &args.output {
        Some(dir) => dir.clone(),
        None => settings.state.join("merged").join(new_id(Timestamp::now())),
    };
    let error = |source| ReportError::Write { path: dir.clone(), source };
    std::fs::create_dir_all(&dir).map_err(error)?;
    statements.iter().for_each(|text| show::error(text));
    let written = report::write(&catalogue.formats, &report, &dir);
    show::page(&args::format(catalogue, &args.format)?.render(&report, show::look())?)?;
    for file in written? {
        show::error(&format!("  {}", file.display()));
    }
    let exit = Exit::of(&report, None);
    Ok(match refused {
        Some(refused) if exit != Exit::Failed => refused,
        _ => exit,
    })
}

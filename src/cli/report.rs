//! `seatrial report`: shows the report of a finished run.

use std::path::Path;
use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::exec::Exec;
use crate::report::{self, RunReport};

use crate::cli::args::{self, ReportArgs};
use crate::cli::exit::Exit;
use crate::cli::{runs, show};

/// Shows the run. The exit code is 0 whatever the verdict is, because showing the report succeeded.
pub async fn report(settings: &Settings, catalogue: &Catalogue, args: &ReportArgs) -> anyhow::Result<Exit> {
    let found = runs::find(settings, &args.run)?;
    let report = RunReport::of(&found.records);
    if args.open {
        report::write(&catalogue.formats, &report, &found.dir)?;
        return open(&found.dir.join("report.html")).await;
    }
    show::page(&args::format(catalogue, &args.format)?.render(&report, show::look())?)?;
    Ok(Exit::Passed)
}

async fn open(page: &Path) -> anyhow::Result<Exit> {
    let page = std::path::absolute(page)?;
    let opener = Exec::new("xdg-open").arg(&page).run(Deadline::after(Duration::from_secs(10))).await;
    match opener {
        Ok(_) => show::text(&format!("opened {}\n", page.display()))?,
        // A machine without a desktop still has the page.
        Err(_) => show::text(&format!("found no browser; the page is {}\n", page.display()))?,
    }
    Ok(Exit::Passed)
}

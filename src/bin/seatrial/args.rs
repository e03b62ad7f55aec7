//! What may be said on the command line. Choices come from the library's lists, so a new topology,
//! suite or format is offered without a line here.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use seatrial::report::FORMATS;

/// Proves how a Kubernetes cluster behaves when it matters.
#[derive(Debug, Parser)]
#[command(name = "seatrial", version, about, max_term_width = 100, after_help = crate::exit::TABLE)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Folder for what can be made again: built images, tools [env: SEATRIAL_CACHE]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    cache: Option<PathBuf>,
    /// Folder for leases, kubeconfigs and runs [env: SEATRIAL_STATE]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    state: Option<PathBuf>,
}

impl Args {
    /// What a flag says for a setting, by the variable that it comes before.
    pub fn flag(&self, variable: &str) -> Option<String> {
        let folder = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
        match variable {
            "SEATRIAL_CACHE" => folder(&self.cache),
            "SEATRIAL_STATE" => folder(&self.state),
            _ => None,
        }
    }
}

/// A command, a file each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a finished run again, from its records
    Report(ReportArgs),
    /// Judge a finished run again, from its records; needs no cluster
    Judge(JudgeArgs),
    /// The catalogue: every claim that can be proved
    Claims(ClaimsArgs),
}

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A run: `last`, its id or the beginning of it, or its folder
    #[arg(default_value = "last")]
    pub run: String,
    /// How to show it
    #[arg(long, value_parser = PossibleValuesParser::new(FORMATS.iter().map(|f| f.name())), default_value = "terminal")]
    pub format: String,
    /// Write report.json, junit.xml and report.html anew, and open the page in a browser
    #[arg(long)]
    pub open: bool,
}

/// Arguments of `judge`.
#[derive(Debug, clap::Args)]
pub struct JudgeArgs {
    /// A run: `last`, its id or the beginning of it, or its folder
    #[arg(default_value = "last")]
    pub run: String,
    /// How to show it
    #[arg(long, value_parser = PossibleValuesParser::new(FORMATS.iter().map(|f| f.name())), default_value = "terminal")]
    pub format: String,
}

/// Arguments of `claims`.
#[derive(Debug, clap::Args)]
pub struct ClaimsArgs {
    /// Ids to show, such as A1; all when none is given
    pub ids: Vec<String>,
}

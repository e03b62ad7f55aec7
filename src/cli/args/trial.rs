//! Arguments of `plan`, `trial`, `schema` and `generate`.

use std::path::PathBuf;

use super::{ImageArgs, OnArgs};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// Manifests of a trial, or a trial file, as for `trial` [default: the suites]
    #[arg(value_name = "PATH", conflicts_with = "suite")]
    pub paths: Vec<String>,
    /// Claims of the trial to prove, separated by commas [default: all]
    #[arg(long, value_name = "CLAIM", value_delimiter = ',', requires = "paths")]
    pub only: Vec<String>,
    /// Claims of the trial to leave out, separated by commas
    #[arg(long, value_name = "CLAIM", value_delimiter = ',', requires = "paths")]
    pub skip: Vec<String>,
    /// For a trial: the version to which the cluster is upgraded in the last step
    #[arg(long, value_name = "VERSION", requires = "paths")]
    pub upgrade: Option<String>,
    /// Image of the trial, as for `trial`
    #[arg(long, value_name = "NAME | FROM=TO", requires = "paths")]
    pub image: Vec<String>,
    /// Outage budget of the trial, as for `trial`
    #[arg(long, value_name = "NAME=LIMITS", requires = "paths")]
    pub budget: Vec<String>,
    /// Write the trial as a trial file, to be edited; an existing file stays
    #[arg(long, value_name = "FILE", requires = "paths")]
    pub write: Option<PathBuf>,
    /// Suite to run; may be repeated [default: all except `upgrade`, `ha` and `upgraded`]
    #[arg(long)]
    pub suite: Vec<String>,
    /// Topology to use instead of the one that each suite asks for
    #[arg(long)]
    pub topology: Option<String>,
    /// File for kind with the shape of the cluster, as for `trial`
    #[arg(long, value_name = "FILE", conflicts_with = "topology")]
    pub kind_config: Option<PathBuf>,
    /// The images that run.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `trial`.
#[derive(Debug, clap::Args)]
pub struct TrialArgs {
    /// What is on trial.
    #[command(flatten)]
    pub what: TrialInput,
    /// Stop when a claim fails, and keep cluster, nodes and objects as they are, to look at them
    #[arg(long, conflicts_with = "delete")]
    pub keep_on_failure: bool,
    /// Where it runs.
    #[command(flatten)]
    pub on: OnArgs,
}

/// The manifests of a trial, and its claims.
#[derive(Debug, clap::Args)]
pub struct TrialInput {
    /// Manifests: files, folders, or - for standard input; or one trial file
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
    /// Claims to prove, separated by commas [default: all]
    #[arg(long, value_name = "CLAIM", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Claims to leave out, separated by commas
    #[arg(long, value_name = "CLAIM", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Also upgrade the cluster in place, as the last step: to a version such as 1.35 or 1.35.4, or to the `next` minor version
    #[arg(long, value_name = "VERSION")]
    pub upgrade: Option<String>,
    /// Image of the container engine to load onto the nodes; FROM=TO also replaces FROM in the manifests
    #[arg(long, value_name = "NAME | FROM=TO")]
    pub image: Vec<String>,
    /// Outage budget of a probe that `plan` names, or of * for all others: NAME=longest:2s,failed:0.5%; may be repeated, and
    /// replaces the budget of a trial file for that name
    #[arg(long, value_name = "NAME=LIMITS")]
    pub budget: Vec<String>,
}

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// The kind of file
    #[arg(value_enum)]
    pub what: Schema,
}

/// A file with a published schema.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Schema {
    /// The trial file
    Trial,
}

/// Arguments of `generate`.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// Folder that gets the folders `completions` and `man`
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

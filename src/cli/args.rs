//! Defines the arguments of the command line. Choices come from the catalogue: a new topology, suite, fault or report
//! format, also one of another program, appears without a change here.

mod trial;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::catalogue::Catalogue;
use crate::cluster::Topology;
use crate::hint::FailureKind;
use crate::image::profile::is_file;
use crate::image::{PROFILES, Profile};
use crate::report::Format;
use crate::suite::Suite;

use crate::cli::exit::Stop;
use crate::cli::watch_args::WatchArgs;

pub use trial::{GenerateArgs, PlanArgs, Schema, SchemaArgs, TrialArgs, TrialInput};

/// Proves how a Kubernetes cluster behaves when it matters.
#[derive(Debug, Parser)]
#[command(name = "seatrial", version, about, max_term_width = 100, after_help = crate::cli::exit::TABLE)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Folder for files that can be rebuilt: built images, tools [env: SEATRIAL_CACHE]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    cache: Option<PathBuf>,
    /// Folder for leases, kubeconfigs and runs [env: SEATRIAL_STATE]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    state: Option<PathBuf>,
}

/// The commands, one file each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check this machine and print the command that fixes each problem
    Doctor(DoctorArgs),
    /// Show what would run: suites, claims, nodes, time budgets; changes nothing
    Plan(PlanArgs),
    /// Run suites, judge their claims and write reports
    Run(RunArgs),
    /// Put your own manifests on trial: rollout, pod and node loss, volumes, drains
    Trial(TrialArgs),
    /// Run a command of yours and judge what becomes of pods, requests and nodes meanwhile
    Watch(WatchArgs),
    /// Show the report of a finished run, from its records
    Report(ReportArgs),
    /// Judge a finished run again, from its records; needs no cluster
    Judge(JudgeArgs),
    /// Merge the reports of several runs, such as the shards of a CI job, into one
    Merge(MergeArgs),
    /// List every claim that can be proved
    Claims(ClaimsArgs),
    /// Print the JSON Schema of a file that people write
    Schema(SchemaArgs),
    /// Write shell completions and man pages into a folder
    Generate(GenerateArgs),
    /// Create or reuse a cluster, and keep it
    Up(UpArgs),
    /// Delete clusters
    Down(DownArgs),
    /// List clusters
    List(ListArgs),
    /// Print the path of a cluster's kubeconfig: export KUBECONFIG=$(seatrial kubeconfig)
    Kubeconfig(KubeconfigArgs),
    /// Load images from the container engine onto every node
    Load(LoadArgs),
    /// Upgrade a running cluster in place, one minor version at a time, and measure outages
    Upgrade(UpgradeArgs),
    /// List image profiles and built images; build, pull or remove images
    Images(ImagesArgs),
    /// Break a node or a pod for a limited time, and heal it
    Fault(FaultArgs),
    /// Heal leftover faults and delete orphaned clusters
    Reap(ReapArgs),
}

/// The images that run.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ImageArgs {
    /// Image profile, auto, or a file FILE.toml [env: SEATRIAL_PROFILE] [default: auto]
    #[arg(long, value_parser = ProfileParser::new())]
    pub profile: Option<String>,
    /// Kubernetes version, such as 1.34.4 or 1.34; `run` and `trial` accept several, separated by commas [env: SEATRIAL_K8S,
    /// one]
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    pub k8s: Vec<String>,
}

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Suite to run; may be repeated [default: all except `upgrade`, `ha` and `upgraded`]
    #[arg(long)]
    pub suite: Vec<String>,
    /// File (TOML) with the outage budgets for the steps of an upgrade; replaces the defaults
    #[arg(long, value_name = "FILE")]
    pub budget: Option<PathBuf>,
    /// Number of suites that run at the same time; a suite that breaks nodes waits for the others
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub jobs: u16,
    /// Where it runs.
    #[command(flatten)]
    pub on: OnArgs,
}

/// The cluster of a run, and what becomes of it and of the reports.
#[derive(Clone, Debug, clap::Args)]
pub struct OnArgs {
    /// Topology to use instead of the one that each suite asks for
    #[arg(long)]
    pub topology: Option<String>,
    /// File for kind (kind.x-k8s.io/v1alpha4) with the shape of the cluster, in place of a topology
    #[arg(long, value_name = "FILE", conflicts_with = "topology")]
    pub kind_config: Option<PathBuf>,
    /// Existing cluster to run on, used as is and kept afterwards: its name or a prefix of its name
    #[arg(long, conflicts_with_all = ["topology", "kind_config", "delete"])]
    pub cluster: Option<String>,
    /// The images that run.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Keep the cluster for the next run; delete it when it is idle [default unless CI is set]
    #[arg(long, conflicts_with = "delete")]
    pub keep: bool,
    /// Delete the cluster at the end [default if CI is set]
    #[arg(long)]
    pub delete: bool,
    /// Folder that gets a copy of report.html, junit.xml and report.json
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A run: `last`, its id or a prefix of the id, or its folder
    #[arg(default_value = "last")]
    pub run: String,
    /// Output format
    #[arg(long, default_value = "terminal")]
    pub format: String,
    /// Write report.json, junit.xml and report.html again, and open report.html in a browser
    #[arg(long)]
    pub open: bool,
}

/// Arguments of `judge`.
#[derive(Debug, clap::Args)]
pub struct JudgeArgs {
    /// A run: `last`, its id or a prefix of the id, or its folder
    #[arg(default_value = "last")]
    pub run: String,
    /// Output format
    #[arg(long, default_value = "terminal")]
    pub format: String,
}

/// Arguments of `merge`.
#[derive(Debug, clap::Args)]
pub struct MergeArgs {
    /// The runs: their folders, ids or prefixes of ids
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,
    /// Number of runs that there must be; with fewer the result is at best inconclusive
    #[arg(long, value_name = "N")]
    pub expect: Option<usize>,
    /// Folder for report.html, junit.xml and report.json [default: a new folder in the state folder]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Output format
    #[arg(long, default_value = "terminal")]
    pub format: String,
}

/// Arguments of `claims`.
#[derive(Debug, clap::Args)]
pub struct ClaimsArgs {
    /// Ids to show, such as A1 [default: all]
    pub ids: Vec<String>,
}

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// Shape of the cluster
    #[arg(long, default_value = "three")]
    pub topology: String,
    /// File for kind (kind.x-k8s.io/v1alpha4) with the shape of the cluster, in place of a topology
    #[arg(long, value_name = "FILE", conflicts_with = "topology")]
    pub kind_config: Option<PathBuf>,
    /// Create a cluster separate from the shared one; its name ends with WORD, such as `upgrade`
    #[arg(long, value_name = "WORD", value_parser = word)]
    pub cluster_suffix: Option<String>,
    /// The images that run.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `down`.
#[derive(Debug, clap::Args)]
pub struct DownArgs {
    /// Name of a cluster, or a prefix of it [default: the only cluster]
    pub name: Option<String>,
    /// Delete every cluster that this state folder created, also those that `up` keeps
    #[arg(long, conflicts_with_all = ["name", "force"])]
    pub all: bool,
    /// Also delete a cluster that this state folder has no record of; needs the full name. `list` shows who may own
    /// it
    #[arg(long, requires = "name")]
    pub force: bool,
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kubeconfig`.
#[derive(Debug, clap::Args)]
pub struct KubeconfigArgs {
    /// Name of a cluster, or a prefix of it [default: the only cluster]
    pub name: Option<String>,
}

/// Arguments of `load`.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// Images of the container engine
    #[arg(required = true)]
    pub images: Vec<String>,
    /// Name of a cluster, or a prefix of it [default: the only cluster]
    #[arg(long)]
    pub cluster: Option<String>,
}

/// Arguments of `upgrade`.
#[derive(Debug, clap::Args)]
pub struct UpgradeArgs {
    /// Target version: 1.35.4, 1.35 or next; each minor version on the way is one hop
    #[arg(long, value_name = "VERSION")]
    pub to: String,
    /// Name of a cluster, or a prefix of it [default: the only cluster]
    #[arg(long)]
    pub cluster: Option<String>,
    /// Show the steps and the expected time; changes nothing
    #[arg(long)]
    pub plan: bool,
    /// Stop after this step (one that the plan marks with `*`), this node, or `control-plane`; the next call
    /// continues from there
    #[arg(long, value_name = "STEP", conflicts_with = "plan")]
    pub stop_after: Option<String>,
    /// File (TOML) with the outage budgets for the steps; replaces the defaults
    #[arg(long, value_name = "FILE", conflicts_with = "plan")]
    pub budget: Option<PathBuf>,
    /// Time limit of each drain; after it the node is uncordoned and the upgrade stops
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub drain: Duration,
    /// Do not upgrade etcd; the API outage is shorter
    #[arg(long)]
    pub keep_etcd: bool,
    /// Image profile of the new version, or a file FILE.toml; auto uses the profile of the cluster's node image [env:
    /// SEATRIAL_PROFILE] [default: auto]
    #[arg(long, value_parser = ProfileParser::new())]
    pub profile: Option<String>,
}

/// Arguments of `images`.
#[derive(Debug, clap::Args)]
pub struct ImagesArgs {
    /// Build or pull missing images
    #[arg(long)]
    pub build: bool,
    /// Remove unused images that older recipes built
    #[arg(long, conflicts_with = "build")]
    pub prune: bool,
    /// Remove only images that were unused for this long, such as 24h [default: 14 days]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "prune")]
    pub unused: Option<Duration>,
    /// Only print what would be removed
    #[arg(long, requires = "prune")]
    pub dry_run: bool,
    /// The images that run.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `fault`.
#[derive(Debug, clap::Args)]
pub struct FaultArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: FaultCommand,
}

/// The actions on faults.
#[derive(Debug, Subcommand)]
pub enum FaultCommand {
    /// List all faults, and those that are open
    List(FaultListArgs),
    /// Break a node or a pod; a background process heals it
    Inject(FaultInjectArgs),
    /// Heal open faults now
    Clear(FaultClearArgs),
    /// Inject a fault and heal it: the process that `inject` starts
    #[command(hide = true)]
    Hold(FaultInjectArgs),
}

/// Arguments of `fault list`.
#[derive(Debug, clap::Args)]
pub struct FaultListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `fault inject`.
#[derive(Debug, clap::Args)]
pub struct FaultInjectArgs {
    /// Fault to inject; `seatrial fault list` describes each fault
    #[arg(value_name = "FAULT")]
    pub fault: String,
    /// Name of a node, or an ending that only one node's name has, such as worker2
    pub node: String,
    /// How long the fault lasts, such as 60s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "10m")]
    pub lasts: Duration,
    /// Parameter of the fault, such as grace=30s; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub with: Vec<String>,
    /// Target pod, for faults that act on a pod
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = pod)]
    pub pod: Option<(String, String)>,
    /// Container of the pod, if the pod has several
    #[arg(long, value_name = "NAME", requires = "pod")]
    pub container: Option<String>,
    /// Allow a fault on the only control plane of the cluster; the API is then unavailable
    #[arg(long)]
    pub allow_last_control_plane: bool,
}

/// Arguments of `fault clear`.
#[derive(Debug, clap::Args)]
pub struct FaultClearArgs {
    /// Name of a node, or an ending that only one node's name has
    #[arg(required_unless_present = "all")]
    pub node: Option<String>,
    /// Heal every open fault of every cluster
    #[arg(long, conflicts_with = "node")]
    pub all: bool,
}

/// Arguments of `reap`.
#[derive(Debug, clap::Args)]
pub struct ReapArgs {
    /// Delete clusters that have been idle for this long, such as 10m [env: SEATRIAL_IDLE]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub idle: Option<Duration>,
    /// Delete every cluster that nobody uses right now
    #[arg(long)]
    pub all: bool,
    /// Only print what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until the cluster has been idle for long enough, delete it and exit
    #[arg(long, value_name = "CLUSTER", hide = true, conflicts_with_all = ["all", "dry_run"])]
    pub watch: Option<String>,
}

impl Args {
    /// Reads the command line. Ends the process with a message if the command line is wrong.
    pub fn read(catalogue: &Catalogue) -> Self {
        let matches = command(catalogue).get_matches();
        Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Refuses several Kubernetes versions, except for `run`.
    pub fn check(&self) -> Result<(), Stop> {
        match self.images() {
            Some(images)
                if images.k8s.len() > 1 && !matches!(self.command, Command::Run(_) | Command::Trial(_)) =>
            {
                let message =
                    format!("--k8s accepts one version for this command, not {}", images.k8s.join(", "));
                Err(Stop::new(FailureKind::Usage, message, "only `run` and `trial` accept several versions"))
            }
            _ => Ok(()),
        }
    }

    fn images(&self) -> Option<&ImageArgs> {
        match &self.command {
            Command::Plan(args) => Some(&args.images),
            Command::Run(args) => Some(&args.on.images),
            Command::Trial(args) => Some(&args.on.images),
            Command::Up(args) => Some(&args.images),
            Command::Images(args) => Some(&args.images),
            _ => None,
        }
    }

    /// Returns the value that a flag gives to a setting. `variable` is the environment variable that the flag
    /// overrides.
    pub fn flag(&self, variable: &str) -> Option<String> {
        let folder = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
        let images = self.images();
        let profile = match &self.command {
            Command::Upgrade(args) => args.profile.clone(),
            _ => images.and_then(|i| i.profile.clone()),
        };
        match variable {
            "SEATRIAL_CACHE" => folder(&self.cache),
            "SEATRIAL_STATE" => folder(&self.state),
            "SEATRIAL_PROFILE" => profile,
            "SEATRIAL_K8S" => images?.k8s.first().cloned(),
            _ => None,
        }
    }
}

/// Returns the topology of this name. The parser has checked the name.
fn topology(catalogue: &Catalogue, name: &str) -> anyhow::Result<Topology> {
    let found = catalogue.topologies.iter().find(|t| t.name == name);
    Ok(found.with_context(|| format!("no topology is called {name}"))?.read()?)
}

/// Returns the topology of this name, or that of a file for kind; none if neither is named.
pub fn shape(
    catalogue: &Catalogue,
    name: Option<&str>,
    kind_config: Option<&Path>,
) -> anyhow::Result<Option<Topology>> {
    match (kind_config, name) {
        (Some(path), _) => Ok(Some(Topology::of_kind_config(path)?)),
        (None, name) => name.map(|name| topology(catalogue, name)).transpose(),
    }
}

/// Returns the report format of this name. The parser has checked the name.
pub fn format(catalogue: &Catalogue, name: &str) -> anyhow::Result<&'static dyn Format> {
    catalogue.format(name).with_context(|| format!("no report format is called {name}"))
}

/// Returns the suites of these names, in the catalogue's order. Without names, returns all suites that do not have to
/// be named.
pub fn suites(catalogue: &Catalogue, names: &[String]) -> Vec<&'static Suite> {
    let wanted = |s: &&&Suite| match names {
        [] => !s.only_named(),
        names => names.iter().any(|n| n == s.needs.name),
    };
    catalogue.suites.iter().filter(wanted).copied().collect()
}

/// Accepts the name of a built-in profile (shown as possible values) or the path of a profile file.
#[derive(Clone)]
struct ProfileParser(PossibleValuesParser);

impl ProfileParser {
    /// Leaks the names of the profiles: the parser needs `'static` names, and there are only a few.
    fn new() -> Self {
        let named = PROFILES.iter().filter_map(|(file, text)| Profile::parse(file, text).ok());
        let named = named.map(|p| &*p.name.leak());
        Self(PossibleValuesParser::new(std::iter::once("auto").chain(named)))
    }
}

impl TypedValueParser for ProfileParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        match value.to_str().filter(|text| is_file(text)) {
            Some(file) => Ok(file.into()),
            None => self.0.parse_ref(command, argument, value),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// Returns the definition of the whole command line, with the choices of the catalogue.
pub fn command(catalogue: &Catalogue) -> clap::Command {
    offering(Args::command(), catalogue)
}

/// Adds the choices of the catalogue to the command and to all its subcommands.
fn offering(command: clap::Command, catalogue: &Catalogue) -> clap::Command {
    let choice = |arg: clap::Arg| {
        let names: Vec<&'static str> = match arg.get_id().as_str() {
            "suite" => catalogue.suites.iter().map(|s| s.needs.name).collect(),
            "topology" => catalogue.topologies.iter().map(|t| t.name).collect(),
            "format" => catalogue.formats.iter().map(|f| f.name()).collect(),
            "fault" => catalogue.faults.iter().map(|f| f.name()).collect(),
            _ => return arg,
        };
        arg.value_parser(PossibleValuesParser::new(names))
    };
    command.mut_args(choice).mut_subcommands(|command| offering(command, catalogue))
}

/// Why the value of an option is not valid.
#[derive(Debug, thiserror::Error)]
enum ValueError {
    #[error("not a word of at most 12 lower case letters and digits")]
    Word,
    #[error("not NAMESPACE/NAME")]
    Pod,
    #[error("not a duration such as 30m or 90s")]
    Duration,
}

fn word(text: &str) -> Result<String, ValueError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    match !text.is_empty() && text.len() <= 12 && text.chars().all(fits) {
        true => Ok(text.into()),
        false => Err(ValueError::Word),
    }
}

fn pod(text: &str) -> Result<(String, String), ValueError> {
    let parts = text.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
    parts.map(|(namespace, name)| (namespace.into(), name.into())).ok_or(ValueError::Pod)
}

fn duration(text: &str) -> Result<Duration, ValueError> {
    crate::config::duration(text).map_err(|_| ValueError::Duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Needs;
    use crate::suite::stateless;

    #[test]
    fn an_own_suite_can_be_selected_by_name() {
        static ORDERS: Suite = Suite {
            about: "orders survive the loss of a node",
            needs: Needs { name: "orders", claims: &[], ..stateless::SUITE.needs },
            after_all: false,
            story: stateless::SUITE.story,
        };
        assert!(read(&Catalogue::built_in(), &["run", "--suite", "orders"]).is_err());
        let own = Catalogue::built_in().with_suites(&[&ORDERS]);
        for words in [
            ["run", "--suite", "orders", "--suite", "mysql"],
            ["plan", "--suite", "orders", "--topology=one", "--k8s=1.34"],
        ] {
            read(&own, &words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        }
        assert!(read(&own, &["run", "--suite", "order"]).unwrap_err().to_string().contains("orders"));
        assert!(read(&own, &["fault", "inject", "stop", "worker"]).is_ok());
        assert!(read(&own, &["fault", "inject", "unplug", "worker"]).is_err());
        let names: Vec<&str> = suites(&own, &[]).iter().map(|s| s.needs.name).collect();
        assert!(names.contains(&"orders") && !names.contains(&"upgrade"), "{names:?}");
    }

    fn read(catalogue: &Catalogue, words: &[&str]) -> Result<Args, clap::Error> {
        let words = std::iter::once("orders-trial").chain(words.iter().copied());
        Args::from_arg_matches(&offering(Args::command(), catalogue).try_get_matches_from(words)?)
    }
}

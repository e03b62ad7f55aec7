//! What may be said on the command line. Choices come from the catalogue, so a new topology, suite, fault or format,
//! also a caller's own, is offered without a line here.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::catalogue::Catalogue;
use crate::cluster::Topology;
use crate::image::profile::is_file;
use crate::image::{PROFILES, Profile};
use crate::report::Format;
use crate::suite::Suite;

use crate::cli::exit::{Exit, Stop};

/// Proves how a Kubernetes cluster behaves when it matters.
#[derive(Debug, Parser)]
#[command(name = "seatrial", version, about, max_term_width = 100, after_help = crate::cli::exit::TABLE)]
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

/// A command, a file each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What is missing on this machine, and the command that mends it
    Doctor(DoctorArgs),
    /// What would run: suites, claims, nodes, time budgets; touches nothing
    Plan(PlanArgs),
    /// Run suites and report; a run that has ended is in the state folder
    Run(RunArgs),
    /// Show a finished run again, from its records
    Report(ReportArgs),
    /// Judge a finished run again, from its records; needs no cluster
    Judge(JudgeArgs),
    /// The catalogue: every claim that can be proved
    Claims(ClaimsArgs),
    /// Make a cluster, or find it, and keep it
    Up(UpArgs),
    /// Remove clusters
    Down(DownArgs),
    /// The clusters that there are
    List(ListArgs),
    /// Where a cluster's kubeconfig is: export KUBECONFIG=$(seatrial kubeconfig)
    Kubeconfig(KubeconfigArgs),
    /// Bring images of the engine onto every node of a cluster
    Load(LoadArgs),
    /// Upgrade a living cluster in place, one minor version at a time, with probes on it
    Upgrade(UpgradeArgs),
    /// The images of a profile: build or pull what is missing, or list what is here
    Images(ImagesArgs),
    /// Break a node, or a pod on it, for a while; it is healed for sure
    Fault(FaultArgs),
    /// Heal and remove everything of ours that has no owner any more
    Reap(ReapArgs),
}

/// Which images run.
#[derive(Debug, Default, clap::Args)]
pub struct ImageArgs {
    /// Image profile, auto, or a file FILE.toml [env: SEATRIAL_PROFILE] [default: auto]
    #[arg(long, value_parser = ProfileParser::new())]
    pub profile: Option<String>,
    /// Kubernetes version, such as 1.34.4 or 1.34; `run` takes several, with commas [env: SEATRIAL_K8S, one]
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    pub k8s: Vec<String>,
}

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {}

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// A suite; may be repeated [default: all but `upgrade`, `ha` and
    /// `upgraded`]
    #[arg(long)]
    pub suite: Vec<String>,
    /// Another topology than the suites ask for
    #[arg(long)]
    pub topology: Option<String>,
    /// Which images.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// A suite; may be repeated [default: all but `upgrade`, `ha` and
    /// `upgraded`]
    #[arg(long)]
    pub suite: Vec<String>,
    /// Another topology than the suites ask for
    #[arg(long)]
    pub topology: Option<String>,
    /// A cluster that there is, as it is, by its name or the beginning of it; it is kept
    #[arg(long, conflicts_with_all = ["topology", "delete"])]
    pub cluster: Option<String>,
    /// What each step of an upgrade may cost, instead of the defaults (TOML)
    #[arg(long, value_name = "FILE")]
    pub budget: Option<PathBuf>,
    /// Which images.
    #[command(flatten)]
    pub images: ImageArgs,
    /// Keep the cluster for the next run; it is removed when idle [default, but with CI set]
    #[arg(long, conflicts_with = "delete")]
    pub keep: bool,
    /// Remove the cluster at the end [default with CI set]
    #[arg(long)]
    pub delete: bool,
    /// Suites at a time; those that break nodes wait for the others
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub jobs: u16,
}

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A run: `last`, its id or the beginning of it, or its folder
    #[arg(default_value = "last")]
    pub run: String,
    /// How to show it
    #[arg(long, default_value = "terminal")]
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
    /// Its shape
    #[arg(long, default_value = "three")]
    pub topology: String,
    /// A cluster of its own beside the shared one: the end of its name, such as `upgrade`
    #[arg(long, value_name = "WORD", value_parser = word)]
    pub cluster_suffix: Option<String>,
    /// Which images.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `down`.
#[derive(Debug, clap::Args)]
pub struct DownArgs {
    /// A cluster, or the beginning of its name [default: the only one]
    pub name: Option<String>,
    /// Every cluster that this state folder made, also those that `up` keeps
    #[arg(long, conflicts_with_all = ["name", "force"])]
    pub all: bool,
    /// Also one that this state folder has no record of, by its whole name: `list` shows whose it may be
    #[arg(long, requires = "name")]
    pub force: bool,
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kubeconfig`.
#[derive(Debug, clap::Args)]
pub struct KubeconfigArgs {
    /// A cluster, or the beginning of its name [default: the only one]
    pub name: Option<String>,
}

/// Arguments of `load`.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// Images that the engine has
    #[arg(required = true)]
    pub images: Vec<String>,
    /// A cluster, or the beginning of its name [default: the only one]
    #[arg(long)]
    pub cluster: Option<String>,
}

/// Arguments of `upgrade`.
#[derive(Debug, clap::Args)]
pub struct UpgradeArgs {
    /// The version to reach: 1.35.4, 1.35 or next; several minor versions are several hops
    #[arg(long, value_name = "VERSION")]
    pub to: String,
    /// A cluster, or the beginning of its name [default: the only one]
    #[arg(long)]
    pub cluster: Option<String>,
    /// Show what would be done, and how long it would take; changes nothing
    #[arg(long)]
    pub plan: bool,
    /// Stop after a step as the plan names it (those with `*`), a node, or `control-plane`; the next call
    /// goes on from there
    #[arg(long, value_name = "STEP", conflicts_with = "plan")]
    pub stop_after: Option<String>,
    /// What each step may cost, instead of the defaults (TOML)
    #[arg(long, value_name = "FILE", conflicts_with = "plan")]
    pub budget: Option<PathBuf>,
    /// How long a drain is tried before the node is opened again and the upgrade stops
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub drain: Duration,
    /// Leave etcd as it is: the API is away for a shorter time
    #[arg(long)]
    pub keep_etcd: bool,
    /// Image profile that the new version comes from, auto for that of the cluster's node image, or a
    /// file FILE.toml [env: SEATRIAL_PROFILE] [default: auto]
    #[arg(long, value_parser = ProfileParser::new())]
    pub profile: Option<String>,
}

/// Arguments of `images`.
#[derive(Debug, clap::Args)]
pub struct ImagesArgs {
    /// Build or pull what is missing
    #[arg(long)]
    pub build: bool,
    /// Remove what older recipes built and nobody uses
    #[arg(long, conflicts_with = "build")]
    pub prune: bool,
    /// Not used for so long, such as 24h [default: 14 days]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "prune")]
    pub unused: Option<Duration>,
    /// Only say what would be removed
    #[arg(long, requires = "prune")]
    pub dry_run: bool,
    /// Which images.
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

/// What can be done with faults.
#[derive(Debug, Subcommand)]
pub enum FaultCommand {
    /// The faults that there are, and those that are open
    List(FaultListArgs),
    /// Break a node; a process that survives the terminal heals it
    Inject(FaultInjectArgs),
    /// Heal what is open, now
    Clear(FaultClearArgs),
    /// Make and heal an outage: what `inject` starts
    #[command(hide = true)]
    Hold(FaultInjectArgs),
}

/// Arguments of `fault list`.
#[derive(Debug, clap::Args)]
pub struct FaultListArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `fault inject`.
#[derive(Debug, clap::Args)]
pub struct FaultInjectArgs {
    /// What happens; `fault list` explains
    #[arg(value_name = "FAULT")]
    pub fault: String,
    /// A node, or the end of its name where only one ends so: worker2
    pub node: String,
    /// How long it lasts, such as 60s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "10m")]
    pub lasts: Duration,
    /// A parameter of the fault, such as grace=30s; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub with: Vec<String>,
    /// The pod, for faults that reach one
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = pod)]
    pub pod: Option<(String, String)>,
    /// The pod's container, where it has several
    #[arg(long, value_name = "NAME", requires = "pod")]
    pub container: Option<String>,
    /// Also where the node is the cluster's only control plane: the API goes with it
    #[arg(long)]
    pub allow_last_control_plane: bool,
}

/// Arguments of `fault clear`.
#[derive(Debug, clap::Args)]
pub struct FaultClearArgs {
    /// A node, or the end of its name where only one ends so
    #[arg(required_unless_present = "all")]
    pub node: Option<String>,
    /// Every open fault of every cluster of ours
    #[arg(long, conflicts_with = "node")]
    pub all: bool,
}

/// Arguments of `reap`.
#[derive(Debug, clap::Args)]
pub struct ReapArgs {
    /// Remove clusters that nobody used for so long, such as 10m [env: SEATRIAL_IDLE]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub idle: Option<Duration>,
    /// Every cluster that nobody uses right now
    #[arg(long)]
    pub all: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Stay until the cluster was idle for long enough, remove it and end
    #[arg(long, value_name = "CLUSTER", hide = true, conflicts_with_all = ["all", "dry_run"])]
    pub watch: Option<String>,
}

impl Args {
    /// Reads the command line; ends the process with a message where it is wrong.
    pub fn read(catalogue: &Catalogue) -> Self {
        let matches = offering(Args::command(), catalogue).get_matches();
        Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Refuses several versions where one is meant: `run` alone takes several.
    pub fn check(&self) -> Result<(), Stop> {
        match self.images() {
            Some(images) if images.k8s.len() > 1 && !matches!(self.command, Command::Run(_)) => {
                let message = format!("--k8s takes one version here, not {}", images.k8s.join(", "));
                Err(Stop::new(Exit::Usage, message, "only `run` takes several"))
            }
            _ => Ok(()),
        }
    }

    fn images(&self) -> Option<&ImageArgs> {
        match &self.command {
            Command::Plan(args) => Some(&args.images),
            Command::Run(args) => Some(&args.images),
            Command::Up(args) => Some(&args.images),
            Command::Images(args) => Some(&args.images),
            _ => None,
        }
    }

    /// What a flag says for a setting, by the variable that it comes before.
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

/// The topology of this name; the parser has checked it.
pub fn topology(catalogue: &Catalogue, name: &str) -> anyhow::Result<Topology> {
    let found = catalogue.topologies.iter().find(|t| t.name == name);
    Ok(found.with_context(|| format!("no topology is called {name}"))?.read()?)
}

/// The report format of this name; the parser has checked it.
pub fn format(catalogue: &Catalogue, name: &str) -> anyhow::Result<&'static dyn Format> {
    catalogue.format(name).with_context(|| format!("no report format is called {name}"))
}

/// The suites of these names, in the catalogue's order; without a name all that need not be named.
pub fn suites(catalogue: &Catalogue, names: &[String]) -> Vec<&'static Suite> {
    let wanted = |s: &&&Suite| match names {
        [] => !s.only_named(),
        names => names.iter().any(|n| n == s.needs.name),
    };
    catalogue.suites.iter().filter(wanted).copied().collect()
}

/// A profile's name, with what it may be, or any file's.
#[derive(Clone)]
struct ProfileParser(PossibleValuesParser);

impl ProfileParser {
    /// Their names are in their files; the parser keeps names for as long as the process lives.
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

/// The command with the choices that the catalogue has, in every command of it.
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

fn word(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    match !text.is_empty() && text.len() <= 12 && text.chars().all(fits) {
        true => Ok(text.into()),
        false => Err("not a word of at most 12 lower case letters and digits".into()),
    }
}

fn pod(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
    parts.map(|(namespace, name)| (namespace.into(), name.into())).ok_or("not NAMESPACE/NAME".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::config::duration(text).map_err(|_| "not a duration such as 30m or 90s".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Needs;
    use crate::suite::stateless;

    #[test]
    fn what_a_caller_adds_can_be_named() {
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

//! The trial file: a trial written down, with its own steps, probes, budgets and commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::TrialError;
use crate::config;
use crate::fault::Faults;
use crate::judge::trial::facts::OutageBudget;

mod against;
mod check;
mod expect;
mod fault;
mod ledger;
mod manifests;
mod places;
mod rollout;
mod steps;
mod workload;
mod write;

pub use check::{is_version, name as step_name};
pub use expect::{DataPart, Disturbance, ExpectPart};
pub use fault::{FaultPart, FaultPartError, TargetPart};
pub use ledger::{LedgerFlaw, LedgerPart};
pub use manifests::folder_of;
pub use places::Places;
pub use rollout::{Container, RolloutPart};
pub use steps::Step;
pub use workload::{WorkloadRef, WorkloadRefError};
pub use write::written;

/// A trial file. Paths in it are relative to the folder of the file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TrialFile {
    /// The name of the trial, for the report.
    pub trial: String,
    /// The cluster that the trial runs on. Arguments of the command line go before it.
    #[serde(default)]
    pub cluster: ClusterPart,
    /// Images of the container engine to load onto the nodes: `NAME`, or `FROM=TO` to replace a name in the manifests.
    #[serde(default)]
    pub images: Vec<String>,
    /// The manifests: files, folders, and commands that print manifests.
    pub manifests: Vec<ManifestSource>,
    /// Probes by name, in place of those that seatrial derives for the same port of a Service.
    #[serde(default)]
    pub probes: BTreeMap<String, ProbePart>,
    /// Ledgers by name: what a database acknowledged while the trial went on must be there at its end.
    #[serde(default)]
    pub ledgers: BTreeMap<String, LedgerPart>,
    /// Outage budgets by the name of a probe; `*` is for all others. A probe without a budget follows the default rules: a
    /// request may fail only for a known reason.
    #[serde(default)]
    pub budgets: BTreeMap<String, BudgetPart>,
    /// The steps, in order. Everything is applied before the first and deleted after the last.
    #[serde(default = "standard")]
    pub steps: Vec<Step>,
    /// What is expected in place of the defaults. Each is a rule in the record of the run.
    #[serde(default)]
    pub expect: Vec<ExpectPart>,
    /// The lines of the file.
    #[serde(skip)]
    pub(in crate::trial) places: Places,
}

/// The cluster of a trial.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClusterPart {
    /// A topology, such as `three`.
    pub topology: Option<String>,
    /// A file for kind (`kind.x-k8s.io/v1alpha4`) with the shape of the cluster, in place of a topology.
    #[serde(rename = "kindConfig")]
    pub kind_config: Option<PathBuf>,
    /// A Kubernetes version, such as `"1.34"`.
    pub kubernetes: Option<String>,
}

/// Where manifests come from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a path, or `command:` with a command that prints manifests")]
pub enum ManifestSource {
    /// A file or a folder.
    Path(PathBuf),
    /// A command for `sh`. `seatrial plan` runs it, too.
    Command(CommandPart),
}

/// A command that prints manifests.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CommandPart {
    /// The command, such as `helm template shop ./chart`.
    pub command: String,
}

/// A probe of a Service, or of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProbePart {
    /// Requests over HTTP. A status from 200 to 399 is an answer.
    Http(HttpPart),
    /// Connections that are opened and closed.
    Tcp(TcpPart),
    /// Requests to a URL from the machine that runs the trial, over whatever leads to the application: a published port, a
    /// load balancer. A status from 200 to 399 is an answer. Only a budget judges it: nothing in the cluster explains why such a
    /// request fails.
    Url(String),
}

/// A probe over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpPart {
    /// The Service.
    pub service: String,
    /// Its namespace, unless it is the trial's own.
    pub namespace: Option<String>,
    /// The port's number or name.
    pub port: Port,
    /// The path.
    #[serde(default = "root")]
    pub path: String,
}

/// A probe that opens connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TcpPart {
    /// The Service.
    pub service: String,
    /// Its namespace, unless it is the trial's own.
    pub namespace: Option<String>,
    /// The port's number or name.
    pub port: Port,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected the number or the name of a port")]
pub enum Port {
    /// Its number.
    Number(u16),
    /// Its name.
    Name(String),
}

/// What a probe may miss in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BudgetPart {
    /// The longest time between two answers, such as `2s`. An outage is measured from the last answer before a failed
    /// request to the first answer after it.
    pub longest: Option<String>,
    /// The share of failed requests, such as `0.5%`.
    pub failed: Option<String>,
}

/// A command of the trial.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a command, or `command:` and `timeout:`")]
pub enum RunPart {
    /// A command for `sh`, with a timeout of 5 minutes.
    Command(String),
    /// A command with its timeout.
    Timed(TimedPart),
}

/// A command with its timeout.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TimedPart {
    /// The command for `sh`. It runs in the folder of the trial file and gets `KUBECONFIG` and `SEATRIAL_NAMESPACE`.
    pub command: String,
    /// Its timeout, such as `60s`.
    pub timeout: String,
}

/// Timeout of a command without one.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The steps of the standard trial.
pub fn standard() -> Vec<Step> {
    vec![Step::Rollout, Step::PodLoss, Step::NodeLoss, Step::Drain]
}

fn root() -> String {
    "/".into()
}

impl ProbePart {
    /// What is asked, such as `http shop:80/healthz`.
    pub fn title(&self) -> String {
        let (namespace, service, port) = match self {
            Self::Url(url) => return url.clone(),
            Self::Http(http) => (&http.namespace, &http.service, &http.port),
            Self::Tcp(tcp) => (&tcp.namespace, &tcp.service, &tcp.port),
        };
        let of = namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let port = match port {
            Port::Number(number) => number.to_string(),
            Port::Name(name) => name.clone(),
        };
        match self {
            Self::Http(http) => format!("http {of}{service}:{port}{}", http.path),
            _ => format!("tcp {of}{service}:{port}"),
        }
    }

    /// The Service's namespace unless it is the trial's own, its name, and its port; none for a URL.
    pub fn address(&self) -> Option<(Option<&str>, &str, &Port)> {
        match self {
            Self::Http(http) => Some((http.namespace.as_deref(), &http.service, &http.port)),
            Self::Tcp(tcp) => Some((tcp.namespace.as_deref(), &tcp.service, &tcp.port)),
            Self::Url(_) => None,
        }
    }
}

impl BudgetPart {
    /// The budget as the judge reads it. Both texts were checked when the file was read.
    pub(super) fn read(&self) -> OutageBudget {
        let seconds = |text: &String| config::duration(text).ok().map(|time| time.as_secs_f64());
        OutageBudget {
            longest: self.longest.as_ref().and_then(seconds),
            failed: self.failed.as_deref().and_then(check::portion),
        }
    }
}

impl TrialFile {
    /// The budgets as the judge reads them.
    pub(super) fn outage_budgets(&self) -> BTreeMap<String, OutageBudget> {
        self.budgets.iter().map(|(name, budget)| (name.clone(), budget.read())).collect()
    }
}

impl RunPart {
    /// The command.
    pub fn command(&self) -> &str {
        match self {
            Self::Command(command) => command,
            Self::Timed(timed) => &timed.command,
        }
    }

    /// Its timeout.
    pub fn timeout(&self) -> Duration {
        match self {
            Self::Command(_) => TIMEOUT,
            // Checked when the file was read.
            Self::Timed(timed) => config::duration(&timed.timeout).unwrap_or(TIMEOUT),
        }
    }
}

/// Whether a text is a trial file: a YAML document with the key `trial`.
pub fn is_trial_file(text: &str) -> bool {
    let key = |line: &str| {
        let line = line.trim_start_matches('\u{feff}');
        line.strip_prefix("trial").is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    text.lines().any(key)
}

/// Reads a trial file.
///
/// # Errors
/// [`TrialError::File`] with file and line, also for a fault that is not among `faults`.
pub fn read(path: &Path, text: &str, faults: &Faults) -> Result<TrialFile, TrialError> {
    let mut file: TrialFile = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        TrialError::File { path: path.into(), line, why: first_line(&error.to_string()) }
    })?;
    file.places = Places::read(path, text);
    for (at, step) in file.steps.iter_mut().enumerate() {
        let Step::Fault(part) = step else { continue };
        part.look_up(faults).map_err(|error| file.places.step(at, &part.fault, error.to_string()))?;
    }
    check::check(&file)?;
    Ok(file)
}

/// Returns the JSON Schema of trial files for a program with these faults.
#[cfg(feature = "cli")]
pub fn schema(faults: &Faults) -> schemars::Schema {
    let mut schema = schemars::schema_for!(TrialFile);
    fault::describe(&mut schema, faults);
    schema
}

/// Returns the reason without the picture of the source that the parser adds.
fn first_line(text: &str) -> String {
    crate::sanitise::line(text.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TrialFile, TrialError> {
        super::read(Path::new("t.yaml"), text, &Faults::built_in())
    }

    #[test]
    fn a_file_with_every_part_is_read() {
        let file = read(
            "trial: shop\ncluster: {topology: three, kubernetes: \"1.34\"}\nimages: [shop:dev]\n\
             manifests: [deploy/, {command: helm template shop ./chart}]\n\
             probes:\n  front: {http: {service: shop, port: http, path: /healthz}}\n  db: {tcp: {service: db, port: 3306}}\n\
             \x20 door: {url: \"http://127.0.0.1:8080/healthz\"}\n\
             budgets: {front: {longest: 2s, failed: 0.5%}}\n\
             ledgers: {orders: {workload: statefulset/db, container: db, write: \"add $ENTRY\", read: list, every: 500ms}}\n\
             steps: [apply, rollout, rollout: {workload: deployment/shop, image: \"shop=shop:next\"}, run: ./smoke.sh,\n\
             \x20 fault: {stop-node: {of: deployment/db}, for: 60s}, run: {command: ./load.sh, timeout: 60s}, node-loss, clean]\n",
        )
        .unwrap();
        assert_eq!(file.manifests.len(), 2);
        assert_eq!(file.probes["front"].address(), Some((None, "shop", &Port::Name("http".into()))));
        assert_eq!(file.probes["db"].address().unwrap().2, &Port::Number(3306));
        assert_eq!(file.probes["door"].title(), "http://127.0.0.1:8080/healthz");
        let budget = file.outage_budgets()["front"];
        assert_eq!((budget.longest, budget.failed), (Some(2.0), Some(0.005)));
        let orders = &file.ledgers["orders"];
        assert_eq!(
            (orders.workload.to_string().as_str(), orders.every().as_millis()),
            ("statefulset/db", 500)
        );
        assert_eq!(orders.timeout().as_secs(), 10);
        let commands: Vec<(&str, u64)> = file
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Run(run) => Some((run.command(), run.timeout().as_secs())),
                _ => None,
            })
            .collect();
        assert_eq!(commands, [("./smoke.sh", 300), ("./load.sh", 60)]);
        let Step::RolloutOf(rollout) = &file.steps[2] else { panic!("{:?}", file.steps) };
        assert_eq!(rollout.title(), "rollout deployment/shop with shop=shop:next");
        let Step::Fault(fault) = &file.steps[4] else { panic!("{:?}", file.steps) };
        assert_eq!((fault.fault.as_str(), fault.target().as_str()), ("stop", "the node of deployment/db"));
        assert_eq!(read("trial: shop\nmanifests: [a.yaml]\n").unwrap().steps, standard());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let base = "trial: shop\nmanifests: [a.yaml]\n";
        for (rest, line, words) in [
            ("step: [rollout]\n", 3, "step"),
            ("steps: [rolout]\n", 3, "rolout"),
            ("steps:\n- rollout\n- apply\n", 5, "step apply is always the first one"),
            ("steps:\n- clean\n- drain\n", 4, "step clean is always the last one"),
            ("steps: [drain, drain]\n", 3, "step drain is there twice"),
            ("steps:\n- run: {command: a, timeout: soon}\n", 4, "soon is not a duration"),
            ("budgets:\n  front: {longest: 2s}\n", 4, "`probes` has none of that name"),
            ("budgets:\n  '*': {longest: often}\n", 4, "often is not a duration such as 2s"),
            ("budgets:\n  '*': {failed: 0.5}\n", 4, "0.5 is not a share such as 0.5%"),
            ("budgets:\n  '*': {failed: 101%}\n", 4, "101% is not a share"),
            ("budgets:\n  '*': {}\n", 4, "neither `longest` nor `failed`"),
            ("images: [=a]\n", 3, "neither NAME nor FROM=TO"),
            ("probes:\n  a: {http: {service: b}}\n", 4, "port"),
            ("probes:\n  a: {grpc: {service: b, port: 1}}\n", 4, "grpc"),
            ("cluster: {nodes: 3}\n", 3, "nodes"),
            ("cluster:\n  topology: three\n  kindConfig: kind.yaml\n", 5, "both there"),
            ("budgets:\n  shop: {longest: 2s}\n", 4, "none of that name"),
            (
                "steps:\n- run: {command: a, timeout: 5s}\n- run: {command: b, timeout: soon}\n",
                5,
                "soon is not",
            ),
            ("steps:\n- drain\n- rollout\n- drain\n", 6, "step drain is there twice"),
            ("probes:\n  a: {http: {service: b, port: 1, path: healthz}}\n", 4, "does not begin with /"),
            ("probes:\n  a: {tcp: {service: b, port: 0}}\n", 4, "the port of a is 0"),
            ("probes:\n  a: {url: \"shop:80\"}\n", 4, "the url of a: shop:80 is not a URL"),
        ] {
            let error = read(&format!("{base}{rest}")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("t.yaml:{line}: ")), "{rest}: {error}");
            assert!(error.contains(words), "{rest}: {error}");
        }
        assert!(
            read("trial: shop\nmanifests: []\n").unwrap_err().to_string().contains("nothing is on trial")
        );
        assert!(read("manifests: [a]\n").unwrap_err().to_string().contains("trial"));
    }

    #[test]
    fn a_trial_file_is_told_from_a_manifest() {
        for (text, is) in [
            ("trial: shop\n", true),
            ("\u{feff}# a comment\ntrial : shop\n", true),
            ("apiVersion: v1\nkind: ConfigMap\ndata:\n  trial: shop\n", false),
            ("trials: 3\n", false),
        ] {
            assert_eq!(is_trial_file(text), is, "{text}");
        }
    }
}

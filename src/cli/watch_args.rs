//! The arguments of `seatrial watch`.

use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `watch`.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    /// Namespace to watch; may be repeated
    #[arg(short, long = "namespace", value_name = "NAME", required = true)]
    pub namespaces: Vec<String>,
    /// What is asked all the time: http=SERVICE:PORT/PATH, url=URL, or tcp=SERVICE:PORT on a cluster of ours; may be
    /// repeated
    #[arg(long, value_name = "KIND=TARGET")]
    pub probe: Vec<String>,
    /// Cluster of ours: its name or a prefix of its name
    #[arg(long, conflicts_with_all = ["context", "kubeconfig"])]
    pub cluster: Option<String>,
    /// Context of a kubeconfig, for any cluster: it is only read
    #[arg(long)]
    pub context: Option<String>,
    /// Kubeconfig with the context [default: KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Outage that each probe may have: longest=TIME [default: 5s] or failed=SHARE% of its requests [default: 1%]
    #[arg(long, value_name = "WHAT=VALUE", value_delimiter = ',')]
    pub budget: Vec<String>,
    /// Time in which nodes may be away: `always`, or FROM..TO with marks of the command
    #[arg(long, value_name = "FROM..TO")]
    pub nodes_away: Vec<String>,
    /// Claims to prove, separated by commas [default: all]
    #[arg(long, value_name = "CLAIM", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Claims to leave out, separated by commas
    #[arg(long, value_name = "CLAIM", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// How long the watch goes on after the command has ended
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub after: Duration,
    /// Folder that gets a copy of report.html, junit.xml and report.json
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// The program to run, with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// A value that is not a duration.
#[derive(Debug, thiserror::Error)]
#[error("not a duration such as 30m or 90s")]
struct NotADuration;

fn duration(text: &str) -> Result<Duration, NotADuration> {
    crate::config::duration(text).map_err(|_| NotADuration)
}

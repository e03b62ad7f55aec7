//! `seatrial fault hold`: the process that `fault inject` starts. It reports its progress as one JSON object a line.

use crate::catalogue::Catalogue;
use crate::cluster::{OutageSpec, OutageStage};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::fault::{Fault, Given, PodOn};
use serde::{Deserialize, Serialize};

use crate::cli::args::FaultInjectArgs;
use crate::cli::exit::{self, Exit};
use crate::cli::signals::{self, Signals};
use crate::cli::up::{PATIENCE, clusters};
use crate::cli::{node_name, show};

/// A message for the process that started the outage.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told {
    /// The process that holds the outage: several processes may write into one file.
    pub pid: u32,
    /// The message.
    #[serde(flatten)]
    pub news: News,
}

/// A stage that was reached, or the reason why the outage failed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum News {
    /// The outage reached this stage.
    Stage(OutageStage),
    /// The outage failed.
    Failed {
        /// The lines for standard error.
        failed: Vec<String>,
        /// The exit code.
        exit: u8,
    },
}

/// Injects a fault and heals it when its time is over, or earlier after a signal.
pub async fn hold(
    settings: &Settings,
    catalogue: &Catalogue,
    args: &FaultInjectArgs,
    mut signals: Signals,
) -> anyhow::Result<Exit> {
    signals::leave_terminal();
    let cut_short = async {
        signals.next().await;
    };
    match held(settings, catalogue, args, cut_short).await {
        Ok(()) => Ok(Exit::Passed),
        Err(error) => {
            let (code, lines) = exit::explanation(&error);
            tell(News::Failed { failed: lines, exit: code as u8 });
            Err(error)
        }
    }
}

async fn held(
    settings: &Settings,
    catalogue: &Catalogue,
    args: &FaultInjectArgs,
    cut_short: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let clusters = clusters(settings, catalogue, "fault").await?;
    let (cluster, node) = node_name::named(&clusters, &args.node).await?;
    let fault = chosen(catalogue, args)?;
    let spec = OutageSpec {
        cluster: &cluster,
        fault: &*fault,
        node: &node,
        pod: pod(args),
        allow_last_control_plane: args.allow_last_control_plane,
        lasts: args.lasts,
    };
    let clusters = clusters.held_by(format!("seatrial fault {} on {node}", fault.name()));
    let tell = |stage| tell(News::Stage(stage));
    let outage = clusters.outage(&spec, Deadline::after(PATIENCE), tell, cut_short);
    Ok(outage.await?)
}

/// Returns the chosen fault with its parameters.
pub fn chosen(catalogue: &Catalogue, args: &FaultInjectArgs) -> anyhow::Result<Box<dyn Fault>> {
    let fault = catalogue.faults.named(&args.fault)?;
    Ok(fault.with(&Given::read(fault, &args.with)?)?)
}

fn pod(args: &FaultInjectArgs) -> Option<PodOn> {
    let (namespace, name) = args.pod.clone()?;
    Some(PodOn { namespace, name, container: args.container.clone() })
}

fn tell(news: News) {
    let message = Told { pid: std::process::id(), news };
    if let Ok(line) = serde_json::to_string(&message) {
        // The reader may be gone; the outage continues.
        let _ = show::json(&format!("{line}\n"));
    }
}

//! A fault from the shell: a process of its own that has the cluster to itself for as long as the
//! fault is open, and heals it whatever becomes of the terminal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lease::Lease;
use super::lease::lock::Access;
use super::{ClusterError, Clusters, names, program as command_line};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::fault::{self, Fault, FaultError, HealOutcome, Intent, Owner, PodOn, Reach, Target};

/// The fault of an outage, where it is injected, and for how long.
#[derive(Debug)]
pub struct OutageSpec<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// The fault.
    pub fault: &'a dyn Fault,
    /// The node, by its whole name.
    pub node: &'a str,
    /// The pod on it.
    pub pod: Option<PodOn>,
    /// Whether the cluster's only control plane may be hit.
    pub allow_last_control_plane: bool,
    /// How long it lasts, counted from its proof.
    pub lasts: Duration,
}

/// How far an outage has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum OutageStage {
    /// The cluster is ready, and nobody else uses it.
    Leased,
    /// The intent is on disk.
    Intended {
        /// Its id.
        id: String,
    },
    /// The fault has taken hold.
    Injected {
        /// The proof.
        proof: Value,
        /// When it will be cleared.
        until: Timestamp,
    },
    /// Its time is over.
    Clearing,
    /// It is proved to be gone.
    Cleared {
        /// The proof.
        proof: Value,
    },
    /// The cluster is ready again, and free.
    Released,
}

/// Time to clear what is open.
const HEAL: Duration = Duration::from_secs(180);
/// Time to inject.
const INJECT: Duration = Duration::from_secs(180);

impl Clusters {
    /// Leases the cluster for itself, injects, waits until the time is over or `cut_short` resolves,
    /// clears, waits until the cluster is ready again, and releases it. `stage` is told how far it is.
    ///
    /// # Errors
    /// [`ClusterError`]; whatever was injected is cleared all the same.
    ///
    /// # Cancellation
    /// What is open stays open until the next lease or a reap: use `cut_short`.
    pub async fn outage(
        &self,
        spec: &OutageSpec<'_>,
        patience: Deadline,
        stage: impl Fn(OutageStage),
        cut_short: impl Future<Output = ()>,
    ) -> Result<(), ClusterError> {
        tokio::pin!(cut_short);
        let lease = self.existing(spec.cluster, Access::Exclusive, patience);
        let lease = tokio::select! {
            lease = Box::pin(lease) => lease?,
            () = &mut cut_short => return Ok(()),
        };
        stage(OutageStage::Leased);
        let broke = tokio::select! {
            broke = Box::pin(broken(&lease, spec, &stage)) => broke,
            () = &mut cut_short => Ok(()),
        };
        stage(OutageStage::Clearing);
        let intents = lease.intents()?;
        let healed = fault::heal_all(&self.engine, &intents, Deadline::after(HEAL)).await?;
        for one in healed {
            if let HealOutcome::Restored(proof) | HealOutcome::Gone(proof) = one.outcome {
                stage(OutageStage::Cleared { proof });
            }
        }
        lease.settle().await?;
        lease.release().await?;
        stage(OutageStage::Released);
        Ok(broke?)
    }
}

async fn broken(
    lease: &Lease,
    spec: &OutageSpec<'_>,
    stage: &impl Fn(OutageStage),
) -> Result<(), FaultError> {
    let gone = || FaultError::NoNode { node: spec.node.into(), cluster: lease.cluster.name.clone() };
    // The load balancer is found too, so that it is refused for what it is.
    let balancer = lease.cluster.load_balancer.as_ref().map(|b| &b.node).filter(|n| n.name == spec.node);
    let node = lease.cluster.node(spec.node).or(balancer).ok_or_else(gone)?;
    let target = Target {
        pod: spec.pod.clone(),
        allow_last_control_plane: spec.allow_last_control_plane,
        ..node.into()
    };
    let lasts = match spec.fault.reach() {
        Reach::Node => spec.lasts,
        Reach::Pod => Duration::ZERO,
    };
    let until = Timestamp::now() + lasts;
    let deadline = Deadline::after(INJECT);
    let (intent, checked) = lease.intents()?.until(until).write(spec.fault, target, deadline).await?;
    stage(OutageStage::Intended { id: intent.id });
    let proof = spec.fault.inject(&checked, deadline).await?;
    stage(OutageStage::Injected { proof, until: Timestamp::now() + lasts });
    Deadline::after(lasts).pause(lasts).await;
    Ok(())
}

/// Starts the process that makes and heals an outage: `program` with `arguments`, the seatrial
/// command line. Gives its process, and the file that its output goes to, with the length that the
/// file has so far.
///
/// # Errors
/// [`ClusterError::Watcher`].
pub fn start_outage(
    settings: &Settings,
    program: &Path,
    cluster: &str,
    arguments: &[String],
) -> Result<(Owner, PathBuf, u64), ClusterError> {
    let log = settings.state.join("leases").join(cluster).join("faults.log");
    let so_far = std::fs::metadata(&log).map_or(0, |m| m.len());
    let wrap = |source| ClusterError::Watcher { name: cluster.into(), source };
    let pid = command_line::itself(settings, program).args(arguments.iter()).detach(&log).map_err(wrap)?;
    Ok((Owner::of(pid), log, so_far))
}

/// The open faults of a cluster, oldest first.
///
/// # Errors
/// [`FaultError`] when their folder cannot be read.
pub fn open_faults(settings: &Settings, cluster: &str) -> Result<Vec<Intent>, FaultError> {
    let dir = settings.cluster_dir(cluster);
    // Opening the log makes its folder. Of one that is there and cannot be looked at, it says why.
    match dir.join("intents").try_exists() {
        Ok(false) => Ok(Vec::new()),
        _ => fault::IntentLog::open(&dir)?.list(),
    }
}

/// The open faults of every cluster that this state folder has, and why those of some are not known. Asks no engine:
/// they lie in the folder, and matter most where the engine does not answer.
pub fn all_open_faults(settings: &Settings) -> (Vec<Intent>, Vec<FaultError>) {
    let (mut open, mut unknown) = (Vec::new(), Vec::new());
    for name in names::recorded(&settings.state) {
        match open_faults(settings, &name) {
            Ok(faults) => open.extend(faults),
            Err(error) => unknown.push(error),
        }
    }
    (open, unknown)
}

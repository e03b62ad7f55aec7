//! A fault from the shell: a process of its own leases the cluster exclusively while the fault is open, and heals the
//! fault even if the terminal is closed.

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
use crate::fault::{self, Fault, FaultError, HealOutcome, Intent, Owner, PodOn, Target, TargetKind};

/// The fault of an outage, its target and its duration.
#[derive(Debug)]
pub struct OutageSpec<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// The fault.
    pub fault: &'a dyn Fault,
    /// The node, by its full name.
    pub node: &'a str,
    /// The pod on that node.
    pub pod: Option<PodOn>,
    /// Whether the fault may hit the cluster's only control plane.
    pub allow_last_control_plane: bool,
    /// Duration of the fault, counted from its proof.
    pub lasts: Duration,
}

/// The progress of an outage.
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
    /// The fault is proved to have its effect.
    Injected {
        /// The proof.
        proof: Value,
        /// When the fault will be cleared.
        until: Timestamp,
    },
    /// The duration is over.
    Clearing,
    /// The fault is proved to be gone.
    Cleared {
        /// The proof.
        proof: Value,
    },
    /// The cluster is ready again and released.
    Released,
}

/// Time to clear open faults.
const HEAL: Duration = Duration::from_secs(180);
/// Time to inject the fault.
const INJECT: Duration = Duration::from_secs(180);

impl Clusters {
    /// Leases the cluster exclusively, injects the fault, waits until the duration is over or `cut_short` resolves,
    /// clears the fault, waits until the cluster is ready again, and releases it. Calls `stage` at each stage.
    ///
    /// # Errors
    /// [`ClusterError`]. An injected fault is cleared in any case.
    ///
    /// # Cancellation
    /// An open fault stays open until the next lease or a reap. To end early, use `cut_short`.
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
    // The load balancer is included here because the refusal should name it as the load balancer, not as an unknown
    // node.
    let balancer = lease.cluster.load_balancer.as_ref().map(|b| &b.node).filter(|n| n.name == spec.node);
    let node = lease.cluster.node(spec.node).or(balancer).ok_or_else(gone)?;
    let target = Target {
        pod: spec.pod.clone(),
        allow_last_control_plane: spec.allow_last_control_plane,
        ..node.into()
    };
    let lasts = match spec.fault.target_kind() {
        TargetKind::Node => spec.lasts,
        TargetKind::Pod => Duration::ZERO,
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

/// Starts the process that holds an outage: `program` with `arguments` for the seatrial command line. Returns the
/// process, the file that its output goes to, and the current length of that file in bytes.
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

/// Returns the open faults of a cluster, oldest first.
///
/// # Errors
/// [`FaultError`] if the folder of intents cannot be read.
pub fn open_faults(settings: &Settings, cluster: &str) -> Result<Vec<Intent>, FaultError> {
    let dir = settings.cluster_dir(cluster);
    // `open` would create a missing folder. If the folder cannot be inspected, `open` returns the reason.
    match dir.join("intents").try_exists() {
        Ok(false) => Ok(Vec::new()),
        _ => fault::IntentLog::open(&dir)?.list(),
    }
}

/// Returns the open faults of every cluster of this state folder, and the errors of clusters whose faults are
/// unknown. Does not ask the engine: open faults matter most when the engine does not answer.
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

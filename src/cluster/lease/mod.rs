//! Leases: permission to use a cluster, together with the cluster.

pub mod lock;

use std::time::Duration;

use super::provision::wanted::Wanted;
use super::provision::{Provisioned, Provisioner};
use super::ready::Ready;
use super::state::owner::Identity;
use super::state::upgrade;
use super::topology::spec::ClusterSpec;
use super::{Cluster, ClusterError, Clusters, provision, ready};
use crate::deadline::Deadline;
use crate::fault::{self, FaultError, Faults, Healed, IntentLog};
use crate::stack::with_room;
use lock::{Access, Held, LockFiles};

/// Permission to use a ready cluster. Ends with [`Lease::release`]. If it is dropped without a release, or its
/// process dies, the lock is free at once, and the next holder checks the cluster with care.
#[derive(Debug)]
pub struct Lease {
    /// The cluster.
    pub cluster: Cluster,
    /// Whether the cluster existed before.
    pub reused: bool,
    /// Time from the request to the lease, including the wait for others.
    pub took: Duration,
    /// The checks that found the cluster ready.
    pub ready: Ready,
    /// Open faults of dead holders that were healed.
    pub healed: Vec<Healed>,
    access: Access,
    /// Distinguishes its intents from those of other leases of this process.
    number: u64,
    faults: Faults,
    held: Held,
}

/// How a lease obtains its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcquireMode {
    /// An existing cluster, else a new one.
    CreateOrReuse,
    /// An existing cluster only.
    Existing,
    /// An existing cluster, to resume its upgrade.
    Upgrade,
}

/// Time to heal open faults at a release.
const HEAL: Duration = Duration::from_secs(120);

impl Clusters {
    /// Leases a ready cluster for `spec`: an existing one, repaired if necessary, else a new one.
    ///
    /// With shared access others may use the cluster at the same time, each in its own namespace; with exclusive
    /// access nobody else may. A process that waits for exclusive access goes before those that come later.
    ///
    /// # Errors
    /// [`ClusterError`]; [`ClusterError::Lock`] with the holders if the cluster is not free in time,
    /// [`ClusterError::Create`] with a folder of evidence.
    ///
    /// # Cancellation
    /// The lock is freed. A creation in progress leaves an incomplete record; the next holder or a reap removes the
    /// containers.
    pub async fn acquire(
        &self,
        spec: &ClusterSpec,
        access: Access,
        deadline: Deadline,
    ) -> Result<Lease, ClusterError> {
        let mut number = 1;
        let identity = Identity::of(self).await?;
        loop {
            let wanted = Wanted {
                name: spec.numbered(&identity, number),
                profile: spec.images.profile.clone(),
                topology: spec.topology.clone(),
                kubernetes: spec.images.kubernetes.clone(),
                image: spec.images.node.reference.clone(),
                workloads: spec.workloads(),
            };
            let got = match upgrade::upgraded(&self.settings, &wanted) {
                Some(error) => Err(error),
                None => self.lease(&wanted, AcquireMode::CreateOrReuse, access, deadline).await,
            };
            match got {
                // Somebody else needs that cluster: try the next number.
                Err(error @ (ClusterError::Upgraded { .. } | ClusterError::Kept { .. })) => {
                    self.progress.say(&format!("{error}; using another cluster"));
                }
                got => return got,
            }
            number += 1;
        }
    }

    /// As [`Clusters::acquire`], but for an existing cluster by name. No cluster is created.
    ///
    /// # Errors
    /// [`ClusterError::Unknown`] if the cluster does not exist, and those of [`Clusters::acquire`].
    pub async fn existing(
        &self,
        name: &str,
        access: Access,
        deadline: Deadline,
    ) -> Result<Lease, ClusterError> {
        let wanted = Wanted::of(&self.settings, name)?;
        self.lease(&wanted, AcquireMode::Existing, access, deadline).await
    }

    /// As [`Clusters::existing`] with exclusive access, to continue an upgrade. A cluster whose upgrade stopped in
    /// the middle of a step may be leased, and need not be ready.
    ///
    /// # Errors
    /// Those of [`Clusters::existing`].
    pub async fn to_upgrade(&self, name: &str, deadline: Deadline) -> Result<Lease, ClusterError> {
        let wanted = Wanted::of(&self.settings, name)?;
        self.lease(&wanted, AcquireMode::Upgrade, Access::Exclusive, deadline).await
    }

    async fn lease(
        &self,
        wanted: &Wanted,
        mode: AcquireMode,
        access: Access,
        deadline: Deadline,
    ) -> Result<Lease, ClusterError> {
        let task = format!("cluster {}", wanted.name);
        let whole = with_room(async {
            let files = LockFiles::new(&self.settings.state, &wanted.name);
            let detail = |text: &str| self.progress.detail(&task, &format!("waiting: {text}"));
            let entering = files.enter(access, &self.holder, deadline, detail).await?;
            let task = task.clone();
            let provisioner = Provisioner { clusters: self, wanted, access, deadline, task };
            let (entering, made) = match mode {
                AcquireMode::CreateOrReuse => provisioner.run(entering).await?,
                AcquireMode::Existing => provisioner.run_existing(entering).await?,
                AcquireMode::Upgrade => provisioner.run_to_upgrade(entering).await?,
            };
            Ok::<_, ClusterError>((made, entering.enter()?))
        });
        let began = std::time::Instant::now();
        let (made, held) = self.progress.task(&task, whole).await?;
        let Provisioned { cluster, reused, healed, ready } = made;
        let number = IntentLog::next_lease();
        let (took, faults) = (began.elapsed(), self.faults.clone());
        Ok(Lease { cluster, reused, took, ready, healed, access, number, faults, held })
    }
}

impl Lease {
    /// Returns how the cluster may be used.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Opens the log of this lease's intents. A fault is recorded there before it is injected. A shared lease allows
    /// no fault on a node.
    ///
    /// # Errors
    /// [`FaultError`] if the folder cannot be created.
    pub fn intents(&self) -> Result<IntentLog, FaultError> {
        let log = IntentLog::open(&self.cluster.dir)?.knowing(&self.faults).of_lease(self.number);
        Ok(if self.access == Access::Shared { log.shared() } else { log })
    }

    /// Records that the leftovers of dead holders are gone: `seatrial reap` need not look for them. With shared
    /// access this changes nothing.
    ///
    /// # Errors
    /// [`ClusterError::Lock`].
    pub fn cleaned(&self) -> Result<(), ClusterError> {
        Ok(self.held.cleaned()?)
    }

    /// Waits until a cluster whose faults were healed is ready again.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`] after 150 s.
    pub async fn settle(&self) -> Result<(), ClusterError> {
        let deadline = Deadline::after(provision::RECOVER);
        let now = self.cluster.engine.now().await?;
        ready::ready(&self.cluster, &[], now, deadline).await.map(drop)
    }

    /// Releases the lease. With exclusive access, heals open faults first. A caller that needs the proofs of healing
    /// heals before.
    ///
    /// # Errors
    /// [`ClusterError::Fault`] if that fails. The lock is then freed anyway, and the next holder checks the cluster with
    /// care.
    pub async fn release(self) -> Result<(), ClusterError> {
        if self.access == Access::Exclusive {
            let intents = self.intents()?;
            fault::heal_all(&self.cluster.engine, &intents, Deadline::after(HEAL)).await?;
        }
        Ok(self.held.release()?)
    }
}

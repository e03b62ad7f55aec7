//! Leave to use a cluster, and the cluster with it.

pub mod lock;

use std::time::Duration;

use super::provision::wanted::Wanted;
use super::provision::{Provisioned, Provisioner};
use super::ready::{Ready, out_of_service};
use super::state::owner::Identity;
use super::state::upgrade;
use super::topology::spec::ClusterSpec;
use super::{Cluster, ClusterError, Clusters, provision, ready};
use crate::deadline::Deadline;
use crate::fault::{self, FaultError, Faults, Healed, IntentLog};
use crate::stack::with_room;
use lock::{Access, Held, LockFiles};

/// Leave to use a cluster that is ready. Ends with [`Lease::release`]; dropped without it, or
/// with the process, the lock is free at once but the next holder looks at the cluster with care.
#[derive(Debug)]
pub struct Lease {
    /// The cluster.
    pub cluster: Cluster,
    /// Whether it was there before.
    pub reused: bool,
    /// From asking to having, waiting for others included.
    pub took: Duration,
    /// How it was found to be ready.
    pub ready: Ready,
    /// Faults that were open, of holders that are gone, and had to be healed.
    pub healed: Vec<Healed>,
    access: Access,
    /// Tells its intents from those of other leases of this process.
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

/// Time to heal what is open at a release.
const HEAL: Duration = Duration::from_secs(120);

impl Clusters {
    /// Gets a ready cluster for `spec`: one that is there, mended if need be, else a new one.
    ///
    /// With shared access others may use it at the same time, each in its own namespace; with
    /// exclusive access nobody else does. Whoever waits for exclusive access goes before those
    /// who come later.
    ///
    /// # Errors
    /// [`ClusterError`]; [`ClusterError::Lock`] with the holders when it is not free in time,
    /// [`ClusterError::Create`] with a folder of evidence.
    ///
    /// # Cancellation
    /// The lock is freed. A creation that was under way leaves an incomplete record; the next
    /// holder, or a reap, removes what is there.
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
                // It is somebody's; there is room for another one next to it.
                Err(error @ (ClusterError::Upgraded { .. } | ClusterError::Kept { .. })) => {
                    self.progress.say(&format!("{error}; taking another one"));
                }
                got => return got,
            }
            number += 1;
        }
    }

    /// As [`Clusters::acquire`] for a cluster that is there, by name; it is never made anew.
    ///
    /// # Errors
    /// [`ClusterError::Unknown`] when it is not there, and those of [`Clusters::acquire`].
    pub async fn existing(
        &self,
        name: &str,
        access: Access,
        deadline: Deadline,
    ) -> Result<Lease, ClusterError> {
        let wanted = Wanted::of(&self.settings, name)?;
        self.lease(&wanted, AcquireMode::Existing, access, deadline).await
    }

    /// As [`Clusters::existing`], exclusively, for whoever goes on with an upgrade: one that stands in the
    /// middle of a step may be leased, and need not be ready.
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
    /// How the cluster may be used.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Where faults of this cluster are written down before they are injected. A shared lease allows none that
    /// reaches a node.
    ///
    /// # Errors
    /// [`FaultError`] when the folder cannot be made.
    pub fn intents(&self) -> Result<IntentLog, FaultError> {
        let log = IntentLog::open(&self.cluster.dir)?.knowing(&self.faults).of_lease(self.number);
        Ok(if self.access == Access::Shared { log.shared() } else { log })
    }

    /// What holders left that went without a release is gone: `seatrial reap` need not look for it. Changes nothing
    /// where others share the cluster.
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

    /// Gives the lease back. With exclusive access, faults that are still open are healed first, and
    /// nodes that were declared out of service are taken back; whoever wants their proofs heals before.
    ///
    /// # Errors
    /// [`ClusterError::Fault`], [`ClusterError::OutOfService`] when that fails: then the lock is freed
    /// all the same, and the next holder looks at the cluster with care.
    pub async fn release(self) -> Result<(), ClusterError> {
        if self.access == Access::Exclusive {
            let intents = self.intents()?;
            fault::heal_all(&self.cluster.engine, &intents, Deadline::after(HEAL)).await?;
            let client = self.cluster.client().await?;
            out_of_service::take_back(&self.cluster.name, &client, Deadline::after(HEAL)).await?;
        }
        Ok(self.held.release()?)
    }
}

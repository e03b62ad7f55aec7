//! A run: what its scenarios share, from the resolved images to the folder of evidence.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Clusters, Topology};
use crate::deadline::Deadline;
use crate::diagnostics::{COLLECTORS, Collector};
use crate::engine::EngineError;
use crate::event::{Event, EventError, EventLog};
use crate::hint::{FailureKind, Hint};
use crate::image::{self, ImageError, ImageSet};
use crate::judge::Conclusion;
use crate::judge::upgrade::Budgets;

/// Time to build or pull all images: an offline build without a cache on two busy cores.
const IMAGES: Duration = Duration::from_secs(80 * 60);

/// Everything that the scenarios of one run share.
#[derive(Debug)]
pub struct Run {
    /// The clusters that it may use, with its settings, container engine and progress display.
    pub clusters: Clusters,
    /// The images that run.
    pub images: ImageSet,
    /// The run's event log.
    pub log: EventLog,
    /// Cancelled by an interrupt: scenarios then heal and end.
    pub cancel: CancellationToken,
    /// How long a scenario waits for its cluster, including its creation and others that hold it.
    pub patience: Duration,
    /// The outage budgets for the steps of an upgrade; `None` means the defaults for the cluster's number of control
    /// planes.
    pub budgets: Option<Budgets>,
    /// The topology of every scenario; `None` means the topology in its needs.
    pub topology: Option<Topology>,
    /// The name of the cluster that every scenario runs on, used as is; `None` means a cluster for the scenario's
    /// needs and the images.
    pub cluster: Option<String>,
    /// Whether a trial stops when a claim fails, and leaves everything as it is.
    pub keep_on_failure: bool,
    /// The collectors of evidence for a story that did not pass: the built-in ones, and those that the program adds.
    pub collectors: Vec<&'static dyn Collector>,
}

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An engine error.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An image error.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The event log cannot be opened or written.
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Run {
    /// Resolves the images and opens the folder of evidence. If the run already exists, joins it: test processes of
    /// one invocation share a run.
    ///
    /// # Errors
    /// [`RunError`]; then nothing was started.
    pub fn begin<'a>(
        clusters: Clusters,
        id: &'a str,
        suites: &'a [&'a str],
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<Self, RunError>> {
        let work = async move {
            clusters.foresee().await?;
            let images = image::resolve(&clusters.images(Deadline::after(IMAGES))).await?;
            let settings = &clusters.settings;
            let log = EventLog::open(&settings.runs_dir().join(id), id)?.with_secrets(&settings.secrets);
            let facts = clusters.engine.facts().await?;
            log.append(Event::RunStarted {
                seatrial: env!("CARGO_PKG_VERSION").into(),
                profile: images.profile.clone(),
                profile_because: images.because.clone(),
                machine: facts.describe(),
                suites: suites.iter().map(|&s| s.into()).collect(),
            });
            let mut images_seen = BTreeMap::new();
            images_seen
                .insert("node".to_owned(), (images.node.reference.clone(), images.node.built_from.clone()));
            for workload in images.workloads.values() {
                let to = (workload.reference.clone(), workload.built_from.clone());
                images_seen.insert(workload.stands_for.clone(), to);
            }
            for (from, (to, built_from)) in images_seen {
                log.append(Event::Substituted { from, to, built_from });
            }
            Ok(Self {
                clusters,
                images,
                log,
                cancel,
                patience: Duration::from_secs(20 * 60),
                budgets: None,
                topology: None,
                cluster: None,
                keep_on_failure: false,
                collectors: COLLECTORS.to_vec(),
            })
        };
        work.boxed()
    }

    /// Records the end of the run. Returns its folder.
    ///
    /// # Errors
    /// The event log could not be written.
    pub fn end(&self, verdict: Conclusion) -> Result<PathBuf, EventError> {
        self.log.append(Event::RunEnded { verdict });
        self.log.check()?;
        Ok(self.log.dir().to_path_buf())
    }
}

/// Returns an id for a new run: UTC time and four hexadecimal digits. Ids sort by time.
pub fn new_id(now: Timestamp) -> String {
    let random =
        u16::from_ne_bytes([now.subsec_nanosecond().to_le_bytes()[1], std::process::id().to_le_bytes()[0]]);
    format!("{}-{random:04x}", now.strftime("%Y%m%d-%H%M%S"))
}

impl Hint for RunError {
    fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::Engine(error) => error.failure(),
            Self::Image(error) => error.failure(),
            Self::Event(error) => error.failure(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Event(_) => None,
        }
    }
}

//! What dead processes left open in a cluster: faults, and the namespaces and folders of their stories.

use std::time::Duration;

use super::decision::Facts;
use super::lock::Access;
use super::making::{Making, heal_text};
use super::standing::Standing;
use super::{ClusterError, Wanted, upgrading};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::fault::IntentLog;
use crate::manifest::{HostFolder, LeftNamespace, RUN_LABEL, TestNamespace};
use crate::node::Node;
use crate::progress::Progress;

/// Time for a cluster to be healed and ready again, and for what dead stories left to go.
const MEND: Duration = Duration::from_secs(600);
/// Time for the namespaces among it.
const LEFT: Duration = Duration::from_secs(180);

/// A cluster that somebody has to himself, and what is to be mended in it.
pub(super) struct Mending<'a> {
    pub settings: &'a Settings,
    pub engine: &'a Engine,
    pub name: &'a str,
    pub progress: &'a Progress,
}

impl Mending<'_> {
    /// Heals the open faults, and nothing else.
    pub async fn faults(&self) -> Result<(), ClusterError> {
        let wanted = Wanted::of(self.settings, self.name)?;
        self.heal(&self.making(&wanted)).await
    }

    /// Heals what dead processes left open, as a lease does, until the cluster is ready again, and removes what their
    /// stories left. A cluster that is not whole, or whose upgrade is in the middle of a step, is healed only: it
    /// cannot be asked to be ready. Gives a sentence for each thing of seatrial's that is still there.
    pub async fn whole(&self, facts: &Facts, unclean: bool) -> Result<Vec<String>, ClusterError> {
        let Self { settings, name, progress, .. } = self;
        let wanted = Wanted::of(settings, name)?;
        let making = self.making(&wanted);
        let half = match upgrading::usable(settings, name) {
            Err(_) => Some(upgrading::unfinished(settings, name).unwrap_or_default()),
            Ok(()) if facts.standing != Standing::Whole => Some("it is not whole".into()),
            Ok(()) => None,
        };
        if let Some(half) = half {
            self.heal(&making).await?;
            return Ok(vec![format!("nothing else is looked at: {half}")]);
        }
        making.there().await?;
        let made = making.reuse(unclean).await?;
        let client = made.cluster.client().await?;
        let failed = |source| ClusterError::Left { name: (*name).into(), source };
        let deadline = making.deadline;
        let left = TestNamespace::delete_left(&client, RUN_LABEL, deadline.at_most(LEFT)).await;
        let mut stays = Vec::new();
        for left in left.map_err(|e| failed(e.into()))? {
            let ours = left.stays();
            let LeftNamespace { name: namespace, kept, .. } = left;
            let text = match kept {
                None => format!("namespace {namespace} of a dead run: deleted"),
                Some(why) => format!("namespace {namespace} stays: {why}"),
            };
            progress.say(&format!("{name}: {text}"));
            stays.extend(ours.then_some(text));
        }
        // After the namespaces: a folder belongs to one that is gone.
        let nodes: Vec<&Node> = made.cluster.nodes.iter().collect();
        let swept = HostFolder::sweep(&client, &nodes, deadline.at_most(LEFT)).await;
        for said in swept.map_err(|e| failed(e.into()))? {
            progress.say(&format!("{name}: {said}"));
        }
        Ok(stays)
    }

    fn making<'a>(&'a self, wanted: &'a Wanted) -> Making<'a> {
        let Self { settings, engine, name, progress } = *self;
        let (access, deadline, task) = (Access::Exclusive, Deadline::after(MEND), format!("cluster {name}"));
        Making { settings, engine, wanted, access, deadline, progress, task }
    }

    async fn heal(&self, making: &Making<'_>) -> Result<(), ClusterError> {
        let intents = IntentLog::open(&self.settings.cluster_dir(self.name))?;
        for healed in making.heal(&intents).await? {
            self.progress.say(&format!("{}: {}", self.name, heal_text(&healed)));
        }
        Ok(())
    }
}

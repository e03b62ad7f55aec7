//! The MySQL on a plain hostPath: a drain moves it, and it starts empty on another node.

use std::time::Duration;

use super::mysql::serving;
use super::{CHANGE, START, only, placed};
use crate::chain::chain;
use crate::judge::upgrade::{TRAP_AFTER, TRAP_BEFORE, facts};
use crate::manifest::Manifest;
use crate::probe::{Inside, Ledger, Pace};
use crate::scenario::{Failure, Scenario};
use crate::suite::mysql::disk;
use crate::suite::stateful_set::volumes;
use crate::wait;

const MANIFEST: &str = include_str!("trap.yaml");
/// Name of the ledger's writer.
const WRITER: &str = "trap";
/// Number of rows that are written before the upgrade; none is added later.
const ROWS: u64 = 50;
/// Pause between two rows.
const EVERY: Duration = Duration::from_millis(20);
/// Levels of a listing: the data directory and the databases in it.
const DEPTH: usize = 2;

/// The workload with its ledger.
pub(super) struct Trap {
    pub manifest: Manifest,
    ledger: Ledger,
    _inside: Inside,
}

impl Trap {
    /// Starts MySQL on a node, and writes its rows.
    pub async fn start(s: &Scenario, home: &str) -> Result<Self, Failure> {
        let manifest = placed(s, "upgrade/trap.yaml", MANIFEST, home)?;
        let (ledger, inside) = serving(s, &manifest, "trap", WRITER).await?;
        ledger.create(s.deadline().at_most(CHANGE)).await?;
        let mut writer = ledger.write(WRITER, Pace { every: EVERY, rows: 1 });
        let written = writer.acknowledged(ROWS, s.deadline().at_most(CHANGE)).await;
        writer.stop().await;
        if !written {
            return Err(format!("the trap's ledger did not write {ROWS} rows").into());
        }
        ledger.read(TRAP_BEFORE, s.deadline().at_most(CHANGE)).await?;
        list(s, TRAP_BEFORE).await;
        s.observe(&facts::TRAP_BEFORE, &only(s, "app=trap").await?);
        Ok(Self { manifest, ledger, _inside: inside })
    }

    /// Records the present node, the rows that the server has, and the files on the old node.
    pub async fn end(&self, s: &Scenario, home: &str) -> Result<(), Failure> {
        wait::rollout(&s.client, &s.namespace, "trap", s.deadline().at_most(START)).await?;
        self.ledger.ready(s.deadline().at_most(START)).await?;
        self.ledger.read(TRAP_AFTER, s.deadline().at_most(CHANGE)).await?;
        list(s, TRAP_AFTER).await;
        s.observe(&facts::TRAP_AFTER, &only(s, "app=trap").await?);
        let node = s.cluster.node(home).ok_or_else(|| format!("no node is called {home}"))?;
        let rows = disk::rows(s, node, &path(s), |row| row.writer == WRITER).await?;
        s.observe(&facts::TRAP_ON_DISK, &rows);
        Ok(())
    }
}

/// Lists the folder on every worker; a failure is recorded too.
async fn list(s: &Scenario, listing: &str) {
    let path = path(s);
    for node in s.cluster.workers() {
        s.log.append(match node.inspect(&path, DEPTH).await {
            Ok(found) => found.event(listing),
            Err(error) => node.unlisted(listing, &path, &chain(&error)),
        });
    }
}

/// Returns the volume's folder on a node, as in the manifest.
fn path(s: &Scenario) -> String {
    format!("{}/trap", volumes::path(s))
}

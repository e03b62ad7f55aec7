//! The MySQL whose volume names its node, with a ledger that is written during the whole upgrade.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::Api;

use super::address;
use super::{CHANGE, PASSWORD, START, only, placed};
use crate::judge::upgrade::facts;
use crate::manifest::Manifest;
use crate::probe::{Inside, Ledger, LedgerSpec};
use crate::scenario::{Failure, Scenario};
use crate::wait;

const MANIFEST: &str = include_str!("mysql.yaml");
/// Name of the ledger's writer.
pub(super) const WRITER: &str = "upgrade";

/// The workload with its ledger.
pub(super) struct Mysql {
    pub manifest: Manifest,
    pub ledger: Ledger,
    _inside: Inside,
}

impl Mysql {
    /// Starts MySQL on its node, and creates an empty table.
    pub async fn start(s: &Scenario, home: &str) -> Result<Self, Failure> {
        let manifest = placed(s, "upgrade/mysql.yaml", MANIFEST, home)?;
        let (ledger, inside) = serving(s, &manifest, "mysql", WRITER).await?;
        ledger.create(s.deadline().at_most(CHANGE)).await?;
        let claims = Api::<PersistentVolumeClaim>::namespaced(s.client.unary.clone(), &s.namespace);
        let volume = claims.get("mysql-pv-claim").await?.spec.and_then(|c| c.volume_name).unwrap_or_default();
        s.observe(&facts::VOLUME, &Api::<PersistentVolume>::all(s.client.unary.clone()).get(&volume).await?);
        s.observe(&facts::MYSQL_BEFORE, &only(s, "app=mysql").await?);
        s.observe(&facts::SERVER_BEFORE, &ledger.ready(s.deadline().at_most(START)).await?);
        Ok(Self { manifest, ledger, _inside: inside })
    }
}

/// Applies a MySQL and waits until it answers its ledger. The connection goes through a node: a port-forward would need
/// the API server.
pub(super) async fn serving(
    s: &Scenario,
    manifest: &Manifest,
    name: &str,
    writer: &str,
) -> Result<(Ledger, Inside), Failure> {
    let deadline = s.deadline().at_most(START);
    s.apply(manifest, deadline).await?;
    wait::rollout(&s.client, &s.namespace, name, deadline).await?;
    let node = s.cluster.control_planes().next().ok_or("the cluster has no control plane")?;
    let address = address(s, &s.namespace, name).await?;
    let inside = Inside::open(&s.cluster.engine, &node.name, address, 3306).await?;
    let (password, writers) = (PASSWORD.into(), vec![writer.to_owned()]);
    let spec = LedgerSpec { password, writers, ..LedgerSpec::default() };
    let ledger = Ledger::new(spec, inside.route().clone(), s.log.clone());
    ledger.ready(deadline).await?;
    Ok((ledger, inside))
}

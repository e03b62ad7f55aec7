//! The probes and the writer that run during the upgrade.

use std::future::ready;
use std::time::Duration;

use super::address;
use super::mysql::{Mysql, WRITER};
use super::{CHANGE, only};
use crate::event::{Event, Outcome};
use crate::judge::upgrade::{AFTER, facts};
use crate::probe::{ApiProbe, Lines, Pace, Writer, api, dns, http};
use crate::retry;
use crate::scenario::{Failure, Scenario};

/// Pause between two rows.
const EVERY: Duration = Duration::from_millis(100);
/// Number of rows that must be written before the upgrade begins, and after it.
const ROWS: u64 = 50;

/// The probes and the ledger's writer.
pub(super) struct Load {
    writer: Writer,
    probes: (Lines, Lines, ApiProbe),
}

impl Load {
    /// Starts the probes, and waits until each is answered.
    pub async fn start(s: &Scenario, mysql: &Mysql) -> Result<Self, Failure> {
        let node = s.cluster.control_planes().next().ok_or("the cluster has no control plane")?;
        let engine = &s.cluster.engine;
        let mut writer = mysql.ledger.write(WRITER, Pace { every: EVERY, rows: 1 });
        let limit = s.deadline().remaining();
        let service = address(s, &s.namespace, "web").await?.to_string();
        let words = http::command(&service, 80, Duration::from_secs(1), limit);
        let web = http::start(engine.exec_lines(&node.name, &borrowed(&words)), s.log.clone());
        let words = dns::command(address(s, "kube-system", "kube-dns").await?, limit);
        let names = dns::start(engine.exec_lines(&node.name, &borrowed(&words)), s.log.clone());
        let api = ApiProbe::start(&s.client, s.log.clone());
        if !writer.acknowledged(ROWS, s.deadline().at_most(CHANGE)).await {
            return Err("the ledger did not write its first rows".into());
        }
        steady(s).await?;
        Ok(Self { writer, probes: (web, names, api) })
    }

    /// Stops the probes, and reads the ledger's rows.
    pub async fn end(mut self, s: &Scenario, mysql: &Mysql) -> Result<(), Failure> {
        let deadline = s.deadline().at_most(CHANGE);
        let more = self.writer.acknowledged(self.writer.tally().acknowledged + ROWS, deadline).await;
        self.writer.stop().await;
        let (http, dns, api) = self.probes;
        http.stop().await;
        dns.stop().await;
        api.stop().await;
        mysql.ledger.read(AFTER, deadline).await?;
        s.observe(&facts::MYSQL_AFTER, &only(s, "app=mysql").await?);
        if more { Ok(()) } else { Err("the ledger did not write again after the upgrade".into()) }
    }
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Waits until each probe was answered, so later failures are due to the upgrade.
async fn steady(s: &Scenario) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(CHANGE);
    let steady = || {
        let records = s.log.records();
        let last = |name: &str| {
            records.iter().rev().find_map(|r| match &r.event {
                Event::Sampled { probe, outcome, .. } if probe == name => Some(*outcome),
                _ => None,
            })
        };
        let good = |name: &&str| last(name) == Some(Outcome::Acknowledged);
        ready(if [http::PROBE, api::PROBE, dns::PROBE].iter().all(good) { Ok(()) } else { Err(()) })
    };
    let steady = retry::until(deadline, retry::every(Duration::from_millis(200)), steady).await;
    steady.map_err(|_| "not every probe was answered before the upgrade".into())
}

//! Searches the disk of a stopped node for rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::{Event, Outcome, Row};
use crate::judge::mysql::facts::OnDisk;
use crate::node::Node;
use crate::probe::ledger::disk;
use crate::scenario::{Failure, Scenario};

/// The table comes first; rows that are not in it yet are in the redo log or in the binary log.
const FILES: [&str; 4] = ["qa/ledger.", "#innodb_redo/", "ib_logfile", "binlog."];
/// Maximum size of a file that is read, in bytes.
const LIMIT: u64 = 256 << 20;

/// Searches the files below a path on a node for every `wanted` acknowledged row. The node may be stopped.
pub(in crate::suite) async fn rows(
    s: &Scenario,
    node: &Node,
    path: &str,
    wanted: impl Fn(&Row) -> bool,
) -> Result<OnDisk, Failure> {
    let mut rows = Vec::new();
    s.log.each(|record| rows.extend(acknowledged(record.event).into_iter().filter(&wanted)));
    let rows = Arc::new(rows);
    let listing = node.list(path, 2).await?;
    let (mut found, mut files) = (BTreeSet::new(), Vec::new());
    for begin in FILES {
        let spare = |path: &str| path.ends_with('/') || path.ends_with("_tmp");
        for entry in listing.entries.iter().filter(|e| e.path.starts_with(begin) && !spare(&e.path)) {
            if found.len() == rows.len() {
                break;
            }
            let path = format!("{path}/{}", entry.path);
            let Some(bytes) = node.engine().read_file(&node.name, &path, LIMIT).await? else { continue };
            let (rows, is_redo) = (Arc::clone(&rows), begin != FILES[0] && begin != FILES[3]);
            let search = move || match is_redo {
                true => disk::find(rows.iter(), &disk::unframed(&bytes)),
                false => disk::find(rows.iter(), &bytes),
            };
            found.extend(tokio::task::spawn_blocking(search).await?);
            files.push(entry.path.clone());
        }
    }
    let (node, power) = (listing.node, listing.power.name().to_owned());
    Ok(OnDisk { node, power, rows: rows.len() as u64, found: found.into_iter().collect(), files })
}

fn acknowledged(event: Event) -> Vec<Row> {
    match event {
        Event::RowWritten { row, outcome: Outcome::Acknowledged, .. } => vec![row],
        Event::TransactionWritten { rows, outcome: Outcome::Acknowledged, .. } => rows,
        _ => Vec::new(),
    }
}

//! The ledger: numbered rows, with the server's answer to each. A later reading then shows which acknowledged rows are
//! missing, duplicated, or on another server's disk.

mod connection;
pub mod disk;
mod reader;
mod steady;
mod traffic;
mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};

pub use connection::LedgerError;
pub use reader::Reader;
pub use steady::Tally;
pub use traffic::Traffic;
pub use writer::{Pace, Writer};

use crate::chain::chain;
use crate::deadline::Deadline;
use crate::event::{Event, EventLog, Outcome, Row, Server};
use crate::probe::Route;
use connection::Connection;

/// A table of numbered rows on a MySQL server. Connecting does not create the database: an empty replacement server,
/// which lacks the database, therefore refuses every row.
///
/// # Guarantees
/// Each row is sent once, and its number is unique among all writers of the ledger. So something else duplicated a row
/// that is found twice, and the number alone identifies a row.
#[derive(Clone, Debug)]
pub struct Ledger {
    spec: LedgerSpec,
    route: Route,
    log: EventLog,
    number: Arc<AtomicU64>,
    /// By server and pod: start time of the server's process, on the log's clock in seconds.
    met: Arc<Mutex<BTreeMap<(String, String), f64>>>,
}

/// The ledger's database, login and timeouts.
#[derive(Clone)]
pub struct LedgerSpec {
    /// The database, such as `qa`. It must be a plain word, because it becomes part of statements.
    pub database: String,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// Timeout of each call.
    pub patience: Duration,
    /// The names of its writers, needed if another ledger uses the same log: a reading then names whose rows it
    /// expects. Default: none, because the ledger is the log's only one.
    pub writers: Vec<String>,
}

/// Prints the ledger without the password.
impl std::fmt::Debug for LedgerSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LedgerSpec({} as {}, writers {:?})", self.database, self.user, self.writers)
    }
}

impl Default for LedgerSpec {
    fn default() -> Self {
        Self {
            database: "qa".into(),
            user: "root".into(),
            password: String::new(),
            patience: Duration::from_secs(2),
            writers: Vec::new(),
        }
    }
}

/// Seconds by which a computed start time may differ for the same start: a server reports its uptime in whole seconds.
const SAME_START: f64 = 2.5;

/// The result of reading the whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The server that answered.
    pub server: Server,
    /// Whether the database and the table exist there.
    pub exists: bool,
    /// The rows, in primary key order.
    pub rows: Vec<Row>,
}

impl Ledger {
    /// Creates the ledger; sends nothing yet.
    pub fn new(spec: LedgerSpec, route: Route, log: EventLog) -> Self {
        Self { spec, route, log, number: Arc::default(), met: Arc::default() }
    }

    /// Returns the same ledger over another route: the row numbers continue.
    pub fn over(&self, route: Route) -> Self {
        Self { route, ..self.clone() }
    }

    /// Waits for a server that stays: two new connections one second apart must be answered over TCP by the same server
    /// process. The official image first runs a server without networking while it fills an empty data directory, and a
    /// pod may be ready before its server answers.
    ///
    /// # Errors
    /// [`LedgerError::NotReady`] with the last reason.
    pub async fn ready(&self, deadline: Deadline) -> Result<Server, LedgerError> {
        let mut last = "it was not asked yet".to_owned();
        let mut before: Option<(Server, u64)> = None;
        while !deadline.is_over() {
            let began = Instant::now();
            let asked = async {
                let mut connection = self.meet(deadline).await?;
                let uptime = connection.uptime().await?;
                Ok::<_, LedgerError>((connection.close().await, uptime))
            };
            match asked.await {
                Ok((server, uptime)) => match &before {
                    Some((known, up)) if *known == server && uptime >= *up => return Ok(server),
                    _ => {
                        last = format!("server {} has just begun to answer", server.uuid);
                        before = Some((server, uptime));
                    }
                },
                Err(error) => {
                    (last, before) = (self.explain(&error, began), None);
                }
            }
            let pause = if before.is_some() { 1000 } else { 100 };
            deadline.pause(Duration::from_millis(pause)).await;
        }
        Err(LedgerError::NotReady { waited: deadline.waited(), last })
    }

    /// Creates the database and the table.
    ///
    /// # Errors
    /// [`LedgerError`], also if the database exists already.
    pub async fn create(&self, deadline: Deadline) -> Result<Server, LedgerError> {
        let mut connection = self.connect(deadline).await?;
        let database = &self.spec.database;
        connection.run(&format!("CREATE DATABASE {database}")).await?;
        // No unique key on writer and number: the server must not refuse a duplicated row, because the row must show.
        connection
            .run(&format!(
                "CREATE TABLE {database}.ledger (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, \
                 writer VARCHAR(64) NOT NULL, number BIGINT UNSIGNED NOT NULL, \
                 payload VARCHAR(64) NOT NULL, checksum CHAR(64) NOT NULL) ENGINE=InnoDB"
            ))
            .await?;
        Ok(connection.close().await)
    }

    /// Starts to write one row, or one transaction, after another; see [`Writer`]. Each writer of a ledger needs a name
    /// of its own, of at most 64 characters.
    pub fn write(&self, name: &str, pace: Pace) -> Writer {
        Writer::start(self.clone(), name.into(), pace)
    }

    /// Starts to read the newest rows at the interval `every`; see [`Reader`].
    pub fn look(&self, name: &str, every: Duration) -> Reader {
        Reader::start(self.clone(), name.into(), every)
    }

    /// Reads the whole table and records it as [`Event::RowsRead`].
    ///
    /// # Errors
    /// [`LedgerError`]; a missing database is an answer, not an error.
    pub async fn read(&self, reading: &str, deadline: Deadline) -> Result<Reading, LedgerError> {
        let mut connection = self.meet(deadline).await?;
        let began_us = Some(self.log.now_us());
        let rows = connection.rows(&self.spec.database).await?;
        let server = connection.close().await;
        let found = Reading { server, exists: rows.is_some(), rows: rows.unwrap_or_default() };
        self.log.append(Event::RowsRead {
            reading: reading.into(),
            server: found.server.clone(),
            exists: found.exists,
            rows: found.rows.clone(),
            began_us,
            writers: (!self.spec.writers.is_empty()).then(|| self.spec.writers.clone()),
        });
        Ok(found)
    }

    /// The server, and the names of its databases.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn databases(&self, deadline: Deadline) -> Result<(Server, Vec<String>), LedgerError> {
        let mut connection = self.connect(deadline).await?;
        let names = connection.databases().await?;
        Ok((connection.close().await, names))
    }

    async fn connect(&self, deadline: Deadline) -> Result<Connection, LedgerError> {
        Connection::open(&self.spec, &self.route, deadline).await
    }

    /// Connects, and records the server if it is new or was restarted since the last connection: after a restart, rows
    /// in flight may or may not exist.
    async fn meet(&self, deadline: Deadline) -> Result<Connection, LedgerError> {
        let mut connection = self.connect(deadline).await?;
        let uptime = connection.uptime().await?;
        let started = self.log.now_us() as f64 / 1e6 - uptime as f64;
        let server = connection.server().clone();
        let key = (server.uuid.clone(), server.pod_uid.clone());
        let is_known = |known: Option<&f64>| known.is_some_and(|known| started - known < SAME_START);
        if is_known(self.met().get(&key)) {
            return Ok(connection);
        }
        let version = connection.version().to_owned();
        let flush_at_commit = connection.flush_at_commit().await?;
        // Of several connections at once, only one records the server.
        let mut met = self.met();
        if !is_known(met.get(&key)) {
            met.insert(key, started);
            self.log.append(Event::ServerMet { server, uptime, version, flush_at_commit });
        }
        drop(met);
        Ok(connection)
    }

    fn met(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), f64>> {
        self.met.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The next rows with their payloads, each under a number of its own.
    fn next(&self, writer: &str, count: u32) -> Vec<(Row, String)> {
        let first = self.number.fetch_add(count.into(), Ordering::Relaxed) + 1;
        let row = |number| {
            let payload =
                hex::encode(digest(&SHA256, format!("{writer} {number} {}", self.log.run()).as_bytes()));
            let checksum = checksum(writer, number, &payload);
            (Row { writer: writer.to_owned(), number, checksum }, payload)
        };
        (first..first + u64::from(count)).map(row).collect()
    }

    fn record(&self, rows: Vec<(Row, String)>, outcome: Outcome, server: Server, reason: String) {
        let mut rows: Vec<Row> = rows.into_iter().map(|(row, _)| row).collect();
        self.log.append(match rows.len() {
            1 => Event::RowWritten { row: rows.remove(0), outcome, server, reason },
            _ => Event::TransactionWritten { rows, outcome, server, reason },
        });
    }

    /// Describes an error; adds the error that the port-forward had since then, if it had one.
    fn explain(&self, error: &LedgerError, since: Instant) -> String {
        let text = chain(error);
        match self.route.error_since(since) {
            Some(forward) if !error.is_answer() => format!("{text} (forward: {forward})"),
            _ => text,
        }
    }
}

fn checksum(writer: &str, number: u64, payload: &str) -> String {
    hex::encode(digest(&SHA256, format!("{writer}\n{number}\n{payload}").as_bytes()))
}

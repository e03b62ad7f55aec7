//! The ledger: numbered rows, with what the server said to each of them, so that a later reading
//! shows which acknowledged rows are gone, doubled, or on another server's disk.

mod connection;
pub mod disk;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use connection::LedgerError;
pub use writer::{Tally, Writer};

use crate::deadline::Deadline;
use crate::event::{Event, EventLog, Outcome, Row, Server};
use crate::probe::Route;
use connection::Connection;

/// A table of numbered rows on a MySQL server. The database is not made by connecting: a server
/// without it refuses every row, which is what an empty replacement does.
///
/// # Guarantees
/// Each row is sent once, under a number that is never used again, so a row that is found twice
/// was doubled by somebody else.
#[derive(Clone, Debug)]
pub struct Ledger {
    spec: LedgerSpec,
    route: Route,
    log: EventLog,
    number: Arc<AtomicU64>,
}

/// What a ledger is called and how it logs in.
#[derive(Clone, Debug)]
pub struct LedgerSpec {
    /// The writer's name, which each row carries.
    pub writer: String,
    /// The database, such as `qa`. It must be a plain word: it becomes part of statements.
    pub database: String,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The longest that any one call may take.
    pub patience: Duration,
}

impl Default for LedgerSpec {
    fn default() -> Self {
        Self {
            writer: "ledger".into(),
            database: "qa".into(),
            user: "root".into(),
            password: String::new(),
            patience: Duration::from_secs(2),
        }
    }
}

/// What reading the whole table gave.
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
    /// Nothing is sent yet.
    pub fn new(spec: LedgerSpec, route: Route, log: EventLog) -> Self {
        Self { spec, route, log, number: Arc::default() }
    }

    /// The same ledger over another route: the row numbers go on.
    pub fn over(&self, route: Route) -> Self {
        Self { route, ..self.clone() }
    }

    /// Waits for a server that stays: two new connections a second apart, answered over TCP by
    /// the same server process. The official image first runs a server without networking while
    /// it fills an empty data directory, and a pod may be ready before its server answers.
    ///
    /// # Errors
    /// [`LedgerError::NotReady`] with the last reason.
    pub async fn ready(&self, deadline: Deadline) -> Result<Server, LedgerError> {
        let mut last = "it was not asked yet".to_owned();
        let mut before: Option<(Server, u64)> = None;
        while !deadline.is_over() {
            let asked = async {
                let mut connection = self.connect(deadline).await?;
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
                    (last, before) = (self.explain(&error), None);
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
    /// [`LedgerError`]; one that exists already is one.
    pub async fn create(&self, deadline: Deadline) -> Result<Server, LedgerError> {
        let mut connection = self.connect(deadline).await?;
        let database = &self.spec.database;
        connection.run(&format!("CREATE DATABASE {database}")).await?;
        // No key on writer and number: a doubled row must show, not be refused.
        connection
            .run(&format!(
                "CREATE TABLE {database}.ledger (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, \
                 writer VARCHAR(64) NOT NULL, number BIGINT UNSIGNED NOT NULL, \
                 payload VARCHAR(64) NOT NULL, checksum CHAR(64) NOT NULL) ENGINE=InnoDB"
            ))
            .await?;
        Ok(connection.close().await)
    }

    /// Begins to write one row after another, `every` so often; see [`Writer`].
    pub fn write(&self, every: Duration) -> Writer {
        Writer::start(self.clone(), every)
    }

    /// Reads the whole table and records it as [`Event::RowsRead`].
    ///
    /// # Errors
    /// [`LedgerError`]; a database that does not exist is an answer, not an error.
    pub async fn read(&self, reading: &str, deadline: Deadline) -> Result<Reading, LedgerError> {
        let mut connection = self.connect(deadline).await?;
        let rows = connection.rows(&self.spec.database).await?;
        let server = connection.close().await;
        let found = Reading { server, exists: rows.is_some(), rows: rows.unwrap_or_default() };
        self.log.append(Event::RowsRead {
            reading: reading.into(),
            server: found.server.clone(),
            exists: found.exists,
            rows: found.rows.clone(),
        });
        Ok(found)
    }

    /// The names of the server's databases, with the server.
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

    /// The next row, under a number of its own.
    fn next(&self) -> (Row, String) {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let payload = hex(&Sha256::digest(format!("{} {number} {}", self.spec.writer, self.log.run())));
        let checksum = checksum(&self.spec.writer, number, &payload);
        (Row { writer: self.spec.writer.clone(), number, checksum }, payload)
    }

    fn record(&self, row: Row, outcome: Outcome, server: Server, reason: String) {
        self.log.append(Event::RowWritten { row, outcome, server, reason });
    }

    /// An error with what the forward says about it.
    fn explain(&self, error: &LedgerError) -> String {
        let text = connection::chain(error);
        match self.route.last_error() {
            Some(forward) if !error.is_answer() => format!("{text} (forward: {forward})"),
            _ => text,
        }
    }
}

fn checksum(writer: &str, number: u64, payload: &str) -> String {
    hex(&Sha256::digest(format!("{writer}\n{number}\n{payload}")))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

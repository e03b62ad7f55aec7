//! Writes the ledger's rows one after another, whatever happens to the server.

use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::connection::Connection;
use super::steady::{Attempt, Duty, Steady};
use super::{Ledger, Tally};
use crate::deadline::Deadline;
use crate::event::{Outcome, Server};

/// The speed and batch size of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Minimum time from the beginning of one write to that of the next. Default: 50 ms.
    pub every: Duration,
    /// Rows of one write; several form a transaction, of which all or none are written. Default: 1.
    pub rows: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { every: Duration::from_millis(50), rows: 1 }
    }
}

/// A running writer. It records each row that it tried with its outcome:
/// - acknowledged: the server confirmed the write;
/// - refused: the server answered that the row is not written, or the connection failed and nothing was sent;
/// - indeterminate: the row was sent, and no answer came.
///
/// After anything but an acknowledgement, the next row uses a new connection.
///
/// # Guarantees
/// The writer records the outcome of each write before it sends the next one.
///
/// # Cancellation
/// If the writer is dropped without [`Writer::stop`], the row in flight has no record and counts as indeterminate.
#[derive(Debug)]
pub struct Writer(Steady);

impl Writer {
    pub(super) fn start(ledger: Ledger, name: String, pace: Pace) -> Self {
        Self(Steady::start(ledger, Write { name, rows: pace.rows.max(1) }, pace.every))
    }

    /// Waits until the row in flight has its outcome; sends no further row until [`Writer::resume`].
    pub async fn pause(&mut self) -> Tally {
        self.0.pause().await
    }

    /// Resumes after a pause.
    pub fn resume(&self) {
        self.0.resume();
    }

    /// The counts of rows so far.
    pub fn tally(&self) -> Tally {
        self.0.tally()
    }

    /// Waits until `count` rows were acknowledged (true) or the deadline passes (false).
    pub async fn acknowledged(&mut self, count: u64, deadline: Deadline) -> bool {
        self.0.acknowledged(count, deadline).await
    }

    /// Waits until the row in flight has its outcome, and stops the writer.
    pub async fn stop(self) -> Tally {
        self.0.stop().await
    }
}

struct Write {
    name: String,
    rows: u32,
}

impl Duty for Write {
    fn name(&self) -> &str {
        &self.name
    }

    fn attempt<'a>(
        &'a self,
        ledger: &'a Ledger,
        connection: &'a mut Option<Connection>,
    ) -> BoxFuture<'a, Attempt> {
        async move {
            let (outcome, sent) = write(ledger, self, connection).await;
            Attempt { outcome, sent, counts: self.rows.into() }
        }
        .boxed()
    }
}

/// Tries one row, or one transaction. Returns the outcome, and whether anything was sent.
async fn write(ledger: &Ledger, duty: &Write, connection: &mut Option<Connection>) -> (Outcome, bool) {
    let rows = ledger.next(&duty.name, duty.rows);
    let since = connection.as_ref().map_or_else(Instant::now, Connection::answered);
    let mut open = match connection.take() {
        Some(open) => open,
        None => match connect(ledger, since).await {
            Ok(open) => open,
            Err((server, reason)) => {
                ledger.record(rows, Outcome::Refused, server, reason);
                return (Outcome::Refused, false);
            }
        },
    };
    open.until(Deadline::after(ledger.spec.patience));
    let (outcome, error) = open.insert(&rows).await;
    let reason = error.map(|e| ledger.explain(&e, since)).unwrap_or_default();
    ledger.record(rows, outcome, open.server().clone(), reason);
    if outcome == Outcome::Acknowledged {
        *connection = Some(open);
    }
    (outcome, true)
}

/// Opens a connection and prepares the insert. An error names the server that refused, if one answered.
async fn connect(ledger: &Ledger, since: Instant) -> Result<Connection, (Server, String)> {
    let deadline = Deadline::after(ledger.spec.patience * 2);
    let opened = ledger.meet(deadline).await;
    let mut open = opened.map_err(|e| (Server::default(), ledger.explain(&e, since)))?;
    match open.prepare(&ledger.spec.database).await {
        Ok(()) => Ok(open),
        Err(error) => Err((open.server().clone(), ledger.explain(&error, since))),
    }
}

//! Reads the ledger's newest rows continuously, whatever happens to the server.

use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::connection::Connection;
use super::steady::{Attempt, Duty, Steady};
use super::{Ledger, Tally};
use crate::deadline::Deadline;
use crate::event::{Event, Outcome, Seen, Server};

/// A running reader. Each look is recorded as [`Event::RowsSampled`]: for each writer, the range of its rows among the
/// newest 10 000, their count and a digest. The record and the cost of a look stay small, and a judge still sees each
/// row that should exist.
#[derive(Debug)]
pub struct Reader(Steady);

impl Reader {
    pub(super) fn start(ledger: Ledger, name: String, every: Duration) -> Self {
        Self(Steady::start(ledger, Read { name }, every))
    }

    /// Waits until the look in flight ends; starts no further look until [`Reader::resume`].
    pub async fn pause(&mut self) -> Tally {
        self.0.pause().await
    }

    /// Resumes after a pause.
    pub fn resume(&self) {
        self.0.resume();
    }

    /// The counts of looks so far.
    pub fn tally(&self) -> Tally {
        self.0.tally()
    }

    /// Waits until `count` looks were answered (true) or the deadline passes (false).
    pub async fn answered(&mut self, count: u64, deadline: Deadline) -> bool {
        self.0.acknowledged(count, deadline).await
    }

    /// Waits until the look in flight ends, and stops the reader.
    pub async fn stop(self) -> Tally {
        self.0.stop().await
    }
}

struct Read {
    name: String,
}

impl Duty for Read {
    fn name(&self) -> &str {
        &self.name
    }

    fn attempt<'a>(
        &'a self,
        ledger: &'a Ledger,
        connection: &'a mut Option<Connection>,
    ) -> BoxFuture<'a, Attempt> {
        async move {
            let began_us = ledger.log.now_us();
            let (outcome, server, seen, reason) = look(ledger, connection).await;
            let sent = outcome != Outcome::Refused;
            let exists = seen.is_some();
            let (reader, writers) = (self.name.clone(), seen.unwrap_or_default());
            ledger.log.append(Event::RowsSampled {
                reader,
                outcome,
                server,
                exists,
                began_us,
                writers,
                reason,
            });
            Attempt { outcome, sent, counts: 1 }
        }
        .boxed()
    }
}

type Look = (Outcome, Server, Option<Vec<Seen>>, String);

/// Performs one look. The outcome is refused if no connection was made, and indeterminate if no answer came.
async fn look(ledger: &Ledger, connection: &mut Option<Connection>) -> Look {
    let since = connection.as_ref().map_or_else(Instant::now, Connection::answered);
    let mut open = match connection.take() {
        Some(open) => open,
        None => match ledger.meet(Deadline::after(ledger.spec.patience * 2)).await {
            Ok(open) => open,
            Err(error) => return (Outcome::Refused, Server::default(), None, ledger.explain(&error, since)),
        },
    };
    open.until(Deadline::after(ledger.spec.patience));
    let server = open.server().clone();
    match open.newest(&ledger.spec.database).await {
        Ok(seen) => {
            *connection = Some(open);
            (Outcome::Acknowledged, server, seen, String::new())
        }
        Err(error) if error.is_answer() => (Outcome::Refused, server, None, ledger.explain(&error, since)),
        Err(error) => (Outcome::Indeterminate, server, None, ledger.explain(&error, since)),
    }
}

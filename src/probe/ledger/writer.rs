//! Writes the ledger's rows, one after another, whatever happens to the server.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Ledger;
use super::connection::Connection;
use crate::deadline::Deadline;
use crate::event::{Outcome, Server};

/// A writer at work. Each row that it tried is recorded with its outcome:
/// - acknowledged: the server said that it is written;
/// - refused: the server said that it is not, or no connection came about, so nothing was sent;
/// - indeterminate: it was sent, and there was no answer.
///
/// After anything but an acknowledgement it connects anew for the next row.
#[derive(Debug)]
pub struct Writer {
    wish: watch::Sender<Wish>,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

/// Counts of the rows so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that the server said are written.
    pub acknowledged: u64,
    /// Rows that are not written.
    pub refused: u64,
    /// Rows that may be written.
    pub indeterminate: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Write,
    Pause,
    Stop,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    tally: Tally,
    paused: bool,
}

/// Pause between attempts while no connection comes about.
const RETRY: Duration = Duration::from_millis(200);

impl Writer {
    pub(super) fn start(ledger: Ledger, every: Duration) -> Self {
        let (wish, wished) = watch::channel(Wish::Write);
        let (states, state) = watch::channel(State::default());
        let task = tokio::spawn(work(ledger, every, wished, states));
        Self { wish, state, task }
    }

    /// Waits until the row in flight has its outcome; no further row is sent until
    /// [`Writer::resume`].
    pub async fn pause(&mut self) -> Tally {
        let _ = self.wish.send(Wish::Pause);
        let _ = self.state.wait_for(|s| s.paused).await;
        self.tally()
    }

    /// Goes on writing after a pause.
    pub fn resume(&self) {
        let _ = self.wish.send(Wish::Write);
    }

    /// The counts so far.
    pub fn tally(&self) -> Tally {
        self.state.borrow().tally
    }

    /// Waits until so many rows were acknowledged, or the deadline passes; says which it was.
    pub async fn acknowledged(&mut self, count: u64, deadline: Deadline) -> bool {
        let enough = self.state.wait_for(|s| s.tally.acknowledged >= count);
        matches!(deadline.bound(enough).await, Ok(Ok(_)))
    }

    /// Waits until the row in flight has its outcome, and ends the writer.
    pub async fn stop(mut self) -> Tally {
        let _ = self.wish.send(Wish::Stop);
        let _ = (&mut self.task).await;
        self.tally()
    }
}

impl Drop for Writer {
    /// Without [`Writer::stop`], the row in flight has no record: as good as indeterminate.
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn work(ledger: Ledger, every: Duration, mut wish: watch::Receiver<Wish>, state: watch::Sender<State>) {
    let mut connection: Option<Connection> = None;
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let wished = *wish.borrow_and_update();
        match wished {
            Wish::Stop => break,
            Wish::Pause => {
                // A connection that dies unseen during the pause would make the next row
                // indeterminate for no reason.
                if let Some(idle) = connection.take() {
                    idle.close().await;
                }
                state.send_modify(|s| s.paused = true);
                if wish.changed().await.is_err() {
                    break;
                }
                state.send_modify(|s| s.paused = false);
                continue;
            }
            Wish::Write => {}
        }
        tokio::select! {
            _ = ticks.tick() => {}
            changed = wish.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break,
            },
        }
        let (outcome, sent) = write(&ledger, &mut connection).await;
        state.send_modify(|s| match outcome {
            Outcome::Acknowledged => s.tally.acknowledged += 1,
            Outcome::Refused => s.tally.refused += 1,
            Outcome::Indeterminate => s.tally.indeterminate += 1,
        });
        if !sent {
            Deadline::after(RETRY).bound(wish.changed()).await.ok();
        }
    }
    if let Some(connection) = connection {
        connection.close().await;
    }
}

/// Tries one row. Says what came of it, and whether it was sent at all.
async fn write(ledger: &Ledger, connection: &mut Option<Connection>) -> (Outcome, bool) {
    let (row, payload) = ledger.next();
    let mut open = match connection.take() {
        Some(open) => open,
        None => match connect(ledger).await {
            Ok(open) => open,
            Err((server, reason)) => {
                ledger.record(row, Outcome::Refused, server, reason);
                return (Outcome::Refused, false);
            }
        },
    };
    open.until(Deadline::after(ledger.spec.patience));
    let (outcome, error) = open.insert(&row, &payload).await;
    let reason = error.map(|e| ledger.explain(&e)).unwrap_or_default();
    ledger.record(row, outcome, open.server().clone(), reason);
    if outcome == Outcome::Acknowledged {
        *connection = Some(open);
    }
    (outcome, true)
}

/// Opens a connection and readies the insert. Names the server that refused, if one answered.
async fn connect(ledger: &Ledger) -> Result<Connection, (Server, String)> {
    let deadline = Deadline::after(ledger.spec.patience * 2);
    let opened = ledger.connect(deadline).await;
    let mut open = opened.map_err(|e| (Server::default(), ledger.explain(&e)))?;
    match open.prepare(&ledger.spec.database).await {
        Ok(()) => Ok(open),
        Err(error) => Err((open.server().clone(), ledger.explain(&error))),
    }
}

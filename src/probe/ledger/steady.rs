//! The common loop of writers and readers: one attempt after another, with pause and resume.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Ledger;
use super::connection::Connection;
use crate::deadline::Deadline;
use crate::event::{Event, Outcome};

/// Counts so far: rows of a writer, looks of a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The server confirmed the operation.
    pub acknowledged: u64,
    /// The operation did not happen.
    pub refused: u64,
    /// The operation may have happened.
    pub indeterminate: u64,
}

impl Tally {
    fn count(&mut self, outcome: Outcome, by: u64) {
        match outcome {
            Outcome::Acknowledged => self.acknowledged += by,
            Outcome::Refused => self.refused += by,
            Outcome::Indeterminate => self.indeterminate += by,
        }
    }
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            refused: self.refused + other.refused,
            indeterminate: self.indeterminate + other.indeterminate,
        }
    }
}

/// The result of one attempt: its outcome, whether anything was sent, and how many rows or looks it counts for.
pub(super) struct Attempt {
    pub outcome: Outcome,
    pub sent: bool,
    pub counts: u64,
}

/// An operation that is repeated. It keeps its connection in the option that it receives, and leaves None there after a
/// failure.
pub(super) trait Duty: Send + Sync + 'static {
    fn name(&self) -> &str;

    fn attempt<'a>(
        &'a self,
        ledger: &'a Ledger,
        connection: &'a mut Option<Connection>,
    ) -> BoxFuture<'a, Attempt>;
}

/// A task that repeats a duty.
#[derive(Debug)]
pub(super) struct Steady {
    wish: watch::Sender<Wish>,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Work,
    Pause,
    Stop,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    tally: Tally,
    paused: bool,
}

/// Pause between attempts while connections fail.
const RETRY: Duration = Duration::from_millis(200);

impl Steady {
    pub(super) fn start(ledger: Ledger, duty: impl Duty, every: Duration) -> Self {
        let (wish, wished) = watch::channel(Wish::Work);
        let (states, state) = watch::channel(State::default());
        let task = tokio::spawn(work(ledger, duty, every, wished, states));
        Self { wish, state, task }
    }

    pub(super) async fn pause(&mut self) -> Tally {
        let _ = self.wish.send(Wish::Pause);
        let _ = self.state.wait_for(|s| s.paused).await;
        self.tally()
    }

    pub(super) fn resume(&self) {
        let _ = self.wish.send(Wish::Work);
    }

    pub(super) fn tally(&self) -> Tally {
        self.state.borrow().tally
    }

    pub(super) async fn acknowledged(&mut self, count: u64, deadline: Deadline) -> bool {
        let enough = self.state.wait_for(|s| s.tally.acknowledged >= count);
        matches!(deadline.bound(enough).await, Ok(Ok(_)))
    }

    pub(super) async fn stop(mut self) -> Tally {
        let _ = self.wish.send(Wish::Stop);
        let _ = (&mut self.task).await;
        self.tally()
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn work(
    ledger: Ledger,
    duty: impl Duty,
    every: Duration,
    mut wish: watch::Receiver<Wish>,
    state: watch::Sender<State>,
) {
    let probe = || duty.name().to_owned();
    let mut connection: Option<Connection> = None;
    let mut ticks = tokio::time::interval(every.max(Duration::from_micros(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let wished = *wish.borrow_and_update();
        match wished {
            Wish::Stop => break,
            Wish::Pause => {
                // Close the idle connection: if it died unnoticed during the pause, the next row would become
                // indeterminate for no reason.
                if let Some(idle) = connection.take() {
                    idle.close().await;
                }
                ledger.log.append(Event::ProbePaused { probe: probe() });
                state.send_modify(|s| s.paused = true);
                while *wish.borrow_and_update() == Wish::Pause {
                    if wish.changed().await.is_err() {
                        return;
                    }
                }
                state.send_modify(|s| s.paused = false);
                if *wish.borrow() == Wish::Work {
                    ledger.log.append(Event::ProbeResumed { probe: probe() });
                }
                continue;
            }
            Wish::Work => {}
        }
        tokio::select! {
            // Timers have a resolution of a millisecond, so a pause of zero uses no timer.
            _ = ticks.tick(), if !every.is_zero() => {}
            () = std::future::ready(()), if every.is_zero() => {}
            changed = wish.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break,
            },
        }
        let tried = duty.attempt(&ledger, &mut connection).await;
        state.send_modify(|s| s.tally.count(tried.outcome, tried.counts));
        if !tried.sent {
            Deadline::after(RETRY).bound(wish.changed()).await.ok();
        }
    }
    if let Some(connection) = connection {
        connection.close().await;
    }
    // Without this record, the silence after the end would look like an outage.
    ledger.log.append(Event::ProbePaused { probe: probe() });
}

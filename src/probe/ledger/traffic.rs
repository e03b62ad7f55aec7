//! Several writers and a reader as one unit.

use std::time::Duration;

use super::{Ledger, Pace, Reader, Tally, Writer};
use crate::deadline::Deadline;

/// Parallel writers and a reader on one ledger: the load that a story runs during a fault.
#[derive(Debug)]
pub struct Traffic {
    writers: Vec<Writer>,
    reader: Reader,
}

impl Traffic {
    /// Starts `writer-1`, `writer-2` and so on, one for each pace, and `reader`, which looks at the interval `every`.
    pub fn start(ledger: &Ledger, paces: &[Pace], every: Duration) -> Self {
        let named = paces.iter().zip(1..);
        let writers = named.map(|(pace, n)| ledger.write(&format!("writer-{n}"), *pace)).collect();
        Self { writers, reader: ledger.look("reader", every) }
    }

    /// Waits until nothing is in flight; sends nothing until [`Traffic::resume`].
    pub async fn pause(&mut self) -> Tally {
        for writer in &mut self.writers {
            writer.pause().await;
        }
        self.reader.pause().await;
        self.tally()
    }

    /// Resumes after a pause.
    pub fn resume(&self) {
        self.writers.iter().for_each(Writer::resume);
        self.reader.resume();
    }

    /// The counts of rows so far.
    pub fn tally(&self) -> Tally {
        self.writers.iter().map(Writer::tally).fold(Tally::default(), |sum, tally| sum + tally)
    }

    /// Waits until each writer had `rows` more rows acknowledged and the reader was answered once more after that
    /// (true), or until the deadline passes (false).
    pub async fn flows(&mut self, rows: u64, deadline: Deadline) -> bool {
        let wanted: Vec<u64> = self.writers.iter().map(|w| w.tally().acknowledged + rows).collect();
        for (writer, wanted) in self.writers.iter_mut().zip(wanted) {
            if !writer.acknowledged(wanted, deadline).await {
                return false;
            }
        }
        let looks = self.reader.tally().acknowledged + 1;
        self.reader.answered(looks, deadline).await
    }

    /// Waits until nothing is in flight, and stops all of them.
    pub async fn stop(self) -> Tally {
        let mut tally = Tally::default();
        for writer in self.writers {
            tally = tally + writer.stop().await;
        }
        self.reader.stop().await;
        tally
    }
}

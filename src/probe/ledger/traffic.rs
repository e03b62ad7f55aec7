//! Several writers and readers as one.

use std::time::Duration;

use super::{Ledger, Pace, Reader, Tally, Writer};
use crate::deadline::Deadline;

/// Writers side by side and a reader, on one ledger: what a story runs while it breaks things.
#[derive(Debug)]
pub struct Traffic {
    writers: Vec<Writer>,
    reader: Reader,
}

impl Traffic {
    /// Begins: `writer-1`, `writer-2` and so on, one for each pace, and `reader`, which looks
    /// `every` so often.
    pub fn start(ledger: &Ledger, paces: &[Pace], every: Duration) -> Self {
        let named = paces.iter().zip(1..);
        let writers = named.map(|(pace, n)| ledger.write(&format!("writer-{n}"), *pace)).collect();
        Self { writers, reader: ledger.look("reader", every) }
    }

    /// Waits until nothing is in flight; nothing is sent until [`Traffic::resume`].
    pub async fn pause(&mut self) -> Tally {
        for writer in &mut self.writers {
            writer.pause().await;
        }
        self.reader.pause().await;
        self.tally()
    }

    /// Goes on after a pause.
    pub fn resume(&self) {
        self.writers.iter().for_each(Writer::resume);
        self.reader.resume();
    }

    /// The counts of rows so far.
    pub fn tally(&self) -> Tally {
        self.writers.iter().map(Writer::tally).fold(Tally::default(), |sum, tally| sum + tally)
    }

    /// Waits until each writer had so many more rows acknowledged, and the reader was answered once
    /// more after that, or the deadline passes; says which it was.
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

    /// Waits until nothing is in flight, and ends them.
    pub async fn stop(self) -> Tally {
        let mut tally = Tally::default();
        for writer in self.writers {
            tally = tally + writer.stop().await;
        }
        self.reader.stop().await;
        tally
    }
}

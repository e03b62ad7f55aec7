//! Ledgers: commands in pods write numbered entries while a story goes on, and print them at its end.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ground::{Ground, START};
use crate::judge::trial::LEDGER;
use crate::judge::trial::facts::LEDGERS;
use crate::scenario::Failure;

mod book;
mod entries;

use book::Book;

/// Time for the reading before the first entry: without its table, a database answers with an error.
const BEFORE: Duration = Duration::from_secs(10);

/// Runs the body of a trial while the entries of its ledgers are written, reads them, and proves `ledger`. The body begins when
/// each ledger has its first acknowledged entry, or none within the time that a workload has to start.
///
/// # Errors
/// Those of the body. An entry that is lost, and a reading that fails, are the judge's.
pub async fn keep(
    ground: &Ground<'_>,
    body: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    if ground.trial.ledgers.is_empty() || !ground.wants(&[&LEDGER]) {
        return body.await;
    }
    let (s, run) = (ground.s, ground.s.log.run().to_owned());
    let mut books = Vec::new();
    for (name, part) in &ground.trial.ledgers {
        books.push(Book::new(s, (&run, name), part, part.workload.among(&ground.workloads)?));
    }
    s.observe(&LEDGERS, &books.iter().map(|book| book.ledger.clone()).collect::<Vec<_>>());
    let before = books.iter().map(|book| book.read(book.ledger.before(), BEFORE));
    futures::future::join_all(before).await;
    let stop = CancellationToken::new();
    let body = async {
        let first = books.iter().map(|book| book.first(s.deadline().at_most(START)));
        futures::future::join_all(first).await;
        let done = body.await;
        stop.cancel();
        done
    };
    let written = futures::future::join_all(books.iter().map(|book| book.write(&stop)));
    let (done, _) = tokio::join!(body, written);
    done?;
    let after = async {
        let after = books.iter().map(|book| book.read(book.ledger.after(), START));
        futures::future::join_all(after).await;
        Ok(())
    };
    ground.step("read the ledgers", START + BEFORE, after).await?;
    ground.prove_whole(&LEDGER).await
}

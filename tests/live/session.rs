//! What the live tests of one invocation share: a run's folder, settings, an interrupt.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::ensure;
use seatrial::progress::{Progress, Update};
use seatrial::report;
use seatrial::run::Run;
use seatrial::testing::Session;

use crate::own_story;

/// Joins this invocation's run, does `work` and renders the reports anew, as a user's test does. The records in the file
/// alone must give the same verdicts and the same words.
pub async fn in_run<T>(
    suites: &[&str],
    work: impl AsyncFnOnce(&Run) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let session =
        Session { program: Some(PathBuf::from(env!("CARGO_BIN_EXE_seatrial"))), ..Session::default() };
    let dir = OnceLock::new();
    let work = async |run: &Run| {
        dir.get_or_init(|| run.log.dir().to_path_buf());
        Ok(work(run).await?)
    };
    let result = session.in_run(suites, work).await.map_err(|error| anyhow::anyhow!(error));
    if let Some(dir) = dir.get() {
        let records = seatrial::event::read(&dir.join("events.jsonl"))?;
        let again = report::rejudge(&records, own_story::claims).report();
        let done = report::RunReport::of(&records);
        ensure!(again == done, "judged again from {}, the run comes out otherwise", dir.display());
    }
    result
}

#[expect(clippy::disallowed_methods, reason = "the edge: tests resolve the settings themselves")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub fn shown() -> Progress {
    Progress::new(|update| match update {
        Update::Said(text) => println!("{text}"),
        Update::Started { task } => println!("{task} ..."),
        Update::Detail { task, text } => println!("{task}: {text}"),
        Update::Ended { task, took, error } => {
            println!("{task} {} ({:.1} s)", error.unwrap_or("done"), took.as_secs_f64());
        }
    })
}

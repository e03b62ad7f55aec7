//! What the live tests of one invocation share: a run's folder, settings, an interrupt.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, ensure};
use seatrial::cluster::{self, Clusters};
use seatrial::config::Settings;
use seatrial::engine::Engine;
use seatrial::judge::Conclusion;
use seatrial::progress::{Progress, Update};
use seatrial::report;
use seatrial::run::{Run, new_id};
use tokio_util::sync::CancellationToken;

use crate::own_story;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Joins this invocation's run, does `work` and renders the reports anew. Ctrl-C and SIGTERM cancel
/// the run, so that the scenario heals what it broke; tests that begin afterwards fail at once.
pub async fn in_run<T>(
    suites: &[&str],
    work: impl AsyncFnOnce(&Run) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    ensure!(!INTERRUPTED.load(Ordering::SeqCst), "interrupted");
    let settings = Settings::resolve(variable)?;
    let engine =
        Engine::connect(&settings.engine).await.context("no container engine: run scripts/bootstrap")?;
    let cancel = CancellationToken::new();
    let clusters = Clusters::new(settings, engine, shown(), "live tests");
    let begun = Run::begin(clusters, id(), suites, cancel.clone());
    let run = Box::pin(begun).await?;
    let result = tokio::select! {
        result = Box::pin(work(&run)) => result,
        () = cancel_on_signal(&cancel) => unreachable!("it only cancels"),
    };
    let file = run.log.dir().join("events.jsonl");
    // Tests share the run, some at a time: each ends its own part, and others' claims may be open still.
    let floor = if result.is_ok() { Conclusion::Passed } else { Conclusion::Failed };
    let claims = report::read(&file)?.claims;
    let own = claims.iter().filter(|claim| suites.contains(&claim.suite.as_str()));
    run.end(own.map(|claim| claim.verdict).fold(floor, Ord::max))?;
    let records = seatrial::event::read(&file)?;
    let done = report::RunReport::of(&records);
    for name in done.clusters.iter().map(|c| &c.name).collect::<BTreeSet<_>>() {
        // Kept for the next test; removed when nobody used it for a while.
        cluster::start_watcher(&run.clusters.settings, Path::new(env!("CARGO_BIN_EXE_seatrial")), name)?;
    }
    report::write(report::FORMATS, &done, run.log.dir())?;
    // What stands in the file alone gives the same verdicts and the same words.
    let again = report::rejudge(&records, own_story::claims).report();
    ensure!(again == done, "judged again from {}, the run comes out otherwise", file.display());
    result
}

/// One id an invocation: nextest's where there is one, since it starts a process a test.
fn id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| match variable("NEXTEST_RUN_ID") {
        Some(id) => format!("nextest-{}", id.split('-').next().unwrap_or_default()),
        None => new_id(jiff::Timestamp::now()),
    })
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

async fn cancel_on_signal(cancel: &CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).expect("signals can be listened to");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
    INTERRUPTED.store(true, Ordering::SeqCst);
    cancel.cancel();
    std::future::pending::<()>().await;
}

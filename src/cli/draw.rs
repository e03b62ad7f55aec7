//! Progress: moving lines on a terminal, plain lines with the elapsed time elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::progress::{Progress, Update};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::show;

/// Time between two log lines about a task that is still running.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Returns the progress display that suits standard error. Needs a tokio runtime.
pub fn progress() -> Progress {
    if std::io::stderr().is_terminal() { moving() } else { plain() }
}

fn moving() -> Progress {
    let lines = MultiProgress::new();
    let tasks: Mutex<BTreeMap<String, ProgressBar>> = Mutex::default();
    let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {prefix} {wide_msg:.dim}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    Progress::new(move |update| {
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        match update {
            Update::Started { task } => {
                let line = lines.add(ProgressBar::new_spinner().with_style(style.clone()));
                line.set_prefix(show::harmless(task));
                line.enable_steady_tick(Duration::from_millis(120));
                tasks.insert(task.into(), line);
            }
            Update::Detail { task, text } => {
                if let Some(line) = tasks.get(task) {
                    line.set_message(show::harmless(text));
                }
            }
            Update::Ended { task, took, error } => {
                if let Some(line) = tasks.remove(task) {
                    line.finish_and_clear();
                    lines.remove(&line);
                }
                let _ = lines.println(show::harmless(&ended(task, took, error)));
            }
            Update::Said(text) => _ = lines.println(show::harmless(text)),
        }
    })
}

/// A running task in a log.
struct Running {
    since: Instant,
    reported: Instant,
    detail: String,
}

/// Progress for CI logs: one line at the beginning and the end of each task, and one line every 30 seconds in
/// between.
fn plain() -> Progress {
    let began = Instant::now();
    let tasks: Arc<Mutex<BTreeMap<String, Running>>> = Arc::default();
    let line = move |text: &str| show::error(&format!("[{:>6.1} s] {text}", began.elapsed().as_secs_f64()));
    tokio::spawn(beat(Arc::clone(&tasks), line));
    Progress::new(move |update| {
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        match update {
            Update::Started { task } => {
                let now = Instant::now();
                tasks.insert(task.into(), Running { since: now, reported: now, detail: String::new() });
                line(&format!("{task} ..."));
            }
            Update::Detail { task, text } => {
                if let Some(running) = tasks.get_mut(task) {
                    running.detail = text.into();
                }
            }
            Update::Ended { task, took, error } => {
                tasks.remove(task);
                line(&ended(task, took, error));
            }
            Update::Said(text) => line(text),
        }
    })
}

async fn beat(tasks: Arc<Mutex<BTreeMap<String, Running>>>, line: impl Fn(&str)) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    // The loop ends with the last `Progress`: after that nobody can begin a task.
    while Arc::strong_count(&tasks) > 1 {
        ticks.tick().await;
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for (task, running) in tasks.iter_mut().filter(|t| t.1.reported.elapsed() >= HEARTBEAT) {
            running.reported = Instant::now();
            let since = running.since.elapsed().as_secs();
            let detail = if running.detail.is_empty() { "" } else { ": " };
            line(&format!("{task}, {since} s so far{detail}{}", running.detail));
        }
    }
}

fn ended(task: &str, took: Duration, error: Option<&str>) -> String {
    let took = took.as_secs_f64();
    match error {
        None => format!("{task}: done in {took:.1} s"),
        Some(error) => format!("{task}: failed after {took:.1} s: {error}"),
    }
}

//! `seatrial run`: run suites and report.

use std::collections::BTreeSet;
use std::path::Path;

use futures::StreamExt;
use jiff::Timestamp;
use seatrial::cluster::{self, Force};
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::event::{self, Event, EventLog};
use seatrial::image;
use seatrial::judge::Conclusion;
use seatrial::progress::Progress;
use seatrial::report::{self, Format, RunReport, Terminal};
use seatrial::run::{Run, new_id};
use seatrial::scenario::{Needs, ScenarioError};
use seatrial::suite::Suite;
use tokio_util::sync::CancellationToken;

use crate::args::{RunArgs, suites, topology};
use crate::exit::Exit;
use crate::signals::Signals;
use crate::up::{PATIENCE, holder, watch};
use crate::{down, draw, exit, interrupted, show, upgrade};

/// Runs the suites, writes the reports and shows the result. A signal heals, releases, reports and
/// then ends; a second one ends at once.
pub async fn run(settings: &Settings, args: &RunArgs, mut signals: Signals) -> anyhow::Result<Exit> {
    let progress = draw::progress();
    let cancel = CancellationToken::new();
    let whole = whole(settings, args, &progress, &cancel);
    tokio::pin!(whole);
    let mut ended = None;
    loop {
        tokio::select! {
            // A claim that failed before the interrupt has failed.
            done = &mut whole => return done.map(|exit| match exit {
                Exit::Failed => exit,
                _ => ended.unwrap_or(exit),
            }),
            exit = signals.next() => {
                if ended.replace(exit).is_some() {
                    show::error("left as it is: `seatrial reap` heals what is broken");
                    return Ok(exit);
                }
                cancel.cancel();
                progress.say("interrupted: healing and releasing; a second Ctrl-C leaves that to `seatrial reap`");
            }
        }
    }
}

async fn whole(
    settings: &Settings,
    args: &RunArgs,
    progress: &Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<Exit> {
    let on_version = |version| Settings { kubernetes: version, ..settings.clone() };
    let versions: Vec<Settings> = versions(settings, args).into_iter().map(on_version).collect();
    // A wrong word is refused before anything runs, be it the last one.
    versions.iter().try_for_each(image::check)?;
    let engine = Engine::connect(&settings.engine).await?;
    let mut suites = chosen(args)?;
    let on = match &args.cluster {
        Some(name) => Some(down::named(settings, &engine, Some(name)).await?),
        None => None,
    };
    if let Some(name) = &on {
        let cluster = cluster::find(settings, &engine, name).await?;
        if cluster::origin(&cluster).is_some() {
            suites.extend(Suite::after(&suites));
        }
    }
    let names: Vec<&str> = suites.iter().map(|s| s.needs.name).collect();
    // Before anything is built or made.
    let budgets = args.budget.as_deref().map(upgrade::budgets).transpose()?;
    let id = new_id(Timestamp::now());
    let mut errors = Vec::new();
    let cleaned = settings;
    let went = async {
        for settings in versions {
            // An interrupt during a long build ends here; nothing is broken yet.
            let mut begun = tokio::select! {
                begun = Run::begin(settings, engine.clone(), &id, &names, progress.clone(), cancel.clone()) => begun?,
                () = cancel.cancelled() => {
                    interrupted::builds(cleaned).await?;
                    return Ok(Exit::Interrupted);
                }
            };
            begun.cluster = on.clone();
            begun.budgets.clone_from(&budgets);
            errors.extend(run_suites(&begun, &suites, usize::from(args.jobs)).await);
            begun.end(verdict(&begun, &errors)?)?;
        }
        Ok(Exit::Passed)
    };
    let went: anyhow::Result<Exit> = went.await;
    let dir = settings.runs_dir().join(&id);
    if !dir.join("events.jsonl").is_file() {
        return went;
    }
    if !matches!(went, Ok(Exit::Passed)) {
        cut_short(&dir, &id, progress);
    }
    // A cluster that was named is somebody's: it stays.
    if on.is_none() {
        match used(settings, &id) {
            Ok(clusters) => leave(settings, &engine, args, progress, clusters).await,
            Err(error) => return went.and(Err(error)),
        }
    }
    finish(settings, &id, &errors, went)
}

/// Records that the run ended before everything that was asked for had begun: a version that never
/// began leaves no other trace.
fn cut_short(dir: &Path, id: &str, progress: &Progress) {
    let log = EventLog::open(dir, id).and_then(|log| {
        log.append(Event::RunEnded { verdict: Conclusion::Inconclusive });
        log.check()
    });
    if let Err(error) = log {
        progress.say(&format!("that the run was cut short could not be recorded: {error}"));
    }
}

/// The clusters that the run had.
fn used(settings: &Settings, id: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    event::read_each(&settings.runs_dir().join(id).join("events.jsonl"), |record| {
        if matches!(record.event, Event::ClusterReady { .. }) {
            used.extend(record.scope.cluster);
        }
    })?;
    Ok(used)
}

/// The versions to run on, one after another; none is the profile's default.
fn versions(settings: &Settings, args: &RunArgs) -> Vec<Option<String>> {
    match args.images.k8s.as_slice() {
        [] => vec![settings.kubernetes.clone()],
        several => several.iter().map(|v| Some(v.trim_start_matches('v').to_owned())).collect(),
    }
}

/// The suites, on another topology where one was asked for.
fn chosen(args: &RunArgs) -> anyhow::Result<Vec<&'static Suite>> {
    let suites = suites(&args.suite);
    let Some(name) = &args.topology else { return Ok(suites) };
    let topology = topology(name)?;
    let moved = |suite: &&'static Suite| {
        let needs = Needs { topology, ..suite.needs };
        // A few bytes for the life of the process: suites are statics everywhere else.
        &*Box::leak(Box::new(Suite { needs, ..**suite }))
    };
    Ok(suites.iter().map(moved).collect())
}

async fn run_suites(run: &Run, suites: &[&'static Suite], jobs: usize) -> Vec<(&'static str, ScenarioError)> {
    if jobs == 1 {
        return run.suites(suites).await;
    }
    let (last, suites): (Vec<&'static Suite>, Vec<_>) = suites.iter().copied().partition(|s| s.after_all);
    let one = |suite: &'static Suite| async move { run.suites(&[suite]).await };
    let mut errors = futures::stream::iter(suites.into_iter().map(one)).buffer_unordered(jobs).concat().await;
    errors.extend(run.suites(&last).await);
    errors
}

/// The worst of the claims so far; failed where a story broke, inconclusive where a suite did not
/// begin.
fn verdict(run: &Run, errors: &[(&str, ScenarioError)]) -> anyhow::Result<Conclusion> {
    let report = report::read(&run.log.dir().join("events.jsonl"))?;
    // What could not be cleaned up is told beside the verdict, and in the exit code.
    let own = |e: &ScenarioError| matches!(e, ScenarioError::Claims { .. } | ScenarioError::Clean { .. });
    let broke = errors.iter().any(|(_, error)| !own(error));
    let floor = match (broke, run.cancel.is_cancelled() || report.claims.is_empty()) {
        (true, _) => Conclusion::Failed,
        (_, true) => Conclusion::Inconclusive,
        _ => Conclusion::Passed,
    };
    Ok(report.claims.iter().map(|c| c.verdict).fold(floor, Ord::max))
}

/// Removes the clusters, or sees to it that they go when idle.
async fn leave(
    settings: &Settings,
    engine: &Engine,
    args: &RunArgs,
    progress: &Progress,
    clusters: BTreeSet<String>,
) {
    let ci = crate::environment("CI").is_some_and(|v| !v.is_empty() && v != "false");
    let delete = args.delete || (ci && !args.keep);
    for name in clusters {
        // One that somebody asked for with `up` is that person's.
        if !settings.cluster_dir(&name).is_dir() || cluster::is_kept(settings, &name) {
            continue;
        }
        if !delete {
            watch(settings, &name, progress);
            continue;
        }
        let deadline = Deadline::after(PATIENCE);
        if let Err(error) =
            cluster::down(settings, engine, &name, Force::Spare, &holder("run"), deadline, progress).await
        {
            progress.say(&format!("{name} is left: {error}"));
        }
    }
}

/// Writes and shows the reports of what was run; gives the code. Why the run ended early is told after
/// them, and does not hide a claim that failed.
fn finish(
    settings: &Settings,
    id: &str,
    errors: &[(&str, ScenarioError)],
    went: anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let dir = settings.runs_dir().join(id);
    // From the file, not from memory: what anyone can make again from it is what is shown.
    let report = report::read(&dir.join("events.jsonl"))?;
    let is_broken = |e: &&ScenarioError| !matches!(e, ScenarioError::Claims { .. });
    let broken = errors.iter().map(|(_, error)| error).rfind(is_broken);
    let broken = broken.map(|error| exit::code(error).unwrap_or(Exit::Internal));
    let mut code = Exit::of(&report, broken);
    let hints: BTreeSet<String> = errors.iter().filter_map(|(_, error)| exit::hint(error)).collect();
    // That a result could not be shown does not change it.
    if let Err(error) = shown(&report, &dir) {
        let exit = show::explain(&error);
        code = if code == Exit::Passed { exit } else { code };
    }
    hints.iter().for_each(|hint| show::error(&format!("hint: {hint}")));
    Ok(match went {
        Ok(Exit::Passed) => code,
        Ok(ended) => {
            if code == Exit::Failed {
                code
            } else {
                ended
            }
        }
        Err(error) => {
            let exit = show::explain(&error);
            if code == Exit::Failed { code } else { exit }
        }
    })
}

/// Writes the reports, and shows the result also where they cannot be written.
fn shown(report: &RunReport, dir: &Path) -> anyhow::Result<()> {
    let written = report::write(report, dir);
    show::page(&Terminal.render(report, show::look())?)?;
    for file in written? {
        show::text(&format!("  {}\n", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Stop;

    #[test]
    fn what_ends_a_run_early_hides_no_failed_claim() {
        let home = tempfile::tempdir().unwrap();
        let of_home = |name: &str| (name == "HOME").then(|| home.path().display().to_string());
        let settings = Settings::resolve(of_home).unwrap();
        let log = include_str!("../../../tests/hermetic/fixtures/run/events.jsonl");
        for (id, verdict, code) in [("passed", "passed", Exit::Usage), ("failed", "failed", Exit::Failed)] {
            let dir = settings.runs_dir().join(id);
            std::fs::create_dir_all(&dir).unwrap();
            // The first claim that was judged.
            let told = log.replacen(r#""verdict":"passed""#, &format!("\"verdict\":\"{verdict}\""), 1);
            std::fs::write(dir.join("events.jsonl"), told).unwrap();
            let wrong = || Stop::new(Exit::Usage, "no such version", "another one");
            assert_eq!(finish(&settings, id, &[], Err(wrong().into())).unwrap(), code);
            assert!(dir.join("junit.xml").is_file());
            let interrupted = if code == Exit::Failed { code } else { Exit::Interrupted };
            assert_eq!(finish(&settings, id, &[], Ok(Exit::Interrupted)).unwrap(), interrupted);
        }
    }
}

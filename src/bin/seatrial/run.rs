//! `seatrial run`: run suites and report.

use std::collections::BTreeSet;

use futures::StreamExt;
use jiff::Timestamp;
use seatrial::cluster;
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::event::{self, Event};
use seatrial::judge::Conclusion;
use seatrial::judge::upgrade::claims_below;
use seatrial::progress::Progress;
use seatrial::report::{self, Format, Terminal};
use seatrial::run::{Run, new_id};
use seatrial::scenario::{Needs, ScenarioError};
use seatrial::suite::{Suite, upgraded};
use tokio_util::sync::CancellationToken;

use crate::args::{RunArgs, suites, topology};
use crate::exit::Exit;
use crate::signals::Signals;
use crate::up::{PATIENCE, holder, watch};
use crate::{down, draw, exit, show, upgrade};

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
            done = &mut whole => return done.map(|exit| ended.unwrap_or(exit)),
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
    let engine = Engine::connect(&settings.engine).await?;
    let mut suites = chosen(args)?;
    let on = match &args.cluster {
        Some(name) => Some(down::named(settings, &engine, Some(name)).await?),
        None => None,
    };
    if let Some(name) = &on {
        let cluster = cluster::find(settings, &engine, name).await?;
        if cluster::origin(&cluster).is_some() && prove_all_below(&suites) {
            suites.push(&upgraded::SUITE);
        }
    }
    let names: Vec<&str> = suites.iter().map(|s| s.needs.name).collect();
    // Before anything is built or made.
    let budgets = args.budget.as_deref().map(upgrade::budgets).transpose()?;
    let id = new_id(Timestamp::now());
    let mut errors = Vec::new();
    for version in versions(settings, args) {
        let settings = Settings { kubernetes: version, ..settings.clone() };
        // An interrupt during a long build ends here; nothing is broken yet.
        let mut begun = tokio::select! {
            begun = Run::begin(settings.clone(), engine.clone(), &id, &names, progress.clone(), cancel.clone()) => begun?,
            () = cancel.cancelled() => return Ok(Exit::Interrupted),
        };
        begun.cluster = on.clone();
        begun.budgets.clone_from(&budgets);
        errors.extend(run_suites(&begun, &suites, usize::from(args.jobs)).await);
        begun.end(verdict(&begun, &errors)?)?;
    }
    // A cluster that was named is somebody's: it stays.
    if on.is_none() {
        leave(settings, &engine, args, progress, used(settings, &id)?).await;
    }
    finish(settings, &id, &errors)
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
        &*Box::leak(Box::new(Suite { about: suite.about, needs, story: suite.story }))
    };
    Ok(suites.iter().map(moved).collect())
}

/// Whether these suites prove every claim that D5 is on, and not D5 itself.
fn prove_all_below(suites: &[&'static Suite]) -> bool {
    let proved = |id: &str| suites.iter().any(|s| s.needs.claims.contains(&id));
    claims_below().all(proved) && !suites.iter().any(|s| s.needs.name == upgraded::SUITE.needs.name)
}

async fn run_suites(run: &Run, suites: &[&'static Suite], jobs: usize) -> Vec<(&'static str, ScenarioError)> {
    if jobs == 1 {
        return run.suites(suites).await;
    }
    // This one speaks of what all others have proved.
    let is_last = |s: &&Suite| s.needs.name == upgraded::SUITE.needs.name;
    let (last, suites): (Vec<&'static Suite>, Vec<_>) = suites.iter().copied().partition(is_last);
    let one = |suite: &'static Suite| async move { run.suites(&[suite]).await };
    let mut errors = futures::stream::iter(suites.into_iter().map(one)).buffer_unordered(jobs).concat().await;
    errors.extend(run.suites(&last).await);
    errors
}

/// The worst of the claims so far; failed where a story broke, inconclusive where a suite did not
/// begin.
fn verdict(run: &Run, errors: &[(&str, ScenarioError)]) -> anyhow::Result<Conclusion> {
    let report = report::read(&run.log.dir().join("events.jsonl"))?;
    let broke = errors.iter().any(|(_, error)| !matches!(error, ScenarioError::Claims { .. }));
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
        if !settings.cluster_dir(&name).is_dir() {
            continue;
        }
        if !delete {
            watch(settings, &name, progress);
            continue;
        }
        let deadline = Deadline::after(PATIENCE);
        if let Err(error) = cluster::down(settings, engine, &name, &holder("run"), deadline, progress).await {
            progress.say(&format!("{name} is left: {error}"));
        }
    }
}

/// Writes and shows the reports; gives the code.
fn finish(settings: &Settings, id: &str, errors: &[(&str, ScenarioError)]) -> anyhow::Result<Exit> {
    let dir = settings.runs_dir().join(id);
    // From the file, not from memory: what anyone can make again from it is what is shown.
    let report = report::read(&dir.join("events.jsonl"))?;
    let written = report::write(&report, &dir)?;
    show::text(&Terminal.render(&report, show::look())?)?;
    for file in written {
        show::text(&format!("  {}\n", file.display()))?;
    }
    let broken = errors.iter().map(|(_, error)| error).filter(|e| !matches!(e, ScenarioError::Claims { .. }));
    let mut codes: Vec<Exit> = broken.map(|error| exit::code(error).unwrap_or(Exit::Internal)).collect();
    Ok(match (report.counts.failed, codes.pop()) {
        (1.., _) => Exit::Failed,
        (0, Some(code)) => code,
        (0, None) => report.verdict.into(),
    })
}

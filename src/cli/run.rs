//! `seatrial run`: runs suites and reports.

use std::collections::BTreeSet;
use std::path::Path;

use crate::catalogue::Catalogue;
use crate::cluster::{self, Clusters, Force};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::event::{self, Event, EventLog};
use crate::image;
use crate::judge::Conclusion;
use crate::progress::Progress;
use crate::report::{self, Format, ReportError, RunReport, Terminal};
use crate::run::{Run, new_id};
use crate::scenario::ScenarioError;
use crate::suite::Suite;
use crate::trial::{self, Trial};
use futures::StreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::cli::args::{OnArgs, RunArgs, shape, suites};
use crate::cli::exit::Exit;
use crate::cli::signals::Signals;
use crate::cli::up::{PATIENCE, holder, watch};
use crate::cli::{down, draw, exit, interrupted, show, upgrade};

/// What runs.
pub enum Stories {
    /// Suites by name, and how many run at the same time.
    Suites(Vec<String>, usize),
    /// A trial of a user's manifests.
    Trial(Box<Trial>),
}

/// The stories of a run, and where they run.
pub struct Asked<'a> {
    /// The stories.
    pub stories: Stories,
    /// The file with outage budgets for the steps of an upgrade.
    pub budget: Option<&'a Path>,
    /// Whether everything stays as it is when a claim of a trial fails.
    pub keep_on_failure: bool,
    /// The cluster and the reports.
    pub on: &'a OnArgs,
}

impl<'a> From<&'a RunArgs> for Asked<'a> {
    fn from(args: &'a RunArgs) -> Self {
        let stories = Stories::Suites(args.suite.clone(), usize::from(args.jobs));
        Self { stories, budget: args.budget.as_deref(), keep_on_failure: false, on: &args.on }
    }
}

impl Asked<'_> {
    fn suites(&self, catalogue: &Catalogue) -> Vec<&'static Suite> {
        match &self.stories {
            Stories::Suites(names, _) => suites(catalogue, names),
            Stories::Trial(_) => Vec::new(),
        }
    }

    /// Returns the names of the stories.
    fn names(&self, suites: &[&'static Suite]) -> Vec<&'static str> {
        match &self.stories {
            Stories::Suites(..) => suites.iter().map(|s| s.needs.name).collect(),
            Stories::Trial(_) => vec![trial::NAME],
        }
    }

    /// Runs the stories, and returns the error of each.
    async fn run(&self, run: &Run, suites: &[&'static Suite]) -> Vec<(&'static str, ScenarioError)> {
        match &self.stories {
            Stories::Suites(_, jobs) => run_suites(run, suites, *jobs).await,
            Stories::Trial(trial) => {
                let ended = trial.run(run).await;
                ended.err().map(|error| (trial::NAME, error)).into_iter().collect()
            }
        }
    }
}

/// Runs the suites, writes the reports and shows the result. After a signal it heals, releases, reports and ends;
/// after a second signal it ends at once.
pub async fn run(
    settings: &Settings,
    catalogue: &Catalogue,
    asked: &Asked<'_>,
    mut signals: Signals,
) -> anyhow::Result<Exit> {
    let progress = draw::progress();
    let cancel = CancellationToken::new();
    let whole = whole(settings, catalogue, asked, &progress, &cancel);
    tokio::pin!(whole);
    let mut ended = None;
    loop {
        tokio::select! {
            // A claim that failed before the interrupt counts as failed.
            done = &mut whole => return done.map(|exit| match exit {
                Exit::Failed => exit,
                _ => ended.unwrap_or(exit),
            }),
            exit = signals.next() => {
                if ended.replace(exit).is_some() {
                    show::error("not cleaned up: `seatrial reap` heals what is broken");
                    return Ok(exit);
                }
                cancel.cancel();
                progress.say("interrupted: healing and releasing; a second Ctrl-C leaves it to `seatrial reap`");
            }
        }
    }
}

async fn whole(
    settings: &Settings,
    catalogue: &Catalogue,
    asked: &Asked<'_>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<Exit> {
    let args = asked.on;
    let on_version = |version| Settings { kubernetes: version, ..settings.clone() };
    let versions: Vec<Settings> = versions(settings, args).into_iter().map(on_version).collect();
    // Refuse a wrong version before anything runs, even if it is the last of several, and a wrong file for kind.
    versions.iter().try_for_each(image::check)?;
    let topology = shape(catalogue, args.topology.as_deref(), args.kind_config.as_deref())?;
    let engine = Engine::connect(&settings.engine).await?;
    let clusters = |settings: &Settings| {
        let clusters = Clusters::new(settings.clone(), engine.clone(), progress.clone(), holder("run"));
        clusters.knowing(&catalogue.faults)
    };
    let mut suites = asked.suites(catalogue);
    let on = named(&clusters(settings), args, &mut suites).await?;
    let names = asked.names(&suites);
    // Read the budgets before anything is built or created: the file may be invalid.
    let budgets = asked.budget.map(upgrade::budgets).transpose()?;
    let id = new_id(Timestamp::now());
    let mut errors = Vec::new();
    let went = async {
        for version in versions {
            let begun = begin(clusters(&version), &id, &names, cancel).await?;
            let Some(mut begun) = begun else {
                interrupted::builds(settings).await?;
                return Ok(Exit::Interrupted);
            };
            (begun.cluster, begun.keep_on_failure) = (on.clone(), asked.keep_on_failure);
            begun.topology.clone_from(&topology);
            begun.collectors.clone_from(&catalogue.collectors);
            begun.budgets.clone_from(&budgets);
            errors.extend(asked.run(&begun, &suites).await);
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
    // A cluster that the user named belongs to the user: keep it.
    if on.is_none() {
        match used(settings, &id) {
            Ok(used) => leave(&clusters(settings), asked, used).await,
            Err(error) => return went.and(Err(error)),
        }
    }
    let exit = finish(settings, &catalogue.formats, &id, &errors, went)?;
    copied(&dir, args.output.as_deref(), &catalogue.formats)?;
    Ok(exit)
}

/// Copies the reports of a run into a folder, if one is given.
pub(super) fn copied(dir: &Path, to: Option<&Path>, formats: &[&dyn Format]) -> anyhow::Result<()> {
    let Some(to) = to else { return Ok(()) };
    let error = |e: std::io::Error| ReportError::Write { path: to.into(), source: e };
    std::fs::create_dir_all(to).map_err(error)?;
    for name in formats.iter().filter_map(|format| format.file()) {
        std::fs::copy(dir.join(name), to.join(name)).map_err(error)?;
    }
    Ok(())
}

/// Begins the run on one version. Returns none after an interrupt during a long build: no story has begun, and no fault
/// needs to be healed.
async fn begin(
    clusters: Clusters,
    id: &str,
    suites: &[&str],
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Run>> {
    tokio::select! {
        begun = Run::begin(clusters, id, suites, cancel.clone()) => Ok(Some(begun?)),
        () = cancel.cancelled() => Ok(None),
    }
}

/// Returns the name of the cluster given with `--cluster`. If that cluster was upgraded, adds the suite `upgraded`,
/// which runs last.
async fn named(
    clusters: &Clusters,
    args: &OnArgs,
    suites: &mut Vec<&'static Suite>,
) -> anyhow::Result<Option<String>> {
    let Some(name) = &args.cluster else { return Ok(None) };
    let name = down::named(clusters, Some(name)).await?;
    let cluster = clusters.find(&name).await?;
    if cluster::origin(&cluster).is_some() {
        let after = Suite::after(suites);
        suites.extend(after);
    }
    Ok(Some(name))
}

/// Records that the run ended early. A version that never began leaves no other record.
fn cut_short(dir: &Path, id: &str, progress: &Progress) {
    let log = EventLog::open(dir, id).and_then(|log| {
        log.append(Event::RunEnded { verdict: Conclusion::Inconclusive });
        log.check()
    });
    if let Err(error) = log {
        progress.say(&format!("failed to record that the run ended early: {error}"));
    }
}

/// Returns the clusters that the run used.
fn used(settings: &Settings, id: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    event::read_each(&settings.runs_dir().join(id).join("events.jsonl"), |record| {
        if matches!(record.event, Event::ClusterReady { .. }) {
            used.extend(record.scope.cluster);
        }
    })?;
    Ok(used)
}

/// Returns the Kubernetes versions to run on, one after another. `None` means the profile's default.
fn versions(settings: &Settings, args: &OnArgs) -> Vec<Option<String>> {
    match args.images.k8s.as_slice() {
        [] => vec![settings.kubernetes.clone()],
        several => several.iter().map(|v| Some(v.trim_start_matches('v').to_owned())).collect(),
    }
}

async fn run_suites(run: &Run, suites: &[&'static Suite], jobs: usize) -> Vec<(&'static str, ScenarioError)> {
    if jobs == 1 {
        return run.suites(&Suite::in_order(suites)).await;
    }
    let (last, suites): (Vec<&'static Suite>, Vec<_>) = suites.iter().copied().partition(|s| s.after_all);
    let one = |suite: &'static Suite| async move { run.suites(&[suite]).await };
    let mut errors = futures::stream::iter(suites.into_iter().map(one)).buffer_unordered(jobs).concat().await;
    errors.extend(run.suites(&last).await);
    errors
}

/// Returns the worst verdict of the claims so far: failed if a story ended with an error, inconclusive if a suite did
/// not begin.
fn verdict(run: &Run, errors: &[(&str, ScenarioError)]) -> anyhow::Result<Conclusion> {
    let report = report::read(&run.log.dir().join("events.jsonl"))?;
    // A failed cleanup is reported next to the verdict and in the exit code.
    let own = |e: &ScenarioError| matches!(e, ScenarioError::Claims { .. } | ScenarioError::Clean { .. });
    let broke = errors.iter().any(|(_, error)| !own(error));
    let floor = match (broke, run.cancel.is_cancelled() || report.claims.is_empty()) {
        (true, _) => Conclusion::Failed,
        (_, true) => Conclusion::Inconclusive,
        _ => Conclusion::Passed,
    };
    Ok(report.claims.iter().map(|c| c.verdict).fold(floor, Ord::max))
}

/// Deletes the clusters, or starts the processes that delete them when they are idle.
async fn leave(clusters: &Clusters, asked: &Asked<'_>, used: BTreeSet<String>) {
    let Clusters { settings, progress, .. } = clusters;
    let args = asked.on;
    let ci = crate::cli::environment("CI").is_some_and(|v| !v.is_empty() && v != "false");
    let delete = args.delete || (ci && !args.keep && !asked.keep_on_failure);
    for name in used {
        // A cluster that somebody created with `up` is kept.
        if !settings.cluster_dir(&name).is_dir() || cluster::is_kept(settings, &name) {
            continue;
        }
        if !delete {
            watch(settings, &name, progress);
            continue;
        }
        let deadline = Deadline::after(PATIENCE);
        if let Err(error) = clusters.delete(&name, Force::Spare, deadline).await {
            progress.say(&format!("failed to remove {name}: {error}"));
        }
    }
}

/// Writes and shows the reports; returns the exit code. If the run ended early, the reason is printed after the
/// reports, and does not hide a failed claim.
fn finish(
    settings: &Settings,
    formats: &[&dyn Format],
    id: &str,
    errors: &[(&str, ScenarioError)],
    went: anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let dir = settings.runs_dir().join(id);
    // Read the file, not memory: the report shows what anyone can reproduce from the file.
    let report = report::read(&dir.join("events.jsonl"))?;
    let is_broken = |e: &&ScenarioError| !matches!(e, ScenarioError::Claims { .. });
    let broken = errors.iter().map(|(_, error)| error).rfind(is_broken);
    let broken = broken.map(|error| exit::code(error).unwrap_or(Exit::Internal));
    let mut code = Exit::of(&report, broken);
    let hints: BTreeSet<String> = errors.iter().filter_map(|(_, error)| exit::hint(error)).collect();
    // A failure to show the result does not change a failed result.
    if let Err(error) = shown(formats, &report, &dir) {
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

/// Writes the reports, and shows the result even if the reports cannot be written.
pub(super) fn shown(formats: &[&dyn Format], report: &RunReport, dir: &Path) -> anyhow::Result<()> {
    let written = report::write(formats, report, dir);
    show::page(&Terminal.render(report, show::look())?)?;
    for file in written? {
        show::text(&format!("  {}\n", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Stop;
    use crate::hint::FailureKind;
    use crate::report::FORMATS;

    #[test]
    fn an_early_end_hides_no_failed_claim() {
        let home = tempfile::tempdir().unwrap();
        let of_home = |name: &str| (name == "HOME").then(|| home.path().display().to_string());
        let settings = Settings::resolve(of_home).unwrap();
        let log = include_str!("../../tests/hermetic/recordings/schema-1/short-run.jsonl");
        for (id, verdict, code) in [("passed", "passed", Exit::Usage), ("failed", "failed", Exit::Failed)] {
            let dir = settings.runs_dir().join(id);
            std::fs::create_dir_all(&dir).unwrap();
            // Changes the verdict of the first claim that was judged.
            let changed = log.replacen(r#""verdict":"passed""#, &format!("\"verdict\":\"{verdict}\""), 1);
            std::fs::write(dir.join("events.jsonl"), changed).unwrap();
            let wrong = || Stop::new(FailureKind::Usage, "no such version", "another one");
            assert_eq!(finish(&settings, FORMATS, id, &[], Err(wrong().into())).unwrap(), code);
            assert!(dir.join("junit.xml").is_file());
            let interrupted = if code == Exit::Failed { code } else { Exit::Interrupted };
            assert_eq!(finish(&settings, FORMATS, id, &[], Ok(Exit::Interrupted)).unwrap(), interrupted);
        }
    }
}

//! Removes what has no owner any more: idle clusters, half-created ones, faults that dead
//! processes left open, state without containers, containers without state. Never anything that
//! does not carry our label, that another state folder has, or that somebody uses.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::kind::Kind;
use super::lock::LockFiles;
use super::making::heal_text;
use super::outage::open_faults;
use super::record::{self, remove_dir};
use super::standing::{self, Standing};
use super::{ClusterError, out_of_service};
use crate::client::Client;
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::exec::Exec;
use crate::fault::{self, IntentLog};
use crate::image;
use crate::node::{CLUSTER_LABEL, OWNER_LABEL};
use crate::progress::Progress;

/// What may be reaped.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReapOptions {
    /// Clusters that nobody used for this long; none takes the setting `idle`.
    pub idle: Option<Duration>,
    /// Every cluster of this state folder that nobody uses right now.
    pub all: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// One thing that was reaped, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reaped {
    /// The cluster, or the folder.
    pub name: String,
    /// What was done.
    pub action: Action,
}

/// What is done with a cluster, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do", content = "why")]
pub enum Action {
    /// Nothing.
    Keep(String),
    /// Open faults are healed; the cluster stays.
    Heal(String),
    /// Its files are removed: there are no containers.
    Forget(String),
    /// Containers, volumes and files are removed.
    Remove(String),
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (verb, why) = match self {
            Self::Keep(why) => ("kept", why),
            Self::Heal(why) => ("healed", why),
            Self::Forget(why) => ("forgotten", why),
            Self::Remove(why) => ("removed", why),
        };
        write!(f, "{verb}: {why}")
    }
}

/// All that the decision on one cluster depends on.
#[derive(Clone, Debug)]
struct Facts {
    standing: Standing,
    /// Somebody uses it or waits for it.
    held: Option<String>,
    /// kind creates some cluster right now, and this one is not complete.
    creating: bool,
    /// Since it was last used; none when that is not known.
    idle: Option<Duration>,
    open_faults: usize,
}

/// Evidence of failed creations is kept this long.
const EVIDENCE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time to heal the open faults of one cluster.
const HEAL: Duration = Duration::from_secs(120);

/// Reaps everything in this state folder and on this engine that has no owner. Gives what was
/// done, or would be with `dry_run`, without what is kept.
///
/// # Errors
/// [`ClusterError`]; what was reaped before stays reaped. A cluster that is not ours is kept, not
/// an error.
pub async fn reap(
    settings: &Settings,
    engine: &Engine,
    options: ReapOptions,
    progress: &Progress,
) -> Result<Vec<Reaped>, ClusterError> {
    let mut done = Vec::new();
    for name in names(settings, engine).await? {
        let action = reap_one(settings, engine, &name, options, progress).await?;
        progress.detail("reap", &format!("{name}: {action}"));
        if !matches!(action, Action::Keep(_)) {
            done.push(Reaped { name, action });
        }
    }
    for name in image::extract::reap(&settings.cache, engine, options.dry_run).await? {
        done.push(Reaped {
            name,
            action: Action::Remove("whoever took a node image apart in it is gone".into()),
        });
    }
    done.extend(old_evidence(settings, options.dry_run)?);
    Ok(done)
}

/// Every cluster that this state folder or the engine knows of.
pub(super) async fn names(settings: &Settings, engine: &Engine) -> Result<BTreeSet<String>, ClusterError> {
    let containers = engine.containers(&[(OWNER_LABEL, "")]).await?;
    let mut names: BTreeSet<String> =
        containers.into_iter().filter_map(|mut c| c.labels.remove(CLUSTER_LABEL)).collect();
    names.extend(record::names(&settings.state));
    names.extend(LockFiles::names(&settings.state));
    Ok(names)
}

/// Reaps one cluster, if there is reason to.
async fn reap_one(
    settings: &Settings,
    engine: &Engine,
    name: &str,
    options: ReapOptions,
    progress: &Progress,
) -> Result<Action, ClusterError> {
    let idle = options.idle.unwrap_or(settings.idle);
    let files = LockFiles::new(&settings.state, name);
    let look = async || facts(settings, engine, name, &files).await;
    let judge = |facts: Result<Facts, ClusterError>| match facts {
        Err(error @ ClusterError::NotOurs { .. }) => Ok(Action::Keep(error.to_string())),
        Err(error) => Err(error),
        Ok(facts) => Ok(decide(&facts, idle, options.all)),
    };
    // Looked at twice: without the lock, so that nothing is touched that is none of our business,
    // and with it, because it may have changed meanwhile.
    let action = judge(look().await)?;
    if matches!(action, Action::Keep(_)) || options.dry_run {
        return Ok(action);
    }
    let Some(entering) = files.try_enter("reap")? else {
        return Ok(Action::Keep("somebody came to use it".into()));
    };
    let action = judge(look().await.map(|facts| Facts { held: None, ..facts }))?;
    let dir = settings.cluster_dir(name);
    match &action {
        Action::Keep(_) => entering.leave(),
        Action::Heal(_) => {
            let intents = IntentLog::open(&dir)?;
            for healed in fault::heal_all(engine, &intents, Deadline::after(HEAL)).await? {
                progress.say(&format!("{name}: {}", heal_text(&healed)));
            }
            take_back(name, &dir, progress).await;
            entering.leave();
        }
        Action::Forget(_) => {
            remove_dir(&dir)?;
            entering.remove()?;
        }
        Action::Remove(_) => {
            Kind { settings, engine }.delete(name, &dir).await?;
            remove_dir(&dir)?;
            entering.remove()?;
        }
    }
    Ok(action)
}

/// Takes nodes back that a dead process had declared out of service. Where the API does not answer,
/// the next lease does it: nobody else uses the cluster until then.
async fn take_back(name: &str, dir: &Path, progress: &Progress) {
    let freed = async {
        let client = Client::from_kubeconfig(&dir.join("kubeconfig")).await?;
        out_of_service::take_back(name, &client, Deadline::after(HEAL)).await
    };
    match freed.await {
        Ok(freed) => freed.iter().for_each(|node| {
            progress.say(&format!("{name}: node {node} was declared out of service: taken back"));
        }),
        Err(error) => progress.say(&format!("{name}: {error}: the next lease tries again")),
    }
}

async fn facts(
    settings: &Settings,
    engine: &Engine,
    name: &str,
    files: &LockFiles,
) -> Result<Facts, ClusterError> {
    let found = standing::look(settings, engine, name).await?;
    let now = Timestamp::now();
    let used = files.last_used().into_iter().chain(found.record.as_ref().map(|r| r.created_at)).max();
    let open_faults = open_faults(settings, name)?.len();
    Ok(Facts {
        standing: found.standing(None, now),
        held: files.holders().first().map(ToString::to_string),
        creating: found.record.as_ref().is_some_and(|r| !r.complete)
            && Kind { settings, engine }.is_creating(),
        idle: used.and_then(|used| Duration::try_from(now.duration_since(used)).ok()),
        open_faults,
    })
}

/// The decision, from the facts alone.
fn decide(facts: &Facts, idle: Duration, all: bool) -> Action {
    if let Some(holder) = &facts.held {
        return Action::Keep(format!("used by {holder}"));
    }
    match &facts.standing {
        Standing::Elsewhere(owner) => Action::Keep(owner.clone()),
        // What a killed seatrial left behind may still start some.
        Standing::Absent if facts.creating => Action::Keep("kind may be about to make it".into()),
        Standing::Absent => Action::Forget("it has no containers".into()),
        Standing::Half(why) => Action::Remove(why.clone()),
        Standing::Whole if all => Action::Remove("nobody uses it".into()),
        Standing::Whole => match facts.idle {
            Some(time) if time >= idle => Action::Remove(format!("nobody used it for {}", minutes(time))),
            _ if facts.open_faults > 0 => {
                Action::Heal(format!("{} faults were left open", facts.open_faults))
            }
            Some(time) => Action::Keep(format!("used {} ago", minutes(time))),
            None => Action::Remove("it was never used".into()),
        },
    }
}

fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

/// Folders of evidence that nobody came for.
fn old_evidence(settings: &Settings, dry_run: bool) -> Result<Vec<Reaped>, ClusterError> {
    let mut done = Vec::new();
    let entries = std::fs::read_dir(settings.state.join("failed")).into_iter().flatten().flatten();
    for entry in entries {
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|m| m.elapsed().ok());
        if age.is_some_and(|age| age > EVIDENCE) {
            if !dry_run {
                remove_dir(&entry.path())?;
            }
            let why = "evidence older than a week".into();
            done.push(Reaped { name: entry.path().display().to_string(), action: Action::Forget(why) });
        }
    }
    Ok(done)
}

/// The words of the command line that runs [`watch`] for a cluster.
pub fn watch_arguments(name: &str) -> [String; 3] {
    ["reap".into(), "--watch".into(), name.into()]
}

/// Starts the process that removes the cluster once nobody used it for the setting `idle`: a
/// detached `seatrial reap --watch <name>`, one a cluster. `program` is the seatrial command
/// line. Does nothing when it runs already.
///
/// # Errors
/// [`ClusterError::Watcher`].
pub fn start_watcher(settings: &Settings, program: &Path, name: &str) -> Result<(), ClusterError> {
    let files = LockFiles::new(&settings.state, name);
    if files.try_watch()?.is_none() {
        return Ok(());
    }
    let log = settings.state.join("leases").join(name).join("watcher.log");
    let exec = itself(settings, program).args(watch_arguments(name));
    let wrap = |source| ClusterError::Watcher { name: name.into(), source };
    exec.detach(&log).map(drop).map_err(wrap)
}

/// The seatrial command line. Our settings may come from flags: said again, so that it looks into
/// the same folders.
pub(super) fn itself(settings: &Settings, program: &Path) -> Exec {
    Exec::new(program)
        .env("SEATRIAL_STATE", &settings.state)
        .env("SEATRIAL_CACHE", &settings.cache)
        .env("SEATRIAL_KIND", &settings.kind)
        .env("SEATRIAL_IDLE", format!("{}s", settings.idle.as_secs()))
}

/// Stays until nobody used the cluster for `idle`, removes it and ends; ends at once when
/// somebody else watches it, and when the cluster is gone.
///
/// # Errors
/// [`ClusterError`] of the removal. An engine that does not answer is waited for.
pub async fn watch(
    settings: &Settings,
    engine: &Engine,
    name: &str,
    idle: Duration,
    progress: &Progress,
) -> Result<(), ClusterError> {
    let files = LockFiles::new(&settings.state, name);
    let Some(_watching) = files.try_watch()? else { return Ok(()) };
    let look = (idle / 10).clamp(Duration::from_millis(100), Duration::from_secs(15));
    let options = ReapOptions { idle: Some(idle), ..Default::default() };
    loop {
        // While somebody uses it, its time does not run; a killed holder cannot say when it went.
        if !files.holders().is_empty() {
            files.touch()?;
        } else if !standing::has_dir(&settings.state, name) {
            return Ok(());
        } else if files.last_used().is_none_or(|used| idle_for(used) >= idle) {
            match reap_one(settings, engine, name, options, progress).await {
                Ok(Action::Remove(why) | Action::Forget(why)) => {
                    progress.say(&format!("{name}: removed: {why}"));
                    return Ok(());
                }
                Ok(action) => progress.say(&format!("{name}: {action}")),
                Err(ClusterError::Engine(error)) => progress.say(&format!("{name}: {error}")),
                Err(error) => return Err(error),
            }
        }
        Deadline::after(look).pause(look).await;
    }
}

fn idle_for(used: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(used)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(600);

    fn whole() -> Facts {
        let idle = Some(Duration::from_secs(60));
        Facts { standing: Standing::Whole, held: None, creating: false, idle, open_faults: 0 }
    }

    fn half() -> Facts {
        Facts { standing: Standing::Half("no end".into()), ..whole() }
    }

    #[test]
    fn a_cluster_lives_until_it_was_idle_for_long_enough() {
        assert_eq!(decide(&whole(), IDLE, false), Action::Keep("used 60 s ago".into()));
        let old = Facts { idle: Some(Duration::from_secs(600)), ..whole() };
        assert_eq!(decide(&old, IDLE, false), Action::Remove("nobody used it for 10 min".into()));
        assert_eq!(decide(&whole(), IDLE, true), Action::Remove("nobody uses it".into()));
        let never = Facts { idle: None, ..whole() };
        assert!(matches!(decide(&never, IDLE, false), Action::Remove(_)));
    }

    #[test]
    fn what_is_used_is_kept_whatever_else_holds() {
        for facts in [whole(), half(), Facts { standing: Standing::Absent, ..whole() }] {
            let facts = Facts { held: Some("run".into()), idle: None, open_faults: 2, ..facts };
            assert_eq!(decide(&facts, Duration::ZERO, true), Action::Keep("used by run".into()));
        }
    }

    #[test]
    fn what_others_have_is_kept() {
        let other = Facts { standing: Standing::Elsewhere("theirs".into()), idle: None, ..whole() };
        assert_eq!(decide(&other, Duration::ZERO, true), Action::Keep("theirs".into()));
    }

    #[test]
    fn remains_go_but_for_files_that_kind_may_still_need() {
        assert_eq!(decide(&half(), IDLE, false), Action::Remove("no end".into()));
        let files = Facts { standing: Standing::Absent, ..whole() };
        assert!(matches!(decide(&files, IDLE, false), Action::Forget(_)));
        let creating = Facts { creating: true, ..files };
        assert!(matches!(decide(&creating, IDLE, true), Action::Keep(_)));
    }

    #[test]
    fn open_faults_of_the_dead_are_healed_in_a_cluster_that_stays() {
        let broken = Facts { open_faults: 1, ..whole() };
        assert!(matches!(decide(&broken, IDLE, false), Action::Heal(_)));
        assert!(matches!(decide(&broken, Duration::ZERO, false), Action::Remove(_)));
    }
}

//! Removes what has no owner any more: idle clusters, half-created ones, faults and namespaces that dead
//! processes left, state without containers. Never anything whose creation this state folder did not record on
//! this engine, or that somebody uses; that is listed with the command that removes it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::kind::{self, Kind};
use super::lock::{Access, Entering, LockFiles};
use super::making::{Making, heal_text};
use super::outage::open_faults;
use super::record::{self, remove_dir};
use super::roll::is_kept;
use super::standing::{self, Standing};
use super::{ClusterError, Wanted, balancer, holds, upgrading};
use crate::chain::chain;
use crate::config::{CONTROL_LABEL, OWNED_BY_LABEL, Settings, StateId};
use crate::deadline::{Deadline, age, words};
use crate::engine::Engine;
use crate::exec::Exec;
use crate::fault::{IntentLog, Owner};
use crate::image::{self, ImageError};
use crate::manifest::{HostFolder, LeftNamespace, RUN_LABEL, TestNamespace};
use crate::node::{CLUSTER_LABEL, Node, OWNER_LABEL};
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
    /// Nothing: it may be somebody else's. The text ends with the command that removes it.
    Leave(String),
    /// What dead processes left is healed and removed; the cluster stays.
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
            Self::Leave(why) => ("left alone", why),
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
    name: String,
    standing: Standing,
    /// Somebody uses it or waits for it.
    held: Option<String>,
    /// kind creates some cluster right now, and this one is not complete.
    creating: bool,
    /// Since it was last used; none when that is not known.
    idle: Option<Duration>,
    open_faults: usize,
    /// Who went without a release.
    unclean: Vec<String>,
    /// Whether it was asked for with `seatrial up`.
    kept: bool,
}

impl Facts {
    /// Whether kind may be about to make it for a process that is gone.
    fn is_being_made(&self) -> bool {
        self.held.is_none() && self.creating && self.standing == Standing::Absent
    }
}

/// Time for a kind whose seatrial was killed to come to its end.
const KIND: Duration = Duration::from_secs(300);
/// Evidence of failed creations is kept this long.
const EVIDENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Time for a cluster to be healed and ready again, and for what dead stories left to go.
const MEND: Duration = Duration::from_secs(600);
/// Time for the namespaces among it.
const LEFT: Duration = Duration::from_secs(180);

/// Removes containers of control probes that were made and never started, since their maker was killed: the engine
/// removes the others itself.
async fn control_probes(
    engine: &Engine,
    owner: Option<&StateId>,
    dry_run: bool,
) -> Result<Vec<String>, ClusterError> {
    let mut gone = Vec::new();
    let Some(owner) = owner else { return Ok(gone) };
    for container in engine.containers(&[(CONTROL_LABEL, ""), (OWNED_BY_LABEL, owner.as_str())]).await? {
        let maker =
            container.labels.get(CONTROL_LABEL).and_then(|text| serde_json::from_str::<Owner>(text).ok());
        if maker.is_some_and(|maker| !maker.lives()) {
            if !dry_run {
                engine.remove(&container.id).await?;
            }
            gone.push(container.name);
        }
    }
    Ok(gone)
}

/// Reaps everything in this state folder and on this engine that has no owner. Returns what was done, or would be
/// with `dry_run`, and what may be somebody else's; not what is kept.
///
/// # Errors
/// The first [`ClusterError`], after everything else was reaped. A cluster that is not ours is no error.
pub async fn reap(
    settings: &Settings,
    engine: &Engine,
    options: ReapOptions,
    progress: &Progress,
) -> Result<Vec<Reaped>, ClusterError> {
    let (mut done, mut failed) = (Vec::new(), None);
    for name in names(settings, engine).await? {
        match reap_one(settings, engine, &name, options, progress).await {
            Ok(Action::Keep(why)) => progress.detail("reap", &format!("{name}: kept: {why}")),
            Ok(action) => done.push(Reaped { name, action }),
            Err(error) => {
                progress.say(&format!("{name}: {}", chain(&error)));
                failed.get_or_insert(error);
            }
        }
    }
    let owner = StateId::read(&settings.state)?;
    for name in image::extract::reap(&settings.cache, engine, owner.as_ref(), options.dry_run).await? {
        done.push(Reaped {
            name,
            action: Action::Remove("the process that took a node image apart in it is gone".into()),
        });
    }
    for name in control_probes(engine, owner.as_ref(), options.dry_run).await? {
        done.push(Reaped {
            name,
            action: Action::Remove("the process whose control probe it was to be is gone".into()),
        });
    }
    for name in image::abandoned(&settings.cache, options.dry_run).await.map_err(ImageError::from)? {
        done.push(Reaped {
            name,
            action: Action::Remove("the process that built an image in it is gone".into()),
        });
    }
    if !options.dry_run {
        balancer::take_back(settings, engine).await?;
    }
    done.extend(old_evidence(settings, options.dry_run)?);
    ended(done, failed, progress)
}

/// What was done, or the first error: then what was done is told, though something else could not be.
pub(super) fn ended(
    done: Vec<Reaped>,
    failed: Option<ClusterError>,
    progress: &Progress,
) -> Result<Vec<Reaped>, ClusterError> {
    let Some(error) = failed else { return Ok(done) };
    done.iter().for_each(|one| progress.say(&format!("{}: {}", one.name, one.action)));
    Err(error)
}

/// Every cluster that this state folder or the engine knows of.
pub(super) async fn names(settings: &Settings, engine: &Engine) -> Result<BTreeSet<String>, ClusterError> {
    let mut names: BTreeSet<String> = engine.label_values(OWNER_LABEL, CLUSTER_LABEL).await?;
    names.extend(record::names(&settings.state));
    names.extend(LockFiles::names(&settings.state));
    // A label may hold anything, and so may a folder; what is no name of kind's is no cluster.
    names.retain(|name| standing::named(name).is_ok());
    Ok(names)
}

/// Reaps one cluster, if there is reason to.
pub(super) async fn reap_one(
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
    let mut facts = look().await;
    if facts.as_ref().is_ok_and(Facts::is_being_made) && !options.dry_run {
        // A kind whose seatrial was killed goes on to its end. What it makes is removed then.
        let told = |text: &str| progress.detail("reap", &format!("{name}: {text}"));
        let _ = Kind { settings, engine }.settle(name, Deadline::after(KIND), told).await;
        facts = look().await;
    }
    let action = judge(facts)?;
    if matches!(action, Action::Keep(_) | Action::Leave(_)) {
        return Ok(action);
    }
    if options.dry_run {
        return spared(settings, engine, name, options, action).await;
    }
    let Some(entering) = files.try_enter("reap")? else {
        return Ok(Action::Keep("somebody came to use it".into()));
    };
    let looked = async {
        let action = judge(look().await.map(|facts| Facts { held: None, ..facts }))?;
        spared(settings, engine, name, options, action).await
    };
    let (entering, action) = entering.with(looked.await)?;
    let dir = settings.cluster_dir(name);
    match &action {
        Action::Keep(_) | Action::Leave(_) => entering.leave(),
        Action::Heal(_) => {
            let entering = mend(settings, engine, name, entering, progress).await?;
            // What the dead left is gone: the next holder need not look for it.
            entering.enter()?.release()?;
        }
        // Also where no container is left: kind makes the network before the first one, and the engine may be about
        // to make that.
        Action::Forget(_) | Action::Remove(_) => {
            let network = Wanted::of(settings, name).is_ok_and(|w| w.topology.control_planes() > 1);
            Kind { settings, engine }.delete(name, &dir, network).await?;
            remove_dir(&dir)?;
            entering.remove()?;
        }
    }
    Ok(action)
}

/// A cluster that would be removed is left alone where it is somebody's.
async fn spared(
    settings: &Settings,
    engine: &Engine,
    name: &str,
    options: ReapOptions,
    action: Action,
) -> Result<Action, ClusterError> {
    if !matches!(action, Action::Remove(_)) {
        return Ok(action);
    }
    let found = standing::look(settings, engine, name).await?;
    if options.all {
        let added = found.added().join(", ");
        let why = format!("seatrial did not make {added}; if nobody needs it: seatrial down {name} --force");
        return Ok(if added.is_empty() { action } else { Action::Leave(why) });
    }
    let whose = holds::whose(settings, engine, &found).await;
    Ok(whose.map_or(action, |why| Action::Leave(format!("{why}; if nobody needs it: seatrial down {name}"))))
}

/// Heals what dead processes left open, as a lease does, until the cluster is ready again, and removes what their
/// stories left. A cluster whose upgrade is in the middle of a step is healed only: the upgrade has to go on first.
async fn mend(
    settings: &Settings,
    engine: &Engine,
    name: &str,
    entering: Entering,
    progress: &Progress,
) -> Result<Entering, ClusterError> {
    let wanted = &Wanted::of(settings, name)?;
    let (access, deadline, task) = (Access::Exclusive, Deadline::after(MEND), format!("cluster {name}"));
    let making = Making { settings, engine, wanted, access, deadline, progress, task };
    if upgrading::usable(settings, name).is_err() {
        let intents = IntentLog::open(&settings.cluster_dir(name))?;
        for healed in making.heal(&intents).await? {
            progress.say(&format!("{name}: {}", heal_text(&healed)));
        }
        return Ok(entering);
    }
    let (entering, made) = making.run_existing(entering).await?;
    let client = made.cluster.client().await?;
    let failed = |source| ClusterError::Left { name: name.into(), source };
    let left = TestNamespace::delete_left(&client, RUN_LABEL, deadline.at_most(LEFT)).await;
    for LeftNamespace { name: namespace, kept } in left.map_err(|e| failed(e.into()))? {
        progress.say(&match kept {
            None => format!("{name}: namespace {namespace} of a dead run: deleted"),
            Some(why) => format!("{name}: namespace {namespace} stays: {why}"),
        });
    }
    // After the namespaces: a folder belongs to one that is gone.
    let nodes: Vec<&Node> = made.cluster.nodes.iter().collect();
    let swept = HostFolder::sweep(&client, &nodes, deadline.at_most(LEFT)).await;
    for said in swept.map_err(|e| failed(e.into()))? {
        progress.say(&format!("{name}: {said}"));
    }
    Ok(entering)
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
        name: name.into(),
        standing: found.standing(None, now),
        held: files.holders().first().map(ToString::to_string),
        creating: found.record.as_ref().is_some_and(|r| !r.complete)
            && Kind { settings, engine }.is_creating(),
        idle: used.map(|used| age(used, now)),
        open_faults,
        unclean: files.unclean(),
        kept: found.record.is_some_and(|r| r.kept),
    })
}

/// The decision, from the facts alone.
fn decide(facts: &Facts, idle: Duration, all: bool) -> Action {
    if let Some(holder) = &facts.held {
        return Action::Keep(format!("used by {holder}"));
    }
    match &facts.standing {
        Standing::Elsewhere(whose) => {
            Action::Leave(format!("{whose}; if nobody needs it: seatrial down {} --force", facts.name))
        }
        Standing::Absent if facts.creating => {
            Action::Leave("kind may be about to make it; `seatrial reap` removes it then".into())
        }
        Standing::Absent => Action::Forget("it has no containers".into()),
        Standing::Half(why) => Action::Remove(why.clone()),
        Standing::Whole if all => Action::Remove("nobody uses it".into()),
        Standing::Whole => match facts.idle {
            Some(time) if time >= idle && !facts.kept => {
                Action::Remove(format!("nobody used it for {}", words(time)))
            }
            _ if facts.open_faults > 0 => {
                Action::Heal(format!("{} faults were left open", facts.open_faults))
            }
            _ if !facts.unclean.is_empty() => {
                Action::Heal(format!("{} went without a release", facts.unclean.join(", ")))
            }
            _ if facts.kept => Action::Keep("it was asked for with `seatrial up`".into()),
            Some(time) => Action::Keep(format!("used {} ago", words(time))),
            None => Action::Keep("when it was last used is not known".into()),
        },
    }
}

/// Folders of evidence that nobody came for: only what [`Kind::evidence`] made.
fn old_evidence(settings: &Settings, dry_run: bool) -> Result<Vec<Reaped>, ClusterError> {
    let mut done = Vec::new();
    let entries = std::fs::read_dir(settings.state.join("failed")).into_iter().flatten().flatten();
    for entry in entries {
        if !entry.file_type().is_ok_and(|t| t.is_dir()) || !kind::is_evidence(&entry.path()) {
            continue;
        }
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

/// Stays until nobody used the cluster for `idle`, removes it and ends. Ends at once when another process watches
/// it, when the cluster is gone, and when it turns out to be kept or somebody else's.
///
/// # Errors
/// [`ClusterError::Lock`]. A removal that fails is told and tried again.
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
    let mut said = String::new();
    loop {
        // While somebody uses it, its time does not run; a killed holder cannot say when it went.
        if !files.holders().is_empty() {
            files.touch()?;
        } else if !standing::has_dir(&settings.state, name) {
            return Ok(());
        } else if files.last_used().is_none_or(|used| age(used, Timestamp::now()) >= idle) {
            let text = match reap_one(settings, engine, name, options, progress).await {
                Ok(Action::Remove(why) | Action::Forget(why)) => {
                    progress.say(&format!("{name}: removed: {why}"));
                    return Ok(());
                }
                Ok(action) => action.to_string(),
                // What stands in the way may go, and nobody else looks after the cluster.
                Err(error) => chain(&error),
            };
            if text != said {
                progress.say(&format!("{name}: {text}"));
                said = text;
            }
            if is_kept(settings, name) {
                return Ok(());
            }
        }
        Deadline::after(look).pause(look).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(600);

    fn whole() -> Facts {
        let idle = Some(Duration::from_secs(60));
        let unclean = Vec::new();
        let name = "c".into();
        Facts {
            name,
            standing: Standing::Whole,
            held: None,
            creating: false,
            idle,
            open_faults: 0,
            unclean,
            kept: false,
        }
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
        let unknown = Facts { idle: None, ..whole() };
        assert!(matches!(decide(&unknown, IDLE, false), Action::Keep(_)));
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
        let text = decide(&other, Duration::ZERO, true).to_string();
        assert_eq!(text, "left alone: theirs; if nobody needs it: seatrial down c --force");
    }

    #[test]
    fn what_was_asked_for_stays_until_it_is_named() {
        let old = Some(Duration::from_secs(24 * 3600));
        let kept = Facts { kept: true, idle: old, ..whole() };
        assert!(matches!(decide(&kept, IDLE, false), Action::Keep(_)));
        assert!(matches!(decide(&kept, IDLE, true), Action::Remove(_)));
        assert!(matches!(decide(&Facts { open_faults: 1, ..kept }, IDLE, false), Action::Heal(_)));
    }

    #[test]
    fn remains_go_but_for_files_that_kind_may_still_need() {
        assert_eq!(decide(&half(), IDLE, false), Action::Remove("no end".into()));
        let files = Facts { standing: Standing::Absent, ..whole() };
        assert!(matches!(decide(&files, IDLE, false), Action::Forget(_)));
        let creating = Facts { creating: true, ..files };
        assert!(matches!(decide(&creating, IDLE, true), Action::Leave(_)) && creating.is_being_made());
        let held = Facts { held: Some("up".into()), ..creating };
        assert!(!held.is_being_made(), "somebody lives who makes it");
    }

    #[test]
    fn open_faults_of_the_dead_are_healed_in_a_cluster_that_stays() {
        let broken = Facts { open_faults: 1, ..whole() };
        assert!(matches!(decide(&broken, IDLE, false), Action::Heal(_)));
        assert!(matches!(decide(&broken, Duration::ZERO, false), Action::Remove(_)));
        let unclean = Facts { unclean: vec!["run a".into()], ..whole() };
        assert_eq!(decide(&unclean, IDLE, false), Action::Heal("run a went without a release".into()));
    }
}

//! Removes what has no owner any more: idle clusters, half-created clusters, faults and namespaces that dead
//! processes left, files without containers. Never removes a cluster that somebody uses, or whose creation this state
//! folder did not record on this engine; such a cluster is listed with the command that removes it.

pub(crate) mod decision;
pub(crate) mod interrupted;
mod mend;
mod remains;
pub(crate) mod watcher;

use std::time::Duration;

use jiff::Timestamp;

use super::lease::lock::{Entering, LockFiles};
use super::outage::open_faults;
use super::provision::kind::Kind;
use super::provision::load_balancer;
use super::provision::wanted::Wanted;
use super::state::holds;
use super::state::record::remove_dir;
use super::{ClusterError, Clusters, names, state};
use crate::chain::chain;
use crate::config::StateId;
use crate::deadline::{Deadline, age};
use crate::hint::Hint;
use crate::image::{self, ImageError};
use crate::progress::Progress;
use decision::{Action, Facts, Reaped, decide};
use mend::Mending;

/// Options of a reap.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReapOptions {
    /// Remove clusters that nobody used for this long; `None` uses the setting `idle`.
    pub idle: Option<Duration>,
    /// Remove every cluster of this state folder that nobody uses right now.
    pub all: bool,
    /// Only report what would be done.
    pub dry_run: bool,
}

/// Time for a kind process of a killed seatrial to end.
const KIND: Duration = Duration::from_secs(300);

impl Clusters {
    /// Reaps everything in this state folder and on this engine that has no owner. Returns what was done (or would
    /// be, with `dry_run`) and what may belong to somebody else, but not what is kept.
    ///
    /// # Errors
    /// The first [`ClusterError`], after everything else was reaped. A cluster of somebody else is not an error.
    pub async fn reap(&self, options: ReapOptions) -> Result<Vec<Reaped>, ClusterError> {
        let Self { settings, engine, progress, .. } = self;
        let (mut done, mut failed) = (Vec::new(), None);
        for name in names::all(self).await? {
            match self.reap_one(&name, options).await {
                Ok(Action::Keep(why)) => progress.detail("reap", &format!("{name}: kept: {why}")),
                Ok(action) => done.push(Reaped { name, action }),
                Err(error) => {
                    progress.say(&format!("{name}: {}", chain(&error)));
                    failed.get_or_insert(error);
                }
            }
        }
        let owner = StateId::read(&settings.state)?;
        for left in image::extract::reap(&settings.cache, engine, owner.as_ref(), options.dry_run).await? {
            let gone = || Action::Remove("the process that extracted a node image in it is dead".into());
            let action = left.stays.map_or_else(gone, Action::Leave);
            done.push(Reaped { name: left.container, action });
        }
        done.extend(remains::control_probes(self, owner.as_ref(), options.dry_run).await?);
        for name in image::abandoned(&settings.cache, options.dry_run).await.map_err(ImageError::from)? {
            done.push(Reaped {
                name,
                action: Action::Remove("the process that built an image in it is dead".into()),
            });
        }
        if !options.dry_run {
            load_balancer::take_back(self).await?;
        }
        done.extend(remains::evidence(settings, options.dry_run)?);
        done.extend(remains::archives(settings, options.dry_run)?);
        ended(done, failed, progress)
    }

    /// Reaps one cluster, if there is a reason to.
    pub(crate) async fn reap_one(&self, name: &str, options: ReapOptions) -> Result<Action, ClusterError> {
        let action = reaped(self, name, options).await?;
        let Action::Leave(why) = action else { return Ok(action) };
        // The cluster is not touched, but its open faults are reported.
        Ok(Action::Leave(match open_faults(&self.settings, name)?.len() {
            0 => why,
            open => format!("{why}; it has {open} open faults: seatrial fault list"),
        }))
    }
}

/// Returns what was done, or the first error. With an error, everything that was done is reported as progress.
pub(crate) fn ended(
    done: Vec<Reaped>,
    failed: Option<ClusterError>,
    progress: &Progress,
) -> Result<Vec<Reaped>, ClusterError> {
    let Some(error) = failed else { return Ok(done) };
    done.iter().for_each(|one| progress.say(&format!("{}: {}", one.name, one.action)));
    Err(error)
}

/// The result of a check of one cluster. `facts` is `None` if the cluster has containers that seatrial did not
/// create.
struct Looked {
    facts: Option<Facts>,
    action: Action,
}

/// Checks one cluster and decides.
async fn looked(
    clusters: &Clusters,
    name: &str,
    options: ReapOptions,
    mine: bool,
) -> Result<Looked, ClusterError> {
    let settings = &clusters.settings;
    let files = LockFiles::new(&settings.state, name);
    let idle = options.idle.unwrap_or(settings.idle);
    match facts(clusters, name, &files).await {
        Err(error @ ClusterError::NotOurs { .. }) => {
            let action = match files.holders().first().filter(|_| !mine) {
                Some(holder) => Action::Keep(format!("used by {holder}")),
                None => Action::Leave(format!("{error}; {}", error.hint().unwrap_or_default())),
            };
            Ok(Looked { facts: None, action })
        }
        Err(error) => Err(error),
        Ok(facts) => {
            let facts = if mine { Facts { held: None, ..facts } } else { facts };
            let action = decide(&facts, idle, options.all);
            Ok(Looked { facts: Some(facts), action })
        }
    }
}

async fn reaped(clusters: &Clusters, name: &str, options: ReapOptions) -> Result<Action, ClusterError> {
    // Check twice: first without the lock, because a cluster that is none of our business must not be touched, then
    // with the lock, because the cluster may have changed in the meantime.
    let mut first = looked(clusters, name, options, false).await?;
    if first.facts.as_ref().is_some_and(Facts::is_being_made) && !options.dry_run {
        // The kind process of a killed seatrial continues until it is done. What it creates is then removed.
        let detail = |text: &str| clusters.progress.detail("reap", &format!("{name}: {text}"));
        let _ = Kind { clusters }.settle(name, Deadline::after(KIND), detail).await;
        first = looked(clusters, name, options, false).await?;
    }
    let Looked { facts: Some(facts), action } = first else { return Ok(first.action) };
    if matches!(action, Action::Keep(_) | Action::Leave(_)) {
        return Ok(action);
    }
    if options.dry_run {
        return would_do(clusters, &facts, options, action).await;
    }
    reaped_alone(clusters, name, options).await
}

/// Returns what would be done with a cluster.
async fn would_do(
    clusters: &Clusters,
    facts: &Facts,
    options: ReapOptions,
    action: Action,
) -> Result<Action, ClusterError> {
    match action {
        // The contents of a cluster may be unknown until its faults are healed.
        Action::Remove(why) if facts.open_faults > 0 && !options.all => {
            let left = facts.left_behind();
            Ok(Action::Heal(format!("{left}; then removed, unless somebody else needs it: {why}")))
        }
        action => Ok(match spared(clusters, &facts.name, options, action).await? {
            Action::Leave(why) if facts.is_left_behind() => {
                Action::Leave(format!("{}; {why}", facts.left_behind()))
            }
            action => action,
        }),
    }
}

/// Reaps a cluster that nobody else uses: the second check, under the lock.
async fn reaped_alone(clusters: &Clusters, name: &str, options: ReapOptions) -> Result<Action, ClusterError> {
    let Clusters { settings, progress, .. } = clusters;
    let files = LockFiles::new(&settings.state, name);
    let Some(entering) = files.try_enter("reap")? else {
        return Ok(Action::Keep("somebody has begun to use it".into()));
    };
    let (mut entering, second) = entering.with(looked(clusters, name, options, true).await)?;
    let Looked { facts: Some(facts), mut action } = second else {
        entering.leave();
        return Ok(second.action);
    };
    let mending = Mending { clusters, name };
    let is_ours = matches!(action, Action::Heal(_) | Action::Remove(_));
    if matches!(action, Action::Remove(_)) {
        // Heal first: while the control plane is paused, nobody can list the cluster's contents. If healing fails,
        // the cluster may still be removable.
        if facts.open_faults > 0
            && !options.all
            && let Err(error) = mending.faults().await
        {
            if matches!(&error, ClusterError::Fault(fault) if fault.needs_another_program()) {
                entering.leave();
                return Err(error);
            }
            progress.say(&format!("{name}: {}", chain(&error)));
        }
        let judged = spared(clusters, name, options, action).await;
        (entering, action) = entering.with(judged)?;
    }
    match &action {
        Action::Heal(_) | Action::Leave(_) if is_ours && facts.is_left_behind() => {
            let unclean = !entering.unclean().is_empty();
            match mending.whole(&facts, unclean).await {
                Ok(stays) => action = mended(action, &facts, &stays, &mut entering)?,
                Err(error) => {
                    if let Action::Leave(why) = &action {
                        progress.say(&format!("{name}: left alone: {why}"));
                    }
                    // The next holder must check with care: an existing mark tells it to, otherwise our own file
                    // does.
                    if !files.unclean().is_empty() {
                        entering.leave();
                    }
                    return Err(error);
                }
            }
            entering.leave();
        }
        Action::Keep(_) | Action::Leave(_) | Action::Heal(_) => entering.leave(),
        Action::Forget(_) | Action::Remove(_) => remove(clusters, name, entering).await?,
    }
    Ok(action)
}

/// Removes a cluster with its state. Also without containers: kind creates the network before the first container, and
/// the engine may be about to create that container.
async fn remove(clusters: &Clusters, name: &str, entering: Entering) -> Result<(), ClusterError> {
    let Clusters { settings, progress, .. } = clusters;
    let network = Wanted::of(settings, name).is_ok_and(|w| w.topology.control_planes() > 1);
    if let Some(stays) = (Kind { clusters }).delete(name, network, &[]).await? {
        progress.say(&format!("{name}: {stays}"));
    }
    remove_dir(&settings.cluster_dir(name))?;
    entering.remove()?;
    Ok(())
}

/// Describes a cluster in which everything possible was healed. If something of a dead process is still there, the
/// marks stay, and the next exclusive holder looks for it.
fn mended(
    action: Action,
    facts: &Facts,
    stays: &[String],
    entering: &mut Entering,
) -> Result<Action, ClusterError> {
    if stays.is_empty() {
        entering.cleaned()?;
    }
    let stays = if facts.unclean.is_empty() { String::new() } else { stays.join("; ") };
    Ok(match action {
        Action::Leave(why) if stays.is_empty() => {
            Action::Leave(format!("healed: {}; {why}", facts.left_behind()))
        }
        Action::Leave(why) => Action::Leave(format!("{}: healed, but {stays}; {why}", facts.left_behind())),
        Action::Heal(why) if stays.is_empty() => Action::Heal(why),
        Action::Heal(why) => Action::Leave(format!("{why}: healed, but {stays}")),
        other => other,
    })
}

/// Changes a removal into `Leave` if somebody else needs the cluster.
async fn spared(
    clusters: &Clusters,
    name: &str,
    options: ReapOptions,
    action: Action,
) -> Result<Action, ClusterError> {
    if !matches!(action, Action::Remove(_)) {
        return Ok(action);
    }
    let found = state::look(clusters, name).await?;
    if options.all {
        let added = found.added().join(", ");
        let why =
            format!("seatrial did not create {added}; if nobody needs it: seatrial down {name} --force");
        return Ok(if added.is_empty() { action } else { Action::Leave(why) });
    }
    let whose = holds::whose(clusters, &found).await;
    Ok(whose.map_or(action, |why| Action::Leave(format!("{why}; if nobody needs it: seatrial down {name}"))))
}

async fn facts(clusters: &Clusters, name: &str, files: &LockFiles) -> Result<Facts, ClusterError> {
    let found = state::look(clusters, name).await?;
    let now = Timestamp::now();
    let used = files.last_used().into_iter().chain(found.record.as_ref().map(|r| r.created_at)).max();
    let open_faults = open_faults(&clusters.settings, name)?.len();
    Ok(Facts {
        name: name.into(),
        state: found.state(None, now),
        held: files.holders().first().map(ToString::to_string),
        creating: found.record.as_ref().is_some_and(|r| !r.complete) && Kind { clusters }.is_creating(),
        idle: used.map(|used| age(used, now)),
        open_faults,
        unclean: files.unclean(),
        kept: found.record.is_some_and(|r| r.kept),
    })
}

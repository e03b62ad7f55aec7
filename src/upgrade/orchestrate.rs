//! Carries out an upgrade, from its plan to the cluster's record.

use std::path::Path;
use std::time::Duration;

use super::{
    ClusterFacts, Ending, EtcdPolicy, Journal, ReleaseFacts, State, Upgrade, UpgradeError, UpgradeEvent,
    UpgradePlan, Version, Watcher,
};
use crate::cluster::state::record::Record;
use crate::cluster::{Cluster, ClusterError, Clusters, JournalEntry};
use crate::deadline::Deadline;
use crate::image::{self, Artefacts};
use crate::progress::Progress;

/// The options of an upgrade.
#[derive(Clone, Debug)]
pub struct UpgradeOptions {
    /// The target version: `1.35.4`, `1.35` for the newest release of that minor version in the image profile, or
    /// `next` for the newest release of the minor version after the cluster's.
    pub to: String,
    /// Whether etcd is upgraded.
    pub etcd: EtcdPolicy,
    /// The step, node or `control-plane` after which to stop.
    pub stop_after: Option<String>,
    /// Time limit of a drain. It may exceed the limit of other steps: pods may have a long grace period.
    pub drain: Duration,
}

/// How an upgrade ended.
#[derive(Clone, Debug)]
pub struct Upgraded {
    /// The version at the beginning.
    pub from: Version,
    /// The target version.
    pub to: Version,
    /// How it ended.
    pub ending: Ending,
    /// The versions of all components now.
    pub state: State,
}

/// Time to build everything that a release needs on a small machine.
const BUILD: Duration = Duration::from_secs(80 * 60);
/// Time until the API shows a static pod or a rollout correctly.
const ARRIVAL: Duration = Duration::from_secs(60);
/// Time to read the state of a cluster.
const LOOK: Duration = Duration::from_secs(120);
/// Time for a control plane to answer again after an interrupted upgrade.
const MEND: Duration = Duration::from_secs(20 * 60);

/// Plans an upgrade from the cluster's present state. Changes nothing.
///
/// # Errors
/// [`UpgradeError::Refused`] with every reason, and errors of the cluster's API or the engine.
pub async fn plan_upgrade(
    clusters: &Clusters,
    cluster: &Cluster,
    options: &UpgradeOptions,
) -> Result<UpgradePlan, UpgradeError> {
    Looked::at(clusters, cluster, options, None).await.map(|l| l.plan)
}

/// Builds or pulls everything that the hops of an upgrade need. Existing files are reused. Call this before workloads
/// and probes start: then compilers do not disturb them.
///
/// # Errors
/// As [`plan_upgrade`], and errors of the image profile.
pub async fn obtain_releases(
    clusters: &Clusters,
    cluster: &Cluster,
    options: &UpgradeOptions,
) -> Result<(), UpgradeError> {
    let looked = Looked::at(clusters, cluster, options, None).await?;
    let profile = super::profile_of(clusters, &cluster.image).await?;
    for hop in &looked.plan.hops {
        let context = clusters.images(Deadline::after(BUILD));
        image::artefacts(&context, &profile, &hop.to.to_string()).await?;
    }
    Ok(())
}

/// Upgrades a cluster in place. The caller has an exclusive lease on it: the lease of [`Clusters::to_upgrade`] if an
/// earlier upgrade was interrupted.
///
/// Steps that an earlier call has done are not repeated, so this also resumes an upgrade.
///
/// # Errors
/// As [`Upgrade::hop`]. The journal records where the upgrade stopped.
///
/// # Cancellation
/// As [`Upgrade::hop`].
pub async fn upgrade(
    clusters: &Clusters,
    cluster: &Cluster,
    options: &UpgradeOptions,
    watcher: Watcher<'_>,
) -> Result<Upgraded, UpgradeError> {
    mend(cluster, &clusters.progress).await?;
    let client = cluster.client().await.map_err(lost)?;
    let mut looked = Looked::at(clusters, cluster, options, None).await?;
    let profile = super::profile_of(clusters, &cluster.image).await?;
    let control_planes: Vec<String> = cluster.control_planes().map(|n| n.name.clone()).collect();
    // A step that is already done is not in the plan, so the upgrade cannot stop after it.
    let stop = match &options.stop_after {
        Some(name) => Some(looked.plan.stop_after(name, &control_planes)?),
        None => None,
    };
    let from = looked.plan.from;
    while let Some(hop) = looked.plan.hops.first() {
        let (version, known) = (hop.to.to_string(), hop.etcd.is_some() && hop.coredns.is_some());
        let context = clusters.images(Deadline::after(BUILD));
        let artefacts = image::artefacts(&context, &profile, &version).await?;
        if !known {
            // The kubeadm of the release is now here and names its etcd and CoreDNS versions: check them too, before
            // anything changes.
            looked = Looked::at(clusters, cluster, options, Some(&artefacts)).await?;
        }
        let Looked { plan, facts } = &looked;
        let Some(hop) = plan.hops.first() else { break };
        let work = Upgrade {
            cluster,
            client: &client,
            progress: &clusters.progress,
            watcher,
            drain: options.drain,
            arrival: ARRIVAL,
        };
        watcher(UpgradeEvent::Planned { plan, before: &facts.state });
        let after = stop.as_ref().filter(|(to, _)| *to == hop.to).map(|(_, step)| step.as_str());
        let ending = work.hop(plan, facts, &artefacts, after).await?;
        if let Ending::Stopped { .. } = ending {
            let state = super::state(&client).await?;
            return Ok(Upgraded { from, to: plan.to, ending, state });
        }
        note(&cluster.dir, hop.to, hop.steps.last().map(|step| &step.after))?;
        // The checks of the next hop use the present state.
        looked = Looked::at(clusters, cluster, options, None).await?;
    }
    finished(&cluster.dir, looked.plan.to)?;
    let state = super::state(&client).await?;
    Ok(Upgraded { from, to: looked.plan.to, ending: Ending::Complete, state })
}

/// Records the new version of the cluster and, after an upgrade, the versions that its plan names.
fn note(dir: &Path, version: Version, planned: Option<&State>) -> Result<(), UpgradeError> {
    let Some(mut record) = Record::read(dir) else { return Ok(()) };
    if let Some(planned) = planned {
        record.planned = Some(planned.clone());
    }
    let version = version.to_string();
    if record.kubernetes != version {
        let before = std::mem::replace(&mut record.kubernetes, version);
        record.made_as.get_or_insert(before);
    }
    record.write(dir).map_err(lost)
}

/// Records the end of an upgrade. If it was interrupted in its last steps, no hop is left: the versions of its plan
/// are then in the journal.
fn finished(dir: &Path, version: Version) -> Result<(), UpgradeError> {
    let entry = JournalEntry::read(dir).and_then(Result::ok);
    note(dir, version, entry.and_then(|entry| entry.planned).as_ref())?;
    Journal::close(dir)
}

/// Waits for a kubeadm that an interrupted upgrade left running, and repairs the control plane.
async fn mend(cluster: &Cluster, progress: &Progress) -> Result<(), UpgradeError> {
    let entry = match JournalEntry::read(&cluster.dir) {
        None => return Ok(()),
        Some(Ok(entry)) => entry,
        Some(Err(why)) => {
            let what = format!("the journal of the upgrade of {}", cluster.name);
            return Err(UpgradeError::Strange { what, why: why.to_string() });
        }
    };
    progress.say(&format!("{}: {entry}; resuming", cluster.name));
    if entry.safe {
        return Ok(());
    }
    let client = cluster.client().await.map_err(lost)?;
    let task = format!("repair {}", cluster.name);
    let deadline = Deadline::after(MEND);
    progress.task(&task, super::mend(cluster, &client, entry.hop, deadline)).await
}

fn lost(error: ClusterError) -> UpgradeError {
    UpgradeError::Cluster { source: Box::new(error) }
}

struct Looked {
    facts: ClusterFacts,
    plan: UpgradePlan,
}

impl Looked {
    /// Collects the facts and makes the plan. `taken` has the files of the next hop, if they have arrived.
    async fn at(
        clusters: &Clusters,
        cluster: &Cluster,
        options: &UpgradeOptions,
        taken: Option<&Artefacts>,
    ) -> Result<Self, UpgradeError> {
        let client = cluster.client().await.map_err(lost)?;
        let profile = super::profile_of(clusters, &cluster.image).await?;
        let mut releases = super::releases(&clusters.settings, &profile)?;
        taken.iter().for_each(|taken| super::learn(&mut releases, taken));
        let begun = JournalEntry::read(&cluster.dir).and_then(Result::ok);
        // `next` resumes an interrupted upgrade to its own target: the recorded version of the cluster may already be
        // that target.
        let begun_to = begun.as_ref().filter(|_| options.to == "next").map(|entry| entry.to);
        let interrupted = begun.as_ref().and_then(|entry| entry.interrupted());
        let ours = begun.map(|entry| entry.cordoned).unwrap_or_default();
        let deadline = Deadline::after(LOOK);
        let facts = super::facts(cluster, &client, ours, deadline).await?;
        let facts = ClusterFacts { interrupted, ..facts };
        let to = match begun_to {
            Some(to) => to,
            None => named(&options.to, &cluster.kubernetes, &releases)?,
        };
        let refused = |refusals| UpgradeError::Refused { cluster: cluster.name.clone(), refusals };
        let plan = UpgradePlan::make(&facts, &releases, to, options.etcd).map_err(refused)?;
        Ok(Self { facts, plan })
    }
}

/// Resolves the text of a target version.
fn named(text: &str, now: &str, releases: &[ReleaseFacts]) -> Result<Version, UpgradeError> {
    let newest = |line: &str| {
        let candidate = || releases.iter().map(|r| r.version).filter(|v| v.line() == line).max();
        super::newest(releases, line).map(|release| release.version).or_else(candidate)
    };
    if text == "next" {
        let now: Version = now.parse()?;
        let next = Version::new(now.major, now.minor + 1, 0);
        return Ok(newest(&next.line()).unwrap_or(next));
    }
    let version: Version = text.parse()?;
    let whole = text.matches('.').count() > 1;
    Ok(if whole { version } else { newest(&version.line()).unwrap_or(version) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::state::upgrade::usable;
    use crate::config::Settings;

    #[test]
    fn a_version_may_be_named_in_three_ways() {
        let release = |version: &str| ReleaseFacts {
            version: version.parse().unwrap(),
            etcd: None,
            coredns: None,
            unreachable: None,
            bytes: 0,
        };
        let all = ["1.34.4", "1.35.4", "1.35.3", "1.35.5-rc.0", "1.37.0-rc.1"].map(release);
        let named =
            |text: &str| named(text, "1.34.4", &all).map(|v| v.to_string()).map_err(|e| e.to_string());
        for text in ["next", "1.35", "v1.35.4", "1.35.4"] {
            assert_eq!(named(text).as_deref(), Ok("1.35.4"), "{text}");
        }
        // The plan refuses a version that does not exist, and lists the known ones.
        assert_eq!(named("1.36").as_deref(), Ok("1.36.0"));
        // If a minor version has a release, a release candidate needs its full name.
        assert_eq!(named("1.37").as_deref(), Ok("1.37.0-rc.1"));
        assert_eq!(named("1.35.5-rc.0").as_deref(), Ok("1.35.5-rc.0"));
        assert!(named("soon").is_err());
    }

    /// Creates a cluster's folder with its record, as a creation leaves it.
    fn made(dir: &std::path::Path) -> Settings {
        let variable = |name: &str| match name {
            "SEATRIAL_STATE" | "SEATRIAL_CACHE" => Some(dir.display().to_string()),
            _ => None,
        };
        let settings = Settings::resolve(variable).unwrap();
        std::fs::create_dir_all(settings.cluster_dir("c")).unwrap();
        let record = Record {
            name: "c".into(),
            topology: "three".into(),
            kubernetes: "1.34.4".into(),
            made_as: None,
            planned: None,
            image: "node:1".into(),
            workloads: Vec::new(),
            addresses: Default::default(),
            containers: Default::default(),
            owner: None,
            engine: None,
            kept: false,
            made_by: None,
            proxies: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            complete: true,
        };
        record.write(&settings.cluster_dir("c")).unwrap();
        settings
    }

    /// The writer is killed after each write of the journal, in the order of a hop's writes. Every later user of the
    /// cluster learns the step, unless the cluster is usable.
    #[test]
    fn a_journal_names_the_step_wherever_its_writer_was_killed() {
        let (from, to) = (Version::new(1, 34, 4), Version::new(1, 35, 4));
        type Write = (&'static str, fn(&Journal, &str) -> Result<(), UpgradeError>);
        fn manner(title: &str) -> crate::upgrade::step::Manner {
            crate::upgrade::STEPS.iter().find(|s| title.starts_with(s.name())).unwrap().manner()
        }
        let begin: Write = ("", |j, t| j.starting(t, manner(t)));
        let close: Write = ("", |j, _| j.cordoning("w"));
        let open: Write = ("", |j, _| j.uncordoned("w"));
        let done: Write = ("", |j, t| j.done(t, manner(t), &State::default()));
        let safe: Write = ("safe", done.1);
        let steps: [(&str, &[Write]); 6] = [
            ("preload", &[begin, safe]),
            ("apply cp", &[begin, safe]),
            ("drain w", &[begin, close, done]),
            ("kubelet w", &[begin, done]),
            ("uncordon w", &[begin, open, safe]),
            ("settle", &[begin, safe]),
        ];
        let dir = tempfile::tempdir().unwrap();
        let settings = made(dir.path());
        let cluster_dir = settings.cluster_dir("c");
        assert!(usable(&settings, "c").is_ok());
        for (title, writes) in steps {
            for (kind, write) in writes {
                // Each writer is killed after one write; the next writer continues the journal.
                let journal = Journal::begin(&cluster_dir, from, to, to, EtcdPolicy::Upgrade).unwrap();
                write(&journal, title).unwrap();
                drop(journal);
                let refused = usable(&settings, "c").err().map(|e| e.to_string());
                match (*kind, refused) {
                    ("safe", refused) => assert_eq!(refused, None, "{title}"),
                    (_, None) => panic!("usable in the middle of `{title}`"),
                    (_, Some(text)) => assert!(text.contains(&format!("`{title}`")), "{title}: {text}"),
                }
            }
        }
        Journal::close(&cluster_dir).unwrap();
        assert!(usable(&settings, "c").is_ok());
    }

    /// Only the end has to be recorded: the versions come from the journal's plan, not from an earlier upgrade.
    #[test]
    fn an_upgrade_interrupted_in_its_last_step_records_its_plan() {
        let dir = tempfile::tempdir().unwrap();
        let cluster_dir = made(dir.path()).cluster_dir("c");
        let state = |version: &str| {
            let kubelets = [("w".to_owned(), version.parse().unwrap())].into();
            State { kubelets, ..State::default() }
        };
        let (from, to) = (Version::new(1, 34, 4), Version::new(1, 35, 4));
        note(&cluster_dir, from, Some(&state("1.34.4"))).unwrap();
        let journal = Journal::begin(&cluster_dir, from, to, to, EtcdPolicy::Upgrade).unwrap();
        let manner = |name: &str| crate::upgrade::STEPS.iter().find(|s| s.name() == name).unwrap().manner();
        journal.done("kubelet w", manner("kubelet"), &state("1.35.4")).unwrap();
        journal.starting("uncordon w", manner("uncordon")).unwrap();
        drop(journal);
        finished(&cluster_dir, to).unwrap();
        let record = Record::read(&cluster_dir).unwrap();
        assert_eq!(record.planned, Some(state("1.35.4")));
        assert_eq!(
            (record.kubernetes.as_str(), JournalEntry::read(&cluster_dir).is_none()),
            ("1.35.4", true)
        );
    }
}

//! An upgrade carried out, from its plan to the cluster's record.

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

/// What is asked of an upgrade.
#[derive(Clone, Debug)]
pub struct UpgradeOptions {
    /// The version to reach: `1.35.4`, `1.35` for the newest of that minor version that the image
    /// profile has, or `next` for the newest of the minor version after the cluster's.
    pub to: String,
    /// What becomes of etcd.
    pub etcd: EtcdPolicy,
    /// The step, node or `control-plane` after which to stop.
    pub stop_after: Option<String>,
    /// How long a drain is tried, at the most the limit of the step.
    pub drain: Duration,
}

/// How an upgrade ended.
#[derive(Clone, Debug)]
pub struct Upgraded {
    /// Where it began.
    pub from: Version,
    /// Where it was to lead.
    pub to: Version,
    /// How it ended.
    pub ending: Ending,
    /// The versions of everything now.
    pub state: State,
}

/// Time for building what a release needs on a small machine.
const BUILD: Duration = Duration::from_secs(80 * 60);
/// Time for a static pod and a rollout to be seen as they are.
const ARRIVAL: Duration = Duration::from_secs(60);
/// Time for looking at a cluster.
const LOOK: Duration = Duration::from_secs(120);
/// Time for a control plane to answer again after an interrupted upgrade.
const MEND: Duration = Duration::from_secs(20 * 60);

/// The plan of an upgrade, from what runs now. Touches nothing.
///
/// # Errors
/// [`UpgradeError::Refused`] with every reason, and what the cluster's API or the engine says.
pub async fn plan_upgrade(
    clusters: &Clusters,
    cluster: &Cluster,
    options: &UpgradeOptions,
) -> Result<UpgradePlan, UpgradeError> {
    Looked::at(clusters, cluster, options, None).await.map(|l| l.plan)
}

/// Builds or pulls what every hop of an upgrade needs. What is there already costs nothing: called before
/// workloads and probes start, it keeps compilers away from them.
///
/// # Errors
/// As [`plan_upgrade`], and what the image profile says.
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

/// Upgrades a cluster in place. The caller has an exclusive lease on it, one of
/// [`Clusters::to_upgrade`] where an earlier upgrade was interrupted.
///
/// What an earlier call has done is not done again: this is also how to go on.
///
/// # Errors
/// As [`Upgrade::hop`]. The journal says what stands.
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
    // A step that is done already is no step of the plan: that one is not stopped after, then.
    let stop = match &options.stop_after {
        Some(name) => {
            Some(looked.plan.stop_after(name, &control_planes).map_err(|why| UpgradeError::NoStop { why })?)
        }
        None => None,
    };
    let from = looked.plan.from;
    while let Some(hop) = looked.plan.hops.first() {
        let (version, known) = (hop.to.to_string(), hop.etcd.is_some() && hop.coredns.is_some());
        let context = clusters.images(Deadline::after(BUILD));
        let artefacts = image::artefacts(&context, &profile, &version).await?;
        if !known {
            // Its kubeadm has said by now which etcd and CoreDNS it names: they are checked as well
            // before anything is touched.
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
        // The checks of the next hop are made from what runs now.
        looked = Looked::at(clusters, cluster, options, None).await?;
    }
    finished(&cluster.dir, looked.plan.to)?;
    let state = super::state(&client).await?;
    Ok(Upgraded { from, to: looked.plan.to, ending: Ending::Complete, state })
}

/// Writes down what the cluster is now, and what the plan of the upgrade says of that where one was carried
/// out.
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

/// Writes down the end of an upgrade. One that was interrupted in its last steps has no hop left: what its plan says of
/// the versions is in the journal then.
fn finished(dir: &Path, version: Version) -> Result<(), UpgradeError> {
    let entry = JournalEntry::read(dir).and_then(Result::ok);
    note(dir, version, entry.and_then(|entry| entry.planned).as_ref())?;
    Journal::close(dir)
}

/// Waits for what an interrupted upgrade left running, and brings its control plane back.
async fn mend(cluster: &Cluster, progress: &Progress) -> Result<(), UpgradeError> {
    let entry = match JournalEntry::read(&cluster.dir) {
        None => return Ok(()),
        Some(Ok(entry)) => entry,
        Some(Err(why)) => {
            let what = format!("the journal of the upgrade of {}", cluster.name);
            return Err(UpgradeError::Strange { what, why });
        }
    };
    progress.say(&format!("{}: {entry}; going on", cluster.name));
    if entry.safe {
        return Ok(());
    }
    let client = cluster.client().await.map_err(lost)?;
    let task = format!("mend {}", cluster.name);
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
    /// `taken` is what has come for the next hop meanwhile.
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
        // An upgrade that is gone on with leads where it was to lead: what is noted of the cluster may
        // be its end already.
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

/// The version that is meant by what was asked.
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
        // What there is not is refused by the plan, with what there is.
        assert_eq!(named("1.36").as_deref(), Ok("1.36.0"));
        // Where there is a release, a candidate is named by its whole name only.
        assert_eq!(named("1.37").as_deref(), Ok("1.37.0-rc.1"));
        assert_eq!(named("1.35.5-rc.0").as_deref(), Ok("1.35.5-rc.0"));
        assert!(named("soon").is_err());
    }

    /// A cluster's folder with its record, as a creation leaves it.
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

    /// Killed after each write of the journal, in the order in which a hop writes: the next one who
    /// asks is told the step, unless the cluster may be left as it is.
    #[test]
    fn a_journal_that_ends_anywhere_says_what_stands() {
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
                // Each writer is killed after one write; the next one takes the journal over.
                let journal = Journal::begin(&cluster_dir, from, to, to, EtcdPolicy::Upgrade).unwrap();
                write(&journal, title).unwrap();
                drop(journal);
                let refused = usable(&settings, "c").err().map(|e| e.to_string());
                match (*kind, refused) {
                    ("safe", refused) => assert_eq!(refused, None, "{title}"),
                    (_, None) => panic!("given away in the middle of `{title}`"),
                    (_, Some(text)) => assert!(text.contains(&format!("`{title}`")), "{title}: {text}"),
                }
            }
        }
        Journal::close(&cluster_dir).unwrap();
        assert!(usable(&settings, "c").is_ok());
    }

    /// Nothing is left to be done but to say so: the plan is the journal's, not that of an upgrade before.
    #[test]
    fn an_upgrade_that_broke_off_in_its_last_step_leaves_its_plan() {
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

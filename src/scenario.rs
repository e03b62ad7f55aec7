//! A scenario: one story on one leased cluster, in its own namespace, with its evidence. The scope function owns the
//! preparation, the story, the evidence, the healing and the release. It is the only module that knows all these
//! parts.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::chain::chain;
use crate::client::Client;
use crate::cluster::{self, Access, Cluster, ClusterSpec, Clusters, Lease, LoadBalancer, TopologySource};
use crate::deadline::Deadline;
use crate::diagnostics::{self, LogStreams, Scene};
use crate::event::{Event, EventLog, Scope};
use crate::fault::IntentLog;
use crate::image::ImageSet;
use crate::judge::fact::JsonOf;
use crate::judge::upgrade::Budgets;
#[cfg(feature = "suites")]
use crate::judge::upgrade::facts::VERSIONS;
use crate::judge::{Claim, Conclusion, Fact};
use crate::manifest::{self, Applied, Manifest, RUN_LABEL, TestNamespace};
use crate::probe::Recorder;
use crate::run::Run;
use crate::stack::with_room;
#[cfg(feature = "suites")]
use crate::upgrade;

mod active_fault;
pub(crate) mod control;
mod error;
mod folder;
mod keep;
mod kept;
mod left;
mod prove;

pub use active_fault::ActiveFault;
pub use error::ScenarioError;
pub(crate) use keep::Stopped;

/// Any error of a story. `?` converts every error of the library into it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Time for the end of a scope: evidence, healing, deletion of the namespace.
const WAY_OUT: Duration = Duration::from_secs(180);

/// The needs of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Its name, unique within the run.
    pub name: &'static str,
    /// The claims that it proves: built-in claims and its own.
    pub claims: &'static [&'static Claim],
    /// Whether it breaks nodes (exclusive) or stays in its namespace (shared).
    pub access: Access,
    /// The topology of its cluster.
    pub topology: &'static TopologySource,
    /// Separates its cluster from the shared ones, as [`ClusterSpec::cluster_suffix`]: for a story that changes the
    /// cluster. Such a suite runs only when it is named.
    pub cluster_suffix: Option<&'static str>,
    /// Time for the story, without the creation of the cluster and the end of the scope.
    pub budget: Duration,
}

impl Needs {
    /// Returns the needs of a story that proves these claims: exclusive access to a cluster of topology
    /// [`THREE`](crate::cluster::THREE) that other suites reuse, and 10 minutes.
    pub const fn new(name: &'static str, claims: &'static [&'static Claim]) -> Self {
        Self {
            name,
            claims,
            access: Access::Exclusive,
            topology: &cluster::THREE,
            cluster_suffix: None,
            budget: Duration::from_secs(600),
        }
    }
}

/// The context of a story.
#[derive(Debug)]
pub struct Scenario {
    /// The leased cluster.
    pub cluster: Cluster,
    /// Clients of its API.
    pub client: Client,
    /// The namespace of this scenario.
    pub namespace: String,
    /// The event log, scoped to this scenario.
    pub log: EventLog,
    /// The images that run.
    pub images: ImageSet,
    /// Records changes of the namespace's objects, of nodes and of volumes.
    pub recorder: Recorder,
    /// The outage budgets for the steps of an upgrade.
    pub budgets: Budgets,
    /// The clusters of the run, with its settings and its progress display.
    pub clusters: Clusters,
    /// Whether the story stops when a claim fails, and everything stays as it is.
    pub(crate) keep_on_failure: bool,
    logs: LogStreams,
    control: Option<control::Control>,
    suffix: String,
    deadline: Deadline,
    intents: IntentLog,
    judged: Mutex<BTreeMap<String, Conclusion>>,
    left: Mutex<Vec<String>>,
    folders: Mutex<Vec<folder::Claimed>>,
    /// Namespaces of the story besides its own.
    others: Mutex<Vec<String>>,
    began: Instant,
}

/// Runs `body` on a leased cluster.
///
/// # Guarantees
/// However `body` ends (value, error, panic, timeout, interrupt), this happens before the function returns, in this
/// order: evidence is collected if the story did not pass, every fault is healed, the namespace is deleted, the lease
/// is released. After SIGKILL, the next lease or `seatrial reap` heals, and the next scenario with exclusive access
/// deletes the namespace. A namespace that cannot be deleted is named in the report with the reason, and changes no
/// verdict.
///
/// # Errors
/// The first [`ScenarioError`]. Claims are judged even if the story ended with an error: claims that it did not reach
/// or never proved are inconclusive.
pub async fn scenario(
    run: &Run,
    needs: Needs,
    body: impl AsyncFnOnce(&Scenario) -> Result<(), Failure>,
) -> Result<(), ScenarioError> {
    scenario_of(run, (needs, None), needs.claims, body).await
}

/// As [`scenario`], for a story that proves `claims` in place of those of its needs, and has a name for what is on trial.
pub(crate) async fn scenario_of(
    run: &Run,
    (needs, title): (Needs, Option<&str>),
    claims: &[&'static Claim],
    body: impl AsyncFnOnce(&Scenario) -> Result<(), Failure>,
) -> Result<(), ScenarioError> {
    with_room(whole(run, (needs, title), claims, body)).await
}

async fn whole(
    run: &Run,
    (needs, title): (Needs, Option<&str>),
    claims: &[&'static Claim],
    body: impl AsyncFnOnce(&Scenario) -> Result<(), Failure>,
) -> Result<(), ScenarioError> {
    let log = run.log.scoped(Scope { scenario: Some(needs.name.into()), ..Scope::default() });
    let (ids, title) = (claims.iter().map(|c| c.id.into()).collect(), title.map(str::to_owned));
    log.append(Event::ScenarioStarted { claims: ids, title });
    let (result, left) = match begin(run, &needs, &log).await {
        Ok(ready) => {
            let story = tell(run, needs.name, &ready.scenario, body).await;
            end(run, needs.name, ready, story).await
        }
        Err(stop) => (Err(stop.named(needs.name)), Vec::new()),
    };
    record_end(run, &log, (needs.name, claims), (result, left))
}

/// Prepares the story. Boxed, as [`end`] is: a user's crate compiles [`whole`] with its own story, and only with that.
fn begin<'a>(run: &'a Run, needs: &'a Needs, log: &'a EventLog) -> BoxFuture<'a, Result<Ready, Stop>> {
    let begun = async move {
        tokio::select! {
            prepared = prepare(run, needs, log) => prepared,
            () = run.cancel.cancelled() => {
                remove_half(run).await;
                Err(Stop::Interrupted)
            }
        }
    };
    begun.boxed()
}

/// Removes what an interrupted creation left: half a cluster that now has no owner.
async fn remove_half(run: &Run) {
    let removed = run.clusters.remove_incomplete();
    let said = match Deadline::after(WAY_OUT).bound(removed).await {
        Ok(Ok(_)) => {
            "interrupted before the story began: `seatrial reap` removes leftovers from its cluster".into()
        }
        Ok(Err(error)) => format!("cleanup failed: {}: `seatrial reap` removes the rest", chain(&error)),
        Err(late) => format!("cleanup {late}: `seatrial reap` removes the rest"),
    };
    run.clusters.progress.say(&said);
}

/// Records how a scenario ended, and the claims that it did not reach.
fn record_end(
    run: &Run,
    log: &EventLog,
    (name, claims): (&str, &[&'static Claim]),
    (result, left): (Result<(), ScenarioError>, Vec<String>),
) -> Result<(), ScenarioError> {
    for text in &left {
        run.clusters.progress.say(&format!("left behind by {name}: {text}"));
    }
    let missing = unjudged(log, claims);
    let result = match result {
        Ok(()) if !missing.is_empty() => {
            let claims = missing.iter().map(|claim| format!("{} was not proved", claim.id)).collect();
            Err(ScenarioError::Claims { name: name.into(), claims })
        }
        result => result,
    };
    for claim in missing {
        let why = result.as_ref().err().map_or("the story ended before this claim".into(), why);
        log.append(unreached(claim, &why));
    }
    // Claims and leftovers are recorded separately: `error` contains only the error that ended the story.
    let broke = |e: &&ScenarioError| !matches!(e, ScenarioError::Claims { .. } | ScenarioError::Clean { .. });
    log.append(Event::ScenarioEnded { error: result.as_ref().err().filter(broke).map(|e| chain(e)), left });
    log.leave_out_late();
    let written = log.check().map_err(|e| ScenarioError::Clean { name: name.into(), source: e.into() });
    result.and(written)
}

/// The verdict on a claim that the story did not reach.
fn unreached(claim: &Claim, why: &str) -> Event {
    Event::ClaimJudged {
        claim: claim.id.into(),
        title: Some(claim.title.into()),
        verdict: Conclusion::Inconclusive,
        evidence: format!("not reached: {why}"),
        details: Vec::new(),
        took: None,
        budget: None,
        reached: Some(false),
        seen: None,
    }
}

/// Returns why a claim was not reached: of claims that did not pass, those about single subjects are left out.
fn why(error: &ScenarioError) -> String {
    match error {
        ScenarioError::Claims { claims, .. } if claims.iter().any(|claim| !claim.contains('/')) => {
            let whole: Vec<&str> = claims.iter().map(String::as_str).filter(|c| !c.contains('/')).collect();
            whole.join(", ")
        }
        error => chain(error),
    }
}

/// Why the story did not begin. The scenario's name is added later.
enum Stop {
    Failed(Failure),
    Interrupted,
}

impl Stop {
    fn named(self, name: &str) -> ScenarioError {
        let name = name.to_owned();
        match self {
            Self::Failed(source) => ScenarioError::Prepare { name, source },
            Self::Interrupted => ScenarioError::Interrupted { name },
        }
    }
}

struct Ready {
    lease: Lease,
    scenario: Scenario,
    namespace: TestNamespace,
}

async fn prepare(run: &Run, needs: &Needs, log: &EventLog) -> Result<Ready, Stop> {
    prepared(run, needs, log).await.map_err(Stop::Failed)
}

async fn prepared(run: &Run, needs: &Needs, log: &EventLog) -> Result<Ready, Failure> {
    let topology = match &run.topology {
        Some(topology) => topology.clone(),
        None => needs.topology.read()?,
    };
    let spec = ClusterSpec {
        topology,
        images: run.images.clone(),
        cluster_suffix: needs.cluster_suffix.map(Into::into),
    };
    let holder = format!("{} of run {}", needs.name, run.log.run());
    let patience = Deadline::after(run.patience);
    let (clusters, access) = (run.clusters.held_by(holder), needs.access);
    let lease = match &run.cluster {
        Some(name) => clusters.existing(name, access, patience).await?,
        None => clusters.acquire(&spec, access, patience).await?,
    };
    let cluster = lease.cluster.clone();
    let client = cluster.client().await?;
    if access == Access::Exclusive {
        left::by_earlier_stories(&lease, &client, log, &clusters.progress).await?;
    }
    let labels = BTreeMap::from([(RUN_LABEL.to_owned(), run.log.run().to_owned())]);
    let stem = format!("seatrial-{}-", needs.name);
    let namespace = TestNamespace::create(&client, &stem, &labels, Deadline::after(WAY_OUT)).await?;
    match set_up(run, needs, &lease, &client, &namespace).await {
        Ok(scenario) => Ok(Ready { lease, scenario, namespace }),
        Err(error) => {
            // Return the first error, not an error of the deletion.
            let _ = namespace.delete(&client, Deadline::after(WAY_OUT)).await;
            Err(error)
        }
    }
}

/// Records the cluster of the story, and starts to record what happens there.
async fn set_up(
    run: &Run,
    needs: &Needs,
    lease: &Lease,
    client: &Client,
    namespace: &TestNamespace,
) -> Result<Scenario, Failure> {
    let cluster = lease.cluster.clone();
    let log = run.log.scoped(Scope {
        scenario: Some(needs.name.into()),
        cluster: Some(cluster.name.clone()),
        namespace: Some(namespace.name.clone()),
    });
    record_cluster(&log, lease, client).await?;
    let recorder = Recorder::start(client, &namespace.name, &log).await?;
    let intents = lease.intents()?;
    // Store the logs in a separate folder until the story has ended: a bundle takes the logs that it needs, and a
    // killed process leaves them there.
    let streamed = log.dir().join("streamed").join(&namespace.name);
    let logs = LogStreams::start(client, &[&namespace.name], &log.secrets(), &streamed);
    let suffix = namespace.name.rsplit('-').next().unwrap_or_default().to_owned();
    let control =
        control::Control::start(&run.clusters.settings, &cluster, &log, &suffix, needs.budget).await;
    Ok(Scenario {
        intents,
        namespace: namespace.name.clone(),
        images: run.images.clone(),
        budgets: run
            .budgets
            .clone()
            .unwrap_or_else(|| Budgets::of_control_planes(cluster.control_planes().count())),
        clusters: run.clusters.clone(),
        keep_on_failure: run.keep_on_failure,
        deadline: Deadline::after(needs.budget),
        judged: Mutex::default(),
        left: Mutex::default(),
        folders: Mutex::default(),
        others: Mutex::default(),
        began: Instant::now(),
        cluster,
        client: client.clone(),
        log,
        recorder,
        logs,
        control,
        suffix,
    })
}

/// Records the cluster of a scenario, and the image that runs in place of the load balancer's image.
#[cfg_attr(
    not(feature = "suites"),
    expect(unused_variables, reason = "only upgraded clusters need the client")
)]
async fn record_cluster(log: &EventLog, lease: &Lease, client: &Client) -> Result<(), Failure> {
    let cluster = &lease.cluster;
    log.append(Event::ClusterReady {
        reused: lease.reused,
        took: lease.took.as_secs_f64(),
        topology: cluster.topology.name().into(),
        kubernetes: cluster.kubernetes.clone(),
        image: cluster.image.clone(),
        nodes: cluster.nodes.iter().map(|n| n.name.clone()).collect(),
    });
    #[cfg(feature = "suites")]
    if cluster::origin(cluster).is_some() {
        // The versions of an upgraded cluster: the claims of this scenario hold for them.
        log.append(VERSIONS.observed(&upgrade::state(client).await?));
    }
    if let Some(LoadBalancer { substitute: Some(it), .. }) = &cluster.load_balancer {
        log.append(Event::Substituted {
            from: it.stands_for.clone(),
            to: it.image.clone(),
            built_from: it.built_from.clone(),
        });
    }
    Ok(())
}

/// Runs the story itself until it ends, in whatever way.
async fn tell(
    run: &Run,
    name: &str,
    scenario: &Scenario,
    body: impl AsyncFnOnce(&Scenario) -> Result<(), Failure>,
) -> Result<(), ScenarioError> {
    let story = AssertUnwindSafe(scenario.deadline.bound(body(scenario))).catch_unwind();
    let ended = tokio::select! {
        ended = story => ended,
        () = run.cancel.cancelled() => return Err(ScenarioError::Interrupted { name: name.into() }),
    };
    let failed = |source: Failure| ScenarioError::Story { name: name.into(), source };
    match ended {
        Ok(Ok(Ok(()))) => scenario.verdict(name),
        Ok(Ok(Err(source))) => Err(failed(source)),
        Ok(Err(late)) => Err(failed(format!("the story was {late}").into())),
        Err(panic) => Err(failed(format!("panicked: {}", panic_text(&*panic)).into())),
    }
}

/// Collects the evidence, heals, deletes the namespace and releases the lease.
fn end<'a>(
    run: &'a Run,
    name: &'a str,
    ready: Ready,
    story: Result<(), ScenarioError>,
) -> BoxFuture<'a, (Result<(), ScenarioError>, Vec<String>)> {
    ended(run, name, ready, story).boxed()
}

async fn ended(
    run: &Run,
    name: &str,
    ready: Ready,
    story: Result<(), ScenarioError>,
) -> (Result<(), ScenarioError>, Vec<String>) {
    let Ready { lease, scenario, namespace } = ready;
    let way_out = Deadline::after(WAY_OUT);
    if story.is_err() {
        let mut to = run.log.dir().join("bundle").join(name);
        if to.exists() {
            // A bundle of the same story exists, from another version or an earlier call: keep both.
            to.set_file_name(&scenario.namespace);
        }
        let scene = Scene {
            cluster: &scenario.cluster,
            client: &scenario.client,
            namespaces: &scenario.namespaces(),
            streams: Some(&scenario.logs),
            deadline: way_out.at_most(Duration::from_secs(60)),
        };
        diagnostics::collect(&run.collectors, &scene, &run.log.secrets(), &to).await;
        run.clusters.progress.say(&format!("evidence of {name} kept in {}", to.display()));
    }
    if run.keep_on_failure && matches!(story, Err(ScenarioError::Story { .. })) {
        let kept = keep::keep(scenario, lease, run.cluster.is_some()).await;
        return (story, kept.err().map(|error| chain(&*error)).into_iter().collect());
    }
    let (left, clean) = left::by_this_story(scenario, lease, namespace, way_out).await;
    (story.and(clean.map_err(|source| ScenarioError::Clean { name: name.into(), source })), left)
}

impl Scenario {
    /// Records a fact for all claims that read it. `metadata.managedFields` of objects and recognised secrets are
    /// left out.
    pub fn observe<T>(&self, fact: &Fact<T>, value: &(impl JsonOf<T> + ?Sized)) {
        self.log.append(fact.observed(value));
    }

    /// Records a moment that judges refer to.
    pub fn mark(&self, mark: &str) {
        self.log.append(Event::Marked { mark: mark.into() });
    }

    /// Records a note for the report.
    pub fn note(&self, text: impl Into<String>) {
        self.log.append(Event::Noted { text: text.into() });
    }

    /// Records that the story could not remove something. The report shows the text on its own line; no claim and no
    /// verdict depends on it.
    pub fn leaves(&self, text: impl Into<String>) {
        self.left.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(text.into());
    }

    /// Runs a step of the story within its budget and records how long it took.
    ///
    /// # Errors
    /// The step's own error, or a timeout of its budget.
    pub async fn step<T>(
        &self,
        name: &str,
        budget: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.log.append(Event::StepStarted { step: name.into() });
        let began = Instant::now();
        let result = match self.deadline.at_most(budget).bound(work).await {
            Ok(result) => result,
            Err(late) => Err(late.into()),
        };
        self.log.append(Event::StepEnded {
            step: name.into(),
            took: began.elapsed().as_secs_f64(),
            budget: Some(budget.as_secs_f64()),
            error: result.as_ref().err().map(|e| chain(&**e)),
        });
        result.map_err(|source| StepError { step: name.into(), source }.into())
    }

    /// Returns the deadline of the whole story.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Returns the suffix of the names of cluster-scoped objects, which is unique to this scenario.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// Returns the time since the story began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Reads a manifest, substitutes its images and scopes it to this scenario's namespace.
    ///
    /// # Errors
    /// An invalid manifest.
    pub fn manifest(&self, file: &str, text: &str) -> Result<Manifest, Failure> {
        let mut manifest = Manifest::read(file, text)?;
        manifest.substitute_images(&self.images.substitutions());
        self.scoped(manifest)
    }

    /// Scopes a manifest to this scenario's namespace. Its images stay.
    ///
    /// # Errors
    /// Those of [`Manifest::scope_to_namespace`].
    pub fn scoped(&self, mut manifest: Manifest) -> Result<Manifest, Failure> {
        self.learn_secrets(&manifest);
        let labels = BTreeMap::from([("dev.seatrial.scenario".to_owned(), self.namespace.clone())]);
        let scoped = manifest.scope_to_namespace(&self.namespace, &self.suffix, &labels)?;
        scoped.defaults.iter().for_each(|class| {
            self.note(format!(
                "{class}: it is the default class for the claims of the manifest only, not of the cluster"
            ));
        });
        // Notes about references to objects outside the scenario, and about images that the profile's registry lacks.
        scoped.foreign.iter().for_each(|reference| self.note(reference.to_string()));
        manifest.images_of_custom_resources().iter().for_each(|image| self.note(image.to_string()));
        Ok(manifest)
    }

    /// Applies a manifest, and records notes about the result.
    ///
    /// # Errors
    /// Those of [`manifest::apply`].
    pub fn apply<'a>(
        &'a self,
        manifest: &'a Manifest,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Applied>, Failure>> {
        let work = async move {
            let applied = manifest::apply(&self.client, manifest, deadline).await?;
            applied.iter().flat_map(Applied::notes).for_each(|text| self.note(text));
            Ok(applied)
        };
        work.boxed()
    }
}

/// A step of a story failed.
#[derive(Debug, thiserror::Error)]
#[error("step `{step}` failed")]
struct StepError {
    step: String,
    #[source]
    source: Failure,
}

/// Returns the claims of a scenario that were not judged.
fn unjudged(log: &EventLog, claims: &[&'static Claim]) -> Vec<&'static Claim> {
    let mut left = claims.to_vec();
    log.each(|record| {
        if let Event::ClaimJudged { claim, .. } = &record.event {
            left.retain(|one| one.id != claim);
        }
    });
    left
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

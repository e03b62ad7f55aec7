//! A7: changing the image replaces every pod under a new name, and the service stays available.
//!
//! Marks: `image-change` just before the patch, `image-changed` when the rollout is complete and the endpoints are
//! those of the new pods, `image-settled` when the new version has answered for a while. History: changes of
//! Deployments and Pods (with interruptions of their watches), samples of the probe `http`, from `image-change` to
//! `image-settled`.
//!
//! A request through the Service may fail although enough pods are available all the time: a deleted pod stops
//! listening at once, while the nodes' rules still lead to it for a moment. The manifest has no `preStop` pause that
//! would cover this time, so such a request does not fail the claim. The request must have begun within [`LAG`] of a
//! pod's deletion, the report counts it, and the service may never be without an answer for longer than [`OUTAGE`].
//! After that lag, a failed request fails the claim if the machine was healthy, and makes it inconclusive if the
//! machine starved. If the state of the machine is unknown, the claim is inconclusive up to
//! [`LATE`](crate::judge::availability::LATE).

use super::facts::{self, Image, Images};
use super::{
    LABEL, REPLICAS, REVISION, check_before, check_complete, check_pods, check_progress_names, check_set,
    is_owned,
};
use crate::event::Outcome;
use crate::judge::availability::{
    Ending, Excuse, LAG, Limits, Sample, Window, excuse, fewest, is_of_series, labelled, outages,
};
use crate::judge::identity::{Comparison, Identity, check_distinct, distinct, pod_names};
use crate::judge::lost::Touched;
use crate::judge::object::{Object, names};
use crate::judge::watched::Gap;
use crate::judge::{Evidence, Finding, Holds, Missing};

/// The probe that asks through the Service.
pub const PROBE: &str = "http";
/// Minimum of samples during the change: fewer prove little.
pub const SAMPLES: usize = 10;
/// Longest time without an answer, in seconds. While the rules still lead to a deleted pod, every second request may be
/// refused, or given up after a second; up to 2.9 s without an answer were seen on a busy machine.
pub const OUTAGE: f64 = 5.0;
/// Seconds for which one pod above the limit may exist: two ReplicaSets follow their Deployment independently.
const MOMENT: f64 = 1.0;
/// Seconds between two samples above which the service counts as not watched.
pub(super) const BLIND: f64 = 2.0;

/// A7.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let deployment = Object::observed(evidence, &facts::DEPLOYMENT_CHANGED)?;
    let pods = Object::list(evidence, &facts::PODS_CHANGED)?;
    let images: Images = evidence.fact(&facts::IMAGES)?;
    let old = Identity::observed(evidence, &facts::PODS_BEFORE_CHANGE)?;
    let new: Vec<_> = pods.iter().map(Identity::of).collect();
    check_complete(finding, &deployment, REPLICAS);
    check_pods(finding, &pods, REPLICAS);
    check_renamed(finding, &old, &new);
    check_images(finding, &old, &new, &images);
    finding.part(|f| check_sets(f, evidence, &deployment, (&old, &new)));
    finding.part(|f| check_endpoints(f, evidence, &new));
    // The history of pods explains failed requests; without it no request can be excused.
    let seen = finding.part(|f| {
        let window = Window::between(evidence, "image-change", "image-settled")?;
        window.check_clocks(f);
        let gaps = window.gaps(&["Deployment", "Pod", "ReplicaSet"]);
        let least = f.watched(&gaps, |f| check_history(f, &window, &deployment, &new))?;
        Ok((least, check_answers(f, evidence, &images, &gaps)?))
    });
    let (least, (met, answers)) = seen.unwrap_or_default();
    let renamed = format!("{} -> {}", pod_names(&old), pod_names(&new));
    // The excused requests come first, because a terminal cuts the line.
    finding.summary(format!("{met}; {renamed}, revision 2; {least}; {answers}"));
    Ok(())
}

fn check_renamed(finding: &mut Finding, old: &[Identity], new: &[Identity]) {
    check_before(finding, old, REPLICAS);
    check_distinct(finding, new);
    Comparison::of(old, new).check_renamed(finding);
}

/// Checks the images. A name does not prove what runs: the image that the node reports must differ too.
fn check_images(finding: &mut Finding, old: &[Identity], new: &[Identity], images: &Images) {
    for (pods, image) in [(old, &images.old), (new, &images.new)] {
        for pod in pods {
            finding.check(
                pod.image == image.reference,
                format!("pod {} asks for {}, expected {}", pod.name, pod.image, image.reference),
            );
        }
    }
    let (was, is) = (distinct(old, |p| &p.image_id), distinct(new, |p| &p.image_id));
    if was.iter().chain(&is).any(|id| id.is_empty()) {
        finding.unsure("a node did not report the image that a pod runs (imageID)");
    }
    let shared: Vec<_> = is.iter().filter(|id| was.contains(id)).collect();
    finding.check(shared.is_empty(), format!("images run both before and after: {}", names(&shared)));
    finding.check(
        was.len() == 1 && is.len() == 1,
        format!("one image before ({}) and one after ({})", was.join(", "), is.join(", ")),
    );
}

fn check_sets(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    deployment: &Object<'_>,
    (old, new): (&[Identity], &[Identity]),
) -> Result<(), Missing> {
    let before = Object::observed(evidence, &facts::DEPLOYMENT_BEFORE_CHANGE)?;
    let sets_before = Object::list(evidence, &facts::REPLICA_SETS_BEFORE_CHANGE)?;
    let sets = Object::list(evidence, &facts::REPLICA_SETS_CHANGED)?;
    finding.check(before.uid() == deployment.uid(), format!("Deployment {} is the same", deployment.name()));
    let revisions = [&before, deployment].map(|d| d.annotation(REVISION).unwrap_or("absent"));
    finding.check(revisions == ["1", "2"], format!("revision {} -> {}", revisions[0], revisions[1]));
    let owned: Vec<_> = sets.iter().filter(|s| is_owned(s, deployment)).collect();
    finding.check(owned.len() == 2, format!("{} ReplicaSets, the old one kept", owned.len()));
    let of = |pods: &[Identity]| {
        let hash = pods.first().map(|p| p.hash.as_str());
        owned.iter().find(|s| s.label(super::HASH).is_some() && s.label(super::HASH) == hash).copied()
    };
    match of(old) {
        Some(set) => {
            check_set(finding, set, 0);
            let kept = sets_before.iter().any(|s| s.uid() == set.uid());
            finding.check(kept, format!("ReplicaSet {} is the one of before", set.name()));
        }
        None => _ = finding.check(false, "the old ReplicaSet is gone"),
    }
    match of(new) {
        Some(set) => {
            check_set(finding, set, REPLICAS);
            check_progress_names(finding, deployment, set.name());
            let revision = set.annotation(REVISION).unwrap_or("absent");
            finding.check(revision == "2", format!("ReplicaSet {} has revision {revision} of 2", set.name()));
        }
        None => _ = finding.check(false, "no ReplicaSet has the new pods' hash"),
    }
    Ok(())
}

/// Checks that no old pod still serves: the Service's endpoints are exactly the new pods.
fn check_endpoints(finding: &mut Finding, evidence: &Evidence<'_>, new: &[Identity]) -> Result<(), Missing> {
    let slices = Object::list(evidence, &facts::ENDPOINT_SLICES)?;
    let span = slices.first().map_or((f64::NEG_INFINITY, f64::INFINITY), Object::span);
    let mut serving = Vec::new();
    for endpoint in slices.iter().flat_map(|s| s.entries("/endpoints")) {
        // An absent condition means ready. A terminating endpoint may still serve, so it counts too.
        let conditions = &endpoint["conditions"];
        if conditions["ready"] != false || conditions["serving"] == true {
            let text = |field: &str| endpoint["targetRef"][field].as_str().unwrap_or("unknown");
            serving.push((text("uid"), text("name")));
        }
    }
    for pod in new {
        let found = serving.iter().any(|(uid, _)| *uid == pod.uid);
        let ready = Holds::or(found, [Touched::pod(&pod.node, &pod.uid, span)]);
        finding.check(ready, format!("endpoint of {} is ready: {found}", pod.name));
    }
    for (uid, name) in serving {
        let ours = new.iter().any(|p| p.uid == uid);
        finding.check(ours, format!("endpoint {name} is one of the new pods: {ours}"));
    }
    Ok(())
}

/// Counts pods at every recorded moment of the change, and reads the Deployment's status.
fn check_history(
    finding: &mut Finding,
    window: &Window<'_>,
    deployment: &Object<'_>,
    new: &[Identity],
) -> Result<String, Missing> {
    let limits = Limits::of(deployment)?;
    let states = window.states(deployment.uid());
    let ready = window.counts("Pod", labelled(LABEL), Object::is_ready);
    let asked = window.sums("ReplicaSet", labelled(LABEL), |set| set.number("/spec/replicas"));
    // A single state is the state at the beginning: no change was watched.
    for (seen, what) in
        [(states.len(), "the Deployment"), (ready.len(), "a pod"), (asked.len(), "a ReplicaSet")]
    {
        if seen < 2 {
            return Err(Missing(format!("no change of {what} was recorded during the change")));
        }
    }
    for pod in new {
        let seen = window.states(&pod.uid).iter().any(Object::is_ready);
        if !seen {
            finding.unsure(format!("the history ends before pod {} was seen ready", pod.name));
        }
    }
    let available: Vec<_> =
        states.iter().map(|d| (d.span().0, d.number("/status/availableReplicas"))).collect();
    let (least_available, enough_available) = fewest(&available, limits.least);
    let (least_ready, enough_ready) = fewest(&ready, limits.least);
    let most_asked = most(&asked);
    let at_least = format!("at least {} allowed", limits.least);
    let at_most = format!("at most {} allowed", limits.most);
    finding.check(
        enough_available,
        format!(
            "fewest available, by {} states of the Deployment: {least_available}, {at_least}",
            states.len()
        ),
    );
    // maxSurge limits what the ReplicaSets request. Each ReplicaSet acts on its own, so a pod of one may be created a
    // moment before a pod of the other is deleted. The Deployment's status.replicas sums up their statuses, which may
    // be a moment old, and proves nothing here. Source: `NewRSNewReplicas` in Kubernetes'
    // pkg/controller/deployment/util.
    finding.check(
        most_asked <= limits.most,
        format!("most pods asked for, by {} changes of ReplicaSets: {most_asked}, {at_most}", asked.len()),
    );
    finding.check(
        enough_ready,
        format!("fewest ready, by {} changes of pods: {least_ready}, {at_least}", ready.len()),
    );
    let most_living = check_most_living(finding, window, limits.most);
    Ok(format!(
        "never fewer than {} available, never more than {} there",
        least_available.min(least_ready),
        most_asked.max(most_living)
    ))
}

/// Checks that more pods than the limit lived for no longer than [`MOMENT`]. Returns the largest number of living pods.
fn check_most_living(finding: &mut Finding, window: &Window<'_>, limit: i64) -> i64 {
    let living = |pod: &Object<'_>| {
        !pod.is_terminating() && !matches!(pod.text("/status/phase"), Some("Succeeded" | "Failed"))
    };
    let total = window.sums("Pod", labelled(LABEL), |pod| i64::from(living(pod)));
    let above = window.above(&total, limit);
    let longest =
        |length: &dyn Fn(f64, f64) -> f64| above.iter().map(|t| length(t.0, t.1)).fold(0.0, f64::max);
    let fed = longest(&|from, to| finding.machine.fed(from, to, to - from));
    let above = longest(&|from, to| to - from);
    let most = most(&total);
    finding.check_unless_starved(
        above <= MOMENT,
        fed <= MOMENT,
        format!("most pods at a time: {most}, at most {limit} allowed, above it for {above:.1} s"),
    );
    most
}

/// Returns the largest of some numbers with their seconds; 0 if there are no numbers.
fn most(sums: &[(f64, i64)]) -> i64 {
    sums.iter().map(|s| s.1).max().unwrap_or_default()
}

/// Checks the requests of a client that asked through the Service all the time. Returns words for the summary: on the
/// requests that met a deleted pod, and on the answers.
fn check_answers(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    images: &Images,
    gaps: &[Gap<'_>],
) -> Result<(String, String), Missing> {
    let window = Window::between(evidence, "image-change", "image-settled")?;
    let samples = window.samples(PROBE);
    if samples.len() < SAMPLES {
        return Err(Missing(format!(
            "{} samples of `{PROBE}` during the change, need {SAMPLES}",
            samples.len()
        )));
    }
    let endings = window.endings(|_, pod| labelled(LABEL)(pod) && pod.is_terminating());
    let met = check_failed_requests(finding, &samples, &endings, gaps);
    let outage = check_outage(finding, &samples);
    let (began, ended) = check_versions(finding, &samples, images);
    check_answers_after(finding, evidence, images)?;
    Ok((
        format!("{met} of {} requests met a pod that was ending", samples.len()),
        format!("nginx {began} -> {ended} through the Service, longest outage {outage:.2} s"),
    ))
}

/// Checks that something excuses each failed request. Returns the number of requests that met a deleted pod.
fn check_failed_requests(
    finding: &mut Finding,
    samples: &[Sample<'_>],
    endings: &[Ending<'_>],
    gaps: &[Gap<'_>],
) -> usize {
    let (mut explained, mut open, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for sample in samples.iter().filter(|s| s.outcome != Outcome::Acknowledged) {
        match excuse(&finding.machine, endings, sample) {
            Excuse::Ending => explained.push(sample),
            Excuse::Machine(why) => open.push((sample, why)),
            Excuse::None => failed.push(sample),
        }
    }
    let first = failed.first().map(|s| format!(", the first: {}", s.detail)).unwrap_or_default();
    // The recorder may have missed the deletion that would excuse a request.
    finding.watched(gaps, |finding| {
        let (failed, all) = (failed.len(), samples.len());
        let what = format!("{failed} of {all} requests through the Service failed for no reason{first}");
        finding.check(failed == 0, what);
    });
    if let Some((sample, why)) = open.first() {
        finding.unsure(format!(
            "{} of {} requests failed later than {LAG} s after a pod's deletion, and {why}, the first: {}",
            open.len(),
            samples.len(),
            sample.detail
        ));
    }
    let met = match explained.first() {
        None => "every request was answered".into(),
        Some(sample) => format!(
            "{} requests met a pod that was ending (no preStop pause), the first: {}",
            explained.len(),
            sample.detail
        ),
    };
    finding.check(true, met);
    explained.len()
}

/// Checks the longest time without an answer, and the longest time without a request. Returns the former, in seconds.
fn check_outage(finding: &mut Finding, samples: &[Sample<'_>]) -> f64 {
    let outages = outages(samples);
    let outage = outages.longest().map_or(0.0, |window| window.length());
    let machine = &finding.machine;
    let fed = outages.windows.iter().map(|w| machine.fed(w.from, w.to, w.length())).fold(0.0, f64::max);
    finding.check_unless_starved(
        outage <= OUTAGE,
        fed <= OUTAGE,
        format!("longest time without an answer {outage:.2} s of {OUTAGE} s"),
    );
    let blind = samples.windows(2).map(|w| crate::judge::evidence::seconds_between(w[0].record, w[1].record));
    let blind = blind.fold(0.0, f64::max);
    if blind > BLIND {
        finding.unsure(format!("no sample for {blind:.1} s during the change"));
    }
    outage
}

/// Checks that the answers came from the old version first, from the new one last, and from no other one. Returns the
/// versions of the first and the last answer.
fn check_versions<'r>(finding: &mut Finding, samples: &[Sample<'r>], images: &Images) -> (&'r str, &'r str) {
    let versions: Vec<_> = samples.iter().filter_map(Sample::server_version).collect();
    let began = versions.first().copied().unwrap_or("none");
    finding.check(
        is_by(began, &images.old),
        format!("first answer by nginx {began}, old is {}", images.old.version),
    );
    let ended = versions.last().copied().unwrap_or("none");
    finding.check(
        is_by(ended, &images.new),
        format!("last answer by nginx {ended}, new is {}", images.new.version),
    );
    let strange = versions.iter().filter(|v| !is_by(v, &images.old) && !is_by(v, &images.new)).count();
    finding.check(strange == 0, format!("{strange} answers by neither version"));
    (began, ended)
}

/// Checks that only the new version answered after the change.
fn check_answers_after(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    images: &Images,
) -> Result<(), Missing> {
    let after = Window::between(evidence, "image-changed", "image-settled")?.samples(PROBE);
    let after: Vec<_> = after.iter().skip_while(|s| !follows(s, evidence)).collect();
    let by =
        |image: &Image| after.iter().filter(|s| s.server_version().is_some_and(|v| is_by(v, image))).count();
    let old = by(&images.old);
    finding.check(old == 0, format!("{old} of {} answers after the change by the old version", after.len()));
    if by(&images.new) == 0 {
        return Err(Missing("no answer by the new version after the change".into()));
    }
    Ok(())
}

/// Whether an answer with this server version came from an image.
fn is_by(version: &str, image: &Image) -> bool {
    is_of_series(version, &image.version)
}

/// Whether a sample came after the change was complete: the window also has one sample from before.
fn follows(sample: &Sample<'_>, evidence: &Evidence<'_>) -> bool {
    evidence.mark("image-changed").is_ok_and(|mark| sample.record.mono_us >= mark.mono_us)
}

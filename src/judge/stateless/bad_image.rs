//! A11: a bad image does not affect the old pods.
//!
//! Marks: `bad-image` just before the patch, `bad-image-refused` when the wait ended, `bad-image-rollback` just before
//! the old template is restored, `bad-image-rolled-back` when the rollout is complete and the pods of the bad template
//! are gone. History: changes of Deployments, Pods and Events, samples of the probe `http`, from `bad-image` to
//! `bad-image-rolled-back`.
//!
//! No old pod ends in this story, so nothing excuses a failed request: unlike A7, every request must be answered.

use super::change::{BLIND, PROBE, SAMPLES};
use super::events::Trail;
use super::facts::{self, BadImages, Ended};
use super::{
    HASH, LABEL, REPLICAS, REVISION, check_before, check_complete, check_pods, check_progress_names,
};
use super::{check_observed, check_set, is_owned};
use crate::event::{Outcome, Record};
use crate::judge::availability::{Limits, Sample, Window, fewest, is_of_series, labelled};
use crate::judge::evidence::seconds_between;
use crate::judge::identity::{Comparison, Identity, pod_names};
use crate::judge::machine::Health;
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Holds, Missing};

/// Seconds in which the reason must appear: the pod must be created and scheduled, and the name lookup must fail. The
/// Deployment itself gives up only after `progressDeadlineSeconds`, ten minutes.
pub const FAST: f64 = 60.0;

/// Reasons of a container that waits for an image that cannot be pulled. Source: Kubernetes'
/// `pkg/kubelet/images/types.go`.
const REASONS: [&str; 2] = ["ErrImagePull", "ImagePullBackOff"];

/// A11.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let images: BadImages = evidence.fact(&facts::BAD_IMAGES)?;
    let before = Object::observed(evidence, &facts::DEPLOYMENT_BEFORE_BAD_IMAGE)?;
    let old = Identity::observed(evidence, &facts::PODS_BEFORE_BAD_IMAGE)?;
    check_before(finding, &old, REPLICAS);
    finding.check(
        old.iter().all(|p| p.image == images.old.reference),
        format!("{REPLICAS} pods of {} before, found {}", images.old.reference, pod_names(&old)),
    );
    let refused = finding.part(|f| {
        let why = check_ended(f, evidence, &images)?;
        let window = Window::between(evidence, "bad-image", "bad-image-rollback")?;
        f.watched(&window.gaps(&["Event", "Pod"]), |f| check_refused(f, evidence, &images, &why))
    });
    let refused = refused.unwrap_or_default();
    finding.part(|f| check_during(f, evidence, &old));
    finding.part(|f| {
        let window = Window::between(evidence, "bad-image", "bad-image-rolled-back")?;
        window.check_clocks(f);
        f.watched(&window.gaps(&["Deployment", "Pod"]), |f| check_history(f, &window, &before, &old))
    });
    let answers = finding.part(|f| check_answers(f, evidence, &images)).unwrap_or_default();
    finding.part(|f| check_rolled_back(f, evidence, &before, &old));
    finding.summary(format!("{refused}; {} served on, {answers}; rolled back", pod_names(&old)));
    Ok(())
}

/// Checks that the wait for the rollout ended in time, with the reason. Returns the reason's text.
fn check_ended(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    images: &BadImages,
) -> Result<String, Missing> {
    let ended: Ended = evidence.fact(&facts::BAD_IMAGE_WAIT)?;
    let why = match &ended {
        Ended::Met => "the rollout is complete",
        Ended::Never { why } => why,
        Ended::Timeout { last } => last,
    };
    let reasoned = REASONS.iter().any(|r| why.contains(r)) && why.contains(&images.bad);
    let marks = || Ok((evidence.mark("bad-image")?, evidence.mark("bad-image-refused")?));
    let excused = |(from, to): (&Record, &Record)| {
        let [from, to] = [from, to].map(|mark| mark.mono_us as f64 / 1e6);
        to - from > FAST && finding.machine.fed(from, to, to - from) <= FAST
    };
    // On a machine that does not starve, the wait might have ended in time.
    let excused = matches!(ended, Ended::Timeout { .. }) && marks().is_ok_and(excused);
    finding.check_unless_starved(
        matches!(ended, Ended::Never { .. }) && reasoned,
        excused,
        format!("the wait ended by {}, reason and image named: {why}", ended.word()),
    );
    finding.part(|finding| {
        let (from, to) = marks()?;
        finding.timed_until(to, "the refusal", seconds_between(from, to), FAST);
        Ok(())
    });
    Ok(why.to_owned())
}

/// Checks that the pod showed the reason and that its kubelet reported it.
fn check_refused(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    images: &BadImages,
    why: &str,
) -> Result<String, Missing> {
    let window = Window::between(evidence, "bad-image", "bad-image-rollback")?;
    let stuck = window.states_where("Pod", LABEL, |pod| waits(pod).is_some_and(|w| REASONS.contains(&w)));
    let Some(pod) = stuck.iter().map(|(_, pod)| pod).find(|p| asks_for(p) == images.bad) else {
        let found = names(&stuck.iter().map(|(_, p)| p.name()).collect::<Vec<_>>());
        return Err(Missing(format!("no pod of {} was seen without its image, found {found}", images.bad)));
    };
    let reason = waits(pod).unwrap_or_default();
    let node = pod.text("/spec/nodeName").unwrap_or("no node");
    finding.check(
        pod.condition("Ready").is_some_and(|c| c.0 == "False"),
        format!("pod {} on {node} waits with {reason} for {}, and is not ready", pod.name(), images.bad),
    );
    finding.check(why.contains(node), format!("the wait names the node {node}"));
    let (from, to) = (evidence.mark("bad-image")?, evidence.mark("bad-image-refused")?);
    let said = evidence.changes("Event").into_iter().filter_map(|(_, _, event)| Object::new(event).ok());
    let said: Vec<_> = said.map(Trail::new).filter(|e| e.regarding() == pod.uid()).collect();
    let pull = |e: &&Trail<'_>| e.reason() == "Failed" && e.message().contains(&images.bad);
    let Some(event) = said.iter().find(pull) else {
        return Err(Missing(format!("no Failed event about pod {} and its image was recorded", pod.name())));
    };
    finding.check(
        event.component() == "kubelet" && event.host() == node,
        format!(
            "pod {}: Failed by {} on {}: {}",
            pod.name(),
            event.component(),
            event.host(),
            event.message()
        ),
    );
    Ok(format!(
        "{} cannot be pulled on {node}: {reason} after {:.1} s",
        images.bad,
        seconds_between(from, to)
    ))
}

impl Ended {
    fn word(&self) -> &'static str {
        match self {
            Self::Met => "success",
            Self::Never { .. } => "its reason",
            Self::Timeout { .. } => "its deadline",
        }
    }
}

/// Returns why the pod's container waits.
fn waits<'r>(pod: &Object<'r>) -> Option<&'r str> {
    pod.text("/status/containerStatuses/0/state/waiting/reason")
}

fn asks_for<'r>(pod: &Object<'r>) -> &'r str {
    pod.text("/spec/containers/0/image").unwrap_or_default()
}

/// Checks that the old pods are unchanged and available while the bad template is in place.
fn check_during(finding: &mut Finding, evidence: &Evidence<'_>, old: &[Identity]) -> Result<(), Missing> {
    let deployment = Object::observed(evidence, &facts::DEPLOYMENT_DURING_BAD_IMAGE)?;
    let pods = Identity::observed(evidence, &facts::PODS_DURING_BAD_IMAGE)?;
    check_observed(finding, &deployment);
    let available = deployment.number("/status/availableReplicas");
    let enough = available >= Limits::of(&deployment)?.least;
    finding.check(
        Holds::of_counts(enough, &deployment),
        format!("{available} of {REPLICAS} available while the image is missing"),
    );
    Comparison::of(old, &pods).check_kept(finding, old);
    Ok(())
}

/// Checks at every recorded moment that enough pods are ready and available, the old ones among them, and no bad one.
fn check_history(
    finding: &mut Finding,
    window: &Window<'_>,
    before: &Object<'_>,
    old: &[Identity],
) -> Result<(), Missing> {
    let least = Limits::of(before)?.least;
    let states = window.states(before.uid());
    let ready =
        window.counts("Pod", labelled(LABEL), |p| p.is_ready() && old.iter().any(|o| o.uid == p.uid()));
    // A single state is the state at the beginning: no change was watched.
    if states.len() < 2 || ready.len() < 2 {
        return Err(Missing("no change of the Deployment or of a pod was recorded".into()));
    }
    let available: Vec<_> =
        states.iter().map(|d| (d.span().0, d.number("/status/availableReplicas"))).collect();
    let (available, enough) = fewest(&available, least);
    finding.check(
        enough,
        format!(
            "fewest available, by {} states of the Deployment: {available}, at least {least} allowed",
            states.len()
        ),
    );
    let (least_ready, enough) = fewest(&ready, least);
    finding.check(
        enough,
        format!(
            "fewest old pods ready, by {} changes of pods: {least_ready}, at least {least} allowed",
            ready.len()
        ),
    );
    let strange =
        window.states_where("Pod", LABEL, |p| p.is_ready() && !old.iter().any(|o| o.uid == p.uid()));
    // A pod of the old template may replace a pod that went with its node.
    let is_old = |pod: &Object<'_>| old.iter().any(|o| Some(o.hash.as_str()) == pod.label(HASH));
    let heirs = strange.iter().all(|(_, pod)| is_old(pod));
    let met = Holds::or(strange.is_empty(), strange.iter().filter(|_| heirs).map(|(_, pod)| pod.touched()));
    let strange = names(&strange.iter().map(|(_, p)| p.name()).collect::<Vec<_>>());
    finding.check(met, format!("pods that became ready beside the old ones: {strange}"));
    Ok(())
}

/// Checks that every request was answered, and by the old version.
fn check_answers(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    images: &BadImages,
) -> Result<String, Missing> {
    let samples = Window::between(evidence, "bad-image", "bad-image-rolled-back")?.samples(PROBE);
    if samples.len() < SAMPLES {
        return Err(Missing(format!("{} samples of `{PROBE}`, need {SAMPLES}", samples.len())));
    }
    let failed: Vec<_> = samples.iter().filter(|s| s.outcome != Outcome::Acknowledged).collect();
    let first = failed.first().map(|s| format!(", the first: {}", s.detail)).unwrap_or_default();
    let starved = |sample: &&&Sample<'_>| {
        let end = sample.record.mono_us as f64 / 1e6;
        // The state of the machine does not excuse a refusal by the server.
        !sample.is_answer() && finding.machine.health(end - sample.took_ms / 1e3, end) == Health::Starved
    };
    finding.check_unless_starved(
        failed.is_empty(),
        failed.iter().filter(starved).count() == failed.len(),
        format!("{} of {} requests through the Service failed{first}", failed.len(), samples.len()),
    );
    let fine = samples.iter().filter(|s| s.outcome == Outcome::Acknowledged);
    let strange = |s: &&Sample<'_>| !s.server_version().is_some_and(|v| is_of_series(v, &images.old.version));
    let strange: Vec<_> = fine.filter(strange).collect();
    let first = strange.first().map(|s| format!(", the first: {}", s.detail)).unwrap_or_default();
    finding.check(
        strange.is_empty(),
        format!("{} answers by another version than nginx {}{first}", strange.len(), images.old.version),
    );
    let blind = samples.windows(2).map(|w| seconds_between(w[0].record, w[1].record)).fold(0.0, f64::max);
    if blind > BLIND {
        finding.unsure(format!("no sample for {blind:.1} s while the image was missing"));
    }
    Ok(format!("{} requests answered", samples.len() - failed.len()))
}

/// Checks that the old template is back, under the next revision, in the old ReplicaSet, with its pods.
fn check_rolled_back(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    before: &Object<'_>,
    old: &[Identity],
) -> Result<(), Missing> {
    let during = Object::observed(evidence, &facts::DEPLOYMENT_DURING_BAD_IMAGE)?;
    let deployment = Object::observed(evidence, &facts::DEPLOYMENT_ROLLED_BACK)?;
    let pods = Object::list(evidence, &facts::PODS_ROLLED_BACK)?;
    let sets = Object::list(evidence, &facts::REPLICA_SETS_ROLLED_BACK)?;
    check_complete(finding, &deployment, REPLICAS);
    check_pods(finding, &pods, REPLICAS);
    let now: Vec<_> = pods.iter().map(Identity::of).collect();
    Comparison::of(old, &now).check_kept(finding, old);
    let same =
        before.uid() == deployment.uid() && before.at("/spec/template") == deployment.at("/spec/template");
    finding.check(same, format!("the template of before is back: {same}"));
    let revision = |d: &Object<'_>| d.annotation(REVISION).unwrap_or("absent").to_owned();
    let [was, bad, is] = [before, &during, &deployment].map(revision);
    let next =
        |a: &str, b: &str| matches!((a.parse::<u64>(), b.parse::<u64>()), (Ok(a), Ok(b)) if b == a + 1);
    finding.check(next(&was, &bad) && next(&bad, &is), format!("revision {was} -> {bad} -> {is}"));
    let owned = sets.iter().filter(|s| is_owned(s, &deployment));
    let of_before = |set: &&Object<'_>| old.iter().any(|p| Some(p.hash.as_str()) == set.label(HASH));
    let (restored, others): (Vec<_>, Vec<_>) = owned.partition(of_before);
    for set in &restored {
        check_set(finding, set, REPLICAS);
        check_progress_names(finding, &deployment, set.name());
        let history = set.annotation(HISTORY).unwrap_or("absent");
        finding.check(
            set.annotation(REVISION) == Some(is.as_str()) && history.split(',').any(|r| r == was),
            format!("ReplicaSet {} has revision {}, before that {history}", set.name(), revision(set)),
        );
    }
    let restored = !restored.is_empty();
    finding.check(restored, format!("the ReplicaSet of before is there: {restored}"));
    let left: i64 = others.iter().map(|s| s.number("/status/replicas") + s.number("/spec/replicas")).sum();
    finding.check(left == 0, format!("{left} pods of other templates are left"));
    Ok(())
}

/// Annotation with the earlier revisions of a ReplicaSet. Source: `SetNewReplicaSetAnnotations` in Kubernetes'
/// `pkg/controller/deployment/util`.
const HISTORY: &str = "deployment.kubernetes.io/revision-history";

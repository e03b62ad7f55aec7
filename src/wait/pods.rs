//! Rules on pods. Source of the waiting reasons: `pkg/kubelet/images/types.go` and
//! `pkg/kubelet/kuberuntime` of Kubernetes.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::ResourceExt;

use super::around::Around;
use super::{Check, Verdict, check};

mod describe;
mod placement;
mod pull;
mod quantity;
pub(super) mod state;

pub(super) use describe::list;
pub use describe::{describe, describe_all};
pub(crate) use state::node;
use state::{condition, ended};
pub use state::{has_ended, is_live, is_ready};

/// Exactly `n` live pods ([`is_live`]) exist, and all of them are ready.
pub fn pods_ready(n: usize) -> impl Check<Pod> {
    struct Ready(usize);
    impl Check<Pod> for Ready {
        fn what(&self) -> String {
            format!("{} pods ready", self.0)
        }
        fn verdict(&self, pods: &[Pod]) -> Verdict {
            self.verdict_in(pods, &Around::default())
        }
        fn verdict_in(&self, pods: &[Pod], around: &Around) -> Verdict {
            let live: Vec<&Pod> = pods.iter().filter(|p| is_live(p)).collect();
            if let Some(why) = doomed(&live, self.0, |p| hopeless_in(p, around)) {
                return Verdict::Never(why);
            }
            let (n, ready) = (self.0, live.iter().filter(|p| around.is_ready(p)).count());
            Verdict::met_if(ready == n && live.len() == n, || {
                format!("{ready} of {n} ready: {}", list(pods, around))
            })
        }
    }
    Ready(n)
}

/// None of these pods, by UID, exists any more. A pod of the same name with another UID is a different pod.
pub fn pods_gone(uids: impl IntoIterator<Item = String>) -> impl Check<Pod> {
    struct Gone(BTreeSet<String>);
    impl Check<Pod> for Gone {
        fn what(&self) -> String {
            format!("{} pods gone", self.0.len())
        }
        fn verdict(&self, pods: &[Pod]) -> Verdict {
            self.verdict_in(pods, &Around::default())
        }
        fn verdict_in(&self, pods: &[Pod], around: &Around) -> Verdict {
            let is_ours = |p: &&Pod| p.metadata.uid.as_ref().is_some_and(|uid| self.0.contains(uid));
            let left: Vec<&Pod> = pods.iter().filter(is_ours).collect();
            Verdict::met_if(left.is_empty(), || format!("left: {}", list(left, around)))
        }
    }
    Gone(uids.into_iter().collect())
}

/// At least one pod cannot be scheduled, and the scheduler's message contains `because`.
pub fn unschedulable(because: &str) -> impl Check<Pod> + use<> {
    let because = because.to_owned();
    check(format!("a pod unschedulable because of \"{because}\""), move |pods: &[Pod]| {
        let held = pods.iter().filter_map(unscheduled).any(|message| message.contains(&because));
        Verdict::met_if(held, || format!("pods: {}", describe_all(pods)))
    })
}

/// Why the pod can never become ready unless somebody changes something: its image cannot be pulled. Names image, pod
/// and node. A container that crashes again and again is not hopeless: what it needs may still come up.
pub fn hopeless(pod: &Pod) -> Option<String> {
    hopeless_in(pod, &Around::default())
}

/// Like [`hopeless`], but also if no node can ever take the pod, or if events name a cause that its status has lost.
pub fn hopeless_in(pod: &Pod, around: &Around) -> Option<String> {
    containers(pod).find_map(|c| without_image(pod, c, around)).or_else(|| unplaceable(pod, around))
}

/// Why a set of live pods can never have `asked` ready ones: more pods are hopeless than the controller will delete. If
/// there are more pods than asked for, the controller deletes some, unready ones first (`ActivePodsWithRanks` of
/// `pkg/controller/controller_utils.go`).
pub(super) fn doomed(
    live: &[&Pod],
    asked: usize,
    hopeless: impl Fn(&Pod) -> Option<String>,
) -> Option<String> {
    let surplus = live.len().saturating_sub(asked);
    live.iter().filter_map(|p| hopeless(p)).nth(surplus)
}

fn without_image(pod: &Pod, container: &ContainerStatus, around: &Around) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|r| pull::REASONS.contains(r))?;
    let message = waiting.message.as_deref().unwrap_or("no message");
    let image = refused_image(pod, container, message);
    if is_behind(pod) || !pull::is_about(message, image) {
        return None;
    }
    let event = pull_event(pod, container, image, around);
    let text = match pull::has_cause(reason, message) {
        true => message,
        false => event.and_then(|event| event.message.as_deref()).unwrap_or(message),
    };
    // Somebody may have provided the image since the last try: the next try decides. A new try shows as `ErrImagePull`,
    // even if the kubelet sends no more events about the pod (25 at once, then one in 300 s: `events_cache.go` of
    // client-go).
    let tried = reason == "ErrImagePull" && !around.is_earlier(&pod.metadata);
    // Without a visible event, the pod itself shows when the failure was reported.
    let last = event.map_or(&pod.metadata, |event| &event.metadata);
    // No image can exist under an invalid name.
    let earlier = around.is_earlier(last) && !tried && reason != "InvalidImageName";
    let is_hopeless =
        pull::is_nowhere(image) || pull::failed(reason, text) == pull::Failed::ForGood && !earlier;
    is_hopeless.then(|| {
        let (name, node) = (pod.name_any(), node(pod));
        format!("{reason}: image {image} for pod {name} on {node}: {text}")
    })
}

/// Whether the status is about an earlier spec, for example with another image. Since 1.34 the status names its
/// generation (`PodObservedGenerationTracking`).
fn is_behind(pod: &Pod) -> bool {
    let seen = pod.status.as_ref().and_then(|s| s.observed_generation);
    seen.zip(pod.metadata.generation).is_some_and(|(seen, now)| seen < now)
}

/// The newest event about a failed pull of this image for this container, or about a pull that the pull policy forbids.
/// The kubelet sends one with each try (`events.FailedToPullImage`, `events.ErrImageNeverPullPolicy`).
fn pull_event<'a>(
    pod: &Pod,
    container: &ContainerStatus,
    image: &str,
    around: &'a Around,
) -> Option<&'a Event> {
    let name = format!("{{{}}}", container.name);
    // An event about the image of a volume names the pod only.
    let about =
        |path: Option<&str>| path.map_or(volume_images(pod).any(|i| i == image), |p| p.ends_with(&name));
    let mut found = around.warnings_of(pod.metadata.uid.as_deref()?).into_iter().filter(|e| {
        let message = e.message.as_deref().unwrap_or_default();
        let tried = match e.reason.as_deref() {
            Some("Failed") => message.starts_with("Failed to pull image ") && pull::is_about(message, image),
            reason => reason == Some("ErrImageNeverPull"),
        };
        tried && about(e.involved_object.field_path.as_deref())
    });
    found.next()
}

/// The image that a text about a waiting container means: the container's, or a volume's. If the image of a volume
/// cannot be pulled, the containers that mount the volume wait with that reason (`toKubeContainerImageVolumes` of
/// `pkg/kubelet/kuberuntime`).
fn refused_image<'p>(pod: &'p Pod, container: &'p ContainerStatus, text: &str) -> &'p str {
    let own = image(pod, container);
    let names = |image: &&str| pull::names(text, image);
    let quoted = [own].into_iter().chain(volume_images(pod)).find(names);
    quoted.unwrap_or_else(|| {
        let is_named = |image: &&str| text.contains(image);
        let longest = volume_images(pod).filter(is_named).max_by_key(|image| image.len());
        longest.filter(|image| image.contains(own) || !text.contains(own)).unwrap_or(own)
    })
}

fn volume_images(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
    volumes.filter_map(|v| v.image.as_ref()?.reference.as_deref())
}

/// The image as the pod's spec names it; the status has a normalised name, or none.
fn image<'p>(pod: &'p Pod, status: &'p ContainerStatus) -> &'p str {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|s| s.init_containers.as_ref()).into_iter().flatten();
    let all = spec.into_iter().flat_map(|s| &s.containers).chain(init);
    let asked = all.filter(|c| c.name == status.name).find_map(|c| c.image.as_deref());
    asked.unwrap_or(&status.image)
}

fn unplaceable(pod: &Pod, around: &Around) -> Option<String> {
    let condition = condition(pod, "PodScheduled").filter(|c| c.status == "False")?;
    // Unlike for a pod that is gated or not yet looked at, the scheduler has tried every node.
    if condition.reason.as_deref() != Some("Unschedulable") {
        return None;
    }
    let why = placement::nowhere(pod, &around.nodes)?;
    Some(format!("FailedScheduling: no node can take pod {}: {why}", pod.name_any()))
}

fn unscheduled(pod: &Pod) -> Option<&str> {
    let condition = condition(pod, "PodScheduled").filter(|c| c.status == "False")?;
    condition.message.as_deref()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|s| s.init_container_statuses.as_ref()).into_iter().flatten();
    init.chain(status.and_then(|s| s.container_statuses.as_ref()).into_iter().flatten())
}

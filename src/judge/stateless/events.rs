//! The event trail of a rollout, in the fields of core/v1 and of events.k8s.io/v1.
//!
//! Sources: the deployment controller's `sync.go` ("Scaled up replica set NAME from 0 to 2", before 1.31 "Scaled up
//! replica set NAME to 2"), the scheduler's `schedule_one.go`, the kubelet's `image_manager.go` ("already present on
//! machine", since 1.34 sometimes with "and can be accessed by the pod") and `kuberuntime_container.go`. The kubelet's
//! texts for `Created` and `Started` changed in 1.32 and 1.35, so only reason, component, node and object are checked
//! for these.

use crate::judge::identity::Identity;
use crate::judge::object::Object;

/// One event of either API version.
#[derive(Clone, Copy, Debug)]
pub struct Trail<'r>(Object<'r>);

impl<'r> Trail<'r> {
    /// Reads an event.
    pub fn new(event: Object<'r>) -> Self {
        Self(event)
    }

    fn first(&self, pointers: &[&str]) -> &'r str {
        let mut texts = pointers.iter().filter_map(|p| self.0.text(p));
        texts.find(|t| !t.is_empty()).unwrap_or_default()
    }

    /// Returns the UID of the object that the event is about.
    pub fn regarding(&self) -> &'r str {
        self.first(&["/involvedObject/uid", "/regarding/uid"])
    }

    /// Returns the reason.
    pub fn reason(&self) -> &'r str {
        self.first(&["/reason"])
    }

    /// Returns the message.
    pub fn message(&self) -> &'r str {
        self.first(&["/message", "/note"])
    }

    /// Returns the component that reported the event.
    pub fn component(&self) -> &'r str {
        self.first(&[
            "/source/component",
            "/reportingComponent",
            "/deprecatedSource/component",
            "/reportingController",
        ])
    }

    /// Returns the host that reported the event. A kubelet gives its node's name.
    pub fn host(&self) -> &'r str {
        self.first(&["/source/host", "/deprecatedSource/host", "/reportingInstance"])
    }
}

/// One expected event, with what it must say.
#[derive(Clone, Debug)]
pub struct Expected<'e> {
    /// UID of the object that the event is about.
    pub regarding: &'e str,
    /// Kind and name of that object, for sentences.
    pub about: String,
    /// The expected reason.
    pub reason: &'static str,
    /// The component that must report the event.
    pub component: &'static str,
    /// The node that must report the event; only for events of kubelets.
    pub node: Option<&'e str>,
    /// What the message must contain.
    pub says: String,
    /// How the message must end.
    pub ends: String,
}

/// No event is as expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoEvent(
    /// The difference between what was expected and the most similar event, in a sentence.
    pub String,
);

impl Expected<'_> {
    /// Whether no event about this object has the expected reason.
    pub fn is_missing(&self, events: &[Trail<'_>]) -> bool {
        !events.iter().any(|e| e.regarding() == self.regarding && e.reason() == self.reason)
    }

    /// Finds the expected event, and describes it in a line.
    ///
    /// # Errors
    /// [`NoEvent`].
    pub fn find(&self, events: &[Trail<'_>]) -> Result<String, NoEvent> {
        let about: Vec<_> =
            events.iter().filter(|e| e.regarding() == self.regarding && e.reason() == self.reason).collect();
        let right = |e: &&&Trail<'_>| {
            e.component() == self.component
                && self.node.is_none_or(|n| e.host() == n)
                && e.message().contains(&self.says)
                && e.message().ends_with(&self.ends)
        };
        if let Some(event) = about.iter().find(right) {
            let place = self.node.map(|n| format!(" on {n}")).unwrap_or_default();
            let line = format!("{}: {} by {}{place}", self.about, self.reason, self.component);
            return Ok(format!("{line}: {}", event.message()));
        }
        let wanted = format!("{}: no {} event by {}", self.about, self.reason, self.component);
        let place = self.node.map(|n| format!(" on {n}")).unwrap_or_default();
        let said = match (self.says.as_str(), self.ends.as_str()) {
            ("", "") => String::new(),
            (says, "") => format!(" that says `{says}`"),
            (says, ends) => format!(" that says `{says} ..{ends}`"),
        };
        let found = about
            .last()
            .map(|e| format!("; found one by {} on {}: {}", e.component(), e.host(), e.message()));
        Err(NoEvent(format!("{wanted}{place}{said}{}", found.unwrap_or_default())))
    }
}

/// Returns the expected trail of a first rollout: the Deployment's scaling, and for each pod the four events of its
/// start.
pub fn of_rollout<'e>(deployment: &Object<'e>, replica_set: &str, pods: &'e [Identity]) -> Vec<Expected<'e>> {
    let desired = deployment.number("/spec/replicas");
    let mut expected = vec![Expected {
        regarding: deployment.uid(),
        about: format!("Deployment {}", deployment.name()),
        reason: "ScalingReplicaSet",
        component: "deployment-controller",
        node: None,
        says: format!("Scaled up replica set {replica_set} "),
        ends: format!(" {desired}"),
    }];
    for pod in pods {
        let step = |reason, component, node, says: &str, ends: &str| Expected {
            regarding: &pod.uid,
            about: format!("pod {}", pod.name),
            reason,
            component,
            node,
            says: says.into(),
            ends: ends.into(),
        };
        let node = Some(pod.node.as_str());
        let present = format!("\"{}\" already present on machine", pod.image);
        expected.extend([
            step(
                "Scheduled",
                "default-scheduler",
                None,
                "Successfully assigned",
                &format!(" to {}", pod.node),
            ),
            step("Pulled", "kubelet", node, &present, ""),
            step("Created", "kubelet", node, "", ""),
            step("Started", "kubelet", node, "", ""),
        ]);
    }
    expected
}

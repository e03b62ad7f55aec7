//! The endpoints that a Service loses by a fault.

use super::super::state::State;
use crate::judge::object::Object;

/// The endpoints of a Service that a fault hit.
pub struct Share {
    pub lost: usize,
    pub all: usize,
    /// Whether requests are not spread evenly over the endpoints, and why.
    pub uneven: Option<&'static str>,
    /// Whether the node also had pods of other workloads, which the answers may need.
    pub dependent: bool,
}

impl Share {
    pub fn of(
        state: &State<'_>,
        service: &Object<'_>,
        takes: impl Fn(&Object<'_>) -> bool,
        selects: impl Fn(&Object<'_>) -> bool,
    ) -> Self {
        let ready: Vec<Object<'_>> =
            state.of_kind("Pod").filter(|pod| selects(pod) && pod.is_ready()).collect();
        let lost = ready.iter().filter(|pod| takes(pod)).count();
        let uneven = if service.text("/spec/sessionAffinity") == Some("ClientIP") {
            Some("sessionAffinity keeps a client at one pod")
        } else if service.at("/spec/trafficDistribution").is_some()
            || service.text("/spec/internalTrafficPolicy") == Some("Local")
        {
            Some("the Service prefers near pods")
        } else {
            None
        };
        Self { lost, all: ready.len(), uneven, dependent: false }
    }

    pub fn ratio(&self) -> f64 {
        if self.all == 0 { 1.0 } else { self.lost as f64 / self.all as f64 }
    }
}

//! The endpoints that a Service loses by a fault.

use super::super::facts::{self, Expected};
use super::super::state::State;
use super::{CHANCE, Hit, Reason, Service};
use crate::event::Outcome;
use crate::judge::availability::Sample;
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing};

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

/// Whether a fault hit a ready pod that the Service does not select, in a namespace of the trial or of the cluster's DNS: the
/// Service's pods may need it. An operator may run pods without a workload.
pub fn others_lost(
    state: &State<'_>,
    evidence: &Evidence<'_>,
    hit: &Hit<'_, '_>,
    selects: &impl Fn(&Object<'_>) -> bool,
) -> bool {
    let all = evidence.fact(&facts::WORKLOADS).unwrap_or_default();
    let is_inside = |pod: &Object<'_>| {
        let is_of_job = pod.controller().is_some_and(|owner| owner.0 == "Job");
        !is_of_job && all.iter().any(|workload| workload.namespace == pod.namespace())
    };
    // The label of CoreDNS in clusters of kubeadm (cmd/kubeadm/app/phases/addons/dns/manifests.go).
    let is_dns = |pod: &Object<'_>| pod.label("k8s-app") == Some("kube-dns");
    let is_needed = |pod: &Object<'_>| is_dns(pod) || is_inside(pod);
    let is_dns_recorded = state.of_kind("Pod").any(|pod| is_dns(&pod));
    (hit.pod.is_none() && !is_dns_recorded)
        || state
            .of_kind("Pod")
            .any(|pod| hit.takes(&pod) && pod.is_ready() && !selects(&pod) && is_needed(&pod))
}

/// Whether a request found no server: what a server needs itself does not explain that. An unknown text counts as a
/// request that a server may have received.
pub fn is_unconnected(sample: &Sample<'_>) -> bool {
    // The texts are curl's for the time before a connection is open, and those of the TCP probe.
    let says = |words: &str| sample.detail.contains(words);
    let refused = sample.outcome == Outcome::Refused && !sample.is_answer();
    refused || says("Connection timed out after") || says("no connection in time")
}

impl<'r> Service<'r, '_> {
    /// Checks the requests between two marks, between which a fault took a share of the endpoints. A Service that lost none has no
    /// reason to fail, but its answers may need what others lost.
    pub(super) fn check_hit(
        self,
        finding: &mut Finding,
        (share, hit): (&Share, &Hit<'_, '_>),
        expected: &Expected,
        marks: (&str, &str),
    ) -> Result<(), Missing> {
        let noticed = hit.until.unwrap_or(hit.fault.at + expected.detection);
        if share.lost == 0 && share.all > 0 {
            let others = if share.dependent { noticed } else { f64::NEG_INFINITY };
            return Service { others, ..self }.check(finding, expected, f64::NEG_INFINITY, marks);
        }
        self.check_share(finding, share, (hit, noticed), expected);
        self.check(finding, expected, noticed, marks)
    }

    /// Checks that no more requests failed after the loss of a node than the share of the endpoints that the node had,
    /// until its loss must be noticed.
    fn check_share(
        &self,
        finding: &mut Finding,
        share: &Share,
        (hit, until): (&Hit<'_, '_>, f64),
        expected: &Expected,
    ) {
        let (title, fault) = (&self.title, hit.fault);
        let is_in = |s: &&Sample<'r>| s.span().1 >= fault.at && s.span().0 <= until;
        // On a lost node were also pods without a workload, and nothing is known of their readiness.
        let is_explained = |s: &Sample<'r>| self.had_no_pod(s) || hit.pod.is_some() && self.is_dependent(s);
        let (explained, all): (Vec<&Sample<'r>>, Vec<&Sample<'r>>) = self
            .judged(f64::NEG_INFINITY)
            .filter(is_in)
            .partition(|s| s.outcome != Outcome::Acknowledged && is_explained(s));
        let failed: Vec<&&Sample<'_>> = all.iter().filter(|s| s.outcome != Outcome::Acknowledged).collect();
        let starved = |s: &&&&Sample<'r>| matches!(self.reason(finding, s), Reason::Machine(_));
        let (count, blamed, total) = (failed.len(), failed.iter().filter(starved).count(), all.len());
        let ratio = |part: usize| part as f64 / total.max(1) as f64;
        let lasted = failed.iter().map(|s| s.span().1).fold(fault.at, f64::max) - fault.at;
        let later = self.judged(until).filter(|s| s.outcome != Outcome::Acknowledged).count();
        let then = if later == 0 { "none".to_owned() } else { later.to_string() };
        let what = format!(
            "{title}: {:.0} % of {total} requests failed for {lasted:.1} s ({} of {} endpoints lost), {then} after that",
            100.0 * ratio(count),
            share.lost,
            share.all
        );
        let unconnected = failed.iter().filter(|s| is_unconnected(s)).count();
        let lost = share.ratio();
        let chance = CHANCE * (lost * (1.0 - lost) / total.max(1) as f64).sqrt();
        let (most, surely) = (lost + expected.margin, lost + expected.margin.max(chance));
        if total == 0 && !explained.is_empty() {
            let count = explained.len();
            finding.check(
                true,
                format!("{title}: all {count} requests after the loss came without a ready pod"),
            );
        } else if total == 0 {
            finding.unsure(format!("{title}: no request in the {:.0} s after the loss", expected.detection));
        } else if lost >= 1.0 || ratio(count) <= most {
            finding.check(true, what);
        } else if let Some(why) = share.uneven {
            finding.unsure(format!("{what}; {why}"));
        } else if share.dependent && ratio(unconnected) <= most {
            // A server that waits for another workload answers with an error, or late.
            finding.unsure(format!(
                "{what}; the node also had a pod of another workload, which the answers may need"
            ));
        } else if ratio(count) <= surely {
            finding.unsure(format!("{what}: too few requests to tell this from chance"));
        } else {
            finding.check_unless_starved(false, ratio(count - blamed) <= most, what);
        }
    }
}

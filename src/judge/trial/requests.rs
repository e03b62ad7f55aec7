//! The requests of the probes of Services in a window: why each failed, and for how long the Service did not answer.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{self, Expected, ServiceProbe, Workload};
use super::fault::Fault;
use super::state::{State, node_of, uid_in};
use super::workloads;
use crate::event::{Change, Outcome};
use crate::judge::availability::{
    Ending, Excuse, LAG, LATE, Sample, Window, excuse, outages, outages_but_for, since_ending,
};
use crate::judge::object::Object;
use crate::judge::upgrade::{costs, gaps_in_drains};
use crate::judge::{Evidence, Finding, Missing};

mod at_once;
mod budget;
mod counts;
mod outside;
mod share;

use budget::budget_of;
use counts::{Counts, endpoints, ends, is_zero_near, lost, ready_pods};
use share::{Share, others_lost};

/// Minimum of samples in a window: fewer prove little.
const SAMPLES: usize = 3;
/// Seconds without a request in flight above which a Service counts as not watched.
const SILENCE: f64 = 2.0;
/// Standard deviations of the share of failed requests that chance may add.
const CHANCE: f64 = 3.0;

/// A Service in a window.
struct Service<'r, 'w> {
    title: String,
    window: Window<'r>,
    /// Every sample, with one before and one after the window.
    samples: Vec<Sample<'r>>,
    endings: Vec<Ending<'r>>,
    /// When pods on a lost node became unready, and for a probe that keeps its connection from when to when each pod ended, in
    /// seconds on the records' clock.
    ends: Vec<(f64, f64)>,
    /// Whether the node of the probe leads to its own pods only.
    local: bool,
    /// Whether the probe asks from a worker or over a kept connection: it asks slowly, next to the first one on a control plane,
    /// and in a short window it may not ask at all.
    slow: bool,
    /// Whether that worker was lost and is back: the probe begins to ask some time after that.
    returned: bool,
    /// The number of ready pods, with the second from which it holds.
    ready: Counts,
    /// The same since the application was ready.
    near: Counts,
    /// The number of ready endpoints in the Service's EndpointSlices, which kube-proxy follows; empty if none was recorded.
    endpoints: Counts,
    /// Seconds from one request to the next.
    pace: f64,
    /// For each workload of the trial, the same about its pods.
    workloads: &'w [Counts],
    /// The second until which answers may need a pod that a fault hit and the Service does not select.
    others: f64,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// A pod had just been deleted.
    Ending,
    /// No pod was ready.
    NoPod,
    /// The server answered with an error while another workload of the trial had no ready pod.
    Dependent,
    /// The machine may be to blame.
    Machine(&'static str),
    /// Nothing explains it.
    None,
}

/// A fault that took endpoints away.
pub struct Hit<'e, 'r> {
    /// The fault.
    pub fault: &'e Fault<'r>,
    /// The pod that it hit, as namespace and name, if it did not hit the whole node.
    pub pod: Option<&'e str>,
    /// The second until which requests may reach what was hit; none if Kubernetes must notice it.
    pub until: Option<f64>,
}

impl Hit<'_, '_> {
    /// Whether the fault hit a pod.
    fn takes(&self, pod: &Object<'_>) -> bool {
        node_of(pod) == self.fault.node && self.pod.is_none_or(|named| pod.is_called(named))
    }
}

/// Checks the requests between two marks.
pub fn check(finding: &mut Finding, evidence: &Evidence<'_>, from: &str, to: &str) {
    finding.part(|f| check_all(f, evidence, (from, to), Meanwhile::Nothing, None));
}

/// Checks the requests between two marks, while the cluster is upgraded. The watches break off whenever an API server is
/// exchanged: only what is missed during a drain counts.
pub fn check_in_upgrade(finding: &mut Finding, evidence: &Evidence<'_>, from: &str, to: &str) {
    finding.part(|f| check_all(f, evidence, (from, to), Meanwhile::Upgrade, None));
}

/// Checks the requests between two marks, between which a node was lost.
pub fn check_with_loss(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    marks: (&str, &str),
    fault: &Fault<'_>,
) {
    let hit = Hit { fault, pod: None, until: None };
    check_with_hit(finding, evidence, marks, &hit, None);
}

/// Checks the requests between two marks, between which a fault hit endpoints. A probe on the node `silent` may ask nothing.
pub fn check_with_hit(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    marks: (&str, &str),
    hit: &Hit<'_, '_>,
    silent: Option<&str>,
) {
    finding.part(|f| check_all(f, evidence, marks, Meanwhile::Hit(hit), silent));
}

fn check_all(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (from, to): (&str, &str),
    meanwhile: Meanwhile<'_, '_>,
    silent: Option<&str>,
) -> Result<(), Missing> {
    let probes = evidence.fact(&facts::PROBES)?;
    let window = Window::between(evidence, from, to)?;
    // A Service may have been without a ready pod until just before the window: its first requests fail because of that.
    let since = Window::between(evidence, "ready", to)?;
    let between = Between {
        evidence,
        marks: (from, to),
        meanwhile,
        window,
        expected: evidence.fact(&facts::EXPECTED)?,
        own: workloads(evidence)?,
        since,
        of_workloads: ready_pods(evidence, &since)?,
        probes: &probes,
    };
    // A worker that is lost asks nothing.
    let lost =
        matches!(from, "node-loss" | "return").then(|| evidence.fact(&facts::LOST_NODE).ok()).flatten();
    let lost = silent.or(lost.as_deref());
    let asks = |probe: &&ServiceProbe| Some(probe.node.as_str()) != lost;
    if evidence.subject().is_none() {
        check_declared(finding, &between.expected, &probes);
    }
    let steady = || probes.iter().filter(|probe| probe.steady);
    for probe in steady().filter(asks) {
        finding.part(|finding| between.check(finding, probe));
    }
    let mut alone = steady().filter(|probe| !steady().any(|other| other.is_like(probe) && asks(&other)));
    if let Some(probe) = alone.next() {
        let (service, node) = (&probe.service, &probe.node);
        finding.unsure(format!("Service {service}: only {node} asked, which the fault hit"));
    }
    Ok(())
}

/// Checks the requests between two marks against the budgets of their probes. In a short time there are too few to say
/// anything.
pub fn check_budgets(finding: &mut Finding, evidence: &Evidence<'_>, (from, to): (&str, &str)) {
    finding.part(|finding| {
        let probes = evidence.fact(&facts::PROBES)?;
        let expected = evidence.fact(&facts::EXPECTED)?;
        let window = Window::between(evidence, from, to)?;
        window.check_clocks(finding);
        for probe in probes.iter().filter(|probe| probe.steady) {
            let Some(budget) = budget_of(&expected, probe) else { continue };
            let service = Service::of(evidence, (probe, &probes), window);
            if service.judged(f64::NEG_INFINITY).count() >= SAMPLES {
                service.check_budget(finding, budget);
            }
        }
        Ok(())
    });
}

/// What happens while the requests are made.
#[derive(Clone, Copy)]
enum Meanwhile<'e, 'r> {
    /// Nothing that takes a node away.
    Nothing,
    /// One node after another is drained and upgraded.
    Upgrade,
    /// Endpoints are hit by a fault.
    Hit(&'e Hit<'e, 'r>),
}

/// What the checks of all probes between two marks share.
struct Between<'e, 'r> {
    evidence: &'e Evidence<'r>,
    marks: (&'e str, &'e str),
    meanwhile: Meanwhile<'e, 'r>,
    window: Window<'r>,
    /// The time since the application was ready, until the end of the window.
    since: Window<'r>,
    expected: Expected,
    own: Vec<Workload>,
    of_workloads: Vec<Counts>,
    probes: &'e [ServiceProbe],
}

impl Between<'_, '_> {
    /// Returns the gaps in the watches of what explains requests.
    fn gaps(&self) -> Vec<String> {
        let (kinds, records) = (["EndpointSlice", "Pod", "Service"], self.evidence.records());
        match self.meanwhile {
            Meanwhile::Upgrade => gaps_in_drains(records, &costs(records), &kinds),
            _ => self.window.gaps(&kinds).iter().map(ToString::to_string).collect(),
        }
    }

    fn check(&self, finding: &mut Finding, probe: &ServiceProbe) -> Result<(), Missing> {
        let Self { evidence, window, expected, .. } = self;
        if probe.outside {
            self.check_outside(finding, probe);
            return Ok(());
        }
        let state = State::at(evidence, self.marks.0)?;
        let Some(object) = service(&state, evidence, probe)? else {
            return Err(Missing(format!("no change of Service {} was recorded", probe.service)));
        };
        let Some(selector) = selector(&object) else {
            finding
                .unsure(format!("Service {} selects no pods: nothing explains its requests", probe.service));
            return Ok(());
        };
        let selects = |pod: &Object<'_>| selects(&object, selector, pod);
        if evidence.subject().is_some() && !serves(evidence, &self.own, &selects) {
            return Ok(());
        }
        let gaps = self.gaps();
        window.check_clocks(finding);
        // Then a node leads to its own pods only. Source: Kubernetes' documentation, "Service Internal Traffic Policy".
        let local = object.text("/spec/internalTrafficPolicy") == Some("Local");
        let kept = if probe.kept { ends(evidence, &selects) } else { Vec::new() };
        let service = Service {
            endings: window
                .endings(|change, pod| selects(pod) && (pod.is_terminating() || change == Change::Deleted)),
            ends: lost(evidence, &selects).into_iter().map(|at| (at, at)).chain(kept).collect(),
            local,
            ready: window
                .counts("Pod", selects, |pod| pod.is_ready() && (!local || node_of(pod) == probe.node)),
            near: self
                .since
                .counts("Pod", selects, |pod| pod.is_ready() && (!local || node_of(pod) == probe.node)),
            endpoints: if local { Vec::new() } else { endpoints(&self.since, &object) },
            workloads: &self.of_workloads,
            ..Service::of(evidence, (probe, self.probes), *window)
        };
        if let Some(budget) = budget_of(expected, probe) {
            service.check_budget(finding, budget);
            return Ok(());
        }
        finding.watched(&gaps, |finding| match self.meanwhile {
            Meanwhile::Nothing | Meanwhile::Upgrade => {
                service.check(finding, expected, f64::NEG_INFINITY, self.marks)
            }
            Meanwhile::Hit(hit) => {
                let mut share = Share::of(&state, &object, |pod| hit.takes(pod), selects);
                share.uneven = share.uneven.or(probe.kept.then_some("a kept connection stays at one pod"));
                share.dependent = others_lost(&state, evidence, hit, &selects);
                service.check_hit(finding, (&share, hit), expected, self.marks)
            }
        })
    }
}

/// Checks that every probe and every budget of the trial file can decide something.
fn check_declared(finding: &mut Finding, expected: &Expected, probes: &[ServiceProbe]) {
    let is_asked = |name: &&String| probes.iter().any(|probe| probe.declared.as_ref() == Some(*name));
    for name in expected.budgets.keys().filter(|name| *name != "*" && !is_asked(name)) {
        finding.unsure(format!("the budget of {name}: no probe has that name"));
    }
    for probe in probes.iter().filter(|probe| !probe.steady && probe.declared.is_some()) {
        finding.unsure(format!("{}: no steady answer before the first disturbance", probe.probe));
    }
}

/// Returns the second at which the node of a probe last began to come back, if it was lost before the window.
fn returned(evidence: &Evidence<'_>, probe: &ServiceProbe, window: &Window<'_>) -> Option<f64> {
    let lost = evidence.fact(&facts::LOST_NODE).ok().map(|node| (node, "return".to_owned()));
    let steps = evidence.facts(&facts::FAULTS).unwrap_or_default().into_iter();
    let hit = steps.filter(|step| step.pod.is_none()).map(|step| (step.node.clone(), step.over()));
    let own = lost.into_iter().chain(hit).filter(|(node, _)| *node == probe.node);
    let back = own.filter_map(|(_, mark)| Some(evidence.mark(&mark).ok()?.mono_us as f64 / 1e6));
    back.filter(|back| *back <= window.span().0).max_by(f64::total_cmp)
}

/// Names a Service and where the probe asks, with the namespace and the port where others would have the same name.
fn title(probe: &ServiceProbe, all: &[ServiceProbe]) -> String {
    let alike = || all.iter().filter(|other| other.service == probe.service && other.port > 0);
    let named = match &probe.namespace {
        Some(namespace) if alike().any(|other| other.namespace != probe.namespace) => {
            format!("{namespace}/{}", probe.service)
        }
        _ => probe.service.clone(),
    };
    let is_one_of_two = alike().any(|other| other.namespace == probe.namespace && other.port != probe.port);
    let port = if is_one_of_two { format!(":{}", probe.port) } else { String::new() };
    if probe.outside {
        return named;
    }
    match (probe.kept, probe.on_worker) {
        (true, _) => format!("Service {named}{port} over a kept connection"),
        (_, true) => format!("Service {named}{port} from {}", probe.node),
        _ => format!("Service {named}{port}"),
    }
}

/// Says how many requests failed, and how many of them for no reason.
fn failures(all: usize, unexplained: usize, total: usize) -> String {
    match all == unexplained {
        true => format!("{all} of {total} requests failed for no reason"),
        false => format!("{all} of {total} requests failed, {unexplained} for no reason"),
    }
}

/// Returns the Service of a probe in a namespace of the trial.
fn service<'r>(
    state: &State<'r>,
    evidence: &Evidence<'r>,
    probe: &ServiceProbe,
) -> Result<Option<Object<'r>>, Missing> {
    if let Some(namespace) = &probe.namespace {
        return Ok(state.named("Service", namespace, &probe.service));
    }
    let all = evidence.fact(&facts::WORKLOADS)?;
    Ok(all.iter().find_map(|w| state.named("Service", &w.namespace, &probe.service)))
}

fn selector<'r>(service: &Object<'r>) -> Option<&'r serde_json::Map<String, Value>> {
    service.at("/spec/selector").and_then(Value::as_object).filter(|labels| !labels.is_empty())
}

fn selects(service: &Object<'_>, selector: &serde_json::Map<String, Value>, pod: &Object<'_>) -> bool {
    let namespace = |object: &Object<'_>| object.text("/metadata/namespace").map(str::to_owned);
    namespace(service) == namespace(pod)
        && selector.iter().all(|(key, value)| pod.label(key).is_some_and(|label| value == label))
}

/// Whether a Service selects a pod of one of these workloads at any time.
fn serves(evidence: &Evidence<'_>, own: &[Workload], selects: &impl Fn(&Object<'_>) -> bool) -> bool {
    let all = State::after(evidence);
    let uids: Vec<&str> = own.iter().filter_map(|workload| uid_in(evidence, workload).ok()).collect();
    let pods = evidence.changes("Pod").into_iter().filter_map(|(_, _, pod)| Object::new(pod).ok());
    pods.filter(|pod| selects(pod)).any(|pod| uids.iter().any(|uid| all.is_of(&pod, uid)))
}

impl<'r> Service<'r, '_> {
    /// The requests of a probe in a window, and nothing that explains them.
    fn of(
        evidence: &Evidence<'r>,
        (probe, all): (&ServiceProbe, &[ServiceProbe]),
        window: Window<'r>,
    ) -> Self {
        let returned = returned(evidence, probe, &window);
        let mut samples = window.samples(&probe.probe);
        samples.retain(|sample| returned.is_none_or(|back| sample.span().0 >= back));
        Self {
            title: title(probe, all),
            window,
            samples,
            returned: returned.is_some(),
            endings: Vec::new(),
            ends: Vec::new(),
            local: false,
            slow: probe.on_worker || probe.kept,
            ready: Vec::new(),
            near: Vec::new(),
            endpoints: Vec::new(),
            pace: probe.pace,
            workloads: &[],
            others: f64::NEG_INFINITY,
        }
    }

    /// The samples whose requests were in flight in the window, after a second.
    fn judged(&self, after: f64) -> impl Iterator<Item = &Sample<'r>> {
        let (from, to) = self.window.span();
        let is_in = move |s: &&Sample<'r>| s.span().1 >= from && s.span().0 <= to && s.span().0 > after;
        self.samples.iter().filter(is_in)
    }

    /// Whether no pod was ready at a moment near the request.
    fn had_no_pod(&self, sample: &Sample<'_>) -> bool {
        is_zero_near(&self.near, sample, LAG) || is_zero_near(&self.endpoints, sample, LAG)
    }

    /// Whether a request found no server some seconds after the Service had no pod: nothing says when kube-proxy knew the new one.
    fn may_be_early(&self, sample: &Sample<'_>) -> bool {
        let had_none = is_zero_near(&self.near, sample, LATE) || is_zero_near(&self.endpoints, sample, LATE);
        share::is_unconnected(sample) && had_none
    }

    /// Whether a server answered with an error while another workload of the trial had no ready pod near the request.
    fn is_dependent(&self, sample: &Sample<'_>) -> bool {
        sample.is_answer() && self.workloads.iter().any(|ready| is_zero_near(ready, sample, LAG))
    }

    /// Whether a server gave no answer in time while another workload of the trial had no ready pod near the request: it may have waited
    /// for that one.
    fn may_wait(&self, sample: &Sample<'_>) -> bool {
        let is_late = sample.detail.contains("timed out") && !share::is_unconnected(sample);
        is_late && self.workloads.iter().any(|ready| is_zero_near(ready, sample, LAG))
    }

    /// Whether a request found a server, while its answer may have needed a pod that a fault hit.
    fn may_need_others(&self, sample: &Sample<'_>) -> bool {
        sample.span().0 <= self.others && !share::is_unconnected(sample)
    }

    /// Whether a pod was lost or ended near the request, which may have been led to it. Until its end, a pod serves the connections
    /// that it has.
    fn lost_its_pod(&self, sample: &Sample<'_>) -> bool {
        let (began, ended) = sample.span();
        self.ends.iter().any(|(from, to)| *from <= ended + LAG && began <= to + LAG)
    }

    fn reason(&self, finding: &Finding, sample: &Sample<'_>) -> Reason {
        if since_ending(&self.endings, sample) <= LAG || self.lost_its_pod(sample) {
            return Reason::Ending;
        }
        if self.had_no_pod(sample) {
            return Reason::NoPod;
        }
        if self.is_dependent(sample) {
            return Reason::Dependent;
        }
        if self.may_wait(sample) {
            return Reason::Machine(
                "another workload had no ready pod, for which the server may have waited",
            );
        }
        if self.may_be_early(sample) {
            return Reason::Machine("kube-proxy may not have known the new pod yet");
        }
        if self.may_need_others(sample) {
            return Reason::Machine(
                "the node also had a pod of another workload, which the answers may need",
            );
        }
        match excuse(&finding.machine, &self.endings, sample) {
            Excuse::Machine(why) => Reason::Machine(why),
            Excuse::Ending | Excuse::None => Reason::None,
        }
    }

    /// Checks the requests that began later than a second.
    fn check(
        &self,
        finding: &mut Finding,
        expected: &Expected,
        after: f64,
        (from, to): (&str, &str),
    ) -> Result<(), Missing> {
        let title = &self.title;
        let all: Vec<&Sample<'_>> = self.judged(after).collect();
        if self.ready.is_empty() {
            return Err(Missing(format!("no pod of {title} was recorded")));
        }
        if self.is_thin() {
            finding.unsure(format!("{title}: fewer than {SAMPLES} requests between `{from}` and `{to}`"));
            return Ok(());
        }
        let mut by: BTreeMap<&str, Vec<&Sample<'_>>> = BTreeMap::new();
        for sample in all.iter().filter(|s| s.outcome != Outcome::Acknowledged) {
            let key = match self.reason(finding, sample) {
                Reason::Ending => "ending",
                Reason::NoPod => "no pod",
                Reason::Dependent => "dependent",
                Reason::Machine(why) => why,
                Reason::None => "none",
            };
            by.entry(key).or_default().push(sample);
        }
        let count = |key: &str| by.get(key).map_or(0, Vec::len);
        let first = by.get("none").map_or(String::new(), |s| format!(", the first: {}", s[0].detail));
        let (failed, total) = (count("none"), all.len());
        if total > 0 {
            let what = failures(by.values().map(Vec::len).sum(), failed, total);
            finding.check(failed == 0, format!("{title}: {what}{first}, between `{from}` and `{to}`"));
        }
        let at_once = by.get("no pod").into_iter().flatten().filter(|sample| self.was_emptied_near(sample));
        self.check_drained_at_once(finding, from, (at_once.count(), total));
        let explained = [
            ("ending", "met a pod that was ending"),
            ("no pod", "came while no pod of it was ready"),
            ("dependent", "were answered with an error while another workload had no ready pod"),
        ];
        for (key, what) in explained {
            if count(key) > 0 {
                finding.check(true, format!("{title}: {} of {total} requests failed and {what}", count(key)));
            }
        }
        for (why, samples) in
            by.iter().filter(|(key, _)| **key != "none" && explained.iter().all(|(known, _)| known != *key))
        {
            let first = samples[0].detail;
            finding.unsure(format!(
                "{title}: {} of {total} requests failed, and {why}, the first: {first}",
                samples.len()
            ));
        }
        self.check_outage(finding, expected, after);
        self.check_silence(finding);
        Ok(())
    }

    /// Whether too few requests were made to say anything.
    fn is_thin(&self) -> bool {
        let (from, to) = self.window.span();
        // In a short window nothing can be asked often.
        let is_long = to - from > SILENCE + SAMPLES as f64 * self.pace;
        is_long && !self.slow && self.judged(f64::NEG_INFINITY).count() < SAMPLES
    }

    fn check_outage(&self, finding: &mut Finding, expected: &Expected, after: f64) {
        let excepted = |sample: &Sample<'r>| {
            let failed = sample.outcome != Outcome::Acknowledged;
            // One that decides nothing by itself decides nothing together with others. One that met a pod that was ending does.
            let is_ending = || since_ending(&self.endings, sample) <= LAG || self.lost_its_pod(sample);
            let is_open = || !is_ending() && (self.may_wait(sample) || self.may_be_early(sample));
            let is_known = || {
                self.had_no_pod(sample)
                    || self.is_dependent(sample)
                    || self.may_need_others(sample)
                    || is_open()
            };
            sample.span().0 <= after || failed && is_known()
        };
        let windows = outages_but_for(&self.samples, excepted).windows;
        let longest = windows.iter().map(|w| w.length()).fold(0.0, f64::max);
        let machine = &finding.machine;
        let fed = windows.iter().map(|w| machine.fed(w.from, w.to, w.length())).fold(0.0, f64::max);
        let (title, most) = (&self.title, expected.outage);
        finding.check_unless_starved(
            longest <= most,
            fed <= most,
            format!(
                "{title}: longest time without an answer {longest:.1} s of {most:.1} s, while a pod was ready"
            ),
        );
    }

    fn check_silence(&self, finding: &mut Finding) {
        let (from, to) = self.window.span();
        let began = self.samples.first().map_or(to, |s| s.span().0);
        let began = if self.returned { from } else { began };
        let ended = self.samples.last().map_or(if self.returned { to } else { from }, |s| s.span().1);
        let silence = outages(&self.samples).silence.max(began - from).max(to - ended);
        let most = SILENCE + self.pace;
        if silence > most {
            finding.unsure(format!("{}: no request for {silence:.1} s, {most:.1} s are allowed", self.title));
        }
    }
}

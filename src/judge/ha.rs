//! Part E: one of several control planes is stopped and comes back.
//!
//! [`facts`] lists what each claim reads. The claims also read the fault's records, the samples of the probes `api` and
//! `api-anew`, and the changes of Nodes. A fact that was not observed makes its claim inconclusive. The marks are
//! `down`, just before the fault, and `returned`, when the control plane serves again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::availability::refusals;
use super::durability::misplaced;
use super::evidence::seconds_between;
use super::fault::{self, Power};
use super::machine::Machine;
use super::object::{Object, names};
use super::outages::{Asked, Outages, Refusal, Window};
use super::{Claim, Evidence, Finding, Missing, clock};
use crate::event::{Event, Outcome, Record};

pub mod facts;

/// E1: the API answers while one of several control planes is down and when it comes back.
pub static E1: Claim = Claim::new(
    "E1",
    "the API answers while one of several control planes is down, and when it comes back",
    api_answers,
);
/// E2: a stopped control plane comes back with its address, and etcd with all its members.
pub static E2: Claim = Claim::new(
    "E2",
    "a stopped control plane comes back with its address, and etcd with all its members",
    comes_back,
);
/// E3: the loss of the controller-manager's leader is noticed, at most the time of one election later than otherwise.
pub static E3: Claim = Claim::new(
    "E3",
    "the loss of the controller-manager's leader is noticed within the time of an election more",
    noticed,
)
.watching(&["Node"]);
/// E4: a fault on a control plane that the API cannot do without is refused and changes nothing.
pub static E4: Claim =
    Claim::new("E4", "a control plane without which the API would go is refused, and left as it is", refused);

/// The claims of part E.
pub static CLAIMS: [&Claim; 4] = [&E1, &E2, &E3, &E4];

/// The mark just before the fault.
pub const DOWN: &str = "down";
/// The mark when the control plane serves again.
pub const RETURNED: &str = "returned";

/// A budget with the arithmetic behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allowed {
    /// Seconds; of the longest absence if there may be several.
    pub seconds: f64,
    /// Seconds of all absences together. Absent in runs of earlier versions and in budgets for a single event: then
    /// [`TIMES`] the longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away: Option<f64>,
    /// The share of requests that may fail, from 0 to 1. Absent in the same cases as `away`: then [`FAILED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<f64>,
    /// One line for each part.
    pub arithmetic: Vec<String>,
}

/// How often the API may be away for as long as its longest absence: when a control plane stops, and when it comes
/// back.
pub const TIMES: f64 = 2.0;
/// The share of requests that may fail from the fault to the return. This time is about two minutes: the node's silence
/// after an election, its boot, its API server's start. Two absences of the longest kind, 32 s together, are a little
/// more than a quarter of it.
pub const FAILED: f64 = 0.3;

impl Allowed {
    /// Returns the allowed seconds of all absences together.
    pub fn in_all(&self) -> f64 {
        self.away.unwrap_or(TIMES * self.seconds)
    }

    /// Returns the share of requests that may fail.
    pub fn share(&self) -> f64 {
        self.failed.unwrap_or(FAILED)
    }
}

/// A member of etcd: as the cluster lists it, and the health that it reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name of the member, which is that of its node.
    pub name: String,
    /// Addresses at which the other members reach it.
    pub peers: Vec<String>,
    /// Whether the member votes: a learner does not.
    pub votes: bool,
    /// Whether the member reports that it is healthy.
    pub healthy: bool,
}

/// A request that must be refused, and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What was requested.
    pub asked: String,
    /// The container that the request was about; absent in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The error's text; none if the request was allowed.
    pub answer: Option<String>,
    /// The text that the answer must contain.
    pub because: String,
}

/// The state of a container when it was inspected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// `running`, `exited`, `paused`.
    pub power: String,
    /// When the container was last started.
    pub started_at: Option<String>,
}

/// Names of the probes that ask the API from outside: over one connection, and over a new connection for each request.
const PROBES: [&str; 2] = ["api", "api-anew"];
/// Name of the controller-managers' Lease.
pub const LEADER: &str = "kube-controller-manager";
/// Seconds without a request after which a probe counts as silent.
const SILENT: f64 = 5.0;
/// Number of answers that are needed before the fault, while the node is down, and after its return.
const ANSWERS: usize = 5;

/// The fault on the target: record and proof of its injection, and of its healing if it was healed.
struct Fault<'r> {
    injected: &'r Record,
    proof: &'r Value,
    healed: Option<(&'r Record, &'r Value)>,
}

/// E1.
fn api_answers(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let allowed: Allowed = evidence.fact(&facts::ABSENCE_BUDGET)?;
    let fault = finding.part(|f| went_down(f, evidence));
    let (down, returned) = (evidence.mark(DOWN)?, evidence.mark(RETURNED)?);
    let records = evidence.records();
    let until = |to: &Record| &records[..position(records, to)];
    let between = evidence.between(DOWN, RETURNED)?;
    let healed = fault.as_ref().and_then(|f| f.healed).map_or(returned, |(record, _)| record);
    let after = position(between, healed);
    let begin = down.mono_us as f64 / 1e6;
    let (mut worst, mut told) = (0.0_f64, Vec::new());
    for probe in PROBES {
        for (when, part) in [
            ("before", until(down)),
            ("while it was down", &between[..after]),
            ("while it came back", &between[after..]),
        ] {
            match Outages::of(part, probe).answered {
                few @ ..ANSWERS => {
                    finding.unsure(format!("{probe}: {few} answers {when}, {ANSWERS} are needed"))
                }
                answers => finding.check(true, format!("{probe}: {answers} answers {when}")),
            };
        }
        // The last answer before the fault is the beginning of an outage that lasts into it.
        let all = Outages::of(until(returned), probe);
        if all.silence > SILENT {
            finding.unsure(format!("{probe} did not ask for {:.1} s", all.silence));
        }
        let windows: Vec<_> = all.windows.iter().filter(|w| w.to >= begin).collect();
        let refused = refusals(until(returned)).remove(probe).unwrap_or_default();
        let open = windows.iter().find(|w| w.open);
        let end = if open.is_some() { "was away" } else { "answered" };
        let excused =
            open.is_some_and(|w| finding.machine.fed_but_for(&refused, w.from, w.to, w.length()) == 0.0);
        finding.check_unless_starved(open.is_none(), excused, format!("{probe}: the API {end} in the end"));
        let seen = Absence::of(&windows, (between, probe), &refused, &Machine::default());
        let fed = Absence::of(&windows, (between, probe), &refused, &finding.machine);
        seen.check(finding, &fed, probe, &allowed);
        finding.budget = Some(allowed.seconds);
        told.push(format!("{probe} {} times, longest {:.1} s", windows.len(), seen.longest));
        worst = worst.max(seen.longest);
    }
    finding.took = Some(worst);
    clock::check_agree(finding, down, returned);
    finding.summary(format!("away for {}, of {:.1} s", told.join(", for "), allowed.seconds));
    Ok(())
}

/// How long and how often a probe got no answer between the fault and the return.
#[derive(Default)]
struct Absence {
    /// Seconds of the longest absence.
    longest: f64,
    /// Seconds of all absences together.
    away: f64,
    failed: usize,
    requests: usize,
}

impl Absence {
    /// Leaves out what a starved machine explains: requests that failed then, and their part of an absence. Refusals
    /// that the server answered count in full.
    fn of(
        windows: &[&Window],
        (between, probe): (&[Record], &str),
        refused: &[Refusal],
        machine: &Machine,
    ) -> Self {
        let mut absence = Self::default();
        for window in windows {
            let length = machine.fed_but_for(refused, window.from, window.to, window.length());
            absence.longest = absence.longest.max(length);
            absence.away += length;
        }
        for asked in between.iter().filter_map(|record| Asked::of(record, |name| name == probe)) {
            let Asked::Request { from, to, outcome, .. } = asked else { continue };
            let failed = outcome != Outcome::Acknowledged;
            let answered = refused.iter().any(|(_, at)| *at == to);
            if !failed || answered || machine.starved_but_for(refused, from, to) == 0.0 {
                absence.requests += 1;
                absence.failed += usize::from(failed);
            }
        }
        absence
    }

    fn share(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.failed as f64 / self.requests as f64 }
    }

    /// `fed` is the absence that a machine that does not starve would have had.
    fn check(&self, finding: &mut Finding, fed: &Self, probe: &str, allowed: &Allowed) {
        let Self { longest, away, failed, requests } = self;
        let (seconds, in_all, share) = (allowed.seconds, allowed.in_all(), allowed.share());
        let what = format!("{probe}: the API's longest absence took {longest:.1} s of {seconds:.1} s");
        finding.check_unless_starved(*longest <= seconds, fed.longest <= seconds, what);
        let what = format!("{probe}: all absences together took {away:.1} s of {in_all:.1} s");
        finding.check_unless_starved(*away <= in_all, fed.away <= in_all, what);
        let what = format!(
            "{probe}: {failed} of {requests} requests failed, {:.1} % of {:.1} %",
            self.share() * 100.0,
            share * 100.0
        );
        finding.check_unless_starved(self.share() <= share, fed.share() <= share, what);
    }
}

/// E2.
fn comes_back(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let target: String = evidence.fact(&facts::TARGET)?;
    let address = finding.part(|finding| {
        let fault = went_down(finding, evidence)?;
        let (_, proof) = fault.healed.ok_or_else(|| Missing(format!("{target} was not brought back")))?;
        let (was, is) = (fault.proof["address"].as_str(), proof["address"].as_str());
        let (Some(was), Some(is)) = (was, is) else {
            return Err(Missing(format!(
                "the address of {target} was not taken note of, {was:?} and {is:?}"
            )));
        };
        finding.check(was == is, format!("{target} had {was} and has {is}"));
        Ok(is.to_owned())
    });
    finding.part(|finding| {
        let before: Vec<Member> = evidence.fact(&facts::MEMBERS_BEFORE)?;
        let after: Vec<Member> = evidence.fact(&facts::MEMBERS_AFTER)?;
        check_members(finding, &target, &before, &after)
    });
    finding.part(|finding| {
        let served: bool = evidence.fact(&facts::SERVED)?;
        finding.check(served, format!("the API server of {target} is ready again: {served}"));
        Ok(())
    });
    finding.summary(format!(
        "{target} is back with {}, its member of etcd among the others",
        address.unwrap_or_default()
    ));
    Ok(())
}

fn check_members(
    finding: &mut Finding,
    target: &str,
    before: &[Member],
    after: &[Member],
) -> Result<(), Missing> {
    if before.len() < 3 {
        return Err(Missing(format!("{} members of etcd: the loss of one is not borne", before.len())));
    }
    if !before.iter().any(|m| m.name == target) {
        return Err(Missing(format!("no member of etcd is called {target}")));
    }
    let known = |all: &[Member]| -> BTreeMap<String, Vec<String>> {
        all.iter().map(|m| (m.name.clone(), m.peers.clone())).collect()
    };
    let (was, is) = (known(before), known(after));
    finding.check(was == is, format!("etcd: {was:?} before, {is:?} after"));
    for (when, all) in [("before", before), ("after", after)] {
        let sick: Vec<&str> =
            all.iter().filter(|m| !m.healthy || !m.votes).map(|m| m.name.as_str()).collect();
        let what = match sick.is_empty() {
            true => format!("etcd {when}: {} members, all healthy and voting", all.len()),
            false => format!("etcd {when}: not healthy, or without a vote: {}", names(&sick)),
        };
        finding.check(sick.is_empty(), what);
    }
    Ok(())
}

/// E3.
fn noticed(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let target: String = evidence.fact(&facts::TARGET)?;
    let allowed: Allowed = evidence.fact(&facts::NOTICE_BUDGET)?;
    let fault = went_down(finding, evidence)?;
    let leaders = finding.part(|finding| {
        let before = Object::observed(evidence, &facts::LEADER_BEFORE)?;
        let after = Object::observed(evidence, &facts::LEADER_AFTER)?;
        for (when, lease) in [("before", &before), ("after", &after)] {
            let name = lease.name();
            finding.check(name == LEADER, format!("the lease {when} is {name}, of {LEADER}"));
        }
        let (was, is) = (leader(&before)?, leader(&after)?);
        finding.check(was == target, format!("{was} led before, {target} went down"));
        finding.check(is != target, format!("{is} leads after, {target} is down"));
        let (a, b) = (before.number("/spec/leaseTransitions"), after.number("/spec/leaseTransitions"));
        finding.check(b > a, format!("the lease changed hands: transition {a} before, {b} after"));
        Ok(is.to_owned())
    });
    // A change counts from the beginning of the stop, which took `took_s` seconds: the node was not silent earlier.
    let stopping = fault.proof["took_s"].as_f64().unwrap_or_default();
    let changes = evidence.changes("Node").into_iter();
    let unknown = changes.filter_map(|(r, _, v)| Some((r, Object::new(v).ok()?))).find(|(record, node)| {
        let after = seconds_between(record, fault.injected) <= stopping;
        after && node.name() == target && node.condition("Ready").is_some_and(|c| c.0 == "Unknown")
    });
    let (unknown, _) = unknown.ok_or_else(|| Missing(format!("{target} was not seen Unknown")))?;
    let before = |r: &Record| seconds_between(r, fault.injected) > stopping;
    if let Some(node) = fault::last_node(evidence.records(), &target, before)
        && node.condition("Ready").is_some_and(|c| c.0 == "Unknown")
    {
        return Err(Missing(format!(
            "{target} was Unknown before the fault: nothing shows when its loss was noticed"
        )));
    }
    if let Some((healed, _)) = fault.healed {
        finding.check(unknown.seq < healed.seq, format!("{target} was Unknown before it was brought back"));
    }
    let took = seconds_between(fault.injected, unknown) + stopping;
    // The recorder may have missed an earlier change of the node.
    let down = evidence.between(DOWN, RETURNED)?;
    finding.watched(&evidence.gaps(down, &["Node"]), |finding| {
        finding.timed_until(unknown, &format!("{target} Unknown"), took, allowed.seconds);
    });
    clock::check_agree(finding, fault.injected, unknown);
    finding.summary(format!(
        "{target} led and went down; {} took over, the node was Unknown after {took:.1} s of {:.1} s",
        leaders.unwrap_or_default(),
        allowed.seconds
    ));
    Ok(())
}

/// Returns the node that holds a Lease. The holder is the node's name, an underscore and a UUID.
fn leader<'r>(lease: &Object<'r>) -> Result<&'r str, Missing> {
    let holder = lease.text("/spec/holderIdentity").filter(|h| !h.is_empty());
    let node = holder.and_then(|h| Some(h.rsplit_once('_')?.0));
    node.ok_or_else(|| Missing(format!("the lease {} names no leader", lease.name())))
}

/// E4. While one control plane is down, the API can do without none of the others: each of them must be refused.
fn refused(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let asked = evidence.facts(&facts::REFUSED)?;
    for refused in &asked {
        let answer = refused.answer.clone().unwrap_or_else(|| "yes".into());
        let right = !refused.because.is_empty() && answer.contains(&refused.because);
        finding.check(right, format!("{} was answered with: {answer}", refused.asked));
    }
    let is_asked = |r: &Record| facts::REFUSED.value_in(&r.event, E4.id).is_some();
    let records = evidence.records();
    let ends = [records.iter().position(is_asked), records.iter().rposition(is_asked)];
    let before: Vec<Container> = evidence.fact(&facts::OTHERS_BEFORE)?;
    // Runs of earlier versions (schema 1) have the target for the other claims only.
    let of_another = || Evidence::new(records, E1.id).fact(&facts::TARGET);
    let target: String = evidence.fact(&facts::TARGET).or_else(|_| of_another())?;
    for at in ends.into_iter().flatten() {
        let down = misplaced::down(&records[..at]);
        // The refusals prove something only if the target is down and is not one of the containers that were asked for.
        if !down.contains_key(target.as_str()) || before.iter().any(|c| c.name == target) {
            finding.unsure("no control plane was down when it was asked: nothing had to be refused");
        }
    }
    let after: Vec<Container> = evidence.fact(&facts::OTHERS_AFTER)?;
    if before.is_empty() {
        return Err(Missing("there was no other container to leave as it is".into()));
    }
    for container in &before {
        // Runs of earlier versions name the container only in the text of the request.
        let of = |r: &Refused| match &r.node {
            Some(node) => *node == container.name,
            None => r.asked == format!("to stop {}", container.name),
        };
        if !asked.iter().any(of) {
            finding.unsure(format!("nobody asked for {}", container.name));
        }
    }
    finding.check(before == after, format!("{before:?} before, {after:?} after"));
    let down: Vec<&str> = after.iter().filter(|c| c.power != "running").map(|c| c.name.as_str()).collect();
    finding.check(
        down.is_empty(),
        match down.is_empty() {
            true => format!("{} others run", after.len()),
            false => format!("not running: {}", names(&down)),
        },
    );
    finding.summary(format!("{} times refused, {} containers as they were", asked.len(), after.len()));
    Ok(())
}

/// Checks that a fault stopped the target, and that healing the fault, and nothing else, brought the target back.
fn went_down<'r>(finding: &mut Finding, evidence: &Evidence<'r>) -> Result<Fault<'r>, Missing> {
    let target: String = evidence.fact(&facts::TARGET)?;
    let records = evidence.records();
    let injected = records.iter().find_map(|r| match &r.event {
        Event::FaultInjected { id, fault, node, proof }
            if *node == target && fault::reaches_node(fault, proof) =>
        {
            Some((r, id, proof))
        }
        _ => None,
    });
    let (injected, id, proof) =
        injected.ok_or_else(|| Missing(format!("no fault on {target} was proved")))?;
    let intended = records
        .iter()
        .any(|r| matches!(&r.event, Event::FaultIntended { id: i, node, .. } if i == id && *node == target));
    if !intended {
        return Err(Missing(format!("the intent of fault {id} was not recorded")));
    }
    match Power::in_proof(proof) {
        Power::Down(power) => finding.check(true, format!("{target} went down: {power}")),
        Power::Running | Power::Unknown => {
            finding.unsure(format!("the fault on {target} never took hold: {proof}"))
        }
    };
    let healed = records.iter().find_map(|r| match &r.event {
        Event::FaultHealed { id: i, node, proof, .. } if i == id && *node == target => Some((r, proof)),
        _ => None,
    });
    if let Some((_, proof)) = healed {
        if proof["was"] == "running" {
            finding.unsure(format!("{target} ran before it was brought back: somebody else started it"));
        }
        if Power::in_proof(proof) != Power::Running {
            finding.unsure(format!("nothing proves that {target} runs again: {proof}"));
        }
    }
    Ok(Fault { injected, proof, healed })
}

fn position(records: &[Record], of: &Record) -> usize {
    records.iter().position(|r| r.seq == of.seq && r.writer == of.writer).unwrap_or(records.len())
}

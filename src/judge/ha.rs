//! Part E: several control planes, of which one goes down and comes back.
//!
//! What each claim reads is in [`facts`]; the claims read the fault's records, the samples of the probes `api` and
//! `api-anew`, and the changes of Nodes, too. A fact that was not observed makes its claim inconclusive. The marks are
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

/// E1: the API answers while one of several control planes is down, and when it comes back.
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
/// E3: the loss of the controller-manager's leader is noticed within the time of an election more.
pub static E3: Claim = Claim::new(
    "E3",
    "the loss of the controller-manager's leader is noticed within the time of an election more",
    noticed,
)
.watching(&["Node"]);
/// E4: a control plane without which the API would go is refused, and left as it is.
pub static E4: Claim =
    Claim::new("E4", "a control plane without which the API would go is refused, and left as it is", refused);

/// The claims of part E.
pub static CLAIMS: [&Claim; 4] = [&E1, &E2, &E3, &E4];

/// The mark just before the fault.
pub const DOWN: &str = "down";
/// The mark when the control plane serves again.
pub const RETURNED: &str = "returned";

/// A budget with the way it was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allowed {
    /// Seconds, of the longest absence where there may be several.
    pub seconds: f64,
    /// Seconds of all absences together; in runs of earlier versions, and of a budget for one moment alone, absent:
    /// [`TIMES`] the longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away: Option<f64>,
    /// The share of requests that may fail, from 0 to 1; absent as `away`: [`FAILED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<f64>,
    /// A line a part.
    pub arithmetic: Vec<String>,
}

/// How often the API may be away for as long as its longest absence: as a control plane goes, and as it comes back.
pub const TIMES: f64 = 2.0;
/// The share of requests that may fail from the fault to the return. That takes two minutes or so: the node's silence
/// after an election, its boot, its API server's start. Both absences at their longest, 32 s, are a little more
/// than a quarter of it.
pub const FAILED: f64 = 0.3;

impl Allowed {
    /// Seconds of all absences together.
    pub fn in_all(&self) -> f64 {
        self.away.unwrap_or(TIMES * self.seconds)
    }

    /// The share of requests that may fail.
    pub fn share(&self) -> f64 {
        self.failed.unwrap_or(FAILED)
    }
}

/// A member of etcd, as the cluster lists it, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name: that of its node.
    pub name: String,
    /// Where the other members find it.
    pub peers: Vec<String>,
    /// Whether it votes: a learner does not.
    pub votes: bool,
    /// Whether it says that it is healthy.
    pub healthy: bool,
}

/// What was asked for and may not be, and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What was asked for.
    pub asked: String,
    /// The container that it was asked for; absent in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The error's text; none where it was allowed.
    pub answer: Option<String>,
    /// What the answer must say.
    pub because: String,
}

/// A container as it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// `running`, `exited`, `paused`.
    pub power: String,
    /// When it was started last.
    pub started_at: Option<String>,
}

/// Names of the probes that ask the API from outside: over one connection, and over a new one each time.
const PROBES: [&str; 2] = ["api", "api-anew"];
/// The lease of the controller-managers.
pub const LEADER: &str = "kube-controller-manager";
/// A probe that is silent for longer than this was not asking.
const SILENT: f64 = 5.0;
/// Answers that there must be before the fault, while the node is down, and after its return.
const ANSWERS: usize = 5;

/// The fault on the target: its beginning and the proof, and the record of both.
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
        // The last answer before the fault is the beginning of an outage in it.
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

/// How long a probe got no answer from the fault to the return, and how often.
#[derive(Default)]
struct Absence {
    /// Seconds of the longest time without an answer.
    longest: f64,
    /// Seconds of all of them.
    away: f64,
    failed: usize,
    requests: usize,
}

impl Absence {
    /// But for what a machine that starved explains: requests that failed then, and their part of an absence. What a
    /// server answered is its own.
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

    /// `fed` is what it would have been had the machine not starved.
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
    // Not before the stop began: nothing was silent then.
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
    // An earlier change of the node may not have been seen.
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

/// A Lease's holder: the node's name, an underline, a UUID.
fn leader<'r>(lease: &Object<'r>) -> Result<&'r str, Missing> {
    let holder = lease.text("/spec/holderIdentity").filter(|h| !h.is_empty());
    let node = holder.and_then(|h| Some(h.rsplit_once('_')?.0));
    node.ok_or_else(|| Missing(format!("the lease {} names no leader", lease.name())))
}

/// E4. Only while a control plane is down is there one without which the API would go, and each of the others
/// is such a one.
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
    // Runs of earlier versions, of schema 1, name it for the other claims alone.
    let of_another = || Evidence::new(records, E1.id).fact(&facts::TARGET);
    let target: String = evidence.fact(&facts::TARGET).or_else(|_| of_another())?;
    for at in ends.into_iter().flatten() {
        let down = misplaced::down(&records[..at]);
        // One of the others, or a worker, is no control plane that they stand in for.
        if !down.contains_key(target.as_str()) || before.iter().any(|c| c.name == target) {
            finding.unsure("no control plane was down when it was asked: nothing had to be refused");
        }
    }
    let after: Vec<Container> = evidence.fact(&facts::OTHERS_AFTER)?;
    if before.is_empty() {
        return Err(Missing("there was no other container to leave as it is".into()));
    }
    for container in &before {
        // Runs of earlier versions have the name in what was asked alone.
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

/// The target went down by a fault, and stayed down until it was brought back.
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

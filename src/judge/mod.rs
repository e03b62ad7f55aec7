//! Judges: pure functions from recorded evidence to findings. Judges see no cluster, no engine and no clock, so a run
//! can be judged again on another machine.

#[cfg(all(feature = "suites", not(feature = "internals")))]
pub(crate) mod availability;
#[cfg(all(feature = "suites", feature = "internals"))]
pub mod availability;
#[cfg(not(feature = "internals"))]
pub(crate) mod clock;
#[cfg(feature = "internals")]
pub mod clock;
#[cfg(feature = "suites")]
pub mod durability;
pub mod evidence;
pub mod fact;
#[cfg(not(feature = "internals"))]
pub(crate) mod fault;
#[cfg(feature = "internals")]
pub mod fault;
#[cfg(feature = "suites")]
pub mod ha;
#[cfg(not(feature = "internals"))]
pub(crate) mod identity;
#[cfg(feature = "internals")]
pub mod identity;
mod index;
#[cfg(not(feature = "internals"))]
pub(crate) mod integrity;
#[cfg(feature = "internals")]
pub mod integrity;
#[cfg(all(feature = "suites", not(feature = "internals")))]
pub(crate) mod invariants;
#[cfg(all(feature = "suites", feature = "internals"))]
pub mod invariants;
#[cfg(all(feature = "suites", not(feature = "internals")))]
pub(crate) mod locality;
#[cfg(all(feature = "suites", feature = "internals"))]
pub mod locality;
#[cfg(not(feature = "internals"))]
pub(crate) mod lost;
#[cfg(feature = "internals")]
pub mod lost;
#[cfg(not(feature = "internals"))]
pub(crate) mod machine;
#[cfg(feature = "internals")]
pub mod machine;
#[cfg(feature = "suites")]
pub mod mysql;
pub mod object;
#[cfg(not(feature = "internals"))]
pub(crate) mod outages;
#[cfg(feature = "internals")]
pub mod outages;
#[cfg(feature = "suites")]
pub mod stateful_set;
#[cfg(feature = "suites")]
pub mod stateless;
#[cfg(not(feature = "internals"))]
pub(crate) mod stories;
#[cfg(feature = "internals")]
pub mod stories;
#[cfg(feature = "suites")]
pub mod trial;
#[cfg(feature = "suites")]
pub mod upgrade;
#[cfg(feature = "suites")]
pub mod watch;
/// The facts of upgrades that every scenario records, and their budgets.
#[cfg(not(feature = "suites"))]
pub mod upgrade {
    mod budget;
    pub mod facts;

    pub use budget::{Allowed, BudgetError, Budgets};
    pub use facts::Origin;
}
#[cfg(not(feature = "internals"))]
pub(crate) mod watched;
#[cfg(feature = "internals")]
pub mod watched;

pub use evidence::{Evidence, Missing};
pub use fact::Fact;
pub use lost::Holds;

pub use crate::event::Conclusion;
use crate::event::Record;
use lost::Lost;
use machine::Machine;

/// A claim and the judge that decides it: built in, or defined by a program of your own.
#[derive(Debug)]
pub struct Claim {
    /// Id, such as `A1`.
    pub id: &'static str,
    /// What is claimed, in a sentence.
    pub title: &'static str,
    /// Kinds of objects whose changes the judge reads: while a watch of such a kind was interrupted, its checks are
    /// inconclusive. Objects that a story observed or listed do not count as changes.
    pub watches: &'static [&'static str],
    /// Whether the judge reads the records of the whole run ([`Evidence::run`]), such as the verdicts on other claims.
    pub sees_run: bool,
    /// The judge.
    pub judge: Judge,
}

/// Makes the checks of a claim from the records of one scenario. [`Missing`] evidence ends the judge early; checks that
/// were made before that still count.
pub type Judge = fn(&Evidence<'_>, &mut Finding) -> Result<(), Missing>;

impl Claim {
    /// Returns a claim whose judge reads only observed facts.
    pub const fn new(id: &'static str, title: &'static str, judge: Judge) -> Self {
        Self { id, title, watches: &[], sees_run: false, judge }
    }

    /// Returns the claim with the kinds of objects whose changes its judge reads ([`Claim::watches`]).
    pub const fn watching(self, watches: &'static [&'static str]) -> Self {
        Self { watches, ..self }
    }

    /// Returns the claim as one whose judge reads the records of the whole run ([`Claim::sees_run`]).
    pub const fn on_the_run(self) -> Self {
        Self { sees_run: true, ..self }
    }

    /// Judges the claim. Missing evidence makes the claim inconclusive, unless another check failed: then the claim
    /// fails.
    pub fn judge(&self, evidence: &Evidence<'_>) -> Finding {
        self.judge_broken(evidence, &[])
    }

    /// Judges as [`Claim::judge`] does, from incomplete records. Each defect of the records is an inconclusive check,
    /// and no check fails: the missing or misplaced records may be the reason why a check does not hold.
    pub fn judge_broken(&self, evidence: &Evidence<'_>, defects: &[&str]) -> Finding {
        let records = evidence.records();
        let index = index::Index::new(records);
        let evidence = &evidence.indexed(&index);
        let machine = Machine::of(records);
        let mut finding = Finding { lost: Lost::of(records, &machine), machine, ..Finding::new() };
        finding.watched(defects, |finding| finding.part(|finding| (self.judge)(evidence, finding)));
        finding
    }
}

/// The result of judging: every check with its outcome, and the decisive line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding {
    checks: Vec<(Conclusion, String)>,
    summary: Option<String>,
    /// Whether changes may be missing from the records that the current checks read.
    blind: bool,
    /// Nodes that were lost because the machine starved.
    lost: Lost,
    /// When the machine starved.
    machine: Machine,
    /// Seconds that the judged operation took, if the claim is about time.
    pub took: Option<f64>,
    /// Seconds that the operation was allowed.
    pub budget: Option<f64>,
}

impl Finding {
    /// Returns a finding without checks, which is inconclusive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check: passed if `holds`, failed otherwise. `what` says what was found, with names and numbers, in words
    /// that fit both results. A failure that the loss of nodes explains (`lost`) is inconclusive.
    pub fn check(&mut self, holds: impl Into<Holds>, what: impl Into<String>) -> &mut Self {
        let (holds, what) = (holds.into(), what.into());
        let check = match self.lost.explains(&holds) {
            _ if holds.is_met() => (Conclusion::Passed, what),
            // A change that was not recorded may be the reason why the check does not hold.
            _ if self.blind => (Conclusion::Inconclusive, what),
            Some(excuse) => (Conclusion::Inconclusive, format!("{what}; {excuse}")),
            None => (Conclusion::Failed, what),
        };
        self.checks.push(check);
        self
    }

    /// Adds a check as [`Finding::check`] does. If the check does not hold, but would have held on a machine that does
    /// not starve (`excused`), it is inconclusive.
    pub fn check_unless_starved(&mut self, holds: bool, excused: bool, what: impl Into<String>) -> &mut Self {
        match !holds && excused {
            true => self.unsure(format!("{}; the machine starved meanwhile", what.into())),
            false => self.check(holds, what),
        }
    }

    /// Adds a check that is inconclusive because the evidence is insufficient.
    pub fn unsure(&mut self, why: impl Into<String>) -> &mut Self {
        self.checks.push((Conclusion::Inconclusive, why.into()));
        self
    }

    /// Makes a part of the checks and returns its result. Missing evidence makes this part inconclusive and does not
    /// affect other parts.
    pub fn part<T>(&mut self, checks: impl FnOnce(&mut Self) -> Result<T, Missing>) -> Option<T> {
        match checks(self) {
            Ok(found) => Some(found),
            Err(missing) => {
                self.unsure(missing.to_string());
                None
            }
        }
    }

    /// Makes checks that read changes of objects. Each gap in their watches is an inconclusive check. If there is a
    /// gap, no check fails: a change in the gap may be the reason why the check does not hold.
    pub fn watched<T>(&mut self, gaps: &[impl std::fmt::Display], checks: impl FnOnce(&mut Self) -> T) -> T {
        for gap in gaps {
            let what = (Conclusion::Inconclusive, gap.to_string());
            if !self.checks.contains(&what) {
                self.checks.push(what);
            }
        }
        let before = self.blind;
        self.blind |= !gaps.is_empty();
        let found = checks(self);
        self.blind = before;
        found
    }

    /// Sets the line that is shown for a passed claim. A claim that did not pass shows its worst check instead.
    pub fn summary(&mut self, line: impl Into<String>) -> &mut Self {
        self.summary = Some(line.into());
        self
    }

    /// Adds a check of a duration that ended with this record against its budget. A duration over its budget fails. It
    /// is inconclusive if the machine starved during it: each starved second excuses `machine::KNOCK_ON` seconds.
    pub fn timed_until(&mut self, end: &Record, what: &str, took: f64, budget: f64) -> &mut Self {
        (self.took, self.budget) = (Some(took), Some(budget));
        let end = end.mono_us as f64 / 1e6;
        self.within((end - took, end), budget, format!("{what} took {took:.1} s of {budget:.1} s"))
    }

    /// Adds a check as [`Finding::timed_until`] does, of a duration between two seconds on the records' clock.
    pub fn within(&mut self, (from, to): (f64, f64), budget: f64, what: String) -> &mut Self {
        let excused = self.machine.fed(from, to, to - from) <= budget;
        self.check_unless_starved(to - from <= budget, excused, what)
    }

    /// Returns the worst result of all checks; inconclusive without checks.
    pub fn conclusion(&self) -> Conclusion {
        self.checks.iter().map(|c| c.0).max().unwrap_or(Conclusion::Inconclusive)
    }

    /// Returns the decisive evidence in one line.
    pub fn evidence(&self) -> String {
        let worst = self.conclusion();
        if worst == Conclusion::Passed
            && let Some(line) = &self.summary
        {
            return line.clone();
        }
        let decisive = self.checks.iter().filter(|c| c.0 == worst).map(|c| c.1.as_str());
        let lines: Vec<&str> = decisive.collect();
        if lines.is_empty() { "nothing was checked".into() } else { lines.join("; ") }
    }

    /// Returns each check as a line that begins with its result.
    pub fn details(&self) -> Vec<String> {
        self.checks.iter().map(|(conclusion, what)| format!("{conclusion}: {what}")).collect()
    }
}

/// Returns the built-in claim with this id. The id of a claim of a trial may name a workload after a `/`
/// ([`Evidence::subject`]).
pub fn claim(id: &str) -> Option<&'static Claim> {
    #[cfg(feature = "suites")]
    if let Some((of, _)) = id.split_once('/') {
        return trial::CLAIMS.iter().copied().find(|c| c.id == of);
    }
    CLAIMS.iter().flat_map(|part| part.iter().copied()).find(|c| c.id == id)
}

/// Whether a built-in claim has the id of this claim, and is another one. The ids are taken in every program, also in
/// those without the feature `suites`: another program may judge the run again.
pub(crate) fn is_taken(own: &'static Claim) -> bool {
    match claim(own.id) {
        Some(known) => !std::ptr::eq(known, own),
        None => cfg!(not(feature = "suites")) && BUILT_IN.split_whitespace().any(|id| id == own.id),
    }
}

/// The ids of the built-in claims.
const BUILT_IN: &str = "A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 \
    C1 C2 C3 C4 C5 C6 C7 C8 C9 C10 D1 D2 D3 D4 D5 E1 E2 E3 E4 \
    ready rollout pod-loss node-loss data return drain fault upgrade run ledger invariants clean \
     outages disturbed budgets identities nodes repeats pending containers sandboxes";

/// All built-in claims, by part; none without the feature `suites`.
pub static CLAIMS: &[&[&Claim]] = &[
    #[cfg(feature = "suites")]
    &stateless::CLAIMS,
    #[cfg(feature = "suites")]
    &mysql::CLAIMS,
    #[cfg(feature = "suites")]
    &stateful_set::CLAIMS,
    #[cfg(feature = "suites")]
    &upgrade::CLAIMS,
    #[cfg(feature = "suites")]
    &ha::CLAIMS,
    #[cfg(feature = "suites")]
    &trial::CLAIMS,
    #[cfg(feature = "suites")]
    &watch::CLAIMS,
];

#[cfg(all(test, feature = "suites"))]
mod tests {
    use super::*;

    #[test]
    fn built_in_ids_are_those_of_the_claims() {
        let claims = || CLAIMS.iter().flat_map(|part| part.iter().copied());
        assert!(claims().map(|claim| claim.id).eq(BUILT_IN.split_whitespace()));
        static OWN: Claim = Claim::new("B8", "another claim", |_, _| Ok(()));
        assert!(is_taken(&OWN) && claims().all(|claim| !is_taken(claim)));
    }
}

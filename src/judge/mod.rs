//! Judges: pure functions of recorded evidence. They see records only: no cluster, no engine, no
//! clock, so a run can be judged again on another machine.

pub mod availability;
pub mod clock;
pub mod durability;
pub mod evidence;
pub mod fact;
pub mod fault;
pub mod ha;
pub mod identity;
pub mod integrity;
pub mod locality;
pub mod lost;
pub mod machine;
pub mod object;
pub mod outages;
pub mod stateful_set;
pub mod stateful_single;
pub mod stateless;
pub mod stories;
pub mod upgrade;
pub mod watched;

pub use evidence::{Evidence, Missing};
pub use fact::Fact;
pub use lost::Holds;

pub use crate::event::Conclusion;
use crate::event::Record;
use lost::Lost;
use machine::Machine;

/// A claim with the judge that decides it. A story proves the built-in ones and its own alike.
#[derive(Debug)]
pub struct Claim {
    /// Its id, such as `A1`.
    pub id: &'static str,
    /// What is claimed, in a sentence.
    pub title: &'static str,
    /// Kinds of objects whose changes its checks read: while a watch of one was broken off, they are open.
    /// Objects that were observed, and listed, are no changes.
    pub watches: &'static [&'static str],
    /// Whether its judge reads the records of the whole run, such as the verdicts on other claims
    /// ([`Evidence::run`]).
    pub sees_run: bool,
    /// Makes its checks.
    pub judge: Judge,
}

/// Makes the checks of a claim from the records of one scenario. [`Missing`] evidence ends it early; what was found
/// before that counts all the same.
pub type Judge = fn(&Evidence<'_>, &mut Finding) -> Result<(), Missing>;

impl Claim {
    /// Returns a claim whose judge reads observed facts alone.
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

    /// Judges the claim. Evidence that is missing makes it inconclusive, unless a check failed
    /// beside it: then it has failed.
    pub fn judge(&self, evidence: &Evidence<'_>) -> Finding {
        self.judge_broken(evidence, &[])
    }

    /// As [`Claim::judge`], from records that are not whole. Each of their defects is an open check, and no check fails:
    /// what is missing, or stands elsewhere, may have made it hold.
    pub fn judge_broken(&self, evidence: &Evidence<'_>, defects: &[&str]) -> Finding {
        let records = evidence.records();
        let machine = Machine::of(records);
        let mut finding = Finding { lost: Lost::of(records, &machine), machine, ..Finding::new() };
        finding.watched(defects, |finding| finding.part(|finding| (self.judge)(evidence, finding)));
        finding
    }
}

/// The result of judging: every check with its outcome, and the line that decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding {
    checks: Vec<(Conclusion, String)>,
    summary: Option<String>,
    /// Whether changes may be missing that the checks made now read.
    blind: bool,
    /// Nodes that were lost because the machine starved.
    lost: Lost,
    /// When the machine starved.
    machine: Machine,
    /// Seconds that the claim's subject took, where time is part of it.
    pub took: Option<f64>,
    /// Seconds that it was allowed.
    pub budget: Option<f64>,
}

impl Finding {
    /// Without any check, which is inconclusive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check: passed where `holds`, failed otherwise. `what` says what was found, with
    /// names and numbers, so that it reads well in both cases. What the loss of nodes explains ([`lost`]) is
    /// inconclusive.
    pub fn check(&mut self, holds: impl Into<Holds>, what: impl Into<String>) -> &mut Self {
        let (holds, what) = (holds.into(), what.into());
        let check = match self.lost.explains(&holds) {
            _ if holds.is_met() => (Conclusion::Passed, what),
            // What was not seen may have made it hold.
            _ if self.blind => (Conclusion::Inconclusive, what),
            Some(excuse) => (Conclusion::Inconclusive, format!("{what}; {excuse}")),
            None => (Conclusion::Failed, what),
        };
        self.checks.push(check);
        self
    }

    /// As [`Finding::check`]; where it does not hold, but would have but for what the machine did (`excused`), it is
    /// inconclusive.
    pub fn check_unless_starved(&mut self, holds: bool, excused: bool, what: impl Into<String>) -> &mut Self {
        match !holds && excused {
            true => self.unsure(format!("{}; the machine starved meanwhile", what.into())),
            false => self.check(holds, what),
        }
    }

    /// Adds a check that the evidence does not decide.
    pub fn unsure(&mut self, why: impl Into<String>) -> &mut Self {
        self.checks.push((Conclusion::Inconclusive, why.into()));
        self
    }

    /// Makes a part of the checks, and gives what they found. Evidence that is missing makes this
    /// part inconclusive and hides no other.
    pub fn part<T>(&mut self, checks: impl FnOnce(&mut Self) -> Result<T, Missing>) -> Option<T> {
        match checks(self) {
            Ok(found) => Some(found),
            Err(missing) => {
                self.unsure(missing.to_string());
                None
            }
        }
    }

    /// Makes checks that read changes of objects. Each gap in their watches is an open check, and where
    /// there is one no check fails: what was not seen may have made it hold.
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

    /// The one line shown for a passed claim. A claim that did not pass shows what broke it.
    pub fn summary(&mut self, line: impl Into<String>) -> &mut Self {
        self.summary = Some(line.into());
        self
    }

    /// Adds the time taken against what was allowed, of a time that ended with this record. One that is over its
    /// budget fails; where the machine starved in it, for up to [`machine::KNOCK_ON`] times as long as that, it is
    /// inconclusive.
    pub fn timed_until(&mut self, end: &Record, what: &str, took: f64, budget: f64) -> &mut Self {
        (self.took, self.budget) = (Some(took), Some(budget));
        let end = end.mono_us as f64 / 1e6;
        self.within((end - took, end), budget, format!("{what} took {took:.1} s of {budget:.1} s"))
    }

    /// As [`Finding::timed_until`], from one second to another on the records' clock.
    pub fn within(&mut self, (from, to): (f64, f64), budget: f64, what: String) -> &mut Self {
        let excused = self.machine.fed(from, to, to - from) <= budget;
        self.check_unless_starved(to - from <= budget, excused, what)
    }

    /// The worst of its checks; inconclusive where there is none.
    pub fn conclusion(&self) -> Conclusion {
        self.checks.iter().map(|c| c.0).max().unwrap_or(Conclusion::Inconclusive)
    }

    /// The decisive evidence in one line.
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

    /// Each check as a line that begins with its result.
    pub fn details(&self) -> Vec<String> {
        self.checks.iter().map(|(conclusion, what)| format!("{conclusion}: {what}")).collect()
    }
}

/// The built-in claim with this id.
pub fn claim(id: &str) -> Option<&'static Claim> {
    CLAIMS.iter().flat_map(|part| part.iter().copied()).find(|c| c.id == id)
}

/// Every built-in claim, by part.
pub static CLAIMS: &[&[&Claim]] =
    &[&stateless::CLAIMS, &stateful_single::CLAIMS, &stateful_set::CLAIMS, &upgrade::CLAIMS, &ha::CLAIMS];

//! The lists of a program built on seatrial: suites, topologies, faults, collectors and report formats; the built-in
//! ones and the program's own.

use crate::cluster::{TOPOLOGIES, TopologySource};
use crate::diagnostics::{COLLECTORS, Collector};
use crate::fault::{Fault, Faults};
use crate::hint::{FailureKind, Hint};
use crate::judge::Claim;
use crate::report::{FORMATS, Format};
use crate::suite::{SUITES, Suite};

/// The lists of a program. Every entry is found by its name, so a name must be unique: [`Catalogue::check`].
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The suites, in the order in which they run; their claims are all claims of the program.
    pub suites: Vec<&'static Suite>,
    /// The shapes of clusters.
    pub topologies: Vec<&'static TopologySource>,
    /// The faults. This program cannot heal a fault that is missing here.
    pub faults: Faults,
    /// The collectors, which gather evidence when a story did not pass.
    pub collectors: Vec<&'static dyn Collector>,
    /// The report formats.
    pub formats: Vec<&'static dyn Format>,
}

/// Two entries of a catalogue have the same name.
#[derive(Debug, thiserror::Error)]
#[error("two {kind} are called {name}: each name must be unique")]
pub struct Ambiguous {
    /// `suites`, `claims`, `topologies`, `faults`, `collectors` or `report formats`.
    pub kind: &'static str,
    /// The name, or the claim's id.
    pub name: String,
}

impl Catalogue {
    /// Returns the catalogue of the built-in entries.
    pub fn built_in() -> Self {
        Self {
            suites: SUITES.to_vec(),
            topologies: TOPOLOGIES.to_vec(),
            faults: Faults::built_in(),
            collectors: COLLECTORS.to_vec(),
            formats: FORMATS.to_vec(),
        }
    }

    /// Returns the catalogue with these suites and their claims added.
    pub fn with_suites(mut self, suites: &[&'static Suite]) -> Self {
        self.suites.extend(suites);
        self
    }

    /// Returns the catalogue with this fault added.
    pub fn with_fault(mut self, fault: &'static dyn Fault) -> Self {
        self.faults.add(fault);
        self
    }

    /// The suite of this name.
    pub fn suite(&self, name: &str) -> Option<&'static Suite> {
        self.suites.iter().copied().find(|s| s.needs.name == name)
    }

    /// The report format of this name.
    pub fn format(&self, name: &str) -> Option<&'static dyn Format> {
        self.formats.iter().copied().find(|f| f.name() == name)
    }

    /// The claims of all suites, each once, in the order of the suites.
    pub fn claims(&self) -> Vec<&'static Claim> {
        let mut claims: Vec<&'static Claim> = Vec::new();
        for claim in self.suites.iter().flat_map(|s| s.needs.claims) {
            if !claims.iter().any(|known| std::ptr::eq(*known, *claim)) {
                claims.push(claim);
            }
        }
        claims
    }

    /// Checks that each name is unique.
    ///
    /// # Errors
    /// [`Ambiguous`] with the first duplicate name.
    pub fn check(&self) -> Result<(), Ambiguous> {
        unique("suites", self.suites.iter().map(|s| s.needs.name))?;
        unique("claims", self.claims().iter().map(|c| c.id))?;
        unique("topologies", self.topologies.iter().map(|t| t.name))?;
        unique("faults", self.faults.iter().map(|f| f.name()))?;
        unique("collectors", self.collectors.iter().map(|c| c.name()))?;
        unique("report formats", self.formats.iter().map(|f| f.name()))
    }
}

fn unique<'n>(kind: &'static str, names: impl Iterator<Item = &'n str>) -> Result<(), Ambiguous> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Ambiguous { kind, name: name.into() });
        }
    }
    Ok(())
}

impl Hint for Ambiguous {
    fn failure(&self) -> Option<FailureKind> {
        Some(FailureKind::Usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::KillNode;
    use crate::suite::stateless;

    #[test]
    fn built_in_names_are_unique() {
        Catalogue::built_in().check().unwrap();
    }

    #[test]
    fn a_name_that_is_taken_is_refused() {
        let two = Catalogue::built_in().with_suites(&[&stateless::SUITE]);
        assert_eq!(
            two.check().unwrap_err().to_string(),
            "two suites are called stateless: each name must be unique"
        );
        let two = Catalogue::built_in().with_fault(&KillNode);
        assert!(two.check().unwrap_err().to_string().contains("two faults are called kill:"));
        static OTHER_A1: Claim = Claim::new("A1", "another claim", |_, _| Ok(()));
        static CLAIMS: [&Claim; 1] = [&OTHER_A1];
        static OWN: Suite = Suite {
            about: "a suite",
            needs: crate::scenario::Needs { name: "own", claims: &CLAIMS, ..stateless::SUITE.needs },
            after_all: false,
            story: stateless::SUITE.story,
        };
        let two = Catalogue::built_in().with_suites(&[&OWN]);
        assert!(two.check().unwrap_err().to_string().contains("two claims are called A1:"));
    }
}

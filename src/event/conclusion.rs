//! The result of a claim in the event log.

use serde::{Deserialize, Serialize};

/// Result of a claim. The order is that of severity: of several results the worst wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// The evidence shows that the claim holds.
    Passed,
    /// The evidence is missing or insufficient: neither a pass nor a failure.
    Inconclusive,
    /// The evidence shows that the claim does not hold.
    Failed,
}

impl std::fmt::Display for Conclusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
        })
    }
}

//! Waits: a question on an object, asked on a watch until it is met, hopeless or out of time.

/// The answer to a question on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Met,
    /// Not yet, because.
    NotYet(String),
    /// It cannot hold any more, because: a wait ends at once.
    Never(String),
}

//! What a person can do about an error, and what kind of failure the error is.

use std::error::Error;

/// Kinds of failures. The command line ends with a documented exit code for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// A wrong argument, setting or name.
    Usage,
    /// An input file is invalid.
    Input,
    /// An engine, tool, registry or cluster is unavailable.
    Unavailable,
    /// A file cannot be written.
    CannotWrite,
    /// The cluster was not free in time.
    Busy,
    /// The operation was refused: for example, the cluster belongs to somebody else.
    Refused,
    /// An interrupt ended the operation.
    Interrupted,
    /// Anything else.
    Internal,
}

/// An error that says what kind of failure it is, and what a person can do about it.
pub trait Hint: Error + 'static {
    /// The kind of failure. `None` if the error's source has a better answer.
    fn failure(&self) -> Option<FailureKind> {
        None
    }

    /// What to do: a command or a setting, without the word `hint`.
    fn hint(&self) -> Option<String> {
        None
    }
}

//! Errors in one line.

use std::error::Error;

use crate::sanitise;
use crate::secret::hide_shapes;

/// The `Debug` of errors that keep what a program or a server printed: as [`chain`], without what has the
/// shape of a secret. A test that unwraps one prints it.
pub(crate) fn debug(error: &dyn Error, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    f.write_str(&hide_shapes(&chain(error)))
}

/// An error with its sources, as one harmless line. A source whose text is there already is left out: some errors repeat theirs.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for source in std::iter::successors(Some(error), |e| (**e).source()).skip(1) {
        let said = source.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
    }
    sanitise::line(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        let told = |text, source: Option<Told>| Told { text, source: source.map(Box::new) };
        let error = told("failed: refused", Some(told("refused", Some(told("no route", None)))));
        assert_eq!(chain(&error), "failed: refused: no route");
    }
}

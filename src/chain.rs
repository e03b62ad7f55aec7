//! Prints an error and its sources in one line.

use std::error::Error;

use kube::core::Status;

use crate::sanitise;
use crate::secret::hide_shapes;

/// The `Debug` output of errors that contain the output of a program or server: as [`chain`], with secrets recognised
/// by shape removed. A test that unwraps such an error prints this.
pub(crate) fn debug(error: &(dyn Error + 'static), f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    f.write_str(&hide_shapes(&chain(error)))
}

/// Returns an error with its sources as one harmless line. A source whose text is already in the line is left out,
/// because some errors repeat their sources. The API's answer appears once; kube's own text has it three times.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for error in std::iter::successors(Some(error), |e| (**e).source()) {
        let answer = error.downcast_ref::<kube::Error>().and_then(|e| match e {
            kube::Error::Api(status) => Some(status),
            _ => None,
        });
        let said = answer.map_or_else(|| error.to_string(), |status| answered(status));
        if text.is_empty() {
            text = said;
        } else if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        // The sources of this error repeat the same answer.
        if answer.is_some() {
            break;
        }
    }
    sanitise::line(&text)
}

/// Returns the API server's answer: its message with code and reason.
pub(crate) fn answered(status: &Status) -> String {
    let Status { code, message, reason, .. } = status;
    match (message.is_empty(), reason.is_empty()) {
        (true, true) => format!("the API answered {code}"),
        (true, false) => format!("the API answered {code} {reason}"),
        (false, true) => format!("{} ({code})", message.trim()),
        (false, false) => format!("{} ({code} {reason})", message.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Fake {
        text: &'static str,
        source: Option<Box<Fake>>,
    }

    #[test]
    fn a_repeated_source_appears_once() {
        let fake = |text, source: Option<Fake>| Fake { text, source: source.map(Box::new) };
        let error = fake("failed: refused", Some(fake("refused", Some(fake("no route", None)))));
        assert_eq!(chain(&error), "failed: refused: no route");
    }

    #[test]
    fn an_api_answer_appears_once() {
        let status = Status::failure("pods \"web-0\" not found", "NotFound").with_code(404).boxed();
        assert_eq!(chain(&kube::Error::Api(status)), "pods \"web-0\" not found (404 NotFound)");
    }
}

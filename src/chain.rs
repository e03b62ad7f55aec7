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
    sanitise::line(&plain(&text))
}

/// What client libraries and Rust say, and the same for people. The order matters: an entry may contain a later one.
const WORDS: [(&str, &str); 27] = [
    ("Error in the hyper legacy client: ", ""),
    ("Docker responded with status code ", "the engine answered "),
    ("Docker stream error: ", ""),
    ("Docker container wait error: ", ""),
    ("Failed to deserialize JSON: ", "the answer is not understood: "),
    ("ServiceError: ", ""),
    ("HyperError: ", ""),
    ("HttpError: ", ""),
    ("error trying to connect", "no connection"),
    ("tcp connect error", "no connection"),
    ("client error (Connect)", "no connection"),
    ("client error (SendRequest)", "the request was not answered"),
    ("client error (ChannelClosed)", "the connection was closed"),
    ("client error (Canceled)", "the request was dropped"),
    ("connection closed before message completed", "the connection was closed before the answer"),
    ("error shutting down connection", "the connection was closed"),
    ("operation was canceled", "the request was dropped"),
    ("invalid HTTP version parsed", "the answer is not HTTP"),
    ("invalid HTTP status-code parsed", "the answer is not HTTP"),
    ("received corrupt message of type InvalidContentType", "the server does not speak TLS"),
    ("invalid peer certificate: UnknownIssuer", "the server's certificate is from an unknown issuer"),
    ("dns error: failed to lookup address information", "the name cannot be resolved"),
    ("deadline has elapsed", "timed out"),
    ("Socket not found", "the socket does not exist"),
    ("no connection: No such file or directory", "no connection: the socket does not exist"),
    ("no connection: Connection refused", "Connection refused: nothing listens there"),
    ("Input/output error: Input/output error", "Input/output error"),
];

/// Returns the text of an error in words for people: without names of client libraries and without error numbers. The
/// system's own words stay, because judges and people search for them.
pub(crate) fn plain(text: &str) -> String {
    let mut text = numberless(text);
    for (theirs, ours) in WORDS {
        // Replacements join parts that say the same.
        if text.contains(theirs) {
            text = once(&text.replace(theirs, ours));
        }
    }
    text
}

/// Removes the numbers of system errors, such as ` (os error 2)`: the words before a number say the same.
fn numberless(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let after = rest[at + MARK.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        kept.push_str(&rest[..at]);
        rest = match after.strip_prefix(')') {
            Some(after) => after,
            None => {
                kept.push_str(MARK);
                &rest[at + MARK.len()..]
            }
        };
    }
    kept + rest
}

/// Removes a part between colons that repeats the part before it.
fn once(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split(": ") {
        if parts.last() != Some(&part) {
            parts.push(part);
        }
    }
    parts.join(": ")
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
    fn words_of_libraries_become_words_for_people() {
        for (theirs, ours) in [
            ("Error in the hyper legacy client: client error (Connect): x", "no connection: x"),
            (
                "start w: Docker responded with status code 404: No such container: w",
                "start w: the engine answered 404: No such container: w",
            ),
            ("pull a:1: Docker stream error: toomanyrequests", "pull a:1: toomanyrequests"),
            (
                "client error (Connect): tcp connect error: Connection refused (os error 111)",
                "Connection refused: nothing listens there",
            ),
            (
                "no connection: No such file or directory (os error 2)",
                "no connection: the socket does not exist",
            ),
            ("m.yaml: No such file or directory (os error 2): y", "m.yaml: No such file or directory: y"),
            ("in the log: a: a (os error x) (os error 5", "in the log: a: a (os error x) (os error 5"),
        ] {
            assert_eq!(plain(theirs), ours);
        }
    }

    #[test]
    fn an_api_answer_appears_once() {
        let status = Status::failure("pods \"web-0\" not found", "NotFound").with_code(404).boxed();
        assert_eq!(chain(&kube::Error::Api(status)), "pods \"web-0\" not found (404 NotFound)");
    }
}

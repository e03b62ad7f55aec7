//! Secret objects in a line of a log, for instance in an error that quotes a request: all their values are secret,
//! whatever their keys are.

use std::sync::LazyLock;

use regex::Regex;

use crate::secret::{Found, object};

/// Marks an object in a line as a Secret. JSON in a string of JSON has backslashes before its quotes.
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"\\*"kind\\*"\s*:\s*\\*"Secret(?:List)?\\*"|\\*"type\\*"\s*:\s*\\*"(?:Opaque|(?:bootstrap\.)?kubernetes\.io/|helm\.sh/)"#,
    )
    .expect("it is a regex")
});

/// The beginning of a map of the Secret's values.
static MAP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\\*"(?P<m>data|stringData|binaryData)\\*"\s*:\s*\{"#).expect("it is a regex")
});

/// One pair of the map. Its string ends at a quote with as many backslashes as the quote at its beginning; an escaped
/// quote inside has more.
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"^[\s,]*(?:"(?P<k>[\w.-]+)"\s*:\s*"(?P<s>(?:[^"\\]|\\.)*)"?|\\+"(?P<l>[\w.-]+)\\+"\s*:\s*\\+"(?P<q>(?:[^"\\]|\\+[^"\\]|\\\\+")*)(?:\\")?)"#,
    )
    .expect("it is a regex")
});

/// Removes the values of Secrets. If another object is in the same line, its map is removed too: in a line that was
/// cut, the two cannot be distinguished.
pub(super) fn hide(text: &str, found: &mut Found<'_>) -> String {
    if !MAP.is_match(text) {
        return text.to_owned();
    }
    let mut hidden = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let secret = SECRET.is_match(line);
        let mut copied = 0;
        let mut at = 0;
        while let Some(map) = MAP.captures_at(line, at) {
            at = map.get_match().end();
            let written = &map["m"] == "stringData";
            if !secret && !written {
                continue;
            }
            while let Some(pair) = PAIR.captures(&line[at..]) {
                let (key, value) = match (pair.name("k"), pair.name("s")) {
                    (Some(key), Some(value)) => (key.as_str(), value.range()),
                    _ => (&pair["l"], pair.name("q").expect("it is one or the other").range()),
                };
                let value = at + value.start..at + value.end;
                at += pair.get_match().end();
                let text = &line[value.clone()];
                if text.is_empty() || text.starts_with("(left out") {
                    continue;
                }
                hidden.push_str(&line[copied..value.start]);
                hidden.push_str(&found.stand_in(text));
                copied = value.end;
                meanings(text).iter().for_each(|text| object::learn_entry(key, text, !written, found));
            }
        }
        hidden.push_str(&line[copied..]);
    }
    hidden
}

/// Returns a string of JSON as is, and with its escapes resolved once, twice and so on.
fn meanings(text: &str) -> Vec<String> {
    let plain = |text: &String| {
        let less = serde_json::from_str::<String>(&format!("\"{text}\"")).ok();
        less.filter(|less| text.contains('\\') && less.len() < text.len())
    };
    std::iter::successors(Some(text.to_owned()), plain).collect()
}

//! Secret objects in a line of a log, as errors quote what was sent: their values are secret whatever their keys say.

use std::sync::LazyLock;

use regex::Regex;

use crate::secret::{Found, object};

/// What says that an object in a line is a Secret. JSON in a string of JSON has backslashes before its quotes.
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"\\*"kind\\*"\s*:\s*\\*"Secret(?:List)?\\*"|\\*"type\\*"\s*:\s*\\*"(?:Opaque|(?:bootstrap\.)?kubernetes\.io/|helm\.sh/)"#,
    )
    .expect("it is a regex")
});

/// Where a map of its values begins.
static MAP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\\*"(?P<m>data|stringData|binaryData)\\*"\s*:\s*\{"#).expect("it is a regex")
});

/// One of its pairs. The string ends at a quote with as many backslashes as the one that began it: with none, or with
/// fewer than what is escaped in it.
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"^[\s,]*(?:"(?P<k>[\w.-]+)"\s*:\s*"(?P<s>(?:[^"\\]|\\.)*)"?|\\+"(?P<l>[\w.-]+)\\+"\s*:\s*\\+"(?P<q>(?:[^"\\]|\\+[^"\\]|\\\\+")*)(?:\\")?)"#,
    )
    .expect("it is a regex")
});

/// Without the values of Secrets. A map of another object in the line of a Secret goes too: they cannot be told apart
/// where the line was cut.
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

/// What a string of JSON means, and what it means in a string of JSON.
fn meanings(text: &str) -> Vec<String> {
    let plain = |text: &String| {
        let less = serde_json::from_str::<String>(&format!("\"{text}\"")).ok();
        less.filter(|less| text.contains('\\') && less.len() < text.len())
    };
    std::iter::successors(Some(text.to_owned()), plain).collect()
}

//! The lines of private keys.

use crate::secret::Found;

/// Whether a line is part of a private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Key {
    /// In no key.
    #[default]
    Outside,
    /// Below the first line of a key, which has this many words, such as a time and a stream, before the key.
    Inside(usize),
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
/// The ends of the first and last line of a key: of PEM, and of PGP.
const PRIVATE: [&str; 2] = ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"];

fn is_private(line: &str) -> bool {
    PRIVATE.iter().any(|end| line.ends_with(end))
}

/// Takes a line and returns whether it belongs to a key and must be left out. A text that only mentions a key, such as
/// an error that quotes its first line, does not.
pub(crate) fn key_line(line: &str, at: Key) -> (Key, bool) {
    let line = line.trim_end();
    let begins = line.find(BEGIN).filter(|_| is_private(line) && !line.contains(END));
    match (begins, at) {
        (Some(begins), _) => (Key::Inside(line[..begins].split_whitespace().count()), false),
        (None, Key::Inside(before)) if !line.contains(END) && is_body(line, before) => (at, true),
        _ => (Key::Outside, false),
    }
}

fn is_body(line: &str, before: usize) -> bool {
    let mut words = line.split_whitespace().skip(before);
    match (words.next(), words.next()) {
        (None, _) => true,
        (Some(word), None) => word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b)),
        (Some(word), _) => ["Proc-Type:", "DEK-Info:", "Version:", "Comment:"].contains(&word),
    }
}

/// Removes the lines of private keys, also of those whose first line is missing.
pub(super) fn hide(text: &str, found: &mut Found<'_>) -> String {
    if !text.contains("PRIVATE KEY") {
        return text.to_owned();
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (mut at, mut body) = (Key::Outside, vec![false; lines.len()]);
    for (n, line) in lines.iter().enumerate() {
        let inside = at != Key::Outside;
        (at, body[n]) = key_line(line, at);
        if let Some(ends) = line.find(END).filter(|_| !inside && is_private(line.trim_end())) {
            let before = line[..ends].split_whitespace().count();
            let long = |line: &str| is_body(line, before) && line.trim().len() >= 16;
            let from = (0..n).rev().take_while(|n| !body[*n] && long(lines[*n])).last().unwrap_or(n);
            body[from..n].fill(true);
        }
    }
    let mut hidden = String::with_capacity(text.len());
    for (n, line) in lines.iter().enumerate() {
        match body[n] {
            false => hidden.push_str(line),
            true if n > 0 && body[n - 1] => {}
            true => {
                let all: String =
                    lines[n..].iter().zip(&body[n..]).take_while(|l| *l.1).map(|l| *l.0).collect();
                hidden.push_str(&found.stand_in(&all));
                hidden.push('\n');
                found.values.insert(all);
            }
        }
    }
    hidden
}

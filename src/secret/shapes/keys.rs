//! The lines of private keys.

use crate::secret::Found;

/// Where a line stands to the lines of a private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Key {
    /// In none.
    #[default]
    Outside,
    /// Below the line that begins one, which has so many words before it: a time, a stream.
    Inside(usize),
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
/// The ends of the first and the last line of a key: PEM, and PGP's.
const PRIVATE: [&str; 2] = ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"];

fn is_private(line: &str) -> bool {
    PRIVATE.iter().any(|end| line.ends_with(end))
}

/// Takes a line, and says whether it is one of a key's, to be left out. Most that speaks of a key is none:
/// an error that quotes its first line.
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

/// Without the lines of private keys, those of which the first line is lost included.
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

//! The forms that one value is written in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::names::{is_ordinary, is_public, looks_random};

/// Bytes from which on a value is removed wherever it stands, also inside a longer word.
const ANYWHERE: usize = 8;
/// Bytes from which on it is removed where it is a word of its own.
const WORD: usize = 4;
/// Bytes of a line of a longer value, such as a key, that is removed alone: logs break at lines.
const LINE: usize = 16;
/// Bytes of a value at most that is looked for as a whole: of a longer one, a file, its lines are.
const LONGEST: usize = 32 << 10;
/// Parts of one value at most that are looked for.
const PARTS: usize = 1000;

/// Each form of a value and of its parts, and whether it is removed only as a word of its own. Nothing of a public
/// word.
pub(super) fn forms(value: &str) -> Vec<(String, bool)> {
    let mut forms = whole(value.trim());
    if !forms.is_empty() {
        forms.extend(parts(value).take(PARTS).flat_map(whole));
    }
    forms
}

/// What of a value is a secret where it stands alone, as a log prints it: a line of a list of codes, the password of
/// `user:password`, as htpasswd has it, and of a longer line of fields. Only what looks made up by a generator.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    let value = value.trim();
    let alone = value.lines().map(str::trim).filter(|line| !line.contains(char::is_whitespace));
    let fields = alone.flat_map(move |line| {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+-".contains(&b))
        };
        let pair = line.split_once(':').filter(|(name, rest)| is_name(name) && !rest.starts_with("//"));
        let one = Some(line).filter(|line| pair.is_none() && line.len() < LINE);
        let rest = pair.map(|pair| pair.1);
        one.into_iter().chain(rest).chain(rest.into_iter().flat_map(|rest| rest.split(':')))
    });
    fields.filter(move |part| *part != value && looks_random(part))
}

fn whole(value: &str) -> Vec<(String, bool)> {
    if value.len() < WORD || is_public(value) || is_ordinary(value) {
        return Vec::new();
    }
    if value.len() > LONGEST {
        return lines(value).take(PARTS).map(|line| (line.to_owned(), false)).collect();
    }
    let short = value.len() < ANYWHERE;
    let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    // RFC 3986 leaves these four as they are.
    let unreserved = percent.replace("%2D", "-").replace("%2E", ".").replace("%5F", "_").replace("%7E", "~");
    let json = serde_json::Value::from(value).to_string();
    let json = &json[1..json.len() - 1];
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut forms = vec![
        (value.to_owned(), short),
        (unreserved.replace("%20", "+"), short),
        (unreserved, short),
        (percent, short),
        (value.replace('\'', r"'\''"), short),
        (html.replace('"', "&#34;").replace('\'', "&#39;"), short),
        (html.replace('"', "&quot;"), short),
    ];
    // As Go writes JSON, and JSON in a string of JSON.
    let go = json.replace('&', r"\u0026").replace('<', r"\u003c").replace('>', r"\u003e");
    // As others do, Python's json.dumps: ASCII alone.
    let ascii: String = json.chars().map(|c| if c.is_ascii() { c.into() } else { escaped(c) }).collect();
    for json in [json, go.as_str(), ascii.as_str()] {
        forms.push((json.replace('\\', r"\\").replace('"', r#"\""#), short));
        forms.push((json.to_owned(), short));
    }
    if !short {
        forms.extend(inside_base64(value).into_iter().map(|form| (form, false)));
    } else {
        let both = [STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value)];
        forms.extend(both.into_iter().map(|form| (form, true)));
    }
    forms.extend(lines(value).map(|line| (line.to_owned(), false)));
    forms
}

/// A character as JSON escapes it: one or two numbers of UTF-16.
fn escaped(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

fn lines(value: &str) -> impl Iterator<Item = &str> {
    let long = move |line: &&str| (LINE..=LONGEST).contains(&line.len()) && *line != value;
    value.lines().map(str::trim).filter(long).filter(|line| !line.starts_with("-----"))
}

/// What stands for these bytes in the base64 of any text that has them: three, by where they begin in a
/// group of three. `user:password` of an Authorization header and a `.dockerconfigjson` are such texts.
fn inside_base64(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    for before in 0..3_usize {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value.as_bytes());
        // Characters that also depend on a neighbour are not ours.
        let from = (before * 8).div_ceil(6);
        let until = bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            found.extend(encoded.get(from..until).map(str::to_owned));
        }
    }
    found
}

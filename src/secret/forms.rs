//! The forms in which a value may be written.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::names::{is_ordinary, is_public, looks_random};

/// Minimum length in bytes for a value that is removed everywhere, also inside a longer word.
const ANYWHERE: usize = 8;
/// Minimum length in bytes for a value that is removed if it is a word of its own.
const WORD: usize = 4;
/// Minimum length in bytes for a line of a longer value, such as a key, that is removed alone: logs break at lines.
const LINE: usize = 16;
/// Maximum length in bytes for a value that is searched as a whole. Longer values, such as files, are searched line by
/// line.
const LONGEST: usize = 32 << 10;
/// Maximum number of parts of one value that are searched.
const PARTS: usize = 1000;

/// Returns each form of a value and of its parts, and whether the form is removed only as a word of its own. A public
/// word has no forms.
pub(super) fn forms(value: &str) -> Vec<(String, bool)> {
    let mut forms = whole(value.trim());
    if !forms.is_empty() {
        forms.extend(parts(value).take(PARTS).flat_map(whole));
    }
    forms
}

/// Returns the parts of a value that are secrets on their own, as a log may print them: a line of a list of codes, the
/// password of `user:password` as in htpasswd, the fields of a longer line. Only parts that look generated are
/// returned.
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
    // RFC 3986 does not encode these four characters.
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
    // Go's JSON, and JSON in a string of JSON.
    let go = json.replace('&', r"\u0026").replace('<', r"\u003c").replace('>', r"\u003e");
    // The JSON of other programs, such as Python's json.dumps: ASCII only.
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

/// Escapes a character as JSON does: one or two numbers of UTF-16.
fn escaped(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

fn lines(value: &str) -> impl Iterator<Item = &str> {
    let long = move |line: &&str| (LINE..=LONGEST).contains(&line.len()) && *line != value;
    value.lines().map(str::trim).filter(long).filter(|line| !line.starts_with("-----"))
}

/// Returns the three ways in which base64 may encode the value inside a longer text, such as an Authorization header or a
/// `.dockerconfigjson`. Base64 encodes groups of three bytes, so the result depends on where in a group the value begins.
fn inside_base64(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    for before in 0..3_usize {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value.as_bytes());
        // The first and last characters may also depend on neighbouring bytes.
        let from = (before * 8).div_ceil(6);
        let until = bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            found.extend(encoded.get(from..until).map(str::to_owned));
        }
    }
    found
}

//! The forms that one value is written in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::names::is_public;

/// Bytes from which on a value is removed wherever it stands, also inside a longer word.
const ANYWHERE: usize = 8;
/// Bytes from which on it is removed where it is a word of its own.
const WORD: usize = 4;
/// Bytes of a line of a longer value, such as a key, that is removed alone: logs break at lines.
const LINE: usize = 16;

/// Each form, and whether it is removed only as a word of its own. Nothing of a public word.
pub(super) fn forms(value: &str) -> Vec<(String, bool)> {
    let value = value.trim();
    if value.len() < WORD || is_public(value) {
        return Vec::new();
    }
    let short = value.len() < ANYWHERE;
    let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    // RFC 3986 leaves these four as they are.
    let unreserved = percent.replace("%2D", "-").replace("%2E", ".").replace("%5F", "_").replace("%7E", "~");
    let json = serde_json::Value::from(value).to_string();
    let mut forms = vec![
        (value.to_owned(), short),
        (unreserved.replace("%20", "+"), short),
        (unreserved.to_lowercase(), short),
        (unreserved, short),
        (json.trim_matches('"').to_owned(), short),
        (percent, short),
    ];
    if !short {
        forms.extend(inside_base64(value).into_iter().map(|form| (form, false)));
    } else {
        let both = [STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value)];
        forms.extend(both.into_iter().map(|form| (form, true)));
    }
    forms.extend(
        value
            .lines()
            .map(str::trim)
            .filter(|line| line.len() >= LINE && *line != value)
            .filter(|line| !line.starts_with("-----"))
            .map(|line| (line.to_owned(), false)),
    );
    forms
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

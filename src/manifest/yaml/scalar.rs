//! The meaning of a YAML scalar for kubectl, whose go-yaml v2 uses the rules of YAML 1.1.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{ScalarStyle, Tag};
use serde_json::Number;

use super::Data;

/// Why a scalar has no value.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScalarError {
    /// Its tag says that it is base64.
    #[error("it is not base64, though its tag says !!binary")]
    NotBase64,
    /// Its tag says another kind of value. The value is not shown: it may be a secret.
    #[error("the value is not what its tag !!{0} says")]
    Tag(String),
    /// It is infinite, or not a number.
    #[error("`{0}` is a number that JSON does not have: put it in quotes")]
    NoJsonNumber(String),
}

/// The value of a scalar, or the reason why it has none. `source` is its text in the file.
pub(super) fn meaning(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    source: &str,
) -> Result<Data, ScalarError> {
    let wanted = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
    let plain = style == ScalarStyle::Plain;
    let wanted = match (wanted.as_deref(), tag) {
        (None, None) if plain => None,
        (Some(name @ ("bool" | "int" | "float" | "null")), _) => Some(name.to_owned()),
        (Some("binary"), _) => {
            let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| ScalarError::NotBase64)?;
            return Ok(Data::Text(String::from_utf8_lossy(&bytes).into()));
        }
        _ => return Ok(Data::Text(text.into())),
    };
    let found = resolved(&text, source)?;
    let fits = match (wanted.as_deref(), &found) {
        (None, _) | (Some("bool"), Data::Bool(..)) | (Some("null"), Data::Null) => true,
        (Some("float"), Data::Number(..)) => true,
        (Some("int"), Data::Number(..)) => is_whole(&text),
        _ => false,
    };
    match fits {
        true => Ok(found),
        false => Err(ScalarError::Tag(wanted.unwrap_or_default())),
    }
}

/// The value of a plain scalar.
fn resolved(text: &str, source: &str) -> Result<Data, ScalarError> {
    let source = || source.into();
    Ok(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Data::Bool(true, source())
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Data::Bool(false, source())
        }
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => {
            return Err(ScalarError::NoJsonNumber(text.into()));
        }
        _ => match number(text) {
            Some(number) => Data::Number(number, source()),
            None => Data::Text(text.into()),
        },
    })
}

/// The number that a plain scalar denotes, if it is a number.
fn number(text: &str) -> Option<Number> {
    match text.as_bytes().first()? {
        b'.' => real(text).and_then(shortest),
        b'0'..=b'9' | b'+' | b'-' => {
            let digits = text.replace('_', "");
            whole(&digits).or_else(|| real(&digits).and_then(shortest))
        }
        _ => None,
    }
}

/// Whether a plain text is a whole number.
pub(super) fn is_whole(text: &str) -> bool {
    whole(&text.replace('_', "")).is_some()
}

/// Like Go's `strconv.ParseInt` and `ParseUint` with base 0.
fn whole(text: &str) -> Option<Number> {
    let (negative, signed, digits) = match text.as_bytes().first()? {
        b'-' => (true, true, &text[1..]),
        b'+' => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    match (negative, signed) {
        (true, _) => 0_i64.checked_sub_unsigned(value).map(Number::from),
        // Go's ParseUint accepts no sign. Above i64::MAX, a text with `+` is therefore no whole number.
        (false, true) => i64::try_from(value).ok().map(Number::from),
        (false, false) => Some(Number::from(value)),
    }
}

/// Like go-yaml's `yamlStyleFloat`; `inf` and `nan` are not numbers here.
pub(super) fn real(text: &str) -> Option<f64> {
    let bare = text.trim_start_matches(['+', '-']);
    let (mantissa, exponent) = match bare.find(['e', 'E']) {
        Some(at) => (&bare[..at], Some(&bare[at + 1..])),
        None => (bare, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let sound = text.len() - bare.len() <= 1
        && digits(before)
        && digits(after)
        && !(before.is_empty() && after.is_empty())
        && exponent.is_none_or(|e| {
            let e = e.strip_prefix(['+', '-']).unwrap_or(e);
            !e.is_empty() && digits(e)
        });
    // Go fails on a number that is too large, which makes it a text.
    text.parse().ok().filter(|value: &f64| sound && value.is_finite())
}

/// The number as JSON writes it: without a fraction if it is a whole number.
pub(super) fn shortest(value: f64) -> Option<Number> {
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= WHOLE && !(value == 0.0 && value.is_sign_negative()) {
        return format!("{value:.0}").parse::<i64>().ok().map(Number::from);
    }
    Number::from_f64(value)
}

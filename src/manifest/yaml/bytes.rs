//! Decodes the bytes of a file as text.

use super::Flaw;

/// The text of UTF-8 bytes.
pub(in crate::manifest) fn text_of(bytes: &[u8]) -> Result<&str, Flaw> {
    if let Some(name) = wide(bytes) {
        let why = format!("the file is {name}, and manifests are read as UTF-8: save it as UTF-8");
        return Err(Flaw { line: 1, why });
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let (good, bad) = bytes.split_at(error.valid_up_to());
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count() as u64;
        let byte = bad.first().copied().unwrap_or_default();
        Flaw { line, why: format!("the byte 0x{byte:02X} is not UTF-8 here: save the file as UTF-8") }
    })
}

/// The name of a UTF-16 or UTF-32 encoding: from the byte order mark, or from the zero bytes around the first letter,
/// which is ASCII in every manifest.
fn wide(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [1..=0x7F, 0, 0, 0, ..] => Some("UTF-32 (little endian)"),
        [0, 0, 0xFE, 0xFF, ..] | [0, 0, 0, 1..=0x7F, ..] => Some("UTF-32 (big endian)"),
        [0xFF, 0xFE, ..] | [1..=0x7F, 0, ..] => Some("UTF-16 (little endian)"),
        [0xFE, 0xFF, ..] | [0, 1..=0x7F, ..] => Some("UTF-16 (big endian)"),
        _ => None,
    }
}

//! Splits a text at its `---` lines, to keep one broken document from hiding the others.

use super::Flaw;

/// A part of a text between two separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'t> {
    pub(super) text: &'t str,
    /// The number of its first line in the file.
    pub(super) line: u64,
    /// The rest of the preceding separator's line; the part's text begins with it.
    pub(super) after: &'t str,
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The parts, without separators. Byte order marks are removed at the beginning of the text and of each part, because
/// files may have been concatenated. Directives stay with the document that follows them.
pub(super) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut first, mut after) = (0, 1, "");
    let (mut at, mut number) = (0, 1);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start_matches(BYTE_ORDER_MARK);
        if is_separator(bare) && !is_head(&text[start..at]) {
            chunks.push(Chunk { text: &text[start..at], line: first, after });
            (start, first, after) = (at + (line.len() - bare.len()) + 3, number, bare[3..].trim());
        }
        (at, number) = (at + line.len(), number + 1);
    }
    chunks.push(Chunk { text: &text[start..], line: first, after });
    chunks.into_iter().map(Chunk::without_mark).collect()
}

/// Whether kubectl takes a line as a separator (apimachinery: `YAMLReader`), whatever follows in the line.
fn is_separator(line: &str) -> bool {
    line.starts_with("---")
}

/// Whether a text has only directives, which belong to the document after the next separator.
fn is_head(text: &str) -> bool {
    let mut lines = text.lines().map(|line| line.trim_start_matches(BYTE_ORDER_MARK).trim_end());
    let is_part = |line: &str| line.is_empty() || line.starts_with(['#', '%']);
    text.contains('%') && lines.clone().all(is_part) && lines.any(|line| line.starts_with('%'))
}

impl Chunk<'_> {
    /// The fault of a separator that is followed by anything but a comment in its line: kubectl refuses it.
    pub(super) fn wrong_separator(&self) -> Option<Flaw> {
        let why =
            "a line that begins with `---` separates documents, and `kubectl` allows only a comment after it";
        let is_wrong = !self.after.is_empty() && !self.after.starts_with('#');
        is_wrong.then(|| Flaw { line: self.line, why: why.into() })
    }

    /// The part without a byte order mark at the beginning.
    fn without_mark(self) -> Self {
        let blank = self.text.len() - self.text.trim_start().len();
        let rest = &self.text[blank..];
        match rest.strip_prefix(BYTE_ORDER_MARK) {
            None => self,
            Some(after) => {
                let lines = self.text[..blank].matches('\n').count() as u64;
                Self { text: after, line: self.line + lines, ..self }
            }
        }
    }
}

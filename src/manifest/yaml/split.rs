//! A text taken apart at its `---` lines, so that one broken document does not hide the others.

use super::Flaw;

/// A part of a text between two separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'t> {
    pub(super) text: &'t str,
    /// The number of its first line in the file.
    pub(super) line: u64,
    /// What follows the separator before it in that line, where there is one; the text begins with it.
    pub(super) after: &'t str,
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The parts, without separators. A byte order mark is left out wherever a file began before files were put
/// together. Directives stay with the document that they are for.
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

/// As kubectl has it (apimachinery: `YAMLReader`), whatever follows in the line.
fn is_separator(line: &str) -> bool {
    line.starts_with("---")
}

/// Whether it holds nothing but directives, which are for the document after the next separator.
fn is_head(text: &str) -> bool {
    let mut lines = text.lines().map(|line| line.trim_start_matches(BYTE_ORDER_MARK).trim_end());
    let is_part = |line: &str| line.is_empty() || line.starts_with(['#', '%']);
    text.contains('%') && lines.clone().all(is_part) && lines.any(|line| line.starts_with('%'))
}

impl Chunk<'_> {
    /// What follows a separator in its line and is no comment: kubectl refuses it.
    pub(super) fn wrong_separator(&self) -> Option<Flaw> {
        let why =
            "a line that begins with `---` parts documents, and `kubectl` takes only a comment after it";
        let is_wrong = !self.after.is_empty() && !self.after.starts_with('#');
        is_wrong.then(|| Flaw { line: self.line, why: why.into() })
    }

    /// Without the mark that its content begins with.
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

//! A text taken apart at its `---` lines, so that one broken document does not hide the others.

/// A part of a text between two separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'t> {
    pub(super) text: &'t str,
    /// The number of its first line in the file.
    pub(super) line: u64,
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The parts, without separators. A byte order mark is left out wherever a file began before files were put
/// together. Directives stay with the document that they are for.
pub(super) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut first) = (0, 1);
    let (mut at, mut number) = (0, 1);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start_matches(BYTE_ORDER_MARK);
        if is_separator(bare) && !is_head(&text[start..at]) {
            chunks.push(Chunk { text: &text[start..at], line: first });
            (start, first) = (at + (line.len() - bare.len()) + 3, number);
        }
        (at, number) = (at + line.len(), number + 1);
    }
    chunks.push(Chunk { text: &text[start..], line: first });
    chunks.into_iter().map(Chunk::without_mark).collect()
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace))
}

/// Whether it holds nothing but directives, which are for the document after the next separator.
fn is_head(text: &str) -> bool {
    let mut lines = text.lines().map(|line| line.trim_start_matches(BYTE_ORDER_MARK).trim_end());
    let is_part = |line: &str| line.is_empty() || line.starts_with(['#', '%']);
    text.contains('%') && lines.clone().all(is_part) && lines.any(|line| line.starts_with('%'))
}

impl Chunk<'_> {
    /// Without the mark that its content begins with.
    fn without_mark(self) -> Self {
        let blank = self.text.len() - self.text.trim_start().len();
        let rest = &self.text[blank..];
        match rest.strip_prefix(BYTE_ORDER_MARK) {
            None => self,
            Some(after) => {
                let lines = self.text[..blank].matches('\n').count() as u64;
                Self { text: after, line: self.line + lines }
            }
        }
    }
}

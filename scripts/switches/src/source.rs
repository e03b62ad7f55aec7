//! A source file, and the positions of its lines.

use crate::{Position, Result};

/// The text of a file.
pub struct Source {
    pub text: String,
    pub tree: Option<syn::File>,
    lines: Vec<usize>,
}

impl Source {
    /// Parses Rust source.
    pub fn new(text: String) -> Result<Self> {
        let tree = syn::parse_file(&text)?;
        Ok(Self { tree: Some(tree), ..Self::lines_only(text) })
    }

    /// A text for which only positions are needed; its syntax is not parsed.
    pub fn lines_only(text: String) -> Self {
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { lines: std::iter::once(0).chain(starts).collect(), tree: None, text }
    }

    /// Returns the byte offset of a position. Columns count characters.
    pub fn offset(&self, at: Position) -> usize {
        let start = self.lines[at.line - 1];
        let rest = &self.text[start..];
        start + rest.char_indices().nth(at.column - 1).map_or(rest.len(), |(byte, _)| byte)
    }

    /// Returns the byte offset of a position in the syntax tree.
    pub fn at(&self, place: proc_macro2::LineColumn) -> usize {
        self.offset(Position { line: place.line, column: place.column + 1 })
    }
}

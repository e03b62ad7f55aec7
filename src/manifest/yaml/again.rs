//! YAML that kubectl's library (go-yaml) accepts and the parser here does not. The text is edited until the parser
//! reads the same content, and then read again. Line ends stay, to keep the line numbers of the file.

use std::ops::Range;

use granit_parser::{ErrorKind as Kind, ScalarStyle, ScanError, Span};

/// A replacement for a part of the text.
pub(super) struct Edit {
    /// Byte range in the text.
    range: Range<usize>,
    text: String,
    /// The line within the text.
    pub(super) line: usize,
    /// Whether it replaces tabs.
    pub(super) tabs: bool,
}

/// The characters that end a text within brackets.
const END: [char; 3] = [',', ']', '}'];

/// Number of blanks that replace tabs: more than the indentation of any block around brackets.
const INDENT: usize = 200;

/// The edit for an error of the parser: a comment directly after a quoted text or a bracket, `"x"# c`; a lone dash
/// within brackets, `[cat, -]`; lines within brackets that begin with tabs; `\'` within double quotes.
pub(super) fn of_error(error: &ScanError, text: &str) -> Option<Edit> {
    let (at, line) = (error.marker().byte_offset()?, error.marker().line());
    let rest = text.get(at..)?;
    match error.kind() {
        Kind::CommentNotSeparated if rest.starts_with('#') => {
            Some(Edit { range: at..at, text: " ".into(), line, tabs: false })
        }
        Kind::PlainScalarStartsWithDashFlowIndicator if rest.strip_prefix('-')?.starts_with(END) => {
            Some(Edit { range: at..at + 1, text: "\"-\"".into(), line, tabs: false })
        }
        Kind::TabInBlockIndentation => untabbed(at, text, line),
        Kind::UnknownQuotedScalarEscape => unescaped(at, text, line),
        _ => None,
    }
}

/// Replaces the tabs of the line at `at` and of the following lines that begin with a tab. Only if brackets may be
/// open: after a comma or an opening bracket, or before a closing one. The next read decides whether they are
/// ([`within`]).
fn untabbed(at: usize, text: &str, line: usize) -> Option<Edit> {
    let begin = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let is_open = text[..begin].trim_end().ends_with(['[', '{', ',']) || text[at..].starts_with([']', '}']);
    let lines = text[begin..].split_inclusive('\n').take_while(|line| line.starts_with('\t'));
    let (mut length, mut blank) = (0, String::new());
    for line in lines {
        length += line.len();
        blank.push_str(&" ".repeat(INDENT));
        blank.push_str(line.trim_start_matches([' ', '\t']));
    }
    (is_open && length > 0).then(|| Edit { range: begin..begin + length, text: blank, line, tabs: true })
}

/// Whether all lines whose tabs were replaced are within these brackets.
pub(super) fn within(text: &str, brackets: &[Range<usize>]) -> bool {
    let blank = " ".repeat(INDENT);
    let mut lines =
        text.match_indices('\n').map(|(end, _)| end + 1).filter(|at| text[*at..].starts_with(&blank));
    lines.all(|at| brackets.iter().any(|brackets| brackets.contains(&at)))
}

/// The double-quoted text that begins at `at`, without the backslashes before single quotes.
fn unescaped(at: usize, text: &str, line: usize) -> Option<Edit> {
    let mut plain = String::from("\"");
    let mut signs = text[at..].char_indices();
    (signs.next()?.1 == '"').then_some(())?;
    loop {
        match signs.next()? {
            (end, '"') => {
                plain.push('"');
                let range = at..at + end + 1;
                return (plain.len() < range.len()).then_some(Edit { range, text: plain, line, tabs: false });
            }
            (_, '\\') => match signs.next()?.1 {
                '\'' => plain.push('\''),
                other => plain.extend(['\\', other]),
            },
            (_, sign) => plain.push(sign),
        }
    }
}

/// Quotes a text within brackets that ends with a colon, `[grep, a:]`: a `:` makes a key of the text before it only if
/// a blank follows.
pub(super) fn of_text(style: ScalarStyle, span: &Span, text: &str) -> Option<Edit> {
    let range = span.byte_range().filter(|range| style == ScalarStyle::Plain && !range.is_empty())?;
    let after = text.get(range.end..)?;
    let rest = after.trim_start_matches([' ', '\t']);
    let colon = range.end + after.len() - rest.len() + 1;
    let written = text.get(range.start..colon)?;
    rest.strip_prefix(':')?.starts_with(END).then(|| Edit {
        text: format!("\"{}\"", written.replace('\\', "\\\\").replace('"', "\\\"")),
        range: range.start..colon,
        line: span.start.line(),
        tabs: false,
    })
}

/// The text with its edits applied; the edits are in the order of the text.
pub(super) fn changed(text: &str, edits: &[Edit]) -> String {
    let mut whole = String::with_capacity(text.len() + 4 * edits.len());
    let mut at = 0;
    for edit in edits {
        whole.push_str(&text[at..edit.range.start]);
        whole.push_str(&edit.text);
        at = edit.range.end;
    }
    whole.push_str(&text[at..]);
    whole
}

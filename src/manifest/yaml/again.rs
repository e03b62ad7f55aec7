//! What the library of kubectl (go-yaml) reads and the parser does not: the text is changed so that the parser reads the
//! same, and read again. Line ends stay, so that lines are those of the file.

use std::ops::Range;

use granit_parser::{ErrorKind as Kind, ScalarStyle, ScanError, Span};

/// What stands in place of a part of the text.
pub(super) struct Edit {
    /// Bytes of the text.
    range: Range<usize>,
    text: String,
    /// The line within the text.
    pub(super) line: usize,
    /// Whether it stands in place of tabs.
    pub(super) tabs: bool,
}

/// What ends a text within brackets.
const END: [char; 3] = [',', ']', '}'];

/// Stands in place of tabs: more than any block around brackets is indented by.
const INDENT: usize = 200;

/// A comment directly after a quoted text or a bracket, `"x"# c`; a dash alone within brackets, `[cat, -]`; lines within
/// brackets that begin with tabs; `\'` within double quotes.
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

/// The lines from that of a place on which begin with a tab, where brackets may be open: after a comma or a bracket, or
/// before one that closes. Whether they are shows when the text is read ([`within`]).
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

/// Whether all lines with blanks in place of tabs are within these brackets.
pub(super) fn within(text: &str, brackets: &[Range<usize>]) -> bool {
    let blank = " ".repeat(INDENT);
    let mut lines =
        text.match_indices('\n').map(|(end, _)| end + 1).filter(|at| text[*at..].starts_with(&blank));
    lines.all(|at| brackets.iter().any(|brackets| brackets.contains(&at)))
}

/// The text in double quotes that begins at a place, without the backslashes before single quotes.
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

/// A text within brackets that ends with a colon, `[grep, a:]`: a `:` makes a key of what is before it only where a blank
/// follows.
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

/// The text with its changes, which come in its order.
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

//! Describes errors of the YAML parser in the terms of the file.

use granit_parser::{ErrorKind as Kind, ScanError};

use super::Flaw;
use super::budget::DEPTH;

/// The fault at a line of the file; `first` is the number of the part's first line.
pub(super) fn flaw(error: &ScanError, first: u64) -> Flaw {
    Flaw { line: line_of(error.marker().line(), first), why: why(error.kind()) }
}

/// Converts a line of a part to a line of the file.
pub(super) fn line_of(line: usize, first: u64) -> u64 {
    first + (line as u64).saturating_sub(1)
}

fn why(kind: &Kind) -> String {
    match kind {
        Kind::UnexpectedCharacter { character } => {
            format!("{character:?} cannot begin a text here: put it in quotes")
        }
        Kind::RecursionLimitExceeded => {
            format!("lists and maps in one another are deeper than the {DEPTH} levels of the budget")
        }
        _ => {
            let known = of_layout(kind).or_else(|| of_brackets(kind)).or_else(|| of_scalar(kind));
            known.unwrap_or("the text is not YAML from here on").to_owned()
        }
    }
}

/// Errors of lines: their indentation, keys, comments and end.
fn of_layout(kind: &Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::TabNotAllowed
        | Kind::TabInBlockIndentation
        | Kind::TabInIndentation
        | Kind::TabAtBlockScalarStart
        | Kind::TabInPlainScalar => "there is a tab where YAML allows only spaces",
        Kind::MappingValueNotAllowed
        | Kind::InvalidColonPlacement
        | Kind::InvalidMappingValueWhitespace
        | Kind::FlowMappingValueAdjacentCollection => {
            "there is a `:` where YAML allows no key: indent the line as its neighbours, or put the text in quotes"
        }
        Kind::SimpleKeyExpected | Kind::InvalidSimpleKey | Kind::MappingKeyNotAllowed => {
            "a key is not followed by `:`, or is indented in another way than its neighbours"
        }
        Kind::ExpectedBlockMappingKey
        | Kind::ExpectedBlockSequenceEntry
        | Kind::InvalidIndentation
        | Kind::BlockSequenceEntryNotAllowed
        | Kind::InvalidBlockScalarIndent
        | Kind::InvalidQuotedScalarIndent
        | Kind::InvalidFlowScalarIndent => "the line is indented in another way than its neighbours",
        Kind::CommentNotSeparated => "a comment needs a blank before its `#`",
        Kind::UnexpectedEof | Kind::UnexpectedEofBlockMapping | Kind::UnexpectedEofBlockSequence => {
            "the text ends too early"
        }
        _ => return None,
    })
}

/// Errors of lists and maps in brackets.
fn of_brackets(kind: &Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::UnexpectedEofFlowSequence
        | Kind::ExpectedFlowSequenceSeparator
        | Kind::UnexpectedEofFlowMapping
        | Kind::UnexpectedEofImplicitFlowMapping
        | Kind::ExpectedFlowMappingSeparator
        | Kind::UnclosedFlowCollection { .. } => "a bracket is not closed, or a comma is missing within it",
        Kind::MisplacedFlowCollectionEnd | Kind::MismatchedFlowCollectionEnd { .. } => {
            "a closing bracket does not belong to the one that is open"
        }
        Kind::PlainScalarStartsWithDashFlowIndicator | Kind::BlockEntryInFlowCollection => {
            "there is a `-` within brackets where YAML allows none: put it in quotes"
        }
        _ => return None,
    })
}

/// Errors of texts, with their anchors and tags.
fn of_scalar(kind: &Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::UnclosedQuotedScalar | Kind::DocumentIndicatorInQuotedScalar => "a quoted text is not closed",
        Kind::UnknownAnchor => "an alias names an anchor that is not defined before it",
        Kind::UnknownQuotedScalarEscape
        | Kind::InvalidQuotedScalarHexEscape
        | Kind::InvalidLowSurrogateHexEscape
        | Kind::InvalidLowSurrogate
        | Kind::MissingLowSurrogate
        | Kind::UnpairedLowSurrogate
        | Kind::InvalidUnicodeEscape => "YAML does not know the `\\` escape in this text",
        Kind::InvalidTrailingSingleQuotedScalar | Kind::InvalidTrailingDoubleQuotedScalar => {
            "something follows a quoted text in its line"
        }
        Kind::BomInsideDocument => "there is a byte order mark within the document: remove it",
        Kind::UndeclaredTagHandle => "a tag begins with a `!` handle that is not declared",
        Kind::InvalidBlockScalarHeader | Kind::ZeroBlockScalarIndent => {
            "`|` or `>` is followed by something other than its indentation and `+` or `-`"
        }
        _ => return None,
    })
}

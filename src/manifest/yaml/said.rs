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
    let text = match kind {
        Kind::TabNotAllowed
        | Kind::TabInBlockIndentation
        | Kind::TabInIndentation
        | Kind::TabAtBlockScalarStart
        | Kind::TabInPlainScalar => "there is a tab where YAML allows only spaces",
        Kind::UnclosedQuotedScalar | Kind::DocumentIndicatorInQuotedScalar => "a quoted text is not closed",
        Kind::UnexpectedEofFlowSequence
        | Kind::ExpectedFlowSequenceSeparator
        | Kind::UnexpectedEofFlowMapping
        | Kind::UnexpectedEofImplicitFlowMapping
        | Kind::ExpectedFlowMappingSeparator
        | Kind::UnclosedFlowCollection { .. } => "a bracket is not closed, or a comma is missing within it",
        Kind::MisplacedFlowCollectionEnd | Kind::MismatchedFlowCollectionEnd { .. } => {
            "a closing bracket does not belong to the one that is open"
        }
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
        Kind::PlainScalarStartsWithDashFlowIndicator | Kind::BlockEntryInFlowCollection => {
            "there is a `-` within brackets where YAML allows none: put it in quotes"
        }
        Kind::CommentNotSeparated => "a comment needs a blank before its `#`",
        Kind::UnknownAnchor => "an alias names an anchor that is not defined before it",
        Kind::UnexpectedCharacter { character } => {
            return format!("{character:?} cannot begin a text here: put it in quotes");
        }
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
        Kind::RecursionLimitExceeded => {
            return format!("lists and maps in one another are deeper than the {DEPTH} levels of the budget");
        }
        Kind::BomInsideDocument => "there is a byte order mark within the document: remove it",
        Kind::UnexpectedEof | Kind::UnexpectedEofBlockMapping | Kind::UnexpectedEofBlockSequence => {
            "the text ends too early"
        }
        Kind::UndeclaredTagHandle => "a tag begins with a `!` handle that is not declared",
        Kind::InvalidBlockScalarHeader | Kind::ZeroBlockScalarIndent => {
            "`|` or `>` is followed by something other than its indentation and `+` or `-`"
        }
        _ => "the text is not YAML from here on",
    };
    text.to_owned()
}

//! Shows the run as Markdown, for the step summaries of CI systems and for comments on pull requests.

use std::fmt::Write as _;

use super::{ClaimReport, Format, Look, ReportError, RunReport, advice};
use crate::duration::measured;
use crate::judge::Conclusion;

/// A table of claims, after a list of what did not pass, each with a hint.
///
/// Texts of the run are data: they are inside `<code>`, where no site makes links, mentions or references, and every
/// character with a meaning in Markdown or HTML is written as its number.
#[derive(Debug)]
pub struct Markdown;

/// Maximum number of characters of a message in the table. The list of what did not pass has more.
const CELL: usize = 200;
/// Maximum number of characters of a message in the list.
const MESSAGE: usize = 1000;
/// Size in bytes after which rows are left out. GitHub refuses a summary of more than 1 MiB.
const ROOM: usize = 900 << 10;

impl Format for Markdown {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn about(&self) -> &'static str {
        "a table of claims for the summary of a CI job"
    }

    fn file(&self) -> Option<&'static str> {
        None
    }

    fn render(&self, report: &RunReport, _look: Look) -> Result<String, ReportError> {
        let mut page = format!(
            "## seatrial: {}\n\n{} passed, {} failed, {} inconclusive after {}, run {}\n",
            report.verdict,
            report.counts.passed,
            report.counts.failed,
            report.counts.inconclusive,
            measured(report.took),
            code(&report.run, CELL)
        );
        let troubles = troubles(report);
        let (shown, left) = fitting(troubles, ROOM / 2);
        if !shown.is_empty() {
            page.push_str("\n### Not passed\n\n");
            page.push_str(&shown);
        }
        left_out(&mut page, left, "more did not pass");
        let rows = report.claims.iter().map(row).collect();
        let (shown, left) = fitting(rows, ROOM - page.len());
        if !shown.is_empty() {
            page.push_str("\n| claim | suite | verdict | message |\n|---|---|---|---|\n");
            page.push_str(&shown);
        }
        left_out(&mut page, left, "more claims are in report.json");
        Ok(page)
    }
}

/// Returns an entry for each claim that did not pass, failed claims first, and for everything else that is wrong.
fn troubles(report: &RunReport) -> Vec<String> {
    let mut entries = Vec::new();
    for verdict in [Conclusion::Failed, Conclusion::Inconclusive] {
        entries.extend(report.claims.iter().filter(|c| c.verdict == verdict).map(|c| trouble(report, c)));
    }
    for suite in &report.suites {
        let name = code(&suite.name, CELL);
        let broke =
            suite.error.iter().map(|error| format!("the story of {name} broke: {}", code(error, MESSAGE)));
        let left = suite.left.iter().map(|left| format!("{name} left behind: {}", code(left, MESSAGE)));
        entries.extend(broke.chain(left).map(|text| format!("- {text}\n")));
    }
    entries.extend(report.defects.iter().map(|defect| format!("- records: {}\n", code(defect, MESSAGE))));
    entries
}

fn trouble(report: &RunReport, claim: &ClaimReport) -> String {
    let title =
        if claim.title.is_empty() { String::new() } else { format!(" {}", code(&claim.title, MESSAGE)) };
    let mut entry = format!("- **{}** {}{title}", claim.verdict, code(&claim.id, CELL));
    let _ = writeln!(entry, ": {}", code(advice::message(claim), MESSAGE));
    if let Some(hint) = advice::hint(report, claim) {
        let _ = writeln!(entry, "  - hint: {}", code(&hint, MESSAGE));
    }
    entry
}

fn row(claim: &ClaimReport) -> String {
    let time = match (claim.took, claim.budget) {
        (Some(took), Some(budget)) => format!(" ({} of {})", measured(took), measured(budget)),
        (Some(took), None) => format!(" ({})", measured(took)),
        _ => String::new(),
    };
    format!(
        "| {} | {} | {}{time} | {} |\n",
        code(&claim.id, CELL),
        code(&claim.suite, CELL),
        claim.verdict,
        code(advice::message(claim), CELL)
    )
}

/// Returns the first of these texts that fit into `room` bytes, and how many do not.
fn fitting(texts: Vec<String>, room: usize) -> (String, usize) {
    let mut shown = String::new();
    let all = texts.len();
    for (at, text) in texts.into_iter().enumerate() {
        if shown.len() + text.len() > room {
            return (shown, all - at);
        }
        shown.push_str(&text);
    }
    (shown, 0)
}

fn left_out(page: &mut String, left: usize, what: &str) {
    if left > 0 {
        let _ = writeln!(page, "\n{left} {what}.");
    }
}

/// Returns a text of the run as HTML code with at most `longest` characters.
fn code(text: &str, longest: usize) -> String {
    let (text, cut) = match text.char_indices().nth(longest) {
        Some((at, _)) => (&text[..at], text[at..].chars().count()),
        None => (text, 0),
    };
    let mut escaped = escaped(text);
    if cut > 0 {
        let _ = write!(escaped, "... ({cut} characters left out)");
    }
    format!("<code>{escaped}</code>")
}

/// Returns a text in which no character has a meaning in Markdown or HTML, and that contains no address: an at sign is
/// followed by `<wbr>`, because readers look for addresses after they have decoded the numbers of characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            // Part of an address such as http://x, unless a blank follows.
            ':' if rest.peek().is_some_and(|next| *next != ' ') => escaped.push_str(&number(c)),
            '.' if before(&escaped).eq_ignore_ascii_case("www") => escaped.push_str(&number(c)),
            '@' => escaped.push_str("&#64;<wbr>"),
            c if c.is_ascii_alphanumeric() || !c.is_ascii() || " .,:;-+='\"()/%?".contains(c) => {
                escaped.push(c)
            }
            c => escaped.push_str(&number(c)),
        }
    }
    escaped
}

/// Returns the last three bytes of a text; nothing if a character begins before them.
fn before(text: &str) -> &str {
    text.get(text.len().saturating_sub(3)..).unwrap_or_default()
}

/// Returns the HTML entity of a character. Control characters become blanks: HTML has no entity for most of them.
fn number(c: char) -> String {
    if c.is_control() { " ".into() } else { format!("&#{};", u32::from(c)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_keeps_a_meaning() {
        assert_eq!(escaped("pod web-0: 3 of 40 (0.6 s)"), "pod web-0: 3 of 40 (0.6 s)");
        assert_eq!(
            escaped("<b>|`*_[x](y)\\&~#!$::\r\n"),
            "&#60;b&#62;&#124;&#96;&#42;&#95;&#91;x&#93;(y)&#92;&#38;&#126;&#35;&#33;&#36;&#58;&#58;  "
        );
        assert_eq!(escaped("http://x www.x a@b.c"), "http&#58;//x www&#46;x a&#64;<wbr>b.c");
        assert_eq!(code("héllo", 2), "<code>hé... (3 characters left out)</code>");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        assert_eq!(fitting(vec!["ab".into(), "cd".into(), "e".into()], 3), ("ab".into(), 2));
        assert_eq!(fitting(vec!["ab".into(), "c".into()], 3), ("abc".into(), 0));
    }
}

//! The entries that a reading prints, as text from somebody else's program.

use crate::judge::trial::facts::Ledger;
use crate::workload::exec::LIMIT;
use crate::{sanitise, secret};

/// Most lines of a reading.
const LINES: usize = 2 * Ledger::MOST as usize;
/// Most digits of an entry.
const DIGITS: usize = 10;
/// Most characters that are recorded of a program's words.
const SHORT: usize = 200;

/// Why the output of a reading is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEntries {
    /// The output may have been cut.
    #[error("it printed more than {LIMIT} bytes or {LINES} lines")]
    TooLong,
    /// A line is no entry.
    #[error("line {line} of its output is no entry: `{text}`")]
    Line {
        /// The line, from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
}

/// Reads the entries: one number in each line. Blanks around it, and empty lines, are left out.
///
/// # Errors
/// [`NotEntries`]: any other line, or an output that may have been cut.
pub fn read(output: &str) -> Result<Vec<u64>, NotEntries> {
    if output.len() as u64 >= LIMIT {
        return Err(NotEntries::TooLong);
    }
    let mut found = Vec::new();
    for (at, line) in output.lines().enumerate() {
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let is_number = text.len() <= DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if is_number => found.push(number),
            _ => return Err(NotEntries::Line { line: at + 1, text: short(text) }),
        }
    }
    if found.len() > LINES { Err(NotEntries::TooLong) } else { Ok(found) }
}

/// Returns a program's words in one short line, without secrets.
pub fn short(text: &str) -> String {
    let line = sanitise::line(&secret::hide_shapes(text));
    match line.char_indices().nth(SHORT) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_one_number_in_each_line() {
        assert_eq!(read("1000001\n 1000003 \r\n\n1000002"), Ok(vec![1_000_001, 1_000_003, 1_000_002]));
        assert_eq!(read(""), Ok(Vec::new()));
        for (text, line, said) in [
            ("1\nid\n", 2, "id"),
            ("1 2\n", 1, "1 2"),
            ("+1\n", 1, "+1"),
            ("-1\n", 1, "-1"),
            ("1.0\n", 1, "1.0"),
            ("12345678901\n", 1, "12345678901"),
            ("1\n\n\u{1b}[31mred\n", 3, "red"),
            ("\u{661}\n", 1, "\u{661}"),
        ] {
            let Err(NotEntries::Line { line: at, text: found }) = read(text) else { panic!("{text:?}") };
            assert!(at == line && found.contains(said) && !found.contains('\u{1b}'), "{text:?}: {found}");
        }
    }

    #[test]
    fn what_may_have_been_cut_is_not_understood() {
        // Fewer lines than the most, and too many bytes.
        let long = "2000000001\n".repeat(LIMIT as usize / 11 + 1);
        assert_eq!(read(&long), Err(NotEntries::TooLong));
        assert_eq!(read(&"1\n".repeat(LINES + 1)), Err(NotEntries::TooLong));
        assert_eq!(read(&"1\n".repeat(LINES)).map(|all| all.len()), Ok(LINES));
        // The most entries that a ledger writes are understood.
        assert!(read(&"2000000001\n".repeat(Ledger::MOST as usize)).is_ok());
        let line = format!("1\n{}\n", "é".repeat(1000));
        assert!(read(&line).unwrap_err().to_string().chars().count() < 300);
    }
}

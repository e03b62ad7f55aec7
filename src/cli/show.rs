//! Standard output and standard error: the only way to a terminal and to the log of a CI job. Every text is made
//! harmless before it is printed: it moves no cursor, is no command to a CI system, and contains no known secret.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use crate::hint::FailureKind;
use crate::report::Look;
use crate::sanitise;
use crate::secret::{Secrets, hide_shapes};

use crate::cli::exit::{Exit, Stop, explanation};

static SECRETS: OnceLock<Secrets> = OnceLock::new();

/// Hides these secrets in everything that is printed from now on.
pub fn without(secrets: &Secrets) {
    let _ = SECRETS.set(secrets.clone());
}

/// Prints lines to standard output. A closed pipe (`| head`) is not an error.
pub fn text(text: &str) -> Result<(), Stop> {
    out(&sanitise::lines(&hidden(text)))
}

/// Prints JSON to standard output. Control characters in its strings are escaped, which keeps the value.
pub fn json(text: &str) -> Result<(), Stop> {
    out(&sanitise::json(&hidden(text)))
}

/// Prints a report to standard output. Its texts are already harmless, and its colours are our own.
pub fn page(text: &str) -> Result<(), Stop> {
    out(&hidden(text))
}

/// Prints a line to standard error. A failure to print is ignored, because there is no other place to report it.
pub fn error(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(line));
}

/// Prints lines of another program to standard output or standard error. A failure to print is ignored: the program has
/// its own report.
pub fn line_of_program(text: &str, is_error: bool) {
    let text = format!("{}\n", sanitise::lines(&hidden(text)));
    let _ = match is_error {
        true => std::io::stderr().lock().write_all(text.as_bytes()),
        false => out(&text).map_err(std::io::Error::other),
    };
}

/// Prints an error with its hint to standard error; returns its exit code.
pub fn explain(error: &anyhow::Error) -> Exit {
    let (exit, lines) = explanation(error);
    lines.iter().for_each(|line| self::error(line));
    exit
}

/// Returns one line in the form in which it may be printed.
pub fn harmless(line: &str) -> String {
    sanitise::line(&hidden(line))
}

fn hidden(text: &str) -> String {
    SECRETS.get().map_or_else(|| hide_shapes(text), |secrets| secrets.hide(text))
}

fn out(text: &str) -> Result<(), Stop> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let message = format!("failed to write to standard output: {error}");
            Err(Stop::new(
                FailureKind::CannotWrite,
                message,
                "free disk space, or redirect the output to another file",
            ))
        }
        _ => Ok(()),
    }
}

/// Returns what standard output supports: colours on a terminal unless NO_COLOR is set, and the width in columns.
pub fn look() -> Look {
    let terminal = std::io::stdout().is_terminal();
    let colour = terminal && crate::cli::environment("NO_COLOR").is_none_or(|v| v.is_empty());
    let columns = crate::cli::environment("COLUMNS").and_then(|c| c.parse().ok());
    let width = terminal.then(|| rustix::termios::tcgetwinsize(std::io::stdout()).ok()).flatten();
    let width = columns.or(width.map(|w| usize::from(w.ws_col)).filter(|w| *w > 0));
    Look { colour, width: width.unwrap_or(Look::default().width) }
}

//! Standard output and standard error.

use std::io::{IsTerminal, Write};

use seatrial::report::Look;

use crate::exit::{Exit, Stop};

/// Prints to standard output. A reader that has gone away (`| head`) is no error.
pub fn text(text: &str) -> Result<(), Stop> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let message = format!("failed to write to standard output: {error}");
            Err(Stop::new(Exit::CannotWrite, message, "make room, or send it elsewhere"))
        }
        _ => Ok(()),
    }
}

/// Prints a line to standard error, where nothing can be done about a failure.
pub fn error(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// What standard output allows: colours on a terminal unless NO_COLOR is set, and its width.
pub fn look() -> Look {
    let terminal = std::io::stdout().is_terminal();
    let colour = terminal && crate::environment("NO_COLOR").is_none_or(|v| v.is_empty());
    let columns = crate::environment("COLUMNS").and_then(|c| c.parse().ok());
    let width = terminal.then(|| rustix::termios::tcgetwinsize(std::io::stdout()).ok()).flatten();
    let width = columns.or(width.map(|w| usize::from(w.ws_col)).filter(|w| *w > 0));
    Look { colour, width: width.unwrap_or(Look::default().width) }
}

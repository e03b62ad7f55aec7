//! The watched command: marks on its standard output, and its output as evidence.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;

use super::WatchError;
use crate::artefact::Folder;
use crate::event::{Event, EventLog};
use crate::exec::{Exec, ExecError, Signal, Stream};
use crate::secret::hide_shapes;

/// Beginning of a line that sets a mark.
const MARK: &str = "::mark::";
/// Maximum number of characters of a mark.
const LONGEST: usize = 64;
/// Bytes of the output that are kept from its beginning, and as many from its end.
const KEPT: usize = 1 << 20;

/// Shows a line of the command.
pub type Show = dyn Fn(Stream, &str) + Send + Sync;

/// What the command gets from this process.
pub struct Given<'a> {
    /// Where its lines are shown.
    pub show: &'a Show,
    /// The signals that are passed on to it.
    pub signals: &'a mut UnboundedReceiver<Signal>,
    /// Its standard input; without a file it is empty.
    pub input: Option<File>,
    /// Variables of its environment besides those of this process.
    pub environment: Vec<(String, String)>,
}

/// Runs the command to its end. Its output goes to `given.show` and into `command/output.log` of the run's folder, its marks
/// into the log.
///
/// # Errors
/// [`WatchError::Exec`] if the program cannot be started.
pub async fn run(words: &[String], given: &mut Given<'_>, log: &EventLog) -> Result<ExitStatus, WatchError> {
    let (program, arguments) = words.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    let mut exec = Exec::new(program).args(arguments);
    for (name, value) in &given.environment {
        exec = exec.env(name, value);
    }
    if let Some(input) = given.input.take() {
        exec = exec.holding(input);
    }
    let mut output = Output::new();
    let took = |stream: Stream, line: &str| {
        if let Some(mark) = line.strip_prefix(MARK).filter(|_| stream == Stream::Out) {
            log.append(match name_of(mark) {
                Some(mark) => Event::Marked { mark: mark.to_owned() },
                None => Event::Noted {
                    text: format!(
                        "{MARK}{mark} sets no mark: a name has 1 to {LONGEST} characters and no blanks"
                    ),
                },
            });
        }
        output.take(stream, line);
        (given.show)(stream, line);
    };
    let ended: Result<ExitStatus, ExecError> = exec.attend(given.signals, took).await;
    output.keep(&log.dir().join("command"), log);
    Ok(ended?)
}

/// Returns the command as it can be pasted into a shell, without recognised secrets.
pub fn pretty(words: &[String]) -> String {
    let (program, arguments) = words.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    hide_shapes(&Exec::new(program).args(arguments).pretty())
}

/// Returns the name of a mark. The marks of seatrial itself have blanks.
fn name_of(text: &str) -> Option<&str> {
    let name = text.trim_end();
    let fits = !name.is_empty() && name.chars().count() <= LONGEST;
    (fits && !name.chars().any(|c| c.is_whitespace() || c.is_control())).then_some(name)
}

/// The beginning and the end of the output, with the second of each line.
struct Output {
    began: Instant,
    head: String,
    tail: VecDeque<String>,
    tail_bytes: usize,
    left_out: usize,
}

impl Output {
    fn new() -> Self {
        Self { began: Instant::now(), head: String::new(), tail: VecDeque::new(), tail_bytes: 0, left_out: 0 }
    }

    fn take(&mut self, stream: Stream, line: &str) {
        let name = match stream {
            Stream::Out => "out",
            Stream::Err => "err",
        };
        let line = format!("{:9.3} {name} {line}\n", self.began.elapsed().as_secs_f64());
        if self.tail.is_empty() && self.head.len() + line.len() <= KEPT {
            self.head.push_str(&line);
            return;
        }
        self.tail_bytes += line.len();
        self.tail.push_back(line);
        while self.tail_bytes > KEPT
            && let Some(first) = self.tail.pop_front()
        {
            self.tail_bytes -= first.len();
            self.left_out += first.len();
        }
    }

    /// Writes the output into a folder of evidence.
    fn keep(self, dir: &Path, log: &EventLog) {
        let folder = Folder::new(dir, &log.secrets());
        let mut text = self.head;
        if self.left_out > 0 {
            folder.missing("output.log", &format!("{} bytes in its middle are left out", self.left_out));
            text.push_str(&format!("[{} bytes are left out]\n", self.left_out));
        }
        text.extend(self.tail);
        folder.text("output.log", &text);
        folder.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secrets;

    #[test]
    fn a_mark_has_a_name_without_blanks() {
        assert_eq!(name_of("cut-over"), Some("cut-over"));
        assert_eq!(name_of("a/b.c \r"), Some("a/b.c"));
        for wrong in ["", " ", "watch begins", "a\tb", &"x".repeat(65)] {
            assert_eq!(name_of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_beginning_and_the_end_of_a_long_output_are_kept_without_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r").unwrap().with_secrets(&Secrets::default());
        let mut output = Output::new();
        output.take(Stream::Out, "first TOKEN=s3cr3t-value");
        for n in 0..40_000 {
            output.take(Stream::Err, &format!("line {n} {}", "x".repeat(80)));
        }
        output.take(Stream::Out, "last");
        assert!(output.head.len() <= KEPT && output.tail_bytes <= KEPT && output.left_out > 0);
        output.keep(&dir.path().join("command"), &log);
        let text = std::fs::read_to_string(dir.path().join("command/output.log")).unwrap();
        assert!(text.contains("out first ") && text.ends_with("out last\n"), "{}", &text[..80]);
        assert!(!text.contains("s3cr3t-value"));
        assert!(text.contains("bytes are left out]"));
        assert!(dir.path().join("command/MISSING.txt").exists());
    }
}

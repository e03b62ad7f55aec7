//! A program of somebody else: its output is passed on line by line, and signals reach it.

use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Pid;
pub use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Exec, ExecError, KillGroup};
use crate::deadline::Deadline;
use crate::secret;

/// An output stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Time for the rest of the output after the program has ended. A process that it left in the background may hold its
/// output open for ever.
const REST: Duration = Duration::from_secs(2);
/// Maximum number of bytes of a line. A longer line is passed on in pieces.
pub(super) const LONGEST: usize = 64 << 10;

impl Exec {
    /// Runs the program to its end and returns its status. Each line of both streams goes to `line` as it arrives; each
    /// of `signals` is sent to the program's process group.
    ///
    /// # Errors
    /// [`ExecError::Start`]. A status other than 0 is no error.
    ///
    /// # Cancellation
    /// The program's whole process group is killed when the future is dropped. Processes that the program left behind
    /// at its end stay.
    pub async fn attend(
        self,
        signals: &mut UnboundedReceiver<Signal>,
        mut line: impl FnMut(Stream, &str) + Send,
    ) -> Result<ExitStatus, ExecError> {
        let command = secret::hide_shapes(&self.pretty());
        let start = |source| ExecError::Start { command: command.clone(), source };
        let mut command_line = self.command().map_err(start)?;
        command_line.process_group(0).kill_on_drop(true);
        let mut child = command_line.spawn().map_err(start)?;
        let mut group = KillGroup(child.id());
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let mut out = Reader::new(child.stdout.take().expect("stdout is piped"));
        let mut err = Reader::new(child.stderr.take().expect("stderr is piped"));
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.map_err(start)?,
                Some(signal) = signals.recv() => {
                    // A group that has already ended is not an error.
                    let send = |signal| pid.map(|pid| rustix::process::kill_process_group(pid, signal));
                    let _ = send(signal);
                    // A program that asked at the terminal is stopped, and a stopped program takes no signal.
                    let _ = send(Signal::CONT);
                }
                () = out.more(), if out.open => out.lines().iter().for_each(|l| line(Stream::Out, l)),
                () = err.more(), if err.open => err.lines().iter().for_each(|l| line(Stream::Err, l)),
            }
        };
        // The child was reaped: its process id may belong to another process by now.
        group.0 = None;
        let rest = async {
            while out.open || err.open {
                tokio::select! {
                    () = out.more(), if out.open => out.lines().iter().for_each(|l| line(Stream::Out, l)),
                    () = err.more(), if err.open => err.lines().iter().for_each(|l| line(Stream::Err, l)),
                }
            }
        };
        let _ = Deadline::after(REST).bound(rest).await;
        Ok(status)
    }
}

/// Splits a stream into lines.
struct Reader<P> {
    pipe: P,
    open: bool,
    bytes: Vec<u8>,
}

impl<P: AsyncRead + Unpin> Reader<P> {
    fn new(pipe: P) -> Self {
        Self { pipe, open: true, bytes: Vec::new() }
    }

    /// Reads what is there.
    async fn more(&mut self) {
        let mut chunk = [0; 8192];
        match self.pipe.read(&mut chunk).await {
            Ok(n) if n > 0 => self.bytes.extend_from_slice(&chunk[..n]),
            _ => self.open = false,
        }
    }

    /// Takes the complete lines; the rest too, if it is too long or the stream has ended.
    fn lines(&mut self) -> Vec<String> {
        let whole = self.bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = self.bytes.len() - whole;
        let until = if !self.open || rest > LONGEST { self.bytes.len() } else { whole };
        let taken: Vec<u8> = self.bytes.drain(..until).collect();
        String::from_utf8_lossy(&taken).lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    #[tokio::test]
    async fn lines_of_both_streams_arrive_and_the_status_is_returned() {
        let (_sender, mut signals) = unbounded_channel();
        let mut seen = Vec::new();
        let exec = Exec::new("sh").args(["-c", "echo a; echo b >&2; printf c; exit 3"]);
        let status = exec.attend(&mut signals, |stream, line| seen.push((stream, line.to_owned()))).await;
        assert_eq!(status.unwrap().code(), Some(3));
        let of = |wanted: Stream| -> Vec<&str> {
            seen.iter().filter(|(stream, _)| *stream == wanted).map(|(_, line)| line.as_str()).collect()
        };
        assert_eq!((of(Stream::Out), of(Stream::Err)), (vec!["a", "c"], vec!["b"]));
    }

    #[tokio::test]
    async fn a_signal_ends_a_stopped_program() {
        use std::os::unix::process::ExitStatusExt as _;
        let (sender, mut signals) = unbounded_channel();
        let exec = Exec::new("sh").args(["-c", "echo $$; kill -STOP $$; sleep 30"]);
        let said = |_: Stream, pid: &str| {
            let (sender, stat) = (sender.clone(), format!("/proc/{pid}/stat"));
            tokio::spawn(async move {
                let limit = Deadline::after(Duration::from_secs(10));
                while !std::fs::read_to_string(&stat).unwrap_or_default().contains(") T ") && !limit.is_over()
                {
                    limit.pause(Duration::from_millis(20)).await;
                }
                let _ = sender.send(Signal::INT);
            });
        };
        let ended = exec.attend(&mut signals, said);
        let status = Deadline::after(Duration::from_secs(20)).bound(ended).await.unwrap().unwrap();
        assert_eq!(status.signal(), Some(2));
    }

    #[tokio::test]
    async fn a_signal_reaches_the_program() {
        let (sender, mut signals) = unbounded_channel();
        let script = "trap 'echo got TERM; exit 4' TERM; echo ready; sleep 30 & wait";
        let mut seen = Vec::new();
        let status = Exec::new("sh").args(["-c", script]).attend(&mut signals, |_, line| {
            if line == "ready" {
                sender.send(Signal::TERM).unwrap();
            }
            seen.push(line.to_owned());
        });
        let status = Deadline::after(Duration::from_secs(20)).bound(status).await.unwrap().unwrap();
        assert_eq!((seen, status.code()), (vec!["ready".to_owned(), "got TERM".to_owned()], Some(4)));
    }

    /// Otherwise a server in the background would keep the command open for ever.
    #[tokio::test]
    async fn a_process_in_the_background_does_not_keep_the_command_open() {
        let (_sender, mut signals) = unbounded_channel();
        let mut pid = String::new();
        let exec = Exec::new("sh").args(["-c", "sleep 30 & echo $!"]);
        let ended = exec.attend(&mut signals, |_, line| pid = line.to_owned());
        Deadline::after(Duration::from_secs(20)).bound(ended).await.unwrap().unwrap();
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).expect("it stays");
    }
}

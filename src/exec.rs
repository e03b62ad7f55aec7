//! The only place that starts processes.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::deadline::Deadline;
use crate::{chain, sanitise, secret};

mod attended;
mod tied;

pub use attended::{Signal, Stream};

/// Time for the end of both streams after the end of the program: a process that it left in the background may hold them.
const STREAMS: Duration = Duration::from_secs(1);

/// Most bytes of a stream that are kept: beyond that, the beginning is dropped. A program may print without end.
const MOST: usize = 64 * 1024 * 1024;

/// A program with its arguments, ready to run. The child gets its own process group: a Ctrl-C at the terminal reaches
/// only seatrial, which ends its children itself.
#[derive(Clone)]
pub struct Exec {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    clear_env: bool,
    cwd: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    held: Option<Arc<File>>,
    /// Whether standard input stays open as long as seatrial runs.
    tied: bool,
}

/// The output of a finished program.
#[derive(Clone)]
pub struct Output {
    /// Everything on standard output; invalid UTF-8 is replaced.
    pub stdout: String,
    /// Everything on standard error; invalid UTF-8 is replaced.
    pub stderr: String,
}

/// Why a program failed. `Display` shows the command in a form that can be pasted into a shell.
#[derive(thiserror::Error)]
pub enum ExecError {
    /// The program does not exist or may not be run.
    #[error("failed to start `{command}`{}", unfound(.source))]
    Start {
        /// The command as text.
        command: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The program ended with a status other than 0.
    #[error("`{command}` ended with {status}: {}", tail(.stderr))]
    Failed {
        /// The command as text.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// Its standard output.
        stdout: String,
        /// Its standard error.
        stderr: String,
    },
    /// The program was killed because its deadline passed.
    #[error("`{command}` timed out after {:.1} s: {}", .waited.as_secs_f64(), tail(.stderr))]
    Timeout {
        /// The command as text.
        command: String,
        /// How long it ran.
        waited: Duration,
        /// Its standard error so far.
        stderr: String,
    },
}

/// Says what "no such file" means for a program.
fn unfound(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::NotFound => ": the program is not there, or not in PATH",
        _ => "",
    }
}

/// Shows the command with secrets recognised by shape removed, without environment and input.
impl std::fmt::Debug for Exec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exec(`{}`)", secret::hide_shapes(&self.pretty()))
    }
}

/// Shows the last lines of both streams with secrets recognised by shape removed.
impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output(stdout: {}; stderr: {})", tail(&self.stdout), tail(&self.stderr))
    }
}

/// As [`crate::chain`]: output of programs may contain secrets and is not shown as is.
impl std::fmt::Debug for ExecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        chain::debug(self, f)
    }
}

impl Exec {
    /// Returns a command. `program` is looked up in PATH unless it contains a slash.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            clear_env: false,
            cwd: None,
            stdin: None,
            held: None,
            tied: false,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the child's environment.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Starts with an empty environment instead of ours.
    pub fn clear_env(mut self) -> Self {
        self.clear_env = true;
        self
    }

    /// Runs in this folder instead of ours.
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_path_buf());
        self
    }

    /// Writes these bytes to standard input, which is otherwise empty.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Uses this file as the child's standard input. A lock on the file is held as long as the child lives, even if
    /// seatrial is killed.
    pub fn holding(mut self, file: File) -> Self {
        self.held = Some(Arc::new(file));
        self
    }

    /// Returns the command in a form that can be pasted into a shell.
    pub fn pretty(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args);
        words.map(|w| quote(&w.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    /// Runs the program to its end and returns its output. Processes that it left in its group are killed if they still hold
    /// a stream one second later.
    ///
    /// # Errors
    /// [`ExecError`]; a status other than 0 is an error.
    ///
    /// # Cancellation
    /// The child's whole process group is killed when the future is dropped or the deadline passes.
    pub async fn run(self, deadline: Deadline) -> Result<Output, ExecError> {
        self.run_with(deadline, |_| {}).await
    }

    /// As [`Exec::run`], and passes each line of both streams to `line` as it arrives.
    ///
    /// # Errors
    /// As [`Exec::run`].
    pub async fn run_with(
        self,
        deadline: Deadline,
        mut line: impl FnMut(&str) + Send,
    ) -> Result<Output, ExecError> {
        // Errors are logged, and this command becomes part of them.
        let command = secret::hide_shapes(&self.pretty());
        let start = |source| ExecError::Start { command: command.clone(), source };
        let mut command_line = self.command().map_err(start)?;
        command_line.process_group(0).kill_on_drop(true);
        let mut child = command_line.spawn().map_err(start)?;
        let mut group = KillGroup(child.id());
        let mut pipe = child.stdin.take();
        // Held to the end of this function.
        let _tie = pipe.take_if(|_| self.tied);
        let stdin = pipe.zip(self.stdin);
        let feed = async {
            if let Some((mut pipe, bytes)) = stdin {
                // A child that does not read all of its input reports a problem by its exit status.
                let _ = pipe.write_all(&bytes).await;
            }
        };
        let (mut out, mut err) = (String::new(), String::new());
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let read = async {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            let (mut a_open, mut b_open) = (true, true);
            while a_open || b_open {
                tokio::select! {
                    n = one_line(&mut stdout, &mut a), if a_open => a_open = take(n, &mut a, &mut out, &mut line),
                    n = one_line(&mut stderr, &mut b), if b_open => b_open = take(n, &mut b, &mut err, &mut line),
                }
            }
        };
        let ended = {
            let mut streams = std::pin::pin!(async { tokio::join!(feed, read) });
            let whole = async {
                tokio::select! {
                    ended = child.wait() => (ended, Deadline::after(STREAMS).bound(&mut streams).await.is_ok()),
                    _ = &mut streams => (child.wait().await, true),
                }
            };
            deadline.bound(whole).await
        };
        let ended = ended.map(|(ended, all_read)| {
            // The child was reaped: its process id may belong to another process by now, unless a member of its group still
            // holds a stream.
            group.0 = group.0.filter(|_| !all_read);
            ended
        });
        match ended {
            Ok(Ok(status)) if status.success() => Ok(Output { stdout: out, stderr: err }),
            Ok(Ok(status)) => Err(ExecError::Failed { command, status, stdout: out, stderr: err }),
            Ok(Err(source)) => Err(ExecError::Start { command, source }),
            Err(late) => Err(ExecError::Timeout { command, waited: late.0, stderr: err }),
        }
    }

    /// Starts a process that outlives seatrial, with `log` as its output. The process must call setsid(2) first, and a
    /// leader of a process group cannot do that. It therefore stays in our group, and a Ctrl-C at our terminal reaches
    /// it until then.
    ///
    /// # Errors
    /// [`ExecError::Start`].
    pub fn detach(self, log: &Path) -> Result<u32, ExecError> {
        let pretty = secret::hide_shapes(&self.pretty());
        let start = |source| ExecError::Start { command: pretty.clone(), source };
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(start)?;
        let mut command = self.command().map_err(start)?;
        command.stdin(Stdio::null()).stdout(file.try_clone().map_err(start)?).stderr(file);
        let child = command.spawn().map_err(start)?;
        Ok(child.id().unwrap_or_default())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that starts processes")]
    fn command(&self) -> std::io::Result<Command> {
        let mut command = Command::new(&self.program);
        if self.clear_env {
            command.env_clear();
        }
        command.args(&self.args).envs(self.env.iter().map(|(k, v)| (k, v)));
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        let input = match &self.held {
            Some(file) => file.try_clone()?.into(),
            None if self.stdin.is_some() || self.tied => Stdio::piped(),
            None => Stdio::null(),
        };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

/// Kills the child's process group when dropped. A group that has already ended is not an error.
struct KillGroup(Option<u32>);

impl Drop for KillGroup {
    fn drop(&mut self) {
        let pid = self.0.and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Adds bytes to `bytes` until it has a whole line, or [`attended::LONGEST`] bytes of a longer one. Bytes that were read stay
/// in `bytes` even if the future is dropped.
async fn one_line(from: &mut (impl AsyncBufRead + Unpin), bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    let rest = attended::LONGEST.saturating_sub(bytes.len()).max(1) as u64;
    from.take(rest).read_until(b'\n', bytes).await
}

fn take(
    read: std::io::Result<usize>,
    bytes: &mut Vec<u8>,
    text: &mut String,
    line: &mut (impl FnMut(&str) + Send),
) -> bool {
    let new = String::from_utf8_lossy(bytes).into_owned();
    bytes.clear();
    if !new.is_empty() {
        line(new.trim_end_matches(['\n', '\r']));
        text.push_str(&new);
        if text.len() > MOST {
            let from = text.len() - MOST / 2;
            let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
            text.drain(..from);
        }
    }
    matches!(read, Ok(n) if n > 0)
}

/// Returns the last four lines of a text as one harmless line, which is enough to recognise the problem.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    match lines.len() {
        0 => "no output".into(),
        n => sanitise::line(&secret::hide_shapes(&lines[n.saturating_sub(4)..].join(" | "))),
    }
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(5))
    }

    #[tokio::test]
    async fn a_program_that_ended_is_not_waited_for_because_of_its_children() {
        let began = std::time::Instant::now();
        let out = Exec::new("sh").args(["-c", "sleep 60 & echo $!; exit 0"]).run(soon()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        let pid = rustix::process::Pid::from_raw(out.stdout.trim().parse().unwrap()).unwrap();
        // The child is killed; it stays a zombie until its new parent reaps it.
        let lives = || {
            let stat =
                std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            rustix::process::test_kill_process(pid).is_ok() && !stat.contains(") Z ")
        };
        let limit = soon();
        while lives() && !limit.is_over() {
            limit.pause(Duration::from_millis(20)).await;
        }
        assert!(!lives());
    }

    #[tokio::test]
    async fn both_streams_are_kept_apart() {
        let out = Exec::new("sh").args(["-c", "cat; echo err >&2"]).stdin("in").run(soon()).await;
        let out = out.unwrap();
        assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("in", "err\n"));
    }

    #[tokio::test]
    async fn an_error_shows_a_command_that_can_be_pasted() {
        let error = Exec::new("sh").args(["-c", "echo 'bad thing' >&2; exit 3"]).run(soon()).await;
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with(r"`sh -c 'echo '\''bad thing'\'' >&2; exit 3'`"), "{text}");
        assert!(text.ends_with("exit status: 3: bad thing"), "{text}");
    }

    #[tokio::test]
    async fn an_error_is_harmless_and_has_no_secret() {
        let exec = Exec::new("sh").args([
            "-c",
            "printf '\\033[2Jx ##vso[y] TOKEN=abc123\\n' >&2; exit 1",
            "--token=abc123",
        ]);
        let text = exec.run(soon()).await.unwrap_err().to_string();
        assert!(text.ends_with("exit status: 1: x # #vso[y] TOKEN=(left out)"), "{text}");
        assert!(!text.contains("abc123"), "{text}");
    }

    /// A test that unwraps an error prints its `Debug` output.
    #[tokio::test]
    async fn debug_shows_no_secret_of_output_or_environment() {
        let exec = Exec::new("sh")
            .env("DB_PASS", "s3cr3t")
            .args(["-c", "echo TOKEN=s3cr3t; TOKEN=s3cr3t >&2; exit 1"]);
        assert!(!format!("{exec:?}").contains("s3cr3t"), "{exec:?}");
        let error = exec.run(soon()).await.unwrap_err();
        assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        let output = Exec::new("sh").args(["-c", "echo TOKEN=s3cr3t"]).run(soon()).await.unwrap();
        assert!(!format!("{output:?}").contains("s3cr3t"), "{output:?}");
    }

    #[tokio::test]
    async fn a_lock_is_held_for_as_long_as_the_child_lives() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::create(dir.path().join("lock")).unwrap();
        let held = open();
        held.lock().unwrap();
        let marker = dir.path().join("go");
        let script = format!("until [ -e {} ]; do sleep 0.01; done", marker.display());
        let child = tokio::spawn(Exec::new("sh").args(["-c", &script]).holding(held).run(soon()));
        let limit = soon().at_most(Duration::from_millis(200));
        while !limit.is_over() {
            assert!(open().try_lock().is_err(), "free while the child runs");
            limit.pause(Duration::from_millis(20)).await;
        }
        std::fs::write(marker, "").unwrap();
        child.await.unwrap().unwrap();
        open().try_lock().unwrap();
    }

    #[tokio::test]
    async fn a_timeout_kills_the_child_and_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 60 & echo $! > {}; wait", file.display());
        let short = Deadline::after(Duration::from_millis(300));
        let error = Exec::new("sh").args(["-c", &script]).run(short).await.unwrap_err();
        assert!(matches!(error, ExecError::Timeout { .. }), "{error}");
        let pid = std::fs::read_to_string(file).unwrap();
        let proc = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
        let gone = || !matches!(std::fs::read_to_string(&proc), Ok(stat) if !stat.contains(") Z "));
        let limit = soon();
        while !gone() && !limit.is_over() {
            limit.pause(Duration::from_millis(10)).await;
        }
        assert!(gone(), "the grandchild still runs");
    }
}

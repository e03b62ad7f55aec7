//! Commands in running containers.

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{ApiError, Engine, EngineError};
use crate::deadline::Deadline;
use crate::retry;

/// Maximum output of one command in bytes; more is an error.
const OUTPUT_LIMIT: usize = 64 << 20;
/// Bytes of standard error that are kept for the error message of a long-running command.
const STDERR_KEPT: usize = 16 << 10;

/// Runs its arguments as a command, and ends the command with all its children when standard input ends.
///
/// Docker has no call that ends a command: closing the connection leaves the command running (moby#9098). But Docker
/// then closes the command's standard input, also if seatrial was killed, so a shell in the container watches for that.
/// The command itself gets an empty standard input and, if `setsid` exists, its own process group. A shell gives
/// background jobs /dev/null as standard input, hence descriptor 3.
const SUPERVISE: &str = r#"
exec 3<&0
if command -v setsid >/dev/null; then
  setsid "$@" </dev/null 3<&- &
  child=$! all=-$!
else
  "$@" </dev/null 3<&- &
  child=$! all=$!
fi
{
  while read -r _ <&3; do :; done
  kill -TERM "$all" || kill -TERM "$child" || exit 0
  for _ in 1 2 3 4 5; do sleep 1; kill -0 "$all" || exit 0; done
  kill -KILL "$all"
} >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$child"
code=$?
kill "$watch" 2>/dev/null
exit "$code"
"#;

/// The result of a finished command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecResult {
    /// Its exit code: 128 + n if signal n ended it, 126 or 127 if it could not be started.
    pub code: i64,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

pub(super) type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, ApiError>> + Send>>;
pub(super) type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// A running command.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) output: Output,
    pub(super) input: Input,
}

impl Engine {
    /// Runs a command to its end. With `None`, its standard input is empty.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::NotRunning`], [`EngineError::Timeout`], [`EngineError::TooMuch`] for
    /// more than 64 MiB of output, [`EngineError::Api`]. An exit code other than 0 is not an error.
    ///
    /// # Cancellation
    /// When the future is dropped or the deadline passes, a command without input is ended in the container. A command
    /// with input only gets the end of its input, and may keep running.
    pub async fn exec(
        &self,
        name: &str,
        argv: &[&str],
        stdin: Option<Vec<u8>>,
        deadline: Deadline,
    ) -> Result<ExecResult, EngineError> {
        let doing = || doing(name, argv);
        let words = if stdin.is_some() { owned(argv) } else { supervised(argv) };
        let mut session = self.open(name, argv, words, deadline).await?;
        let mut result = ExecResult { code: 0, stdout: Vec::new(), stderr: Vec::new() };
        let mut output = session.output;
        let read = async {
            while let Some(piece) = output.try_next().await? {
                match piece {
                    LogOutput::StdErr { message } => result.stderr.extend_from_slice(&message),
                    other => result.stdout.extend_from_slice(&other.into_bytes()),
                }
                if result.stdout.len().max(result.stderr.len()) > OUTPUT_LIMIT {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let feed = async {
            if let Some(bytes) = stdin {
                // A command that does not read all of its input reports a problem by its exit code.
                let _ = session.input.write_all(&bytes).await;
                let _ = session.input.shutdown().await;
            }
        };
        // Without the supervising shell, standard input must be closed after the last byte. With it, it must stay open.
        let whole = async { futures::future::join(read, feed).await.0 };
        let complete = self.ask(doing, deadline, whole).await?;
        if !complete {
            let path = format!("output of `{}`", argv.join(" "));
            let limit = OUTPUT_LIMIT as u64;
            return Err(EngineError::TooMuch { container: name.into(), path, limit, unit: "bytes" });
        }
        result.code = self.exit_code(&session.id, doing, deadline).await?;
        Ok(result)
    }

    /// As [`Engine::exec`], but the command must succeed. Returns its standard output, with invalid UTF-8 replaced.
    ///
    /// # Errors
    /// [`EngineError::Command`] for an exit code other than 0, and those of [`Engine::exec`].
    pub async fn exec_ok(
        &self,
        name: &str,
        argv: &[&str],
        stdin: Option<Vec<u8>>,
        deadline: Deadline,
    ) -> Result<String, EngineError> {
        let result = self.exec(name, argv, stdin, deadline).await?;
        match result.code {
            0 => Ok(String::from_utf8_lossy(&result.stdout).into_owned()),
            code => Err(failed(name, argv, code, &result.stderr)),
        }
    }

    /// Runs a long-running command and returns its standard output line by line, without line ends. The stream ends
    /// with the command; an exit code other than 0 is its last item.
    ///
    /// # Errors
    /// Those of [`Engine::exec`], as items. The command must start within 30 s; after that there is no time limit.
    ///
    /// # Cancellation
    /// When the stream is dropped, or this process is killed, the command is ended in the container (SIGTERM, 5 s later
    /// SIGKILL). The container needs a `/bin/sh`.
    pub fn exec_lines(&self, name: &str, argv: &[&str]) -> BoxStream<'static, Result<String, EngineError>> {
        let (engine, name, argv) = (self.clone(), name.to_owned(), owned(argv));
        let started = async move {
            let words: Vec<&str> = argv.iter().map(String::as_str).collect();
            let opened = engine.open(&name, &words, supervised(&words), engine.quick()).await?;
            let lines = Lines { engine, name, argv, session: opened, out: Vec::new(), err: Vec::new() };
            Ok(futures::stream::unfold(Some(lines), Lines::step))
        };
        futures::stream::once(started).try_flatten().boxed()
    }

    /// Starts `words`; error messages show `argv`.
    pub(super) async fn open(
        &self,
        name: &str,
        argv: &[&str],
        words: Vec<String>,
        deadline: Deadline,
    ) -> Result<Session, EngineError> {
        let doing = || doing(name, argv);
        let options = CreateExecOptions::<String> {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(words),
            // Output of programs is compared, so it must not depend on an image's language.
            env: Some(vec!["LC_ALL=C".to_owned()]),
            ..Default::default()
        };
        let created = self.ask(doing, deadline, self.docker.create_exec(name, options)).await;
        let id = match created {
            Ok(created) => created.id,
            Err(error) => return Err(self.why_not(error, name, doing()).await),
        };
        match self.ask(doing, deadline, self.docker.start_exec(&id, None)).await {
            Ok(StartExecResults::Attached { output, input }) => Ok(Session { id, output, input }),
            Ok(StartExecResults::Detached) => {
                let source = std::io::Error::other("the engine detached from the command");
                Err(EngineError::api(doing(), source.into()))
            }
            Err(error) => Err(self.why_not(error, name, doing()).await),
        }
    }

    /// Turns a 409, which means that the container does not run, into an error that says its state.
    async fn why_not(&self, error: EngineError, name: &str, doing: String) -> EngineError {
        match error.status() {
            Some(404) => error.or_not_found("container", name),
            Some(409) => match self.container(name).await {
                Ok(Some(c)) if c.power != super::Power::Running => {
                    EngineError::NotRunning { doing, container: name.into(), power: c.power }
                }
                _ => error,
            },
            _ => error,
        }
    }

    /// Returns the exit code, which the engine may know only a moment after the output has ended.
    pub(super) async fn exit_code(
        &self,
        id: &str,
        doing: impl Fn() -> String + Copy,
        deadline: Deadline,
    ) -> Result<i64, EngineError> {
        let ended = retry::try_until(deadline, retry::every(Duration::from_millis(20)), || async {
            let state = self.ask(doing, deadline, self.docker.inspect_exec(id)).await?;
            Ok::<_, EngineError>(match (state.running, state.exit_code) {
                (Some(false) | None, Some(code)) => Ok(code),
                _ => Err(()),
            })
        });
        ended.await?.map_err(|late| EngineError::Timeout { doing: doing(), waited: late.waited })
    }
}

/// The state of [`Engine::exec_lines`]. Dropping it closes the connection, which ends the command.
struct Lines {
    engine: Engine,
    name: String,
    argv: Vec<String>,
    session: Session,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Lines {
    async fn step(this: Option<Self>) -> Option<(Result<String, EngineError>, Option<Self>)> {
        let mut this = this?;
        loop {
            if let Some(end) = this.out.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = this.out.drain(..=end).collect();
                return Some((Ok(text(&line)), Some(this)));
            }
            match this.session.output.try_next().await {
                Ok(Some(LogOutput::StdErr { message })) => {
                    this.err.extend_from_slice(&message);
                    let over = this.err.len().saturating_sub(STDERR_KEPT);
                    this.err.drain(..over);
                }
                Ok(Some(other)) => this.out.extend_from_slice(&other.into_bytes()),
                // A last line without a line end comes before the command's result.
                Ok(None) if !this.out.is_empty() => {
                    let line = std::mem::take(&mut this.out);
                    return Some((Ok(text(&line)), Some(this)));
                }
                Ok(None) => return this.verdict().await.map(|error| (Err(error), None)),
                Err(source) => return Some((Err(EngineError::api(this.doing(), source)), None)),
            }
            if this.out.len() > OUTPUT_LIMIT {
                let path = format!("a line of `{}`", this.argv.join(" "));
                let (container, limit) = (this.name, OUTPUT_LIMIT as u64);
                return Some((Err(EngineError::TooMuch { container, path, limit, unit: "bytes" }), None));
            }
        }
    }

    async fn verdict(self) -> Option<EngineError> {
        let Self { engine, name, argv, session: Session { id, .. }, err, .. } = self;
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        match engine.exit_code(&id, || doing(&name, &words), engine.quick()).await {
            Ok(0) => None,
            Ok(code) => Some(failed(&name, &words, code, &err)),
            Err(error) => Some(error),
        }
    }

    fn doing(&self) -> String {
        doing(&self.name, &self.argv.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn supervised(argv: &[&str]) -> Vec<String> {
    let mut words = owned(&["/bin/sh", "-c", SUPERVISE, "seatrial"]);
    words.extend(owned(argv));
    words
}

pub(super) fn owned(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|w| (*w).to_owned()).collect()
}

pub(super) fn doing(name: &str, argv: &[&str]) -> String {
    format!("failed to run `{}` in {name}", argv.join(" "))
}

pub(super) fn failed(name: &str, argv: &[&str], code: i64, stderr: &[u8]) -> EngineError {
    let stderr = String::from_utf8_lossy(stderr).into_owned();
    EngineError::Command { container: name.into(), command: argv.join(" "), code, stderr }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}

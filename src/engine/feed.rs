//! Commands whose input or output is too large for memory.

use bollard::container::LogOutput;
use std::pin::Pin;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio_util::bytes::Bytes;

use super::exec::{Session, doing, owned};
use super::{Engine, EngineError};
use crate::deadline::Deadline;
use crate::exec::tail;

/// Bytes of one read. Each read of a file switches to another thread: with pieces of 8 KiB, loading a node's images
/// took more processor time than everything else.
const PIECE: usize = 1 << 20;
/// Bytes of a command's output that are kept.
const KEPT: usize = 64 << 10;

/// The standard input and output of a running command.
pub struct Piped {
    /// Its standard output; standard error is dropped.
    pub output: BoxStream<'static, std::io::Result<Bytes>>,
    /// Its standard input, which ends when this is dropped or shut down.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl std::fmt::Debug for Piped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piped").finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts a command and returns its standard input and output, which work as long as it runs.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Timeout`] after 30 s, [`EngineError::Api`].
    ///
    /// # Cancellation
    /// When both are dropped, the command gets the end of its input.
    pub async fn exec_piped(&self, name: &str, argv: &[&str]) -> Result<Piped, EngineError> {
        let Session { output, input, .. } = self.open(name, argv, owned(argv), self.quick()).await?;
        let output = output.map_err(std::io::Error::other).try_filter_map(|piece| async move {
            Ok(match piece {
                LogOutput::StdErr { .. } => None,
                other => Some(other.into_bytes()),
            })
        });
        Ok(Piped { output: output.boxed(), input })
    }

    /// Runs a command with `input` as its standard input, and returns its output.
    ///
    /// # Errors
    /// [`EngineError::Command`] for an exit code other than 0; [`EngineError::NotFound`],
    /// [`EngineError::Timeout`], [`EngineError::Api`].
    ///
    /// # Cancellation
    /// The command gets the end of its input.
    pub async fn exec_reading(
        &self,
        name: &str,
        argv: &[&str],
        input: impl AsyncRead + Unpin + Send,
        deadline: Deadline,
    ) -> Result<String, EngineError> {
        let mut input = BufReader::with_capacity(PIECE, input);
        let doing = || doing(name, argv);
        let Session { id, mut output, input: mut pipe } =
            self.open(name, argv, owned(argv), deadline).await?;
        let mut said = Vec::new();
        let read = async {
            while let Some(piece) = output.try_next().await? {
                if let LogOutput::StdOut { message } | LogOutput::StdErr { message } = piece
                    && said.len() < KEPT
                {
                    said.extend_from_slice(&message);
                }
            }
            Ok(())
        };
        let feed = async {
            // A command that does not read all of its input reports a problem by its exit code.
            let _ = tokio::io::copy_buf(&mut input, &mut pipe).await;
            let _ = pipe.shutdown().await;
        };
        let whole = async { futures::future::join(read, feed).await.0 };
        self.ask(doing, deadline, whole).await?;
        let said = String::from_utf8_lossy(&said).into_owned();
        match self.exit_code(&id, doing, deadline).await? {
            0 => Ok(said),
            code => Err(EngineError::Command {
                container: name.into(),
                command: argv.join(" "),
                code,
                stderr: tail(&said),
            }),
        }
    }

    /// Runs a command and writes its standard output to `output`, which may be larger than memory. Returns the number
    /// of bytes. The command's standard input is empty.
    ///
    /// # Errors
    /// [`EngineError::Command`] for an exit code other than 0; [`EngineError::NotFound`],
    /// [`EngineError::Timeout`], [`EngineError::Api`], also if writing to `output` fails.
    ///
    /// # Cancellation
    /// The command keeps running, and its output is lost.
    pub async fn exec_writing(
        &self,
        name: &str,
        argv: &[&str],
        mut output: impl AsyncWrite + Unpin + Send,
        deadline: Deadline,
    ) -> Result<u64, EngineError> {
        let doing = || doing(name, argv);
        let Session { id, output: mut pieces, mut input } =
            self.open(name, argv, owned(argv), deadline).await?;
        // An empty standard input.
        let _ = input.shutdown().await;
        let (mut bytes, mut errors) = (0, Vec::new());
        let copy = async {
            while let Some(piece) = pieces.try_next().await? {
                match piece {
                    LogOutput::StdErr { message } if errors.len() < KEPT => {
                        errors.extend_from_slice(&message);
                    }
                    LogOutput::StdErr { .. } => {}
                    other => {
                        let piece = other.into_bytes();
                        bytes += piece.len() as u64;
                        output.write_all(&piece).await?;
                    }
                }
            }
            output.flush().await?;
            Ok(())
        };
        self.ask(doing, deadline, copy).await?;
        match self.exit_code(&id, doing, deadline).await? {
            0 => Ok(bytes),
            code => Err(super::exec::failed(name, argv, code, &errors)),
        }
    }
}

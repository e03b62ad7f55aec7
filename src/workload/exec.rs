//! Runs commands in a pod's container through the API server, as `kubectl exec` does.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::client::{ApiError, Client};
use crate::deadline::{Deadline, Elapsed};
use crate::exec::tail;
use crate::retry::{self, NotYet};
use crate::{sanitise, secret};

/// Maximum bytes that are kept of each stream; the rest is discarded.
pub const LIMIT: u64 = 1 << 20;
/// Pause before the next try of a command that could not be started.
const AGAIN: Duration = Duration::from_millis(200);

/// The result of a finished command.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// Its standard output, with invalid UTF-8 replaced; at most 1 MiB.
    pub stdout: String,
    /// Its standard error, with the same limits.
    pub stderr: String,
}

/// Prints the exit code and the last lines of both streams, without texts that look like secrets.
impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output({}, stdout: {}; stderr: {})", self.code, tail(&self.stdout), tail(&self.stderr))
    }
}

/// A command could not be run, or did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("failed to run `{command}` in pod {pod}: {why}")]
pub struct ExecError {
    /// The command.
    pub command: String,
    /// The pod.
    pub pod: String,
    /// The reason: the API's answer, or the command's own output.
    pub why: String,
}

/// Runs a command in a pod's only container and returns its result, whatever the exit code. A command that could not be
/// started, or whose end was not reported, is retried until the deadline: it must be idempotent.
///
/// # Errors
/// [`ExecError`] with the last reason.
pub async fn exec(
    client: &Client,
    namespace: &str,
    pod: &str,
    argv: &[&str],
    deadline: Deadline,
) -> Result<Output, ExecError> {
    let output = retry::until(deadline, retry::every(AGAIN), || async {
        let output = deadline.bound(once(client, namespace, (pod, None), argv)).await;
        output.unwrap_or_else(|_| Err("no answer".into()))
    });
    output.await.map_err(|late| {
        let why = sanitise::line(&format!("{} ({})", late.last, Elapsed(late.waited)));
        ExecError { command: secret::hide_shapes(&argv.join(" ")), pod: pod.into(), why }
    })
}

/// Like [`exec`], in one container of a pod, and without a second try: for a command that must not run twice. After an error
/// the command may have run, or may still be running.
///
/// # Errors
/// [`ExecError`]: no exit code was reported until the deadline.
pub async fn exec_once(
    client: &Client,
    namespace: &str,
    (pod, container): (&str, Option<&str>),
    argv: &[&str],
    deadline: Deadline,
) -> Result<Output, ExecError> {
    let why = match deadline.bound(once(client, namespace, (pod, container), argv)).await {
        Ok(Ok(output)) => return Ok(output),
        Ok(Err(NotYet(why))) => why,
        Err(late) => format!("no answer, {late}"),
    };
    let why = sanitise::line(&secret::hide_shapes(&why));
    Err(ExecError { command: secret::hide_shapes(&argv.join(" ")), pod: pod.into(), why })
}

/// Like [`exec`], for a command that must succeed: returns its standard output.
///
/// # Errors
/// [`ExecError`], also for an exit code other than 0.
pub async fn exec_ok(
    client: &Client,
    namespace: &str,
    pod: &str,
    argv: &[&str],
    deadline: Deadline,
) -> Result<String, ExecError> {
    let output = exec(client, namespace, pod, argv, deadline).await?;
    if output.code == 0 {
        return Ok(output.stdout);
    }
    let why =
        sanitise::line(&secret::hide_shapes(&format!("exit code {}: {}", output.code, output.stderr.trim())));
    Err(ExecError { command: secret::hide_shapes(&argv.join(" ")), pod: pod.into(), why })
}

async fn once(
    client: &Client,
    namespace: &str,
    (pod, container): (&str, Option<&str>),
    argv: &[&str],
) -> Result<Output, NotYet> {
    let pods = Api::<Pod>::namespaced(client.stream.clone(), namespace);
    let params = AttachParams::default().stdin(false).stdout(true).stderr(true);
    let params = match container {
        Some(container) => params.container(container),
        None => params,
    };
    let words: Vec<String> = argv.iter().map(|w| (*w).to_owned()).collect();
    let mut process = pods.exec(pod, words, &params).await.map_err(|e| ApiError::from(e).text)?;
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let (stdout, stderr) = tokio::join!(read(stdout), read(stderr));
    let code = code(&mut process).await?;
    Ok(Output { code, stdout: stdout?, stderr: stderr? })
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> Result<String, NotYet> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(LIMIT).read_to_end(&mut bytes).await.map_err(|e| e.to_string())?;
        // Read the rest, too: a full pipe that nobody reads would block the command.
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map_err(|e| e.to_string())?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads the exit code from the status that closes the stream: success, or a cause `ExitCode` (`NonZeroExitCode` in
/// version 4 of the API server's remote command protocol).
async fn code(process: &mut AttachedProcess) -> Result<i32, NotYet> {
    let status = process.take_status().ok_or("its exit status was already read")?;
    let status = status.await.ok_or("the stream broke before it reported the command's end")?;
    of_status(&status)
}

fn of_status(status: &Status) -> Result<i32, NotYet> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.as_ref().and_then(|d| d.causes.as_deref()).unwrap_or_default();
    let cause = causes.iter().find(|c| c.reason.as_deref() == Some("ExitCode"));
    let code = cause.and_then(|c| c.message.as_deref()?.parse().ok());
    code.ok_or_else(|| status.message.as_deref().unwrap_or("no exit code was reported").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(status: Value) -> Result<i32, NotYet> {
        of_status(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn the_exit_code_is_read_from_the_closing_status() {
        assert_eq!(read(json!({"status": "Success"})), Ok(0));
        let cause = json!({"reason": "ExitCode", "message": "2"});
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "exit code 2",
            "details": {"causes": [cause]}});
        assert_eq!(read(failed), Ok(2));
        let broken = json!({"status": "Failure", "reason": "InternalError", "message": "no such container"});
        assert_eq!(read(broken), Err("no such container".into()));
    }
}

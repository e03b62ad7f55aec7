//! Signals: SIGINT (Ctrl-C), SIGTERM, and SIGHUP (a closed terminal or a dropped connection).

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::Exit;
use crate::exec::Signal as Sent;

/// A listener for the signals. A signal that arrives between two calls of [`Signals::next`] is not lost.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if the parent process made us ignore SIGHUP, as nohup(1) does.
    hangup: Option<Signal>,
}

impl Signals {
    /// Starts to listen for the signals.
    pub fn listen() -> anyhow::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt, terminate, hangup })
    }

    /// Waits for a signal; returns the exit code with which the process then ends.
    pub async fn next(&mut self) -> Exit {
        match self.received().await {
            sent if sent == Sent::INT => Exit::Interrupted,
            _ => Exit::Terminated,
        }
    }

    /// Waits for a signal and returns it.
    pub async fn received(&mut self) -> Sent {
        tokio::select! {
            _ = self.interrupt.recv() => Sent::INT,
            _ = self.terminate.recv() => Sent::TERM,
            true = hung_up(&mut self.hangup) => Sent::HUP,
        }
    }
}

async fn hung_up(hangup: &mut Option<Signal>) -> bool {
    match hangup {
        Some(hangup) => hangup.recv().await.is_some(),
        None => std::future::pending().await,
    }
}

/// Reports whether SIGHUP is ignored, or whether that is unknown: field `SigIgn` of `/proc/self/status`, proc(5).
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 != 0)
}

/// Makes this process independent of its terminal: starts a new session. A process that already leads its own group,
/// such as a job of a shell, stays in its session.
pub fn leave_terminal() {
    let _ = rustix::process::setsid();
}

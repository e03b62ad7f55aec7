//! Ctrl-C, SIGTERM, and SIGHUP: a terminal that is closed, a connection that drops.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::Exit;

/// The signals, from the moment of listening: none gets lost between two waits.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None where whoever started us said that it is to be ignored, as nohup(1) does.
    hangup: Option<Signal>,
}

impl Signals {
    /// Takes over the signals.
    pub fn listen() -> anyhow::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt, terminate, hangup })
    }

    /// Waits for one; gives the code that the process then ends with.
    pub async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            true = hung_up(&mut self.hangup) => Exit::Terminated,
        }
    }
}

async fn hung_up(hangup: &mut Option<Signal>) -> bool {
    match hangup {
        Some(hangup) => hangup.recv().await.is_some(),
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP is ignored, or that cannot be told: field `SigIgn` of `/proc/self/status`, proc(5).
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 != 0)
}

/// Makes this process independent of the terminal that it was started from: a session of its own.
/// One that leads its own group already, as a shell's job does, stays as it is.
pub fn leave_terminal() {
    let _ = rustix::process::setsid();
}

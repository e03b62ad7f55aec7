//! `seatrial fault list` and `seatrial fault inject`.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::cluster::lease::lock::LockFiles;
use crate::cluster::{self, OutageStage};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::fault::{Owner, TargetKind};
use crate::hint::FailureKind;
use anyhow::Context;
use serde_json::{Value, json};

use crate::cli::args::{FaultInjectArgs, FaultListArgs};
use crate::cli::exit::{Exit, Stop};
use crate::cli::fault_hold::{News, Told, chosen};
use crate::cli::signals::Signals;
use crate::cli::up::{PATIENCE, clusters, watch};
use crate::cli::{draw, list, node_name, show};

/// Time between two reads of the healer's log.
const LOOK: Duration = Duration::from_millis(50);

/// Lists all faults of the catalogue, then the open ones. Needs no engine.
pub fn list(settings: &Settings, catalogue: &Catalogue, args: &FaultListArgs) -> anyhow::Result<Exit> {
    let (open, unknown) = cluster::all_open_faults(settings);
    // Show the faults that could be read before the error about the others.
    let ended = unknown.into_iter().next().map_or(Ok(Exit::Passed), |error| Err(error.into()));
    if args.json {
        let all: Vec<Value> = catalogue.faults.iter().map(described).collect();
        let text = serde_json::to_string_pretty(&json!({ "faults": all, "open": open }))?;
        show::json(&format!("{text}\n"))?;
        return ended;
    }
    for fault in catalogue.faults.iter() {
        show::text(&format!("{:<16} {}\n", fault.name(), fault.about()))?;
        for p in fault.parameters() {
            show::text(&format!(
                "{:<16}   --with {}=...  {} [default: {}]\n",
                "", p.name, p.about, p.default
            ))?;
        }
    }
    for fault in &open {
        show::text(&format!("open: {}\n", list::open_fault(&catalogue.faults, fault)))?;
    }
    ended
}

fn described(fault: &dyn crate::fault::Fault) -> Value {
    let parameter =
        |p: &crate::fault::Parameter| json!({ "name": p.name, "about": p.about, "default": p.default });
    json!({
        "name": fault.name(),
        "about": fault.about(),
        "proof": fault.proof(),
        "cleared": fault.cleared(),
        "needs_pod": fault.target_kind() == TargetKind::Pod,
        "parameters": fault.parameters().iter().map(parameter).collect::<Vec<_>>(),
    })
}

/// Starts the process that injects and heals the fault, and waits until the fault is proved.
pub async fn inject(
    settings: &Settings,
    catalogue: &Catalogue,
    args: &FaultInjectArgs,
    mut signals: Signals,
) -> anyhow::Result<Exit> {
    let fault = chosen(catalogue, args)?;
    let (name, node) = node_name::named(&clusters(settings, catalogue, "fault").await?, &args.node).await?;
    let program = std::env::current_exe().context("failed to find the path of this program")?;
    let (healer, log, from) = cluster::start_outage(settings, &program, &name, &words(args, &node))?;
    let mut news = Healer { log: &log, from, healer };
    let reported = tokio::select! {
        reported = news.injected() => reported?,
        exit = signals.next() => {
            end(healer);
            show::error(&format!("interrupted: process {} heals the fault", healer.pid));
            return Ok(exit);
        }
    };
    match reported {
        News::Failed { failed, exit } => {
            failed.iter().for_each(|line| show::error(line));
            Ok(Exit::from_code(exit))
        }
        News::Stage(OutageStage::Injected { proof, until }) => {
            watch(settings, &name, &draw::progress());
            show::text(&format!("{} of {node}: {proof}\n", fault.name()))?;
            if fault.target_kind() == TargetKind::Node {
                let pid = healer.pid;
                show::text(&format!(
                    "process {pid} heals it at {until:.0}; now: seatrial fault clear {node}\n"
                ))?;
            }
            Ok(Exit::Passed)
        }
        other => anyhow::bail!("the process that holds the fault ended early: {other:?}"),
    }
}

/// Returns the arguments for the process that holds the fault: this command's arguments, with the node's full name.
fn words(args: &FaultInjectArgs, node: &str) -> Vec<String> {
    let mut words: Vec<String> = ["fault", "hold", &args.fault, node].map(str::to_owned).into();
    words.push(format!("--for={}ms", args.lasts.as_millis()));
    words.extend(args.with.iter().map(|w| format!("--with={w}")));
    words.extend(args.pod.iter().map(|(namespace, pod)| format!("--pod={namespace}/{pod}")));
    words.extend(args.container.iter().map(|c| format!("--container={c}")));
    words.extend(args.allow_last_control_plane.then(|| "--allow-last-control-plane".to_owned()));
    words
}

/// Reports whether the healer of a fault is alive. If the system does not say when a process started, its pid alone
/// is no proof, because pids are reused: the lock that the healer holds on its cluster is the proof.
pub fn heals(settings: &Settings, cluster: &str, healer: Owner) -> bool {
    let holds = || LockFiles::new(&settings.state, cluster).holders().iter().any(|h| h.pid == healer.pid);
    healer.lives() && (healer.started.is_some() || holds())
}

/// Asks a healer to heal now.
pub fn end(healer: Owner) {
    let pid = rustix::process::Pid::from_raw(healer.pid.cast_signed()).filter(|_| healer.lives());
    if let Some(pid) = pid {
        // A healer that has ended in the meantime has healed.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Reads the messages of a healer from its log.
struct Healer<'a> {
    log: &'a Path,
    from: u64,
    healer: Owner,
}

impl Healer<'_> {
    /// Waits for the proof of the fault, or for the healer's end. Shows all other lines of the log.
    async fn injected(&mut self) -> anyhow::Result<News> {
        let limit = Deadline::after(PATIENCE);
        loop {
            let lives = self.healer.lives();
            for line in self.lines()? {
                match serde_json::from_str::<Told>(&line) {
                    Ok(Told { pid, .. }) if pid != self.healer.pid => {}
                    Ok(Told { news: News::Stage(OutageStage::Injected { proof, until }), .. }) => {
                        return Ok(News::Stage(OutageStage::Injected { proof, until }));
                    }
                    Ok(Told { news: failed @ News::Failed { .. }, .. }) => return Ok(failed),
                    Ok(_) => {}
                    Err(_) => show::error(&line),
                }
            }
            if !lives || limit.is_over() {
                let message =
                    format!("process {} ended, or was not ready in time, without a message", self.healer.pid);
                return Err(
                    Stop::new(FailureKind::Internal, message, format!("see {}", self.log.display())).into()
                );
            }
            limit.pause(LOOK).await;
        }
    }

    /// Returns the complete new lines of the log.
    fn lines(&mut self) -> anyhow::Result<Vec<String>> {
        let failed = || format!("failed to read {}", self.log.display());
        let mut file = std::fs::File::open(self.log).with_context(failed)?;
        file.seek(SeekFrom::Start(self.from)).with_context(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(failed)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.from += whole as u64;
        let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
        Ok(text.lines().map(str::to_owned).collect())
    }
}

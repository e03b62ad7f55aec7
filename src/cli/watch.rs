//! `seatrial watch`: runs a command of somebody else and judges what became of the cluster meanwhile.

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::catalogue::Catalogue;
use crate::client::Named;
use crate::cluster::{Access, Clusters};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::event::EventLog;
use crate::exec::{Signal, Stream};
use crate::report;
use crate::run::new_id;
use crate::watch::{self, Ended, Given, Place, Texts, Watch, WatchError};

use crate::cli::exit::Exit;
use crate::cli::signals::Signals;
use crate::cli::up::holder;
use crate::cli::watch_args::WatchArgs;
use crate::cli::{down, draw, environment, run, show};

/// How long the watch waits for a cluster that others use alone.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Reads what is watched.
fn options(args: &WatchArgs) -> Result<Watch, WatchError> {
    let texts = Texts {
        namespaces: &args.namespaces,
        probes: &args.probe,
        budgets: &args.budget,
        away: &args.nodes_away,
        only: &args.only,
        skip: &args.skip,
        command: &args.command,
    };
    Watch::read(texts, args.after)
}

/// The kubeconfigs in which a context is looked for.
fn kubeconfigs(args: &WatchArgs) -> Vec<PathBuf> {
    if let Some(file) = &args.kubeconfig {
        return vec![file.clone()];
    }
    match environment("KUBECONFIG").filter(|list| !list.is_empty()) {
        Some(list) => list.split(':').filter(|file| !file.is_empty()).map(PathBuf::from).collect(),
        None => {
            let home = environment("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
            home.filter(|file| file.exists()).into_iter().collect()
        }
    }
}

/// Runs the command, judges and reports. Signals reach the command. The exit code is the command's if it failed, else
/// that of a run.
pub async fn watch(
    settings: &Settings,
    catalogue: &Catalogue,
    args: &WatchArgs,
    mut signals: Signals,
) -> anyhow::Result<ExitCode> {
    let watch = options(args)?;
    let (sender, mut receiver) = unbounded_channel();
    let whole = async {
        let place = tokio::select! {
            place = place(settings, catalogue, args) => place?,
            Some(signal) = receiver.recv() => return Err(WatchError::Interrupted { signal }.into()),
        };
        let ended = on(settings, &watch, &place, &mut receiver).await;
        if let Place::Ours(lease) = place
            && let Err(error) = lease.release().await
        {
            // The report and the command's exit code must not be lost.
            show::explain(&error.into());
        }
        ended
    };
    let whole = async {
        match whole.await {
            Ok((id, ended)) => finish(settings, catalogue, args, (&id, ended)),
            Err(error) => match error.downcast_ref::<WatchError>() {
                Some(WatchError::Interrupted { signal }) => {
                    show::explain(&error);
                    Ok(ExitCode::from(128 + u8::try_from(signal.as_raw()).unwrap_or_default()))
                }
                _ => Err(error),
            },
        }
    };
    tokio::select! {
        done = whole => done,
        () = pass_on(&mut signals, &sender) => unreachable!("signals never end"),
    }
}

/// Passes every signal on to the watch, which knows whether the command runs.
async fn pass_on(signals: &mut Signals, to: &UnboundedSender<Signal>) {
    loop {
        let signal = signals.received().await;
        if to.send(signal).is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Finds the cluster that the arguments name.
async fn place(settings: &Settings, catalogue: &Catalogue, args: &WatchArgs) -> anyhow::Result<Place> {
    let Some(name) = &args.cluster else {
        let files = kubeconfigs(args);
        let named = Named::find(&files, args.context.as_deref(), &settings.secrets).await;
        return Ok(Place::Foreign(Box::new(named.map_err(WatchError::from)?)));
    };
    let engine = Engine::connect(&settings.engine).await?;
    let clusters = Clusters::new(settings.clone(), engine, draw::progress(), holder("watch"));
    let clusters = clusters.knowing(&catalogue.faults);
    let name = down::named(&clusters, Some(name)).await?;
    let lease = clusters.existing(&name, Access::Shared, Deadline::after(PATIENCE)).await?;
    Ok(Place::Ours(Box::new(lease)))
}

/// Watches the command on a cluster. Returns the id of the run.
async fn on(
    settings: &Settings,
    watch: &Watch,
    place: &Place,
    signals: &mut watch::Signals,
) -> anyhow::Result<(String, Ended)> {
    let id = new_id(Timestamp::now());
    let log = EventLog::open(&settings.runs_dir().join(&id), &id)?.with_secrets(&settings.secrets);
    let mut environment = Vec::new();
    if let Place::Ours(lease) = place {
        // The tools of the command then reach the watched cluster.
        environment.push(("KUBECONFIG".to_owned(), lease.cluster.kubeconfig.display().to_string()));
    }
    let show = |stream: Stream, line: &str| show::line_of_program(line, stream == Stream::Err);
    let given = Given { show: &show, signals, input: input(), environment };
    let ended = watch.run(place, (settings, &log), given).await?;
    Ok((id, ended))
}

/// Returns our standard input, unless it is a terminal: the command runs in a process group of its own, which may not
/// read from the terminal.
fn input() -> Option<File> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return None;
    }
    input.as_fd().try_clone_to_owned().ok().map(File::from)
}

/// Writes and shows the reports; returns the exit code.
fn finish(
    settings: &Settings,
    catalogue: &Catalogue,
    args: &WatchArgs,
    (id, ended): (&str, Ended),
) -> anyhow::Result<ExitCode> {
    let dir = settings.runs_dir().join(id);
    let report = report::read(&dir.join("events.jsonl"))?;
    let shown = run::shown(&catalogue.formats, &report, &dir)
        .and_then(|()| run::copied(&dir, args.output.as_deref(), &catalogue.formats));
    if ended.status.success() {
        shown?;
        return Ok(Exit::of(&report, None).into());
    }
    // The failure of the command counts for more than that of a report.
    if let Err(error) = shown {
        show::explain(&error);
    }
    let code = watch::code(ended.status);
    show::error(&format!("the command failed, so {code} is the exit code; the claims are {}", ended.verdict));
    Ok(ExitCode::from(code))
}

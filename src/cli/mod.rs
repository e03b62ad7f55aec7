//! The command line of seatrial: reads arguments and the environment, shows what the library reports, and ends with a
//! documented exit code.

mod args;
mod claims;
mod doctor;
mod down;
mod draw;
mod exit;
mod fault;
mod fault_clear;
mod fault_hold;
mod generate;
mod images;
mod interrupted;
mod judge;
mod kubeconfig;
mod list;
mod load;
mod merge;
mod node_name;
mod plan;
mod reap;
mod report;
mod run;
mod runs;
mod schema;
mod show;
mod signals;
mod trial;
mod up;
mod upgrade;
mod watch;
mod watch_args;

use std::process::ExitCode;

use args::{Args, Command, FaultArgs, FaultCommand};
use exit::Exit;
use signals::Signals;

use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::suite::Suite;

/// Runs the command line with these suites and their claims, in addition to the built-in ones. This is the whole
/// `main` of a program with its own suites. For own topologies, faults, collectors and report formats use
/// [`Catalogue::main`].
///
/// ```no_run
/// use seatrial::suite::Suite;
///
/// fn main() -> std::process::ExitCode {
///     // Your own: static ORDERS: Suite = Suite { .. };
///     let own: &[&'static Suite] = &[];
///     seatrial::main(own)
/// }
/// ```
pub fn main(suites: &[&'static Suite]) -> ExitCode {
    Catalogue::built_in().with_suites(suites).main()
}

impl Catalogue {
    /// Runs the command line of this catalogue: reads arguments and the environment, runs the command, and returns
    /// the documented exit code.
    pub fn main(self) -> ExitCode {
        started(&self)
    }
}

fn started(catalogue: &Catalogue) -> ExitCode {
    if let Err(error) = catalogue.check() {
        return show::explain(&error.into()).into();
    }
    let args = Args::read(catalogue);
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(ended(catalogue, args)));
    match done {
        Ok(code) => code,
        Err(error) => show::explain(&error).into(),
    }
}

/// After a signal, `run` and `fault` heal before they end. Every other command is dropped at once, which ends its
/// child processes; then its unfinished work is removed or named.
async fn ended(catalogue: &Catalogue, args: Args) -> anyhow::Result<ExitCode> {
    args.check()?;
    let settings = Settings::resolve(|name| args.flag(name).or_else(|| environment(name)))?;
    show::without(&settings.secrets);
    let mut signals = Signals::listen()?;
    match &args.command {
        Command::Run(args) => {
            return Ok(run::run(&settings, catalogue, &args.into(), signals).await?.into());
        }
        Command::Watch(args) => return watch::watch(&settings, catalogue, args, signals).await,
        Command::Trial(args) => {
            let read = tokio::select! {
                read = trial::read(catalogue, &args.what) => read?,
                exit = signals.next() => return Ok(exit.into()),
            };
            let on = read.on(&args.on);
            read.check_on(catalogue, &on)?;
            let asked = run::Asked {
                stories: run::Stories::Trial(Box::new(read.trial)),
                budget: None,
                keep_on_failure: args.keep_on_failure,
                on: &on,
            };
            return Ok(run::run(&settings, catalogue, &asked, signals).await?.into());
        }
        Command::Fault(FaultArgs { command: FaultCommand::Hold(args) }) => {
            return Ok(fault_hold::hold(&settings, catalogue, args, signals).await?.into());
        }
        Command::Fault(FaultArgs { command: FaultCommand::Inject(args) }) => {
            return Ok(fault::inject(&settings, catalogue, args, signals).await?.into());
        }
        _ => {}
    }
    let ended = tokio::select! {
        done = command(&settings, catalogue, &args.command) => return Ok(done?.into()),
        exit = signals.next() => exit,
    };
    interrupted::clean_up(&settings, catalogue, &args.command, &mut signals).await;
    Ok(ended.into())
}

async fn command(settings: &Settings, catalogue: &Catalogue, command: &Command) -> anyhow::Result<Exit> {
    match command {
        Command::Doctor(args) => doctor::doctor(settings, args).await,
        Command::Plan(args) => plan::plan(settings, catalogue, args).await,
        Command::Up(args) => up::up(settings, catalogue, args).await,
        Command::Down(args) => down::down(settings, catalogue, args).await,
        Command::List(args) => list::list(settings, catalogue, args).await,
        Command::Kubeconfig(args) => kubeconfig::kubeconfig(settings, catalogue, args).await,
        Command::Load(args) => load::load(settings, catalogue, args).await,
        Command::Images(args) => images::images(settings, catalogue, args).await,
        Command::Upgrade(args) => upgrade::upgrade(settings, catalogue, args).await,
        Command::Reap(args) => reap::reap(settings, catalogue, args).await,
        Command::Report(args) => report::report(settings, catalogue, args).await,
        Command::Judge(args) => judge::judge(settings, catalogue, args),
        Command::Merge(args) => merge::merge(settings, catalogue, args),
        Command::Claims(args) => claims::claims(catalogue, args),
        Command::Schema(args) => schema::schema(catalogue, args),
        Command::Generate(args) => generate::generate(catalogue, args),
        Command::Fault(args) => match &args.command {
            FaultCommand::List(args) => fault::list(settings, catalogue, args),
            FaultCommand::Clear(args) => fault_clear::clear(settings, catalogue, args).await,
            FaultCommand::Inject(_) | FaultCommand::Hold(_) => unreachable!("handled before, with signals"),
        },
        Command::Run(_) | Command::Trial(_) | Command::Watch(_) => {
            unreachable!("handled before, with signals")
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

//! What the tests of one invocation share: a run with its folder, and the way an interrupt reaches them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use crate::chain::chain;
use crate::cluster::{self, Clusters};
use crate::config::Settings;
use crate::engine::Engine;
use crate::fault::{Fault, FaultError, Faults};
use crate::judge::Conclusion;
use crate::progress::{Progress, Update};
use crate::report::{self, FORMATS};
use crate::run::{Run, new_id};
use crate::scenario::Failure;
use crate::{event, sanitise, secret};

/// Cancelled by the first signal: it reaches every test of the process, also between two tests.
static INTERRUPT: LazyLock<CancellationToken> = LazyLock::new(listen);
/// The number of tests that run.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// The result of a test. `?` converts every error into it.
pub type Outcome = Result<(), Stopped>;

/// Why a test stopped. Its `Debug` form, which `cargo test` prints, is one line for people.
pub struct Stopped(Failure);

impl<E: Into<Failure>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl std::fmt::Debug for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&chain(&*self.0))
    }
}

/// How a process of tests runs.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The program `seatrial`, which removes idle clusters; by default the one in PATH.
    pub program: Option<PathBuf>,
    /// Faults of the tests' own. A test heals what an earlier one left open, so each test of a binary names all of them.
    pub faults: Vec<&'static dyn Fault>,
}

impl Session {
    /// Joins this invocation's run, does `work`, and writes the reports. `suites` names the scenarios of the work.
    /// Afterwards the run's folder has the reports of all tests so far.
    ///
    /// # Errors
    /// The error of the work, of the engine, of the images, or of a report.
    pub async fn in_run<T>(
        &self,
        suites: &[&str],
        work: impl AsyncFnOnce(&Run) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _running = Running::begin();
        if INTERRUPT.is_cancelled() {
            return Err("interrupted".into());
        }
        let settings = Settings::resolve(variable)?;
        let engine = Engine::connect(&settings.engine).await?;
        let clusters = Clusters::new(settings, engine, shown(), "tests").knowing(&self.known()?);
        let run = Box::pin(Run::begin(clusters, id(), suites, INTERRUPT.child_token())).await?;
        let result = Box::pin(work(&run)).await;
        self.end(&run, suites, result.is_ok())?;
        result
    }

    /// The built-in faults, and those of the tests' own.
    fn known(&self) -> Result<Faults, FaultError> {
        Faults::built_in().and(&self.faults)
    }

    /// Records the end of these scenarios, starts the processes that remove idle clusters, and writes the reports.
    fn end(&self, run: &Run, suites: &[&str], is_ok: bool) -> Result<(), Failure> {
        let file = run.log.dir().join("events.jsonl");
        // Tests share the run and may run at the same time: each ends its own part.
        let floor = if is_ok { Conclusion::Passed } else { Conclusion::Failed };
        let claims = report::read(&file)?.claims;
        // Several tests may have one name: then the report adds a version or a number.
        let is_of = |name: &str, suite: &str| {
            suite.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '(']))
        };
        let own = claims.iter().filter(|claim| suites.iter().any(|name| is_of(name, &claim.suite)));
        for claim in own.clone().filter(|claim| claim.verdict != Conclusion::Passed) {
            run.clusters.progress.say(&format!("{} {}: {}", claim.id, claim.verdict, claim.evidence));
        }
        run.end(own.map(|claim| claim.verdict).fold(floor, Ord::max))?;
        let done = report::RunReport::of(&event::read(&file)?);
        for name in done.clusters.iter().map(|c| &c.name).collect::<BTreeSet<_>>() {
            self.watch(run, name)?;
        }
        report::write(FORMATS, &done, run.log.dir())?;
        Ok(())
    }

    fn watch(&self, run: &Run, name: &str) -> Result<(), Failure> {
        let program = self.program.clone().or_else(|| which::which("seatrial").ok());
        match &program {
            Some(program) => Ok(cluster::start_watcher(&run.clusters.settings, Path::new(program), name)?),
            None => {
                run.clusters.progress.say(&format!(
                    "{name} stays: the program seatrial is not in PATH, and removes it when it is idle"
                ));
                Ok(())
            }
        }
    }
}

/// The id of an invocation: that of nextest, which starts a process for each test, or a new one.
fn id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| match variable("NEXTEST_RUN_ID") {
        Some(id) => format!("nextest-{}", id.split('-').next().unwrap_or_default()),
        None => new_id(jiff::Timestamp::now()),
    })
}

#[expect(clippy::disallowed_methods, reason = "a test has no command line that reads the environment for it")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn shown() -> Progress {
    let say = |text: &str| eprintln!("{}", sanitise::line(&secret::hide_shapes(text)));
    Progress::new(move |update| match update {
        Update::Said(text) => say(text),
        Update::Started { task } => say(&format!("{task} ...")),
        Update::Detail { task, text } => say(&format!("{task}: {text}")),
        Update::Ended { task, took, error } => {
            say(&format!("{task} {} ({:.1} s)", error.unwrap_or("done"), took.as_secs_f64()));
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "no command line is above a test")]
fn end(code: i32) -> ! {
    std::process::exit(code)
}

/// A test that runs.
struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Listens to signals from now on, in a thread of its own: each test has a runtime that ends with it. After a signal the
/// stories heal and end, and later tests fail at once. If none runs, the process ends as it would without a listener.
fn listen() -> CancellationToken {
    let interrupt = CancellationToken::new();
    let told = interrupt.clone();
    let listener = async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        loop {
            let code = tokio::select! {
                _ = int.recv() => 130,
                _ = term.recv() => 143,
            };
            // The second signal leaves what is open to `seatrial reap`.
            if told.is_cancelled() || RUNNING.load(Ordering::SeqCst) == 0 {
                end(code);
            }
            told.cancel();
        }
    };
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() {
        std::thread::spawn(move || runtime.block_on(listener));
    }
    interrupt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{KillNode, StopUnit};

    #[test]
    fn the_faults_of_the_tests_are_known_under_names_of_their_own() {
        assert_eq!(Session::default().known().unwrap().iter().count(), Faults::built_in().iter().count());
        let own = Session { faults: vec![&KillNode, &StopUnit::KUBELET], ..Session::default() };
        assert!(matches!(own.known(), Err(FaultError::NameTaken { name: "kill" })));
    }
}

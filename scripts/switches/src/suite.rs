//! The tests, and the switches that each of them reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Mutant, Programs, Result};

/// Seconds of processor time after which a mutant counts as an endless loop.
const TIMEOUT: u32 = 20;

/// The result of a mutant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Caught,
    Missed,
    Unseen,
    Timeout,
}

const OUTCOMES: [(Outcome, &str); 4] = [
    (Outcome::Caught, "caught"),
    (Outcome::Missed, "missed"),
    (Outcome::Unseen, "unseen"),
    (Outcome::Timeout, "timeout"),
];

/// The tests of a crate, by the switches that they reach.
pub struct Suite<'s> {
    root: &'s Path,
    /// The tests of each switch; tests that reach the fewest switches come first.
    tests: Vec<Vec<(PathBuf, String)>>,
}

impl<'s> Suite<'s> {
    /// Runs each test once, with every switch off.
    pub fn new(root: &'s Path, programs: &Programs, wanted: &[Vec<&str>], switches: usize) -> Result<Self> {
        let mut suite = Self { root, tests: vec![Vec::new(); switches] };
        let mut all: Vec<(PathBuf, String)> = Vec::new();
        for words in wanted {
            let program = &programs[words[0]];
            all.extend(suite.list(program, &words[1..])?.into_iter().map(|test| (program.clone(), test)));
        }
        eprintln!("{} tests", all.len());
        let seen = Mutex::new(Vec::new());
        side_by_side(&all, |(program, test)| {
            let ids = suite.seen(program, test)?;
            seen.lock().expect("no panic").push((ids, (program.clone(), test.clone())));
            Ok(())
        })?;
        let mut seen = seen.into_inner().expect("no panic");
        seen.sort_by_key(|(ids, _)| ids.len());
        for (ids, test) in seen {
            for id in ids.into_iter().filter(|id| *id < switches) {
                suite.tests[id].push(test.clone());
            }
        }
        Ok(suite)
    }

    /// Returns a program's tests whose names have one of the wanted beginnings.
    fn list(&self, program: &Path, words: &[&str]) -> Result<Vec<String>> {
        let out =
            Command::new(program).args(["--list", "--format", "terse"]).current_dir(self.root).output()?;
        let lines = String::from_utf8(out.stdout)?;
        let (not, only): (Vec<&&str>, Vec<&&str>) = words.iter().partition(|w| w.starts_with('-'));
        let is_wanted = |test: &&str| {
            (only.is_empty() || only.iter().any(|w| test.starts_with(**w)))
                && !not.iter().any(|w| test.starts_with(&w[1..]))
        };
        Ok(lines
            .lines()
            .filter_map(|l| l.strip_suffix(": test"))
            .filter(is_wanted)
            .map(String::from)
            .collect())
    }

    /// Returns the switches that a test reaches.
    fn seen(&self, program: &Path, test: &str) -> Result<Vec<usize>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("seen");
        let status = self.command(program, &[test.into()]).env("SWITCHED_SEEN", &file).status()?;
        if !status.success() {
            return Err(format!("the test {test} fails with every switch off").into());
        }
        let seen = fs::read_to_string(&file).unwrap_or_default();
        Ok(seen.lines().filter_map(|id| id.parse().ok()).collect())
    }

    fn command(&self, program: &Path, tests: &[String]) -> Command {
        let mut shell = Command::new("sh");
        let limit = format!("ulimit -t {TIMEOUT}; exec \"$@\"");
        shell.args(["-c", &limit, "sh"]).arg(program).args(["-q", "--test-threads=1", "--exact"]).args(tests);
        shell.current_dir(self.root).stdout(Stdio::null()).stderr(Stdio::null());
        shell
    }

    /// Runs the tests for each switch that has no result yet. The order is pseudo-random and always the same, so the
    /// results of an interrupted run are a sample of all. With `SWITCHES_ONLY=FILE` only the mutants in the file run, one
    /// name per line.
    pub fn run_all(&self, mutants: &[Mutant], left: &BTreeSet<usize>, results: &Path) -> Result<()> {
        let mut done = BTreeSet::new();
        for (_, name) in OUTCOMES {
            let lines = fs::read_to_string(results.join(name)).unwrap_or_default();
            done.extend(lines.lines().map(String::from));
        }
        let only = std::env::var_os("SWITCHES_ONLY").map(fs::read_to_string).transpose()?;
        let only: Option<BTreeSet<&str>> = only.as_deref().map(|names| names.lines().collect());
        let wanted = |name: &str| only.as_ref().is_none_or(|only| only.contains(name));
        let mut todo: Vec<usize> = (0..mutants.len())
            .filter(|id| !left.contains(id) && !done.contains(&mutants[*id].name))
            .filter(|id| wanted(&mutants[*id].name))
            .collect();
        todo.sort_by_cached_key(|id| {
            let mut hasher = DefaultHasher::new();
            mutants[*id].name.hash(&mut hasher);
            hasher.finish()
        });
        let files = Mutex::new(());
        side_by_side(&todo, |id| {
            let (outcome, mutant) = (self.run(*id)?, &mutants[*id]);
            let name = OUTCOMES.iter().find(|n| n.0 == outcome).map(|n| n.1).unwrap_or_default();
            let _one = files.lock().expect("no panic");
            let mut file = fs::OpenOptions::new().create(true).append(true).open(results.join(name))?;
            writeln!(file, "{}", mutant.name)?;
            if outcome != Outcome::Caught {
                println!("{name}: {}", mutant.name);
            }
            Ok(())
        })
    }

    /// Returns the counts of results, from all runs of the list.
    pub fn sum(mutants: &[Mutant], left: usize, results: &Path) -> String {
        let ours: BTreeSet<&str> = mutants.iter().map(|m| m.name.as_str()).collect();
        let count = |name: &str| {
            let lines = fs::read_to_string(results.join(name)).unwrap_or_default();
            lines.lines().filter(|line| ours.contains(line)).collect::<BTreeSet<_>>().len()
        };
        let counts = OUTCOMES.map(|(_, name)| (name, count(name)));
        let run: usize = counts.iter().map(|c| c.1).sum();
        let list: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let caught = 100.0 * counts[0].1 as f64 / run.max(1) as f64;
        let (all, rest) = (mutants.len(), mutants.len() - left - run);
        format!("{all} mutants, {left} without a switch, {rest} not run; {}: {caught:.1} %", list.join(", "))
    }

    /// Runs a few tests at a time, until one fails.
    fn run(&self, id: usize) -> Result<Outcome> {
        let tests = &self.tests[id];
        if tests.is_empty() {
            return Ok(Outcome::Unseen);
        }
        let (few, rest) = tests.split_at(tests.len().min(3));
        let (more, many) = rest.split_at(rest.len().min(12));
        for some in [few, more, many] {
            let mut by_program: BTreeMap<&Path, Vec<String>> = BTreeMap::new();
            for (program, test) in some {
                by_program.entry(program).or_default().push(test.clone());
            }
            for (program, tests) in by_program {
                let status = self.command(program, &tests).env("SWITCHED_ON", id.to_string()).status()?;
                match status.code() {
                    Some(0) => {}
                    Some(_) => return Ok(Outcome::Caught),
                    // A signal ended the test: no processor time was left, or the stack or heap grew without end.
                    None => return Ok(Outcome::Timeout),
                }
            }
        }
        Ok(Outcome::Missed)
    }
}

/// Handles all items with `SWITCHES_JOBS` threads, or as many as there are processors.
fn side_by_side<T: Sync>(todo: &[T], each: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let jobs = std::env::var("SWITCHES_JOBS").ok().and_then(|jobs| jobs.parse().ok());
    let jobs = jobs.unwrap_or(std::thread::available_parallelism()?.get());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(one) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = each(one) {
                        *failed.lock().expect("no panic") = Some(error.to_string());
                        next.store(todo.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    failed.into_inner().expect("no panic").map_or(Ok(()), |error| Err(error.into()))
}

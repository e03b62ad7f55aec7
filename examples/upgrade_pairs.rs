//! Upgrades a cluster from each served version to the next minor one, with the suite `upgrade`, and writes
//! the table docs/upgrade-pairs.md. A pair that has passed there is not run again.
//!
//! `make upgrade-pairs`, or `cargo run --example upgrade_pairs [VERSION...]` for the pairs that begin at
//! these versions. `--run FOLDER...` takes the rows from existing runs, such as nightly ones. `SEATRIAL_PROFILE` names
//! a profile other than `offline`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::event::{self, Event};
use seatrial::exec::{Exec, ExecError};
use seatrial::image::Profile;
use seatrial::kubernetes::version::Version;
use seatrial::report::pairs::{Pair, finished, pairs, row, with_row};

/// Timeout of one command, long enough for a first build of a release on a small machine.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/upgrade-pairs.md");

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "the edge resolves the settings")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("--run", folders)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return folders.iter().try_for_each(|folder| write(&told(Path::new(folder))?.1));
    }
    let from: Vec<Version> = words.iter().map(|a| a.parse()).collect::<Result<_, _>>()?;
    let settings = Settings::resolve(|name| std::env::var(name).ok())?;
    let profile = match settings.profile.as_str() {
        "auto" => "offline",
        named => named,
    };
    let served = Profile::named(profile)?;
    let releases: Vec<Version> = served.versions().iter().map(|v| v.parse()).collect::<Result<_, _>>()?;
    let program = program()?;
    let mut wrong = Vec::new();
    for pair in pairs(&releases) {
        let table = std::fs::read_to_string(TABLE).with_context(|| format!("failed to read {TABLE}"))?;
        if !from.is_empty() && !from.contains(&pair.from) {
            continue;
        }
        if finished(&table, pair) {
            eprintln!("{pair}: passed already, see {TABLE}");
            continue;
        }
        let seatrial = Seatrial { program: &program, settings: &settings, profile };
        let proved = seatrial.prove(pair).await.with_context(|| format!("{pair} was not run to its end"));
        match proved {
            Ok((verdict, row)) => {
                write(&row)?;
                if verdict != "passed" {
                    wrong.push(format!("{pair}: {verdict}"));
                }
            }
            Err(error) => {
                eprintln!("{error:#}");
                wrong.push(format!("{error:#}"));
            }
        }
    }
    anyhow::ensure!(wrong.is_empty(), "not proved: {}", wrong.join("; "));
    Ok(())
}

/// Puts a row into the table. The table is read again, because another process may have written a pair meanwhile.
fn write(row: &str) -> anyhow::Result<()> {
    let table = std::fs::read_to_string(TABLE).with_context(|| format!("failed to read {TABLE}"))?;
    std::fs::write(TABLE, with_row(&table, row)).with_context(|| format!("failed to write {TABLE}"))?;
    eprintln!("{row}");
    Ok(())
}

/// Returns the verdict and the row of a run's folder.
fn told(folder: &Path) -> anyhow::Result<(String, String)> {
    let name = folder.display();
    let report = std::fs::read_to_string(folder.join("report.json"));
    let report = report.with_context(|| format!("no report in {name}"))?;
    let report: serde_json::Value = serde_json::from_str(&report)?;
    let verdict = report["verdict"].as_str().context("the report has no verdict")?.to_owned();
    let records = event::read(&folder.join("events.jsonl"))?;
    let planned = records.iter().find_map(|r| match &r.event {
        Event::UpgradePlanned(plan) => Some(Pair { from: plan.from, to: plan.to }),
        _ => None,
    });
    let pair = planned.with_context(|| format!("{name} upgraded nothing"))?;
    let day = records.first().map(|r| r.at.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    Ok((verdict.clone(), row(pair, &verdict, &day, &records)))
}

/// Returns the path of the program `seatrial`, in the parent of this program's folder.
fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let program = own.parent().and_then(Path::parent).context("no folder")?.join("seatrial");
    anyhow::ensure!(program.is_file(), "there is no {}: cargo build", program.display());
    Ok(program)
}

struct Seatrial<'a> {
    program: &'a Path,
    settings: &'a Settings,
    profile: &'a str,
}

impl Seatrial<'_> {
    /// Creates a cluster, upgrades it and removes it. Returns the verdict and the row.
    async fn prove(&self, pair: Pair) -> anyhow::Result<(String, String)> {
        let from = pair.from.to_string();
        let up = self.run(&["up", "--cluster-suffix", "pair", "--k8s", &from]).await?;
        let cluster = up.lines().next().context("no cluster is named")?.to_owned();
        let before = self.runs();
        // A failed claim is no error of this program: the report has the verdict.
        let ran = self.run(&["run", "--cluster", &cluster, "--suite", "upgrade"]).await;
        let down = self.run(&["down", &cluster]).await;
        let new: Vec<PathBuf> = self.runs().into_iter().filter(|run| !before.contains(run)).collect();
        let [folder] = &new[..] else {
            ran?;
            anyhow::bail!("{} runs began meanwhile, not one", new.len());
        };
        let told = told(folder)?;
        down?;
        Ok(told)
    }

    /// Returns the folders of all runs.
    fn runs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.settings.runs_dir()).into_iter().flatten().flatten();
        entries.map(|e| e.path()).filter(|p| p.is_dir()).collect()
    }

    async fn run(&self, words: &[&str]) -> Result<String, ExecError> {
        eprintln!("== seatrial {}", words.join(" "));
        let command = Exec::new(self.program)
            .args(words.iter().copied())
            .env("SEATRIAL_PROFILE", self.profile)
            .env("SEATRIAL_STATE", &self.settings.state)
            .env("SEATRIAL_CACHE", &self.settings.cache);
        let ended = command.run_with(Deadline::after(PATIENCE), |line| eprintln!("{line}")).await?;
        Ok(ended.stdout)
    }
}

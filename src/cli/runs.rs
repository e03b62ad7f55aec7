//! Finds a run by `last`, its id, a prefix of its id, or its folder.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::event::{self, Record};
use crate::hint::FailureKind;
use jiff::Timestamp;

use crate::cli::exit::Stop;

/// A run's folder and its records.
#[derive(Debug)]
pub struct Found {
    /// The folder.
    pub dir: PathBuf,
    /// The records in `events.jsonl`.
    pub records: Vec<Record>,
}

/// Finds the run that `name` means.
pub fn find(settings: &Settings, name: &str) -> anyhow::Result<Found> {
    let dir = folder(settings, name)?;
    let records = event::read(&dir.join("events.jsonl"))?;
    if records.is_empty() {
        let message = format!("{} has no complete record", dir.join("events.jsonl").display());
        return Err(Stop { failure: FailureKind::Input, message, hint: None }.into());
    }
    Ok(Found { dir, records })
}

fn folder(settings: &Settings, name: &str) -> Result<PathBuf, Stop> {
    let ids = ids(&settings.runs_dir());
    let path = Path::new(name);
    if name == "last" {
        return match ids.last() {
            Some(id) => Ok(settings.runs_dir().join(id)),
            None => Err(Stop::new(
                FailureKind::Input,
                format!("there is no run in {}", settings.runs_dir().display()),
                "seatrial run",
            )),
        };
    }
    if path.join("events.jsonl").is_file() {
        return Ok(path.into());
    }
    if path.file_name().is_some_and(|f| f == "events.jsonl") && path.is_file() {
        return Ok(path.parent().unwrap_or(Path::new(".")).into());
    }
    if path.is_dir() {
        let message = format!("{} is not the folder of a run: it has no events.jsonl", path.display());
        return Err(Stop { failure: FailureKind::Input, message, hint: None });
    }
    let fits: Vec<&String> = ids.iter().filter(|id| id.starts_with(name)).collect();
    match fits.as_slice() {
        [id] => Ok(settings.runs_dir().join(id)),
        [] => Err(Stop::new(FailureKind::Input, format!("no run is called {name}"), known(&ids))),
        several => {
            let several: Vec<&str> = several.iter().map(|id| id.as_str()).collect();
            let message = format!("{name} matches several runs: {}", several.join(", "));
            Err(Stop::new(FailureKind::Input, message, "give more characters of the id"))
        }
    }
}

/// Returns the ids of all runs that have records, oldest first. The time comes from the first record: ids of test
/// runners contain no time, and a copied folder has new file times.
fn ids(runs: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let runs = entries.filter(|e| e.path().join("events.jsonl").is_file());
    let timed = runs.filter_map(|e| Some((began(&e.path()), e.file_name().into_string().ok()?)));
    let mut ids: Vec<(Option<Timestamp>, String)> = timed.collect();
    ids.sort();
    ids.into_iter().map(|id| id.1).collect()
}

/// Returns the time of the first record, or the file's last change if the record cannot be read.
fn began(dir: &Path) -> Option<Timestamp> {
    let file = File::open(dir.join("events.jsonl")).ok()?;
    let written = file.metadata().ok()?.modified().ok()?;
    let mut line = String::new();
    let first = BufReader::new(file).read_line(&mut line).ok().and_then(|_| {
        let line = line.trim_start_matches('\u{feff}');
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        record["at"].as_str()?.parse().ok()
    });
    first.or_else(|| written.try_into().ok())
}

fn known(ids: &[String]) -> String {
    let newest: Vec<&str> = ids.iter().rev().take(5).map(String::as_str).collect();
    match newest.len() {
        0 => "seatrial run".into(),
        _ => format!("the newest runs are {}", newest.join(", ")),
    }
}

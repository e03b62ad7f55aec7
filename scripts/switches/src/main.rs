//! Runs every mutant of a crate with one build. cargo-mutants lists the mutants
//! (`cargo mutants --list --json`). This program writes each one into the source as a switch that is off, builds the
//! crate once, and runs for each switch the tests that reach it (docs/adr/0023).
//!
//! `switches CRATE LIST RESULTS TESTS..`
//!
//! - CRATE: a copy of the crate, whose files are overwritten.
//! - LIST: the list of cargo-mutants.
//! - RESULTS: the folder for the files `caught`, `missed`, `unseen` (missed: no test reaches the mutant), `timeout`
//!   and `left` (no switch is possible: for cargo-mutants itself).
//! - TESTS: a target and beginnings of test names, such as `lib judge::` or `hermetic rules::`. A beginning after `-`
//!   excludes tests.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

mod places;
mod source;
mod suite;

use source::Source;
use suite::Suite;

/// A position in a file: line and column, both counted from 1, as in cargo-mutants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
pub struct Position {
    line: usize,
    column: usize,
}

/// Where a mutant begins.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct Span {
    start: Position,
}

/// One mutant of the list of cargo-mutants.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Mutant {
    file: String,
    genre: String,
    name: String,
    replacement: String,
    span: Span,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, list, results, tests @ ..] = &arguments[..] else {
        return Err("usage: switches CRATE LIST RESULTS TESTS..".into());
    };
    let wanted: Vec<Vec<&str>> = tests.iter().map(|tests| tests.split(' ').collect()).collect();
    let targets: BTreeSet<&str> = wanted.iter().map(|words| words[0]).collect();
    let (root, results) = (Path::new(root), Path::new(results));
    let mutants: Vec<Mutant> = serde_json::from_str(&fs::read_to_string(list)?)?;
    fs::create_dir_all(results)?;
    // The mutants that an earlier run of the same list could not switch.
    let known = fs::read_to_string(results.join("left")).unwrap_or_default();
    let known: BTreeSet<&str> = known.lines().collect();
    let known = mutants.iter().enumerate().filter(|(_, m)| known.contains(m.name.as_str())).map(|(id, _)| id);
    let (left, programs) = switch_all(root, &mutants, &targets, known.collect())?;
    fs::write(
        results.join("left"),
        left.iter().map(|id| mutants[*id].name.clone() + "\n").collect::<String>(),
    )?;
    eprintln!("{} mutants, {} of them for cargo-mutants", mutants.len(), left.len());
    Suite::new(root, &programs, &wanted, mutants.len())?.run_all(&mutants, &left, results)?;
    eprintln!("{}", Suite::sum(&mutants, left.len(), results));
    Ok(())
}

/// The test programs, by target name.
type Programs = BTreeMap<String, PathBuf>;

/// Writes a switch for each mutant into the files, and removes those that the compiler rejects. Returns the mutants
/// without a switch, and the test programs.
fn switch_all(
    root: &Path,
    mutants: &[Mutant],
    targets: &BTreeSet<&str>,
    mut left: BTreeSet<usize>,
) -> Result<(BTreeSet<usize>, Programs)> {
    let mut files: BTreeMap<&str, Source> = BTreeMap::new();
    for file in mutants.iter().map(|m| m.file.as_str()).collect::<BTreeSet<_>>() {
        let kept = root.join(file).with_extension("rs.unswitched");
        if !kept.exists() {
            fs::copy(root.join(file), &kept)?;
        }
        files.insert(file, Source::new(fs::read_to_string(kept)?)?);
    }
    add_switch(root)?;
    loop {
        let mut places = BTreeMap::new();
        for (file, source) in &files {
            let own: Vec<(usize, &Mutant)> =
                mutants.iter().enumerate().filter(|(id, m)| m.file == *file && !left.contains(id)).collect();
            let (text, switched) = places::switch(source, &own);
            if fs::read_to_string(root.join(file))? != text {
                fs::write(root.join(file), &text)?;
            }
            let found: BTreeSet<usize> = switched.iter().map(|p| p.mutant).collect();
            left.extend(own.iter().map(|(id, _)| *id).filter(|id| !found.contains(id)));
            places.insert(file.to_string(), (Source::lines_only(text), switched));
        }
        let errors = match build(root, targets)? {
            Ok(programs) => return Ok((left, programs)),
            Err(errors) => errors,
        };
        let before = left.len();
        for (file, at) in &errors {
            let Some((text, switched)) = places.get(file) else { continue };
            let at = text.offset(*at);
            // Removes all switches at the smallest place around the error.
            let around = switched.iter().filter(|p| p.range.contains(&at));
            let Some(smallest) = around.map(|p| p.range.clone()).min_by_key(|r| r.len()) else { continue };
            left.extend(switched.iter().filter(|p| p.range == smallest).map(|p| p.mutant));
        }
        eprintln!("{} errors of the compiler, {} mutants left out", errors.len(), left.len());
        if left.len() == before {
            return Err(format!("no switch explains the errors, the first at {:?}", errors[0]).into());
        }
    }
}

/// Adds the function `mutant` to the crate. Each switch calls it to ask whether it is on. With `SWITCHED_SEEN=FILE` the
/// function also writes the number of each switch that asks into the file, once. With `SWITCHED_FAST` the first panic
/// ends the program; this fits only if nothing panics except a failing test.
fn add_switch(root: &Path) -> Result<()> {
    const SWITCH: &str = r#"
#[allow(missing_docs)]
#[doc(hidden)]
pub fn mutant(id: usize) -> bool {
    use std::sync::{LazyLock, Mutex};
    static SEEN: LazyLock<Option<(std::ffi::OsString, Mutex<std::collections::HashSet<usize>>)>> =
        LazyLock::new(|| Some((std::env::var_os("SWITCHED_SEEN")?, Mutex::default())));
    static ON: LazyLock<usize> = LazyLock::new(|| {
        if std::env::var_os("SWITCHED_FAST").is_some() {
            std::panic::set_hook(Box::new(|_| std::process::exit(101)));
        }
        std::env::var("SWITCHED_ON").ok().and_then(|on| on.parse().ok()).unwrap_or(usize::MAX)
    });
    if let Some((file, seen)) = &*SEEN
        && seen.lock().unwrap().insert(id)
    {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "{id}").unwrap();
    }
    *ON == id
}
"#;
    let lib = root.join("src/lib.rs");
    let text = fs::read_to_string(&lib)?;
    if !text.contains(SWITCH) {
        fs::write(lib, text + SWITCH)?;
    }
    Ok(())
}

/// Builds the tests. Returns their programs, or the primary position of each compiler error.
fn build(
    root: &Path,
    targets: &BTreeSet<&str>,
) -> Result<std::result::Result<Programs, Vec<(String, Position)>>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--no-run", "--message-format=json"]).current_dir(root).stderr(Stdio::null());
    for target in targets {
        match *target {
            "lib" => cargo.arg("--lib"),
            test => cargo.args(["--test", test]),
        };
    }
    let out = cargo.output()?;
    let (mut errors, mut programs) = (Vec::new(), Programs::new());
    for line in String::from_utf8(out.stdout)?.lines().filter(|l| l.starts_with('{')) {
        let line: serde_json::Value = serde_json::from_str(line)?;
        if let (Some(program), true) = (line["executable"].as_str(), line["profile"]["test"] == true) {
            let lib = line["target"]["kind"][0] == "lib";
            let name = if lib { "lib" } else { line["target"]["name"].as_str().unwrap_or_default() };
            programs.insert(name.into(), program.into());
        }
        let message = &line["message"];
        let spans = message["spans"].as_array().into_iter().flatten().filter(|s| s["is_primary"] == true);
        for mut span in spans.filter(|_| message["level"] == "error") {
            while span["expansion"].is_object() {
                span = &span["expansion"]["span"];
            }
            let number = |key: &str| span[key].as_u64().unwrap_or_default() as usize;
            let file = span["file_name"].as_str().unwrap_or_default().to_string();
            errors.push((file, Position { line: number("line_start"), column: number("column_start") }));
        }
    }
    match errors.is_empty() {
        false => Ok(Err(errors)),
        true if targets.iter().all(|t| programs.contains_key(*t)) => Ok(Ok(programs)),
        true => Err("cargo built no tests and names no error in them".into()),
    }
}

//! Checks of the shape of the tree: layers, file lengths, listed suites, and a map that matches the tree.

#![cfg(feature = "cli")]

mod circles;
mod declared;
mod facts;
mod lengths;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom up: a module may import from its own layer and from lower ones. Tests within a file may look up.
const LAYERS: &[&[&str]] = &[
    &["sanitise", "secret"],
    &["artefact", "chain", "deadline", "duration", "exec", "file", "hint", "progress", "retry", "stack"],
    &["config"],
    &["kubernetes"],
    &["event"],
    &["judge"],
    &["engine", "client"],
    &["node"],
    &["image"],
    &["fault"],
    &["manifest", "wait"],
    &["cluster"],
    &["upgrade"],
    &["workload"],
    &["probe", "diagnostics"],
    &["report"],
    &["run"],
    &["scenario"],
    &["suite", "trial", "watch"],
    &["catalogue"],
    &["testing"],
    &["prelude"],
    &["cli"],
];

/// Pairs that must never import each other, whatever their layer.
const APART: &[(&str, &[&str])] = &[
    ("fault", &["probe"]),
    ("probe", &["fault"]),
    ("judge", &["engine", "client", "cluster", "node", "image", "probe", "wait", "manifest", "fault"]),
    ("report", &["engine", "client", "cluster", "node", "image", "probe", "wait", "manifest", "fault"]),
];

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let Some(module) = module_of(&file) else { continue };
        let own = layer(&module);
        for (number, line) in numbered(&file).into_iter().take_while(|(_, line)| line != "#[cfg(test)]") {
            for import in imports(&line) {
                let apart = APART.iter().any(|(m, not)| *m == module && not.contains(&import.as_str()));
                if import != module && (apart || layer(&import) > own) {
                    wrong.push(format!("{}:{number}: {module} imports {import}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the layers:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_layer_table() {
    let listed: BTreeSet<&str> = LAYERS.iter().flat_map(|l| l.iter().copied()).collect();
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mods =
        lib.lines().filter_map(|l| l.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    let found: BTreeSet<&str> = mods.collect();
    assert_eq!(found, listed);
}

#[test]
fn only_one_file_writes_to_terminals_and_what_it_writes_is_sanitised() {
    let ways =
        ["println!", "print!(", "eprint", "stdout().lock", "stderr().lock", "io::stdout()", "io::stderr()"];
    // These only examine a stream.
    let asks = |line: &str| line.contains("is_terminal") || line.contains("tcgetwinsize");
    let mut found = BTreeSet::new();
    for file in files("src", "rs") {
        let writes = |(_, line): &(usize, String)| {
            !line.trim_start().starts_with("//") && ways.iter().any(|way| line.contains(way)) && !asks(line)
        };
        if numbered(&file).iter().any(writes) {
            found.insert(file.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
        }
    }
    let expected: BTreeSet<String> = ["src/cli/show.rs", "src/testing/session.rs"].map(str::to_owned).into();
    assert_eq!(found, expected);
}

#[test]
fn nothing_is_named_for_being_useful() {
    let vague = ["util", "utils", "common", "helper", "helpers", "manager", "handler"];
    let bad = |f: &PathBuf| f.file_stem().is_some_and(|s| vague.contains(&s.to_string_lossy().as_ref()));
    let found: Vec<PathBuf> = files("src", "rs").into_iter().filter(bad).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_suite_file_is_listed_and_every_claim_has_a_judge() {
    use seatrial::suite::SUITES;
    let list = fs::read_to_string(root().join("src/suite/mod.rs")).unwrap();
    let stems: Vec<String> = fs::read_dir(root().join("src/suite"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "rs") && !p.ends_with("mod.rs"))
        .map(|p| p.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    for stem in &stems {
        assert!(list.contains(&format!("&{stem}::SUITE")), "src/suite/{stem}.rs is not in SUITES");
    }
    // The second suite of a part is in that part's folder.
    let below = |line: &&str| line.trim_end().ends_with("::SUITE,") && line.matches("::").count() > 1;
    let second = list.lines().filter(below).count();
    assert_eq!(stems.len() + second, SUITES.len(), "files of src/suite and the list SUITES");
    for suite in SUITES {
        for claim in suite.needs.claims {
            let known = seatrial::judge::claim(claim.id);
            assert!(known.is_some(), "{} of {} is in no part", claim.id, suite.needs.name);
        }
    }
}

#[test]
fn every_kind_configuration_is_a_topology_and_parses() {
    use seatrial::cluster::TOPOLOGIES;
    let names: BTreeSet<String> = TOPOLOGIES.iter().map(|t| t.name.to_owned()).collect();
    let found: BTreeSet<String> = files("kind-config", "yaml")
        .iter()
        .map(|f| f.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, names, "files of kind-config and the list TOPOLOGIES");
}

#[test]
fn the_map_in_architecture_equals_the_tree() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mapped: BTreeSet<String> = text
        .lines()
        .filter_map(|l| l.strip_prefix("| `")?.split_once('`'))
        .map(|(path, _)| path.trim_end_matches('/').to_owned())
        .collect();
    let missing: Vec<&String> = mapped.iter().filter(|p| !root().join(p).exists()).collect();
    assert!(missing.is_empty(), "on the map, not in the tree: {missing:?}");
    let mut unmapped = Vec::new();
    for dir in ["src", "tests", "."] {
        for entry in fs::read_dir(root().join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let shown =
                path.strip_prefix(root()).unwrap().to_string_lossy().trim_start_matches("./").to_owned();
            let hidden = shown.starts_with('.') || shown == "target" || path.is_file() && dir == ".";
            let below = mapped.iter().any(|m| m.starts_with(&format!("{shown}/")));
            if !hidden && !mapped.contains(&shown) && !below {
                unmapped.push(shown);
            }
        }
    }
    assert!(unmapped.is_empty(), "in the tree, not on the map: {unmapped:?}");
}

#[test]
fn no_test_is_left_out_and_no_lint_silenced_without_a_reason() {
    let mut wrong = Vec::new();
    for file in files("src", "rs").into_iter().chain(files("tests", "rs")) {
        if file.ends_with("tidy.rs") {
            continue;
        }
        for (number, line) in numbered(&file) {
            let silenced =
                line.contains("allow(") && line.trim_start().starts_with("#") && !line.contains("reason");
            let child = "#[ignore = \"a child process of the tests in this file\"]";
            let ignored = line.trim_start().starts_with("#[ignore") && line.trim() != child;
            if ignored || silenced {
                wrong.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the files below a folder of the tree that have this extension; any file if it is empty.
fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if extension.is_empty() || path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn numbered(file: &Path) -> Vec<(usize, String)> {
    let bytes = fs::read(file).unwrap();
    String::from_utf8_lossy(&bytes).lines().enumerate().map(|(n, l)| (n + 1, l.to_owned())).collect()
}

/// The top-level module that a library file belongs to.
fn module_of(file: &Path) -> Option<String> {
    let below = file.strip_prefix(root().join("src")).ok()?;
    let first = below.components().next()?.as_os_str().to_string_lossy().into_owned();
    let name = first.trim_end_matches(".rs").to_owned();
    (name != "bin" && name != "lib").then_some(name)
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|l| l.contains(&module));
    found.unwrap_or_else(|| panic!("{module} is in no layer: add it to LAYERS"))
}

/// Modules named after `crate::` in a line of code.
fn imports(line: &str) -> Vec<String> {
    if line.trim_start().starts_with("//") {
        return Vec::new();
    }
    let after = line.split("crate::").skip(1);
    let names = after.map(|r| r.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>());
    names.filter(|n| !n.is_empty() && n.chars().next().is_some_and(char::is_lowercase)).collect()
}

/// A text does not say what kind of error it is, so errors are types.
#[test]
fn no_error_is_a_string() {
    let mut found = Vec::new();
    for file in files("src", "rs") {
        for (number, line) in numbered(&file).into_iter().take_while(|(_, line)| line != "#[cfg(test)]") {
            let is_error = line.split("Result<").skip(1).any(|rest| rest.contains(", String>"));
            let is_map = line.contains("BTreeMap<String, String>");
            if is_error && !is_map {
                found.push(format!("{}:{number}", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "errors that are strings:\n{}", found.join("\n"));
}

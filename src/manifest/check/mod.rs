//! What keeps an object from being applied, found by its schema before it is sent.

use super::Place;
use super::faults::Faults;
use super::kinds::is_own;
use super::yaml::{Data, Entry, Node};

mod paths;
mod sizes;
mod texts;

/// What an object says it is: in a typed list, the list says it.
pub(super) struct Types<'n> {
    pub(super) api_version: &'n str,
    pub(super) kind: &'n str,
}

/// All faults of an object.
pub(super) fn check(node: &Node, types: &Types<'_>, place: &Place, faults: &mut Faults) {
    header(node, types, place, faults);
    let metadata = node.entry("metadata");
    let line = metadata.map_or(node.line, |entry| entry.line);
    match metadata.map(|entry| &entry.value) {
        None => faults.wrong(place, line, "`metadata` is missing"),
        Some(value) => match &value.data {
            Data::Map(_) => names(value, line, place, faults),
            Data::Null => faults.wrong(place, line, "`metadata` is missing"),
            _ => faults.wrong(place, line, format!("`metadata` is {}, not an object", value.kind())),
        },
    }
    if is_own(types.api_version)
        && let Some(spec) = node.entry("spec")
        && !matches!(spec.value.data, Data::Null | Data::Map(_))
    {
        faults.wrong(place, spec.line, format!("`spec` is {}, not an object", spec.value.kind()));
    }
    texts::check(node, types, place, faults);
    sizes::check(node, types, place, faults);
}

fn header(node: &Node, types: &Types<'_>, place: &Place, faults: &mut Faults) {
    for (field, given) in [("apiVersion", types.api_version), ("kind", types.kind)] {
        match node.entry(field) {
            _ if !given.is_empty() => {}
            None => faults.wrong(place, node.line, format!("`{field}` is missing")),
            Some(Entry { line, value, .. }) => faults.wrong(place, *line, unnamed(field, value)),
        }
    }
    if types.api_version.split('/').count() > 2 {
        let line = node.entry("apiVersion").map_or(node.line, |entry| entry.line);
        let why = format!("`apiVersion` {} is not `version` or `group/version`", types.api_version);
        faults.wrong(place, line, why);
    }
}

fn names(metadata: &Node, line: u64, place: &Place, faults: &mut Faults) {
    let of = |field: &str| metadata.entry(field).filter(|e| !matches!(e.value.data, Data::Null));
    let name = of("name").or_else(|| of("generateName"));
    if name.is_none() {
        let line = metadata.entry("name").map_or(line, |entry| entry.line);
        faults.wrong(place, line, "`metadata.name` is missing");
    }
    for (entry, is_name) in [(name, true), (of("namespace"), false)] {
        let Some(entry) = entry else { continue };
        let field = format!("metadata.{}", entry.key);
        match entry.value.text() {
            // No name of Kubernetes' is so, and a request could not be made of it.
            Some(text) if text.chars().any(|c| !c.is_ascii_graphic() || "/%?#".contains(c)) => {
                faults.wrong(place, entry.line, format!("`{field}` {text:?} is no name"));
            }
            Some(text) if is_name && text.is_empty() => {
                faults.wrong(place, entry.line, unnamed(&field, &entry.value));
            }
            Some(_) => {}
            None => faults.wrong(place, entry.line, unnamed(&field, &entry.value)),
        }
    }
}

/// Why a value is no name.
fn unnamed(field: &str, value: &Node) -> String {
    match &value.data {
        Data::Null => format!("`{field}` is missing"),
        Data::Bool(_, source) | Data::Number(_, source) => {
            format!("`{field}` is {}, not a name: put {source} in quotes, \"{source}\"", value.kind())
        }
        _ => format!("`{field}` is {}, not a name", value.kind()),
    }
}

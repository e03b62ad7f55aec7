//! Checks an object by its schema before it is sent: finds what the API would refuse.

use super::Place;
use super::faults::Faults;
use super::kinds::{group, is_own};
use super::yaml::{Data, Entry, Node};

mod paths;
mod sizes;
mod texts;

/// The `apiVersion` and kind of an object; in a typed list, those of the list's items.
pub(super) struct Types<'n> {
    pub(super) api_version: &'n str,
    pub(super) kind: &'n str,
}

/// Finds all faults of an object.
pub(super) fn check(node: &Node, types: &Types<'_>, place: &Place, faults: &mut Faults) {
    header(node, types, place, faults);
    let metadata = node.entry("metadata");
    let line = metadata.map_or(node.line, |entry| entry.line);
    match metadata.map(|entry| &entry.value) {
        None => faults.wrong(place, line, "`metadata` is missing"),
        Some(value) => match &value.data {
            Data::Map(_) => names(value, types, line, place, faults),
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

fn names(metadata: &Node, types: &Types<'_>, line: u64, place: &Place, faults: &mut Faults) {
    let of = |field: &str| metadata.entry(field).filter(|e| !matches!(e.value.data, Data::Null));
    // An empty name counts as missing (`omitempty`).
    let prefix = of("generateName").filter(|entry| entry.value.text() != Some(""));
    let name = of("name").filter(|e| prefix.is_none() || e.value.text() != Some("")).or(prefix);
    if name.is_none() {
        let line = metadata.entry("name").map_or(line, |entry| entry.line);
        faults.wrong(place, line, "`metadata.name` is missing");
    }
    for (entry, is_name) in [(name, true), (of("namespace"), false)] {
        let Some(entry) = entry else { continue };
        let field = format!("metadata.{}", entry.key);
        match entry.value.text() {
            Some(text) if !is_segment(text, types, &entry.key) => {
                faults.wrong(place, entry.line, format!("`{field}` {text:?} is not a valid name"));
            }
            Some(text) if is_name && text.is_empty() => {
                faults.wrong(place, entry.line, unnamed(&field, &entry.value));
            }
            Some(_) => {}
            None => faults.wrong(place, entry.line, unnamed(&field, &entry.value)),
        }
    }
}

/// Whether a name can be a segment of a request's path. For RBAC names the API takes any path segment
/// (`ValidateRBACName`), with blanks, too; all other names consist of letters, digits and a few characters. The
/// segments `.` and `..` would lead to another resource (apimachinery: `IsValidPathSegmentName`), except as a prefix,
/// which gets letters appended.
fn is_segment(text: &str, types: &Types<'_>, field: &str) -> bool {
    let is_any = group(types.api_version) == "rbac.authorization.k8s.io" && field != "namespace";
    let is_step = [".", ".."].contains(&text) && field != "generateName";
    let fits = |c: char| if is_any { !"/%".contains(c) } else { c.is_ascii_graphic() && !"/%?#".contains(c) };
    !is_step && text.chars().all(fits)
}

/// Why a value is not a name.
fn unnamed(field: &str, value: &Node) -> String {
    match &value.data {
        Data::Null => format!("`{field}` is missing"),
        Data::Bool(_, source) | Data::Number(_, source) => {
            format!("`{field}` is {}, not a name: put {source} in quotes, \"{source}\"", value.kind())
        }
        _ => format!("`{field}` is {}, not a name", value.kind()),
    }
}

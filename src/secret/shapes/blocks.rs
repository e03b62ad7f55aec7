//! Blocks of YAML: a name, and indented lines below it that are its value.

use std::sync::LazyLock;

use regex::Regex;

use super::table::BEFORE;
use crate::secret::Found;
use crate::secret::names::is_secret;

/// The first line of a block, without what a log writes before it.
static BEGINS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(?P<i>[ \t-]*)["']?(?P<k>[\w.-]+)["']? *: +[|>][+-]?\d?[+-]?\s*$"#).expect("it is a regex")
});

static TIME: LazyLock<Regex> = LazyLock::new(|| Regex::new(&format!("^{BEFORE}")).expect("it is a regex"));

fn split(line: &str) -> (&str, &str) {
    line.split_at(TIME.find(line).map_or(0, |time| time.end()))
}

/// Removes the blocks that have a secret name.
pub(super) fn hide(text: &str, found: &mut Found<'_>) -> String {
    if ![": |", ": >"].iter().any(|need| text.contains(need)) {
        return text.to_owned();
    }
    let mut hidden = String::with_capacity(text.len());
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        hidden.push_str(line);
        let Some(begins) = BEGINS.captures(split(line).1).filter(|begins| is_secret(&begins["k"])) else {
            continue;
        };
        let (indent, mut body, mut first) = (begins["i"].len(), String::new(), None);
        while let Some(line) = lines.next_if(|line| belongs(split(line).1, indent)) {
            body.push_str(split(line).1.trim_start());
            first.get_or_insert(line);
        }
        let Some(first) = first else { continue };
        let (time, rest) = split(first);
        let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        hidden.push_str(time);
        hidden.push_str(&rest[..blank]);
        // A block that was left out before keeps its number.
        if body.trim().starts_with("(left out") && body.trim().ends_with(')') {
            hidden.push_str(&rest[blank..]);
            continue;
        }
        hidden.push_str(&found.stand_in(&body));
        if body.ends_with('\n') {
            hidden.push('\n');
        }
        found.values.insert(body);
    }
    hidden
}

/// Whether a line belongs to a block whose name has this indent.
fn belongs(line: &str, indent: usize) -> bool {
    let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
    blank > indent || line.trim().is_empty()
}

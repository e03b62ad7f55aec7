//! docs/sensitivity.md, generated from the results.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::{Unread, found, read_by_others, reasons};

fn page() -> String {
    let mut text = String::from(
        "# What no verdict depends on\n\nMade by `cargo test --test hermetic sensitivity`; not to be edited.\n\n\
         For each claim, a history that passes it is bent: every value gets other values of its type, one by one and \
         together with all values at the same place; every record is dropped. The claim is judged again. Where the \
         verdict stays `passed` whatever the value is, no verdict depends on it, and the reason is given here. The \
         reasons are rules in `tests/hermetic/sensitivity/table.rs`; a value without a reason fails the test.\n\n\
         `[]` is any entry of a list. `*` is all that such records hold, and whether they are there. `(one)` is any \
         single record, where all of them together are needed; `(absent)` is that there may be no such record, \
         while a bent one turns the verdict. D5 is missing: it reads the judgements of other claims.\n\n\
         ## Reasons that hold for every claim\n\nIn the lists of the claims these are only counted. Their values \
         are bent all at once, not one by one.\n\n\
         | | what | why no verdict depends on it |\n|---|---|---|\n",
    );
    for (number, reason) in reasons::COMMON.iter().enumerate() {
        let what: Vec<String> = reason.what.iter().map(|what| format!("`{what}`")).collect();
        let _ = writeln!(text, "| {} | {} | {} |", number + 1, what.join(", "), reason.why);
    }
    for unread in found() {
        claim(&mut text, unread);
    }
    text
}

fn claim(text: &mut String, unread: &Unread) {
    let (claim, read) = (unread.claim, unread.turned);
    let _ = writeln!(
        text,
        "\n## {}: {}\n\n{} groups of values and kinds of records were bent; the verdict depends on \
         {read} of them.\n",
        claim.id, claim.title, unread.tried
    );
    let mut common: BTreeMap<usize, usize> = BTreeMap::new();
    let mut own: Vec<(&str, BTreeMap<&str, Vec<&str>>)> = Vec::new();
    let mut elsewhere = Vec::new();
    for (kind, what) in &unread.entries {
        let others = read_by_others(unread, kind, what);
        if !others.is_empty() {
            elsewhere.push(format!("{kind} ({})", others.join(", ")));
            continue;
        }
        let Some(reason) = reasons::of(claim, kind, what) else { continue };
        if let Some(number) = reasons::COMMON.iter().position(|common| std::ptr::eq(common, reason)) {
            *common.entry(number + 1).or_default() += 1;
            continue;
        }
        let at = own.iter().position(|(why, _)| *why == reason.why).unwrap_or_else(|| {
            own.push((reason.why, BTreeMap::new()));
            own.len() - 1
        });
        let short = what.strip_prefix("/value").or_else(|| what.strip_prefix("/object")).unwrap_or(what);
        own[at].1.entry(kind).or_default().push(if short.is_empty() { "/" } else { short });
    }
    text.push_str("| what | why no verdict depends on it |\n|---|---|\n");
    for (why, kinds) in own {
        let part = |(kind, paths): (&&str, &Vec<&str>)| match paths[..] {
            ["*"] => (*kind).to_owned(),
            _ => format!("{kind} `{}`", paths.join("` `")),
        };
        let what: Vec<String> = kinds.iter().map(part).collect();
        let _ = writeln!(text, "| {} | {why} |", what.join("; "));
    }
    if !elsewhere.is_empty() {
        let _ = writeln!(
            text,
            "| {} | all of it is for the claims in brackets, of the same story |",
            elsewhere.join("; ")
        );
    }
    let counts: Vec<String> =
        common.iter().map(|(number, count)| format!("{count} by reason {number}")).collect();
    let _ = writeln!(text, "| {} | see above |", counts.join(", "));
}

#[test]
fn the_page_of_insensitive_values_matches_the_judges() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sensitivity.md");
    let (stands, made) = (std::fs::read_to_string(&file).unwrap_or_default(), page());
    if stands != made {
        std::fs::write(&file, made).expect("docs/sensitivity.md can be written");
        panic!("docs/sensitivity.md was stale: it is written again, look at it and commit it");
    }
}

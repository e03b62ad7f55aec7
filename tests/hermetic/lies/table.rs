//! docs/lies.md, generated from the list.

use std::fmt::Write as _;
use std::path::Path;

use self::server_lies::{ALTERS, DOUBLES, FORGETS, KEEPS_REFUSED, RENAMED, RENUMBERS};
use super::{LIES, Lie, PASSED, Told, about, lies};

#[path = "../../engine/ledger_lies/list.rs"]
mod server_lies;

/// Longest text in a cell, in characters.
const CELL: usize = 160;

/// The part of the evidence that revealed a lie: the text that names the changed thing.
fn betrayal(lie: &Lie, evidence: &str) -> String {
    // Texts from servers differ from run to run.
    if matches!(lie.told, Told::Server(_)) {
        return lie.betrayed_by.into();
    }
    let at = evidence.find(lie.betrayed_by).unwrap_or_default();
    let from = evidence[..at].rfind("; ").map_or(0, |semicolon| semicolon + 2);
    let to = evidence[at + lie.betrayed_by.len()..].find("; ").map(|end| at + lie.betrayed_by.len() + end);
    let part = &evidence[from..to.unwrap_or(evidence.len())];
    let short: String = part.chars().take(CELL).collect();
    if short == part { short } else { format!("{short}…") }
}

async fn table() -> String {
    let mut text = String::from(
        "# Seeded lies\n\n`cargo test --test hermetic lies` generates this page from the list in `tests/hermetic/lies/`; \
         do not edit it.\n\nEvery row is a deliberate falsehood: a recorded history \
         that was altered, a file of a run that was edited, or a server that lies to the real clients while they record. \
         The falsified claim must get the verdict of the row, and its evidence must contain the text in the last column. In \
         the true history the same claim passes. `inconclusive` counts as not proven: the evidence is insufficient. \
         `refused` is an error before anything is judged.\n",
    );
    let _ = writeln!(text, "\n{} lies.", lies().count());
    for (heading, lies) in LIES {
        let head = "| lie | claim | verdict | revealed by |\n|---|---|---|---|";
        let _ = write!(text, "\n## {heading}\n\n{head}\n");
        for lie in *lies {
            let mut told = about(lie.claim).await.iter();
            let (_, (verdict, evidence)) =
                told.find(|(one, _)| std::ptr::eq(*one, lie)).expect("every lie is told");
            assert_eq!(*verdict, lie.comes_out, "{} ({})", lie.name, lie.claim);
            let by = betrayal(lie, evidence).replace('|', "\\|").replace('\n', " ");
            let _ = writeln!(text, "| {} | {} | {} | {by} |", lie.name, lie.claim, lie.comes_out);
        }
    }
    text.push_str(
        "\n## Real servers that lie\n\nA real MySQL that SQL statements falsify while the ledger writes and reads. The tests \
         are in `tests/engine/ledger_lies.rs`, and need a container engine. These lies are not counted above.\n\n\
         | lie | done by | the rows' verdict | revealed by |\n|---|---|---|---|\n",
    );
    for lie in [&FORGETS, &KEEPS_REFUSED, &ALTERS, &RENUMBERS, &DOUBLES, &RENAMED] {
        let _ = writeln!(text, "| {} | `{}` | failed | {} |", lie.name, lie.told, lie.betrayed_by.join("; "));
    }
    text
}

#[tokio::test]
async fn the_table_of_lies_in_docs_is_that_of_the_list() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lies.md");
    let (stands, made) = (std::fs::read_to_string(&file).unwrap_or_default(), table().await);
    if stands != made {
        std::fs::write(&file, made).expect("docs/lies.md can be written");
        panic!("docs/lies.md was outdated and is now regenerated: review and commit it");
    }
}

#[test]
fn every_lie_has_a_name_of_its_own_and_names_a_claim() {
    let mut names: Vec<(&str, &str)> = lies().map(|l| (l.claim, l.name)).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(lies().all(|l| l.comes_out != PASSED && !l.betrayed_by.is_empty()));
    // The lies about the claims of trials and watches are in those folders.
    use seatrial::judge::{trial, watch};
    let is_told = |id: &str| trial::CLAIMS.iter().chain(&watch::CLAIMS).any(|claim| claim.id == id);
    let claims = seatrial::judge::CLAIMS.iter().flat_map(|part| part.iter());
    for claim in claims.filter(|claim| !is_told(claim.id)) {
        assert!(lies().any(|l| l.claim == claim.id), "nobody lies about {}", claim.id);
    }
}

//! docs/lies.md, made from the list.

use std::fmt::Write as _;
use std::path::Path;

use self::server_lies::{ALTERS, DOUBLES, FORGETS, KEEPS_REFUSED, RENAMED, RENUMBERS};
use super::{LIES, Lie, PASSED, Told, about, lies};

#[path = "../../engine/ledger_lies/list.rs"]
mod server_lies;

/// Longest text in a cell, in characters.
const CELL: usize = 160;

/// What gave a lie away, as the evidence says it: the part that names the thing.
fn betrayal(lie: &Lie, evidence: &str) -> String {
    // What servers give differs from run to run.
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
        "# Seeded lies\n\nMade by `cargo test --test hermetic lies` from the list in `tests/hermetic/lies/`; \
         not to be edited.\n\nEvery row is a deliberate falsehood: a recorded history that was altered, a file \
         of a run that was edited, a server that lies to the real clients while they record. The claim must \
         come out as the row says, by a line that names the thing; with the truth in its place the same claim \
         passes. `inconclusive` is no pass: the evidence does not decide. `refused` is an error before \
         anything is judged.\n",
    );
    let _ = writeln!(text, "\n{} lies.", lies().count());
    for (heading, lies) in LIES {
        let head = "| lie | claim | comes out | given away by |\n|---|---|---|---|";
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
        "\n## Real servers that lie\n\nMySQL, told so in its own words while the ledger writes and reads: \
         `tests/engine/ledger_lies.rs`, which takes a container engine. They are not counted above.\n\n\
         | lie | done by | the rows' verdict | given away by |\n|---|---|---|---|\n",
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
        panic!("docs/lies.md was stale: it is written anew, look at it and commit it");
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
    // The falsehoods about the claims of a trial and of a watch are those of their folders.
    use seatrial::judge::{trial, watch};
    let is_told = |id: &str| trial::CLAIMS.iter().chain(&watch::CLAIMS).any(|claim| claim.id == id);
    let claims = seatrial::judge::CLAIMS.iter().flat_map(|part| part.iter());
    for claim in claims.filter(|claim| !is_told(claim.id)) {
        assert!(lies().any(|l| l.claim == claim.id), "nobody lies about {}", claim.id);
    }
}

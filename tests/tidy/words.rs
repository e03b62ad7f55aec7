//! Checks that comments and pages avoid words that a reader has to decode.

use super::{files, numbered, root};

/// Archaic words, and words that hide who does what.
const BANNED: [&str; 8] =
    ["anew", "whoever", "so that", "there is none", "come by", "for sure", "beside", "whosever"];

/// Pages that tests write from records and code.
const GENERATED: [&str; 2] = ["lies.md", "sensitivity.md"];

#[test]
fn comments_and_pages_are_in_plain_english() {
    let comment = |line: &str| line.find("//").map(|at| line[at..].to_owned());
    let mut found = Vec::new();
    for file in files("src", "rs").into_iter().chain(files("docs", "md")).chain(pages()) {
        if file.file_name().is_some_and(|name| GENERATED.iter().any(|g| name == *g)) {
            continue;
        }
        let is_code = file.extension().is_some_and(|e| e == "rs");
        for (number, line) in numbered(&file) {
            let Some(text) = (if is_code { comment(&line) } else { Some(line) }) else { continue };
            for word in BANNED.iter().filter(|word| has(&text.to_lowercase(), word)) {
                found.push(format!("{}:{number}: {word}", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "{} banned words:\n{}", found.len(), found.join("\n"));
}

fn pages() -> impl Iterator<Item = std::path::PathBuf> {
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .into_iter()
        .map(|name| root().join(name))
}

/// Whether a text contains a word, but not as part of a name such as `ANEW` or `api-anew`.
fn has(text: &str, word: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || "_-`[]".contains(c);
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(of_name);
        let after = text[at + word.len()..].chars().next().is_some_and(of_name);
        !before && !after
    })
}

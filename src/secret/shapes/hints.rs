//! Words that hint at a secret. A text without any of them holds none: a quick test that rules out most log lines.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::Regex;

use super::table;
use crate::secret::{command, names};

/// Words, in addition to its kind, that mark an object as a Secret, and JSON escapes that may hide a part of a word.
const OTHERS: &[&str] =
    &["stringData", "Opaque", "\"kubernetes.io", "\"bootstrap.kubernetes.io", "\"helm.sh", r"\u", r"\/"];

static HINTS: LazyLock<Regex> = LazyLock::new(|| {
    // A shape with a name needs a secret name, which `names::part` matches.
    let nameless =
        table::SHAPES.iter().filter(|shape| shape.regex.capture_names().flatten().all(|n| n != "k"));
    let words = nameless.flat_map(|shape| shape.needs).chain(OTHERS).copied().chain(command::programs());
    let words: Vec<String> = words.map(regex::escape).collect();
    Regex::new(&format!("(?i){}|{}", words.join("|"), names::part())).expect("it is a regex")
});

/// The words that the shapes need, and which shape each belongs to.
static NEEDS: LazyLock<(AhoCorasick, Vec<usize>)> = LazyLock::new(|| {
    let each = table::SHAPES.iter().enumerate();
    let (of, needs): (Vec<usize>, Vec<&str>) =
        each.flat_map(|(n, shape)| shape.needs.iter().map(move |need| (n, *need))).unzip();
    (AhoCorasick::new(needs).expect("they are few"), of)
});

/// Which shapes may be in a text, in the order of their table.
pub(super) fn shapes(text: &str) -> Vec<bool> {
    let (finder, of) = &*NEEDS;
    let mut may = vec![false; table::SHAPES.len()];
    for found in finder.find_overlapping_iter(text) {
        may[of[found.pattern().as_usize()]] = true;
    }
    may
}

/// Whether a text may hold a secret. The text may be JSON, or a string of JSON with its escapes resolved.
pub(in crate::secret) fn any(text: &str) -> bool {
    HINTS.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::any;

    #[test]
    fn a_text_without_a_hint_holds_no_secret_and_one_with_any_may() {
        for none in [
            "I1130 10:00:00.000000 1 main.go:12] \"Started\" worker=3 pod=\"default/web-0\"",
            r#"{"topologyKey": "a", "key": "b", "monkey": 1}"#,
            r#"{"level":"info","msg":"got {\"a\":[1]}\n","labels":{"app":"web"},"args":["--a=b"]}"#,
        ] {
            assert!(!any(none), "{none}");
        }
        for may in [
            r#"{"DbPwd": 1}"#,
            "api2-key: x",
            "clientKey",
            "STRIPE_KEY=x",
            "MYSIGNINGKEYS",
            r#"{"type": "kubernetes.io/tls", "data": {}}"#,
            r#"{"type": "helm.sh/release.v1"}"#,
            r#"{"type":"opaque"}"#,
            "{\"stringData\":",
            "-usr \"mysql\", percona",
            "etcdctl",
            r"\u0070ass",
            r"https:\/\/a:b@c",
            "a://b:c@d",
            "BEARER x",
            "?sig=x",
        ] {
            assert!(any(may), "{may}");
        }
    }
}

//! D2 and D3: who was to ask and to be drained, and who did.

use seatrial::judge::Conclusion;
use seatrial::judge::upgrade::facts;
use serde_json::json;

use super::{began, comes_out, refused_at, told};
use crate::story::Story;

fn story() -> Story {
    Story { records: told(), seconds: 0.0 }
}

/// Without a single probe there is nothing that D2 could show.
#[test]
fn nobody_who_asked_is_no_pass_of_d2() {
    let mut story = story();
    *story.fact(&facts::PROBES) = json!([]);
    comes_out(&story.records, "D2", Conclusion::Inconclusive);
}

/// The same for D3 and its workers.
#[test]
fn nobody_who_was_drained_is_no_pass_of_d3() {
    let mut story = story();
    *story.fact(&facts::WORKERS) = json!([]);
    comes_out(&story.records, "D3", Conclusion::Inconclusive);
}

/// D2 reads who asked, not only the names that the story observed.
#[test]
fn a_probe_that_asked_counts_for_d2_though_it_is_not_listed() {
    let mut story = story();
    let from = began(&story.records, "settle");
    for n in 1..=100 {
        refused_at(&mut story.records, from + 0.05 * f64::from(n), "http");
    }
    comes_out(&story.records, "D2", Conclusion::Failed);
    *story.fact(&facts::PROBES) = json!(["ledger"]);
    comes_out(&story.records, "D2", Conclusion::Failed);
}

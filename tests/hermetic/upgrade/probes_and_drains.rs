//! D2 and D3: probes and workers of which no probe asked and no drain is recorded.

use seatrial::judge::Conclusion;
use seatrial::judge::upgrade::facts;
use serde_json::json;

use super::{began, comes_out, refused_at, told};
use crate::story::Story;

fn story() -> Story {
    Story { records: told(), seconds: 0.0 }
}

/// Without any probe D2 has no evidence.
#[test]
fn d2_does_not_pass_without_probes() {
    let mut story = story();
    *story.fact(&facts::PROBES) = json!([]);
    comes_out(&story.records, "D2", Conclusion::Inconclusive);
}

/// Without any worker D3 has no evidence.
#[test]
fn d3_does_not_pass_without_drains() {
    let mut story = story();
    *story.fact(&facts::WORKERS) = json!([]);
    comes_out(&story.records, "D3", Conclusion::Inconclusive);
}

/// D2 reads the probes that asked, not only the names that the story observed.
#[test]
fn a_probe_that_asked_counts_for_d2_even_if_it_is_not_listed() {
    let mut story = story();
    let from = began(&story.records, "settle");
    for n in 1..=100 {
        refused_at(&mut story.records, from + 0.05 * f64::from(n), "http");
    }
    comes_out(&story.records, "D2", Conclusion::Failed);
    *story.fact(&facts::PROBES) = json!(["ledger"]);
    comes_out(&story.records, "D2", Conclusion::Failed);
}

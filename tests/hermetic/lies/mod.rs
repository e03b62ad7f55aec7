//! Seeded lies: every deliberate falsehood in one list. Each bends one thing, and its claim must not
//! pass, with a line that names the thing; left untouched, the claim passes, so that it is the lie that
//! turned it.

use seatrial::judge::Conclusion;

use crate::story::Story;

mod bad_image;
pub mod change;
mod deletion;
mod mysql;
mod stateless;

/// Every lie, by what it lies about.
static LIES: &[(&str, &[Lie])] = &[
    ("States of a Deployment", stateless::LIES),
    ("A change of image under load", change::LIES),
    ("A bad image", bad_image::LIES),
    ("A deletion", deletion::LIES),
    ("A single MySQL on a hostPath volume", mysql::LIES),
];

/// One deliberate falsehood.
struct Lie {
    /// What is pretended, in a few words.
    name: &'static str,
    /// The claim that it is about.
    claim: &'static str,
    /// The truth.
    truth: fn() -> Story,
    /// Bends it.
    bend: fn(&mut Story),
    /// What the claim must come out as.
    verdict: Conclusion,
    /// What the evidence must say.
    betrayed_by: &'static str,
}

const fn lie(
    name: &'static str,
    claim: &'static str,
    truth: fn() -> Story,
    bend: fn(&mut Story),
    verdict: Conclusion,
    betrayed_by: &'static str,
) -> Lie {
    Lie { name, claim, truth, bend, verdict, betrayed_by }
}

/// What a claim came out as, and the line that says why.
type Found = (Conclusion, String);

impl Lie {
    fn judge(&self, lying: bool) -> Found {
        let mut story = (self.truth)();
        if lying {
            (self.bend)(&mut story);
        }
        let finding = story.judge(self.claim);
        (finding.conclusion(), finding.evidence())
    }
}

#[test]
fn every_lie_is_found_and_the_truth_passes() {
    let mut wrong = Vec::new();
    for (_, lies) in LIES {
        for lie in *lies {
            let told = format!("{} ({})", lie.name, lie.claim);
            let (verdict, evidence) = lie.judge(false);
            if verdict != Conclusion::Passed {
                wrong.push(format!("{told}: the truth {verdict}: {evidence}"));
            }
            let (verdict, evidence) = lie.judge(true);
            if verdict != lie.verdict || !evidence.contains(lie.betrayed_by) {
                wrong.push(format!(
                    "{told}: {verdict}, not {} by `{}`: {evidence}",
                    lie.verdict, lie.betrayed_by
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

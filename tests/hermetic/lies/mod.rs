//! Seeded lies: every deliberate falsehood in one list. Each changes one thing in a true history. Its claim must then
//! not pass, with a line that names the changed thing. In the true history the claim passes, which proves that the
//! lie turned the verdict. docs/lies.md is the table of all lies.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use futures::future::BoxFuture;
use rstest::rstest;
use seatrial::judge::{Conclusion, Finding};
use tokio::sync::OnceCell;

use crate::ha;
use crate::stateful_set;
use crate::story::Story;
use crate::upgrade;

mod bad_image;
pub mod change;
mod deletion;
mod ledger;
mod machine;
mod mysql;
mod node;
mod records;
mod servers;
mod stateless;
mod table;

/// Every lie, by topic.
static LIES: &[(&str, &[Lie])] = &[
    ("States of a Deployment", stateless::LIES),
    ("A change of image under load", change::LIES),
    ("A bad image", bad_image::LIES),
    ("A deletion", deletion::LIES),
    ("A single MySQL on a hostPath volume", mysql::LIES),
    ("Rows", ledger::LIES),
    ("A node that goes down and comes back", node::LIES),
    ("Order in a StatefulSet", stateful_set::order::LIES),
    ("Names, addresses and claims of a StatefulSet", stateful_set::claims::LIES),
    ("A StatefulSet's node that is lost", stateful_set::lost_node::LIES),
    ("An upgrade", upgrade::judge::LIES),
    ("What an upgrade leaves behind", upgrade::trap::LIES),
    ("The other claims on an upgraded cluster", upgrade::upgraded::LIES),
    ("A control plane of several that goes down", ha::LIES),
    ("A machine that starves", machine::LIES),
    ("The records themselves", records::LIES),
    ("Servers that lie while they are recorded", servers::LIES),
];

/// One deliberate falsehood.
pub struct Lie {
    /// The falsehood, in a few words.
    name: &'static str,
    /// The claim that the lie is about.
    claim: &'static str,
    /// The history that holds the lie.
    told: Told,
    /// The verdict that the claim must get.
    comes_out: Verdict,
    /// Text that the evidence must contain.
    betrayed_by: &'static str,
}

/// Where a lie is inserted.
#[derive(Clone, Copy)]
pub enum Told {
    /// In a history: the true history, and the function that falsifies it.
    History(fn() -> Story, fn(&mut Story)),
    /// In a recorded history of a StatefulSet.
    Set(fn(&mut stateful_set::Story)),
    /// In a made-up story with or without the falsehood.
    Played(fn(lies: bool) -> Found),
    /// In the file of a run, line by line; the run is then judged again.
    File(fn(&mut Vec<String>)),
    /// By a server, to the real clients while they record: the place at which it lies.
    Server(fn(lies: bool) -> BoxFuture<'static, Found>),
}

/// The verdict of a claim, and the line that says why.
pub type Found = (Verdict, String);

/// The possible results of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Judged(Conclusion),
    /// No verdict: the file is refused.
    Refused,
}

const PASSED: Verdict = Verdict::Judged(Conclusion::Passed);
pub const FAILED: Verdict = Verdict::Judged(Conclusion::Failed);
pub const OPEN: Verdict = Verdict::Judged(Conclusion::Inconclusive);

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Judged(conclusion) => conclusion.fmt(f),
            Self::Refused => f.pad("refused"),
        }
    }
}

/// A lie in a history.
pub const fn lie(
    name: &'static str,
    claim: &'static str,
    truth: fn() -> Story,
    bend: fn(&mut Story),
    comes_out: Verdict,
    betrayed_by: &'static str,
) -> Lie {
    Lie { name, claim, told: Told::History(truth, bend), comes_out, betrayed_by }
}

/// A lie in a recorded history of a StatefulSet.
pub const fn of_set(
    name: &'static str,
    claim: &'static str,
    bend: fn(&mut stateful_set::Story),
    comes_out: Verdict,
    betrayed_by: &'static str,
) -> Lie {
    Lie { name, claim, told: Told::Set(bend), comes_out, betrayed_by }
}

/// A lie in a made-up story with or without the falsehood.
pub const fn played(
    name: &'static str,
    claim: &'static str,
    play: fn(lies: bool) -> Found,
    comes_out: Verdict,
    betrayed_by: &'static str,
) -> Lie {
    Lie { name, claim, told: Told::Played(play), comes_out, betrayed_by }
}

impl Lie {
    /// The verdict of its claim in the true history.
    async fn truth(&self) -> Found {
        match self.told {
            Told::History(truth, _) => judged(&truth(), self.claim),
            Told::Set(_) => weighed(&stateful_set::Story::recorded(self.claim).judge(self.claim)),
            Told::Played(play) => play(false),
            Told::File(_) => records::judged_again(&records::lines(), self.claim),
            Told::Server(play) => play(false).await,
        }
    }

    /// The verdict of its claim.
    async fn found(&self) -> Found {
        match self.told {
            Told::History(truth, bend) => {
                let mut story = truth();
                bend(&mut story);
                judged(&story, self.claim)
            }
            Told::Set(bend) => {
                let mut story = stateful_set::Story::recorded(self.claim);
                bend(&mut story);
                weighed(&story.judge(self.claim))
            }
            Told::Played(play) => play(true),
            Told::File(bend) => {
                let mut lines = records::lines();
                bend(&mut lines);
                records::judged_again(&lines, self.claim)
            }
            Told::Server(play) => play(true).await,
        }
    }

    /// Lies with the same number falsify the same true history.
    fn source(&self) -> (usize, usize) {
        match self.told {
            Told::History(truth, _) => (1, truth as usize),
            Told::File(_) => (2, 0),
            Told::Server(play) => (3, play as usize),
            Told::Set(_) => (4, 0),
            Told::Played(_) => (5, 0),
        }
    }
}

fn judged(story: &Story, claim: &str) -> Found {
    weighed(&story.judge(claim))
}

fn weighed(finding: &Finding) -> Found {
    (Verdict::Judged(finding.conclusion()), finding.evidence())
}

fn lies() -> impl Iterator<Item = &'static Lie> {
    LIES.iter().flat_map(|(_, lies)| lies.iter())
}

type Results = Vec<(&'static Lie, Found)>;

/// The results of all lies about a claim, in the order of the list. Computed once for all tests.
async fn about(claim: &'static str) -> &'static [(&'static Lie, Found)] {
    static ALL: Mutex<BTreeMap<&str, &'static OnceCell<Results>>> = Mutex::new(BTreeMap::new());
    let cell = *ALL.lock().unwrap().entry(claim).or_insert_with(|| Box::leak(Box::default()));
    let tell = async || {
        let mut results = Vec::new();
        for lie in lies().filter(|lie| lie.claim == claim) {
            results.push((lie, lie.found().await));
        }
        results
    };
    cell.get_or_init(tell).await
}

#[rstest]
#[tokio::test]
async fn every_lie_is_found(
    #[values(
        "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "B1", "B2", "B3", "B4", "B5",
        "B6", "B7", "B8", "B9", "B10", "B11", "B12", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9",
        "C10", "D1", "D2", "D3", "D4", "D5", "E1", "E2", "E3", "E4"
    )]
    claim: &'static str,
) {
    let mut wrong = Vec::new();
    for (lie, (verdict, evidence)) in about(claim).await {
        if *verdict != lie.comes_out || !evidence.contains(lie.betrayed_by) {
            let not = format!("not {} by `{}`", lie.comes_out, lie.betrayed_by);
            wrong.push(format!("{} ({claim}): {verdict}, {not}: {evidence}", lie.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_truth_that_a_lie_bends_passes() {
    // Many lies falsify one true history: it is judged once.
    let mut told = Vec::new();
    for lie in lies() {
        if !told.contains(&(lie.source(), lie.claim)) {
            told.push((lie.source(), lie.claim));
            let (verdict, evidence) = lie.truth().await;
            assert_eq!(verdict, PASSED, "the truth of {} ({}): {evidence}", lie.name, lie.claim);
        }
    }
}

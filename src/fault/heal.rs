//! Undoing what was left open, by whoever comes next.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::intent::Scanned;
use super::{FaultError, Faults, Intent, IntentLog, Owner, Reach};
use crate::deadline::{Deadline, age};
use crate::engine::Engine;
use crate::event::Event;
use crate::node::{Node, Power};

/// What became of one intent.
#[derive(Clone, Debug, PartialEq)]
pub struct Healed {
    /// The intent's id: its file's name without `.json`.
    pub id: String,
    /// The intent; none when its file holds none.
    pub intent: Option<Intent>,
    /// How it ended.
    pub outcome: HealOutcome,
}

/// How an intent ended. Its file is removed in each case.
#[derive(Clone, Debug, PartialEq)]
pub enum HealOutcome {
    /// The fault is gone and its node runs, with the proof.
    Restored(Value),
    /// The node is gone, or another container has its name: there is nothing to undo.
    Gone(Value),
    /// The file was no intent: a writer was cut off, before it did anything to a node.
    Broken(String),
}

impl Healed {
    /// What became of it, for the log.
    pub fn event(&self) -> Event {
        match (&self.intent, &self.outcome) {
            (Some(intent), HealOutcome::Restored(proof) | HealOutcome::Gone(proof)) => Event::FaultHealed {
                id: intent.id.clone(),
                fault: intent.fault.clone(),
                node: intent.node.clone(),
                proof: intent.recorded(proof.clone()),
            },
            (_, outcome) => Event::Noted { text: format!("intent {}: {outcome:?}", self.id) },
        }
    }
}

/// Clears every open fault of a cluster. The caller must have the cluster to itself: an intent is
/// healed whether or not its owner still lives. [`heal_abandoned`] is for callers that share it.
///
/// # Errors
/// All intents are tried; then [`FaultError::Open`] with the first that failed. A folder that
/// cannot be read is [`FaultError::File`].
///
/// # Cancellation
/// What is not proved to be healed stays open.
pub async fn heal_all(
    engine: &Engine,
    intents: &IntentLog,
    deadline: Deadline,
) -> Result<Vec<Healed>, FaultError> {
    healed(engine, intents, deadline, |_| true).await
}

/// Clears the open faults that were written by way of the same lease, and those whose process is gone. Those of
/// somebody who lives stay, also of another lease of this process: they are in the middle of a claim.
///
/// # Errors
/// As [`heal_all`].
///
/// # Cancellation
/// As [`heal_all`].
pub async fn heal_abandoned(
    engine: &Engine,
    intents: &IntentLog,
    deadline: Deadline,
) -> Result<Vec<Healed>, FaultError> {
    healed(engine, intents, deadline, |intent| intents.may_heal(intent)).await
}

async fn healed(
    engine: &Engine,
    intents: &IntentLog,
    deadline: Deadline,
    is_meant: impl Fn(&Intent) -> bool,
) -> Result<Vec<Healed>, FaultError> {
    let began = Timestamp::now();
    intents.sweep();
    let mut healed = Vec::new();
    let mut open = Vec::new();
    let mut strange = None;
    let mut left = in_order(intents.scan()?, intents.faults());
    left.retain(|(_, found)| found.as_ref().map_or(true, &is_meant));
    // What one of them needs may be what another one broke: a control plane, say.
    for last in [false, true] {
        open.clear();
        for (path, found) in std::mem::take(&mut left) {
            let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match found {
                // Files get their names whole: this one says something that another version understands.
                Err(why) if is_object(&path) => {
                    left.push((path.clone(), Err(why.clone())));
                    strange.get_or_insert(FaultError::Strange { path, why });
                }
                Err(why) => {
                    intents.remove(&path)?;
                    healed.push(Healed { id, intent: None, outcome: HealOutcome::Broken(why) });
                }
                Ok(intent) => {
                    match heal(engine, &intent, intents.faults(), &Round { began, deadline, last }).await {
                        Ok(outcome) => {
                            intents.remove(&path)?;
                            healed.push(Healed { id, intent: Some(intent), outcome });
                        }
                        Err(error) => {
                            left.push((path, Ok(intent.clone())));
                            open.push((intent, error));
                        }
                    }
                }
            }
        }
        if open.is_empty() {
            break;
        }
    }
    let others = open.len().saturating_sub(1);
    match open.into_iter().next() {
        None => strange.map_or(Ok(healed), Err),
        Some((Intent { fault, node, .. }, source)) => {
            Err(FaultError::Open { fault, node, others, source: Box::new(source) })
        }
    }
}

/// Whether a file holds an object, whatever it means.
fn is_object(path: &Path) -> bool {
    let text = std::fs::read(path).unwrap_or_default();
    serde_json::from_slice::<Value>(&text).is_ok_and(|value| value.is_object())
}

/// One of two rounds through what is open.
struct Round {
    /// When whoever heals began.
    began: Timestamp,
    deadline: Deadline,
    last: bool,
}

impl Round {
    /// One that waits in vain must leave time for the others, and for its own second try.
    fn share(&self) -> Deadline {
        if self.last { self.deadline } else { self.deadline.at_most(self.deadline.remaining() / 2) }
    }
}

/// By the address before: Docker gives each container that starts the lowest free one, so started
/// in this order each gets its own again. On one node by the order of the list.
fn in_order(mut found: Vec<Scanned>, faults: &Faults) -> Vec<Scanned> {
    let rank = |intent: &Intent| faults.rank(&intent.fault);
    found.sort_by_key(|(_, intent)| intent.as_ref().ok().map(|i| (i.address, rank(i))));
    found
}

async fn heal(
    engine: &Engine,
    intent: &Intent,
    faults: &Faults,
    round: &Round,
) -> Result<HealOutcome, FaultError> {
    let Ok(fault) = faults.named(&intent.fault) else {
        let Intent { fault, node, program, .. } = intent.clone();
        return Err(FaultError::NotKnownHere { fault, node, program });
    };
    let node = Node::new(engine.clone(), &intent.node, intent.role);
    node.note_address(intent.address);
    match node.container().await {
        Ok(now) if now.id != intent.container => {
            let why = json!({ "gone": true, "replaced_by": now.id, "address_before": intent.address });
            Ok(HealOutcome::Gone(why))
        }
        Err(error) if error.is_gone() => {
            Ok(HealOutcome::Gone(json!({ "gone": true, "address_before": intent.address })))
        }
        // What stands in the way of a look may be over when the fault looks again.
        _ => {
            if fault.reach() == Reach::Node {
                sink_in(intent, &node, round).await;
            }
            let proof = fault.clear(&node, round.share()).await?;
            let gone = proof.get("gone").is_some();
            Ok(if gone { HealOutcome::Gone(proof) } else { HealOutcome::Restored(proof) })
        }
    }
}

/// From an intent to the engine's receiving the request of it: on a busy machine a process waits for its turn.
const ON_ITS_WAY: Duration = Duration::from_secs(120);

/// A fault that was asked for moments ago may be about to take hold: a node that has run since
/// before is watched until then, else it would go down after it was called healed. When a process that
/// is gone asked is not known: after the intent, and before anybody `began` to heal.
async fn sink_in(intent: &Intent, node: &Node, round: &Round) {
    let since = |then| age(then, Timestamp::now());
    let known = intent.owner == Owner::me() || since(intent.at) > ON_ITS_WAY;
    let asked = since(if known { intent.at } else { round.began });
    let wait = round.deadline.at_most(Duration::from_millis(intent.lasts_ms).saturating_sub(asked));
    while !wait.is_over() {
        let untouched = node.container().await.is_ok_and(|now| {
            now.power == Power::Running && now.started_at.is_none_or(|started| started < intent.at)
        });
        if !untouched {
            break;
        }
        wait.pause(Duration::from_millis(200)).await;
    }
}

//! Heals faults that were left open, in the process that uses the cluster next.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::intent::Scanned;
use super::{FaultError, Faults, Intent, IntentLog, Owner, TargetKind};
use crate::deadline::{Deadline, age};
use crate::engine::Engine;
use crate::event::Event;
use crate::node::{Node, Power};

/// The result of healing one intent.
#[derive(Clone, Debug, PartialEq)]
pub struct Healed {
    /// The intent's id: its file's name without `.json`.
    pub id: String,
    /// The intent; None if its file holds none.
    pub intent: Option<Intent>,
    /// How it ended.
    pub outcome: HealOutcome,
}

/// How an intent ended. Its file is removed in each case.
#[derive(Clone, Debug, PartialEq)]
pub enum HealOutcome {
    /// The fault is gone and its node is running, with the proof.
    Restored(Value),
    /// The node is gone, or another container has its name: nothing is left to undo.
    Gone(Value),
    /// The file was not an intent: its writer was interrupted before it did anything to a node.
    Broken(String),
}

impl Healed {
    /// The result as an event for the log.
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

/// Clears every open fault of a cluster. The caller must have exclusive use of the cluster: an intent is healed even if
/// its owner is still running. [`heal_abandoned`] is for callers that share the cluster.
///
/// # Errors
/// All intents are tried; then [`FaultError::Open`] with the first that failed. [`FaultError::File`] if the folder
/// cannot be read.
///
/// # Cancellation
/// A fault that is not proved to be healed stays open.
pub async fn heal_all(
    engine: &Engine,
    intents: &IntentLog,
    deadline: Deadline,
) -> Result<Vec<Healed>, FaultError> {
    healed(engine, intents, deadline, |_| true).await
}

/// Clears the open faults of the caller's own lease, and those whose process is dead. Faults of running processes stay,
/// also those of another lease of this process: they are part of a claim.
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
    // One fault may have broken what the healing of another one needs, such as a control plane.
    for last in [false, true] {
        open.clear();
        for (path, found) in std::mem::take(&mut left) {
            let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match found {
                // Files appear under their names only when complete: another version understands this file.
                Err(why) if is_object(&path) => {
                    let error = FaultError::Strange { path: path.clone(), why: why.to_string() };
                    strange.get_or_insert(error);
                    left.push((path, Err(why)));
                }
                Err(why) => {
                    intents.remove(&path)?;
                    healed.push(Healed { id, intent: None, outcome: HealOutcome::Broken(why.to_string()) });
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
    // First the error that this program cannot fix, however often it tries.
    open.sort_by_key(|(_, error)| !error.needs_another_program());
    match open.into_iter().next() {
        None => strange.map_or(Ok(healed), Err),
        Some((Intent { fault, node, .. }, source)) => {
            Err(FaultError::Open { fault, node, others, source: Box::new(source) })
        }
    }
}

/// Returns the outcome of a fault that only another program knows: a fault on a pod is over, one on a node stays open.
fn not_known(intent: &Intent) -> Result<HealOutcome, FaultError> {
    if intent.pod.is_some() {
        return Ok(HealOutcome::Restored(json!({ "lasts": false })));
    }
    let Intent { fault, node, program, .. } = intent.clone();
    Err(FaultError::NotKnownHere { fault, node, program })
}

/// Whether a file contains a JSON object, whatever its fields are.
fn is_object(path: &Path) -> bool {
    let text = std::fs::read(path).unwrap_or_default();
    serde_json::from_slice::<Value>(&text).is_ok_and(|value| value.is_object())
}

/// One of two rounds over the open faults.
struct Round {
    /// When the healing began.
    began: Timestamp,
    deadline: Deadline,
    last: bool,
}

impl Round {
    /// The deadline for one fault. In the first round, a fault that cannot be healed must leave time for the others and
    /// for its own second try.
    fn share(&self) -> Deadline {
        if self.last { self.deadline } else { self.deadline.at_most(self.deadline.remaining() / 2) }
    }
}

/// Sorts by the address before the fault: Docker gives each starting container the lowest free address, so in this
/// order each node gets its own address again. On one node, sorts by the order of the list.
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
        // Another error may be over by the time `clear` looks at the container.
        _ => {
            let Ok(fault) = faults.named(&intent.fault) else { return not_known(intent) };
            if fault.target_kind() == TargetKind::Node {
                await_late_request(intent, &node, round).await;
            }
            let proof = fault.clear(&node, round.share()).await?;
            let gone = proof.get("gone").is_some();
            Ok(if gone { HealOutcome::Gone(proof) } else { HealOutcome::Restored(proof) })
        }
    }
}

/// Maximum time between an intent and the arrival of its request at the engine: on a busy machine a process waits.
const ON_ITS_WAY: Duration = Duration::from_secs(120);

/// The request of a dead process may still reach the engine, so a node that is running untouched is watched until that
/// window has closed. Otherwise the node could go down after it was reported as healed. The window starts when the
/// process sent the request. If that is unknown, it starts when the healing `began`, because the request was sent
/// before.
async fn await_late_request(intent: &Intent, node: &Node, round: &Round) {
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

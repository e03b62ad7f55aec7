//! Faults inside a running node, made by a shell script with three verbs: `look`, `inject`, `clear`. Each verb ends
//! with the output of `look`, a `name=value` on each line; `broken` says whether anything of the fault is left.

use std::time::Duration;

use serde_json::{Map, Value};

use super::restore::restore;
use super::{Checked, FaultError, Target, guard};
use crate::deadline::Deadline;
use crate::engine::EngineError;
use crate::exec::tail;
use crate::node::{Node, NodeError, address_of};
use crate::retry;

/// Timeout of one script run.
const RUN: Duration = Duration::from_secs(60);
/// Timeout for clearing: no fault that can be cleared takes longer.
const CLEAR: Duration = Duration::from_secs(90);
/// How long a script may continue after its caller was killed: its input ends, and with it the script. On a busy engine
/// the end of the input comes late.
pub(super) const LASTS: Duration = Duration::from_secs(5);
/// Pause before the next try to clear: systemd is not yet available in a node that has just been started.
const AGAIN: Duration = Duration::from_millis(300);
/// Exit code of a script whose fault does not fit the node; the reason is on standard error.
const UNFIT: i64 = 65;

/// The output of a script.
pub(super) type Facts = Map<String, Value>;

/// A fault made by a script. The script gets `args` and, as the last argument, `<fault>:<verb>`.
pub(super) struct Inside {
    pub fault: &'static str,
    pub script: &'static str,
    pub args: Vec<String>,
}

impl Inside {
    /// Checks that the node may be broken and is not already broken in this way.
    pub async fn check(&self, target: &Target, deadline: Deadline) -> Result<Checked, FaultError> {
        let checked = guard::node_up(self.fault, target, deadline).await?;
        let facts = self.run(&target.node, "look", deadline).await?;
        if broken(&facts) {
            let (fault, node) = (self.fault, target.node.name.clone());
            return Err(FaultError::AlreadyBroken { fault, node, found: text(&facts) });
        }
        Ok(Checked { found: facts.into(), ..checked })
    }

    /// Runs the script on a checked target and returns what it then finds.
    pub async fn inject(&self, checked: &Checked, deadline: Deadline) -> Result<Facts, FaultError> {
        let node = &checked.target.node;
        let mut facts = self.run(node, "inject", deadline).await?;
        if !broken(&facts) {
            return Err(self.unproved(node, "took no hold", &facts));
        }
        facts.remove("broken");
        facts.insert("address".into(), serde_json::json!(address_of(&checked.container)));
        Ok(facts)
    }

    /// Brings the node back to running and removes the fault.
    pub async fn clear(&self, node: &Node, deadline: Deadline) -> Result<Value, FaultError> {
        let limit = deadline.at_most(CLEAR);
        let cleared = retry::try_until(limit, retry::every(AGAIN), || async {
            let mut proof = restore(node, limit).await?;
            if proof.get("gone").is_some() {
                return Ok::<_, FaultError>(Ok(proof));
            }
            Ok(match self.run(node, "clear", limit).await {
                Ok(facts) if !broken(&facts) => {
                    if let Value::Object(proof) = &mut proof {
                        proof.extend(facts.into_iter().filter(|(name, _)| name != "broken"));
                    }
                    Ok(proof)
                }
                Ok(facts) => Err(self.unproved(node, "is not gone", &facts)),
                Err(error) => Err(error),
            })
        });
        cleared.await?.map_err(|late| late.last)
    }

    /// Runs one verb.
    pub async fn run(&self, node: &Node, verb: &str, deadline: Deadline) -> Result<Facts, FaultError> {
        let word = format!("{}:{verb}", self.fault);
        let args = self.args.iter().map(String::as_str).chain([word.as_str()]);
        let argv: Vec<&str> = ["bash", "-c", self.script, "seatrial"].into_iter().chain(args).collect();
        let doing = || format!("failed to {verb} `{}` in {}", self.fault, node.name);
        let done = match node.exec(&argv, None, deadline.at_most(RUN)).await {
            Ok(done) => done,
            // The engine's error would contain the whole script.
            Err(NodeError::Engine(EngineError::Timeout { waited, .. })) => {
                let why = format!("not done after {:.1} s", waited.as_secs_f64());
                return Err(FaultError::Inside { doing: doing(), why });
            }
            Err(error) => return Err(error.into()),
        };
        let stderr = String::from_utf8_lossy(&done.stderr);
        match done.code {
            0 => Ok(read(&String::from_utf8_lossy(&done.stdout))),
            UNFIT => {
                Err(FaultError::Unfit { fault: self.fault, node: node.name.clone(), why: tail(&stderr) })
            }
            code => {
                let why = format!("it ended with {code}: {}", tail(&stderr));
                Err(FaultError::Inside { doing: doing(), why })
            }
        }
    }

    fn unproved(&self, node: &Node, what: &'static str, facts: &Facts) -> FaultError {
        FaultError::Unproved { fault: self.fault, node: node.name.clone(), what, found: text(facts) }
    }
}

fn broken(facts: &Facts) -> bool {
    // A script that does not report `broken` proves nothing.
    facts.get("broken") != Some(&Value::Bool(false))
}

fn read(out: &str) -> Facts {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let value = match (value, value.parse::<i64>()) {
            ("true", _) => true.into(),
            ("false", _) => false.into(),
            (_, Ok(number)) => number.into(),
            _ => value.into(),
        };
        Some((name.to_owned(), value))
    };
    out.lines().filter_map(pair).collect()
}

fn text(facts: &Facts) -> String {
    let shown = facts.iter().filter(|(name, _)| *name != "broken");
    let words: Vec<String> = shown.map(|(name, value)| format!("{name} {value}").replace('"', "")).collect();
    words.join(", ")
}

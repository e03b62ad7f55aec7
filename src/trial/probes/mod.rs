//! Probes of the trial's Services: each port is asked from a node, all the time.

use std::time::{Duration, Instant};

use super::ground::Ground;
use crate::event::{Event, Outcome, Record};
use crate::judge::trial::facts::{PROBES, ServiceProbe};
use crate::node::Node;
use crate::probe::{Lines, http, tcp};
use crate::scenario::{Failure, Scenario};

mod asked;
mod derived;

use asked::{Asked, asked};
pub use derived::{Declared, derived};

/// Timeout of one request.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time for a Service to answer steadily before the first disturbance.
const STEADY: Duration = Duration::from_secs(15);
/// Number of answers in a row that count as steady.
const ANSWERS: usize = 10;

/// The running probes. Dropping them ends them.
#[derive(Debug)]
pub struct Probes(Vec<Lines>);

impl Probes {
    /// Stops all probes. Their samples until now are in the log.
    pub async fn stop(self) {
        for probe in self.0 {
            probe.stop().await;
        }
    }
}

/// Starts the declared probes, and a probe of each other TCP port of each Service with a selector and an address. HTTP is
/// asked where the manifests say so and the Service answers it; otherwise a connection is opened. A Service that does not answer steadily is
/// recorded as such: its samples decide nothing.
pub async fn start(ground: &Ground<'_>) -> Result<Probes, Failure> {
    let s = ground.s;
    let node = s.cluster.control_planes().next().ok_or("the cluster has no control plane")?;
    let mut running = Vec::new();
    let mut facts = Vec::new();
    for asked in asked(ground).await? {
        let (probe, lines, is_steady) = one(s, node, &asked).await;
        running.push(lines);
        facts.push(ServiceProbe {
            probe,
            service: asked.service,
            namespace: Some(asked.namespace),
            declared: asked.declared,
            port: asked.port,
            node: node.name.clone(),
            steady: is_steady,
        });
    }
    for fact in facts.iter().filter(|fact| !fact.steady) {
        s.note(format!(
            "Service {} gave no steady answer on port {} before the first disturbance: nothing is judged by it",
            fact.service, fact.port
        ));
    }
    s.observe(&PROBES, &facts);
    Ok(Probes(running))
}

/// Starts the probe of a port, and waits until it is steady. HTTP that is not steady is replaced by connections.
async fn one(s: &Scenario, node: &Node, asked: &Asked) -> (String, Lines, bool) {
    let limit = s.deadline().remaining();
    let run = |words: &[String]| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        s.cluster.engine.exec_lines(&node.name, &words)
    };
    if let Some(path) = &asked.path {
        let name = asked.name_of("http", s);
        let words = http::command_for(&asked.address, (asked.port, path), PATIENCE, limit);
        let lines = http::start_as(&name, run(&words), s.log.clone());
        let is_steady = is_steady(s, &name).await;
        // A declared probe says what the Service speaks.
        if is_steady || asked.declared.is_some() {
            return (name, lines, is_steady);
        }
        lines.stop().await;
    }
    let name = asked.name_of("tcp", s);
    let words = tcp::command(&asked.address, asked.port, PATIENCE, limit);
    let lines = tcp::start_as(&name, run(&words), s.log.clone());
    let steady = is_steady(s, &name).await;
    (name, lines, steady)
}

/// Whether the last requests of a probe are answered within a while.
async fn is_steady(s: &Scenario, name: &str) -> bool {
    let (from, began) = (s.log.position(), Instant::now());
    let deadline = s.deadline().at_most(STEADY);
    let answered = |record: &Record| match &record.event {
        Event::Sampled { probe, outcome, .. } if probe == name => Some(*outcome == Outcome::Acknowledged),
        _ => None,
    };
    while !deadline.is_over() {
        let answers: Vec<bool> = s.log.records_since(from).iter().filter_map(answered).collect();
        let good = answers.iter().rev().take_while(|good| **good).count();
        if good >= ANSWERS {
            return true;
        }
        // A server that answers with an error does so at once.
        if good == 0 && answers.len() >= ANSWERS && began.elapsed() > STEADY / 3 {
            return false;
        }
        deadline.pause(Duration::from_millis(100)).await;
    }
    false
}

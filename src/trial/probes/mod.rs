//! Probes of the trial's Services: each port is asked from a node, all the time.

use std::time::{Duration, Instant};

use super::file::ProbePart;
use super::ground::Ground;
use crate::judge::trial::facts::{PROBES, ServiceProbe};
use crate::node::Node;
use crate::probe::get::{self, Get, Url};
use crate::probe::{Lines, RequestPace, http, tcp};
use crate::scenario::{Failure, Scenario};

mod again;
mod answered;
mod asked;
mod derived;

use again::again;
pub use answered::answered;
use answered::{answers, enough, good};
use asked::{Asked, asked, idle};
pub use derived::{Declared, derived};

/// Timeout of one request.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time for a Service to answer steadily before the first disturbance.
const STEADY: Duration = Duration::from_secs(15);
/// Number of answers in a row that count as steady.
const ANSWERS: usize = 10;
/// The same for a probe that asks slowly.
const SOME_ANSWERS: usize = 4;
/// Pause between two requests from a worker.
const SLOW: Duration = Duration::from_millis(400);
/// Time for each port from one request to the next: a request takes a program of its own on the node, and a source port (see
/// [`crate::probe`]).
const EACH: Duration = Duration::from_millis(60);
/// The same on a worker.
const EACH_ON_WORKER: Duration = Duration::from_millis(150);
/// Most ports that every worker asks. With more, the workers share them.
const ON_EACH_WORKER: usize = 10;
/// Most ports that workers ask.
const ON_WORKERS: usize = 20;
/// Most ports that are also asked over a kept connection: each has processes of its own on the node.
const KEPT: usize = 10;
/// Longest pause between two requests: one failed request must not look like a long outage.
const SLOWEST: Duration = Duration::from_secs(1);

/// The running probes. Dropping them ends them.
#[derive(Debug)]
pub struct Probes {
    nodes: Vec<Lines>,
    outside: Vec<Get>,
}

impl Probes {
    /// Stops all probes. Their samples until now are in the log.
    pub async fn stop(self) {
        for probe in self.nodes {
            probe.stop().await;
        }
        for probe in self.outside {
            probe.stop().await;
        }
    }
}

/// Starts the declared probes, and a probe of each other TCP port of each Service with a selector and an address: from a
/// control plane, and from each worker at a slower pace. A port that speaks HTTP is also asked over a kept connection. HTTP is asked
/// where the manifests say so and the Service answers it;
/// otherwise a connection is opened. Declared URLs are asked from this machine. A Service that does not answer steadily is recorded as such: its samples decide nothing.
pub async fn start(ground: &Ground<'_>) -> Result<Probes, Failure> {
    let s = ground.s;
    let node = s.cluster.control_planes().next().ok_or("the cluster has no control plane")?;
    let (mut running, mut facts) = (Vec::new(), Vec::new());
    let ports = asked(ground).await?;
    facts.extend(unasked(ground, &ports, node));
    let started =
        futures::future::join_all(ports.iter().map(|asked| one(s, node, (asked, ports.len())))).await;
    let workers: Vec<&Node> = s.cluster.workers().collect();
    for (number, (asked, (path, name, lines, steady))) in ports.iter().zip(started).enumerate() {
        running.push(lines);
        if steady {
            if let Some(path) = path.filter(|_| ports.len() <= KEPT) {
                let kept = asked.name_of("http-kept", s);
                running.push(keep(s, node, (&kept, asked, path)));
                facts.push(ServiceProbe { kept: true, ..fact(asked, kept, node, SLOW) });
            }
            let is_shared = |at: usize| number < ON_WORKERS && at == number % workers.len();
            let is_asked_on = |at: usize| ports.len() <= ON_EACH_WORKER || is_shared(at);
            for (_, worker) in workers.iter().enumerate().filter(|(at, _)| is_asked_on(*at)) {
                let (place, pause) = (format!("{name} from {}", worker.name), pause_on_worker(ports.len()));
                running.push(run(s, worker, (&place, asked, path), pause));
                facts.push(ServiceProbe { on_worker: true, ..fact(asked, place, worker, pause) });
            }
        }
        let own = if path.is_some() { http::PAUSE } else { tcp::PAUSE };
        facts.push(ServiceProbe { steady, ..fact(asked, name, node, pause(own, ports.len())) });
    }
    let outside = outside(ground, &mut facts)?;
    let is_other = |fact: &&mut ServiceProbe| fact.on_worker || fact.kept || fact.outside;
    let others = facts.iter_mut().filter(is_other).map(async |fact| {
        fact.steady = is_steady(s, &fact.probe, Duration::from_secs_f64(fact.pace)).await;
    });
    futures::future::join_all(others).await;
    for fact in facts.iter().filter(|fact| !fact.steady && fact.outside) {
        s.note(format!("{} gave no steady answer before the first disturbance", fact.service));
    }
    for fact in facts.iter().filter(|fact| !fact.steady && fact.port > 0) {
        s.note(format!(
            "Service {} gave no steady answer on port {} to {} before the first disturbance: nothing is judged by that",
            fact.service, fact.port, fact.node
        ));
    }
    s.observe(&PROBES, &facts);
    // A trial starts its probes once.
    let _ = ground.probes.set(facts);
    Ok(Probes { nodes: running, outside })
}

/// Returns the declared probes that ask nothing, and notes why.
fn unasked(ground: &Ground<'_>, ports: &[Asked], node: &Node) -> Vec<ServiceProbe> {
    let (s, mut facts) = (ground.s, Vec::new());
    for (name, part) in idle(ground, ports) {
        let Some((namespace, service, _)) = part.address() else { continue };
        s.note(format!("probe {name} asks nothing: there is no such port of {service}"));
        facts.push(ServiceProbe {
            probe: format!("probe {name}"),
            service: service.to_owned(),
            namespace: Some(namespace.unwrap_or(&s.namespace).to_owned()),
            declared: Some(name.clone()),
            port: 0,
            node: node.name.clone(),
            on_worker: false,
            outside: false,
            kept: false,
            pace: 0.0,
            steady: false,
        });
    }
    facts
}

/// Starts the probes of URLs.
fn outside(ground: &Ground<'_>, facts: &mut Vec<ServiceProbe>) -> Result<Vec<Get>, Failure> {
    let mut running = Vec::new();
    for (name, part) in &ground.trial.probes {
        let ProbePart::Url(url) = part else { continue };
        let probe = format!("url {name}");
        running.push(Get::url(&probe, &Url::parse(url)?, &ground.s.log)?);
        facts.push(ServiceProbe {
            probe,
            service: url.clone(),
            namespace: None,
            declared: Some(name.clone()),
            port: 0,
            node: String::new(),
            on_worker: false,
            outside: true,
            kept: false,
            pace: get::PAUSE.as_secs_f64(),
            steady: true,
        });
    }
    Ok(running)
}

fn fact(asked: &Asked, probe: String, node: &Node, pause: Duration) -> ServiceProbe {
    ServiceProbe {
        probe,
        service: asked.service.clone(),
        namespace: Some(asked.namespace.clone()),
        declared: asked.declared.clone().or_else(|| asked.budgeted.clone()),
        port: asked.port,
        node: node.name.clone(),
        on_worker: false,
        outside: false,
        kept: false,
        pace: pause.as_secs_f64(),
        steady: true,
    }
}

/// Starts the probe of a port, and waits until it is steady. HTTP that is not steady is replaced by connections. Returns the
/// path that is asked, if it is HTTP, the probe's name, the probe, and whether it is steady.
async fn one<'a>(
    s: &Scenario,
    node: &Node,
    (asked, probes): (&'a Asked, usize),
) -> (Option<&'a str>, String, Lines, bool) {
    if let Some(path) = asked.path.as_deref() {
        let name = asked.name_of("http", s);
        let lines = run(s, node, (&name, asked, Some(path)), pause(http::PAUSE, probes));
        let is_steady = is_steady(s, &name, pause(http::PAUSE, probes)).await;
        // A declared probe says what the Service speaks.
        if is_steady || asked.declared.is_some() {
            return (Some(path), name, lines, is_steady);
        }
        lines.stop().await;
    }
    let name = asked.name_of("tcp", s);
    let lines = run(s, node, (&name, asked, None), pause(tcp::PAUSE, probes));
    let steady = is_steady(s, &name, pause(tcp::PAUSE, probes)).await;
    (None, name, lines, steady)
}

/// Returns the pause between two requests of each of so many probes on a node. Many ask more slowly.
fn pause(own: Duration, probes: usize) -> Duration {
    spread(own, EACH, probes)
}

/// Returns the pause on a worker.
fn pause_on_worker(probes: usize) -> Duration {
    spread(SLOW, EACH_ON_WORKER, probes)
}

fn spread(own: Duration, each: Duration, probes: usize) -> Duration {
    own.max(each.saturating_mul(probes.try_into().unwrap_or(u32::MAX)).min(SLOWEST))
}

/// Starts a probe on a node.
fn run(
    s: &Scenario,
    node: &Node,
    (name, asked, path): (&str, &Asked, Option<&str>),
    pause: Duration,
) -> Lines {
    let pace = RequestPace { pause, patience: PATIENCE, limit: s.deadline().remaining() };
    let words = match path {
        Some(path) => http::command_for(&asked.address, (asked.port, path), pace),
        None => tcp::command(&asked.address, asked.port, pace),
    };
    let lines = again(s.cluster.engine.clone(), node.name.clone(), (words, &asked.address), s.deadline());
    match path {
        Some(_) => http::start_as(name, lines, s.log.clone()),
        None => tcp::start_as(name, lines, s.log.clone()),
    }
}

/// Starts a probe on a node that keeps its connection.
fn keep(s: &Scenario, node: &Node, (name, asked, path): (&str, &Asked, &str)) -> Lines {
    let pace = RequestPace { pause: SLOW, patience: PATIENCE, limit: s.deadline().remaining() };
    let words = http::command_kept(&asked.address, (asked.port, path), pace);
    let lines = again(s.cluster.engine.clone(), node.name.clone(), (words, &asked.address), s.deadline());
    http::start_as(name, lines, s.log.clone())
}

/// Whether the last requests of a probe are answered within a while.
async fn is_steady(s: &Scenario, name: &str, pause: Duration) -> bool {
    let enough = enough(pause.as_secs_f64());
    let (from, began) = (s.log.position(), Instant::now());
    let deadline = s.deadline().at_most(STEADY + pause.saturating_mul(enough as u32));
    while !deadline.is_over() {
        let answers = answers(&s.log.records_since(from), name);
        let good = good(&answers);
        if good >= enough {
            return true;
        }
        // A server that answers with an error does so at once.
        if good == 0 && answers.len() >= enough && began.elapsed() > STEADY / 3 {
            return false;
        }
        deadline.pause(Duration::from_millis(100)).await;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_probes_ask_more_slowly_and_never_too_slowly() {
        let of = |probes| pause(http::PAUSE, probes).as_millis();
        assert_eq!([of(1), of(5), of(50), of(10_000)], [100, 300, 1000, 1000]);
        let of = |probes| pause_on_worker(probes).as_millis();
        assert_eq!([of(1), of(4), of(50)], [400, 600, 1000]);
    }
}

//! The probes of a watch: from a node of a cluster of ours, or from this host.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use kube::api::Api;

use super::options::{Probe, Target};
use super::{Ground, WatchError};
use crate::client::ApiError;
use crate::cluster::Cluster;
use crate::deadline::Deadline;
use crate::event::{Event, Outcome, Record};
use crate::judge::watch::API;
use crate::judge::watch::facts::{Asked, Way};
use crate::probe::get::{Get, ServicePort};
use crate::probe::{Lines, RequestPace, http, tcp};

/// Timeout of one request.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time for the targets to answer steadily before the command begins.
const STEADY: Duration = Duration::from_secs(15);
/// Number of answers in a row that count as steady.
const ANSWERS: usize = 3;
/// How long a probe on a node runs at most: a loop there would outlive a killed process.
const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Timeout for the look at a Service.
const LOOK: Duration = Duration::from_secs(10);

/// The running probes. Dropping them ends them.
#[derive(Debug, Default)]
pub struct Probes {
    nodes: Vec<Lines>,
    host: Vec<Get>,
    /// The probes, each with whether its target answers steadily.
    pub asked: Vec<Asked>,
}

impl Probes {
    /// Starts every probe and waits until the targets answer steadily, for at most 15 s.
    ///
    /// # Errors
    /// [`WatchError::NoService`], or [`WatchError::Probe`] for a probe that this cluster does not allow.
    pub async fn start(ground: &Ground<'_>, probes: &[Probe]) -> Result<Self, WatchError> {
        let mut running = Self::default();
        running.host.push(Get::api(API, &ground.client, &ground.log));
        let from = ground.log.position();
        for probe in probes {
            let way = running.one(ground, probe).await?;
            running.asked.push(Asked { probe: probe.name.clone(), way, steady: false });
        }
        let deadline = Deadline::after(STEADY);
        let began = Instant::now();
        while !deadline.is_over() && running.asked.iter().any(|asked| !asked.steady) {
            let records = ground.log.records_since(from);
            for asked in &mut running.asked {
                asked.steady = is_steady(&records, &asked.probe);
            }
            deadline.pause(Duration::from_millis(100)).await;
        }
        for asked in running.asked.iter().filter(|asked| !asked.steady) {
            ground.log.append(Event::Noted {
                text: format!(
                    "{} gave no steady answer within {:.0} s before the command: nothing is judged by it",
                    asked.probe,
                    began.elapsed().as_secs_f64()
                ),
            });
        }
        Ok(running)
    }

    async fn one(&mut self, ground: &Ground<'_>, probe: &Probe) -> Result<Way, WatchError> {
        let (log, name) = (&ground.log, probe.name.as_str());
        match (&probe.target, ground.cluster) {
            (Target::Url(url), _) => {
                let wrong = |e: crate::probe::get::UrlError| WatchError::Probe {
                    text: probe.text.clone(),
                    why: e.to_string(),
                };
                self.host.push(Get::url(name, url, log).map_err(wrong)?);
                Ok(Way::Host)
            }
            (Target::Http(port), None) => {
                self.host.push(Get::through(name, &ground.client, port, log));
                Ok(Way::ApiServer)
            }
            (Target::Tcp(_), None) => unreachable!("refused before anything starts"),
            (Target::Http(port) | Target::Tcp(port), Some(cluster)) => {
                let (address, number) = found(ground, probe, port).await?;
                let is_http = matches!(probe.target, Target::Http(_));
                let words = match is_http {
                    true => http::command_for(&address, (number, &port.path), pace(http::PAUSE)),
                    false => tcp::command(&address, number, pace(tcp::PAUSE)),
                };
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let lines = cluster.engine.exec_lines(&node(cluster, probe)?, &words);
                self.nodes.push(match is_http {
                    true => http::start_as(name, lines, log.clone()),
                    false => tcp::start_as(name, lines, log.clone()),
                });
                Ok(Way::Node)
            }
        }
    }

    /// Stops all probes. Their samples until now are in the log.
    pub async fn stop(self) {
        for probe in self.nodes {
            probe.stop().await;
        }
        for probe in self.host {
            probe.stop().await;
        }
    }
}

/// Whether the last requests of a probe were answered.
fn is_steady(records: &[Record], name: &str) -> bool {
    let answered = |record: &Record| match &record.event {
        Event::Sampled { probe, outcome, .. } if probe == name => Some(*outcome == Outcome::Acknowledged),
        _ => None,
    };
    let good = records.iter().rev().filter_map(answered).take(ANSWERS).filter(|good| *good);
    good.count() >= ANSWERS
}

/// Returns the node that asks.
fn node(cluster: &Cluster, probe: &Probe) -> Result<String, WatchError> {
    let node = cluster.control_planes().next().map(|node| node.name.clone());
    node.ok_or_else(|| WatchError::NoService {
        probe: probe.text.clone(),
        why: format!("cluster {} has no control plane to ask from", cluster.name),
    })
}

/// Returns the address and the port number of a Service.
async fn found(ground: &Ground<'_>, probe: &Probe, port: &ServicePort) -> Result<(String, u16), WatchError> {
    let none = |why: String| WatchError::NoService { probe: probe.text.clone(), why };
    let services = Api::<Service>::namespaced(ground.client.unary.clone(), &port.namespace);
    let answer = Deadline::after(LOOK).bound(services.get(&port.service)).await;
    let service = match answer {
        Ok(Ok(service)) => service,
        Ok(Err(error)) => return Err(none(ApiError::from(error).text)),
        Err(late) => return Err(none(format!("no answer: {late}"))),
    };
    let spec = service.spec.unwrap_or_default();
    let address = spec.cluster_ip.filter(|ip| !ip.is_empty() && ip != "None");
    let address =
        address.ok_or_else(|| none(format!("Service {} has no address of its own", port.service)))?;
    let is_meant = |known: &&k8s_openapi::api::core::v1::ServicePort| {
        known.name.as_ref() == Some(&port.port) || port.port.parse() == Ok(known.port)
    };
    let known = spec.ports.iter().flatten().find(is_meant);
    let number = known.and_then(|known| u16::try_from(known.port).ok());
    let number = number.ok_or_else(|| none(format!("Service {} has no port {}", port.service, port.port)))?;
    Ok((address, number))
}

/// How a probe on a node asks.
fn pace(pause: Duration) -> RequestPace {
    RequestPace { pause, patience: PATIENCE, limit: LIMIT }
}

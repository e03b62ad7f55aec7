//! Probes of the trial's Services: each port is asked from a node, all the time.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::event::{Event, Outcome, Record};
use crate::judge::trial::facts::{PROBES, ServiceProbe};
use crate::node::Node;
use crate::probe::{Lines, http, tcp};
use crate::scenario::{Failure, Scenario};

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

/// What a probe asks.
struct Asked {
    service: String,
    address: String,
    port: u16,
    /// The path of a readiness probe on the same port of a pod, or `/` if the port's name or protocol is HTTP.
    path: Option<String>,
}

/// Starts a probe of each TCP port of each Service with a selector and an address. HTTP is asked where the manifests
/// say so and the Service answers it; otherwise a connection is opened. A Service that does not answer steadily is
/// recorded as such: its samples decide nothing.
pub async fn start(s: &Scenario) -> Result<Probes, Failure> {
    let node = s.cluster.control_planes().next().ok_or("the cluster has no control plane")?;
    let mut running = Vec::new();
    let mut facts = Vec::new();
    for asked in asked(s).await? {
        let (probe, lines, is_steady) = one(s, node, &asked).await;
        running.push(lines);
        facts.push(ServiceProbe {
            probe,
            service: asked.service,
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
        let name = format!("http {}:{}", asked.service, asked.port);
        let words = http::command_for(&asked.address, (asked.port, path), PATIENCE, limit);
        let lines = http::start_as(&name, run(&words), s.log.clone());
        if is_steady(s, &name).await {
            return (name, lines, true);
        }
        lines.stop().await;
    }
    let name = format!("tcp {}:{}", asked.service, asked.port);
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

async fn asked(s: &Scenario) -> Result<Vec<Asked>, Failure> {
    let list = ListParams::default();
    let services = Api::<Service>::namespaced(s.client.unary.clone(), &s.namespace).list(&list).await?.items;
    let pods = Api::<Pod>::namespaced(s.client.unary.clone(), &s.namespace).list(&list).await?.items;
    let mut all = Vec::new();
    for service in &services {
        let Some(spec) = &service.spec else { continue };
        let address = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None");
        let (Some(address), Some(selector)) = (address, &spec.selector) else { continue };
        let selected = |pod: &&Pod| selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value));
        let pod = pods.iter().find(selected);
        for port in spec.ports.iter().flatten().filter(|p| p.protocol.as_deref().unwrap_or("TCP") == "TCP") {
            let path = path(port, pod);
            let (service, address) = (service.name_any(), address.to_owned());
            all.extend(u16::try_from(port.port).ok().map(|port| Asked { service, address, port, path }));
        }
    }
    Ok(all)
}

/// Returns the path to ask over HTTP, if the manifests say that a port speaks it: the path of a readiness probe, or `/`
/// by the port's `appProtocol` or name.
fn path(port: &ServicePort, pod: Option<&Pod>) -> Option<String> {
    let containers = pod.and_then(|pod| pod.spec.as_ref()).map_or(&[][..], |spec| &spec.containers);
    let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
    let number = |container: &Container, port: &IntOrString| match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|p| p.name.as_ref() == Some(name));
            named.map(|p| p.container_port)
        }
    };
    let ready = containers.iter().find_map(|container| {
        let get = container.readiness_probe.as_ref()?.http_get.as_ref()?;
        let is_plain = get.scheme.as_deref().unwrap_or("HTTP") == "HTTP";
        let is_same = number(container, &get.port) == number(container, &target);
        (is_plain && is_same).then(|| get.path.clone().unwrap_or_else(|| "/".into()))
    });
    let is_http =
        |text: &Option<String>| text.as_deref().is_some_and(|t| t == "http" || t.starts_with("http-"));
    ready.or_else(|| (is_http(&port.app_protocol) || is_http(&port.name)).then(|| "/".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn http_is_asked_where_the_manifests_say_so() {
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [
            {"name": "c", "ports": [{"name": "web", "containerPort": 8080}],
             "readinessProbe": {"httpGet": {"path": "/healthz", "port": "web"}}}]}}))
        .unwrap();
        let port = |value| serde_json::from_value::<ServicePort>(value).unwrap();
        let by_number = port(json!({"port": 80, "targetPort": 8080}));
        let by_name = port(json!({"port": 80, "targetPort": "web"}));
        let other = port(json!({"port": 3306}));
        let named = port(json!({"port": 81, "name": "http"}));
        let https = port(json!({"port": 443, "name": "https", "appProtocol": "https"}));
        assert_eq!(path(&by_number, Some(&pod)).as_deref(), Some("/healthz"));
        assert_eq!(path(&by_name, Some(&pod)).as_deref(), Some("/healthz"));
        assert_eq!(path(&other, Some(&pod)), None);
        assert_eq!(path(&named, None).as_deref(), Some("/"));
        assert_eq!(path(&https, Some(&pod)), None);
    }
}

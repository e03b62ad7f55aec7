//! The probes that follow from manifests.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::manifest::{Manifest, Object};
use crate::trial::file::{HttpPart, Port, ProbePart, TcpPart};

/// A probe with its name in a trial file.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// What it asks.
    pub part: ProbePart,
}

/// Returns the probes of the Services of a manifest: each TCP port of each Service with a selector and an address.
pub fn derived(manifest: &Manifest) -> Vec<Declared> {
    let services = manifest.objects().iter().filter(|o| o.kind() == "Service" && !o.name().is_empty());
    services.flat_map(|service| of_service(manifest, service)).collect()
}

fn of_service(manifest: &Manifest, service: &Object) -> Vec<Declared> {
    let Ok(spec) = serde_json::from_value::<ServiceSpec>(service.body["spec"].clone()) else {
        return Vec::new();
    };
    let Some(selector) = spec.selector.filter(|selector| !selector.is_empty()) else { return Vec::new() };
    if spec.cluster_ip.as_deref() == Some("None") || spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let is_selected = |template: &PodTemplateSpec| {
        let labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
        selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    let beside = manifest.objects().iter().filter(|o| o.namespace() == service.namespace());
    let template = beside.filter_map(template_of).find(is_selected);
    let pod = template.as_ref().and_then(|template| template.spec.as_ref());
    let ports: Vec<ServicePort> = spec.ports.unwrap_or_default();
    let is_tcp = |port: &&ServicePort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
    let probe = |port: &ServicePort| {
        let (name, namespace) = (service.name().to_owned(), service.namespace().map(str::to_owned));
        let number = Port::Number(u16::try_from(port.port).ok()?);
        let title = if ports.len() > 1 { format!("{name}-{}", port.port) } else { name.clone() };
        let part = match path(port, pod) {
            Some(path) => ProbePart::Http(HttpPart { service: name, namespace, port: number, path }),
            None => ProbePart::Tcp(TcpPart { service: name, namespace, port: number }),
        };
        Some(Declared { name: title, part })
    };
    ports.iter().filter(is_tcp).filter_map(probe).collect()
}

/// Returns the template of a workload's pods, or a bare pod as one.
fn template_of(object: &Object) -> Option<PodTemplateSpec> {
    let body: &Value = match object.kind() {
        "Pod" => &object.body,
        _ => object.body.pointer("/spec/template")?,
    };
    serde_json::from_value(body.clone()).ok()
}

/// Returns the path to ask over HTTP, if the manifests say that a port speaks it: the path of a readiness probe, or `/`
/// by the port's `appProtocol` or name.
pub fn path(port: &ServicePort, pod: Option<&PodSpec>) -> Option<String> {
    let containers = pod.map_or(&[][..], |pod| &pod.containers);
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
        let pod: PodSpec = serde_json::from_value(json!({"containers": [
            {"name": "c", "ports": [{"name": "web", "containerPort": 8080}],
             "readinessProbe": {"httpGet": {"path": "/healthz", "port": "web"}}}]}))
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

//! The ports that are asked: those of the Services in the cluster, and what the trial file says about them.

use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use super::derived::path;
use crate::manifest::Object;
use crate::scenario::{Failure, Scenario};
use crate::trial::file::{Port, ProbePart};
use crate::trial::ground::Ground;

/// What a probe asks.
pub struct Asked {
    pub namespace: String,
    pub service: String,
    pub address: String,
    pub port: u16,
    /// The path of a readiness probe on the same port of a pod, or `/` if the port's name or protocol is HTTP.
    pub path: Option<String>,
    /// The name of the probe in the trial file, if it declares one.
    pub declared: Option<String>,
    /// The name of a derived probe, if `--budget` has a budget for that name.
    pub budgeted: Option<String>,
}

impl Asked {
    /// Returns the name of the probe: such as `http web:80`, `http shop/web:80` in another namespace than the trial's own, or
    /// `http front` if the trial file calls it so.
    pub fn name_of(&self, protocol: &str, s: &Scenario) -> String {
        let Self { namespace, service, port, declared, .. } = self;
        match declared {
            Some(name) => format!("{protocol} {name}"),
            None if *namespace == s.namespace => format!("{protocol} {service}:{port}"),
            None => format!("{protocol} {namespace}/{service}:{port}"),
        }
    }
}

/// Returns the ports of all Services in the namespaces of the trial. In a namespace that existed before, those of the
/// manifests only.
pub async fn asked(ground: &Ground<'_>) -> Result<Vec<Asked>, Failure> {
    let mut all = Vec::new();
    for namespace in ground.s.namespaces() {
        all.extend(asked_in(ground, &namespace).await?);
    }
    Ok(all)
}

/// Returns the declared probes that ask nothing: no Service has such a port.
pub fn idle<'g>(ground: &'g Ground<'_>, asked: &[Asked]) -> Vec<(&'g String, &'g ProbePart)> {
    let is_asked = |name: &String| asked.iter().any(|asked| asked.declared.as_ref() == Some(name));
    let of_service = |part: &ProbePart| part.address().is_some();
    ground.trial.probes.iter().filter(|(name, part)| of_service(part) && !is_asked(name)).collect()
}

async fn asked_in(ground: &Ground<'_>, namespace: &str) -> Result<Vec<Asked>, Failure> {
    let (s, list) = (ground.s, ListParams::default());
    let services = Api::<Service>::namespaced(s.client.unary.clone(), namespace).list(&list).await?.items;
    let pods = Api::<Pod>::namespaced(s.client.unary.clone(), namespace).list(&list).await?.items;
    let is_on_trial = |service: &&Service| {
        let is_it = |o: &Object| {
            o.kind() == "Service" && o.namespace() == Some(namespace) && o.name() == service.name_any()
        };
        ground.created.iter().any(|created| created == namespace)
            || ground.manifest.objects().iter().any(is_it)
    };
    let mut all = Vec::new();
    for service in services.iter().filter(is_on_trial) {
        let Some(spec) = &service.spec else { continue };
        let address = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None");
        let (Some(address), Some(selector)) = (address, &spec.selector) else { continue };
        let selected = |pod: &&Pod| selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value));
        let pod = pods.iter().find(selected);
        for port in spec.ports.iter().flatten().filter(|p| p.protocol.as_deref().unwrap_or("TCP") == "TCP") {
            let Ok(number) = u16::try_from(port.port) else { continue };
            let one = |path: Option<String>, declared: Option<String>| Asked {
                namespace: namespace.to_owned(),
                service: service.name_any(),
                address: address.to_owned(),
                port: number,
                path,
                declared,
                budgeted: ground.trial.budgeted(&s.namespace, (namespace, &service.name_any(), number)),
            };
            let own = declared(ground, namespace, &service.name_any(), port);
            if own.is_empty() {
                all.push(one(path(port, pod.and_then(|pod| pod.spec.as_ref())), None));
            }
            all.extend(own.into_iter().map(|(name, part)| match part {
                ProbePart::Http(http) => one(Some(http.path.clone()), Some(name.clone())),
                _ => one(None, Some(name.clone())),
            }));
        }
    }
    Ok(all)
}

/// Returns the probes of the trial file that are about a port of a Service.
fn declared<'g>(
    ground: &'g Ground<'_>,
    namespace: &str,
    service: &str,
    port: &ServicePort,
) -> Vec<(&'g String, &'g ProbePart)> {
    let is_it = |(_, part): &(&String, &ProbePart)| {
        let Some((of, name, asked)) = part.address() else { return false };
        let is_port = match asked {
            Port::Number(number) => i32::from(*number) == port.port,
            Port::Name(name) => {
                port.name.as_ref() == Some(name) || name.parse::<i32>().is_ok_and(|n| n == port.port)
            }
        };
        is_port && name == service && of.unwrap_or(&ground.s.namespace) == namespace
    };
    ground.trial.probes.iter().filter(is_it).collect()
}

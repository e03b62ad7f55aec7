//! Rules on EndpointSlices.

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;

use super::{Check, Verdict, check};

/// Label that names a slice's Service.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The Service has exactly `n` ready addresses. An endpoint without a `ready` condition counts as
/// ready, as the API's documentation asks consumers to read it.
pub fn endpoints_ready(service: &str, n: usize) -> impl Check<EndpointSlice> + use<> {
    let service = service.to_owned();
    check(format!("{n} ready endpoints of Service {service}"), move |slices: &[EndpointSlice]| {
        let ours = slices.iter().filter(|s| s.labels().get(SERVICE_LABEL) == Some(&service));
        let endpoints = ours.flat_map(|s| s.endpoints.iter());
        let ready = endpoints.filter(|e| e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true));
        let addresses: BTreeSet<&String> = ready.flat_map(|e| &e.addresses).collect();
        Verdict::met_if(addresses.len() == n, || format!("{} ready: {addresses:?}", addresses.len()))
    })
}

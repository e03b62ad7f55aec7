//! Rules on EndpointSlices.

use std::collections::BTreeMap;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::ResourceExt;

use super::{Check, Verdict, check};

/// Label with the name of a slice's Service.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Maximum number of addresses that are named for each family.
const NAMED: usize = 8;

/// The Service has exactly `n` ready endpoints in each of its address families. A pod counts as one endpoint, in
/// however many slices and with however many addresses it appears; an endpoint without a target object is identified by
/// its addresses. An endpoint without a `ready` condition counts as ready, as the API's documentation says. An endpoint
/// that does not serve is not ready: if the Service publishes not-ready addresses (`publishNotReadyAddresses`), `ready`
/// is always true, and only `serving` is the pod's own state.
pub fn endpoints_ready(service: &str, n: usize) -> impl Check<EndpointSlice> + use<> {
    let service = service.to_owned();
    check(format!("{n} ready endpoints of Service {service}"), move |slices: &[EndpointSlice]| {
        let ours = slices.iter().filter(|s| s.labels().get(SERVICE_LABEL) == Some(&service));
        let mut families: BTreeMap<&str, BTreeMap<String, &str>> = BTreeMap::new();
        for slice in ours {
            let family = families.entry(&slice.address_type).or_default();
            for endpoint in slice.endpoints.iter().filter(|e| is_ready(e)) {
                let address = endpoint.addresses.first().map(String::as_str).unwrap_or_default();
                family.insert(identity(endpoint), address);
            }
        }
        let met = families.values().all(|found| found.len() == n) && (n == 0 || !families.is_empty());
        Verdict::met_if(met, || describe(&families))
    })
}

fn is_ready(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions
        .is_none_or(|c| c.ready != Some(false) && c.serving != Some(false) && c.terminating != Some(true))
}

fn identity(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|t| t.uid.clone());
    uid.unwrap_or_else(|| endpoint.addresses.join(" "))
}

fn describe(families: &BTreeMap<&str, BTreeMap<String, &str>>) -> String {
    let texts = families.iter().map(|(family, found)| {
        let some: Vec<&str> = found.values().take(NAMED).copied().collect();
        let more = if found.len() > NAMED { ", .." } else { "" };
        format!("{} ready by {family} [{}{more}]", found.len(), some.join(", "))
    });
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "0 ready: the Service has no endpoint slices".into() } else { texts.join(", ") }
}

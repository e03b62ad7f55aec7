//! Finds objects that are larger than the API server or etcd accepts.

use std::collections::BTreeMap;

use super::super::Place;
use super::super::faults::Faults;
use super::super::kinds::{group, is_own, pod_template};
use super::super::yaml::{Data, Node};
use super::Types;

/// Maximum bytes of the values of a ConfigMap or a Secret (pkg/apis/core: `MaxSecretSize`).
const DATA: usize = 1 << 20;
/// Maximum bytes of the keys and values of all annotations (apimachinery: `TotalAnnotationSizeLimitB`).
const ANNOTATIONS: usize = 256 << 10;
/// Maximum bytes of an object in etcd with its default settings (`DefaultMaxRequestBytes`).
const STORED: usize = 3 << 19;
/// Maximum bytes of a request's body (apiserver: `MaxRequestBodyBytes`).
const REQUEST: usize = 3 << 20;

/// Finds the parts of an object that are too large.
pub(super) fn check(node: &Node, types: &Types<'_>, place: &Place, faults: &mut Faults) {
    let line = |field: &str| node.entry(field).map_or(node.line, |entry| entry.line);
    let mut over = |line, what: &str, size: usize, limit: usize, whose: &str| {
        if size > limit {
            faults.wrong(
                place,
                line,
                format!("{what} {size} bytes, more than the {limit} that {whose} takes"),
            );
        }
    };
    if group(types.api_version).is_empty() && ["ConfigMap", "Secret"].contains(&types.kind) {
        over(line("data"), "its data has", data(node, types.kind), DATA, &format!("a {}", types.kind));
    }
    let annotations = |owner: &Node| {
        let entry = owner.get("metadata").and_then(|metadata| metadata.entry("annotations"));
        entry.map(|entry| {
            (entry.line, entry.value.entries().iter().map(|e| e.key.len() + size(&e.value)).sum())
        })
    };
    let template = pod_template(types.api_version, types.kind).filter(|path| !path.is_empty());
    let template = template.and_then(|path| path.split('.').try_fold(node, |node, step| node.get(step)));
    for owner in [Some(node), template].into_iter().flatten() {
        if let Some((line, size)) = annotations(owner) {
            over(line, "its annotations have", size, ANNOTATIONS, "an object");
        }
    }
    // Fields that only the server writes are not sent.
    let left_out =
        [node.get("status"), node.get("metadata").and_then(|metadata| metadata.get("managedFields"))];
    let of = |size: &dyn Fn(&Node) -> usize| {
        size(node) - left_out.iter().flatten().map(|part| size(part)).sum::<usize>()
    };
    let sent = of(&json);
    // Kubernetes' own kinds are stored as protobuf, without field names; all others as JSON.
    let stored = if is_own(types.api_version) { of(&|part| texts(part, types)) } else { sent };
    match sent > REQUEST {
        true => over(node.line, "a request with it has", sent, REQUEST, "an API server"),
        false => over(node.line, "the object has", stored, STORED, "etcd, as the API server starts it,"),
    }
}

/// The bytes of all values as the API server counts them: a `stringData` value of a Secret replaces `data` of that key.
fn data(node: &Node, kind: &str) -> usize {
    let (texts, bytes) = if kind == "Secret" { ("stringData", "data") } else { ("data", "binaryData") };
    let mut sizes = BTreeMap::new();
    let of = |field: &str| node.get(field).into_iter().flat_map(|field| field.entries());
    sizes
        .extend(of(bytes).map(|entry| (&entry.key, entry.value.text().map_or(0, encoded).saturating_sub(2))));
    sizes.extend(of(texts).map(|entry| (&entry.key, size(&entry.value))));
    sizes.values().sum()
}

/// The number of bytes that a base64 text encodes, at most two too many. The server ignores line ends in it (Go's
/// encoding/base64).
fn encoded(text: &str) -> usize {
    text.bytes().filter(|byte| !b"\r\n".contains(byte)).count() / 4 * 3
}

fn size(node: &Node) -> usize {
    node.text().map_or(0, str::len)
}

/// The bytes of all texts: a lower bound of the stored size in either encoding.
fn texts(node: &Node, types: &Types<'_>) -> usize {
    let is_encoded = types.kind == "Secret" || types.kind == "ConfigMap";
    match &node.data {
        // Base64 values are stored decoded.
        Data::Text(text) if is_encoded => encoded(text),
        Data::Text(text) => text.len(),
        Data::List(items) => items.iter().map(|item| texts(item, types)).sum(),
        Data::Map(entries) => entries.iter().map(|entry| texts(&entry.value, types)).sum(),
        _ => 0,
    }
}

/// A lower bound of the bytes of the node as JSON.
fn json(node: &Node) -> usize {
    match &node.data {
        Data::Null => 4,
        Data::Bool(..) => 4,
        Data::Number(..) => 1,
        Data::Text(text) => text.len() + 2,
        Data::List(items) => items.iter().map(|item| json(item) + 1).sum::<usize>() + 1,
        Data::Map(entries) => entries.iter().map(|e| e.key.len() + json(&e.value) + 4).sum::<usize>() + 1,
    }
}

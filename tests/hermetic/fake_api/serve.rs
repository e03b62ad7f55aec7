//! The HTTP side: paths to objects, and watches.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::kinds::{self, Kind};
use super::store::{Change, managed};
use super::{Shared, Trouble};

type Parameters = HashMap<String, String>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(answer).with_state(shared)
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    Query(parameters): Query<Parameters>,
    body: Bytes,
) -> Response {
    shared.requests.lock().unwrap().push(format!("{method} {uri}"));
    let watch = parameters.get("watch").is_some_and(|w| w == "true");
    if let Some(trouble) = shared.planned(method.as_str(), uri.path(), watch) {
        return in_trouble(&shared, trouble).await;
    }
    let segments: Vec<&str> = uri.path().split('/').filter(|s| !s.is_empty()).collect();
    let (kind, namespace, name) = match segments.as_slice() {
        ["api"] => return Json(kinds::discovery(true)).into_response(),
        ["apis"] => return Json(kinds::discovery(false)).into_response(),
        ["version"] => return Json(json!({"major": "1", "minor": "34", "gitVersion": "v1.34.4",
            "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})).into_response(),
        ["api", version, rest @ ..] => target("", version, rest),
        ["apis", group, version, rest @ ..] => target(group, version, rest),
        _ => (None, None, None),
    };
    let Some(kind) = kind else {
        return status(404, "NotFound", "the server could not find the requested resource");
    };
    let namespace = namespace.map(str::to_owned);
    match (method.as_str(), name) {
        ("GET", Some(name)) if segments.get(6) == Some(&"proxy") => {
            proxied(&shared, &format!("{}/{name}", namespace.unwrap_or_default()))
        }
        ("GET", Some(pod)) if segments.last() == Some(&"log") => {
            logged(shared, &namespace.unwrap_or_default(), pod, &parameters)
        }
        ("GET", None) if watch => watched(shared, kind, namespace, parameters),
        ("GET", None) => list(&shared, kind, namespace.as_deref(), &parameters),
        // An eviction without a configured trouble deletes the pod.
        ("POST", name) if segments.last() == Some(&"eviction") => {
            let namespace = namespace.unwrap_or_default();
            // Like the API, the fake drops fields that it does not know.
            let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
            let options = asked["deleteOptions"].to_string();
            let deleted = one(&shared, "DELETE", kind, &namespace, name, &parameters, options.as_bytes());
            match deleted.status().is_success() {
                true => Json(json!({"kind": "Status", "status": "Success"})).into_response(),
                false => deleted,
            }
        }
        (_, name) => {
            one(&shared, method.as_str(), kind, &namespace.unwrap_or_default(), name, &parameters, &body)
        }
    }
}

type Target<'p> = (Option<&'static Kind>, Option<&'p str>, Option<&'p str>);

fn target<'p>(group: &str, version: &str, rest: &[&'p str]) -> Target<'p> {
    match rest {
        ["namespaces", namespace, plural, name @ ..] => {
            (kinds::by_path(group, version, plural), Some(namespace), name.first().copied())
        }
        [plural, name @ ..] => (kinds::by_path(group, version, plural), None, name.first().copied()),
        [] => (None, None, None),
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a request")]
fn one(
    shared: &Shared,
    method: &str,
    kind: &'static Kind,
    namespace: &str,
    name: Option<&str>,
    parameters: &Parameters,
    body: &[u8],
) -> Response {
    let mut store = shared.store.lock().unwrap();
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let manager = parameters.get("fieldManager").map_or("", String::as_str);
    let name = name.or(body["metadata"]["name"].as_str()).unwrap_or_default().to_owned();
    let found = store.get(kind, namespace, &name).cloned();
    let missing = || status(404, "NotFound", &format!("{} \"{name}\" not found", kind.plural));
    let no_namespace = kind.namespaced && store.get(kinds::by_kind("Namespace"), "", namespace).is_none();
    let response = match (method, found) {
        ("POST" | "PATCH", _) if no_namespace => {
            status(404, "NotFound", &format!("namespaces \"{namespace}\" not found"))
        }
        ("GET", Some(object)) => Json(object).into_response(),
        ("POST", Some(_)) => {
            status(409, "AlreadyExists", &format!("{} \"{name}\" already exists", kind.plural))
        }
        ("POST", None) => {
            let mut body = complete(body, kind, namespace, &name);
            managed(&mut body, manager, "Update");
            (StatusCode::CREATED, Json(store.put(body))).into_response()
        }
        ("PATCH", found) => {
            let applies = found.is_some() || parameters.contains_key("fieldManager");
            let strict = parameters.get("fieldValidation").is_some_and(|v| v == "Strict");
            match unknown_field(kind, &body) {
                _ if !applies => missing(),
                Some(field) if strict => status(
                    500,
                    "",
                    &format!(
                        "failed to create typed patch object ({namespace}/{name}; {}, Kind={}): .spec.{field}: field not declared in schema",
                        kind.api_version(),
                        kind.kind
                    ),
                ),
                _ => {
                    let force = parameters.get("force").is_some_and(|f| f == "true");
                    // Patches other than apply never conflict.
                    let (manager, force) = (manager, force || manager.is_empty());
                    match store.apply(complete(body, kind, namespace, &name), manager, force) {
                        Ok(object) => Json(object).into_response(),
                        Err(causes) => conflict(&name, &causes),
                    }
                }
            }
        }
        ("DELETE", Some(object)) => {
            let asked = body["preconditions"]["uid"].as_str();
            if asked.is_some_and(|uid| object["metadata"]["uid"] != uid) {
                status(409, "Conflict", "the UID in the precondition does not match the UID in record")
            } else {
                Json(store.delete(kind, namespace, &name).unwrap()).into_response()
            }
        }
        (_, _) => missing(),
    };
    drop(store);
    shared.announce();
    response
}

fn complete(mut object: Value, kind: &Kind, namespace: &str, name: &str) -> Value {
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    object["metadata"]["name"] = json!(name);
    if kind.namespaced {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

/// The schema of a Deployment's spec stands for all schemas.
fn unknown_field(kind: &Kind, body: &Value) -> Option<String> {
    const KNOWN: [&str; 8] = [
        "minReadySeconds",
        "paused",
        "progressDeadlineSeconds",
        "replicas",
        "revisionHistoryLimit",
        "selector",
        "strategy",
        "template",
    ];
    let spec = body["spec"].as_object().filter(|_| kind.kind == "Deployment")?;
    spec.keys().find(|field| !KNOWN.contains(&field.as_str())).cloned()
}

fn list(shared: &Shared, kind: &'static Kind, namespace: Option<&str>, parameters: &Parameters) -> Response {
    let store = shared.store.lock().unwrap();
    let mut items = store.list(kind, namespace);
    items.retain(|object| selected(object, parameters));
    Json(json!({
        "apiVersion": kind.api_version(),
        "kind": format!("{}List", kind.kind),
        "metadata": {"resourceVersion": store.version().to_string()},
        "items": items,
    }))
    .into_response()
}

/// The answer of a Service through the API server's proxy.
fn proxied(shared: &Shared, service: &str) -> Response {
    match shared.services.lock().unwrap().get(service) {
        Some(code) => (StatusCode::from_u16(*code).unwrap(), "the answer of the Service").into_response(),
        None => {
            status(503, "ServiceUnavailable", &format!("no endpoints available for service \"{service}\""))
        }
    }
}

/// The log of a container. A followed log lasts until the container ends or the pod is deleted.
fn logged(shared: Arc<Shared>, namespace: &str, pod: &str, parameters: &Parameters) -> Response {
    let is = |name: &str| parameters.get(name).is_some_and(|v| v == "true");
    let container = parameters.get("container").cloned().unwrap_or_default();
    if shared.store.lock().unwrap().get(kinds::by_kind("Pod"), namespace, pod).is_none() {
        return status(404, "NotFound", &format!("pods \"{pod}\" not found"));
    }
    let key = format!("{namespace}/{pod}/{container}{}", if is("previous") { "/previous" } else { "" });
    if !is("follow") {
        let text = shared.logs.lock().unwrap().get(&key).map(|log| log.0.clone());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let tail = parameters.get("tailLines").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        return lines[lines.len().saturating_sub(tail)..].concat().into_response();
    }
    let changed = shared.changed.subscribe();
    let lines = futures::stream::unfold((shared, key, 0, changed), async |(shared, key, at, mut changed)| {
        loop {
            changed.borrow_and_update();
            let (text, ended) = shared.logs.lock().unwrap().get(&key).cloned().unwrap_or_default();
            if text.len() > at {
                // A server with small buffers sends a line in pieces.
                let until = text.len().min(at + 7);
                let piece = text.as_bytes()[at..until].to_vec();
                return Some((Ok::<_, Infallible>(piece), (shared, key, until, changed)));
            }
            if ended {
                return None;
            }
            changed.changed().await.ok()?;
        }
    });
    Body::from_stream(lines).into_response()
}

struct Watch {
    shared: Arc<Shared>,
    kind: &'static Kind,
    namespace: Option<String>,
    parameters: Parameters,
    at: u64,
    ends: tokio::time::Instant,
    changed: tokio::sync::watch::Receiver<u64>,
    over: bool,
}

fn watched(
    shared: Arc<Shared>,
    kind: &'static Kind,
    namespace: Option<String>,
    parameters: Parameters,
) -> Response {
    let number = |name: &str| parameters.get(name).and_then(|v| v.parse::<u64>().ok());
    let seconds = number("timeoutSeconds").unwrap_or(290);
    let watch = Watch {
        at: number("resourceVersion").unwrap_or(0),
        ends: tokio::time::Instant::now() + Duration::from_secs(seconds),
        changed: shared.changed.subscribe(),
        over: false,
        shared,
        kind,
        namespace,
        parameters,
    };
    let lines = futures::stream::unfold(watch, async |mut watch| {
        let lines = watch.next().await?;
        Some((Ok::<_, Infallible>(lines), watch))
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response()
}

impl Watch {
    /// The next events as lines; none after the watch has ended.
    async fn next(&mut self) -> Option<String> {
        while !self.over {
            self.changed.borrow_and_update();
            let lines = self.lines();
            if !lines.is_empty() {
                return Some(lines);
            }
            let changed = tokio::time::timeout_at(self.ends, self.changed.changed()).await;
            self.over = changed.is_err();
        }
        None
    }

    fn lines(&mut self) -> String {
        let store = self.shared.store.lock().unwrap();
        if store.is_expired(self.at) {
            self.over = true;
            return expired();
        }
        let since = store.since(self.at);
        let ours = since.iter().filter(|c| self.is_ours(c));
        let lines: String = ours.map(|c| line(c.verb, &c.object)).collect();
        let passed = store.version() > self.at;
        self.at = store.version();
        let bookmarks = self.parameters.get("allowWatchBookmarks").is_some_and(|v| v == "true");
        if lines.is_empty() && passed && bookmarks {
            return line(
                "BOOKMARK",
                &json!({
                    "apiVersion": self.kind.api_version(),
                    "kind": self.kind.kind,
                    "metadata": {"resourceVersion": self.at.to_string()},
                }),
            );
        }
        lines
    }

    fn is_ours(&self, change: &Change) -> bool {
        change.kind == self.kind
            && self.namespace.as_ref().is_none_or(|n| change.object["metadata"]["namespace"] == n.as_str())
            && selected(&change.object, &self.parameters)
    }
}

fn line(verb: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": verb, "object": object}))
}

fn expired() -> String {
    line(
        "ERROR",
        &json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "too old resource version", "reason": "Expired", "code": 410,
        }),
    )
}

fn selected(object: &Value, parameters: &Parameters) -> bool {
    let terms = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    let holds = |term: &str, value: &dyn Fn(&str) -> Option<String>| match term.split_once("!=") {
        Some((key, other)) => value(key).as_deref() != Some(other),
        None => match term.replace("==", "=").split_once('=') {
            Some((key, wanted)) => value(key).as_deref() == Some(wanted),
            None => value(term).is_some(),
        },
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let label = |key: &str| text(&object["metadata"]["labels"][key]);
    let field = |key: &str| text(object.pointer(&format!("/{}", key.replace('.', "/")))?);
    let all = |terms: String, value: &dyn Fn(&str) -> Option<String>| {
        terms.split(',').filter(|t| !t.is_empty()).all(|t| holds(t, value))
    };
    all(terms("labelSelector"), &label) && all(terms("fieldSelector"), &field)
}

async fn in_trouble(shared: &Shared, trouble: Trouble) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    match trouble {
        Trouble::Code(code) => status(code, "", "planned trouble"),
        Trouble::TooMany { retry_after } => {
            let body = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 429,
                "message": "too many requests", "reason": "TooManyRequests",
                "details": {"retryAfterSeconds": retry_after},
            });
            let header = [(header::RETRY_AFTER, retry_after.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, header, Json(body)).into_response()
        }
        Trouble::Hang => std::future::pending().await,
        Trouble::Reset => {
            shared.cut();
            std::future::pending().await
        }
        Trouble::Silent => {
            let nothing = futures::stream::pending::<Result<String, Infallible>>();
            (json, Body::from_stream(nothing)).into_response()
        }
        Trouble::Expired => (json, expired()).into_response(),
    }
}

fn conflict(name: &str, causes: &[Value]) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 409,
        "message": format!("Apply failed with {} conflicts", causes.len()), "reason": "Conflict",
        "details": {"name": name, "causes": causes},
    });
    (StatusCode::CONFLICT, Json(body)).into_response()
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

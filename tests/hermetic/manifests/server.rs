//! An API server whose kinds change: definitions add kinds, and an aggregated API server is unavailable.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use seatrial::client::Client;
use serde_json::{Value, json};

#[derive(Default)]
pub(super) struct Server {
    /// The discovery's groups besides the core group: name, versions, and the kinds of all versions.
    pub(super) groups: Mutex<Vec<Value>>,
    /// APIServices.
    pub(super) services: Vec<Value>,
    /// The `fieldsV1` of applied objects.
    pub(super) fields: Value,
    pub(super) requests: Mutex<Vec<String>>,
    /// Applied and created objects, by path.
    pub(super) stored: Mutex<Vec<(String, Value)>>,
}

pub(super) fn group(name: &str, versions: &[&str], kinds: &[(&str, &str, &str)]) -> Value {
    let resources: Vec<Value> = kinds
        .iter()
        .map(|(kind, plural, scope)| {
            json!({"resource": plural, "responseKind": {"kind": kind}, "scope": scope, "verbs": ["get", "patch"]})
        })
        .collect();
    let versions: Vec<Value> = versions
        .iter()
        .map(|v| json!({"version": v, "freshness": "Current", "resources": resources}))
        .collect();
    json!({"metadata": {"name": name}, "versions": versions})
}

impl Server {
    pub(super) async fn start(self) -> (Arc<Self>, Client) {
        let server = Arc::new(self);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&server));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let unary = kube::Client::try_from(kube::Config::new(uri)).unwrap();
        (server, Client { stream: unary.clone(), unary, server: String::new() })
    }

    /// The requests that change something.
    pub(super) fn changes(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|r| !r.starts_with("GET"))
            .map(|r| r.split('?').next().unwrap().to_owned())
            .collect()
    }

    fn list(&self, path: &str) -> Value {
        let stored = self.stored.lock().unwrap();
        let items: Vec<&Value> =
            stored.iter().filter(|(at, _)| at.starts_with(path)).map(|(_, o)| o).collect();
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})
    }
}

async fn answer(State(server): State<Arc<Server>>, method: Method, uri: Uri, body: Bytes) -> Response {
    server.requests.lock().unwrap().push(format!("{method} {uri}"));
    let path = uri.path().to_owned();
    let mut object: Value = serde_json::from_slice(&body).unwrap_or_default();
    let discovery = |items: &Vec<Value>| {
        Json(json!({"apiVersion": "apidiscovery.k8s.io/v2", "kind": "APIGroupDiscoveryList", "items": items}))
    };
    match (method.as_str(), path.as_str()) {
        (_, "/api") => {
            let kinds = [("ConfigMap", "configmaps", "Namespaced"), ("Pod", "pods", "Namespaced")];
            discovery(&vec![group("", &["v1"], &kinds)]).into_response()
        }
        (_, "/apis") => discovery(&server.groups.lock().unwrap()).into_response(),
        (_, "/apis/apiregistration.k8s.io/v1/apiservices") => {
            Json(json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIServiceList", "metadata": {}, "items": server.services})).into_response()
        }
        ("GET", _) if uri.query().is_some_and(|q| q.contains("watch=true")) => {
            Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>()).into_response()
        }
        ("PATCH", _) => {
            object["metadata"]["uid"] = json!(path);
            object["metadata"]["managedFields"] =
                json!([{"manager": "seatrial", "operation": "Apply", "fieldsV1": server.fields}]);
            // A field of a disabled feature, and a value that equals none.
            let containers = object.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
                container.remove("gated");
                container.remove("tty");
            }
            if object["kind"] == "CustomResourceDefinition" {
                object["status"] = json!({"conditions": [{"type": "Established", "status": "True"}],
                    "acceptedNames": {"kind": "", "plural": ""}, "storedVersions": []});
                let ships = [("Ship", "ships", "Namespaced")];
                server.groups.lock().unwrap().push(group("example.test", &["v1"], &ships));
            }
            server.stored.lock().unwrap().push((path, object.clone()));
            Json(object).into_response()
        }
        ("POST", _) => {
            let mut stored = server.stored.lock().unwrap();
            let name = format!("{}x{}", object["metadata"]["generateName"].as_str().unwrap(), stored.len());
            object["metadata"]["name"] = json!(name);
            object["metadata"]["uid"] = json!(name);
            object["metadata"]["managedFields"] = json!([{"manager": "seatrial", "operation": "Update"}]);
            stored.push((format!("{path}/{name}"), object.clone()));
            (StatusCode::CREATED, Json(object)).into_response()
        }
        ("DELETE", _) => {
            server.stored.lock().unwrap().retain(|(at, _)| *at != path);
            Json(json!({"kind": "Status", "status": "Success"})).into_response()
        }
        _ => {
            let found =
                server.stored.lock().unwrap().iter().find(|(at, _)| *at == path).map(|(_, o)| o.clone());
            // The path after group and version: a namespace, the plural, a name.
            let skipped = if path.starts_with("/apis/") { 3 } else { 2 };
            let is_one = path.split('/').skip(1 + skipped).count().is_multiple_of(2);
            match found {
                Some(object) => Json(object).into_response(),
                None if !is_one => Json(server.list(&path)).into_response(),
                None => {
                    let gone = json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound",
                        "message": "not found"});
                    (StatusCode::NOT_FOUND, Json(gone)).into_response()
                }
            }
        }
    }
}

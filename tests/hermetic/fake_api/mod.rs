//! A fake Kubernetes API server on a real socket: objects, watches, server-side apply, and the troubles that real
//! servers cause. It has no controllers: a test plays them with [`FakeApi::put`].

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use seatrial::client::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

mod connection;
mod kinds;
mod serve;
mod store;

use connection::Cuttable;
use store::Store;

/// A running server. It ends with its runtime.
#[derive(Clone)]
pub struct FakeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    store: Mutex<Store>,
    changed: tokio::sync::watch::Sender<u64>,
    troubles: Mutex<Vec<Planned>>,
    requests: Mutex<Vec<String>>,
    /// Output of containers by `namespace/pod/container`, and whether each container has ended.
    logs: Mutex<std::collections::BTreeMap<String, (String, bool)>>,
    /// Answers of Services through the API server's proxy, by `namespace/scheme:service:port`.
    services: Mutex<std::collections::BTreeMap<String, u16>>,
    connections: Mutex<tokio_util::sync::CancellationToken>,
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// An answer with this status code and a `Status` body.
    Code(u16),
    /// 429 with `Retry-After` in header and body.
    TooMany {
        /// Seconds.
        retry_after: u32,
    },
    /// No answer, ever.
    Hang,
    /// Every connection of the server is reset, this request's among them.
    Reset,
    /// A watch that is accepted and never says anything.
    Silent,
    /// A watch that ends at once with an `ERROR` event 410.
    Expired,
}

struct Planned {
    method: &'static str,
    path: String,
    watch: bool,
    times: usize,
    trouble: Trouble,
}

impl FakeApi {
    /// Starts a server with the namespaces `default` and `kube-system`.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            changed: tokio::sync::watch::channel(0).0,
            troubles: Mutex::default(),
            requests: Mutex::default(),
            logs: Mutex::default(),
            services: Mutex::default(),
            connections: Mutex::default(),
        });
        let app = serve::router(Arc::clone(&shared));
        let listener = Cuttable { listener, shared: Arc::clone(&shared) };
        tokio::spawn(async move { axum::serve(listener, app).await });
        let fake = Self { address, shared };
        for name in ["default", "kube-system"] {
            fake.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        }
        fake
    }

    /// A kubeconfig for it.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: fake\n\
             clusters: [{{name: fake, cluster: {{server: \"http://{}\"}}}}]\n\
             contexts: [{{name: fake, context: {{cluster: fake, user: fake}}}}]\n\
             users: [{{name: fake, user: {{}}}}]\n",
            self.address
        )
    }

    /// Real clients of it.
    pub async fn client(&self) -> Client {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.kubeconfig()).unwrap();
        Client::from_kubeconfig(file.path()).await.unwrap()
    }

    /// Stores an object as a controller would, status included. Adds a missing uid, generation and creation time. An
    /// object that is being deleted and has no finalizers is removed.
    pub fn put(&self, object: Value) -> Value {
        let stored = self.store().put(object);
        self.announce();
        stored
    }

    /// Changes a stored object.
    pub fn change(&self, kind: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut object = self.get(kind, namespace, name).unwrap_or_else(|| panic!("no {kind} {name}"));
        change(&mut object);
        self.put(object)
    }

    /// A stored object; `namespace` is empty for a cluster-scoped one.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.store().get(kinds::by_kind(kind), namespace, name).cloned()
    }

    /// Removes an object at once, finalizers or not.
    pub fn remove(&self, kind: &str, namespace: &str, name: &str) {
        self.store().remove(kinds::by_kind(kind), namespace, name);
        self.announce();
    }

    /// Appends to a container's output, and lets the container continue or end. The key is `namespace/pod/container`,
    /// with `/previous` if a later instance runs.
    pub fn print(&self, container: &str, text: &str, ends: bool) {
        let mut logs = self.shared.logs.lock().unwrap();
        let log = logs.entry(container.into()).or_default();
        log.0.push_str(text);
        log.1 = ends;
        drop(logs);
        self.announce();
    }

    /// Sets the status with which a Service answers through the API server's proxy. Without a status the Service has
    /// no endpoints.
    pub fn answer(&self, service: &str, code: Option<u16>) {
        let mut services = self.shared.services.lock().unwrap();
        match code {
            Some(code) => _ = services.insert(service.into(), code),
            None => _ = services.remove(service),
        }
    }

    /// Ends every open watch with an `ERROR` event 410, and refuses all resource versions so far.
    pub fn expire(&self) {
        self.store().expire();
        self.announce();
    }

    /// Resets every open connection.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Lets the next `times` requests of this method whose path contains `path` meet `trouble`: watches only, or
    /// everything except watches.
    #[expect(clippy::too_many_arguments, reason = "a line of a test says all of it")]
    pub fn trouble(&self, method: &'static str, path: &str, watch: bool, times: usize, trouble: Trouble) {
        let planned = Planned { method, path: path.into(), watch, times, trouble };
        self.shared.troubles.lock().unwrap().push(planned);
    }

    /// Every request so far: method, path and query.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.store.lock().unwrap()
    }

    fn announce(&self) {
        self.shared.announce();
    }
}

impl Shared {
    fn announce(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    fn cut(&self) {
        std::mem::take(&mut *self.connections.lock().unwrap()).cancel();
    }

    fn planned(&self, method: &str, path: &str, watch: bool) -> Option<Trouble> {
        let mut troubles = self.troubles.lock().unwrap();
        let fits = |p: &&mut Planned| {
            p.times > 0 && p.method == method && p.watch == watch && path.contains(&p.path)
        };
        let planned = troubles.iter_mut().find(fits)?;
        planned.times -= 1;
        Some(planned.trouble)
    }
}

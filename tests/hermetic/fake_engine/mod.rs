//! A fake Docker engine: a unix socket, a few containers with their states, and troubles on request. It keeps
//! Docker's rules if tests depend on them: status codes, the lowest free address for a container that starts, no
//! address for a container that does not run.

mod http;
mod shell;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::node::{Node, ROLE_LABEL, Role};
use serde_json::json;
use tokio::net::UnixListener;

pub use state::{FakeContainer, State};

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// No answer, ever.
    Hang,
    /// The answer comes late.
    Slow(Duration),
    /// This status and message, without doing anything.
    Status(u16, &'static str),
    /// The request is carried out, and this is the answer.
    DoneBut(u16, &'static str),
    /// The connection closes without an answer.
    Reset,
    /// The request is carried out, and the connection closes without an answer.
    DoneButReset,
    /// The answer is shorter than its announced length.
    Cut,
    /// Status 200 with a body that is not JSON.
    Garbage,
}

/// The fake; it ends when dropped.
pub struct FakeEngine {
    state: Arc<Mutex<State>>,
    dir: tempfile::TempDir,
    serving: tokio::task::JoinHandle<()>,
}

impl FakeEngine {
    /// An engine with these containers, all running.
    pub fn with(containers: &[&str]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let listener = UnixListener::bind(dir.path().join("engine.sock"))?;
        let mut state = State::default();
        for name in containers {
            state.add(name);
        }
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(http::serve(stream, Arc::clone(&shared)));
            }
        });
        Ok(Self { state, dir, serving })
    }

    /// Its address, as DOCKER_HOST has it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("engine.sock").display())
    }

    /// The folder of the socket, also for a test's own files.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// A client with 2 s for each call.
    pub async fn client(&self) -> anyhow::Result<Engine> {
        let engine = Engine::connect(&self.host()).await.context("the fake answers")?;
        Ok(engine.at_most(Duration::from_secs(2)))
    }

    /// A cluster: worker `w` with a pod `ns/p` on it, and control planes of these names.
    pub fn cluster(control_planes: &[&str]) -> anyhow::Result<Self> {
        let fake = Self::with(&[&["w"], control_planes].concat())?;
        for plane in control_planes {
            fake.change(plane, |c| drop(c.labels.insert(ROLE_LABEL.into(), "control-plane".into())));
        }
        let pod = json!({ "metadata": { "name": "p", "uid": "u1" }, "spec": { "nodeName": "w" } });
        fake.state().objects.insert("/api/v1/namespaces/ns/pods/p".into(), pod);
        let node = json!({ "metadata": { "name": "w" }, "spec": {} });
        fake.state().objects.insert("/api/v1/nodes/w".into(), node);
        for plane in control_planes {
            fake.node_is(plane, "True");
        }
        Ok(fake)
    }

    /// What the API shows of a control plane's node.
    pub fn node_is(&self, plane: &str, ready: &str) {
        let node = json!({
            "metadata": { "name": plane },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        });
        self.state().objects.insert(format!("/api/v1/nodes/{plane}"), node);
    }

    /// A client's view of one of its control planes.
    pub async fn plane(&self, name: &str) -> anyhow::Result<Node> {
        Ok(Node::new(self.client().await?, name, Role::ControlPlane))
    }

    /// A client's view of one of its containers.
    pub async fn node(&self, name: &str) -> anyhow::Result<Node> {
        Ok(Node::new(self.client().await?, name, Role::Worker))
    }

    /// The next `times` requests whose `METHOD /path` contains `part` go wrong.
    pub fn trouble(&self, part: &'static str, trouble: Trouble, times: usize) {
        self.state().troubles.extend(std::iter::repeat_n((part, trouble), times));
    }

    /// Reads or changes the fake's state.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Changes one container without a request.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut FakeContainer)) {
        change(self.state().containers.get_mut(name).expect("there is such a container"));
    }

    /// The requests so far that change a container. The effect of commands in a container is visible elsewhere.
    pub fn changes(&self) -> Vec<String> {
        let all = self.state().requests.clone();
        let reads = |r: &String| ["GET", "HEAD", "POST /exec/"].iter().any(|verb| r.starts_with(verb));
        all.into_iter().filter(|r| !reads(r) && !r.ends_with("/exec")).collect()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pause(time: Duration) {
    Deadline::after(time).pause(time).await;
}

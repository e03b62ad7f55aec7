//! The fake's state, and its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::Timestamp;
use seatrial::node::{CLUSTER_LABEL, NETWORK, OWNER_LABEL, Power, ROLE_LABEL};
use serde_json::{Value, json};

use super::{Trouble, shell};

#[derive(Default)]
pub struct State {
    /// How many seconds its clock is ahead of the test's.
    pub ahead: jiff::SignedDuration,
    pub containers: BTreeMap<String, FakeContainer>,
    pub requests: Vec<String>,
    pub troubles: Vec<(&'static str, Trouble)>,
    /// Output and exit code of commands, by their last word.
    pub commands: BTreeMap<String, (i64, &'static str, &'static str)>,
    /// Objects of the cluster's API by path, as `kubectl --raw` in a control plane shows them.
    pub objects: BTreeMap<String, Value>,
    /// Replacements of objects that are refused from now on, as if somebody else had changed the objects.
    pub conflicts: usize,
    /// Its images by name, with their labels.
    pub images: BTreeMap<String, BTreeMap<String, String>>,
    /// The progress lines of a pull.
    pub steps: Vec<Value>,
    /// The engine's id. An id that begins with `random` changes with each request.
    pub id: String,
    execs: Vec<Exec>,
}

/// A command: its container, its words, and its state since it was started.
struct Exec {
    container: String,
    words: Vec<String>,
    done: (i64, String, String),
}

pub struct FakeContainer {
    pub id: String,
    pub labels: BTreeMap<String, String>,
    pub power: Power,
    pub exit_code: i64,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub address: Option<Ipv4Addr>,
    /// The container's network.
    pub network: String,
    /// Ends with this code as soon as it is started.
    pub ends_with: Option<i64>,
    /// Its processor quota in microseconds for each period of 100 000; 0 and less mean no quota.
    pub quota: i64,
    /// The kernel still throttles its processes, whatever the engine reports as quota.
    pub held_back: bool,
    /// A folder of the test in the role of the container's disk. Shells and `head` really run, with `/mnt` in this
    /// folder.
    pub disk: Option<std::path::PathBuf>,
    /// Faults that scripts made in the container. Those in memory are lost when it stops.
    pub broken: BTreeSet<String>,
    /// Whether its API server is ready.
    pub serves: bool,
    /// Contents of files by path, as commands in it read them.
    pub files: BTreeMap<String, String>,
}

pub struct Answer {
    pub code: u16,
    pub headers: String,
    pub body: Vec<u8>,
    pub upgrade: bool,
}

impl Answer {
    pub fn status(code: u16, message: &str) -> Self {
        let body =
            if message.is_empty() { Vec::new() } else { json!({ "message": message }).to_string().into() };
        Self { code, headers: String::new(), body, upgrade: false }
    }

    fn json(value: Value) -> Self {
        Self { body: value.to_string().into(), ..Self::status(200, "") }
    }
}

impl State {
    /// A running container with the labels of a worker of ours.
    pub fn add(&mut self, name: &str) {
        let labels = [(OWNER_LABEL, "test"), (CLUSTER_LABEL, "three"), (ROLE_LABEL, "worker")];
        let container = FakeContainer {
            id: format!("id-{name}-{}", self.requests.len()),
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            power: Power::Running,
            exit_code: 0,
            started_at: Timestamp::now(),
            finished_at: None,
            address: self.lowest_free(),
            network: NETWORK.to_owned(),
            ends_with: None,
            quota: 0,
            held_back: false,
            disk: None,
            broken: BTreeSet::new(),
            serves: true,
            files: BTreeMap::new(),
        };
        self.containers.insert(name.into(), container);
    }

    pub fn answer(&mut self, line: &str, body: &[u8]) -> Answer {
        let (method, target) = line.split_once(' ').unwrap_or((line, ""));
        let path = target.split('?').next().unwrap_or(target);
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("GET", ["version"]) => {
                let name = if self.commands.contains_key("be podman") { "Podman Engine" } else { "Engine" };
                let parts =
                    json!([{ "Name": name, "Version": "5.4.2" }, { "Name": "Conmon", "Version": "2.1.12" }]);
                Answer::json(
                    json!({ "Version": "28.0.0", "ApiVersion": self.api_version(), "Components": parts }),
                )
            }
            ("GET", ["info"]) => Answer::json(json!({
                "ID": self.who(), "Name": "fake", "NCPU": 4, "MemTotal": 1 << 30, "Driver": "overlay2", "CgroupVersion": "2",
                "OperatingSystem": "Fake", "DockerRootDir": "/var/lib/docker",
                "SystemTime": (Timestamp::now() + self.ahead).to_string(),
                "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"],
            })),
            ("GET", ["containers", "json"]) => {
                let all =
                    self.containers.values().map(|c| json!({ "Id": c.id, "Labels": c.labels })).collect();
                Answer::json(Value::Array(all))
            }
            ("GET", ["exec", id, "json"]) => {
                let code = self.exec(id).map_or(127, |exec| exec.done.0);
                Answer::json(json!({ "ID": id, "Running": false, "ExitCode": code }))
            }
            ("POST", ["exec", id, "start"]) => {
                let (_, out, err) = self.run(id, body);
                let body = [frame(1, &out), frame(2, &err)].concat();
                Answer { body, upgrade: true, ..Answer::status(101, "") }
            }
            ("GET" | "HEAD", ["containers", name, "archive"]) if self.disk(name).is_some() => {
                let disk = self.disk(name).expect("it was there");
                shell::archive(&disk, target)
                    .unwrap_or_else(|| Answer::status(404, "Could not find the file"))
            }
            (_, ["containers", name, rest @ ..]) => match self.name(name) {
                Some(name) => self.container(method, &name, rest, body),
                None => Answer::status(404, "No such container"),
            },
            ("GET", ["images", name @ .., "json"]) => match self.images.get(&name.join("/")) {
                Some(labels) => Answer::json(json!({ "Id": "sha256:fake", "Config": { "Labels": labels } })),
                None => Answer::status(404, "No such image"),
            },
            ("POST", ["images", "create"]) => {
                let body = self.steps.iter().map(|step| format!("{step}\n")).collect::<String>().into();
                Answer { body, ..Answer::status(200, "") }
            }
            (_, ["images", ..]) => Answer::status(404, "No such image"),
            ("DELETE", ["networks", name]) if self.containers.values().any(|c| c.network == *name) => {
                Answer::status(403, "network has active endpoints")
            }
            (_, ["networks", ..]) => Answer::status(404, "No such network"),
            _ => Answer::status(400, "the fake does not know this"),
        }
    }

    fn disk(&self, name_or_id: &str) -> Option<std::path::PathBuf> {
        self.containers[&self.name(name_or_id)?].disk.clone()
    }

    fn container(&mut self, method: &str, name: &str, rest: &[&str], body: &[u8]) -> Answer {
        let free = self.lowest_free();
        let container = self.containers.get_mut(name).expect("the caller found it");
        let power = container.power;
        let down = matches!(power, Power::Exited | Power::Created | Power::Dead);
        match (method, rest) {
            ("GET", ["json"]) => Answer::json(container.json(name)),
            ("POST", ["stop" | "start"]) if (rest == ["stop"]) == down => Answer::status(304, ""),
            ("POST", ["stop"]) => container.to(Power::Exited, 130),
            ("POST", ["start"]) if power == Power::Paused => {
                Answer::status(409, "cannot start a paused container, try unpause instead")
            }
            ("POST", ["start"]) => {
                container.started_at = Timestamp::now();
                container.address = free;
                match container.ends_with {
                    Some(code) => container.to(Power::Exited, code),
                    None => container.to(Power::Running, 0),
                }
            }
            ("POST", ["kill"]) if down => Answer::status(409, "container is not running"),
            ("POST", ["kill"]) => container.to(Power::Exited, 137),
            ("POST", ["pause"]) if power == Power::Running => container.to(Power::Paused, 0),
            ("POST", ["pause"]) if power == Power::Paused => Answer::status(409, "is already paused"),
            ("POST", ["pause"]) => Answer::status(409, "container is not running"),
            ("POST", ["unpause"]) if power == Power::Paused => container.to(Power::Running, 0),
            ("POST", ["unpause"]) => Answer::status(500, "container is not paused"),
            ("POST", ["exec"]) if power == Power::Running => {
                let asked: Value = serde_json::from_slice(body).unwrap_or_default();
                let words = asked["Cmd"].as_array().into_iter().flatten();
                let words = words.filter_map(|w| w.as_str().map(str::to_owned)).collect();
                self.execs.push(Exec {
                    container: name.into(),
                    words,
                    done: (127, String::new(), String::new()),
                });
                Answer { code: 201, ..Answer::json(json!({ "Id": (self.execs.len() - 1).to_string() })) }
            }
            ("POST", ["exec"]) => Answer::status(409, "container is not running"),
            ("POST", ["update"]) => {
                let asked: Value = serde_json::from_slice(body).unwrap_or_default();
                container.quota = asked["CpuQuota"].as_i64().unwrap_or_default();
                Answer::json(json!({ "Warnings": null }))
            }
            ("GET" | "HEAD", ["archive"]) => Answer::status(404, "Could not find the file"),
            ("GET", ["logs"]) => Answer { body: frame(1, "entrypoint: failed\n"), ..Answer::status(200, "") },
            ("DELETE", []) => {
                self.containers.remove(name);
                Answer::status(204, "")
            }
            _ => Answer::status(400, "the fake does not know this"),
        }
    }

    fn who(&self) -> String {
        match self.id.as_str() {
            id if id.starts_with("random") => format!("{id}-{}", self.requests.len()),
            "" => "FAKE:ENGINE".into(),
            id => id.into(),
        }
    }

    fn api_version(&self) -> &'static str {
        if self.commands.contains_key("be old") { "1.40" } else { "1.45" }
    }

    /// Whether a command reads the input that its caller writes. Supervised commands get no input.
    pub fn reads(&self, line: &str) -> bool {
        let id = line.strip_prefix("POST /exec/").and_then(|rest| rest.strip_suffix("/start"));
        let exec = id.and_then(|id| self.exec(id));
        exec.is_some_and(|exec| exec.words.iter().any(|w| w == "-"))
    }

    fn exec(&self, id: &str) -> Option<&Exec> {
        id.parse().ok().and_then(|at: usize| self.execs.get(at))
    }

    fn run(&mut self, id: &str, input: &[u8]) -> (i64, String, String) {
        let Some(Exec { container, words, .. }) = self.exec(id) else { return Default::default() };
        let (container, words) = (container.clone(), words.clone());
        let last = words.last().cloned().unwrap_or_default();
        let done = match self.commands.get(&last) {
            Some((code, out, err)) => (*code, (*out).to_owned(), (*err).to_owned()),
            None => shell::run(self, &container, &words, input),
        };
        if let Some(exec) = id.parse().ok().and_then(|at: usize| self.execs.get_mut(at)) {
            exec.done = done.clone();
        }
        done
    }

    fn name(&self, name_or_id: &str) -> Option<String> {
        let named = |(name, c): &(&String, &FakeContainer)| *name == name_or_id || c.id == name_or_id;
        self.containers.iter().find(named).map(|(name, _)| name.clone())
    }

    fn lowest_free(&self) -> Option<Ipv4Addr> {
        let taken: Vec<Ipv4Addr> = self.containers.values().filter_map(|c| c.address).collect();
        (2..255).map(|last| Ipv4Addr::new(172, 18, 0, last)).find(|ip| !taken.contains(ip))
    }
}

impl FakeContainer {
    fn to(&mut self, power: Power, code: i64) -> Answer {
        (self.power, self.exit_code) = (power, code);
        if power == Power::Exited {
            self.finished_at = Some(Timestamp::now());
            self.address = None;
            // Faults on a disk stay.
            self.broken.retain(|fault| fault == "fill-disk");
        }
        Answer::status(204, "")
    }

    fn json(&self, name: &str) -> Value {
        let never = "0001-01-01T00:00:00Z".to_owned();
        let address = self.address.map(|ip| ip.to_string()).unwrap_or_default();
        json!({
            "Id": self.id,
            "Name": format!("/{name}"),
            "Image": "sha256:fake",
            "Config": { "Image": "fake:1", "Labels": self.labels, "StopSignal": "SIGRTMIN+3" },
            "State": {
                "Status": self.power.name(),
                "Running": matches!(self.power, Power::Running | Power::Paused),
                "Paused": self.power == Power::Paused,
                "Pid": if self.power == Power::Running { 4242 } else { 0 },
                "ExitCode": self.exit_code,
                "StartedAt": self.started_at.to_string(),
                "FinishedAt": self.finished_at.map_or(never, |t| t.to_string()),
            },
            "HostConfig": { "Tmpfs": { "/run": "" }, "CpuQuota": self.quota, "CpuPeriod": 100_000 },
            "NetworkSettings": {
                "Networks": { &self.network: { "IPAddress": address } },
                "Ports": { "6443/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "34567" }], "80/tcp": null },
            },
        })
    }
}

/// One frame of Docker's multiplexed streams (Docker API, ContainerAttach, "Stream format").
fn frame(stream: u8, text: &str) -> Vec<u8> {
    if text.is_empty() {
        return Vec::new();
    }
    let length = u32::try_from(text.len()).expect("test output is short").to_be_bytes();
    [&[stream, 0, 0, 0][..], &length, text.as_bytes()].concat()
}

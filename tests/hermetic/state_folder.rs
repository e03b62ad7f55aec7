//! A state folder of ours, and an engine with a container of the cluster [`NAME`]: the starting point of the tests
//! about ownership of clusters.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use seatrial::cluster::state::record::Record;
use seatrial::cluster::{
    Action, ClusterError, ClusterSpec, Clusters, Force, ListedState, ReapOptions, TopologySource,
};
use seatrial::config::{Settings, StateId};
use seatrial::deadline::Deadline;
use seatrial::exec::{Exec, ExecError};
use seatrial::image::{ImageSet, NodeImage};
use seatrial::node::CLUSTER_LABEL;
use seatrial::progress::Progress;

use crate::fake_engine::FakeEngine;

/// The cluster of the fake's container.
pub const NAME: &str = "three";
/// The file on a node that names its owner.
pub const MARK: &str = "/kind/seatrial-owner";

/// A deadline that no test here reaches.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

pub struct Ground {
    pub fake: FakeEngine,
    pub settings: Settings,
}

impl Ground {
    pub fn new() -> anyhow::Result<Self> {
        let fake = FakeEngine::with(&["three-worker"])?;
        let settings = settings(&fake.dir().join("ours"))?;
        StateId::of(&settings.state)?;
        Ok(Self { fake, settings })
    }

    /// The traces of a creation of ours: the record, and the owner mark on the first container of the cluster.
    pub fn recorded(&self, name: &str, change: impl FnOnce(&mut Record)) -> anyhow::Result<()> {
        let id = StateId::of(&self.settings.state)?;
        let text = format!("{{\"id\":\"{id}\",\"state\":\"{}\"}}", self.settings.state.display());
        let worker = format!("{name}-worker");
        let there = self.has(&worker);
        if there {
            self.fake.change(&worker, |c| _ = c.files.insert(MARK.into(), text));
        }
        let containers = there.then(|| (worker.clone(), self.id_of(&worker)));
        let dir = self.settings.cluster_dir(name);
        std::fs::create_dir_all(&dir)?;
        let mut record = Record {
            name: name.into(),
            topology: "three".into(),
            kubernetes: "1.34.4".into(),
            made_as: None,
            planned: None,
            image: "fake:1".into(),
            workloads: Vec::new(),
            created_at: Timestamp::now(),
            complete: true,
            addresses: BTreeMap::new(),
            containers: containers.into_iter().collect(),
            owner: Some(id),
            engine: Some("FAKE:ENGINE".into()),
            kept: false,
            made_by: None,
            proxies: None,
        };
        change(&mut record);
        Ok(record.write(&dir)?)
    }

    /// The same of [`NAME`], as a version wrote it that did not record the ids of containers.
    pub fn made(&self, change: impl FnOnce(&mut Record)) -> anyhow::Result<()> {
        self.recorded(NAME, |record| {
            record.containers.clear();
            change(record);
        })
    }

    pub fn mark(&self, text: &str) {
        self.fake.change("three-worker", |c| _ = c.files.insert(MARK.into(), text.into()));
    }

    pub fn aged(&self, by: SignedDuration) {
        self.fake.change("three-worker", |c| c.started_at = Timestamp::now() - by);
    }

    pub fn add(&self, container: &str, cluster: &str) {
        self.fake.state().add(container);
        self.fake.change(container, |c| _ = c.labels.insert(CLUSTER_LABEL.into(), cluster.into()));
    }

    pub fn id_of(&self, container: &str) -> String {
        self.fake.state().containers[container].id.clone()
    }

    pub fn has(&self, container: &str) -> bool {
        self.fake.state().containers.contains_key(container)
    }

    pub fn is_there(&self) -> bool {
        self.has("three-worker")
    }

    /// The clusters of this state folder, for a test.
    pub async fn clusters(&self) -> Clusters {
        self.clusters_on(&self.fake).await
    }

    async fn clusters_on(&self, fake: &FakeEngine) -> Clusters {
        let engine = fake.client().await.expect("the fake answers");
        Clusters::new(self.settings.clone(), engine, Progress::silent(), "test")
    }

    pub async fn reap(&self, options: ReapOptions) -> Result<Vec<Action>, ClusterError> {
        self.reap_on(&self.fake, options).await
    }

    pub async fn reap_on(
        &self,
        fake: &FakeEngine,
        options: ReapOptions,
    ) -> Result<Vec<Action>, ClusterError> {
        let done = self.clusters_on(fake).await.reap(options).await?;
        Ok(done.into_iter().map(|one| one.action).collect())
    }

    pub async fn down(&self, name: &str, force: Force) -> Result<(), ClusterError> {
        let deadline = Deadline::after(Duration::from_secs(5));
        self.clusters().await.delete(name, force, deadline).await
    }

    pub async fn list(&self) -> Result<Vec<(String, ListedState)>, ClusterError> {
        let all = self.clusters().await.list().await?;
        Ok(all.into_iter().map(|one| (one.name, one.state)).collect())
    }

    /// The command line's answer to these arguments.
    pub async fn said(&self, args: &[&str]) -> String {
        self.run(Exec::new(env!("CARGO_BIN_EXE_seatrial")), args).await
    }

    /// The same, with these environment variables.
    pub async fn said_with(&self, variables: &[(&str, &str)], args: &[&str]) -> String {
        let mut exec = Exec::new("/usr/bin/env");
        for (name, value) in variables {
            exec = exec.arg(format!("{name}={value}"));
        }
        self.run(exec.arg(env!("CARGO_BIN_EXE_seatrial")), args).await
    }

    /// The same, with SIGINT after this many seconds.
    pub async fn interrupted(&self, after: &str, args: &[&str]) -> String {
        self.signalled("INT", after, args).await
    }

    /// The same, with a signal after this many seconds.
    pub async fn signalled(&self, signal: &str, after: &str, args: &[&str]) -> String {
        let signal = format!("--signal={signal}");
        // Without `--foreground`, `timeout` sends the signal twice: to the program, and to its group.
        let args_of = ["--foreground", &signal, after, env!("CARGO_BIN_EXE_seatrial")];
        let exec = Exec::new("/usr/bin/timeout").args(args_of);
        self.run(exec, args).await
    }

    async fn run(&self, exec: Exec, args: &[&str]) -> String {
        let exec = exec
            .args(args.iter().copied())
            .clear_env()
            .env("HOME", self.fake.dir())
            .env("SEATRIAL_STATE", &self.settings.state)
            .env("SEATRIAL_CACHE", &self.settings.cache)
            .env("SEATRIAL_KIND", "true")
            .env("SEATRIAL_PROFILE", "current")
            .env("DOCKER_HOST", self.fake.host());
        match exec.run(Deadline::after(Duration::from_secs(60))).await {
            Ok(output) => format!("{}{}", output.stdout, output.stderr),
            Err(ExecError::Failed { stdout, stderr, .. }) => format!("{stdout}{stderr}"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The settings of an owner whose state folder is this one.
pub fn settings(state: &Path) -> anyhow::Result<Settings> {
    let variable = |name: &str| match name {
        "SEATRIAL_STATE" => Some(state.display().to_string()),
        "SEATRIAL_CACHE" => Some(state.join("cache").display().to_string()),
        "SEATRIAL_KIND" => Some("true".into()),
        _ => None,
    };
    Ok(Settings::resolve(variable)?)
}

/// A cluster without workload images.
pub fn spec(topology: &TopologySource) -> ClusterSpec {
    let node = NodeImage { reference: "node:1".into(), id: "1".into(), baked: true, built_from: "x".into() };
    let images = ImageSet {
        profile: "current".into(),
        because: "a test".into(),
        kubernetes: "1.34.4".into(),
        node,
        workloads: BTreeMap::new(),
    };
    ClusterSpec { topology: topology.read().unwrap(), images, cluster_suffix: None }
}

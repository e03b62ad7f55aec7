//! Commands are interrupted, terminated and killed at many moments. What they began is removed, or named with the
//! command that removes it; after SIGKILL, `reap` removes it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, ensure};
use bollard::query_parameters::{ListNetworksOptions, ListVolumesOptions};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use kube::Api;
use kube::api::ListParams;
use rustix::process::{Pid, Signal, kill_process};
use seatrial::cluster::{Clusters, Identity};
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::exec::Exec;
use seatrial::manifest::RUN_LABEL;
use seatrial::node::CLUSTER_LABEL;
use seatrial::progress::Progress;

use crate::session::variable;

/// A command has ended long before.
const LIFE: Duration = Duration::from_secs(600);

struct Yard {
    settings: Settings,
    engine: Engine,
    clusters: Clusters,
    tag: String,
    volumes: BTreeSet<String>,
    networks: BTreeSet<String>,
    _dir: tempfile::TempDir,
}

/// What a command said, its exit code in the last line.
struct Said(String);

impl Yard {
    async fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut settings = Settings::resolve(variable)?;
        settings.state = dir.path().join("state");
        let engine = Engine::connect(&settings.engine).await?;
        let clusters = Clusters::new(settings.clone(), engine.clone(), Progress::silent(), "a live test");
        let tag = Identity::of(&clusters).await?.tag();
        let (volumes, networks) = around(&engine).await?;
        Ok(Self { clusters, settings, engine, tag, volumes, networks, _dir: dir })
    }

    /// Runs the command; sends it the signal after this time, where one is given.
    async fn command(&self, words: &[&str], cut: Option<(Duration, Signal)>) -> anyhow::Result<Said> {
        let said = Mutex::new(String::new());
        let text = || said.lock().unwrap_or_else(|p| p.into_inner()).clone();
        let script = "\"$0\" \"$@\" & echo pid=$!; wait $!; echo rc=$?";
        let process = Exec::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_seatrial")])
            .args(words.iter())
            .env("SEATRIAL_STATE", &self.settings.state)
            .env("SEATRIAL_CACHE", &self.settings.cache)
            .env("CI", "")
            .run_with(Deadline::after(LIFE), |line| {
                let mut said = said.lock().unwrap_or_else(|p| p.into_inner());
                said.push_str(line);
                said.push('\n');
            });
        let signalled = async {
            let Some((after, signal)) = cut else { return std::future::pending().await };
            let limit = Deadline::after(LIFE);
            let pid = loop {
                let pid = text().lines().find_map(|l| l.strip_prefix("pid=")?.parse().ok());
                match pid.and_then(Pid::from_raw) {
                    Some(pid) => break pid,
                    None => limit.pause(Duration::from_millis(10)).await,
                }
            };
            limit.pause(after).await;
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = process => drop(ended.context("the shell failed")?),
            () = signalled => unreachable!("it never ends"),
        }
        Ok(Said(text()))
    }

    /// Clusters of this state folder that have containers.
    async fn clusters(&self) -> anyhow::Result<BTreeSet<String>> {
        let all = self.engine.containers(&[(CLUSTER_LABEL, "")]).await?;
        let names = all.into_iter().filter_map(|mut c| c.labels.remove(CLUSTER_LABEL));
        Ok(names.filter(|name| name.contains(&self.tag)).collect())
    }

    /// Nothing is there that was not there before.
    async fn as_before(&self) -> anyhow::Result<()> {
        ensure!(self.clusters().await?.is_empty(), "clusters: {:?}", self.clusters().await?);
        let (volumes, networks) = around(&self.engine).await?;
        let new: Vec<_> = volumes.difference(&self.volumes).collect();
        ensure!(new.is_empty(), "volumes: {new:?}");
        let new: Vec<_> = networks.difference(&self.networks).collect();
        ensure!(new.is_empty(), "networks: {new:?}");
        for folder in ["clusters", "leases"] {
            let left = names(&self.settings.state.join(folder));
            ensure!(left.is_empty(), "{folder}: {left:?}");
        }
        Ok(())
    }
}

/// Names of the engine's volumes and of its networks.
async fn around(engine: &Engine) -> anyhow::Result<(BTreeSet<String>, BTreeSet<String>)> {
    let docker = bollard::Docker::connect_with_host(engine.host())?;
    let volumes = docker.list_volumes(None::<ListVolumesOptions>).await?.volumes.unwrap_or_default();
    let networks = docker.list_networks(None::<ListNetworksOptions>).await?;
    let networks = networks.into_iter().filter_map(|n| n.name).filter(|name| name != "kind");
    Ok((volumes.into_iter().map(|v| v.name).collect(), networks.collect()))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

fn moments(seconds: &[f64]) -> impl Iterator<Item = Duration> {
    seconds.iter().map(|s| Duration::from_secs_f64(*s))
}

/// From before its first container to after its last word.
#[tokio::test(flavor = "multi_thread")]
async fn nightly_an_interrupted_up_leaves_nothing_unsaid() -> anyhow::Result<()> {
    let yard = Yard::new().await?;
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        for after in moments(&[0.1, 1.0, 3.0, 6.0, 9.0, 12.0, 16.0, 20.0, 25.0]) {
            let at = format!("{signal:?} after {after:?}");
            let Said(said) = yard.command(&["up", "--topology", "one"], Some((after, signal))).await?;
            println!("--- {at}\n{said}");
            if signal == Signal::KILL {
                let Said(reaped) = yard.command(&["reap"], None).await?;
                println!("{reaped}");
                ensure!(reaped.ends_with("rc=0\n"), "{at}: {reaped}");
            }
            for name in yard.clusters().await? {
                let listed = yard.command(&["list"], None).await?.0;
                ensure!(listed.contains(&name) && !listed.contains("incomplete"), "{at}: {listed}");
                let named = said.contains(&format!("seatrial down {name}")) || signal == Signal::KILL;
                ensure!(named, "{at}: {name} stays without a word");
                let Said(down) = yard.command(&["down", &name], None).await?;
                ensure!(down.ends_with("rc=0\n"), "{at}: {down}");
            }
            yard.as_before().await.context(at)?;
        }
    }
    Ok(())
}

/// Seen: 2.1 GB of an interrupted build stayed until the next one.
#[tokio::test(flavor = "multi_thread")]
async fn nightly_an_interrupted_build_leaves_nothing_unsaid() -> anyhow::Result<()> {
    let mut yard = Yard::new().await?;
    let (cache, tools) = (yard.settings.state.join("cache"), yard.settings.cache.join("tools"));
    std::fs::create_dir_all(&cache)?;
    // What recipes call; nothing that was built.
    std::os::unix::fs::symlink(tools, cache.join("tools"))?;
    yard.settings.cache = cache;
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        for after in moments(&[1.0, 5.0, 15.0]) {
            let at = format!("{signal:?} after {after:?}");
            // Of a version that the engine has no images of.
            let words = ["images", "--build", "--profile", "offline", "--k8s", "1.36.3"];
            let Said(said) = yard.command(&words, Some((after, signal))).await?;
            println!("--- {at}\n{said}");
            ensure!(said.contains("build kubernetes 1.36.3"), "{at}: nothing was built");
            if signal == Signal::KILL {
                let Said(reaped) = yard.command(&["reap"], None).await?;
                println!("{reaped}");
                ensure!(reaped.ends_with("rc=0\n"), "{at}: {reaped}");
            }
            let left = names(&yard.settings.cache.join("building"));
            ensure!(left.is_empty(), "{at}: {left:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nightly_an_interrupted_run_leaves_nothing_unsaid() -> anyhow::Result<()> {
    let yard = Yard::new().await?;
    for signal in [Signal::INT, Signal::KILL] {
        for after in moments(&[2.0, 10.0, 35.0, 45.0, 60.0]) {
            let at = format!("{signal:?} after {after:?}");
            let words = ["run", "--suite", "stateless", "--suite", "mysql"];
            let Said(said) = yard.command(&words, Some((after, signal))).await?;
            println!("--- {at}\n{said}");
            if signal == Signal::KILL {
                let Said(reaped) = yard.command(&["reap"], None).await?;
                println!("{reaped}");
                ensure!(reaped.ends_with("rc=0\n"), "{at}: {reaped}");
            }
            for name in yard.clusters().await? {
                let client = yard.clusters.find(&name).await?.client().await?;
                let spaces = Api::<Namespace>::all(client.unary.clone());
                let spaces = spaces.list(&ListParams::default().labels(RUN_LABEL)).await?.items;
                ensure!(spaces.is_empty(), "{at}: namespaces of the run: {spaces:?}");
                let volumes = Api::<PersistentVolume>::all(client.unary.clone());
                let volumes = volumes.list(&ListParams::default()).await?.items;
                ensure!(volumes.is_empty(), "{at}: volumes of the run: {volumes:?}");
            }
        }
    }
    let Said(down) = yard.command(&["down", "--all"], None).await?;
    ensure!(down.ends_with("rc=0\n"), "{down}");
    yard.as_before().await
}

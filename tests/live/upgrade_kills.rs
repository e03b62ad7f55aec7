//! `seatrial upgrade` is killed with SIGKILL in each of its steps, one after another. Until the next
//! call the cluster is given to nobody and whoever asks is told the step; each call goes on from what
//! runs, and the last one ends at the new version with rows and identities as they were.
//!
//! `SEATRIAL_SEED` repeats the moments of an earlier run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{Node as KubeNode, PersistentVolumeClaim, Pod};
use kube::api::{Api, ListParams};
use kube::runtime::watcher;
use seatrial::client::Client;
use seatrial::cluster::{self, Access, ClusterSpec, Clusters, Force, JournalEntry, THREE};
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::event::EventLog;
use seatrial::exec::Exec;
use seatrial::image;
use seatrial::judge::{Evidence, Finding, durability};
use seatrial::manifest::{self, Manifest, TestNamespace};
use seatrial::probe::{Forward, Ledger, LedgerSpec, Pace, Target};
use seatrial::upgrade::{self, EtcdPolicy, UpgradeOptions, UpgradePlan};
use seatrial::wait;
use seatrial::workload::exec_ok;

use crate::session::{shown, variable};

/// Who asks for leases.
const WHO: &str = "a live test of upgrades";
/// Time for a cluster, its images included.
const PATIENCE: Duration = Duration::from_secs(40 * 60);
/// Time for a workload to start.
const START: Duration = Duration::from_secs(300);
/// A call that is not killed has ended by itself long before.
const LIFE: Duration = Duration::from_secs(40 * 60);
/// Rows that must outlive all of it.
const ROWS: u64 = 100;
/// Nothing here is about time.
const BUDGETS: &str = "[default]\ntook = 7200\noutage = { api = 7200, dns = 7200 }\n";
const MYSQL: &str = include_str!("../../src/suite/upgrade/mysql.yaml");
const SET: &str = include_str!("upgrade_kills/set.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn nightly_an_upgrade_that_is_killed_in_each_step_goes_on() -> anyhow::Result<()> {
    let seed = variable("SEATRIAL_SEED").map(|v| v.parse().with_context(|| format!("SEATRIAL_SEED={v}")));
    let now = jiff::Timestamp::now().as_millisecond().unsigned_abs();
    let seed = seed.transpose()?.unwrap_or(now);
    println!("SEATRIAL_SEED={seed}");
    let ground = Box::pin(Ground::prepare()).await?;
    let done = Box::pin(ground.kills(seed)).await.with_context(|| format!("with SEATRIAL_SEED={seed}"));
    // Kept where it failed: `seatrial list` with this state folder shows it.
    done?;
    Ok(ground.clusters.delete(&ground.name, Force::No, Deadline::after(PATIENCE)).await?)
}

struct Ground {
    clusters: Clusters,
    name: String,
    images: BTreeMap<String, String>,
    dir: tempfile::TempDir,
}

/// One pod of the StatefulSet with what is its own: name, claim, volume, file.
type Identity = (String, String, String, String);

impl Ground {
    /// A new cluster of its own: what an earlier run left is not gone on with.
    async fn prepare() -> anyhow::Result<Self> {
        let mut settings = Settings::resolve(variable)?;
        settings.state = settings.state.join("upgrade-kills");
        let engine =
            Engine::connect(&settings.engine).await.context("no container engine: run scripts/bootstrap")?;
        let clusters = Clusters::new(settings, engine, shown(), WHO);
        let images = image::resolve(&clusters.images(Deadline::after(PATIENCE))).await?;
        let left = clusters.list().await?;
        for left in left.into_iter().filter(|c| clusters.settings.cluster_dir(&c.name).is_dir()) {
            println!("{} was left by an earlier run: removing it", left.name);
            clusters.delete(&left.name, Force::No, Deadline::after(PATIENCE)).await?;
        }
        let images_by_name = images.substitutions();
        let spec = ClusterSpec { topology: THREE.read()?, images, cluster_suffix: Some("kills".into()) };
        let lease = clusters.acquire(&spec, Access::Exclusive, Deadline::after(PATIENCE));
        Box::pin(lease).await?.release().await?;
        let (name, dir) = (spec.name(&cluster::Identity::of(&clusters).await?), tempfile::tempdir()?);
        Ok(Self { clusters, name, images: images_by_name, dir })
    }

    async fn kills(&self, seed: u64) -> anyhow::Result<()> {
        let mut random = fastrand::Rng::with_seed(seed);
        let found = self.clusters.find(&self.name).await?;
        let client = found.client().await?;
        let namespace =
            TestNamespace::create(&client, "seatrial-kills", &BTreeMap::new(), Deadline::after(START))
                .await?;
        let workers: Vec<String> = found.workers().map(|n| n.name.clone()).collect();
        let [first, .., last] = workers.as_slice() else { anyhow::bail!("two workers are needed") };
        let folder = format!("{}/{}", seatrial::node::ROOT, namespace.name);
        let home = |text: &str| {
            let text = text.replace("FIRST", first).replace("LAST", last).replace("HOME", last);
            text.replace("FOLDER", &folder)
        };
        for (file, text) in [("mysql.yaml", MYSQL), ("set.yaml", SET)] {
            let manifest = self.manifest(file, &home(text), &namespace.name)?;
            manifest::apply(&client, &manifest, Deadline::after(START)).await?;
        }
        wait::rollout(&client, &namespace.name, "mysql", Deadline::after(START)).await?;
        wait::stateful_rollout(&client, &namespace.name, "set", Deadline::after(START)).await?;
        for pod in ["set-0", "set-1"] {
            let write = ["sh", "-c", "hostname > /data/identity && sync"];
            exec_ok(&client, &namespace.name, pod, &write, Deadline::after(START)).await?;
        }
        let log = EventLog::open(&self.dir.path().join("log"), "kills")?;
        let (ledger, forward) = self.ledger(&client, &namespace.name, &log).await?;
        ledger.create(Deadline::after(START)).await?;
        let mut writer = ledger.write("kills", Pace::default());
        ensure!(writer.acknowledged(ROWS, Deadline::after(START)).await, "no {ROWS} rows were acknowledged");
        writer.stop().await;
        drop(forward);
        let before = identities(&client, &namespace.name).await?;

        let options = UpgradeOptions {
            to: "next".into(),
            etcd: EtcdPolicy::Upgrade,
            stop_after: None,
            drain: Duration::from_secs(300),
        };
        let plan = upgrade::plan_upgrade(&self.clusters, &found, &options).await?;
        let began = Instant::now();
        let steps: Vec<_> = plan.hops.iter().flat_map(|h| &h.steps).collect();
        let titles: Vec<String> = steps.iter().map(|s| s.title()).collect();
        for (i, step) in steps.iter().enumerate() {
            let delay = step.expected.mul_f64(random.f64());
            let killed = self.killed(&plan, &titles, i, delay).await;
            let killed = killed.with_context(|| format!("in `{}`", titles[i]))?;
            // Once every version is new and every node is open, nothing is left to be done. A kill that comes late falls
            // into the step after the one that was meant, and what that had done is not done again.
            let left = steps[i..].iter().all(|step| ["uncordon", "settle"].contains(&step.step.name()));
            ensure!(killed || left, "it ended before `{}`", titles[i]);
        }
        let last = Instant::now();
        let ended = self.call(&plan)?.run(Deadline::after(LIFE)).await?;
        println!(
            "the last call, after {:.0} s of kills, took {:.0} s",
            began.elapsed().as_secs_f64(),
            last.elapsed().as_secs_f64()
        );
        ensure!(ended.stdout.contains(&format!("is at {}", plan.to)), "{}", ended.stdout);

        self.arrived(&client, &plan).await?;
        wait::rollout(&client, &namespace.name, "mysql", Deadline::after(START)).await?;
        ensure!(identities(&client, &namespace.name).await? == before, "identities changed: {before:?}");
        let (ledger, _forward) = self.ledger(&client, &namespace.name, &log).await?;
        ledger.read("after", Deadline::after(START)).await?;
        let mut finding = Finding::new();
        let records = log.records();
        let rows =
            durability::every_acknowledged_row(&Evidence::new(&records, "kills"), "after", &mut finding)?;
        ensure!(rows.kept.len() as u64 >= ROWS && rows.lost.is_empty(), "{}", finding.evidence());
        println!("{} rows and {} identities are as they were", rows.kept.len(), before.len());
        Ok(namespace.delete(&client, Deadline::after(START)).await?)
    }

    fn manifest(&self, file: &str, text: &str, namespace: &str) -> anyhow::Result<Manifest> {
        let mut manifest = Manifest::read(file, text)?;
        manifest.substitute_images(&self.images);
        manifest.scope_to_namespace(
            namespace,
            namespace.rsplit('-').next().unwrap_or_default(),
            &BTreeMap::new(),
        )?;
        Ok(manifest)
    }

    async fn ledger(
        &self,
        client: &Client,
        namespace: &str,
        log: &EventLog,
    ) -> anyhow::Result<(Ledger, Forward)> {
        let target = Target::Selector("app=mysql".into());
        let forward = Forward::open(&client.stream, namespace, target, 3306).await?;
        let spec = LedgerSpec { password: "password".into(), ..LedgerSpec::default() };
        let ledger = Ledger::new(spec, forward.route().clone(), log.clone());
        ledger.ready(Deadline::after(START)).await?;
        Ok((ledger, forward))
    }

    fn call(&self, plan: &UpgradePlan) -> anyhow::Result<Exec> {
        let budgets: PathBuf = self.dir.path().join("budget.toml");
        std::fs::write(&budgets, BUDGETS)?;
        let to = plan.to.to_string();
        let exec = Exec::new(env!("CARGO_BIN_EXE_seatrial"))
            .args(["upgrade", "--cluster", &self.name, "--to", &to, "--budget"])
            .args([budgets.as_os_str()])
            .env("SEATRIAL_STATE", &self.clusters.settings.state);
        Ok(exec)
    }

    /// Calls it, and kills it so long after this step has begun, or as soon as the step is over. False
    /// where it came to its end before.
    async fn killed(
        &self,
        plan: &UpgradePlan,
        titles: &[String],
        wanted: usize,
        delay: Duration,
    ) -> anyhow::Result<bool> {
        let process = self.call(plan)?.run(Deadline::after(LIFE));
        let dir = self.clusters.settings.cluster_dir(&self.name);
        let stands = || JournalEntry::read(&dir).and_then(Result::ok);
        // Where it stands: a step's place, and whether it is done.
        let place = || {
            let entry = stands()?;
            Some((titles.iter().position(|t| Some(t) == entry.step.as_ref())?, entry.done))
        };
        let moment = async {
            let life = Deadline::after(LIFE);
            let until = async |is: &dyn Fn() -> bool| {
                while !is() && !life.is_over() {
                    life.pause(Duration::from_millis(20)).await;
                }
            };
            // What the journal says at first is of the call before; each begins with the first step.
            until(&|| place() == Some((0, false))).await;
            until(&|| place().is_some_and(|(at, _)| at >= wanted)).await;
            let began = Instant::now();
            until(&|| began.elapsed() >= delay || place() != Some((wanted, false))).await;
            began.elapsed()
        };
        // Dropped, its process group is killed with SIGKILL.
        let after = tokio::select! {
            ended = process => {
                println!("`{}` was not reached: {}", titles[wanted], ended?.stdout);
                return Ok(false);
            }
            after = moment => after,
        };
        let entry = stands().context("it left no journal")?;
        let step = entry.step.clone().unwrap_or_default();
        println!("killed in `{}` after {:.1} s: {entry}", titles[wanted], after.as_secs_f64());
        let patience = Deadline::after(Duration::from_secs(120));
        let leased = self.clusters.existing(&self.name, Access::Shared, patience).await;
        match leased {
            Err(error) => {
                let text = error.to_string();
                ensure!(!entry.safe && text.contains(&format!("`{step}`")), "{entry:?}: {text}");
            }
            Ok(lease) => {
                lease.release().await?;
                ensure!(entry.safe, "it was given away in the middle of a step: {entry:?}");
            }
        }
        Ok(true)
    }

    /// Everything is new, open and ready, and nothing of the upgrade is left.
    async fn arrived(&self, client: &Client, plan: &UpgradePlan) -> anyhow::Result<()> {
        ensure!(
            JournalEntry::read(&self.clusters.settings.cluster_dir(&self.name)).is_none(),
            "the journal is still there"
        );
        let found = self.clusters.find(&self.name).await?;
        ensure!(
            upgrade::plan_upgrade(&self.clusters, &found, &options_for(plan)).await?.hops.is_empty(),
            "a rest is left"
        );
        let state = upgrade::state(client).await?;
        let to = plan.to;
        ensure!(state.kubelets.values().chain(state.proxies.values()).all(|v| *v == to), "{state:?}");
        ensure!(state.servers() == Some((to, to)) && state.violations().is_empty(), "{state:?}");
        let last = plan.hops.last().and_then(|h| h.steps.last()).context("the plan has steps")?;
        ensure!(
            state.control_planes == last.after.control_planes && state.coredns == last.after.coredns,
            "{state:?}"
        );
        let nodes = Api::<KubeNode>::all(client.unary.clone()).list(&ListParams::default()).await?;
        for node in nodes.items {
            let closed = node.spec.as_ref().and_then(|s| s.unschedulable);
            ensure!(closed != Some(true), "{:?} is cordoned", node.metadata.name);
        }
        for node in &found.nodes {
            let left = "ls -d /kind/upgrade/running /kind/upgrade/*.part /kind/version.new /usr/bin/.*.new \
                2>/dev/null; systemctl list-units --failed --plain --no-legend";
            let deadline = Deadline::after(Duration::from_secs(60));
            let left = node.exec_ok(&["bash", "-c", left], None, deadline).await?;
            ensure!(left.trim().is_empty(), "left on {}: {left}", node.name);
        }
        Ok(())
    }
}

fn options_for(plan: &UpgradePlan) -> UpgradeOptions {
    let to = plan.to.to_string();
    UpgradeOptions { to, etcd: EtcdPolicy::Upgrade, stop_after: None, drain: Duration::from_secs(300) }
}

/// The pods of the StatefulSet once they are ready.
async fn identities(client: &Client, namespace: &str) -> anyhow::Result<Vec<Identity>> {
    let pods = Api::<Pod>::namespaced(client.stream.clone(), namespace);
    let ours = watcher::Config::default().labels("app=set");
    wait::until(pods, ours, wait::pods::pods_ready(2), Deadline::after(START)).await?;
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.unary.clone(), namespace);
    let mut found = Vec::new();
    for pod in ["set-0", "set-1"] {
        let claim = claims.get(&format!("data-{pod}")).await?;
        let volume = claim.spec.and_then(|s| s.volume_name).unwrap_or_default();
        let argv = ["cat", "/data/identity"];
        let file = exec_ok(client, namespace, pod, &argv, Deadline::after(START)).await?;
        found.push((pod.to_owned(), claim.metadata.uid.unwrap_or_default(), volume, file));
    }
    Ok(found)
}

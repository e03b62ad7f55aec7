//! Part D: a living cluster is upgraded in place, from the control plane to the last worker, while
//! workloads of every kind run on it and are asked all the time.

use std::net::IpAddr;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use serde_json::json;

use super::Suite;
use crate::cluster::{self, Access, THREE, UpgradeAsk};
use crate::deadline::Deadline;
use crate::event::{Event, Outcome};
use crate::judge::upgrade::{AFTER, Budgets, LEDGER, STRETCH_END, costs};
use crate::manifest;
use crate::probe::{ApiProbe, DnsProbe, HttpProbe, Inside, Ledger, LedgerSpec, Pace, Writer, api, dns, http};
use crate::scenario::{Failure, Needs, Scenario};
use crate::upgrade::{Ending, EtcdPolicy, Told, UpgradeError};
use crate::wait::{self, Verdict, pods};

mod refused;

/// The suite.
pub static SUITE: Suite = Suite {
    about: "an upgrade in place under load: plan, control plane, drained workers, probes all the way",
    needs: Needs {
        name: "upgrade",
        claims: &["D1", "D2", "D3", "D4"],
        access: Access::Exclusive,
        topology: &THREE,
        apart: Some("upgrade"),
        budget: Duration::from_secs(60 * 60),
    },
    story: |s| story(s).boxed(),
};

const WEB: &str = include_str!("upgrade/web.yaml");
const MYSQL: &str = include_str!("upgrade/mysql.yaml");
const HELD: &str = include_str!("upgrade/held.yaml");
/// Folders on nodes that the manifests name.
const PATHS: [&str; 2] = ["/mnt/upgrade", "/mnt/held"];

/// For pods to start on two busy cores; MySQL fills an empty directory.
const START: Duration = Duration::from_secs(240);
/// For a change of an object, or the recorder to catch up.
const CHANGE: Duration = Duration::from_secs(60);
/// For an upgrade of one hop.
const UPGRADE: Duration = Duration::from_secs(40 * 60);
/// How long the drain that is forbidden is tried.
const FORBIDDEN: Duration = Duration::from_secs(15);
/// How long a drain is tried else.
const DRAIN: Duration = Duration::from_secs(5 * 60);
/// Pause between two rows.
const EVERY: Duration = Duration::from_millis(100);
/// Rows that must be there before the upgrade begins and after it.
const ROWS: u64 = 50;

async fn story(s: &Scenario) -> Result<(), Failure> {
    let workers: Vec<String> = s.cluster.workers().map(|n| n.name.clone()).collect();
    let [first, .., home] = workers.as_slice() else {
        return Err("an upgrade that moves pods needs two workers".into());
    };
    s.step("empty the folders on every node", CHANGE, empty(s)).await?;
    s.step("start the workloads", START, Box::pin(start(s, home))).await?;
    let load = s.step("start the probes", START, Box::pin(Load::start(s))).await?;
    let budgets = &s.budgets;
    s.observe("D2", "budgets", budgets);
    s.observe("D2", "probes", [http::PROBE, api::PROBE, dns::PROBE, LEDGER]);
    s.observe("D3", "workers", &workers);
    s.observe("D3", "budget", json!({"name": format!("{}/web", s.namespace), "least": 1}));
    s.observe("D4", "set_before", labelled(s, "app=set").await?);
    refused::skipped_minor(s).await?;

    s.step("forbid a drain", START, Box::pin(hold(s, first))).await?;
    let forbidden = upgrade(s, budgets, FORBIDDEN).await;
    s.mark(STRETCH_END);
    s.step("allow it again", CHANGE, Box::pin(release(s))).await?;
    let ended = match forbidden {
        Err(error) if matches!(&error, UpgradeError::Step { step, .. } if step.starts_with("drain")) => {
            upgrade(s, budgets, DRAIN).await?
        }
        Err(error) => return Err(error.into()),
        // A step was over its budget before, or no drain was forbidden: judges say what is missing.
        Ok(ended) => ended,
    };
    s.recorder.settle(s.deadline().at_most(CHANGE)).await;
    s.mark(STRETCH_END);
    s.observe("D4", "set_after", labelled(s, "app=set").await?);
    s.step("read the ledger", CHANGE, Box::pin(load.end(s))).await?;
    if let Ending::Stopped { after, why } = ended {
        s.note(format!("the upgrade stopped after `{after}`: {}", why.unwrap_or_default()));
    }
    s.step("spread the pods again", START, Box::pin(spread(s))).await?;
    for claim in SUITE.needs.claims {
        s.prove(claim).await;
    }
    Ok(())
}

/// Upgrades to the next minor version that the image profile has; each step's end is held against its
/// budget, and one that is over ends the upgrade at the next safe step.
async fn upgrade(s: &Scenario, budgets: &Budgets, drain: Duration) -> Result<Ending, UpgradeError> {
    let watcher = |told: Told<'_>| {
        s.log.append(told.event());
        match told {
            Told::Ended { result: Ok(_), .. } => {
                costs(&s.log.records()).last().and_then(|cost| cost.over(budgets).into_iter().next())
            }
            _ => None,
        }
    };
    let ask = UpgradeAsk { to: "next".into(), etcd: EtcdPolicy::Upgrade, stop_after: None, drain };
    let work = cluster::upgrade(&s.settings, &s.cluster, &ask, &s.progress, &watcher);
    let bound = s.deadline().at_most(UPGRADE);
    match bound.bound(Box::pin(work)).await {
        Ok(ended) => Ok(ended?.ending),
        Err(late) => {
            let (what, waited) = ("the upgrade".into(), late.0);
            Err(UpgradeError::Late { what, waited, last: "see its last step".into() })
        }
    }
}

async fn empty(s: &Scenario) -> Result<(), Failure> {
    for node in &s.cluster.nodes {
        node.ours().await?;
        let mut remove = vec!["rm", "-rf"];
        remove.extend(PATHS);
        node.exec_ok(&remove, None, s.deadline().at_most(CHANGE)).await?;
    }
    Ok(())
}

async fn start(s: &Scenario, home: &str) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(START);
    manifest::apply(&s.client, &s.manifest("upgrade/web.yaml", WEB)?, deadline).await?;
    let mysql = MYSQL.replace("HOME", home);
    manifest::apply(&s.client, &s.manifest("upgrade/mysql.yaml", &mysql)?, deadline).await?;
    wait::rollout(&s.client, &s.namespace, "web", deadline).await?;
    wait::rollout(&s.client, &s.namespace, "mysql", deadline).await?;
    ready(s, "app=set", 2, deadline).await
}

async fn ready(s: &Scenario, selector: &str, count: usize, deadline: Deadline) -> Result<(), Failure> {
    let api = Api::<Pod>::namespaced(s.client.stream.clone(), &s.namespace);
    wait::until(api, watcher::Config::default().labels(selector), pods::pods_ready(count), deadline).await?;
    Ok(())
}

/// Pods of which one may not go, though the budget is none that never allows it.
async fn hold(s: &Scenario, node: &str) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(START);
    let held = HELD.replace("HOME", node);
    manifest::apply(&s.client, &s.manifest("upgrade/held.yaml", &held)?, deadline).await?;
    let forbids = wait::check("the budget forbids an eviction", |budgets: &[PodDisruptionBudget]| {
        let status = budgets.first().and_then(|b| b.status.clone()).unwrap_or_default();
        let (expected, healthy) = (status.expected_pods, status.current_healthy);
        Verdict::met_if(expected == 2 && healthy == 1 && status.disruptions_allowed == 0, || {
            format!("{healthy} of {expected} healthy")
        })
    });
    let api = Api::<PodDisruptionBudget>::namespaced(s.client.stream.clone(), &s.namespace);
    let by_name = watcher::Config::default().fields("metadata.name=held");
    wait::until(api, by_name, forbids, deadline).await?;
    s.observe("D3", "forbidding", format!("{}/held", s.namespace));
    Ok(())
}

async fn release(s: &Scenario) -> Result<(), Failure> {
    let (client, deadline) = (s.client.unary.clone(), s.deadline().at_most(CHANGE));
    let params = DeleteParams::background();
    Api::<PodDisruptionBudget>::namespaced(client.clone(), &s.namespace).delete("held", &params).await?;
    Api::<Deployment>::namespaced(client, &s.namespace).delete("held", &params).await?;
    let none = wait::check("no held pods", |left: &[Pod]| {
        Verdict::met_if(left.is_empty(), || format!("{} left", left.len()))
    });
    let api = Api::<Pod>::namespaced(s.client.stream.clone(), &s.namespace);
    wait::until(api, watcher::Config::default().labels("app=held"), none, deadline).await?;
    Ok(())
}

/// New pods of the Deployment, so that the scheduler may use the nodes that are open again.
async fn spread(s: &Scenario) -> Result<(), Failure> {
    let again = json!({"metadata": {"annotations": {"seatrial.dev/again": s.suffix()}}});
    let patch = Patch::Merge(json!({"spec": {"template": again}}));
    let api = Api::<Deployment>::namespaced(s.client.unary.clone(), &s.namespace);
    api.patch("web", &PatchParams::default(), &patch).await?;
    wait::rollout(&s.client, &s.namespace, "web", s.deadline().at_most(START)).await?;
    s.observe("D3", "spread", labelled(s, "app=web").await?);
    Ok(())
}

async fn labelled(s: &Scenario, selector: &str) -> Result<Vec<Pod>, Failure> {
    let api = Api::<Pod>::namespaced(s.client.unary.clone(), &s.namespace);
    Ok(api.list(&ListParams::default().labels(selector)).await?.items)
}

/// Everything that asks while the upgrade goes on.
struct Load {
    ledger: Ledger,
    writer: Writer,
    probes: (HttpProbe, DnsProbe, ApiProbe),
    /// Leads the ledger to MySQL by way of a node: a port-forward would go through the API server.
    _inside: Inside,
}

impl Load {
    async fn start(s: &Scenario) -> Result<Self, Failure> {
        let node = s.cluster.control_planes().next().ok_or("the cluster has no control plane")?;
        let engine = &s.cluster.engine;
        let inside = Inside::open(engine, &node.name, address(s, &s.namespace, "mysql").await?, 3306).await?;
        let spec = LedgerSpec { password: "password".into(), ..LedgerSpec::default() };
        let ledger = Ledger::new(spec, inside.route().clone(), s.log.clone());
        ledger.ready(s.deadline().at_most(START)).await?;
        ledger.create(s.deadline().at_most(CHANGE)).await?;
        let mut writer = ledger.write("upgrade", Pace { every: EVERY, rows: 1 });

        let limit = s.deadline().remaining();
        let web = address(s, &s.namespace, "web").await?.to_string();
        let words = http::command(&web, 80, Duration::from_secs(1), limit);
        let http = HttpProbe::start(engine.exec_lines(&node.name, &borrowed(&words)), s.log.clone());
        let words = dns::command(address(s, "kube-system", "kube-dns").await?, limit);
        let dns = DnsProbe::start(engine.exec_lines(&node.name, &borrowed(&words)), s.log.clone());
        let api = ApiProbe::start(&s.client, s.log.clone());
        if !writer.acknowledged(ROWS, s.deadline().at_most(CHANGE)).await {
            return Err("the ledger did not write its first rows".into());
        }
        steady(s).await?;
        Ok(Self { ledger, writer, probes: (http, dns, api), _inside: inside })
    }

    /// Ends the probes, and reads what the ledger wrote.
    async fn end(mut self, s: &Scenario) -> Result<(), Failure> {
        let deadline = s.deadline().at_most(CHANGE);
        let more = self.writer.acknowledged(ROWS, deadline).await;
        self.writer.stop().await;
        let (http, dns, api) = self.probes;
        http.stop().await;
        dns.stop().await;
        api.stop().await;
        self.ledger.read(AFTER, deadline).await?;
        if more { Ok(()) } else { Err("the ledger did not write again after the upgrade".into()) }
    }
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Waits until each probe was answered: a failure from here on is the upgrade's.
async fn steady(s: &Scenario) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(CHANGE);
    while !deadline.is_over() {
        let records = s.log.records();
        let last = |name: &str| {
            records.iter().rev().find_map(|r| match &r.event {
                Event::Sampled { probe, outcome, .. } if probe == name => Some(*outcome),
                _ => None,
            })
        };
        let good = |name: &&str| last(name) == Some(Outcome::Acknowledged);
        if [http::PROBE, api::PROBE, dns::PROBE].iter().all(good) {
            return Ok(());
        }
        deadline.pause(Duration::from_millis(200)).await;
    }
    Err("not every probe was answered before the upgrade".into())
}

async fn address(s: &Scenario, namespace: &str, service: &str) -> Result<IpAddr, Failure> {
    let services = Api::<Service>::namespaced(s.client.unary.clone(), namespace);
    let found = services.get(service).await?.spec.and_then(|spec| spec.cluster_ip?.parse().ok());
    found.ok_or_else(|| format!("Service {service} has no address").into())
}

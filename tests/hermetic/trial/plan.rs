//! What `seatrial plan` says about a trial.

use std::path::Path;

use crate::cli::{Ended, Home};

const SHOP: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: web, image: shop:dev}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80}]}
";

const CONFIG: &str = "kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: worker}, {role: worker}, {role: worker}]
";

/// A folder with manifests and a file for kind.
struct Folder(Home);

impl Folder {
    fn new() -> Self {
        let folder = Self(Home::new());
        folder.write("shop.yaml", SHOP);
        folder.write("kind.yaml", CONFIG);
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.dir.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(Path::new(&path), text).expect("a file");
        path
    }

    async fn plan(&self, args: &[&str]) -> Ended {
        let shop = self.path("shop.yaml");
        let words: Vec<&str> =
            ["plan"].iter().chain(args).map(|word| if *word == "SHOP" { &shop } else { *word }).collect();
        self.0.seatrial(&words).await
    }

    /// The plan of a trial file with these lines.
    async fn plan_of(&self, lines: &str, args: &[&str]) -> Ended {
        let file = self.write("trial.yaml", &format!("trial: shop\nmanifests: [shop.yaml]\n{lines}"));
        self.0.seatrial(&[&["plan", &file], args].concat()).await
    }
}

#[track_caller]
fn says(ended: &Ended, code: i32, words: &str) {
    assert_eq!(ended.code, code, "{}{}", ended.out, ended.err);
    let text = if code == 0 { &ended.out } else { &ended.err };
    assert!(text.contains(words), "no `{words}` in:\n{text}");
}

#[tokio::test]
async fn a_budget_of_the_command_line_is_planned() {
    let folder = Folder::new();
    let limits = "shop=longest:2s,failed:0.5%";
    says(
        &folder.plan(&["SHOP", "--budget", limits]).await,
        0,
        "probes: shop (tcp shop:80; longest outage 2 s, failed at most 0.50 %)",
    );
    says(
        &folder.plan(&["SHOP", "--budget", "*=longest:9s"]).await,
        0,
        "shop (tcp shop:80; longest outage 9 s)",
    );
    // The flag takes the place of the entry of the file; the others stay.
    let lines = "probes: {front: {http: {service: shop, port: 80}}}\nbudgets: {front: {longest: 7s}, '*': {longest: 8s}}\n";
    says(&folder.plan_of(lines, &[]).await, 0, "front (http shop:80/; longest outage 7 s)");
    let replaced = folder.plan_of(lines, &["--budget", "front=failed:1%"]).await;
    says(&replaced, 0, "front (http shop:80/; failed at most 1.00 %)");
    for (limits, words) in [
        (
            "front=longest:2s",
            "--budget front=longest:2s: no probe is called front; the probes: shop\nhint: --budget",
        ),
        ("shop=longest:soon", "soon is not a duration such as 2s"),
    ] {
        says(&folder.plan(&["SHOP", "--budget", limits]).await, 2, words);
    }
}

#[tokio::test]
async fn a_ledger_is_planned_and_its_commands_are_not_printed() {
    let folder = Folder::new();
    let write = "ledgers:\n  orders:\n    workload: deployment/shop\n    write: add -pqX8vK2 $ENTRY\n    read: list\n";
    let planned = folder.plan_of(write, &[]).await;
    says(&planned, 0, "ledgers: orders (deployment/shop, an entry every 1.0 s)");
    says(&planned, 0, "every entry that was acknowledged is there at the end");
    assert!(!planned.out.contains("qX8vK2"), "{}", planned.out);
    let often = folder.plan_of(&format!("{write}    every: 500ms\n"), &[]).await;
    says(&often, 0, "an entry every 0.5 s");
    let other = folder.plan_of(&format!("{write}    container: db\n"), &[]).await;
    says(&other, 65, "trial.yaml:8: deployment/shop has no container db; its containers: web");
    let gone = folder.plan_of(&write.replace("deployment/shop", "deployment/cart"), &[]).await;
    says(&gone, 65, "trial.yaml:5: deployment/cart is not on trial");
    says(&gone, 65, "hint: seatrial schema trial");
}

#[tokio::test]
async fn a_file_for_kind_is_the_shape_of_the_cluster() {
    let folder = Folder::new();
    let (config, shape) = (folder.path("kind.yaml"), "on config: 1 control plane, 3 workers");
    says(&folder.plan(&["SHOP", "--kind-config", &config]).await, 0, shape);
    let lines = "cluster: {kindConfig: kind.yaml}\n";
    says(&folder.plan_of(lines, &[]).await, 0, shape);
    says(&folder.plan_of(lines, &["--topology", "one"]).await, 0, "on one: 1 control plane, 0 workers");
    says(&folder.plan_of("cluster: {topology: one}\n", &["--kind-config", &config]).await, 0, shape);
    let both = folder.plan_of("cluster:\n  topology: one\n  kindConfig: kind.yaml\n", &[]).await;
    says(&both, 65, "trial.yaml:5: `topology` and `kindConfig` are both there");
    let wrong = folder.write("wrong.yaml", &format!("{CONFIG}name: mine\n"));
    says(
        &folder.plan(&["SHOP", "--kind-config", &wrong]).await,
        65,
        "wrong.yaml:4: the cluster cannot be named mine",
    );
    let gone = folder.path("gone.yaml");
    says(&folder.plan(&["SHOP", "--kind-config", &gone]).await, 65, "failed to read");
}

/// The time of a step is shown at its first claim that is chosen; a step without one is not taken.
#[tokio::test]
async fn the_chosen_claims_alone_are_planned() {
    let folder = Folder::new();
    let data = folder.plan(&["SHOP", "--only", "data"]).await;
    says(&data, 0, "steps: apply, node-loss, clean");
    let whole = folder.plan(&["SHOP"]).await;
    let seconds = |ended: &Ended, claim: &str| {
        let line =
            ended.out.lines().find(|line| line.starts_with(&format!("  {claim} "))).unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |unit: &str| {
            let at = words.iter().position(|word| *word == unit)?;
            words[at - 1].parse::<u64>().ok()
        };
        number("min").unwrap_or(0) * 60 + number("s").unwrap_or(0)
    };
    let both = seconds(&whole, "node-loss") + seconds(&whole, "return");
    // Minutes are rounded up.
    assert!(both > 0 && both - seconds(&data, "data") <= 60, "{}{}", whole.out, data.out);
    let written = folder.path("written.yaml");
    says(
        &folder.plan(&["SHOP", "--only", "drain", "--write", &written]).await,
        0,
        "steps: apply, drain, clean",
    );
    let text = std::fs::read_to_string(&written).unwrap();
    assert!(text.ends_with("steps:\n- drain\n"), "{text}");
    let again = folder.path("again.yaml");
    let words = "`--write` writes the standard trial of manifests: a trial file is written already\nhint: name manifests";
    says(&folder.plan(&[&written, "--write", &again]).await, 2, words);
    assert!(!Path::new(&again).exists());
}

/// A rollout meets what the steps before it have left.
#[tokio::test]
async fn rollouts_follow_one_another() {
    let folder = Folder::new();
    let there_and_back =
        "steps:\n- rollout: {image: \"shop:dev=shop:next\"}\n- rollout: {image: \"shop:next=shop:dev\"}\n";
    says(&folder.plan_of(there_and_back, &[]).await, 0, "rollout with shop:next=shop:dev");
    let twice =
        "steps:\n- rollout: {image: \"shop:dev=shop:next\"}\n- rollout: {image: \"shop:dev=shop:last\"}\n";
    says(&folder.plan_of(twice, &[]).await, 65, "trial.yaml:5: no workload is called shop:dev or runs");
    // The file means the name in its manifests, which its images replace.
    let replaced = "images: [\"shop:dev=shop:mine\"]\nsteps:\n- rollout: {image: \"shop:dev=shop:next\"}\n";
    says(&folder.plan_of(replaced, &[]).await, 0, "rollout with shop:dev=shop:next");
    let all = "steps:\n- rollout: {image: \"shop:next\"}\n";
    says(
        &folder.plan_of(all, &[]).await,
        65,
        "trial.yaml:4: nothing says what is replaced: name the `workload`",
    );
}

#[tokio::test]
async fn steps_with_parameters_are_planned() {
    let folder = Folder::new();
    let lines = "steps:\n- rollout: {workload: deployment/shop, image: \"shop=shop:next\"}\n- rollout: {image: \"web=shop:last\"}\n\
                 - fault: {stop-node: {of: deployment/shop}, for: 60s}\n- fault: {kill-container: {of: deployment/shop}}\n\
                 - fault: {slow-cpu: {node: worker2, with: {cores: 0.5}}}\n";
    let plan = folder.plan_of(lines, &[]).await;
    for words in [
        "steps: apply, rollout deployment/shop with shop=shop:next, rollout with web=shop:last, fault stop on the node of \
         deployment/shop, fault kill-container on a pod of deployment/shop, fault slow-cpu on worker2, clean",
        "fault stop on the node of deployment/shop: lasts 60 s",
        "fault slow-cpu on worker2: lasts 30 s",
        "  rollout            at most ",
        "  fault       ",
    ] {
        says(&plan, 0, words);
    }
    let whole = folder.plan_of("steps:\n- fault: {cut: {node: worker}}\n", &[]).await;
    says(&whole, 0, "fault cut on worker: lasts 81 s");
}

#[tokio::test]
async fn a_step_that_names_what_is_not_there_is_refused_with_its_line() {
    let folder = Folder::new();
    for (lines, line, words) in [
        (
            "steps:\n- drain\n- rollout: {workload: deployment/front}\n",
            5,
            "deployment/front is not on trial; the workloads: deployment/shop",
        ),
        ("steps:\n- rollout: {workload: pod/shop}\n", 4, "pod/shop has no rollout: a Pod keeps its template"),
        (
            "steps:\n- rollout: {workload: deployment/shop, image: \"db=db:2\"}\n",
            4,
            "deployment/shop: no container is called db or runs the image db",
        ),
        ("steps:\n- rollout: {image: \"db=db:2\"}\n", 4, "no workload is called db or runs the image db"),
        ("steps:\n- fault: {stop: {of: statefulset/db}}\n", 4, "statefulset/db is not on trial"),
        (
            "steps:\n- fault: {stop: {node: worker3}}\n",
            4,
            "no node is called worker3: topology three has control-plane, worker, worker2",
        ),
        (
            "steps:\n- fault:\n    stop: {node: control-plane}\n",
            5,
            "`stop` on the only control plane would take the API away",
        ),
    ] {
        let ended = folder.plan_of(lines, &[]).await;
        says(&ended, 65, &format!("trial.yaml:{line}: {words}"));
    }
    let larger = ["--kind-config", &folder.path("kind.yaml")];
    says(
        &folder.plan_of("steps:\n- fault: {stop: {node: worker3}}\n", &larger).await,
        0,
        "fault stop on worker3",
    );
}

const DB: &str = "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  template: {spec: {containers: [{name: db, image: db:1}], volumes: [{name: scratch, emptyDir: {}}]}}
  volumeClaimTemplates: [{metadata: {name: data}}]
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: db-pv}
";

#[tokio::test]
async fn expectations_are_planned() {
    let folder = Folder::new();
    folder.write("db.yaml", DB);
    let head = "trial: shop\nmanifests: [shop.yaml, db.yaml]\n";
    let plan = async |expect: &str| {
        let file = folder.write("trial.yaml", &format!("{head}expect:\n{expect}"));
        folder.0.seatrial(&["plan", &file]).await
    };
    let known = "- {data: {volume: db-pv, is: waits}}\n- {data: {volume: data-db-0, is: lost}}\n- {data: {volume: scratch, is: lost}}\n\
                 - {workload: statefulset/db, is: away, during: node-loss}\n\
                 - {workload: deployment/shop, is: pending, because: node affinity, during: drain}\n";
    says(
        &plan(known).await,
        0,
        "expected: volume db-pv is waits (data), volume data-db-0 is lost (data), volume scratch is lost (data), \
         statefulset/db is away (node-loss), deployment/shop is pending because of node affinity (drain)",
    );
    let other =
        plan("- {data: {volume: db-pv, is: waits}}\n- data:\n    volume: shop-pv\n    is: waits\n").await;
    says(&other, 65, "trial.yaml:6: no volume is called shop-pv; the volumes: data, data-db, db-pv, scratch");
    let other = plan("- {workload: deployment/db, is: away, during: drain}\n").await;
    says(
        &other,
        65,
        "trial.yaml:4: deployment/db is not on trial; the workloads: deployment/shop, statefulset/db",
    );
}

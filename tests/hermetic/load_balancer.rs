//! The stand-in for kind's load balancer, run as kind runs Envoy: with the files that kind 0.33 writes, and with a
//! program called `haproxy` that only notes its commands.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::ensure;
use seatrial::cluster::lease::lock::Access;
use seatrial::cluster::{HA, ReapOptions};
use seatrial::deadline::Deadline;
use seatrial::exec::{Exec, ExecError};
use seatrial::image::{STANDS_FOR_LABEL, balancer_of_kind};

use crate::fake_engine::FakeEngine;
use crate::state_folder::{Ground, soon, spec};

const CLUSTERS: &str = include_str!("fixtures/load-balancer/cds.yaml");
const LISTENERS: &str = include_str!("fixtures/load-balancer/lds.yaml");
/// The content that kind gives both files at first.
const EMPTY: &str = "resources: []";
/// Accepts every configuration. As the running load balancer it stays, and notes each request to reload.
const HAPROXY: &str = r#"#!/bin/sh
[ "$1" != -c ] || exit 0
trap 'echo reloaded' USR2
echo "haproxy $*"
while :; do sleep 0.1; done
"#;

struct Stand {
    dir: tempfile::TempDir,
    said: Arc<Mutex<Vec<String>>>,
}

impl Stand {
    fn new() -> anyhow::Result<Self> {
        let stand = Self { dir: tempfile::tempdir()?, said: Arc::default() };
        let file = |name: &str| stand.dir.path().join(name).display().to_string();
        let (clusters, listeners) = (file("cds.yaml"), file("lds.yaml"));
        // kind: `DynamicFilesystemConfigTemplate`.
        let bootstrap = format!(
            "\nnode:\n  cluster: c\n  id: n\n\ndynamic_resources:\n  cds_config:\n    resource_api_version: V3\n    \
             path_config_source:\n      path: {clusters}\n  lds_config:\n    resource_api_version: V3\n    \
             path_config_source:\n      path: {listeners}\n\nadmin:\n  access_log_path: /dev/stdout\n"
        );
        stand.put("envoy.yaml", &bootstrap)?;
        stand.put("cds.yaml", EMPTY)?;
        stand.put("lds.yaml", EMPTY)?;
        stand.put("haproxy", HAPROXY)?;
        std::fs::set_permissions(stand.dir.path().join("haproxy"), std::fs::Permissions::from_mode(0o755))?;
        Ok(stand)
    }

    /// As kind does it: written next to the file, then moved into its place.
    fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let (file, new) = (self.dir.path().join(name), self.dir.path().join(format!("{name}.tmp")));
        std::fs::write(&new, text)?;
        Ok(std::fs::rename(new, file)?)
    }

    /// Runs the stand-in to its end, or until the future is dropped.
    async fn run(&self) -> Result<(), ExecError> {
        let path = format!("{}:{}", self.dir.path().display(), env!("PATH"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("offline/load-balancer/envoy");
        let exec = Exec::new("bash").arg(script).arg("-c").arg(self.dir.path().join("envoy.yaml"));
        let said = Arc::clone(&self.said);
        let take = move |line: &str| said.lock().unwrap().push(line.to_owned());
        exec.env("PATH", path).run_with(Deadline::after(Duration::from_secs(60)), take).await.map(drop)
    }

    /// Waits until a line was printed this many times.
    async fn hears(&self, part: &str, times: usize) -> anyhow::Result<()> {
        let deadline = Deadline::after(Duration::from_secs(50));
        loop {
            let said = self.said.lock().unwrap().clone();
            if said.iter().filter(|line| line.contains(part)).count() >= times {
                return Ok(());
            }
            ensure!(!deadline.is_over(), "no {part:?} in {said:#?}");
            deadline.pause(Duration::from_millis(50)).await;
        }
    }

    fn made(&self) -> PathBuf {
        self.dir.path().join("haproxy.cfg")
    }
}

#[tokio::test]
async fn it_follows_the_files_that_kind_writes() -> anyhow::Result<()> {
    let stand = Stand::new()?;
    let story = async {
        stand.hears("waiting for", 1).await?;
        ensure!(!stand.made().exists(), "nothing listens before kind has said where to lead");
        stand.put("cds.yaml", CLUSTERS)?;
        stand.put("lds.yaml", LISTENERS)?;
        stand.hears("listens for cp1:6443 cp2:6443 cp3:6443", 1).await?;
        stand.hears("haproxy -W -db -f", 1).await?;
        let text = std::fs::read_to_string(stand.made())?;
        // The backends that the files name. The rest is the script's own.
        for line in [
            "bind 0.0.0.0:6443",
            "timeout connect 3000ms",
            "timeout check 3000ms",
            "balance roundrobin",
            "option httpchk GET /healthz",
            "check check-ssl verify none inter 2000ms rise 1 fall 2",
            "server cp1 cp1:6443",
            "server cp3 cp3:6443",
        ] {
            ensure!(text.contains(line), "no {line:?} in {text}");
        }
        // Files that are replaced later are followed without interrupting open connections.
        ensure!(!text.contains("shutdown-sessions"), "kind leaves connections alone: {text}");
        let cut = "  close_connections_on_host_health_failure: true\n  connect_timeout";
        let changed = CLUSTERS.replace("cp3", "cp4").replace("  connect_timeout", cut);
        stand.put("cds.yaml", &changed)?;
        stand.hears("listens for cp1:6443 cp2:6443 cp4:6443", 1).await?;
        stand.hears("reloaded", 1).await?;
        let text = std::fs::read_to_string(stand.made())?;
        ensure!(text.contains("on-marked-down shutdown-sessions"), "connections are cut: {text}");
        anyhow::Ok(())
    };
    tokio::select! {
        ended = stand.run() => anyhow::bail!("it ended: {ended:?} {:#?}", stand.said.lock().unwrap()),
        done = story => done,
    }
}

#[tokio::test]
async fn it_refuses_what_it_does_not_know() -> anyhow::Result<()> {
    for (what, from, to, because) in [
        ("cds.yaml", "ROUND_ROBIN", "MAGLEV", "asks for STRICT_DNS and MAGLEV: unknown here"),
        ("cds.yaml", "path: /healthz", "", "has not one path"),
        ("cds.yaml", "interval: 2s", "interval: 2m", "2m is no time in seconds"),
        ("lds.yaml", "cluster: kube_apiservers", "cluster: others", "leads to others, which"),
        ("lds.yaml", "port_value: 6443", "", "has not one port_value"),
    ] {
        let stand = Stand::new()?;
        for (name, text) in [("cds.yaml", CLUSTERS), ("lds.yaml", LISTENERS)] {
            ensure!(text.contains(from) || name != what, "{from}");
            stand.put(name, &if name == what { text.replace(from, to) } else { text.into() })?;
        }
        let error = stand.run().await.expect_err(because).to_string();
        ensure!(error.contains(because), "{what} {to}: {error}");
    }
    Ok(())
}

/// The lock is a file in a cache. A creation with another cache may need the name at this moment.
#[tokio::test]
async fn a_creation_leaves_the_load_balancers_name_to_another_borrower() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let Some(name) = balancer_of_kind()? else { return Ok(()) };
    ground.fake.state().containers.clear();
    let labels = [(STANDS_FOR_LABEL.to_owned(), name.clone())].into();
    ground.fake.state().images.insert(name, labels);
    let made = ground.clusters().await.acquire(&spec(&HA), Access::Shared, soon()).await;
    let requests = ground.fake.state().requests.clone();
    let made = made.map(drop);
    assert!(requests.iter().any(|r| r.starts_with("GET /images/")), "{made:?} {requests:?}");
    assert!(!requests.iter().any(|r| r.starts_with("DELETE /images/")), "{made:?} {requests:?}");
    Ok(())
}

fn stand_in(fake: &FakeEngine, name: &str) {
    fake.state().images.insert(name.into(), [(STANDS_FOR_LABEL.to_owned(), name.to_owned())].into());
}

/// The leftovers of a creation that was killed while it had lent the name on [`FakeEngine`]'s engine to this image.
fn lent(ground: &Ground, image: &str) -> anyhow::Result<PathBuf> {
    let locks = ground.settings.cache.join("locks");
    std::fs::create_dir_all(&locks)?;
    let word = locks.join("load-balancer-name.lock");
    std::fs::write(&word, format!("FAKE:ENGINE {image}\n"))?;
    Ok(word)
}

fn untagged(fake: &FakeEngine) -> bool {
    fake.changes().iter().any(|request| request.starts_with("DELETE /images/"))
}

/// A reap on another engine must not forget the lent name: otherwise the stand-in would keep it on the first engine
/// for ever.
#[tokio::test]
async fn a_lent_name_is_not_forgotten_by_a_reap_of_another_engine() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let Some(name) = balancer_of_kind()? else { return Ok(()) };
    ground.fake.state().containers.clear();
    stand_in(&ground.fake, &name);
    let word = lent(&ground, "sha256:fake")?;
    let other = FakeEngine::with(&[])?;
    other.state().id = "OTHER:ENGINE".into();
    ground.reap_on(&other, ReapOptions::default()).await?;
    ground.reap(ReapOptions::default()).await?;
    assert!(untagged(&ground.fake), "{:?}", ground.fake.changes());
    assert_eq!(std::fs::read_to_string(word)?, "");
    Ok(())
}

/// On the other engine somebody else may have lent the name, perhaps at this moment.
#[tokio::test]
async fn a_lent_name_is_taken_back_on_its_own_engine_only() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let Some(name) = balancer_of_kind()? else { return Ok(()) };
    lent(&ground, "sha256:fake")?;
    let other = FakeEngine::with(&[])?;
    other.state().id = "OTHER:ENGINE".into();
    stand_in(&other, &name);
    ground.reap_on(&other, ReapOptions::default()).await?;
    assert!(!untagged(&other), "{:?}", other.changes());
    Ok(())
}

/// One creation was killed after it had lent the name; the next one was killed before its own image had the name.
#[tokio::test]
async fn a_name_lent_by_the_creation_before_the_last_is_taken_back() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let Some(name) = balancer_of_kind()? else { return Ok(()) };
    ground.fake.state().containers.clear();
    stand_in(&ground.fake, &name);
    let word = lent(&ground, "sha256:fake")?;
    std::fs::write(&word, "FAKE:ENGINE sha256:fake\nFAKE:ENGINE sha256:later\n")?;
    ground.reap(ReapOptions::default()).await?;
    assert!(untagged(&ground.fake), "{:?}", ground.fake.changes());
    assert_eq!(std::fs::read_to_string(word)?, "");
    Ok(())
}

/// The creation was killed before its image had the name. Then somebody with another cache lent the name to another
/// image.
#[tokio::test]
async fn a_name_is_taken_back_only_from_the_image_that_it_was_lent_to() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let Some(name) = balancer_of_kind()? else { return Ok(()) };
    ground.fake.state().containers.clear();
    stand_in(&ground.fake, &name);
    let word = lent(&ground, "sha256:ours")?;
    ground.reap(ReapOptions::default()).await?;
    assert!(!untagged(&ground.fake), "{:?}", ground.fake.changes());
    assert_eq!(std::fs::read_to_string(word)?, "", "there is nothing to take back");
    Ok(())
}

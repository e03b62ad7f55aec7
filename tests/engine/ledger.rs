//! The ledger against a real MySQL in a side container that is killed, silenced and swapped under
//! it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};
use rstest::{fixture, rstest};
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::event::{Event, EventLog, Outcome, Server};
use seatrial::image;
use seatrial::judge::{Conclusion, Evidence, Finding, durability};
use seatrial::probe::{Ledger, LedgerSpec, Pace, Route};
use seatrial::progress::Progress;
use testcontainers::core::{IntoContainerPort, client::docker_client_instance};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::net::{TcpListener, TcpStream};

const PASSWORD: &str = "password";
const PACE: Pace = Pace { every: Duration::from_millis(5), rows: 1 };

fn seconds(n: u64) -> Deadline {
    Deadline::after(Duration::from_secs(n))
}

/// A port that stays while the server behind it changes, as a forward's does: the engine gives a
/// container that is started again another port.
struct Relay {
    address: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    async fn to(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let to = Arc::new(Mutex::new(target));
        let target = Arc::clone(&to);
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let target = *target.lock().unwrap();
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Ok(Self { address, to, task })
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.to.lock().unwrap() = target;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One MySQL, its relay, and a ledger that writes through it.
struct Side {
    mysql: ContainerAsync<GenericImage>,
    relay: Relay,
    ledger: Ledger,
    log: EventLog,
    _dir: tempfile::TempDir,
}

/// The profile's MySQL, built or pulled first where it is not there: `name` and `tag`.
#[expect(clippy::disallowed_methods, reason = "the edge: tests resolve the settings themselves")]
async fn image() -> anyhow::Result<(String, String)> {
    static IMAGE: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    let resolve = async || {
        let settings = Settings::resolve(|name| std::env::var(name).ok())?;
        let engine = Engine::connect(None).await.context("no container engine: run scripts/bootstrap")?;
        let (progress, deadline) = (Progress::silent(), seconds(80 * 60));
        let images = image::resolve(&settings, &engine, &progress, deadline).await?;
        let mysql = image::beside(&settings, &engine, &images, "mysql", &progress, deadline).await?;
        anyhow::Ok(mysql.reference)
    };
    let chosen = IMAGE.get_or_try_init(resolve).await?;
    let (name, tag) = chosen.rsplit_once(':').context("an image needs a tag")?;
    Ok((name.into(), tag.into()))
}

async fn mysql() -> anyhow::Result<ContainerAsync<GenericImage>> {
    let (name, tag) = image().await?;
    let image = GenericImage::new(&name, &tag).with_exposed_port(3306.tcp());
    let run = image.with_env_var("MYSQL_ROOT_PASSWORD", PASSWORD).with_label("dev.seatrial.test", "ledger");
    Ok(run.start().await?)
}

async fn address(mysql: &ContainerAsync<GenericImage>) -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], mysql.get_host_port_ipv4(3306).await?)))
}

fn ledger(relay: &Relay, log: &EventLog) -> Ledger {
    let spec = LedgerSpec { password: PASSWORD.into(), ..LedgerSpec::default() };
    Ledger::new(spec, Route::direct(relay.address), log.clone())
}

#[fixture]
async fn side() -> anyhow::Result<Side> {
    let mysql = mysql().await?;
    let relay = Relay::to(address(&mysql).await?).await?;
    let dir = tempfile::tempdir()?;
    let log = EventLog::open(dir.path(), "ledger-test")?;
    let ledger = ledger(&relay, &log);
    ledger.ready(seconds(120)).await?;
    ledger.create(seconds(10)).await?;
    Ok(Side { mysql, relay, ledger, log, _dir: dir })
}

impl Side {
    fn outcomes(&self, wanted: Outcome) -> Vec<String> {
        let reason = |event: Event| match event {
            Event::RowWritten { outcome, reason, .. } if outcome == wanted => Some(reason),
            _ => None,
        };
        self.log.records().into_iter().filter_map(|r| reason(r.event)).collect()
    }

    fn verdict(&self, reading: &str) -> anyhow::Result<Finding> {
        let records = self.log.records();
        let mut finding = Finding::new();
        durability::every_acknowledged_row(&Evidence::new(&records, "test"), reading, &mut finding)?;
        Ok(finding)
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_row_is_lost_when_the_server_is_killed(
    #[future(awt)] side: anyhow::Result<Side>,
) -> anyhow::Result<()> {
    let side = side?;
    let docker = docker_client_instance().await?;
    let before = side.ledger.ready(seconds(30)).await?;
    let mut writer = side.ledger.write("writer-1", PACE);
    ensure!(writer.acknowledged(100, seconds(60)).await, "{:?}", writer.tally());

    docker.kill_container(side.mysql.id(), None).await?;
    docker.start_container(side.mysql.id(), None).await?;
    side.relay.lead_to(address(&side.mysql).await?);
    let after = side.ledger.ready(seconds(120)).await?;
    assert_eq!(after, before, "the same data directory is the same server");
    let at_return = writer.tally().acknowledged;
    ensure!(writer.acknowledged(at_return + 100, seconds(60)).await, "{:?}", writer.tally());
    let tally = writer.stop().await;

    ensure!(tally.refused + tally.indeterminate > 0, "the kill was not felt: {tally:?}");
    // One row was in flight, at most.
    ensure!(tally.indeterminate <= 1, "{tally:?}: {:?}", side.outcomes(Outcome::Indeterminate));
    let read = side.ledger.read("after-kill", seconds(30)).await?;
    ensure!(read.rows.len() as u64 >= tally.acknowledged);
    let finding = side.verdict("after-kill")?;
    assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
    Ok(())
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_makes_rows_indeterminate(
    #[future(awt)] side: anyhow::Result<Side>,
) -> anyhow::Result<()> {
    let side = side?;
    let mut writer = side.ledger.write("writer-1", PACE);
    ensure!(writer.acknowledged(20, seconds(60)).await, "{:?}", writer.tally());

    side.mysql.pause().await?;
    let paused = writer.tally();
    let silence = seconds(20);
    while writer.tally().indeterminate == 0 || writer.tally().refused == 0 {
        silence.pause(Duration::from_millis(50)).await;
        ensure!(!silence.is_over(), "{:?}", writer.tally());
    }
    side.mysql.unpause().await?;
    let at_return = writer.tally().acknowledged;
    ensure!(writer.acknowledged(at_return + 20, seconds(60)).await, "{:?}", writer.tally());
    writer.pause().await;

    // One row was sent into the silence; after it no connection came about.
    let silent = side.outcomes(Outcome::Indeterminate);
    assert_eq!(silent.len(), 1, "{silent:?} after {paused:?}");
    assert!(silent[0].starts_with("MySQL did not answer in 2"), "{silent:?}");
    let refused = side.outcomes(Outcome::Refused);
    assert!(refused.iter().all(|r| r.contains("connect to 127.0.0.1")), "{refused:?}");

    side.ledger.read("after-silence", seconds(30)).await?;
    let finding = side.verdict("after-silence")?;
    assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
    writer.resume();
    let tally = writer.tally().acknowledged;
    ensure!(writer.acknowledged(tally + 1, seconds(10)).await, "it does not go on after a pause");
    writer.stop().await;
    Ok(())
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn another_server_behind_the_port_is_noticed(
    #[future(awt)] side: anyhow::Result<Side>,
) -> anyhow::Result<()> {
    let side = side?;
    let first: Server = side.ledger.ready(seconds(30)).await?;
    let mut writer = side.ledger.write("writer-1", PACE);
    ensure!(writer.acknowledged(10, seconds(60)).await, "{:?}", writer.tally());
    writer.pause().await;

    let other = mysql().await?;
    side.relay.lead_to(address(&other).await?);
    let second = side.ledger.ready(seconds(120)).await?;
    assert_ne!(first.uuid, second.uuid);
    writer.resume();
    let refusal = seconds(20);
    while writer.tally().refused < 3 {
        refusal.pause(Duration::from_millis(50)).await;
        ensure!(!refusal.is_over(), "{:?}", writer.tally());
    }
    writer.pause().await;
    let reasons = side.outcomes(Outcome::Refused);
    assert!(reasons.iter().all(|r| r.contains("Unknown database 'qa'")), "{reasons:?}");

    let read = side.ledger.read("elsewhere", seconds(30)).await?;
    assert!(!read.exists);
    side.ledger.create(seconds(10)).await?;
    writer.resume();
    ensure!(writer.acknowledged(20, seconds(60)).await, "{:?}", writer.tally());
    writer.stop().await;
    side.ledger.read("elsewhere-later", seconds(30)).await?;
    for reading in ["elsewhere", "elsewhere-later"] {
        let finding = side.verdict(reading)?;
        assert_eq!(finding.conclusion(), Conclusion::Failed);
        let text = finding.evidence();
        assert!(text.contains("10 rows were acknowledged by another server"), "{text}");
        assert!(text.contains(&first.uuid), "{text}");
        assert!(!text.contains("lost"), "{text}");
    }
    Ok(())
}

//! The ledger against a real MySQL in a side container. The tests kill the server, pause it, and replace it by another.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};
use rstest::{fixture, rstest};
use seatrial::deadline::Deadline;
use seatrial::event::{Event, EventLog, Outcome, Server};
use seatrial::image::{self, ImageContext};
use seatrial::judge::durability::samples::Samples;
use seatrial::judge::durability::servers;
use seatrial::judge::outages::Outages;
use seatrial::judge::{Conclusion, Evidence, Finding, durability};
use seatrial::probe::{Ledger, LedgerSpec, Pace, Route, Traffic};
use seatrial::progress::Progress;
use testcontainers::core::{IntoContainerPort, client::docker_client_instance};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::net::{TcpListener, TcpStream};

const PASSWORD: &str = "password";
pub const PACE: Pace = Pace { every: Duration::from_millis(5), rows: 1 };

pub fn seconds(n: u64) -> Deadline {
    Deadline::after(Duration::from_secs(n))
}

/// A local port that stays the same while the server behind it changes, like the port of a forward. The engine gives a
/// restarted container another port.
pub struct Relay {
    address: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    accepted: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    async fn to(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let to = Arc::new(Mutex::new(target));
        let target = Arc::clone(&to);
        let accepted = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let target = *target.lock().unwrap();
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Ok(Self { address, to, accepted, task })
    }

    pub fn lead_to(&self, target: SocketAddr) {
        *self.to.lock().unwrap() = target;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One MySQL, its relay, and a ledger that writes through it.
pub struct Side {
    pub mysql: ContainerAsync<GenericImage>,
    pub relay: Relay,
    pub ledger: Ledger,
    log: EventLog,
    _dir: tempfile::TempDir,
}

/// Returns name and tag of the profile's MySQL image. Builds or pulls a missing image first.
async fn image() -> anyhow::Result<(String, String)> {
    static IMAGE: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    let resolve = async || {
        let (settings, engine) = (crate::settings()?, crate::engine().await?);
        let (progress, deadline) = (Progress::silent(), seconds(80 * 60));
        let context = ImageContext { settings: &settings, engine: &engine, progress: &progress, deadline };
        let images = image::resolve(&context).await?;
        let mysql = image::beside(&context, &images, "mysql").await?;
        anyhow::Ok(mysql.reference)
    };
    let chosen = IMAGE.get_or_try_init(resolve).await?;
    let (name, tag) = chosen.rsplit_once(':').context("an image needs a tag")?;
    Ok((name.into(), tag.into()))
}

async fn mysql() -> anyhow::Result<ContainerAsync<GenericImage>> {
    mysql_with(Vec::new()).await
}

/// Starts a MySQL with these arguments for the server.
async fn mysql_with(arguments: Vec<String>) -> anyhow::Result<ContainerAsync<GenericImage>> {
    let (name, tag) = image().await?;
    let image = GenericImage::new(&name, &tag).with_exposed_port(3306.tcp());
    let run = image
        .with_env_var("MYSQL_ROOT_PASSWORD", PASSWORD)
        .with_label("dev.seatrial.test", "ledger")
        .with_cmd(arguments);
    Ok(run.start().await?)
}

pub async fn address(mysql: &ContainerAsync<GenericImage>) -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], mysql.get_host_port_ipv4(3306).await?)))
}

fn ledger(relay: &Relay, log: &EventLog) -> Ledger {
    let spec = LedgerSpec { password: PASSWORD.into(), ..LedgerSpec::default() };
    Ledger::new(spec, Route::direct(relay.address), log.clone())
}

#[fixture]
pub async fn side() -> anyhow::Result<Side> {
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

    /// Runs statements on the server without the ledger.
    pub async fn meddle(&self, statements: &str) -> anyhow::Result<()> {
        let mut argv = vec!["mysql", "-h127.0.0.1", "-uroot", "-ppassword", "-e"];
        argv.push(statements);
        let engine = crate::engine().await?;
        engine.exec_ok(self.mysql.id(), &argv, None, seconds(30)).await?;
        Ok(())
    }

    fn samples(&self) -> Samples {
        Samples::of(&Evidence::new(&self.log.records(), "test"))
    }

    pub fn verdict(&self, reading: &str) -> anyhow::Result<Finding> {
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

    // One row was sent while the server was paused. Every later attempt failed to connect.
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
    // Besides the ten rows, the row in flight may also be acknowledged.
    let written = writer.pause().await.acknowledged;

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
        let said = format!("{written} acknowledged rows are misplaced, not on the server that was read");
        assert!(text.contains(&said), "{text}");
        assert!(text.contains(&first.uuid), "{text}");
        assert!(!text.contains("lost"), "{text}");
    }
    Ok(())
}

/// A writer of rows, one of transactions, and a reader.
fn traffic(ledger: &Ledger) -> Traffic {
    let transactions = Pace { every: Duration::from_millis(10), rows: 3 };
    Traffic::start(ledger, &[PACE, transactions], Duration::from_millis(20))
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn writers_and_readers_go_through_a_crash(
    #[future(awt)] side: anyhow::Result<Side>,
) -> anyhow::Result<()> {
    let side = side?;
    let docker = docker_client_instance().await?;
    let mut traffic = traffic(&side.ledger);
    ensure!(traffic.flows(60, seconds(60)).await, "{:?}", traffic.tally());
    // The uptime is in whole seconds: a start right after another one would look the same.
    side.ledger.ready(seconds(30)).await?;
    docker.kill_container(side.mysql.id(), None).await?;
    docker.start_container(side.mysql.id(), None).await?;
    side.relay.lead_to(address(&side.mysql).await?);
    ensure!(traffic.flows(60, seconds(120)).await, "{:?}", traffic.tally());
    traffic.stop().await;
    side.ledger.read("after-crash", seconds(30)).await?;

    let finding = side.verdict("after-crash")?;
    assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
    let (samples, mut seen) = (side.samples(), Finding::new());
    samples.check(&mut seen);
    ensure!(samples.answered > 10, "{samples:?}");
    assert_eq!(seen.conclusion(), Conclusion::Passed, "{:#?}", seen.details());
    let records = side.log.records();
    let restarts = servers::restarts(&Evidence::new(&records, "test"));
    assert_eq!(restarts.len(), 1, "{restarts:?}");
    assert_eq!(servers::overlaps(&Evidence::new(&records, "test")), []);
    for (probe, outages) in Outages::by_probe(&records) {
        let longest = outages.longest().map_or(0.0, |w| w.length());
        ensure!(longest > 0.1 && longest < 60.0, "{probe}: {}", outages.describe());
        ensure!(outages.windows.iter().all(|w| !w.open), "{probe}: {}", outages.describe());
    }
    Ok(())
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_to_the_table_is_seen_by_readers(
    #[future(awt)] side: anyhow::Result<Side>,
) -> anyhow::Result<()> {
    let side = side?;
    let mut traffic = traffic(&side.ledger);
    ensure!(traffic.flows(30, seconds(60)).await, "{:?}", traffic.tally());
    let before = side.samples();
    assert_eq!((before.missing.len(), before.surplus.len()), (0, 0), "{before:?}");
    let doubled = "INSERT INTO qa.ledger (writer, number, payload, checksum) \
                   SELECT writer, number, payload, checksum FROM qa.ledger WHERE id = 9";
    side.meddle(doubled).await?;
    ensure!(traffic.flows(1, seconds(60)).await);
    ensure!(!side.samples().surplus.is_empty(), "{:?}", side.samples());
    side.meddle("DELETE FROM qa.ledger WHERE id IN (5, 6, 7)").await?;
    ensure!(traffic.flows(1, seconds(60)).await);
    ensure!(!side.samples().missing.is_empty(), "{:?}", side.samples());
    traffic.pause().await;
    side.ledger.read("meddled", seconds(30)).await?;
    let text = side.verdict("meddled")?.evidence();
    for said in ["lost", "are there twice", "before rows that were acknowledged earlier"] {
        ensure!(text.contains(said), "{said}: {text}");
    }

    side.meddle("DROP TABLE qa.ledger").await?;
    traffic.resume();
    let dropped = seconds(30);
    while side.samples().gone.is_empty() {
        ensure!(!dropped.is_over(), "{:?}", side.samples());
        dropped.pause(Duration::from_millis(50)).await;
    }
    traffic.stop().await;
    side.ledger.read("dropped", seconds(30)).await?;
    let finding = side.verdict("dropped")?;
    let failed: Vec<String> = finding.details().into_iter().filter(|d| d.starts_with("failed")).collect();
    assert_eq!(failed.len(), 1, "{failed:#?}");
    ensure!(failed[0].contains("the ledger's table is gone from the server that acknowledged"), "{failed:?}");
    Ok(())
}

/// When MySQL's image starts, its temporary server answers once and ends. A second later, another server is behind the
/// port.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_once_is_not_ready(
    #[future(awt)] side: anyhow::Result<Side>,
) -> anyhow::Result<()> {
    let side = side?;
    let (first, other) = (side.ledger.ready(seconds(30)).await?, mysql().await?);
    let to = address(&other).await?;
    let second = {
        let relay = Relay::to(to).await?;
        ledger(&relay, &side.log).ready(seconds(120)).await?
    };
    assert_ne!(first.uuid, second.uuid);
    let known = side.relay.accepted.load(Ordering::SeqCst);
    let swap = async {
        let soon = seconds(30);
        while side.relay.accepted.load(Ordering::SeqCst) == known && !soon.is_over() {
            soon.pause(Duration::from_millis(5)).await;
        }
        side.relay.lead_to(to);
    };
    let (ready, ()) = tokio::join!(side.ledger.ready(seconds(60)), swap);
    assert_eq!(ready?.uuid, second.uuid, "one answer was enough to count as ready");
    Ok(())
}

/// A client that trusts the server's `@@socket` would switch to any server that listens on that socket on this machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_this_machine_is_never_used() -> anyhow::Result<()> {
    let path = format!("/tmp/seatrial-test-{}.sock", std::process::id());
    let socket = tokio::net::UnixListener::bind(&path)?;
    let tried = async {
        let mysql = mysql_with(vec![format!("--socket={path}")]).await?;
        let relay = Relay::to(address(&mysql).await?).await?;
        let dir = tempfile::tempdir()?;
        let log = EventLog::open(dir.path(), "ledger-test")?;
        let ledger = ledger(&relay, &log);
        ledger.ready(seconds(120)).await?;
        ledger.create(seconds(10)).await?;
        let mut traffic = traffic(&ledger);
        ensure!(traffic.flows(3, seconds(60)).await, "{:?}", traffic.tally());
        traffic.stop().await;
        Ok(())
    };
    let ended = tokio::select! {
        ended = tried => ended,
        accepted = socket.accept() => Err(anyhow::anyhow!("the client went past TCP: {accepted:?}")),
    };
    std::fs::remove_file(&path)?;
    ended
}

//! Measures how many rows the ledger writes to a MySQL server, and at what cost, in comparison with a bare loop of the
//! same inserts.
//!
//! `docker run -d --rm --name figures -e MYSQL_ROOT_PASSWORD=password -p 127.0.0.1:33306:3306 IMAGE`,
//! then `cargo run --example figures_ledger 127.0.0.1:33306 password [ROUNDS]`

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use seatrial::deadline::Deadline;
use seatrial::event::EventLog;
use seatrial::probe::{Ledger, LedgerSpec, Pace, Reader, Route, Writer};

/// The ways of writing take turns of one second: a disk that is slow for a while slows all of them down.
const SLICE: Duration = Duration::from_secs(1);

/// The same as in `src/suite/mysql.rs`.
const SUITE: [Pace; 2] =
    [Pace { every: Duration::from_millis(50), rows: 1 }, Pace { every: Duration::from_millis(150), rows: 3 }];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let address: SocketAddr = args.next().context("usage: ADDRESS PASSWORD [ROUNDS]")?.parse()?;
    let password = args.next().context("usage: ADDRESS PASSWORD [ROUNDS]")?;
    let rounds: u32 = args.next().map_or(Ok(10), |n| n.parse())?;

    let mut bare = Bare::open(address, &password).await?;
    let fast = |rows| Pace { every: Duration::ZERO, rows };
    let cases: [(&str, &[Pace], Option<Duration>); 5] = [
        ("ledger, 1 writer", &[fast(1)], None),
        ("  and a reader every 250 ms", &[fast(1)], Some(Duration::from_millis(250))),
        ("ledger, 4 writers", &[fast(1); 4], None),
        ("ledger, 1 writer, 10 rows each", &[fast(10)], None),
        ("as suite mysql writes", &SUITE, Some(Duration::from_millis(250))),
    ];
    let mut ledgers = Vec::new();
    for (number, (name, paces, look)) in cases.into_iter().enumerate() {
        let database = format!("figures{number}");
        ledgers.push((name, Written::open(address, &password, &database, paces, look).await?));
    }
    for _ in 0..rounds {
        bare.slice().await?;
        for (_, written) in &mut ledgers {
            written.slice().await;
        }
    }
    println!("                               rows/s   to bare   CPU of a core   kB of events/row");
    line("bare inserts, 1 connection", bare.cost, bare.cost, 0.0);
    for (name, written) in ledgers {
        let bytes = std::fs::metadata(written.dir.path().join("events.jsonl"))?.len();
        line(name, written.cost, bare.cost, bytes as f64 / written.cost.rows.max(1.0) / 1e3);
    }
    println!("peak memory of this process: {:.0} MB", peak_mb());
    Ok(())
}

#[derive(Clone, Copy, Default)]
struct Cost {
    rows: f64,
    seconds: f64,
    cpu: f64,
}

fn line(name: &str, cost: Cost, base: Cost, events: f64) {
    let (rate, base) = (cost.rows / cost.seconds, base.rows / base.seconds);
    let cpu = cost.cpu / cost.seconds;
    println!("{name:<30} {rate:>7.0} {:>8.2} x {cpu:>13.2} {events:>18.2}", rate / base);
}

/// A loop of inserts and nothing else.
struct Bare {
    conn: Conn,
    insert: mysql_async::Statement,
    cost: Cost,
}

impl Bare {
    async fn open(address: SocketAddr, password: &str) -> anyhow::Result<Self> {
        let options = OptsBuilder::default()
            .ip_or_hostname(address.ip().to_string())
            .tcp_port(address.port())
            .user(Some("root"))
            .pass(Some(password))
            .prefer_socket(false);
        let mut conn = Conn::new(options).await?;
        conn.query_drop("CREATE DATABASE bare").await.context("take a fresh server")?;
        conn.query_drop(
            "CREATE TABLE bare.t (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, writer VARCHAR(64), \
             number BIGINT, payload VARCHAR(64), checksum CHAR(64))",
        )
        .await?;
        let insert =
            conn.prep("INSERT INTO bare.t (writer, number, payload, checksum) VALUES (?, ?, ?, ?)").await?;
        Ok(Self { conn, insert, cost: Cost::default() })
    }

    async fn slice(&mut self) -> anyhow::Result<()> {
        let text = "0".repeat(64);
        let (began, cpu) = (Instant::now(), cpu());
        while began.elapsed() < SLICE {
            self.conn.exec_drop(&self.insert, ("writer-1", self.cost.rows, &text, &text)).await?;
            self.cost.rows += 1.0;
        }
        self.cost.seconds += began.elapsed().as_secs_f64();
        self.cost.cpu += self::cpu() - cpu;
        Ok(())
    }
}

struct Written {
    writers: Vec<Writer>,
    reader: Option<Reader>,
    dir: tempfile::TempDir,
    /// Rows that were written before its writers were paused.
    before: f64,
    cost: Cost,
}

async fn rest(writers: &mut [Writer], reader: &mut Option<Reader>) {
    for writer in writers {
        writer.pause().await;
    }
    if let Some(reader) = reader {
        reader.pause().await;
    }
}

fn acknowledged(writers: &[Writer]) -> f64 {
    writers.iter().map(|w| w.tally().acknowledged as f64).sum()
}

impl Written {
    /// Opens the writers, paused.
    async fn open(
        address: SocketAddr,
        password: &str,
        database: &str,
        paces: &[Pace],
        look: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let log = EventLog::open(dir.path(), "figures")?;
        let spec = LedgerSpec { database: database.into(), password: password.into(), ..Default::default() };
        let ledger = Ledger::new(spec, Route::direct(address), log);
        let soon = Deadline::after(Duration::from_secs(60));
        ledger.ready(soon).await?;
        ledger.create(soon).await.context("take a fresh server")?;
        let mut writers: Vec<_> =
            paces.iter().zip(1..).map(|(pace, n)| ledger.write(&format!("writer-{n}"), *pace)).collect();
        let mut reader = look.map(|every| ledger.look("reader", every));
        rest(&mut writers, &mut reader).await;
        let before = acknowledged(&writers);
        Ok(Self { writers, reader, dir, before, cost: Cost::default() })
    }

    async fn slice(&mut self) {
        let (began, cpu) = (Instant::now(), cpu());
        self.writers.iter().for_each(Writer::resume);
        self.reader.iter().for_each(Reader::resume);
        Deadline::after(SLICE).pause(SLICE).await;
        self.cost.seconds += began.elapsed().as_secs_f64();
        self.cost.cpu += self::cpu() - cpu;
        rest(&mut self.writers, &mut self.reader).await;
        self.cost.rows = acknowledged(&self.writers) - self.before;
    }
}
/// Returns the seconds of processor time of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or_default();
    // utime and stime, in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1e3
}

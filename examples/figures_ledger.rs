//! Figures: rows that the ledger sustains on a MySQL server, and what that costs, beside a bare
//! loop of the same inserts.
//!
//! `docker run -d --rm --name figures -e MYSQL_ROOT_PASSWORD=password -p 127.0.0.1:33306:3306 IMAGE`,
//! then `cargo run --example figures_ledger 127.0.0.1:33306 password [SECONDS]`

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use seatrial::deadline::Deadline;
use seatrial::event::EventLog;
use seatrial::probe::{Ledger, LedgerSpec, Pace, Route};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let address: SocketAddr = args.next().context("usage: ADDRESS PASSWORD [SECONDS]")?.parse()?;
    let password = args.next().context("usage: ADDRESS PASSWORD [SECONDS]")?;
    let time = Duration::from_secs(args.next().map_or(Ok(10), |n| n.parse())?);

    let base = bare(address, &password, time).await?;
    println!("                               rows/s   to bare   CPU of a core   kB of events/row   peak MB");
    line("bare inserts, 1 connection", base, base.rows, 0.0);
    let fast = |rows| Pace { every: Duration::ZERO, rows };
    let cases: [(&str, &[Pace], Option<Duration>); 5] = [
        ("ledger, 1 writer", &[fast(1)], None),
        ("  and a reader every 250 ms", &[fast(1)], Some(Duration::from_millis(250))),
        ("ledger, 4 writers", &[fast(1); 4], None),
        ("ledger, 1 writer, 10 rows each", &[fast(10)], None),
        ("as suite mysql writes", &SUITE, Some(Duration::from_millis(250))),
    ];
    for (number, (name, paces, look)) in cases.into_iter().enumerate() {
        let database = format!("figures{number}");
        let (cost, events) = ledger(address, &password, &database, paces, look, time).await?;
        line(name, cost, base.rows, events / cost.rows.max(1.0) / 1e3);
    }
    Ok(())
}

/// As `src/suite/stateful_single.rs`.
const SUITE: [Pace; 2] =
    [Pace { every: Duration::from_millis(50), rows: 1 }, Pace { every: Duration::from_millis(150), rows: 3 }];

#[derive(Clone, Copy)]
struct Cost {
    rows: f64,
    seconds: f64,
    cpu: f64,
}

fn line(name: &str, cost: Cost, base: f64, events: f64) {
    println!(
        "{name:<30} {:>7.0} {:>8.2} x {:>13.2} {events:>18.2} {:>9.0}",
        cost.rows / cost.seconds,
        cost.rows / base,
        cost.cpu / cost.seconds,
        peak_mb()
    );
}

async fn bare(address: SocketAddr, password: &str, time: Duration) -> anyhow::Result<Cost> {
    let options = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some("root"))
        .pass(Some(password))
        .prefer_socket(false);
    let mut conn = Conn::new(options).await?;
    conn.query_drop("DROP DATABASE IF EXISTS bare").await?;
    conn.query_drop("CREATE DATABASE bare").await?;
    conn.query_drop(
        "CREATE TABLE bare.t (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, writer VARCHAR(64), \
         number BIGINT, payload VARCHAR(64), checksum CHAR(64))",
    )
    .await?;
    let insert =
        conn.prep("INSERT INTO bare.t (writer, number, payload, checksum) VALUES (?, ?, ?, ?)").await?;
    let text = "0".repeat(64);
    let (began, cpu, mut rows) = (Instant::now(), cpu(), 0_u32);
    while began.elapsed() < time {
        conn.exec_drop(&insert, ("writer-1", rows, &text, &text)).await?;
        rows += 1;
    }
    Ok(Cost { rows: rows.into(), seconds: began.elapsed().as_secs_f64(), cpu: self::cpu() - cpu })
}

/// What it cost, and the bytes of its events.
async fn ledger(
    address: SocketAddr,
    password: &str,
    database: &str,
    paces: &[Pace],
    look: Option<Duration>,
    time: Duration,
) -> anyhow::Result<(Cost, f64)> {
    let dir = tempfile::tempdir()?;
    let log = EventLog::open(dir.path(), "figures")?;
    let spec = LedgerSpec { database: database.into(), password: password.into(), ..LedgerSpec::default() };
    let ledger = Ledger::new(spec, Route::direct(address), log.clone());
    let soon = Deadline::after(Duration::from_secs(60));
    ledger.ready(soon).await?;
    ledger.create(soon).await.context("the database is there already: take a fresh server")?;
    let (began, cpu) = (Instant::now(), cpu());
    let writers: Vec<_> =
        paces.iter().zip(1..).map(|(pace, n)| ledger.write(&format!("writer-{n}"), *pace)).collect();
    let reader = look.map(|every| ledger.look("reader", every));
    Deadline::after(time).pause(time).await;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), self::cpu() - cpu);
    let mut rows = 0;
    for writer in writers {
        rows += writer.stop().await.acknowledged;
    }
    if let Some(reader) = reader {
        reader.stop().await;
    }
    log.check()?;
    let bytes = std::fs::metadata(dir.path().join("events.jsonl"))?.len();
    Ok((Cost { rows: rows as f64, seconds, cpu }, bytes as f64))
}

/// Seconds of processor time of this process.
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

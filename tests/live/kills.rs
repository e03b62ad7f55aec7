//! seatrial is killed with SIGKILL at random moments of an outage, again and again. The next lease,
//! or a reap, finds every fault and heals it, and everything is as it was.
//!
//! `SEATRIAL_KILLS` is the number of kills; without it 200 under nextest's profile `nightly`, else
//! 3. `SEATRIAL_SEED` repeats the moments of an earlier run.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use seatrial::cluster::{Action, ReapOptions};
use seatrial::deadline::Deadline;
use seatrial::exec::Exec;
use serde_json::Value;

use crate::cluster_to_break::{Ground, of_round};
use crate::session::variable;

/// How far the process is when its time begins to run out; the last is its whole life.
const FROM: [&str; 6] = ["started", "leased", "intended", "injected", "clearing", "cleared"];
/// It is killed within this time from then on.
const WITHIN: Duration = Duration::from_millis(1500);
/// A process that is not killed has ended by itself long before.
const LIFE: Duration = Duration::from_secs(400);

/// What came of a round.
struct Round {
    phase: String,
    healing: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_nothing_broken() -> anyhow::Result<()> {
    let number = |name: &str| variable(name).map(|v| v.parse::<u64>().with_context(|| format!("{name}={v}")));
    let nightly = variable("NEXTEST_PROFILE").is_some_and(|profile| profile == "nightly");
    let rounds = number("SEATRIAL_KILLS").transpose()?.unwrap_or(if nightly { 200 } else { 3 });
    let now = jiff::Timestamp::now().as_millisecond().unsigned_abs();
    let seed = number("SEATRIAL_SEED").transpose()?.unwrap_or(now);
    println!("{rounds} kills, SEATRIAL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let ground = Ground::prepare().await?;
    // A few kills must not always be those of the same faults.
    let first = if nightly || rounds >= 100 { 0 } else { random.usize(..) % 1000 };
    let mut done: Vec<Round> = Vec::new();
    for n in 0..usize::try_from(rounds)? {
        let round = Box::pin(round(&ground, first + n, &mut random)).await;
        done.push(round.with_context(|| format!("round {n} of SEATRIAL_SEED={seed}"))?);
    }
    tell(&done, seed);
    // Nobody else has put anything into it: idle, it goes by itself.
    let idle = ReapOptions { idle: Some(Duration::ZERO), dry_run: true, ..ReapOptions::default() };
    let reaped = ground.clusters.reap(idle).await?;
    let goes = reaped.iter().any(|r| r.name == ground.name && matches!(r.action, Action::Remove(_)));
    ensure!(goes, "{reaped:?}");
    ground.leave().await
}

async fn round(ground: &Ground, n: usize, random: &mut fastrand::Rng) -> anyhow::Result<Round> {
    let cluster = ground.clusters.find(&ground.name).await?;
    let (fault, node) = of_round(&cluster, n);
    let target = ground.target(fault, node, &cluster.client().await?).await?;
    let mut words = vec!["fault".to_owned(), "hold".into(), fault.name().into(), node.name.clone()];
    words.push("--for=1500ms".into());
    words.extend(target.pod.iter().map(|pod| format!("--pod={pod}")));
    let from = FROM[random.usize(..FROM.len())];
    let after = WITHIN.mul_f64(random.f64());
    let phase = killed(ground, &words, from, after).await?;
    let began = Instant::now();
    let by = if random.bool() {
        ground.lease().await?.release().await?;
        "a lease"
    } else {
        let options = ReapOptions::default();
        ground.clusters.reap(options).await?;
        "a reap"
    };
    let healing = began.elapsed();
    ground.intact().await.with_context(|| format!("{} on {}, {phase}", fault.name(), node.name))?;
    println!(
        "round {n}: {} on {}, killed {phase} ({from} + {:.1} s), healed by {by} in {:.1} s, as it was after {:.1} s",
        fault.name(),
        node.name,
        after.as_secs_f64(),
        healing.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    if fault.name() == "fill-disk" {
        // Each eviction would make the next one's replacement come later, in the end by minutes.
        ground.renew_pods().await?;
    }
    Ok(Round { phase, healing })
}

/// Runs the process and kills it this long after it has come so far; gives the last stage that it
/// told of.
async fn killed(ground: &Ground, words: &[String], from: &str, after: Duration) -> anyhow::Result<String> {
    let stages: Mutex<Vec<String>> = Mutex::new(vec!["started".into()]);
    let seen = || stages.lock().unwrap_or_else(|p| p.into_inner()).clone();
    let process = Exec::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(words.iter())
        .env("SEATRIAL_STATE", &ground.clusters.settings.state)
        .run_with(Deadline::after(LIFE), |line| {
            let told = serde_json::from_str::<Value>(line).ok();
            let stage = told.and_then(|v| v["stage"].as_str().map(str::to_owned));
            stages.lock().unwrap_or_else(|p| p.into_inner()).extend(stage);
        });
    let moment = async {
        let life = Deadline::after(LIFE);
        while !seen().iter().any(|stage| stage == from) && !life.is_over() {
            life.pause(Duration::from_millis(10)).await;
        }
        life.pause(after).await;
    };
    // Dropped, its process group is killed with SIGKILL.
    tokio::select! {
        ended = process => {
            ended.context("it broke before it was killed")?;
            Ok("after its end".into())
        }
        () = moment => Ok(format!("in {}", seen().last().cloned().unwrap_or_default())),
    }
}

fn tell(rounds: &[Round], seed: u64) {
    let mut phases: BTreeMap<&str, usize> = BTreeMap::new();
    for round in rounds {
        *phases.entry(&round.phase).or_default() += 1;
    }
    let mut healing: Vec<f64> = rounds.iter().map(|r| r.healing.as_secs_f64()).collect();
    healing.sort_by(f64::total_cmp);
    let at =
        |part: f64| healing.get(((healing.len() - 1) as f64 * part) as usize).copied().unwrap_or_default();
    println!("{} kills, SEATRIAL_SEED={seed}, killed: {phases:?}", rounds.len());
    println!("healing: p50 {:.1} s, p90 {:.1} s, longest {:.1} s", at(0.5), at(0.9), at(1.0));
}

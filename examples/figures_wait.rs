//! Measures the time from a change to the return of the wait for it: seatrial's wait, a poll every 50 ms and a poll
//! every second, at the same time, each with a server of its own.
//!
//! `cargo run --example figures_wait [ROUNDS]`

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::watcher;
use seatrial::deadline::Deadline;
use seatrial::wait::{self, Check, Verdict};
use serde_json::json;

#[allow(dead_code, reason = "the tests' server, of which this needs a part")]
#[path = "../tests/hermetic/fake_api/mod.rs"]
mod fake_api;

use fake_api::FakeApi;

/// The ways of waiting, with their poll interval; `None` is the wait on a watch.
const WAYS: [(&str, Option<Duration>); 3] = [
    ("wait (watch)", None),
    ("poll every 50 ms", Some(Duration::from_millis(50))),
    ("poll every 1 s", Some(Duration::from_secs(1))),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let rounds: u32 = std::env::args().nth(1).map_or(Ok(60), |n| n.parse())?;
    let mut took: [Vec<Duration>; 3] = Default::default();
    let mut requests = [0; 3];
    for round in 0..rounds {
        // Evenly spread over a second, so that no poll is always early or always late.
        let before = Duration::from_secs_f64(0.3 + (f64::from(round) * 0.618_034).fract());
        let one = |every| async move { measure(every, before).await };
        let (a, b, c) = tokio::try_join!(one(WAYS[0].1), one(WAYS[1].1), one(WAYS[2].1))?;
        for (at, (time, count)) in [a, b, c].into_iter().enumerate() {
            took[at].push(time);
            requests[at] += count;
        }
    }
    took.iter_mut().for_each(|times| times.sort());
    let base = percentile(&took[0], 50);
    println!("{rounds} changes        p50 ms    p99 ms   p50 to the wait's   requests each");
    for (at, (name, _)) in WAYS.iter().enumerate() {
        let (p50, p99) = (percentile(&took[at], 50), percentile(&took[at], 99));
        let each = f64::from(requests[at]) / f64::from(rounds);
        println!("{name:<18} {p50:>9.1} {p99:>9.1} {:>14.0} x {each:>15.1}", p50 / base);
    }
    Ok(())
}

/// Returns the time from the change to the wait's return, and the number of requests since its beginning.
async fn measure(every: Option<Duration>, before: Duration) -> anyhow::Result<(Duration, u32)> {
    let fake = FakeApi::start().await;
    let map = |colour: &str| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m", "namespace": "default" },
            "data": { "colour": colour } })
    };
    fake.put(map("blue"));
    let client = fake.client().await;
    let maps: Api<ConfigMap> = Api::namespaced(client.stream.clone(), "default");
    let known = fake.requests().len();
    let waited = async {
        match every {
            None => drop(wait::until(maps, watcher::Config::default(), green(), minute()).await?),
            Some(every) => poll(&maps, every).await?,
        }
        anyhow::Ok(Instant::now())
    };
    let changed = async {
        minute().at_most(before).pause(before).await;
        let now = Instant::now();
        fake.put(map("green"));
        now
    };
    let (returned, changed) = tokio::join!(waited, changed);
    let requests = u32::try_from(fake.requests().len() - known)?;
    Ok((returned?.saturating_duration_since(changed), requests))
}

async fn poll(maps: &Api<ConfigMap>, every: Duration) -> anyhow::Result<()> {
    loop {
        let list = maps.list(&ListParams::default()).await?.items;
        if matches!(green().verdict(&list), Verdict::Met) {
            return Ok(());
        }
        minute().pause(every).await;
    }
}

fn green() -> impl Check<ConfigMap> {
    wait::check("green map", |maps: &[ConfigMap]| {
        let colour = |m: &ConfigMap| m.data.as_ref().and_then(|d| d.get("colour").cloned());
        Verdict::met_if(maps.iter().any(|m| colour(m).as_deref() == Some("green")), || "not green".into())
    })
}

fn minute() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Returns a percentile in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len()) - 1;
    sorted[at].as_secs_f64() * 1e3
}

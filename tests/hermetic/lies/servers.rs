//! Servers that lie to the real clients while these record: an API server that loses objects, and an engine that
//! claims to have stopped a node.
//!
//! The recorded run is replayed on the fake API server, with the real recorder watching it. The made-up outage is
//! replayed with the real fault on the fake engine. The records of the clients are then judged.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use seatrial::deadline::Deadline;
use seatrial::event::{Change, Event, EventLog, Record};
use seatrial::fault::StopNode;
use seatrial::node::Power;
use seatrial::probe::Recorder;
use serde_json::{Value, json};

use super::{Found, Lie, OPEN, Told, judged};
use crate::fake_api::{self, FakeApi};
use crate::fake_engine::{self, FakeEngine};
use crate::mysql::sound_story;
use crate::story::{Story, recorded};

pub(super) static LIES: &[Lie] = &[
    server(
        "an API server that forgets what it said (410)",
        "A11",
        |lies| bad_image(lies.then_some(Api::Forgets)).boxed(),
        "the watch of Pod broke off",
    ),
    server(
        "a watch that is accepted and never says anything",
        "A11",
        |lies| bad_image(lies.then_some(Api::Silent)).boxed(),
        "no pod of registry.invalid/seatrial/nginx:none was seen",
    ),
    server(
        "an API server that shows no events",
        "A11",
        |lies| bad_image(lies.then_some(Api::NoEvents)).boxed(),
        "no Failed event about pod",
    ),
    server(
        "an engine that says it stopped a node that runs on",
        "B8",
        |lies| outage(lies.then_some(Engine::RunsOn), "B8").boxed(),
        "no fault on w1 was proved",
    ),
    server(
        "an engine that starts the node again",
        "B8",
        |lies| outage(lies.then_some(Engine::StartsAgain), "B8").boxed(),
        "stop on w1 never took hold: container running",
    ),
    server(
        "rows on the disk of a node that was started again",
        "B9",
        |lies| outage(lies.then_some(Engine::StartsAgain), "B9").boxed(),
        "stop on w1 never took hold: container running",
    ),
    server(
        "an engine that stops another node",
        "B8",
        |lies| outage(lies.then_some(Engine::Another), "B8").boxed(),
        "no fault on w1 was proved",
    ),
];

const fn server(
    name: &'static str,
    claim: &'static str,
    play: fn(bool) -> BoxFuture<'static, Found>,
    betrayed_by: &'static str,
) -> Lie {
    Lie { name, claim, told: Told::Server(play), comes_out: OPEN, betrayed_by }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// How the API server lies.
#[derive(Clone, Copy, PartialEq)]
enum Api {
    Forgets,
    Silent,
    NoEvents,
}

/// A11 as a recorder sees it that watches the recorded objects change on a fake API server.
async fn bad_image(lie: Option<Api>) -> Found {
    let truth = recorded();
    let namespace = truth.records.iter().find_map(|r| r.scope.namespace.clone()).expect("a namespace");
    let fake = FakeApi::start().await;
    let dir = tempfile::tempdir().expect("a folder");
    let log = EventLog::open(dir.path(), "r").expect("a log");
    let (before, during) = truth.records.split_at(truth.mark("bad-image"));
    play(&fake, before);
    if lie == Some(Api::Silent) {
        // The watch delivers its first list and nothing after it.
        fake.trouble("GET", "/pods", true, usize::MAX, fake_api::Trouble::Silent);
    }
    let recorder = Recorder::start(&fake.client().await, &namespace, &log).await.expect("it watches");
    for record in before {
        // Earlier observations and requests stay as recorded.
        if matches!(&record.event, Event::Observed { .. } | Event::Sampled { .. }) {
            log.append(record.event.clone());
        }
    }
    for record in during {
        match &record.event {
            Event::ObjectChanged { kind, .. } if kind == "Event" && lie == Some(Api::NoEvents) => {}
            Event::ObjectChanged { .. } => play(&fake, std::slice::from_ref(record)),
            Event::Marked { .. } => {
                // A watch that delivers nothing never catches up with the API. A short wait is enough to show that.
                let patience =
                    if lie == Some(Api::Silent) { Duration::from_millis(300) } else { soon().remaining() };
                recorder.settle(Deadline::after(patience)).await;
                log.append(record.event.clone());
                if lie == Some(Api::Forgets) {
                    fake.expire();
                }
            }
            Event::ClaimJudged { claim, .. } if claim == "A11" => break,
            Event::Observed { .. } | Event::Sampled { .. } => log.append(record.event.clone()),
            _ => {}
        }
    }
    recorder.stop().await;
    judged(&Story { records: log.records(), seconds: 0.0 }, "A11")
}

/// Replays the recorded changes of the API server's objects.
fn play(fake: &FakeApi, records: &[Record]) {
    for record in records {
        let Event::ObjectChanged { change, kind, name, object, .. } = &record.event else { continue };
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        match change {
            Change::Deleted => fake.remove(kind, namespace, name),
            Change::Added | Change::Modified => drop(fake.put(object.clone())),
        }
    }
}

/// How the engine lies.
#[derive(Clone, Copy)]
enum Engine {
    RunsOn,
    StartsAgain,
    Another,
}

/// The made-up outage, with the node's records from the real fault and the real listing.
async fn outage(lie: Option<Engine>, claim: &str) -> Found {
    let fake = FakeEngine::with(&["w1", "w2"]).expect("an engine");
    if let Some(Engine::RunsOn | Engine::Another) = lie {
        fake.trouble("POST /containers/w1/stop", fake_engine::Trouble::Status(304, ""), 9);
    }
    if let Some(Engine::Another) = lie {
        fake.change("w2", |c| c.power = Power::Exited);
    }
    let node = fake.node("w1").await.expect("the node");
    let proof =
        crate::fault::inject(&StopNode::DEFAULT, &node, Deadline::after(Duration::from_secs(3))).await;
    if let Some(Engine::StartsAgain) = lie {
        fake.change("w1", |c| c.power = Power::Running);
    }
    let power = node.power().await.expect("its state");
    let mut story = sound_story::story();
    match proof {
        Ok(proof) => took_hold(&mut story, &proof, power),
        // Like a scenario, this does not record a fault as injected if its effect is not proved.
        Err(_) => story.forget(|e| matches!(e, Event::FaultInjected { .. })),
    }
    judged(&story, claim)
}

fn took_hold(story: &mut Story, proved: &Value, state: Power) {
    story.each(|e| match e {
        Event::FaultInjected { proof, .. } => *proof = json!(proved),
        Event::FilesListed { listing, node, power, .. } if listing == "while-stopped" && node == "w1" => {
            *power = state.name().into();
        }
        _ => {}
    });
}

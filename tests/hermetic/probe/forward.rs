//! The forward against a fake API server whose pods come and go.

use std::time::{Duration, Instant};

use seatrial::deadline::Deadline;
use seatrial::probe::{Forward, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fake_pods::FakePods;

async fn open(fake: &FakePods, target: Target) -> Forward {
    Forward::open(&fake.client().await.stream, "ns", target, 3306).await.unwrap()
}

async fn dial(forward: &Forward) -> TcpStream {
    TcpStream::connect(forward.route().address()).await.unwrap()
}

/// The first line of the far end; empty if the connection ends.
async fn greeting(near: &mut TcpStream) -> String {
    let mut bytes = [0; 64];
    let read = Deadline::after(Duration::from_secs(20)).bound(near.read(&mut bytes)).await;
    let n = read.expect("an answer or an end").unwrap_or_default();
    String::from_utf8_lossy(&bytes[..n]).into_owned()
}

fn by_label() -> Target {
    Target::Selector("app=mysql".into())
}

#[tokio::test]
async fn each_connection_leads_to_the_pod_that_is_ready_at_that_time() {
    let fake = FakePods::start().await;
    fake.set(&[("a", true, false)]);
    let forward = open(&fake, by_label()).await;
    let mut first = dial(&forward).await;
    assert_eq!(greeting(&mut first).await, "a");
    first.write_all(b"hello").await.unwrap();
    assert_eq!(greeting(&mut first).await, "hello");

    fake.set(&[("a", true, true), ("b", true, false)]);
    assert_eq!(greeting(&mut dial(&forward).await).await, "b");
    assert_eq!(forward.route().pod("a"), Some(("uid-a".into(), "node-of-a".into())));
    assert_eq!(forward.route().pod("b"), Some(("uid-b".into(), "node-of-b".into())));
    // The first connection continues until its own pod ends.
    first.write_all(b"still").await.unwrap();
    assert_eq!(greeting(&mut first).await, "still");
}

#[tokio::test]
async fn a_pod_is_reached_by_its_uid_among_others() {
    let began = Instant::now();
    let fake = FakePods::start().await;
    fake.set(&[("a", false, true), ("b", true, false)]);
    let forward = open(&fake, Target::Uid("uid-a".into())).await;
    assert_eq!(greeting(&mut dial(&forward).await).await, "a");
    fake.set(&[("b", true, false)]);
    assert_eq!(greeting(&mut dial(&forward).await).await, "");
    let why = forward.route().error_since(began).unwrap();
    assert_eq!(why, "no pod to forward to in namespace ns: b is ready");
}

/// Like a pod of a StatefulSet, which comes back under its name.
#[tokio::test]
async fn a_pod_that_was_replaced_under_its_name_is_not_taken_for_the_old_one() {
    let began = Instant::now();
    let fake = FakePods::start().await;
    fake.set(&[("web-0", true, false)]);
    *fake.late.lock().unwrap() = true;
    for target in [Target::Uid("uid-web-0".into()), by_label()] {
        fake.set(&[("web-0", true, false)]);
        let forward = open(&fake, target).await;
        assert_eq!(greeting(&mut dial(&forward).await).await, "");
        let why = forward.route().error_since(began).unwrap();
        assert!(why.ends_with("web-0 was replaced while the forward was opened"), "{why}");
    }
}

#[tokio::test]
async fn the_far_ends_error_is_kept() {
    let began = Instant::now();
    let fake = FakePods::start().await;
    fake.set(&[("a", true, false)]);
    *fake.refusal.lock().unwrap() = Some("dial tcp4 127.0.0.1:3306: connection refused".into());
    let forward = open(&fake, by_label()).await;
    assert_eq!(greeting(&mut dial(&forward).await).await, "");
    let why = forward.route().error_since(began).unwrap();
    assert!(why.contains("connection to pod a broke") && why.contains("connection refused"), "{why}");
    // The error says nothing about connections that begin after it.
    assert_eq!(forward.route().error_since(Instant::now()), None);
}

#[tokio::test]
async fn a_dropped_forward_leaves_no_listener_and_no_connection() {
    let fake = FakePods::start().await;
    fake.set(&[("a", true, false)]);
    let forward = open(&fake, by_label()).await;
    let mut near = dial(&forward).await;
    assert_eq!(greeting(&mut near).await, "a");
    let address = forward.route().address();
    drop(forward);
    assert_eq!(greeting(&mut near).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}

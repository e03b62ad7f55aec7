//! Reaping on an engine that others use at the same time.

use seatrial::cluster::{self, Action, ReapOptions};
use seatrial::config::Settings;
use seatrial::progress::Progress;

use crate::fake_engine::{FakeEngine, Trouble};

/// Met when somebody's `down` ran beside a reap: the container was listed, and gone when it was read.
#[tokio::test]
async fn a_cluster_that_somebody_removes_just_now_is_no_error() -> anyhow::Result<()> {
    let fake = FakeEngine::with(&["a"])?;
    let home = fake.dir().display().to_string();
    let settings = Settings::resolve(|name| (name == "HOME").then(|| home.clone()))?;
    fake.trouble("GET /containers/a/json", Trouble::Status(404, "No such container"), 1);
    let engine = fake.client().await?;
    let done = cluster::reap(&settings, &engine, ReapOptions::default(), &Progress::silent()).await?;
    assert!(matches!(done[0].action, Action::Leave(_)), "it is a stranger's: {done:?}");
    assert!(fake.state().troubles.is_empty(), "the container was not there once");
    assert_eq!(fake.changes(), [] as [String; 0]);
    Ok(())
}

//! Leases between real processes: this test binary starts itself again as the holders.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seatrial::cluster::lock::{Access, LockError, LockFiles, Stage};
use seatrial::deadline::Deadline;
use seatrial::exec::Exec;
use tokio::task::JoinHandle;

const NAME: &str = "seatrial-test";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// Another process that takes the lease, says so with the file `<who>.has`, and keeps it until
/// `<who>.go` appears or it is killed.
struct Other {
    run: JoinHandle<()>,
    has: PathBuf,
    go: PathBuf,
}

impl Other {
    fn start(dir: &Path, who: &str, access: &str) -> Self {
        let exe = std::env::current_exe().unwrap();
        let exec = Exec::new(exe)
            .args(["--exact", "cluster_lock::holder", "--ignored", "--nocapture"])
            .env("LOCK_DIR", dir)
            .env("LOCK_WHO", who)
            .env("LOCK_ACCESS", access);
        let run = tokio::spawn(async move {
            exec.run(Deadline::after(Duration::from_secs(60))).await.unwrap();
        });
        Self { run, has: dir.join(format!("{who}.has")), go: dir.join(format!("{who}.go")) }
    }

    async fn has(self) -> Self {
        appears(&self.has).await;
        self
    }

    async fn release(self) {
        std::fs::write(&self.go, "").unwrap();
        self.run.await.unwrap();
    }

    /// SIGKILL: dropping the future kills the process group.
    async fn kill(self) {
        self.run.abort();
        let _ = self.run.await;
    }
}

async fn appears(path: &Path) {
    let deadline = soon();
    while !path.exists() {
        assert!(!deadline.is_over(), "{} never came", path.display());
        deadline.pause(Duration::from_millis(5)).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "how the parent test speaks to this process")]
fn given(name: &str) -> String {
    std::env::var(name).unwrap()
}

#[tokio::test]
#[ignore = "started by the other tests of this file"]
async fn holder() {
    let (dir, who) = (PathBuf::from(given("LOCK_DIR")), given("LOCK_WHO"));
    let access = if given("LOCK_ACCESS") == "shared" { Access::Shared } else { Access::Exclusive };
    let files = LockFiles::new(&dir, NAME);
    let held = files.enter(access, &who, soon(), |_| {}).await.unwrap().enter().unwrap();
    std::fs::write(dir.join(format!("{who}.has")), "").unwrap();
    let go = dir.join(format!("{who}.go"));
    let deadline = Deadline::after(Duration::from_secs(60));
    while !go.exists() && !deadline.is_over() {
        deadline.pause(Duration::from_millis(5)).await;
    }
    held.release().unwrap();
}

#[tokio::test]
async fn those_who_share_do_not_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let a = Other::start(dir.path(), "a", "shared").has().await;
    let b = Other::start(dir.path(), "b", "shared").has().await;
    let files = LockFiles::new(dir.path(), NAME);
    let mine = files.enter(Access::Shared, "me", soon(), |_| {}).await.unwrap().enter().unwrap();
    let who: Vec<String> = files.holders().into_iter().map(|h| h.who).collect();
    assert_eq!(who, ["a", "b", "me"]);
    mine.release().unwrap();
    a.release().await;
    b.release().await;
    assert!(files.holders().is_empty());
}

#[tokio::test]
async fn exclusive_use_waits_and_says_for_whom() {
    let dir = tempfile::tempdir().unwrap();
    let a = Other::start(dir.path(), "run --suite mysql", "shared").has().await;
    let files = LockFiles::new(dir.path(), NAME);
    let mut said = Vec::new();
    let short = Deadline::after(Duration::from_millis(300));
    let error = files.enter(Access::Exclusive, "me", short, |text| said.push(text.to_owned())).await;
    let error = error.unwrap_err();
    let LockError::Busy { holders, .. } = &error else { panic!("{error}") };
    assert_eq!((holders.len(), holders[0].who.as_str()), (1, "run --suite mysql"));
    assert_eq!(holders[0].stage, Stage::Using);
    let text = error.to_string();
    assert!(
        text.starts_with("no exclusive use of seatrial-test after 0.3 s: run --suite mysql (process "),
        "{text}"
    );
    assert_eq!(said.len(), 1, "said once for a queue that does not change: {said:?}");
    a.release().await;
    let entering = files.enter(Access::Exclusive, "me", soon(), |_| {}).await.unwrap();
    assert!(entering.unclean().is_empty(), "both went properly: {:?}", entering.unclean());
}

#[tokio::test]
async fn a_killed_holder_frees_the_lock_at_once_and_is_named_as_unclean() {
    let dir = tempfile::tempdir().unwrap();
    let files = LockFiles::new(dir.path(), NAME);
    for access in ["exclusive", "shared"] {
        let other = Other::start(dir.path(), access, access).has().await;
        assert!(files.try_enter("reap").unwrap().is_none());
        other.kill().await;
        let killed = Instant::now();
        let entering = files.enter(Access::Exclusive, "me", soon(), |_| {}).await.unwrap();
        assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
        let who: Vec<&str> = entering.unclean().iter().map(|h| h.who.as_str()).collect();
        assert_eq!(who, [access]);
        // Somebody who only looks in does not take the mark away, somebody who comes in does.
        entering.leave();
        let entering = files.try_enter("next").unwrap().expect("free");
        assert_eq!(entering.unclean().len(), 1);
        entering.enter().unwrap().release().unwrap();
    }
    assert!(files.try_enter("next").unwrap().expect("free").unclean().is_empty());
}

#[tokio::test]
async fn somebody_who_waits_for_exclusive_use_goes_before_those_who_come_later() {
    let dir = tempfile::tempdir().unwrap();
    let early = Other::start(dir.path(), "early", "shared").has().await;
    let breaker = Other::start(dir.path(), "breaker", "exclusive");
    let files = LockFiles::new(dir.path(), NAME);
    let deadline = soon();
    while !files.holders().iter().any(|h| h.who == "breaker" && h.stage == Stage::Waiting) {
        assert!(!deadline.is_over(), "the breaker never stood in the turnstile");
        deadline.pause(Duration::from_millis(5)).await;
    }
    let late = Other::start(dir.path(), "late", "shared");
    // The lease itself is shared all the while, so without the turnstile this one would come in.
    let short = Deadline::after(Duration::from_millis(400));
    let mine = files.enter(Access::Shared, "me", short, |_| {}).await;
    assert!(matches!(mine, Err(LockError::Busy { .. })), "came in before the breaker");
    assert!(!late.has.exists(), "came in before the breaker");
    early.release().await;
    let breaker = breaker.has().await;
    assert!(!late.has.exists(), "shared the cluster with its breaker");
    breaker.release().await;
    late.has().await.release().await;
}

#[tokio::test]
async fn a_sharer_that_must_mend_the_cluster_lets_nobody_in_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let a = Other::start(dir.path(), "a", "shared").has().await;
    let files = LockFiles::new(dir.path(), NAME);
    let entering = files.enter(Access::Shared, "me", soon(), |_| {}).await.unwrap();
    let late = Other::start(dir.path(), "late", "shared");
    let (entering, ()) = tokio::join!(entering.make_exclusive(soon(), |_| {}), a.release());
    let entering = entering.unwrap();
    assert!(!late.has.exists());
    let held = entering.enter().unwrap();
    // Back to shared use: the late one comes in beside us.
    let late = late.has().await;
    held.release().unwrap();
    late.release().await;
}

#[tokio::test]
async fn removed_lock_files_do_not_split_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let files = LockFiles::new(dir.path(), NAME);
    let entering = files.try_enter("reap").unwrap().unwrap();
    let waiting = Other::start(dir.path(), "waiting", "exclusive");
    // Until it has opened the old file, or even has not: either way it must end with the new one.
    soon().at_most(Duration::from_millis(300)).pause(Duration::from_millis(300)).await;
    entering.remove().unwrap();
    let waiting = waiting.has().await;
    assert!(files.try_enter("me").unwrap().is_none(), "two holders of one cluster");
    assert_eq!(LockFiles::names(dir.path()), [NAME]);
    waiting.release().await;
    assert!(files.last_used().is_some());
}

//! Leases between real processes: this test binary starts itself again, and the copies hold the leases.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seatrial::cluster::lease::lock::{Access, LockError, LockFiles, Stage};
use seatrial::deadline::Deadline;
use seatrial::exec::Exec;
use tokio::task::JoinHandle;

const NAME: &str = "seatrial-test";

/// A generous deadline: the work takes milliseconds, but a machine under load needs seconds to start a process.
fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Another process that takes the lease, creates the file `<who>.has`, and keeps the lease until `<who>.go` appears or
/// the process is killed.
struct Other {
    run: JoinHandle<()>,
    has: PathBuf,
    go: PathBuf,
}

impl Other {
    fn start(dir: &Path, who: &str, access: &str) -> Self {
        Self::doing("holder", dir, who, access)
    }

    fn doing(what: &str, dir: &Path, who: &str, access: &str) -> Self {
        let exe = std::env::current_exe().unwrap();
        let exec = Exec::new(exe)
            .args(["--exact", &format!("cluster_lock::{what}"), "--ignored", "--nocapture"])
            .env("LOCK_DIR", dir)
            .env("LOCK_WHO", who)
            .env("LOCK_ACCESS", access);
        let run = tokio::spawn(async move {
            exec.run(Deadline::after(Duration::from_secs(180))).await.unwrap();
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

/// Waits until exactly these processes are in the queue, in this order.
async fn queue(files: &LockFiles, wanted: &[&str]) {
    let deadline = soon();
    loop {
        let all = files.holders();
        let waiting: Vec<&str> =
            all.iter().filter(|h| h.stage == Stage::Waiting).map(|h| h.who.as_str()).collect();
        if waiting == wanted {
            return;
        }
        assert!(!deadline.is_over(), "the queue is {waiting:?}, not {wanted:?}");
        deadline.pause(Duration::from_millis(5)).await;
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
#[ignore = "a child process of the tests in this file"]
async fn holder() {
    let (dir, who) = (PathBuf::from(given("LOCK_DIR")), given("LOCK_WHO"));
    let access = if given("LOCK_ACCESS") == "shared" { Access::Shared } else { Access::Exclusive };
    let files = LockFiles::new(&dir, NAME);
    let held = files.enter(access, &who, soon(), |_| {}).await.unwrap().enter().unwrap();
    std::fs::write(dir.join(format!("{who}.has")), "").unwrap();
    let go = dir.join(format!("{who}.go"));
    let deadline = Deadline::after(Duration::from_secs(150));
    while !go.exists() && !deadline.is_over() {
        deadline.pause(Duration::from_millis(5)).await;
    }
    held.release().unwrap();
}

/// Takes and releases the lease repeatedly until `stop` appears. Writes a line after each take, and a line before each
/// release.
#[tokio::test]
#[ignore = "a child process of the tests in this file"]
async fn comes_and_goes() {
    let (dir, who) = (PathBuf::from(given("LOCK_DIR")), given("LOCK_WHO"));
    let access = if given("LOCK_ACCESS") == "shared" { Access::Shared } else { Access::Exclusive };
    let files = LockFiles::new(&dir, NAME);
    let mut log = std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
    let mut say = |what: &str| log.write_all(format!("{what} {access} {who}\n").as_bytes()).unwrap();
    while !dir.join("stop").exists() {
        let held = files.enter(access, &who, soon(), |_| {}).await.unwrap().enter().unwrap();
        say("in");
        let use_it = Duration::from_millis(60);
        soon().at_most(use_it).pause(use_it).await;
        say("out");
        held.release().unwrap();
    }
    std::fs::write(dir.join(format!("{who}.has")), "").unwrap();
}

#[tokio::test]
async fn shared_holders_do_not_wait_for_each_other() {
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
async fn exclusive_use_waits_and_names_the_holders() {
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
        // A process that leaves without use keeps the mark; a process that enters to use the cluster removes it.
        entering.leave();
        let entering = files.try_enter("next").unwrap().expect("free");
        assert_eq!(entering.unclean().len(), 1);
        entering.enter().unwrap().release().unwrap();
    }
    assert!(files.try_enter("next").unwrap().expect("free").unclean().is_empty());
}

/// Only a holder with exclusive access may remove the leftovers of a dead holder.
#[tokio::test]
async fn a_dead_holder_is_known_until_its_leftovers_are_removed() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let files = LockFiles::new(dir.path(), NAME);
    let enter = async |access, who: &str| files.enter(access, who, soon(), |_| ()).await?.enter();
    drop(enter(Access::Exclusive, "run r1").await?);
    let shared = enter(Access::Shared, "up").await?;
    shared.cleaned()?;
    shared.release()?;
    enter(Access::Exclusive, "fault inject").await?.release()?;
    assert_eq!(files.unclean(), ["run r1"]);
    drop(enter(Access::Exclusive, "run r2").await?);
    let alone = enter(Access::Exclusive, "run r3").await?;
    assert_eq!(files.unclean(), ["run r1", "run r2"]);
    alone.cleaned()?;
    assert_eq!(files.unclean(), [] as [String; 0]);
    alone.release()?;
    Ok(())
}

#[tokio::test]
async fn a_process_that_waits_for_exclusive_use_goes_before_later_ones() {
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
    // The lease itself is shared the whole time: only the turnstile keeps this process out.
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
async fn a_shared_holder_that_mends_the_cluster_keeps_others_out() {
    let dir = tempfile::tempdir().unwrap();
    let a = Other::start(dir.path(), "a", "shared").has().await;
    let files = LockFiles::new(dir.path(), NAME);
    let entering = files.enter(Access::Shared, "me", soon(), |_| {}).await.unwrap();
    let late = Other::start(dir.path(), "late", "shared");
    let (entering, ()) = tokio::join!(entering.make_exclusive(soon(), |_| {}), a.release());
    let entering = entering.unwrap();
    assert!(!late.has.exists());
    let held = entering.enter().unwrap();
    // With shared access again, the late process also gets the lease.
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
    // At this point the other process may or may not have opened the old file. In both cases it must end with the new
    // one.
    soon().at_most(Duration::from_millis(300)).pause(Duration::from_millis(300)).await;
    entering.remove().unwrap();
    let waiting = waiting.has().await;
    assert!(files.try_enter("me").unwrap().is_none(), "two holders of one cluster");
    assert_eq!(LockFiles::names(dir.path()), [NAME]);
    waiting.release().await;
    assert!(files.last_used().is_some());
}

#[tokio::test]
async fn waiting_processes_enter_in_order_and_are_all_shown() {
    let dir = tempfile::tempdir().unwrap();
    let files = LockFiles::new(dir.path(), NAME);
    let first = Other::start(dir.path(), "first", "exclusive").has().await;
    let (mut waiting, mut names) = (Vec::new(), Vec::new());
    for who in ["b", "a", "d", "c"] {
        waiting.push(Other::start(dir.path(), who, "exclusive"));
        names.push(who);
        queue(&files, &names).await;
    }
    assert!(files.try_enter("reap").unwrap().is_none());
    // The callback gets the processes ahead in the queue, and no process behind.
    let mut said = Vec::new();
    let short = Deadline::after(Duration::from_millis(100));
    let error = files.enter(Access::Shared, "me", short, |text| said.push(text.to_owned())).await;
    assert!(matches!(error, Err(LockError::Busy { holders, .. }) if holders.len() == 5));
    assert_eq!(said.len(), 1, "{said:?}");
    for who in ["first", "b", "a", "d", "c"] {
        assert!(said[0].contains(&format!("{who} (process ")), "{who} in {said:?}");
    }
    assert!(said[0].contains("exclusive use since "), "{said:?}");
    // A process that dies in the queue leaves the queue at once, and leaves no mark.
    waiting.remove(1).kill().await;
    names.remove(1);
    queue(&files, &names).await;
    first.release().await;
    for other in waiting {
        let other = other.has().await;
        names.remove(0);
        queue(&files, &names).await;
        other.release().await;
    }
    assert!(files.try_enter("next").unwrap().expect("free").unclean().is_empty());
}

#[tokio::test]
async fn a_stream_of_sharers_does_not_starve_an_exclusive_user() {
    let dir = tempfile::tempdir().unwrap();
    let sharers = ["a", "b", "c", "d"];
    let stream: Vec<Other> =
        sharers.map(|who| Other::doing("comes_and_goes", dir.path(), who, "shared")).into();
    let files = LockFiles::new(dir.path(), NAME);
    let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    let deadline = soon();
    while sharers.iter().any(|who| !log().contains(&format!("in shared {who}"))) {
        assert!(!deadline.is_over(), "the stream never came: {}", log());
        deadline.pause(Duration::from_millis(5)).await;
    }
    for _ in 0..3 {
        let before = log();
        let entering = files.enter(Access::Exclusive, "breaker", soon(), |_| {}).await.unwrap();
        let meanwhile = log()[before.len()..].lines().filter(|l| l.starts_with("in ")).count();
        // Each of these processes may have been ahead in the queue once.
        assert!(meanwhile <= sharers.len(), "{meanwhile} sharers came in first: {}", log());
        let all = log();
        let outside = all.lines().filter(|l| l.starts_with("out ")).count();
        assert_eq!(all.lines().count(), 2 * outside, "not alone: {all}");
        entering.enter().unwrap().release().unwrap();
    }
    std::fs::write(dir.path().join("stop"), "").unwrap();
    for other in stream {
        other.has().await.run.await.unwrap();
    }
}

#[tokio::test]
async fn many_processes_never_share_with_an_exclusive_holder() {
    let dir = tempfile::tempdir().unwrap();
    let kinds = ["shared", "exclusive", "shared", "shared", "exclusive", "shared"];
    let all: Vec<Other> = kinds
        .iter()
        .enumerate()
        .map(|(i, access)| Other::doing("comes_and_goes", dir.path(), &format!("p{i}"), access))
        .collect();
    let path = dir.path().join("log");
    let log = || std::fs::read_to_string(&path).unwrap_or_default();
    // Every process gets the lease again and again.
    let times = |who: usize| log().lines().filter(|l| l.ends_with(&format!(" p{who}"))).count();
    let deadline = Deadline::after(Duration::from_secs(40));
    while (0..kinds.len()).any(|who| times(who) < 6) {
        assert!(!deadline.is_over(), "somebody starved: {}", log());
        deadline.pause(Duration::from_millis(20)).await;
    }
    std::fs::write(dir.path().join("stop"), "").unwrap();
    for other in all {
        other.has().await.run.await.unwrap();
    }
    let mut inside: Vec<(String, String)> = Vec::new();
    let mut most = 0;
    for line in log().lines() {
        let [what, access, who] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        match what {
            "in" => inside.push((access.to_owned(), who.to_owned())),
            _ => inside.retain(|(_, w)| w != who),
        }
        let alone = inside.iter().any(|(access, _)| access == "exclusive");
        assert!(!alone || inside.len() == 1, "together: {inside:?}");
        most = most.max(inside.len());
    }
    assert!(most > 1, "nobody ever shared");
}

#[tokio::test]
async fn a_queue_outlives_the_cluster_that_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let files = LockFiles::new(dir.path(), NAME);
    let entering = files.try_enter("down").unwrap().unwrap();
    let (mut waiting, mut names) = (Vec::new(), Vec::new());
    for who in ["c", "b", "a"] {
        waiting.push(Other::start(dir.path(), who, "exclusive"));
        names.push(who);
        queue(&files, &names).await;
    }
    entering.remove().unwrap();
    for other in waiting {
        let other = other.has().await;
        names.remove(0);
        queue(&files, &names).await;
        other.release().await;
    }
}

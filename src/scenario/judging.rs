//! The thread that judges.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};

use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// One for the life of the process. Records take about ten times the memory of their lines while they
/// are judged: here it is taken once. Threads that come and go would each keep their own
/// (measured: 20 MB each, of a story of 2 MB).
static JUDGE: LazyLock<Sender<Work>> = LazyLock::new(|| {
    let (sender, receiver) = channel::<Work>();
    let spawned = std::thread::Builder::new().name("judge".into()).spawn(move || {
        receiver.into_iter().for_each(|work| work());
    });
    spawned.expect("a thread can be started");
    sender
});

/// Does the work there, after what was asked for before; writers and probes go on meanwhile.
///
/// # Errors
/// What it panicked with.
pub async fn on_its_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Box<dyn Any + Send>> {
    let (done, waits) = oneshot::channel();
    let work = move || drop(done.send(catch_unwind(AssertUnwindSafe(work))));
    JUDGE.send(Box::new(work)).expect("the thread lives as long as the process");
    waits.await.expect("it sends what came of it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_given_back_and_the_next_work_is_done_on_the_same_thread() {
        let first = on_its_thread(|| std::thread::current().id()).await.unwrap();
        let broken = on_its_thread(|| -> () { panic!("no such row") }).await.unwrap_err();
        assert_eq!(broken.downcast_ref::<&str>(), Some(&"no such row"));
        assert_eq!(on_its_thread(|| std::thread::current().id()).await.unwrap(), first);
    }
}

//! A future on a thread of its own.
//!
//! In a debug build the way from a test to a watch of pods in a cluster that is being made takes about
//! 2 MiB of stack, all that a test's thread has. What is deep begins anew here, so that nobody who
//! writes a test has to know.

use std::any::Any;
use std::future::Future;
use std::panic::resume_unwind;
use std::thread::{Builder, JoinHandle};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// In bytes; a page is taken when it is first touched.
const STACK: usize = 16 << 20;

/// Runs what `work` makes to its end, on the caller's runtime. A panic in it is the caller's.
///
/// # Errors
/// When no thread can be started.
///
/// # Cancellation
/// It is dropped, on its thread, before the drop of this future returns.
pub(super) async fn on_own_stack<F, T>(work: impl FnOnce() -> F + Send + 'static) -> std::io::Result<T>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let runtime = Handle::current();
    let (mut ended, result) = oneshot::channel();
    let run = move || {
        runtime.block_on(async {
            tokio::select! {
                value = work() => drop(ended.send(value)),
                () = ended.closed() => {}
            }
        });
    };
    let mut running = Running { result: Some(result), thread: None };
    running.thread = Some(Builder::new().name("cluster".to_owned()).stack_size(STACK).spawn(run)?);
    let value = match &mut running.result {
        Some(result) => result.await.ok(),
        None => None,
    };
    let panicked = running.stop();
    match (value, panicked) {
        (Some(value), _) => Ok(value),
        (None, Some(panic)) => resume_unwind(panic),
        (None, None) => Err(std::io::Error::other("the thread ended without a result")),
    }
}

/// A thread, and what it listens to.
struct Running<T> {
    result: Option<oneshot::Receiver<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T> Running<T> {
    /// Waits for the thread's end, which does not depend on the runtime: what it panicked with.
    fn stop(&mut self) -> Option<Box<dyn Any + Send>> {
        self.result = None;
        self.thread.take()?.join().err()
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    /// More than a test's thread has.
    fn deep() -> u8 {
        let large = std::hint::black_box([1_u8; 4 << 20]);
        large[std::hint::black_box(7)]
    }

    #[tokio::test]
    async fn what_is_deep_fits_and_the_runtime_is_the_callers() {
        let work = || async {
            let told = tokio::spawn(async { tokio::task::yield_now().await });
            told.await.unwrap();
            tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err();
            deep()
        };
        assert_eq!(on_own_stack(work).await.unwrap(), 1);
    }

    #[tokio::test]
    #[should_panic(expected = "no such node")]
    async fn a_panic_is_the_callers() {
        let _: u8 = on_own_stack(|| async { panic!("no such node") }).await.unwrap();
    }

    #[tokio::test]
    async fn dropped_it_is_gone() {
        struct Lock(Arc<AtomicBool>);
        impl Drop for Lock {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let (freed, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Notify::new()));
        let (lock, begins) = (Lock(freed.clone()), begun.clone());
        let work = move || async move {
            let _lock = lock;
            begins.notify_one();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = on_own_stack(work) => unreachable!(),
            () = begun.notified() => {}
        }
        assert!(freed.load(Ordering::SeqCst));
    }
}

//! Provides a larger stack for deeply nested futures.
//!
//! In a debug build, a call from a test through a suite's story to a watch needs more than the 2 MiB of stack that a
//! test's thread and a worker of tokio have. Most futures are on the stack frame of the future that awaits them, and a
//! watch alone takes half a MiB. Code that begins such a deep call switches to a larger stack, and authors of tests
//! need not care.

use std::future::{Future, poll_fn};

use futures::stream::{self, Stream};

/// In bytes. With less than this left, a new stack of [`SIZE`] is used. A main thread has more than this.
const ENOUGH: usize = 4 << 20;
/// In bytes. The kernel provides a page when it is first touched.
const SIZE: usize = 16 << 20;

/// Polls `work` on a stack that is large enough.
pub(crate) fn with_room<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let mut work = Box::pin(work);
    poll_fn(move |context| stacker::maybe_grow(ENOUGH, SIZE, || work.as_mut().poll(context)))
}

/// Polls a stream on a stack that is large enough.
pub(crate) fn stream_with_room<S: Stream>(items: S) -> impl Stream<Item = S::Item> {
    let mut items = Box::pin(items);
    stream::poll_fn(move |context| stacker::maybe_grow(ENOUGH, SIZE, || items.as_mut().poll_next(context)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Uses more stack than a test's thread has.
    fn deep() -> u8 {
        let large = std::hint::black_box([1_u8; 4 << 20]);
        large[std::hint::black_box(7)]
    }

    #[tokio::test]
    async fn a_deep_future_has_room_and_uses_the_callers_runtime() {
        let work = async {
            let task = tokio::spawn(async { tokio::task::yield_now().await });
            task.await.unwrap();
            tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err();
            deep()
        };
        assert_eq!(with_room(work).await, 1);
    }

    #[tokio::test]
    async fn a_deep_stream_has_room() {
        use futures::StreamExt as _;
        assert_eq!(stream_with_room(stream::once(async { deep() })).collect::<Vec<_>>().await, [1]);
    }

    #[tokio::test]
    async fn nested_calls_take_no_further_stack() {
        let left = async || stacker::remaining_stack().unwrap_or_default();
        let (outer, inner) = with_room(async { (left().await, with_room(left()).await) }).await;
        assert!(inner <= outer && outer - inner < 64 << 10, "{outer} and {inner} bytes are left");
    }

    #[tokio::test]
    #[should_panic(expected = "no such node")]
    async fn a_panic_reaches_the_caller() {
        let _: u8 = with_room(async { panic!("no such node") }).await;
    }
}

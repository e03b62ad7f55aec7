//! Stack for futures that lie deep in one another.
//!
//! In a debug build the way from a test through a suite's story to a watch takes more than the 2 MiB that a test's
//! thread and a worker of tokio have: nearly each future lies in the frame of the one that awaits it, and a watch
//! alone takes half a MiB. Where something deep begins it gets a stack of its own, so that nobody who writes a test
//! has to know.

use std::future::{Future, poll_fn};

use futures::stream::{self, Stream};

/// In bytes: with less than this left a stack of [`SIZE`] is taken. A main thread has more.
const ENOUGH: usize = 4 << 20;
/// In bytes; a page is taken when it is first touched.
const SIZE: usize = 16 << 20;

/// `work`, polled where there is room for it.
pub(crate) fn with_room<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let mut work = Box::pin(work);
    poll_fn(move |context| stacker::maybe_grow(ENOUGH, SIZE, || work.as_mut().poll(context)))
}

/// The same for a stream.
pub(crate) fn stream_with_room<S: Stream>(items: S) -> impl Stream<Item = S::Item> {
    let mut items = Box::pin(items);
    stream::poll_fn(move |context| stacker::maybe_grow(ENOUGH, SIZE, || items.as_mut().poll_next(context)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// More than a test's thread has.
    fn deep() -> u8 {
        let large = std::hint::black_box([1_u8; 4 << 20]);
        large[std::hint::black_box(7)]
    }

    #[tokio::test]
    async fn what_is_deep_fits_and_the_runtime_is_the_callers() {
        let work = async {
            let told = tokio::spawn(async { tokio::task::yield_now().await });
            told.await.unwrap();
            tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err();
            deep()
        };
        assert_eq!(with_room(work).await, 1);
    }

    #[tokio::test]
    async fn what_is_deep_fits_in_a_stream() {
        use futures::StreamExt as _;
        assert_eq!(stream_with_room(stream::once(async { deep() })).collect::<Vec<_>>().await, [1]);
    }

    #[tokio::test]
    async fn what_lies_in_it_takes_no_further_stack() {
        let left = async || stacker::remaining_stack().unwrap_or_default();
        let (outer, inner) = with_room(async { (left().await, with_room(left()).await) }).await;
        assert!(inner <= outer && outer - inner < 64 << 10, "{outer} and {inner} bytes are left");
    }

    #[tokio::test]
    #[should_panic(expected = "no such node")]
    async fn a_panic_is_the_callers() {
        let _: u8 = with_room(async { panic!("no such node") }).await;
    }
}

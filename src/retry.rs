//! One retry: asks again until an answer, a hopeless error or the deadline, and keeps the last reason.

use std::convert::Infallible;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::FutureExt as _;

use crate::deadline::Deadline;

/// The deadline passed before an answer came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Late<W> {
    /// Why there was no answer yet: the last reason from before the deadline, or else the first one after it.
    pub last: W,
    /// How long the answer was waited for.
    pub waited: Duration,
}

/// Why an answer is not good yet, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotYet(pub String);

impl From<String> for NotYet {
    fn from(why: String) -> Self {
        Self(why)
    }
}

impl From<&str> for NotYet {
    fn from(why: &str) -> Self {
        Self(why.into())
    }
}

/// Asks until there is an answer or the deadline passes. As [`try_until`], but no error is hopeless.
pub(crate) async fn until<T, W, F>(
    deadline: Deadline,
    pauses: impl FnMut(&W) -> Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T, Late<W>>
where
    F: Future<Output = Result<T, W>>,
{
    let Ok(end) = try_until(deadline, pauses, || ask().map(Ok::<_, Infallible>)).await;
    end
}

/// Asks until there is an answer or the deadline passes. An inner error is a reason to ask again. An outer error is
/// hopeless and ends the retry.
///
/// No attempt is dropped: `ask` bounds its own work. A reason from after the deadline may only say that the attempt was
/// cut off, so it does not replace an earlier one.
pub(crate) async fn try_until<T, W, E, F>(
    deadline: Deadline,
    mut pauses: impl FnMut(&W) -> Duration,
    mut ask: impl FnMut() -> F,
) -> Result<Result<T, Late<W>>, E>
where
    F: Future<Output = Result<Result<T, W>, E>>,
{
    let mut last = None;
    loop {
        let why = match ask().await? {
            Ok(answer) => return Ok(Ok(answer)),
            Err(why) => why,
        };
        if deadline.is_over() {
            return Ok(Err(Late { last: last.unwrap_or(why), waited: deadline.waited() }));
        }
        deadline.pause(pauses(&why)).await;
        last = Some(why);
    }
}

/// The same pause after each reason.
pub(crate) fn every<W>(pause: Duration) -> impl FnMut(&W) -> Duration {
    move |_| pause
}

/// Pauses that double from the `first` to the `longest`.
pub(crate) fn doubling<W>(first: Duration, longest: Duration) -> impl FnMut(&W) -> Duration {
    let pauses = ExponentialBuilder::default().with_min_delay(first).with_max_delay(longest);
    let mut pauses = pauses.without_max_times().build();
    move |_| pauses.next().unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const SHORT: Duration = Duration::from_millis(1);

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    #[tokio::test]
    async fn the_first_answer_ends_the_retry() {
        let mut answers = [Err("not yet"), Err("not yet"), Ok("answer"), Ok("another")].into_iter();
        let end = until(soon(), every(SHORT), || ready(answers.next().unwrap()));
        assert_eq!(end.await, Ok("answer"));
        assert_eq!(answers.len(), 1);
    }

    #[tokio::test]
    async fn a_hopeless_error_ends_the_retry_at_once() {
        let mut answers = [Ok(Err("not yet")), Err("hopeless"), Ok(Ok(()))].into_iter();
        let end = try_until(soon(), every(SHORT), || ready(answers.next().unwrap()));
        assert_eq!(end.await, Err("hopeless"));
        assert_eq!(answers.len(), 1);
    }

    #[tokio::test]
    async fn the_deadline_ends_the_retry_with_the_last_reason_that_was_not_cut_off() {
        let (limit, mut asked) = (Duration::from_millis(50), 0);
        let deadline = Deadline::after(limit);
        let end = until(deadline, every(SHORT), || {
            asked += 1;
            let why = format!("refused {asked}");
            let hangs = asked == 3;
            async move {
                let answer = async { if hangs { pending().await } else { Err::<(), _>(why) } };
                deadline.bound(answer).await.unwrap_or_else(|late| Err(late.to_string()))
            }
        });
        let late = end.await.unwrap_err();
        assert_eq!(late.last, "refused 2");
        assert!(late.waited >= limit, "{late:?}");
    }

    #[tokio::test]
    async fn a_first_attempt_that_is_cut_off_gives_its_own_reason() {
        let mut answers = [Err("cut off"), Err("another"), Ok(())].into_iter();
        let end = until(Deadline::after(Duration::ZERO), every(SHORT), || ready(answers.next().unwrap()));
        assert_eq!(end.await.unwrap_err().last, "cut off");
        assert_eq!(answers.len(), 2);
    }

    #[test]
    fn pauses_double_to_the_longest_or_stay_the_same() {
        let ms = Duration::from_millis;
        let mut doubled = doubling(ms(200), ms(1000));
        assert_eq!([(); 5].map(|why| doubled(&why).as_millis()), [200, 400, 800, 1000, 1000]);
        let (mut doubled, mut same) = (doubling(ms(1), ms(2)), every(ms(300)));
        for _ in 0..100 {
            assert_eq!(same(&()), ms(300));
            assert!(doubled(&()) <= ms(2));
        }
        assert_eq!(doubled(&()), ms(2));
    }
}

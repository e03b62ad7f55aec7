//! Time as a budget: a point in time that is passed down and never extended.

use std::future::Future;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The time at which work must be over. Copies are free. Inner work gets a shorter deadline from [`Deadline::at_most`]:
/// the innermost wait then times out first, with the most useful message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    started: Instant,
    at: Instant,
}

/// The deadline passed before the work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out after {:.1} s", .0.as_secs_f64())]
pub struct Elapsed(
    /// How long the work was waited for.
    pub Duration,
);

impl Deadline {
    /// Returns a deadline `budget` from now.
    pub fn after(budget: Duration) -> Self {
        let started = Instant::now();
        Self { started, at: started + budget }
    }

    /// Returns the earlier of this deadline and `budget` from now.
    pub fn at_most(&self, budget: Duration) -> Self {
        let inner = Self::after(budget);
        Self { started: inner.started, at: inner.at.min(self.at) }
    }

    /// Returns the rest of the budget; zero when the deadline has passed.
    pub fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Returns the time since the deadline was set.
    pub fn waited(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether the deadline has passed.
    pub fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Runs `work` until it ends or the deadline passes.
    ///
    /// # Errors
    /// [`Elapsed`] with the time waited.
    ///
    /// # Cancellation
    /// `work` is dropped when the deadline passes.
    pub async fn bound<T>(&self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        tokio::time::timeout_at(self.at.into(), work).await.map_err(|_| Elapsed(self.waited()))
    }

    /// Waits `pause`, or until the deadline if that is sooner. It is for retry loops whose condition cannot be watched,
    /// never for use in place of a condition.
    #[expect(clippy::disallowed_methods, reason = "the one bounded pause")]
    pub async fn pause(&self, pause: Duration) {
        tokio::time::sleep(pause.min(self.remaining())).await;
    }
}

/// Returns the time from `then` to `now`. If `then` is in the future, the age is zero: clocks are set back, and the
/// engine's clock may be ahead of ours, so such a moment is recent.
pub fn age(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_future_has_age_zero() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |seconds| now + jiff::SignedDuration::from_secs(seconds);
        assert_eq!(age(at(3600), now), Duration::ZERO);
        assert_eq!(age(now, at(3600)), Duration::from_secs(3600));
    }

    #[test]
    fn an_inner_deadline_never_outlives_the_outer_one() {
        let outer = Deadline::after(Duration::from_millis(50));
        assert!(outer.at_most(Duration::from_secs(60)).remaining() <= Duration::from_millis(50));
        assert!(outer.at_most(Duration::ZERO).is_over());
    }

    #[tokio::test]
    async fn bound_reports_the_time_waited() {
        let deadline = Deadline::after(Duration::from_millis(20));
        let Elapsed(waited) = deadline.bound(std::future::pending::<()>()).await.unwrap_err();
        assert!(waited >= Duration::from_millis(20));
    }
}

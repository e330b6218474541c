//! A rate limiter.

use std::time::Duration;

use crate::sync::Instant;

/// A token bucket that can run into debt: what was taken need not be there, but must be waited for afterwards.
#[derive(Debug)]
pub(super) struct TokenBucket {
    /// Tokens a second; 0 is no limit.
    rate: f64,
    /// Tokens that may be taken at once after a rest.
    burst: f64,
    /// What is left, or owed if negative.
    tokens: f64,
    last_taken: Instant,
}

impl TokenBucket {
    /// A full bucket. A `rate` of 0 is no limit.
    pub(super) fn new(rate: f64, burst: f64, now: Instant) -> TokenBucket {
        TokenBucket {
            rate,
            burst,
            tokens: burst,
            last_taken: now,
        }
    }

    /// Takes `count` tokens and says how long to wait before going on.
    pub(super) fn take(&mut self, count: f64, now: Instant) -> Duration {
        self.refill(now);
        if self.rate == 0.0 {
            return Duration::ZERO;
        }
        self.tokens -= count;
        self.wait()
    }

    /// Takes one token if that means to wait for no longer than `patience`, and says how long. Otherwise takes
    /// none; the error is the time after which it could.
    pub(super) fn try_take(
        &mut self,
        patience: Duration,
        now: Instant,
    ) -> Result<Duration, Duration> {
        let wait = self.take(1.0, now);
        if wait <= patience {
            return Ok(wait);
        }
        self.give_back();
        Err(wait - patience)
    }

    /// Takes `count` tokens, whether they are there or not, unless there is a debt already. The error is the time until
    /// that is paid.
    pub(super) fn take_unless_in_debt(&mut self, count: f64, now: Instant) -> Result<(), Duration> {
        match self.take(0.0, now) {
            Duration::ZERO => {
                self.take(count, now);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Gives back one token that was taken.
    pub(super) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }

    /// Whether it is as full as it can be.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.rate == 0.0 || self.tokens >= self.burst
    }

    fn refill(&mut self, now: Instant) {
        let rested = now.saturating_duration_since(self.last_taken).as_secs_f64();
        self.tokens = (self.tokens + rested * self.rate).min(self.burst);
        self.last_taken = now;
    }

    fn wait(&self) -> Duration {
        Duration::from_secs_f64((-self.tokens / self.rate).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_free_and_the_rest_waits() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(50.0, 200.0, start);
        for _ in 0..200 {
            assert_eq!(bucket.take(1.0, start), Duration::ZERO);
        }
        let turn = Duration::from_millis(20);
        assert_eq!(bucket.take(1.0, start), turn);
        assert_eq!(bucket.take(1.0, start + turn), turn);
        assert_eq!(bucket.take(150.0, start + 60 * SECOND), Duration::ZERO);
    }

    #[test]
    fn more_than_the_burst_at_once_is_waited_for_once() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 100.0, start);
        assert_eq!(bucket.take(300.0, start), 2 * SECOND);
        assert_eq!(bucket.take(0.0, start + 2 * SECOND), Duration::ZERO);
    }

    #[test]
    fn who_is_in_debt_gets_nothing_until_it_is_paid() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 100.0, start);
        assert_eq!(bucket.take_unless_in_debt(300.0, start), Ok(()));
        for _ in 0..2 {
            let outcome = bucket.take_unless_in_debt(1.0, start);
            assert_eq!(outcome, Err(2 * SECOND));
        }
        let later = start + 2 * SECOND;
        assert_eq!(bucket.take_unless_in_debt(1.0, later), Ok(()));
        assert!(bucket.take_unless_in_debt(1.0, later).is_err());
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let now = Instant::now();
        let mut bucket = TokenBucket::new(0.0, 0.0, now);
        assert_eq!(bucket.take(1e18, now), Duration::ZERO);
        assert!(bucket.is_full(now));
    }

    #[test]
    fn a_token_that_would_be_waited_for_too_long_is_not_taken() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(1.0, 1.0, start);
        assert_eq!(bucket.try_take(SECOND, start), Ok(Duration::ZERO));
        assert_eq!(bucket.try_take(SECOND, start), Ok(SECOND));
        for _ in 0..2 {
            assert_eq!(bucket.try_take(SECOND, start), Err(SECOND));
        }
        bucket.give_back();
        assert_eq!(bucket.try_take(SECOND, start), Ok(SECOND));
        assert!(!bucket.is_full(start + SECOND));
        assert!(bucket.is_full(start + 2 * SECOND));
    }
}

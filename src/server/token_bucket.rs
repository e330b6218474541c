//! A rate limiter.

use std::time::Duration;

use crate::sync::Instant;

/// A token bucket that runs into debt: what was taken is never refused, but must be waited for afterwards.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    /// Tokens a second; 0 is no limit.
    rate: u64,
    /// Tokens that may be taken at once after a rest.
    burst: f64,
    /// What is left, or owed if negative.
    tokens: f64,
    last_taken: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(rate: u64, burst: u64, now: Instant) -> TokenBucket {
        TokenBucket {
            rate,
            burst: burst as f64,
            tokens: burst as f64,
            last_taken: now,
        }
    }

    /// Takes `count` tokens and says how long to wait before going on.
    pub(crate) fn take(&mut self, count: usize, now: Instant) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let rate = self.rate as f64;
        let rested = now.saturating_duration_since(self.last_taken).as_secs_f64();
        self.last_taken = now;
        self.tokens = (self.tokens + rested * rate).min(self.burst) - count as f64;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / rate)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_the_rest_waits() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(50, 200, start);
        for _ in 0..200 {
            assert_eq!(bucket.take(1, start), Duration::ZERO);
        }
        assert_eq!(bucket.take(1, start), Duration::from_millis(20));
        assert_eq!(
            bucket.take(1, start + Duration::from_millis(20)),
            Duration::from_millis(20)
        );
        assert_eq!(
            bucket.take(150, start + Duration::from_secs(60)),
            Duration::ZERO
        );
    }

    #[test]
    fn more_than_the_burst_at_once_is_waited_for_once() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100, 100, start);
        assert_eq!(bucket.take(300, start), Duration::from_secs(2));
        assert_eq!(
            bucket.take(0, start + Duration::from_secs(2)),
            Duration::ZERO
        );
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let mut bucket = TokenBucket::new(0, 0, Instant::now());
        assert_eq!(bucket.take(usize::MAX, Instant::now()), Duration::ZERO);
    }
}

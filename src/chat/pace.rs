//! How fast one connection may go on.

use std::time::Duration;

use crate::sync::Instant;

/// A token bucket that runs into debt: what was taken is never refused, but must be waited for afterwards.
#[derive(Debug)]
pub struct Pace {
    /// Tokens a second; 0 is no limit.
    rate: u64,
    /// Tokens that may be taken at once after a rest.
    burst: f64,
    /// What is left, or owed if negative.
    tokens: f64,
    last: Instant,
}

impl Pace {
    /// A full bucket.
    pub fn new(rate: u64, burst: u64, now: Instant) -> Pace {
        Pace {
            rate,
            burst: burst as f64,
            tokens: burst as f64,
            last: now,
        }
    }

    /// Takes `count` tokens and says how long to wait before going on.
    pub fn take(&mut self, count: usize, now: Instant) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let rate = self.rate as f64;
        let rested = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
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
        let mut pace = Pace::new(50, 200, start);
        for _ in 0..200 {
            assert_eq!(pace.take(1, start), Duration::ZERO);
        }
        assert_eq!(pace.take(1, start), Duration::from_millis(20));
        assert_eq!(
            pace.take(1, start + Duration::from_millis(20)),
            Duration::from_millis(20)
        );
        assert_eq!(
            pace.take(150, start + Duration::from_secs(60)),
            Duration::ZERO
        );
    }

    #[test]
    fn more_than_the_burst_at_once_is_waited_for_once() {
        let start = Instant::now();
        let mut pace = Pace::new(100, 100, start);
        assert_eq!(pace.take(300, start), Duration::from_secs(2));
        assert_eq!(pace.take(0, start + Duration::from_secs(2)), Duration::ZERO);
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let mut pace = Pace::new(0, 0, Instant::now());
        assert_eq!(pace.take(usize::MAX, Instant::now()), Duration::ZERO);
    }
}

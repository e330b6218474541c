//! What each origin of connections has used up of its limits.
//!
//! Limits hold for a person, not for a socket: who reconnects, or opens several connections, gains nothing. So all
//! connections from one address draw on one [`Budget`], and what was used up stays so when they end, until it has refilled.

use std::collections::HashMap;
use std::time::Duration;

use super::config::Config;
use super::token_bucket::TokenBucket;
use crate::sync::{Arc, Instant, Mutex};
use crate::transport::Origin;

/// A whole class may sit behind one address. What each of them does a few times, an address may do as often as this many
/// connections.
const CLASS: f64 = 20.0;

/// Logins that an address may make at once after a rest: one for each connection it may have by default.
const LOGIN_BURST: f64 = 256.0;

/// Logins a second from one address, after those.
const LOGIN_RATE: f64 = 2.0;

/// How long a login may wait for its turn. One that would wait longer is refused.
const LOGIN_PATIENCE: Duration = Duration::from_secs(10);

/// In this time an address may register again as many names as one connection may.
const REGISTRATION_PERIOD: Duration = Duration::from_secs(600);

/// In this time an address may send again as many wrong passwords as one connection may.
const FAILURE_PERIOD: Duration = Duration::from_secs(60);

/// What is owed for connections that begin, and for bytes that nothing is made of, is forgiven beyond what refills in this
/// time.
const LONGEST_DEBT: Duration = Duration::from_secs(5);

/// Origins whose budgets are remembered, at most. When there are more, those go first that nobody uses.
const REMEMBERED: usize = 16 << 10;

/// What one origin may still do.
#[derive(Debug)]
pub(super) struct Budget(Mutex<Buckets>);

#[derive(Debug)]
struct Buckets {
    commands: TokenBucket,
    bytes: TokenBucket,
    logins: TokenBucket,
    registrations: TokenBucket,
    failures: TokenBucket,
}

impl Budget {
    fn new(config: &Config, now: Instant) -> Budget {
        let bucket = |rate, burst| TokenBucket::new(rate, burst, now);
        let for_class = |count: usize, period: Duration| {
            let count = count as f64;
            bucket(count / period.as_secs_f64(), count * CLASS)
        };
        Budget(Mutex::new(Buckets {
            commands: bucket(config.rate as f64, config.burst as f64),
            bytes: bucket(config.byte_rate as f64, config.byte_burst as f64),
            logins: bucket(LOGIN_RATE, LOGIN_BURST),
            registrations: for_class(config.max_registrations, REGISTRATION_PERIOD),
            failures: for_class(config.max_login_failures, FAILURE_PERIOD),
        }))
    }

    /// Takes a command, and says how long to wait before it is carried out.
    pub(super) fn take_command(&self) -> Duration {
        self.0.lock().commands.take(1.0, Instant::now())
    }

    /// Takes a command for a connection that begins, and says how long to wait before it is served. A client that has gone
    /// before that owes nothing beyond [`LONGEST_DEBT`]: others behind its address would have to wait for it.
    pub(super) fn take_connection(&self) -> Duration {
        let now = Instant::now();
        let taken = self.0.lock().commands.try_take(LONGEST_DEBT, now);
        taken.unwrap_or(LONGEST_DEBT)
    }

    /// Takes bytes that came, unless too many came before. The error is how long to wait then until it is worth trying
    /// again.
    pub(super) fn take_bytes(&self, count: u64) -> Result<(), Duration> {
        let (count, now) = (count as f64, Instant::now());
        self.0.lock().bytes.take_unless_in_debt(count, now)
    }

    /// Takes bytes that came and that nothing is made of, and says how long to wait before more is read.
    pub(super) fn take_scrap(&self, count: u64) -> Duration {
        let (count, now) = (count as f64, Instant::now());
        let bytes = &mut self.0.lock().bytes;
        match bytes.take(0.0, now) {
            debt if debt >= LONGEST_DEBT => debt,
            _ => bytes.take(count, now),
        }
    }

    /// Takes a login, and says how long to wait before it is carried out. The error is the time after which it may be tried
    /// again.
    pub(super) fn take_login(&self) -> Result<Duration, Duration> {
        let now = Instant::now();
        self.0.lock().logins.try_take(LOGIN_PATIENCE, now)
    }

    /// Takes the registration of a name. The error is the time after which it may be tried again.
    pub(super) fn take_registration(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let taken = self.0.lock().registrations.try_take(Duration::ZERO, now);
        taken.map(drop)
    }

    /// Gives back a registration that came to nothing.
    pub(super) fn give_back_registration(&self) {
        self.0.lock().registrations.give_back();
    }

    /// Takes a password, before it is known whether it is wrong. The error is the time after which one may be tried again.
    pub(super) fn take_password(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let taken = self.0.lock().failures.try_take(Duration::ZERO, now);
        taken.map(drop)
    }

    /// Gives back a password that was not wrong.
    pub(super) fn give_back_password(&self) {
        self.0.lock().failures.give_back();
    }

    /// Whether nothing of it is used up.
    fn is_full(&self, now: Instant) -> bool {
        let buckets = &mut *self.0.lock();
        [
            &mut buckets.commands,
            &mut buckets.bytes,
            &mut buckets.logins,
            &mut buckets.registrations,
            &mut buckets.failures,
        ]
        .into_iter()
        .all(|bucket| bucket.is_full(now))
    }
}

/// The budgets of all addresses that have used something up.
#[derive(Debug)]
pub(super) struct Budgets {
    by_address: Mutex<HashMap<Origin, Arc<Budget>>>,
    /// How many there may be before those that are full again are forgotten.
    most: usize,
}

impl Budgets {
    /// No address has used anything up.
    pub(super) fn new() -> Budgets {
        Budgets {
            by_address: Mutex::default(),
            most: REMEMBERED,
        }
    }

    /// The budget of an origin, for a new connection of it.
    pub(super) fn of(&self, origin: Origin, config: &Config) -> Arc<Budget> {
        let now = Instant::now();
        if let Origin::Own(_) = origin {
            return Arc::new(Budget::new(config, now));
        }
        let mut budgets = self.by_address.lock();
        if budgets.len() >= self.most && !budgets.contains_key(&origin) {
            budgets.retain(|_, budget| Arc::strong_count(budget) > 1 || !budget.is_full(now));
            if budgets.len() >= self.most {
                // So many addresses that nobody uses any more belong to few machines.
                budgets.retain(|_, budget| Arc::strong_count(budget) > 1);
            }
        }
        let budget = budgets
            .entry(origin)
            .or_insert_with(|| Arc::new(Budget::new(config, now)));
        Arc::clone(budget)
    }
}

#[cfg(not(feature = "model"))]
#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Origin {
        Origin::new([192, 0, 2, last].into(), 0)
    }

    #[test]
    fn what_one_connection_used_up_the_next_of_its_address_lacks() {
        let (budgets, config) = (Budgets::new(), Config::default());
        let first = budgets.of(address(1), &config);
        let burst = config.byte_burst as u64;
        assert_eq!(first.take_bytes(burst + 1000), Ok(()));
        for _ in 0..config.burst {
            assert_eq!(first.take_command(), Duration::ZERO);
        }
        drop(first);
        let second = budgets.of(address(1), &config);
        assert!(second.take_bytes(1).is_err());
        assert!(second.take_command() > Duration::ZERO);
        let other = budgets.of(address(2), &config);
        assert_eq!(other.take_bytes(1), Ok(()));
    }

    #[test]
    fn who_connects_without_end_runs_into_no_debt_without_end() {
        let config = Config::default();
        let budget = Budget::new(&config, Instant::now());
        for _ in 0..10_000 {
            assert!(budget.take_connection() <= LONGEST_DEBT);
            budget.take_scrap(1 << 20);
        }
        assert!(budget.take_command() <= LONGEST_DEBT + Duration::from_secs(1));
        let most = LONGEST_DEBT + Duration::from_secs((1 << 20) / config.byte_rate as u64);
        assert!(budget.take_bytes(1).unwrap_err() <= most);
    }

    #[test]
    fn loopback_is_exempt() {
        let (budgets, config) = (Budgets::new(), Config::default());
        let own = |number| Origin::new([127, 0, 0, 1].into(), number);
        let first = budgets.of(own(1), &config);
        assert!(first.take_scrap(2 * config.byte_burst as u64) > Duration::ZERO);
        assert_eq!(budgets.of(own(2), &config).take_bytes(1), Ok(()));
        assert!(budgets.by_address.lock().is_empty());
    }

    #[test]
    fn a_class_behind_one_address_logs_in_and_registers_but_a_script_comes_to_an_end() {
        let budget = Budget::new(&Config::default(), Instant::now());
        for _ in 0..LOGIN_BURST as usize {
            assert_eq!(budget.take_login(), Ok(Duration::ZERO));
        }
        // A few more wait for their turn.
        assert!(budget.take_login().unwrap() > Duration::ZERO);
        assert!((0..100).any(|_| budget.take_login().is_err()));

        let most = CLASS as usize * Config::default().max_registrations;
        assert!((0..most).all(|_| budget.take_registration().is_ok()));
        let wait = budget.take_registration().unwrap_err();
        assert!(wait <= REGISTRATION_PERIOD / 5, "{wait:?}");
        budget.give_back_registration();
        assert!(budget.take_registration().is_ok());

        let most = CLASS as usize * Config::default().max_login_failures;
        for _ in 0..2 * most {
            assert!(budget.take_password().is_ok());
            budget.give_back_password();
        }
        assert!((0..most).all(|_| budget.take_password().is_ok()));
        assert!(budget.take_password().unwrap_err() <= FAILURE_PERIOD / 5);
    }

    #[test]
    fn addresses_are_forgotten_when_their_budgets_are_full_and_unused_ones_when_they_are_too_many()
    {
        let config = Config {
            byte_rate: 1,
            byte_burst: 1,
            ..Config::default()
        };
        let budgets = Budgets {
            most: 3,
            ..Budgets::new()
        };
        let used = budgets.of(address(1), &config);
        budgets.of(address(2), &config).take_scrap(1000);
        for last in 3..10 {
            budgets.of(address(last), &config);
        }
        let owes = |last| budgets.of(address(last), &config).take_bytes(0).is_err();
        assert!(owes(2));
        for last in 10..20 {
            budgets.of(address(last), &config).take_scrap(1000);
        }
        assert!(budgets.by_address.lock().len() <= 3);
        assert!(Arc::ptr_eq(&used, &budgets.of(address(1), &config)));
        assert!(!owes(2));
    }
}

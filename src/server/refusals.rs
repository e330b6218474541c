//! Who could not get in lately, and why: the commonest question that a teacher is asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::SystemTime;

use crate::sync::Mutex;

/// Refusals that are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 50;

/// Characters of a name that are remembered. No name that is allowed has more.
const LONGEST_NAME: usize = 64;

/// A login that was refused, or a connection.
#[derive(Clone, Debug)]
pub struct RefusedLogin {
    /// When it was, the last time.
    pub when: SystemTime,
    /// The name as the client wrote it, cut if it is long; empty if there was none. It may hold anything.
    pub name: String,
    /// Where the client's connection came from, the last time.
    pub address: SocketAddr,
    /// What the client was told.
    pub why: String,
    /// How often it was.
    pub count: u64,
}

/// The last refusals.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// A leaf lock. Only who is refused takes it, and who asks.
    last: Mutex<VecDeque<RefusedLogin>>,
}

impl Refusals {
    /// Remembers one. The same, of the same name from the same address for the same reason, is counted.
    pub(crate) fn add(&self, name: &str, address: SocketAddr, why: &str) {
        let name: String = name.chars().take(LONGEST_NAME).collect();
        let mut last = self.last.lock();
        let same = last
            .iter()
            .position(|one| one.name == name && one.address.ip() == address.ip() && one.why == why);
        let before = same.and_then(|at| last.remove(at));
        if last.len() == REMEMBERED {
            last.pop_front();
        }
        last.push_back(RefusedLogin {
            when: SystemTime::now(),
            name,
            address,
            why: why.to_owned(),
            count: before.map_or(0, |one| one.count) + 1,
        });
    }

    /// All that are remembered, the oldest first.
    pub(crate) fn list(&self) -> Vec<RefusedLogin> {
        self.last.lock().iter().cloned().collect()
    }
}

#[cfg(not(feature = "model"))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_and_the_same_ones_counted() {
        let refusals = Refusals::default();
        let from = |last: u8, port: u16| SocketAddr::from(([192, 0, 2, last], port));
        refusals.add("Anna", from(1, 1), "in use");
        refusals.add("Bobby", from(1, 2), "in use");
        refusals.add("Anna", from(1, 3), "in use");
        refusals.add("Anna", from(2, 4), "in use");
        let listed: Vec<(String, SocketAddr, u64)> = refusals
            .list()
            .into_iter()
            .map(|one| (one.name, one.address, one.count))
            .collect();
        let expected = [
            ("Bobby".to_owned(), from(1, 2), 1),
            ("Anna".to_owned(), from(1, 3), 2),
            ("Anna".to_owned(), from(2, 4), 1),
        ];
        assert_eq!(listed, expected);
        for number in 0..2 * REMEMBERED {
            refusals.add(&"x".repeat(number), from(1, 1), "too long");
        }
        let listed = refusals.list();
        assert_eq!(listed.len(), REMEMBERED);
        assert!(listed.iter().all(|one| one.name.len() <= LONGEST_NAME));
    }
}

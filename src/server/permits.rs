//! How many connections there may be at a time: a semaphore that also counts by address.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::sync::{Arc, Condvar, Instant, Mutex};

/// Rejected clients that may be told why by a thread of their own, at the same time. Any more are told without one.
const MAX_REJECTED: usize = 32;

/// Connections beyond the limit, at the same time. There are so many at most whose clients had to make room for
/// newcomers, and whose threads have not ended yet.
const MAX_MAKING_ROOM: usize = 64;

/// Threads beyond the limit on connections, on any server.
pub(crate) const MIN_SPARE_THREADS: usize = 4;

/// The same, on a server for many: as many as both kinds need.
pub(crate) const MAX_SPARE_THREADS: usize = MAX_REJECTED + MAX_MAKING_ROOM;

/// The same, on a server for so many connections: it shall not need much more for those that it doesn't serve.
pub(crate) fn spare_threads(max_connections: usize) -> usize {
    max_connections.clamp(MIN_SPARE_THREADS, MAX_SPARE_THREADS)
}

/// The permits for connections. The thread of each connection holds one to its end.
#[derive(Debug)]
pub(crate) struct Permits {
    max_connections: usize,
    /// 0 is no limit.
    max_per_address: usize,
    taken: Mutex<Taken>,
    /// Notified when no permit is taken any more.
    all_returned: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    connections: usize,
    by_address: HashMap<IpAddr, usize>,
    rejections: usize,
}

/// A permit for one connection. It is returned when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Connection(IpAddr),
    Rejection,
}

/// Which limit leaves no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NoPermit {
    /// There are as many connections as there may be: so many.
    Full(usize),
    /// There are as many from this address as there may be: so many.
    AddressFull(usize),
}

impl Permits {
    /// Permits for `max_connections`, at most `max_per_address` of them from one address; 0 is no limit.
    pub(crate) fn new(max_connections: usize, max_per_address: usize) -> Permits {
        Permits {
            max_connections,
            max_per_address,
            taken: Mutex::default(),
            all_returned: Condvar::new(),
        }
    }

    /// Takes a permit for a client from `address`. The machine's own addresses (loopback) may have any number; an IPv4
    /// address in IPv6 form counts as what it is. Where both limits are met, that of the address is told.
    pub(crate) fn acquire(self: &Arc<Self>, address: IpAddr) -> Result<Permit, NoPermit> {
        self.acquire_of(address, |_| self.max_connections)
    }

    /// The same on a full server, for a client for which another one will have to make room: `max_connections` is
    /// exceeded until the other one's permit comes back, by [`MAX_MAKING_ROOM`] and the [spare threads](spare_threads) at most.
    pub(crate) fn acquire_before_room_is_made(
        self: &Arc<Self>,
        address: IpAddr,
    ) -> Result<Permit, NoPermit> {
        self.acquire_of(address, |taken| {
            let spare = spare_threads(self.max_connections).saturating_sub(taken.rejections);
            self.max_connections + spare.min(MAX_MAKING_ROOM)
        })
    }

    fn acquire_of(
        self: &Arc<Self>,
        address: IpAddr,
        limit: impl FnOnce(&Taken) -> usize,
    ) -> Result<Permit, NoPermit> {
        let address = address.to_canonical();
        let mut taken = self.taken.lock();
        let of_address = taken.by_address.get(&address).copied().unwrap_or(0);
        if self.max_per_address > 0 && of_address >= self.max_per_address && !address.is_loopback()
        {
            return Err(NoPermit::AddressFull(self.max_per_address));
        }
        if taken.connections >= limit(&taken) {
            return Err(NoPermit::Full(self.max_connections));
        }
        taken.by_address.insert(address, of_address + 1);
        taken.connections += 1;
        Ok(self.permit(Kind::Connection(address)))
    }

    /// Takes one of the few permits, [`MAX_REJECTED`] and the [spare threads](spare_threads) at most, for clients that are only
    /// told why they are rejected.
    pub(crate) fn acquire_for_rejection(self: &Arc<Self>) -> Option<Permit> {
        let mut taken = self.taken.lock();
        let making_room = taken.connections.saturating_sub(self.max_connections);
        let spare = spare_threads(self.max_connections).saturating_sub(making_room);
        if taken.rejections >= spare.min(MAX_REJECTED) {
            return None;
        }
        taken.rejections += 1;
        Some(self.permit(Kind::Rejection))
    }

    fn permit(self: &Arc<Self>, kind: Kind) -> Permit {
        Permit {
            permits: Arc::clone(self),
            kind,
        }
    }

    /// Waits until all permits were returned. False if some are still taken at the deadline.
    pub(crate) fn wait_until_all_returned(&self, deadline: Instant) -> bool {
        let mut taken = self.taken.lock();
        while taken.connections + taken.rejections > 0 {
            if self
                .all_returned
                .wait_until(&mut taken, deadline)
                .timed_out()
            {
                return false;
            }
        }
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.permits.taken.lock();
        match self.kind {
            Kind::Rejection => taken.rejections -= 1,
            Kind::Connection(address) => {
                taken.connections -= 1;
                if let Some(of_address) = taken.by_address.get_mut(&address) {
                    *of_address -= 1;
                    if *of_address == 0 {
                        taken.by_address.remove(&address);
                    }
                }
            }
        }
        if taken.connections + taken.rejections == 0 {
            self.permits.all_returned.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_counted_by_address_and_returned() {
        let permits = Arc::new(Permits::new(3, 2));
        let [lan, other, own]: [IpAddr; 3] =
            ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|address| address.parse().unwrap());
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let first = permits.acquire(lan).unwrap();
        let second = permits.acquire(mapped).unwrap();
        assert_eq!(permits.acquire(lan).unwrap_err(), NoPermit::AddressFull(2));
        let third = permits.acquire(other).unwrap();
        assert_eq!(permits.acquire(own).unwrap_err(), NoPermit::Full(3));
        drop((first, third));
        let own_permits = [permits.acquire(own).unwrap(), permits.acquire(own).unwrap()];
        drop((second, own_permits));
        assert!(permits.wait_until_all_returned(Instant::now()));
        assert!(permits.taken.lock().by_address.is_empty());
    }

    #[test]
    fn beyond_the_limit_there_are_only_as_many_as_may_be_making_room() {
        let own: IpAddr = "127.0.0.1".parse().unwrap();
        for (limit, most) in [(1, 4), (10, 10), (64, 64), (200, 64)] {
            let permits = Arc::new(Permits::new(limit, 0));
            let mut taken: Vec<Permit> =
                (0..limit).map(|_| permits.acquire(own).unwrap()).collect();
            let beyond = || permits.acquire_before_room_is_made(own);
            taken.extend((0..most).map(|_| beyond().unwrap()));
            assert_eq!(beyond().unwrap_err(), NoPermit::Full(limit));
            taken.truncate(limit + most - 1);
            assert_eq!(permits.acquire(own).unwrap_err(), NoPermit::Full(limit));
            taken.push(beyond().unwrap());
            let rejections: Vec<Permit> =
                std::iter::from_fn(|| permits.acquire_for_rejection()).collect();
            assert!(rejections.len() <= MAX_REJECTED);
            assert_eq!(
                most + rejections.len(),
                spare_threads(limit).min(most + MAX_REJECTED)
            );
            // Who is rejected takes a thread from those that make room, too.
            taken.truncate(limit);
            let rest = std::iter::from_fn(|| beyond().ok())
                .collect::<Vec<_>>()
                .len();
            assert_eq!(
                rest,
                (spare_threads(limit) - rejections.len()).min(MAX_MAKING_ROOM)
            );
        }
    }

    #[test]
    fn nobody_makes_room_for_an_address_that_has_as_many_as_it_may() {
        let permits = Arc::new(Permits::new(2, 2));
        let [lan, other]: [IpAddr; 2] =
            ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        let _taken = [permits.acquire(lan).unwrap(), permits.acquire(lan).unwrap()];
        assert_eq!(permits.acquire(lan).unwrap_err(), NoPermit::AddressFull(2));
        let beyond = permits.acquire_before_room_is_made(lan);
        assert_eq!(beyond.unwrap_err(), NoPermit::AddressFull(2));
        assert_eq!(permits.acquire(other).unwrap_err(), NoPermit::Full(2));
        permits.acquire_before_room_is_made(other).unwrap();
    }
}

//! How many connections there may be at a time: a semaphore that also counts by address.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::sync::{Arc, Condvar, Instant, Mutex};

/// Rejected clients that may be told why by a thread of their own, at the same time, on any server.
pub(crate) const MIN_REJECTION_THREADS: usize = 4;

/// The same, on a server for many. Any more are told without one.
pub(crate) const MAX_REJECTION_THREADS: usize = 32;

/// The same, on a server for so many connections: it shall not need much more for those that it rejects.
pub(crate) fn rejection_threads(max_connections: usize) -> usize {
    max_connections.clamp(MIN_REJECTION_THREADS, MAX_REJECTION_THREADS)
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
    /// address in IPv6 form counts as what it is.
    pub(crate) fn acquire(self: &Arc<Self>, address: IpAddr) -> Result<Permit, NoPermit> {
        let address = address.to_canonical();
        let mut taken = self.taken.lock();
        if taken.connections >= self.max_connections {
            return Err(NoPermit::Full(self.max_connections));
        }
        let of_address = taken.by_address.entry(address).or_default();
        if self.max_per_address > 0 && *of_address >= self.max_per_address && !address.is_loopback()
        {
            return Err(NoPermit::AddressFull(self.max_per_address));
        }
        *of_address += 1;
        taken.connections += 1;
        Ok(self.permit(Kind::Connection(address)))
    }

    /// Takes one of the [few](rejection_threads) permits for clients that are only told why they are rejected.
    pub(crate) fn acquire_for_rejection(self: &Arc<Self>) -> Option<Permit> {
        let mut taken = self.taken.lock();
        if taken.rejections >= rejection_threads(self.max_connections) {
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
}

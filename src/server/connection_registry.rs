//! All connections that have a thread, and what those that have gone did.

use std::collections::{BTreeSet, HashMap};

use super::stats::{ConnectionStats, Stats};
use crate::sync::{Arc, Mutex, Weak};
use crate::transport::{CloseCause, Connection};

/// Rejected connections without a thread that [linger](Connection::linger), at the same time. Each has a descriptor, one of those
/// to spare.
const MAX_LINGERING: usize = 8;

/// The connections, by number, from before their threads start until these are done.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRegistry(Mutex<Registry>);

#[derive(Debug, Default)]
struct Registry {
    connections: HashMap<u64, Weak<Connection>>,
    /// The numbers of those that are served, and whose clients have not logged in: the oldest comes first. A connection that
    /// ends may still be among them.
    without_login: BTreeSet<u64>,
    /// Rejected connections that linger. Some may be gone already.
    lingering: Vec<Weak<Connection>>,
    last_number: u64,
    /// What the connections that have gone did, and what happens seldom.
    totals: Stats,
    /// Whether the server stops.
    is_closed: bool,
}

impl ConnectionRegistry {
    /// A number for a new connection.
    pub(crate) fn next_number(&self) -> u64 {
        let mut registry = self.0.lock();
        registry.last_number += 1;
        registry.last_number
    }

    /// Adds a connection. False if the registry is closed.
    pub(crate) fn add(&self, connection: &Arc<Connection>) -> bool {
        let mut registry = self.0.lock();
        if registry.is_closed {
            return false;
        }
        let weak = Arc::downgrade(connection);
        registry.connections.insert(connection.number(), weak);
        true
    }

    /// Notes that a connection that was added waits for its client to log in. Until then it may have to make room.
    pub(crate) fn await_login(&self, connection: &Connection) {
        self.0.lock().without_login.insert(connection.number());
    }

    /// Lets the oldest connection whose client has not logged in make room for another one: it is drained for this cause.
    /// Returns it, or `None` if all have logged in.
    pub(crate) fn make_room(&self, cause: &CloseCause) -> Option<Arc<Connection>> {
        loop {
            let oldest = {
                let mut registry = self.0.lock();
                let number = registry.without_login.pop_first()?;
                registry.connections.get(&number).and_then(Weak::upgrade)
            };
            // Its own lock decides: it may log in, or come to another end, this very moment.
            if let Some(connection) = oldest
                && connection.make_room(cause.clone())
            {
                return Some(connection);
            }
        }
    }

    /// Takes no more connections. Returns those there are.
    pub(crate) fn close(&self) -> Vec<Arc<Connection>> {
        self.0.lock().is_closed = true;
        self.all()
    }

    /// The connections there are.
    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        self.0.lock().all()
    }

    /// Removes a connection whose thread is done. In the same step what it did goes into the totals, so that it counts
    /// once.
    pub(crate) fn remove(&self, connection: &Connection) {
        // Read before the lock is taken, for it takes the connection's own lock.
        let done = ConnectionStats::of(connection);
        let mut registry = self.0.lock();
        registry.without_login.remove(&connection.number());
        if registry.connections.remove(&connection.number()).is_some() {
            registry.totals.add(done);
        }
    }

    /// Notes that a rejected connection lingers. False, and it must not, if too many do.
    pub(crate) fn let_linger(&self, connection: &Arc<Connection>) -> bool {
        let mut registry = self.0.lock();
        registry.lingering.retain(|one| one.strong_count() > 0);
        let may_linger = registry.lingering.len() < MAX_LINGERING;
        if may_linger {
            registry.lingering.push(Arc::downgrade(connection));
        }
        may_linger
    }

    /// Counts the login of a connection's client.
    pub(crate) fn count_login(&self, connection: &Connection) {
        let mut registry = self.0.lock();
        registry.without_login.remove(&connection.number());
        registry.totals.logins += 1;
    }

    /// What has happened since the start. The number of users online is the caller's to add.
    pub(crate) fn stats(&self) -> Stats {
        let (mut stats, connections) = {
            let registry = self.0.lock();
            (registry.totals, registry.all())
        };
        for connection in connections {
            stats.add(ConnectionStats::of(&connection));
        }
        stats
    }

    /// Whether no connection is left.
    #[cfg(all(test, feature = "model"))]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().connections.is_empty()
    }
}

impl Registry {
    fn all(&self) -> Vec<Arc<Connection>> {
        self.connections
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

#[cfg(not(feature = "model"))]
#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::sync::channel::unbounded;
    use crate::transport::{CloseReason, PortKind, Socket};

    fn connection(number: u64) -> Arc<Connection> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = TcpStream::connect(address).unwrap();
        let (retry_queue, _) = unbounded();
        Arc::new(Connection::new(
            number,
            Socket::new(socket).unwrap(),
            address,
            PortKind::Plain,
            None,
            1024,
            retry_queue,
        ))
    }

    #[test]
    fn a_connection_that_comes_after_the_close_is_not_taken() {
        let registry = ConnectionRegistry::default();
        let [first, second] = [1, 2].map(connection);
        assert!(registry.add(&first));
        let there: Vec<u64> = registry.close().iter().map(|one| one.number()).collect();
        assert_eq!(there, [1]);
        assert!(!registry.add(&second));
        assert_eq!(registry.all().len(), 1);
    }

    #[test]
    fn the_oldest_that_has_not_logged_in_and_does_not_end_makes_room() {
        let registry = ConnectionRegistry::default();
        let connections: Vec<_> = (1..=6).map(connection).collect();
        for connection in &connections {
            registry.add(connection);
        }
        // The first is rejected, the second has logged in, the third is just doing so, the fourth ends.
        for connection in &connections[1..] {
            registry.await_login(connection);
        }
        assert!(connections[1].log_in() && connections[2].log_in());
        registry.count_login(&connections[1]);
        connections[3].close(CloseReason::BadInput);
        let cause = CloseCause::new(CloseReason::MadeRoom, "make room");
        let oldest = || registry.make_room(&cause).map(|one| one.number());
        assert_eq!([oldest(), oldest(), oldest()], [Some(5), Some(6), None]);
        let ended = connections.iter().map(|one| one.close_cause().is_some());
        assert!(ended.eq([false, false, false, true, true, true]));
        assert!(!connections[4].log_in());
    }

    #[test]
    fn as_many_connections_linger_as_may_at_the_same_time() {
        let registry = ConnectionRegistry::default();
        let mut connections: Vec<_> = (0..MAX_LINGERING as u64).map(connection).collect();
        assert!(connections.iter().all(|one| registry.let_linger(one)));
        let next = connection(99);
        assert!(!registry.let_linger(&next));
        connections.pop();
        assert!(registry.let_linger(&next) && !registry.let_linger(&next));
    }

    #[test]
    fn an_end_is_counted_once_before_and_after_the_connection_has_gone() {
        let registry = ConnectionRegistry::default();
        let connection = connection(registry.next_number());
        registry.add(&connection);
        let kicked = || registry.stats().closed(CloseReason::Kicked);
        assert_eq!(kicked(), 0);
        connection.drain_from_outside(CloseReason::Kicked.into());
        assert_eq!(kicked(), 1);
        registry.remove(&connection);
        assert_eq!(kicked(), 1);
        registry.remove(&connection);
        assert_eq!(kicked(), 1);
    }
}

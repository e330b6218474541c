//! The thread that asks every client for a sign of life.

use std::time::Duration;

use super::session::{Session, SessionMap};
use crate::sync::channel::{Receiver, RecvTimeoutError};
use crate::sync::{Arc, Instant};
use crate::transport::Batch;
use crate::wire::ServerMessage;

/// Sends 14 to everybody logged in, once every `interval`, until `stop` is closed.
///
/// A send that fails at once closes the connection. A send to a host that has vanished succeeds: the bytes wait in the
/// kernel, which ends the connection when they were not acknowledged in time (see
/// [`prepare`](crate::transport::socket::Socket::prepare)). Either way the connection's own thread wakes up, and 31 follows.
pub fn run(sessions: &SessionMap, interval: Duration, stop: &Receiver<()>) {
    let heartbeat = Batch::from(ServerMessage::HEARTBEAT.to_line());
    let mut next = Instant::now() + interval;
    while stop.recv_deadline(next) == Err(RecvTimeoutError::Timeout) {
        next = (next + interval).max(Instant::now());
        // The thread doesn't hold the map while it sends: the room needs it.
        let everybody: Vec<Arc<Session>> = sessions.read().values().cloned().collect();
        for session in everybody {
            session.connection().push(&heartbeat, 0, None);
        }
    }
}

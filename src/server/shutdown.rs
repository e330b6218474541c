//! The end of the server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::shared::Shared;
use crate::chat::{Event, Session};
use crate::sync::channel::bounded;
use crate::sync::{Arc, Instant};
use crate::texts::reasons;
use crate::transport::{CloseCause, CloseReason};

/// How long the room may take to send what was said before.
const ROOM_PATIENCE: Duration = Duration::from_secs(1);

/// How long the server waits until all connections have ended by themselves.
pub(super) const DRAIN_PATIENCE: Duration = Duration::from_millis(3500);

/// How long the disk may take for the last of a transcript.
const TRANSCRIPT_PATIENCE: Duration = Duration::from_secs(1);

/// How long it then waits for those that it closed.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

/// Ends a server whose listeners have these addresses: everybody logged in is sent what was said before, and a last 10.
/// Returns when all connections have ended, or after four seconds at most, however the clients behave.
pub(super) fn stop(shared: &Shared, listeners: &[SocketAddr]) {
    log::info!("stopping");
    let deadline = Instant::now() + DRAIN_PATIENCE;
    // From here on no command is carried out, no connection is added, and no thread waits to hash a password. The room's
    // own end, below, has its place in the one order.
    shared.set_stopping();
    let connections = shared.connections.close();
    shared.accounts.close();
    for address in listeners {
        wake_listener(*address);
    }

    for session in clear_room(shared) {
        let goodbye = CloseCause::new(CloseReason::ServerStopping, reasons::server_stops());
        session.connection().drain_from_outside(goodbye);
    }
    if let Some(end) = shared.transcript.lock().take() {
        end.wait(TRANSCRIPT_PATIENCE);
    }
    // What waited for its turn to be said comes after that, and the room drops it.
    shared.events.close();
    // All others are told nothing. One that is drained already keeps its cause, and gets this drain's deadlines.
    for connection in &connections {
        connection.drain_from_outside(CloseReason::ServerStopping.into());
    }
    drop(connections);

    if !shared.permits.wait_until_all_returned(deadline) {
        for connection in shared.connections.all() {
            connection.close(CloseReason::ServerStopping);
        }
        let deadline = Instant::now() + CLOSE_PATIENCE;
        shared.permits.wait_until_all_returned(deadline);
    }
    shared.repeated_lines.close();
    log::info!("stopped");
}

/// Takes everybody off the roster, and returns who was online. A room that has too much to do is not waited for: a
/// client gets no more from it once its last line is queued.
fn clear_room(shared: &Shared) -> Vec<Arc<Session>> {
    let deadline = Instant::now() + ROOM_PATIENCE;
    let (reply, online) = bounded(1);
    // If the queue stays full, there is no reply either.
    let _ = shared.events.post_by(Event::Stop { reply }, deadline);
    online.recv_deadline(deadline).unwrap_or_else(|_| {
        let known: Vec<_> = shared.sessions.read().values().cloned().collect();
        if known.is_empty() {
            // The reply has come this very moment: the room sends it before it empties the map.
            return online.try_recv().unwrap_or_default();
        }
        known
    })
}

/// Makes a listener's thread look up, by connecting to it.
fn wake_listener(mut address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    // If it fails, the listener's thread stays behind and ends with the process.
    let _ = TcpStream::connect_timeout(&address, Duration::from_millis(200));
}

//! Takes connections, counts them, and gives each its thread.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::Shared;
use super::limits::LimitMet;
use super::serve::{self, Admission};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::transport::connection::{Connection, Parts};
use crate::transport::end_reason::EndReason;
use crate::transport::socket;
use crate::transport::tls::Tls;
use crate::wire::message::{ServerMessage, prefix_lines};

/// Stack of a connection's thread, in bytes. Memory is only used as far as it is touched.
const STACK_SIZE: usize = 256 << 10;

/// The pause after a failure that may have to do with a lack of something, such as descriptors. It doubles with
/// each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The bare protocol.
    Plain,
    /// The protocol inside TLS.
    Tls,
}

impl Port {
    /// Names the listener's thread.
    pub(crate) fn thread_name(self) -> &'static str {
        match self {
            Port::Plain => "listen-plain",
            Port::Tls => "listen-tls",
        }
    }
}

/// Takes connections until the server stops.
pub(crate) fn run(listener: &TcpListener, port: Port, shared: &Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = listener.accept();
        if shared.is_stopping() {
            return;
        }
        let outcome = accepted.and_then(|(socket, peer)| admit(socket, peer, port, shared));
        match outcome {
            Ok(()) => pause = FIRST_PAUSE,
            Err(error) => {
                // Which error it was doesn't matter: a lack of anything passes, and retrying at once would spin.
                log::warn!("cannot take a connection: {error}; the next one is tried in {pause:?}");
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Finds a place for a connection and starts its thread.
fn admit(socket: TcpStream, peer: SocketAddr, port: Port, shared: &Arc<Shared>) -> io::Result<()> {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let place = match shared.bans.has_address(peer.ip()) {
        true => Err(LimitMet::Banned),
        false => shared.places.take(peer.ip()),
    };
    let (place, admission) = match place {
        Ok(place) => (place, Admission::Welcome),
        Err(limit) => {
            log::warn!("refused a connection from {peer}: {limit}");
            match shared.places.take_for_refusal() {
                Some(place) => (place, Admission::Refused(limit)),
                None => {
                    // A courtesy: the client may be gone.
                    let _ = brush_off(&socket, port, &limit.to_string());
                    shared.totals.count_end(limit.reason());
                    return Ok(());
                }
            }
        }
    };
    if let Err(error) = socket::prepare(&socket, shared.config.dead_after()) {
        // The client has gone already, as port scanners do.
        log::info!("{peer} left before it was served: {error}");
        return Ok(());
    }
    let tls = match (port, &shared.tls) {
        (Port::Tls, Some(context)) => Some(Tls::new(context)?),
        _ => None,
    };
    let number = shared.next_number.fetch_add(1, Ordering::Relaxed);
    let connection = Arc::new(Connection::new(Parts {
        number,
        socket,
        peer,
        tls,
        max_backlog: shared.config.max_backlog,
        laggards: shared.laggards.clone(),
        place: Box::new(place),
    }));
    shared
        .connections
        .lock()
        .insert(number, Arc::downgrade(&connection));
    // A ban that came meanwhile may not have found it.
    if matches!(admission, Admission::Welcome) && shared.bans.has_address(peer.ip()) {
        connection.end(EndReason::Banned);
    }
    let thread_shared = Arc::clone(shared);
    let thread_connection = Arc::clone(&connection);
    let spawned = thread::Builder::new()
        .name(format!("conn-{number}"))
        .stack_size(STACK_SIZE)
        .spawn(move || serve::run(&thread_shared, thread_connection, admission));
    if let Err(error) = spawned {
        shared.connections.lock().remove(&number);
        connection.refuse(&ServerMessage::notice(
            "the server has no thread left; try again later",
        ));
        shared.totals.count_end(EndReason::Refused);
        return Err(error);
    }
    Ok(())
}

/// Says why to a client that gets neither a place nor a thread, as far as that goes without waiting. With TLS it
/// doesn't.
fn brush_off(mut socket: &TcpStream, port: Port, why: &str) -> io::Result<()> {
    if port == Port::Tls {
        return Ok(());
    }
    let first = socket::discard_input(socket);
    let line = ServerMessage::notice(why).to_line();
    socket.write_all(&match first {
        Some(0) => prefix_lines(&line),
        _ => line,
    })?;
    socket.shutdown(Shutdown::Write)
}

//! Listeners: each accepts connections, finds a permit for each, and starts its thread.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::addresses::own_addresses;
use super::config::Config;
use super::error::StartError;
use super::permits::{NoPermit, Permit};
use super::rejection::{self, Rejection};
use super::repeated_lines::RepeatableLine;
use super::serve::threads;
use super::shared::Shared;
use crate::sync::Arc;
use crate::transport::tls::Tls;
use crate::transport::{Connection, PortKind, Socket, socket};

/// The pause after a failure that may have to do with a lack of something, such as descriptors. It doubles with
/// each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Descriptors that must be left beside that of a client that is served: one at least for each listener, so that it can take the
/// next client and tell it that there are no more. Otherwise that one would wait in the queue, nobody knows how long.
const LEFT_DESCRIPTORS: usize = 4;

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    kind: PortKind,
}

impl Listener {
    /// Opens the listeners of one port: one for each address of the settings, or one for all addresses.
    pub(crate) fn open_all(config: &Config, kind: PortKind) -> Result<Vec<Listener>, StartError> {
        let (number, flag) = match kind {
            PortKind::Plain => (config.port, "--port"),
            PortKind::Tls => (config.tls_port, "--tls-port"),
            PortKind::Web => (config.web_port, "--web-port"),
        };
        // Two listeners can't share a port, so where IPv4 has its own the other leaves it alone.
        let takes_both = !config.bind.iter().any(IpAddr::is_ipv4);
        let open = |address| {
            let address = SocketAddr::new(address, number);
            match socket::listen(address, takes_both) {
                Ok(socket) => Ok(Listener { socket, kind }),
                Err(error) => Err(StartError::Listen(address, flag, error)),
            }
        };
        if config.bind.is_empty() {
            // The IPv6 address of all zeros takes IPv4 too. A machine without IPv6 can't open it.
            let both = match open(Ipv6Addr::UNSPECIFIED.into()) {
                Err(StartError::Listen(_, _, error))
                    if error.kind() != io::ErrorKind::AddrInUse =>
                {
                    log::debug!("no IPv6 here ({error}), so IPv4 only");
                    open(Ipv4Addr::UNSPECIFIED.into())
                }
                other => other,
            };
            return Ok(vec![both?]);
        }
        let open_or_tell_which = |address: &IpAddr| {
            open(*address).map_err(|error| match error {
                StartError::Listen(_, _, error)
                    if error.kind() == io::ErrorKind::AddrNotAvailable =>
                {
                    let own = own_addresses().into_iter().map(|one| one.ip);
                    StartError::NoSuchAddress(*address, own.collect())
                }
                other => other,
            })
        };
        config.bind.iter().map(open_or_tell_which).collect()
    }

    /// Where it listens, if it is of this kind.
    pub(crate) fn address(&self, kind: PortKind) -> Option<SocketAddr> {
        let is_asked_for = self.kind == kind;
        self.socket.local_addr().ok().filter(|_| is_asked_for)
    }

    /// Names the listener's thread.
    pub(crate) fn thread_name(&self) -> &'static str {
        match self.kind {
            PortKind::Plain => "listen-plain",
            PortKind::Tls => "listen-tls",
            PortKind::Web => "listen-web",
        }
    }

    /// Accepts connections until the server stops.
    pub(crate) fn run(&self, shared: &Arc<Shared>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let accepted = self.socket.accept();
            if shared.is_stopping() {
                return;
            }
            let admitted = accepted.and_then(|(socket, peer)| {
                let has_descriptors = self.has_descriptors();
                admit(socket, peer, self.kind, shared, has_descriptors)
            });
            match admitted {
                Ok(()) => pause = FIRST_PAUSE,
                Err(error) if has_client_gone(&error) => {
                    log::debug!("a client has gone before it was taken: {error}");
                }
                Err(error) => {
                    // Which error it was doesn't matter: a lack of anything passes, and retrying at once would spin.
                    log::warn!(
                        "cannot take a connection: {error}; the next one is tried in {pause:?}"
                    );
                    thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Whether enough descriptors are left, beside that of the client that was just taken.
    fn has_descriptors(&self) -> bool {
        // Windows has handles for as long as it has memory.
        if cfg!(windows) {
            return true;
        }
        let left: [_; LEFT_DESCRIPTORS] = std::array::from_fn(|_| self.socket.try_clone());
        left.iter().all(io::Result::is_ok)
    }
}

/// Whether `accept` says that the client in front of the queue has ended its connection (accept(2); on Windows a reset).
fn has_client_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionReset)
}

/// Makes a connection of an accepted socket, and starts its thread. A client that is rejected gets a thread too, if there
/// is one to spare, so that it can be told why in its own framing and through TLS.
/// Where few descriptors are left it gets none.
fn admit(
    socket: TcpStream,
    peer: SocketAddr,
    kind: PortKind,
    shared: &Arc<Shared>,
    has_descriptors: bool,
) -> io::Result<()> {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let (permit, rejection) = match shared.bans.has_address(peer.ip()) {
        true => (None, Some(Rejection::Banned)),
        false if !has_descriptors => (None, Some(Rejection::NoDescriptor)),
        false => match find_permit(peer, shared) {
            Ok(permit) => (Some(permit), None),
            Err(limit) => (None, Some(Rejection::NoPermit(limit))),
        },
    };
    if let Some(rejection) = rejection {
        shared.refusals.add("", peer, &rejection.to_string());
        shared
            .repeated_lines
            .log(RepeatableLine::Refused { peer, rejection });
    }
    let prepared = Socket::new(socket)
        .and_then(|socket| socket.prepare(shared.config.dead_after()).map(|()| socket));
    let socket = match prepared {
        Ok(socket) => socket,
        Err(error) => {
            // The client has gone already, as port scanners do.
            shared
                .repeated_lines
                .log(RepeatableLine::LeftUnserved { peer, error });
            return Ok(());
        }
    };
    let tls = match &shared.tls {
        Some(context) if kind == PortKind::Tls => Some(Tls::new(context)?),
        _ => None,
    };
    let connection = Arc::new(Connection::new(
        shared.connections.next_number(),
        socket,
        peer,
        kind,
        tls,
        shared.config.max_backlog,
        shared.retry_queue.clone(),
    ));
    if !shared.connections.add(&connection) {
        // The server stops.
        return Ok(());
    }
    shared.watch.note_connection(&connection);
    if permit.is_some() {
        shared.connections.await_login(&connection);
    }
    // A ban that came meanwhile may not have found the connection.
    let is_banned = shared.bans.has_address(peer.ip());
    let rejection = rejection.or(is_banned.then_some(Rejection::Banned));
    let permit = match has_descriptors {
        true => permit.or_else(|| shared.permits.acquire_for_rejection()),
        false => None,
    };
    match (permit, rejection) {
        (None, Some(rejection)) => {
            reject_without_thread(shared, &connection, rejection);
        }
        (permit, rejection) => {
            if let Err(error) = threads::start(shared, &connection, rejection, permit) {
                // No pause, unlike after a failed accept: this client is off the queue, and the next one shall not wait to be refused.
                let rejection = rejection.unwrap_or(Rejection::NoThread);
                log::warn!("cannot start a thread for {connection}: {error}");
                reject_without_thread(shared, &connection, rejection);
            }
        }
    }
    Ok(())
}

/// Finds a permit for a client. On a full server one that has not logged in makes room for it.
fn find_permit(peer: SocketAddr, shared: &Shared) -> Result<Permit, NoPermit> {
    let full = match shared.permits.acquire(peer.ip()) {
        Err(full @ NoPermit::Full(_)) => full,
        other => return other,
    };
    let permit = shared.permits.acquire_before_room_is_made(peer.ip())?;
    let making_room = shared.connections.make_room(&rejection::making_room());
    let other = making_room.ok_or(full)?;
    log::warn!("the server is full: {other} has not logged in, and makes room for {peer}");
    Ok(permit)
}

fn reject_without_thread(shared: &Shared, connection: &Arc<Connection>, rejection: Rejection) {
    connection.reject(rejection.cause());
    // Over TLS there is no last line to lose.
    let may_linger = !connection.is_tls() && rejection != Rejection::NoDescriptor;
    if may_linger && shared.connections.let_linger(connection) {
        connection.linger();
    }
    shared.connections.remove(connection);
}

//! The process: settings, listeners, the life of a connection, and an orderly end.

pub mod banner;
pub mod config;
pub mod console;
pub mod data_dir;
pub mod error;
pub mod limits;
mod listener;
pub mod logging;
pub mod moderator;
mod report;
mod serve;
pub mod totals;

#[cfg(all(test, feature = "model"))]
#[path = "../../tests/model/mod.rs"]
mod model;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use openssl::ssl::SslContext;

use self::data_dir::DataDir;
use self::limits::Places;
use self::totals::{Stats, Totals};
use crate::chat::fanout::{FanOut, Posted};
use crate::chat::{Accounts, Bans, Event, Events, Session, SessionMap, heartbeat, laggards};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::channel::{Receiver, Sender, bounded, unbounded};
use crate::sync::{Arc, Instant, Mutex, Sentinel, Weak};
use crate::transport::certificate;
use crate::transport::connection::Connection;
use crate::transport::end_reason::EndReason;
use crate::transport::socket;
use crate::wire::message::ServerMessage;

pub use config::Config;
pub use error::StartError;
pub use moderator::{Moderator, Refusal};

/// How long the server waits, when it stops, until everything said before has been delivered.
const SETTLING: Duration = Duration::from_secs(2);

/// How long the server waits, when it stops, until everybody has gone. It includes [`SETTLING`].
const FAREWELL: Duration = Duration::from_millis(3500);

/// What all threads of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    config: Config,
    accounts: Arc<Accounts>,
    /// Asked by listeners and by the fan-out, changed by whoever moderates.
    bans: Arc<Bans>,
    /// Written by the fan-out only.
    sessions: SessionMap,
    /// To the fan-out.
    events: Events,
    /// To the laggards' thread.
    laggards: Sender<Arc<Connection>>,
    tls: Option<SslContext>,
    /// Those that are being read from. Written by listeners and by each connection's own thread.
    connections: Mutex<HashMap<u64, Weak<Connection>>>,
    places: Arc<Places>,
    next_number: AtomicU64,
    /// What the connections that have left did, and what happens seldom.
    totals: Totals,
    /// Set once, by [`Server::run`]: from then on nothing that a client sends is carried out.
    is_stopping: AtomicBool,
}

impl Shared {
    /// What threads share, and the other ends of its channels.
    fn new(
        config: Config,
        accounts: Arc<Accounts>,
        bans: Arc<Bans>,
        tls: Option<SslContext>,
    ) -> (Arc<Shared>, Posted, Receiver<Arc<Connection>>) {
        let sessions = SessionMap::default();
        let (events, posted) = Events::new(FanOut::new(
            Arc::clone(&sessions),
            Arc::clone(&accounts),
            Arc::clone(&bans),
            config.max_backlog,
        ));
        // Each connection is in this channel once at most, so their number bounds it.
        let (laggard_sender, laggards) = unbounded();
        let shared = Shared {
            accounts,
            bans,
            sessions,
            events,
            laggards: laggard_sender,
            tls,
            connections: Mutex::default(),
            places: Arc::new(Places::new(config.max_connections, config.max_per_address)),
            next_number: AtomicU64::new(1),
            totals: Totals::new(),
            is_stopping: AtomicBool::new(false),
            config,
        };
        (Arc::new(shared), posted, laggards)
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// The connections that are being read from.
    fn reading(&self) -> Vec<Arc<Connection>> {
        let connections = self.connections.lock();
        connections.values().filter_map(Weak::upgrade).collect()
    }

    /// What has happened since the start.
    fn stats(&self) -> Stats {
        // A connection goes from the map into the totals in one step, under this lock, so each counts once.
        let (mut stats, reading) = {
            let connections = self.connections.lock();
            let reading: Vec<_> = connections.values().filter_map(Weak::upgrade).collect();
            (self.totals.read(), reading)
        };
        for connection in reading {
            stats.traffic += connection.traffic();
        }
        stats.online = self.sessions.read().len();
        stats
    }
}

/// A server that listens, and serves once it is [run](Server::run).
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<(TcpListener, listener::Port)>,
    posted: Posted,
    laggards: Receiver<Arc<Connection>>,
    stop: Receiver<()>,
    handle: Handle,
    data_dir: DataDir,
}

/// Tells a server's addresses, and stops it.
#[derive(Clone, Debug)]
pub struct Handle {
    plain: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    fingerprint: Option<String>,
    stop: Sender<()>,
    moderator: Moderator,
}

impl Handle {
    /// Where plain connections are taken; the ports are the real ones if port 0 was asked for.
    pub fn plain_addresses(&self) -> &[SocketAddr] {
        &self.plain
    }

    /// Where TLS connections are taken.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls
    }

    /// SHA-256 of the TLS certificate, as pairs of hexadecimal digits with colons between them.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// What a teacher can do to the running server.
    pub fn moderator(&self) -> &Moderator {
        &self.moderator
    }

    /// Makes [`Server::run`] come to its end, soon. Calling it again does nothing.
    pub fn stop(&self) {
        // The channel holds one: more would say the same.
        let _ = self.stop.try_send(());
    }
}

impl Server {
    /// Opens the data folder and the ports. From here on clients can connect; they are served by
    /// [`run`](Server::run).
    pub fn bind(mut config: Config) -> Result<Server, StartError> {
        config.check()?;
        fit_to_machine(&mut config)?;
        let data_dir = DataDir::open(&config.data_dir)?;
        let accounts = Accounts::open(&data_dir.accounts(), !config.no_registration)?;
        let bans = Bans::open(&data_dir.bans())?;
        let identity = match (&config.tls_cert, &config.tls_key) {
            _ if config.no_tls => None,
            (Some(certificate), Some(key)) => Some(certificate::load(certificate, key)?),
            _ => Some(certificate::load_or_make(
                &data_dir.certificate(),
                &data_dir.key(),
                &gethostname::gethostname().to_string_lossy(),
                &own_addresses(),
            )?),
        };

        let mut listeners = listen(&config, listener::Port::Plain)?;
        if identity.is_some() {
            listeners.extend(listen(&config, listener::Port::Tls)?);
        }
        let addresses = |port| {
            let of_port = listeners.iter().filter(move |(_, of)| *of == port);
            of_port
                .filter_map(|(listener, _)| listener.local_addr().ok())
                .collect()
        };
        let (plain, tls) = (
            addresses(listener::Port::Plain),
            addresses(listener::Port::Tls),
        );
        let fingerprint = identity
            .as_ref()
            .map(|identity| identity.fingerprint.clone());

        let tls_context = identity.map(|identity| identity.context);
        let (shared, posted, laggards) =
            Shared::new(config, Arc::new(accounts), Arc::new(bans), tls_context);
        let (stop_sender, stop) = bounded(1);
        let handle = Handle {
            plain,
            tls,
            fingerprint,
            stop: stop_sender,
            moderator: Moderator::new(Arc::downgrade(&shared)),
        };
        Ok(Server {
            shared,
            listeners,
            posted,
            laggards,
            stop,
            handle,
            data_dir,
        })
    }

    /// A handle, to be used from other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where the server keeps its data.
    pub fn data_dir(&self) -> &std::path::Path {
        self.data_dir.path()
    }

    /// Serves until [`Handle::stop`] is called, then sends everybody what was said before and a last 10. Returns
    /// when all have gone, or after four seconds at most, however the clients behave.
    pub fn run(self) -> Result<(), StartError> {
        let Server {
            shared,
            listeners,
            posted,
            laggards,
            stop,
            handle,
            data_dir,
        } = self;
        let config = &shared.config;
        log::info!(
            "chatd {} started: plain on {:?}, TLS on {:?}, {} registered names in {}",
            env!("CARGO_PKG_VERSION"),
            handle.plain,
            handle.tls,
            shared.accounts.len(),
            data_dir.path().display()
        );

        spawn("fanout", move || posted.run())?;
        let dead_after = config.dead_after();
        spawn("laggards", move || laggards::run(&laggards, dead_after))?;
        // Dropped at the end of this function, which ends the heartbeat.
        let (_heartbeat_stop, heartbeat_stopped) = bounded(0);
        let (sessions, interval) = (Arc::clone(&shared.sessions), config.heartbeat);
        spawn("heartbeat", move || {
            heartbeat::run(&sessions, interval, &heartbeat_stopped)
        })?;
        // The same for this one.
        let (_report_stop, report_stopped) = bounded(0);
        let reported = Arc::downgrade(&shared);
        spawn("report", move || {
            let read = || reported.upgrade().map(|shared| shared.stats());
            let write = |line| log::info!("{line}");
            report::run(report::INTERVAL, &report_stopped, read, write);
        })?;
        for (listener, port) in listeners {
            let shared = Arc::clone(&shared);
            spawn(port.thread_name(), move || {
                listener::run(&listener, port, &shared)
            })?;
        }

        // The handle in this function keeps the channel connected.
        let _ = stop.recv();
        shared.stop(&handle);
        Ok(())
    }
}

impl Shared {
    /// Sends everybody off.
    fn stop(&self, handle: &Handle) {
        log::info!("stopping");
        let deadline = Instant::now() + FAREWELL;
        self.is_stopping.store(true, Ordering::Release);
        handle
            .plain
            .iter()
            .chain(&handle.tls)
            .for_each(|address| wake_listener(*address));

        // What was said before is delivered first, and receipts for it.
        let online = self.dissolve(Instant::now() + SETTLING / 2);
        let settled_by = Instant::now() + SETTLING / 2;
        for connection in online.iter().map(|session| session.connection()) {
            while !connection.is_settled() && Instant::now() < settled_by {
                if connection.pause(Duration::from_millis(10)) {
                    break;
                }
            }
        }
        let goodbye = ServerMessage::notice("the server stops");
        for session in &online {
            session.connection().say_goodbye(&goodbye);
        }
        self.end_all(|connection| {
            !online
                .iter()
                .any(|session| Arc::ptr_eq(session.connection(), connection))
        });
        drop(online);

        if !self.places.wait_until_empty(deadline) {
            self.end_all(|_| true);
            self.places
                .wait_until_empty(Instant::now() + Duration::from_millis(500));
        }
        log::info!("stopped");
    }

    /// Takes everybody off the roster, and tells who was online. A fan-out that has too much to do is not waited
    /// for: after their goodbye, clients get no more from it.
    fn dissolve(&self, deadline: Instant) -> Vec<Arc<Session>> {
        let (reply, online) = bounded(1);
        // If the channel stays full, there is no reply either.
        let _ = self.events.post_by(Event::Stop { reply }, deadline);
        online.recv_deadline(deadline).unwrap_or_else(|_| {
            let known: Vec<_> = self.sessions.read().values().cloned().collect();
            if known.is_empty() {
                // The reply has come this very moment: it is sent before the map is emptied.
                return online.try_recv().unwrap_or_default();
            }
            known
        })
    }

    /// Ends the connections that are still being read from and that `condition` picks.
    fn end_all(&self, condition: impl Fn(&Arc<Connection>) -> bool) {
        let reading = self.reading();
        for connection in reading.iter().filter(|connection| condition(connection)) {
            connection.end(EndReason::Stopping);
        }
    }
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

/// Lowers the limit of connections to what this machine can hold, and says so.
fn fit_to_machine(config: &mut Config) -> Result<(), StartError> {
    if let Some((fit, advice)) = limits::fewer_than(config.max_connections) {
        if fit == 0 {
            return Err(StartError::NoRoom(advice));
        }
        log::warn!(
            "this machine holds {fit} connections, not the {} of --max-connections; for more, {advice}",
            config.max_connections
        );
        config.max_connections = fit;
    }
    // When everybody logs in at once, each client waits for a notice of each other one.
    let notices = config.max_connections * 110;
    if notices > config.max_backlog {
        log::warn!(
            "--max-backlog holds fewer notices than {} clients cause by logging in at once; {} would do",
            config.max_connections,
            bytesize::ByteSize(notices as u64)
        );
    }
    Ok(())
}

/// Opens the listeners of one port.
fn listen(
    config: &Config,
    port: listener::Port,
) -> Result<Vec<(TcpListener, listener::Port)>, StartError> {
    let (number, flag) = match port {
        listener::Port::Plain => (config.port, "--port"),
        listener::Port::Tls => (config.tls_port, "--tls-port"),
    };
    // Two listeners can't share a port, so where IPv4 has its own the other leaves it alone.
    let takes_both = !config.bind.iter().any(IpAddr::is_ipv4);
    let open = |address| {
        let address = SocketAddr::new(address, number);
        match socket::listen(address, takes_both) {
            Ok(listener) => Ok((listener, port)),
            Err(error) => Err(StartError::Listen(address, flag, error)),
        }
    };
    if config.bind.is_empty() {
        // The IPv6 address of all zeros takes IPv4 too. A machine without IPv6 can't open it.
        let both = match open(Ipv6Addr::UNSPECIFIED.into()) {
            Err(StartError::Listen(_, _, error))
                if error.kind() != std::io::ErrorKind::AddrInUse =>
            {
                log::debug!("no IPv6 here ({error}), so IPv4 only");
                open(Ipv4Addr::UNSPECIFIED.into())
            }
            other => other,
        };
        return Ok(vec![both?]);
    }
    config.bind.iter().map(|address| open(*address)).collect()
}

/// This machine's addresses, loopback included, without those that only work on one link. The one by which it
/// reaches the rest of the network comes first, loopback last.
pub fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        log::warn!("cannot list this machine's addresses: {error}");
        Vec::new()
    });
    let mut addresses: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    addresses.extend([
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ]);
    addresses.retain(|address| match address {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    });
    let main = main_address().ok();
    addresses.sort_by_key(|address| {
        (
            address.is_loopback(),
            Some(*address) != main,
            address.is_ipv6(),
            *address,
        )
    });
    addresses.dedup();
    addresses
}

/// The address that the system would use towards the rest of the network. Asking sends nothing: a UDP socket is
/// only told where its datagrams would go, here to an address reserved for documentation (RFC 5737).
fn main_address() -> std::io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9))?;
    Ok(socket.local_addr()?.ip())
}

/// Starts one of the server's own threads. If it ever fails, the process ends: half a server is worse than none.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    let watched = move || {
        let _sentinel = Sentinel::new();
        work();
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(watched)
        .map(drop)
        .map_err(StartError::Thread)
}

//! The process: settings, listeners, the life of a connection, and an orderly end.

pub mod addresses;
pub mod attendance;
pub mod banner;
mod budget;
pub mod capacity;
pub mod command_line;
pub mod config;
mod connection_registry;
pub mod console;
pub mod console_window;
pub mod error;
pub mod handle;
mod inbox;
mod listener;
mod log_file;
pub mod logging;
pub mod moderator;
mod permits;
mod refusals;
mod rejection;
mod repeated_lines;
mod report;
mod retry_thread;
mod serve;
mod shared;
mod shutdown;
pub mod signals;
pub mod stats;
mod token_bucket;
mod usage_in_chinese;
mod watch;
mod web;

#[cfg(all(test, feature = "model"))]
#[path = "../../tests/model/mod.rs"]
mod model;

use std::net::{IpAddr, SocketAddr};
use std::thread;

use self::listener::Listener;
use self::shared::Shared;
use crate::chat::fan_out::FanOutThread;
use crate::chat::moderation::ModeratorAction;
use crate::chat::{Event, Transcript, heartbeat};
use crate::storage::{Accounts, Bans, DataDir, certificate, clock, permissions};
use crate::sync::channel::{Receiver, bounded};
use crate::sync::{AbortOnPanic, Arc, Weak};
use crate::transport::{Connection, PortKind};

pub use addresses::{OwnAddress, Reach, own_addresses};
pub use attendance::Attendee;
pub use command_line::{CommandLine, Task};
pub use config::Config;
pub use error::StartError;
pub use handle::Handle;
pub use inbox::StudentMessage;
pub use moderator::{Moderator, Refusal};
pub use refusals::RefusedLogin;
pub use watch::WatchTarget;

/// A server that listens, and serves once it is [run](Server::run).
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    fan_out_thread: FanOutThread,
    retry_queue: Receiver<Weak<Connection>>,
    stop: Receiver<()>,
    handle: Handle,
    data_dir: DataDir,
}

impl Server {
    /// Opens the data folder and the ports. From here on clients can connect; they are served by
    /// [`run`](Server::run).
    pub fn bind(mut config: Config) -> Result<Server, StartError> {
        config.check()?;
        capacity::fit(&mut config)?;
        if let Some(warning) = clock::warning() {
            log::warn!("{warning}");
        }
        let data_dir = DataDir::open(&config.data_dir)?;
        let accounts = Accounts::open(&data_dir.accounts(), !config.no_registration)?;
        let bans = Bans::open(&data_dir.bans())?;
        let own = own_addresses().into_iter();
        let names: Vec<IpAddr> = own
            .filter(|one| one.reach != Reach::SelfAssigned)
            .map(|one| one.ip)
            .collect();
        let identity = match (&config.tls_cert, &config.tls_key) {
            _ if config.no_tls => None,
            (Some(certificate), Some(key)) => Some(certificate::load(certificate, key)?),
            _ => Some(certificate::load_or_make(
                &data_dir.certificate(),
                &data_dir.key(),
                &gethostname::gethostname().to_string_lossy(),
                &names,
            )?),
        };
        let key = match &config.tls_key {
            _ if config.no_tls => None,
            Some(key) => Some(key.clone()),
            None => Some(data_dir.key()),
        };
        for warning in permissions::warnings(&data_dir, key.as_deref()) {
            log::warn!("{warning}");
        }
        let (tls, fingerprint) = identity
            .map(|identity| (identity.context, identity.fingerprint))
            .unzip();

        let mut listeners = Listener::open_all(&config, PortKind::Plain)?;
        if tls.is_some() {
            listeners.extend(Listener::open_all(&config, PortKind::Tls)?);
        }
        if !config.no_web {
            listeners.extend(Listener::open_all(&config, PortKind::Web)?);
        }
        let addresses = |kind| -> Vec<SocketAddr> {
            let addresses = listeners.iter().filter_map(|one| one.address(kind));
            addresses.collect()
        };
        let [web, plain, encrypted] = PortKind::ALL.map(addresses);

        let (shared, fan_out_thread, retry_queue) =
            Shared::new(config, Arc::new(accounts), Arc::new(bans), tls);
        if let Some(path) = &shared.config.transcript {
            let failed = |error| StartError::Transcript(path.clone(), error);
            let (transcript, end) = Transcript::open(path).map_err(failed)?;
            let (reply, _) = bounded(1);
            let record = ModeratorAction::Record {
                transcript: Some(transcript),
                reply,
            };
            // Nobody can join before the room runs, and this is the first that it finds.
            let _ = shared.events.post(Event::Moderate(record));
            *shared.transcript.lock() = Some(end);
        }
        let (stop_sender, stop) = bounded(1);
        let handle = Handle {
            plain,
            tls: encrypted,
            web,
            fingerprint,
            shows_codes: !shared.config.no_qr,
            data_dir: data_dir.path().to_owned(),
            stop: stop_sender,
            moderator: Moderator::new(Arc::downgrade(&shared)),
        };
        Ok(Server {
            shared,
            listeners,
            fan_out_thread,
            retry_queue,
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
    ///
    /// An error says that the system gives a thread too few. No thread of the server goes on then.
    pub fn run(self) -> Result<(), StartError> {
        self.run_on(&spawn)
    }

    /// Runs on threads that `spawn` starts.
    fn run_on(self, spawn: &Spawn<'_>) -> Result<(), StartError> {
        let Server {
            shared,
            listeners,
            fan_out_thread,
            retry_queue,
            stop,
            handle,
            data_dir,
        } = self;
        log::info!(
            "chatd {} started: plain on {:?}, TLS on {:?}, browsers on {:?}, {} registered names in {}",
            env!("CARGO_PKG_VERSION"),
            handle.plain,
            handle.tls,
            handle.web,
            shared.accounts.len(),
            data_dir.path().display()
        );
        let addresses: Vec<SocketAddr> = {
            let all = [&handle.plain, &handle.tls, &handle.web];
            all.into_iter().flatten().copied().collect()
        };
        // Dropped at the end of this function, which ends the heartbeat.
        let (_ticking, stopped) = bounded(0);
        let started = start_threads(
            &shared,
            listeners,
            fan_out_thread,
            retry_queue,
            stopped,
            spawn,
        );
        if started.is_ok() {
            // The handle in this function keeps the channel connected.
            let _ = stop.recv();
        }
        shutdown::stop(&shared, &addresses);
        started
    }
}

/// Starts a thread with this name for this work.
type Spawn<'s> = dyn Fn(&str, Box<dyn FnOnce() + Send>) -> Result<(), StartError> + 's;

/// Starts all threads of the server but those of its connections.
fn start_threads(
    shared: &Arc<Shared>,
    listeners: Vec<Listener>,
    fan_out_thread: FanOutThread,
    retry_queue: Receiver<Weak<Connection>>,
    stopped: Receiver<()>,
    spawn: &Spawn<'_>,
) -> Result<(), StartError> {
    let config = &shared.config;
    spawn("fan-out", Box::new(move || fan_out_thread.run()))?;
    let dead_after = config.dead_after();
    let retry = move || retry_thread::run(&retry_queue, dead_after);
    spawn("retry", Box::new(retry))?;

    let (sessions, interval) = (Arc::clone(&shared.sessions), config.heartbeat);
    let heartbeat = move || heartbeat::run(&sessions, interval, &stopped);
    spawn("heartbeat", Box::new(heartbeat))?;

    let (reported, repeated_lines) = (Arc::downgrade(shared), Arc::clone(&shared.repeated_lines));
    let read = move || reported.upgrade().map(|shared| shared.stats());
    let write = |line| log::info!("{line}");
    let report = move || report::run(report::INTERVAL, &repeated_lines, read, write);
    spawn("report", Box::new(report))?;

    for listener in listeners {
        let shared = Arc::clone(shared);
        let name = listener.thread_name();
        spawn(name, Box::new(move || listener.run(&shared)))?;
    }
    Ok(())
}

/// Starts one of the server's own threads. If it ever panics, the process ends: half a server is worse than none.
fn spawn(name: &str, work: Box<dyn FnOnce() + Send>) -> Result<(), StartError> {
    let guarded = move || {
        let _guard = AbortOnPanic::new();
        work();
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(guarded)
        .map(drop)
        .map_err(StartError::Thread)
}

#[cfg(not(feature = "model"))]
#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_server_that_cannot_start_all_its_threads_leaves_none_behind() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::bind(Config {
            bind: vec![[127, 0, 0, 1].into()],
            port: 0,
            tls_port: 0,
            web_port: 0,
            data_dir: folder.path().join("data"),
            ..Config::default()
        })
        .unwrap();
        let handle = server.handle();
        let (done, all_done) = bounded::<()>(0);
        let no_thread_for_tls = move |name: &str, work: Box<dyn FnOnce() + Send>| {
            if name == "listen-tls" {
                return Err(StartError::Thread(ErrorKind::WouldBlock.into()));
            }
            let done = done.clone();
            spawn(
                name,
                Box::new(move || {
                    work();
                    drop(done);
                }),
            )
        };
        assert!(matches!(
            server.run_on(&no_thread_for_tls),
            Err(StartError::Thread(_))
        ));
        drop(no_thread_for_tls);
        // Each thread that was started holds a sender until it ends, and so closes the channel.
        let outcome = all_done.recv_timeout(Duration::from_secs(20));
        assert_eq!(
            outcome,
            Err(crossbeam_channel::RecvTimeoutError::Disconnected)
        );
        if let Ok(mut socket) = TcpStream::connect(handle.plain_addresses()[0]) {
            socket
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            assert!(matches!(socket.read(&mut [0]), Ok(0) | Err(_)));
        }
    }
}

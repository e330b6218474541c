//! The server's threads under a model checker, which decides at every lock, channel and counter who goes on, so
//! that in a few seconds they meet in more ways than in months of use.
//!
//! ```sh
//! cargo test --features model --lib model::
//! ```
//!
//! What runs is the production code: `serve` for each connection, the fan-out and the laggards' threads, on the
//! locks of `src/sync/model.rs`. Clients are threads of the model too. Sockets are socket pairs with little room, so
//! that much is sent in pieces. `CHATD_MODEL_ROUNDS` says how many orders each test tries with either way
//! of choosing them, and `SHUTTLE_RANDOM_SEED`, which a failure prints, tries the same ones again.

mod peer;
mod scenarios;
mod transcript;

use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use self::peer::Peer;
use super::serve::{self, Admission};
use super::{Config, Handle, Moderator, Shared};
use crate::chat::{Accounts, Bans, laggards};
use crate::sync::channel::bounded;
use crate::sync::{Arc, Instant};
use crate::transport::connection::{Connection, Parts};

/// What a socket holds that its reader has not taken, in bytes; the kernel makes it 4.5 KiB at least.
const ROOM: usize = 2 << 10;

/// Orders that each test tries by default, with either way of choosing them.
const ROUNDS: usize = 300;

/// A server without listeners.
struct World {
    shared: Arc<Shared>,
    threads: Vec<shuttle::thread::JoinHandle<()>>,
}

impl World {
    fn new(folder: &Path) -> World {
        let config = Config {
            // Nothing here takes time, so nothing is paced.
            rate: 0,
            byte_rate: 0,
            ..Config::default()
        };
        let accounts = Accounts::open(&folder.join("accounts.jsonl"), true).unwrap();
        let bans = Bans::open(&folder.join("bans.json")).unwrap();
        let (shared, posted, fallen_behind) =
            Shared::new(config, Arc::new(accounts), Arc::new(bans), None);
        let dead_after = shared.config.dead_after();
        let threads = vec![
            shuttle::thread::spawn(move || posted.run()),
            shuttle::thread::spawn(move || laggards::run(&fallen_behind, dead_after)),
        ];
        World { shared, threads }
    }

    /// A connection that is served, as a listener makes it.
    fn connect(shared: &Arc<Shared>) -> Peer {
        let (ours, theirs) = UnixStream::pair().unwrap();
        for socket in [&ours, &theirs] {
            socket.set_nonblocking(true).unwrap();
            socket2::SockRef::from(socket)
                .set_send_buffer_size(ROOM)
                .unwrap();
        }
        let place = shared.places.take(Ipv4Addr::LOCALHOST.into()).unwrap();
        let number = shared
            .next_number
            .fetch_add(1, crate::sync::atomic::Ordering::SeqCst);
        let connection = Arc::new(Connection::new(Parts {
            number,
            // To the server it is a descriptor like any other.
            socket: TcpStream::from(OwnedFd::from(ours)),
            peer: (Ipv4Addr::LOCALHOST, 1).into(),
            tls: None,
            max_backlog: shared.config.max_backlog,
            laggards: shared.laggards.clone(),
            place: Box::new(place),
        }));
        shared
            .connections
            .lock()
            .insert(number, Arc::downgrade(&connection));
        let shared = Arc::clone(shared);
        shuttle::thread::spawn(move || serve::run(&shared, connection, Admission::Welcome));
        Peer::new(theirs)
    }

    /// Stops the server as `Server::run` does.
    fn stop(shared: &Arc<Shared>) {
        let (stop, _) = bounded(1);
        shared.stop(&Handle {
            plain: Vec::new(),
            tls: Vec::new(),
            fingerprint: None,
            stop,
            moderator: Moderator::new(Arc::downgrade(shared)),
        });
    }

    /// Waits until all threads have come to their end, which they must, and leaves nothing behind.
    fn end(self) {
        let start = Instant::now();
        let patience = std::time::Duration::from_secs(60);
        assert!(self.shared.places.wait_until_empty(start + patience));
        assert!(self.shared.connections.lock().is_empty());
        assert!(self.shared.sessions.read().is_empty());
        drop(self.shared);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// Runs a scenario in many orders.
fn explore(scenario: impl Fn(&World) + Send + Sync + 'static) {
    explore_longer(1, scenario);
}

/// Runs a scenario in so many times as many orders: few of them show what can go wrong, or all are short.
fn explore_longer(times: usize, scenario: impl Fn(&World) + Send + Sync + 'static) {
    let rounds = std::env::var("CHATD_MODEL_ROUNDS").map_or(ROUNDS, |rounds| {
        rounds.parse().expect("CHATD_MODEL_ROUNDS is a number")
    });
    let rounds = rounds * times;
    let folder = tempfile::tempdir().unwrap();
    let scenario = std::sync::Arc::new(move || {
        let world = World::new(folder.path());
        scenario(&world);
        world.end();
    });
    let mut config = shuttle::Config::new();
    config.stack_size = 512 << 10;
    config.silence_warnings = true;
    let random = shuttle::scheduler::RandomScheduler::new(rounds);
    let run = std::sync::Arc::clone(&scenario);
    shuttle::Runner::new(random, config.clone()).run(move || run());
    // Few changes of who runs, at the places where they hurt.
    let few_changes = shuttle::scheduler::PctScheduler::new(4, rounds);
    shuttle::Runner::new(few_changes, config).run(move || scenario());
}

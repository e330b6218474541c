//! The server's threads under a model checker, which decides at every lock, channel and counter who goes on, so
//! that in a few seconds they meet in more ways than in months of use.
//!
//! ```sh
//! cargo test --features model --lib model::
//! ```
//!
//! What runs is the production code: `serve` for each connection, the fan-out thread and the retry thread, on the
//! locks of `sync.rs` beside this. Clients are threads of the model too. Sockets are socket pairs with little room, so
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
use super::serve::threads;
use super::shared::Shared;
use super::{Config, retry_thread, shutdown};
use crate::storage::{Accounts, Bans};
use crate::sync::{Arc, Instant};
use crate::transport::{Connection, PortKind, Socket};

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
        let (shared, fan_out_thread, retry_queue) =
            Shared::new(config, Arc::new(accounts), Arc::new(bans), None);
        let dead_after = shared.config.dead_after();
        let threads = vec![
            shuttle::thread::spawn(move || fan_out_thread.run()),
            shuttle::thread::spawn(move || retry_thread::run(&retry_queue, dead_after)),
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
        let permit = shared.permits.acquire(Ipv4Addr::LOCALHOST.into()).unwrap();
        let connection = Arc::new(Connection::new(
            shared.connections.next_number(),
            // To the server it is a descriptor like any other.
            Socket::new(TcpStream::from(OwnedFd::from(ours))).unwrap(),
            (Ipv4Addr::LOCALHOST, 1).into(),
            PortKind::Plain,
            None,
            shared.config.max_backlog,
            shared.retry_queue.clone(),
        ));
        // Once the server stops there is no place for it, and it is closed.
        if shared.connections.add(&connection) {
            shared.connections.await_login(&connection);
            let shared = Arc::clone(shared);
            shuttle::thread::spawn(move || threads::run(shared, connection, None, Some(permit)));
        }
        Peer::new(theirs)
    }

    /// Stops the server as `Server::run` does.
    fn stop(shared: &Arc<Shared>) {
        shutdown::stop(shared, &[]);
    }

    /// Waits until all threads have come to their end, which they must, and leaves nothing behind.
    fn end(self) {
        let start = Instant::now();
        let patience = std::time::Duration::from_secs(60);
        assert!(
            self.shared
                .permits
                .wait_until_all_returned(start + patience)
        );
        assert!(self.shared.connections.is_empty());
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

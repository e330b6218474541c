//! chatd, the chat server for a classroom LAN: JSON objects over TCP, plain and TLS, one operating-system thread
//! for each connection, no async runtime.
//!
//! Read it from the inside out, each module using those above it and none below:
//!
//! * [`wire`]: the protocol as bytes. Framing, commands, messages, names. Pure functions; clients use it too.
//! * [`transport`]: one connection's bytes. Its socket, plain or TLS, what waits to be sent through it, and how it ends.
//! * [`storage`]: what outlives the process. Accounts, bans, the certificate.
//! * [`chat`]: who is here and who hears what. Sessions, the roster and its one order, the fan-out and the heartbeat.
//! * [`server`]: the process. Settings, listeners, the life of a connection, an orderly end.
//!
//! Beside them stand the locks and channels that all use, [`printable`], which makes text safe for a terminal, [`texts`], which holds
//! what people read in their languages, [`terminal`], which is given back when the program ends, and a few calls to Windows.
//!
//! There is one way in, for the program, the tests, and any program that embeds the server:
//!
//! ```
//! use chatd::server::{Config, Server};
//!
//! let folder = tempfile::tempdir()?;
//! let loopback = [127, 0, 0, 1].into();
//! let config = Config {
//!     bind: vec![loopback],
//!     port: 0,
//!     no_tls: true,
//!     data_dir: folder.path().join("data"),
//!     ..Config::default()
//! };
//! let server = Server::bind(config)?;
//! let handle = server.handle();
//! let running = std::thread::spawn(move || server.run());
//! println!("clients connect to {}", handle.plain_addresses()[0]);
//! handle.stop();
//! assert!(running.join().is_ok_and(|outcome| outcome.is_ok()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The files `docs/protocol.md` and `docs/architecture.md` of the repository tell what is spoken and how it is built.

// The compiler allows no exception from this, but on Windows, where one module has one.
#![cfg_attr(not(windows), forbid(unsafe_code))]

// OpenSSL's build leaves out its locks when it is told of a static C library, and then destroys memory as soon as two clients
// use TLS. `.ci/release` links statically all the same: by a flag for the last step alone.
#[cfg(all(
    feature = "vendored",
    target_os = "linux",
    target_env = "gnu",
    target_feature = "crt-static"
))]
compile_error!(
    "crt-static in RUSTFLAGS builds OpenSSL without locks; give it to the program alone: \
    cargo rustc --release --bin chatd -- -C target-feature=+crt-static"
);

/// The first day of the month in which this version was made. Changes with the version in `Cargo.toml`. A clock that
/// says less is wrong.
// 2026-11-01T00:00:00Z.
pub const VERSION_DATE: jiff::Timestamp = jiff::Timestamp::constant(1_793_491_200, 0);

pub mod wire;

pub mod transport;

pub mod storage;

pub mod chat;

pub mod server;

pub mod printable;

pub mod terminal;

pub mod texts;

mod sync;

#[cfg(windows)]
mod windows;

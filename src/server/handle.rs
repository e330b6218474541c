//! What other threads can do to a server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::moderator::Moderator;
use crate::sync::channel::Sender;

/// Tells a server's addresses, and stops it.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) plain: Vec<SocketAddr>,
    pub(super) tls: Vec<SocketAddr>,
    pub(super) web: Vec<SocketAddr>,
    pub(super) fingerprint: Option<String>,
    pub(super) shows_codes: bool,
    pub(super) data_dir: PathBuf,
    /// Holds one message at most.
    pub(super) stop: Sender<()>,
    pub(super) moderator: Moderator,
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

    /// Where browsers are taken.
    pub fn web_addresses(&self) -> &[SocketAddr] {
        &self.web
    }

    /// SHA-256 of the TLS certificate, as pairs of hexadecimal digits with colons between them.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// Whether QR codes may be shown, as the settings say.
    pub fn shows_codes(&self) -> bool {
        self.shows_codes
    }

    /// Where the server keeps its data.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What a teacher can do to the running server.
    pub fn moderator(&self) -> &Moderator {
        &self.moderator
    }

    /// Makes [`Server::run`](super::Server::run) come to its end, soon. Calling it again does nothing.
    pub fn stop(&self) {
        // A message that waits already says the same.
        let _ = self.stop.try_send(());
    }
}

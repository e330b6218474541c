//! A connection's incoming side.

use std::io;

use super::connection::Connection;
use super::port_kind::PortKind;
use super::tls::{self, Progress};
use crate::sync::{Arc, Instant};

/// How much is read at once during a handshake, in bytes.
const HANDSHAKE_READ: usize = 2 << 10;

/// A full TLS record with its header, in bytes (RFC 8446, section 5.2). It takes so much to decrypt anything of it.
pub const LARGEST_RECORD: usize = (16 << 10) + 256 + 5;

/// The incoming side of a connection, for its own thread.
#[derive(Debug)]
pub struct ConnectionReader {
    connection: Arc<Connection>,
    /// Whether OpenSSL may have something to read before more comes through the socket.
    may_have_more: bool,
    deadline: Option<Instant>,
}

impl ConnectionReader {
    /// The incoming side of `connection`; there must be only one.
    pub fn new(connection: Arc<Connection>) -> ConnectionReader {
        ConnectionReader {
            connection,
            may_have_more: false,
            deadline: None,
        }
    }

    /// Lets every wait end at `deadline`, with an error of kind `TimedOut`.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        if deadline.is_none() && self.deadline.is_some() {
            self.connection.socket.forget_deadline()?;
        }
        self.deadline = deadline;
        Ok(())
    }

    /// Brings the TLS handshake to its end. A plain connection has none.
    ///
    /// An error of kind `InvalidData` says that the client does not speak TLS.
    pub fn handshake(&mut self) -> io::Result<()> {
        if !self.connection.is_tls() {
            return Ok(());
        }
        let mut ciphertext = vec![0; HANDSHAKE_READ];
        let mut is_first = true;
        loop {
            let count = self.receive_bytes(&mut ciphertext)?;
            let bytes = &ciphertext[..count];
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if is_first && !tls::is_handshake(bytes) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            is_first = false;
            let progress = self.connection.with_outbox(|outbox, socket| {
                let Some(tls) = outbox.tls() else {
                    return Ok(Progress::Closed);
                };
                tls.feed(bytes);
                let progress = tls.handshake();
                outbox.flush(socket);
                progress
            })?;
            match progress {
                Progress::Done(_) => break,
                Progress::NeedsInput => {}
                Progress::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        self.may_have_more = self.connection.with_outbox(|outbox, _| {
            let tls = outbox.tls();
            tls.is_some_and(|tls| {
                tls.give_back();
                tls.may_have_more()
            })
        });
        Ok(())
    }

    /// Waits until something comes, and reads it into `buffer`. 0 says that the client will send no more. `None` says
    /// that TLS took what came for itself, and the client's data is still to come.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.connection.is_tls() {
            let count = self.receive_bytes(buffer)?;
            // Browsers mask what they send; it is shown when that is off.
            if self.connection.kind() == PortKind::Plain {
                self.connection.show_received(&buffer[..count]);
            }
            return Ok(Some(count));
        }
        // What came with earlier ciphertext is there without waiting.
        if self.may_have_more {
            match self.decrypt(0, buffer)? {
                Progress::NeedsInput => {}
                progress => return Ok(self.shown(progress.data(), buffer)),
            }
        }
        // The buffer serves for the ciphertext first: OpenSSL has taken that when it gives the plaintext.
        match self.receive_bytes(buffer)? {
            0 => Ok(Some(0)),
            count => {
                let data = self.decrypt(count, buffer)?.data();
                Ok(self.shown(data, buffer))
            }
        }
    }

    /// Shows what was decrypted, if the connection is watched.
    fn shown(&self, data: Option<usize>, buffer: &[u8]) -> Option<usize> {
        self.connection.show_received(&buffer[..data.unwrap_or(0)]);
        data
    }

    /// Hands over the `count` bytes of ciphertext in `buffer`, and decrypts into it what that allows.
    fn decrypt(&mut self, count: usize, buffer: &mut [u8]) -> io::Result<Progress> {
        let may_have_more = &mut self.may_have_more;
        self.connection.with_outbox(|outbox, socket| {
            let was_behind = outbox.is_behind();
            let Some(tls) = outbox.tls() else {
                return Ok(Progress::Closed);
            };
            tls.feed(&buffer[..count]);
            let progress = tls.read(buffer);
            *may_have_more = tls.may_have_more();
            // TLS may have something to say, an alert or an answer to a key update.
            if !was_behind && outbox.is_behind() {
                outbox.flush(socket);
            }
            progress
        })
    }

    /// Waits until something comes through the socket.
    fn receive_bytes(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.connection.socket.receive(buffer, self.deadline)?;
        self.connection.count_received(count);
        Ok(count)
    }
}

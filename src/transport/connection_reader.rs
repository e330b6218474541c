//! A connection's incoming side.

use std::io;

use super::connection::Connection;
use super::port_kind::PortKind;
use super::tls::{self, Progress};
use crate::sync::{Arc, Instant};

/// How much ciphertext is read at once while little comes, in bytes.
const MIN_CIPHERTEXT: usize = 2 << 10;

/// How much ciphertext is read at once while much comes, in bytes: a full TLS record and its header.
const MAX_CIPHERTEXT: usize = (16 << 10) + 256;

/// The incoming side of a connection, for its own thread.
#[derive(Debug)]
pub struct ConnectionReader {
    connection: Arc<Connection>,
    /// Empty unless the connection is encrypted.
    ciphertext: Vec<u8>,
    /// Whether the last read nearly filled a small buffer.
    was_full: bool,
    /// Whether OpenSSL may have something to read before more comes through the socket.
    may_have_more: bool,
    deadline: Option<Instant>,
}

impl ConnectionReader {
    /// The incoming side of `connection`; there must be only one.
    pub fn new(connection: Arc<Connection>) -> ConnectionReader {
        ConnectionReader {
            connection,
            ciphertext: Vec::new(),
            was_full: false,
            may_have_more: true,
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
        let mut is_first = true;
        loop {
            let count = self.read_ciphertext()?;
            let bytes = &self.ciphertext[..count];
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
                Progress::Done(_) => return Ok(()),
                Progress::NeedsInput => {}
                Progress::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Waits until something comes, and reads it into `buffer`. 0 says that the client will send no more. `None` says
    /// that TLS took what came for itself, and the client's data is still to come.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.connection.is_tls() {
            let count = self.connection.socket.receive(buffer, self.deadline)?;
            self.connection.count_received(count);
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
        match self.read_ciphertext()? {
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

    /// Hands over `count` bytes of ciphertext and decrypts what that allows.
    fn decrypt(&mut self, count: usize, buffer: &mut [u8]) -> io::Result<Progress> {
        let ciphertext = &self.ciphertext[..count];
        let may_have_more = &mut self.may_have_more;
        self.connection.with_outbox(|outbox, socket| {
            let was_behind = outbox.is_behind();
            let Some(tls) = outbox.tls() else {
                return Ok(Progress::Closed);
            };
            tls.feed(ciphertext);
            let progress = tls.read(buffer);
            *may_have_more = tls.may_have_more();
            // TLS may have something to say, an alert or an answer to a key update.
            if !was_behind && outbox.is_behind() {
                outbox.flush(socket);
            }
            progress
        })
    }

    /// Reads into a buffer that is small until much comes: idle connections are many.
    fn read_ciphertext(&mut self) -> io::Result<usize> {
        let size = if self.was_full {
            MAX_CIPHERTEXT
        } else {
            MIN_CIPHERTEXT
        };
        if self.ciphertext.len() != size {
            self.ciphertext = vec![0; size];
        }
        let count = self
            .connection
            .socket
            .receive(&mut self.ciphertext, self.deadline)?;
        self.was_full = count > MIN_CIPHERTEXT / 2;
        self.connection.count_received(count);
        Ok(count)
    }
}

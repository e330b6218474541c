//! TLS over an in-memory pipe.
//!
//! One OpenSSL state serves both directions, so a thread that blocked inside it would lock out all that send. Here
//! OpenSSL never touches the socket. The reading thread puts ciphertext into a pipe, and the sending thread takes
//! ciphertext out of another. Only the cryptography happens under the connection's lock.

use std::io::{self, Read, Write};

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    ErrorCode, Ssl, SslAcceptor, SslContext, SslMethod, SslOptions, SslSessionCacheMode, SslStream,
    SslVersion,
};
use openssl::x509::X509;

use crate::wire::framing::TLS_HANDSHAKE;

/// A buffer that has grown past this many bytes is given back once it is empty.
const KEPT_CAPACITY: usize = 1 << 10;

/// The settings that all TLS connections share: versions 1.2 and 1.3 with the ciphers that Mozilla's guidelines
/// call intermediate, no renegotiation, and no resumption, which a chat that stays connected has no use for.
pub fn context(certificates: &[X509], key: &PKey<Private>) -> Result<SslContext, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_TICKET);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_num_tickets(0)?;
    if let Some((own, chain)) = certificates.split_first() {
        builder.set_certificate(own)?;
        for certificate in chain {
            builder.add_extra_chain_cert(certificate.clone())?;
        }
    }
    builder.set_private_key(key)?;
    builder.check_private_key()?;
    Ok(builder.build().into_context())
}

/// Whether the first bytes of a connection can be TLS.
pub(super) fn is_handshake(first_bytes: &[u8]) -> bool {
    first_bytes.first() == Some(&TLS_HANDSHAKE)
}

/// The server's side of one TLS connection.
#[derive(Debug)]
pub struct Tls {
    stream: SslStream<Pipe>,
    /// Whether the peer was told that nothing more will come.
    has_notified: bool,
}

/// What came of an attempt to read or to go on with the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The handshake is complete, or this many bytes were read.
    Done(usize),
    /// More ciphertext is needed.
    NeedsInput,
    /// The peer has said that it will send no more.
    Closed,
}

impl Progress {
    /// How many bytes were read: 0 at the end, and `None` if there are none yet.
    pub fn data(self) -> Option<usize> {
        match self {
            Progress::Done(count) => Some(count),
            Progress::Closed => Some(0),
            Progress::NeedsInput => None,
        }
    }
}

/// Ciphertext on its way between the socket and OpenSSL.
#[derive(Debug, Default)]
struct Pipe {
    incoming: Vec<u8>,
    /// How much of `incoming` OpenSSL has taken.
    taken: usize,
    outgoing: Vec<u8>,
    /// How much of `outgoing` was sent.
    sent: usize,
}

impl Tls {
    /// A connection on which nothing has happened yet.
    pub fn new(context: &SslContext) -> Result<Tls, ErrorStack> {
        let ssl = Ssl::new(context)?;
        Ok(Tls {
            stream: SslStream::new(ssl, Pipe::default())?,
            has_notified: false,
        })
    }

    /// Hands over ciphertext that came from the socket.
    pub fn feed(&mut self, ciphertext: &[u8]) {
        self.stream.get_mut().incoming.extend_from_slice(ciphertext);
    }

    /// Goes on with the handshake as far as what was fed allows.
    pub fn handshake(&mut self) -> io::Result<Progress> {
        let result = self.stream.accept().map(|()| 0);
        self.progress(result)
    }

    /// Gives back the memory of what the handshake put into the pipes, if it has left them.
    pub fn give_back(&mut self) {
        let pipe = self.stream.get_mut();
        for pipe in [&mut pipe.incoming, &mut pipe.outgoing] {
            if pipe.is_empty() {
                *pipe = Vec::new();
            }
        }
    }

    /// Whether the handshake is complete.
    pub fn is_established(&self) -> bool {
        self.stream.ssl().is_init_finished()
    }

    /// Whether [`read`](Self::read) may find something without being fed.
    pub fn may_have_more(&self) -> bool {
        let pipe = self.stream.get_ref();
        pipe.taken < pipe.incoming.len() || self.stream.ssl().pending() > 0
    }

    /// Decrypts into `buffer` as much as what was fed allows.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Progress> {
        let result = self.stream.ssl_read(buffer);
        self.progress(result)
    }

    fn progress(&mut self, result: Result<usize, openssl::ssl::Error>) -> io::Result<Progress> {
        let pipe = self.stream.get_mut();
        if pipe.taken == pipe.incoming.len() {
            pipe.taken = 0;
            empty(&mut pipe.incoming);
        }
        match result {
            Ok(count) => Ok(Progress::Done(count)),
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(Progress::NeedsInput),
            Err(error) if error.code() == ErrorCode::ZERO_RETURN => Ok(Progress::Closed),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Encrypts all of `plaintext` into [`outgoing`](Self::outgoing).
    pub fn encrypt(&mut self, mut plaintext: &[u8]) -> io::Result<()> {
        while !plaintext.is_empty() {
            let count = self.stream.ssl_write(plaintext).map_err(io::Error::other)?;
            plaintext = &plaintext[count..];
        }
        Ok(())
    }

    /// Tells the peer, once, that nothing more will come (RFC 8446, section 6.1).
    pub fn close_notify(&mut self) {
        if !std::mem::replace(&mut self.has_notified, true) {
            // This only adds an alert to the pipe. Before the end of the handshake there is none to add.
            let _ = self.stream.shutdown();
        }
    }

    /// Ciphertext that waits to be sent.
    pub fn outgoing(&self) -> &[u8] {
        let pipe = self.stream.get_ref();
        &pipe.outgoing[pipe.sent..]
    }

    /// Tells that the first `count` bytes of [`outgoing`](Self::outgoing) were sent.
    pub fn mark_sent(&mut self, count: usize) {
        let pipe = self.stream.get_mut();
        pipe.sent += count;
        if pipe.sent == pipe.outgoing.len() {
            pipe.sent = 0;
            empty(&mut pipe.outgoing);
        }
    }
}

/// Empties a buffer that will be filled again, if it is small: idle connections are many.
fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_CAPACITY {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.incoming[self.taken..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

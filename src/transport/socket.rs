//! Everything about sockets that depends on the platform.

use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};

#[cfg(windows)]
use super::waker::Waker;
use crate::sync::Instant;
#[cfg(windows)]
use crate::windows;

/// Connections that may wait for `accept`; the system lowers it to its own bound.
const LISTEN_BACKLOG: i32 = 4096;

/// What the kernel may hold of one connection's input that was not read yet, in bytes. Linux takes twice as much memory for
/// it, and counts its own overhead in that (SO_RCVBUF in socket(7)).
pub const RECEIVE_BUFFER: usize = 64 << 10;

/// What the kernel may hold of one connection's output that its client has not acknowledged, in bytes; likewise.
pub const SEND_BUFFER: usize = 128 << 10;

/// Keepalive probes that a peer may leave unanswered, where the kernel doesn't count time itself.
const PROBES: u32 = 3;

/// Whether the kernel itself ends a connection whose peer acknowledges nothing for the time given to
/// [`Socket::prepare`]. Elsewhere the server watches its own queue, and keepalive probes find an idle peer gone.
pub const KERNEL_FINDS_DEAD_PEERS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Something that takes bytes without blocking.
pub trait Sink {
    /// Sends as much of `slices` as is taken at once, and says how many bytes that was. An error of kind
    /// `WouldBlock` means none, for now.
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// The socket of a connection. One thread waits in [`receive`](Self::receive); any may send, and [`close`](Self::close)
/// wakes the one that waits.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    #[cfg(windows)]
    waker: Waker,
}

impl Socket {
    /// The socket of an accepted connection.
    pub fn new(stream: TcpStream) -> io::Result<Socket> {
        Ok(Socket {
            stream,
            #[cfg(windows)]
            waker: Waker::new()?,
        })
    }

    /// Sets what each accepted socket needs: no delay for small messages, and an end for peers that acknowledge
    /// nothing for `dead_after` (TCP_USER_TIMEOUT in tcp(7), RFC 5482) although something was sent to them.
    pub fn prepare(&self, dead_after: Duration) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(None)?;
        let socket = SockRef::from(&self.stream);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_tcp_user_timeout(Some(dead_after))?;
        // Windows has no flag for a single call that shall not block, so the waiting is left to `receive`.
        #[cfg(windows)]
        self.stream.set_nonblocking(true)?;
        if !KERNEL_FINDS_DEAD_PEERS {
            let probe = Duration::from_secs((dead_after.as_secs() / u64::from(PROBES + 1)).max(1));
            let keepalive = TcpKeepalive::new().with_time(probe).with_interval(probe);
            // Older versions of Windows don't let programs choose how many.
            socket
                .set_tcp_keepalive(&keepalive.clone().with_retries(PROBES))
                .or_else(|_| socket.set_tcp_keepalive(&keepalive))?;
        }
        Ok(())
    }

    /// Reads what has come, waiting for it until `deadline`, if there is one. An error of kind `TimedOut` says that
    /// it has passed. 0 says that nothing more will come, or that the socket was closed.
    pub fn receive(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        loop {
            let remaining =
                deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if remaining.is_some_and(|remaining| remaining.is_zero()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.receive_within(buffer, remaining) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nothing came in time, which the top of the loop finds passed, or it was a false alarm.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    /// Blocks in the read itself. `shutdown` by another thread ends that.
    #[cfg(all(unix, not(feature = "model")))]
    fn receive_within(&self, buffer: &mut [u8], remaining: Option<Duration>) -> io::Result<usize> {
        if remaining.is_some() {
            self.stream.set_read_timeout(remaining)?;
        }
        (&self.stream).read(buffer)
    }

    #[cfg(windows)]
    fn receive_within(&self, buffer: &mut [u8], remaining: Option<Duration>) -> io::Result<usize> {
        match self.waker.wait_for_input(&self.stream, remaining)? {
            true => (&self.stream).read(buffer),
            false => Ok(0),
        }
    }

    /// The model's clock decides how long the pause is.
    #[cfg(all(unix, feature = "model"))]
    fn receive_within(&self, buffer: &mut [u8], remaining: Option<Duration>) -> io::Result<usize> {
        const PAUSE: Duration = Duration::from_millis(20);
        let outcome = (&self.stream).read(buffer);
        if matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            crate::sync::sleep(PAUSE.min(remaining.unwrap_or(PAUSE)));
        }
        outcome
    }

    /// Lets [`receive`](Self::receive) wait for ever again after calls with a deadline.
    pub fn forget_deadline(&self) -> io::Result<()> {
        match cfg!(unix) {
            true => self.stream.set_read_timeout(None),
            false => Ok(()),
        }
    }

    /// Reads what has come, without waiting, and returns how many bytes that is: 0 if nothing has come or nothing more
    /// will. The socket doesn't block any more after this.
    pub fn read_available(&self, buffer: &mut [u8]) -> usize {
        match self.stream.set_nonblocking(true) {
            Ok(()) => (&self.stream).read(buffer).unwrap_or(0),
            Err(_) => 0,
        }
    }

    /// The failure that the kernel has noted since it was last asked, if any.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.stream.take_error()
    }

    /// Sends a FIN behind what was sent.
    pub fn finish(&self) {
        // A socket that is already down needs none.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends both directions, and wakes the thread that waits in [`receive`](Self::receive).
    pub fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        #[cfg(windows)]
        self.waker.wake();
    }
}

impl Sink for Socket {
    /// `send` with `MSG_DONTWAIT` (send(2)): the socket itself stays blocking for its reader.
    #[cfg(unix)]
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let socket = SockRef::from(&self.stream);
        loop {
            let sent = match slices {
                [only] => socket.send_with_flags(only, FLAGS),
                _ => socket.send_vectored_with_flags(slices, FLAGS),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    #[cfg(windows)]
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        SockRef::from(&self.stream).send_vectored(slices)
    }
}

/// Opens a listener. An IPv6 address of all zeros takes IPv4 connections too if `takes_both`.
///
/// Its connections inherit the bounds of their buffers. Left to itself, the kernel would let each grow to several megabytes, and
/// what waits there is beyond the server's own limits.
pub fn listen(address: SocketAddr, takes_both: bool) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!takes_both)?;
    }
    // Lets a restarted server have its port back at once. On Windows the same option would let another program take it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(windows)]
    windows::reserve_port(&socket)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

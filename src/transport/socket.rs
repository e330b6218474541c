//! Everything about sockets that depends on the platform.

use std::io::{self, IoSlice, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::sync::Instant;
#[cfg(any(not(unix), feature = "model"))]
use crate::sync::sleep;

/// Connections that may wait for `accept`; the system lowers it to its own bound.
const LISTEN_BACKLOG: i32 = 4096;

/// What the kernel may hold of one connection's input that was not read yet, in bytes. Linux takes twice as much memory for
/// it, and counts its own overhead in that (SO_RCVBUF in socket(7)).
pub const RECEIVE_BUFFER: usize = 64 << 10;

/// What the kernel may hold of one connection's output that its client has not acknowledged, in bytes; likewise.
pub const SEND_BUFFER: usize = 128 << 10;

/// Whether the kernel itself ends a connection whose peer acknowledges nothing for the time given to
/// [`prepare`]. Elsewhere the server watches its own queue, and keepalive probes find an idle peer gone.
pub const KERNEL_FINDS_DEAD_PEERS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Something that takes bytes without blocking.
pub trait Sink {
    /// Sends as much of `slices` as is taken at once, and says how many bytes that was. An error of kind
    /// `WouldBlock` means none, for now.
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Sink for TcpStream {
    /// `send` with `MSG_DONTWAIT` (send(2)): the socket itself stays blocking for its reader.
    #[cfg(unix)]
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let socket = SockRef::from(self);
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

    /// The socket was made non-blocking by [`prepare`], which leaves the waiting to [`receive`].
    #[cfg(not(unix))]
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        SockRef::from(self).send_vectored(slices)
    }
}

/// Opens a listener. An IPv6 address of all zeros takes IPv4 connections too if `takes_both`.
///
/// Its connections inherit the bounds of their buffers. Left to itself, the kernel would let each grow to several megabytes, and
/// what waits there is beyond the server's own limits.
pub fn listen(address: SocketAddr, takes_both: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!takes_both)?;
    }
    // Lets a restarted server have its port back at once. On Windows the option means something else.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

/// Sets what each accepted socket needs: no delay for small messages, and an end for peers that acknowledge
/// nothing for `dead_after` (TCP_USER_TIMEOUT in tcp(7), RFC 5482) although something was sent to them.
pub fn prepare(stream: &TcpStream, dead_after: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(None)?;
    let socket = SockRef::from(stream);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(dead_after))?;
    #[cfg(not(unix))]
    stream.set_nonblocking(true)?;
    if !KERNEL_FINDS_DEAD_PEERS {
        let probe = Duration::from_secs((dead_after.as_secs() / 4).max(1));
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(probe).with_interval(probe))?;
    }
    Ok(())
}

/// Reads what has come, waiting for it until `deadline`, if there is one. An error of kind `TimedOut` says that
/// it has passed.
pub fn receive(
    stream: &TcpStream,
    buffer: &mut [u8],
    deadline: Option<Instant>,
) -> io::Result<usize> {
    #[cfg(any(not(unix), feature = "model"))]
    let mut pause = Duration::from_millis(1);
    loop {
        let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if remaining.is_some_and(|remaining| remaining.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        #[cfg(all(unix, not(feature = "model")))]
        if remaining.is_some() {
            stream.set_read_timeout(remaining)?;
        }
        match (&mut &*stream).read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // With a deadline this is its read timeout, which the top of the loop finds passed.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                #[cfg(any(not(unix), feature = "model"))]
                {
                    sleep(pause.min(remaining.unwrap_or(pause)));
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
            }
            other => return other,
        }
    }
}

/// Reads what has come, without waiting, and returns how many bytes that is: 0 if nothing has come or nothing more
/// will. The socket doesn't block any more after this.
pub fn read_available(mut stream: &TcpStream, buffer: &mut [u8]) -> usize {
    match stream.set_nonblocking(true) {
        Ok(()) => stream.read(buffer).unwrap_or(0),
        Err(_) => 0,
    }
}

/// Lets [`receive`] wait for ever again after calls with a deadline.
pub fn forget_deadline(stream: &TcpStream) -> io::Result<()> {
    if cfg!(unix) {
        stream.set_read_timeout(None)
    } else {
        Ok(())
    }
}

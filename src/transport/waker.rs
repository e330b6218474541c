//! Waiting for a socket's input on Windows, until another thread says that there is no need.
//!
//! Elsewhere a thread blocks in the read itself, and `shutdown` wakes it. What wakes a wait on Windows when its own
//! process shuts the socket down is documented nowhere, so each wait watches a second socket, too.

use std::io;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The longest that one call waits; longer waits are several.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Ends a wait for input: a UDP socket of this machine that is connected to itself. Once it was sent something it is ready
/// for ever.
#[derive(Debug)]
pub(super) struct Waker(UdpSocket);

impl Waker {
    pub(super) fn new() -> io::Result<Waker> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        // What comes from any other is not taken.
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(Waker(socket))
    }

    /// Ends the wait, and all that come after.
    pub(super) fn wake(&self) {
        // The system holds a byte for a socket that has none. If not, something wakes it already.
        let _ = self.0.send(&[0]);
    }

    /// Waits until `stream` has something to read, its end or its failure included. False if it was [woken](Self::wake). An
    /// error of kind `WouldBlock` says that `longest` has passed, if it is given, or that this is to be tried again.
    pub(super) fn wait_for_input(
        &self,
        stream: &TcpStream,
        longest: Option<Duration>,
    ) -> io::Result<bool> {
        let longest = longest.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        let longest = Timespec::try_from(longest).map_err(io::Error::other)?;
        let mut watched = [
            PollFd::new(stream, PollFlags::IN),
            PollFd::new(&self.0, PollFlags::IN),
        ];
        if poll(&mut watched, Some(&longest))? == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(watched[1].revents().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    #[test]
    fn input_its_end_and_a_wake_end_a_wait_and_nothing_else() {
        let (stream, mut client) = connected();
        let waker = Waker::new().unwrap();
        let brief = Some(Duration::from_millis(20));
        let late = waker.wait_for_input(&stream, brief).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::WouldBlock);
        thread::scope(|scope| {
            let waits = scope.spawn(|| waker.wait_for_input(&stream, PATIENCE).unwrap());
            client.write_all(b"x").unwrap();
            assert!(waits.join().unwrap());
        });
        let (ended, client) = connected();
        drop(client);
        assert!(waker.wait_for_input(&ended, PATIENCE).unwrap());

        let (quiet, _client) = connected();
        thread::scope(|scope| {
            let waits = scope.spawn(|| waker.wait_for_input(&quiet, PATIENCE).unwrap());
            waker.wake();
            assert!(!waits.join().unwrap());
        });
        waker.wake();
        assert!(!waker.wait_for_input(&quiet, PATIENCE).unwrap());
    }
}

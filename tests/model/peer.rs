//! A client in the model.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use super::transcript::Transcript;

/// A client that writes down what it sends and receives.
pub(super) struct Peer {
    socket: UnixStream,
    unread: Vec<u8>,
    has_ended: bool,
    transcript: Transcript,
}

impl Peer {
    pub(super) fn new(socket: UnixStream) -> Peer {
        Peer {
            socket,
            unread: Vec::new(),
            has_ended: false,
            transcript: Transcript::default(),
        }
    }

    /// Logs in, trying again while the name is in use.
    pub(super) fn log_in(&mut self, name: &str) {
        loop {
            self.write(&json!({"Command": "01", "Name": name}));
            let reply = self.receive().expect("a reply to the login");
            if reply["Flag"] == 1 {
                self.transcript.name = name.to_owned();
                self.transcript.received.push(reply);
                return;
            }
            assert_eq!(reply["Command"], "11", "{reply}");
            shuttle::thread::yield_now();
        }
    }

    /// Tries to log in once. False if anything but a success comes.
    pub(super) fn try_log_in(&mut self, name: &str) -> bool {
        self.write(&json!({"Command": "01", "Name": name}));
        let reply = self.receive().expect("a reply to the login");
        let is_in = reply["Flag"] == 1;
        self.transcript.name = name.to_owned();
        self.transcript.received.push(reply);
        is_in
    }

    /// Says something to the room.
    pub(super) fn say(&mut self, text: &str) {
        self.send(json!({"Command": "05", "Message": text}));
    }

    /// Writes to somebody.
    pub(super) fn write_to(&mut self, friend: &str, text: &str) {
        self.send(json!({"Command": "04", "FriendName": friend, "Message": text}));
    }

    fn send(&mut self, message: Value) {
        self.write(&message);
        self.transcript.sent.push(message);
    }

    /// Sends a message, reading meanwhile if there is no room: a client that does not can't expect to be heard.
    fn write(&mut self, message: &Value) {
        let bytes = message.to_string().into_bytes();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.read_some();
                    shuttle::thread::yield_now();
                }
                // The server has closed; what it said before is still there to be read.
                Err(_) => return,
            }
        }
    }

    fn read_some(&mut self) {
        let mut buffer = [0; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) => self.has_ended = true,
            Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => shuttle::thread::yield_now(),
            Err(_) => self.has_ended = true,
        }
    }

    /// The next message, or `None` at the end.
    fn receive(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("JSON"));
            }
            if self.has_ended {
                return None;
            }
            self.read_some();
        }
    }

    /// Reads messages up to one that `is_last` picks, or to the end.
    pub(super) fn read_until(&mut self, mut is_last: impl FnMut(&Value) -> bool) {
        while let Some(message) = self.receive() {
            let is_enough = is_last(&message);
            self.transcript.received.push(message);
            if is_enough {
                return;
            }
        }
    }

    /// Logs out, and reads to the end, which the server makes.
    pub(super) fn log_out(mut self) -> Transcript {
        self.write(&json!({"Command": "03"}));
        self.read_out()
    }

    /// Says that it will send no more, and reads to the end.
    pub(super) fn half_close(self) -> Transcript {
        // The server may have closed already.
        let _ = self.socket.shutdown(Shutdown::Write);
        self.read_out()
    }

    /// Reads to the end.
    pub(super) fn read_out(mut self) -> Transcript {
        self.read_until(|_| false);
        self.transcript.is_whole = true;
        self.transcript
    }

    /// Goes without a word, and reads what was written to it until then.
    pub(super) fn vanish(mut self) -> Transcript {
        // Nothing can be written to a socket pair from here on, unlike to a TCP connection.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.read_until(|_| false);
        self.transcript
    }
}

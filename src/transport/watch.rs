//! Showing the teacher what goes through one connection, byte for byte.

use std::mem;

// Not that of the model checker: the console waits for several at once.
use crossbeam_channel::Sender;
use jiff::Timestamp;

use super::connection::ConnectionLabel;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The client sent them.
    FromClient,
    /// The server sends them.
    ToClient,
}

/// Bytes that went through a connection that is watched: as they are framed, before they are parsed, without TLS.
#[derive(Clone, Debug)]
pub struct Watched {
    /// When.
    pub time: Timestamp,
    /// Through which connection.
    pub connection: ConnectionLabel,
    /// The user's name, if the client has logged in.
    pub name: Option<String>,
    /// Which way.
    pub direction: Direction,
    /// The bytes, with dots in the place of what may be a password.
    pub bytes: Vec<u8>,
}

/// Sends what goes through a connection to who watches.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) name: Option<String>,
    connection: ConnectionLabel,
    watched: Sender<Watched>,
    mask: Mask,
}

impl Watcher {
    pub(super) fn new(
        connection: ConnectionLabel,
        name: Option<String>,
        watched: Sender<Watched>,
    ) -> Watcher {
        Watcher {
            name,
            connection,
            watched,
            mask: Mask::default(),
        }
    }

    /// Shows bytes. Who does not keep up with watching misses some.
    pub(super) fn show(&mut self, direction: Direction, bytes: &[u8]) {
        let bytes = match direction {
            Direction::FromClient => self.mask.hide(bytes),
            Direction::ToClient => bytes.to_vec(),
        };
        let _ = self.watched.try_send(Watched {
            time: Timestamp::now(),
            connection: self.connection,
            name: self.name.clone(),
            direction,
            bytes,
        });
    }
}

/// Finds passwords in what a client sends, however it is cut, and whether it is JSON or not: behind the word, all letters and
/// digits are hidden up to what can't be in a password's place any more.
#[derive(Debug, Default)]
struct Mask {
    /// How many letters of the word have come.
    matched: usize,
    is_hiding: bool,
}

impl Mask {
    fn hide(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().map(|byte| self.hide_byte(*byte)).collect()
    }

    fn hide_byte(&mut self, byte: u8) -> u8 {
        const WORD: &[u8] = b"password";
        if self.is_hiding {
            self.is_hiding = !matches!(byte, b',' | b'{' | b'}' | b'\r' | b'\n');
            return match byte.is_ascii_alphanumeric() {
                true => b'.',
                false => byte,
            };
        }
        let letter = byte.to_ascii_lowercase();
        // The word's beginning is nowhere else in it.
        let before = mem::take(&mut self.matched);
        if letter == WORD[before] {
            self.matched = before + 1;
        } else if letter == WORD[0] {
            self.matched = 1;
        }
        if self.matched == WORD.len() {
            (self.matched, self.is_hiding) = (0, true);
        }
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_however_they_come() {
        for (sent, shown) in [
            (
                r#"{"Command":"01","Name":"Anna","Password":"tiger7"}{"Command":"03"}"#,
                r#"{"Command":"01","Name":"Anna","Password":"......"}{"Command":"03"}"#,
            ),
            (
                r#"{"password" : "tiger7", "Name":"Anna"}"#,
                r#"{"password" : "......", "Name":"Anna"}"#,
            ),
            ("{'PASSWORD':'tiger7'}", "{'PASSWORD':'......'}"),
            ("Password=tiger7\nName=Anna", "Password=......\nName=Anna"),
            ("ppassword:x", "ppassword:."),
            ("passwor: tiger7", "passwor: tiger7"),
        ] {
            for size in 1..=sent.len() {
                let mut mask = Mask::default();
                let chunks = sent.as_bytes().chunks(size);
                let seen: Vec<u8> = chunks.flat_map(|chunk| mask.hide(chunk)).collect();
                assert_eq!(String::from_utf8(seen).unwrap(), shown, "{size}");
            }
        }
    }
}

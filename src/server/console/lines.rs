//! Lines from a keyboard, or from whatever else standard input is.

use std::io::{self, BufRead, IsTerminal};
use std::thread;
use std::time::Duration;

use crate::texts::mistakes;

/// The longest line, in bytes. What a longer one has beyond it is thrown away, so that input without an end costs no
/// memory.
pub(super) const LONGEST: usize = 16 << 10;

/// The longest line that a terminal hands over, in bytes with its end, where it edits the line itself. The system throws
/// away what goes beyond (termios(3), "Canonical and noncanonical mode").
const LONGEST_OF_TERMINAL: usize = 4095;

/// How long a program in the background leaves its terminal alone.
pub(super) const BACKGROUND_PAUSE: Duration = Duration::from_secs(1);

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A line, or the last part of the input.
    Line(String),
    /// One that can't be used: why.
    Unusable(&'static str),
    /// Ctrl-C, which cleared a line that was begun.
    Cleared,
    /// Ctrl-C on an empty line.
    Interrupt,
    /// The key that stands for the end of the input, on a terminal, where there may be more.
    EndKey,
    /// There is no more.
    End,
}

/// Cuts input into lines.
pub(super) struct Lines<R> {
    input: R,
    /// Whether the input is a terminal, which may come back after an error.
    is_terminal: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, is_terminal: bool) -> Lines<R> {
        if is_terminal {
            stay_in_background();
        }
        Lines { input, is_terminal }
    }

    /// Waits for the next line.
    pub(super) fn next(&mut self) -> io::Result<Typed> {
        let mut line = Vec::new();
        let mut is_long = false;
        loop {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if self.is_terminal && is_background(&error) => {
                    thread::sleep(BACKGROUND_PAUSE);
                    continue;
                }
                // Windows says so of half a character, as of an emoji that was pasted in part.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Ok(Typed::Unusable(mistakes::line_no_text()));
                }
                Err(error) => return Err(error),
            };
            let (count, is_whole) = match bytes.iter().position(|byte| *byte == b'\n') {
                Some(place) => (place + 1, true),
                None => (bytes.len(), bytes.is_empty()),
            };
            let longest = match self.is_terminal {
                true => LONGEST_OF_TERMINAL,
                false => LONGEST,
            };
            let room = longest - line.len();
            is_long |= count > room;
            line.extend_from_slice(&bytes[..count.min(room)]);
            self.input.consume(count);
            if !is_whole {
                continue;
            }
            return Ok(match String::from_utf8(line) {
                _ if is_long => Typed::Unusable(mistakes::line_too_long()),
                // A terminal that is gone is none any more.
                Ok(line) if count == 0 && line.is_empty() => {
                    match self.is_terminal && io::stdin().is_terminal() {
                        true => Typed::EndKey,
                        false => Typed::End,
                    }
                }
                Ok(line) => Typed::Line(line),
                Err(_) => Typed::Unusable(mistakes::line_not_utf_8()),
            });
        }
    }
}

/// Makes reading from the terminal fail while this program is in the background, and writing to it go on. Unless its
/// thread has blocked these signals, the system stops the whole program (POSIX, General Terminal Interface, 11.1.4).
#[cfg(unix)]
pub(super) fn stay_in_background() {
    use nix::sys::signal::{SigSet, Signal};
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTTIN);
    signals.add(Signal::SIGTTOU);
    if let Err(error) = signals.thread_block() {
        log::warn!("a background process may be stopped by its terminal: {error}");
    }
}

#[cfg(not(unix))]
pub(super) fn stay_in_background() {}

/// Whether this is how reading from the terminal fails in the background.
#[cfg(unix)]
pub(super) fn is_background(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO)
}

#[cfg(not(unix))]
pub(super) fn is_background(_: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines_of(input: &[u8]) -> Vec<Typed> {
        let mut lines = Lines::new(BufReader::with_capacity(100, input), false);
        let mut typed = Vec::new();
        loop {
            match lines.next().unwrap() {
                Typed::End => return typed,
                line => typed.push(line),
            }
        }
    }

    #[test]
    fn input_is_cut_into_lines_and_the_last_needs_no_newline() {
        let line = |text: &str| Typed::Line(text.to_owned());
        assert_eq!(lines_of(b""), []);
        assert_eq!(
            lines_of(b"who\n\nsay hi"),
            [line("who\n"), line("\n"), line("say hi")]
        );
        let long = "x".repeat(LONGEST - 1);
        let lines = lines_of(format!("{long}\n{long}x\nwho\n").as_bytes());
        assert_eq!(lines[0], line(&format!("{long}\n")));
        assert!(matches!(lines[1], Typed::Unusable(why) if why.contains("too long")));
        assert_eq!(lines[2], line("who\n"));
        let lines = lines_of(b"say \xff\nwho\n");
        assert!(matches!(lines[0], Typed::Unusable(why) if why.contains("UTF-8")));
        assert_eq!(lines[1], line("who\n"));
    }

    #[test]
    fn a_line_without_an_end_costs_no_memory() {
        struct Endless(usize);
        impl io::Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = buffer.len().min(self.0);
                buffer[..count].fill(b'x');
                self.0 -= count;
                Ok(count)
            }
        }
        let mut lines = Lines::new(BufReader::new(Endless(64 << 20)), false);
        assert!(matches!(lines.next().unwrap(), Typed::Unusable(_)));
        assert_eq!(lines.next().unwrap(), Typed::End);
    }
}

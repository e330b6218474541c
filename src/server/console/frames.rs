//! What `chatd console` and the server say to each other: a JSON value a line.

use std::io::{self, BufRead, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest line, in bytes. What is said about thousands of users fits.
const LONGEST: u64 = 16 << 20;

/// From the program that the teacher uses.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromTeacher {
    /// The first of all.
    Hello {
        /// Whether somebody types, who can be asked.
        is_terminal: bool,
    },
    /// A line was typed.
    Line(String),
    /// Ctrl-C on an empty line.
    Interrupt,
    /// Who is online? [`ToTeacher::Names`] answers.
    Names,
}

/// From the server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToTeacher {
    /// The next line can be typed.
    Ready,
    /// An answer, a line or several, without a line end behind it.
    Say(String),
    /// What comes unasked, with line ends.
    Show(String),
    /// Who is online.
    Names(Vec<String>),
    /// The console ends, and not because the server has failed.
    Goodbye,
}

/// Sends one value.
pub(super) fn send(mut output: impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    output.write_all(&line)
}

/// Waits for the next value. `None` is the end.
pub(super) fn receive<T: DeserializeOwned>(input: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    input.take(LONGEST).read_until(b'\n', &mut line)?;
    match line.is_empty() {
        true => Ok(None),
        false => Ok(Some(serde_json::from_slice(&line)?)),
    }
}

//! Messages encoded as lines.

use serde::Serialize;

/// One or more messages, each as compact JSON and a newline. JSON escapes the newlines in strings (RFC 8259,
/// section 7), so a newline stands only at the end of a message.
pub type Lines = Vec<u8>;

/// Bytes to reserve for one message. Most messages fit.
const LINE_CAPACITY: usize = 160;

/// Encodes `message` as a line of its own.
pub(super) fn line_of(message: &impl Serialize) -> Lines {
    let mut line = Vec::with_capacity(LINE_CAPACITY);
    append_line(message, &mut line);
    line
}

/// Encodes `message` as a line behind those in `lines`.
pub(super) fn append_line(message: &impl Serialize, lines: &mut Lines) {
    let start = lines.len();
    match serde_json::to_writer(&mut *lines, message) {
        Ok(()) => lines.push(b'\n'),
        // Serialising strings and small integers into memory can't fail. Half a message would spoil its neighbours.
        Err(_) => lines.truncate(start),
    }
}

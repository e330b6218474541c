//! Lines on their way to one or many connections.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::sync::Arc;
use crate::wire::message::{Line, prefix_lines};

/// Encoded lines, the same for all who are sent them. Forms that only some receivers need are made when the
/// first of them asks, and only once.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    lines: Vec<u8>,
    /// The bytes once more, owned by all the queues of those who could not be sent them at once. A copy, and
    /// exactly as long: a queue must not hold on to the spare capacity of `lines`.
    shared: OnceCell<Arc<[u8]>>,
    /// The same lines for clients that frame by length.
    prefixed: OnceCell<Box<Batch>>,
}

impl From<Line> for Batch {
    fn from(lines: Line) -> Batch {
        Batch {
            lines,
            ..Batch::default()
        }
    }
}

impl Batch {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds whole lines.
    pub fn append(&mut self, lines: &[u8]) {
        self.lines.extend_from_slice(lines);
        self.shared = OnceCell::new();
        self.prefixed = OnceCell::new();
    }

    /// Empties the batch and keeps its memory for the next one.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.shared = OnceCell::new();
        self.prefixed = OnceCell::new();
    }

    /// The lines.
    pub fn bytes(&self) -> &[u8] {
        &self.lines
    }

    /// The bytes from offset `from` on, as something that a queue can own. Those who get everything share one
    /// copy; a tail is copied for itself, so that a small share never keeps a large batch in memory.
    pub fn share(&self, from: usize) -> Arc<[u8]> {
        match from {
            0 => Arc::clone(self.shared.get_or_init(|| Arc::from(self.lines.as_slice()))),
            _ => Arc::from(&self.lines[from..]),
        }
    }

    /// The lines from offset `from` on, each behind its length.
    pub fn prefixed(&self, from: usize) -> Cow<'_, Batch> {
        match from {
            0 => Cow::Borrowed(
                self.prefixed
                    .get_or_init(|| Box::new(prefix_lines(&self.lines).into())),
            ),
            _ => Cow::Owned(prefix_lines(&self.lines[from..]).into()),
        }
    }
}

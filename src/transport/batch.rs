//! Messages on their way to one or many connections.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::sync::Arc;
use crate::wire::{Framing, Lines};

/// Encoded messages, the same for all receivers.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    lines: Lines,
    /// For each framing the bytes that it sends, made when they are first asked for. All queues of receivers that could
    /// not be sent them at once share these copies.
    encoded: [OnceCell<Arc<[u8]>>; Framing::COUNT],
}

impl From<Lines> for Batch {
    fn from(lines: Lines) -> Batch {
        Batch {
            lines,
            ..Batch::default()
        }
    }
}

impl Batch {
    /// Bytes that are framed already, for receivers of this framing alone.
    pub fn of_encoded(framing: Framing, bytes: Vec<u8>) -> Batch {
        let batch = Batch::default();
        let _ = batch.encoded[framing as usize].set(bytes.into());
        batch
    }

    /// The size of the messages, in bytes of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The messages, as lines.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Adds messages.
    pub fn append(&mut self, lines: &[u8]) {
        self.lines.extend_from_slice(lines);
        self.encoded = Default::default();
    }

    /// Empties the batch and keeps its memory for the next one.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.encoded = Default::default();
    }

    /// Encodes the lines from offset `from` on, for one framing.
    pub fn share(&self, framing: Framing, from: usize) -> Share<'_> {
        let whole = (from == 0).then(|| &self.encoded[framing as usize]);
        let bytes = match whole.and_then(OnceCell::get) {
            Some(encoded) => Cow::Borrowed(&**encoded),
            None => framing.encode(&self.lines[from..]),
        };
        match (bytes, whole) {
            (Cow::Owned(encoded), Some(whole)) => Share {
                bytes: Cow::Borrowed(whole.get_or_init(|| encoded.into())),
                whole: Some(whole),
            },
            (bytes, whole) => Share { bytes, whole },
        }
    }
}

/// One receiver's share of a batch, encoded.
#[derive(Debug)]
pub struct Share<'b> {
    bytes: Cow<'b, [u8]>,
    /// Where the copy for queues is kept, if this is all of the batch.
    whole: Option<&'b OnceCell<Arc<[u8]>>>,
}

impl Share<'_> {
    /// What is to be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same bytes, for a queue to own. They are exactly as long: a queue must not keep spare capacity alive. Receivers
    /// of a whole batch share one copy. A part is copied for itself, so that it never keeps a large batch in memory.
    pub fn to_shared(&self) -> Arc<[u8]> {
        let copy = || Arc::from(&*self.bytes);
        match self.whole {
            Some(whole) => Arc::clone(whole.get_or_init(copy)),
            None => copy(),
        }
    }
}

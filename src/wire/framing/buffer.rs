//! The bytes of a connection between the socket and the decoder.

/// How much a connection that sends little is ready to read at once, in bytes.
const SMALL_BUFFER: usize = 512;

/// How much a connection that sends much is ready to read at once, in bytes. Only a frame larger than this makes
/// the buffer grow further.
const LARGE_BUFFER: usize = 64 << 10;

/// Bytes that have arrived on a connection and that no decoder has consumed yet.
#[derive(Debug, Default)]
pub(super) struct ReadBuffer {
    /// Bytes `start..end` are unread; those behind `end` are free.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the last read filled the buffer, or nearly so: encrypted data is shorter when it was decrypted.
    was_full: bool,
    /// How many bytes the last read brought.
    last_read: usize,
    /// How many bytes the next read may bring at least.
    expected: usize,
}

impl ReadBuffer {
    /// Space for the next read, never empty. It is small while a connection sends little, because each of ten
    /// thousand idle connections keeps a buffer.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let unread = self.end - self.start;
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, unread);
        }
        let size = self.bytes.len();
        let wanted = if unread == size {
            (size * 2).max(SMALL_BUFFER)
        } else if self.was_full && size < LARGE_BUFFER {
            size * 2
        } else if unread == 0 && size > SMALL_BUFFER && self.last_read < SMALL_BUFFER / 2 {
            SMALL_BUFFER
        } else {
            size
        };
        let wanted = wanted.max(unread + std::mem::take(&mut self.expected));
        if wanted < size {
            self.bytes = vec![0; wanted];
        } else {
            self.bytes.resize(wanted, 0);
        }
        self.was_full = false;
        &mut self.bytes[unread..]
    }

    /// Makes the next space no smaller than this, in bytes.
    pub(super) fn expect(&mut self, bytes: usize) {
        self.expected = bytes;
    }

    /// Notes that a read has put `count` bytes at the beginning of [`space`](Self::space).
    pub(super) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
        self.was_full = self.end >= self.bytes.len() / 8 * 7;
        self.last_read = count;
    }

    /// The bytes that were not consumed yet.
    #[inline]
    pub(super) fn unread(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Whether every byte was consumed.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes the first `count` unread bytes. They stay where they are until the next call of
    /// [`space`](Self::space).
    #[inline]
    pub(super) fn consume(&mut self, count: usize) -> &[u8] {
        let start = self.start;
        self.start = (start + count).min(self.end);
        &self.bytes[start..self.start]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_grows_for_a_flood_and_shrinks_after_it() {
        let mut buffer = ReadBuffer::default();
        assert_eq!(buffer.space().len(), SMALL_BUFFER);
        for _ in 0..10 {
            let count = buffer.space().len();
            buffer.filled(count);
            assert_eq!(buffer.consume(count).len(), count);
        }
        assert_eq!(buffer.space().len(), LARGE_BUFFER);
        buffer.filled(10);
        buffer.consume(10);
        assert!(buffer.is_empty());
        assert_eq!(buffer.space().len(), SMALL_BUFFER);
    }

    #[test]
    fn what_is_expected_fits_behind_what_is_unread_once() {
        let mut buffer = ReadBuffer::default();
        buffer.space();
        buffer.filled(100);
        buffer.expect(5000);
        assert_eq!(buffer.space().len(), 5000);
        buffer.filled(10);
        assert_eq!(buffer.unread().len(), 110);
        buffer.consume(110);
        assert_eq!(buffer.space().len(), SMALL_BUFFER);
    }
}

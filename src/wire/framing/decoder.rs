//! What the decoders of all framings have in common.

use std::ops::Range;

use super::error::FrameError;

/// Finds the frames of one connection, in one framing.
pub(super) trait Decoder {
    /// Looks for the next frame in `unread`: the bytes that have arrived and were not consumed yet. If the frame is
    /// not there in full, the caller asks again when more bytes have arrived. `unread` then begins where the last
    /// cut ended. The decoder may rewrite bytes in place, if its framing masks them.
    ///
    /// `limit` is the largest frame accepted, in bytes of JSON. After an error the decoder must not be used again:
    /// where the next frame begins is unknown.
    fn decode(&mut self, unread: &mut [u8], limit: usize) -> Result<Cut, FrameError>;
}

/// Where a decoder cuts the unread bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// How many bytes are done with: all up to the end of the frame, or those in front of a frame that is not
    /// complete.
    pub(super) consumed: usize,
    /// Where the frame's JSON stands among the consumed bytes. `None` if more bytes are needed.
    pub(super) text: Option<Range<usize>>,
}

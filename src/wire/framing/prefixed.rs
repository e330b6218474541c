//! A length before each object: four bytes, big-endian. White space may stand around the object and counts as part
//! of the length.

use std::ops::Range;

use super::decoder::{Cut, Decoder};
use super::error::FrameError;
use super::hint;
use crate::texts::framing_errors;
use crate::wire::scanner::{Scanner, is_white_space};
use crate::wire::shown::Found;

/// No frame may reach this many bytes, whatever the settings and the framing. A length prefix below it begins with
/// a zero byte, by which [`detect`](super::detect()) knows this framing.
pub const FRAME_CEILING: usize = 16 << 20;

/// Bytes of a length prefix.
const PREFIX: usize = size_of::<u32>();

/// Cuts where the lengths say. It keeps no state: a frame is looked at once it has arrived in full.
#[derive(Debug)]
pub(super) struct PrefixedDecoder;

impl Decoder for PrefixedDecoder {
    #[inline]
    fn decode(&mut self, unread: &mut [u8], limit: usize) -> Result<Cut, FrameError> {
        let incomplete = Cut {
            consumed: 0,
            text: None,
        };
        let Some((prefix, rest)) = unread.split_first_chunk::<PREFIX>() else {
            return Ok(incomplete);
        };
        let length = length_of(prefix, limit)?;
        let Some(body) = rest.get(..length) else {
            return Ok(incomplete);
        };
        let object = find_object(body, hint::of_short_body)?;
        Ok(Cut {
            consumed: PREFIX + length,
            text: Some(PREFIX + object.start..PREFIX + object.end),
        })
    }
}

/// The length that `prefix` states, which must be from 1 to `limit`. The error names the likeliest mistake.
fn length_of(prefix: &[u8; PREFIX], limit: usize) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(*prefix) as usize;
    if (1..=limit).contains(&length) {
        return Ok(length);
    }
    Err(match hint::of_length(prefix, limit) {
        Some(guess) => FrameError::BadPrefix(guess),
        None => FrameError::TooLarge(limit),
    })
}

/// Where the one object in `body` stands, without the white space around it. `of_short` guesses why one does not end.
pub(super) fn find_object(
    body: &[u8],
    of_short: impl FnOnce(&[u8]) -> &'static str,
) -> Result<Range<usize>, FrameError> {
    let is_not_blank = |byte: &u8| !is_white_space(*byte);
    let Some(start) = body.iter().position(is_not_blank) else {
        return Err(FrameError::NotOneObject(framing_errors::only_white_space()));
    };
    let end = body
        .iter()
        .rposition(is_not_blank)
        .map_or(start, |at| at + 1);
    let text = &body[start..end];
    if hint::is_utf_16(body) {
        return Err(FrameError::Utf16);
    }
    if text[0] != b'{' {
        return Err(FrameError::NotAnObject {
            found: Found::at_start(text).unwrap_or(Found::Byte(text[0])),
            is_after_message: false,
            guess: hint::of_body_start(text),
        });
    }
    let mut scanner = Scanner::default();
    // In another encoding any mistake may be one of the encoding.
    let or_encoding = |error| FrameError::of_encoding(text, true).unwrap_or(error);
    let is_complete = scanner.advance(text).map_err(or_encoding)?;
    let guess = match &text[scanner.position()..] {
        [] if is_complete => return Ok(start..end),
        [] => of_short(body),
        tail => hint::of_tail(tail),
    };
    Err(or_encoding(FrameError::NotOneObject(guess)))
}

/// Wraps lines for this framing: a length comes before each object, and the newline goes.
pub(super) fn encode(lines: &[u8]) -> Vec<u8> {
    // Most messages are longer than 32 bytes, so an eighth more has room for their lengths.
    let mut frames = Vec::with_capacity(lines.len() + lines.len() / 8 + PREFIX);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let json = line.strip_suffix(b"\n").unwrap_or(line);
        // No line approaches 4 GiB: the longest are a roster of all connections, and a relayed frame below
        // `FRAME_CEILING`.
        frames.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_be_bytes());
        frames.extend_from_slice(json);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::super::testing::{LIMIT, check, check_error, check_error_by};
    use super::*;

    #[test]
    fn a_first_byte_of_zero_chooses_length_prefixes() {
        check(b"\0\0\0\x02{}\0\0\0\x05 {} \n", &["{}", "{}"]);
        check_error_by(b"\0\0\0\x04{}{}", |error| {
            matches!(error, FrameError::NotOneObject(_))
        });
        check_error_by(b"\0\0\0\x01{", |error| {
            matches!(error, FrameError::NotOneObject(_))
        });
        check_error_by(b"\0\0\0\x02[]", |error| {
            matches!(error, FrameError::NotAnObject { .. })
        });
        check_error(
            b"\0\0\0\x00",
            FrameError::BadPrefix("the length is 0; is it sent as 8 bytes?"),
        );
        check_error(b"\0\x01\0\x01", FrameError::TooLarge(LIMIT));
        check_error_by(b"\0\0\0\x02{}{\"Co", |error| {
            matches!(error, FrameError::BadPrefix(_))
        });
    }

    #[test]
    fn prefixed_frames_have_no_newline() {
        assert_eq!(
            encode(b"{}\n{\"a\":1}\n"),
            b"\0\0\0\x02{}\0\0\0\x07{\"a\":1}"
        );
    }
}

//! Objects one after another, with or without white space between them. The closing brace of an object ends the
//! frame.

use super::decoder::{Cut, Decoder};
use super::error::FrameError;
use super::hint;
use crate::wire::scanner::{Scanner, is_white_space};
use crate::wire::shown::Found;

/// Finds the closing brace of each object.
#[derive(Debug, Default)]
pub(super) struct StreamDecoder {
    /// Remembers how far the object at the beginning of the unread bytes was scanned: no byte is scanned twice.
    scanner: Scanner,
    /// Whether an object came before.
    is_after_message: bool,
    /// The white space that came last before the object at the beginning of the unread bytes, or 0.
    space: u8,
    /// Whether the last object stood behind white space that, as a number, is the object's length.
    has_length: bool,
}

impl StreamDecoder {
    /// Whether the object that has begun is inside a string.
    pub(super) fn is_in_string(&self) -> bool {
        self.scanner.is_in_string()
    }

    /// Why `rest`, which is not empty, begins no message.
    #[cold]
    fn stray(&self, rest: &[u8]) -> FrameError {
        FrameError::NotAnObject {
            found: Found::at_start(rest).unwrap_or(Found::Byte(0)),
            is_after_message: self.is_after_message,
            guess: hint::of_stray(rest, self.has_length),
        }
    }
}

impl Decoder for StreamDecoder {
    #[inline]
    fn decode(&mut self, unread: &mut [u8], limit: usize) -> Result<Cut, FrameError> {
        let mut start = 0;
        if !self.scanner.is_inside() {
            let first = unread.iter().position(|byte| !is_white_space(*byte));
            start = first.unwrap_or(unread.len());
            if start > 0 {
                self.space = unread[start - 1];
            }
        }
        let frame = &unread[start..];
        match frame {
            [b'{', 0, ..] => return Err(FrameError::Utf16),
            [] | [b'{', ..] => {}
            _ => return Err(self.stray(frame)),
        }
        let scanned = self.scanner.advance(frame);
        let length = self.scanner.position();
        // In another encoding any mistake may be one of the encoding: Big5 has characters that end in a backslash.
        let or_encoding = |error| FrameError::of_encoding(&frame[..length], true).unwrap_or(error);
        let is_complete = scanned.map_err(or_encoding)?;
        if length > limit {
            return Err(or_encoding(FrameError::TooLarge(limit)));
        }
        if !is_complete {
            return Ok(Cut {
                consumed: start,
                text: None,
            });
        }
        *self = StreamDecoder {
            is_after_message: true,
            has_length: usize::from(self.space) == length,
            ..StreamDecoder::default()
        };
        Ok(Cut {
            consumed: start + length,
            text: Some(start..start + length),
        })
    }
}

/// Wraps lines for this framing: a line is an object and white space already.
pub(super) fn encode(lines: &[u8]) -> &[u8] {
    lines
}

#[cfg(test)]
mod tests {
    use super::super::testing::{LIMIT, check, check_error, check_error_by};
    use super::*;

    #[test]
    fn objects_end_at_their_closing_brace() {
        check(
            b"{}{\"a\":{}}\r\n \t{\"b\":\"}\\\"}\"}",
            &["{}", "{\"a\":{}}", "{\"b\":\"}\\\"}\"}"],
        );
    }

    #[test]
    fn only_white_space_may_stand_between_objects() {
        check_error_by(b"{},{}", |error| {
            matches!(error, FrameError::NotAnObject { .. })
        });
        check_error_by(b"{}\0", |error| {
            matches!(error, FrameError::NotAnObject { .. })
        });
        check_error_by(b"\n[1]", |error| {
            matches!(error, FrameError::NotAnObject { .. })
        });
    }

    #[test]
    fn strings_are_checked_in_every_key() {
        check_error(b"{\"x\":\"a\nb\"}", FrameError::RawControlCharacter(b'\n'));
        check_error(b"{\"x\":\"\\ud800\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\ud800x\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\udc00\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\ud800\\ud800\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\u00g0\"}", FrameError::BadEscape);
        check_error_by(b"{\"x\":\"\xff\"}", |error| {
            matches!(error, FrameError::NotUtf8 { .. })
        });
        check(
            b"{\"x\":\"\\ud83d\\ude00\\u0000\"}",
            &["{\"x\":\"\\ud83d\\ude00\\u0000\"}"],
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        check(nested(100).as_bytes(), &[&nested(100)]);
        check(nested(128).as_bytes(), &[&nested(128)]);
        check_error(nested(129).as_bytes(), FrameError::TooDeep(128));
    }

    #[test]
    fn the_limit_counts_the_bytes_of_one_object() {
        let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(LIMIT - 8));
        assert_eq!(fits.len(), LIMIT);
        check(format!("  {fits}  {fits}").as_bytes(), &[&fits, &fits]);
        check_error(
            format!(" {fits} {{\"a\":\"{}\"}}", "x".repeat(LIMIT - 7)).as_bytes(),
            FrameError::TooLarge(LIMIT),
        );
    }
}

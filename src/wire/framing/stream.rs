//! Objects one after another, with or without white space between them. The closing brace of an object ends the
//! frame.

use super::decoder::{Cut, Decoder};
use super::error::FrameError;
use crate::wire::scanner::{Scanner, is_white_space};

/// Finds the closing brace of each object.
#[derive(Debug, Default)]
pub(super) struct StreamDecoder {
    /// Remembers how far the object at the beginning of the unread bytes was scanned: no byte is scanned twice.
    scanner: Scanner,
}

impl Decoder for StreamDecoder {
    #[inline]
    fn decode(&mut self, unread: &mut [u8], limit: usize) -> Result<Cut, FrameError> {
        let mut start = 0;
        if !self.scanner.is_inside() {
            let first = unread.iter().position(|byte| !is_white_space(*byte));
            start = first.unwrap_or(unread.len());
        }
        let is_complete = self.scanner.advance(&unread[start..])?;
        let length = self.scanner.position();
        if length > limit {
            return Err(FrameError::TooLarge(limit));
        }
        if !is_complete {
            return Ok(Cut {
                consumed: start,
                text: None,
            });
        }
        self.scanner = Scanner::default();
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
    use super::super::testing::{LIMIT, check, check_error};
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
        check_error(b"{},{}", FrameError::NotAnObject);
        check_error(b"{}\0", FrameError::NotAnObject);
        check_error(b"\n[1]", FrameError::NotAnObject);
    }

    #[test]
    fn strings_are_checked_in_every_key() {
        check_error(b"{\"x\":\"a\nb\"}", FrameError::RawControlCharacter);
        check_error(b"{\"x\":\"\\ud800\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\ud800x\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\udc00\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\ud800\\ud800\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\\u00g0\"}", FrameError::BadEscape);
        check_error(b"{\"x\":\"\xff\"}", FrameError::NotUtf8);
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

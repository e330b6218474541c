//! Guesses at the mistake behind bytes that are no frame, in words for the author of the client.

use crate::texts::{framing_errors, syntax_errors};
use crate::wire::scanner::{Scanner, is_white_space};

/// The mistake that a connection without lengths shows by `rest`, which stands where a message should begin. `has_length`
/// says that the message before stood behind a byte that was its length.
pub(super) fn of_stray(rest: &[u8], has_length: bool) -> &'static str {
    if has_length || has_short_length(rest) {
        return framing_errors::length_of_1_byte_or_7_bits();
    }
    match rest {
        [0xef, 0xbb, 0xbf, ..] => framing_errors::late_byte_order_mark(),
        _ if is_utf_16(rest) => framing_errors::stray_utf_16(),
        [0, 0, high, low, ..] if (*high, *low) != (0, 0) => framing_errors::stray_length(),
        [0, 0, ..] => framing_errors::whole_buffer(),
        [0, ..] => framing_errors::zero_byte_sent(),
        [_, 0, 0, ..] | [_, 0, b'{', ..] | [0x01..=0x1f, ..] => framing_errors::stray_length(),
        [b'}' | b']', ..] => syntax_errors::extra_brace(),
        [b',' | b';', ..] => framing_errors::only_white_space_between(),
        [b'[', ..] => framing_errors::list(),
        [b'/' | b'#', ..] => syntax_errors::comment(),
        [b'"' | b'\'', ..] => framing_errors::sent_as_string_or_quote(),
        [b'\\', ..] => framing_errors::backslash_for_newline(),
        [b'0'..=b'9', ..] => framing_errors::stray_length_in_digits(),
        [first, ..] if !first.is_ascii() => framing_errors::only_white_space_between(),
        _ => framing_errors::rest_of_text(),
    }
}

/// Whether `rest` seems to begin with a length of 1 byte, or of 7 bits a byte as the `BinaryWriter` of .NET writes it, and
/// then an object.
pub(super) fn has_short_length(rest: &[u8]) -> bool {
    let (length, object) = match rest {
        [length @ 0..0x80, object @ ..] => (usize::from(*length), object),
        [low, high @ 0..0x80, object @ ..] => {
            (usize::from(low & 0x7f) | usize::from(*high) << 7, object)
        }
        _ => return false,
    };
    if length == 0 || object.first() != Some(&b'{') {
        return false;
    }
    let mut scanner = Scanner::default();
    match scanner.advance(object) {
        Ok(true) => scanner.position() == length,
        Ok(false) => rest[0] < b' ' || rest[0] >= 0x80,
        Err(_) => false,
    }
}

/// Whether text begins like an object in UTF-16 or UTF-32, in either order of bytes, with or without a mark.
pub(super) fn is_utf_16(text: &[u8]) -> bool {
    matches!(
        text,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{', 0, ..] | [0, b'{', 0, ..]
    ) || matches!(text, [0, 0, 0, b'{', 0, ..] | [0, 0, 0xfe, 0xff, ..])
}

/// The mistake that a length shows which is out of bounds; `limit` is the largest one allowed. `None` if it is just too
/// large.
pub(super) fn of_length(prefix: &[u8; 4], limit: usize) -> Option<&'static str> {
    let may_begin_text = |byte: u8| is_white_space(byte) || byte.is_ascii_graphic();
    let swapped = u32::from_le_bytes(*prefix) as usize;
    Some(match prefix {
        [0, 0, 0, 0] => framing_errors::zero_length(),
        [0, _, b'{', b'"' | b'}' | b' ' | b'\t' | b'\r' | b'\n'] => {
            framing_errors::prefix_of_2_bytes()
        }
        [0, b'{', b'"' | b'}' | b' ' | b'\t' | b'\r' | b'\n', _] => {
            framing_errors::zero_byte_before_object()
        }
        [0, first, 0, second] if may_begin_text(*first) && may_begin_text(*second) => {
            framing_errors::length_is_utf_16()
        }
        [b'\r' | b'\n', ..] => framing_errors::newline_not_counted(),
        _ if (1..=limit).contains(&swapped) => framing_errors::length_out_of_bounds_little_endian(),
        [0, ..] => return None,
        [b'{', ..] => framing_errors::no_length(),
        [0xff, 0xff, 0xff, 0xff] => framing_errors::null_string_of_qt(),
        _ => framing_errors::length_out_of_bounds(),
    })
}

/// The mistake that `body` shows, which stands behind a length, is that long, and does not begin with `{`.
pub(super) fn of_body_start(body: &[u8]) -> &'static str {
    match body {
        [0xef, 0xbb, 0xbf, ..] => framing_errors::byte_order_mark_behind_length(),
        [b'[', ..] => framing_errors::list(),
        [b'"' | b'\'', ..] => framing_errors::sent_as_string(),
        [0, ..] => framing_errors::two_lengths_or_8_bytes(),
        _ if has_short_length(body) => framing_errors::two_lengths(),
        _ => framing_errors::length_wrong(),
    }
}

/// The mistake behind a length-prefixed frame that ends before its object does.
pub(super) fn of_short_body(body: &[u8]) -> &'static str {
    match body.is_ascii() {
        true => framing_errors::length_too_small_or_brace_missing(),
        false => framing_errors::length_counts_characters(),
    }
}

/// The mistake behind what stands in a length-prefixed frame behind its object.
pub(super) fn of_tail(tail: &[u8]) -> &'static str {
    match tail {
        [0, rest @ ..] if rest.iter().all(|byte| *byte == 0) => framing_errors::zero_byte_counted(),
        [b'{', ..] => framing_errors::length_for_each(),
        [0, ..] => framing_errors::length_too_large(),
        _ => framing_errors::length_too_large_or_brace_twice(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_length_is_known_by_the_object_behind_it() {
        for (rest, expected) in [
            (&b"\x02{}"[..], true),
            (b"\x02{}\x02{}", true),
            (b"({}", false),
            (b"\x80{}", false),
            (b"\x82\x00{}", true),
            (b"\x1f{\"Comm", true),
            (b"({\"Comm", false),
            (b"\xc8\x01{\"Comm", true),
            (b"\x1f", false),
            (b"\0{}", false),
            (b"", false),
        ] {
            assert_eq!(has_short_length(rest), expected, "{}", rest.escape_ascii());
        }
        let object = format!("{{\"a\":\"{}\"}}", "x".repeat(b'(' as usize - 8));
        assert!(has_short_length(format!("({object}").as_bytes()));
    }
}

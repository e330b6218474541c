//! Guesses at the mistake behind bytes that are no frame, in words for the author of the client.

use crate::wire::scanner::{Scanner, is_white_space};

/// The mistake that a connection without lengths shows by `rest`, which stands where a message should begin. `has_length`
/// says that the message before stood behind a byte that was its length.
pub(super) fn of_stray(rest: &[u8], has_length: bool) -> &'static str {
    const SHORT_LENGTH: &str = "is a length of 1 byte (or of 7 bits a byte) sent before each message? A length has 4 bytes, \
                                big-endian; one of 9, 10, 13 or 32 alone passes for white space";
    if has_length || has_short_length(rest) {
        return SHORT_LENGTH;
    }
    match rest {
        [0xef, 0xbb, 0xbf, ..] => {
            "a byte-order mark may stand only at the very start of a connection"
        }
        _ if is_utf_16(rest) => "is this UTF-16? Text must be UTF-8",
        [0, 0, high, low, ..] if (*high, *low) != (0, 0) => {
            "is it a length? The first byte of a connection decides whether lengths come, and this one has none"
        }
        [0, 0, ..] => "is a whole buffer sent, where only its used part is the message?",
        [0, ..] => "is the zero byte sent that ends a string in C?",
        [_, 0, 0, ..] | [_, 0, b'{', ..] | [0x01..=0x1f, ..] => {
            "is it a length? The first byte of a connection decides whether lengths come, and this one has none"
        }
        [b'}' | b']', ..] => "is there one brace too many?",
        [b',' | b';', ..] => "only white space may stand between messages",
        [b'[', ..] => "a list is no message; send its objects one by one",
        [b'/' | b'#', ..] => "JSON has no comments",
        [b'"' | b'\'', ..] => {
            "is an object sent as a string, or a quote inside a text not written as \\\"?"
        }
        [b'\\', ..] => "is a backslash and a letter sent in place of a newline?",
        [b'0'..=b'9', ..] => "is a length written in digits? It must be 4 bytes, big-endian",
        [first, ..] if !first.is_ascii() => "only white space may stand between messages",
        _ => "is this the rest of a text whose object was closed too early?",
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
        [0, 0, 0, 0] => "the length is 0; is it sent as 8 bytes?",
        [0, _, b'{', b'"' | b'}' | b' ' | b'\t' | b'\r' | b'\n'] => {
            "is it sent as 2 bytes, as writeUTF does in Java? It must be 4"
        }
        [0, b'{', b'"' | b'}' | b' ' | b'\t' | b'\r' | b'\n', _] => {
            "is there a single zero byte before the object? A length has 4 bytes, and need not come at all"
        }
        [0, first, 0, second] if may_begin_text(*first) && may_begin_text(*second) => {
            "is this text in UTF-16? It must be UTF-8, and may stand without a length"
        }
        [b'\r' | b'\n', ..] => {
            "is there a newline behind a message that its length does not count?"
        }
        _ if (1..=limit).contains(&swapped) => "the length is out of bounds; is it little-endian?",
        [0, ..] => return None,
        [b'{', ..] => {
            "a message came without a length, or the length of the one before was too small: it counts bytes, not \
             characters"
        }
        [0xff, 0xff, 0xff, 0xff] => "this is what a QDataStream writes for a null string",
        _ => {
            "the length is out of bounds; was the one before too small? It counts bytes, not characters"
        }
    })
}

/// The mistake that `body` shows, which stands behind a length, is that long, and does not begin with `{`.
pub(super) fn of_body_start(body: &[u8]) -> &'static str {
    match body {
        [0xef, 0xbb, 0xbf, ..] => "no byte-order mark may stand behind a length",
        [b'[', ..] => "a list is no message; send its objects one by one",
        [b'"' | b'\'', ..] => "is an object sent as a string?",
        [0, ..] => "are there two lengths, or is the length sent as 8 bytes?",
        _ if has_short_length(body) => "are there two lengths?",
        _ => "is the length before it right?",
    }
}

/// The mistake behind a length-prefixed frame that ends before its object does.
pub(super) fn of_short_body(body: &[u8]) -> &'static str {
    match body.is_ascii() {
        true => {
            "the length says that the frame ends before its object does; is the length too small, or a brace missing?"
        }
        false => {
            "the length says that the frame ends before its object does; a length counts bytes, not characters"
        }
    }
}

/// The mistake behind what stands in a length-prefixed frame behind its object.
pub(super) fn of_tail(tail: &[u8]) -> &'static str {
    match tail {
        [0, rest @ ..] if rest.iter().all(|byte| *byte == 0) => {
            "does the length count the zero byte that ends a string in C?"
        }
        [b'{', ..] => "each has a length of its own",
        [0, ..] => "is the length of the frame too large?",
        _ => "is the length too large, or a brace written twice?",
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

//! Which framing a client uses, told by the first bytes it sends.

use super::Framing;
use super::error::FrameError;
use super::hint;
use crate::texts::framing_errors;

/// The first byte of every TLS connection: a handshake record (RFC 8446, section 5.1).
pub const TLS_HANDSHAKE: u8 = 22;

/// Tells which framing the first bytes of a connection choose, and how many of these bytes to skip: a byte-order
/// mark. `None` while too few bytes have arrived to tell.
///
/// A zero byte begins a length, because every length is below [`FRAME_CEILING`](super::FRAME_CEILING). `{` and white
/// space begin an object, for which no length is given. Nothing else is accepted; the error is a guess at the
/// protocol, or at the mistake.
pub fn detect(bytes: &[u8]) -> Result<Option<(Framing, usize)>, FrameError> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    match bytes {
        [] => Ok(None),
        [0, ..] => Ok(Some((Framing::Prefixed, 0))),
        [b'{' | b' ' | b'\t' | b'\r' | b'\n', ..] => Ok(Some((Framing::Stream, 0))),
        _ if bytes.starts_with(BYTE_ORDER_MARK) => {
            Ok(Some((Framing::Stream, BYTE_ORDER_MARK.len())))
        }
        _ if BYTE_ORDER_MARK.starts_with(bytes) => Ok(None),
        _ => Err(guess(bytes)),
    }
}

/// Names the protocol or the mistake that most likely begins with `bytes`, for the log and for the author of the
/// client.
fn guess(bytes: &[u8]) -> FrameError {
    const HTTP_METHODS: [&[u8]; 10] = [
        b"GET ",
        b"POST ",
        b"PUT ",
        b"HEAD ",
        b"DELETE ",
        b"OPTIONS ",
        b"CONNECT ",
        b"TRACE ",
        b"PATCH ",
        b"PRI * HTTP",
    ];
    if HTTP_METHODS
        .iter()
        .any(|method| bytes.starts_with(method) || method.starts_with(bytes))
    {
        return FrameError::Http;
    }
    FrameError::UnknownStart(match bytes {
        [TLS_HANDSHAKE] | [TLS_HANDSHAKE, 3, ..] => return FrameError::TlsHello,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => framing_errors::starts_in_utf_16(),
        [_, _, 0, 0, 0, 0, 0, 0, ..] => framing_errors::length_of_8_bytes_little_endian(),
        [_, _, 0, 0, ..] => framing_errors::length_little_endian(),
        [_, 0, b'{', ..] => framing_errors::length_of_2_bytes_little_endian(),
        [_, b'{', ..] if hint::has_short_length(bytes) => framing_errors::length_of_1_byte(),
        [b'[', ..] => framing_errors::array(),
        [b'"' | b'\'', ..] => framing_errors::encoded_twice(),
        [_, b'{', ..] | [0x01..=0x1f] => framing_errors::length_of_1_byte(),
        [b'0'..=b'9', ..] => framing_errors::length_in_digits(),
        [0x80..=0xff, 0x01..=0x7f, b'{', ..] => framing_errors::length_of_7_bits_a_byte(),
        [_, _, b'{', b'"' | b'}' | b' ' | b'\n', ..] => framing_errors::length_of_2_bytes(),
        [first, ..] if first.is_ascii_graphic() => framing_errors::text_no_object(),
        _ => framing_errors::neither(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error_by, frames};
    use super::*;

    #[test]
    fn a_byte_order_mark_is_skipped_once() {
        check("\u{feff}{}{}".as_bytes(), &["{}", "{}"]);
        check_error_by("{}\u{feff}{}".as_bytes(), |error| {
            matches!(error, FrameError::NotAnObject { .. })
        });
        check_error_by("\u{feff}\u{feff}{}".as_bytes(), |error| {
            matches!(error, FrameError::NotAnObject { .. })
        });
    }

    #[test]
    fn other_protocols_are_recognised_by_their_first_byte() {
        for step in [1, 100] {
            assert_eq!(
                frames(b"GET / HTTP/1.1\r\n\r\n{}", step).1,
                Some(FrameError::Http)
            );
            assert_eq!(
                frames(b"POST / HTTP/1.1\r\n\r\n{}", step).1,
                Some(FrameError::Http)
            );
            assert_eq!(
                frames(b"\x16\x03\x01\x02\0\x01", step).1,
                Some(FrameError::TlsHello)
            );
        }
        let little_endian = frames(b"\x1e\0\0\0{\"Command\"", 100).1;
        assert_eq!(
            little_endian,
            Some(FrameError::UnknownStart("is the length little-endian?"))
        );
        assert!(matches!(
            frames(b"hello\n", 100).1,
            Some(FrameError::UnknownStart(_))
        ));
    }
}

//! Which framing a client uses, told by the first bytes it sends.

use super::Framing;
use super::error::FrameError;
use super::hint;

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
    const ONE_BYTE: &str =
        "is the length sent as 1 byte, as BinaryWriter does in .NET? It must be 4, big-endian";
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
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "is this text in UTF-16? It must be UTF-8",
        [_, _, 0, 0, 0, 0, 0, 0, ..] => "is the length sent as 8 bytes, little-endian?",
        [_, _, 0, 0, ..] => "is the length little-endian?",
        [_, 0, b'{', ..] => "is the length sent as 2 bytes, little-endian?",
        [_, b'{', ..] if hint::has_short_length(bytes) => ONE_BYTE,
        [b'[', ..] => "a JSON array is not a message",
        [b'"' | b'\'', ..] => "was the object encoded twice, or printed in quotes?",
        [_, b'{', ..] | [0x01..=0x1f] => ONE_BYTE,
        [b'0'..=b'9', ..] => "is the length written in digits? It must be 4 bytes, big-endian",
        [0x80..=0xff, 0x01..=0x7f, b'{', ..] => {
            "is the length sent in 7 bits a byte, as BinaryWriter does in .NET? It must be 4 bytes, big-endian"
        }
        [_, _, b'{', b'"' | b'}' | b' ' | b'\n', ..] => {
            "is the length sent as 2 bytes, as writeUTF does in Java? It must be 4"
        }
        [first, ..] if first.is_ascii_graphic() => "this is text, but not a JSON object",
        _ => "these bytes are neither",
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

//! WebSocket (RFC 6455) as a client needs it, written apart from the server's own.

/// A text message, or its first fragment.
pub const TEXT: u8 = 1;

/// Ends WebSocket.
pub const CLOSE: u8 = 8;

/// Asks for a [`PONG`].
pub const PING: u8 = 9;

/// Answers a [`PING`].
pub const PONG: u8 = 10;

/// The request that opens WebSocket.
pub const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Checks the answer to [`REQUEST`]. The proof is that of the standard's own example (section 1.3).
#[track_caller]
pub fn check_answer(head: &str) {
    assert!(
        head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{head}"
    );
    let head = head.to_lowercase();
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    let proof = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_lowercase();
    assert!(
        head.contains(&format!("\r\nsec-websocket-accept: {proof}\r\n")),
        "{head}"
    );
    // Neither an extension nor a subprotocol was asked for.
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
    assert!(!head.contains("sec-websocket-protocol"), "{head}");
}

/// A whole frame from a client.
pub fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    masked_frame(0x80 | opcode, payload, [0x37, 0xfa, 0x21, 0x3d])
}

/// A frame from a client, with this first byte and mask.
pub fn masked_frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = header(first, 0x80, payload.len() as u64);
    bytes.extend(mask);
    let masks = mask.iter().cycle();
    bytes.extend(payload.iter().zip(masks).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The header of a frame up to its length, which is written in as few bytes as can be (section 5.2).
pub fn header(first: u8, mask_bit: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(mask_bit | length as u8),
        126..=0xffff => {
            bytes.push(mask_bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes
}

/// The frame at the beginning of what a server has sent, if that is whole: its kind, its payload, and its size in all.
/// A server neither masks nor needs fragments, and writes lengths in as few bytes as can be.
pub fn server_frame(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let [first, second, rest @ ..] = bytes else {
        return None;
    };
    assert_eq!(first & 0xf0, 0x80, "a whole frame without extensions");
    assert_eq!(second & 0x80, 0, "no mask");
    let (length, wide) = match *second {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        short => (u64::from(short), 0),
    };
    let start = 2 + wide;
    assert_eq!(
        bytes[..start],
        header(*first, 0, length),
        "the shortest length"
    );
    let end = start + usize::try_from(length).unwrap();
    Some((first & 0x0f, bytes.get(start..end)?.to_vec(), end))
}

/// The status code that a closing frame has, if any.
pub fn code_of(payload: &[u8]) -> Option<u16> {
    payload.first_chunk().map(|code| u16::from_be_bytes(*code))
}

//! Guesses at why a frame that has begun does not end.

use serde::de::IgnoredAny;

use super::error::FrameError;
use crate::texts::{framing_errors, syntax_errors};
use crate::wire::scanner::Scanner;
use crate::wire::syntax_error;

/// Why the byte-order mark that `bytes` begin does not end.
pub(super) fn in_mark(bytes: &[u8]) -> String {
    framing_errors::part_of_mark(bytes.len())
}

/// Why the object that begins `text` does not end. `is_in_string` says that `text` ends inside a string.
pub(super) fn in_stream(text: &[u8], is_in_string: bool) -> String {
    if let Some(error) = FrameError::of_encoding(text, true) {
        return error.to_string();
    }
    // A character may be cut off at the end.
    let whole = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    match serde_json::from_str::<IgnoredAny>(whole) {
        Err(error) if !error.is_eof() => syntax_error::explain(whole, &error),
        _ if is_in_string => syntax_errors::string_is_open().to_owned(),
        _ => syntax_errors::brace_missing().to_owned(),
    }
}

/// Why the frame whose length `bytes` begin with does not end.
pub(super) fn behind_prefix(bytes: &[u8]) -> String {
    let Some((prefix, body)) = bytes.split_first_chunk() else {
        return framing_errors::part_of_length(bytes.len());
    };
    let length = u32::from_be_bytes(*prefix);
    let came = framing_errors::part_of_body(length, body.len());
    if u32::from_le_bytes(*prefix) as usize == body.len() {
        return framing_errors::part_of_body_little_endian(&came);
    }
    let mut scanner = Scanner::default();
    let is_complete = body.starts_with(b"{") && scanner.advance(body).unwrap_or(false);
    match is_complete {
        true => framing_errors::object_ends(&came, scanner.position()),
        false => came,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::feed;

    #[test]
    fn what_is_missing_is_guessed() {
        for (bytes, words) in [
            (
                &br#"{"Command":"05","Message":"a 15" screen"}"#[..],
                "column 34, where there is a letter; is a quote",
            ),
            (
                br#"{"Command":"05","Message":"hi}"#,
                "a string in it is open; is its closing quote missing",
            ),
            (br#"{"Command":"14""#, "closing brace"),
            (
                br#"{"Command":"14"{"Command":"14"}"#,
                "'{'; is a closing brace missing before it?",
            ),
            (
                br#"{"Command":"05","Message":"hi}{"Command":"14"}"#,
                "column 33, where there is a letter; is a quote",
            ),
            (
                br#"{{"Command":"14"}"#,
                "column 2, where there is '{'; is there one brace too many?",
            ),
            (
                "{\"Command\":\"05\",\"Message\":\"你".as_bytes(),
                "a string in it is open",
            ),
            (
                &"{\"Command\":\"05\",\"Message\":\"你".as_bytes()[..29],
                "a string in it is open",
            ),
            // Big5 has characters that end in a backslash.
            (b"{\"Command\":\"05\",\"Message\":\"\xb3\\\"}", "Big5"),
            (b"\xef\xbb", "2 of the 3 bytes"),
            (b"\0\0", "2 of the 4 bytes"),
            (
                b"\0\0\0\x03{}",
                "says 3 bytes, and 2 have come; the object in them ends after 2",
            ),
            (
                b"\0\0\0\x11{\"Command\":",
                "says 17 bytes, and 11 have come",
            ),
            (b"\0\x01\0\0", "says 65536 bytes, and 0 have come"),
        ] {
            let (mut reader, frames, error) = feed(bytes);
            assert!(frames.is_empty() && error.is_none(), "{frames:?} {error:?}");
            assert!(reader.is_inside_frame());
            let guess = reader.guess_at_missing();
            assert!(guess.contains(words), "{}: {guess}", bytes.escape_ascii());
        }
        let body = format!("{{\"a\":\"{}\"}}", "x".repeat(248));
        let (mut reader, ..) = feed(&[&b"\0\x01\0\0"[..], body.as_bytes()].concat());
        assert!(reader.guess_at_missing().contains("little-endian"));
    }
}

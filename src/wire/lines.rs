//! Messages encoded as lines.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// One or more messages, each as compact JSON and a newline. JSON escapes the newlines in strings (RFC 8259,
/// section 7), and the other characters at which readers of lines may cut are escaped too; so a line ends only where a
/// message does.
pub type Lines = Vec<u8>;

/// Bytes to reserve for one message. Most messages fit.
const LINE_CAPACITY: usize = 160;

/// Characters beyond ASCII that end a line for some readers (Unicode's UAX 14, classes NL and BK), with their escapes.
/// JSON allows them in strings as they are.
const LINE_ENDS: [(char, &[u8]); 3] = [
    ('\u{85}', b"\\u0085"),
    ('\u{2028}', b"\\u2028"),
    ('\u{2029}', b"\\u2029"),
];

/// Encodes `message` as a line of its own.
pub(super) fn line_of(message: &impl Serialize) -> Lines {
    let mut line = Vec::with_capacity(LINE_CAPACITY);
    append_line(message, &mut line);
    line
}

/// Encodes `message` as a line behind those in `lines`.
pub(super) fn append_line(message: &impl Serialize, lines: &mut Lines) {
    let start = lines.len();
    let mut serializer = Serializer::with_formatter(&mut *lines, OneLine);
    match message.serialize(&mut serializer) {
        Ok(()) => lines.push(b'\n'),
        // Serialising strings and small integers into memory can't fail. Half a message would spoil its neighbours.
        Err(_) => lines.truncate(start),
    }
}

/// Compact JSON without any character that ends a line.
struct OneLine;

impl Formatter for OneLine {
    #[inline]
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        if fragment.is_ascii() {
            return writer.write_all(fragment.as_bytes());
        }
        write_without_line_ends(writer, fragment)
    }
}

fn write_without_line_ends<W>(writer: &mut W, mut text: &str) -> io::Result<()>
where
    W: ?Sized + io::Write,
{
    let ends = LINE_ENDS.map(|(end, _)| end);
    while let Some((before, after)) = text.split_once(ends) {
        writer.write_all(before.as_bytes())?;
        let end = &text[before.len()..text.len() - after.len()];
        let escape = LINE_ENDS.iter().find(|(char, _)| end.starts_with(*char));
        writer.write_all(escape.map_or(end.as_bytes(), |(_, escape)| *escape))?;
        text = after;
    }
    writer.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_ends_a_line_is_escaped() {
        for (text, expected) in [
            ("a\u{85}b", "a\\u0085b"),
            ("\u{2028}", "\\u2028"),
            ("你\u{2029}\u{2029}好", "你\\u2029\\u2029好"),
            (
                "\n\u{b}\u{c}\r\u{1c}\u{85}",
                "\\n\\u000b\\f\\r\\u001c\\u0085",
            ),
            (
                "\u{84}\u{2027}\u{202a}\u{7f}é😀\u{feff}",
                "\u{84}\u{2027}\u{202a}\u{7f}é😀\u{feff}",
            ),
        ] {
            let line = String::from_utf8(line_of(&text)).unwrap();
            assert_eq!(line, format!("\"{expected}\"\n"));
        }
    }

    proptest! {
        #[test]
        fn a_line_reads_back_and_ends_only_at_its_end(
            text in "([a-z\"\\\\\n\r\u{b}\u{c}\u{1c}-\u{1e}]|[\u{85}\u{2028}\u{2029}]|\\PC){0,40}",
        ) {
            let line = String::from_utf8(line_of(&text)).unwrap();
            prop_assert_eq!(&serde_json::from_str::<String>(&line).unwrap(), &text);
            // All at which Python's `str.splitlines` cuts, which no other reader of lines exceeds.
            let ends = |char| matches!(char, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
            prop_assert_eq!(line.find(ends), Some(line.len() - 1));
        }
    }
}

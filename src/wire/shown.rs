//! Characters and bytes of a client, shown in a sentence.

use std::fmt;

use crate::texts::characters;

/// Displays a character so that it can be told from those that look like it, and so that it does no harm on a terminal: a
/// visible one in quotes, beyond ASCII with its number; any other by its name or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownChar(pub char);

impl fmt::Display for ShownChar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u32::from(self.0);
        let name = match self.0 {
            '\0' => characters::zero_byte(),
            '\t' => characters::tab(),
            '\n' => characters::newline(),
            '\r' => characters::carriage_return(),
            ' ' => characters::blank(),
            '\'' => return f.write_str("\"'\""),
            '!'..='~' => return write!(f, "'{}'", self.0),
            '\u{a0}' => characters::no_break_space(),
            '\u{200b}' => characters::zero_width_space(),
            '\u{3000}' => characters::full_width_blank(),
            '\u{feff}' => characters::byte_order_mark(),
            // What this escapes is invisible, or changes its neighbours.
            char if char.escape_debug().len() > 1 => {
                return f.write_str(&characters::invisible(number));
            }
            char => {
                let quoted = format!("'{char}'");
                return f.write_str(&characters::numbered(&quoted, number));
            }
        };
        match self.0 {
            ..='~' => f.write_str(name),
            _ => f.write_str(&characters::numbered(name, number)),
        }
    }
}

/// What stands at one place of a client's bytes: a character, or a byte that is no part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A character.
    Char(char),
    /// A control character of ASCII, or a byte that is not UTF-8.
    Byte(u8),
}

impl Found {
    /// What `bytes` begin with, if there are any.
    pub fn at_start(bytes: &[u8]) -> Option<Found> {
        let chunk = bytes.get(..bytes.len().min(4))?.utf8_chunks().next()?;
        match chunk.valid().chars().next() {
            Some(char) if !char.is_ascii_control() => Some(Found::Char(char)),
            _ => bytes.first().map(|byte| Found::Byte(*byte)),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Char(char) => ShownChar(*char).fmt(f),
            Found::Byte(byte) => f.write_str(&characters::byte(*byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_shown_by_what_tells_it_from_others() {
        for (char, shown) in [
            ('a', "'a'"),
            ('\'', "\"'\""),
            ('\n', "a newline"),
            ('\u{7}', "U+0007"),
            ('\u{7f}', "U+007F"),
            ('а', "'а' (U+0430)"),
            ('，', "'，' (U+FF0C)"),
            ('😀', "'😀' (U+1F600)"),
            ('\u{a0}', "a no-break space (U+00A0)"),
            ('\u{202e}', "U+202E"),
            ('\u{301}', "U+0301"),
            ('\u{2028}', "U+2028"),
            ('\u{e000}', "U+E000"),
        ] {
            assert_eq!(ShownChar(char).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_character_is_shown_as_a_byte() {
        for (bytes, shown) in [
            (&b"}x"[..], "'}'"),
            (b"\0\0", "the byte 0x00"),
            (b"\xff\xfe", "the byte 0xff"),
            ("你好".as_bytes(), "'你' (U+4F60)"),
            (b"\xe4\xbd", "the byte 0xe4"),
        ] {
            assert_eq!(Found::at_start(bytes).unwrap().to_string(), shown);
        }
        assert_eq!(Found::at_start(b""), None);
    }
}

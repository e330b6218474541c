//! How bytes are shown to the teacher.

use std::fmt::Write;

use jiff::tz::TimeZone;

use crate::printable::Printable;
use crate::texts::verbs;
use crate::transport::watch::{Direction, Watched};

/// Bytes that are shown of what went at once.
const SHOWN: usize = 2000;

/// Bytes in a row of hexadecimal numbers.
const ROW: usize = 16;

/// Lines that show what went through a connection: when, whose, which way, and the bytes. Text is shown as text, with escapes for
/// what can't be seen; anything else as hexadecimal numbers, too.
pub(super) fn lines_of(watched: &Watched, zone: &TimeZone) -> String {
    let time = watched.time.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f");
    let peer = watched.connection.peer;
    let who = watched.name.clone().unwrap_or_else(|| peer.to_string());
    let arrow = match watched.direction {
        Direction::FromClient => "->",
        Direction::ToClient => "<-",
    };
    let mut text = format!("{time} {who} {arrow} ");
    let shown = &watched.bytes[..watched.bytes.len().min(SHOWN)];
    match text_of(shown) {
        Some(words) => {
            let _ = writeln!(text, "{}", Printable(words));
        }
        None => {
            text.push('\n');
            for row in shown.chunks(ROW) {
                let numbers: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
                let letters: String = row
                    .iter()
                    .map(|byte| match byte {
                        b' '..=b'~' => char::from(*byte),
                        _ => '.',
                    })
                    .collect();
                let _ = writeln!(text, "    {:47}  {letters}", numbers.join(" "));
            }
        }
    }
    if watched.bytes.len() > SHOWN {
        let _ = writeln!(text, "    {}", verbs::cut(watched.bytes.len()));
    }
    text
}

/// The text that the bytes are, if they are text: UTF-8 whose only control characters are white space. Half a character at the end
/// does no harm.
fn text_of(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t');
    (!text.is_empty() && text.chars().all(is_text)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{ConnectionLabel, PortKind};

    #[test]
    fn text_is_shown_as_text_and_the_rest_as_numbers() {
        let watched = |bytes: &[u8]| Watched {
            time: "2026-01-01T08:00:00.5Z".parse().unwrap(),
            connection: ConnectionLabel {
                number: 1,
                peer: ([192, 0, 2, 7], 4711).into(),
                kind: PortKind::Plain,
            },
            name: None,
            direction: Direction::FromClient,
            bytes: bytes.to_vec(),
        };
        let lines = |bytes: &[u8]| lines_of(&watched(bytes), &TimeZone::UTC);
        let start = "08:00:00.500 192.0.2.7:4711 -> ";
        assert_eq!(
            lines("{\"Message\":\"你好\"}\r\n".as_bytes()),
            format!("{start}{{\"Message\":\"你好\"}}\\r\\n\n")
        );
        assert_eq!(
            lines(b"\x00\x00\x00\x02{}"),
            format!("{start}\n    00 00 00 02 7b 7d                                ....{{}}\n")
        );
        assert!(lines(b"caf\xe9!").contains("63 61 66 e9 21"));
        assert!(lines(&"你".as_bytes()[..2]).contains("e4 bd"));
        let long = lines(&vec![b'x'; 5000]);
        assert!(long.len() < 2200 && long.contains("5000"), "{long}");
    }
}

//! Text from strangers, made safe for a terminal.

use std::fmt::{self, Write as _};

/// Displays text with every character escaped that could forge a line, move the cursor or reverse the direction
/// of writing: control characters, line and paragraph separators, and the marks of bidirectional text. Those that
/// can't be seen or told from a space are escaped too: who has copied one into a setting looks for it in vain.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            let is_deceptive = character.is_control()
                || character.is_whitespace() && character != ' '
                || matches!(
                    character,
                    '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
                        | '\u{200b}'..='\u{200f}'
                        | '\u{202a}'..='\u{202e}'
                        | '\u{2060}'..='\u{206f}'
                        | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
                        | '\u{fff9}'..='\u{fffb}'
                        | '\u{e0000}'..='\u{e007f}'
                );
            if is_deceptive {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Text with a space in place of each control character.
pub(crate) fn without_controls(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_harm_a_terminal_or_cannot_be_seen_is_escaped() {
        let text = "a\nb\x1b[2J\u{202e}\u{9b}\0 é 名\u{200b}\u{a0}\u{2028}\u{feff}";
        assert_eq!(
            Printable(text).to_string(),
            "a\\nb\\u{1b}[2J\\u{202e}\\u{9b}\\u{0} é 名\\u{200b}\\u{a0}\\u{2028}\\u{feff}"
        );
    }
}

//! Text from strangers, made safe for a terminal.

use std::fmt::{self, Write as _};

/// Displays text with every character escaped that could forge a line, move the cursor or reverse the direction
/// of writing: control characters, line and paragraph separators, and the marks of bidirectional text.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            let is_harmful = character.is_control()
                || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if is_harmful {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_harm_a_terminal_is_escaped() {
        let text = "a\nb\x1b[2J\u{202e}\u{9b}\0 é 名";
        assert_eq!(
            Printable(text).to_string(),
            "a\\nb\\u{1b}[2J\\u{202e}\\u{9b}\\u{0} é 名"
        );
    }
}

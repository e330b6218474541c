//! Which names and passwords are allowed, and when two names are one.

use std::fmt;
use std::sync::Arc;

use super::shown::ShownChar;
use crate::texts::reasons;

/// Length of a name, in characters. The published protocol asks for more than 3; the upper bound is chatd's own.
pub const NAME_LENGTH: std::ops::RangeInclusive<usize> = 4..=64;

/// Length of a password, in characters. The upper bound is chatd's own.
pub const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 1..=128;

/// Names that no user can take, in any letter case (appendix 1 of the published protocol).
pub const RESERVED_NAMES: [&str; 5] = ["admin", "administrator", "guest", "user", "table"];

/// Why a name is not allowed. Shown as a sentence for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// A character is neither a letter nor a digit of ASCII.
    Character {
        /// The first such character.
        character: char,
        /// Where it stands.
        place: Place,
    },
    /// The name is shorter or longer than [`NAME_LENGTH`].
    Length,
    /// The name is one of [`RESERVED_NAMES`].
    Reserved,
}

/// Where in a name a character stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the first one.
    Start,
    /// It is neither.
    Middle,
    /// It is the last one.
    End,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (character, place) = match *self {
            NameError::Character { character, place } => (character, place),
            NameError::Length => return f.write_str(reasons::name_length()),
            NameError::Reserved => return f.write_str(reasons::name_reserved()),
        };
        // These look like the letters and digits that are allowed.
        let alphabet = match character {
            '\u{370}'..='\u{3ff}' => reasons::greek(),
            '\u{400}'..='\u{52f}' => reasons::cyrillic(),
            '\u{ff01}'..='\u{ff5e}' => reasons::full_width(),
            _ => "",
        };
        let place = match place {
            Place::Start => reasons::at_start_of_name(),
            Place::Middle => reasons::in_name(),
            Place::End => reasons::at_end_of_name(),
        };
        let shown = ShownChar(character).to_string();
        f.write_str(&reasons::name_characters(place, &shown, alphabet))
    }
}

impl std::error::Error for NameError {}

/// Checks a name against the protocol's rules.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let is_bad = |(_, char): &(usize, char)| !char.is_ascii_alphanumeric();
    if let Some((at, character)) = name.char_indices().find(is_bad) {
        let place = match at {
            0 => Place::Start,
            _ if at + character.len_utf8() == name.len() => Place::End,
            _ => Place::Middle,
        };
        return Err(NameError::Character { character, place });
    }
    if !NAME_LENGTH.contains(&name.len()) {
        return Err(NameError::Length);
    }
    if RESERVED_NAMES
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
    {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// Checks a password against the protocol's rules. The error is a sentence for the user.
pub fn check_password(password: &str) -> Result<(), &'static str> {
    if !password.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(reasons::password_characters());
    }
    if !PASSWORD_LENGTH.contains(&password.len()) {
        return Err(reasons::password_length());
    }
    Ok(())
}

/// A name in lower case, for comparison: two names with the same key are the same name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameKey(Arc<str>);

impl NameKey {
    /// The key of `name`, which need not be a valid name.
    pub fn new(name: &str) -> NameKey {
        NameKey(name.to_ascii_lowercase().into())
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_four_to_sixty_four_letters_and_digits() {
        for good in ["abcd", "A1b2", "0000", &"x".repeat(64)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "abc",
            &"x".repeat(65),
            "ab d",
            "abc_",
            "名字名字",
            "abcd\n",
            "é000",
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_character_that_is_wrong_is_named() {
        for (name, words) in [
            ("Anna\n", "this one has a newline at its end"),
            ("Anna\r\n", "this one has a carriage return"),
            ("Anna ", "this one has a blank at its end"),
            (" Anna", "this one has a blank at its start"),
            ("Anna\0", "this one has a zero byte at its end"),
            ("An na", "this one has a blank"),
            ("Аnna", "'А' (U+0410), a Cyrillic character at its start"),
            ("Annα", "'α' (U+03B1), a Greek character at its end"),
            (
                "ＡＮＮＡ",
                "'Ａ' (U+FF21), a full-width character at its start",
            ),
            ("An\u{200b}na", "this one has a zero-width space (U+200B)"),
            ("An\u{202e}na", "this one has U+202E"),
            ("anna_1", "this one has '_'"),
        ] {
            let why = check_name(name).unwrap_err().to_string();
            assert!(why.ends_with(words), "{name:?}: {why}");
        }
    }

    #[test]
    fn reserved_names_are_refused_in_any_letter_case() {
        for reserved in RESERVED_NAMES {
            assert!(check_name(reserved).is_err());
            assert!(check_name(&reserved.to_uppercase()).is_err());
        }
        assert_eq!(check_name("admin1"), Ok(()));
    }

    #[test]
    fn letter_case_does_not_tell_names_apart() {
        assert_eq!(NameKey::new("Alice"), NameKey::new("aLICE"));
        assert_ne!(NameKey::new("Alice"), NameKey::new("Alice1"));
    }

    #[test]
    fn passwords_are_one_to_128_letters_and_digits() {
        assert_eq!(check_password("x"), Ok(()));
        assert_eq!(check_password(&"9".repeat(128)), Ok(()));
        for bad in ["", &"9".repeat(129), "pass word", "пароль"] {
            assert!(check_password(bad).is_err(), "{bad:?}");
        }
    }
}

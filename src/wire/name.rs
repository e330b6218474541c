//! Which names and passwords are allowed, and when two names are one.

use std::fmt;
use std::sync::Arc;

/// Length of a name, in characters. The published protocol asks for more than 3; the upper bound is chatd's own.
pub const NAME_LENGTH: std::ops::RangeInclusive<usize> = 4..=64;

/// Length of a password, in characters. The upper bound is chatd's own.
pub const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 1..=128;

/// Names that no user can take, in any letter case (appendix 1 of the published protocol).
pub const RESERVED_NAMES: [&str; 5] = ["admin", "administrator", "guest", "user", "table"];

/// Checks a name against the protocol's rules. The error is a sentence for the user.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("a name has only the letters A-Z and a-z and the digits 0-9");
    }
    if !NAME_LENGTH.contains(&name.len()) {
        return Err("a name is 4 to 64 characters long");
    }
    if RESERVED_NAMES
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
    {
        return Err("this name is reserved; choose another");
    }
    Ok(())
}

/// Checks a password against the protocol's rules. The error is a sentence for the user.
pub fn check_password(password: &str) -> Result<(), &'static str> {
    if !password.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("a password has only the letters A-Z and a-z and the digits 0-9");
    }
    if !PASSWORD_LENGTH.contains(&password.len()) {
        return Err("a password is 1 to 128 characters long");
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

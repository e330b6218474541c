//! What people read, in English and in Chinese: the reasons that clients are told, the banner, the console.
//!
//! Each text stands once, in both languages, one below the other, as a function of what is filled in. So one that lacks a
//! translation does not compile, neither does one that fills in what is not there, and who translates sees what to
//! translate. The log, and what `--help` says, is English only.
//!
//! The language is the process's. Whoever embeds the server chooses it by [`set_language`].

pub(crate) mod banner;
pub(crate) mod moderation;
pub(crate) mod verbs;

use std::str::FromStr;

// Not those of the model checker: the order of threads decides nothing here.
use std::sync::atomic::{AtomicBool, Ordering};

use unicode_width::UnicodeWidthStr;

/// A language that people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese, in simplified characters.
    Chinese,
}

/// Whether the language is Chinese.
static IS_CHINESE: AtomicBool = AtomicBool::new(false);

/// Chooses the language of all that people read from here on. It is English until this is called.
pub fn set_language(language: Language) {
    IS_CHINESE.store(language == Language::Chinese, Ordering::Relaxed);
}

/// The language of all that people read.
pub(crate) fn language() -> Language {
    match IS_CHINESE.load(Ordering::Relaxed) {
        true => Language::Chinese,
        false => Language::English,
    }
}

/// The language that the user of this system has chosen for it: Chinese if it is any kind of that, otherwise English.
pub fn system_language() -> Language {
    language_of(&sys_locale::get_locale().unwrap_or_default())
}

fn language_of(locale: &str) -> Language {
    match locale.split(['-', '_', '.', '@']).next() {
        Some(language) if language.eq_ignore_ascii_case("zh") => Language::Chinese,
        _ => Language::English,
    }
}

/// How many columns of a terminal a text takes: two for each wide character.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// As `--lang` takes it.
impl FromStr for Language {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Language, &'static str> {
        match name {
            "en" => Ok(Language::English),
            "zh" => Ok(Language::Chinese),
            _ => Err("the languages are en and zh"),
        }
    }
}

/// Makes a function of each text. One without parameters returns a `&'static str`, one with parameters a `String`, into
/// which the parameters are filled as by [`format!`].
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident $(($($parameter:ident: $type:ty),+))? {
        en: $english:literal,
        zh: $chinese:literal $(,)?
    })+) => {
        $($crate::texts::text! { $(#[$doc])* $name $(($($parameter: $type),+))? $english, $chinese })+
    };
}

/// The function of one text.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident $english:literal, $chinese:literal) => {
        $(#[$doc])*
        pub(crate) fn $name() -> &'static str {
            match $crate::texts::language() {
                $crate::texts::Language::English => $english,
                $crate::texts::Language::Chinese => $chinese,
            }
        }
    };
    ($(#[$doc:meta])* $name:ident ($($parameter:ident: $type:ty),+) $english:literal, $chinese:literal) => {
        $(#[$doc])*
        pub(crate) fn $name($($parameter: $type),+) -> String {
            match $crate::texts::language() {
                $crate::texts::Language::English => format!($english),
                $crate::texts::Language::Chinese => format!($chinese),
            }
        }
    };
}

pub(crate) use {text, texts};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_that_of_the_locale() {
        for locale in ["zh", "zh-CN", "zh_TW.UTF-8", "ZH-Hans-CN", "zh@pinyin"] {
            assert_eq!(language_of(locale), Language::Chinese, "{locale}");
        }
        for locale in ["", "C", "en-US", "de_DE.UTF-8", "zhx", "POSIX"] {
            assert_eq!(language_of(locale), Language::English, "{locale}");
        }
    }
}

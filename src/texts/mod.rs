//! What people read, in English and in Chinese: the reasons that clients are told, the banner, the console, and why the
//! server can't start.
//!
//! Each text stands once, in both languages, one below the other, as a function of what is filled in. So one that lacks a
//! translation does not compile, neither does one that fills in what is not there, and who translates sees what to
//! translate. A test of each file compares the two languages. The log is English, but for the reasons of clients that it
//! quotes, and the numbers of each hour. What `--help` says has its English elsewhere; see `usage.rs`.
//!
//! The language is the process's. A program that embeds the server chooses it by [`set_language`].

pub(crate) mod attach;
pub(crate) mod banner;
pub(crate) mod characters;
pub(crate) mod class;
pub(crate) mod console;
pub(crate) mod framing_errors;
pub(crate) mod help;
pub(crate) mod lists;
pub(crate) mod mistakes;
pub(crate) mod moderation;
pub(crate) mod reasons;
pub(crate) mod refusals;
pub(crate) mod settings;
pub(crate) mod start_errors;
pub(crate) mod statistics;
pub(crate) mod syntax_errors;
pub(crate) mod tables;
pub(crate) mod times;
pub(crate) mod usage;
pub(crate) mod verbs;
pub(crate) mod web;

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

/// A sentence with a capital letter. In Chinese it stays as it is: what it begins with may be what somebody has typed.
pub(crate) fn capitalised(sentence: &str) -> String {
    match language() {
        Language::English => {
            let mut letters = sentence.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
        Language::Chinese => sentence.to_owned(),
    }
}

/// Sentences, one after the other. Chinese ones have no space between them.
pub(crate) fn joined(sentences: &[String]) -> String {
    sentences.join(match language() {
        Language::English => " ",
        Language::Chinese => "",
    })
}

/// As `--lang` takes it.
impl FromStr for Language {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Language, &'static str> {
        match name {
            "en" => Ok(Language::English),
            "zh" => Ok(Language::Chinese),
            _ => Err(settings::no_language()),
        }
    }
}

/// Makes a function of each text. One without parameters returns a `&'static str`, one with parameters a `String`, into
/// which the parameters are filled as by [`format!`]. A module can hold one `texts!`, with a test of its own.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident $(($($parameter:ident: $type:ty),+))? {
        en: $english:literal,
        zh: $chinese:literal $(,)?
    })+) => {
        $($crate::texts::text! { $(#[$doc])* $name $(($($parameter: $type),+))? $english, $chinese })+

        #[cfg(test)]
        mod languages {
            #[test]
            fn each_text_is_there_in_both_languages() {
                $($crate::texts::tests::compare(stringify!($name), $english, $chinese);)+
            }
        }
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

    /// Compares what one text is in both languages.
    #[track_caller]
    pub(super) fn compare(name: &str, english: &str, chinese: &str) {
        let is_chinese = |char: char| matches!(char, '\u{4e00}'..='\u{9fff}');
        let is_full_width =
            |char: char| matches!(char, '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}');
        let is_either = |char| is_chinese(char) || is_full_width(char);
        assert!(!english.contains(is_either), "{name} in English");
        assert!(chinese.contains(is_either), "{name} in Chinese");
        let same = "fills in the same in both languages";
        assert_eq!(fillings(english), fillings(chinese), "{name} {same}");
        assert_eq!(english.ends_with('.'), chinese.ends_with('。'), "{name}");
        for (at, mark) in chinese.match_indices([',', ';', ':', '?', '!', '(', ')']) {
            let before = chinese[..at].chars().next_back();
            let after = chinese[at + mark.len()..].chars().next();
            let is_among_chinese = before.into_iter().chain(after).any(is_chinese);
            assert!(!is_among_chinese, "{name}: {mark} is full-width in Chinese");
        }
    }

    /// The names of what is filled in, in the order of the alphabet.
    fn fillings(text: &str) -> Vec<&str> {
        let in_braces = text
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'));
        let names = in_braces.filter_map(|(inside, _)| inside.split(':').next());
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names
    }

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

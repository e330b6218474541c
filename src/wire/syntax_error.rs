//! What is wrong with a text that is not JSON, in words for the author of the client.

use super::shown::Found;
use crate::texts::{characters, syntax_errors};

/// Straight double quotes are meant by these.
const OTHER_QUOTES: [char; 8] = ['“', '”', '„', '＂', '‘', '’', '「', '」'];

/// Punctuation that Chinese keyboards give in place of JSON's own.
const FULL_WIDTH: [char; 7] = ['，', '：', '｛', '｝', '［', '］', '；'];

/// Says what `serde_json` found wrong in `text`, where that is, and what the likely mistake is.
///
/// Of the text only the one character is shown at which `serde_json` gave up, and no letter or digit: the sentence goes into
/// the log, and the text may hold a password.
pub fn explain(text: &str, error: &serde_json::Error) -> String {
    let full = error.to_string();
    let what = full
        .rsplit_once(" at line ")
        .map_or(&*full, |(what, _)| what);
    let at = offset_of(text, error);
    let place = place_of(text, at);
    let translated = syntax_errors::of_serde_json(what).unwrap_or(what);
    let mut sentence = syntax_errors::what_at(translated, &place);
    if let Some(found) = Found::at_start(&text.as_bytes()[at..]) {
        let shown = match found {
            Found::Char(char) if char.is_ascii_alphabetic() => characters::letter().to_owned(),
            Found::Char(char) if char.is_ascii_digit() => characters::digit().to_owned(),
            _ => found.to_string(),
        };
        sentence += &syntax_errors::where_there_is(&shown);
    }
    match hint(text, at, what) {
        Some(hint) => syntax_errors::with_hint(&sentence, hint),
        None => sentence,
    }
}

/// Where in `text` the error is, in bytes, at the beginning of a character. `serde_json` counts lines and columns from 1,
/// and columns in bytes.
fn offset_of(text: &str, error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive('\n').map(str::len);
    let line_start: usize = lines.take(error.line().saturating_sub(1)).sum();
    let at = line_start + error.column().saturating_sub(1);
    let is_boundary = |at: &usize| text.is_char_boundary(*at);
    (0..=at.min(text.len()))
        .rev()
        .find(is_boundary)
        .unwrap_or(0)
}

/// The place `at` as people count: columns in characters, and the line if there is more than one.
fn place_of(text: &str, at: usize) -> String {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[line_start..].chars().count() + 1;
    match text.contains('\n') {
        true => syntax_errors::line_and_column(before.matches('\n').count() + 1, column),
        false => syntax_errors::column(column),
    }
}

/// The likely mistake at the place `at`, where `serde_json` says `what`.
fn hint(text: &str, at: usize, what: &str) -> Option<&'static str> {
    let (before, rest) = text.split_at(at);
    let found = rest.chars().next();
    let previous = before.trim_ascii_end().chars().next_back();
    let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let word_start = before.trim_end_matches(is_word).len();
    let word_length = text[word_start..].find(|char| !is_word(char));
    let word = &text[word_start..][..word_length.unwrap_or(text.len() - word_start)];
    if what.starts_with("invalid escape") {
        return Some(syntax_errors::backslash());
    }
    if found.is_some_and(|char| OTHER_QUOTES.contains(&char)) {
        return Some(syntax_errors::other_quotes());
    }
    if found.is_some_and(|char| FULL_WIDTH.contains(&char)) {
        return Some(syntax_errors::full_width_punctuation());
    }
    if rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with('#') {
        return Some(syntax_errors::comment());
    }
    match (what, found) {
        (_, Some('}' | ']')) if previous == Some(',') => {
            return Some(syntax_errors::last_comma());
        }
        ("key must be a string", Some('{')) => return Some(syntax_errors::extra_brace()),
        (_, Some('\'')) if previous != Some('"') => {
            return Some(syntax_errors::single_quotes());
        }
        ("key must be a string", _) => return Some(syntax_errors::key_without_quotes()),
        (_, Some('{')) if what.starts_with("expected `,`") => {
            return Some(syntax_errors::brace_missing_before());
        }
        (_, Some('"')) if what.starts_with("expected `,`") => {
            return Some(syntax_errors::comma_missing_or_quote());
        }
        _ if what.starts_with("expected `") && previous == Some('"') && word_start == at => {
            return Some(match found {
                Some('=') => syntax_errors::equals_sign(),
                _ => syntax_errors::quote_or_end_missing(),
            });
        }
        _ => {}
    }
    match word.to_ascii_lowercase().as_str() {
        "true" | "false" => Some(syntax_errors::capital_true()),
        "none" | "null" | "nil" | "undefined" | "nullptr" => Some(syntax_errors::other_null()),
        "nan" | "inf" | "infinity" => Some(syntax_errors::no_number()),
        word if word.len() > 1
            && word.starts_with('0')
            && word.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Some(syntax_errors::leading_zero())
        }
        word if word.starts_with(|char: char| char.is_ascii_alphabetic()) => {
            Some(syntax_errors::text_without_quotes())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::super::command::Command;
    use super::*;

    fn explained(text: &str) -> String {
        explain(text, &serde_json::from_str::<IgnoredAny>(text).unwrap_err())
    }

    #[test]
    fn the_place_counts_characters_and_the_likely_mistake_is_named() {
        for (text, words) in [
            (
                r#"{"a":"a 15" screen"}"#,
                &["column 13", "a letter", "not written as \\\""][..],
            ),
            (r#"{"a":"你" 好"}"#, &["column 10", "'好' (U+597D)", "\\\""]),
            ("{\n\"a\":1,\n}", &["line 3, column 1", "comma"]),
            (r#"{"a":1,}"#, &["column 8", "comma"]),
            (r#"{"a":[1,]}"#, &["column 9", "comma"]),
            (r#"{'a':1}"#, &["column 2", "single"]),
            (r#"{"a":'b'}"#, &["column 6", "single"]),
            (r#"{a:1}"#, &["key", "double quotes"]),
            (r#"{"a":True}"#, &["a letter", "small letters"]),
            (r#"{"a":None}"#, &["null"]),
            (r#"{"a":NaN}"#, &["NaN"]),
            (r#"{"a":-Infinity}"#, &["infinity"]),
            (r#"{"a":01}"#, &["column 7", "a digit", "leading zero"]),
            (r#"{"a":hello}"#, &["a letter", "double quotes"]),
            (r#"{“a”:1}"#, &["'“' (U+201C)", "straight"]),
            (r#"{"a"：1}"#, &["'：' (U+FF1A)", "full-width"]),
            (r#"{"a":1，"b":2}"#, &["'，'", "full-width"]),
            (r#"{"a":1 // one"#, &["'/'", "comments"]),
            (r#"{/* x */"a":1}"#, &["comments"]),
            (r#"{"a"="b"}"#, &["'='", "colon"]),
            (r#"{"a":1 "b":2}"#, &["comma"]),
            (r#"{"a":"C:\x"}"#, &["column 10", "\\\\"]),
            (r#"{{"a":1}"#, &["column 2", "one brace too many"]),
            (r#"{"a":1{"b":1}"#, &["'{'", "brace missing"]),
        ] {
            let sentence = explained(text);
            for word in words {
                assert!(sentence.contains(word), "{text}: {sentence}");
            }
        }
    }

    #[test]
    fn each_mistake_that_serde_json_finds_has_a_text() {
        for (text, what) in [
            (r#"{"a" 1}"#, "expected `:`"),
            (r#"{"a":[1 2]}"#, "expected `,` or `]`"),
            (r#"{"a":1 2}"#, "expected `,` or `}`"),
            (r#"{"a":nul}"#, "expected ident"),
            (r#"{"a":x}"#, "expected value"),
            (r#"{"a":"\x"}"#, "invalid escape"),
            (r#"{"a":01}"#, "invalid number"),
            (r#"{a:1}"#, "key must be a string"),
            (r#"{"a":1,}"#, "trailing comma"),
        ] {
            assert_eq!(syntax_errors::of_serde_json(what), Some(what));
            let error = Command::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(what), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_of_a_password_is_shown() {
        for text in [
            r#"{"Password":"ab"xyz"}"#,
            r#"{"Password":xyz}"#,
            r#"{"Password":0789}"#,
        ] {
            let sentence = explained(text);
            let shown: Vec<&str> = sentence
                .split(|char: char| !char.is_alphanumeric())
                .collect();
            for part in ["x", "xyz", "0789", "7", "07"] {
                assert!(!shown.contains(&part), "{sentence}");
            }
        }
    }

    #[test]
    fn a_text_that_ends_too_early_has_no_character_there() {
        for text in [
            "",
            "{",
            "{\"a\":\"é",
            "{\"a\":1\n",
            "{\"a\":[",
            "{\"a\":tru",
        ] {
            let sentence = explained(text);
            assert!(sentence.starts_with("EOF"), "{sentence}");
        }
    }
}

//! What a teacher can type, and what is wrong with what was typed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::printable::Printable;
use crate::storage::bans::Banned;
use crate::texts::{help, mistakes};
use crate::wire::check_name;

/// One line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConsoleCommand {
    Who,
    WhoRefused,
    Say(String),
    Tell(String, String),
    Mute(Whom, Option<Duration>),
    Unmute(Whom),
    Lock,
    Unlock,
    Kick(String, Option<String>),
    Ban(Banned, Option<Duration>),
    Unban(Banned),
    UnbanAll,
    Bans,
    Forget(String),
    Slow(Option<Duration>),
    Private(bool),
    Attendance(Option<PathBuf>),
    Transcript(Option<PathBuf>),
    Register(PathBuf),
    Watch(Banned),
    Unwatch,
    Stats,
    Info,
    Help,
    Quit,
}

/// Who is to speak, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    All,
    Name(String),
}

/// The shortest time that can be typed.
const SHORTEST_TIME: Duration = Duration::from_secs(1);

/// The longest.
const LONGEST_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A text in the language of the process.
type Text = fn() -> &'static str;

/// Each verb, what stands behind it, and what it does.
pub(super) const VERBS: [(&str, &str, Text); 23] = [
    ("who", "[refused]", help::who),
    ("say", "TEXT", help::say),
    ("tell", "NAME TEXT", help::tell),
    ("mute", "NAME [TIME]|all", help::mute),
    ("unmute", "NAME|all", help::unmute),
    ("slow", "TIME|off", help::slow),
    ("private", "off|on", help::private),
    ("lock", "", help::lock),
    ("unlock", "", help::unlock),
    ("kick", "NAME [why]", help::kick),
    ("ban", "NAME|ADDRESS [TIME]", help::ban),
    ("unban", "NAME|ADDRESS|all", help::unban),
    ("bans", "", help::bans),
    ("forget", "NAME", help::forget),
    ("watch", "NAME|ADDRESS", help::watch),
    ("unwatch", "", help::unwatch),
    ("attendance", "[FILE.csv]", help::attendance),
    ("transcript", "FILE|off", help::transcript),
    ("register", "FILE.csv", help::register),
    ("stats", "", help::stats),
    ("info", "", help::info),
    ("help", "", help::help),
    ("quit", "", help::quit),
];

/// What other programs call some of them.
const SYNONYMS: [(&str, &str); 11] = [
    ("?", "help"),
    ("address", "info"),
    ("bye", "quit"),
    ("delete", "forget"),
    ("exit", "quit"),
    ("ip", "info"),
    ("list", "who"),
    ("shutdown", "quit"),
    ("silence", "mute"),
    ("stop", "quit"),
    ("users", "who"),
];

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// A sentence for the teacher, without a capital letter, in the language of the process.
    pub(super) sentence: String,
    /// What stands where a name should, if that is it.
    pub(super) no_name: Option<String>,
}

impl From<String> for Mistake {
    fn from(sentence: String) -> Mistake {
        Mistake {
            sentence,
            no_name: None,
        }
    }
}

/// Understands a line. `None` says that it is empty.
pub(super) fn parse(line: &str) -> Result<Option<ConsoleCommand>, Mistake> {
    let line = line.trim();
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    if verb.is_empty() {
        return Ok(None);
    }
    let verb = verb.to_ascii_lowercase();
    let Some((_, usage, _)) = VERBS.iter().find(|(known, ..)| *known == verb) else {
        return Err(unknown(&verb).into());
    };
    let mut words = rest.split_whitespace();
    let first = words.next();
    let has_more = words.next().is_some();
    if usage.is_empty() && first.is_some() {
        return Err(mistakes::stands_alone(&verb).into());
    }
    let takes_one = matches!(
        *usage,
        "NAME" | "NAME|all" | "NAME|ADDRESS" | "NAME|ADDRESS|all" | "TIME|off" | "off|on"
    );
    let first = match first {
        None if !usage.is_empty() && !usage.starts_with('[') => {
            return Err(mistakes::takes(&verb, usage).into());
        }
        Some(_) if takes_one && has_more => {
            return Err(mistakes::takes_one(&verb, usage).into());
        }
        word => word.unwrap_or_default(),
    };
    Ok(Some(match verb.as_str() {
        "who" if rest.is_empty() => ConsoleCommand::Who,
        "who" if rest.eq_ignore_ascii_case("refused") => ConsoleCommand::WhoRefused,
        "who" => return Err(mistakes::takes(&verb, usage).into()),
        "say" => ConsoleCommand::Say(rest.to_owned()),
        "tell" => match rest.split_once(char::is_whitespace) {
            Some((_, text)) => ConsoleCommand::Tell(name(first)?, text.trim_start().to_owned()),
            None => return Err(mistakes::takes(&verb, usage).into()),
        },
        "mute" => match (whom(first)?, time(rest)?) {
            (Whom::All, Some(_)) => {
                return Err(mistakes::all_takes_no_time().to_owned().into());
            }
            (whom, time) => ConsoleCommand::Mute(whom, time),
        },
        "slow" if first.eq_ignore_ascii_case("off") => ConsoleCommand::Slow(None),
        "slow" => ConsoleCommand::Slow(Some(parse_time(first)?)),
        "private" if first.eq_ignore_ascii_case("off") => ConsoleCommand::Private(false),
        "private" if first.eq_ignore_ascii_case("on") => ConsoleCommand::Private(true),
        "private" => return Err(mistakes::takes(&verb, usage).into()),
        "unmute" => ConsoleCommand::Unmute(whom(first)?),
        "lock" => ConsoleCommand::Lock,
        "unlock" => ConsoleCommand::Unlock,
        "kick" => {
            let (_, why) = rest.split_once(char::is_whitespace).unwrap_or_default();
            let why = why.trim_start();
            ConsoleCommand::Kick(name(first)?, (!why.is_empty()).then(|| why.to_owned()))
        }
        "ban" => ConsoleCommand::Ban(name_or_address(first)?, time(rest)?),
        "unban" if first.eq_ignore_ascii_case("all") => ConsoleCommand::UnbanAll,
        "unban" => ConsoleCommand::Unban(name_or_address(first)?),
        "bans" => ConsoleCommand::Bans,
        "forget" => ConsoleCommand::Forget(name(first)?),
        "watch" => ConsoleCommand::Watch(name_or_address(first)?),
        "unwatch" => ConsoleCommand::Unwatch,
        "attendance" => ConsoleCommand::Attendance(file(rest)),
        "transcript" if rest.eq_ignore_ascii_case("off") => ConsoleCommand::Transcript(None),
        "transcript" => ConsoleCommand::Transcript(file(rest)),
        "register" => ConsoleCommand::Register(PathBuf::from(rest)),
        "stats" => ConsoleCommand::Stats,
        "info" => ConsoleCommand::Info,
        "help" => ConsoleCommand::Help,
        _ => ConsoleCommand::Quit,
    }))
}

fn unknown(verb: &str) -> String {
    let shown = Printable(verb).to_string();
    let verbs = VERBS.iter().map(|(verb, ..)| *verb);
    let same = SYNONYMS.iter().find(|(synonym, _)| *synonym == verb);
    match same.map(|(_, verb)| *verb).or_else(|| nearest(verb, verbs)) {
        Some(near) => mistakes::no_command_but(&shown, near),
        None => mistakes::no_command(&shown),
    }
}

/// The file that is named, if one is. Blanks may be in its name.
fn file(rest: &str) -> Option<PathBuf> {
    (!rest.is_empty()).then(|| PathBuf::from(rest))
}

/// The time that stands behind the first word, if any does.
fn time(rest: &str) -> Result<Option<Duration>, String> {
    let mut words = rest.split_whitespace().skip(1);
    match (words.next(), words.next()) {
        (None, _) => Ok(None),
        (Some(word), None) => parse_time(word).map(Some),
        (Some(_), Some(_)) => Err(mistakes::takes_one_time().to_owned()),
    }
}

fn parse_time(word: &str) -> Result<Duration, String> {
    match humantime::parse_duration(word) {
        Ok(time) if (SHORTEST_TIME..=LONGEST_TIME).contains(&time) => Ok(time),
        Ok(_) => Err(mistakes::time_out_of_bounds().to_owned()),
        Err(_) => Err(mistakes::no_time(&Printable(word).to_string())),
    }
}

fn name(word: &str) -> Result<String, Mistake> {
    match check_name(word) {
        Ok(()) => Ok(word.to_owned()),
        Err(why) => Err(Mistake {
            sentence: mistakes::no_name(&Printable(word).to_string(), &why.to_string()),
            no_name: Some(word.to_owned()),
        }),
    }
}

fn whom(word: &str) -> Result<Whom, Mistake> {
    match word.eq_ignore_ascii_case("all") {
        true => Ok(Whom::All),
        false => name(word).map(Whom::Name),
    }
}

fn name_or_address(word: &str) -> Result<Banned, Mistake> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Ok(Banned::Address(address.to_canonical()));
    }
    if word.contains(['.', ':']) {
        return Err(mistakes::no_address(&Printable(word).to_string()).into());
    }
    name(word).map(Banned::Name)
}

/// The candidate that `typed` may have been meant to be: one or two letters are wrong, missing, superfluous or
/// swapped, but no more than a third. Letter case doesn't matter.
pub(super) fn nearest<'a>(
    typed: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // No name and no verb is longer; the comparison takes time that grows with the square.
    const LONGEST: usize = 70;
    if typed.len() > LONGEST {
        return None;
    }
    let typed = typed.to_ascii_lowercase();
    candidates
        .map(|candidate| {
            let candidate_folded = candidate.to_ascii_lowercase();
            let is_start = typed.len() > 1 && candidate_folded.starts_with(&typed);
            let far = match is_start {
                true => 1,
                false => distance(&typed, &candidate_folded),
            };
            (far, candidate)
        })
        .filter(|(far, candidate)| *far <= 2 && far * 3 <= candidate.len().max(typed.len()))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added, removed or swapped with their neighbour to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    // Of the rows before this one, for the words' beginnings: distances to each beginning of the other.
    let mut row_before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, other_letter) in other.iter().enumerate() {
            let changed = row[j] + usize::from(letter != other_letter);
            let mut least = changed.min(row[j + 1] + 1).min(next[j] + 1);
            let is_swapped =
                i > 0 && j > 0 && *letter == other[j - 1] && one[i - 1] == *other_letter;
            if is_swapped {
                least = least.min(row_before[j - 1] + 1);
            }
            next.push(least);
        }
        row_before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood_whatever_their_case_and_white_space() {
        let minutes = |count: u64| Some(Duration::from_secs(60 * count));
        let anna = || "Anna".to_owned();
        let address = |text: &str| Banned::Address(text.parse().unwrap());
        for (line, expected) in [
            ("", None),
            (" \t\r\n", None),
            ("who", Some(ConsoleCommand::Who)),
            ("  WHO \r\n", Some(ConsoleCommand::Who)),
            ("who Refused", Some(ConsoleCommand::WhoRefused)),
            (
                "say  hello,  you \n",
                Some(ConsoleCommand::Say("hello,  you".to_owned())),
            ),
            (
                "say \"quoted\" /who",
                Some(ConsoleCommand::Say("\"quoted\" /who".to_owned())),
            ),
            (
                "mute Anna",
                Some(ConsoleCommand::Mute(Whom::Name(anna()), None)),
            ),
            (
                "mute Anna 5m",
                Some(ConsoleCommand::Mute(Whom::Name(anna()), minutes(5))),
            ),
            ("mute ALL", Some(ConsoleCommand::Mute(Whom::All, None))),
            (
                "tell Anna  come  here ",
                Some(ConsoleCommand::Tell(anna(), "come  here".to_owned())),
            ),
            ("slow 1m", Some(ConsoleCommand::Slow(minutes(1)))),
            ("slow off", Some(ConsoleCommand::Slow(None))),
            ("private OFF", Some(ConsoleCommand::Private(false))),
            ("private on", Some(ConsoleCommand::Private(true))),
            ("unban all", Some(ConsoleCommand::UnbanAll)),
            (
                "watch Anna",
                Some(ConsoleCommand::Watch(Banned::Name(anna()))),
            ),
            ("unwatch", Some(ConsoleCommand::Unwatch)),
            ("attendance", Some(ConsoleCommand::Attendance(None))),
            (
                "attendance my class.csv",
                Some(ConsoleCommand::Attendance(Some("my class.csv".into()))),
            ),
            ("transcript off", Some(ConsoleCommand::Transcript(None))),
            (
                "transcript a.jsonl",
                Some(ConsoleCommand::Transcript(Some("a.jsonl".into()))),
            ),
            (
                "register class.csv",
                Some(ConsoleCommand::Register("class.csv".into())),
            ),
            (
                "ban 192.0.2.7 2h",
                Some(ConsoleCommand::Ban(address("192.0.2.7"), minutes(120))),
            ),
            ("unmute all", Some(ConsoleCommand::Unmute(Whom::All))),
            ("kick\tAnna", Some(ConsoleCommand::Kick(anna(), None))),
            (
                "kick Anna  not  now ",
                Some(ConsoleCommand::Kick(anna(), Some("not  now".to_owned()))),
            ),
            (
                "ban Anna",
                Some(ConsoleCommand::Ban(Banned::Name(anna()), None)),
            ),
            (
                "ban 192.0.2.7",
                Some(ConsoleCommand::Ban(address("192.0.2.7"), None)),
            ),
            (
                "ban ::ffff:192.0.2.7",
                Some(ConsoleCommand::Ban(address("192.0.2.7"), None)),
            ),
            (
                "unban fd00::7",
                Some(ConsoleCommand::Unban(address("fd00::7"))),
            ),
            ("forget Anna", Some(ConsoleCommand::Forget(anna()))),
            ("lock", Some(ConsoleCommand::Lock)),
            ("unlock", Some(ConsoleCommand::Unlock)),
            ("bans", Some(ConsoleCommand::Bans)),
            ("stats", Some(ConsoleCommand::Stats)),
            ("help", Some(ConsoleCommand::Help)),
            ("quit", Some(ConsoleCommand::Quit)),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn a_mistyped_line_explains_itself() {
        for (line, words) in [
            ("wh0", "did you mean who?"),
            ("hwo", "did you mean who?"),
            ("mtue Anna", "did you mean mute?"),
            ("kcik Anna", "did you mean kick?"),
            ("unmut Anna", "did you mean unmute?"),
            ("stat", "did you mean stats?"),
            ("/help", "did you mean help?"),
            ("exit", "did you mean quit?"),
            ("hello everybody", "say TEXT"),
            ("\u{1b}[2J", "there is no \\u{1b}[2j"),
            ("who Anna", "who [refused]"),
            ("stats Anna", "stands alone"),
            ("kick", "kick NAME [why]"),
            ("say", "say TEXT"),
            ("say  ", "say TEXT"),
            ("unmute Anna Bobby", "one at a time"),
            ("mute Anna Bobby", "Bobby is no time"),
            ("mute Anna 5m 6m", "one at a time"),
            ("mute all 5m", "mute all takes no time"),
            ("ban Anna 5", "5 is no time"),
            ("ban Anna 100years", "from 1s to 365days"),
            ("slow", "slow TIME|off"),
            ("transcript", "transcript FILE|off"),
            ("register", "register FILE.csv"),
            ("slow down", "down is no time"),
            ("private maybe", "private off|on"),
            ("tell Anna", "tell NAME TEXT"),
            ("mute Al", "Al is no name: a name is 4 to 64"),
            ("kick admin", "reserved"),
            ("ban 192.168.1", "is no address"),
            ("ban 192.168.1.7:5004", "without a port"),
            ("forget \u{202e}", "\\u{202e} is no name"),
        ] {
            let told = parse(line).expect_err(line).sentence;
            assert!(told.contains(words), "{line:?}: {told}");
        }
    }

    #[test]
    fn every_verb_of_the_list_is_understood() {
        for (verb, usage, _) in VERBS {
            let line = match usage {
                "" => verb.to_owned(),
                "NAME TEXT" => format!("{verb} Anna hello"),
                "[refused]" => format!("{verb} refused"),
                "TIME|off" | "off|on" => format!("{verb} off"),
                _ => format!("{verb} Anna"),
            };
            assert!(
                parse(&line).is_ok_and(|command| command.is_some()),
                "{line}"
            );
        }
    }

    #[test]
    fn the_nearest_word_is_near() {
        let names = ["Anna", "Annika", "Bobby"];
        for (typed, expected) in [
            ("Ana", Some("Anna")),
            ("anna", Some("Anna")),
            ("Bob", Some("Bobby")),
            ("Carol", None),
            ("x", None),
            (&"x".repeat(10_000), None),
        ] {
            assert_eq!(nearest(typed, names.into_iter()), expected, "{typed}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("ab", "ba"), 1);
    }
}

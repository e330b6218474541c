//! A lesson in a terminal, as the pages about the console show it, in both languages.

use std::net::{IpAddr, TcpStream};

use serde_json::json;

use crate::editor::{PASTE_OFF, PASTE_ON, Terminal};
use crate::harness::{Client, Way};
use crate::language::bannable_address;
use crate::process::chatd;

/// The address that the pages have in place of this machine's.
const SHOWN_ADDRESS: &str = "192.0.2.2";

/// What differs between the two lessons.
struct Words {
    lang: &'static str,
    page: &'static str,
    plain: &'static str,
    greeting: &'static str,
    question: &'static str,
    reply: &'static str,
    why: &'static str,
    yes: &'static str,
    no: &'static str,
}

const ENGLISH: Words = Words {
    lang: "en",
    page: include_str!("../../docs/console.md"),
    plain: "plain",
    greeting: "Good morning. Please listen for a moment.",
    question: "Which port was it?",
    reply: "4004",
    why: "talk less",
    yes: "yes",
    no: "no",
};

const CHINESE: Words = Words {
    lang: "zh",
    page: include_str!("../../docs/console.zh.md"),
    plain: "明文",
    greeting: "早上好。请先听我说。",
    question: "端口是多少？",
    reply: "4004",
    why: "少说几句",
    yes: "是",
    no: "否",
};

#[test]
fn a_lesson_goes_as_the_page_shows_it() {
    compare(&ENGLISH);
}

#[test]
fn a_lesson_in_chinese_goes_as_the_page_shows_it() {
    compare(&CHINESE);
}

fn compare(words: &Words) {
    let Some(lan) = bannable_address() else {
        eprintln!("SKIPPED: this test needs an address that is not loopback");
        return;
    };
    let transcript = play(words, lan);
    let played: Vec<String> = transcript.lines().map(without_numbers).collect();
    let shown: Vec<String> = lesson_of(words.page).map(without_numbers).collect();
    assert!(
        played == shown,
        "the page shows another lesson than this:\n{transcript}"
    );
}

/// The lesson on a page: the fenced block with a verb that is mistyped.
fn lesson_of(page: &str) -> impl Iterator<Item = &str> {
    let fenced = page.split("```").find(|block| block.contains("> lokc"));
    fenced.expect("a lesson").trim().lines()
}

/// A line with what differs from one lesson to the next taken out: times, ports, counts of bytes, and how wide that makes
/// columns. Each number becomes 0.
fn without_numbers(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut kept = String::new();
    for char in words.join(" ").chars() {
        match char.is_ascii_digit() {
            true if kept.ends_with('0') => {}
            true => kept.push('0'),
            false => kept.push(char),
        }
    }
    kept.replace("0.0 KiB", "0 B").replace("0 KiB", "0 B")
}

/// Text without the sequences that move the cursor (ECMA-48, 5.4).
fn without_escapes(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |seen, part| {
        let end = part.find(|char| ('@'..='~').contains(&char));
        seen + end.map_or("", |end| &part[end + 1..])
    })
}

/// Plays a lesson, and returns what stood in the terminal.
fn play(words: &Words, lan: IpAddr) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command
        .args(["--bind", "0.0.0.0", "--lang", words.lang, "--log"])
        .arg(folder.path().join("log"));
    let mut lesson = Lesson {
        terminal: Terminal::start_in(words.lang, command),
        transcript: String::new(),
    };
    let tls = lesson.terminal.chatd.addresses("TLS")[0].port();
    let plain = lesson.terminal.chatd.addresses(words.plain)[0].port();
    let connect = |way: Way, address: IpAddr| {
        let port = if way.is_tls() { tls } else { plain };
        Client::over(TcpStream::connect((address, port)).unwrap(), way)
    };

    lesson.type_line("who");
    let mut alice = connect(Way::Plain, lan);
    alice.log_in("Alice");
    let mut brian = connect(Way::Tls, [127, 0, 0, 1].into());
    brian.register("Brian", "secret");
    brian.send(&json!({"Command": "01", "Name": "Brian", "Password": "secret"}));
    brian.expect_login();
    let mut carol = connect(Way::Plain, lan);
    carol.log_in("Carol");
    for text in ["one", "two"] {
        alice.say(text);
        while carol.receive()["Message"] != text {}
    }
    lesson.type_line("who");
    lesson.type_line(&format!("say {}", words.greeting));
    lesson.type_line("mute all");
    lesson.type_line("lokc");
    lesson.type_line("lock");
    lesson.type_line("unmute all");
    lesson.expect_unasked(words.question, || alice.write_to("admin", words.question));
    lesson.type_line(&format!("tell alice {}", words.reply));
    lesson.type_line("mute carol 5m");
    lesson.type_line("slow 10s");
    lesson.type_line("who");
    lesson.type_line(&format!("kick Carrol {}", words.why));
    lesson.type_line(&format!("kick Carol {}", words.why));
    carol.receive_all();
    lesson.type_line("slow off");
    lesson.type_line("unlock");
    let mut carol = connect(Way::Plain, lan);
    carol.log_in("Carol");
    lesson.type_line(&format!("ban {lan}"));
    lesson.type_line(words.no);
    lesson.type_line("ban Carol 2h");
    carol.receive_all();
    let mut carol = connect(Way::Plain, lan);
    carol.send(&json!({"Command": "01", "Name": "carol"}));
    carol.expect_refusal("11");
    lesson.type_line("who refused");
    lesson.type_line("bans");
    lesson.type_line("unban carol");
    lesson.type_line("forget Brian");
    lesson.type_line(words.yes);
    lesson.type_line("attendance");
    lesson.type_line("stats");
    lesson.type_line("quit");
    lesson.type_last_line(words.yes);
    lesson.transcript.replace(&lan.to_string(), SHOWN_ADDRESS)
}

/// A lesson that is played.
struct Lesson {
    terminal: Terminal,
    /// What stood in the terminal so far.
    transcript: String,
}

impl Lesson {
    /// Types a line, and waits for what is said to it. The editor ends bracketed paste before the answer, and starts it
    /// again after it.
    #[track_caller]
    fn type_line(&mut self, line: &str) {
        let typed = self.type_keys_of(line);
        let answer = self.terminal.chatd.process.out.text_after(typed, PASTE_ON);
        self.note(line, answer.trim_end_matches(PASTE_ON));
    }

    /// Types the line after which the server ends, and waits for that.
    #[track_caller]
    fn type_last_line(&mut self, line: &str) {
        let typed = self.type_keys_of(line);
        self.terminal.expect_end(0);
        let answer = self.terminal.printed().split_off(typed);
        self.note(line, &answer);
    }

    /// Types a line, and waits until the editor has taken it. Returns how many bytes were printed by then.
    #[track_caller]
    fn type_keys_of(&mut self, line: &str) -> usize {
        let before = self.terminal.printed().len();
        self.terminal.type_keys(&format!("{line}\r"));
        let output = &self.terminal.chatd.process.out;
        before + output.text_after(before, PASTE_OFF).len()
    }

    /// Adds a line and its answer to the transcript.
    fn note(&mut self, line: &str, answer: &str) {
        let answer = without_escapes(answer).replace('\r', "");
        self.transcript += &format!("> {line}{answer}");
    }

    /// Waits for a line that ends in `text`, and comes because of `cause`.
    #[track_caller]
    fn expect_unasked(&mut self, text: &str, cause: impl FnOnce()) {
        let before = self.terminal.printed().len();
        cause();
        let output = &self.terminal.chatd.process.out;
        let shown = output.text_after(before, text);
        let shown = without_escapes(&shown);
        let line = shown.rsplit(['\r', '\n']).next().unwrap_or_default();
        self.transcript += &format!("{line}\n");
    }
}

//! `chatd console`: the teacher's console of a server that has none of its own.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::editor::{PROMPT, Terminal};
use crate::harness::{Client, said};
use crate::process::{CHATD, Chatd, Process, chatd, isolate};

/// The program that attaches to the server whose data are in `folder`.
fn console(folder: &Path) -> Command {
    let mut command = Command::new(CHATD);
    isolate(&mut command)
        .arg("console")
        .args(["--lang", "en"])
        .env("CHATD_DATA_DIR", folder.join("data"));
    command
}

/// The same in a terminal, once it reads a line.
#[track_caller]
fn attach(folder: &Path) -> Terminal {
    let terminal = Terminal::start_unread("xterm", console(folder));
    let output = &terminal.chatd.process.out;
    output.read();
    let welcome = output.text_after(0, "Ctrl-D leaves it");
    output.text_after(welcome.len(), PROMPT);
    terminal
}

/// What a console that is no terminal prints for these lines.
#[track_caller]
fn answers(folder: &Path, lines: &[&str]) -> String {
    let mut command = console(folder);
    command.stdin(Stdio::piped());
    let mut process = Process::start(command);
    for line in lines {
        process.type_line(line);
    }
    process.input = None;
    let status = process.wait();
    assert_eq!(status.code(), Some(0), "{}", process.err.all());
    process.out.all()
}

/// A guest, and its 04 to the teacher: its receipt.
#[track_caller]
fn write_to_admin(guest: &mut Client, text: &str) -> i64 {
    guest.send(&json!({"Command": "04", "FriendName": "admin", "Message": text}));
    let receipt = guest.receive();
    assert_eq!(receipt["FriendName"], "admin", "{receipt}");
    receipt["Flag"].as_i64().unwrap()
}

#[test]
fn a_server_without_a_terminal_has_its_console_in_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    assert_eq!(write_to_admin(&mut anna, "hello?"), 0);

    let mut terminal = attach(folder.path());
    terminal.expect_raw();
    terminal.expect_answer("who\r", "Anna  guest");
    terminal.expect_answer("wh0\r", "did you mean who?");
    terminal.type_keys("kick an\t\u{1}");
    terminal.expect_answer("\u{b}say good morning\r", "Said to everybody.");
    assert_eq!(anna.receive(), said("admin", "good morning"));
    assert!(
        terminal.printed().contains("kick Anna"),
        "{}",
        terminal.printed()
    );

    // What comes unasked stands above the line that is typed, which stays.
    terminal.expect("say no", "no");
    let before = terminal.printed().len();
    assert_eq!(write_to_admin(&mut anna, "a question"), 1);
    let output = &terminal.chatd.process.out;
    let shown = output.text_after(before, "[Anna to you] a question");
    output.text_after(before + shown.len(), "say no");
    terminal.expect_answer("w\r", "Said to everybody.");
    assert_eq!(anna.receive(), said("admin", "now"));

    terminal.expect_answer("half a line\u{3}", "\r\n");
    terminal.expect_answer("\u{3}", "Ctrl-D leaves this console");
    terminal.expect_answer("\u{3}", "Ctrl-D leaves this console");
    terminal.expect_answer("quit\r", "1 user is online. Stop the server? (yes/no)");
    terminal.expect_answer("no\r", "The server goes on.");
    terminal.expect("\u{4}", "You have left the console.");
    terminal.expect_end(0);

    assert_eq!(write_to_admin(&mut anna, "hello?"), 0);
    let log = server.stop();
    assert!(log.contains("a console has attached"), "{log}");
}

#[test]
fn who_stops_the_server_from_another_terminal_is_asked_and_gets_that_terminal_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Chatd::start(chatd(folder.path()));
    let mut terminal = attach(folder.path());
    terminal.expect_answer("quit\r", "Nobody is online. Stop the server");
    terminal.expect_answer("who\r", "That was neither yes nor no. The server goes on.");
    terminal.expect_answer("quit\r", "Stop the server, not only this console? (yes/no)");
    terminal.expect("yes\r", "The server stops.");
    terminal.expect_end(0);
    assert_eq!(server.process.wait().code(), Some(0));
}

#[test]
fn a_console_tells_that_its_server_has_ended_and_gives_the_terminal_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut terminal = attach(folder.path());
    terminal.expect("half a line", "half a line");
    let before = terminal.printed().len();
    server.stop();
    let output = &terminal.chatd.process.out;
    output.text_after(before, "the server has ended");
    terminal.expect_end(1);
}

#[test]
fn a_script_gets_the_answers_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    let lines = ["mute all", "kick Anna see you", "bans"];
    assert_eq!(
        answers(folder.path(), &lines),
        "Everybody is muted. They can read, but not write; unmute all ends it.\n\
         Anna is kicked, but may come back; ban Anna would prevent that.\n\
         Nobody is banned.\n"
    );
    let last = anna.receive_all().pop().unwrap();
    assert_eq!(last, json!({"Command": "10", "Message": "see you"}));
    // Files are those of the server's data folder, since the server reads and writes them.
    let told = answers(folder.path(), &["attendance list.csv"]);
    assert!(told.contains("data/list.csv"), "{told}");
    let list = fs::read_to_string(folder.path().join("data/list.csv")).unwrap();
    assert!(list.contains("Anna"), "{list}");
    // Nobody is there to be asked.
    server.guest("Bobby");
    assert_eq!(
        answers(folder.path(), &["quit", "who"]),
        "The server stops.\n"
    );
    assert_eq!(server.process.wait().code(), Some(0));
}

#[test]
fn several_consoles_hear_what_students_write_and_do_not_end_what_another_one_watches() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    let mut one = attach(folder.path());
    let mut other = attach(folder.path());
    one.expect_answer("watch Anna\r", "Anna");
    anna.expect_notice();
    other.expect("\u{4}", "You have left the console.");
    other.expect_end(0);
    let other = attach(folder.path());
    let before = (one.printed().len(), other.printed().len());
    assert_eq!(write_to_admin(&mut anna, "help me"), 1);
    one.chatd
        .process
        .out
        .text_after(before.0, "[Anna to you] help me");
    one.chatd
        .process
        .out
        .text_after(before.0, "Anna -> {\"Command\":\"04\"");
    other
        .chatd
        .process
        .out
        .text_after(before.1, "[Anna to you] help me");
    one.expect("\u{4}", "You have left the console.");
    one.expect_end(0);
    assert!(anna.expect_notice().contains("no longer sees"));
    assert_eq!(write_to_admin(&mut anna, "thank you"), 1);
    let output = &other.chatd.process.out;
    output.text_after(before.1, "[Anna to you] thank you");
    server.stop();
}

#[test]
fn the_socket_is_its_owners_alone_and_is_gone_when_the_server_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/console.sock");
    let mut server = Chatd::start(chatd(folder.path()));
    let data = fs::symlink_metadata(&path).unwrap();
    assert!(data.file_type().is_socket());
    assert_eq!(data.permissions().mode() & 0o777, 0o600);
    server.process.kill();
    server.process.wait();
    // What is left over keeps nobody waiting, and the next server takes its place.
    assert!(path.exists());
    expect_no_server(folder.path());
    let server = Chatd::start(chatd(folder.path()));
    assert_eq!(answers(folder.path(), &["who"]), "Nobody is online.\n");
    server.stop();
    assert!(!path.exists());
    expect_no_server(folder.path());
    let left: Vec<_> = fs::read_dir(folder.path().join("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("console"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[track_caller]
fn expect_no_server(folder: &Path) {
    let mut command = console(folder);
    command.stdin(Stdio::null());
    let mut process = Process::start(command);
    assert_eq!(process.wait().code(), Some(1));
    let told = process.err.all();
    assert!(
        told.starts_with("chatd: no chatd runs with the data folder "),
        "{told}"
    );
    assert!(told.contains("--data-dir"), "{told}");
}

#[test]
fn a_data_folder_that_can_have_no_socket_keeps_no_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than the path of a socket may be (unix(7)).
    let long = folder.path().join("x".repeat(120));
    let mut command = chatd(folder.path());
    command.env("CHATD_DATA_DIR", &long);
    let server = Chatd::start(command);
    server.guest("Anna");
    assert!(server.log_line("chatd console").contains("no socket"));
    server.stop();
}

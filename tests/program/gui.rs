//! The example client with a window, worked by a script under a display that nobody sees.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{came, delivered, left, said, wrote};
use crate::odd_server::{Heartbeats, LOST_AFTER, ODD, OddServer};
use crate::process::{Chatd, Process, chatd, isolate};

/// Set where the window must be tested, so that a missing tool fails instead of being skipped.
const REQUIRED: &str = "CHATD_TEST_WINDOWS";

/// An X server of its own, on a display number that is free, and a Python that can make windows.
struct Display {
    _server: Process,
    name: String,
    python: &'static str,
}

impl Display {
    /// Starts it; if that can't be done here, says what is missing.
    fn start() -> Option<Display> {
        let has_tkinter = |python: &&str| {
            let mut command = Command::new(python);
            isolate(&mut command).args(["-c", "import tkinter"]);
            command.status().is_ok_and(|status| status.success())
        };
        let python = ["python3", "/usr/bin/python3"]
            .into_iter()
            .find(has_tkinter);
        let mut command = Command::new("Xvfb");
        isolate(&mut command).args(["-displayfd", "1", "-screen", "0", "1024x768x24"]);
        command.args(["-nolisten", "tcp", "-noreset"]);
        let missing = match (python, Command::new("Xvfb").arg("-help").output()) {
            (Some(python), Ok(_)) => {
                let server = Process::start(command);
                let number = server.out.line_where("a display's number", |line| {
                    line.trim().parse::<u32>().is_ok()
                });
                let name = format!(":{}", number.trim());
                return Some(Display {
                    _server: server,
                    name,
                    python,
                });
            }
            (None, _) => "a Python with tkinter (python3-tk)",
            (_, Err(_)) => "a display that nobody sees (xvfb)",
        };
        assert!(
            std::env::var_os(REQUIRED).is_none(),
            "this test needs {missing}"
        );
        eprintln!("SKIPPED: this test needs {missing}, which is not here");
        None
    }

    /// Opens a window, which asks for a login.
    fn window(&self) -> Process {
        self.window_that_waits("600")
    }

    /// The same, with a setting: how many seconds a server may be silent.
    fn window_that_waits(&self, lost_after: &str) -> Process {
        let folder = |parts: &[&str]| -> PathBuf {
            [&[env!("CARGO_MANIFEST_DIR")], parts]
                .concat()
                .iter()
                .collect()
        };
        let mut command = Command::new(self.python);
        isolate(&mut command)
            .args(["-B", "-X", "utf8"])
            .arg(folder(&["tests", "program", "gui_driver.py"]))
            .arg(folder(&["examples"]))
            .env("DISPLAY", &self.name)
            .env(LOST_AFTER, lost_after)
            .stdin(Stdio::piped());
        Process::start(command)
    }
}

/// Waits until a part of the window shows exactly this.
#[track_caller]
fn shows(window: &Process, line: &str) {
    window.out.line_where(line, |shown| shown == line);
}

/// The same where it may have shown this before, and then something else.
#[track_caller]
fn shows_now(window: &Process, part: &str, value: &str) {
    let is_last = |all: &str| {
        let mut states = all.lines().filter_map(|line| line.strip_prefix(part));
        states.next_back() == Some(value)
    };
    window.out.text_where(&format!("{part}{value}"), is_last);
}

/// The same for a line of a conversation, in front of which stands the time.
#[track_caller]
fn shows_speech(window: &Process, place: &str, text: &str) {
    let is_it = |line: &str| {
        let rest = line
            .strip_prefix(place)
            .and_then(|rest| rest.strip_prefix(": "));
        rest.and_then(|rest| rest.split_once("  "))
            .is_some_and(|(time, speech)| time.len() == "12:34".len() && speech == text)
    };
    window.out.line_where(&format!("{place}: {text}"), is_it);
}

fn log_in(window: &mut Process, server: &Chatd, name: &str) {
    log_in_at(window, server.plain_address(), name);
}

fn log_in_at(window: &mut Process, address: SocketAddr, name: &str) {
    window.type_line(&format!("fill server {}", address.ip()));
    window.type_line(&format!("fill port {}", address.port()));
    window.type_line(&format!("fill name {name}"));
    window.type_line("press Log in");
}

#[track_caller]
fn close(window: &mut Process) {
    window.type_line("close");
    assert!(window.wait().success());
    assert_eq!(window.err.all(), "");
    assert!(!window.out.all().contains("EXCEPTION"));
}

#[test]
fn the_window_shows_who_is_online_and_what_is_said() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut window = display.window();
    let mut bobby = server.guest("Bobby");
    log_in(&mut window, &server, "Anna");
    shows(&window, "friends: 2: Anna (you) (guest), Bobby (guest)");
    shows(&window, "status: online as Anna");
    bobby.expect(came("Anna", true));

    // A name of digits alone must not become a number, which would lose its zeros.
    let mut digits = server.guest("0042");
    shows(
        &window,
        "friends: 3: 0042 (guest), Anna (you) (guest), Bobby (guest)",
    );
    shows(&window, "Room 0: 0042 is here");
    bobby.expect(came("0042", true));

    window.type_line("type 大家好, hello");
    bobby.expect(said("Anna", "大家好, hello"));
    shows_speech(&window, "Room 1", "Anna: 大家好, hello");
    bobby.say("hi\nforged: line \u{202e}");
    shows_speech(&window, "Room 2", r"Bobby: hi\nforged: line \u202e");
    bobby.expect_command("32");

    window.type_line("open 0042");
    window.type_line("type only for you");
    assert_eq!(digits.receive()["Command"], "32");
    assert_eq!(digits.receive()["Command"], "32");
    digits.expect(wrote("Anna", "only for you"));
    shows_speech(&window, "0042 0", "Anna: only for you  ✓");
    bobby.write_to("Anna", "psst");
    bobby.expect(delivered("Anna"));
    shows(&window, "tabs: Room, 0042, Bobby (1)");
    shows_speech(&window, "Bobby 0", "Bobby: psst");
    window.type_line("open Bobby");
    shows(&window, "tabs: Room, 0042, Bobby");

    let carla = server.guest("Carla");
    digits.expect(came("Carla", true));
    digits.log_out();
    bobby.expect(came("Carla", true));
    bobby.expect(left("0042"));
    shows(
        &window,
        "friends: 3: Anna (you) (guest), Bobby (guest), Carla (guest)",
    );
    shows(&window, "0042 1: 0042 has left");
    bobby.log_out();
    shows(&window, "Bobby 1: Bobby has left");
    window.type_line("type too late");
    shows_speech(
        &window,
        "Bobby 2",
        "Anna: too late  ✗ no user of this name is online",
    );

    let mut watcher = server.guest("Watcher");
    shows(&window, "Room 6: Watcher is here");
    close(&mut window);
    watcher.expect(left("Anna"));
    drop((watcher, carla));
    server.stop();
}

#[test]
fn the_window_survives_the_servers_end_and_goes_on_with_another() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(&folder.path().join("first")));
    let mut window = display.window();
    log_in(&mut window, &server, "Anna");
    shows(&window, "friends: 1: Anna (you) (guest)");
    let address = server.plain_address();
    server.stop();
    #[cfg(unix)]
    shows(&window, "Room 0: The server says: the server stops");
    shows(&window, "Room 1: connection lost: the server has closed it");
    shows(&window, "can retry: True");
    shows_now(&window, "friends: ", "0: ");
    window.type_line("type is anybody there?");
    shows(&window, "typed: is anybody there?");

    let second = folder.path().join("second");
    let mut command = chatd(&second);
    command.env("CHATD_PORT", address.port().to_string());
    let server = Chatd::start(command);
    let mut bobby = server.guest("Bobby");
    window.type_line("press Try now");
    shows(&window, "friends: 2: Anna (you) (guest), Bobby (guest)");
    shows(&window, "Room 2: online again");
    shows_now(&window, "can retry: ", "False");
    bobby.expect(came("Anna", true));
    bobby.log_out();
    close(&mut window);
    server.stop();
}

#[test]
fn the_window_registers_verifies_the_certificate_and_says_why_not() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut window = display.window();
    log_in(&mut window, &server, "Al");
    shows(
        &window,
        "reason: login refused: a name is 4 to 64 characters long",
    );
    window.type_line("fill port none");
    window.type_line("press Log in");
    shows(&window, "reason: A port is a number from 1 to 65535.");
    window.type_line("tick");
    let address = server.tls_address();
    window.type_line(&format!("fill port {}", address.port()));
    window.type_line("fill name Anna");
    window.type_line("fill password geheim1");
    window.type_line("fill pin 00:11");
    window.type_line("press Register");
    window
        .out
        .line_with("reason: cannot connect to 127.0.0.1: refused, because its fingerprint is ");
    window.type_line(&format!("fill pin {}", server.fingerprint()));
    window.type_line("press Register");
    shows(&window, "friends: 1: Anna (you)");
    shows(&window, "status: online as Anna");
    close(&mut window);

    let mut again = display.window();
    log_in(&mut again, &server, "Anna");
    again.out.line_with("reason: login refused: ");
    let mut watcher = server.connect();
    watcher.send(&json!({"Command": "01", "Name": "Watcher"}));
    assert_eq!(watcher.expect_login().len(), 1);
    again.type_line("tick");
    again.type_line(&format!("fill port {}", address.port()));
    again.type_line("fill password geheim1");
    again.type_line("press Log in");
    again.out.line_with("Room 0: NOT verified: ");
    watcher.expect(came("Anna", false));
    close(&mut again);
    watcher.expect(left("Anna"));
    watcher.log_out();
    server.stop();
}

#[test]
fn the_window_notices_that_the_server_has_vanished_and_comes_back() {
    let Some(display) = Display::start() else {
        return;
    };
    let server = OddServer::start();
    let mut window = display.window_that_waits("1");
    log_in_at(&mut window, server.address(), "Anna");
    let mut vanished = server.welcome(json!([["Anna", 1], ["Bobby", 0]]));
    let heartbeats = Heartbeats::start(&vanished);
    shows(&window, "friends: 2: Anna (you) (guest), Bobby");
    window.type_line("open Bobby");
    window.type_line("type did you get this?");
    vanished.expect_command("04");
    drop(heartbeats);
    let why = "connection lost: nothing came for 1 s";
    shows(&window, &format!("status: {why}; trying again in 2 s"));
    shows_speech(
        &window,
        "Bobby 0",
        "Anna: did you get this?  ✗ the connection was lost",
    );
    // Whichever conversation one looks at, it is there.
    shows(&window, &format!("Bobby 1: {why}"));
    shows(&window, &format!("Room 0: {why}"));

    let mut back = server.welcome(json!([["Anna", 1]]));
    let heartbeats = Heartbeats::start(&back);
    shows(&window, "Bobby 2: online again");
    shows_now(&window, "status: ", "online as Anna");
    window.type_line("room");
    window.type_line("type here I am");
    assert_eq!(back.expect_command("05")["Message"], "here I am");
    close(&mut window);
    back.expect_command("03");
    drop(heartbeats);
}

#[test]
fn the_window_says_in_words_why_it_cannot_connect_and_stays_alive() {
    let Some(display) = Display::start() else {
        return;
    };
    let mut window = display.window();
    shows(&window, "focus: Your name");
    window.type_line("press Log in");
    shows(&window, "reason: Server and name are needed.");

    let closed = OddServer::start().address();
    log_in_at(&mut window, closed, "Anna");
    let refused = "no server runs at this address and port";
    shows(
        &window,
        &format!("reason: cannot connect to 127.0.0.1: {refused}"),
    );
    window.type_line("fill server no.such.host.invalid");
    window.type_line("press Log in");
    let unknown = "no machine of this name was found";
    shows(
        &window,
        &format!("reason: cannot connect to no.such.host.invalid: {unknown}"),
    );

    // A machine that does not answer: here, because nobody accepts and the queue is full.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let patience = std::time::Duration::from_millis(300);
    let queue: Vec<TcpStream> =
        std::iter::from_fn(|| TcpStream::connect_timeout(&address, patience).ok())
            .take(100)
            .collect();
    if queue.len() == 100 {
        eprintln!("SKIPPED in part: here a full queue is no silent machine");
    } else {
        log_in_at(&mut window, address, "Anna");
        shows(&window, "status: connecting to 127.0.0.1 …");
        window.type_line("ping meanwhile");
        shows(&window, "pong meanwhile");
        assert!(!window.out.so_far().contains("no answer"));
        shows(
            &window,
            "reason: cannot connect to 127.0.0.1: no answer; is this its address, and the same network?",
        );
    }

    // And the next one works.
    let server = OddServer::start();
    log_in_at(&mut window, server.address(), "Anna");
    let _session = server.welcome(json!([["Anna", 1]]));
    shows(&window, "status: online as Anna");
    shows(&window, "focus: line");
    close(&mut window);
}

#[test]
fn the_window_keeps_the_newest_line_in_sight_unless_the_user_has_left_it() {
    let Some(display) = Display::start() else {
        return;
    };
    let server = OddServer::start();
    let mut window = display.window();
    log_in_at(&mut window, server.address(), "Anna");
    let mut session = server.welcome(json!([["Anna", 1]]));
    let mut line = 0;
    let mut say = |session: &mut crate::harness::Client, text: &str| {
        session.send(&said("Bobby", text));
        line += 1;
        format!("Room {}", line - 1)
    };
    for number in 0..60 {
        say(&mut session, &format!("line {number}"));
    }
    let place = say(&mut session, &"long ".repeat(12_000));
    let cut = format!(
        "Bobby: {} … (cut: 58000 more characters)",
        "long ".repeat(400)
    );
    shows_speech(&window, &place, &cut);
    // The first is less than the least.
    for (size, shown) in [
        ("300x200", "400x300"),
        ("900x600", "900x600"),
        ("480x360", "480x360"),
    ] {
        window.type_line(&format!("geometry {size}"));
        shows(&window, &format!("size: {shown}"));
        shows_now(&window, "end in sight: ", "True");
        let place = say(&mut session, &format!("at {size}"));
        shows_speech(&window, &place, &format!("Bobby: at {size}"));
        shows_now(&window, "end in sight: ", "True");
    }
    window.type_line("scroll 0");
    shows_now(&window, "end in sight: ", "False");
    let place = say(&mut session, "not seen");
    shows_speech(&window, &place, "Bobby: not seen");
    shows_now(&window, "end in sight: ", "False");
    window.type_line("scroll 1");
    shows_now(&window, "end in sight: ", "True");

    // What is typed where nobody can type goes to the line.
    window.type_line("key h");
    shows(&window, "typed: h");
    close(&mut window);
}

#[test]
fn the_window_closes_conversations_and_keeps_what_was_said_in_them() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut window = display.window();
    log_in(&mut window, &server, "Anna");
    shows(&window, "friends: 1: Anna (you) (guest)");
    let mut bobby = server.guest("Bobby");
    for text in ["one", "two"] {
        bobby.write_to("Anna", text);
        bobby.expect(delivered("Anna"));
    }
    shows(&window, "tabs: Room, Bobby (2)");
    window.type_line("open Bobby");
    shows(&window, "tabs: Room, Bobby");
    window.type_line("press ×");
    shows_now(&window, "tabs: ", "Room");
    // It comes back with what is new, and with what was there.
    bobby.write_to("Anna", "three");
    bobby.expect(delivered("Anna"));
    shows(&window, "tabs: Room, Bobby (1)");
    shows_speech(&window, "Bobby 2", "Bobby: three");
    shows_speech(&window, "Bobby 0", "Bobby: one");

    window.type_line("press Log out");
    bobby.expect(left("Anna"));
    shows_now(&window, "page: ", "login");
    shows_now(&window, "tabs: ", "Room");
    window.type_line("fill name Carla");
    window.type_line("press Log in");
    bobby.expect(came("Carla", true));
    shows(&window, "status: online as Carla");
    window.type_line("open Bobby");
    window.type_line("type hello");
    bobby.expect(wrote("Carla", "hello"));
    shows_speech(&window, "Bobby 0", "Carla: hello  ✓");
    close(&mut window);
    bobby.expect(left("Carla"));
    bobby.log_out();
    server.stop();
}

#[test]
fn what_is_no_text_where_text_should_be_harms_no_window() {
    let Some(display) = Display::start() else {
        return;
    };
    let server = OddServer::start();
    let mut window = display.window();
    log_in_at(&mut window, server.address(), "Anna");
    let friends = json!([
        ["Anna", true],
        [["x"], 1],
        7,
        null,
        ["Bobby", 0],
        ["bobby", 0],
        [5, 0]
    ]);
    let mut session = server.welcome(friends);
    shows(&window, "friends: 2: Anna (you) (guest), Bobby");
    for odd in ODD {
        session.send_text(odd);
    }
    // Once more who is here already, and away who never was.
    session.send(&came("Bobby", false));
    session.send(&left("Nobody"));
    session.send(&said("Bobby", "after all of this \u{1f600}"));
    window.out.line_with("Bobby: after all of this");
    close(&mut window);
}

//! The example client with a window, worked by a script under a display that nobody sees.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{came, delivered, left, said, wrote};
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
            .stdin(Stdio::piped());
        Process::start(command)
    }
}

/// Waits until a part of the window shows exactly this.
#[track_caller]
fn shows(window: &Process, line: &str) {
    window.out.line_where(line, |shown| shown == line);
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
    let address = server.plain_address();
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
    shows(&window, "friends: 2: Anna (guest) (you), Bobby (guest)");
    shows(&window, "status: online as Anna");
    bobby.expect(came("Anna", true));

    // A name of digits alone must not become a number, which would lose its zeros.
    let mut digits = server.guest("0042");
    shows(
        &window,
        "friends: 3: 0042 (guest), Anna (guest) (you), Bobby (guest)",
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
        "friends: 3: Anna (guest) (you), Bobby (guest), Carla (guest)",
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
    shows(&window, "friends: 1: Anna (guest) (you)");
    server.stop();
    #[cfg(unix)]
    shows(&window, "Room 0: The server says: the server stops");
    shows(&window, "status: not connected: the server has closed it");
    shows(&window, "can reconnect: True");

    let second = folder.path().join("second");
    let server = Chatd::start(chatd(&second));
    let mut bobby = server.guest("Bobby");
    window.type_line(&format!("fill port {}", server.plain_address().port()));
    window.type_line("press Reconnect");
    shows(&window, "friends: 2: Anna (guest) (you), Bobby (guest)");
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
        "status: refused: a name is 4 to 64 characters long",
    );
    window.type_line("fill port none");
    window.type_line("press Log in");
    window
        .out
        .line_with("status: not connected: invalid literal");
    window.type_line("tick");
    let address = server.tls_address();
    window.type_line(&format!("fill port {}", address.port()));
    window.type_line("fill name Anna");
    window.type_line("fill password geheim1");
    window.type_line("fill pin 00:11");
    window.type_line("press Register");
    window
        .out
        .line_with("status: not connected: refused, because its fingerprint is ");
    window.type_line(&format!("fill pin {}", server.fingerprint()));
    window.type_line("press Register");
    shows(&window, "friends: 1: Anna (you)");
    shows(&window, "status: online as Anna");
    close(&mut window);

    let mut again = display.window();
    log_in(&mut again, &server, "Anna");
    again.out.line_with("status: refused: ");
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

//! The example client in Python, tried on the program.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::accounts::{PASSWORD, line_for};
use crate::harness::{came, left, said, wrote};
use crate::process::{Chatd, Process, can_run, chatd, isolate};

fn script() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "examples", "client.py"]
        .iter()
        .collect()
}

fn python() -> Command {
    let mut command = Command::new("python3");
    isolate(&mut command)
        .args(["-B", "-X", "utf8"])
        .stdin(Stdio::piped());
    command
}

/// Starts the client, with the address to connect to and further arguments.
fn client(address: SocketAddr, arguments: &[&str]) -> Process {
    Process::start(command(address, arguments))
}

fn command(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = python();
    command
        .arg(script())
        .arg(address.ip().to_string())
        .args(["--port", &address.port().to_string()])
        .args(arguments);
    command
}

/// A server on which Petra is registered.
fn server() -> (Chatd, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("accounts.jsonl"), line_for("Petra") + "\n").unwrap();
    (Chatd::start(chatd(folder.path())), folder)
}

#[test]
fn two_python_clients_talk_to_the_room_and_to_each_other() {
    if !can_run("python3", "--version") {
        return;
    }
    let (server, _folder) = server();
    let mut anna = client(server.plain_address(), &["Anna"]);
    anna.out.line_with("online: Anna (guest)");
    let mut petra = client(server.tls_address(), &["--tls", "Petra", PASSWORD]);
    petra.out.line_with("online: Anna (guest), Petra");
    anna.out.line_with("Petra is here");

    anna.type_line("good morning, 早上好");
    for client in [&anna, &petra] {
        client.out.line_with("Anna: good morning, 早上好");
    }
    petra.type_line("@Anna only for you");
    anna.out.line_with("[Petra to you] only for you");
    petra.out.line_with("sent to Anna");
    anna.type_line("/msg Petra and for you");
    petra.out.line_with("[Anna to you] and for you");
    anna.out.line_with("sent to Petra");
    petra.type_line("@Nobody are you there?");
    petra.out.line_with("NOT sent to Nobody");

    let mut bobby = server.guest("Bobby");
    petra.out.line_with("Bobby is here");
    petra.type_line("/who");
    petra
        .out
        .line_with("online: Anna (guest), Bobby (guest), Petra");
    bobby.write_to("Petra", "\u{1b}[2J\u{7}\u{9b}\u{202e}\r\nforged");
    let line = petra.out.line_with("[Bobby to you]");
    assert!(
        line.contains(r"\x1b[2J\x07\x9b\u202e\r\nforged"),
        "{line:?}"
    );
    bobby.expect_command("14");

    anna.type_line("/quit");
    assert!(anna.wait().success(), "{}", anna.err.all());
    bobby.expect(left("Anna"));
    petra.out.line_with("Anna has left");
    bobby.log_out();
    petra.out.line_with("Bobby has left");
    petra.type_line("/who");
    petra
        .out
        .line_where("only one who is online", |line| line == "* online: Petra");
    assert_eq!(petra.err.so_far() + &anna.err.all(), "");

    server.stop();
    petra.out.line_with("the server says: ");
    assert_eq!(petra.wait().code(), Some(1));
}

#[test]
fn the_python_client_trusts_the_pinned_certificate_only() {
    if !can_run("python3", "--version") {
        return;
    }
    let (server, _folder) = server();
    let right = server.fingerprint();
    let mut watcher = server.guest("Watcher");
    let lower_case = right.to_lowercase().replace(':', "");
    for (arguments, name) in [
        (["--tls", "--fingerprint", &right], "Anna"),
        (["--tls", "--fingerprint", &lower_case], "Bobby"),
    ] {
        let arguments = [&arguments[..], &[name]].concat();
        let mut client = client(server.tls_address(), &arguments);
        client.out.line_with(&format!("online: {name} (guest)"));
        watcher.expect(came(name, true));
        client.type_line("/quit");
        assert!(client.wait().success());
        watcher.expect(left(name));
        assert!(!client.out.all().contains("NOT verified"));
    }

    let changed = if right.starts_with('0') { "1" } else { "0" };
    let wrong = format!("{changed}{}", &right[1..]);
    for fingerprint in [&wrong, &right[..right.len() - 3], ""] {
        let arguments = ["--fingerprint", fingerprint, "Carla"];
        let mut client = client(server.tls_address(), &arguments);
        assert!(!client.wait().success());
        let complaint = client.err.all();
        assert!(complaint.contains("refused"), "{complaint}");
        assert!(!complaint.contains("Traceback"), "{complaint}");
    }

    let mut unpinned = client(server.tls_address(), &["--tls", "Doris"]);
    let warning = unpinned.out.line_with("NOT verified");
    assert!(warning.contains(&lower_case), "{warning}");
    watcher.expect(came("Doris", true));
    // The end of the input is a logout too.
    unpinned.input = None;
    assert!(unpinned.wait().success());
    watcher.expect(left("Doris"));
    watcher.expect_nothing();
    watcher.log_out();
    server.stop();
}

#[cfg(unix)]
#[test]
fn the_python_client_does_not_come_back_to_another_server() {
    if !can_run("python3", "--version") {
        return;
    }
    let (server, folder) = server();
    let address = server.tls_address();
    let command = command(address, &["--tls", "Anna"]);
    let (mut client, mut keyboard) = crate::odd_server::in_a_terminal(command);
    client.out.line_with("online: Anna (guest)");
    server.stop();
    client.out.line_with("; trying again in ");
    let mut imposter = chatd(&folder.path().join("second"));
    imposter.env("CHATD_TLS_PORT", address.port().to_string());
    let imposter = Chatd::start(imposter);
    let mut watcher = imposter.guest("Watcher");
    client.out.line_with("refused, because its fingerprint is ");
    watcher.expect_nothing();
    keyboard.write_all(b"/quit\n").unwrap();
    assert!(client.wait().success(), "{}", client.err.all());
    watcher.log_out();
    imposter.stop();
}

#[test]
fn the_python_client_says_why_a_login_is_refused() {
    if !can_run("python3", "--version") {
        return;
    }
    let (server, _folder) = server();
    let anna = server.guest("Anna");
    for arguments in [
        &["anna"][..],
        &["Bob"],
        &["Admin"],
        &["Petra"],
        &["Petra", "wrong"],
    ] {
        let mut client = client(server.plain_address(), arguments);
        assert_eq!(client.wait().code(), Some(1), "{arguments:?}");
        let said = client.err.all();
        assert!(said.starts_with("login refused: "), "{said}");
        assert_eq!(client.out.all(), "");
    }
    anna.log_out();
    let address = server.plain_address();
    server.stop();
    let mut late = client(address, &["Anna"]);
    assert!(!late.wait().success());
    let complaint = late.err.all();
    assert!(complaint.contains("cannot connect"), "{complaint}");
    assert!(!complaint.contains("Traceback"), "{complaint}");
}

#[test]
fn the_python_client_registers_and_logs_in_with_a_password() {
    if !can_run("python3", "--version") {
        return;
    }
    let (server, _folder) = server();
    let mut anna = client(server.plain_address(), &["Anna"]);
    anna.out.line_with("online");
    anna.type_line("/register Anna geheim1");
    anna.out
        .line_where("a success", |line| line == "* registered");
    anna.type_line("/register Petra geheim1");
    anna.out.line_with("not registered: ");
    anna.type_line("/quit");
    assert!(anna.wait().success());
    let mut bobby = server.guest("Bobby");
    let mut anna = client(server.plain_address(), &["Anna", "geheim1"]);
    bobby.expect(came("Anna", false));
    anna.out.line_with("online: Anna, Bobby (guest)");
    bobby.say("hi");
    bobby.expect(said("Bobby", "hi"));
    anna.out.line_with("Bobby: hi");
    bobby.send(&json!({"Command": "04", "FriendName": "Anna", "Message": ""}));
    anna.out.line_with("[Bobby to you]");
    anna.type_line("@Bobby bye");
    let private = std::iter::from_fn(|| Some(bobby.receive())).find(|of| of["Command"] == "13");
    assert_eq!(private, Some(wrote("Anna", "bye")));
    anna.type_line("/quit");
    assert!(anna.wait().success());
    drop(bobby);
    server.stop();
}

#[test]
fn the_python_client_sends_and_receives_at_once_over_both_kinds_of_connection() {
    const LINES: usize = 400;
    if !can_run("python3", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.args(["--rate", "0", "--byte-rate", "0"]);
    let server = Chatd::start(command);
    // More than the kernel buffers: a client that does not read while it sends can't finish.
    let filler = "多".repeat(1000);
    let typed: String = (0..LINES).map(|n| format!("{n} {filler}\n")).collect();
    for (address, tls) in [
        (server.plain_address(), &[][..]),
        (server.tls_address(), &["--tls"]),
    ] {
        let mut client = client(address, &[tls, &["Flora"]].concat());
        client.out.line_with("online: Flora (guest)");
        // The end of the input is a logout; what was said before it still comes back.
        let mut input = client.input.take().unwrap();
        input.write_all(typed.as_bytes()).unwrap();
        drop(input);
        assert!(client.wait().success(), "{}", client.err.all());
        let printed = client.out.all();
        let said: Vec<&str> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("Flora: "))
            .collect();
        assert!(said.iter().copied().eq(typed.lines()), "{tls:?}");
    }
    server.stop();
}

#[test]
fn the_python_frame_reader_does_not_care_how_bytes_are_cut() {
    if !can_run("python3", "--version") {
        return;
    }
    const TEST: &str = r#"
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("client", sys.argv[1])
client = importlib.util.module_from_spec(spec)
spec.loader.exec_module(client)

OBJECTS = [
    {"Command": "11", "Flag": 1, "Friends": [["Anna", 1], ["Bobby", 0]]},
    {"Command": "32", "Speaker": "Anna", "Message": "你好, \U0001f600 é \u2028 \x85"},
    {"Command": "13", "FriendName": "Anna", "Message": "}{ \" \\ \\\" [{ \n \x00"},
    {"Command": "13", "FriendName": "Anna", "Message": "ends in \\"},
    {"Command": "99", "nested": {"a": {}, "b": [{}, {"c": "}"}]}},
    {"Command": "14"},
]
def stream(between, **how):
    return b"".join(json.dumps(each, **how).encode() + between for each in OBJECTS)
STREAMS = [
    stream(b"\n", ensure_ascii=False, separators=(",", ":")),
    stream(b""),
    stream(b" \r\n\t", indent=2, ensure_ascii=False),
]
def read(pieces):
    reader = client.FrameReader()
    return [each for piece in pieces for each in reader.feed(piece)]
for data in STREAMS:
    assert read([data]) == OBJECTS, "several objects in one recv"
    assert read([data[i:i + 1] for i in range(len(data))]) == OBJECTS, "byte by byte"
    for size in (2, 3, 5, 7):
        assert read([data[i:i + size] for i in range(0, len(data), size)]) == OBJECTS, size
    for cut in range(len(data) + 1):
        assert read([data[:cut], data[cut:]]) == OBJECTS, cut
    reader, seen = client.FrameReader(), 0
    for each in OBJECTS:
        end = data.index(b"}", seen) + 1
        while True:
            try:
                json.loads(data[seen:end])
                break
            except ValueError:
                end = data.index(b"}", end) + 1
        assert reader.feed(data[seen:end - 1]) == [], "not before the brace"
        assert reader.feed(data[end - 1:end]) == [each], "at the brace, without a newline"
        seen = end
assert client.FrameReader().feed(b"") == []
print("all is well")
"#;
    let mut command = python();
    command.args(["-c", TEST]).arg(script());
    let mut test = Process::start(command);
    let status = test.wait();
    assert!(status.success(), "{}", test.err.all());
    assert_eq!(test.out.all().trim_end(), "all is well");
}

//! The example clients and a server that is not as it should be: it vanishes without a word, comes back, and sends what
//! is no text. The test is that server.

use std::fs;
#[cfg(unix)]
use std::fs::File;
use std::io::Write;
#[cfg(unix)]
use std::net::Shutdown;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, Way, said};
use crate::process::{Process, can_run, example, isolate};

/// The setting of all three clients: after how many seconds of silence a server is lost.
pub const LOST_AFTER: &str = "CHAT_LOST_AFTER";

/// Messages with something else where the protocol has a text or a number.
pub const ODD: [&str; 14] = [
    r#"{"Command":"30","LogOnUserName":["Doris"]}"#,
    r#"{"Command":"30","LogOnUserName":null,"IsUserGuest":"yes"}"#,
    r#"{"Command":"30"}"#,
    r#"{"Command":"31","LogOutUserName":17}"#,
    r#"{"Command":"31","LogOutUserName":{"Anna":1}}"#,
    r#"{"Command":"32","Speaker":false,"Message":1.5}"#,
    r#"{"Command":"13","FriendName":[],"Message":{}}"#,
    r#"{"Command":"14","Flag":[1],"FriendName":[]}"#,
    r#"{"Command":"14","Flag":0,"FriendName":3,"Message":null}"#,
    r#"{"Command":"12","Flag":"1"}"#,
    r#"{"Command":"10","Message":["x"]}"#,
    r#"{"Command":["32"],"Flag":{}}"#,
    r#"{"Command":{},"Friends":4}"#,
    "{}",
];

/// A server that does what a test tells it to.
pub struct OddServer {
    listener: TcpListener,
}

impl OddServer {
    pub fn start() -> OddServer {
        OddServer::start_at("127.0.0.1:0".parse().unwrap())
    }

    pub fn start_at(address: SocketAddr) -> OddServer {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        OddServer { listener }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection, whose first words are a login.
    #[track_caller]
    pub fn accept(&self) -> Client {
        let deadline = Instant::now() + PATIENCE;
        let socket = loop {
            match self.listener.accept() {
                Ok((socket, _)) => break socket,
                Err(_) => assert!(Instant::now() < deadline, "nobody connects"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        socket.set_nonblocking(false).unwrap();
        // What the harness calls a client is one side of a conversation, and here it is the server's.
        let mut session = Client::over(socket, Way::Plain);
        session.expect_command("01");
        session
    }

    /// The same, with an answer: these are online.
    #[track_caller]
    pub fn welcome(&self, friends: Value) -> Client {
        let mut session = self.accept();
        session.send(&json!({"Command": "11", "Flag": 1, "Friends": friends}));
        session
    }
}

/// Heartbeats, many a second, until this is dropped: then there is silence.
pub struct Heartbeats {
    _end: Sender<()>,
}

impl Heartbeats {
    pub fn start(session: &Client) -> Heartbeats {
        let (end, ended) = mpsc::channel();
        let mut socket = session.socket().try_clone().unwrap();
        thread::spawn(move || {
            let pause = Duration::from_millis(100);
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
                && socket.write_all(b"{\"Command\":\"14\"}\n").is_ok()
            {}
        });
        Heartbeats { _end: end }
    }
}

fn script() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join("examples").join("client.py")
}

/// The text clients that can be run here, each about to connect as Anna.
fn clients(address: SocketAddr) -> Vec<Command> {
    let mut clients = vec![example("client")];
    if can_run("python3", "--version") {
        let mut python = Command::new("python3");
        isolate(&mut python)
            .args(["-B", "-X", "utf8"])
            .arg(script());
        clients.push(python);
    }
    for client in &mut clients {
        client
            .arg(address.ip().to_string())
            .arg("Anna")
            .args(["--port", &address.port().to_string()])
            .stdin(Stdio::piped());
    }
    clients
}

#[test]
fn a_script_is_told_that_the_server_has_vanished() {
    let server = OddServer::start();
    for mut client in clients(server.address()) {
        client.env(LOST_AFTER, "1");
        let mut client = Process::start(client);
        let session = server.welcome(json!([["Anna", 1]]));
        client.out.line_with("online: Anna (guest)");
        // Its input is still open, so nothing but the silence can end it.
        assert_eq!(client.wait().code(), Some(1));
        let complaint = client.err.all();
        let is_it = complaint.ends_with("connection lost: nothing came for 1 s\n");
        assert!(is_it && complaint.lines().count() == 1, "{complaint}");
        drop(session);
    }
}

#[test]
fn a_script_is_told_that_the_server_has_closed_the_connection() {
    let server = OddServer::start();
    for client in clients(server.address()) {
        let mut client = Process::start(client);
        let session = server.welcome(json!([["Anna", 1]]));
        client.out.line_with("online: Anna (guest)");
        drop(session);
        assert_eq!(client.wait().code(), Some(1));
        let complaint = client.err.all();
        assert!(
            complaint.contains("the server has closed it"),
            "{complaint}"
        );
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}

#[test]
fn a_server_that_says_something_in_time_is_not_lost() {
    let server = OddServer::start();
    for mut client in clients(server.address()) {
        client.env(LOST_AFTER, "5");
        let mut client = Process::start(client);
        let mut session = server.welcome(json!([["Anna", 1]]));
        // In all, it takes longer than it may be silent. Half a message is a sign of life, too.
        for piece in [
            "{\"Command\":\"32\",\"Speaker\":",
            "\"Bobby\",",
            "\"Message\":\"slow\"}\n",
        ] {
            thread::sleep(Duration::from_secs(2));
            session.send_text(piece);
        }
        client.out.line_with("Bobby: slow");
        client.type_line("/quit");
        session.expect_command("03");
        drop(session);
        assert!(client.wait().success(), "{}", client.err.all());
    }
}

#[test]
fn the_clients_learn_from_the_heartbeats_how_long_a_silence_may_last() {
    let server = OddServer::start();
    for client in clients(server.address()) {
        let mut client = Process::start(client);
        let mut session = server.welcome(json!([["Anna", 1]]));
        for _ in 0..4 {
            session.send(&json!({"Command": "14"}));
            thread::sleep(Duration::from_millis(50));
        }
        // Three of these are less than the least, which is 5 s, and that is less than the usual 45.
        assert_eq!(client.wait().code(), Some(1));
        let complaint = client.err.all();
        let (_, seconds) = complaint.split_once("nothing came for ").expect(&complaint);
        let seconds: f64 = seconds.split(' ').next().unwrap().parse().unwrap();
        assert!((5.0..45.0).contains(&seconds), "{complaint}");
    }
}

/// A person's terminal: what the program in it reads is typed into the file, and what it writes comes out there.
#[cfg(unix)]
pub fn in_a_terminal(mut command: Command) -> (Process, File) {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap();
    let inside = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    // The output is a pipe, so that what is typed is not echoed into it.
    command.stdin(File::from(inside));
    (Process::start(command), File::from(keyboard))
}

#[cfg(unix)]
#[test]
fn a_person_finds_the_clients_coming_back_by_themselves() {
    let server = OddServer::start();
    let address = server.address();
    let mut server = Some(server);
    for mut client in clients(address) {
        client.env(LOST_AFTER, "1");
        let (mut client, mut keyboard) = in_a_terminal(client);
        let here = server.take().unwrap();
        let vanished = here.welcome(json!([["Anna", 1]]));
        client.out.line_with("online: Anna (guest)");
        client
            .out
            .line_with("* connection lost: nothing came for 1 s; trying again in 2 s");
        keyboard.write_all(b"hello?\n").unwrap();
        client.out.line_with("* NOT sent");

        let mut back = here.welcome(json!([["Anna", 1], ["Carla", 0]]));
        let heartbeats = Heartbeats::start(&back);
        client.out.line_with("online: Anna (guest), Carla");
        keyboard.write_all(b"here I am\n").unwrap();
        let spoken = back.expect_command("05");
        assert_eq!(spoken["Message"], "here I am");
        back.send(&json!({"Command": "10", "Message": "no more"}));
        client.out.line_with("* the server says: no more");
        drop(here);
        back.socket().shutdown(Shutdown::Both).unwrap();
        drop(heartbeats);
        client
            .out
            .line_with("* connection lost: the server has closed it; trying again in 2 s");
        client.out.line_where("a longer pause", |line| {
            line.starts_with("* cannot connect to ") && line.ends_with("; trying again in 4 s")
        });

        // Back at the same address, it refuses, as one does that still holds the lost connection for alive.
        let here = OddServer::start_at(address);
        let mut refusing = here.accept();
        refusing.send(&json!({"Command": "11", "Flag": 0, "Friends": [], "Message": "in use"}));
        client
            .out
            .line_with("* login refused: in use; trying again in 8 s");
        keyboard.write_all(b"/quit\n").unwrap();
        assert!(client.wait().success(), "{}", client.err.all());
        assert_eq!(client.err.all(), "");
        drop(vanished);
        server = Some(here);
    }
}

#[cfg(unix)]
#[test]
fn a_person_who_was_never_online_is_told_why_at_once() {
    let server = OddServer::start();
    for client in clients(server.address()) {
        let (mut client, _keyboard) = in_a_terminal(client);
        let mut session = server.accept();
        session
            .send(&json!({"Command": "11", "Flag": 0, "Message": "no \u{1b}[2J", "Friends": []}));
        assert_eq!(client.wait().code(), Some(1));
        let complaint = client.err.all();
        assert!(complaint.contains("login refused: no "), "{complaint}");
        assert!(!complaint.contains('\u{1b}'), "{complaint:?}");
    }
}

#[test]
fn what_is_no_text_where_text_should_be_harms_no_client() {
    let server = OddServer::start();
    for client in clients(server.address()) {
        let mut client = Process::start(client);
        let mut session = server.welcome(json!([
            ["Anna", true], [["x"], 1], 7, "s", null, [5, 0], [], ["Bobby", 0], ["Carla", 0, 0], {"a": 1}
        ]));
        client.out.line_where("the good ones", |line| {
            line == "* online: Anna (guest), Bobby"
        });
        for odd in ODD {
            session.send_text(odd);
        }
        session.send(&said("Bobby", "after all of this"));
        client.out.line_with("Bobby: after all of this");
        client.type_line("/who");
        let count = |text: &str| text.matches("* online: Anna (guest), Bobby\n").count();
        client
            .out
            .text_where("the same list again", |text| count(text) == 2);
        client.type_line("/quit");
        session.expect_command("03");
        drop(session);
        assert!(client.wait().success());
        assert_eq!(client.err.all(), "");
    }
}

#[test]
fn what_no_chat_server_sends_is_called_that() {
    let server = OddServer::start();
    for client in clients(server.address()) {
        let mut client = Process::start(client);
        let mut session = server.welcome(json!([["Anna", 1]]));
        client.out.line_with("online");
        session.send_text("HTTP/1.1 400 Bad Request\r\n\r\n");
        assert_eq!(client.wait().code(), Some(1));
        let complaint = client.err.all();
        assert!(complaint.contains("this is no chat server"), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}

/// The Python client, told by these variables which characters its terminal has.
fn python_with(address: SocketAddr, variables: &[(&str, &str)]) -> Process {
    let mut command = Command::new("python3");
    isolate(&mut command)
        .arg("-B")
        .arg(script())
        .args([
            &address.ip().to_string(),
            "Anna",
            "--port",
            &address.port().to_string(),
        ])
        .envs(variables.iter().copied())
        .stdin(Stdio::piped());
    Process::start(command)
}

#[test]
fn no_character_is_too_much_for_the_python_client_whatever_its_terminal_has() {
    if !can_run("python3", "--version") {
        return;
    }
    let server = OddServer::start();
    let plain_c = [
        ("LC_ALL", "C"),
        ("PYTHONUTF8", "0"),
        ("PYTHONCOERCECLOCALE", "0"),
    ];
    for (variables, shown) in [
        (
            &[("PYTHONIOENCODING", "ascii")][..],
            r"\u4f60\u597d \U0001f600 \xe9".as_bytes(),
        ),
        (
            &[("PYTHONIOENCODING", "cp936")],
            b"\xc4\xe3\xba\xc3 \\U0001f600 \xa8\xa6",
        ),
        (
            &[("PYTHONIOENCODING", "cp1252")],
            b"\\u4f60\\u597d \\U0001f600 \xe9",
        ),
        (
            &[("PYTHONIOENCODING", "utf-8:strict")],
            "你好 😀 é".as_bytes(),
        ),
        (&plain_c, r"\u4f60\u597d \U0001f600 \xe9".as_bytes()),
    ] {
        let mut client = python_with(server.address(), variables);
        let mut session = server.welcome(json!([["Anna", 1]]));
        client.out.line_with("online: Anna (guest)");
        session.send(&said("Bobby", "你好 😀 é"));
        session
            .send_text("{\"Command\":\"32\",\"Speaker\":\"Bobby\",\"Message\":\"half \\ud83d\"}\n");
        client.out.line_with("Bobby: half \\ud83d");
        let printed = client.out.so_far_bytes();
        let is_there = printed.windows(shown.len()).any(|part| part == shown);
        assert!(
            is_there,
            "{variables:?}: {}",
            String::from_utf8_lossy(&printed)
        );

        // Bytes that are no characters there.
        let input = client.input.as_mut().unwrap();
        input.write_all(b"say \xff\xfe\x80 so\n").unwrap();
        let spoken = session.expect_command("05");
        let text = spoken["Message"].as_str().unwrap();
        assert!(text.starts_with("say ") && text.ends_with(" so"), "{text}");
        client.type_line("/quit");
        session.expect_command("03");
        drop(session);
        assert!(
            client.wait().success(),
            "{variables:?}: {}",
            client.err.all()
        );
        assert_eq!(client.err.all(), "");
    }
}

#[test]
fn a_python_that_is_too_old_is_told_which_one_is_needed() {
    let mut pythons: Vec<PathBuf> = ["python2", "python2.7", "python3.6"]
        .map(PathBuf::from)
        .into();
    // Where pyenv keeps them.
    if let Some(versions) = std::env::home_dir().map(|home| home.join(".pyenv").join("versions"))
        && let Ok(versions) = fs::read_dir(versions)
    {
        let names = versions.filter_map(|version| version.ok()?.file_name().into_string().ok());
        let old = names.filter(|name| {
            ["2.", "3.5.", "3.6."]
                .iter()
                .any(|old| name.starts_with(old))
        });
        let folder = std::env::home_dir()
            .unwrap()
            .join(".pyenv")
            .join("versions");
        pythons.extend(old.map(|name| folder.join(name).join("bin").join("python")));
    }
    let mut tried = 0;
    for python in pythons {
        let mut version = Command::new(&python);
        isolate(&mut version).args(["-c", "import json"]);
        if !version.status().is_ok_and(|status| status.success()) {
            continue;
        }
        for program in ["client.py", "gui_client.py"] {
            let mut command = Command::new(&python);
            isolate(&mut command)
                .arg("-B")
                .arg(script().with_file_name(program))
                .arg("127.0.0.1");
            let mut client = Process::start(command);
            assert_eq!(client.wait().code(), Some(1));
            let complaint = client.err.all();
            let is_it = complaint.starts_with("This needs Python 3.7 or newer");
            assert!(is_it && complaint.lines().count() == 1, "{complaint}");
        }
        tried += 1;
    }
    if tried == 0 {
        eprintln!("SKIPPED: this test needs an old Python, 2.7 or 3.6, which is not here");
    }
}

#[test]
fn the_python_client_gives_a_server_without_heartbeats_longer_the_next_time() {
    if !can_run("python3", "--version") {
        return;
    }
    const TEST: &str = r#"
import socket, sys, time
sys.path.insert(0, sys.argv[1])
import client
here = client.Client("127.0.0.1", 1, False, None, "Anna", "", True)
assert here.patience == 45
here.online, here.patience, shown = True, 0.2, []
here.show = shown.append
here.sock, server = socket.socketpair()
assert here.receive() == "connection lost: nothing came for 0.2 s"
assert here.patience == 0.4
server.sendall(b'{"Command":"14"}')
assert here.receive() == "connection lost: nothing came for 0.4 s"
assert here.patience == 0.4, "it has heartbeats"
print("all is well")
"#;
    let mut command = Command::new("python3");
    isolate(&mut command)
        .args(["-B", "-c", TEST])
        .arg(script().parent().unwrap());
    let mut test = Process::start(command);
    assert!(test.wait().success(), "{}", test.err.all());
    assert_eq!(test.out.all().trim_end(), "all is well");
}

/// The line of Python that the README shows, and whether the Chinese page shows the same.
#[cfg(unix)]
#[test]
fn the_line_of_python_in_the_readme_survives_a_terminal_without_the_characters() {
    if !can_run("python3", "--version") {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [line, chinese] = [&["README.md"][..], &["docs", "README.zh.md"]].map(|path| {
        let page = fs::read_to_string(folder.join(path.iter().collect::<PathBuf>())).unwrap();
        let mut lines = page.lines().filter(|line| line.starts_with("python3 -c "));
        lines.next().expect("a line of Python").to_owned()
    });
    assert_eq!(line, chinese);

    let server = OddServer::start();
    let line = line.replace("4004", &server.address().port().to_string());
    let mut shell = Command::new("sh");
    isolate(&mut shell)
        .args(["-c", &line])
        .env("PYTHONIOENCODING", "ascii")
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::piped());
    let mut student = Process::start(shell);
    student.type_line(r#"{"Command":"01","Name":"Alice"}"#);
    let mut session = server.welcome(json!([["Alice", 1]]));
    // It reads lines, as a terminal shows them.
    session.send_text(&format!("{}\n", said("Bobby", "你好 😀")));
    student.out.line_with(r"\u4f60\u597d \U0001f600");
    // What the terminal's encoding lacks can't be read either, but it ends nothing.
    student.type_line(r#"{"Command":"05","Message":"é"}"#);
    session.expect_command("05");
    session.socket().shutdown(Shutdown::Both).unwrap();
    student.input = None;
    student.wait();
    assert!(!student.err.all().contains("UnicodeEncodeError"));
}

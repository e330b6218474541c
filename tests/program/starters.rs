//! The starter clients in Java, JavaScript, C# and C: each is built and judged by the checker, talks to the others on
//! chatd, and notices when the server has vanished.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::accounts::{PASSWORD, line_for};
use crate::checker::{Findings, client_arguments, file};
use crate::harness::{came, left, said, wrote};
use crate::process::{Chatd, Process, chatd, isolate};

/// Set where the starters must be tested, so that a missing tool fails instead of being skipped.
const REQUIRED: &str = "CHATD_TEST_STARTERS";

/// A starter, and what it needs. In command lines, `{source}` is its file and `{folder}` a folder for what is built.
struct Starter {
    file: &'static str,
    /// Programs, each with an argument with which it ends at once.
    tools: &'static [[&'static str; 2]],
    /// What builds it; nothing if it needs no building.
    build: &'static [&'static str],
    run: &'static [&'static str],
    /// What in its source says how long a server may be silent, and the same for a test that can't wait.
    silence: [&'static str; 2],
}

const JAVA: Starter = Starter {
    file: "Client.java",
    tools: &[["javac", "-version"], ["java", "-version"]],
    build: &[
        "javac",
        "-Xlint:all",
        "-Xlint:-options",
        "-Werror",
        "-source",
        "8",
        "-target",
        "8",
        "-d",
        "{folder}",
        "{source}",
    ],
    // One thread less for each of what a short program does not need spares a busy machine much.
    run: &[
        "java",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-cp",
        "{folder}",
        "Client",
    ],
    silence: ["SILENCE = 45;", "SILENCE = 2;"],
};

const JAVASCRIPT: Starter = Starter {
    file: "client.mjs",
    tools: &[["node", "--version"]],
    build: &[],
    run: &["node", "{source}"],
    silence: ["SILENCE = 45;", "SILENCE = 2;"],
};

const CSHARP: Starter = Starter {
    file: "Client.cs",
    tools: &[["mcs", "--version"], ["mono", "--version"]],
    build: &[
        "mcs",
        "-langversion:5",
        "-warnaserror",
        "-r:System.Web.Extensions.dll",
        "-out:{folder}/Client.exe",
        "{source}",
    ],
    run: &["mono", "{folder}/Client.exe"],
    silence: ["Silence = 45;", "Silence = 2;"],
};

const C: Starter = Starter {
    file: "client.c",
    tools: &[["cc", "--version"]],
    build: &[
        "cc",
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-o",
        "{folder}/client",
        "{source}",
    ],
    run: &["{folder}/client"],
    silence: ["SILENCE 45 ", "SILENCE 2 "],
};

impl Starter {
    /// Whether it can be built and run here; says what is missing if not.
    fn is_possible(&self) -> bool {
        let runs = |[program, argument]: &&[&str; 2]| {
            let mut command = Command::new(program);
            isolate(&mut command).arg(argument);
            command.status().is_ok_and(|status| status.success())
        };
        let python = [["python3", "--version"]];
        let Some([missing, _]) = self.tools.iter().chain(&python).find(|tool| !runs(tool)) else {
            return cfg!(unix);
        };
        assert!(
            std::env::var_os(REQUIRED).is_none(),
            "this test needs {missing}"
        );
        eprintln!("SKIPPED: this test needs {missing}, which can't be run here");
        false
    }

    /// Builds it from this source in a folder, and returns the words that start it.
    fn build(&self, source: &str, folder: &Path) -> Vec<String> {
        let copy = folder.join(self.file);
        fs::write(&copy, source).unwrap();
        let filled = |words: &[&str]| -> Vec<String> {
            let fill = |word: &&str| {
                word.replace("{source}", copy.to_str().unwrap())
                    .replace("{folder}", folder.to_str().unwrap())
            };
            words.iter().map(fill).collect()
        };
        if let [program, arguments @ ..] = &filled(self.build)[..] {
            let mut compiler = Command::new(program);
            isolate(&mut compiler).args(arguments);
            let built = compiler.output().unwrap();
            let complaints = [built.stdout, built.stderr].concat();
            let complaints = String::from_utf8_lossy(&complaints);
            assert!(built.status.success(), "{complaints}");
        }
        filled(self.run)
    }

    fn source(&self) -> String {
        fs::read_to_string(file(&["examples", "starters", self.file])).unwrap()
    }
}

/// Starts a client, in a locale that knows nothing but ASCII.
fn start(words: &[String], address: SocketAddr, arguments: &[&str]) -> Process {
    let mut command = Command::new(&words[0]);
    isolate(&mut command)
        .args(&words[1..])
        .arg(address.ip().to_string())
        .args(["--port", &address.port().to_string()])
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped());
    Process::start(command)
}

/// A client that hears nothing after its login says so and ends.
fn assert_notices_silence(starter: &Starter) {
    let [slow, quick] = starter.silence;
    let source = starter.source();
    assert_eq!(source.matches(slow).count(), 1, "{slow}");
    let folder = tempfile::tempdir().unwrap();
    let words = starter.build(&source.replace(slow, quick), folder.path());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut client = start(&words, listener.local_addr().unwrap(), &["Alice"]);
    let (mut server, _) = listener.accept().unwrap();
    server
        .write_all(b"{\"Command\":\"11\",\"Flag\":1,\"Friends\":[[\"Alice\",1]]}\n")
        .unwrap();
    let complaint = client.out.line_with("connect");
    assert!(complaint.contains("nothing"), "{complaint}");
    assert_eq!(client.wait().code(), Some(1));
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).unwrap();
    let sent = String::from_utf8(rest).unwrap();
    assert!(sent.contains("\"01\""), "{sent}");
}

/// Two of them, and a client that is nobody's program, talk on chatd.
fn assert_chats(words: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("accounts.jsonl"), line_for("Petra") + "\n").unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let address = server.plain_address();
    let mut refused = start(words, address, &["Petra", "wrong"]);
    refused.out.line_with("login refused: ");
    assert_eq!(refused.wait().code(), Some(1));

    let mut bobby = server.guest("Bobby");
    let mut anna = start(words, address, &["Anna"]);
    bobby.expect(came("Anna", true));
    anna.out.line_with("Anna (guest)");
    let mut petra = start(words, address, &["Petra", PASSWORD]);
    bobby.expect(came("Petra", false));
    anna.out.line_with("Petra is here");
    petra.out.line_with("Bobby (guest)");
    anna.type_line("  早上好 👋  \"all\" \\ {");
    bobby.expect(said("Anna", "  早上好 👋  \"all\" \\ {"));
    petra.out.line_with("Anna:   早上好 👋  \"all\" \\ {");
    petra.type_line("@Anna  只给你 🤫");
    anna.out.line_with("[Petra to you]  只给你 🤫");
    petra.out.line_with("* sent to Anna");
    petra.type_line("@Nobody hello");
    petra.out.line_with("NOT sent to Nobody: ");
    bobby.write_to("Anna", "\u{1b}[2J\u{9b}\u{202e}\r\nforged 😀");
    bobby.expect_command("14");
    let shown = anna.out.line_with("forged 😀");
    assert!(shown.starts_with("[Bobby to you] "), "{shown:?}");
    let is_raw = |c: char| c.is_control() || c == '\u{202e}';
    assert!(!shown.contains(is_raw), "{shown:?}");
    anna.type_line("/register Petra geheim1");
    anna.out.line_with("* not registered: ");
    anna.type_line("/register Carola geheim1");
    anna.out
        .line_where("a success", |line| line == "* registered");
    bobby.write_to("Petra", "bye");
    bobby.expect_command("14");
    bobby.log_out();
    anna.out.line_with("Bobby has left");
    anna.type_line("/who");
    anna.out.line_where("Petra and Anna online", |line| {
        let is_here = |name| line.contains(name);
        line.starts_with("* online: ") && is_here("Anna (guest)") && !is_here("Bobby")
    });
    anna.type_line("/nonsense");
    anna.out.line_with("/register NAME PASSWORD");

    let mut carla = server.guest("Carla");
    petra.type_line("@Carla tschüß");
    carla.expect(wrote("Petra", "tschüß"));
    petra.type_line("/quit");
    assert!(petra.wait().success(), "{}", petra.err.all());
    carla.expect(left("Petra"));
    anna.input = None; // The end of the input is a logout too.
    assert!(anna.wait().success(), "{}", anna.err.all());
    carla.expect(left("Anna"));
    carla.log_out();
    assert_eq!(petra.err.all() + &anna.err.all(), "");

    let mut anna = start(words, address, &["Anna"]);
    anna.out.line_with("* online: Anna (guest)");
    server.stop();
    anna.out.line_with("the server says: ");
    assert_eq!(anna.wait().code(), Some(1));
    let mut late = start(words, address, &["Anna"]);
    assert!(!late.wait().success());
    let complaint = late.out.all() + &late.err.all();
    assert!(complaint.contains("connect"), "{complaint}");
}

fn assert_is_good(starter: &Starter) {
    if !starter.is_possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let words = starter.build(&starter.source(), folder.path());
    assert_chats(&words);
    assert_notices_silence(starter);
    let run = format!("'{}' {{host}} --port {{port}} {{name}}", words.join("' '"));
    let judge = |patience| Findings::of_parts("client", 4, || client_arguments(&run, patience));
    let mut findings = judge("3");
    if findings.with("passed").len() < findings.with_any().len() {
        // The machine may be slow.
        findings = judge("20");
    }
    assert_eq!(findings.exit, 0, "{}", findings.report);
    assert_eq!(
        findings.with("passed").len(),
        findings.with_any().len(),
        "{}",
        findings.report
    );
}

#[test]
fn the_starter_in_java_is_right() {
    assert_is_good(&JAVA);
}

#[test]
fn the_starter_in_javascript_is_right() {
    assert_is_good(&JAVASCRIPT);
}

#[test]
fn the_starter_in_csharp_is_right() {
    assert_is_good(&CSHARP);
}

#[test]
fn the_starter_in_c_is_right() {
    assert_is_good(&C);
}

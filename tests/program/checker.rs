//! The checker for anybody's implementation, tried on chatd, on the example client, and on others that are not
//! right: it must tell exactly what is wrong with them, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Chatd, Process, can_run, chatd, isolate};

/// No run of the checker takes this long, however busy the machine is.
pub const LIMIT: Duration = Duration::from_secs(240);

/// A file of the repository.
pub fn file(path: &[&str]) -> String {
    let path: PathBuf = [&[env!("CARGO_MANIFEST_DIR")], path]
        .concat()
        .iter()
        .collect();
    path.to_str().unwrap().to_owned()
}

/// The command line, for `--run`, of a script of the repository.
pub fn script(path: &[&str], arguments: &str) -> String {
    format!("python3 -B -X utf8 '{}' {arguments}", file(path))
}

pub fn imperfect(name: &str, arguments: &str) -> String {
    script(&["tests", "imperfect", name], arguments)
}

/// The checker with these arguments.
pub fn checker(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    isolate(&mut command)
        .args(["-B", "-X", "utf8", &file(&["examples", "check.py"])])
        .args(arguments)
        .stdin(Stdio::piped());
    command
}

/// The ids of all cases for one side.
pub fn ids(side: &str) -> Vec<String> {
    let mut command = checker(&[side, "--list", "--lang", "en"]);
    let listed = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let rows = listed.lines().filter_map(|line| line.strip_prefix("  "));
    rows.map(|row| row.split(' ').next().unwrap().to_owned())
        .collect()
}

/// What one run of the checker found.
pub struct Findings {
    /// Its whole output.
    pub report: String,
    pub exit: i32,
    /// For each case: its id, and `passed`, `failed`, `absent` or `skipped`; `died` is a failure that ended the
    /// server.
    results: Vec<(String, String)>,
    /// What the protocol leaves open, and how it is done here.
    notes: BTreeSet<String>,
}

impl Findings {
    /// Runs the checker in English.
    #[track_caller]
    pub fn of(arguments: &[&str]) -> Findings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.json");
        let json = ["--lang", "en", "--json", path.to_str().unwrap()];
        let mut run = Process::start(checker(&[arguments, &json].concat()));
        let deadline = Instant::now() + LIMIT;
        while run.is_running() {
            let so_far = || run.out.so_far();
            assert!(Instant::now() < deadline, "it does not end:\n{}", so_far());
            thread::sleep(Duration::from_millis(20));
        }
        let report = run.out.all();
        let exit = run.wait().code().unwrap();
        let Ok(written) = fs::read_to_string(&path) else {
            panic!("{exit}\n{report}\n{}", run.err.all());
        };
        let written: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(written["exit"], exit);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let result_of = |case: &Value| match case["kind"].as_str() {
            Some("died") => "died".to_owned(),
            _ => text(&case["result"]),
        };
        let cases = written["cases"].as_array().unwrap().iter();
        Findings {
            exit,
            results: cases
                .map(|case| (text(&case["id"]), result_of(case)))
                .collect(),
            notes: written["notes"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect(),
            report,
        }
    }

    /// Runs the checker with these arguments several times at once, each time with a part of the cases: what looks
    /// like a silence takes time, and no work.
    #[track_caller]
    pub fn of_parts(
        side: &str,
        parts: usize,
        arguments: impl Fn() -> Vec<String> + Sync,
    ) -> Findings {
        let ids = ids(side);
        let run_part = |part| {
            let of_part = ids.iter().skip(part).step_by(parts);
            let only = of_part.flat_map(|id| ["--only".to_owned(), id.clone()]);
            let arguments: Vec<String> = arguments().into_iter().chain(only).collect();
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Findings::of(&arguments)
        };
        thread::scope(|scope| {
            let parts: Vec<_> = (0..parts)
                .map(|part| scope.spawn(move || run_part(part)))
                .collect();
            let parts = parts.into_iter().map(|part| part.join().unwrap());
            parts
                .reduce(|mut all, part| {
                    // A part includes cases of others: those that find out which features there are.
                    let mut known = all.with_any();
                    known.extend(part.results);
                    all.results = known.into_iter().collect();
                    all.report += &part.report;
                    all.notes.extend(part.notes);
                    all.exit = all.exit.max(part.exit);
                    all
                })
                .unwrap()
        })
    }

    /// All results by their ids.
    pub fn with_any(&self) -> BTreeMap<String, String> {
        self.results.iter().cloned().collect()
    }

    /// The cases with this result.
    pub fn with(&self, result: &str) -> BTreeSet<&str> {
        let of_result = self.results.iter().filter(|(_, is)| is == result);
        of_result.map(|(id, _)| id.as_str()).collect()
    }

    /// What is not as expected; nothing if all is.
    fn differences(&self, expected: &Expected) -> Vec<String> {
        let mut differences = Vec::new();
        for (result, ids) in [
            ("failed", expected.failed),
            ("died", expected.died),
            ("absent", expected.absent),
            ("skipped", &[]),
        ] {
            let mut found = self.with(result);
            found.retain(|id| !expected.by_chance.contains(id));
            let wanted: BTreeSet<&str> = ids.iter().copied().collect();
            if found != wanted {
                differences.push(format!("{result}: {found:?}\nexpected: {wanted:?}"));
            }
        }
        for note in expected.notes {
            if !self.notes.contains(*note) {
                differences.push(format!("no note: {note}\n{:?}", self.notes));
            }
        }
        differences
    }
}

/// What the checker must say. All other cases pass.
#[derive(Default)]
pub struct Expected {
    pub failed: &'static [&'static str],
    pub died: &'static [&'static str],
    pub absent: &'static [&'static str],
    pub notes: &'static [&'static str],
    /// Cases whose outcome is a matter of timing with this implementation.
    pub by_chance: &'static [&'static str],
}

/// Runs the checker on something imperfect. Silence is what most of its failures look like, so there is little
/// patience at first; should a slow machine have looked like a silence, it is run once more with much.
#[track_caller]
pub fn assert_finds(expected: &Expected, run: impl Fn(&str) -> Findings) {
    if !run("2").differences(expected).is_empty() {
        let findings = run("15");
        let differences = findings.differences(expected);
        assert!(
            differences.is_empty(),
            "{}\n{}",
            differences.join("\n"),
            findings.report
        );
    }
}

/// A port that was free a moment ago: a server that is started again needs the same one.
pub fn free_port() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port().to_string()
}

fn assert_chatd_passes(address: SocketAddr, is_tls: bool) {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let tls: &[&str] = if is_tls { &["--tls"] } else { &[] };
    let arguments = ["server", &host, &port, "--patience", "20", "--strict"];
    let findings = Findings::of(&[&arguments, tls].concat());
    assert_eq!(findings.exit, 0, "{}", findings.report);
    let not_run: &[&str] = if is_tls { &["half-close"] } else { &[] };
    assert_eq!(findings.with("skipped"), not_run.iter().copied().collect());
    let passed = findings.with("passed").len();
    assert_eq!(passed + not_run.len(), findings.results.len());
    assert!(passed > 80);
}

#[test]
fn the_checker_passes_chatd_in_either_language() {
    if !can_run("python3", "--version") {
        return;
    }
    // Reasons are for people: the checker must not mind their language.
    let folders = ["en", "zh"].map(|lang| (lang, tempfile::tempdir().unwrap()));
    let [english, chinese] = folders.each_ref().map(|(lang, folder)| {
        let mut command = chatd(folder.path());
        command.args(["--lang", lang]);
        Chatd::start(command)
    });
    thread::scope(|scope| {
        scope.spawn(|| assert_chatd_passes(english.plain_address(), false));
        scope.spawn(|| assert_chatd_passes(chinese.tls_address(), true));
    });
    english.stop();
    chinese.stop();
}

#[test]
fn the_checker_finds_what_a_naive_server_does_wrong() {
    if !can_run("python3", "--version") {
        return;
    }
    let expected = Expected {
        failed: &[
            "leave-close",
            "leave-login",
            "leave-mid-message",
            "leave-reset",
            "leave-two-at-once",
            "name-chinese",
            "name-three",
            "one-and-a-half",
            "private-has-left",
            "private-long",
            "reconnect-storm",
            "split-every-byte",
            "split-in-two",
            "two-in-one",
            "login-and-more",
        ],
        died: &[
            "logout",
            "logout-friends",
            "logout-leaver",
            "logout-login",
            "logout-once",
            "name-wrong-type",
        ],
        absent: &[
            "login-guest-mark",
            "receipt",
            "receipt-each",
            "receipt-has-left",
            "receipt-offline",
            "register",
            "register-bad-name",
            "register-bad-password",
            "register-guest",
            "register-login",
            "register-mark",
            "register-taken",
            "register-wrong-password",
            "room",
            "room-burst",
            "room-echo",
            "room-not-logged-in",
            "room-once",
            "room-one-order",
            "room-slow-reader",
            "room-text",
        ],
        notes: &["objects follow each other without a newline"],
        // Whether these messages come together, and so are not understood, is up to the network.
        by_chance: &[
            "private-burst",
            "private-offline",
            "private-wrong-type",
            "speak-before-login",
        ],
    };
    assert_finds(&expected, |patience| {
        Findings::of_parts("server", 6, || {
            let port = free_port();
            let run = imperfect("naive_server.py", &port);
            [
                "server",
                "127.0.0.1",
                &port,
                "--run",
                &run,
                "--patience",
                patience,
            ]
            .map(str::to_owned)
            .into()
        })
    });
}

#[test]
fn the_checker_finds_what_a_subtle_server_does_wrong_and_allows_the_rest() {
    if !can_run("python3", "--version") {
        return;
    }
    const FAILED: &[&str] = &[
        "login-guest-mark",
        "logout-once",
        "private-empty",
        "receipt-has-left",
        "receipt-offline",
        "register-mark",
        "room-not-logged-in",
        "room-text",
    ];
    let of_framing = |framing: &str, expected: &Expected| {
        assert_finds(expected, |patience| {
            let port = free_port();
            let run = imperfect("subtle_server.py", &format!("{port} {framing}"));
            Findings::of(&[
                "server",
                "127.0.0.1",
                &port,
                "--run",
                &run,
                "--patience",
                patience,
            ])
        });
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let notes = &[
                "`Command` is a number, not a string",
                "`Friends` does not contain the user who logs in",
                "a refusal has no `Friends`",
                "`alice` and `ALICE` are two names",
                "receipts have `Comment`, not `Command`",
            ];
            let expected = Expected {
                failed: FAILED,
                notes,
                ..Expected::default()
            };
            of_framing("bare", &expected);
        });
        scope.spawn(|| {
            let expected = Expected {
                failed: FAILED,
                absent: &["pretty-printed"],
                notes: &[
                    "it wants a newline after each object",
                    "a newline follows each object",
                ],
                ..Expected::default()
            };
            of_framing("newline", &expected);
        });
        scope.spawn(|| {
            let expected = Expected {
                failed: FAILED,
                notes: &[
                    "it wants a 4-byte length before each object",
                    "a 4-byte length stands before each object",
                ],
                ..Expected::default()
            };
            of_framing("length", &expected);
        });
    });
}

#[test]
fn the_checker_says_which_case_a_server_did_not_survive() {
    if !can_run("python3", "--version") {
        return;
    }
    let port = free_port();
    let mut server = Command::new("python3");
    isolate(&mut server).args([
        "-B",
        &file(&["tests", "imperfect", "naive_server.py"]),
        &port,
    ]);
    let mut server = Process::start(server);
    while std::net::TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_err() {
        assert!(server.is_running());
        thread::sleep(std::time::Duration::from_millis(20));
    }
    let only = ["login-guest", "logout", "private"]
        .map(|id| ["--only", id])
        .concat();
    let arguments = ["server", "127.0.0.1", &port, "--wait", "0"];
    let findings = Findings::of(&[&arguments[..], &only].concat());
    assert_eq!(findings.exit, 1);
    assert_eq!(findings.with("passed"), ["login-guest"].into());
    assert_eq!(findings.with("died"), ["logout"].into());
    assert_eq!(findings.with("skipped"), ["private"].into());
    assert!(
        findings.report.contains("did not come back after logout"),
        "{}",
        findings.report
    );
    assert!(!server.wait().success());
}

/// The arguments to check a client that the checker starts itself.
pub fn client_arguments(run: &str, patience: &str) -> Vec<String> {
    [
        "client",
        "--port",
        "0",
        "--run",
        run,
        "--patience",
        patience,
    ]
    .map(str::to_owned)
    .into()
}

#[test]
fn the_checker_passes_the_example_client() {
    if !can_run("python3", "--version") {
        return;
    }
    let expected = Expected {
        // The example relies on what chatd promises: two digits in a string.
        absent: &["client-reads-number"],
        ..Expected::default()
    };
    let run = script(&["examples", "client.py"], "{host} --port {port} {name}");
    assert_finds(&expected, |patience| {
        Findings::of_parts("client", 3, || client_arguments(&run, patience))
    });
}

#[test]
fn the_checker_finds_what_a_naive_client_does_wrong() {
    if !can_run("python3", "--version") {
        return;
    }
    let expected = Expected {
        failed: &[
            "client-came",
            "client-closed",
            "client-heartbeat",
            "client-login-split",
            "client-logout",
            "client-logout-ends",
            "client-quotes",
            "client-reads-control",
            "client-reads-long",
            "client-reads-split",
            "client-reads-two",
            "client-refused-tells",
        ],
        absent: &[
            "client-heartbeat-receipt",
            "client-list",
            "client-list-came",
            "client-list-left",
            "client-own-once",
            "client-reads-bare",
            "client-reads-number",
            "client-reads-room",
            "client-receipt",
            "client-register",
            "client-room",
            "client-room-quotes",
            "client-room-stranger",
        ],
        ..Expected::default()
    };
    let run = imperfect("naive_client.py", "{host} {port} {name}");
    assert_finds(&expected, |patience| {
        let findings = Findings::of_parts("client", 3, || {
            [
                "client",
                "--port",
                "0",
                "--run",
                &run,
                "--patience",
                patience,
            ]
            .map(str::to_owned)
            .into()
        });
        assert_eq!(findings.exit, 1);
        findings
    });
}

#[test]
fn the_checker_allows_an_odd_client_what_the_protocol_leaves_open() {
    if !can_run("python3", "--version") {
        return;
    }
    let expected = Expected {
        failed: &[
            "client-closed",
            "client-heartbeat",
            "client-heartbeat-answer",
            "client-heartbeat-receipt",
            "client-reads-control",
            "client-refused-tells",
            "client-unknown",
        ],
        absent: &[
            "client-list",
            "client-list-came",
            "client-list-left",
            "client-register",
        ],
        notes: &[
            "`Command` is a number, not a string",
            "a 4-byte length stands before each object",
        ],
        ..Expected::default()
    };
    let run = imperfect("odd_client.py", "{host} {port}");
    let lines = [
        ["--login", "{name}"],
        ["--room", "all {text}"],
        ["--private", "one {friend} {text}"],
        ["--logout", "bye"],
        ["--register", ""],
    ];
    assert_finds(&expected, |patience| {
        let findings = Findings::of_parts("client", 3, || {
            let lines = lines.iter().flatten().map(|word| (*word).to_owned());
            client_arguments(&run, patience)
                .into_iter()
                .chain(lines)
                .collect()
        });
        assert_eq!(findings.exit, 0, "what is robust is not required");
        findings
    });
}

#[test]
fn the_checker_tells_a_person_what_to_do() {
    if !can_run("python3", "--version") {
        return;
    }
    let only = ["client-private", "client-chinese", "client-reads-private"];
    let arguments = ["client", "--port", "0", "--lang", "en", "--patience", "20"];
    let only = only.map(|id| ["--only", id]).concat();
    let mut check = Process::start(checker(&[&arguments[..], &only].concat()));
    let start = check.out.line_with("> start your client");
    let port = start.rsplit(' ').next().unwrap();
    check.out.line_with("> log in as Alice");
    let mut client = Command::new("python3");
    isolate(&mut client)
        .args(["-B", "-X", "utf8", &file(&["examples", "client.py"])])
        .args(["127.0.0.1", "--port", port, "Alice"])
        .stdin(Stdio::piped());
    let mut client = Process::start(client);
    client.out.line_with("online: Alice (guest), Bobby (guest)");
    check.out.line_with("> write to Bobby alone:  hello");
    client.type_line("@Bobby hello");
    // The next case goes on with the same client.
    check.out.line_with("> write to Bobby alone:  你好");
    client.type_line("@Bobby 你好，世界");
    check
        .out
        .line_with("? does your client show this?  Zacharias");
    client.out.line_with("[Zacharias to you] good morning");
    check.type_line("");
    check
        .out
        .line_with("? does your client show this?  good morning");
    check.type_line("n");
    check.out.line_with("FAILED");
    assert_eq!(check.wait().code(), Some(1), "{}", check.err.all());
    assert_eq!(check.err.all(), "");
}

#[test]
fn the_checker_is_told_what_to_do() {
    if !can_run("python3", "--version") {
        return;
    }
    // Alone with its vectors, in a folder of its own.
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("check.py");
    fs::copy(file(&["examples", "check.py"]), &alone).unwrap();
    let vectors = file(&["tests", "vectors"]);
    let run = |script: &str, arguments: &[&str]| {
        let mut command = Command::new("python3");
        isolate(&mut command)
            .args(["-B", "-X", "utf8", script])
            .args(arguments);
        let mut run = Process::start(command);
        let exit = run.wait().code();
        (exit, run.out.all(), run.err.all())
    };
    let (alone, here) = (alone.to_str().unwrap(), file(&["examples", "check.py"]));
    let (exit, listed, _) = run(alone, &["server", "--list", "--vectors", &vectors]);
    assert_eq!(exit, Some(0));
    assert!(listed.contains("login-guest"), "{listed}");
    assert_eq!(run(&here, &["server", "--list", "--lang", "en"]).1, listed);
    let (_, chinese, _) = run(&here, &["client", "--list", "--lang", "zh"]);
    assert!(chinese.contains("以游客身份登录"), "{chinese}");

    let port = free_port();
    for (script, arguments, complaint) in [
        (alone, &["server", "--list"][..], "--vectors"),
        (&here, &["server", "--only", "nonsense"], "nonsense"),
        (&here, &["nonsense"], "nonsense"),
        (&here, &["server", "127.0.0.1", &port], "cannot connect"),
        (&here, &["server", "no.such.host.invalid"], "cannot connect"),
    ] {
        let (exit, _, complained) = run(script, &[arguments, &["--lang", "en"]].concat());
        // Where no subcommand is known, neither is the language.
        assert_eq!(exit, Some(2), "{arguments:?}: {complained}");
        assert!(complained.contains(complaint), "{complained}");
        assert!(!complained.contains("Traceback"), "{complained}");
    }
}

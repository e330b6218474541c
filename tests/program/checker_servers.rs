//! What the checker says of servers that are wrong from the ground up: that keep users who are gone, answer nothing, do
//! not start, or do one thing today and another tomorrow.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::checker::{LIMIT, checker, file, free_port, ids, imperfect};
use crate::process::{Process, can_run, isolate};

/// What one run of the checker came to.
struct Run {
    exit: i32,
    report: String,
    complaint: String,
    /// What it wrote for programs; null if nothing.
    json: Value,
    took: Duration,
}

impl Run {
    #[track_caller]
    fn of(arguments: &[&str]) -> Run {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.json");
        let json = ["--json", path.to_str().unwrap()];
        let begin = Instant::now();
        let mut run = Process::start(checker(&[arguments, &json].concat()));
        while run.is_running() {
            let so_far = || run.out.so_far();
            assert!(begin.elapsed() < LIMIT, "it does not end:\n{}", so_far());
            thread::sleep(Duration::from_millis(20));
        }
        let took = begin.elapsed();
        let written = fs::read_to_string(&path).unwrap_or("null".into());
        Run {
            exit: run.wait().code().unwrap(),
            report: run.out.all(),
            complaint: run.err.all(),
            json: serde_json::from_str(&written).unwrap(),
            took,
        }
    }

    /// Checks a server that the checker starts by `command`, in which `{port}` is filled in.
    #[track_caller]
    fn starting(command: &str, options: &[&str]) -> Run {
        let port = free_port();
        let command = command.replace("{port}", &port);
        let arguments = ["server", "127.0.0.1", &port, "--run", &command];
        Run::of(&[&arguments, options].concat())
    }

    /// The cases with this result.
    fn with(&self, result: &str) -> BTreeSet<&str> {
        let cases = self.json["cases"].as_array().unwrap().iter();
        let with_result = cases.filter(|case| case["result"] == result);
        with_result
            .map(|case| case["id"].as_str().unwrap())
            .collect()
    }

    #[track_caller]
    fn case(&self, id: &str) -> &Value {
        let mut cases = self.json["cases"].as_array().unwrap().iter();
        cases
            .find(|case| case["id"] == id)
            .unwrap_or_else(|| panic!("no {id} in\n{}", self.report))
    }

    #[track_caller]
    fn assert_says(&self, what: &str) {
        assert!(self.report.contains(what), "no {what:?}:\n{}", self.report);
    }
}

/// The command line of a script that is written to a file for this.
fn script(folder: &Path, text: &str) -> String {
    let path = folder.join("server.py");
    fs::write(&path, text).unwrap();
    format!("python3 -B -X utf8 '{}' {{port}}", path.to_str().unwrap())
}

/// A server that somebody else has started, and its port.
fn started(name: &str) -> (Process, String) {
    let port = free_port();
    let mut command = Command::new("python3");
    isolate(&mut command).args(["-B", &file(&["tests", "imperfect", name]), &port]);
    let mut server = Process::start(command);
    let deadline = Instant::now() + LIMIT;
    while TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_err() {
        assert!(server.is_running(), "{}", server.err.so_far());
        assert!(Instant::now() < deadline, "it does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    (server, port)
}

/// What is wrong with the threaded server whenever it is looked at.
const THREADED_FAILS: &[&str] = &[
    "leave-close",
    "leave-login",
    "leave-mid-message",
    "leave-reset",
    "leave-two-at-once",
    "login-and-more",
    "name-chinese",
    "name-reserved",
    "one-and-a-half",
    "private-has-left",
    "private-long",
    "private-offline",
    "reconnect-storm",
    "split-every-byte",
    "split-in-two",
    "two-in-one",
];

/// Whether its threads get into each other's way here, or two messages come in one recv, is a matter of luck.
const THREADED_BY_CHANCE: &[&str] = &[
    "login-twice",
    "private-burst",
    "private-wrong-type",
    "room-burst",
    "room-not-logged-in",
    "room-one-order",
    "room-slow-reader",
    "speak-before-login",
    "twenty-at-once",
    "unknown-command",
];

/// In what the checker errs about the threaded server; nothing if it doesn't.
fn errs_about_threaded(run: &Run, missing: &[&str]) -> Vec<String> {
    let failed = run.with("failed");
    let is_wrong = |id: &&str| {
        THREADED_FAILS.contains(id)
            || THREADED_BY_CHANCE.contains(id)
            || run.case(id)["again"] == "passed"
    };
    let blamed = failed.iter().filter(|id| !is_wrong(id));
    let overlooked = THREADED_FAILS
        .iter()
        .filter(|id| !failed.contains(*id) && !missing.contains(id));
    let skipped = run.with("skipped");
    let skipped = skipped.iter().filter(|id| !missing.contains(id));
    blamed
        .map(|id| format!("{id} is right"))
        .chain(overlooked.map(|id| format!("{id} is wrong")))
        .chain(skipped.map(|id| format!("{id} is not run")))
        .collect()
}

#[test]
#[ignore = "takes minutes, and its server has real races; for those who change the checker"]
fn a_server_that_keeps_users_who_are_gone_is_judged_by_each_case_alone() {
    if !can_run("python3", "--version") {
        return;
    }
    let server = imperfect("threaded_server.py", "{port}");
    let mut run = Run::starting(&server, &["--lang", "en", "--patience", "2"]);
    if !errs_about_threaded(&run, &[]).is_empty() {
        run = Run::starting(&server, &["--lang", "en"]); // perhaps the machine was slow
    }
    let errors = errs_about_threaded(&run, &[]);
    assert!(errors.is_empty(), "{errors:?}\n{}", run.report);
    assert_eq!(run.exit, 1);
    // It is said once, and before anything else.
    assert_eq!(run.report.matches("Users who are gone stay").count(), 1);
    let place = |what: &str| {
        run.report
            .find(what)
            .unwrap_or_else(|| panic!("{}", run.report))
    };
    assert!(place("First of all") < place("What failed, and why"));
    assert!(run.json["first"]["ghosts"]["since"].is_string());
    // What the server wrote stands with the failure during which it wrote it.
    let wrote = |id: &str| run.case(id)["output"].as_str().unwrap();
    let is_told = |what: &str, ids: &[&str]| ids.iter().any(|id| wrote(id).contains(what));
    let two = ["two-in-one", "login-and-more", "one-and-a-half"];
    assert!(is_told("Extra data", &two), "{}", run.report);
    assert!(!wrote("leave-close").contains("Extra data"));
}

#[test]
#[ignore = "takes minutes, and its server has real races; for those who change the checker"]
fn a_server_that_keeps_users_who_are_gone_is_judged_without_a_restart_as_far_as_that_goes() {
    if !can_run("python3", "--version") {
        return;
    }
    // What ends connections without 03 comes last, and the first of it makes it impossible to go on.
    const LAST: &[&str] = &[
        "half-close",
        "leave-before-login",
        "leave-close",
        "leave-login",
        "leave-mid-message",
        "leave-reset",
        "leave-two-at-once",
        "private-has-left",
        "reconnect-storm",
    ];
    let judge = |patience| {
        let (_server, port) = started("threaded_server.py");
        let address = ["server", "127.0.0.1", &port];
        Run::of(&[&address[..], &["--lang", "en", "--patience", patience]].concat())
    };
    let mut run = judge("2");
    if !errs_about_threaded(&run, LAST).is_empty() {
        run = judge("5");
    }
    let errors = errs_about_threaded(&run, LAST);
    assert!(errors.is_empty(), "{errors:?}\n{}", run.report);
    assert!(!run.with("skipped").is_empty(), "{}", run.report);
    assert!(run.json["first"]["ghosts"].is_object(), "{}", run.report);
    run.assert_says("The server can no longer be judged");
    run.assert_says("or let the checker start it by --run");
    let place = |what: &str| run.report.find(what).unwrap();
    assert!(place("First of all") < place("What failed, and why"));
}

#[test]
fn a_server_that_keeps_users_who_are_gone_is_started_again_and_then_judged_alone() {
    if !can_run("python3", "--version") {
        return;
    }
    // The second would fail with what the first leaves behind, and so would those after it.
    let only = ["leave-close", "private-both-ways", "logout", "name-four"].map(|id| ["--only", id]);
    let server = imperfect("threaded_server.py", "{port}");
    let options = [&["--lang", "en"][..], only.as_flattened()].concat();
    let run = Run::starting(&server, &options);
    // Its threads may get into each other's way, which is told apart.
    let mut failed = run.with("failed");
    failed.retain(|id| run.case(id)["again"] != "passed");
    assert_eq!(failed, ["leave-close"].into(), "{}", run.report);
    assert_eq!(run.report.matches("Users who are gone stay").count(), 1);
    assert!(run.json["first"]["ghosts"]["since"].is_string());
}

#[test]
fn a_server_with_users_of_a_former_check_is_to_be_started_again() {
    if !can_run("python3", "--version") {
        return;
    }
    let (_server, port) = started("threaded_server.py");
    let arguments = [
        "server",
        "127.0.0.1",
        &port,
        "--lang",
        "en",
        "--patience",
        "2",
    ];
    let only = |id| [&arguments[..], &["--only", id]].concat();
    let first = Run::of(&only("leave-close"));
    assert_eq!(first.with("failed"), ["leave-close"].into());
    let second = Run::of(&only("login-guest"));
    assert_eq!(second.with("skipped"), ["login-guest"].into());
    second.assert_says("still has users of an earlier check in its list");
    second.assert_says("--run");
}

#[test]
#[ignore = "takes a minute; for those who change the checker"]
fn a_server_that_has_hardly_begun_is_judged_in_a_short_time() {
    if !can_run("python3", "--version") {
        return;
    }
    let server = imperfect("unfinished_server.py", "{port}");
    let ids = ids("server");
    let silent = |id: &&String| {
        ["leave-", "logout", "private"]
            .iter()
            .any(|of| id.starts_with(of))
    };
    let only: Vec<&str> = ids
        .iter()
        .filter(silent)
        .flat_map(|id| ["--only", id])
        .collect();
    let patience = ["--lang", "en", "--patience", "5"];
    let run = Run::starting(&server, &[&patience, &only[..]].concat());
    let failed = u32::try_from(run.with("failed").len()).unwrap();
    assert!(failed > 20, "{}", run.report);
    // With all its patience for each of them, it would take longer even if it did not try them twice.
    let patiently = Duration::from_secs(5) * failed;
    assert!(run.took < patiently, "{:?}", run.took);
}

#[test]
#[ignore = "takes a minute; for those who change the checker"]
fn a_slow_server_is_waited_for_though_others_were_not() {
    if !can_run("python3", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = script(
        folder.path(),
        r#"
import json, socketserver, sys, time
class Session(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            data = self.request.recv(65536)
            if not data:
                return
            message = json.loads(data.decode())
            if message["Command"] == "01":
                time.sleep(1.2)  # longer than the shortest patience
                answer = {"Command": "11", "Flag": int(len(message["Name"]) > 3), "Friends": []}
                self.request.sendall(json.dumps(answer).encode())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Session).serve_forever()
"#,
    );
    // The first four come to nothing, so that the checker has lost its patience with 30 and 13.
    let ids = [
        "login-announced",
        "login-announced-once",
        "private",
        "private-chinese",
        "private-quotes",
        "key-order",
        "name-three",
    ];
    let only = ids.map(|id| ["--only", id]).concat();
    let options = [&["--lang", "en", "--patience", "3"], &only[..]].concat();
    let run = Run::starting(&server, &options);
    assert_eq!(
        run.with("passed"),
        ["key-order", "name-three"].into(),
        "{}",
        run.report
    );
}

#[test]
fn a_server_to_which_nobody_can_talk_is_told_so_in_one_sentence() {
    if !can_run("python3", "--version") {
        return;
    }
    const LISTEN: &str = "
import socket, sys
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
kept = []
while True:
    connection, address = listener.accept()
";
    for (deed, sentence) in [
        ("kept.append(connection)", "answers no login (01)"),
        (
            "connection.close()",
            "accepts each connection and closes it",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = script(folder.path(), &format!("{LISTEN}    {deed}\n"));
        let run = Run::starting(&server, &["--lang", "en", "--patience", "1"]);
        run.assert_says(sentence);
        assert_eq!(run.report.matches(sentence).count(), 1, "{}", run.report);
        assert_eq!(run.with("failed"), ["login-guest"].into());
        assert!(run.with("skipped").len() > 80);
        // Those that are not run are not listed one by one.
        assert!(!run.report.contains("login-friends"), "{}", run.report);
        assert_eq!(run.exit, 1);
        assert!(run.took < Duration::from_secs(30), "{:?}", run.took);
    }
}

#[test]
fn a_server_that_does_not_start_shows_why() {
    if !can_run("python3", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (text, what) in [
        ("import\n", "SyntaxError"),
        (
            "import sys; sys.exit('no such file: users.db')\n",
            "users.db",
        ),
    ] {
        let run = Run::starting(&script(folder.path(), text), &["--lang", "en"]);
        assert_eq!(run.exit, 2);
        assert!(run.complaint.contains(what), "{}", run.complaint);
        assert!(
            run.complaint.contains("with exit code 1"),
            "{}",
            run.complaint
        );
    }
    for (command, what) in [
        ("no-such-command-here {port}", "there is no such program"),
        ("python3 'server.py {port}", "a quotation mark is missing"),
    ] {
        let run = Run::starting(command, &["--lang", "en"]);
        assert_eq!(run.exit, 2);
        assert!(run.complaint.contains(what), "{}", run.complaint);
        assert!(!run.complaint.contains("Traceback"), "{}", run.complaint);
    }
}

#[test]
fn a_port_in_use_is_told_with_what_to_do() {
    if !can_run("python3", "--version") {
        return;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let listens = format!("listening on port {port}");
    for (arguments, said) in [
        (
            &["server", "127.0.0.1", &port, "--run", "python3 x.py"][..],
            format!("Port {port} is in use"),
        ),
        (&["client", "--port", &port], listens),
    ] {
        let run = Run::of(&[arguments, &["--lang", "en"]].concat());
        assert_eq!(run.exit, 2);
        assert!(run.complaint.contains(&said), "{}", run.complaint);
        assert!(
            run.complaint.contains("choose another port"),
            "{}",
            run.complaint
        );
        assert!(!run.complaint.contains("Traceback"), "{}", run.complaint);
    }
}

#[test]
fn a_failure_that_does_not_come_again_is_told_apart() {
    if !can_run("python3", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let server = script(
        folder.path(),
        &r#"
import json, os, socketserver, sys
class Session(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            data = self.request.recv(65536)
            if not data:
                return
            message = json.loads(data.decode())
            if message["Command"] == "01":
                is_right = len(message["Name"]) > 3
                if not is_right and not os.path.exists(SEEN):
                    is_right = bool(open(SEEN, "w"))
                    print("RuntimeError: dictionary changed size during iteration", file=sys.stderr, flush=True)
                answer = {"Command": "11", "Flag": int(is_right), "Friends": []}
                self.request.sendall(json.dumps(answer).encode())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Session).serve_forever()
"#
        .replace("SEEN", &format!("{:?}", seen.to_str().unwrap())),
    );
    let only = [
        "--lang",
        "en",
        "--only",
        "name-three",
        "--only",
        "name-in-use",
    ];
    let run = Run::starting(&server, &only);
    let (once, always) = (run.case("name-three"), run.case("name-in-use"));
    assert_eq!(once["result"], "failed", "{}", run.report);
    assert_eq!(once["again"], "passed", "{}", run.report);
    assert_eq!(always["result"], "failed", "{}", run.report);
    assert!(always.get("again").is_none(), "{}", run.report);
    run.assert_says("The second time it passed");
    // And what the server says of itself is taken into account.
    let cause = |case: &Value| case["cause"]["en"].as_str().unwrap().to_owned();
    assert!(cause(once).contains("lock"), "{}", cause(once));
    assert!(!cause(always).contains("lock"), "{}", cause(always));
}

/// Three English words one after the other, if there are any: what is left of a text that nobody has translated.
fn english(text: &str) -> Option<String> {
    let is_word =
        |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words: Vec<&str> = text.split([' ', '\n']).collect();
    words
        .windows(3)
        .find(|three| three.iter().all(is_word))
        .map(|three| three.join(" "))
}

#[track_caller]
fn assert_is_chinese(text: &str) {
    if let Some(left) = english(text) {
        panic!("{left:?} is English in\n{text}");
    }
    let has_chinese = text
        .chars()
        .any(|each| ('\u{4e00}'..='\u{9fff}').contains(&each));
    assert!(has_chinese, "nothing is Chinese in\n{text}");
}

#[test]
fn a_reader_of_chinese_meets_no_english() {
    if !can_run("python3", "--version") {
        return;
    }
    assert_eq!(
        english("用 the dead peers here"),
        Some("the dead peers".into())
    );
    let port = free_port();
    for arguments in [
        &["--help"][..],
        &["server", "--help"],
        &["client", "--help"],
        &[],
        &["nonsense"],
        &["server", "127.0.0.1", "port"],
        &["server", "127.0.0.1", "4004", "rest"],
        &["server", "--patience"],
        &["server", "--patience", "long"],
        &["server", "--l"],
        &["server", "--list=yes"],
        &["server", "--only", "nonsense"],
        &["server", "127.0.0.1", &port],
        &["server", "no.such.host.invalid"],
        &["server", "--run", "no-such-command-here"],
        &["server", "--run", "'"],
        &["server", "--vectors", "nowhere"],
    ] {
        let mut command = checker(arguments);
        command.env_remove("LC_ALL").env("LANG", "zh_CN.UTF-8");
        command.stdin(Stdio::null());
        if arguments
            .first()
            .is_some_and(|first| !first.starts_with('-'))
        {
            command.args(["--lang", "zh"]);
        }
        let mut run = Process::start(command);
        run.wait();
        let said = run.out.all() + &run.err.all();
        // Where no words are found, it speaks both languages.
        let spoken = said
            .lines()
            .filter(|line| !line.contains("no cases") && !line.contains("setlocale"));
        assert_is_chinese(&spoken.collect::<Vec<_>>().join("\n"));
    }
    let only = [
        "login-friends",
        "name-three",
        "login-guest-mark",
        "logout",
        "leave-close",
        "leave-reset",
        "receipt-offline",
        "receipt",
        "register-mark",
        "room-echo",
        "two-in-one",
        "half-close",
        "pretty-printed",
    ];
    let only = only.map(|id| ["--only", id]).concat();
    let options = [&["--lang", "zh", "--patience", "1"], &only[..]].concat();
    for name in ["naive_server.py", "threaded_server.py", "subtle_server.py"] {
        let run = Run::starting(&imperfect(name, "{port}"), &options);
        // What the program itself wrote is in whatever language its author likes.
        let mut is_its_own = false;
        let spoken = run.report.lines().filter(|line| {
            is_its_own = line.contains("程序的输出") || (is_its_own && line.starts_with("      "));
            !is_its_own
        });
        assert_is_chinese(&spoken.collect::<Vec<_>>().join("\n"));
    }
}

/// Every text for people below this value is there in both languages, with the same things to fill in.
fn assert_both_languages(value: &Value) {
    match value {
        Value::Object(object) if object.contains_key("en") => {
            let places = |lang: &str| -> BTreeSet<String> {
                let text = object.get(lang).and_then(Value::as_str);
                let text = text.unwrap_or_else(|| panic!("no {lang}: {value}"));
                assert!(!text.is_empty(), "{value}");
                let parts = text.split('{').skip(1);
                parts
                    .filter_map(|part| Some(part.split_once('}')?.0.to_owned()))
                    .filter(|place| {
                        place
                            .bytes()
                            .all(|byte| byte.is_ascii_lowercase() || byte == b':')
                    })
                    .collect()
            };
            assert_eq!(places("en"), places("zh"), "{value}");
        }
        Value::Object(object) => object.values().for_each(assert_both_languages),
        Value::Array(list) => list.iter().for_each(assert_both_languages),
        _ => {}
    }
}

#[test]
fn each_text_of_the_checker_is_there_in_both_languages() {
    let read = |path: &[&str]| fs::read_to_string(file(path)).unwrap();
    for entry in fs::read_dir(file(&["tests", "vectors"])).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|is| is == "json") {
            assert_both_languages(
                &serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap(),
            );
        }
    }
    let words: Value = serde_json::from_str(&read(&["tests", "vectors", "words.json"])).unwrap();
    let words = words["words"].as_object().unwrap();
    let program = read(&["examples", "check.py"]);
    // Whole keys only: some are put together, as "note " + code.
    let said: Vec<&str> = program
        .split("say(\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .filter(|(_, after)| after.starts_with([')', ',']))
        .map(|(key, _)| key)
        .collect();
    assert!(said.len() > 50);
    for key in said {
        assert!(
            words.contains_key(key),
            "check.py says {key:?}, which words.json lacks"
        );
    }
    let mut vectors = String::new();
    for side in [
        "10-login",
        "30-private",
        "40-room",
        "50-register",
        "60-stream",
    ] {
        vectors += &read(&["tests", "vectors", &format!("{side}.json")]);
    }
    let features = vectors.split("\"feature\": \"").skip(1);
    for feature in features.filter_map(|rest| Some(rest.split_once('"')?.0)) {
        let key = format!("feature {feature}");
        assert!(words.contains_key(&key), "words.json lacks {key:?}");
    }
    // The one text that is not in words.json is the one which says that words.json is missing.
    let help = program.matches("help=").count();
    assert_eq!(
        help,
        program.matches("help=say(").count() + program.matches("add_help=").count()
    );
}

//! The checker on clients: each mistake of `planted_client.py` must be found, with its likely cause, and nothing must
//! be held against the same client without a mistake.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::checker::{
    Expected, Findings, assert_finds, checker, client_arguments, file, imperfect,
};
use crate::process::{Process, can_run, isolate};

/// Runs of the checker at the same time: most of a run is waiting.
const RUNS: usize = 4;

/// A mistake that the client can be told to make, and what the checker says then.
struct Mistake {
    bug: &'static str,
    /// The case that must fail.
    case: &'static str,
    /// A part of what came instead of what was expected.
    instead: &'static str,
    /// A part of the likely cause.
    cause: &'static str,
}

const fn mistake(
    bug: &'static str,
    case: &'static str,
    instead: &'static str,
    cause: &'static str,
) -> Mistake {
    Mistake {
        bug,
        case,
        instead,
        cause,
    }
}

const CRASH: &str = "an exception that nobody caught";
const NOT_SHOWN: &str = "it does not";

const MISTAKES: [Mistake; 33] = [
    mistake(
        "recv-is-message",
        "client-reads-two",
        CRASH,
        "what one recv returned for one message",
    ),
    mistake(
        "half-character",
        "client-reads-split",
        NOT_SHOWN,
        "Collect the bytes in a buffer",
    ),
    mistake(
        "buffer-1024",
        "client-reads-long",
        NOT_SHOWN,
        "Collect the bytes in a buffer",
    ),
    mistake(
        "cut-at-brace",
        "client-reads-braces",
        CRASH,
        "cuts the stream at braces",
    ),
    mistake(
        "buffer-never-emptied",
        "client-reads-long",
        CRASH,
        "Collect the bytes in a buffer",
    ),
    mistake(
        "reads-after-typing",
        "client-friends",
        "only after its user has typed a line",
        "read in a thread of its own",
    ),
    mistake(
        "came-not-listed",
        "client-list-came",
        NOT_SHOWN,
        "add the name of a 30",
    ),
    mistake(
        "left-still-listed",
        "client-list-left",
        "the list has Xaviera",
        "remove that of a 31",
    ),
    mistake(
        "refusal-shown-as-sent",
        "client-receipt",
        "it shows * sent",
        "does not look at Flag",
    ),
    mistake(
        "refusal-ignored",
        "client-receipt",
        NOT_SHOWN,
        "only those with Flag 1",
    ),
    mistake(
        "heartbeat-as-receipt",
        "client-heartbeat-receipt",
        "it shows * NOT sent",
        "every 14 for a receipt",
    ),
    mistake(
        "refused-login-ignored",
        "client-refused-tells",
        "it shows * online",
        "every 11 for a success",
    ),
    mistake(
        "close-unnoticed",
        "client-closed",
        NOT_SHOWN,
        "recv returning nothing",
    ),
    mistake(
        "stranger-crashes",
        "client-room-stranger",
        CRASH,
        "whoever it is from",
    ),
    mistake(
        "stranger-dropped",
        "client-room-stranger",
        NOT_SHOWN,
        "whoever it is from",
    ),
    mistake(
        "own-message-twice",
        "client-own-once",
        "2 times",
        "Leave out one of the two",
    ),
    mistake(
        "unknown-command",
        "client-unknown",
        CRASH,
        "handlers[command] raises a KeyError",
    ),
    mistake(
        "extra-keys",
        "client-unknown",
        CRASH,
        "Ignore unknown commands and keys",
    ),
    mistake(
        "guest-mark-needed",
        "client-came",
        CRASH,
        "it needs IsUserGuest",
    ),
    mistake(
        "empty-friends",
        "client-friends-empty",
        CRASH,
        "the first of Friends",
    ),
    mistake(
        "control-characters",
        "client-reads-control",
        "it writes them as they came",
        "Replace control characters",
    ),
    mistake(
        "markup",
        "client-reads-text",
        NOT_SHOWN,
        "for a tag or a format",
    ),
    mistake(
        "login-twice",
        "client-login-once",
        r#"{"Command":"01""#,
        "sends its login twice",
    ),
    mistake(
        "name-blank",
        "client-login",
        r#""Alice ""#,
        "strip the blank",
    ),
    mistake(
        "wrong-key",
        "client-private",
        "FriendName: ",
        "missing or misspelt",
    ),
    mistake(
        "room-quotes",
        "client-room-quotes",
        "no whole JSON object",
        "pasting strings together",
    ),
    mistake(
        "blanks-collapsed",
        "client-blanks",
        "two blanks, three",
        "lose blanks",
    ),
    mistake(
        "gbk",
        "client-chinese",
        "bytes that are not UTF-8",
        "such as GBK",
    ),
    mistake(
        "little-endian",
        "client-login",
        "no whole JSON object",
        "the lowest byte of a length comes first",
    ),
    mistake(
        "heartbeat-answered",
        "client-heartbeat-answer",
        r#"{"Command":"14","Flag":1}"#,
        "a message that it has to confirm",
    ),
    mistake(
        "logout-silent",
        "client-logout",
        "the connection was closed",
        "only closes the connection",
    ),
    mistake(
        "logout-waits",
        "client-logout-ends",
        "no message came",
        "waits for an answer to 03",
    ),
    mistake(
        "crash-behind-prompt",
        "client-reads-private",
        CRASH,
        "There is an exception that nobody catches",
    ),
];

fn planted(bug: &str) -> String {
    imperfect(
        "planted_client.py",
        &format!("{{host}} {{port}} {{name}} {bug}"),
    )
}

impl Mistake {
    /// What the checker says that it should not say, or does not say; nothing if all is right.
    fn differences(&self, patience: &str) -> Option<String> {
        let mut arguments = client_arguments(&planted(self.bug), patience);
        arguments.extend(["--only".to_owned(), self.case.to_owned()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let findings = Findings::of(&arguments);
        let says = |text| findings.report.contains(text);
        let is_right = findings.with("failed") == BTreeSet::from([self.case])
            && says(self.instead)
            && says(self.cause);
        (!is_right).then(|| format!("{}: {}", self.bug, findings.report))
    }
}

#[test]
fn the_checker_finds_each_mistake_that_a_client_can_make_and_says_why() {
    if !can_run("python3", "--version") {
        return;
    }
    let mut listed = Command::new("python3");
    isolate(&mut listed).args([
        "-B",
        &file(&["tests", "imperfect", "planted_client.py"]),
        "--bugs",
    ]);
    let listed = String::from_utf8(listed.output().unwrap().stdout).unwrap();
    let known: BTreeSet<&str> = MISTAKES.iter().map(|mistake| mistake.bug).collect();
    assert_eq!(listed.lines().collect::<BTreeSet<_>>(), known);

    let next = AtomicUsize::new(0);
    let run_some = || {
        let mut wrong = Vec::new();
        while let Some(mistake) = MISTAKES.get(next.fetch_add(1, Ordering::Relaxed)) {
            // Should a slow machine have looked like a silence, there is one more try, with patience.
            if mistake.differences("2").is_some() {
                wrong.extend(mistake.differences("15"));
            }
        }
        wrong
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = (0..RUNS).map(|_| scope.spawn(run_some)).collect();
        runs.into_iter()
            .flat_map(|run| run.join().unwrap())
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Runs the checker on a sound client, with further arguments.
#[track_caller]
fn assert_passes(run: &str, absent: &'static [&'static str], further: &[&str]) {
    let expected = Expected {
        absent,
        ..Expected::default()
    };
    assert_finds(&expected, |patience| {
        let findings = Findings::of_parts("client", RUNS, || {
            let further = further.iter().map(|word| (*word).to_owned());
            let arguments = client_arguments(run, patience).into_iter();
            arguments.chain(further).collect()
        });
        if findings.with("failed").is_empty() {
            assert_eq!(findings.exit, 0, "{}", findings.report);
        }
        findings
    });
}

#[test]
fn the_checker_holds_nothing_against_a_sound_client() {
    if !can_run("python3", "--version") {
        return;
    }
    assert_passes(&planted(""), &[], &["--strict"]);
}

#[test]
fn the_checker_holds_nothing_against_sound_clients_when_all_is_cut_and_joined() {
    if !can_run("python3", "--version") {
        return;
    }
    let example = file(&["examples", "client.py"]);
    let run = format!("python3 -B -X utf8 '{example}' {{host}} --port {{port}} {{name}}");
    thread::scope(|scope| {
        scope.spawn(|| assert_passes(&planted(""), &[], &["--strict", "--cruel", "7"]));
        scope.spawn(|| assert_passes(&run, &["client-reads-number"], &["--cruel", "7"]));
    });
}

#[test]
fn cruelty_shows_in_every_case_what_a_client_gets_wrong_that_takes_a_recv_for_a_message() {
    if !can_run("python3", "--version") {
        return;
    }
    let run = planted("recv-is-message");
    let only = [
        "--only",
        "client-reads-private",
        "--only",
        "client-reads-chinese",
    ];
    let with_patience = |patience, further: &[&str]| {
        let arguments = client_arguments(&run, patience);
        let arguments = arguments.iter().map(String::as_str);
        let arguments: Vec<&str> = arguments
            .chain(only)
            .chain(further.iter().copied())
            .collect();
        Findings::of(&arguments)
    };
    let kind = with_patience("15", &[]);
    assert_eq!(kind.with("passed").len(), 2, "{}", kind.report);
    let cruel = with_patience("2", &["--cruel", "3"]);
    assert_eq!(cruel.with("failed").len(), 2, "{}", cruel.report);
    assert!(cruel.report.contains("--cruel 3"), "{}", cruel.report);
}

#[test]
fn the_seed_decides_where_cruelty_cuts() {
    if !can_run("python3", "--version") {
        return;
    }
    const CUTS: &str = r#"
import random, sys
sys.path.insert(0, sys.argv[1])
import check
data = '{"Message":"\\u4f60 你好"}\n{"Command":"14"}\n'.encode()
cuts = [check.unlucky(data, random.Random(f"{seed} case")) for seed in range(60)]
assert cuts == [check.unlucky(data, random.Random(f"{seed} case")) for seed in range(60)]
assert all(0 < place < len(data) and places == sorted(set(places)) for places in cuts for place in places)
assert list(range(1, len(data))) in cuts, "never byte by byte"
assert [] in cuts, "never joined"
mixed = [places for places in cuts if 0 < len(places) < len(data) - 1]
inside = data.index("你".encode()) + 1
assert any(inside in places for places in mixed), "never inside a character"
escape = data.index(b"u4f60")
assert any(escape in places for places in mixed), "never inside an escape"
end = data.index(b"}\n{")
assert any(not {end + 1, end + 2} & set(places) and places[0] <= end and places[-1] > end + 2 for places in mixed), \
    "never the end of one with the beginning of the next"
print(cuts)
"#;
    let folder = file(&["examples"]);
    let run = || {
        let mut command = Command::new("python3");
        isolate(&mut command).args(["-B", "-X", "utf8", "-c", CUTS, &folder]);
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        output.stdout
    };
    assert_eq!(run(), run());
}

/// Waits until the person has been asked so many times to start the client again.
#[track_caller]
fn assert_asks_to_start_again(check: &Process, times: usize) {
    let again = "> start your client again; it connects";
    let is_there = |text: &str| text.matches(again).count() == times;
    check.out.text_where("start your client again", is_there);
}

#[test]
fn a_person_is_asked_what_the_checker_cannot_see() {
    if !can_run("python3", "--version") {
        return;
    }
    let only = ["client-login", "client-list-left", "client-closed"];
    let arguments = ["client", "--port", "0", "--lang", "en", "--patience", "20"];
    let only = only.map(|id| ["--only", id]).concat();
    let mut check = Process::start(checker(&[&arguments[..], &only].concat()));
    let start = check.out.line_with("> start your client; it connects");
    let port = start.rsplit(' ').next().unwrap().to_owned();
    let client = || {
        let mut command = Command::new("python3");
        isolate(&mut command)
            .args(["-B", "-X", "utf8"])
            .args([&file(&["tests", "imperfect", "planted_client.py"])])
            .args(["127.0.0.1", &port, "Alice"])
            .stdin(Stdio::piped());
        Process::start(command)
    };
    let mut first = client();
    first.out.line_with("online: Alice, Bobby");
    // This case needs a fresh client, with other friends.
    assert_asks_to_start_again(&check, 1);
    let mut second = client();
    second.out.line_with("online: Alice, Xaviera, Yolanda");
    first.out.line_with("the server has closed the connection");
    check
        .out
        .line_with("? does your client show this?  who is here?");
    check.type_line("");
    check
        .out
        .line_with("? let your client show its list of users; does it have Xaviera, Yolanda?");
    check.type_line("");
    assert_asks_to_start_again(&check, 2);
    let mut third = client();
    check
        .out
        .line_with("? does your client show this?  one has left");
    check.type_line("");
    check
        .out
        .line_with("? does your client show this?  and another came");
    check.type_line("");
    third.type_line("/who");
    third.out.line_with("online: Alice, Victor, Yolanda");
    check.out.line_with("does it have Yolanda, and no Xaviera?");
    check.type_line("n");
    assert_asks_to_start_again(&check, 3);
    let mut fourth = client();
    check
        .out
        .line_with("? does your client show this?  this is the last");
    check.type_line("");
    fourth.out.line_with("the server has closed the connection");
    check
        .out
        .line_with("? the server has closed the connection; does your client say so?");
    check.type_line("");
    assert_eq!(check.wait().code(), Some(0), "{}", check.err.all());
    let report = check.out.all();
    assert!(report.contains("client-list-left (optional)"), "{report}");
    assert!(!report.contains("client-closed (robust)"), "{report}");
    assert_eq!(check.err.all(), "");
    for client in [&mut first, &mut second, &mut third, &mut fourth] {
        client.wait();
    }
}

#[test]
fn the_checker_says_what_to_do_where_it_cannot_listen_or_start_the_client() {
    if !can_run("python3", "--version") {
        return;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let busy = listener.local_addr().unwrap().port().to_string();
    for (arguments, english, chinese) in [
        (
            &["--port", &busy][..],
            "choose another port, --port ",
            "或者换一个端口",
        ),
        (
            &["--port", "70000"],
            "There is no port 70000",
            "没有 70000 这个端口",
        ),
        (
            &["--port", "0", "--host", "192.0.2.77"],
            "has no address 192.0.2.77",
            "没有 192.0.2.77 这个地址",
        ),
        (
            &["--port", "0", "--run", "no-such-program"],
            "there is no program no-such-program",
            "找不到程序",
        ),
        (
            &["--port", "0", "--run", "python3 \"a"],
            "quotation mark",
            "引号不成对",
        ),
    ] {
        for (lang, complaint) in [("en", english), ("zh", chinese)] {
            let command = checker(&[&["client", "--lang", lang], arguments].concat());
            let mut run = Process::start(command);
            assert_eq!(run.wait().code(), Some(2), "{arguments:?}");
            let complained = run.err.all();
            assert!(complained.contains(complaint), "{complained}");
            assert!(!complained.contains("Traceback"), "{complained}");
        }
    }
}

//! The pages lead where they say: every link to a file leads to one that is there, one to a section to a heading, and one to
//! a line of the source to the item that the link names. What the pages for students show is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way};
use crate::process::{Chatd, Process, can_run, chatd, isolate};

/// The pages for students, in each language.
const PROTOCOL: [&str; 2] = ["docs/protocol.md", "docs/protocol.zh.md"];
const SYMPTOMS: [&str; 2] = ["docs/symptoms.md", "docs/symptoms.zh.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository, with the line ends of Unix.
fn text_of(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    text.replace("\r\n", "\n")
}

/// The pages: the README and all of docs.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(root().join("README.md"));
    pages
}

/// The links of a page: each one's text and its target.
fn links(page: &str) -> Vec<(&str, &str)> {
    let starts = page.match_indices("](");
    let link = |(at, _): (usize, &str)| {
        let text = &page[..at];
        let text = &text[text.rfind('[')? + 1..];
        let target = &page[at + 2..];
        Some((text, &target[..target.find([')', ' ', '\n'])?]))
    };
    starts.filter_map(link).collect()
}

/// The lines of a page that are not in a block of code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// The headings of a page: each one's level and its words.
fn headings(page: &str) -> Vec<(usize, &str)> {
    let of = prose(page).map(|line| {
        let words = line.trim_start_matches('#');
        (line.len() - words.len(), words.trim())
    });
    of.filter(|(level, _)| *level > 0).collect()
}

/// The name by which GitHub links to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' '));
    let lower: String = kept.flat_map(char::to_lowercase).collect();
    lower.replace(' ', "-")
}

/// The blocks of code of a page: each one's language, which may be empty, and its lines.
fn blocks(page: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| line.trim_start() != "```");
            blocks.push((language.to_owned(), inside.map(str::to_owned).collect()));
        }
    }
    blocks
}

/// The section of a page with this heading, up to the next one of its level or above.
fn section<'page>(page: &'page str, heading: &str) -> &'page str {
    let start = page.find(&format!("\n{heading}")).expect(heading) + 1;
    let level = heading.split(' ').next().unwrap();
    let inside = &page[start + heading.len()..];
    let end = inside.find(&format!("\n{level} ")).unwrap_or(inside.len());
    &inside[..end]
}

/// Whether a line of the source defines the item that `text` names: the last part of a path such as `Room::apply`.
fn defines(line: &str, text: &str) -> bool {
    let name = text.trim_matches('`').rsplit("::").next().unwrap();
    let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let kinds = ["fn", "struct", "enum", "trait", "const", "type"];
    words.any(|word| kinds.contains(&word)) && words.next() == Some(name)
}

#[test]
fn every_link_of_the_pages_leads_where_it_says() {
    let mut lines_linked = 0;
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        for (text, target) in links(&page) {
            if target.contains("://") {
                continue;
            }
            let (name, fragment) = target.split_once('#').unwrap_or((target, ""));
            let file = if name.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(name)
            };
            assert!(file.exists(), "{}: {target} is not there", path.display());
            if file.extension().is_some_and(|extension| extension == "md") && !fragment.is_empty() {
                let linked = fs::read_to_string(&file).unwrap();
                let mut anchors = headings(&linked)
                    .into_iter()
                    .map(|(_, words)| anchor(words));
                assert!(
                    anchors.any(|anchor| anchor == fragment),
                    "{}: {target} has no such heading",
                    path.display()
                );
            }
            let Some(number) = fragment.strip_prefix('L') else {
                continue;
            };
            let source = fs::read_to_string(&file).unwrap();
            let number: usize = number.parse().unwrap();
            let line = source.lines().nth(number - 1).unwrap_or_default();
            assert!(
                defines(line, text),
                "{}: {text} is not in line {number} of {target}: {line:?}",
                path.display()
            );
            lines_linked += 1;
        }
    }
    assert!(lines_linked > 0, "the tour leads to lines");
}

/// A page's code without what a translation may change: comments, and what stands in parentheses behind an arrow.
fn code(page: &str) -> Vec<(String, Vec<String>)> {
    let without = |line: &str| {
        let end = ["#", "//", "\"\"\"", "← (", "← （"]
            .iter()
            .filter_map(|mark| line.find(mark))
            .min();
        line[..end.unwrap_or(line.len())].trim_end().to_owned()
    };
    let of = |(language, lines): (String, Vec<String>)| {
        (language, lines.iter().map(|line| without(line)).collect())
    };
    blocks(page).into_iter().map(of).collect()
}

#[test]
fn the_pages_for_students_say_the_same_in_both_languages() {
    for [english, chinese] in [PROTOCOL, SYMPTOMS] {
        let [english, chinese] = [english, chinese].map(text_of);
        let outline = |page: &str| -> Vec<(usize, String)> {
            let number = |words: &str| words.split(' ').next().unwrap().to_owned();
            let numbers = headings(page).into_iter().map(|(level, words)| {
                let first = number(words);
                let is_number = first.starts_with(|first: char| first.is_ascii_digit());
                (level, if is_number { first } else { String::new() })
            });
            numbers.collect()
        };
        assert_eq!(outline(&english), outline(&chinese));
        assert_eq!(code(&english), code(&chinese));
        let rows = |page: &str| {
            headings(page)
                .iter()
                .map(|(level, words)| {
                    let heading = format!("{} {words}", "#".repeat(*level));
                    let inside = section(&format!("\n{page}"), &heading).to_owned();
                    prose(&inside).filter(|line| line.starts_with("| ")).count()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(rows(&english), rows(&chinese), "rows of the tables");
    }
}

/// Plays one line of a conversation on the page: `→` and what a client sends, or `←` and what it receives.
#[track_caller]
fn play(client: &mut Client, line: &str) {
    let (arrow, message) = line.split_once(' ').unwrap();
    match arrow {
        "→" => client.send_text(message),
        "←" if message.starts_with('{') => client.expect_text(message),
        "←" => client.expect_end(),
        other => panic!("{other} in {line}"),
    }
}

#[test]
fn the_quick_start_goes_as_the_page_says() {
    for (path, heading) in PROTOCOL.iter().zip(["## Quick start", "## 快速上手"]) {
        let page = text_of(path);
        let blocks = blocks(section(&page, heading));
        let conversation = &blocks[0].1;
        assert!(conversation.len() > 5, "{conversation:?}");
        let server = TestServer::calm();
        for way in Way::ALL {
            let mut client = server.connect_as(way);
            for line in conversation {
                play(&mut client, line);
            }
        }
        // Pasted by hand, without a word from the server in between.
        let mut client = server.connect();
        let lines = |arrow: &str| {
            let lines = conversation
                .iter()
                .filter_map(|line| line.strip_prefix(arrow));
            lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
        };
        client.send_bytes(lines("→").join("\n").as_bytes());
        for line in lines("←") {
            play(&mut client, &format!("← {line}"));
        }
    }
}

#[test]
fn the_sample_conversation_goes_as_the_page_says() {
    for path in PROTOCOL {
        let page = text_of(path);
        let heading = headings(&page)
            .into_iter()
            .find(|(_, words)| words.starts_with("3. "))
            .map(|(_, words)| format!("## {words}"));
        let server = TestServer::calm();
        let mut clients = BTreeMap::new();
        let heartbeat = r#"← {"Command":"14"}"#;
        let mut played = 0;
        for (_, lines) in blocks(section(&page, &heading.unwrap())) {
            for line in lines {
                let line = line.split(" #").next().unwrap();
                let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
                let rest = rest.trim();
                if rest == heartbeat {
                    continue; // it comes when its time has come
                }
                if rest.contains(r#""Command":"10""#) {
                    server.handle.stop();
                }
                let client = clients
                    .entry(name.to_owned())
                    .or_insert_with(|| server.connect());
                match rest {
                    "" => client.expect_end(),
                    rest => play(client, rest),
                }
                played += 1;
            }
        }
        assert!(played > 20, "{played} lines");
    }
}

#[test]
fn the_loops_of_the_page_do_not_care_how_bytes_are_cut() {
    const BEFORE: &str = r#"
import json
MESSAGES = [{"Command": "14"}, {"Command": "32", "Message": "你好 } { \n \" 😀"}, {"Command": "31"}]
STREAM = b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in MESSAGES)
class Sock:
    def __init__(self, pieces): self.pieces = list(pieces)
    def recv(self, size): return self.pieces.pop(0) if self.pieces else b""
def ways():
    for cut in range(1, len(STREAM)): yield [STREAM[:cut], STREAM[cut:]]
    for size in (1, 2, 3, 1000): yield [STREAM[i:i + size] for i in range(0, len(STREAM), size)]
"#;
    const LOOP: &str = r#"
for pieces in ways():
    got = []
    exec(LOOP, {"json": json, "sock": Sock(pieces), "handle": got.append})
    assert got == MESSAGES, (pieces, got)
print("all is well")
"#;
    const READER: &str = r#"
for pieces in ways():
    reader, got = Reader(Sock(pieces)), []
    while (message := reader.read()) is not None: got.append(message)
    assert got == MESSAGES, (pieces, got)
print("all is well")
"#;
    if !can_run("python3", "--version") {
        return;
    }
    for path in PROTOCOL {
        let page = text_of(path);
        let with = |words: &str| {
            let found = blocks(&page)
                .into_iter()
                .find(|(language, lines)| language == "python" && lines.join("\n").contains(words));
            found.expect(words).1.join("\n")
        };
        let quick = format!("LOOP = {}\n", json!(with("buffer = b\"\"")));
        let reader = with("class Reader");
        for script in [
            [BEFORE, &quick, LOOP].concat(),
            [BEFORE, &reader, READER].concat(),
        ] {
            let mut command = Command::new("python3");
            isolate(&mut command).args(["-B", "-X", "utf8", "-c", &script]);
            let mut test = Process::start(command);
            assert!(test.wait().success(), "{}", test.err.all());
            assert_eq!(test.out.all().trim_end(), "all is well");
        }
    }
}

/// The block of section 2 of the page that pins the certificate in this language.
fn pinning(language: &str) -> String {
    let page = text_of(PROTOCOL[0]);
    let blocks = blocks(section(&page, "## 2. "));
    let found = blocks.into_iter().find(|(of, _)| of == language);
    found.expect(language).1.join("\n") + "\n"
}

/// Checks that a program connects by TLS and logs in with the right fingerprint, and refuses any other. `{host}`, `{port}`
/// and `{fingerprint}` are filled in in its arguments.
#[track_caller]
fn expect_pinned(program: &str, arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let address = server.tls_address();
    let right = server.fingerprint();
    let wrong = format!(
        "{}{}",
        if right.starts_with('0') { "1" } else { "0" },
        &right[1..]
    );
    for (fingerprint, words) in [(&right, r#"{"Command":"11","Flag":1"#), (&wrong, "")] {
        let mut command = Command::new(program);
        isolate(&mut command);
        for argument in arguments {
            let filled = argument
                .replace("{host}", &address.ip().to_string())
                .replace("{port}", &address.port().to_string())
                .replace("{fingerprint}", fingerprint);
            command.arg(filled);
        }
        let mut client = Process::start(command);
        let status = client.wait();
        let (out, err) = (client.out.all(), client.err.all());
        if words.is_empty() {
            assert!(!status.success(), "{program} trusts another certificate");
            assert!(err.contains("wrong certificate"), "{err}");
        } else {
            assert!(status.success(), "{err}");
            assert!(out.contains(words), "{out}");
        }
    }
    server.stop();
}

#[test]
fn the_pinning_in_python_trusts_only_the_right_certificate() {
    if !can_run("python3", "--version") {
        return;
    }
    let script = pinning("python")
        + r#"
import sys
host, port, fingerprint = sys.argv[1:]
sock = connect(host, fingerprint, int(port))
sock.sendall(b'{"Command":"01","Name":"Anna"}')
print(sock.recv(65536).decode())
"#;
    let arguments = ["-B", "-c", &script, "{host}", "{port}", "{fingerprint}"];
    expect_pinned("python3", &arguments);
}

#[test]
fn the_pinning_in_java_trusts_only_the_right_certificate() {
    if !can_run("javac", "-version") || !can_run("java", "-version") {
        return;
    }
    const TRY: &str = r#"
class Try {
    public static void main(String[] arguments) throws Exception {
        java.net.Socket socket = PinnedTls.connect(arguments[0], Integer.parseInt(arguments[1]), arguments[2]);
        socket.getOutputStream().write("{\"Command\":\"01\",\"Name\":\"Anna\"}".getBytes("UTF-8"));
        byte[] buffer = new byte[65536];
        System.out.println(new String(buffer, 0, socket.getInputStream().read(buffer), "UTF-8"));
        socket.close();
    }
}
"#;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("PinnedTls.java"), pinning("java")).unwrap();
    fs::write(folder.path().join("Try.java"), TRY).unwrap();
    let mut compiler = Command::new("javac");
    isolate(&mut compiler)
        .args(["-encoding", "UTF-8", "PinnedTls.java", "Try.java"])
        .current_dir(folder.path());
    let mut compiler = Process::start(compiler);
    assert!(compiler.wait().success(), "{}", compiler.err.all());
    let classes = folder.path().to_str().unwrap();
    expect_pinned(
        "java",
        &["-cp", classes, "Try", "{host}", "{port}", "{fingerprint}"],
    );
}

#[test]
fn the_pinning_in_node_trusts_only_the_right_certificate() {
    if !can_run("node", "--version") {
        return;
    }
    let script = pinning("js")
        + r#"
const [host, port, fingerprint] = process.argv.slice(1);
connect(host, fingerprint, Number(port)).then((socket) => {
  socket.once("data", (data) => {
    console.log(String(data));
    socket.destroy();
  });
  socket.write('{"Command":"01","Name":"Anna"}');
});
"#;
    let arguments = ["-e", &script, "{host}", "{port}", "{fingerprint}"];
    expect_pinned("node", &arguments);
}

/// What follows `mark` in a text up to `end`, each time it occurs.
fn after<'text>(text: &'text str, mark: &str, end: &[char]) -> Vec<&'text str> {
    let places = text.match_indices(mark);
    places
        .map(|(at, _)| text[at + mark.len()..].split(end).next().unwrap())
        .collect()
}

#[test]
fn the_commands_of_the_symptoms_are_there_and_do_what_the_page_says() {
    let mut ids = BTreeSet::new();
    for file in fs::read_dir(root().join("tests/vectors")).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let of: Value = serde_json::from_str(&text_of(&path)).unwrap();
            let cases = of["cases"].as_array().cloned().unwrap_or_default();
            let of_clients = cases.iter().filter(|_| of["side"] == "client");
            ids.extend(of_clients.filter_map(|case| case["id"].as_str().map(str::to_owned)));
        }
    }
    let words = text_of("tests/vectors/words.json");
    let console = text_of("docs/console.md");
    // Where a client sends nothing, and where it sends half a message.
    let checker_says = [
        ["no message came", "what came is no whole JSON object"],
        ["秒内没有收到消息", "收到的不是完整的 JSON 对象"],
    ];
    for (path, checker_says) in SYMPTOMS.iter().zip(checker_says) {
        let page = text_of(path);
        let cases = after(&page, "--only ", &[' ', '\n', '`']);
        assert!(cases.len() > 10, "{cases:?}");
        for case in cases {
            assert!(ids.contains(case), "{path}: the checker has no case {case}");
        }
        for command in ["watch NAME", "who refused"] {
            assert!(page.contains(command) && console.contains(&format!("`{command}`")));
        }
        for said in checker_says {
            assert!(
                page.contains(said) && words.contains(said),
                "{path}: {said}"
            );
        }

        let server = TestServer::calm();
        let mut alice = server.guest("Alice");
        let mut tried = 0;
        for (_, lines) in blocks(&page) {
            let Some(typed) = lines[0]
                .strip_prefix("printf '")
                .and_then(|rest| rest.strip_suffix("' | nc HOST 4004"))
            else {
                continue;
            };
            let mut other = server.connect();
            other.send_bytes(typed.as_bytes());
            let came = other.receive_all();
            assert_eq!(came[0]["Flag"], 1, "{typed}");
            let friends = came[0]["Friends"].as_array().unwrap();
            assert!(friends.contains(&json!(["Alice", 1])), "{came:?}");
            assert_eq!(alice.receive()["LogOnUserName"], "Other");
            if typed.contains("hello") {
                assert_eq!(alice.receive()["Message"], "hello");
            }
            assert_eq!(alice.receive()["LogOutUserName"], "Other");
            tried += 1;
        }
        assert!(tried >= 3, "{tried} commands");
        alice.log_out();
    }
}

#[test]
fn the_traps_quote_what_the_server_says() {
    let mut said = String::new();
    for file in fs::read_dir(root().join("src/texts")).unwrap() {
        said += &text_of(file.unwrap().path())
            .replace("\\\\", "\\")
            .replace("\\\"", "\"");
    }
    for (path, heading) in PROTOCOL.iter().zip(["## 9. Traps", "## 9. 各种语言"]) {
        let page = text_of(path);
        let mut quoted = 0;
        for row in section(&page, heading)
            .lines()
            .filter(|line| line.starts_with("| "))
        {
            // Text in italics, but no code, where a star may be a pointer or a wildcard.
            let code_is_odd: Vec<&str> = row.split('`').collect();
            let prose: String = code_is_odd.iter().step_by(2).copied().collect();
            for quote in prose.split('*').skip(1).step_by(2) {
                for part in quote.split(['…']).filter(|part| !part.is_empty()) {
                    let part = part.trim().trim_end_matches(['?', '？', '。']);
                    let part = part.replace("\\\\", "\\");
                    assert!(said.contains(&part), "{path}: nothing says {part:?}");
                    quoted += 1;
                }
            }
        }
        assert!(quoted > 15, "{quoted} quotes");
    }
}

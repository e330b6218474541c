//! What clients, and the teacher, are told by a server that speaks Chinese, beside what one says that speaks English.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::certificate::own_pair;
use crate::harness::{Client, Way};
use crate::process::{CHATD, Chatd, Process, chatd, isolate, refused};
use crate::settings::FLAGS;

/// Words that a Chinese sentence may have: names of keys, of formats, and of what other libraries offer.
const NAMES: &str = "Anna BinaryWriter Command Encoding FEFF FriendName GBK JSON Java Message NET NaN Name Password \
                     QDataStream Qt UTF false getBytes null true writeUTF";

/// Words that a Chinese sentence of the console may have, too: what can be typed, and what was typed by the test.
const COMMANDS: &str = "attendance ban bans csv forget help info kick lock mute private quit refused register say slow stats \
                        tell transcript unban unlock unmute unwatch watch who \
                        ADDRESS FILE NAME TEXT TIME admin all off on why yes no \
                        Al Anna Annna Bobby Carol Dora Nobody Petra an anna class down hello jsonl mtue na la \
                        none said KiB TLS";

/// The shortest line that a server can be told to send at most, in bytes. Every reason fits.
const SHORTEST_LINE: usize = 1 << 10;

/// Words that the help in Chinese may have, too: what can be typed, names of formats, of variables and of files.
const SETTINGS: &str = "CHATD DATA DIR LANG PEM TLS WebSocket certificate chatd console data en help http https key null pem \
                        root version zh";

/// What the command line can't be: each kind of mistake.
const MISTAKES: [&[&str]; 18] = [
    &["--prot", "5"],
    &["--port"],
    &["--port", "abc"],
    &["--port", "70000"],
    &["--bind", "here"],
    &["--heartbeat", "5"],
    &["--max-frame", "much"],
    &["--max-frame", "99999999999999999999"],
    &["--rate", "-5"],
    &["--max-connections", "0"],
    &["--no-tls=1"],
    &["--port", "1", "--port", "2"],
    &["consol"],
    &["console", "--port", "5"],
    &["console", "x"],
    &["--no-tls", "console"],
    &["-x"],
    &["--max-connections", "9999999"],
];

#[test]
fn what_is_wrong_with_the_command_line_is_told_in_chinese_too() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in MISTAKES {
        let complaint = |lang| {
            let mut command = chatd(folder.path());
            command.env("CHATD_LANG", lang).args(arguments);
            refused(command)
        };
        let (english, chinese) = (complaint("en"), complaint("zh"));
        assert!(!english.contains(is_chinese), "{english}");
        let typed = arguments.join(" ") + " --port console chatd help KiB MiB";
        let typed = typed.replace(['-', '='], " ");
        let rest = chinese.replace("15s、500ms 或 1m30s", "");
        assert_eq!(english_word(&rest, &typed), None, "{chinese}");
        // What was wrong stands in both.
        for argument in arguments.iter().filter(|text| text.starts_with("--")) {
            let name = argument.split('=').next().unwrap();
            assert_eq!(english.contains(name), chinese.contains(name), "{chinese}");
        }
    }
}

#[test]
fn a_mistake_is_told_in_the_language_that_an_option_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, is_in_chinese) in [
        (["--lang", "zh", "--foo"], true),
        (["--foo", "--lang", "zh"], true),
        (["--foo", "--lang=zh", "--no-tls"], true),
        (["--lang=zh", "--lang=en", "--foo"], false),
        (["--lang", "en", "--foo"], false),
    ] {
        let mut command = chatd(folder.path());
        command.env("CHATD_LANG", "zh").args(arguments);
        let complaint = refused(command);
        assert_eq!(complaint.contains(is_chinese), is_in_chinese, "{complaint}");
    }
    // A variable that is wrong is told by its name.
    let mut command = chatd(folder.path());
    command.env("CHATD_LANG", "zh").env("CHATD_PORT", "abc");
    let complaint = refused(command);
    assert!(
        complaint.contains("CHATD_PORT (--port) 不能是“abc”"),
        "{complaint}"
    );
}

#[test]
fn the_help_is_in_chinese_too() {
    let help = |arguments: &[&str]| {
        let mut command = Command::new(CHATD);
        isolate(&mut command).args(arguments);
        let mut process = Process::start(command);
        assert!(process.wait().success());
        process.out.all()
    };
    let whole = help(&["--help", "--lang", "zh"]);
    for (flag, default, _) in FLAGS {
        let is_this = |section: &&str| {
            let options = section.trim_start_matches("选项:").trim_start();
            let words = options.split_whitespace();
            words.take(1).eq([format!("--{flag}")])
        };
        let section = whole.split("\n\n").find(is_this).expect(flag);
        assert!(section.contains(is_chinese), "{section}");
        let variable = format!("CHATD_{}=", flag.to_uppercase().replace('-', "_"));
        assert!(section.contains(&variable), "{section}");
        if default.starts_with(|first: char| first.is_ascii_digit()) {
            assert!(section.contains(&format!("[默认：{default}]")), "{section}");
        }
    }
    let names = FLAGS.iter().map(|(flag, ..)| flag.replace('-', " "));
    let names = names.collect::<Vec<String>>().join(" ");
    let names = format!("{names} {} {SETTINGS}", names.to_uppercase());
    for arguments in [["--help"].as_slice(), &["-h"], &["console", "--help"]] {
        let text = help(&[arguments, &["--lang", "zh"]].concat());
        let text = text.replace("KiB", "").replace("MiB", "");
        assert_eq!(english_word(&text, &names), None, "{text}");
    }
}

#[test]
fn what_is_refused_is_so_in_chinese_too() {
    compare(refusals_of_commands);
}

#[test]
fn what_meets_a_limit_is_told_so_in_chinese_too() {
    compare(limits);
}

#[test]
fn what_is_wrong_with_bytes_is_told_in_chinese_too() {
    compare(mistakes_in_bytes);
}

/// Checks that a server that speaks Chinese tells in Chinese what another one tells in English.
fn compare(reasons: fn(&str) -> Vec<String>) {
    let [english, chinese] = ["en", "zh"].map(reasons);
    assert_eq!(english.len(), chinese.len());
    for (english, chinese) in english.iter().zip(&chinese) {
        assert!(!english.contains(is_chinese), "{english}");
        assert!(chinese.contains(is_chinese), "{english}: {chinese}");
        assert_eq!(english_word(chinese, NAMES), None, "{english}: {chinese}");
        assert!(!chinese.ends_with('。'), "{chinese}");
    }
}

/// The first English word in a Chinese text that is none of `names`.
fn english_word<'a>(chinese: &'a str, names: &str) -> Option<&'a str> {
    let is_word =
        |part: &&str| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let mut words = chinese
        .split(|char: char| !char.is_ascii_alphanumeric())
        .filter(is_word);
    words.find(|word| !names.split_whitespace().any(|name| name == *word))
}

fn is_chinese(char: char) -> bool {
    matches!(char, '\u{4e00}'..='\u{9fff}')
}

fn chatd_in(lang: &str, folder: &Path) -> Command {
    let mut command = chatd(folder);
    command.args(["--lang", lang]);
    command
}

/// The next reason, past what is none.
#[track_caller]
fn next_reason(client: &mut Client) -> String {
    loop {
        let frame = client.next_frame().expect("a reason, not the end");
        assert!(frame.len() < SHORTEST_LINE, "{}", frame.escape_ascii());
        let message: Value = serde_json::from_slice(&frame).unwrap();
        let may_have_one = ["10", "11", "12", "14"]
            .map(Value::from)
            .contains(&message["Command"]);
        if let (true, Some(why)) = (may_have_one, message["Message"].as_str()) {
            assert!(
                message["Command"] == "10" || message["Flag"] == 0,
                "{message}"
            );
            return why.to_owned();
        }
    }
}

/// Types a command of the teacher's, and waits until it has taken effect: until `client` hears what is said after it.
fn command(server: &mut Chatd, line: &str, client: &mut Client) {
    server.process.type_line(line);
    server.process.type_line("say done");
    while client.receive()["Speaker"] != "admin" {}
}

fn login(name: &str) -> Value {
    json!({"Command": "01", "Name": name})
}

fn login_with(name: &str, password: impl Into<Value>) -> Value {
    json!({"Command": "01", "Name": name, "Password": password.into()})
}

fn registration(name: &str, password: impl Into<Value>) -> Value {
    json!({"Command": "02", "Name": name, "Password": password.into()})
}

fn private(friend: impl Into<Value>, message: impl Into<Value>) -> Value {
    json!({"Command": "04", "FriendName": friend.into(), "Message": message.into()})
}

fn room(message: impl Into<Value>) -> Value {
    json!({"Command": "05", "Message": message.into()})
}

/// What is refused, with the connection staying open; what the teacher does; and the stop of the server.
fn refusals_of_commands(lang: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command_line = chatd_in(lang, folder.path());
    command_line.args([
        "--console",
        "--max-frame",
        "1KiB",
        "--max-registrations",
        "1",
        "--max-login-failures",
        "2",
    ]);
    command_line.stdin(Stdio::piped());
    let mut server = Chatd::start(command_line);
    let mut anna = server.guest("Anna");
    let mut bob = server.guest("Bobby");
    let mut stranger = server.connect();
    stranger.register("Dora", "secret");
    // Each of these two bytes is sent as six.
    let escaped = "\u{85}".repeat(400);

    let mut reasons = Vec::new();
    let mut ask = |client: &mut Client, frames: &[Value]| {
        for frame in frames {
            client.send(frame);
            reasons.push(next_reason(client));
        }
    };
    ask(
        &mut stranger,
        &[
            json!({"Command": "77"}),
            json!({"Message": "?"}),
            json!({"Command": "01"}),
            login("Al"),
            login("admin"),
            login("an_na"),
            login(" Anna"),
            login("Anna\n"),
            login("Anna\r"),
            login("Anna\t"),
            login("Anna\0"),
            login("Anna\u{7}"),
            login("An\u{a0}na"),
            login("An\u{200b}na"),
            login("An\u{3000}na"),
            login("An\u{feff}na"),
            login("\u{410}nna"),
            login("Ann\u{3b1}"),
            login("ＡＮＮＡ"),
            login("Anna"),
            login("Dora"),
            login_with("Erika", 7),
            login_with("Erika", "pass word"),
            login_with("Erika", "9".repeat(129)),
            json!({"Command": "02"}),
            registration("Al", "secret"),
            registration("Erika", Value::Null),
            registration("Erika", ""),
            registration("Dora", "secret"),
            registration("Erika", "secret"),
            private(7, "hi"),
            private("Anna", "hi"),
            room("hi"),
        ],
    );
    let taken = ["Anna", "Dora"].map(|name| registration(name, "secret"));
    ask(&mut server.connect(), &taken);
    // The second one is the last, and a 10 follows.
    let mut guesser = server.connect();
    ask(
        &mut guesser,
        &[login_with("Dora", "wrong"), login_with("Dora", "wrong")],
    );
    let last = next_reason(&mut guesser);
    ask(
        &mut anna,
        &[
            login("Anna"),
            private("Nobody", "hi"),
            private("No body", "hi"),
            private(escaped.as_str(), "hi"),
            private("Bobby", 7),
            private("Bobby", escaped.as_str()),
            room(7),
            room(escaped.as_str()),
        ],
    );
    command(&mut server, "mute Anna", &mut anna);
    ask(&mut anna, &[private("Bobby", "hi"), room("hi")]);
    command(&mut server, "lock", &mut anna);
    ask(&mut server.connect(), &[login("Erika")]);
    command(&mut server, "unlock", &mut anna);
    command(&mut server, "kick Bobby", &mut anna);
    let kicked = next_reason(&mut bob);
    let mut bob = server.guest("Bobby");
    command(&mut server, "ban Bobby", &mut anna);
    ask(&mut server.connect(), &[login("Bobby")]);
    reasons.extend([last, kicked, next_reason(&mut bob)]);
    #[cfg(unix)]
    {
        server.process.signal("TERM");
        reasons.push(next_reason(&mut anna));
    }
    reasons
}

/// What ends connections that are idle, or in the way.
fn limits(lang: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command_line = chatd_in(lang, folder.path());
    let limits = ["--heartbeat", "300ms", "--login-timeout", "3s"];
    command_line.args(limits).arg("--no-registration");
    let server = Chatd::start(command_line);
    let mut idle = server.connect();
    idle.send(&registration("Anna", "secret"));
    idle.send_bytes(br#"{"Command":"#);
    // The second says that this does not end, the third that the time is up.
    let mut reasons: Vec<String> = (0..3).map(|_| next_reason(&mut idle)).collect();
    idle.expect_end();

    let folder = tempfile::tempdir().unwrap();
    let mut command_line = chatd_in(lang, folder.path());
    command_line.args(["--max-connections", "1"]);
    let server = Chatd::start(command_line);
    let mut slow = server.connect();
    // Otherwise the other one could come before it.
    slow.send(&json!({"Command": "77"}));
    next_reason(&mut slow);
    let _anna = server.guest("Anna");
    let mut late = server.connect();
    late.send(&login("Late"));
    reasons.extend([next_reason(&mut slow), next_reason(&mut late)]);
    reasons
}

/// What is said of bytes that are no messages.
fn mistakes_in_bytes(lang: &str) -> Vec<String> {
    const LOGIN: &str = r#"{"Command":"01","Name":"Anna"}"#;
    let prefixed = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
    let utf_16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let deep = format!(r#"{{"a":{}"#, "[".repeat(200));
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(5000));
    let mut inputs: Vec<Vec<u8>> = Vec::new();

    // How a connection starts.
    let starts: [&[u8]; 18] = [
        b"hello",
        b"[1]",
        b"\"{}\"",
        b"30{}",
        b"\xff\xfe{\0",
        b"\x1e\0\0\0{\"Com",
        b"\x1e\0\0\0\0\0\0\0{",
        b"\x1e\0{\"Co",
        b"\x1e{\"Com",
        b"\xc8\x01{\"C",
        b"!!{\"Com",
        b"\x80\x80\x80\x80",
        b"\0\0\0\0",
        b"\0\0\0\0\0\0\0\x1e",
        b"\0\x1e{\"",
        b"\0{\"C",
        b"\0h\0i",
        b"\0\xff\xff\xff",
    ];
    inputs.extend(starts.map(<[u8]>::to_vec));
    // Where a message should begin.
    let strays: [&[u8]; 16] = [
        b"}",
        b",",
        b"[1]",
        b"// hi",
        b"\"{}\"",
        b"\\n",
        b"17",
        b"hello",
        "，".as_bytes(),
        b"\xff",
        b"\0",
        b"\0\0\0\0",
        b"\0\0\0\x1e{}",
        b"\x1e\0\0\0{}",
        b"\x02{}",
        "\u{feff}{}".as_bytes(),
    ];
    inputs.extend(strays.map(|stray| [b"{}", stray].concat()));
    inputs.push([b"{}", &utf_16(LOGIN)[..]].concat());
    // Behind a length.
    let bodies: [&[u8]; 12] = [
        b"  ",
        b"[1]",
        b"\"{}\"",
        b"\0\0\0\x02{}",
        b"\x02{}",
        b"x",
        "\u{feff}{}".as_bytes(),
        b"{\"a\":1",
        b"{}\0",
        b"{}{}",
        b"{}\0\x01",
        b"{}}",
    ];
    inputs.extend(bodies.map(prefixed));
    inputs.push(prefixed("{\"a\":\"你".as_bytes()));
    inputs.push(prefixed(&utf_16(LOGIN)));
    // And behind a message that stood behind one.
    let next_prefixes: [&[u8]; 5] = [
        b"\n\0\0\0",
        b"{\"Co",
        b"\xff\xff\xff\xff",
        b"\x1e\0\0\0",
        b"\x99\x99\x99\x99",
    ];
    inputs.extend(next_prefixes.map(|next| [&prefixed(b"{}"), next].concat()));
    // What is wrong inside.
    let texts = [
        "{\"a\":\"x\ny\"}",
        "{\"a\":\"x\ty\"}",
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\x"}"#,
        r#"{“a”:1}"#,
        r#"{"a"：1}"#,
        r#"{"a":1 /* one */}"#,
        r#"{"a":1,}"#,
        r#"{{"a":1}}"#,
        r#"{'a':1}"#,
        r#"{"a":'b'}"#,
        r#"{a:1}"#,
        r#"{"a":1{"b":1}}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a"="b"}"#,
        r#"{"a":"b" c"}"#,
        r#"{"a":True}"#,
        r#"{"a":None}"#,
        r#"{"a":NaN}"#,
        r#"{"a":01}"#,
        r#"{"a":hello}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":nul}"#,
        "{\n\"a\":1,\n}",
        &deep,
        &long,
    ];
    inputs.extend(texts.map(|text| text.as_bytes().to_vec()));
    let encodings: [&[u8]; 3] = [
        b"{\"a\":\"\xc4\xe3\"}",
        b"{\"a\":\"\xed\xa0\xbd\"}",
        b"{\0\"\0",
    ];
    inputs.extend(encodings.map(<[u8]>::to_vec));
    // What the end of the connection cuts off.
    let parts: [&[u8]; 8] = [
        b"{\"a\":1",
        b"{\"a\":\"b",
        b"{\"a\":\"b\" c\"}",
        b"\xef\xbb",
        b"\0\0",
        b"\0\0\0\x09{}",
        b"\0\0\0\x09{\"a",
        b"{\"a\":\"\xb3\\\"}",
    ];
    inputs.extend(parts.map(<[u8]>::to_vec));
    inputs.push([&b"\0\x01\0\0{\"a\":\""[..], &[b'x'; 248], b"\"}"].concat());

    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd_in(lang, folder.path()));
    let reason = |bytes: &Vec<u8>| {
        let way = match bytes[0] {
            0 => Way::PlainPrefixed,
            _ => Way::Plain,
        };
        let socket = TcpStream::connect(server.plain_address()).unwrap();
        let mut client = Client::over(socket, way);
        client.send_bytes(bytes);
        client.socket().shutdown(Shutdown::Write).unwrap();
        // A `{}` is told that it has no Command.
        let start = match bytes.starts_with(b"{}") || bytes.starts_with(b"\0\0\0\x02{}") {
            true => next_reason(&mut client),
            false => String::new(),
        };
        let why = next_reason(&mut client);
        assert_ne!(start, why, "{}", bytes.escape_ascii());
        why
    };
    inputs.iter().map(reason).collect()
}

#[test]
fn the_console_answers_in_chinese_too() {
    let [english, chinese] = ["en", "zh"].map(answers_of_console);
    assert_eq!(english.len(), chinese.len());
    let names = format!("{NAMES} {COMMANDS}");
    // What the system says of a file that is not there is in the system's language.
    let of_system = [2, 3].map(|error| io::Error::from_raw_os_error(error).to_string());
    for ((line, english), (_, chinese)) in english.iter().zip(&chinese) {
        assert!(!english.contains(is_chinese), "{line}: {english}");
        assert!(chinese.contains(is_chinese), "{line}: {chinese}");
        assert_eq!(
            english.lines().count(),
            chinese.lines().count(),
            "{line}: {chinese}"
        );
        // The one tells how to connect, with commands of other programs, the other passwords.
        if ["info", "register class.csv"].contains(&line.as_str()) {
            continue;
        }
        let of_chatd = of_system
            .iter()
            .fold(chinese.clone(), |text, words| text.replace(words, ""));
        assert_eq!(english_word(&of_chatd, &names), None, "{line}: {chinese}");
        let is_table = ["who", "help", "bans", "who refused"].contains(&line.as_str());
        if is_table {
            expect_columns(chinese);
        }
    }
}

#[test]
fn why_it_does_not_start_is_told_in_chinese_too() {
    /// Words of flags, and of what they name.
    const WORDS: &str = "CHATD HEARTBEAT PEM TLS accounts after backlog bans bind cert certificate chatd connections data \
                         day dead dir frame handshake heartbeat json jsonl key log login max missing never no none other \
                         pem port said timeout tls transcript txt";
    let [english, chinese] = ["en", "zh"].map(complaints);
    for (english, chinese) in english.iter().zip(&chinese) {
        assert!(!english.contains(is_chinese), "{english}");
        assert!(chinese.contains(is_chinese), "{english}: {chinese}");
        assert_eq!(english_word(chinese, WORDS), None, "{english}: {chinese}");
    }
}

/// What is said of starts that fail, without the names of folders and what the system or the parser says.
fn complaints(lang: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, contents: &[u8]| {
        fs::write(folder.path().join(name), contents).unwrap();
        path(name)
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (certificate, key) = own_pair();
    let [certificate, key, other, none] = [
        write("certificate.pem", &certificate),
        write("key.pem", &key),
        write("other.pem", &own_pair().1),
        write("none.txt", b"nothing"),
    ];
    let mut complaints = Vec::new();
    let mut start = |arguments: &[&str]| {
        let mut command = chatd_in(lang, folder.path());
        command.args(arguments);
        let mut complaint = refused(command).replace(folder.path().to_str().unwrap(), "");
        for error in [2, 3, 17, 183] {
            complaint = complaint.replace(&io::Error::from_raw_os_error(error).to_string(), "");
        }
        complaints.push(complaint);
    };
    for arguments in [
        ["--port", port.as_str()],
        ["--bind", "203.0.113.77"],
        ["--data-dir", none.as_str()],
        ["--log", &path("none/log.txt")],
        ["--transcript", &path("none/said.jsonl")],
        ["--heartbeat", "1ms"],
        ["--dead-after", "1day"],
        ["--handshake-timeout", "0s"],
        ["--login-timeout", "0s"],
        ["--max-connections", "10000000"],
        ["--max-frame", "1GiB"],
        ["--max-backlog", "1KiB"],
        ["--tls-key", key.as_str()],
    ] {
        start(&arguments);
    }
    start(&["--port", "4499", "--tls-port", "4499"]);
    for (certificate, key) in [
        (&key, &certificate),
        (&certificate, &other),
        (&none, &key),
        (&certificate, &none),
        (&certificate, &path("missing.pem")),
    ] {
        start(&["--tls-cert", certificate, "--tls-key", key]);
    }
    let data = folder.path().join("data");
    for (file, damage) in [
        ("bans.json", r#"[{"since":"now"}]"#),
        ("bans.json", r#"[{"name":"Carol","until":"never"}]"#),
        ("bans.json", r#"[{"address":"127.0.0.1"}]"#),
    ] {
        fs::write(data.join(file), damage).unwrap();
        start(&[]);
        fs::remove_file(data.join(file)).unwrap();
    }
    fs::create_dir(data.join("accounts.jsonl.d")).unwrap();
    let _ = fs::remove_file(data.join("accounts.jsonl"));
    fs::rename(data.join("accounts.jsonl.d"), data.join("accounts.jsonl")).unwrap();
    start(&[]);
    fs::remove_dir(data.join("accounts.jsonl")).unwrap();
    let first = Chatd::start(chatd(folder.path()));
    start(&[]);
    drop(first);
    fs::remove_file(data.join("key.pem")).unwrap();
    start(&[]);
    complaints
}

/// Checks that the rows of a table have their columns at the same places of a terminal: at some of those of the row that has
/// the most.
#[track_caller]
fn expect_columns(table: &str) {
    let places = |row: &str| -> Vec<usize> {
        let starts = row
            .char_indices()
            .filter(|(at, char)| *char != ' ' && (*at == 0 || row[..*at].ends_with("  ")));
        starts
            .map(|(at, _)| UnicodeWidthStr::width(&row[..at]))
            .collect()
    };
    // Sentences below a table are no rows.
    let rows = table.lines().filter(|row| !row.ends_with('。'));
    let rows: Vec<Vec<usize>> = rows.map(places).collect();
    let Some(longest) = rows.iter().max_by_key(|row| row.len()) else {
        return;
    };
    assert!(longest.len() > 1, "{table}");
    for row in &rows {
        assert!(row.iter().all(|place| longest.contains(place)), "{table}");
    }
}

/// An address of this machine that can be banned, if it has one.
pub fn bannable_address() -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap().into_iter();
    let mut addresses = interfaces.map(|interface| interface.ip());
    addresses.find(|address| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(_) => false,
    })
}

/// What the console says to each line: the line, and the answer.
fn answers_of_console(lang: &str) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("class.csv"), "Petra\nAl\n").unwrap();
    let mut command = chatd_in(lang, folder.path());
    command.current_dir(folder.path());
    command.args(["--console", "--bind", "0.0.0.0"]);
    command.stdin(Stdio::piped());
    let mut server = Chatd::start(command);
    let kind = if lang == "zh" { "明文" } else { "plain" };
    let port = server.addresses(kind)[0].port();
    let lan = bannable_address();
    let log_in = |name: &str| {
        let address = lan.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let mut user = Client::over(TcpStream::connect((address, port)).unwrap(), Way::Plain);
        user.log_in(name);
        user
    };

    // The console's first words.
    let first = server.process.out.line_with("help");
    let mut end = server.process.out.so_far().len();
    let mut answers = vec![(String::new(), first)];
    let mut marks = 0;
    let mut type_lines = |lines: &[&str]| {
        for line in lines {
            // What stands behind the answer: that there is no such command.
            marks += 1;
            let mark = format!("mark{marks}");
            let start = end;
            server.process.type_line(line);
            server.process.type_line(&mark);
            let is_whole = |rest: &str| {
                rest.split_once(&mark)
                    .is_some_and(|(_, rest)| rest.contains('\n'))
            };
            let text = server
                .process
                .out
                .text_where(&mark, |text| is_whole(&text[start..]));
            end = text.len();
            let answer = text[start..].trim_end().rsplit_once('\n');
            let (answer, _) = answer.expect("an answer before the mark");
            answers.push(((*line).to_owned(), answer.to_owned()));
        }
    };

    type_lines(&[
        "who",
        "who refused",
        "bans",
        "attendance",
        "unwatch",
        "transcript off",
        "stats",
        "info",
        "help",
    ]);
    let _users = ["Anna", "Bobby"].map(log_in);
    let mut late = Client::over(
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap(),
        Way::Plain,
    );
    for name in ["anna", "Al"] {
        late.send(&login(name));
        late.expect_command("11");
    }
    type_lines(&[
        // Well typed.
        "who",
        "who refused",
        "attendance",
        "say hello",
        "tell anna hello",
        "tell Annna hello",
        "tell Dora hello",
        "mute Anna",
        "mute Anna",
        "unmute all",
        "mute all",
        "mute all",
        "who",
        "unmute Anna",
        "unmute Bobby",
        "mute Bobby 90s",
        "unmute all",
        "mute Carol 2h",
        "unmute all",
        "unmute Carol",
        "unmute Bobby",
        "unmute Bobby",
        "unmute all",
        "mute all",
        "unmute all",
        "slow 10s",
        "slow 10s",
        "private off",
        "private off",
        "lock",
        "lock",
        "mute Bobby 5m",
        "mute Carol",
        "who",
        "slow off",
        "private on",
        "unlock",
        "unlock",
        "forget Dora",
        "register class.csv",
        "forget Petra",
        "register none.csv",
        "attendance who.csv",
        "attendance who.csv",
        "attendance none/who.csv",
        "transcript said.jsonl",
        "transcript off",
        "transcript none/said",
        "watch Nobody",
        "unwatch",
        "unban Anna",
        "unban 192.0.2.7",
        "ban 127.0.0.1",
        "ban 224.0.0.1",
        "ban 192.0.2.7",
        "ban 192.0.2.7",
        "ban 192.0.2.7 7days",
        "ban Dora",
        "bans",
        "unban Dora",
        "ban Dora 2h",
        "unban all",
        "stats",
        // And badly.
        "mtue Anna",
        "hello",
        "who Anna",
        "say",
        "tell Anna",
        "mute",
        "mute Al",
        "mute all 5m",
        "mute Anna Bobby",
        "mute Anna 5m 6m",
        "unmute Anna Bobby",
        "slow",
        "slow down",
        "slow 0s",
        "slow 100years",
        "private",
        "private maybe",
        "lock Anna",
        "unlock Anna",
        "kick",
        "kick an_na",
        "kick Annna",
        "kick admin",
        "ban",
        "ban 192.168.1",
        "unban",
        "bans Anna",
        "forget",
        "forget Béla",
        "watch",
        "unwatch Anna",
        "transcript",
        "register",
        "stats Anna",
        "info Anna",
        "help who",
        "quit now",
    ]);
    if let Some(lan) = lan {
        let ban = format!("ban {lan}");
        let no = if lang == "zh" { " 否 " } else { "no" };
        type_lines(&[&ban]);
        // The mark was an answer, which was neither; now the answer follows at once.
        let both = [ban.as_str(), no].join("\n");
        type_lines(&[&both]);
        type_lines(&["kick Bobby", "ban Anna"]);
    }
    answers
}

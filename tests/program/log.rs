//! The log: who came, who went and why, and nothing that a client should not be able to put there.

use std::fs;
use std::time::Instant;

use serde_json::json;

use crate::accounts::{PASSWORD, line_for, log_in_registered};
use crate::harness::{Client, Way};
use crate::process::{Chatd, chatd, refused};

/// Where a client connects from, as the log shows it.
fn address_of(client: &Client) -> String {
    client.socket().local_addr().unwrap().to_string()
}

#[test]
fn the_log_begins_with_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let port = server.plain_address().port().to_string();
    let log = server.stop();
    let first = log.lines().next().expect("a line");
    assert!(first.contains("INFO") && first.contains(&port), "{log}");
}

#[test]
fn a_level_that_there_is_not_is_told_and_the_log_is_as_without_it() {
    for (level, is_known) in [
        ("warning", false),
        ("", false),
        ("chatd=loud", false),
        ("\u{1b}[2J", false),
        ("info", true),
        ("chatd=debug", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = chatd(folder.path());
        command.env("RUST_LOG", level);
        let server = Chatd::start(command);
        server.guest("Anna").log_out();
        let log = server.stop();
        assert!(log.contains("Anna came"), "{level:?}:\n{log}");
        let told: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("RUST_LOG"))
            .collect();
        assert_eq!(told.len(), usize::from(!is_known), "{level:?}:\n{log}");
        assert!(told.iter().all(|line| line.contains(" WARN ")), "{log}");
        expect_harmless(&log);
    }
}

type Leave = fn(Client);

#[test]
fn who_comes_and_who_goes_and_why_is_logged() {
    let ways_to_leave: [(&str, &str, Leave); 5] = [
        ("Quitter", "logged out", |client| client.log_out()),
        ("Closer", "closed by the client", drop),
        ("HalfCloser", "closed by the client", |mut client| {
            client.half_close();
            client.expect_end();
        }),
        ("Mumbler", "bad input", |mut client| {
            client.send_bytes(b"{]");
            client.expect_notice();
            client.expect_end();
        }),
        ("Boaster", "bad input", |mut client| {
            client.say(&"x".repeat(70_000));
            client.expect_notice();
            client.expect_end();
        }),
    ];
    expect_logged(&ways_to_leave);
}

#[test]
fn a_connection_that_is_reset_is_logged_as_lost() {
    expect_logged(&[("Resetter", "connection lost", |client| client.reset())]);
}

/// Checks that for each name and way to leave, coming and leaving are logged, with the reason.
#[track_caller]
fn expect_logged(ways_to_leave: &[(&str, &str, Leave)]) {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    for &(name, reason, leave) in ways_to_leave {
        let client = server.guest(name);
        let address = address_of(&client);
        let came = server.log_line(name);
        for word in ["INFO", "came", "guest", &address, "plain"] {
            assert!(came.contains(word), "no {word} in {came}");
        }
        leave(client);
        let left = server.log_line(&format!("{name} left"));
        for word in ["INFO", reason, &address] {
            assert!(left.contains(word), "no {word} in {left}");
        }
    }
    server.stop();
}

#[test]
fn those_who_never_log_in_are_logged_by_their_address() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.args(["--login-timeout=2s", "--handshake-timeout=300ms"]);
    command.arg("--max-login-failures=1");
    let server = Chatd::start(command);
    let (plain, tls) = (server.plain_address(), server.tls_address());
    for (port, bytes, reason) in [
        (plain, &b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n"[..], "HTTP"),
        (
            plain,
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            "TLS",
        ),
        (tls, &br#"{"Command":"01","Name":"Anna"}"#[..], "TLS"),
        (plain, &b"\x1f\x00\x00\x00{}"[..], "little-endian"),
        (tls, &b""[..], "handshake"),
        (plain, &b""[..], "no login"),
        (
            plain,
            &br#"{"Command":"01","Name":"Anna","Password":"wrong"}"#[..],
            "wrong password",
        ),
    ] {
        let mut client = Client::over(std::net::TcpStream::connect(port).unwrap(), Way::Plain);
        let address = address_of(&client);
        client.send_bytes(bytes);
        while client.next_frame().is_some() {}
        let is_end = |line: &str| line.contains(&address) && line.contains(" left ");
        let line = server.process.err.line_where("its end", is_end);
        assert!(line.contains(reason), "no {reason} in {line}");
        assert!(!line.contains("Anna"), "nobody is logged in: {line}");
    }
    let line = server.log_line("refused the login");
    for word in ["Anna", "no such name and password", "127.0.0.1:"] {
        assert!(line.contains(word), "no {word} in {line}");
    }

    server.stop();
}

#[test]
fn who_is_refused_is_logged_with_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.arg("--max-connections=1");
    let server = Chatd::start(command);
    let anna = server.guest("Anna");
    let mut late = server.connect();
    let address = address_of(&late);
    late.expect_notice();
    let line = server.process.err.line_where("a refusal", |line| {
        line.contains(&address) && line.contains("refused")
    });
    assert!(line.contains("WARN") && line.contains("takes 1 "), "{line}");
    drop((anna, late));
    server.stop();
}

/// How many lines like this a line of the log stands for: one, unless it is a summary.
fn count_of(line: &str) -> usize {
    let Some((before, _)) = line.split_once(" more like this in ") else {
        return 1;
    };
    let (_, count) = before.rsplit_once(' ').unwrap();
    count.parse().unwrap()
}

/// Lines about the clients of [`babble`].
fn about_babblers(log: &str) -> Vec<&str> {
    let about = |line: &&str| line.contains("not logged in left (bad input");
    log.lines().filter(about).collect()
}

/// Connects so often, and sends what can't be understood.
fn babble(server: &Chatd, count: usize) {
    for _ in 0..count {
        let mut client = server.connect();
        client.send_bytes(b"{]");
        client.expect_notice();
        client.expect_end();
    }
}

#[test]
fn lines_that_repeat_for_one_address_are_gathered_and_counted_until_the_stop() {
    const COUNT: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let start = Instant::now();
    babble(&server, COUNT);
    // Lines about those who log in stay one each.
    for number in 0..20 {
        server.guest(&format!("Guest{number}")).log_out();
    }
    let periods = start.elapsed().as_secs() as usize / 10 + 1;
    let log = server.stop();
    let lines = about_babblers(&log);
    // Five as they are and a summary in each ten seconds.
    assert!(lines.len() <= 6 * periods, "{log}");
    let counts = lines.iter().map(|line| count_of(line));
    assert_eq!(counts.sum::<usize>(), COUNT, "{log}");
    let last = lines.last().unwrap();
    assert!(last.contains(" 127.0.0.1: ") && last.contains(", plain, connection "));
    let guests = log.lines().filter(|line| line.contains(" Guest"));
    assert_eq!(guests.count(), 40, "{log}");
    expect_harmless(&log);
}

#[test]
fn a_summary_comes_although_nothing_more_happens() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    babble(&server, 7);
    server.log_line(" more like this in ");
    let so_far = server.process.err.so_far();
    let counts = about_babblers(&so_far).into_iter().map(count_of);
    assert_eq!(counts.sum::<usize>(), 7, "{so_far}");
    let log = server.stop();
    assert_eq!(about_babblers(&log), about_babblers(&so_far));
}

#[test]
fn those_who_are_refused_again_and_again_are_gathered_too() {
    const COUNT: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.arg("--max-connections=1");
    let server = Chatd::start(command);
    let anna = server.guest("Anna");
    let start = Instant::now();
    for _ in 0..COUNT {
        let mut client = server.connect();
        // Who shows a framing is told at once.
        client.send(&json!({"Command": "77"}));
        client.expect_notice();
    }
    let periods = start.elapsed().as_secs() as usize / 10 + 1;
    drop(anna);
    let log = server.stop();
    let lines = log.lines().filter(|line| line.contains("refused a"));
    let counts: Vec<usize> = lines.map(count_of).collect();
    assert!(counts.len() <= 6 * periods, "{log}");
    assert_eq!(counts.iter().sum::<usize>(), COUNT, "{log}");
}

#[test]
fn every_line_is_in_the_log_that_is_asked_for_details() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.env("RUST_LOG", "debug");
    let server = Chatd::start(command);
    babble(&server, 30);
    let log = server.stop();
    let lines = about_babblers(&log);
    assert!(lines.iter().any(|line| line.contains(" DEBUG ")), "{log}");
    let single = lines.iter().filter(|line| !line.contains(" more like "));
    assert_eq!(single.count(), 30, "{log}");
}

/// Checks that what is logged can't steer a terminal, and that each line is one the server wrote.
#[track_caller]
fn expect_harmless(log: &str) {
    for line in log.lines() {
        let harmful = |character: char| {
            character.is_control()
                || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!line.contains(harmful), "{line:?}");
        let mut words = line.split_whitespace();
        let (date, time) = (words.next().unwrap(), words.next().unwrap());
        let shape = |text: &str| text.replace(|digit: char| digit.is_ascii_digit(), "0");
        assert_eq!([shape(date), shape(time)], ["0000-00-00", "00:00:00"]);
        let level = words.next().unwrap();
        assert!(
            ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level),
            "{line}"
        );
    }
}

#[test]
fn what_a_client_sends_can_neither_forge_a_line_nor_steer_a_terminal() {
    const FORGED: &str = "\r\n2026-01-01 08:00:00 INFO  FORGED came\n\u{1b}[2J\u{9b}31m\u{7}\u{8}\u{7f}\0\u{202e}\u{2028}";
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.env("RUST_LOG", "trace");
    let server = Chatd::start(command);
    let frames = [
        json!({"Command": "01", "Name": FORGED}),
        json!({"Command": "01", "Name": FORGED, "Password": FORGED}),
        json!({"Command": "02", "Name": FORGED, "Password": FORGED}),
        json!({"Command": "02", "Name": "Anna", "Password": FORGED}),
        json!({"Command": FORGED}),
        json!({"Command": "05", "Message": FORGED}),
        json!({FORGED: FORGED}),
        json!({"Command": "01", "Name": "Anna"}),
        json!({"Command": "05", "Message": FORGED}),
        json!({"Command": "04", "FriendName": FORGED, "Message": FORGED}),
        json!({"Command": "04", "FriendName": "Anna", "Message": FORGED}),
        json!({"Command": "03", "Message": FORGED}),
    ];
    for way in Way::ALL {
        let mut client = server.connect_as(way);
        for frame in &frames {
            client.send(frame);
        }
        while client.next_frame().is_some() {}
    }
    for bytes in [
        format!("GET /{FORGED} HTTP/1.1\r\nHost: {FORGED}\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{FORGED}: {FORGED}\r\n\r\n{FORGED}"),
        FORGED.to_owned(),
        format!("{{\"Command\":\"{FORGED}\"}}"),
        format!("{{\"{FORGED}"),
        format!("{{{FORGED}}}"),
        format!("\u{16}\u{3}\u{1}{FORGED}"),
        format!("\0\0\0\u{1}{FORGED}"),
        format!("[\"{FORGED}\"]"),
        "\u{1b}]0;FORGED\u{7}\u{1b}c".to_owned(),
    ] {
        for address in [server.plain_address(), server.tls_address()] {
            let socket = std::net::TcpStream::connect(address).unwrap();
            let mut client = Client::over(socket, Way::Plain);
            // The server may close before it has seen all.
            let _ = client.try_send_bytes(bytes.as_bytes());
            let _ = client.socket().shutdown(std::net::Shutdown::Write);
            while client.read_some().is_ok_and(|count| count > 0) {}
        }
        let mut client = server.connect_as(Way::Tls);
        client.send_bytes(bytes.as_bytes());
        client.half_close();
        while client.read_some().is_ok_and(|count| count > 0) {}
    }
    let log = server.stop();
    assert!(log.contains("HTTP"), "{log}");
    assert!(log.lines().count() > 30, "{log}");
    expect_harmless(&log);
}

#[test]
fn no_password_is_ever_logged() {
    const NEW: &str = "NewSecret111";
    const WRONG: &str = "WrongSecret222";
    const BROKEN: &str = "BrokenSecret333";
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("accounts.jsonl"), line_for("Anna") + "\n").unwrap();
    let mut command = chatd(folder.path());
    command.env("RUST_LOG", "trace");
    let server = Chatd::start(command);
    for way in [Way::Plain, Way::TlsPrefixed] {
        let mut client = server.connect_as(way);
        let name = format!("Carla{}", u8::from(way.is_tls()));
        client.register(&name, NEW);
        client.send(&json!({"Command": "01", "Name": "Anna", "Password": WRONG}));
        client.expect_refusal("11");
        client.send(&json!({"Command": "01", "Name": "Nobody", "Password": WRONG}));
        client.expect_refusal("11");
        for password in [
            json!([BROKEN]),
            json!({"x": BROKEN}),
            json!(format!("{BROKEN} ")),
        ] {
            client.send(&json!({"Command": "01", "Name": "Anna", "Password": password}));
            client.expect_refusal("11");
            client.send(&json!({"Command": "02", "Name": "Doris", "Password": password}));
            client.expect_refusal("12");
        }
        client.send(&json!({"Command": "06", "Password": BROKEN}));
        client.expect_notice();
        client.send(&json!({"command": "01", "Password": BROKEN}));
        client.expect_notice();
        log_in_registered(&mut client, "Anna", PASSWORD);
        client.send(&json!({"Command": "01", "Name": "Anna", "Password": PASSWORD}));
        client.expect_refusal("11");
        client.log_out();
        // What can't be understood ends the connection, and the log tells why.
        for broken in [
            format!(r#"{{"Command":"01","Name":"Anna","Password":"{BROKEN}",,}}"#),
            format!(r#"{{"Command":"01","Name":"Anna","Password":{BROKEN}}}"#),
            format!(r#"{{"Command":"01","Name":"Anna","Password":"{BROKEN}\q"}}"#),
            format!(
                r#"{{"Command":"01","Name":"Anna","Password":"{BROKEN}{}"}}"#,
                "x".repeat(5000)
            ),
            format!(r#"["01","Anna","{BROKEN}"]"#),
        ] {
            let mut client = server.connect_as(way);
            client.send_text(&broken);
            client.expect_notice();
        }
    }
    let mut client = server.connect();
    client.send_bytes(format!("GET /?password={BROKEN} HTTP/1.1\r\n\r\n").as_bytes());
    client.expect_end();
    let mut client = server.connect();
    client.send_bytes(format!("PASS {BROKEN}\r\n").as_bytes());
    client.expect_notice();
    drop(client);
    let log = server.stop();
    assert!(log.contains("Anna came"), "{log}");
    for secret in [PASSWORD, "Secret", "$scrypt", "cCO9yzr9"] {
        assert!(!log.contains(secret), "{secret} in\n{log}");
    }
}

#[test]
fn a_log_file_is_appended_to_and_standard_error_keeps_what_is_urgent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chatd.log");
    for (lesson, is_flag) in [(1, true), (2, false)] {
        let mut command = chatd(folder.path());
        match is_flag {
            true => command.arg("--log").arg(&file),
            false => command.env("CHATD_LOG", &file),
        };
        // A level that there is not is warned of.
        command.env("RUST_LOG", "loud");
        let server = Chatd::start(command);
        server.guest(&format!("Anna{lesson}")).log_out();
        server.guest("Bobby").log_out();
        let printed = server.stop();
        assert!(printed.contains(" WARN  RUST_LOG=loud"), "{printed}");
        assert!(!printed.contains("INFO"), "{printed}");
    }
    let log = fs::read_to_string(&file).unwrap();
    for what in ["Anna1 came", "Anna2 came", "RUST_LOG=loud"] {
        assert!(log.contains(what), "no {what:?} in\n{log}");
    }
    assert_eq!(log.matches(" started: ").count(), 2, "{log}");
    expect_harmless(&log);
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no such folder").join("chatd.log");
    let mut command = chatd(folder.path());
    command.arg("--log").arg(&file);
    let complaint = refused(command);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    for word in [file.to_str().unwrap(), "--log"] {
        assert!(complaint.contains(word), "no {word} in: {complaint}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn standard_error_that_stands_still_does_not_hold_up_the_log_file() {
    use std::io::Write;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chatd.log");
    // A pipe that is full (pipe(7)), so that the first warning waits for ever.
    let (_reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'x'; 64 << 10]).unwrap();
    let mut command = chatd(folder.path());
    command.arg("--log").arg(&file).env("RUST_LOG", "loud");
    command.stderr(writer);
    let server = Chatd::start(command);
    server.guest("Anna").log_out();
    server.guest("Bobby").log_out();
    server.stop();
    let log = fs::read_to_string(&file).unwrap();
    for what in ["RUST_LOG=loud", "Anna came", "Bobby came", "stopped"] {
        assert!(log.contains(what), "no {what:?} in\n{log}");
    }
}

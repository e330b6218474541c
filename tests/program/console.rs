//! The teacher's console: what is typed, and what is said to it.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::accounts::{PASSWORD, line_for, log_in_registered};
use crate::harness::{Client, Way, came, delivered, left, said};
#[cfg(unix)]
use crate::process::{CHATD, can_run, isolate};
use crate::process::{Chatd, chatd, refused};

/// chatd with a console that a test types into.
fn with_console(folder: &Path) -> Command {
    let mut command = chatd(folder);
    command.arg("--console").stdin(Stdio::piped());
    command
}

/// Types a line, and checks that what comes next begins with this.
#[track_caller]
fn expect_answer(server: &mut Chatd, line: &str, answer: &str) -> String {
    let before = server.process.out.so_far().len();
    server.process.type_line(line);
    server.process.out.line_after(before, answer)
}

/// Ends it by its console, and returns its whole log.
#[track_caller]
fn quit(mut server: Chatd) -> String {
    server.process.type_line("quit");
    let status = server.process.wait();
    let log = server.process.err.all();
    assert!(status.success(), "{status}\n{log}");
    log
}

#[test]
fn each_command_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("accounts.jsonl"), line_for("Petra") + "\n").unwrap();
    let mut server = Chatd::start(with_console(folder.path()));
    expect_answer(&mut server, "who", "Nobody is online.");
    let mut anna = server.guest("Anna");
    let mut petra = server.connect_as(Way::Tls);
    log_in_registered(&mut petra, "Petra", PASSWORD);
    anna.expect(came("Petra", false));

    let line = expect_answer(&mut server, "who", "Anna");
    for word in [
        "guest",
        "plain",
        &anna.socket().local_addr().unwrap().to_string(),
    ] {
        assert!(line.contains(word), "no {word} in {line}");
    }
    let line = expect_answer(&mut server, "who", "Petra");
    for word in ["registered", "TLS", " 0"] {
        assert!(line.contains(word), "no {word} in {line}");
    }

    expect_answer(&mut server, "say  good  morning ", "Said");
    for client in [&mut anna, &mut petra] {
        client.expect(said("admin", "good  morning"));
    }

    expect_answer(&mut server, "mute anna", "Anna is muted");
    anna.say("no");
    assert!(anna.expect_notice().contains("muted"));
    expect_answer(&mut server, "mute Anna", "Anna was muted already.");
    expect_answer(&mut server, "mute all", "Everybody is muted.");
    petra.say("no");
    assert!(petra.expect_notice().contains("muted"));
    expect_answer(&mut server, "who", "Everybody is muted.");
    expect_answer(
        &mut server,
        "unmute all",
        "Everybody may write again, but these are muted by name: Anna.",
    );
    expect_answer(&mut server, "who", "Muted by name: Anna.");
    expect_answer(&mut server, "unmute ANNA", "Anna may write again.");
    anna.say("yes");
    for client in [&mut anna, &mut petra] {
        client.expect(said("Anna", "yes"));
    }

    expect_answer(&mut server, "lock", "Nobody new can log in");
    expect_answer(&mut server, "who", "Locked");
    let mut late = server.connect();
    late.send(&json!({"Command": "01", "Name": "Late"}));
    assert!(late.expect_refusal("11").contains("locked"));
    expect_answer(&mut server, "unlock", "Everybody can log in again.");
    late.log_in("Late");
    for client in [&mut anna, &mut petra] {
        client.expect(came("Late", true));
    }

    expect_answer(&mut server, "kick late  go to   bed", "Late is kicked");
    assert_eq!(late.expect_notice(), "go to   bed");
    late.expect_end();
    assert!(server.log_line("Late left").contains("kicked: go to   bed"));
    for client in [&mut anna, &mut petra] {
        client.expect(left("Late"));
    }

    expect_answer(
        &mut server,
        "forget petra",
        "The account petra is removed. petra is online",
    );
    expect_answer(
        &mut server,
        "forget petra",
        "The name petra is not registered.",
    );
    expect_answer(&mut server, "ban Petra", "Petra is banned. Petra is kicked");
    petra.expect_notice();
    petra.expect_end();
    anna.expect(left("Petra"));
    assert!(expect_answer(&mut server, "bans", "Petra").contains("since "));
    expect_answer(&mut server, "unban PETRA", "PETRA is no longer banned.");
    expect_answer(&mut server, "bans", "Nobody is banned.");
    server.guest("Petra").log_out();
    for notice in [came("Petra", true), left("Petra")] {
        anna.expect(notice);
    }

    let stats = expect_answer(&mut server, "stats", "Since ");
    for word in [
        "1 user online",
        "4 logins",
        "1 message,",
        "1 kicked",
        "1 banned",
        "1 logged out",
    ] {
        assert!(stats.contains(word), "no {word} in {stats}");
    }
    let help = expect_answer(&mut server, "help", "who ");
    assert!(help.contains("who is online"), "{help}");

    server.process.type_line("quit");
    assert!(anna.expect_notice().contains("stops"));
    anna.expect_end();
    assert!(server.process.wait().success());
    assert_eq!(fs::read_to_string(data.join("accounts.jsonl")).unwrap(), "");
}

#[test]
fn what_the_teacher_asks_and_rules_is_answered_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Chatd::start(with_console(folder.path()));
    expect_answer(&mut server, "who refused", "Nobody was refused lately.");
    let mut anna = server.guest("Anna");
    let mut other = server.connect_as(Way::Plain);
    other.send(&json!({"Command": "01", "Name": "anna"}));
    other.expect_command("11");
    let clock = jiff::Zoned::now().strftime("%H:").to_string();
    let line = expect_answer(&mut server, "who refused", &clock);
    for words in ["anna", "127.0.0.1", "in use"] {
        assert!(line.contains(words), "no {words} in {line}");
    }
    for (line, answer) in [
        ("tell ANNA come here", "Said to Anna."),
        (
            "tell Annna come here",
            "No user named Annna is online. Did you mean Anna?",
        ),
        (
            "kick Ana",
            "Ana is no name: a name is 4 to 64 characters long. Did you mean Anna?",
        ),
        ("slow 10s", "Each user may say one thing to the room in 10s"),
        ("slow 10s", "It was so already."),
        ("private off", "Users can write to the room and to admin"),
        (
            "mute anna 5m",
            "Anna is muted for 5m; unmute Anna ends it earlier.",
        ),
        ("who", "Muted by name: Anna (until "),
        ("who", "Each user may say one thing to the room in 10s"),
        ("who", "Users can write to the room and to admin"),
        ("unmute Anna", "Anna may write again."),
        ("slow off", "Everybody may write as often as before."),
        ("private on", "Users can write to each other again."),
        ("ban Bobby 2h", "Bobby is banned until "),
        ("bans", "Bobby  since "),
        (
            "unban all",
            "Nobody is banned any more; 1 bans were lifted.",
        ),
        ("bans", "Nobody is banned."),
        ("info", "The certificate's SHA-256 fingerprint"),
    ] {
        expect_answer(&mut server, line, answer);
    }
    anna.expect(json!({"Command": "13", "FriendName": "admin", "Message": "come here"}));
    anna.write_to("Admin", "I am\n\u{1b}[2J\u{202e}lost");
    anna.expect(delivered("Admin"));
    let shown = "[Anna to you] I am\\n\\u{1b}[2J\\u{202e}lost";
    server.process.out.line_with(shown);
    let log = quit(server);
    for words in [
        "refused the login of \"anna\"",
        "Anna was muted until ",
        "each user may say one thing in 10s",
        "private messages were switched off",
        "all bans were lifted",
    ] {
        assert!(log.contains(words), "no {words} in {log}");
    }
}

#[test]
fn what_a_client_really_sends_shows_in_the_console_while_it_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Chatd::start(with_console(folder.path()));
    expect_answer(&mut server, "unwatch", "Nobody was watched.");
    expect_answer(
        &mut server,
        "watch 127.0.0.1",
        "What 127.0.0.1 sends (->) and",
    );
    let mut client = server.connect_as(Way::Plain);
    let address = client.socket().local_addr().unwrap();
    client.send_bytes(b"{'Password':'tiger7'}\r\n");
    while client.next_frame().is_some() {}
    let shown = format!("{address} -> {{'Password':'......'}}\\r\\n");
    server.process.out.line_with(&shown);
    let shown = format!(r#"{address} <- {{"Command":"10","Message":"#);
    server.process.out.line_with(&shown);
    let mut anna = server.connect_as(Way::TlsPrefixed);
    anna.log_in("Anna");
    anna.expect_notice();
    server.process.out.line_with("    00 00 00 ");
    expect_answer(&mut server, "unwatch", "Nobody is watched any more.");
    anna.expect_notice();
    let all = quit(server);
    assert!(!all.contains("tiger7"), "{all}");
}

#[test]
fn the_lists_of_a_class_are_shown_and_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |name: &str| folder.path().join(name);
    let mut command = with_console(folder.path());
    command.current_dir(folder.path()).arg("--no-registration");
    let mut server = Chatd::start(command);
    expect_answer(
        &mut server,
        "attendance",
        "Nobody has been online since the start.",
    );
    let mut anna = server.guest("Anna");
    let line = expect_answer(&mut server, "attendance", "Anna  guest  127.0.0.1  ");
    assert!(line.ends_with("0        0"), "{line}");
    expect_answer(
        &mut server,
        "attendance who was there.csv",
        "Who was there is written to who was there.csv; names: 1.",
    );
    expect_answer(
        &mut server,
        "attendance who was there.csv",
        "There is a file who was there.csv already",
    );
    expect_answer(&mut server, "attendance none/x.csv", "Cannot write none");
    let csv = fs::read_to_string(in_folder("who was there.csv")).unwrap();
    assert!(
        csv.starts_with("name,kind,") && csv.contains("\r\nAnna,guest,127.0.0.1,"),
        "{csv}"
    );

    expect_answer(&mut server, "transcript off", "Nothing was written down.");
    expect_answer(
        &mut server,
        "transcript said.jsonl",
        "What is said in the room is written to said.jsonl",
    );
    assert!(anna.expect_notice().contains("written down"));
    expect_answer(&mut server, "say hello", "Said to everybody.");
    anna.expect(said("admin", "hello"));
    expect_answer(
        &mut server,
        "transcript off",
        "What is said is no longer written down",
    );
    let said = fs::read_to_string(in_folder("said.jsonl")).unwrap();
    assert!(
        said.contains(r#""Speaker":"admin","Message":"hello""#),
        "{said}"
    );
    expect_answer(&mut server, "transcript none/x", "This can't be done: ");

    fs::write(
        in_folder("class.csv"),
        "name,class\nPetra,7a\nAl,7a\nanna,7b\n",
    )
    .unwrap();
    let line = expect_answer(&mut server, "register class.csv", "Petra  ");
    let password = line.split_whitespace().nth(1).unwrap().to_owned();
    server.process.out.line_with("Al     -");
    server.process.out.line_with("1 of 3 names are registered.");
    let mut petra = server.connect_as(Way::Tls);
    petra.send(&json!({"Command": "01", "Name": "Petra", "Password": password}));
    assert_eq!(petra.expect_command("11")["Flag"], 1);
    expect_answer(&mut server, "register none.csv", "Cannot read none.csv");
    let log = quit(server);
    assert!(!log.contains(&password), "{log}");
}

#[test]
fn a_mistyped_command_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Chatd::start(with_console(folder.path()));
    let mut anna = server.guest("Anna");
    for (line, answer) in [
        ("wh0", "There is no wh0; did you mean who?"),
        ("hello everybody", "There is no hello; help lists"),
        ("kick", "This is what it takes: kick NAME [why]"),
        (
            "kick Annna",
            "No user named Annna is online. Did you mean Anna?",
        ),
        (
            "mute Annna",
            "No user named Annna is online. Did you mean Anna? A user who comes by this name is muted.",
        ),
        ("kick Carol", "No user named Carol is online."),
        ("forget Anna", "The name Anna is not registered."),
        ("unban Anna", "Anna is not banned."),
        (
            "ban 127.0.0.1",
            "127.0.0.1 can't be banned: it is the server's own machine.",
        ),
        ("ban 127.1", "127.1 is no address"),
        ("unmute Anna", "Anna was not muted."),
        (
            "ban Annna",
            "Annna is banned. No user named Annna is online. Did you mean Anna?",
        ),
        ("unlock", "It was not locked."),
        (
            "unmute all",
            "Everybody was not muted, but these are muted by name: Annna.",
        ),
        ("who is there", "This is what it takes: who [refused]"),
        ("stats please", "Stats stands alone"),
    ] {
        expect_answer(&mut server, line, answer);
    }
    // Neither can what is typed steer a terminal, nor does it end anything.
    for line in [
        "\u{1b}[2J",
        "say \u{1b}[2J\u{202e}",
        "kick \u{9b}\0",
        "kick Anna2 \u{1b}c",
    ] {
        server.process.type_line(line);
    }
    anna.expect(said("admin", "[2J\u{202e}"));
    let input = server.process.input.as_mut().unwrap();
    input.write_all(b"say \xff\xfe\n").unwrap();
    input.write_all(&vec![b'x'; 1 << 20]).unwrap();
    input.write_all(b"\n").unwrap();
    server.process.out.line_with("not UTF-8");
    server.process.out.line_with("too long");
    anna.expect_nothing();
    let printed = |server: &Chatd| server.process.out.so_far();
    expect_answer(&mut server, "who", "Anna");
    let harmful =
        |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
    assert!(
        !printed(&server).contains(harmful),
        "{:?}",
        printed(&server)
    );
    assert!(printed(&server).len() < 10_000);
    quit(server);
}

// On Windows the tests stop the server by its console, so each has one.
#[cfg(unix)]
#[test]
fn without_a_console_nobody_reads_what_is_written_to_the_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    anna.write_to("admin", "anybody?");
    assert_eq!(anna.receive()["Flag"], 0);
    server.stop();
}

#[test]
fn the_end_of_the_input_leaves_the_server_running() {
    let folder = tempfile::tempdir().unwrap();
    for input in [
        &b""[..],
        b"lock\nunlock",
        b"say half a line",
        b"ban 192.0.2.7\nban",
    ] {
        let mut server = Chatd::start(with_console(folder.path()));
        server
            .process
            .input
            .as_mut()
            .unwrap()
            .write_all(input)
            .unwrap();
        server.process.input = None;
        let line = server.log_line("console");
        assert!(line.contains("the server goes on"), "{line}");
        server.guest("Anna").log_out();
        server.stop();
    }
}

#[test]
fn without_a_terminal_nothing_is_read_unless_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (value, has_console) in [(None, false), (Some("0"), false), (Some("1"), true)] {
        let mut command = chatd(folder.path());
        command.env_remove("CHATD_CONSOLE").stdin(Stdio::piped());
        command.envs(value.map(|value| ("CHATD_CONSOLE", value)));
        let mut server = Chatd::start(command);
        server.process.type_line("lock");
        if has_console {
            server.process.out.line_with("Nobody new");
            quit(server);
        } else {
            server.guest("Anna").log_out();
            assert!(!server.process.out.so_far().contains("help"));
            server.process.input = None;
            server.stop();
        }
    }
}

#[test]
fn bans_are_kept_in_a_file_that_people_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data").join("bans.json");
    let mut server = Chatd::start(with_console(folder.path()));
    expect_answer(&mut server, "ban Carol", "Carol is banned.");
    expect_answer(&mut server, "ban ::ffff:192.0.2.7", "192.0.2.7 is banned.");
    // It is on disk when the answer is there.
    server.process.kill();
    let text = fs::read_to_string(&file).unwrap();
    let bans: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&bans[0]["name"], &bans[1]["address"]),
        (&json!("Carol"), &json!("192.0.2.7"))
    );
    assert_eq!(text.lines().count(), 4, "a ban a line:\n{text}");

    let mut server = Chatd::start(with_console(folder.path()));
    expect_answer(&mut server, "bans", "Carol ");
    let mut carol = server.connect();
    carol.send(&json!({"Command": "01", "Name": "carol"}));
    assert!(carol.expect_refusal("11").contains("banned"));
    expect_answer(&mut server, "unban carol", "carol is no longer banned.");
    carol.log_in("Carol");
    drop(carol);
    quit(server);
    let bans: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(bans.as_array().map(Vec::len), Some(1));
}

#[test]
fn a_file_of_bans_that_is_damaged_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let file = data.join("bans.json");
    for damaged in [
        "",
        "[{\"name\":\"Carol\"",
        "[{\"name\":\"Al\"}]",
        "\u{1b}[2J",
    ] {
        fs::write(&file, damaged).unwrap();
        let complaint = refused(chatd(folder.path()));
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        for word in [file.to_str().unwrap(), "damaged", "text editor"] {
            assert!(complaint.contains(word), "no {word} in: {complaint}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
    }
}

#[test]
fn a_ban_that_the_disk_does_not_take_holds_and_the_answer_says_what_is_amiss() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Chatd::start(with_console(folder.path()));
    fs::create_dir(folder.path().join("data").join("bans.json")).unwrap();
    let answer = expect_answer(&mut server, "ban Carol", "Carol is banned.");
    assert!(answer.contains("ends with the server"), "{answer}");
    let mut carol = server.connect();
    carol.send(&json!({"Command": "01", "Name": "Carol"}));
    carol.expect_refusal("11");
    assert!(quit(server).contains("ERROR"));
}

#[test]
fn an_address_that_several_share_is_banned_only_after_a_question() {
    let interfaces = if_addrs::get_if_addrs().unwrap().into_iter();
    let mut addresses = interfaces.map(|interface| interface.ip());
    let Some(lan) = addresses.find(|address| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(_) => false,
    }) else {
        eprintln!("SKIPPED: this test needs an address that is not loopback");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = with_console(folder.path());
    command.env("CHATD_BIND", "0.0.0.0");
    let mut server = Chatd::start(command);
    let port = server.plain_address().port();
    let mut users: Vec<Client> = ["Anna", "Bobby", "Carla"]
        .into_iter()
        .map(|name| {
            let mut user = Client::over(TcpStream::connect((lan, port)).unwrap(), Way::Plain);
            user.log_in(name);
            user
        })
        .collect();
    let ban = format!("ban {lan}");
    let question = format!("Anna, Bobby and Carla use {lan}. Ban it all the same? (yes/no)");
    for (answer, told) in [
        ("no", format!("{lan} is not banned.")),
        ("who", "That was neither yes nor no".to_owned()),
        ("", "That was neither yes nor no".to_owned()),
    ] {
        expect_answer(&mut server, &ban, &question);
        expect_answer(&mut server, answer, &told);
        expect_answer(&mut server, "bans", "Nobody is banned.");
    }
    expect_answer(&mut server, &ban, &question);
    let told = expect_answer(&mut server, " YES ", &format!("{lan} is banned."));
    assert!(told.contains("are kicked."), "{told}");
    for name in ["Anna", "Bobby", "Carla"] {
        assert!(told.contains(name), "{told}");
    }
    for user in &mut users {
        let last = user.receive_all().pop().expect("a last line");
        assert!(
            last["Message"].as_str().unwrap().contains("banned"),
            "{last}"
        );
    }
    let mut back = Client::over(TcpStream::connect((lan, port)).unwrap(), Way::Plain);
    back.send(&json!({"Command": "01", "Name": "Anna"}));
    assert!(back.expect_notice().contains("banned"));
    assert!(server.log_line("refused a connection").contains("banned"));
    // Who is asked nothing more can still stop the server.
    quit(server);
}

/// A shell with just enough job control: its terminal is a pseudo terminal, whose output it relays, and into which it
/// types what comes from standard input. `!fg`, `!suspend` and `!quit` are its own commands.
const SHELL: &str = r#"
import os, pty, select, signal, sys, termios

control, order = os.pipe()
shell, terminal = pty.fork()
if shell == 0:
    os.close(order)
    ignored = [signal.SIGTTOU, signal.SIGHUP]
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        for number in ignored:
            signal.signal(number, signal.SIG_DFL)
        os.execv(sys.argv[1], sys.argv[1:])
    try:
        os.setpgid(job, job)
    except OSError:
        pass
    while True:
        what = os.read(control, 1)
        # In the background the terminal is the shell's.
        if what in b"fs" and os.tcgetpgrp(0) == os.getpgrp():
            assert termios.tcgetattr(0)[3] & termios.ICANON, "in raw mode"
        if what == b"f":
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)
        elif what == b"s":
            status = os.waitpid(job, os.WUNTRACED)[1]
            assert os.WIFSTOPPED(status), status
            assert termios.tcgetattr(0)[3] & termios.ICANON, "in raw mode"
            os.tcsetpgrp(0, os.getpgrp())
            os.killpg(job, signal.SIGCONT)
            os.write(1, b"\nin the background\n")
        else:
            if not what:  # the test has failed
                os.killpg(job, signal.SIGKILL)
            status = os.waitpid(job, 0)[1]
            os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
while True:
    for ready in select.select([0, terminal], [], [])[0]:
        try:
            data = os.read(ready, 4096)
        except OSError:
            data = b""
        if ready == terminal:
            if not data:
                sys.exit(os.WEXITSTATUS(os.waitpid(shell, 0)[1]))
            os.write(1, data)
        elif not data:
            sys.exit(98)
        else:
            for line in data.splitlines(True):
                if line == b"!fg\n":
                    os.write(order, b"f")
                elif line == b"!suspend\n":
                    os.write(terminal, b"\x1a")
                    os.write(order, b"s")
                elif line == b"!quit\n":
                    os.write(terminal, b"quit\n")
                    os.write(order, b"w")
                else:
                    os.write(terminal, line)
"#;

#[cfg(unix)]
#[test]
fn in_the_background_the_server_runs_and_in_the_foreground_its_console_is_there() {
    if !can_run("python3", "--version") {
        return;
    }
    // With an editor of lines, and without.
    for terminal in ["xterm", "dumb"] {
        in_the_background_and_the_foreground(terminal);
    }
}

#[cfg(unix)]
fn in_the_background_and_the_foreground(terminal: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("python3");
    isolate(&mut command)
        .args(["-c", SHELL, CHATD])
        .env("TERM", terminal)
        .stdin(Stdio::piped());
    for (name, value) in chatd(folder.path()).get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let chat = |server: &Chatd| {
        let mut anna = server.guest("Anna");
        anna.say("here");
        anna.expect(said("Anna", "here"));
        anna.log_out();
    };
    // It starts in the background, and reads its terminal.
    let mut server = Chatd::start(command);
    server.process.out.line_with("Type help");
    chat(&server);
    server.process.type_line("!fg");
    expect_answer(&mut server, "lock", "Nobody new can log in");
    expect_answer(&mut server, "unlock", "Everybody can log in again.");
    // Suspended while it waits for a line, then continued in the background.
    let begun = if terminal == "dumb" { "" } else { "lo" };
    let before = server.process.out.so_far().len();
    server.process.type_keys(begun);
    server.process.out.text_after(before, begun);
    expect_answer(&mut server, "!suspend", "in the background");
    chat(&server);
    server.process.type_line("!fg");
    let rest = &"lock"[begun.len()..];
    expect_answer(&mut server, rest, "Nobody new can log in");
    server.process.type_line("!quit");
    let status = server.process.wait();
    assert!(
        status.success(),
        "{status}\n{}",
        server.process.out.so_far()
    );
}

#[cfg(unix)]
#[test]
fn a_console_whose_output_nobody_takes_still_obeys_and_the_chat_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = with_console(folder.path());
    // The port is told by the log, not by the banner.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let mut process = crate::process::Process::start(command);
    let line = process.err.line_with("started");
    let port = line.split("127.0.0.1:").nth(1).expect("a port");
    let port: u16 = port.split(']').next().unwrap().parse().unwrap();
    let mut anna = Client::over(TcpStream::connect(("127.0.0.1", port)).unwrap(), Way::Plain);
    anna.log_in("Anna");
    process.type_line("say hello");
    anna.expect(said("admin", "hello"));
    process.type_line("quit");
    anna.expect_notice();
    anna.expect_end();
    assert!(process.wait().success());
}

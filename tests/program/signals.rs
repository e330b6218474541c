//! Ctrl-C, SIGTERM and SIGHUP.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::harness::{Client, Way};
use crate::process::{Chatd, can_run, chatd, chatd_after, chatd_under};

/// How long an end may take. The promise is 5 seconds; the rest is for a machine that has other things to do.
pub const END: Duration = Duration::from_secs(5 + 4);

/// Everything that still comes to this client.
pub fn rest(client: &mut Client) -> Vec<Value> {
    std::iter::from_fn(|| client.next_frame())
        .map(|frame| serde_json::from_slice(&frame).unwrap())
        .collect()
}

/// Checks that the last message is the goodbye, and that none before it tells of an end.
#[track_caller]
pub fn expect_goodbye(messages: &[Value]) {
    let (last, others) = messages.split_last().expect("a goodbye");
    assert_eq!(last["Command"], "10", "{messages:?}");
    assert!(last["Message"].is_string(), "{last}");
    for other in others {
        assert!(
            other["Command"] != "10" && other["Command"] != "31",
            "{other}"
        );
    }
}

#[test]
fn a_signal_lets_everybody_hear_a_goodbye_last() {
    for signal in ["INT", "TERM", "HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Chatd::start(chatd(folder.path()));
        let mut clients: Vec<Client> = Way::ALL
            .into_iter()
            .map(|way| server.connect_as(way))
            .collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.log_in(&format!("Guest{number}"));
        }
        clients[0].say("last words");
        for client in &mut clients {
            while client.receive()["Command"] != "32" {}
        }
        let mut stranger = server.connect();
        stranger.expect_nothing();

        let start = Instant::now();
        let Chatd { mut process, .. } = server;
        process.signal(signal);
        for client in &mut clients {
            let messages = rest(client);
            expect_goodbye(&messages);
            assert_eq!(messages.len(), 1, "{messages:?}");
        }
        stranger.expect_end();
        drop(clients);
        let status = process.wait();
        let log = process.err.all();
        assert_eq!(status.code(), Some(0), "{signal}: {status}\n{log}");
        assert!(start.elapsed() < END, "{:?}", start.elapsed());
    }
}

/// A server without the limits that would part it from clients that take nothing.
pub fn patient_chatd(folder: &std::path::Path) -> Chatd {
    let mut command = chatd(folder);
    command.args(["--rate=0", "--byte-rate=0"]);
    command.arg("--max-backlog=256MiB");
    Chatd::start(command)
}

/// A client that reads nothing after its login.
pub fn stalled(server: &Chatd, way: Way, name: &str) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // A small window, so that soon nothing more goes into it.
    socket.set_recv_buffer_size(4096).unwrap();
    let address = server.address(way);
    socket.connect(&address.into()).unwrap();
    let mut client = Client::over(socket.into(), way);
    client.log_in(name);
    client
}

/// Says more than the buffers of a socket hold, and hears all of it.
pub fn flood(speaker: &mut Client) {
    const MESSAGES: usize = 240;
    let text = "x".repeat(60_000);
    for _ in 0..MESSAGES {
        speaker.say(&text);
    }
    let mut heard = 0;
    while heard < MESSAGES {
        let message = speaker.receive();
        assert_ne!(message["Command"], "31", "somebody was cut off");
        heard += usize::from(message["Command"] == "32");
    }
}

#[test]
fn clients_that_do_not_read_do_not_put_off_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = patient_chatd(folder.path());
    let _stalled = [Way::Plain, Way::Tls, Way::PlainPrefixed]
        .map(|way| stalled(&server, way, &format!("Stalled{way:?}")));
    let _silent = server.connect();
    let _without_handshake = TcpStream::connect(server.tls_address()).unwrap();
    let mut half = server.connect();
    half.send_bytes(br#"{"Command":"01","Na"#);
    let mut half_logged_in = server.guest("Half");
    half_logged_in.send_bytes(br#"{"Command":"05","Mess"#);
    let mut anna = server.connect_as(Way::Tls);
    anna.log_in("Anna");
    flood(&mut anna);
    // One that is owed a receipt that can't be decided.
    anna.write_to("StalledPlain", "do you hear me?");
    anna.expect_nothing();

    let start = Instant::now();
    let Chatd { mut process, .. } = server;
    process.signal("TERM");
    let messages = rest(&mut anna);
    expect_goodbye(&messages);
    let receipt = &messages[0];
    assert_eq!(receipt["Command"], "14", "{messages:?}");
    assert_eq!(receipt["Flag"], 0, "{messages:?}");
    let status = process.wait();
    let took = start.elapsed();
    let log = process.err.all();
    assert_eq!(status.code(), Some(0), "{status}\n{log}");
    assert!(took < END, "{took:?}\n{log}");
}

#[test]
fn clients_that_go_on_sending_do_not_put_off_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let senders: Vec<_> = [Way::Plain, Way::Tls]
        .into_iter()
        .map(|way| {
            let mut client = server.connect_as(way);
            client.log_in(&format!("Sender{way:?}"));
            std::thread::spawn(move || {
                let frame = json!({"Command": "05", "Message": "x".repeat(1000)}).to_string();
                // It sends as fast as it is read, and reads nothing.
                while client.try_send_bytes(frame.as_bytes()).is_ok() {}
            })
        })
        .collect();
    let mut listener = server.guest("Listener");
    while listener.receive()["Command"] != "32" {}
    let reading = std::thread::spawn(move || rest(&mut listener));

    let start = Instant::now();
    let Chatd { mut process, .. } = server;
    process.signal("INT");
    let status = process.wait();
    let took = start.elapsed();
    let log = process.err.all();
    assert_eq!(status.code(), Some(0), "{status}\n{log}");
    assert!(took < END, "{took:?}\n{log}");
    expect_goodbye(&reading.join().unwrap());
    for sender in senders {
        sender.join().unwrap();
    }
}

/// A server that takes seconds to stop, because a client reads nothing, and a client that reads.
fn slow_to_stop(folder: &std::path::Path) -> (Chatd, [Client; 2]) {
    let server = patient_chatd(folder);
    let stalled = stalled(&server, Way::Plain, "Stalled");
    let mut anna = server.guest("Anna");
    flood(&mut anna);
    (server, [stalled, anna])
}

#[test]
fn a_second_interrupt_ends_the_program_at_once() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = tempfile::tempdir().unwrap();
        let (server, _clients) = slow_to_stop(folder.path());
        let Chatd { mut process, .. } = server;
        process.signal(signal);
        process.err.line_with("stopping");
        assert!(process.is_running(), "it waits for the one that is stalled");
        // As a person does: what comes right behind the first one may have the same cause.
        while process.is_running() {
            process.signal(signal);
        }
        let status = process.wait();
        assert_eq!(status.code(), Some(code), "{}", process.err.all());
    }
}

#[test]
fn a_hangup_beside_another_signal_leaves_everybody_the_goodbye() {
    for (first, second) in [("HUP", "HUP"), ("HUP", "TERM"), ("TERM", "HUP")] {
        let folder = tempfile::tempdir().unwrap();
        let (server, [_stalled, mut anna]) = slow_to_stop(folder.path());
        let Chatd { mut process, .. } = server;
        process.signal(first);
        process.err.line_with("stopping");
        process.signal(second);
        expect_goodbye(&rest(&mut anna));
        let status = process.wait();
        let log = process.err.all();
        assert_eq!(status.code(), Some(0), "{first} {second}: {status}\n{log}");
    }
}

/// Checks that a server goes on when a signal comes that was ignored when it started.
#[track_caller]
fn expect_to_stay(command: Command, signal: &str) {
    let server = Chatd::start(command);
    server.process.signal(signal);
    for _ in 0..20 {
        let mut anna = server.guest("Anna");
        anna.expect_nothing();
        anna.log_out();
    }
    assert!(!server.process.err.so_far().contains("stopping"));
    let Chatd { mut process, .. } = server;
    process.signal(if signal == "TERM" { "INT" } else { "TERM" });
    let status = process.wait();
    assert_eq!(status.code(), Some(0), "{signal}: {}", process.err.all());
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    for signal in ["HUP", "INT", "TERM"] {
        // A shell without job control starts what is in the background with INT ignored.
        let folder = tempfile::tempdir().unwrap();
        let command = chatd_after(&format!("trap '' {signal}"), folder.path());
        expect_to_stay(command, signal);
    }
}

#[test]
fn a_server_started_by_nohup_survives_the_hangup() {
    if !can_run("nohup", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    expect_to_stay(chatd_under("nohup", folder.path()), "HUP");
}

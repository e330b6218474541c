//! Standard output and standard error that lead nowhere, or stand still.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Client, PATIENCE, Way, came, left, said};
use crate::process::{CHATD, Chatd, Process, chatd, chatd_after};

/// Two guests meet, talk and part.
fn chat(address: SocketAddr) {
    let connect = || Client::over(TcpStream::connect(address).unwrap(), Way::Plain);
    let mut anna = connect();
    anna.log_in("Anna");
    let mut bobby = connect();
    bobby.log_in("Bobby");
    anna.expect(came("Bobby", true));
    for _ in 0..20 {
        bobby.say("still here");
        for client in [&mut anna, &mut bobby] {
            client.expect(said("Bobby", "still here"));
        }
    }
    bobby.log_out();
    anna.expect(left("Bobby"));
    anna.log_out();
}

#[test]
fn a_log_that_nobody_reads_does_not_stop_the_chat() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.env("RUST_LOG", "trace");
    let server = Chatd::start_with_unread_log(command);
    let address = server.plain_address();
    // Each comes and goes, which is two lines: far more than a pipe holds, and what may wait for it.
    const GUESTS: usize = 1600;
    let crowds: Vec<_> = (0..4)
        .map(|crowd| {
            thread::spawn(move || {
                for number in 0..GUESTS / 4 {
                    let socket = TcpStream::connect(address).unwrap();
                    let mut guest = Client::over(socket, Way::Plain);
                    let name = format!("Guest{crowd}x{number}");
                    guest.send_text(&format!(r#"{{"Command":"01","Name":"{name}"}}"#));
                    guest.send_text(r#"{"Command":"03"}"#);
                    assert_eq!(guest.receive()["Flag"], 1);
                    while guest.next_frame().is_some() {}
                }
            })
        })
        .collect();
    for crowd in crowds {
        crowd.join().unwrap();
    }
    chat(address);

    // Once it is read, the log goes on, and owns up to what it lacks.
    server.process.err.read();
    server.log_line("lost");
    server.guest("Carla").log_out();
    server.log_line("Carla");
    let log = server.stop();
    let guests = log.lines().filter(|line| line.contains("Guest")).count();
    assert!(guests > 0 && guests < 2 * GUESTS, "{guests} lines");
}

/// An end of a socket whose buffer is full, and the other end, which must be kept.
fn stuck() -> (Stdio, UnixStream) {
    let (mut full, other) = UnixStream::pair().unwrap();
    full.set_nonblocking(true).unwrap();
    for piece in [&[b'.'; 4096][..], b"."] {
        loop {
            match full.write(piece) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    full.set_nonblocking(false).unwrap();
    (Stdio::from(OwnedFd::from(full)), other)
}

/// Starts a server that can't tell its port, so that the test has to choose one. Somebody else may take the port
/// meanwhile, and then another is tried.
fn start_on_chosen_port(prepare: impl Fn() -> Command) -> (Process, SocketAddr) {
    for _ in 0..5 {
        let chosen = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = chosen.local_addr().unwrap();
        drop(chosen);
        let mut command = prepare();
        command.env("CHATD_PORT", address.port().to_string());
        let mut process = Process::start_unread(command);
        let deadline = Instant::now() + PATIENCE;
        while process.is_running() {
            if TcpStream::connect(address).is_ok() {
                return (process, address);
            }
            assert!(Instant::now() < deadline, "nobody listens");
            thread::sleep(Duration::from_millis(10));
        }
    }
    panic!("it does not start");
}

#[track_caller]
fn expect_service(prepare: impl Fn(&Path) -> Command) {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, address) = start_on_chosen_port(|| prepare(folder.path()));
    chat(address);
    process.signal("TERM");
    let status = process.wait();
    assert!(status.success(), "{status}");
}

#[test]
fn output_that_stands_still_does_not_stop_the_chat() {
    let (_, kept) = stuck();
    let kept = std::cell::RefCell::new(vec![kept]);
    let mut stuck = || {
        let (end, other) = stuck();
        kept.borrow_mut().push(other);
        end
    };
    let stuck = std::cell::RefCell::new(&mut stuck);
    expect_service(|folder| {
        let mut command = chatd(folder);
        command.stdout((stuck.borrow_mut())());
        command
    });
    expect_service(|folder| {
        let mut command = chatd(folder);
        command.env("RUST_LOG", "trace");
        command.stderr((stuck.borrow_mut())());
        command
    });
}

#[test]
fn output_that_is_closed_does_not_stop_the_chat() {
    for preparation in ["exec >&-", "exec 2>&-", "exec <&- >&- 2>&-"] {
        expect_service(|folder| chatd_after(preparation, folder));
    }
    // A pipe whose reader has gone, as that of `chatd | head`.
    for redirection in [">", "2>"] {
        expect_service(|folder| {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = chatd(folder);
            assert_eq!(command.get_program(), CHATD);
            if redirection == ">" {
                command.stdout(writer);
            } else {
                command.stderr(writer);
            }
            command
        });
    }
}

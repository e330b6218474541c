//! What clients can make the server and the kernel hold for them, at worst: no more than docs/security.md says.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chatd::transport::socket::{RECEIVE_BUFFER, SEND_BUFFER};
use serde_json::json;

use crate::harness::{Client, PATIENCE, Way};
use crate::process::{Chatd, Process, can_run, chatd, isolate};
use crate::signals::{flood, patient_chatd, stalled};

/// Clients that never read.
const STALLED: usize = 20;

/// Clients that write to those.
const SENDERS: usize = 50;

/// What may wait for one client, in bytes.
const BACKLOG: usize = 1 << 20;

/// What the allocator keeps in reserve and the stacks of busy threads take, beyond what counts as backlog: in bytes for each
/// connection.
const RESERVE: usize = 32 << 10;

/// The largest segment, with the kernel's overhead, in bytes.
const SEGMENT: usize = 68 << 10;

/// When nothing was taken for so long, all buffers are full.
const QUIET: Duration = Duration::from_millis(500);

/// A number of bytes from a line of the process's status (proc_pid_status(5)).
fn status_bytes(process: &Process, row: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(row));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<usize>().unwrap() << 10
}

/// Writes empty messages to all of `friends` again and again, until one of them is cut off.
fn write_until_one_is_gone(sender: &mut Client, friends: &[String], is_over: &AtomicBool) {
    let messages = friends.iter().flat_map(|friend| {
        let message = json!({"Command": "04", "FriendName": friend, "Message": ""});
        sender.way().frame(&message.to_string()).repeat(2)
    });
    let messages: Vec<u8> = messages.collect();
    // More than one backlog of them, even if each counted no more than its bytes.
    for _ in 0..BACKLOG / SENDERS / 64 {
        sender.send_bytes(&messages);
        if catch_up(sender).contains(&"31".into()) {
            is_over.store(true, Ordering::Relaxed);
        }
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
    panic!("nobody was cut off");
}

/// Waits until the server has acted on all that this client sent, and returns the commands that came meanwhile.
fn catch_up(client: &mut Client) -> Vec<String> {
    client.send(&json!({"Command": "77"}));
    std::iter::from_fn(|| client.receive()["Command"].as_str().map(str::to_owned))
        .take_while(|command| command != "10")
        .collect()
}

#[test]
fn empty_messages_to_clients_that_never_read_take_no_more_memory_than_the_backlog() {
    for length in [8, 64] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = chatd(folder.path());
        command.args(["--rate=0", "--byte-rate=0"]);
        command.arg(format!("--max-backlog={BACKLOG}B"));
        let server = Chatd::start(command);
        let names: Vec<String> = (0..STALLED)
            .map(|number| format!("{number:X>length$}"))
            .collect();
        let mut senders: Vec<Client> = (0..SENDERS)
            .map(|number| server.guest(&format!("Sender{number}")))
            .collect();
        let stalled: Vec<Client> = names
            .iter()
            .zip(Way::ALL.into_iter().cycle())
            .map(|(name, way)| stalled(&server, way, name))
            .collect();
        // Each thread has been busy before, so that its stack is not measured.
        for sender in &mut senders {
            sender.write_to("Sender0", "");
            catch_up(sender);
        }
        let before = status_bytes(&server.process, "VmRSS");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for sender in &mut senders {
                scope.spawn(|| write_until_one_is_gone(sender, &names, &is_over));
            }
        });
        let grown = status_bytes(&server.process, "VmHWM") - before;
        let allowed = STALLED * BACKLOG + (STALLED + SENDERS) * RESERVE;
        eprintln!(
            "names of {length} letters: {} KiB of {} KiB",
            grown >> 10,
            allowed >> 10
        );
        assert!(grown <= allowed, "{grown} bytes, not {allowed}");
        // The queues were full, or this has shown nothing.
        assert!(grown >= allowed / 4, "{grown} bytes of {allowed}");
        drop((senders, stalled));
        server.stop();
    }
}

/// What the kernel holds of one connection, in bytes (`-m` in ss(8)).
#[derive(Debug)]
struct KernelMemory {
    received: usize,
    receive_bound: usize,
    unacknowledged: usize,
    send_bound: usize,
}

/// The server's connections, as the kernel knows them.
fn kernel_memory(address: SocketAddr) -> Vec<KernelMemory> {
    let mut command = Command::new("ss");
    command.args([
        "-tmnHO",
        "state",
        "established",
        "sport",
        "=",
        &format!(":{}", address.port()),
    ]);
    let output = isolate(&mut command).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let of_line = |line: &str| {
        let (_, memory) = line.split_once("skmem:(")?;
        let number = |name: &str| {
            let field = memory
                .split([',', ')'])
                .find_map(|field| field.strip_prefix(name)?.parse::<usize>().ok());
            field.unwrap_or_else(|| panic!("no {name} in {line}"))
        };
        Some(KernelMemory {
            received: number("r"),
            receive_bound: number("rb"),
            unacknowledged: number("w"),
            send_bound: number("tb"),
        })
    };
    output.lines().filter_map(of_line).collect()
}

/// Checks that the kernel holds no more of any connection than the server allows, and returns what it holds of all.
#[track_caller]
fn expect_bounded(connections: &[KernelMemory]) -> (usize, usize) {
    for memory in connections {
        assert!(memory.receive_bound <= 2 * RECEIVE_BUFFER, "{memory:?}");
        assert!(memory.send_bound <= 2 * SEND_BUFFER, "{memory:?}");
        // A segment that begins within the bound may end beyond it.
        assert!(
            memory.received <= 2 * RECEIVE_BUFFER + SEGMENT,
            "{memory:?}"
        );
        assert!(
            memory.unacknowledged <= 2 * SEND_BUFFER + SEGMENT,
            "{memory:?}"
        );
    }
    let received = connections.iter().map(|memory| memory.received).sum();
    let unacknowledged = connections.iter().map(|memory| memory.unacknowledged).sum();
    eprintln!("{received} bytes received, {unacknowledged} to send: {connections:?}");
    (received, unacknowledged)
}

#[test]
fn the_kernel_keeps_little_for_clients_that_never_read() {
    if !can_run("ss", "-V") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = patient_chatd(folder.path());
    let mut silent: Vec<Client> = (0..4)
        .map(|number| server.guest(&format!("Silent{number}")))
        .collect();
    silent.push(stalled(&server, Way::Plain, "Stalled"));
    flood(&mut server.guest("Speaker"));
    let (_, unacknowledged) = expect_bounded(&kernel_memory(server.plain_address()));
    assert!(unacknowledged > silent.len() * SEND_BUFFER / 2);
}

#[test]
fn the_kernel_keeps_little_of_what_clients_send_before_their_login() {
    const STRANGERS: usize = 4;
    if !can_run("ss", "-V") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    // The server reads much at first, which makes the kernel think that it needs large buffers; then next to nothing.
    command.args([
        "--byte-rate=1KiB",
        "--byte-burst=32MiB",
        "--login-timeout=10m",
    ]);
    let server = Chatd::start(command);
    let strangers: Vec<Client> = (0..STRANGERS).map(|_| server.connect()).collect();
    let blanks = vec![b' '; 256 << 10];
    let deadline = Instant::now() + 3 * PATIENCE;
    let mut last_taken = Instant::now();
    for stranger in &strangers {
        stranger.socket().set_nonblocking(true).unwrap();
    }
    while last_taken.elapsed() < QUIET {
        assert!(Instant::now() < deadline, "the server takes ever more");
        for stranger in &strangers {
            match stranger.socket().write(&blanks) {
                Ok(taken) => {
                    assert!(taken > 0);
                    last_taken = Instant::now();
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    let (received, _) = expect_bounded(&kernel_memory(server.plain_address()));
    assert!(received > STRANGERS * RECEIVE_BUFFER / 2, "{received}");
}

//! What clients can make the server hold for them, at worst: no more than docs/security.md says.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use crate::harness::{Client, Way};
use crate::process::{Chatd, Process, chatd};
use crate::signals::stalled;

/// Clients that never read.
const STALLED: usize = 20;

/// Clients that write to those.
const SENDERS: usize = 50;

/// What may wait for one client, in bytes.
const BACKLOG: usize = 1 << 20;

/// What the allocator keeps in reserve and the stacks of busy threads take, beyond what counts as backlog: in bytes for each
/// connection.
const RESERVE: usize = 32 << 10;

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

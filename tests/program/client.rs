//! The example client in Rust, tried on the program: above all whom it trusts.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::harness::{came, left, said, wrote};
use crate::process::{Chatd, Process, chatd, example};

/// Starts the client, with the address to connect to and further arguments.
fn client(address: SocketAddr, known_servers: &Path, arguments: &[&str]) -> Process {
    Process::start(command(address, known_servers, arguments))
}

fn command(address: SocketAddr, known_servers: &Path, arguments: &[&str]) -> Command {
    let mut command = example("client");
    command
        .arg(address.ip().to_string())
        .args(["--port", &address.port().to_string()])
        .arg("--known-servers")
        .arg(known_servers)
        .args(arguments);
    command
}

/// A client that comes, goes, and must have nothing to complain about.
#[track_caller]
fn visit(address: SocketAddr, known_servers: &Path) -> String {
    let mut client = client(address, known_servers, &["--tls", "Anna"]);
    client.out.line_with("online: Anna (guest)");
    client.type_line("/quit");
    assert!(client.wait().success());
    assert_eq!(client.err.all(), "");
    client.out.all()
}

#[test]
fn two_clients_talk_to_the_room_and_to_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let known = folder.path().join("known");
    let mut watcher = server.guest("Watcher");
    let mut anna = client(server.plain_address(), &known, &["Anna"]);
    anna.out.line_with("online: Anna (guest), Watcher (guest)");
    watcher.expect(came("Anna", true));
    anna.type_line("good morning, 早上好");
    watcher.expect(said("Anna", "good morning, 早上好"));
    anna.out.line_with("Anna: good morning, 早上好");
    anna.type_line("@Watcher only for you");
    watcher.expect(wrote("Anna", "only for you"));
    anna.out.line_with("sent to Watcher");
    anna.type_line("@Nobody are you there?");
    anna.out.line_with("NOT sent to Nobody: ");
    watcher.write_to("Anna", "\u{1b}[2J\r\nforged");
    let line = anna.out.line_with("[Watcher to you]");
    assert!(line.contains(r"\u{1b}[2J\r\nforged"), "{line:?}");
    watcher.expect_command("14");
    anna.type_line("/quit");
    assert!(anna.wait().success(), "{}", anna.err.all());
    watcher.expect(left("Anna"));
    assert!(!known.exists(), "there is nothing to remember without TLS");
    drop(watcher);
    server.stop();
}

#[test]
fn the_certificate_of_a_server_is_trusted_at_first_sight_and_no_other_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    // The folder is made too.
    let known = folder.path().join("config").join("chatd").join("known");
    let server = Chatd::start(chatd(&folder.path().join("first")));
    let address = server.tls_address();
    let fingerprint = server.fingerprint();
    let first = visit(address, &known);
    assert!(first.contains("the first time here"), "{first}");
    assert!(first.contains(&fingerprint), "{first}");
    let line = format!("{address} {fingerprint}\n");
    assert_eq!(fs::read_to_string(&known).unwrap(), line);
    let second = visit(address, &known);
    assert!(second.starts_with("* online"), "{second}");
    assert_eq!(fs::read_to_string(&known).unwrap(), line);

    // Another server, whose line, edited by hand, holds the fingerprint of the first.
    let imposter = Chatd::start(chatd(&folder.path().join("second")));
    let address = imposter.tls_address();
    let edited = format!("{line}{address}  {}", fingerprint.to_lowercase());
    fs::write(&known, &edited).unwrap();
    let mut watcher = imposter.guest("Watcher");
    let mut deceived = client(address, &known, &["--tls", "Anna", "password"]);
    assert_eq!(deceived.wait().code(), Some(1));
    let complaint = deceived.err.all();
    for part in [
        "WARNING",
        &address.to_string(),
        &fingerprint.to_lowercase(),
        &imposter.fingerprint(),
        &format!("delete line 2 of {}", known.display()),
        "client: refused: ",
    ] {
        assert!(complaint.contains(part), "{part:?} is not in\n{complaint}");
    }
    assert_eq!(deceived.out.all(), "");
    assert_eq!(fs::read_to_string(&known).unwrap(), edited);
    // Not even the name was sent, let alone the password.
    watcher.expect_nothing();
    watcher.log_out();

    // What the warning says helps; a line that lost its newline is not continued.
    fs::write(&known, line.trim_end()).unwrap();
    let forced = visit(address, &known);
    assert!(forced.contains(&imposter.fingerprint()), "{forced}");
    let both = format!("{line}{address} {}\n", imposter.fingerprint());
    assert_eq!(fs::read_to_string(&known).unwrap(), both);
    visit(server.tls_address(), &known);
    server.stop();
    imposter.stop();
}

#[cfg(unix)]
#[test]
fn a_client_that_would_come_back_ends_if_another_server_answers() {
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known");
    let server = Chatd::start(chatd(&folder.path().join("first")));
    let address = server.tls_address();
    let command = command(address, &known, &["--tls", "Anna"]);
    let (mut client, _keyboard) = crate::odd_server::in_a_terminal(command);
    client.out.line_with("online: Anna (guest)");
    server.stop();
    client.out.line_with("; trying again in ");
    let mut imposter = chatd(&folder.path().join("second"));
    imposter.env("CHATD_TLS_PORT", address.port().to_string());
    let imposter = Chatd::start(imposter);
    let mut watcher = imposter.guest("Watcher");
    assert_eq!(client.wait().code(), Some(1));
    let complaint = client.err.all();
    assert!(complaint.contains("WARNING"), "{complaint}");
    assert!(complaint.contains("client: refused: "), "{complaint}");
    watcher.expect_nothing();
    watcher.log_out();
    imposter.stop();
}

#[test]
fn a_fingerprint_on_the_command_line_is_all_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let address = server.tls_address();
    let known = folder.path().join("known");
    fs::write(&known, format!("{address} 00:11\n")).unwrap();
    let right = server.fingerprint().to_lowercase().replace(':', "");
    let mut trusting = client(address, &known, &["--fingerprint", &right, "Anna"]);
    trusting.out.line_with("online: Anna (guest)");
    trusting.type_line("/quit");
    assert!(trusting.wait().success());
    fs::write(&known, format!("{address} {right}\n")).unwrap();
    let mut wary = client(address, &known, &["--fingerprint", "00:11", "Anna"]);
    assert_eq!(wary.wait().code(), Some(1));
    let complaint = wary.err.all();
    assert!(complaint.contains("not the one you gave"), "{complaint}");
    server.stop();
}

#[test]
fn a_list_of_servers_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    // It is a folder.
    let mut client = client(server.tls_address(), folder.path(), &["--tls", "Anna"]);
    assert_eq!(client.wait().code(), Some(1));
    let complaint = client.err.all();
    let path = folder.path().display().to_string();
    assert!(complaint.contains("cannot read"), "{complaint}");
    assert!(complaint.contains(&path), "{complaint}");
    server.stop();
}

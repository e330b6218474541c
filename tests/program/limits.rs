//! Limits of the machine that are lower than those of the settings.

use crate::harness::Way;
use crate::process::{Chatd, chatd_after, refused};

#[test]
fn a_limit_that_the_machine_cannot_hold_is_named_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd_after("ulimit -n 112", folder.path()));
    let line = server.log_line("--max-connections");
    assert!(line.contains("WARN") && line.contains("4096"), "{line}");
    assert!(line.contains("ulimit -n"), "what to change: {line}");
    let (_, message) = line.split_once("WARN").unwrap();
    let mut numbers = message.split(|character: char| !character.is_ascii_digit());
    let fits: usize = numbers.find_map(|number| number.parse().ok()).unwrap();
    assert!((1..112).contains(&fits), "{line}");

    expect_to_hold(server, fits);
}

/// Checks that a server takes so many guests, lets one of them register then, and tells all others why not.
#[track_caller]
fn expect_to_hold(server: Chatd, fits: usize) {
    let mut guests: Vec<_> = (1..fits)
        .map(|number| server.guest(&format!("Guest{number}")))
        .collect();
    // Whoever hasn't logged in would make room.
    let mut last = server.guest("Last");
    for way in Way::ALL {
        let mut refused = server.connect_as(way);
        refused.send_text(r#"{"Command":"01","Name":"Late"}"#);
        let why = refused.expect_notice();
        assert!(why.contains(&format!(" {fits} ")), "{why}");
        refused.expect_end();
    }
    // As many as are told why in their own framing, and more, none of which says what that is.
    let silent: Vec<_> = (0..8).map(|_| server.connect()).collect();
    last.register("Registered", "secret");
    guests.push(last);
    for guest in &mut guests {
        guest.send_text("{}");
        while guest.receive()["Command"] != "10" {}
    }
    drop((guests, silent));
    server.stop();
}

#[test]
fn a_limit_that_is_set_lower_suits_a_machine_that_can_hold_no_more() {
    for (descriptors, connections) in [(64, 10), (48, 8), (40, 4), (37, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let preparation = format!("ulimit -n {descriptors}");
        let mut command = chatd_after(&preparation, folder.path());
        command.args(["--max-connections", &connections.to_string()]);
        let server = Chatd::start(command);
        assert!(!server.process.err.so_far().contains("--max-connections"));
        expect_to_hold(server, connections);
    }
}

#[test]
fn a_machine_that_can_hold_nobody_is_told_what_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let complaint = refused(chatd_after("ulimit -n 24", folder.path()));
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("ulimit -n"), "{complaint}");
}

#[test]
fn the_soft_limit_of_open_files_is_raised() {
    let folder = tempfile::tempdir().unwrap();
    let hard = std::process::Command::new("sh")
        .args(["-c", "ulimit -H -n"])
        .output();
    let hard = String::from_utf8(hard.unwrap().stdout).unwrap();
    if hard.trim().parse().is_ok_and(|limit: u64| limit < 400) {
        eprintln!("SKIPPED: this test needs a hard limit of 400 open files");
        return;
    }
    let mut command = chatd_after("ulimit -S -n 64", folder.path());
    command.args(["--max-connections", "200"]);
    let server = Chatd::start(command);
    let guests: Vec<_> = (0..100)
        .map(|number| server.guest(&format!("Guest{number}")))
        .collect();
    drop(guests);
    let log = server.stop();
    assert!(!log.contains("ulimit"), "{log}");
}

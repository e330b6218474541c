//! How connections end when more than one cause is at work: drains, and what cuts them short.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::SockRef;

use crate::harness::{Client, PATIENCE, TestServer, Way, came, left};

/// Shorter than any drain that waits for receipts, and much longer than a drain that waits for nothing.
const SOON: Duration = Duration::from_millis(3500);

/// More than two thirds of what a socket holds that nobody reads from.
const LARGE_MESSAGE: usize = 3 << 20;

/// A server with `max_connections`, on which Anna is owed receipts by Friend, who does not read. Anna and then Friend are
/// returned, and Carol, who sees all come and go.
fn with_receipts_owed(max_connections: usize) -> (TestServer, Client, Client, Client) {
    let server = TestServer::calm_with(|config| {
        config.max_connections = max_connections;
        config.max_frame = LARGE_MESSAGE + 1024;
        config.max_backlog = 32 << 20;
        config.byte_rate = 0;
    });
    let friend = server.guest("Friend");
    let mut carol = server.guest("Carol");
    let mut anna = server.guest("Anna");
    carol.expect(came("Anna", true));
    for text in ["x", "y", "z"] {
        anna.write_to("Friend", &text.repeat(LARGE_MESSAGE));
    }
    // The answer to this says that all before was carried out.
    anna.send(&json!({"Command": "77"}));
    while anna.receive()["Command"] != "10" {}
    (server, anna, friend, carol)
}

/// Closes by a reset.
fn reset(client: Client) {
    SockRef::from(client.socket())
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Expects that soon a client is let in.
#[track_caller]
fn expect_place(server: &TestServer) {
    let start = Instant::now();
    loop {
        let mut client = server.connect();
        client.send(&json!({"Command": "77"}));
        if !client.expect_notice().contains("full") {
            return;
        }
        assert!(start.elapsed() < SOON, "its place is still taken");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_client_that_resets_gives_up_its_place_although_receipts_are_owed_to_it() {
    let (server, anna, _friend, mut carol) = with_receipts_owed(3);
    reset(anna);
    carol.expect(left("Anna"));
    expect_place(&server);
}

#[test]
fn a_client_that_half_closes_and_then_resets_gives_up_its_place_too() {
    let (server, mut anna, _friend, mut carol) = with_receipts_owed(3);
    anna.half_close();
    carol.expect(left("Anna"));
    reset(anna);
    expect_place(&server);
}

#[test]
fn a_leaver_that_waits_for_receipts_does_not_put_off_the_end_of_the_server() {
    let (server, mut anna, _friend, mut carol) = with_receipts_owed(10);
    anna.send(&json!({"Command": "03"}));
    carol.expect(left("Anna"));
    let start = Instant::now();
    let stopping = thread::spawn(move || server.stop());
    carol.expect_notice();
    carol.expect_end();
    drop(carol);
    // It gets the receipts that are decided, the undecided ones with 0, and an orderly end.
    let mut flags = Vec::new();
    while let Some(frame) = anna.next_frame() {
        let receipt: serde_json::Value = serde_json::from_slice(&frame).unwrap();
        assert_eq!(receipt["Command"], "14", "{receipt}");
        flags.push(receipt["Flag"].clone());
    }
    assert_eq!(flags.last(), Some(&json!(0)));
    assert!(start.elapsed() < SOON, "its receipts were waited for");
    drop(anna);
    // Only Friend is left, which never reads, and is cut off.
    stopping.join().unwrap();
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn a_client_that_ignores_the_end_is_cut_off() {
    for way in [Way::Plain, Way::TlsPrefixed] {
        let server = TestServer::calm_with(|config| config.max_connections = 2);
        let mut anna = server.guest("Anna");
        let mut deaf = server.guest_as(way, "Deaf");
        anna.expect(came("Deaf", true));
        server.handle.moderator().kick("Deaf", None).unwrap();
        anna.expect(left("Deaf"));
        deaf.expect_notice();
        deaf.expect_end();
        // It keeps its socket open, and the server closes its own all the same.
        expect_place(&server);
    }
}

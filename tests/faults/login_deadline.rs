//! The time to log in passes whatever a client does meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{PATIENCE, TestServer};

#[test]
fn commands_that_wait_for_their_pace_do_not_stretch_the_time_to_log_in() {
    let server = TestServer::with(|config| {
        config.login_timeout = Duration::from_secs(1);
        (config.rate, config.burst) = (10, 1);
    });
    let mut client = server.connect();
    client.send_text(&json!({"Command": "77"}).to_string().repeat(100));
    let mut answered = 0;
    while !client.expect_notice().contains("no login") {
        answered += 1;
    }
    client.expect_end();
    assert!(
        answered < 50,
        "{answered} of 100 commands, at 10 a second, took longer than a second"
    );
}

#[test]
fn a_refused_login_does_not_begin_the_time_to_log_in_anew() {
    let server = TestServer::with(|config| config.login_timeout = Duration::from_secs(1));
    let mut client = server.connect();
    let start = Instant::now();
    let refused = json!({"Command": "01", "Name": "x"}).to_string();
    let notice = loop {
        assert!(start.elapsed() < PATIENCE, "it may go on trying for ever");
        // The server may close while this is on its way.
        let _ = client.try_send_bytes(refused.as_bytes());
        let reply = client.receive();
        if reply["Command"] != "11" {
            break reply;
        }
    };
    let words = notice["Message"].as_str().unwrap_or_default();
    assert!(words.contains("no login"), "{notice}");
    client.expect_end();
}

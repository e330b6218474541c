//! The time to log in passes whatever a client does meanwhile.

use std::time::Duration;

use serde_json::json;

use crate::harness::TestServer;

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

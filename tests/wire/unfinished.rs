//! Messages that begin and do not end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way};

const HEARTBEAT: Duration = Duration::from_millis(300);

fn server_with_short_heartbeat() -> TestServer {
    TestServer::with(|config| config.heartbeat = HEARTBEAT)
}

/// The next message that is no heartbeat.
#[track_caller]
fn receive_news(client: &mut Client) -> Value {
    loop {
        let message = client.receive();
        if message != json!({"Command": "14"}) {
            return message;
        }
    }
}

/// The text of the next message, a 10.
#[track_caller]
fn expect_notice(client: &mut Client) -> String {
    let notice = receive_news(client);
    assert_eq!(notice["Command"], "10", "{notice}");
    notice["Message"].as_str().expect("a reason").to_owned()
}

/// What begins and does not end, behind the length that an object of `size` bytes has.
fn begun(way: Way, begin: &str, size: usize) -> Vec<u8> {
    let whole = format!("{begin:size$}");
    let mut bytes = way.frame(&whole);
    bytes.truncate(bytes.len() - (size - begin.len()));
    bytes
}

#[test]
fn who_does_not_end_a_message_is_told_once_and_may_end_it() {
    let server = server_with_short_heartbeat();
    let mut clock = server.guest("Clock");
    for way in Way::ALL {
        for is_logged_in in [false, true] {
            let mut anna = server.connect_as(way);
            if is_logged_in {
                anna.log_in("Anna");
            }
            let whole = r#"{"Command":"77","x":"a long text"}"#;
            let (_, end) = whole.split_at(25);
            let start = Instant::now();
            let frame = way.frame(whole);
            let (begin, end) = frame.split_at(frame.len() - end.len());
            anna.send_bytes(begin);
            let why = expect_notice(&mut anna);
            assert!(start.elapsed() >= HEARTBEAT);
            let expected = match way {
                Way::Plain | Way::Tls => "closing quote",
                Way::PlainPrefixed | Way::TlsPrefixed => {
                    "its length says 34 bytes, and 25 have come"
                }
                Way::Browser => "has not come in full",
            };
            assert!(
                why.contains("300ms") && why.contains(expected),
                "{way:?}: {why}"
            );
            // The time passes in which it would be told again.
            clock.take_available();
            let mut heartbeats = 0;
            while heartbeats < 3 {
                heartbeats += usize::from(clock.receive()["Command"] == "14");
            }
            anna.send_bytes(end);
            assert!(expect_notice(&mut anna).contains("unknown Command"));
            // The next one is another message.
            anna.send_bytes(&begun(way, "{", 100));
            assert!(expect_notice(&mut anna).contains("300ms"));
        }
    }
}

#[test]
fn what_a_mistake_has_swallowed_is_said_and_where_the_mistake_is() {
    let server = server_with_short_heartbeat();
    let next = r#"{"Command":"05","Message":"next"}"#;
    for way in [Way::Plain, Way::Tls] {
        for (bad, words) in [
            (
                r#"{"Command":"05","Message":"a 15" screen"}"#,
                "column 34, where there is a letter; is a quote inside the text not written as \\\"",
            ),
            (
                r#"{"Command":"05","Message":"hi""#,
                "column 31, where there is '{'; is a closing brace missing",
            ),
            (r#"{{"Command":"05"}"#, "one brace too many"),
            (r#"{"Command":"05","Message":"hi}"#, "closing quote missing"),
        ] {
            let mut anna = server.guest_as(way, "Anna");
            anna.send_bytes(format!("{bad}{next}").as_bytes());
            let why = expect_notice(&mut anna);
            assert!(why.contains(words), "{bad}: {why}");
            anna.half_close();
            let why = expect_notice(&mut anna);
            assert!(
                why.contains("in the middle") && why.contains(words),
                "{bad}: {why}"
            );
            while let Some(frame) = anna.next_frame() {
                assert_eq!(frame, br#"{"Command":"14"}"#);
            }
        }
    }
}

#[test]
fn who_is_between_messages_or_ends_one_in_time_is_told_nothing() {
    let server = TestServer::with(|config| config.heartbeat = Duration::from_secs(1));
    let mut clients = Vec::new();
    for way in Way::ALL {
        let mut client = server.guest_as(way, &format!("Anna{}", clients.len()));
        if way.is_bare() {
            client.send_bytes(b" \r\n\t");
        }
        let frame = way.frame(r#"{"Command":"77"}"#);
        client.send_bytes(&frame[..9]);
        client.send_bytes(&frame[9..]);
        if way.is_bare() {
            client.send_bytes(b"\n");
        }
        clients.push(client);
    }
    for client in &mut clients {
        while client.receive()["Command"] != "10" {}
        let mut heartbeats = 0;
        while heartbeats < 3 {
            let message = client.receive();
            match message["Command"].as_str() {
                Some("14") => heartbeats += 1,
                Some("30") => {}
                _ => panic!("{message}"),
            }
        }
    }
}

#[test]
fn the_time_to_log_in_ends_for_who_does_not_end_a_message_too() {
    let server = TestServer::with(|config| {
        config.heartbeat = HEARTBEAT;
        config.login_timeout = HEARTBEAT * 5;
    });
    for way in Way::ALL {
        let mut client = server.connect_as(way);
        client.send_bytes(&begun(way, "{", 100));
        assert!(expect_notice(&mut client).contains("300ms"));
        assert!(expect_notice(&mut client).contains("no login"));
        client.expect_end();
    }
}

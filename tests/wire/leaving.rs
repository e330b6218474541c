//! The ends of a session: logout, half-close, a cut frame, and the end of the server.

use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way, came, delivered, left, said, websocket, wrote};

/// How a client says that it will send no more.
type HalfClose = fn(&mut Client);

/// All ways to connect, each with all ways to close half of it.
fn half_closes() -> Vec<(Way, HalfClose)> {
    // As a browser does when its page is closed.
    let by_frame: HalfClose = |client| {
        client.send_bytes(&websocket::client_frame(websocket::CLOSE, &[3, 233]));
    };
    [ends_of_input(), vec![(Way::Browser, by_frame)]].concat()
}

/// The same without the frame that ends WebSocket, which cannot stand inside another one.
fn ends_of_input() -> Vec<(Way, HalfClose)> {
    let politely: HalfClose = Client::half_close;
    // Over TLS, as some libraries do it: without an alert.
    let bare: HalfClose = |client| client.socket().shutdown(Shutdown::Write).unwrap();
    let mut all: Vec<_> = Way::ALL.into_iter().map(|way| (way, politely)).collect();
    all.extend([(Way::Tls, bare), (Way::TlsPrefixed, bare)]);
    all
}

/// More than two thirds of what a socket holds that nobody reads from.
const LARGE_MESSAGE: usize = 3 << 20;

/// A server that lets very much wait for a client.
fn patient_server() -> TestServer {
    TestServer::calm_with(|config| {
        config.max_frame = LARGE_MESSAGE + 1024;
        config.max_backlog = 32 << 20;
        config.byte_rate = 0;
    })
}

#[test]
fn a_logout_gets_no_reply_and_nothing_that_comes_later() {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    for way in Way::ALL {
        let mut bobby = server.guest_as(way, "Bobby");
        anna.expect(came("Bobby", true));
        bobby.send(&json!({"Command": "03"}));
        anna.expect(left("Bobby"));
        anna.say("he has gone");
        anna.expect(said("Anna", "he has gone"));
        anna.write_to("Bobby", "hello?");
        anna.expect_refusal("14");
        // The name is free although the old connection has not been closed by its client.
        let mut again = server.connect();
        again.log_in("Bobby");
        anna.expect(came("Bobby", true));
        bobby.expect_end();
        again.log_out();
        anna.expect(left("Bobby"));
        anna.expect_nothing();
    }
}

#[test]
fn what_follows_a_logout_is_not_carried_out() {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    for way in Way::ALL {
        let mut bobby = server.connect_as(way);
        let bytes: Vec<u8> = [
            r#"{"Command":"01","Name":"Bobby"}"#,
            r#"{"Command":"03"}"#,
            r#"{"Command":"05","Message":"too late"}"#,
            r#"{"Command":"01","Name":"Bobby"}"#,
            r#"{"Command":"99"}"#,
            "no JSON",
        ]
        .iter()
        .flat_map(|frame| way.frame(frame))
        .collect();
        bobby.send_bytes(&bytes);
        bobby.expect_login();
        bobby.expect_end();
        anna.expect(came("Bobby", true));
        anna.expect(left("Bobby"));
        anna.expect_nothing();
    }
}

#[test]
fn a_logout_before_login_closes_silently() {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    for way in Way::ALL {
        for command in [json!("03"), json!("3"), json!(3)] {
            let mut client = server.connect_as(way);
            client.send(&json!({"Command": command}));
            client.expect_end();
        }
        let mut client = server.connect_as(way);
        client.send(&json!({"Command": "01", "Name": "Anna"}));
        client.expect_refusal("11");
        client.log_out();
    }
    anna.expect_nothing();
}

#[test]
fn a_half_close_leaves_no_command_unanswered() {
    let server = TestServer::calm();
    for (way, half_close) in half_closes() {
        for _ in 0..5 {
            let mut bobby = server.guest("Bobby");
            let mut anna = server.connect_as(way);
            let commands = [
                json!({"Command": "05", "Message": "too early"}),
                json!({"Command": "01", "Name": "no"}),
                json!({"Command": "01", "Name": "Anna"}),
                json!({"Command": "05", "Message": "1"}),
                json!({"Command": "04", "FriendName": "bobby", "Message": "2"}),
                json!({"Command": "05", "Message": "3"}),
                json!({"Command": "04", "FriendName": "anna", "Message": "4"}),
                json!({"Command": "04", "FriendName": "Nobody", "Message": "5"}),
                json!({"Command": "02", "Name": "no", "Password": "no"}),
                json!({"Command": "14"}),
                json!({"Command": "05", "Message": "6"}),
            ];
            let mut bytes: Vec<u8> = commands
                .iter()
                .flat_map(|command| way.frame(&command.to_string()))
                .collect();
            if way.is_bare() {
                bytes.extend(b"\r\n \n");
            }
            anna.send_bytes(&bytes);
            half_close(&mut anna);

            let mut heard = Vec::new();
            while let Some(frame) = anna.next_frame() {
                heard.push(serde_json::from_slice::<Value>(&frame).unwrap());
            }
            anna.expect_end();
            let of = |command: &str| -> Vec<Value> {
                let those = heard.iter().filter(|message| message["Command"] == command);
                those.cloned().collect()
            };
            assert_eq!(heard.len(), 11, "{heard:?}");
            assert_eq!(of("10").len(), 1);
            let logins = of("11");
            assert_eq!(
                (&logins[0]["Flag"], &logins[1]["Flag"]),
                (&json!(0), &json!(1))
            );
            assert_eq!(of("12").len(), 1);
            assert_eq!(of("13"), [wrote("Anna", "4")]);
            let mut receipts = of("14");
            receipts.sort_by_key(|receipt| receipt["FriendName"].to_string());
            assert_eq!(receipts[0]["FriendName"], "Nobody");
            assert_eq!(receipts[0]["Flag"], 0);
            assert_eq!(receipts[1..], [delivered("anna"), delivered("bobby")]);
            assert_eq!(of("32"), ["1", "3", "6"].map(|text| said("Anna", text)));

            bobby.expect(came("Anna", true));
            bobby.expect(said("Anna", "1"));
            bobby.expect(wrote("Anna", "2"));
            bobby.expect(said("Anna", "3"));
            bobby.expect(said("Anna", "6"));
            bobby.expect(left("Anna"));
            bobby.log_out();
        }
    }
}

#[test]
fn a_half_close_waits_for_what_takes_time() {
    let server = TestServer::calm();
    for (number, (way, half_close)) in half_closes().into_iter().enumerate().skip(3) {
        let mut client = server.connect_as(way);
        let name = format!("Owner{number}");
        let commands = [
            json!({"Command": "02", "Name": name, "Password": "secret"}),
            json!({"Command": "01", "Name": name, "Password": "wrong"}),
            json!({"Command": "01", "Name": name, "Password": "secret"}),
            json!({"Command": "05", "Message": "done"}),
        ];
        let bytes: Vec<u8> = commands
            .iter()
            .flat_map(|command| way.frame(&command.to_string()))
            .collect();
        client.send_bytes(&bytes);
        half_close(&mut client);
        client.expect(json!({"Command": "12", "Flag": 1}));
        client.expect_refusal("11");
        assert_eq!(client.expect_login(), [(name.clone(), false)]);
        client.expect(said(&name, "done"));
        client.expect_end();
    }
}

#[test]
fn a_half_close_before_login_ends_silently() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for (way, half_close) in half_closes() {
        for start in ["", " \r\n", "\u{feff}"] {
            let mut client = server.connect_as(way);
            if way.is_bare() {
                client.send_bytes(start.as_bytes());
            }
            half_close(&mut client);
            client.expect_end();
        }
        let mut client = server.connect_as(way);
        client.write_to("Bobby", "x");
        half_close(&mut client);
        client.expect_refusal("14");
        client.expect_end();
    }
    bobby.expect_nothing();
}

#[test]
fn a_frame_that_is_cut_off_gets_a_notice() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for (way, half_close) in ends_of_input() {
        let frame = way.frame(r#"{"Command":"05","Message":"你 cut \u4f60 off","x":[{}]}"#);
        // Behind the first byte and before the last one, inside a string, a character, an escape and so on.
        for cut in 1..frame.len() {
            if cut % 3 != 1 && cut + 2 < frame.len() {
                continue;
            }
            let mut anna = server.connect_as(way);
            anna.send_text(r#"{"Command":"01","Name":"Anna"}"#);
            anna.send_text(r#"{"Command":"05","Message":"whole"}"#);
            anna.send_bytes(&frame[..cut]);
            half_close(&mut anna);
            anna.expect_login();
            // The notice waits for nobody, the message to the room for its turn.
            let mut heard = [anna.receive(), anna.receive()];
            heard.sort_by_key(|message| message["Command"].to_string());
            assert_eq!(heard[0]["Command"], "10", "cut after {cut}: {heard:?}");
            assert_eq!(heard[1], said("Anna", "whole"));
            anna.expect_end();
            bobby.expect(came("Anna", true));
            bobby.expect(said("Anna", "whole"));
            bobby.expect(left("Anna"));
        }
        let mut stranger = server.connect_as(way);
        stranger.send_bytes(&frame[..2]);
        half_close(&mut stranger);
        stranger.expect_notice();
        stranger.expect_end();
    }
    bobby.expect_nothing();
}

#[test]
fn receipts_that_are_undecided_when_a_leavers_time_is_up_say_0() {
    let server = patient_server();
    let friend = server.guest_as(Way::PlainPrefixed, "Friend");
    let mut carol = server.guest("Carol");
    let mut anna = server.guest("Anna");
    carol.expect(came("Anna", true));
    // The friend does not read: its socket is full before the third message, and the last one waits behind it.
    for text in ["x", "y", "z"] {
        anna.write_to("Friend", &text.repeat(LARGE_MESSAGE));
    }
    anna.write_to("Friend", "");
    // Friends do not wait for one another.
    anna.write_to("Carol", "bye");
    carol.expect(wrote("Anna", "bye"));
    anna.send(&json!({"Command": "03"}));
    // Nor do the others, or the next user of the name.
    carol.expect(left("Anna"));
    let mut again = server.connect();
    again.log_in("Anna");
    carol.expect(came("Anna", true));

    let mut flags = Vec::new();
    while let Some(frame) = anna.next_frame() {
        let receipt: Value = serde_json::from_slice(&frame).unwrap();
        if receipt["FriendName"] == "Carol" {
            assert_eq!(receipt, delivered("Carol"));
            assert!(flags.iter().all(|flag| *flag == 1), "{flags:?}");
            continue;
        }
        assert_eq!(
            (&receipt["Command"], &receipt["FriendName"]),
            (&json!("14"), &json!("Friend"))
        );
        flags.push(receipt["Flag"].as_u64().unwrap());
    }
    assert_eq!(flags.len(), 4);
    assert!(
        flags.is_sorted_by(|earlier, later| earlier >= later),
        "{flags:?}"
    );
    assert_eq!(flags[2..], [0, 0]);
    drop(friend);
}

#[test]
fn receipts_come_to_a_leaver_whose_friend_reads_late() {
    let server = patient_server();
    let mut friend = server.guest_as(Way::PlainPrefixed, "Friend");
    let mut carol = server.guest("Carol");
    let mut anna = server.guest("Anna");
    carol.expect(came("Anna", true));
    friend.expect(came("Carol", true));
    friend.expect(came("Anna", true));
    for text in ["x", "y", "z"] {
        anna.write_to("Friend", &text.repeat(LARGE_MESSAGE));
    }
    anna.send(&json!({"Command": "03"}));
    carol.expect(left("Anna"));
    for text in [b'x', b'y', b'z'] {
        let frame = friend.next_frame().unwrap();
        assert!(frame.starts_with(b"{\"Command\":\"13\"") && frame.ends_with(&[text, b'"', b'}']));
        assert!(frame.len() > LARGE_MESSAGE);
    }
    friend.expect(left("Anna"));
    for _ in 0..3 {
        anna.expect(delivered("Friend"));
    }
    anna.expect_end();
}

#[test]
fn the_server_closes_in_an_orderly_way_and_over_tls_with_an_alert() {
    let server = TestServer::calm();
    let ends: [fn(&mut Client); 4] = [
        |client| client.send(&json!({"Command": "03"})),
        Client::half_close,
        |client| client.send_text("[]"),
        |client| {
            client.log_in("Anna");
            client.say("bye");
            client.send(&json!({"Command": "03"}));
        },
    ];
    for way in Way::ALL {
        for end in ends {
            let mut client = server.connect_as(way);
            end(&mut client);
            while client.next_frame().is_some() {}
            assert!(client.has_ended_orderly(), "{way:?}");
        }
    }
    let mut clients = Way::ALL.map(|way| server.connect_as(way));
    for client in &mut clients {
        client.log_in(&format!("Over{:?}", client.way()));
    }
    server.handle.stop();
    for client in &mut clients {
        while client.next_frame().is_some() {}
        assert!(client.has_ended_orderly());
    }
}

#[test]
fn when_the_server_stops_everybody_hears_so_and_nothing_after() {
    let server = TestServer::calm();
    let names = ["Way0", "Way1", "Way2", "Way3", "Way4"];
    let mut clients = Way::ALL.map(|way| server.connect_as(way));
    for (client, name) in clients.iter_mut().zip(names) {
        client.log_in(name);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        for name in &names[number + 1..] {
            client.expect(came(name, true));
        }
    }
    // Those who have not logged in, or not even shaken hands, hear nothing.
    let mut strangers = Way::ALL.map(|way| server.connect_as(way));
    strangers.iter_mut().for_each(Client::expect_nothing);
    let handshake = TcpStream::connect(server.tls_address()).unwrap();
    let mut handshake = Client::over(handshake, Way::Plain);

    // What was said before comes before.
    clients[0].say("last words");
    clients[0].expect(said("Way0", "last words"));
    server.handle.stop();
    for client in &mut clients[1..] {
        client.expect(said("Way0", "last words"));
    }
    for client in &mut clients {
        assert!(!client.expect_notice().is_empty());
        client.expect_end();
    }
    strangers.iter_mut().for_each(Client::expect_end);
    handshake.expect_end();
    drop((clients, strangers, handshake));
    server.stop();
}

#[test]
fn a_client_that_never_reads_does_not_keep_the_server_from_stopping() {
    let server = patient_server();
    let sleeper = server.guest("Sleeper");
    let mut anna = server.guest_as(Way::PlainPrefixed, "Anna");
    let text = "x".repeat(LARGE_MESSAGE);
    for _ in 0..3 {
        anna.say(&text);
        assert!(anna.receive() == said("Anna", &text));
    }
    let start = Instant::now();
    server.handle.stop();
    // Nobody else has to wait for it.
    anna.expect_notice();
    anna.expect_end();
    drop(server.stop());
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
    drop(sleeper);
}

#[test]
fn what_comes_while_the_server_stops_is_not_carried_out_and_harms_nobody() {
    let server = TestServer::calm_with(|config| config.rate = 0);
    let mut anna = server.guest("Anna");
    let mut bobby = server.guest_as(Way::TlsPrefixed, "Bobby");
    anna.expect(came("Bobby", true));
    let flood: Vec<u8> = (0..500)
        .flat_map(|number| {
            Way::Plain.frame(&json!({"Command": "05", "Message": number.to_string()}).to_string())
        })
        .collect();
    anna.send_bytes(&flood);
    server.handle.stop();
    // Both hear the same beginning of it, without a gap, and then the notice.
    let mut heard = Vec::new();
    for client in [&mut anna, &mut bobby] {
        let mut count = 0;
        loop {
            let message = client.receive();
            if message["Command"] == "10" {
                break;
            }
            assert_eq!(message, said("Anna", &count.to_string()));
            count += 1;
        }
        client.expect_end();
        heard.push(count);
    }
    assert_eq!(heard[0], heard[1]);
}

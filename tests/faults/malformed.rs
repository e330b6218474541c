//! Malformed input of every kind costs only its sender.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use serde_json::{Value, json};

use crate::harness::platform::is_timeout;
use crate::harness::websocket::{self, masked_frame};
use crate::harness::{Client, PATIENCE, TestServer, Way, came, delivered, left, said, wrote};
use crate::tools::{
    Chance, Presence, expect_no_panics, quiet_server, receive_news, watch_for_panics,
};

const THREADS: usize = 4;
const CONNECTIONS_OF_ONE: usize = 150;

/// Good frames, to begin with.
const GOOD: [&str; 12] = [
    r#"{"Command":"01","Name":"Mallory"}"#,
    r#"{"Command":1,"Name":"Mallory","Password":"secret1"}"#,
    r#"{"Command":"01","Name":"Anna","Password":""}"#,
    r#"{"Command":"02","Name":"Mallory","Password":"secret1"}"#,
    r#"{"Command":"03"}"#,
    r#"{"Command":"04","FriendName":"Anna","Message":"你好 \ud83d\ude00 \u0000 \"\\\/"}"#,
    r#"{"Command":"04","FriendName":"Mallory","Message":""}"#,
    r#"{"Command":"05","Message":"hello"}"#,
    r#" { "Message" : "a\nb" , "Extra" : [1, -2.5e3, {"deep": [[], {}, null, true]}], "Command" : 5 } "#,
    r#"{"Command":"14"}"#,
    r#"{"Command":"77","Message":["x"]}"#,
    r#"{"Command":"32","Speaker":"Anna","Message":"forged"}"#,
];

/// What may be put anywhere into a frame.
const SPICES: [&[u8]; 32] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"\n",
    b"\0",
    b"\x1f",
    b"\x7f",
    b"\xef\xbb\xbf",
    b"\xc3",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    br"\ud800",
    br"\udc00\ud800",
    br"\u12",
    br"\x",
    b"1e999",
    b"-",
    b"0123",
    b"NaN",
    b"null",
    b"{}{}",
    b"{\"Command\":\"31\",\"LogOutUserName\":\"Anna\"}\n",
    b"\"Command\":\"05\",",
    b"\"Message\":{\"Message\":",
    b"\0\0\0\x02{}",
    b"/* */",
];

/// Makes something bad, or at least odd, of good frames.
fn mutate(chance: &mut Chance) -> Vec<u8> {
    let mut frame = chance.pick(&GOOD).as_bytes().to_vec();
    for _ in 0..chance.below(4) {
        let start = chance.below(frame.len() + 1);
        let end = start + chance.below(frame.len() - start + 1);
        match chance.below(12) {
            0 => frame.truncate(start),
            1 => drop(frame.drain(start..end)),
            2 => {
                let part = frame[start..end].to_vec();
                frame.splice(start..start, part);
            }
            3 => {
                for byte in &mut frame[start..end] {
                    if chance.percent(10) {
                        *byte = chance.next() as u8;
                    }
                }
            }
            4 => {
                let other = chance.pick(&GOOD).as_bytes();
                frame.splice(start..end, other.iter().copied());
            }
            5 => {
                let depth = *chance.pick(&[90, 127, 128, 129, 3000]);
                let nest: &[u8] = match chance.percent(50) {
                    true => b"[",
                    false => br#"{"a":"#,
                };
                frame.splice(start..end, nest.repeat(depth));
            }
            6 => {
                let digits = *chance.pick(&[20, 400, 5000]);
                frame.splice(start..end, b"9".repeat(digits));
            }
            7 => {
                // In the vicinity of both limits.
                let padding = *chance.pick(&[4000, 4200, 65_300, 65_600]);
                frame.splice(start..start, b"x".repeat(padding));
            }
            8 => {
                let garbage = (0..chance.below(300)).map(|_| chance.next() as u8);
                frame.splice(start..end, garbage.collect::<Vec<u8>>());
            }
            _ => {
                frame.splice(start..start, chance.pick(&SPICES).iter().copied());
            }
        }
    }
    frame
}

/// Frames in the client's own way, mostly.
fn in_frame(way: Way, body: &[u8], chance: &mut Chance) -> Vec<u8> {
    if way.is_browser() {
        return in_web_frame(body, chance);
    }
    let mut bytes = Vec::new();
    if way.is_prefixed() {
        let length = match chance.below(20) {
            0 => body.len() + 1,
            1 => body.len().saturating_sub(1),
            2 => chance.next() as usize,
            3 => 0,
            _ => body.len(),
        };
        bytes.extend_from_slice(&(length as u32).to_be_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

/// A frame of WebSocket, or two, mostly as it should be.
fn in_web_frame(body: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mask = (chance.next() as u32).to_ne_bytes();
    let mut bytes = match chance.below(10) {
        // In fragments, with something in between.
        0..3 => {
            let (first, rest) = body.split_at(chance.below(body.len() + 1));
            let between = *chance.pick(&[0x89, 0x8a, 0x80, 0x00]);
            [
                masked_frame(websocket::TEXT, first, mask),
                masked_frame(between, b"", mask),
                masked_frame(0x80, rest, mask),
            ]
            .concat()
        }
        _ => masked_frame(0x80 | websocket::TEXT, body, mask),
    };
    if chance.percent(20) {
        let place = chance.below(bytes.len().min(14));
        bytes[place] = chance.next() as u8;
    }
    bytes
}

/// Connects again and again and sends what nobody should. Returns how often each command came back.
fn attack(server: &TestServer, mut chance: Chance, thread: usize) -> BTreeMap<String, usize> {
    let mut replies = BTreeMap::new();
    for connection in 0..CONNECTIONS_OF_ONE {
        if chance.percent(10) {
            attack_raw(server, &mut chance);
            continue;
        }
        let way = *chance.pick(&Way::ALL);
        let mut client = server.connect_as(way);
        if chance.percent(50) {
            client.log_in(&format!("Mallory{thread}x{connection}"));
        }
        for _ in 0..1 + chance.below(8) {
            let mut bytes = Vec::new();
            // Often many in one segment.
            while bytes.is_empty() || chance.percent(30) {
                let body = mutate(&mut chance);
                bytes.extend(in_frame(way, &body, &mut chance));
            }
            let cut = chance.below(bytes.len() + 1);
            // The server may have closed by now.
            let sent = client
                .try_send_bytes(&bytes[..cut])
                .and_then(|()| client.try_send_bytes(&bytes[cut..]));
            if sent.is_err() {
                break;
            }
        }
        if chance.percent(20) {
            client.reset();
            continue;
        }
        client.half_close();
        for message in client.receive_all() {
            let command = message["Command"].as_str().expect("a command");
            *replies.entry(command.to_owned()).or_default() += 1;
        }
    }
    replies
}

/// Sends what is neither our protocol nor TLS.
fn attack_raw(server: &TestServer, chance: &mut Chance) {
    let address = match chance.percent(50) {
        true => server.tls_address(),
        false => server.plain_address(),
    };
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes: Vec<u8> = chance
        .pick(&[
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            b"\x15\x03\x01\x00\x02\x02\x28".to_vec(),
            b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n".to_vec(),
            b"\x1f\x00\x00\x00{\"Command\":\"03\"}".to_vec(),
            b"\xef\xbb".to_vec(),
            Vec::new(),
        ])
        .clone();
    let garbage = (0..chance.below(200)).map(|_| chance.next() as u8);
    bytes.extend(garbage);
    // The server may close in the middle of it; that it does close is what counts.
    let _ = socket.write_all(&bytes);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    match socket.read_to_end(&mut Vec::new()) {
        Err(error) if is_timeout(&error) => panic!("it was not closed"),
        _ => {}
    }
}

/// One of two who chat while others attack.
struct Healthy {
    client: Client,
    presence: Presence,
}

impl Healthy {
    fn enter(server: &TestServer, way: Way, name: &str) -> Healthy {
        let mut client = server.connect_as(way);
        client.send(&json!({"Command": "01", "Name": name}));
        let presence = Presence::from_reply(&client.receive()).unwrap();
        Healthy { client, presence }
    }

    /// Receives up to a message, and checks that nothing but presence and what others may say comes before it.
    #[track_caller]
    fn expect(&mut self, wanted: Value) {
        loop {
            let message = receive_news(&mut self.client);
            if message == wanted {
                return;
            }
            self.check(&message);
        }
    }

    #[track_caller]
    fn check(&mut self, message: &Value) {
        let author = match message["Command"].as_str() {
            Some("30" | "31") => return self.presence.apply(message).unwrap(),
            Some("32") => &message["Speaker"],
            Some("13") => &message["FriendName"],
            _ => panic!("this is not for those who did nothing wrong: {message}"),
        };
        let author = author.as_str().expect("a name");
        let is_other = self.presence.has(author) && !["Anna", "Bobby"].contains(&author);
        assert!(is_other, "{message}");
    }
}

#[test]
fn malformed_input_costs_only_its_sender() {
    watch_for_panics();
    let mut chance = Chance::from_environment();
    let server = TestServer::with(|config| {
        (config.rate, config.byte_rate) = (0, 0);
        config.no_registration = true;
    });
    let mut anna = Healthy::enter(&server, Way::Plain, "Anna");
    let mut bobby = Healthy::enter(&server, Way::TlsPrefixed, "Bobby");
    let replies: Vec<BTreeMap<String, usize>> = thread::scope(|scope| {
        let server = &server;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let chance = chance.fork();
                scope.spawn(move || attack(server, chance, thread))
            })
            .collect();
        let mut number = 0;
        while number < 50 || !threads.iter().all(|thread| thread.is_finished()) {
            let text = number.to_string();
            anna.client.say(&text);
            anna.expect(said("Anna", &text));
            bobby.expect(said("Anna", &text));
            bobby.client.write_to("Anna", &text);
            anna.expect(wrote("Bobby", &text));
            bobby.expect(delivered("Anna"));
            number += 1;
        }
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for healthy in [&mut anna, &mut bobby] {
        while healthy.presence.len() > 2 {
            let message = receive_news(&mut healthy.client);
            healthy.check(&message);
        }
        healthy.client.send(&json!({"Command": "77"}));
        loop {
            let message = receive_news(&mut healthy.client);
            if message["Command"] == "10" {
                break;
            }
            healthy.check(&message);
        }
    }
    // The attack was not only noise: some of it was understood.
    let kinds: BTreeSet<&str> = replies
        .iter()
        .flat_map(BTreeMap::keys)
        .map(String::as_str)
        .collect();
    for command in ["10", "11", "12", "14", "30", "31", "32"] {
        assert!(kinds.contains(command), "{replies:?}");
    }
    expect_no_panics();
}

/// Frames after which a stream can't be trusted, each for a reason of its own.
const BAD: [&[u8]; 12] = [
    b"{\"x\":\"a\nb\"}",
    b"{\"x\":\"\\ud83d\\ud83d\"}",
    b"{\"x\":\"\\udc00\"}",
    b"{\"x\":\"\\ud83d\"}",
    b"{\"x\":\"\\u12g4\"}",
    b"{\"x\":\"\xf0\x9f\x98\"}",
    b"{\"\xed\xa0\xbd\":\"\xed\xb8\x80\"}",
    b"{\"x\":[1}]",
    b"{\"x\":01,\"x\":1}",
    b"{\"x\":1 \"y\":2}",
    b"{\"x\":tru}",
    b"[{\"x\":1}]",
];

#[test]
fn what_is_bad_is_bad_wherever_it_is_cut() {
    watch_for_panics();
    let server = quiet_server(|config| (config.rate, config.byte_rate) = (0, 0));
    // Whatever this client gets an answer to comes after the server has had time to read what was sent before.
    let mut clock = server.connect();
    for way in Way::ALL {
        // A handshake for every byte would take long.
        let step = if way.is_tls() { 5 } else { 1 };
        for bad in BAD {
            let bytes = [way.frame("{\"Command\":14}"), way.frame_bytes(bad)].concat();
            for cut in (1..bytes.len()).step_by(step) {
                let mut client = server.connect_as(way);
                client.send_bytes(&bytes[..cut]);
                clock.expect_nothing();
                // The server may have seen enough.
                let _ = client.try_send_bytes(&bytes[cut..]);
                client.expect_notice();
                client.expect_end();
            }
        }
    }
    expect_no_panics();
}

#[test]
fn what_comes_before_a_bad_frame_is_carried_out_and_nothing_after_it() {
    watch_for_panics();
    let server = quiet_server(|_| {});
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        for bad in BAD {
            let mut client = server.connect_as(way);
            let segment = [
                way.frame(r#"{"Command":"01","Name":"Mallory"}"#),
                way.frame(r#"{"Command":"05","Message":"before"}"#),
                way.frame_bytes(bad),
                way.frame(r#"{"Command":"05","Message":"after"}"#),
            ]
            .concat();
            client.send_bytes(&segment);
            client.expect_login();
            client.expect(said("Mallory", "before"));
            client.expect_notice();
            client.expect_end();
            bobby.expect(came("Mallory", true));
            bobby.expect(said("Mallory", "before"));
            bobby.expect(left("Mallory"));
        }
    }
    bobby.expect_nothing();
    expect_no_panics();
}

#[test]
fn what_is_no_tls_record_ends_a_tls_connection_and_nothing_in_it_is_carried_out() {
    watch_for_panics();
    let server = quiet_server(|_| {});
    let mut bobby = server.guest("Bobby");
    // Application data that nobody encrypted, of no length, and of too great a one; a handshake message, an alert
    // and a type that there are not; the protocol without TLS (RFC 8446, section 5.1).
    let records: [&[u8]; 8] = [
        b"\x17\x03\x03\0\x22{\"Command\":\"05\",\"Message\":\"forged\"}",
        b"\x17\x03\x03\0\0",
        b"\x17\x03\x03\xff\xff",
        b"\x16\x03\x03\0\x04\x01\0\0\0",
        b"\x15\x03\x03\0\x02\x02\x28",
        b"\x63\x03\x03\0\x01x",
        b"{\"Command\":\"05\",\"Message\":\"forged\"}",
        b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n",
    ];
    for way in [Way::Tls, Way::TlsPrefixed] {
        for record in records {
            let mut client = server.guest_as(way, "Mallory");
            bobby.expect(came("Mallory", true));
            client.say("encrypted");
            client.expect(said("Mallory", "encrypted"));
            bobby.expect(said("Mallory", "encrypted"));
            client.socket().write_all(record).unwrap();
            bobby.expect(left("Mallory"));
            client.receive_all();
        }
    }
    bobby.expect_nothing();
    expect_no_panics();
}

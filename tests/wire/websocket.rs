//! WebSocket: every kind of frame that there is, good and bad, and how the server ends it (RFC 6455).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use chatd::server::own_addresses;
use chatd::transport::CloseReason;
use serde_json::json;

use crate::harness::websocket::{
    CLOSE, PING, PONG, TEXT, client_frame, code_of, header, masked_frame,
};
use crate::harness::{Client, TestServer, Way, came, delivered, left, said, wrote};

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;

/// The bit of the last fragment, and so of a whole frame.
const LAST: u8 = 0x80;

const MASK: [u8; 4] = [1, 2, 3, 4];

const LARGEST: usize = 64 << 10;
const LARGEST_BEFORE_LOGIN: usize = 4 << 10;

/// A server that reads everybody as fast as it can.
fn unhurried_server() -> TestServer {
    TestServer::calm_with(|config| {
        config.rate = 0;
        config.byte_rate = 0;
    })
}

/// A fragment, whole or not as its first byte says.
fn fragment(first: u8, payload: &[u8]) -> Vec<u8> {
    masked_frame(first, payload, MASK)
}

/// A 05 that says `ok` and has exactly `size` bytes.
fn speech_of_size(size: usize) -> String {
    let bare = r#"{"Command":"05","Message":"ok","x":""}"#;
    bare.replace(
        r#""x":"""#,
        &format!(r#""x":"{}""#, "x".repeat(size - bare.len())),
    )
}

/// Checks that Anna is told why in a 10, that WebSocket is ended with this code, and then the connection.
#[track_caller]
fn expect_refused(anna: &mut Client, code: u16) {
    assert!(!anna.expect_notice().is_empty());
    anna.expect_close(code);
}

/// Sends bytes, cut behind the first `cut`. The server may end the connection before it has all.
fn send_cut(client: &mut Client, clock: &mut Client, bytes: &[u8], cut: usize) {
    client.send_bytes(&bytes[..cut]);
    // Whatever the clock gets an answer to comes after the server has had time to read what was sent before.
    clock.expect_nothing();
    let _ = client.try_send_bytes(&bytes[cut..]);
}

#[test]
fn a_message_may_have_any_length_within_the_limit() {
    let server = unhurried_server();
    let mut anna = server.guest_as(Way::Browser, "Anna");
    for size in (38..300).chain([1000, 65_534, 65_535, LARGEST]) {
        let speech = speech_of_size(size);
        assert_eq!(speech.len(), size);
        anna.send_text(&speech);
        anna.expect(said("Anna", "ok"));
    }
    anna.send_text(&speech_of_size(LARGEST + 1));
    expect_refused(&mut anna, 1009);
}

#[test]
fn the_server_writes_every_length_as_it_should() {
    let server = TestServer::calm_with(|config| {
        (config.rate, config.byte_rate) = (0, 0);
        config.max_frame = 100 << 10;
    });
    let mut anna = server.guest_as(Way::Browser, "Anna");
    let around = said("Anna", "").to_string().len();
    for size in (around..300).chain([65_534, 65_535, 65_536, 65_537]) {
        anna.say(&"x".repeat(size - around));
        // The harness checks that the length is written in as few bytes as can be.
        let (opcode, payload) = anna.next_web_frame();
        assert_eq!((opcode, payload.len()), (TEXT, size));
    }
}

#[test]
fn a_length_may_be_written_in_more_bytes_than_it_needs() {
    // Careless clients do so, and there is nothing to be misunderstood.
    let server = TestServer::calm();
    let mut anna = server.guest_as(Way::Browser, "Anna");
    let speech = speech_of_size(50);
    let masks = MASK.iter().cycle();
    let masked: Vec<u8> = speech
        .bytes()
        .zip(masks)
        .map(|(byte, mask)| byte ^ mask)
        .collect();
    for length in [
        &[LAST | 126, 0, 50][..],
        &[LAST | 127, 0, 0, 0, 0, 0, 0, 0, 50],
    ] {
        anna.send_bytes(&[&[LAST | TEXT], length, &MASK, &masked].concat());
        anna.expect(said("Anna", "ok"));
    }
}

#[test]
fn any_mask_is_taken_off_wherever_the_payload_begins_and_ends() {
    let server = unhurried_server();
    let mut anna = server.guest_as(Way::Browser, "Anna");
    for mask in [[0; 4], [0xff; 4], [0, 0, 0, 1], [0x7b, 0x22, 0x7d, 0x80]] {
        for size in 38..60 {
            let speech = speech_of_size(size);
            let whole = masked_frame(LAST | TEXT, speech.as_bytes(), mask);
            anna.send_bytes(&whole);
            anna.expect(said("Anna", "ok"));
            let (start, end) = speech.as_bytes().split_at(size - 38);
            anna.send_bytes(&masked_frame(TEXT, start, mask));
            anna.send_bytes(&masked_frame(LAST, end, mask.map(|byte| !byte)));
            anna.expect(said("Anna", "ok"));
        }
    }
}

#[test]
fn a_frame_may_be_cut_at_any_byte_and_many_may_come_at_once() {
    let server = unhurried_server();
    let mut clock = server.connect();
    let mut anna = server.guest_as(Way::Browser, "Anna");
    let frames = [
        fragment(TEXT, br#"{"Command":"05","#),
        client_frame(PING, b"hi"),
        fragment(CONTINUATION, b""),
        fragment(LAST | CONTINUATION, r#""Message":"你"}"#.as_bytes()),
        client_frame(PONG, b""),
        client_frame(TEXT, speech_of_size(200).as_bytes()),
    ]
    .concat();
    let expect = |anna: &mut Client| {
        assert_eq!(anna.next_web_frame(), (PONG, b"hi".to_vec()));
        anna.expect(said("Anna", "你"));
        anna.expect(said("Anna", "ok"));
    };
    for cut in 1..frames.len() {
        send_cut(&mut anna, &mut clock, &frames, cut);
        expect(&mut anna);
    }
    for byte in &frames {
        anna.send_bytes(&[*byte]);
    }
    expect(&mut anna);
    anna.send_bytes(&frames.repeat(200));
    // A pong waits for nobody, what is said for its turn.
    let (mut pongs, mut texts) = (0, Vec::new());
    while pongs < 200 || texts.len() < 400 {
        match anna.next_web_frame() {
            (PONG, payload) => {
                assert_eq!(payload, b"hi");
                pongs += 1;
            }
            (_, text) => texts.push(serde_json::from_slice::<serde_json::Value>(&text).unwrap()),
        }
    }
    let expected = [said("Anna", "你"), said("Anna", "ok")];
    assert!(texts.chunks(2).all(|pair| pair == expected));
}

#[test]
fn a_ping_is_answered_with_its_own_bytes_and_a_pong_with_nothing() {
    let server = unhurried_server();
    let mut anna = server.connect_as(Way::Browser);
    for is_logged_in in [false, true] {
        if is_logged_in {
            anna.log_in("Anna");
        }
        let all: Vec<u8> = (0..=255).collect();
        for payload in [&b""[..], b"x", b"\xff\xfe\x00", &all[..125], &all[131..]] {
            anna.send_bytes(&client_frame(PING, payload));
            assert_eq!(anna.next_web_frame(), (PONG, payload.to_vec()));
            anna.send_bytes(&client_frame(PONG, payload));
            anna.expect_nothing();
        }
        // Each is answered, in the order sent.
        let pings: Vec<u8> = (0..100)
            .flat_map(|number| client_frame(PING, &[number]))
            .collect();
        anna.send_bytes(&pings);
        for number in 0..100 {
            assert_eq!(anna.next_web_frame(), (PONG, vec![number]));
        }
    }
    anna.log_out();
}

#[test]
fn a_message_may_come_in_fragments_with_control_frames_in_between() {
    let server = unhurried_server();
    let speech = r#"{"Command":"05","Message":"é你😀","x":"\u4f60"}"#.as_bytes();
    let mut anna = server.guest_as(Way::Browser, "Anna");
    // In two, wherever it is cut, inside characters too; the empty message is a fragment as well.
    for cut in 0..=speech.len() {
        let (start, end) = speech.split_at(cut);
        for between in [
            Vec::new(),
            client_frame(PONG, b"between"),
            fragment(CONTINUATION, b""),
            [fragment(CONTINUATION, b""), client_frame(PONG, b"")].concat(),
        ] {
            let message = [fragment(TEXT, start), between, fragment(LAST, end)].concat();
            anna.send_bytes(&message);
            anna.expect(said("Anna", "é你😀"));
        }
    }
    // Byte by byte, each in a fragment of its own, all in one write and each in its own.
    let mut fragments = vec![fragment(TEXT, b"")];
    fragments.extend(speech.iter().map(|byte| fragment(CONTINUATION, &[*byte])));
    fragments.push(fragment(LAST, b""));
    anna.send_bytes(&fragments.concat());
    anna.expect(said("Anna", "é你😀"));
    let (last, fragments) = fragments.split_last().unwrap();
    for fragment in fragments {
        anna.send_bytes(fragment);
        anna.send_bytes(&client_frame(PING, b"p"));
        assert_eq!(anna.next_web_frame(), (PONG, b"p".to_vec()));
    }
    anna.send_bytes(last);
    anna.expect(said("Anna", "é你😀"));
}

#[test]
fn fragments_may_have_as_many_bytes_as_a_whole_message_and_no_more() {
    let server = unhurried_server();
    for size in [LARGEST, LARGEST + 1] {
        for piece in [1, 100, 5000, 40_000, LARGEST - 1] {
            let mut anna = server.guest_as(Way::Browser, "Anna");
            let speech = speech_of_size(size);
            let pieces: Vec<&[u8]> = speech.as_bytes().chunks(piece).collect();
            let mut bytes = Vec::new();
            for (index, piece) in pieces.iter().enumerate() {
                let first = if index == 0 { TEXT } else { CONTINUATION };
                let last = if index + 1 == pieces.len() { LAST } else { 0 };
                bytes.extend(fragment(first | last, piece));
            }
            let _ = anna.try_send_bytes(&bytes);
            match size {
                LARGEST => {
                    anna.expect(said("Anna", "ok"));
                    anna.log_out();
                }
                _ => expect_refused(&mut anna, 1009),
            }
        }
    }
}

#[test]
fn what_is_too_large_is_refused_as_soon_as_its_length_has_come() {
    let server = unhurried_server();
    for length in [
        LARGEST as u64 + 1,
        1 << 20,
        1 << 32,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ] {
        let head = |first: u8| [header(first, LAST, length), MASK.to_vec()].concat();
        let mut anna = server.guest_as(Way::Browser, "Anna");
        anna.send_bytes(&head(LAST | TEXT));
        expect_refused(&mut anna, 1009);
        // As a further fragment too: what has come and what will come must not be added up to something small.
        for size in [0, 1, 2, 100] {
            let mut anna = server.guest_as(Way::Browser, "Anna");
            let begun = fragment(TEXT, &b" ".repeat(size));
            anna.send_bytes(&[begun, head(CONTINUATION)].concat());
            expect_refused(&mut anna, 1009);
        }
    }
    let before_login = header(LAST | TEXT, LAST, LARGEST_BEFORE_LOGIN as u64 + 1);
    let mut stranger = server.connect_as(Way::Browser);
    stranger.send_bytes(&[before_login, MASK.to_vec()].concat());
    expect_refused(&mut stranger, 1009);
    // What is a fragment too many is told from its length as well.
    let mut anna = server.guest_as(Way::Browser, "Anna");
    anna.send_bytes(&fragment(TEXT, &b" ".repeat(40_000)));
    anna.send_bytes(&[header(LAST, LAST, 40_000), MASK.to_vec()].concat());
    expect_refused(&mut anna, 1009);
}

#[test]
fn a_frame_that_there_is_not_gets_a_notice_and_the_end() {
    let object = br#"{"Command":"05","Message":"no"}"#;
    let mut bad: Vec<(Vec<u8>, u16)> = Vec::new();
    let mut add = |bytes: Vec<u8>, code: u16| bad.push((bytes, code));
    // Bits for extensions, of which none was agreed on.
    for reserved in [0x40, 0x20, 0x10, 0x70] {
        add(client_frame(reserved | TEXT, object), 1002);
        add(client_frame(reserved | PING, b""), 1002);
        add(client_frame(reserved | CLOSE, &[3, 232]), 1002);
        let begun = fragment(TEXT, object);
        add([begun, fragment(LAST | reserved, b"")].concat(), 1002);
    }
    // Kinds that there are not, between fragments too.
    for opcode in (3..8).chain(11..16) {
        add(client_frame(opcode, object), 1002);
        add(client_frame(opcode, b""), 1002);
        add(fragment(opcode, b"x"), 1002);
        let begun = fragment(TEXT, object);
        add([begun, client_frame(opcode, b"")].concat(), 1002);
    }
    // Control frames are whole, and short.
    for opcode in [PING, PONG, CLOSE] {
        add(client_frame(opcode, &[3; 126]), 1002);
        add(client_frame(opcode, &[3; 70_000]), 1002);
        add(fragment(opcode, b""), 1002);
        add(fragment(opcode, &[3, 232]), 1002);
    }
    // Without a mask.
    for (first, payload) in [
        (LAST | TEXT, &object[..]),
        (TEXT, &object[..]),
        (LAST | PING, b"hi"),
        (LAST | CLOSE, &[3, 232]),
        (LAST | TEXT, b""),
    ] {
        add(
            [header(first, 0, payload.len() as u64), payload.to_vec()].concat(),
            1002,
        );
    }
    // A fragment more than there should be, or too few.
    add(fragment(LAST | CONTINUATION, object), 1002);
    add(fragment(CONTINUATION, object), 1002);
    add(fragment(CONTINUATION, b""), 1002);
    let begun = fragment(TEXT, object);
    let whole = client_frame(TEXT, object);
    add([&begun[..], &whole].concat(), 1002);
    add([&begun[..], &fragment(TEXT, b"")].concat(), 1002);
    add([&begun[..], &client_frame(BINARY, b"")].concat(), 1002);
    // Binary, whole, in fragments and empty.
    add(client_frame(BINARY, object), 1003);
    add(client_frame(BINARY, b""), 1003);
    add(fragment(BINARY, object), 1003);

    let server = unhurried_server();
    let mut bobby = server.guest("Bobby");
    for (bytes, code) in &bad {
        for (before, after) in [
            (&b""[..], &b""[..]),
            (b"", &whole),
            (&client_frame(PONG, b""), &whole),
        ] {
            let mut anna = server.guest_as(Way::Browser, "Anna");
            bobby.expect(came("Anna", true));
            let _ = anna.try_send_bytes(&[before, bytes, after].concat());
            let shown = bytes[..bytes.len().min(20)].escape_ascii().to_string();
            assert!(!anna.expect_notice().is_empty(), "{shown}");
            anna.expect_end();
            assert_eq!(anna.close_code(), Some(Some(*code)), "{shown}");
            bobby.expect(left("Anna"));
        }
    }
    // A message in fragments has one end.
    let mut anna = server.guest_as(Way::Browser, "Anna");
    bobby.expect(came("Anna", true));
    for part in [
        fragment(TEXT, b"{"),
        fragment(LAST, b"}"),
        fragment(LAST, b""),
    ] {
        anna.send_bytes(&part);
    }
    anna.expect_notice();
    expect_refused(&mut anna, 1002);
    bobby.expect(left("Anna"));
    bobby.expect_nothing();
    // Wherever it is cut, the end is the same.
    let mut clock = server.connect();
    for (bytes, code) in bad.iter().filter(|(bytes, _)| bytes.len() < 20) {
        for cut in 1..bytes.len() {
            let mut stranger = server.connect_as(Way::Browser);
            send_cut(&mut stranger, &mut clock, bytes, cut);
            while stranger.next_frame().is_some() {}
            assert_eq!(
                stranger.close_code(),
                Some(Some(*code)),
                "{}",
                bytes.escape_ascii()
            );
        }
    }
}

#[test]
fn text_that_is_not_utf_8_ends_with_1007_however_it_is_fragmented() {
    let server = unhurried_server();
    // None of it, cut off, overlong, surrogates, and past the last character.
    for bad in [
        &b"\xff"[..],
        b"\x80",
        b"\xc3",
        b"\xe4\xbd",
        b"\xf0\x9f\x98",
        b"\xc0\x80",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    ] {
        let message = [br#"{"Command":"05","Message":""#, bad, br#""}"#].concat();
        let mut anna = server.guest_as(Way::Browser, "Anna");
        anna.send_bytes(&client_frame(TEXT, &message));
        expect_refused(&mut anna, 1007);
        // The bytes alone, and at the end of a message.
        for message in [bad, &[b"{} ", bad].concat()] {
            let mut stranger = server.connect_as(Way::Browser);
            stranger.send_bytes(&client_frame(TEXT, message));
            expect_refused(&mut stranger, 1007);
        }
        for cut in 27..27 + bad.len() {
            let (start, end) = message.split_at(cut);
            let mut stranger = server.connect_as(Way::Browser);
            stranger.send_bytes(&fragment(TEXT, start));
            let _ = stranger.try_send_bytes(&fragment(LAST, end));
            expect_refused(&mut stranger, 1007);
        }
    }
}

#[test]
fn text_at_the_borders_of_utf_8_arrives() {
    let server = unhurried_server();
    let mut anna = server.guest_as(Way::Browser, "Anna");
    let text =
        "\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{fffd}\u{fffe}\u{ffff}\u{10000}\u{10ffff}";
    let speech = json!({"Command": "05", "Message": text}).to_string();
    anna.send_text(&speech);
    anna.expect(said("Anna", text));
    for cut in 0..speech.len() {
        let (start, end) = speech.as_bytes().split_at(cut);
        anna.send_bytes(&[fragment(TEXT, start), fragment(LAST, end)].concat());
        anna.expect(said("Anna", text));
    }
}

#[test]
fn a_text_message_is_one_object_and_white_space_may_stand_around_it() {
    let server = unhurried_server();
    let mut anna = server.guest_as(Way::Browser, "Anna");
    let object = r#"{"Command":"05","Message":"ok"}"#;
    for space in [" ", "\n", "\r\n", "\t \r\n\n"] {
        anna.send_text(&format!("{space}{object}{space}"));
        anna.expect(said("Anna", "ok"));
    }
    anna.log_out();
    for message in [
        String::new(),
        " \r\n".to_owned(),
        format!("{object}{object}"),
        format!("{object}\n{object}\n"),
        format!("{object},"),
        format!("[{object}]"),
        object[1..].to_owned(),
        object[..object.len() - 1].to_owned(),
        format!("\u{feff}{object}"),
        "null".to_owned(),
        "hello".to_owned(),
    ] {
        let mut anna = server.guest_as(Way::Browser, "Anna");
        anna.send_text(&message);
        expect_refused(&mut anna, 1002);
    }
}

#[test]
fn the_clients_end_is_answered_with_its_own_code() {
    let server = unhurried_server();
    let mut bobby = server.guest("Bobby");
    let mut end = |payload: &[u8]| {
        let mut anna = server.guest_as(Way::Browser, "Anna");
        bobby.expect(came("Anna", true));
        anna.say("last");
        anna.write_to("Bobby", "words");
        anna.send_bytes(&client_frame(CLOSE, payload));
        // What comes behind it counts no more.
        anna.send_bytes(&[client_frame(PING, b"late"), client_frame(TEXT, b"{")].concat());
        // A receipt may overtake what is said to the room.
        let mut heard = [anna.receive(), anna.receive()];
        heard.sort_by_key(|message| message["Command"].to_string());
        assert_eq!(heard, [delivered("Bobby"), said("Anna", "last")]);
        anna.expect_close(code_of(payload));
        assert!(anna.has_ended_orderly());
        bobby.expect(said("Anna", "last"));
        bobby.expect(wrote("Anna", "words"));
        bobby.expect(left("Anna"));
    };
    end(b"");
    for code in [
        1000_u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
        4000, 4999,
    ] {
        let code = code.to_be_bytes();
        end(&code);
        for why in ["再见", &"x".repeat(123)] {
            end(&[&code, why.as_bytes()].concat());
        }
    }
}

#[test]
fn the_clients_end_counts_before_login_and_inside_a_message() {
    let server = unhurried_server();
    let mut stranger = server.connect_as(Way::Browser);
    stranger.send_bytes(&client_frame(CLOSE, &[3, 232]));
    stranger.expect_close(1000);
    let mut anna = server.guest_as(Way::Browser, "Anna");
    anna.send_bytes(&fragment(TEXT, br#"{"Command":"#));
    anna.send_bytes(&client_frame(CLOSE, &[3, 233]));
    anna.expect_close(1001);
}

#[test]
fn an_end_that_there_is_not_gets_a_notice() {
    let server = unhurried_server();
    for code in [
        0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        let mut stranger = server.connect_as(Way::Browser);
        stranger.send_bytes(&client_frame(CLOSE, &code.to_be_bytes()));
        expect_refused(&mut stranger, 1002);
    }
    let mut stranger = server.connect_as(Way::Browser);
    stranger.send_bytes(&client_frame(CLOSE, &[3]));
    expect_refused(&mut stranger, 1002);
    for why in [&b"\xff"[..], b"\xe4\xbd", b"\xed\xa0\x80"] {
        let mut stranger = server.connect_as(Way::Browser);
        stranger.send_bytes(&client_frame(CLOSE, &[&[3, 232], why].concat()));
        expect_refused(&mut stranger, 1007);
    }
}

#[test]
fn countless_small_frames_cost_nobody_else_anything() {
    let server = unhurried_server();
    let mut bobby = server.guest("Bobby");
    // A message that begins, and then nothing but frames that say nothing.
    for begun in [fragment(TEXT, b""), fragment(TEXT, br#"{"Command":"05","#)] {
        for nothing in [
            fragment(CONTINUATION, b""),
            client_frame(PONG, &[7; 125]),
            [fragment(CONTINUATION, b""), client_frame(PONG, b"")].concat(),
        ] {
            let mut anna = server.guest_as(Way::Browser, "Anna");
            bobby.expect(came("Anna", true));
            anna.send_bytes(&begun);
            for _ in 0..20 {
                anna.send_bytes(&nothing.repeat(500));
                bobby.expect_nothing();
            }
            // All the while the message was not forgotten.
            let rest = match begun.len() {
                6 => r#"{"Command":"05","Message":"at last"}"#,
                _ => r#""Message":"at last"}"#,
            };
            anna.send_bytes(&fragment(LAST, rest.as_bytes()));
            anna.expect(said("Anna", "at last"));
            bobby.expect(said("Anna", "at last"));
            anna.log_out();
            bobby.expect(left("Anna"));
        }
    }
}

#[test]
fn an_endless_series_of_pings_is_slowed_like_commands() {
    let server = TestServer::calm_with(|config| (config.rate, config.burst) = (100, 10));
    let mut anna = server.guest_as(Way::Browser, "Anna");
    let start = std::time::Instant::now();
    anna.send_bytes(&client_frame(PING, b"x").repeat(60));
    for _ in 0..60 {
        assert_eq!(anna.next_web_frame(), (PONG, b"x".to_vec()));
    }
    // The burst is 10, and the others come 10 ms apart.
    assert!(start.elapsed() >= Duration::from_millis(490));
}

#[test]
fn who_logs_out_is_ended_with_1000() {
    let server = TestServer::calm();
    for is_logged_in in [false, true] {
        let mut client = server.connect_as(Way::Browser);
        if is_logged_in {
            client.log_in("Anna");
        }
        client.send(&json!({"Command": "03"}));
        client.expect_close(1000);
        assert!(client.has_ended_orderly());
    }
}

#[test]
fn when_the_server_stops_the_end_is_1001() {
    let server = TestServer::calm();
    let mut anna = server.guest_as(Way::Browser, "Anna");
    let mut stranger = server.connect_as(Way::Browser);
    stranger.expect_nothing();
    server.handle.stop();
    expect_refused(&mut anna, 1001);
    stranger.expect_close(1001);
}

#[test]
fn who_is_thrown_out_or_meets_a_limit_is_ended_with_1008() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let mut anna = server.guest_as(Way::Browser, "Anna");
    moderator.kick("Anna", Some("enough")).unwrap();
    assert_eq!(anna.expect_notice(), "enough");
    anna.expect_close(1008);
    let mut anna = server.guest_as(Way::Browser, "Anna");
    moderator.ban_name("Anna", None).unwrap();
    assert!(anna.expect_notice().contains("banned"));
    anna.expect_close(1008);
    let stats = moderator.stats().unwrap();
    assert_eq!(stats.closed(CloseReason::Kicked), 1);
    assert_eq!(stats.closed(CloseReason::Banned), 1);

    let server = TestServer::calm_with(|config| config.login_timeout = Duration::from_millis(300));
    let mut slow = server.connect_as(Way::Browser);
    assert!(slow.expect_notice().contains("300ms"));
    slow.expect_close(1008);

    let server = TestServer::calm_with(|config| config.max_login_failures = 1);
    server.connect().register("Owner", "secret");
    let mut guesser = server.connect_as(Way::Browser);
    guesser.send(&json!({"Command": "01", "Name": "Owner", "Password": "wrong"}));
    guesser.expect_refusal("11");
    expect_refused(&mut guesser, 1008);
}

#[test]
fn who_finds_no_room_is_told_so_by_websocket_and_ended_with_1008() {
    let server = TestServer::calm_with(|config| config.max_connections = 1);
    let _anna = server.guest_as(Way::Browser, "Anna");
    let mut late = server.connect_as(Way::Browser);
    assert!(late.expect_notice().contains("full"));
    late.expect_close(1008);

    // One that has not logged in makes room.
    let server = TestServer::calm_with(|config| config.max_connections = 1);
    let mut idle = server.connect_as(Way::Browser);
    idle.expect_nothing();
    let mut anna = server.guest_as(Way::Browser, "Anna");
    expect_refused(&mut idle, 1008);
    anna.expect_nothing();
}

#[test]
fn who_opens_too_many_connections_is_ended_with_1008_but_loopback_is_exempt() {
    let own = own_addresses().into_iter().map(|one| one.ip);
    let Some(outward) = own
        .into_iter()
        .find(|address| address.is_ipv4() && !address.is_loopback())
    else {
        return eprintln!("SKIPPED: this machine has no IPv4 address beside loopback");
    };
    let server = TestServer::calm_with(|config| {
        config.bind = vec![Ipv4Addr::UNSPECIFIED.into()];
        config.max_per_address = 1;
    });
    let connect = |ip: IpAddr| {
        let address = SocketAddr::new(ip, server.web_address().port());
        Client::over(TcpStream::connect(address).unwrap(), Way::Browser)
    };
    let mut anna = connect(outward);
    anna.log_in("Anna");
    let mut refused = connect(outward);
    expect_refused(&mut refused, 1008);
    for name in ["Bobby", "Carol"] {
        connect(Ipv4Addr::LOCALHOST.into()).log_in(name);
    }
}

#[test]
fn a_frame_behind_the_request_in_one_segment_is_not_lost() {
    let server = TestServer::calm();
    let request = crate::harness::websocket::REQUEST;
    let login = Way::Browser.frame(r#"{"Command":"01","Name":"Anna"}"#);
    let ping = client_frame(PING, b"early");
    // Whole, in part, and with a byte of the next.
    for cut in [0, 1, 6, login.len(), login.len() + ping.len() - 1] {
        let socket = TcpStream::connect(server.web_address()).unwrap();
        let mut anna = Client::silent(socket, Way::Browser);
        let bytes = [request, &login, &ping].concat();
        let (first, rest) = bytes.split_at(request.len() + cut);
        anna.send_bytes(first);
        anna.expect_web_socket();
        if cut >= login.len() {
            // It is answered without anything further.
            anna.expect_login();
            anna.send_bytes(rest);
        } else {
            anna.send_bytes(rest);
            anna.expect_login();
        }
        assert_eq!(anna.next_web_frame(), (PONG, b"early".to_vec()));
        anna.log_out();
    }
}

//! How bytes become frames: both framings, their limits, and what is JSON.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, TestServer, Way, left, said};

/// The ways that have no length prefixes.
const UNPREFIXED: [Way; 2] = [Way::Plain, Way::Tls];

/// The ways that have length prefixes.
const PREFIXED: [Way; 2] = [Way::PlainPrefixed, Way::TlsPrefixed];

const LARGEST: usize = 64 << 10;
const LARGEST_BEFORE_LOGIN: usize = 4 << 10;

/// A server that reads everybody as fast as it can.
fn unhurried_server() -> TestServer {
    TestServer::calm_with(|config| {
        config.rate = 0;
        config.byte_rate = 0;
    })
}

/// A 01 of exactly `size` bytes.
fn login_of_size(name: &str, size: usize) -> String {
    let bare = format!(r#"{{"Command":"01","Name":"{name}","x":""}}"#);
    bare.replace(
        r#""x":"""#,
        &format!(r#""x":"{}""#, "x".repeat(size - bare.len())),
    )
}

/// A 05 of exactly `size` bytes, and its text. An unknown key takes up what the name of the speaker needs on the way out.
fn speech_of_size(size: usize) -> (String, String) {
    let pad = "x".repeat(100);
    let bare = format!(r#"{{"Command":"05","x":"{pad}","Message":""}}"#);
    let text = "y".repeat(size - bare.len());
    let frame = format!(r#"{{"Command":"05","x":"{pad}","Message":"{text}"}}"#);
    (frame, text)
}

/// Checks that a speech, which may be too long to be shown, has come.
#[track_caller]
fn expect_speech(client: &mut Client, text: &str) {
    let message = client.expect_command("32");
    assert!(
        message == said("Anna", text),
        "not the text of {} bytes",
        text.len()
    );
}

/// Checks that the server says why in a 10, and closes.
#[track_caller]
fn expect_notice_and_end(client: &mut Client) {
    assert!(!client.expect_notice().is_empty());
    client.expect_end();
}

#[test]
fn a_frame_may_be_split_at_any_byte() {
    let server = unhurried_server();
    // Whatever this client gets an answer to comes after the server has had time to read what was sent before.
    let mut clock = server.connect();
    let frame =
        r#"{"Command":"05","Message":"a\"}{\\\u4f60好😀\ud83d\ude00 \u0000","x":[{"}":"]"}]}"#;
    let text = "a\"}{\\你好😀😀 \0";
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        let bytes = way.frame(frame);
        for cut in 1..bytes.len() {
            anna.send_bytes(&bytes[..cut]);
            clock.expect_nothing();
            anna.send_bytes(&bytes[cut..]);
            anna.expect(said("Anna", text));
        }
        anna.log_out();
    }
}

#[test]
fn a_whole_conversation_may_come_byte_by_byte() {
    let server = unhurried_server();
    let mut clock = server.connect();
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        let mut bytes = match way.is_bare() {
            true => "\u{feff} ".as_bytes().to_vec(),
            false => Vec::new(),
        };
        bytes.extend(way.frame(r#"{"Command":"01","Name":"Anna"}"#));
        bytes.extend(way.frame(r#"{"Command":"05","Message":"你"}"#));
        bytes.extend(way.frame(r#"{"Command":"05","Message":"😀"}"#));
        for byte in bytes {
            anna.send_bytes(&[byte]);
            clock.expect_nothing();
        }
        anna.expect_login();
        anna.expect(said("Anna", "你"));
        anna.expect(said("Anna", "😀"));
        anna.log_out();
    }
}

#[test]
fn many_frames_may_come_in_one_segment() {
    let server = unhurried_server();
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        let mut bytes = way.frame(r#"{"Command":"01","Name":"Anna"}"#);
        for number in 0..1000 {
            bytes.extend(way.frame(&format!(r#"{{"Command":"05","Message":"{number}"}}"#)));
        }
        anna.send_bytes(&bytes);
        anna.expect_login();
        for number in 0..1000 {
            anna.expect(said("Anna", &number.to_string()));
        }
        anna.log_out();
    }
}

#[test]
fn white_space_between_objects_is_optional_and_ignored() {
    let server = unhurried_server();
    let long = " \t\r\n".repeat(LARGEST);
    for way in UNPREFIXED {
        for space in ["", " ", "\n", "\r\n", "\t", "\r", " \n\n\t \r\n ", &long] {
            let mut anna = server.connect_as(way);
            let frames = [
                r#"{"Command":"01","Name":"Anna"}"#,
                r#"{"Command":"05","Message":"one"}"#,
                "{ \"Command\"\t:\r\n5 , \"Message\" : \"two\"\n}",
            ];
            let mut bytes = space.to_owned();
            for frame in frames {
                bytes.push_str(frame);
                bytes.push_str(space);
            }
            anna.send_bytes(bytes.as_bytes());
            anna.expect_login();
            anna.expect(said("Anna", "one"));
            anna.expect(said("Anna", "two"));
            anna.log_out();
        }
    }
}

#[test]
fn one_byte_order_mark_is_skipped_at_the_very_start() {
    let server = TestServer::calm();
    let login = r#"{"Command":"01","Name":"Anna"}"#;
    for way in UNPREFIXED {
        for start in ["\u{feff}", "\u{feff} \r\n"] {
            let mut anna = server.connect_as(way);
            anna.send_bytes(format!("{start}{login}").as_bytes());
            anna.expect_login();
            anna.log_out();
        }
        for start in ["\u{feff}\u{feff}", " \u{feff}", "{}\u{feff}"] {
            let mut anna = server.connect_as(way);
            anna.send_bytes(format!("{start}{login}").as_bytes());
            if start.starts_with('{') {
                anna.expect_notice();
            }
            expect_notice_and_end(&mut anna);
        }
    }
    for way in PREFIXED {
        let mut anna = server.connect_as(way);
        anna.send_text(&format!("\u{feff}{login}"));
        expect_notice_and_end(&mut anna);
    }
    assert_eq!(
        server.connect().log_in("Bobby"),
        [("Bobby".to_owned(), true)]
    );
}

#[test]
fn a_length_prefixed_client_is_answered_with_length_prefixes() {
    let server = TestServer::calm();
    let mut socket = TcpStream::connect(server.plain_address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
        .write_all(b"\0\0\0\x1f{\"Command\":\"01\",\"Name\":\"Alice\"}\0\0\0\x1d{\"Command\":5,\"Message\":\"\xe4\xbd\xa0\"}\0\0\0\x02{}\0\0\0\x02[]")
        .unwrap();
    let mut output = Vec::new();
    socket.read_to_end(&mut output).unwrap();

    let mut rest = &output[..];
    let mut take = || {
        let (length, behind) = rest.split_first_chunk::<4>().unwrap();
        let (frame, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
        rest = behind;
        String::from_utf8(frame.to_vec()).unwrap()
    };
    let mut frames = vec![take(), take(), take(), take()];
    assert_eq!(
        frames.remove(0),
        r#"{"Command":"11","Flag":1,"Friends":[["Alice",1]]}"#
    );
    // A notice waits for nobody, so the room's message may come after the first.
    let place = frames.iter().position(|frame| frame.contains("32"));
    assert_eq!(
        frames.remove(place.unwrap()),
        r#"{"Command":"32","Speaker":"Alice","Message":"你"}"#
    );
    for notice in frames {
        assert!(notice.starts_with(r#"{"Command":"10","Message":""#));
        assert!(notice.ends_with('}'));
    }
    assert_eq!(rest, b"");
}

#[test]
fn white_space_in_a_prefixed_frame_counts_and_is_ignored() {
    let server = TestServer::calm();
    for way in PREFIXED {
        let mut anna = server.connect_as(way);
        anna.send_text(" \t\r\n{\"Command\":\"01\",\"Name\":\"Anna\"}\n\n ");
        anna.expect_login();
        let (frame, text) = speech_of_size(LARGEST - 4);
        anna.send_text(&format!("  {frame}\r\n"));
        expect_speech(&mut anna, &text);
        anna.send_text(&format!("  {frame}\r\n "));
        expect_notice_and_end(&mut anna);
    }
}

#[test]
fn only_the_white_space_of_json_may_surround_an_object() {
    let server = TestServer::calm();
    for way in Way::ALL {
        for space in ["\u{b}", "\0", "\u{a0}", "\u{2028}"] {
            let mut anna = server.guest_as(way, "Anna");
            anna.send_text(&format!("{space}{{\"Command\":\"05\",\"Message\":\"x\"}}"));
            expect_notice_and_end(&mut anna);
        }
    }
    for way in UNPREFIXED {
        let mut anna = server.guest_as(way, "Anna");
        anna.send_text("{\"Command\":\"14\"}\u{c}");
        expect_notice_and_end(&mut anna);
    }
}

#[test]
fn a_form_feed_is_no_white_space_in_a_prefixed_frame() {
    let server = TestServer::calm();
    for way in PREFIXED {
        for frame in ["\u{c}{\"Command\":\"14\"}", "{\"Command\":\"14\"}\u{c}"] {
            let mut anna = server.guest_as(way, "Anna");
            anna.send_text(frame);
            expect_notice_and_end(&mut anna);
        }
    }
}

#[test]
fn a_bad_length_prefix_gets_a_notice_with_a_prefix_and_the_end() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    let bad: [&[u8]; 17] = [
        // Lengths that can't be: zero, too large by one, by far, and by a first byte that isn't zero.
        b"\0\0\0\0",
        b"\0\x01\0\x01",
        b"\0\xff\xff\xff",
        b"\x01\0\0\0",
        b"\xff\xff\xff\xff",
        // Too short for the object, and too long.
        b"\0\0\0\x0f{\"Command\":\"14\"}",
        b"\0\0\0\x11{\"Command\":\"14\"}x",
        b"\0\0\0\x01{}",
        // Nothing, more than one, something else.
        b"\0\0\0\x03 \r\n",
        b"\0\0\0\x04{}{}",
        b"\0\0\0\x05{} {}",
        b"\0\0\0\x02[]",
        b"\0\0\0\x04null",
        b"\0\0\0\x04{\"a\"",
        // No prefix at all, after prefixes were chosen.
        b"{\"Command\":\"14\"}",
        b"\n\0\0\0\x10{\"Command\":\"14\"}",
        b"\r\n\r\n",
    ];
    for way in PREFIXED {
        for bytes in bad {
            let mut anna = server.guest_as(way, "Anna");
            bobby.expect_command("30");
            anna.send_bytes(bytes);
            expect_notice_and_end(&mut anna);
            bobby.expect(left("Anna"));
            // The same as the first bytes of all, if they begin as prefixes do.
            if bytes[0] == 0 {
                let mut stranger = server.connect_as(way);
                stranger.send_bytes(bytes);
                expect_notice_and_end(&mut stranger);
            }
        }
    }
    bobby.expect_nothing();
}

#[test]
fn a_length_prefix_that_happens_to_be_readable_is_a_length() {
    let server = unhurried_server();
    for way in PREFIXED {
        let mut anna = server.guest_as(way, "Anna");
        // In these lengths the last two bytes are `{"`, `{}`, `{ `, `[1`, `""`, two newlines and so on.
        for bytes in [b"{\"", b"{}", b"{ ", b"{\n", b"[1", b"\"\"", b"\n\n", b"GE"] {
            let (frame, text) = speech_of_size(u16::from_be_bytes(*bytes).into());
            anna.send_text(&frame);
            expect_speech(&mut anna, &text);
        }
        anna.log_out();
    }
}

#[test]
fn framing_is_decided_once_a_connection() {
    let server = TestServer::calm();
    for way in UNPREFIXED {
        let mut anna = server.guest_as(way, "Anna");
        anna.send_bytes(b"\0\0\0\x10{\"Command\":\"14\"}");
        expect_notice_and_end(&mut anna);
    }
}

#[test]
fn the_largest_frame_before_login_has_4_kib() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        anna.send_text(&login_of_size("Anna", LARGEST_BEFORE_LOGIN));
        anna.expect_login();
        anna.log_out();

        let mut anna = server.connect_as(way);
        anna.send_text(&login_of_size("Anna", LARGEST_BEFORE_LOGIN + 1));
        expect_notice_and_end(&mut anna);

        // No frame is waited for that is too large already.
        let mut anna = server.connect_as(way);
        let endless = way.frame(&login_of_size("Anna", LARGEST));
        anna.send_bytes(&endless[..LARGEST_BEFORE_LOGIN + 1]);
        expect_notice_and_end(&mut anna);
    }
    assert_eq!(server.connect().log_in("Bobby").len(), 1);
}

#[test]
fn the_largest_frame_after_login_has_64_kib() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        let (frame, text) = speech_of_size(LARGEST);
        anna.send_text(&frame);
        expect_speech(&mut anna, &text);
        let (frame, _) = speech_of_size(LARGEST + 1);
        anna.send_text(&frame);
        expect_notice_and_end(&mut anna);
    }
}

#[test]
fn the_largest_frame_is_a_setting() {
    let server = TestServer::calm_with(|config| {
        config.max_frame = 200 << 10;
        config.byte_rate = 0;
    });
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        anna.send_text(&login_of_size("Anna", LARGEST_BEFORE_LOGIN + 1));
        expect_notice_and_end(&mut anna);

        let mut anna = server.guest_as(way, "Anna");
        let (frame, text) = speech_of_size(200 << 10);
        anna.send_text(&frame);
        expect_speech(&mut anna, &text);
        let (frame, _) = speech_of_size((200 << 10) + 1);
        anna.send_text(&frame);
        expect_notice_and_end(&mut anna);
    }
}

#[test]
fn a_large_frame_may_follow_its_login_at_once() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let (frame, text) = speech_of_size(LARGEST);
        let login = way.frame(r#"{"Command":"01","Name":"Anna"}"#);
        let mut anna = server.connect_as(way);
        anna.send_bytes(&[login, way.frame(&frame)].concat());
        anna.expect_login();
        expect_speech(&mut anna, &text);
        anna.log_out();

        // A login that is refused raises no limit.
        let login = way.frame(r#"{"Command":"01","Name":"no"}"#);
        let mut anna = server.connect_as(way);
        anna.send_bytes(&[login, way.frame(&frame)].concat());
        anna.expect_refusal("11");
        expect_notice_and_end(&mut anna);
    }
}

#[test]
fn objects_and_arrays_nest_100_levels_deep_but_not_without_end() {
    fn nested(levels: usize, open: &str, innermost: &str, close: &str) -> String {
        [&open.repeat(levels), innermost, &close.repeat(levels)].concat()
    }
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        // The frame itself is the first level.
        for deep in [
            nested(99, "[", "", "]"),
            nested(99, "{\"a\":", "0", "}"),
            nested(49, "[{\"a\":", "[]", "}]"),
        ] {
            anna.send_text(&format!(
                r#"{{"x":{deep},"Command":"05","Message":"in an unknown key"}}"#
            ));
            anna.expect(said("Anna", "in an unknown key"));
            // A known key of the wrong type is no reason to distrust the stream.
            anna.send_text(&format!(r#"{{"Command":"05","Message":{deep}}}"#));
            anna.expect_notice();
        }
        anna.log_out();

        for deep in [
            nested(128, "[", "", "]"),
            nested(1000, "{\"a\":", "0", "}"),
            nested(30_000, "[", "", "]"),
            "[".repeat(60_000),
        ] {
            for key in ["x", "Message"] {
                let mut anna = server.guest_as(way, "Anna");
                anna.send_text(&format!(r#"{{"Command":"05","{key}":{deep}}}"#));
                expect_notice_and_end(&mut anna);
            }
        }
    }
}

#[test]
fn what_is_not_json_gets_a_notice_and_the_end() {
    let bad: [&[u8]; 60] = [
        // Raw control characters in strings, of keys that are known and unknown, and in keys themselves.
        b"{\"Command\":\"05\",\"Message\":\"a\nb\"}",
        b"{\"Command\":\"05\",\"Message\":\"a\tb\"}",
        b"{\"Command\":\"05\",\"Message\":\"a\0b\"}",
        b"{\"Command\":\"05\",\"Message\":\"a\x1fb\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":\"a\nb\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":[{\"y\":\"\x01\"}]}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\ny\":1}",
        // Half of a surrogate pair.
        b"{\"Command\":\"05\",\"Message\":\"\\ud800\"}",
        b"{\"Command\":\"05\",\"Message\":\"\\udc00\"}",
        b"{\"Command\":\"05\",\"Message\":\"\\ud800\\ud800\"}",
        b"{\"Command\":\"05\",\"Message\":\"\\ud800\\n\"}",
        b"{\"Command\":\"05\",\"Message\":\"\\udc00\\ud800\"}",
        b"{\"Command\":\"05\",\"Message\":\"\\uDBFFx\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":\"\\ud800\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":[\"\\udfff\"]}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"\\ud83d\":1}",
        b"{\"Command\":\"\\ud800\",\"Message\":\"ok\"}",
        // Other escapes that there are not.
        b"{\"Command\":\"05\",\"Message\":\"\\x41\"}",
        b"{\"Command\":\"05\",\"Message\":\"\\u12g4\"}",
        b"{\"Command\":\"05\",\"Message\":\"\\u123\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":\"\\'\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":\"\\u+123\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"\\a\":1}",
        // Bytes that are not UTF-8: none of it, overlong, a surrogate, too large a number, cut off.
        b"{\"Command\":\"05\",\"Message\":\"\xff\"}",
        b"{\"Command\":\"05\",\"Message\":\"\x80\"}",
        b"{\"Command\":\"05\",\"Message\":\"caf\xe9\"}",
        b"{\"Command\":\"05\",\"Message\":\"\xc0\x80\"}",
        b"{\"Command\":\"05\",\"Message\":\"\xed\xa0\x80\"}",
        b"{\"Command\":\"05\",\"Message\":\"\xf4\x90\x80\x80\"}",
        b"{\"Command\":\"05\",\"Message\":\"\xe4\xbd\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":\"\xc4\xe3\xba\xc3\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"\xfe\":1}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\xa0\"x\":1}",
        // Other grammars.
        b"{'Command':'05','Message':'ok'}",
        b"{Command:\"05\",Message:\"ok\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",}",
        b"{\"Command\":\"05\" \"Message\":\"ok\"}",
        b"{\"Command\"=\"05\",\"Message\":\"ok\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":}",
        b"{,\"Command\":\"05\",\"Message\":\"ok\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",5:1}",
        b"{\"Command\":\"05\",\"Message\":\"ok\"/* no comment */}",
        b"{\"Command\":05,\"Message\":\"ok\"}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":01}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":+1}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":.5}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":1.}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":0x10}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":NaN}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":True}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":[1,]}",
        b"{\"Command\":\"05\",\"Message\":\"ok\",\"x\":[1}]",
        // No objects.
        b"[{\"Command\":\"05\",\"Message\":\"ok\"}]",
        b"\"05\"",
        b"5",
        b"null",
        b"true",
        b"}",
        b",{\"Command\":\"05\",\"Message\":\"ok\"}",
    ];
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        for bytes in bad {
            let mut anna = server.guest_as(way, "Anna");
            bobby.expect_command("30");
            let mut frame = way.frame_bytes(bytes);
            // What follows is not trusted, good as it may be.
            frame.extend(way.frame(r#"{"Command":"05","Message":"good"}"#));
            anna.send_bytes(&frame);
            assert!(!anna.expect_notice().is_empty(), "{}", bytes.escape_ascii());
            anna.expect_end();
            bobby.expect(left("Anna"));
        }
    }
    bobby.expect_nothing();
}

#[test]
fn a_syntax_error_in_a_login_logs_nobody_in() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        for bad in [
            r#"{"Command":"01","Name":"Anna","x":"\ud800"}"#,
            r#"{"Command":"01","Name":"Anna",}"#,
        ] {
            let mut anna = server.connect_as(way);
            anna.send_text(bad);
            expect_notice_and_end(&mut anna);
        }
    }
    bobby.expect_nothing();
}

#[test]
fn what_is_json_is_taken_however_odd() {
    let long_number = "9".repeat(400);
    let odd = [
        // Unknown keys, whatever they hold.
        r#"{"Command":"05","Message":"ok","x":1e999}"#.to_owned(),
        r#"{"Command":"05","Message":"ok","x":-1E+99999,"y":1e-99999}"#.to_owned(),
        format!(r#"{{"Command":"05","Message":"ok","x":{long_number},"y":0.{long_number}}}"#),
        r#"{"Command":"05","Message":"ok","x":null,"":true,"Flag":[{"Command":"03"}]}"#.to_owned(),
        r#"{"x":{"Message":"no","Command":"03"},"Command":"05","Message":"ok"}"#.to_owned(),
        r#"{"Command":"05","Message":"ok","x":"}{][\"\\","{\"":"\/\b\f\n\r\t\u0000"}"#.to_owned(),
        r#"{"Command":"05","Message":"ok","x":"\ud83d\ude00","\uD83D\uDE00":0}"#.to_owned(),
        // Keys that differ in letter case are unknown keys.
        r#"{"Command":"05","Message":"ok","message":"no","MESSAGE":1,"command":"03"}"#.to_owned(),
        // The last value of a duplicate wins, whatever its type and the other's.
        r#"{"Command":"05","Message":"no","Message":"ok"}"#.to_owned(),
        r#"{"Command":"03","Message":"no","Command":"05","Message":"ok"}"#.to_owned(),
        r#"{"Command":true,"Message":{"a":1e999},"Message":"ok","Command":5}"#.to_owned(),
        r#"{"Message":"ok","Command":"05"}"#.to_owned(),
        // Keys and values may be escaped.
        r#"{"\u0043ommand":"\u00305","Mes\u0073age":"\u006f\u006B"}"#.to_owned(),
    ];
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        for frame in &odd {
            anna.send_text(frame);
            anna.expect(said("Anna", "ok"));
        }
        // A duplicate of the wrong type wins too.
        anna.send_text(r#"{"Command":"05","Message":"no","Message":5}"#);
        anna.expect_notice();
        // A number that no machine has is a value of the wrong type, not a syntax error.
        anna.send_text(r#"{"Command":"05","Message":1e999}"#);
        anna.expect_notice();
        anna.send_text(r#"{"Command":1e999}"#);
        anna.expect_notice();
        anna.send_text(r#"{"Command":"04","FriendName":1e999,"Message":"x"}"#);
        anna.expect_refusal("14");
        anna.send_text(r#"{"Command":"02","Name":1e999,"Password":"x"}"#);
        anna.expect_refusal("12");
        anna.log_out();
    }
    let mut anna = server.connect();
    anna.send_text(r#"{"Command":"01","Name":5,"Name":"Bobby","Name":"Anna"}"#);
    assert_eq!(anna.expect_login(), [("Anna".to_owned(), true)]);
}

#[test]
fn a_notice_reaches_a_client_that_is_still_sending() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        let flood = way.frame(&login_of_size("Anna", 512 << 10));
        // The server may close before it has taken it all.
        let _ = anna.try_send_bytes(&flood);
        let notice: Value = anna.receive();
        assert_eq!(notice["Command"], "10", "{notice}");
        assert_ne!(notice["Message"], json!(""));
    }
}

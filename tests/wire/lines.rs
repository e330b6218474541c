//! The form of the lines that the server sends: where they end, and how long they may be.

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way, came, delivered, left, said, wrote};

/// The longest line where it is set, in bytes with the newline.
const LONGEST: usize = 1 << 10;

/// The next message, whose line is no longer than [`LONGEST`].
#[track_caller]
fn receive_short(client: &mut Client) -> Value {
    let frame = client.next_frame().expect("a message, not the end");
    assert!(frame.len() < LONGEST, "{} bytes", frame.len());
    serde_json::from_slice(&frame).expect("JSON")
}

/// How many bytes a message has as a line.
fn line_length(message: &Value) -> usize {
    message.to_string().len() + 1
}

/// A receipt with Flag 0, whatever its reason.
#[track_caller]
fn expect_undelivered(client: &mut Client, friend: &str, words: &str) {
    let receipt = receive_short(client);
    let why = receipt["Message"].as_str().expect("a reason").to_owned();
    assert!(why.contains(words), "{why}");
    let expected =
        json!({"Command": "14", "Comment": "14", "Flag": 0, "FriendName": friend, "Message": why});
    assert_eq!(receipt, expected);
}

#[test]
fn what_ends_a_line_for_some_readers_is_escaped_and_other_text_is_not() {
    let server = TestServer::calm();
    let text = "\u{85}你\u{2028}好\u{2029}😀\u{85}\u{feff}é";
    let escaped = format!("{}\u{feff}é", r"\u0085你\u2028好\u2029😀\u0085");
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        anna.say(text);
        anna.expect_text(&format!(
            r#"{{"Command":"32","Speaker":"Anna","Message":"{escaped}"}}"#
        ));
        anna.write_to("Anna", text);
        anna.expect_text(&format!(
            r#"{{"Command":"13","FriendName":"Anna","Message":"{escaped}"}}"#
        ));
        anna.expect(delivered("Anna"));
        anna.write_to(text, "hi");
        let receipt = anna.next_frame().expect("a receipt");
        let receipt = String::from_utf8(receipt).unwrap();
        assert!(
            receipt.contains(&format!(r#""FriendName":"{escaped}""#)),
            "{receipt}"
        );
        anna.log_out();
    }
}

#[test]
fn a_message_whose_line_would_be_longer_than_max_frame_is_refused_and_nothing_ends() {
    let server = TestServer::calm_with(|config| config.max_frame = LONGEST);
    let mut bobby = server.guest("Bob1");
    // An escape of the second has more bytes than the character.
    for filler in ["x", "\u{85}"] {
        for way in Way::ALL {
            let mut anna = server.guest_as(way, "Anna");
            bobby.expect(came("Anna", true));
            let escaped = if filler == "x" { 1 } else { r"\u0085".len() };

            let room = LONGEST - line_length(&said("Anna", ""));
            let text = filler.repeat(room / escaped) + &"x".repeat(room % escaped);
            anna.say(&text);
            for client in [&mut anna, &mut bobby] {
                assert_eq!(receive_short(client), said("Anna", &text));
            }
            anna.say(&format!("{text}x"));
            let refusal = receive_short(&mut anna);
            assert_eq!(refusal["Command"], "10", "{refusal}");
            assert!(
                refusal["Message"].as_str().unwrap().contains("too long"),
                "{refusal}"
            );

            let room = LONGEST - line_length(&wrote("Anna", ""));
            let text = filler.repeat(room / escaped) + &"x".repeat(room % escaped);
            anna.write_to("Bob1", &text);
            assert_eq!(receive_short(&mut bobby), wrote("Anna", &text));
            assert_eq!(receive_short(&mut anna), delivered("Bob1"));
            anna.write_to("Bob1", &format!("{text}x"));
            expect_undelivered(&mut anna, "Bob1", "too long");

            bobby.expect_nothing();
            anna.log_out();
            bobby.expect_command("31");
        }
    }
}

#[test]
fn a_receipt_repeats_no_name_that_is_too_long_for_its_line() {
    let server = TestServer::calm_with(|config| config.max_frame = LONGEST);
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        for is_logged_in in [false, true] {
            if is_logged_in {
                anna.log_in("Anna");
            }
            for (filler, count) in [("x", 970), ("\u{85}", 480), ("😀", 240)] {
                anna.write_to(&filler.repeat(count), "");
                expect_undelivered(&mut anna, "", "FriendName is too long");
                anna.write_to(&filler.repeat(100), "");
                expect_undelivered(&mut anna, &filler.repeat(100), "");
            }
        }
        anna.log_out();
    }
}

#[test]
fn refusals_are_short_whatever_they_are_about() {
    let server = TestServer::calm_with(|config| config.max_frame = LONGEST);
    let pad = "😀\n".repeat(140);
    let (name, password) = (&pad[..], &pad[..]);
    let refused = [
        json!({"Command": "01", "Name": name}),
        json!({"Command": "01", "Name": name, "Password": ""}),
        json!({"Command": "01", "Name": "Anna", "Password": password}),
        json!({"Command": "02", "Name": name, "Password": "x"}),
        json!({"Command": "02", "Name": "Anna", "Password": password}),
        json!({"Command": pad}),
        json!({"Command": [pad], "Message": 5}),
    ];
    for way in Way::ALL {
        let mut client = server.connect_as(way);
        for frame in &refused {
            client.send(frame);
            receive_short(&mut client);
        }
        // These are worse, and each ends a connection.
        let bad = [
            format!("{{{pad}}}"),
            format!("{{\"Command\":\"{pad}}}"),
            format!("{{\"a\":{}}}", "'".repeat(900)),
            format!("{{\"a\":{}}}", "é".repeat(400)),
            "[".repeat(900),
            "é".repeat(400),
            format!("{{{}}}", "{".repeat(900)),
        ];
        for frame in &bad {
            let mut client = server.connect_as(way);
            client.send_text(frame);
            client.half_close();
            assert_eq!(receive_short(&mut client)["Command"], "10");
        }
    }
}

#[test]
fn a_text_of_the_safe_length_fits_whatever_is_in_it_and_however_it_is_escaped() {
    let server = TestServer::calm();
    let [long, other] = ["A", "B"].map(|letter| letter.repeat(64));
    // Each as the longest spelling that JSON has for it; the page about the protocol promises these numbers.
    let texts = [
        ("\0", r"\u0000", 10_000),
        ("\u{85}", r"\u0085", 10_000),
        ("你", r"\u4f60", 10_000),
        ("😀", r"\ud83d\ude00", 5_000),
        ("你", "你", 21_000),
    ];
    for way in Way::ALL {
        let mut speaker = server.guest_as(way, &long);
        let mut friend = server.guest_as(way, &other);
        speaker.expect(came(&other, true));
        for (character, spelling, count) in texts {
            let (text, spelt) = (character.repeat(count), spelling.repeat(count));
            speaker.send_text(&format!(r#"{{"Command": "05", "Message": "{spelt}"}}"#));
            speaker.expect(said(&long, &text));
            friend.expect(said(&long, &text));
            speaker.send_text(&format!(
                r#"{{"Command": "04", "FriendName": "{other}", "Message": "{spelt}"}}"#
            ));
            friend.expect(wrote(&long, &text));
            speaker.expect(delivered(&other));
        }
        friend.log_out();
        speaker.expect(left(&other));
        speaker.log_out();
    }
}

//! Private messages and their receipts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, TestServer, Way, came, delivered, left, said, wrote};

/// `name` with its letters in upper case where `number` has a bit. A receipt repeats a name as it was written, so
/// this tells messages to one friend apart.
fn spell(name: &str, number: usize) -> String {
    name.char_indices()
        .map(|(place, letter)| {
            if number >> place & 1 == 1 {
                letter.to_ascii_uppercase()
            } else {
                letter
            }
        })
        .collect()
}

/// Checks that the next message is a receipt with Flag 0 in every detail.
#[track_caller]
fn expect_undelivered(client: &mut Client, friend: &str) {
    let receipt = client.receive();
    let why = receipt["Message"].as_str().expect("a reason");
    assert!(!why.is_empty());
    assert_eq!(
        receipt,
        json!({"Command": "14", "Comment": "14", "Flag": 0, "FriendName": friend, "Message": why})
    );
}

/// Text that begins, ends, and is made in unusual ways.
fn unusual_texts() -> Vec<String> {
    let texts = [
        "",
        " ",
        "\0",
        "a\0b",
        " \t leading and trailing \r\n",
        "\n",
        "\u{7f}\u{80}\u{9f}",
        "\u{2028}\u{2029}\u{85}",
        "\u{feff}mark\u{feff}",
        "\u{fffd}\u{fffe}\u{ffff}\u{fdd0}",
        "😀👩‍👩‍👧‍👦🇨🇳",
        "\u{10000}\u{10ffff}",
        "e\u{301} is not é",
        "\u{202e}עברית العربية\u{202c}",
        "你好，世界",
        "\"quoted\" \\back\\slash\\ /slash/",
        "\\u0041 \\n \\ud800",
        "{\"Command\":\"03\"}",
        "}{][\"",
        "\x1b[2J\x07",
    ];
    texts.map(str::to_owned).into()
}

#[test]
fn a_private_message_reaches_its_friend_alone() {
    let server = TestServer::calm();
    let mut carol = server.guest("Carol");
    for sender in Way::ALL {
        for receiver in Way::ALL {
            let mut anna = server.guest_as(sender, "Anna");
            let mut bobby = server.guest_as(receiver, "Bobby");
            anna.expect(came("Bobby", true));
            carol.expect(came("Anna", true));
            carol.expect(came("Bobby", true));
            anna.write_to("Bobby", "hi");
            bobby.expect(wrote("Anna", "hi"));
            anna.expect(delivered("Bobby"));
            for client in [&mut anna, &mut bobby, &mut carol] {
                client.expect_nothing();
            }
            bobby.log_out();
            anna.expect(left("Bobby"));
            anna.log_out();
            carol.expect(left("Bobby"));
            carol.expect(left("Anna"));
        }
    }
}

#[test]
fn a_receipt_repeats_the_name_as_it_was_written() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        bobby.expect_command("30");
        for friend in ["Bobby", "bobby", "BOBBY", "bObBy"] {
            anna.write_to(friend, "hi");
            bobby.expect(wrote("Anna", "hi"));
            anna.expect(delivered(friend));
        }
        let too_long = "x".repeat(1000);
        for nobody in [
            "Nobody",
            "nOBODY",
            "Bobb",
            "Bobby ",
            " Bobby",
            "Bobby\0",
            "",
            "no",
            "guest",
            "名字",
            "\"\\\n😀",
            &too_long,
        ] {
            anna.write_to(nobody, "hi");
            expect_undelivered(&mut anna, nobody);
        }
        // An escape is another way to write the same.
        anna.send_text(r#"{"Command":"04","FriendName":"\u0062ob\u0042y","Message":"hi"}"#);
        bobby.expect(wrote("Anna", "hi"));
        anna.expect(delivered("bobBy"));
        anna.log_out();
        bobby.expect_command("31");
    }
}

#[test]
fn a_message_with_a_missing_or_mistyped_key_gets_its_receipt() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        bobby.expect_command("30");
        for (frame, friend) in [
            (r#"{"Command":"04"}"#, ""),
            (r#"{"Command":"04","Message":"hi"}"#, ""),
            (r#"{"Command":"04","FriendName":null,"Message":"hi"}"#, ""),
            (r#"{"Command":"04","FriendName":5,"Message":"hi"}"#, ""),
            (
                r#"{"Command":"04","FriendName":["Bobby"],"Message":"hi"}"#,
                "",
            ),
            (
                r#"{"Command":"04","FriendName":"Bobby","FriendName":true,"Message":"hi"}"#,
                "",
            ),
            (
                r#"{"Command":"04","friendname":"Bobby","Message":"hi"}"#,
                "",
            ),
            (r#"{"Command":"04","FriendName":"bObby"}"#, "bObby"),
            (
                r#"{"Command":"04","FriendName":"Bobby","Message":null}"#,
                "Bobby",
            ),
            (
                r#"{"Command":"04","FriendName":"Bobby","Message":5}"#,
                "Bobby",
            ),
            (
                r#"{"Command":"04","FriendName":"Bobby","Message":["hi"]}"#,
                "Bobby",
            ),
            (
                r#"{"Command":"04","FriendName":"Bobby","Message":{"a":"hi"}}"#,
                "Bobby",
            ),
            (
                r#"{"Command":"04","FriendName":"Bobby","Message":"hi","Message":false}"#,
                "Bobby",
            ),
            (r#"{"Command":"04","FriendName":"Nobody"}"#, "Nobody"),
        ] {
            anna.send_text(frame);
            expect_undelivered(&mut anna, friend);
        }
        bobby.expect_nothing();
        anna.write_to("Bobby", "hi");
        bobby.expect(wrote("Anna", "hi"));
        anna.expect(delivered("Bobby"));
        anna.log_out();
        bobby.expect_command("31");
    }
}

#[test]
fn a_friend_who_has_gone_is_offline() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        anna.write_to("Bobby", "too early");
        expect_undelivered(&mut anna, "Bobby");
        let mut bobby = server.guest_as(way, "Bobby");
        anna.expect(came("Bobby", true));
        anna.write_to("Bobby", "in time");
        bobby.expect(wrote("Anna", "in time"));
        anna.expect(delivered("Bobby"));
        bobby.log_out();
        anna.expect(left("Bobby"));
        anna.write_to("Bobby", "too late");
        expect_undelivered(&mut anna, "Bobby");
        // Nothing is kept for the next who has this name.
        let mut bobby = server.guest_as(way, "Bobby");
        bobby.expect_nothing();
        anna.expect(came("Bobby", true));
        bobby.log_out();
        anna.expect(left("Bobby"));
        anna.log_out();
    }
}

#[test]
fn one_may_write_to_oneself() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        bobby.expect_command("30");
        for (number, name) in ["Anna", "aNNa"].into_iter().enumerate() {
            anna.write_to(name, &number.to_string());
            // The receipt says that the message was written, so it comes second.
            anna.expect(wrote("Anna", &number.to_string()));
            anna.expect(delivered(name));
        }
        bobby.expect_nothing();
        anna.log_out();
        bobby.expect_command("31");
    }
}

#[test]
fn text_arrives_unchanged() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        let mut bobby = server.guest_as(way, "Bobby");
        anna.expect_command("30");
        for text in unusual_texts() {
            anna.write_to("Bobby", &text);
            bobby.expect(wrote("Anna", &text));
            anna.expect(delivered("Bobby"));
            anna.say(&text);
            for client in [&mut anna, &mut bobby] {
                client.expect(said("Anna", &text));
            }
        }
        bobby.log_out();
        anna.expect_command("31");
        anna.log_out();
    }
}

#[test]
fn every_character_arrives() {
    let server = TestServer::calm_with(|config| config.byte_rate = 0);
    let mut anna = server.guest("Anna");
    let mut bobby = server.guest_as(Way::TlsPrefixed, "Bobby");
    anna.expect_command("30");
    // All of the planes that are in use.
    let all: Vec<char> = ('\0'..'\u{32000}')
        .chain('\u{e0000}'..'\u{e0200}')
        .collect();
    for part in all.chunks(10_000) {
        let text: String = part.iter().collect();
        anna.write_to("Bobby", &text);
        assert!(
            bobby.receive() == wrote("Anna", &text),
            "changed after {:?}",
            part[0]
        );
        anna.expect(delivered("Bobby"));
    }
}

#[test]
fn text_goes_out_as_utf_8_whatever_way_it_came_in() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        for (written, goes_out) in [
            (r"\u4f60\u597d", "你好"),
            (r"\u00e9\u00DF", "éß"),
            (r"\ud83d\ude00\uD83D\uDE00", "😀😀"),
            (
                r"\u2028\u2029\ufeff\uffff",
                "\\u2028\\u2029\u{feff}\u{ffff}",
            ),
            (r"\u0041\u003c\/", "A</"),
            ("\u{7f}\u{80}é你😀", "\u{7f}\u{80}é你😀"),
        ] {
            anna.send_text(&format!(
                r#"{{"Command":"04","FriendName":"Anna","Message":"{written}"}}"#
            ));
            anna.expect_text(&format!(
                r#"{{"Command":"13","FriendName":"Anna","Message":"{goes_out}"}}"#
            ));
            anna.expect_command("14");
            anna.send_text(&format!(r#"{{"Command":"05","Message":"{written}"}}"#));
            anna.expect_text(&format!(
                r#"{{"Command":"32","Speaker":"Anna","Message":"{goes_out}"}}"#
            ));
        }
        // A control character would end the line or be no JSON, so it stays escaped.
        for text in ["\0", "\n", "\r\n", "\u{1f}"] {
            anna.write_to("Anna", text);
            let frame = anna.next_frame().unwrap();
            assert!(
                frame.iter().all(|byte| *byte >= 0x20),
                "{}",
                frame.escape_ascii()
            );
            assert_eq!(
                serde_json::from_slice::<Value>(&frame).unwrap(),
                wrote("Anna", text)
            );
            anna.expect_command("14");
        }
        anna.log_out();
    }
}

#[test]
fn messages_and_receipts_for_each_friend_keep_their_order() {
    const COUNT: usize = 256;
    let names = ["bobbybobby", "carolcarol", "doradoradora"];
    let server = TestServer::calm_with(|config| config.rate = 0);
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        let mut friends = names.map(|name| server.guest_as(way, name));
        let mut bytes = Vec::new();
        for number in 0..COUNT {
            // What follows something said to the room goes another way than what does not.
            if number % 3 == 0 {
                let message = json!({"Command": "05", "Message": "to all"});
                bytes.extend(way.frame(&message.to_string()));
            }
            for name in names {
                let friend = spell(name, number);
                let message =
                    json!({"Command": "04", "FriendName": friend, "Message": number.to_string()});
                bytes.extend(way.frame(&message.to_string()));
            }
            // Some go to nobody, and some say nothing.
            bytes.extend(way.frame(&json!({"Command": "04", "FriendName": spell("nobodynobody", number), "Message": ""}).to_string()));
            bytes.extend(way.frame(
                &json!({"Command": "04", "FriendName": spell("bobbybobby", number)}).to_string(),
            ));
        }
        thread::scope(|scope| {
            for friend in &mut friends {
                scope.spawn(|| {
                    let mut next = 0;
                    while next < COUNT {
                        let message = friend.receive();
                        if message["Command"] == "13" {
                            assert_eq!(message, wrote("Anna", &next.to_string()));
                            next += 1;
                        }
                    }
                    friend.expect_nothing();
                });
            }
            let mut receipts: Vec<(String, bool)> = Vec::new();
            anna.send_bytes(&bytes);
            let mut said_to_all = 0;
            while receipts.len() < 5 * COUNT || said_to_all < COUNT.div_ceil(3) {
                let message = anna.receive();
                said_to_all += usize::from(message["Command"] == "32");
                if message["Command"] == "14" {
                    let flag = message["Flag"].as_u64().expect("a flag");
                    receipts.push((
                        message["FriendName"].as_str().unwrap().to_owned(),
                        flag == 1,
                    ));
                }
            }
            anna.expect_nothing();
            for name in names.into_iter().chain(["nobodynobody"]) {
                let of_friend: Vec<_> = receipts
                    .iter()
                    .filter(|(friend, _)| friend.eq_ignore_ascii_case(name))
                    .cloned()
                    .collect();
                let expected: Vec<_> = (0..COUNT)
                    .flat_map(|number| {
                        let friend = spell(name, number);
                        match name {
                            "nobodynobody" => vec![(friend, false)],
                            "bobbybobby" => vec![(friend.clone(), true), (friend, false)],
                            _ => vec![(friend, true)],
                        }
                    })
                    .collect();
                assert_eq!(of_friend, expected, "{way:?}");
            }
        });
        for mut friend in friends {
            friend.send(&json!({"Command": "03"}));
            while friend.next_frame().is_some() {}
        }
        anna.send(&json!({"Command": "03"}));
        while anna.next_frame().is_some() {}
    }
}

#[test]
fn a_private_message_does_not_overtake_what_its_sender_said_before() {
    let server = TestServer::calm_with(|config| config.rate = 0);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Somebody keeps the room busy, but not for ever if this test fails.
        let (mut noise, is_over, start) = (server.guest("Noise"), &is_over, Instant::now());
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) && start.elapsed() < PATIENCE {
                (0..20).for_each(|_| noise.say("noise"));
                (0..20).for_each(|_| while noise.receive() != said("Noise", "noise") {});
            }
        });
        for (round, way) in Way::ALL.into_iter().cycle().take(40).enumerate() {
            let mut bobby = server.guest_as(way, &format!("Bobby{round}"));
            let mut anna = server.connect_as(way);
            let friend = format!("Bobby{round}");
            let commands = [
                json!({"Command": "01", "Name": "Anna"}),
                json!({"Command": "04", "FriendName": friend, "Message": "1"}),
                json!({"Command": "05", "Message": "2"}),
                json!({"Command": "04", "FriendName": friend, "Message": "3"}),
                json!({"Command": "05", "Message": "4"}),
                json!({"Command": "05", "Message": "5"}),
                json!({"Command": "04", "FriendName": friend, "Message": "6"}),
                json!({"Command": "04", "FriendName": friend, "Message": "7"}),
                json!({"Command": "03"}),
            ];
            let bytes: Vec<u8> = commands
                .iter()
                .flat_map(|command| way.frame(&command.to_string()))
                .collect();
            anna.send_bytes(&bytes);
            let mut heard = Vec::new();
            while heard.last() != Some(&left("Anna")) {
                let message = bobby.receive();
                if message["Speaker"] != "Noise" {
                    heard.push(message);
                }
            }
            let expected = [
                came("Anna", true),
                wrote("Anna", "1"),
                said("Anna", "2"),
                wrote("Anna", "3"),
                said("Anna", "4"),
                said("Anna", "5"),
                wrote("Anna", "6"),
                wrote("Anna", "7"),
                left("Anna"),
            ];
            assert_eq!(heard, expected, "{way:?}");
            bobby.send(&json!({"Command": "03"}));
            while let Some(frame) = bobby.next_frame() {
                assert!(frame.starts_with(b"{\"Command\":\"32\""));
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_receipt_comes_whatever_else_its_sender_sent_with_the_message() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        let mut bob = server.guest_as(way, "Bobby");
        anna.expect(came("Bobby", true));
        let private = json!({"Command": "04", "FriendName": "Bobby", "Message": "psst"});
        let room = json!({"Command": "05", "Message": "hello"});
        let register =
            json!({"Command": "02", "Name": format!("New{way:?}"), "Password": "secret"});
        for (other, expected) in [(room, said("Anna", "hello")), (register, json!(null))] {
            let frames = [private.clone(), other];
            anna.send_bytes(&frames.map(|frame| way.frame(&frame.to_string())).concat());
            anna.expect(delivered("Bobby"));
            bob.expect(wrote("Anna", "psst"));
            if expected.is_null() {
                assert_eq!(anna.expect_command("12")["Flag"], 1);
            } else {
                anna.expect(expected.clone());
                bob.expect(expected);
            }
        }
        anna.log_out();
        bob.expect(left("Anna"));
        bob.log_out();
    }
}

#[test]
fn receipts_for_many_messages_at_once_are_no_backlog() {
    const COUNT: usize = 60;
    let server = TestServer::calm_with(|config| {
        (config.max_frame, config.max_backlog, config.rate) = (1 << 10, 4 << 10, 0);
    });
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        let mut bob = server.guest_as(way, "Bobby");
        anna.expect(came("Bobby", true));
        let message = json!({"Command": "04", "FriendName": "Bobby", "Message": ""});
        anna.send_bytes(&way.frame(&message.to_string()).repeat(COUNT));
        for _ in 0..COUNT {
            anna.expect(delivered("Bobby"));
            bob.expect(wrote("Anna", ""));
        }
        anna.log_out();
        bob.expect(left("Anna"));
        bob.log_out();
    }
}

#[test]
fn a_receipt_does_not_wait_for_a_later_message_that_is_paced() {
    // A login and one message are free, the next one waits a second.
    let server = TestServer::calm_with(|config| (config.rate, config.burst) = (1, 2));
    for way in Way::ALL {
        let mut bob = server.guest_as(way, "Bobby");
        // A test that was too slow to see what came in that second tries again.
        let has_seen = (0..10).any(|_| {
            let mut anna = server.connect_as(way);
            let message = |text| json!({"Command": "04", "FriendName": "Bobby", "Message": text});
            let login = json!({"Command": "01", "Name": "Anna"});
            let frames = [login, message("one"), message("two")];
            let start = Instant::now();
            anna.send_bytes(&frames.map(|frame| way.frame(&frame.to_string())).concat());
            anna.expect_login();
            anna.expect(delivered("Bobby"));
            let (more, _) = anna.take_available();
            let was_quick = start.elapsed().as_millis() < 900;
            assert!(more.is_empty() || !was_quick, "{more:?}");
            bob.expect(came("Anna", true));
            bob.expect(wrote("Anna", "one"));
            bob.expect(wrote("Anna", "two"));
            if more.is_empty() {
                anna.expect(delivered("Bobby"));
            }
            anna.log_out();
            bob.expect(left("Anna"));
            was_quick
        });
        assert!(has_seen);
        bob.log_out();
    }
}

//! Messages to the room.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way, came, said};

/// A server with one client of each way, who have seen each other come.
fn all_ways() -> (TestServer, [Client; Way::ALL.len()]) {
    let server = TestServer::calm_with(|config| config.rate = 0);
    let names = ["Way0", "Way1", "Way2", "Way3", "Way4"];
    let mut clients = Way::ALL.map(|way| server.connect_as(way));
    for (number, client) in clients.iter_mut().enumerate() {
        client.log_in(names[number]);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        for name in &names[number + 1..] {
            client.expect(came(name, true));
        }
    }
    (server, clients)
}

#[test]
fn everybody_hears_what_is_said_and_its_speaker_too() {
    let (_server, mut clients) = all_ways();
    for speaker in 0..Way::ALL.len() {
        let name = format!("Way{speaker}");
        clients[speaker].say("hi");
        for client in &mut clients {
            client.expect(said(&name, "hi"));
            client.expect_nothing();
        }
    }
}

#[test]
fn each_message_is_a_line_of_its_own() {
    let (_server, mut clients) = all_ways();
    let texts = [
        "",
        "one",
        "two\nlines",
        "three\r\n\r\n",
        "}{",
        "\"}\n{\"",
        "最后",
    ];
    for (speaker, way) in Way::ALL.into_iter().enumerate() {
        let bytes: Vec<u8> = texts
            .iter()
            .flat_map(|text| way.frame(&json!({"Command": "05", "Message": text}).to_string()))
            .collect();
        clients[speaker].send_bytes(&bytes);
        for client in &mut clients {
            for text in texts {
                let text = Value::from(text);
                client.expect_text(&format!(
                    r#"{{"Command":"32","Speaker":"Way{speaker}","Message":{text}}}"#
                ));
            }
        }
    }
}

#[test]
fn in_a_quiet_room_one_read_sees_one_message() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        let mut bobby = server.connect_as(way);
        anna.send(&json!({"Command": "01", "Name": "Anna"}));
        assert_eq!(anna.receive_in_one_read()["Command"], "11");
        bobby.send(&json!({"Command": "01", "Name": "Bobby"}));
        assert_eq!(bobby.receive_in_one_read()["Command"], "11");
        assert_eq!(anna.receive_in_one_read(), came("Bobby", true));
        for _ in 0..10 {
            anna.say("hi");
            for client in [&mut anna, &mut bobby] {
                assert_eq!(client.receive_in_one_read(), said("Anna", "hi"));
            }
            bobby.write_to("Anna", "hi");
            assert_eq!(anna.receive_in_one_read()["Command"], "13");
            assert_eq!(bobby.receive_in_one_read()["Command"], "14");
        }
        bobby.log_out();
        assert_eq!(anna.receive_in_one_read()["Command"], "31");
        anna.log_out();
    }
}

#[test]
fn everybody_hears_many_speakers_in_one_order() {
    const COUNT: usize = 100;
    let (_server, clients) = all_ways();
    let mut heard: Vec<(Client, Vec<Value>)> = thread::scope(|scope| {
        let clients: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                scope.spawn(move || {
                    // Half the time it waits for what it said, half the time it does not.
                    let mut heard = Vec::new();
                    for number in 0..COUNT {
                        client.say(&number.to_string());
                        if number >= COUNT / 2 {
                            heard.push(client.receive());
                        }
                    }
                    while heard.len() < Way::ALL.len() * COUNT {
                        heard.push(client.receive());
                    }
                    (client, heard)
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    // Nobody leaves before all have heard everything.
    for (client, _) in &mut heard {
        client.expect_nothing();
    }
    let heard: Vec<Vec<Value>> = heard.into_iter().map(|(_, heard)| heard).collect();
    for other in &heard[1..] {
        assert!(*other == heard[0], "two clients heard different orders");
    }
    for speaker in 0..Way::ALL.len() {
        let name = format!("Way{speaker}");
        let of_speaker: Vec<_> = heard[0]
            .iter()
            .filter(|message| message["Speaker"] == *name)
            .cloned()
            .collect();
        let expected: Vec<_> = (0..COUNT)
            .map(|number| said(&name, &number.to_string()))
            .collect();
        assert_eq!(of_speaker, expected);
    }
}

#[test]
fn a_message_that_is_missing_or_no_string_gets_a_notice() {
    let (_server, mut clients) = all_ways();
    for speaker in 0..Way::ALL.len() {
        for frame in [
            r#"{"Command":"05"}"#,
            r#"{"Command":"05","message":"hi"}"#,
            r#"{"Command":"05","Message":null}"#,
            r#"{"Command":"05","Message":5}"#,
            r#"{"Command":"05","Message":true}"#,
            r#"{"Command":"05","Message":["hi"]}"#,
            r#"{"Command":"05","Message":{"Message":"hi"}}"#,
            r#"{"Command":"05","Message":"hi","Message":0}"#,
        ] {
            clients[speaker].send_text(frame);
            clients[speaker].expect_notice();
        }
        for client in &mut clients {
            client.expect_nothing();
        }
        clients[speaker].say("still here");
        for client in &mut clients {
            client.expect(said(&format!("Way{speaker}"), "still here"));
        }
    }
}

#[test]
fn who_comes_later_hears_nothing_of_what_was_said_before() {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    anna.say("before");
    anna.expect(said("Anna", "before"));
    for way in Way::ALL {
        let mut bobby = server.guest_as(way, "Bobby");
        bobby.expect_nothing();
        bobby.log_out();
    }
}

#[test]
fn a_newcomer_hears_everything_from_its_arrival_on() {
    const NEWCOMERS: usize = 12;
    let server = TestServer::calm_with(|config| config.rate = 0);
    let mut speaker = server.guest("Speaker");
    thread::scope(|scope| {
        for (number, way) in Way::ALL.into_iter().cycle().take(NEWCOMERS).enumerate() {
            let server = &server;
            scope.spawn(move || {
                let name = format!("Newcomer{number}");
                // The 11 must come first, whatever is being said.
                let mut client = server.guest_as(way, &name);
                let mut next = None;
                loop {
                    let message = client.receive();
                    assert_ne!(message["LogOnUserName"], name);
                    match message["Message"].as_str() {
                        Some("the end") => break,
                        Some(text) => {
                            let number: usize = text.parse().unwrap();
                            assert_eq!(number, next.unwrap_or(number));
                            next = Some(number + 1);
                        }
                        None => {}
                    }
                }
            });
        }
        let (mut newcomers, mut number) = (0, 0);
        while newcomers < NEWCOMERS || number < 100 {
            assert!(number < 1_000_000, "some newcomers do not come");
            let said = said("Speaker", &number.to_string());
            speaker.send(&json!({"Command": "05", "Message": said["Message"]}));
            loop {
                let message = speaker.receive();
                if message == said {
                    break;
                }
                newcomers += usize::from(message["Command"] == "30");
            }
            number += 1;
        }
        speaker.say("the end");
    });
}

//! What `Command` may look like, and what commands do before login.

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way, came, delivered, said, wrote};

#[test]
fn a_command_is_a_string_or_an_integer() {
    let server = TestServer::calm();
    let forms = |number: u8| {
        [
            json!(format!("{number:02}")),
            json!(number.to_string()),
            json!(number),
        ]
    };
    for way in Way::ALL {
        for [login, register, logout, private, room, answer] in
            (0..3).map(|form| [1, 2, 3, 4, 5, 14].map(|number| forms(number)[form].clone()))
        {
            let mut anna = server.connect_as(way);
            anna.send(&json!({"Command": register, "Name": "Anna"}));
            anna.expect_refusal("12");
            anna.send(&json!({"Command": login, "Name": "Anna"}));
            anna.expect_login();
            anna.send(&json!({"Command": room, "Message": "hi"}));
            anna.expect(said("Anna", "hi"));
            anna.send(&json!({"Command": private, "FriendName": "Anna", "Message": "hi"}));
            anna.expect(wrote("Anna", "hi"));
            anna.expect(delivered("Anna"));
            anna.send(&json!({"Command": answer}));
            anna.expect_nothing();
            anna.send(&json!({"Command": logout}));
            anna.expect_end();
        }
    }
}

#[test]
fn anything_else_is_an_unknown_command() {
    let unknown = [
        r#"" 03""#,
        r#""03 ""#,
        r#""03\n""#,
        r#""03\u0000""#,
        r#""003""#,
        r#""0x3""#,
        r#""+3""#,
        r#""-3""#,
        r#""3.0""#,
        r#""three""#,
        r#""０３""#,
        r#""٣""#,
        r#""""#,
        "3.0",
        "3.5",
        "3e0",
        "-3",
        "0",
        "6",
        "99",
        "259",
        "4294967299",
        "18446744073709551619",
        "true",
        "false",
        "null",
        "[3]",
        r#"["03"]"#,
        r#"{"Command":"03"}"#,
        "{}",
        // What only the server says.
        r#""10""#,
        r#""11""#,
        r#""12""#,
        r#""13""#,
        r#""30""#,
        r#""31""#,
        r#""32""#,
        "10",
        "32",
    ];
    let server = TestServer::calm_with(|config| config.rate = 0);
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        let check_all = |anna: &mut Client| {
            for command in unknown {
                anna.send_text(&format!(
                    r#"{{"Command":{command},"Name":"Carol","FriendName":"Bobby","Message":"x","LogOutUserName":"Bobby"}}"#
                ));
                assert!(!anna.expect_notice().is_empty(), "{command}");
            }
        };
        check_all(&mut anna);
        anna.log_in("Anna");
        bobby.expect(came("Anna", true));
        check_all(&mut anna);
        bobby.expect_nothing();
        anna.log_out();
        bobby.expect_command("31");
    }
}

#[test]
fn a_message_without_a_command_gets_a_notice() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        let missing = [
            json!({}),
            json!({"command": "05", "Message": "x"}),
            json!({"COMMAND": 3}),
            json!({"Comment": "14"}),
            json!({"Name": "Anna"}),
            json!({"x": {"Command": "03"}}),
        ];
        for frame in &missing {
            anna.send(frame);
            anna.expect_notice();
        }
        anna.log_in("Anna");
        for frame in &missing {
            anna.send(frame);
            anna.expect_notice();
        }
        anna.log_out();
    }
}

#[test]
fn the_answer_to_a_heartbeat_is_silence_at_any_time() {
    let server = TestServer::calm();
    let answers = [
        json!({"Command": "14"}),
        json!({"Command": 14}),
        json!({"Command": "14", "Comment": "14", "Flag": 1, "FriendName": "Bobby"}),
    ];
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        answers.iter().for_each(|answer| anna.send(answer));
        anna.expect_nothing();
        anna.log_in("Anna");
        bobby.expect(came("Anna", true));
        answers.iter().for_each(|answer| anna.send(answer));
        anna.expect_nothing();
        bobby.expect_nothing();
        anna.log_out();
        bobby.expect_command("31");
    }
}

#[test]
fn nobody_speaks_or_writes_before_login() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        anna.say("to the room");
        anna.expect_notice();
        anna.send(&json!({"Command": "05"}));
        anna.expect_notice();
        for friend in ["Bobby", "bOBBY", "Nobody", "no!", ""] {
            anna.write_to(friend, "x");
            let receipt = anna.receive();
            assert_eq!(receipt["Command"], "14");
            assert_eq!(receipt["Comment"], "14");
            assert_eq!(receipt["Flag"], json!(0));
            assert_eq!(receipt["FriendName"], friend);
            assert!(receipt["Message"].is_string());
        }
        anna.send(&json!({"Command": "04"}));
        anna.expect_refusal("14");
        bobby.expect_nothing();
        // The connection is as good as new.
        anna.log_in("Anna");
        bobby.expect(came("Anna", true));
        anna.say("now");
        for client in [&mut anna, &mut bobby] {
            client.expect(said("Anna", "now"));
        }
        anna.log_out();
        bobby.expect_command("31");
    }
}

#[test]
fn a_connection_that_is_not_logged_in_hears_nothing_of_the_room() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    let mut strangers = Way::ALL.map(|way| server.connect_as(way));
    for stranger in &mut strangers {
        stranger.expect_nothing();
    }
    bobby.say("hi");
    bobby.expect(said("Bobby", "hi"));
    server.guest("Carol").log_out();
    bobby.expect(came("Carol", true));
    for stranger in &mut strangers {
        stranger.expect_nothing();
    }
}

#[test]
fn commands_are_carried_out_in_the_order_sent() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        let commands: [Value; 6] = [
            json!({"Command": "05", "Message": "too early"}),
            json!({"Command": "01", "Name": "Anna"}),
            json!({"Command": "01", "Name": "Carol"}),
            json!({"Command": "05", "Message": "in time"}),
            json!({"Command": "03"}),
            json!({"Command": "05", "Message": "too late"}),
        ];
        let bytes: Vec<u8> = commands
            .iter()
            .flat_map(|command| way.frame(&command.to_string()))
            .collect();
        anna.send_bytes(&bytes);
        anna.expect_notice();
        anna.expect_login();
        // The refusal of the second login and what was said after it are of different kinds: either may be first.
        let mut rest = [anna.receive(), anna.receive()];
        rest.sort_by_key(|message| message["Command"].to_string());
        assert_eq!(rest[0]["Command"], "11");
        assert_eq!(rest[0]["Flag"], 0);
        assert_eq!(rest[1], said("Anna", "in time"));
        anna.expect_end();
        bobby.expect(came("Anna", true));
        bobby.expect(said("Anna", "in time"));
        bobby.expect_command("31");
        bobby.expect_nothing();
    }
}

//! The exact bytes of everything that the server says: compact, keys in the order of the tables.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, TestServer, Way};

/// Checks that the next frame is `head`, then a reason in any words, then the end of the object.
#[track_caller]
fn expect_text_with_reason(client: &mut Client, head: &str) {
    let frame = String::from_utf8(client.next_frame().expect("a frame")).unwrap();
    let message: Value = serde_json::from_str(&frame).unwrap();
    let why = message["Message"].as_str().expect("a reason");
    assert!(!why.is_empty());
    assert_eq!(frame, format!("{head},\"Message\":{}}}", json!(why)));
}

#[test]
fn replies_have_their_keys_in_order() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        anna.send_text("{}");
        expect_text_with_reason(&mut anna, r#"{"Command":"10""#);
        anna.send(&json!({"Command": "05", "Message": "x"}));
        expect_text_with_reason(&mut anna, r#"{"Command":"10""#);
        anna.send(&json!({"Command": "01"}));
        expect_text_with_reason(&mut anna, r#"{"Command":"11","Flag":0,"Friends":[]"#);
        anna.send(&json!({"Command": "02"}));
        expect_text_with_reason(&mut anna, r#"{"Command":"12","Flag":0"#);
        anna.write_to("Bobby", "x");
        expect_text_with_reason(
            &mut anna,
            r#"{"Command":"14","Comment":"14","Flag":0,"FriendName":"Bobby""#,
        );
        anna.send(&json!({"Command": "01", "Name": "Anna"}));
        anna.expect_text(r#"{"Command":"11","Flag":1,"Friends":[["Anna",1]]}"#);
        anna.send(&json!({"Command": "01", "Name": "Anna"}));
        expect_text_with_reason(&mut anna, r#"{"Command":"11","Flag":0,"Friends":[]"#);
        anna.write_to("nobody", "x");
        expect_text_with_reason(
            &mut anna,
            r#"{"Command":"14","Comment":"14","Flag":0,"FriendName":"nobody""#,
        );
        anna.send(&json!({"Command": "04"}));
        expect_text_with_reason(
            &mut anna,
            r#"{"Command":"14","Comment":"14","Flag":0,"FriendName":"""#,
        );
        anna.log_out();
    }
}

#[test]
fn broadcasts_and_private_messages_have_their_keys_in_order() {
    let server = TestServer::calm();
    let mut owner = server.connect();
    owner.register("Owner", "secret");
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        let mut bobby = server.connect_as(way);
        bobby.send(&json!({"Command": "01", "Name": "bOBBY"}));
        let reply = String::from_utf8(bobby.next_frame().unwrap()).unwrap();
        let either = [
            r#"{"Command":"11","Flag":1,"Friends":[["Anna",1],["bOBBY",1]]}"#,
            r#"{"Command":"11","Flag":1,"Friends":[["bOBBY",1],["Anna",1]]}"#,
        ];
        assert!(either.contains(&reply.as_str()), "{reply}");
        anna.expect_text(r#"{"Command":"30","LogOnUserName":"bOBBY","IsUserGuest":1}"#);

        bobby.say("你好");
        for client in [&mut anna, &mut bobby] {
            client.expect_text(r#"{"Command":"32","Speaker":"bOBBY","Message":"你好"}"#);
        }
        anna.write_to("bobby", "\"\\\n é😀");
        bobby.expect_text(r#"{"Command":"13","FriendName":"Anna","Message":"\"\\\n é😀"}"#);
        anna.expect_text(r#"{"Command":"14","Comment":"14","Flag":1,"FriendName":"bobby"}"#);

        bobby.log_out();
        anna.expect_text(r#"{"Command":"31","LogOutUserName":"bOBBY"}"#);

        let mut owner = server.connect_as(way);
        owner.send(&json!({"Command": "01", "Name": "Owner", "Password": "secret"}));
        owner.expect_command("11");
        anna.expect_text(r#"{"Command":"30","LogOnUserName":"Owner","IsUserGuest":0}"#);
        owner.log_out();
        anna.expect_text(r#"{"Command":"31","LogOutUserName":"Owner"}"#);
        anna.log_out();
    }
}

#[test]
fn a_registration_is_confirmed_in_few_bytes() {
    let server = TestServer::calm();
    for (way, name) in [(Way::Tls, "Anna"), (Way::PlainPrefixed, "Bobby")] {
        let mut client = server.connect_as(way);
        client.send(&json!({"Command": "02", "Name": name, "Password": "secret"}));
        client.expect_text(r#"{"Command":"12","Flag":1}"#);
    }
}

#[test]
fn a_heartbeat_is_seventeen_bytes() {
    let server = TestServer::with(|config| config.heartbeat = Duration::from_millis(400));
    let mut clients = Way::ALL.map(|way| server.connect_as(way));
    for client in &mut clients {
        client.log_in(&format!("Over{:?}", client.way()));
    }
    for mut client in clients {
        while client.next_frame().unwrap() != br#"{"Command":"14"}"# {}
    }
    let mut socket = TcpStream::connect(server.plain_address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sent = Vec::new();
    socket
        .write_all(br#"{"Command":"01","Name":"Anna"}"#)
        .unwrap();
    while !sent.ends_with(b"}\n{\"Command\":\"14\"}\n{\"Command\":\"14\"}\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        sent.extend(byte);
    }
}

#[test]
fn the_wire_carries_nothing_between_the_lines() {
    let server = TestServer::calm();
    let mut socket = TcpStream::connect(server.plain_address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut exchange = |request: &str, reply: &str| {
        socket.write_all(request.as_bytes()).unwrap();
        let mut bytes = vec![0; reply.len()];
        socket.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), reply);
    };
    exchange(
        r#"{"Command":"01","Name":"Anna"}"#,
        "{\"Command\":\"11\",\"Flag\":1,\"Friends\":[[\"Anna\",1]]}\n",
    );
    exchange(
        r#"{"Command":"05","Message":"a\r\nb"}{"Command":"05","Message":""}"#,
        "{\"Command\":\"32\",\"Speaker\":\"Anna\",\"Message\":\"a\\r\\nb\"}\n{\"Command\":\"32\",\"Speaker\":\"Anna\",\"Message\":\"\"}\n",
    );
    exchange(
        r#"{"Command":"04","FriendName":"aNNa","Message":"x"}"#,
        "{\"Command\":\"13\",\"FriendName\":\"Anna\",\"Message\":\"x\"}\n{\"Command\":\"14\",\"Comment\":\"14\",\"Flag\":1,\"FriendName\":\"aNNa\"}\n",
    );
    exchange(r#"{"Command":"03"}"#, "");
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

//! What the teacher and single users say to each other, and the rules that hold for a time.

use std::time::{Duration, Instant};

use chatd::server::{Refusal, StudentMessage, WatchTarget};
use chatd::transport::watch::{Direction, Watched};
use crossbeam_channel::Receiver;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::harness::{Client, PATIENCE, TestServer, Way, came, delivered, said, wrote};

/// The reason of the receipt with Flag 0 for a message to `friend`.
#[track_caller]
fn expect_refused_receipt(client: &mut Client, friend: &str) -> String {
    let receipt = client.receive();
    let why = receipt["Message"].as_str().unwrap().to_owned();
    let expected = json!({
        "Command": "14", "Comment": "14", "Flag": 0, "FriendName": friend, "Message": why
    });
    assert_eq!(receipt, expected);
    why
}

#[test]
fn the_teacher_can_write_to_one_user_in_the_order_of_what_that_user_hears() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let mut anna = server.guest("Anna");
    for way in Way::ALL {
        let name = format!("Bobby{way:?}");
        let mut bobby = server.guest_as(way, &name);
        anna.expect(came(&name, true));
        moderator.say("to all").unwrap();
        assert_eq!(
            moderator.tell(&name.to_uppercase(), "\u{1b}你好").unwrap(),
            name
        );
        bobby.expect(said("admin", "to all"));
        bobby.expect(wrote("admin", "\u{1b}你好"));
        anna.expect(said("admin", "to all"));
        bobby.log_out();
        anna.expect_command("31");
    }
    anna.expect_nothing();
    let refused = moderator.tell("Carol", "anybody?");
    assert!(matches!(refused, Err(Refusal::NotOnline(name)) if name == "Carol"));
    let too_long = moderator.tell("Anna", &"x".repeat(64 << 10));
    assert!(matches!(too_long, Err(Refusal::TooLong(_))));
}

#[test]
fn what_users_write_to_admin_reaches_a_teacher_who_reads_and_nobody_else() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        anna.write_to("admin", "unheard");
        let why = expect_refused_receipt(&mut anna, "admin");
        assert!(why.contains("online"), "{why}");

        let messages = moderator.read_messages().unwrap();
        for spelling in ["admin", "ADMIN"] {
            anna.write_to(spelling, "help me\n\u{1b}[2J");
            anna.expect(delivered(spelling));
            let message = messages.recv_timeout(PATIENCE).unwrap();
            let expected = StudentMessage {
                from: "Anna".to_owned(),
                text: "help me\n\u{1b}[2J".to_owned(),
            };
            assert_eq!(message, expected);
        }
        anna.send(&json!({"Command": "04", "FriendName": "admin"}));
        let why = expect_refused_receipt(&mut anna, "admin");
        assert!(why.contains("missing"), "{why}");

        moderator.mute("Anna", None).unwrap();
        anna.write_to("admin", "why?");
        let why = expect_refused_receipt(&mut anna, "admin");
        assert!(why.contains("muted"), "{why}");
        moderator.unmute("Anna").unwrap();
        assert!(messages.is_empty());

        drop(messages);
        anna.write_to("admin", "unheard");
        expect_refused_receipt(&mut anna, "admin");
        anna.log_out();
    }
    let mut anna = server.guest("Anna");
    anna.write_to("administrator", "no");
    expect_refused_receipt(&mut anna, "administrator");
}

#[test]
fn a_teacher_who_does_not_keep_up_with_reading_holds_up_nobody() {
    let server = TestServer::calm_with(|config| config.rate = 0);
    let messages = server.handle.moderator().read_messages().unwrap();
    let mut anna = server.guest("Anna");
    let mut sent = 0;
    let why = loop {
        anna.write_to("admin", &sent.to_string());
        let receipt = anna.receive();
        if receipt["Flag"] == 0 {
            break receipt["Message"].as_str().unwrap().to_owned();
        }
        sent += 1;
        assert!(sent <= 1000);
    };
    assert!(why.contains("later"), "{why}");
    let texts: Vec<String> = messages.try_iter().map(|message| message.text).collect();
    let expected: Vec<String> = (0..sent).map(|number| number.to_string()).collect();
    assert_eq!(texts, expected);
    anna.write_to("admin", "now");
    anna.expect(delivered("admin"));
}

#[test]
fn a_slow_room_takes_one_thing_in_a_time_from_each_and_says_how_long_to_wait() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let mut anna = server.guest("Anna");
    assert!(moderator.slow(Some(Duration::from_secs(3600))).unwrap());
    assert!(!moderator.slow(Some(Duration::from_secs(3600))).unwrap());
    // Who comes later, too.
    let mut bobby = server.guest_as(Way::TlsPrefixed, "Bobby");
    anna.expect(came("Bobby", true));
    anna.say("one");
    for client in [&mut anna, &mut bobby] {
        client.expect(said("Anna", "one"));
    }
    anna.say("two");
    let why = anna.expect_notice();
    assert!(why.contains("one thing in 1h"), "{why}");
    assert!(
        why.contains("again in 59m") || why.contains("again in 1h"),
        "{why}"
    );
    bobby.say("mine");
    for client in [&mut anna, &mut bobby] {
        client.expect(said("Bobby", "mine"));
    }
    // Private messages are not limited by it.
    anna.write_to("Bobby", "psst");
    anna.expect(delivered("Bobby"));
    bobby.expect(wrote("Anna", "psst"));
    assert_eq!(
        moderator.room().unwrap().slow,
        Some(Duration::from_secs(3600))
    );

    assert!(moderator.slow(Some(Duration::from_millis(50))).unwrap());
    let start = Instant::now();
    loop {
        anna.say("three");
        let answer = anna.receive();
        if answer == said("Anna", "three") {
            break;
        }
        assert_eq!(answer["Command"], "10");
        assert!(start.elapsed() < PATIENCE);
    }
    bobby.expect(said("Anna", "three"));
    assert!(moderator.slow(None).unwrap() && !moderator.slow(None).unwrap());
    for text in ["four", "five"] {
        anna.say(text);
        bobby.expect(said("Anna", text));
    }
}

#[test]
fn while_private_messages_are_off_users_can_write_to_the_room_and_to_the_teacher() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let messages = moderator.read_messages().unwrap();
    let mut anna = server.guest("Anna");
    assert!(moderator.set_private_off(true).unwrap() && !moderator.set_private_off(true).unwrap());
    let mut bobby = server.guest_as(Way::Tls, "Bobby");
    anna.expect(came("Bobby", true));
    bobby.write_to("Anna", "psst");
    let why = expect_refused_receipt(&mut bobby, "Anna");
    assert!(why.contains("admin"), "{why}");
    bobby.write_to("admin", "he started");
    bobby.expect(delivered("admin"));
    assert_eq!(messages.recv_timeout(PATIENCE).unwrap().text, "he started");
    bobby.say("hello");
    anna.expect(said("Bobby", "hello"));
    bobby.expect(said("Bobby", "hello"));
    moderator.tell("Bobby", "I see").unwrap();
    bobby.expect(wrote("admin", "I see"));
    assert!(moderator.room().unwrap().is_private_off);
    assert!(moderator.set_private_off(false).unwrap());
    bobby.write_to("Anna", "psst");
    bobby.expect(delivered("Anna"));
    anna.expect(wrote("Bobby", "psst"));
}

#[test]
fn a_mute_and_a_ban_with_an_end_are_over_then() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let soon = || Some(Timestamp::now() + SignedDuration::from_millis(1500));
    let mut anna = server.guest("Anna");
    let outcome = moderator.mute("Anna", soon()).unwrap();
    assert!(outcome.has_changed && outcome.is_online);
    anna.say("too early");
    assert!(anna.expect_notice().contains("muted"));
    let start = Instant::now();
    loop {
        anna.say("again");
        let answer = anna.receive();
        if answer == said("Anna", "again") {
            break;
        }
        assert_eq!(answer["Command"], "10");
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(moderator.room().unwrap().muted.is_empty());

    assert!(moderator.ban_name("Bobby", soon()).unwrap().is_new);
    assert_eq!(moderator.bans().unwrap().len(), 1);
    let start = Instant::now();
    let mut bobby = server.connect();
    loop {
        bobby.send(&json!({"Command": "01", "Name": "Bobby"}));
        let answer = bobby.expect_command("11");
        if answer["Flag"] == 1 {
            break;
        }
        assert!(answer["Message"].as_str().unwrap().contains("banned"));
        assert!(start.elapsed() < PATIENCE);
        // Too many logins would be refused for that.
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(moderator.bans().unwrap().is_empty());
    moderator.ban_name("Carol", None).unwrap();
    moderator.ban_name("Dora", None).unwrap();
    assert_eq!(moderator.unban_all().unwrap().0, 2);
    server.guest("Carol").log_out();
}

#[test]
fn who_could_not_get_in_is_remembered_with_name_address_and_reason() {
    let server = TestServer::calm_with(|config| config.max_connections = 2);
    let moderator = server.handle.moderator();
    assert!(moderator.refused_logins().unwrap().is_empty());
    let _anna = server.guest("Anna");
    let mut client = server.connect();
    let long = "x".repeat(500);
    for (login, words) in [
        (json!({"Command": "01", "Name": "ANNA"}), "in use"),
        (json!({"Command": "01", "Name": "ANNA"}), "in use"),
        (json!({"Command": "01", "Name": "Bo\u{1b}bby"}), "letters"),
        (json!({"Command": "01", "Name": long}), "64"),
        (
            json!({"Command": "01", "Name": "Carol", "Password": "wrong"}),
            "password",
        ),
        (json!({"Command": "01"}), "missing"),
    ] {
        client.send(&login);
        let answer = client.expect_command("11");
        let why = answer["Message"].as_str().unwrap().to_owned();
        assert!(why.contains(words), "{why}");
        let last = moderator.refused_logins().unwrap().pop().unwrap();
        assert_eq!(last.why, why);
        assert!(last.address.ip().is_loopback());
        let name = login["Name"].as_str().unwrap_or_default();
        assert!(name.starts_with(&last.name) && last.name.len() <= 64);
    }
    client.log_in("Bobby");
    let mut third = server.connect();
    let why = third.expect_notice();
    let refused = moderator.refused_logins().unwrap();
    let counts: Vec<u64> = refused.iter().map(|one| one.count).collect();
    assert_eq!(counts, [2, 1, 1, 1, 1, 1]);
    assert_eq!(refused.last().map(|one| &one.why), Some(&why));
}

#[test]
fn who_was_there_is_listed_with_its_time_and_messages() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    assert!(moderator.attendance().unwrap().is_empty());
    let mut anna = server.guest("Anna");
    let mut bobby = server.guest_as(Way::Tls, "bobby");
    anna.expect(came("bobby", true));
    bobby.say("one");
    bobby.expect(said("bobby", "one"));
    bobby.write_to("Anna", "two");
    bobby.expect(delivered("Anna"));
    anna.expect(said("bobby", "one"));
    anna.expect(wrote("bobby", "two"));
    bobby.log_out();
    anna.expect_command("31");
    // Comes back, by another spelling.
    let mut bobby = server.guest("Bobby");
    anna.expect(came("Bobby", true));
    bobby.say("three");
    anna.expect(said("Bobby", "three"));
    let listed = moderator.attendance().unwrap();
    let names: Vec<&str> = listed.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["Anna", "Bobby"]);
    assert!(
        listed
            .iter()
            .all(|one| one.is_guest && one.last_out.is_none())
    );
    assert_eq!((listed[0].messages, listed[1].messages), (0, 3));
    assert!(listed[0].first_in <= listed[1].first_in);

    drop(bobby);
    anna.expect_command("31");
    let start = Instant::now();
    // The room tells the others first.
    let bobby = loop {
        let bobby = moderator.attendance().unwrap().remove(1);
        if bobby.last_out.is_some() {
            break bobby;
        }
        assert!(start.elapsed() < PATIENCE);
    };
    assert_eq!(bobby.messages, 3);
    let csv = chatd::server::attendance::to_csv(&[bobby]);
    let rows: Vec<Vec<&str>> = csv.lines().map(|row| row.split(',').collect()).collect();
    assert_eq!(rows[0].len(), rows[1].len());
    assert_eq!(
        (rows[1][0], rows[1][1], rows[1][6]),
        ("Bobby", "guest", "3")
    );
}

#[test]
fn a_transcript_holds_what_is_said_in_the_room_and_everybody_knows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lesson.jsonl");
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let mut anna = server.guest("Anna");
    anna.say("before");
    anna.expect(said("Anna", "before"));
    assert!(!moderator.transcript(None).unwrap());
    assert!(moderator.transcript(Some(&path)).unwrap());
    assert!(anna.expect_notice().contains("written down"));
    let mut bobby = server.guest_as(Way::TlsPrefixed, "Bobby");
    assert!(bobby.expect_notice().contains("written down"));
    anna.expect(came("Bobby", true));
    anna.say("你好");
    bobby.expect(said("Anna", "你好"));
    bobby.write_to("Anna", "secret");
    bobby.expect(delivered("Anna"));
    moderator.say("sit down").unwrap();
    bobby.expect(said("admin", "sit down"));
    assert!(moderator.transcript(None).unwrap());
    assert!(bobby.expect_notice().contains("no longer"));
    bobby.say("after");
    bobby.expect(said("Bobby", "after"));

    let texts = || -> Vec<(String, String)> {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| {
            let said: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(said["Time"].as_str().unwrap().parse::<Timestamp>().is_ok());
            let word = |key: &str| said[key].as_str().unwrap().to_owned();
            (word("Speaker"), word("Message"))
        });
        lines.collect()
    };
    let pair = |speaker: &str, text: &str| (speaker.to_owned(), text.to_owned());
    let mut expected = vec![pair("Anna", "你好"), pair("admin", "sit down")];
    assert_eq!(texts(), expected);

    // The same file again, and the end of the server ends it whole.
    moderator.transcript(Some(&path)).unwrap();
    bobby.expect_notice();
    for number in 0..100 {
        bobby.say(&number.to_string());
        expected.push(pair("Bobby", &number.to_string()));
    }
    bobby.expect(said("Bobby", "0"));
    for number in 1..100 {
        bobby.expect(said("Bobby", &number.to_string()));
    }
    drop(server);
    assert_eq!(texts(), expected);
    let unusable = folder.path().join("none").join("file");
    let server = TestServer::calm();
    let refused = server.handle.moderator().transcript(Some(&unusable));
    assert!(matches!(refused, Err(Refusal::File(_))), "{refused:?}");
}

#[test]
fn a_class_is_registered_with_passwords_that_are_told_once() {
    let server = TestServer::calm_with(|config| config.no_registration = true);
    let moderator = server.handle.moderator();
    let password = moderator.register("Anna").unwrap().unwrap();
    assert!(password.len() == 8 && password.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let other = moderator.register("Bobby").unwrap().unwrap();
    assert_ne!(password, other);
    let again = moderator.register("ANNA").unwrap().unwrap_err();
    assert!(again.contains("registered"), "{again}");
    assert!(matches!(moderator.register("Al"), Err(Refusal::NoName(..))));
    let mut guest = server.guest("Carol");
    let taken = moderator.register("carol").unwrap().unwrap_err();
    assert!(taken.contains("guest"), "{taken}");
    let mut anna = server.connect();
    anna.send(&json!({"Command": "01", "Name": "Anna", "Password": password}));
    assert_eq!(anna.expect_command("11")["Flag"], 1);
    guest.expect(came("Anna", false));
    guest.send(&json!({"Command": "02", "Name": "Dora", "Password": "x"}));
    assert_eq!(guest.expect_command("12")["Flag"], 0);
}

/// What was seen so far of what went this way, put together, once `end` is its end.
#[track_caller]
fn seen(watched: &Receiver<Watched>, direction: Direction, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let one = watched.recv_timeout(PATIENCE).unwrap();
        if one.direction == direction {
            bytes.extend(one.bytes);
        }
    }
    bytes
}

#[test]
fn what_a_client_sends_and_receives_can_be_watched_byte_for_byte_but_for_passwords() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    for way in Way::ALL {
        let (sender, watched) = crossbeam_channel::bounded(1000);
        let name = WatchTarget::Name("ANNA".to_owned());
        let mut anna = server.guest_as(way, "Anna");
        assert_eq!(moderator.watch(&name, sender.clone()).unwrap(), 1);
        assert!(anna.expect_notice().contains("your teacher sees"));

        anna.say("hi\u{1b}");
        anna.expect(said("Anna", "hi\u{1b}"));
        let sent = json!({"Command": "05", "Message": "hi\u{1b}"}).to_string();
        // Of a browser's messages the text is shown, without its mask.
        let shown_as = match way {
            Way::Browser => Way::Plain,
            way => way,
        };
        let framed = shown_as.frame(&sent);
        assert_eq!(seen(&watched, Direction::FromClient, &framed), framed);
        let received = shown_as.frame(r#"{"Command":"32","Speaker":"Anna","Message":"hi\u001b"}"#);
        let received = match way.is_prefixed() {
            true => received,
            false => [received, b"\n".to_vec()].concat(),
        };
        seen(&watched, Direction::ToClient, &received);

        // Comes back, cut in the middle, and with a password.
        anna.log_out();
        let mut anna = server.connect_as(way);
        anna.log_in("Anna");
        assert!(anna.expect_notice().contains("your teacher sees"));
        let login = r#"{"Command":"02","Name":"Dora","Password":"tiger7"}"#;
        for part in way.frame(login).chunks(7) {
            anna.send_bytes(part);
        }
        anna.expect_command("12");
        let shown = login.replace("tiger7", "......");
        let bytes = seen(&watched, Direction::FromClient, shown.as_bytes());
        assert!(!String::from_utf8_lossy(&bytes).contains("tiger7"));

        assert!(moderator.unwatch().unwrap() && !moderator.unwatch().unwrap());
        assert!(anna.expect_notice().contains("no longer"));
        while watched.try_recv().is_ok() {}
        anna.say("unseen");
        anna.expect(said("Anna", "unseen"));
        assert!(watched.try_recv().is_err());
        anna.log_out();
    }
}

#[test]
fn whoever_comes_from_an_address_can_be_watched_from_the_first_byte() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let (sender, watched) = crossbeam_channel::bounded(1000);
    let address = WatchTarget::Address([127, 0, 0, 1].into());
    let mut earlier = server.connect();
    earlier.send(&json!({"Command": "99"}));
    earlier.expect_notice();
    earlier.send_bytes(b"{\"Command\":");
    assert_eq!(moderator.watch(&address, sender).unwrap(), 1);
    // A client that has not logged in is told nothing: nobody knows yet how it frames.
    earlier.send_bytes(b"\"01\"}");
    earlier.expect_command("11");
    seen(&watched, Direction::FromClient, b"\"01\"}");
    let mut broken = server.connect();
    broken.send_bytes(b"\x00\x00\xffhello");
    while broken.next_frame().is_some() {}
    let bytes = seen(&watched, Direction::FromClient, b"\xffhello");
    assert_eq!(bytes, b"\x00\x00\xffhello");
    earlier.log_in("Anna");
    assert!(earlier.expect_notice().contains("your teacher sees"));
}

//! The teacher's verbs: what users, and those who want in, see of them.

use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use chatd::server::{Moderator, Refusal};
use chatd::storage::bans::Banned;
use chatd::transport::{CloseReason, PortKind};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::harness::{Client, PATIENCE, TestServer, Way, came, delivered, left, said, wrote};

/// A plain server, and Anna on it with a friend for each way to connect.
fn class() -> (TestServer, Client, Vec<Client>) {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    let mut friends = Vec::new();
    for way in Way::ALL {
        let friend = server.guest_as(way, &friend_name(way));
        for earlier in friends.iter_mut().chain([&mut anna]) {
            earlier.expect(came(&friend_name(way), true));
        }
        friends.push(friend);
    }
    (server, anna, friends)
}

fn friend_name(way: Way) -> String {
    format!("Friend{way:?}")
}

/// This machine's address that others use, if it has one that clients on this machine can use too.
fn lan_address() -> Option<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap().into_iter();
    let found = found
        .map(|interface| interface.ip())
        .find(|address| match address {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            IpAddr::V6(_) => false,
        });
    if found.is_none() {
        eprintln!("SKIPPED: this test needs an address that is not loopback");
    }
    found
}

/// A server that others can reach too.
fn open_server() -> TestServer {
    TestServer::calm_with(|config| config.bind = vec![[0, 0, 0, 0].into()])
}

fn connect_to(address: IpAddr, server: &TestServer, way: Way) -> Client {
    let port = server.address(way).port();
    Client::over(TcpStream::connect((address, port)).unwrap(), way)
}

#[test]
fn what_the_teacher_says_comes_to_all_in_the_one_order() {
    let (server, mut anna, mut friends) = class();
    let text = "quiet, please \u{1b}[31m\n\u{202e}\"你好\"";
    anna.say("before");
    anna.expect(said("Anna", "before"));
    server.handle.moderator().say(text).unwrap();
    anna.expect(said("admin", text));
    anna.say("after");
    anna.expect(said("Anna", "after"));
    for friend in &mut friends {
        friend.expect(said("Anna", "before"));
        friend.expect(said("admin", text));
        friend.expect(said("Anna", "after"));
    }
    let limit = 64 << 10;
    let moderator = server.handle.moderator();
    // The line counts: what is around the text, with a newline, and what escapes make of it.
    let room = limit - said("admin", "").to_string().len() - 1;
    let longest = "x".repeat(room);
    moderator.say(&longest).unwrap();
    for too_long in ["x".repeat(room + 1), "\u{1}".repeat(room / 6 + 1)] {
        let refused = moderator.say(&too_long);
        assert!(matches!(refused, Err(Refusal::TooLong(of)) if of == limit));
    }
    anna.expect(said("admin", &longest));
    anna.expect_nothing();
}

/// Checks that what this client says to the room and to Anna is refused with a reason.
#[track_caller]
fn expect_muted(client: &mut Client) {
    client.say("refused");
    let why = client.expect_notice();
    assert!(why.contains("muted"), "{why}");
    client.write_to("anna", "refused");
    let receipt = client.receive();
    assert_eq!(
        [
            &receipt["Command"],
            &receipt["Comment"],
            &receipt["FriendName"]
        ],
        ["14", "14", "anna"]
    );
    assert_eq!(
        (&receipt["Flag"], &receipt["Message"]),
        (&json!(0), &json!(why))
    );
}

#[test]
fn who_is_muted_can_listen_but_not_speak_in_any_way_to_connect() {
    let (server, mut anna, mut friends) = class();
    let moderator = server.handle.moderator();
    for (friend, way) in friends.iter_mut().zip(Way::ALL) {
        let name = friend_name(way);
        let outcome = moderator.mute(&name.to_uppercase(), None).unwrap();
        assert!(outcome.has_changed && outcome.is_online && !outcome.is_everybody_muted);
        assert!(!moderator.mute(&name, None).unwrap().has_changed);
        expect_muted(friend);
        anna.write_to(&name, "hush");
        anna.expect(delivered(&name));
        friend.expect(wrote("Anna", "hush"));

        assert!(moderator.unmute(&name).unwrap().has_changed);
        friend.write_to("Anna", "back");
        anna.expect(wrote(&name, "back"));
        friend.expect(delivered("Anna"));
    }
}

#[test]
fn a_name_stays_muted_when_it_comes_back_and_when_all_others_may_speak_again() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    // Before it ever came.
    let outcome = moderator.mute("bobby", None).unwrap();
    assert!(outcome.has_changed && !outcome.is_online);
    let mut anna = server.guest("Anna");
    for spelling in ["Bobby", "BOBBY"] {
        let mut bobby = server.guest_as(Way::TlsPrefixed, spelling);
        anna.expect(came(spelling, true));
        expect_muted(&mut bobby);
        bobby.log_out();
        anna.expect(left(spelling));
    }
    assert!(moderator.mute_everybody().unwrap());
    assert!(!moderator.mute_everybody().unwrap());
    let mut bobby = server.guest("Bobby");
    let mut carol = server.guest("Carol");
    anna.expect(came("Bobby", true));
    anna.expect(came("Carol", true));
    bobby.expect(came("Carol", true));
    for client in [&mut anna, &mut bobby, &mut carol] {
        expect_muted(client);
    }
    let outcome = moderator.unmute("Carol").unwrap();
    assert!(!outcome.has_changed && outcome.is_everybody_muted);
    expect_muted(&mut carol);
    assert!(moderator.unmute_everybody().unwrap());
    assert!(!moderator.unmute_everybody().unwrap());
    expect_muted(&mut bobby);
    carol.say("at last");
    for client in [&mut anna, &mut bobby, &mut carol] {
        client.expect(said("Carol", "at last"));
    }
    let room = moderator.room().unwrap();
    assert_eq!(room.muted[0].name, "bobby");
    let muted: Vec<bool> = room.users.iter().map(|user| user.is_muted).collect();
    assert_eq!(muted, [false, true, false]);
}

#[test]
fn muting_loses_nothing_that_was_said_before() {
    const EACH: usize = 500;
    let server = TestServer::calm_with(|config| config.rate = 0);
    let moderator = server.handle.moderator();
    let mut anna = server.guest("Anna");
    let mut bobby = server.guest("Bobby");
    anna.expect(came("Bobby", true));
    // Room and private messages in turn: a sequence that is cut at one place, wherever that is.
    let sequence: String = (0..EACH)
        .map(|number| {
            let room = json!({"Command": "05", "Message": number.to_string()});
            let private =
                json!({"Command": "04", "FriendName": "Anna", "Message": number.to_string()});
            format!("{room}{private}")
        })
        .collect();
    bobby.send_bytes(sequence.as_bytes());
    anna.expect(said("Bobby", "0"));
    moderator.mute("Bobby", None).unwrap();
    let mut heard = vec!["32 0".to_owned()];
    let mut passed_on = 0;
    // Bobby hears of each message what became of it.
    let mut receipts = Vec::new();
    let mut refused = 0;
    while receipts.len() < EACH || passed_on + refused < EACH {
        let message = bobby.receive();
        match message["Command"].as_str().unwrap() {
            "32" => passed_on += 1,
            "10" => refused += 1,
            "14" => receipts.push(message["Flag"] == 1),
            _ => panic!("{message}"),
        }
    }
    let sent = receipts.iter().filter(|flag| **flag).count();
    assert!(
        receipts.is_sorted_by_key(|flag| !flag),
        "receipts keep the order of the messages"
    );
    assert!(
        passed_on >= sent && passed_on - sent <= 1,
        "{passed_on}, {sent}"
    );
    for _ in 1..passed_on + sent {
        let message = anna.receive();
        let (command, text) = (&message["Command"], &message["Message"]);
        heard.push(format!(
            "{} {}",
            command.as_str().unwrap(),
            text.as_str().unwrap()
        ));
    }
    let all = (0..EACH).flat_map(|number| [format!("32 {number}"), format!("13 {number}")]);
    assert_eq!(heard, all.take(passed_on + sent).collect::<Vec<_>>());
    anna.expect_nothing();
}

/// A guest whose socket holds little that it has not read.
fn narrow_guest(server: &TestServer, name: &str) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.connect(&server.plain_address().into()).unwrap();
    let mut guest = Client::over(socket.into(), Way::Plain);
    guest.log_in(name);
    guest
}

#[test]
fn the_refusal_of_a_muted_message_waits_for_the_receipts_before_it() {
    let server = TestServer::calm_with(|config| {
        (config.rate, config.byte_rate) = (0, 0);
        config.max_backlog = 64 << 20;
    });
    let mut slow = narrow_guest(&server, "Slow");
    let mut anna = server.guest("Anna");
    let text = "x".repeat(60 << 10);
    // More than the socket takes, so that the last ones wait.
    const MANY: usize = 200;
    for _ in 0..MANY {
        anna.write_to("Slow", &text);
    }
    // The answer shows that all of them have been taken.
    anna.send(&json!({"Command": "77"}));
    let mut delivered = 0;
    while anna.receive()["Command"] != "10" {
        delivered += 1;
    }
    assert!(delivered < MANY, "nothing waits");
    server.handle.moderator().mute("Anna", None).unwrap();
    anna.write_to("Slow", "refused");
    anna.write_to("Nobody", "not there");
    // Somebody else's receipt does not wait.
    assert_eq!(anna.receive()["FriendName"], "Nobody");
    slow.expect(came("Anna", true));
    for _ in 0..MANY {
        slow.expect_command("13");
    }
    for _ in delivered..MANY {
        assert_eq!(anna.receive()["Flag"], 1);
    }
    let why = anna.expect_refusal("14");
    assert!(why.contains("muted"), "{why}");
}

#[test]
fn while_the_server_is_locked_who_is_online_stays_and_nobody_new_comes() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let mut registrant = server.connect();
    registrant.register("Petra", "pass");
    let mut anna = server.guest("Anna");
    assert!(moderator.lock().unwrap() && !moderator.lock().unwrap());
    assert!(moderator.room().unwrap().is_locked);
    let mut refused: Vec<Client> = Way::ALL.map(|way| server.connect_as(way)).into();
    for (client, password) in refused.iter_mut().zip(["", "pass", "", "pass", ""]) {
        client.send(&json!({"Command": "01", "Name": "Petra", "Password": password}));
        let why = client.expect_refusal("11");
        assert!(why.contains("locked") || password.is_empty(), "{why}");
        client.send(&json!({"Command": "01", "Name": "Bobby"}));
        let why = client.expect_refusal("11");
        assert!(why.contains("locked"), "{why}");
    }
    anna.say("still here");
    anna.expect(said("Anna", "still here"));
    assert!(moderator.unlock().unwrap() && !moderator.unlock().unwrap());
    refused[3].log_in("Bobby");
    anna.expect(came("Bobby", true));
}

#[test]
fn who_is_kicked_reads_why_last_and_the_others_see_it_go() {
    let (server, mut anna, friends) = class();
    let moderator = server.handle.moderator();
    let names = Way::ALL.map(friend_name);
    for (index, mut friend) in friends.into_iter().enumerate() {
        let name = &names[index];
        for earlier in &names[..index] {
            for notice in [left(earlier), came(earlier, true), left(earlier)] {
                friend.expect(notice);
            }
        }
        // What it was told before comes before.
        anna.write_to(name, "hey");
        anna.expect(delivered(name));
        let why = (index % 2 == 0).then_some("no 你好 \"now\"");
        assert_eq!(&moderator.kick(&name.to_lowercase(), why).unwrap(), name);
        friend.expect(wrote("Anna", "hey"));
        let last = friend.expect_notice();
        match why {
            Some(why) => assert_eq!(last, why),
            None => assert!(last.contains("teacher"), "{last}"),
        }
        friend.expect_end();
        assert!(friend.has_ended_orderly());
        anna.expect(left(name));
        assert!(matches!(
            moderator.kick(name, None),
            Err(Refusal::NotOnline(_))
        ));
        // It may come back.
        server.guest(name).log_out();
        anna.expect(came(name, true));
        anna.expect(left(name));
    }
    let stats = moderator.stats().unwrap();
    assert_eq!(stats.closed(CloseReason::Kicked), Way::ALL.len() as u64);
}

#[test]
fn who_is_kicked_gets_its_receipts_before_the_reason() {
    let server = TestServer::calm_with(|config| {
        (config.rate, config.byte_rate) = (0, 0);
        config.max_backlog = 64 << 20;
    });
    let _slow = narrow_guest(&server, "Slow");
    let mut anna = server.guest("Anna");
    const MANY: usize = 200;
    for _ in 0..MANY {
        anna.write_to("Slow", &"x".repeat(60 << 10));
    }
    anna.send(&json!({"Command": "77"}));
    let mut flags = Vec::new();
    let mut receive = |anna: &mut Client| {
        let message = anna.receive();
        if message["Command"] == "14" {
            flags.push(message["Flag"].clone());
        }
        message
    };
    while receive(&mut anna)["Command"] != "10" {}
    server
        .handle
        .moderator()
        .kick("Anna", Some("enough"))
        .unwrap();
    loop {
        let message = receive(&mut anna);
        if message["Command"] == "10" {
            assert_eq!(message["Message"], "enough");
            break;
        }
    }
    anna.expect_end();
    assert_eq!(flags.len(), MANY);
    assert_eq!((&flags[0], &flags[MANY - 1]), (&json!(1), &json!(0)));
}

#[test]
fn who_does_not_read_is_kicked_all_the_same() {
    let server = TestServer::calm_with(|config| {
        (config.rate, config.byte_rate) = (0, 0);
        config.max_backlog = 64 << 20;
    });
    let mut sleeper = narrow_guest(&server, "Sleeper");
    let mut anna = server.guest("Anna");
    let text = "x".repeat(60 << 10);
    for _ in 0..200 {
        anna.say(&text);
        anna.expect_command("32");
    }
    server.handle.moderator().kick("Sleeper", None).unwrap();
    // The others don't wait for what it does not read.
    anna.expect(left("Sleeper"));
    anna.say("gone");
    anna.expect(said("Anna", "gone"));
    // Nor does the server, for long.
    let start = Instant::now();
    while sleeper.try_send_bytes(b" ").is_ok() {
        assert!(start.elapsed() < PATIENCE, "its connection lives on");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn who_is_slowed_down_is_kicked_at_once_and_reads_why() {
    for way in [Way::Plain, Way::TlsPrefixed] {
        let server = TestServer::calm_with(|config| {
            (config.byte_rate, config.byte_burst) = (10, 4000);
        });
        let mut anna = server.guest("Anna");
        let mut flooder = server.connect_as(way);
        flooder.log_in("Flooder");
        anna.expect(came("Flooder", true));
        // After the first part of it, the server reads nothing for minutes.
        let one = way.frame(r#"{"Command":"05","Message":"me"}"#);
        flooder.send_bytes(&one.repeat(4000));
        anna.expect(said("Flooder", "me"));
        let start = Instant::now();
        server
            .handle
            .moderator()
            .kick("Flooder", Some("stop it"))
            .unwrap();
        while anna.receive() != left("Flooder") {}
        let last = loop {
            let message = flooder.receive();
            if message["Command"] == "10" {
                break message;
            }
            assert_eq!(message["Command"], "32", "{message}");
        };
        assert_eq!(last["Message"], "stop it");
        // What it has sent and nobody has read may make a reset of the end.
        assert_eq!(flooder.receive_all(), [] as [Value; 0]);
        assert!(start.elapsed() < PATIENCE);
    }
}

#[test]
fn a_banned_name_is_thrown_out_and_cannot_come_back_by_any_spelling_or_password() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let mut anna = server.guest("Anna");
    let mut bobby = server.connect_as(Way::Tls);
    bobby.register("Bobby", "pass");
    bobby.send(&json!({"Command": "01", "Name": "Bobby", "Password": "pass"}));
    bobby.expect_login();
    anna.expect(came("Bobby", false));
    let outcome = moderator.ban_name("bOBBY", None).unwrap();
    assert!(outcome.is_new && outcome.saved.is_ok());
    assert_eq!(
        outcome.kicked,
        [("Bobby".to_owned(), [127, 0, 0, 1].into())]
    );
    let why = bobby.expect_notice();
    assert!(why.contains("banned"), "{why}");
    bobby.expect_end();
    anna.expect(left("Bobby"));
    assert!(!moderator.ban_name("Bobby", None).unwrap().is_new);
    let mut back = server.connect();
    back.send(&json!({"Command": "01", "Name": "Bobby", "Password": "pass"}));
    assert_eq!(back.expect_refusal("11"), why);
    back.send(&json!({"Command": "01", "Name": "BOBBY"}));
    assert_eq!(back.expect_refusal("11"), why);
    // A name beside it, from the same address, is another matter.
    back.log_in("Bobby2");
    anna.expect(came("Bobby2", true));

    let banned = Banned::Name("bobby".to_owned());
    moderator.unban(&banned).unwrap().unwrap();
    assert!(matches!(
        moderator.unban(&banned),
        Err(Refusal::NotBanned(_))
    ));
    let mut bobby = server.connect();
    bobby.send(&json!({"Command": "01", "Name": "Bobby", "Password": "pass"}));
    bobby.expect_login();
}

#[test]
fn bans_outlive_the_server() {
    let server = TestServer::calm();
    server.handle.moderator().ban_name("Carol", None).unwrap();
    let banned = server.handle.moderator().bans().unwrap();
    let folder = server.stop();
    let server = TestServer::in_folder(folder, |_| {});
    assert_eq!(server.handle.moderator().bans().unwrap(), banned);
    let mut carol = server.connect();
    carol.send(&json!({"Command": "01", "Name": "Carol"}));
    carol.expect_refusal("11");
}

#[test]
fn a_banned_address_is_thrown_out_and_told_why_when_it_comes_back() {
    let Some(lan) = lan_address() else { return };
    let server = open_server();
    let moderator = server.handle.moderator();
    let mut own = server.guest("Teacher");
    let mut users = Vec::new();
    for way in [Way::Plain, Way::TlsPrefixed] {
        let mut user = connect_to(lan, &server, way);
        user.log_in(&format!("User{}", users.len()));
        users.push(user);
    }
    let mut stranger = connect_to(lan, &server, Way::Plain);
    stranger.expect_nothing();
    // Two users share it.
    let shared = moderator.ban_address(lan, None, false);
    assert!(
        matches!(&shared, Err(Refusal::Shared(address, names)) if *address == lan && names == &["User0", "User1"]),
        "{shared:?}"
    );
    assert!(moderator.bans().unwrap().is_empty());
    let outcome = moderator.ban_address(lan, None, true).unwrap();
    assert!(outcome.is_new && outcome.saved.is_ok());
    assert_eq!(outcome.kicked.len(), 2);
    users[0].expect(came("User1", true));
    for user in &mut users {
        let messages = user.receive_all();
        let last = messages.last().expect("a last line");
        assert!(
            last["Message"].as_str().unwrap().contains("banned"),
            "{messages:?}"
        );
    }
    stranger.expect_end();
    for _ in 0..2 {
        own.expect_command("30");
    }
    for _ in 0..2 {
        own.expect_command("31");
    }
    for way in Way::ALL {
        let mut refused = connect_to(lan, &server, way);
        // Shows how it frames.
        refused.send_text(r#"{"Command":"01","Name":"Anna"}"#);
        let why = refused.expect_notice();
        assert!(why.contains("banned"), "{why}");
        refused.expect_end();
    }
    server.guest("Anna").log_out();
    own.expect(came("Anna", true));
    own.expect(left("Anna"));
    moderator.unban(&Banned::Address(lan)).unwrap().unwrap();
    let mut anna = connect_to(lan, &server, Way::Plain);
    anna.log_in("Anna");
    // One user alone needs no permission.
    assert_eq!(
        moderator
            .ban_address(lan, None, false)
            .unwrap()
            .kicked
            .len(),
        1
    );
}

#[test]
fn the_own_machine_cannot_be_banned() {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        let refused = server
            .handle
            .moderator()
            .ban_address(address.parse().unwrap(), None, true);
        assert!(
            matches!(refused, Err(Refusal::NotBannable(..))),
            "{address}"
        );
    }
    anna.expect_nothing();
}

#[test]
fn nobody_slips_through_while_a_ban_is_made() {
    let server = TestServer::calm_with(|config| config.rate = 0);
    let moderator = server.handle.moderator();
    for round in 0..20 {
        let name = format!("Slippery{round}");
        let clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
        let attempts: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                let login = json!({"Command": "01", "Name": name});
                std::thread::spawn(move || {
                    for _ in 0..10 {
                        if client.try_send_bytes(login.to_string().as_bytes()).is_err()
                            || client.next_frame().is_none()
                        {
                            return;
                        }
                    }
                })
            })
            .collect();
        moderator.ban_name(&name, None).unwrap();
        for attempt in attempts {
            attempt.join().unwrap();
        }
        // Those who were in are on the way out: nobody else can have come.
        let start = Instant::now();
        while !moderator.room().unwrap().users.is_empty() {
            assert!(start.elapsed() < PATIENCE, "{name} stays");
        }
    }
}

#[test]
fn a_forgotten_name_can_be_registered_anew() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let mut client = server.connect();
    client.register("Petra", "lost");
    client.register("Other", "kept");
    assert!(!moderator.forget("PETRA").unwrap());
    assert!(matches!(
        moderator.forget("Petra"),
        Err(Refusal::NotRegistered(_))
    ));
    client.send(&json!({"Command": "01", "Name": "Petra", "Password": "lost"}));
    client.expect_refusal("11");
    client.register("Petra", "found");
    let folder = server.stop();
    let server = TestServer::in_folder(folder, |_| {});
    let mut client = server.connect();
    client.send(&json!({"Command": "01", "Name": "Petra", "Password": "lost"}));
    client.expect_refusal("11");
    for (name, password) in [("Petra", "found"), ("Other", "kept")] {
        let mut client = server.connect();
        client.send(&json!({"Command": "01", "Name": name, "Password": password}));
        client.expect_login();
    }
}

#[test]
fn a_forgotten_name_stays_its_users_as_long_as_that_is_online() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let mut petra = server.connect();
    petra.register("Petra", "lost");
    petra.send(&json!({"Command": "01", "Name": "Petra", "Password": "lost"}));
    petra.expect_login();
    let mut thief = server.connect();
    for round in ["first", "second"] {
        assert!(moderator.forget("Petra").unwrap());
        petra.say("still here");
        petra.expect(said("Petra", "still here"));
        thief.send(&json!({"Command": "02", "Name": "Petra", "Password": "mine"}));
        thief.expect_refusal("12");
        thief.send(&json!({"Command": "01", "Name": "Petra"}));
        thief.expect_refusal("11");
        petra.register("petra", round);
    }
    petra.log_out();
    thief.send(&json!({"Command": "01", "Name": "Petra"}));
    thief.expect_refusal("11");
    assert!(!moderator.forget("Petra").unwrap());
    thief.log_in("Petra");
}

#[test]
fn who_is_online_is_told_with_all_that_is_known() {
    let before = SystemTime::now();
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    assert!(moderator.room().unwrap().users.is_empty());
    let mut zoe = server.guest_as(Way::Tls, "Zoe1");
    let mut anna = server.connect();
    anna.register("anna", "pass");
    anna.send(&json!({"Command": "01", "Name": "anna", "Password": "pass"}));
    anna.expect_login();
    zoe.expect(came("anna", false));
    for _ in 0..3 {
        zoe.say("one");
        zoe.expect_command("32");
    }
    zoe.write_to("Anna", "two");
    zoe.expect(delivered("Anna"));
    zoe.write_to("Nobody", "three");
    zoe.expect_refusal("14");
    zoe.send(&json!({"Command": "05"}));
    zoe.expect_notice();
    let users = moderator.room().unwrap().users;
    let told: Vec<_> = users
        .iter()
        .map(|user| (user.name.as_str(), user.is_guest, user.kind, user.messages))
        .collect();
    assert_eq!(
        told,
        [
            ("anna", false, PortKind::Plain, 0),
            ("Zoe1", true, PortKind::Tls, 5)
        ]
    );
    assert_eq!(users[0].address, anna.socket().local_addr().unwrap());
    for user in &users {
        assert!((before..=SystemTime::now()).contains(&user.since));
    }
}

#[test]
fn what_happens_is_counted_for_those_who_are_there_and_those_who_left() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    let zero = moderator.stats().unwrap();
    assert_eq!((zero.online, zero.logins, zero.traffic.messages), (0, 0, 0));
    let mut anna = server.guest("Anna");
    anna.say("hello");
    anna.expect_command("32");
    let one = moderator.stats().unwrap();
    assert_eq!((one.online, one.logins, one.traffic.messages), (1, 1, 1));
    let received = [
        json!({"Command": "01", "Name": "Anna"}),
        json!({"Command": "05", "Message": "hello"}),
    ];
    let received: usize = received.iter().map(|frame| frame.to_string().len()).sum();
    assert_eq!(one.traffic.received, received as u64);
    let sent = "{\"Command\":\"11\",\"Flag\":1,\"Friends\":[[\"Anna\",1]]}\n".len()
        + "{\"Command\":\"32\",\"Speaker\":\"Anna\",\"Message\":\"hello\"}\n".len();
    assert_eq!(one.traffic.sent, sent as u64);
    anna.log_out();
    let mut stranger = server.connect();
    stranger.send_bytes(b"{]");
    stranger.expect_notice();
    stranger.expect_end();
    drop(stranger);
    // The very last bytes are counted when the connection is closed.
    let start = Instant::now();
    let two = loop {
        let stats = moderator.stats().unwrap();
        if stats.closed(CloseReason::BadInput) == 1 && stats.traffic.sent > one.traffic.sent {
            break stats;
        }
        assert!(start.elapsed() < PATIENCE, "{stats}");
    };
    assert_eq!((two.online, two.logins, two.traffic.messages), (0, 1, 1));
    assert_eq!(two.closed(CloseReason::LoggedOut), 1);
    let since = two.since(&one);
    assert_eq!((since.logins, since.traffic.messages), (0, 0));
    assert!(since.traffic.received >= 2);
}

#[test]
fn the_verbs_of_a_server_that_has_stopped_say_so() {
    let server = TestServer::calm();
    let moderator: Moderator = server.handle.moderator().clone();
    let mut anna = server.guest("Anna");
    server.handle.stop();
    anna.expect_notice();
    drop(server);
    for outcome in [
        moderator.say("anybody?"),
        moderator.room().map(drop),
        moderator.mute("Anna", None).map(drop),
        moderator.kick("Anna", None).map(drop),
        moderator.ban_name("Anna", None).map(drop),
        moderator.forget("Anna").map(drop),
        moderator.stats().map(drop),
    ] {
        assert!(matches!(outcome, Err(Refusal::Stopped)), "{outcome:?}");
    }
}

#[test]
fn what_is_no_name_is_refused() {
    let server = TestServer::calm();
    let moderator = server.handle.moderator();
    for name in ["", "Al", "admin", "Bob by", "Bobby\n", "名字名字"] {
        for outcome in [
            moderator.mute(name, None).map(drop),
            moderator.unmute(name).map(drop),
            moderator.kick(name, None).map(drop),
            moderator.ban_name(name, None).map(drop),
            moderator.forget(name).map(drop),
        ] {
            assert!(matches!(outcome, Err(Refusal::NoName(..))), "{name:?}");
        }
    }
}
